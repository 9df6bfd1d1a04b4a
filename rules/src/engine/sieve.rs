//! Which of many byte patterns occur in a buffer, ASCII case ignored.
//!
//! From each pattern a few overlapping *grams* (one to three bytes) are taken, as many as the stride with which a buffer
//! is walked: wherever the pattern stands, one of them is met. A filter of single bits says of nearly every place that
//! nothing begins there; only where it does not, the patterns with that gram are compared. Three quarters of the bytes of
//! a buffer are so never looked at alone, whatever the number of patterns, and building takes no more than a sort.
//!
//! That is at its best with patterns of six bytes and more. Shorter ones are looked for with vector instructions (the *Teddy*
//! algorithm of `aho-corasick`), and so are the longer ones when all are few enough. What can only be in a buffer that begins with
//! a certain byte is looked for in no other.

use std::collections::{BTreeMap, HashMap};

use aho_corasick::Span;
use aho_corasick::packed::{Config, MatchKind, Searcher};
use memchr::memmem;

/// Patterns shared by the sieves of a group, in lower case.
#[derive(Default)]
pub(super) struct Pool {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Pool {
    /// Adds a pattern and gives its number.
    pub(super) fn push(&mut self, pattern: &[u8]) -> u32 {
        self.bytes.extend(pattern.iter().map(u8::to_ascii_lowercase));
        self.ends.push(self.bytes.len() as u32);
        self.ends.len() as u32 - 1
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    #[inline]
    pub(super) fn get(&self, pattern: u32) -> &[u8] {
        let at = pattern as usize;
        let from = at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |&end| end as usize);
        let to = self.ends.get(at).map_or(from, |&end| end as usize);
        self.bytes.get(from..to).unwrap_or_default()
    }

    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

/// A pattern that a sieve is to find, and how far into a buffer it may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    pub(super) pattern: u32,
    pub(super) reach: usize,
    /// It can only be the end of a buffer.
    pub(super) at_end: bool,
    /// Only in buffers that begin with this byte, which is in lower case.
    pub(super) first: Option<u8>,
}

/// A set of patterns ready to be searched for.
pub(super) struct Sieve {
    ends: Option<Ends>,
    anywhere: Searches,
    /// Those of which nothing needs to be looked for in a buffer that does not begin as their rules want it to.
    begun: Option<Box<Begun>>,
}

/// Patterns that are looked for only in buffers that begin with certain bytes.
struct Begun {
    firsts: Firsts,
    searches: Searches,
}

/// Bytes that a buffer may begin with, in either letter case: a bit for each.
#[derive(Default)]
struct Firsts([u64; 4]);

/// Walks over a buffer.
struct Searches {
    few: Box<[Few]>,
    /// First those for beginnings.
    lanes: Box<[Lane]>,
    heads: usize,
    /// What the beginnings begin with.
    firsts: Firsts,
}

/// Patterns that may end no further than this are searched apart: the rest of a buffer need not be walked for them.
const NEAR: usize = 64;
/// Of four bytes those that tell beginnings apart.
const HEAD: u32 = 0x00ff_ffff;
/// Patterns with the same beginning that are looked for by it.
const ALIKE: usize = 4;
/// Patterns of this length can be found with the longest grams at the widest stride.
const LONG: usize = 6;

/// Is it the same byte all over? Padding would be full of it.
fn uniform(pattern: &[u8]) -> bool {
    pattern.iter().all(|byte| pattern.first() == Some(byte))
}

impl Sieve {
    pub(super) fn new(pool: &Pool, wanted: &[Wanted]) -> Self {
        let (ends, wanted): (Vec<_>, Vec<_>) = wanted.iter().partition(|it| it.at_end);
        let ends = (!ends.is_empty()).then(|| Ends::new(pool, &ends));
        // What lies near the beginning is found by a glance or two, wherever it is.
        let begun = |it: &Wanted| it.first.is_some() && it.reach > NEAR;
        let (begun, anywhere): (Vec<_>, Vec<_>) = wanted.into_iter().partition(begun);
        let begun = (!begun.is_empty()).then(|| Box::new(Begun::new(pool, &begun)));
        Self { ends, anywhere: Searches::new(pool, &anywhere), begun }
    }

    /// Notes each pattern that occurs in `buffer`.
    pub(super) fn search(&self, pool: &Pool, buffer: &[u8], found: &mut Found) {
        if let Some(ends) = &self.ends {
            ends.search(pool, buffer, found);
        }
        self.anywhere.search(pool, buffer, found);
        if let Some(begun) = self.begun.as_deref().filter(|begun| begun.firsts.admit(buffer)) {
            begun.searches.search(pool, buffer, found);
        }
    }
}

impl Begun {
    fn new(pool: &Pool, wanted: &[Wanted]) -> Self {
        Self { firsts: wanted.iter().filter_map(|it| it.first).collect(), searches: Searches::new(pool, wanted) }
    }
}

impl FromIterator<u8> for Firsts {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        let mut firsts = Self::default();
        for byte in bytes.into_iter().flat_map(|byte| [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()]) {
            firsts.0[usize::from(byte / 64)] |= 1 << (byte % 64);
        }
        firsts
    }
}

impl Firsts {
    #[inline]
    fn admit(&self, buffer: &[u8]) -> bool {
        buffer.first().is_some_and(|&byte| self.0[usize::from(byte / 64)] >> (byte % 64) & 1 != 0)
    }
}

impl Searches {
    fn new(pool: &Pool, wanted: &[Wanted]) -> Self {
        let far = |it: &Wanted| it.reach > NEAR && !uniform(pool.get(it.pattern));
        let short = |it: &Wanted| far(it) && pool.get(it.pattern).len() < LONG;
        // All if they are few enough, else the short ones, else none.
        let few = |chosen: &dyn Fn(&Wanted) -> bool, most: usize| {
            let (chosen, others): (Vec<_>, Vec<_>) = wanted.iter().copied().partition(chosen);
            Some((Few::searches(pool, &chosen, most)?, others))
        };
        let few = few(&far, SEARCHES).or_else(|| few(&short, SHORT_SEARCHES));
        let (few, mut wanted) = few.unwrap_or_else(|| (Box::default(), wanted.to_vec()));
        // Beginnings that many have in common tell little; those patterns are found by a part that is rarer.
        let head = |it: &Wanted| load(pool.get(it.pattern), 0) & HEAD;
        let mut heads: HashMap<u32, usize> = HashMap::new();
        wanted.iter().for_each(|it| *heads.entry(head(it)).or_default() += 1);
        let kind = |it: &Wanted| {
            let length = pool.get(it.pattern).len();
            let rare = || heads.get(&head(it)).is_some_and(|&count| count <= ALIKE);
            match it.reach {
                reach if reach <= length && rare() => (Part::Head, (length.clamp(1, 3), 1)),
                reach if reach <= NEAR => (Part::Near, geometry(length, false)),
                _ => (Part::Far, geometry(length, true)),
            }
        };
        wanted.sort_by_key(kind);
        let lanes = wanted.chunk_by(|a, b| kind(a) == kind(b)).map(|same| Lane::new(pool, kind(&same[0]), same));
        let lanes: Box<[Lane]> = lanes.collect();
        let heads = lanes.iter().take_while(|lane| lane.part == Part::Head).count();
        let begin = wanted.iter().filter(|it| kind(it).0 == Part::Head);
        let firsts = begin.filter_map(|it| pool.get(it.pattern).first().copied()).collect();
        Self { few, lanes, heads, firsts }
    }

    fn search(&self, pool: &Pool, buffer: &[u8], found: &mut Found) {
        for few in &self.few {
            few.search(pool, buffer.get(..few.reach).unwrap_or(buffer), found);
        }
        let passed = if self.firsts.admit(buffer) { 0 } else { self.heads };
        for lane in self.lanes.iter().skip(passed) {
            lane.search(pool, buffer, found);
        }
    }
}

/// The patterns that one search found, each once.
#[derive(Debug, Default)]
pub(super) struct Found {
    patterns: Vec<u32>,
    /// By pattern: the last search that found it.
    last: Vec<u32>,
    search: u32,
}

impl Found {
    /// Begins a search for patterns of `pool`.
    pub(super) fn begin(&mut self, pool: &Pool) {
        self.patterns.clear();
        if self.last.len() < pool.len() {
            self.last.resize(pool.len(), 0);
        }
        self.search = self.search.checked_add(1).unwrap_or_else(|| {
            self.last.fill(0);
            1
        });
    }

    pub(super) fn patterns(&self) -> &[u32] {
        &self.patterns
    }

    fn has(&self, pattern: u32) -> bool {
        self.last.get(pattern as usize) == Some(&self.search)
    }

    fn add(&mut self, pattern: u32) {
        if let Some(last) = self.last.get_mut(pattern as usize) {
            *last = self.search;
            self.patterns.push(pattern);
        }
    }
}

/// A few patterns, found by a piece of each.
struct Few {
    /// Bytes of a buffer that need to be searched.
    reach: usize,
    searcher: Pieces,
    /// By piece: the patterns that have it, and where.
    origins: Box<[Box<[Origin]>]>,
}

/// What looks for pieces: the vector search of one is faster than that of several.
enum Pieces {
    One(memmem::Finder<'static>),
    Several(Searcher),
}

impl Pieces {
    fn new<'p>(pieces: impl ExactSizeIterator<Item = &'p Vec<u8>> + Clone) -> Option<Self> {
        if let (1, Some(piece)) = (pieces.len(), pieces.clone().next()) {
            return Some(Self::One(memmem::Finder::new(piece).into_owned()));
        }
        let mut builder = Config::new().match_kind(MatchKind::LeftmostLongest).builder();
        builder.extend(pieces).build().map(Self::Several)
    }

    /// The first piece from `start` on: its number, and where it begins.
    #[inline]
    fn find(&self, buffer: &[u8], start: usize) -> Option<(usize, usize)> {
        match self {
            Self::One(finder) => finder.find(buffer.get(start..)?).map(|at| (0, start + at)),
            Self::Several(searcher) => {
                let found = searcher.find_in(buffer, Span { start, end: buffer.len() })?;
                Some((found.pattern().as_usize(), found.start()))
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Origin {
    pattern: u32,
    offset: u32,
}

/// By piece: the patterns that have it, and where.
type Origins = BTreeMap<Vec<u8>, Vec<Origin>>;

/// Pieces that the vector search takes without many places that look like one.
const PIECES: usize = 32;
/// Vector searches for all that may lie anywhere: with more, places that look like a piece are too many, and a buffer is
/// sooner walked in wide steps.
const SEARCHES: usize = 1;
/// Vector searches for the short ones alone, for which a buffer would be walked in small steps.
const SHORT_SEARCHES: usize = 4;
/// Bytes of a piece.
const PIECE: usize = 3;

impl Few {
    /// The searches for all of these; none when it would be more than `most`, or the processor lacks the instructions.
    fn searches(pool: &Pool, wanted: &[Wanted], most: usize) -> Option<Box<[Self]>> {
        // The shortest piece decides how much a place must look like one: those of less than a full piece go apart.
        let (full, shorter): (Vec<&Wanted>, Vec<&Wanted>) =
            wanted.iter().partition(|it| pool.get(it.pattern).len() >= PIECE);
        let mut searches: Vec<(Origins, usize)> = Vec::new();
        for some in [full, shorter] {
            let (mut pieces, mut reach) = (Origins::new(), 0);
            for it in some {
                let (offset, piece) = piece(pool.get(it.pattern))?;
                let variants = variants(piece);
                let fresh = variants.iter().filter(|&it| !pieces.contains_key(it)).count();
                if pieces.len() + fresh > PIECES {
                    searches.push((std::mem::take(&mut pieces), std::mem::take(&mut reach)));
                }
                reach = reach.max(it.reach);
                if searches.len() >= most {
                    return None;
                }
                for variant in variants {
                    pieces.entry(variant).or_default().push(Origin { pattern: it.pattern, offset });
                }
            }
            searches.extend(Some((pieces, reach)).filter(|(pieces, _)| !pieces.is_empty()));
        }
        (searches.len() <= most)
            .then(|| searches.into_iter().map(|(pieces, reach)| Self::new(pieces, reach)).collect())?
    }

    /// None where the processor lacks the instructions.
    fn new(pieces: Origins, reach: usize) -> Option<Self> {
        // The search tells of the longest piece at a place only: it speaks for those that it begins with.
        let of =
            |piece: &[u8]| (1..=piece.len()).filter_map(|end| pieces.get(&piece[..end])).flatten().copied().collect();
        let origins = pieces.keys().map(|piece| of(piece)).collect();
        Some(Self { reach, searcher: Pieces::new(pieces.keys())?, origins })
    }

    fn search(&self, pool: &Pool, buffer: &[u8], found: &mut Found) {
        let mut start = 0;
        while let Some((piece, at)) = self.searcher.find(buffer, start) {
            for origin in self.origins.get(piece).into_iter().flatten() {
                if !found.has(origin.pattern) && stands(pool.get(origin.pattern), buffer, at, origin.offset) {
                    found.add(origin.pattern);
                }
            }
            start = at + 1;
        }
    }
}

/// The part of a pattern that is looked for, and where it begins: rare, and with few letters, each of which has two spellings.
fn piece(pattern: &[u8]) -> Option<(u32, &[u8])> {
    let letters = |piece: &[u8]| piece.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let cost = |piece: &[u8]| (letters(piece), piece.iter().map(|&byte| commonness(byte)).sum::<u32>());
    let windows = pattern.windows(PIECE.min(pattern.len())).enumerate().filter(|(_, piece)| !uniform(piece));
    windows.min_by_key(|(_, piece)| cost(piece)).map(|(at, piece)| (at as u32, piece))
}

/// All spellings of a piece.
fn variants(piece: &[u8]) -> Vec<Vec<u8>> {
    piece.iter().fold(vec![Vec::new()], |begun, byte| {
        let mut cases = vec![byte.to_ascii_lowercase(), byte.to_ascii_uppercase()];
        cases.dedup();
        begun.iter().flat_map(|begun| cases.iter().map(|&byte| [&begun[..], &[byte]].concat())).collect()
    })
}

/// Does the pattern stand in the buffer so that its byte at `offset` is at `at`?
fn stands(pattern: &[u8], buffer: &[u8], at: usize, offset: u32) -> bool {
    let place = at.checked_sub(offset as usize).and_then(|start| buffer.get(start..start + pattern.len()));
    place.is_some_and(|place| place.eq_ignore_ascii_case(pattern))
}

/// Patterns that can only be the end of a buffer, as names of domains are in rules: whether one is, a hash of each end of the
/// buffer tells, made from the last byte on, whatever their number.
struct Ends {
    longest: usize,
    filter: Filter,
    /// Ascending; with the pattern's number.
    hashes: Box<[(u32, u32)]>,
}

impl Ends {
    fn new(pool: &Pool, wanted: &[Wanted]) -> Self {
        let hash = |it: &Wanted| (pool.get(it.pattern).iter().rev().fold(0, prepend), it.pattern);
        let mut hashes: Vec<(u32, u32)> = wanted.iter().map(hash).collect();
        hashes.sort_unstable();
        Self {
            longest: wanted.iter().map(|it| pool.get(it.pattern).len()).max().unwrap_or(0),
            filter: Filter::new(hashes.iter().map(|it| it.0)),
            hashes: hashes.into(),
        }
    }

    fn search(&self, pool: &Pool, buffer: &[u8], found: &mut Found) {
        match &self.filter {
            Filter::Small(filter) => self.search_with(&**filter, pool, buffer, found),
            Filter::Medium(filter) => self.search_with(&**filter, pool, buffer, found),
            Filter::Large(filter) => self.search_with(&**filter, pool, buffer, found),
        }
    }

    fn search_with(&self, filter: impl Passes, pool: &Pool, buffer: &[u8], found: &mut Found) {
        let mut hash = 0;
        for (length, byte) in (1..).zip(buffer.iter().rev().take(self.longest)) {
            hash = prepend(hash, byte);
            if filter.passes(hash) {
                self.compare(pool, buffer.get(buffer.len() - length..).unwrap_or_default(), hash, found);
            }
        }
    }

    /// Notes the patterns that are this end of the buffer, with this hash.
    #[inline(never)]
    fn compare(&self, pool: &Pool, end: &[u8], hash: u32, found: &mut Found) {
        let from = self.hashes.partition_point(|it| it.0 < hash);
        for &(_, pattern) in self.hashes.iter().skip(from).take_while(|it| it.0 == hash) {
            if !found.has(pattern) && pool.get(pattern).eq_ignore_ascii_case(end) {
                found.add(pattern);
            }
        }
    }
}

/// The hash of a text with one byte more before it, in either letter case.
#[inline(always)]
fn prepend(hash: u32, byte: &u8) -> u32 {
    (hash.rotate_left(5) ^ u32::from(byte | 0x20)).wrapping_mul(0x9e37_79b1)
}

/// The part of a buffer in which patterns are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// They can only be its beginning.
    Head,
    /// They lie in its first bytes.
    Near,
    /// They may lie anywhere.
    Far,
}

/// Patterns found by grams of one width at one stride.
struct Lane {
    part: Part,
    /// Bytes of a buffer that need to be walked.
    reach: usize,
    width: usize,
    stride: usize,
    /// What of four bytes is a gram.
    mask: u32,
    /// Makes a gram's hash of the four bytes that it is among.
    factor: u32,
    /// A bit for each value of a gram's hash.
    filter: Filter,
    /// First entry of each value of the hash's upper bits.
    buckets: Box<[u32]>,
    bucket_shift: u32,
    entries: Box<[Entry]>,
}

/// A bit for each value of a hash. The sizes are constants, so that no access needs to be checked.
enum Filter {
    Small(Box<[u64; 1 << 6]>),
    Medium(Box<[u64; 1 << 9]>),
    Large(Box<[u64; 1 << 12]>),
}

/// Which hashes may be those of an entry.
trait Passes: Copy {
    fn passes(self, hash: u32) -> bool;
}

impl<const WORDS: usize> Passes for &[u64; WORDS] {
    #[inline(always)]
    fn passes(self, hash: u32) -> bool {
        let bit = hash as usize >> (26 - WORDS.trailing_zeros());
        self[bit / 64 % WORDS] >> (bit % 64) & 1 != 0
    }
}

impl Filter {
    /// With a bit set for each hash; at least some dozens of bits for each.
    fn new(hashes: impl ExactSizeIterator<Item = u32>) -> Self {
        fn filled<const WORDS: usize>(hashes: impl Iterator<Item = u32>) -> Box<[u64; WORDS]> {
            let mut words = Box::new([0; WORDS]);
            for hash in hashes {
                let bit = hash as usize >> (26 - WORDS.trailing_zeros());
                words[bit / 64] |= 1 << (bit % 64);
            }
            words
        }
        match hashes.len() {
            0..64 => Self::Small(filled(hashes)),
            64..1024 => Self::Medium(filled(hashes)),
            _ => Self::Large(filled(hashes)),
        }
    }
}

/// A gram of a pattern.
#[derive(Clone, Copy)]
struct Entry {
    gram: u32,
    /// Where in the pattern it begins.
    offset: u32,
    pattern: u32,
}

/// Bits that letters of both cases have in common, and some other characters: what is compared first.
const FOLD: u32 = 0x2020_2020;

/// Bytes of a buffer that hold four steps at the widest stride.
const BLOCK: usize = 16;

/// What the first bytes of four, so many, are multiplied with: the product, a hash of these bytes with its best bits above,
/// is the same whatever the others are, which need not be masked out.
fn factor(width: usize) -> u32 {
    0x9e37_79b1 << (32 - 8 * width)
}

/// Four bytes from `at` on, the first in the lowest bits; missing ones are 0.
fn load(bytes: &[u8], at: usize) -> u32 {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first_chunk::<4>() {
        Some(four) => u32::from_le_bytes(*four),
        None => rest.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte)),
    }
}

/// Width and stride for patterns of this length: together no more than that, and a byte. Of the few bytes in which those lie
/// that are looked for near the beginning, all may be looked at; the fewer kinds there are, the better.
fn geometry(length: usize, far: bool) -> (usize, usize) {
    match length {
        0 | 1 => (1, 1),
        2 => (2, 1),
        3 if far => (2, 2),
        3 => (2, 1),
        4 => (3, 2),
        _ if !far => (3, 2),
        5 => (2, 4),
        _ => (3, 4),
    }
}

/// How often a byte stands in traffic, roughly: what is padding, a separator or a common letter says least.
fn commonness(byte: u8) -> u32 {
    match byte {
        0 => 12,
        b' ' | b'/' | b'=' | b'.' | 0xff | b'e' | b't' | b'a' | b'o' | b'\r' | b'\n' | 1 => 5,
        b'a'..=b'z' | b'0'..=b'9' | b'-' | b':' | b'&' => 3,
        _ => 1,
    }
}

impl Lane {
    fn new(pool: &Pool, (part, (width, stride)): (Part, (usize, usize)), wanted: &[Wanted]) -> Self {
        let mask = u32::MAX >> (32 - 8 * width);
        let factor = factor(width);
        let hash = |gram: u32| gram.wrapping_mul(factor);
        let gram = |pattern: &[u8], at: usize| (load(pattern, at) | FOLD) & mask;
        // Grams that many patterns have in common tell little: each pattern gives those of its rarest part.
        let mut shared: HashMap<u32, u32> = HashMap::new();
        for it in wanted {
            let pattern = pool.get(it.pattern);
            for at in 0..=pattern.len() - width {
                *shared.entry(gram(pattern, at)).or_default() += 1;
            }
        }
        let mut entries = Vec::with_capacity(wanted.len() * stride);
        for it in wanted {
            let pattern = pool.get(it.pattern);
            let cost = |from: &usize| -> u32 {
                let grams =
                    (*from..from + stride).map(|at| shared.get(&gram(pattern, at)).map_or(0, |n| n.min(&64) * 2));
                let bytes = pattern.get(*from..from + width + stride - 1).unwrap_or_default();
                grams.sum::<u32>() + bytes.iter().map(|&byte| commonness(byte)).sum::<u32>()
            };
            let last = if part == Part::Head { 0 } else { pattern.len() + 1 - width - stride };
            let from = (0..=last).min_by_key(cost).unwrap_or(0);
            let offsets = from..from + stride;
            entries.extend(offsets.map(|at| Entry { gram: gram(pattern, at), offset: at as u32, pattern: it.pattern }));
        }
        let bucket_bits = (usize::BITS - entries.len().leading_zeros()).clamp(1, 20);
        let bucket_shift = 32 - bucket_bits;
        entries.sort_by_key(|entry| hash(entry.gram));
        let filter = Filter::new(entries.iter().map(|entry| hash(entry.gram)));
        let below = |bucket: u32| entries.partition_point(|entry| hash(entry.gram) >> bucket_shift < bucket) as u32;
        let buckets = (0..=1 << bucket_bits).map(below).collect();
        let reach = wanted.iter().map(|it| it.reach).max().unwrap_or(usize::MAX);
        Self { part, reach, width, stride, mask, factor, filter, buckets, bucket_shift, entries: entries.into() }
    }

    fn search(&self, pool: &Pool, buffer: &[u8], found: &mut Found) {
        match &self.filter {
            Filter::Small(filter) => self.search_with(&**filter, pool, buffer, found),
            Filter::Medium(filter) => self.search_with(&**filter, pool, buffer, found),
            Filter::Large(filter) => self.search_with(&**filter, pool, buffer, found),
        }
    }

    // Each once in the program, not wherever patterns are looked for: the loops would fill the processor's nearest cache.
    #[inline(never)]
    fn search_with(&self, filter: impl Passes, pool: &Pool, buffer: &[u8], found: &mut Found) {
        // The strides are constants of the loops, so that these are unrolled.
        match (self.part, self.stride) {
            (Part::Head, _) if buffer.len() >= self.width => self.look(filter, pool, buffer, 0, load(buffer, 0), found),
            (Part::Head, _) => {}
            (_, 1) => self.walk::<1>(filter, pool, buffer, found),
            (_, 2) => self.walk::<2>(filter, pool, buffer, found),
            _ => self.walk::<4>(filter, pool, buffer, found),
        }
    }

    #[inline(always)]
    fn walk<const STRIDE: usize>(&self, filter: impl Passes, pool: &Pool, buffer: &[u8], found: &mut Found) {
        let (mut at, end) = (0, buffer.len().min(self.reach));
        while at + self.width <= end {
            // Four at a time: the end needs to be looked for less often.
            if let Some(block) = buffer.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
                for step in 0..4 {
                    let from = step * STRIDE;
                    let four = u32::from_le_bytes([block[from], block[from + 1], block[from + 2], block[from + 3]]);
                    self.look(filter, pool, buffer, at + from, four, found);
                }
                at += 4 * STRIDE;
            } else {
                self.look(filter, pool, buffer, at, load(buffer, at), found);
                at += STRIDE;
            }
        }
    }

    /// Compares the patterns which have the gram that is among `four` bytes of the buffer; nearly always none may have it.
    #[inline(always)]
    fn look(&self, filter: impl Passes, pool: &Pool, buffer: &[u8], at: usize, four: u32, found: &mut Found) {
        let hash = (four | FOLD).wrapping_mul(self.factor);
        if filter.passes(hash) {
            self.compare(pool, buffer, at, hash, found);
        }
    }

    #[cold]
    #[inline(never)]
    fn compare(&self, pool: &Pool, buffer: &[u8], at: usize, hash: u32, found: &mut Found) {
        let bucket = (hash >> self.bucket_shift) as usize;
        let (Some(&from), Some(&to)) = (self.buckets.get(bucket), self.buckets.get(bucket + 1)) else { return };
        let buffer = buffer.get(..self.reach).unwrap_or(buffer);
        let gram = (load(buffer, at) | FOLD) & self.mask;
        for entry in self.entries.get(from as usize..to as usize).into_iter().flatten() {
            if entry.gram != gram || found.has(entry.pattern) {
                continue;
            }
            if stands(pool.get(entry.pattern), buffer, at, entry.offset) {
                found.add(entry.pattern);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(patterns: &[Vec<u8>], reach: usize, text: &[u8]) -> Vec<u32> {
        let mut pool = Pool::default();
        let wanted: Vec<Wanted> = patterns
            .iter()
            .map(|pattern| Wanted { pattern: pool.push(pattern), reach, at_end: false, first: None })
            .collect();
        let mut found = Found::default();
        found.begin(&pool);
        Sieve::new(&pool, &wanted).search(&pool, text, &mut found);
        found.patterns.sort_unstable();
        found.patterns
    }

    #[test]
    fn finds_patterns_of_every_length_wherever_they_stand_in_any_case() {
        for length in 1..20 {
            let pattern: Vec<u8> = (0..length).map(|at| b'a' + at as u8).collect();
            for before in 0..9 {
                for after in 0..9 {
                    let text = [vec![b'-'; before], pattern.to_ascii_uppercase(), vec![b'-'; after]].concat();
                    assert_eq!(
                        found(std::slice::from_ref(&pattern), usize::MAX, &text),
                        [0],
                        "{length} after {before}"
                    );
                }
            }
        }
    }

    #[test]
    fn patterns_that_are_ends_are_found_there_alone_in_any_case() {
        let mut pool = Pool::default();
        let mut wanted =
            |text: &str, at_end| Wanted { pattern: pool.push(text.as_bytes()), reach: usize::MAX, at_end, first: None };
        let wanted = [
            wanted(".example.com", true),
            wanted("Example.com", true),
            wanted("other.org", true),
            wanted("ample", false),
        ];
        let sieve = Sieve::new(&pool, &wanted);
        let search = |text: &str| {
            let mut found = Found::default();
            found.begin(&pool);
            sieve.search(&pool, text.as_bytes(), &mut found);
            found.patterns.sort_unstable();
            found.patterns
        };
        assert_eq!(search("www.EXAMPLE.com"), [0, 1, 3]);
        assert_eq!(search("example.com"), [1, 3]);
        assert_eq!(search("example.com.other.net"), [3]);
        assert_eq!(search("other.org"), [2]);
        assert_eq!(search("org"), [] as [u32; 0]);
    }

    #[test]
    fn patterns_of_buffers_that_begin_otherwise_are_not_looked_for() {
        let mut pool = Pool::default();
        let mut wanted =
            |text: &str, first| Wanted { pattern: pool.push(text.as_bytes()), reach: usize::MAX, at_end: false, first };
        let wanted = [wanted("portswigger", Some(0x16)), wanted("certificate", None), wanted("upper case", Some(b'a'))];
        let sieve = Sieve::new(&pool, &wanted);
        let search = |text: &[u8]| {
            let mut found = Found::default();
            found.begin(&pool);
            sieve.search(&pool, text, &mut found);
            found.patterns.sort_unstable();
            found.patterns
        };
        let rest = &[&[b'-'; 90], &b"PortSwigger, a certificate in upper case"[..]].concat();
        assert_eq!(search(rest), [1]);
        assert_eq!(search(&[&[0x16], &rest[..]].concat()), [0, 1, 2]);
        assert_eq!(search(&[b"A", &rest[..]].concat()), [0, 1, 2]);
        assert_eq!(search(&[b"B", &rest[..]].concat()), [1]);
        assert_eq!(search(b""), [] as [u32; 0]);
    }

    #[test]
    fn patterns_beyond_their_reach_are_not_looked_for() {
        let text = [vec![b'-'; 60], b"abcdefg".to_vec()].concat();
        assert!(found(&[b"abcdefg".to_vec()], 64, &text).is_empty());
        assert_eq!(found(&[b"abcdefg".to_vec()], 67, &text), [0]);
    }

    #[test]
    fn short_patterns_are_found_among_many_of_every_length() {
        let letters = |number: u32, length: u32| (0..length).map(move |at| b'a' + (number * (at + 3) % 26) as u8);
        let patterns: Vec<Vec<u8>> =
            (0..90).map(|number| [vec![b'<'], letters(number, 1 + number % 9).collect()].concat()).collect();
        for (number, pattern) in patterns.iter().enumerate() {
            let text = [&[b'-'; 70][..], &pattern.to_ascii_uppercase(), &[b'-'; 70]].concat();
            let found = found(&patterns, usize::MAX, &text);
            assert!(found.contains(&(number as u32)), "{pattern:?}");
            let other = |&&at: &&u32| !pattern.starts_with(&patterns[at as usize]);
            assert_eq!(found.iter().find(other), None, "not in {pattern:?}");
        }
    }

    proptest! {
        #[test]
        fn finds_what_naive_search_finds(patterns in prop::collection::vec("[abA.]{1,9}", 1..40), text in "[abA.]{0,200}") {
            let patterns: Vec<Vec<u8>> = patterns.into_iter().map(String::into_bytes).collect();
            let lower = text.to_ascii_lowercase();
            let naive: Vec<u32> = (0u32..)
                .zip(&patterns)
                .filter(|(_, pattern)| lower.as_bytes().windows(pattern.len()).any(|part| part == pattern.to_ascii_lowercase()))
                .map(|(number, _)| number)
                .collect();
            prop_assert_eq!(found(&patterns, usize::MAX, text.as_bytes()), naive);
        }
    }
}
