//! The rolling buffer: blocks of all workers, compressed, within a bound in bytes; the oldest goes first.

use std::collections::{HashMap, VecDeque};

use vigia_parsers::Timestamp;
use zstd::bulk::{Compressor, Decompressor};

use super::block::{Block, Kind, Record, records};

/// Level of compression (zstd): the buffer is written all the time, and hardly ever read.
const LEVEL: i32 = 1;

/// A block as it is kept.
struct Kept {
    worker: usize,
    bytes: Vec<u8>,
    /// Length before it was compressed; none where it was not.
    length: Option<usize>,
    last: Timestamp,
    /// Packets that could not be kept before it.
    lost: u64,
    /// The lower halves of the keys in it, in order: what is not here is not in the block.
    keys: Box<[u32]>,
}

impl Kept {
    fn size(&self) -> u64 {
        (self.bytes.capacity() + 4 * self.keys.len() + size_of::<Self>()) as u64
    }

    fn may_have(&self, key: u64) -> bool {
        self.keys.binary_search(&(key as u32)).is_ok()
    }
}

/// The buffer.
pub(super) struct Ring {
    blocks: VecDeque<Kept>,
    bytes: u64,
    limit: u64,
    compressor: Option<Compressor<'static>>,
    decompressor: Option<Decompressor<'static>>,
    /// By worker, the latest time of what went.
    gone: HashMap<usize, Timestamp>,
    /// Kept for their memory.
    keys: Vec<u32>,
    scratch: Vec<u8>,
}

/// A packet that was found, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Past {
    pub(super) kind: Kind,
    pub(super) timestamp: Timestamp,
    pub(super) wire_length: u32,
    pub(super) link: u16,
    pub(super) interface: u16,
    pub(super) bytes: Vec<u8>,
}

impl Past {
    fn of(record: &Record<'_>) -> Self {
        let Record { kind, timestamp, wire_length, link, interface, bytes, .. } = *record;
        Self { kind, timestamp, wire_length, link, interface, bytes: bytes.to_vec() }
    }
}

/// What is looked for: the packets of some keys from a time on, the latest, until they are so many bytes.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) keys: [u64; 2],
    pub(super) since: Timestamp,
    pub(super) bytes: usize,
    /// What was found, the latest first.
    pub(super) found: Vec<Past>,
    /// There was more than so many bytes.
    pub(super) cut: bool,
    /// Packets were lost in that time.
    pub(super) lost: bool,
}

impl Search {
    pub(super) fn new(keys: [u64; 2], since: Timestamp, bytes: usize) -> Self {
        Self { keys, since, bytes, found: Vec::new(), cut: false, lost: false }
    }

    /// Takes what is wanted of a block's records, which come before all that was searched until now.
    pub(super) fn search(&mut self, bytes: &[u8]) {
        let wanted: Vec<_> = matching(bytes, self.keys).filter(|record| record.timestamp >= self.since).collect();
        for record in wanted.iter().rev() {
            let Some(left) = self.bytes.checked_sub(super::pcapng::Body::cost(record.bytes.len())) else {
                self.cut = true;
                return;
            };
            self.bytes = left;
            self.found.push(Past::of(record));
        }
    }
}

/// The packets of these keys, and what is told of the flow.
pub(super) fn matching(bytes: &[u8], keys: [u64; 2]) -> impl Iterator<Item = Record<'_>> {
    let has = move |key: u64| key != 0 && keys.contains(&key);
    let mut frame: Option<Record<'_>> = None;
    records(bytes).filter_map(move |record| match record.kind {
        Kind::Packet => {
            frame = Some(record).filter(|record| !has(record.key));
            has(record.key).then_some(record)
        }
        // It is told once, under whichever key.
        Kind::Also => frame.take_if(|_| has(record.key)),
        Kind::Left => has(record.key).then_some(record),
        Kind::Alert | Kind::Silent => None,
    })
}

impl Ring {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            blocks: VecDeque::new(),
            bytes: 0,
            limit,
            compressor: Compressor::new(LEVEL).ok(),
            decompressor: Decompressor::new().ok(),
            gone: HashMap::new(),
            keys: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Blocks that it holds.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Takes a block; where there is no time to `compress` it, as it is. Returns how many blocks went for it.
    pub(super) fn push(&mut self, block: &Block, compress: bool) -> u64 {
        let plain = block.as_bytes();
        self.scratch.clear();
        self.scratch.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        let zstd = self.compressor.as_mut().filter(|_| compress);
        let compressed = zstd.is_some_and(|zstd| zstd.compress_to_buffer(plain, &mut self.scratch).is_ok());
        let length = compressed.then_some(plain.len());
        let bytes = if compressed { self.scratch.as_slice() } else { plain }.to_vec();
        self.keys.clear();
        self.keys.extend(records(plain).map(|record| record.key as u32));
        self.keys.sort_unstable();
        self.keys.dedup();
        let Block { worker, last, lost, .. } = *block;
        let kept = Kept { worker, bytes, length, last, lost, keys: self.keys.as_slice().into() };
        self.bytes += kept.size();
        self.blocks.push_back(kept);
        let mut gone = 0;
        while self.bytes > self.limit
            && let Some(oldest) = self.blocks.pop_front()
        {
            self.bytes -= oldest.size();
            let time = self.gone.entry(oldest.worker).or_default();
            *time = oldest.last.max(*time);
            gone += 1;
        }
        gone
    }

    /// The latest time of what went of a worker's packets.
    pub(super) fn gone(&self, worker: usize) -> Option<Timestamp> {
        self.gone.get(&worker).copied()
    }

    /// Forgets what a worker saw.
    pub(super) fn forget(&mut self, worker: usize) {
        let Self { blocks, bytes, gone, .. } = self;
        blocks.retain(|block| {
            let stays = block.worker != worker;
            *bytes -= if stays { 0 } else { block.size() };
            stays
        });
        gone.remove(&worker);
    }

    /// Does all searches in one pass over the blocks of a worker, from the latest back.
    pub(super) fn search(&mut self, worker: usize, searches: &mut [&mut Search]) {
        for block in self.blocks.iter().rev().filter(|block| block.worker == worker) {
            let in_time = |search: &Search| !search.cut && block.last >= search.since;
            searches.iter_mut().filter(|search| in_time(search)).for_each(|search| search.lost |= block.lost > 0);
            let wants = |search: &Search| in_time(search) && search.keys.iter().any(|key| block.may_have(*key));
            if !searches.iter().any(|search| wants(search)) {
                continue;
            }
            let plain;
            let bytes = match (block.length, &mut self.decompressor) {
                (None, _) => &block.bytes,
                (Some(length), Some(zstd)) => {
                    plain = zstd.decompress(&block.bytes, length).unwrap_or_default();
                    &plain
                }
                (Some(_), None) => continue,
            };
            searches.iter_mut().filter(|search| wants(search)).for_each(|search| search.search(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block with a packet of each key, a second after the one before.
    fn block(worker: usize, from: u64, keys: &[u64], length: usize) -> Block {
        let mut block = Block::new(worker);
        for (second, key) in (from..).zip(keys) {
            // Bytes that do not compress.
            let mut state = second.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut frame = vec![0; length];
            for byte in &mut frame {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (state >> 56) as u8;
            }
            let timestamp = Timestamp::new(second, 0);
            let record =
                Record { kind: Kind::Packet, key: *key, timestamp, wire_length: 9, link: 1, interface: 0, bytes: &[] };
            assert!(block.push(&record, [&frame]));
        }
        block
    }

    fn seconds(ring: &mut Ring, worker: usize, mut search: Search) -> (Vec<u64>, Search) {
        ring.search(worker, &mut [&mut search]);
        (search.found.iter().map(|past| past.timestamp.seconds()).collect(), search)
    }

    #[test]
    fn it_finds_the_packets_of_a_flow_from_a_time_on_the_latest_first() {
        let mut ring = Ring::new(1 << 20);
        for (compress, from) in [(true, 10), (false, 20), (true, 30)] {
            ring.push(&block(0, from, &[1, 2, 1, 3], 100), compress);
            ring.push(&block(1, from, &[1, 1], 100), compress);
        }
        let since = |second| Timestamp::new(second, 0);
        assert_eq!(seconds(&mut ring, 0, Search::new([1, 0], since(12), 1 << 20)).0, [32, 30, 22, 20, 12]);
        assert_eq!(seconds(&mut ring, 0, Search::new([3, 2], since(0), 1 << 20)).0, [33, 31, 23, 21, 13, 11]);
        assert_eq!(seconds(&mut ring, 1, Search::new([1, 0], since(0), 1 << 20)).0, [31, 30, 21, 20, 11, 10]);
        assert_eq!(seconds(&mut ring, 0, Search::new([4, 0], since(0), 1 << 20)).0, [0; 0]);
        let (found, search) = seconds(&mut ring, 0, Search::new([1, 0], since(0), 500));
        assert_eq!((found, search.cut), (vec![32, 30, 22], true), "three packets are within the bound");
    }

    #[test]
    fn it_stays_within_its_bound_and_tells_what_went() {
        let mut ring = Ring::new(64 << 10);
        let mut gone = 0;
        for round in 0..40 {
            gone += ring.push(&block(0, 100 * round, &[1, 2, 3], 1000), round % 2 == 0);
            assert!(ring.bytes() <= 64 << 10, "{}", ring.bytes());
        }
        assert!(gone > 10 && ring.len() as u64 == 40 - gone);
        assert_eq!(ring.gone(0), Some(Timestamp::new(100 * (gone - 1) + 2, 0)));
        assert_eq!(ring.gone(1), None);
        let (found, _) = seconds(&mut ring, 0, Search::new([1, 0], Timestamp(0), 1 << 20));
        assert_eq!(found.len() as u64, 40 - gone);
        ring.forget(0);
        assert_eq!((ring.bytes(), ring.len(), ring.gone(0)), (0, 0, None));
    }

    #[test]
    fn a_packet_of_two_flows_is_found_under_each_and_once_under_both() {
        let mut block = block(0, 1, &[7], 100);
        let record = |kind, key| Record {
            kind,
            key,
            timestamp: Timestamp::new(1, 0),
            wire_length: 0,
            link: 1,
            interface: 0,
            bytes: &[],
        };
        assert!(block.push(&record(Kind::Also, 8), []));
        assert!(block.push(&record(Kind::Left, 8), []));
        let kinds = |keys| matching(block.as_bytes(), keys).map(|record| record.kind).collect::<Vec<_>>();
        assert_eq!(kinds([7, 0]), [Kind::Packet]);
        assert_eq!(kinds([8, 0]), [Kind::Packet, Kind::Left]);
        assert_eq!(kinds([7, 8]), [Kind::Packet, Kind::Left]);
        assert_eq!(kinds([9, 0]), [Kind::Packet; 0]);
    }
}
