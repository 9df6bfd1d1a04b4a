//! What rules look addresses up in: files beside them, reputation, countries. Whoever compiles rules hands it over.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::syntax::{Word, statements};
use super::{Diagnostic, Problem, Severity, Source};
use crate::language::said::{Said, say};

/// Gives the content of a file by name, or says why not.
type Reader = dyn Fn(&str) -> Result<Vec<u8>, String> + Send + Sync;

/// Gives the content of a file by name, if it is there, or says why not.
type SavedReader = dyn Fn(&str) -> Result<Option<Vec<u8>>, String> + Send + Sync;

/// The files that rules may name (`dataset: ..., load FILE`), and those in which their sets were saved.
#[derive(Clone)]
pub struct Library {
    files: Arc<Reader>,
    saved: Arc<SavedReader>,
}

impl Library {
    /// A library that reads with `read`.
    pub fn new(read: impl Fn(&str) -> Result<Vec<u8>, String> + Send + Sync + 'static) -> Self {
        Self { files: Arc::new(read), saved: Arc::new(|_| Ok(None)) }
    }

    /// With sets that were saved, which are read with `read`.
    pub fn with_saved(self, read: impl Fn(&str) -> Result<Option<Vec<u8>>, String> + Send + Sync + 'static) -> Self {
        Self { saved: Arc::new(read), ..self }
    }

    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        (self.files)(name)
    }

    pub(crate) fn read_saved(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        (self.saved)(name)
    }
}

/// Has no files.
impl Default for Library {
    fn default() -> Self {
        Self::new(|_| Err("there are no files here".to_owned()))
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Library")
    }
}

/// Reputation of addresses by category: `iprep`.
#[derive(Debug, Clone, Default)]
pub struct Reputation {
    categories: BTreeMap<String, u8>,
    /// By category, prefix length and network, as IPv6 (IPv4 mapped).
    scores: HashMap<(u8, u8, u128), u8>,
    /// Prefix lengths of each category, longest first.
    lengths: HashMap<u8, Vec<u8>>,
}

impl Reputation {
    /// Adds the categories of a file: lines `number,short name,description`.
    pub fn read_categories(&mut self, source: &Source) -> Vec<Diagnostic> {
        each_line(source, &say!("expected `number,short name,description`, the number from 1 to 59"), |word| {
            let mut parts = word.text.splitn(3, ',').map(str::trim);
            let number = parts.next()?.parse().ok().filter(|number| (1..60).contains(number))?;
            self.categories.insert(parts.next().filter(|name| !name.is_empty())?.to_owned(), number);
            Some(())
        })
    }

    /// Adds the addresses of a file: lines `address or network,category number,score`, scores from 1 to 127.
    pub fn read_scores(&mut self, source: &Source) -> Vec<Diagnostic> {
        each_line(source, &say!("expected `address or network,category number,score`"), |word| {
            let mut parts = word.text.split(',').map(str::trim);
            let (network, category, score) = (parts.next()?, parts.next()?, parts.next()?);
            let (address, length) = match network.split_once('/') {
                Some((address, length)) => (address.parse::<IpAddr>().ok()?, Some(length.parse::<u8>().ok()?)),
                None => (network.parse().ok()?, None),
            };
            let width = if address.is_ipv4() { 32 } else { 128 };
            let length = length.unwrap_or(width);
            let length = (length <= width).then_some(128 - width + length)?;
            let category = category.parse().ok().filter(|category| (1..60).contains(category))?;
            let score = score.parse().ok().filter(|score| *score <= 127)?;
            self.scores.insert((category, length, masked(address, length)), score);
            let lengths = self.lengths.entry(category).or_default();
            if !lengths.contains(&length) {
                lengths.push(length);
                lengths.sort_unstable_by(|a, b| b.cmp(a));
            }
            Some(())
        })
    }

    pub(crate) fn category(&self, name: &str) -> Option<u8> {
        self.categories.get(name).copied()
    }

    pub(crate) fn categories(&self) -> impl Iterator<Item = &str> {
        self.categories.keys().map(String::as_str)
    }

    /// The score of an address in a category: that of the smallest network which has one.
    pub(crate) fn score(&self, address: IpAddr, category: u8) -> Option<u8> {
        let lengths = self.lengths.get(&category)?;
        lengths.iter().find_map(|&length| self.scores.get(&(category, length, masked(address, length))).copied())
    }
}

/// The first `length` bits of an address as IPv6.
fn masked(address: IpAddr, length: u8) -> u128 {
    let bits = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    };
    bits & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

fn each_line(source: &Source, expected: &Said, mut read: impl FnMut(Word<'_>) -> Option<()>) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for statement in statements(&source.text) {
        let word = Word { text: statement.text, start: statement.start };
        if read(word).is_none() {
            let problem = Problem::new("invalid-reputation", say!("this is not a line of reputation"), word.span());
            diagnostics.push(problem.help(expected.clone()).diagnostic(Severity::Error, source));
        }
    }
    diagnostics
}

/// Countries of addresses, from a database in MaxMind's format: `geoip`.
pub struct Countries(maxminddb::Reader<Vec<u8>>);

impl Countries {
    /// From the content of a database file.
    ///
    /// # Errors
    /// When it is not such a database.
    pub fn new(database: Vec<u8>) -> Result<Self, String> {
        maxminddb::Reader::from_source(database).map(Self).map_err(|error| error.to_string())
    }

    /// ISO 3166 code of the country that an address is in.
    pub(crate) fn code(&self, address: IpAddr) -> Option<[u8; 2]> {
        let found = self.0.lookup(address).ok()?;
        let code: &str = found.decode_path(&maxminddb::path!["country", "iso_code"]).ok()??;
        code.as_bytes().try_into().ok()
    }
}

impl fmt::Debug for Countries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Countries")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { name: "reputation.list".into(), text: text.into() }
    }

    #[test]
    fn the_smallest_network_says_the_score() {
        let mut list = Reputation::default();
        assert!(list.read_categories(&source("1,BadHosts,Known bad hosts\n# c\n2,CnC,Command, control\n")).is_empty());
        let found = list.read_scores(&source("10.0.0.0/8,1,20\n10.1.2.3,1,100\n2001:db8::/32,2,7\n10.0.0.1,1\n"));
        assert_eq!((found.len(), found[0].position()), (1, (4, 1)));
        let score = |address: &str, category| list.score(address.parse().expect("address"), category);
        assert_eq!((score("10.9.9.9", 1), score("10.1.2.3", 1), score("11.0.0.1", 1)), (Some(20), Some(100), None));
        assert_eq!((score("2001:db8::5", 2), score("10.9.9.9", 2)), (Some(7), None));
        assert_eq!((list.category("CnC"), list.category("Cnc")), (Some(2), None));
    }

    #[test]
    fn what_is_no_database_is_refused() {
        assert!(Countries::new(b"nonsense".to_vec()).is_err());
    }
}
