//! Integers as Suricata's rules spell them: `5`, `>=5`, `!5`, `5-10` and `5<>10` (exclusive), `&0xc0=0x80`, names of an
//! enumeration, and lists of these.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::combinator::{opt, recognize, rest};
use nom::sequence::{pair, preceded};
use nom::{IResult, Parser};
use vigia_parsers::field::Names;

use super::set::RangeSet;
use super::syntax::Word;
use super::{Problem, nearest};
use crate::language::said::say;

/// What values an integer may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Domain {
    /// Width in bits, 1 to 64.
    pub(crate) bits: u8,
    /// Two's complement.
    pub(crate) signed: bool,
    /// The enumeration; may be empty.
    pub(crate) names: Names,
}

impl Domain {
    pub(crate) const fn unsigned(bits: u8) -> Self {
        Self { bits, signed: false, names: &[] }
    }

    fn bounds(&self) -> (i128, i128) {
        let bits = u32::from(self.bits.clamp(1, 64));
        if self.signed { (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1) } else { (0, (1i128 << bits) - 1) }
    }
}

/// Maps a signed number so that the order of `u64` is its order.
pub(crate) const fn ordered(value: i64) -> u64 {
    (value as u64) ^ (1 << 63)
}

/// A condition on an integer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IntegerTest {
    /// It is one of these; signed ones are [`ordered`].
    In(RangeSet<u64>),
    /// Its bits under the mask are (or are not) these.
    Mask { mask: u64, value: u64, negated: bool },
}

impl IntegerTest {
    /// Does `value` fulfil it?
    pub(crate) fn holds(&self, value: u64) -> bool {
        match self {
            Self::In(set) => set.contains(value),
            Self::Mask { mask, value: wanted, negated } => (value & mask == *wanted) != *negated,
        }
    }
}

/// Parses a value or a list of values; a list holds when any item holds and no negated one is hit.
pub(crate) fn parse(word: Word<'_>, domain: Domain) -> Result<IntegerTest, Problem> {
    let mut sets = Vec::new();
    let items: Vec<_> = word.split(',').collect();
    for item in &items {
        match parse_item(*item, domain)? {
            (negated, IntegerTest::In(set)) => sets.push((negated, set)),
            (_, mask) if items.len() == 1 => return Ok(mask),
            _ => {
                return Err(Problem::new("invalid-value", say!("a bit mask stands alone, not in a list"), item.span()));
            }
        }
    }
    let set = RangeSet::list(sets);
    if set.intersection(&whole(domain)).is_empty() {
        return Err(Problem::new("never-matches", say!("no value fulfils `{}`", word.text), word.span()));
    }
    Ok(IntegerTest::In(set))
}

/// All values of the domain, as the ordered `u64`s of [`IntegerTest::In`].
fn whole(domain: Domain) -> RangeSet<u64> {
    let (low, high) = domain.bounds();
    RangeSet::new(vec![(to_u64(low, domain), to_u64(high, domain))])
}

fn to_u64(value: i128, domain: Domain) -> u64 {
    if domain.signed { ordered(value as i64) } else { value as u64 }
}

/// A parsed but not yet resolved item.
enum Item<'a> {
    Compare(&'a str, &'a str),
    Between(&'a str, &'a str),
    Mask(&'a str, bool, &'a str),
}

/// A number or a name. A leading minus belongs to the number.
fn value(input: &str) -> IResult<&str, &str> {
    let symbol = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    alt((
        recognize((opt(tag("-")), nom::character::complete::digit1, take_while(symbol))),
        recognize(pair(take_while1(|c: char| c.is_ascii_alphabetic() || c == '_'), take_while(symbol))),
    ))
    .parse(input)
}

fn item(input: &str) -> IResult<&str, Item<'_>> {
    let blank = |input| take_while::<_, &str, nom::error::Error<&str>>(|c: char| c == ' ' || c == '\t').parse(input);
    let spaced = |input| preceded(blank, value).parse(input);
    let mask = (tag("&"), spaced, blank, alt((tag("!="), tag("="))), spaced)
        .map(|(_, mask, _, operator, value)| Item::Mask(mask, operator == "!=", value));
    let between = (spaced, blank, alt((tag("<>"), tag("-"))), spaced).map(|(low, _, _, high)| Item::Between(low, high));
    let compare = (alt((tag(">="), tag("<="), tag(">"), tag("<"), tag("="), tag(""))), spaced)
        .map(|(operator, value)| Item::Compare(operator, value));
    alt((mask, between, compare)).parse(input)
}

/// One item; the flag says that it is negated.
fn parse_item(word: Word<'_>, domain: Domain) -> Result<(bool, IntegerTest), Problem> {
    let (negated, word) = match word.text.strip_prefix('!') {
        Some(inner) => (true, word.part(inner).trim()),
        None => (false, word),
    };
    // A name may have a hyphen, which otherwise stands between the ends of a range.
    let bare = word.part(word.text.trim_start_matches('=')).trim();
    if let Ok(value) = name(bare, domain) {
        return Ok((negated, IntegerTest::In(RangeSet::one(to_u64(value, domain)))));
    }
    let wrong = |span| {
        Problem::new("invalid-value", say!("`{}` is not an integer condition", word.text), span)
            .help(say!("expected n, !n, >n, >=n, <n, <=n, low-high, &mask=value, or a name"))
    };
    let (left, item) = item(word.text).map_err(|_| wrong(word.span()))?;
    let (_, left) = rest::<_, nom::error::Error<&str>>(left).map_err(|_| wrong(word.span()))?;
    if !left.trim().is_empty() {
        return Err(wrong(word.part(left).span()));
    }
    let number = |text| resolve(word.part(text), domain);
    let (low, high) = domain.bounds();
    let range = |from: i128, to: i128| {
        let ranges =
            if from > to { vec![] } else { vec![(to_u64(from.max(low), domain), to_u64(to.min(high), domain))] };
        IntegerTest::In(RangeSet::new(ranges))
    };
    let test = match item {
        Item::Mask(mask, different, value) => {
            let (mask, value) = (number(mask)? as u64, number(value)? as u64);
            if value & !mask != 0 {
                return Err(Problem::new(
                    "never-matches",
                    say!("the value has bits that the mask has not"),
                    word.span(),
                ));
            }
            return Ok((false, IntegerTest::Mask { mask, value, negated: different != negated }));
        }
        Item::Between(first, last) => {
            let (first_value, last_value) = (number(first)?, number(last)?);
            if last_value - first_value < 2 {
                return Err(Problem::new(
                    "never-matches",
                    say!("nothing lies between {} and {}: ranges are exclusive", first, last),
                    word.span(),
                ));
            }
            range(first_value + 1, last_value - 1)
        }
        Item::Compare(operator, value) => {
            let value = number(value)?;
            match operator {
                ">" => range(value + 1, high),
                ">=" => range(value, high),
                "<" => range(low, value - 1),
                "<=" => range(low, value),
                _ => range(value, value),
            }
        }
    };
    Ok((negated, test))
}

/// A number in decimal or hexadecimal, with a unit, or a name of the enumeration.
fn resolve(word: Word<'_>, domain: Domain) -> Result<i128, Problem> {
    let number = match parse_number(word.text) {
        Some(number) => number,
        None if word.text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            return Err(Problem::new("invalid-value", say!("`{}` is not a number", word.text), word.span()));
        }
        None => return name(word, domain),
    };
    let (low, high) = domain.bounds();
    if number < low || number > high {
        return Err(Problem::new("value-out-of-range", say!("{} is out of range", word.text), word.span()).help(say!(
            "expected {} to {}",
            low,
            high
        )));
    }
    Ok(number)
}

fn name(word: Word<'_>, domain: Domain) -> Result<i128, Problem> {
    if let Some(entry) = domain.names.iter().find(|entry| entry.1.eq_ignore_ascii_case(word.text)) {
        return Ok(entry.0.into());
    }
    let problem = Problem::new("unknown-value", say!("`{}` is not a value of this field", word.text), word.span());
    if domain.names.is_empty() {
        return Err(problem.help(say!("expected a number")));
    }
    let near = nearest(word.text, domain.names.iter().map(|entry| entry.1));
    Err(problem.help(match near {
        Some(near) => say!("did you mean `{}`?", near),
        None => {
            let some: Vec<_> = domain.names.iter().take(6).map(|entry| entry.1).collect();
            say!("expected a number or a name: {}, ...", some.join(", "))
        }
    }))
}

/// A number: decimal, `0x` hexadecimal, with `kb`, `mb` or `gb` (powers of 1024).
pub(crate) fn parse_number(text: &str) -> Option<i128> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let number = if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        u64::from_str_radix(digits, 16).ok()?.into()
    } else {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match text[digits.len()..].to_ascii_lowercase().as_str() {
            "" => 1,
            "kb" | "kib" => 1 << 10,
            "mb" | "mib" => 1 << 20,
            "gb" | "gib" => 1 << 30,
            _ => return None,
        };
        i128::from(digits.parse::<u64>().ok()?) * factor
    };
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FUNCTIONS: Names =
        &[(1, "read_coils"), (9, "ipv6-icmp"), (5, "write_single_coil"), (15, "write_multiple_coils")];
    const BYTE: Domain = Domain { bits: 8, signed: false, names: FUNCTIONS };

    #[track_caller]
    fn check(text: &str, inside: &[u64], outside: &[u64]) {
        let test = parse(Word { text, start: 0 }, BYTE).unwrap_or_else(|p| panic!("{text}: {}", p.message));
        for &value in inside {
            assert!(test.holds(value), "{text} holds for {value}");
        }
        for &value in outside {
            assert!(!test.holds(value), "{text} does not hold for {value}");
        }
    }

    #[track_caller]
    fn refused(text: &str, code: &str) -> Problem {
        let problem = parse(Word { text, start: 0 }, BYTE).expect_err(text);
        assert_eq!(problem.code, code, "{text}");
        problem
    }

    #[test]
    fn suricatas_spellings_are_understood() {
        check("19", &[19], &[18, 20]);
        check("=0x13", &[19], &[18]);
        check("!20", &[19, 21], &[20]);
        check("!=20", &[19, 21], &[20]);
        check(">21", &[22, 255], &[21]);
        check("> 21", &[22], &[21]);
        check(">=21", &[21], &[20]);
        check("<22", &[0, 21], &[22]);
        check("<=22", &[22], &[23]);
        check("19-22", &[20, 21], &[19, 22]);
        check("19<>22", &[20, 21], &[19, 22]);
        check("!19-22", &[19, 22], &[20]);
        check("&0xc0=0x80", &[0x80, 0xbf], &[0xc0, 0]);
        check("&0xc0!=0", &[0x80], &[0x3f]);
        check("write_single_coil", &[5], &[1]);
        check("!Read_Coils", &[5], &[1]);
        check("5, 15", &[5, 15], &[6]);
        check("ipv6-icmp", &[9], &[1]);
        check("!ipv6-icmp", &[1], &[9]);
        check(">4,!write_single_coil", &[6], &[4, 5]);
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_hint() {
        assert_eq!(
            refused("256", "value-out-of-range").help.map(|help| help.to_string()).as_deref(),
            Some("expected 0 to 255")
        );
        assert_eq!(
            refused("write_singel_coil", "unknown-value").help.map(|help| help.to_string()).as_deref(),
            Some("did you mean `write_single_coil`?")
        );
        refused("5-6", "never-matches");
        refused(">255", "never-matches");
        refused("&0xc0=2", "never-matches");
        refused("", "invalid-value");
        refused("5 6", "invalid-value");
        refused("1,,2", "invalid-value");
        refused("12monkeys", "invalid-value");
    }

    #[test]
    fn signed_numbers_are_ordered_below_zero_too() {
        let domain = Domain { bits: 16, signed: true, names: &[] };
        let test = parse(Word { text: "<-5", start: 0 }, domain).expect("parses");
        assert!(test.holds(ordered(-6)) && !test.holds(ordered(-5)) && !test.holds(ordered(5)));
        assert!(parse(Word { text: "-32769", start: 0 }, domain).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[-!<>=&0-9a-fx, .]{0,12}") {
            let _ = parse(Word { text: &text, start: 0 }, BYTE);
        }
    }
}
