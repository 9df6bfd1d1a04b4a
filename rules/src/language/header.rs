//! Addresses and ports of a rule header: variables, groups, negation, ranges.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::set::{Number, RangeSet};
use super::syntax::Word;
use super::{Problem, Variables, nearest};
use crate::language::said::say;

/// A set of addresses of both IP versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddressSet {
    v4: RangeSet<u32>,
    v6: RangeSet<u128>,
    /// Something in its text is negated.
    negated: bool,
}

impl AddressSet {
    pub(crate) fn everything() -> Self {
        Self { v4: RangeSet::everything(), v6: RangeSet::everything(), negated: false }
    }

    /// Is `address` in the set?
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contains(address.to_bits()),
            IpAddr::V6(address) => self.v6.contains(address.to_bits()),
        }
    }

    /// The addresses of IPv4.
    pub(crate) fn v4(&self) -> &RangeSet<u32> {
        &self.v4
    }

    /// Is any address of IPv6 in the set?
    pub(crate) fn has_v6(&self) -> bool {
        !self.v6.is_empty()
    }

    /// Is it said by what is not in it, if only in part?
    pub(crate) fn is_negated(&self) -> bool {
        self.negated
    }

    fn is_everything(&self) -> bool {
        self.v4.is_everything() && self.v6.is_everything()
    }
}

/// A set of ports.
pub(crate) type PortSet = RangeSet<u16>;

/// Variables may refer to each other only so deep.
const DEPTH: usize = 16;

/// Resolves header lists; the same text gives the same shared set. `None` is `any`.
pub(crate) struct Resolver<'a> {
    variables: &'a Variables,
    addresses: HashMap<String, Option<Arc<AddressSet>>>,
    ports: HashMap<String, Option<Arc<PortSet>>>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(variables: &'a Variables) -> Self {
        Self { variables, addresses: HashMap::new(), ports: HashMap::new() }
    }

    /// The set of addresses that `word` names.
    pub(crate) fn addresses(&mut self, word: Word<'_>) -> Result<Option<Arc<AddressSet>>, Problem> {
        if let Some(known) = self.addresses.get(word.text) {
            return Ok(known.clone());
        }
        let set = addresses(self.variables, word, 0)?;
        if set.v4.is_empty() && set.v6.is_empty() {
            return Err(Problem::new("empty-set", say!("these addresses leave nothing that could match"), word.span()));
        }
        let set = (!set.is_everything()).then(|| Arc::new(set));
        self.addresses.insert(word.text.to_owned(), set.clone());
        Ok(set)
    }

    /// The set of ports that `word` names.
    pub(crate) fn ports(&mut self, word: Word<'_>) -> Result<Option<Arc<PortSet>>, Problem> {
        if let Some(known) = self.ports.get(word.text) {
            return Ok(known.clone());
        }
        let set = ports(self.variables, word, 0)?;
        if set.is_empty() {
            return Err(Problem::new("empty-set", say!("these ports leave nothing that could match"), word.span()));
        }
        let set = (!set.is_everything()).then(|| Arc::new(set));
        self.ports.insert(word.text.to_owned(), set.clone());
        Ok(set)
    }
}

/// The items of a bracketed list at its own level, or the word itself; negation is split off.
fn items(word: Word<'_>) -> Result<Vec<(bool, Word<'_>)>, Problem> {
    let word = word.trim();
    let Some(inner) = word.text.strip_prefix('[') else { return Ok(vec![negation(word)]) };
    let Some(inner) = inner.strip_suffix(']') else {
        return Err(Problem::new("syntax", say!("this list is not closed"), word.span()).help(say!("expected `]`")));
    };
    let inner = word.part(inner);
    let (mut depth, mut from, mut found) = (0usize, 0, Vec::new());
    for (at, c) in inner.text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' if depth == 0 => {
                return Err(Problem::new("syntax", say!("unexpected `]`"), inner.part(&inner.text[at..=at]).span()));
            }
            ']' => depth -= 1,
            ',' if depth == 0 => {
                found.push(negation(inner.part(&inner.text[from..at]).trim()));
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(negation(inner.part(&inner.text[from..]).trim()));
    if depth > 0 {
        return Err(Problem::new("syntax", say!("this list is not closed"), word.span()).help(say!("expected `]`")));
    }
    match found.iter().find(|item| item.1.text.is_empty()) {
        Some(empty) => Err(Problem::new("syntax", say!("an item of this list is empty"), empty.1.span())),
        None => Ok(found),
    }
}

fn negation(word: Word<'_>) -> (bool, Word<'_>) {
    match word.text.strip_prefix('!') {
        Some(rest) => (true, word.part(rest).trim()),
        None => (false, word),
    }
}

/// The text of a variable, and the problem when there is none of that name.
fn variable<'v>(
    table: &'v std::collections::BTreeMap<String, String>,
    word: Word<'_>,
    depth: usize,
) -> Result<Option<&'v str>, Problem> {
    let Some(name) = word.text.strip_prefix('$') else { return Ok(None) };
    if depth >= DEPTH {
        return Err(Problem::new("variable-loop", say!("`${}` refers to itself", name), word.span()));
    }
    match table.get(name) {
        Some(text) => Ok(Some(text)),
        None => Err(Problem::new("unknown-variable", say!("variable `${}` is not defined", name), word.span())
            .maybe_help(nearest(name, table.keys().map(String::as_str)).map(|near| say!("did you mean `${}`?", near)))),
    }
}

/// A problem inside a variable is reported where the rule names it.
fn inside(word: Word<'_>) -> impl FnOnce(Problem) -> Problem {
    let (span, name) = (word.span(), word.text.to_owned());
    move |problem| Problem { span, message: say!("in {}: {}", name, problem.message), ..problem }
}

fn addresses(variables: &Variables, word: Word<'_>, depth: usize) -> Result<AddressSet, Problem> {
    let (mut v4, mut v6, mut any_negated) = (Vec::new(), Vec::new(), false);
    for (negated, item) in items(word)? {
        let set = if let Some(text) = variable(&variables.addresses, item, depth)? {
            addresses(variables, Word { text, start: 0 }, depth + 1).map_err(inside(item))?
        } else if item.text.starts_with('[') || item.text.starts_with('!') {
            if depth >= DEPTH {
                return Err(Problem::new("syntax", say!("lists are nested too deep"), item.span()));
            }
            addresses(variables, item, depth + 1)?
        } else {
            address(item)?
        };
        any_negated |= negated || set.negated;
        // Each IP version is a list of its own: `[10.0.0.0/8,!::1]` must not let all of IPv6 in.
        v4.push((negated, set.v4));
        v6.push((negated, set.v6));
    }
    Ok(AddressSet { v4: RangeSet::list(v4), v6: RangeSet::list(v6), negated: any_negated })
}

/// One address, network or range of addresses.
fn address(word: Word<'_>) -> Result<AddressSet, Problem> {
    if word.text.eq_ignore_ascii_case("any") {
        return Ok(AddressSet::everything());
    }
    let wrong = || {
        Problem::new("invalid-address", say!("`{}` is not an address", word.text), word.span())
            .help(say!("expected any, an address, address/prefix, address/netmask, first-last, a variable or a [list]"))
    };
    if let Some((first, last)) = word.split_once('-') {
        return match (first.text.parse().map_err(|_| wrong())?, last.text.parse().map_err(|_| wrong())?) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => Ok(v4(first.to_bits(), last.to_bits())),
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => Ok(v6(first.to_bits(), last.to_bits())),
            _ => Err(wrong()),
        };
    }
    let (address, prefix) = match word.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (word, None),
    };
    match address.text.parse().map_err(|_| wrong())? {
        IpAddr::V4(address) => {
            let length = match prefix {
                None => 32,
                Some(prefix) if prefix.text.contains('.') => {
                    let mask = prefix.text.parse::<Ipv4Addr>().map_err(|_| wrong())?.to_bits();
                    if mask.leading_ones() + mask.trailing_zeros() < 32 {
                        return Err(wrong());
                    }
                    mask.leading_ones()
                }
                Some(prefix) => prefix.text.parse().ok().filter(|&length| length <= 32).ok_or_else(wrong)?,
            };
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            Ok(v4(address.to_bits() & mask, address.to_bits() | !mask))
        }
        IpAddr::V6(address) => {
            let length = prefix.map_or(Some(128), |p| p.text.parse().ok().filter(|&n| n <= 128)).ok_or_else(wrong)?;
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            Ok(v6(address.to_bits() & mask, address.to_bits() | !mask))
        }
    }
}

fn v4(first: u32, last: u32) -> AddressSet {
    AddressSet { v4: RangeSet::new(vec![(first, last)]), v6: RangeSet::nothing(), negated: false }
}

fn v6(first: u128, last: u128) -> AddressSet {
    AddressSet { v4: RangeSet::nothing(), v6: RangeSet::new(vec![(first, last)]), negated: false }
}

fn ports(variables: &Variables, word: Word<'_>, depth: usize) -> Result<PortSet, Problem> {
    let mut list = Vec::new();
    for (negated, item) in items(word)? {
        let set = if let Some(text) = variable(&variables.ports, item, depth)? {
            ports(variables, Word { text, start: 0 }, depth + 1).map_err(inside(item))?
        } else if item.text.starts_with('[') || item.text.starts_with('!') {
            if depth >= DEPTH {
                return Err(Problem::new("syntax", say!("lists are nested too deep"), item.span()));
            }
            ports(variables, item, depth + 1)?
        } else {
            port(item)?
        };
        list.push((negated, set));
    }
    Ok(RangeSet::list(list))
}

/// One port or range of ports: `502`, `1024:`, `:1023`, `80:90`.
fn port(word: Word<'_>) -> Result<PortSet, Problem> {
    if word.text.eq_ignore_ascii_case("any") {
        return Ok(RangeSet::everything());
    }
    let wrong = || {
        Problem::new("invalid-port", say!("`{}` is not a port", word.text), word.span())
            .help(say!("expected any, 0 to 65535, a range first:last, a variable or a [list]"))
    };
    let number = |word: Word<'_>, absent: u16| {
        if word.text.is_empty() { Ok(absent) } else { word.text.parse().map_err(|_| wrong()) }
    };
    let (first, last) = match word.split_once(':') {
        Some((first, last)) => (number(first, u16::LOWEST)?, number(last, u16::HIGHEST)?),
        None => {
            let only = word.text.parse().map_err(|_| wrong())?;
            (only, only)
        }
    };
    if first > last { Err(wrong()) } else { Ok(RangeSet::new(vec![(first, last)])) }
}

/// Parses the addresses of a keyword's value.
pub(crate) fn address_list(variables: &Variables, word: Word<'_>) -> Result<AddressSet, Problem> {
    let word = word.trim();
    if word.text.starts_with('[') || !word.text.contains(',') {
        return addresses(variables, word, 0);
    }
    let (mut v4, mut v6, mut any_negated) = (Vec::new(), Vec::new(), false);
    for item in word.split(',') {
        let (negated, item) = negation(item);
        let set = addresses(variables, item, 0)?;
        any_negated |= negated || set.negated;
        v4.push((negated, set.v4));
        v6.push((negated, set.v6));
    }
    Ok(AddressSet { v4: RangeSet::list(v4), v6: RangeSet::list(v6), negated: any_negated })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<AddressSet, Problem> {
        let variables = Variables::standard();
        addresses(&variables, Word { text, start: 0 }, 0)
    }

    #[track_caller]
    fn check(text: &str, inside: &[&str], outside: &[&str]) {
        let set = resolve(text).unwrap_or_else(|problem| panic!("{text}: {}", problem.message));
        for address in inside {
            assert!(set.contains(address.parse().expect("address")), "{text} contains {address}");
        }
        for address in outside {
            assert!(!set.contains(address.parse().expect("address")), "{text} does not contain {address}");
        }
    }

    #[test]
    fn address_lists_nest_and_negate() {
        check("any", &["1.2.3.4", "::1"], &[]);
        check("10.0.0.0/8", &["10.255.0.1"], &["11.0.0.0", "::1"]);
        check("10.1.2.3/255.255.0.0", &["10.1.255.0"], &["10.2.0.0"]);
        check("!10.0.0.0/8", &["9.255.255.255", "::1"], &["10.0.0.1"]);
        check("[10.0.0.0/8,![10.1.0.0/16,10.2.3.4]]", &["10.3.0.1"], &["10.1.5.5", "10.2.3.4"]);
        check("[10.0.0.1-10.0.0.9]", &["10.0.0.5"], &["10.0.0.10"]);
        check("$EXTERNAL_NET", &["8.8.8.8", "2001:db8::1"], &["192.168.1.1"]);
        check("[fe80::/10,!fe80::1]", &["fe80::2"], &["fe80::1", "10.0.0.1"]);
        check("::/0", &["::1"], &["1.1.1.1"]);
        check("0.0.0.0/0", &["1.1.1.1"], &["::1"]);
    }

    #[test]
    fn wrong_addresses_are_named() {
        for text in ["10.0.0.0/33", "300.1.1.1", "[10.0.0.1", "[]", "10.0.0.9-10.0.0.1", "10.0.0.0/255.0.255.0", ""] {
            assert!(resolve(text).is_err(), "{text}");
        }
        let problem = resolve("$HOME_NETT").expect_err("unknown");
        assert_eq!(problem.help, Some(say!("did you mean `${}`?", "HOME_NET")));
    }

    #[test]
    fn a_variable_that_refers_to_itself_is_an_error() {
        let mut variables = Variables::default();
        variables.addresses.insert("A".into(), "[$B]".into());
        variables.addresses.insert("B".into(), "!$A".into());
        let problem = addresses(&variables, Word { text: "$A", start: 0 }, 0).expect_err("loop");
        assert_eq!(problem.code, "variable-loop");
    }

    #[test]
    fn ports_have_open_ranges_and_negation() {
        let variables = Variables::standard();
        let set = |text| ports(&variables, Word { text, start: 0 }, 0).expect("ports");
        assert_eq!(set("[80,!81,1024:]").ranges(), [(80, 80), (1024, 65535)]);
        assert_eq!(set("!:1023").ranges(), [(1024, 65535)]);
        assert_eq!(set("[1:10,!5]").ranges(), [(1, 4), (6, 10)]);
        assert!(port(Word { text: "65536", start: 0 }).is_err());
        assert!(port(Word { text: "9:1", start: 0 }).is_err());
    }
}
