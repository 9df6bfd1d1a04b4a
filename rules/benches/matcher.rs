//! Which matcher finds the fast patterns of rules: the engine's sieve against automata, on the patterns of a real rule set and
//! real payloads.
//!
//! The patterns of each buffer are one set, as they are in a group of the engine at the most; and parts of those for payloads, as
//! large as the sets are that ports, protocol and addresses leave of them for a packet. All payloads of a capture are searched for
//! all of them in any letter case, and every matcher must find the same. Times are of the processor.
//!
//! Usage: cargo bench -p vigia-rules --bench matcher -- RULES CAPTURE [MEGABYTES]
// The crate does no I/O; its benches may.
#![allow(clippy::disallowed_methods, missing_docs)]

#[path = "../src/engine/sieve.rs"]
#[allow(dead_code, unreachable_pub)]
mod sieve;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use daachorse::DoubleArrayAhoCorasick;
use vigia_parsers::Timestamp;
use vigia_parsers::packet::{Captured, DecodeLimits, LinkType, decode};
use vigia_rules::{Engine, Source, Variables};

use sieve::{Found, Pool, Sieve, Wanted};

/// Sets of patterns that are measured, the largest first.
const SETS: usize = 7;
/// Patterns for payloads of which a part is measured: longer than a few bytes, which the sieve leaves to a vector search.
const LONG: usize = 6;
/// Sizes of these parts.
const PARTS: [usize; 4] = [4, 16, 64, 256];
/// Copies that are built to tell how much memory one takes.
const COPIES: usize = 4;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [rules, capture, rest @ ..] = arguments.as_slice() else {
        println!("skipped: usage: cargo bench -p vigia-rules --bench matcher -- RULES CAPTURE [MEGABYTES]");
        return;
    };
    let megabytes: usize = rest.first().and_then(|argument| argument.parse().ok()).unwrap_or(32);
    let payloads = payloads(Path::new(capture), megabytes << 20);
    let bytes: usize = payloads.iter().map(Vec::len).sum();
    println!("{} payloads, {bytes} bytes of {capture}", payloads.len());
    println!("{:<34}{:<24}{:>10}{:>10}{:>12}{:>10}", "patterns", "matcher", "build ms", "MB", "ns a KB", "found");
    let sets = sets(Path::new(rules));
    let parts: Vec<_> = sets.iter().filter(|set| set.0 == "payload").flat_map(|set| parts(&set.1)).collect();
    for (name, patterns) in parts.into_iter().chain(sets.into_iter().take(SETS)) {
        let name = format!("{} of {name}", patterns.len());
        measure(&name, "sieve", &payloads, || sieve(&patterns));
        measure(&name, "aho-corasick, NFA", &payloads, || automaton(&patterns, AhoCorasickKind::ContiguousNFA));
        measure(&name, "aho-corasick, DFA", &payloads, || automaton(&patterns, AhoCorasickKind::DFA));
        measure(&name, "daachorse", &payloads, || daachorse(&patterns));
    }
}

/// Counts the patterns that occur in a payload, each once.
type Search = Box<dyn FnMut(&[u8]) -> usize>;

fn sieve(patterns: &[Vec<u8>]) -> Search {
    let mut pool = Pool::default();
    let wanted: Vec<Wanted> = patterns
        .iter()
        .map(|pattern| Wanted { pattern: pool.push(pattern), reach: usize::MAX, at_end: false, first: None })
        .collect();
    let sieve = Sieve::new(&pool, &wanted);
    let mut found = Found::default();
    Box::new(move |payload| {
        found.begin(&pool);
        sieve.search(&pool, payload, &mut found);
        found.patterns().len()
    })
}

/// Notes which patterns were met, each once a search.
struct Met {
    last: Vec<u32>,
    search: u32,
}

impl Met {
    fn new(patterns: usize) -> Self {
        Self { last: vec![0; patterns], search: 0 }
    }

    fn count(&mut self, patterns: impl Iterator<Item = usize>) -> usize {
        self.search += 1;
        patterns.filter(|&pattern| std::mem::replace(&mut self.last[pattern], self.search) != self.search).count()
    }
}

fn automaton(patterns: &[Vec<u8>], kind: AhoCorasickKind) -> Search {
    let built = AhoCorasick::builder().kind(Some(kind)).ascii_case_insensitive(true).build(patterns);
    let automaton = built.expect("an automaton");
    let mut met = Met::new(patterns.len());
    Box::new(move |payload| met.count(automaton.find_overlapping_iter(payload).map(|found| found.pattern().as_usize())))
}

/// It knows no letter case, so payloads are put into lower case first.
fn daachorse(patterns: &[Vec<u8>]) -> Search {
    let automaton: DoubleArrayAhoCorasick<u32> = DoubleArrayAhoCorasick::new(patterns).expect("an automaton");
    let mut met = Met::new(patterns.len());
    let mut lower = Vec::new();
    Box::new(move |payload| {
        lower.clear();
        lower.extend(payload.iter().map(u8::to_ascii_lowercase));
        met.count(automaton.find_overlapping_iter(&lower).map(|found| found.value() as usize))
    })
}

fn measure(set: &str, matcher: &str, payloads: &[Vec<u8>], build: impl Fn() -> Search) {
    let before = (processor_time(), resident());
    let mut copies: Vec<Search> = (0..COPIES).map(|_| build()).collect();
    let built = (processor_time() - before.0) / COPIES as f64;
    let memory = (resident() - before.1) / COPIES as f64;
    let mut search = copies.pop().expect("a copy");
    let before = processor_time();
    let found: usize = payloads.iter().map(|payload| search(payload)).sum();
    let time = processor_time() - before;
    let bytes: usize = payloads.iter().map(Vec::len).sum();
    println!(
        "{set:<34}{matcher:<24}{:>10.1}{:>10.1}{:>12.0}{found:>10}",
        1e3 * built,
        memory / 1e6,
        1e9 * time / (bytes as f64 / 1024.0)
    );
}

/// The fast patterns of all rules in lower case, by the buffer in which they are looked for.
fn sets(rules: &Path) -> Vec<(String, Vec<Vec<u8>>)> {
    let mut files: Vec<_> = std::fs::read_dir(rules).expect("a folder").flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rules"));
    files.sort();
    let sources: Vec<Source> = files
        .iter()
        .map(|file| Source {
            name: file.to_string_lossy().into(),
            text: String::from_utf8_lossy(&std::fs::read(file).expect("a file")).into_owned().into(),
        })
        .collect();
    let engine = Engine::compile_whole(&sources, &Variables::standard()).engine;
    let mut sets: BTreeMap<String, HashSet<Vec<u8>>> = BTreeMap::new();
    for (buffer, pattern) in engine.fast_patterns() {
        sets.entry(buffer).or_default().insert(pattern.to_ascii_lowercase());
    }
    let sorted = |set: HashSet<Vec<u8>>| {
        let mut patterns: Vec<_> = set.into_iter().collect();
        patterns.sort();
        patterns
    };
    let mut sets: Vec<_> = sets.into_iter().map(|(buffer, set)| (buffer, sorted(set))).collect();
    sets.sort_by_key(|(_, patterns)| std::cmp::Reverse(patterns.len()));
    sets
}

/// Parts of these patterns, each spread over all of them.
fn parts(patterns: &[Vec<u8>]) -> impl Iterator<Item = (String, Vec<Vec<u8>>)> {
    let long: Vec<_> = patterns.iter().filter(|pattern| pattern.len() >= LONG).cloned().collect();
    PARTS.into_iter().map(move |size| {
        ("payload, a part".to_owned(), long.iter().step_by((long.len() / size).max(1)).take(size).cloned().collect())
    })
}

/// Payloads of a capture (pcap, little endian, Ethernet), up to so many bytes.
fn payloads(capture: &Path, most: usize) -> Vec<Vec<u8>> {
    let file = std::fs::read(capture).expect("a capture");
    let mut rest = file.get(24..).unwrap_or_default();
    let (mut payloads, mut bytes) = (Vec::new(), 0);
    while let (Some(header), true) = (rest.first_chunk::<16>(), bytes < most) {
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        let Some(frame) = rest.get(16..16 + length as usize) else { break };
        let captured = Captured {
            number: 0,
            timestamp: Timestamp::default(),
            link: LinkType::Ethernet,
            wire_length: length,
            frame,
            stripped_vlan: None,
        };
        let packet = decode(&captured, &DecodeLimits::default());
        if !packet.payload().is_empty() {
            bytes += packet.payload().len();
            payloads.push(packet.payload().to_vec());
        }
        rest = &rest[16 + length as usize..];
    }
    payloads
}

/// Processor time of this process, in seconds.
fn processor_time() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}

/// Resident memory of this process, in bytes.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|number| number.parse::<f64>().ok()).unwrap_or(f64::NAN) * 4096.0
}
