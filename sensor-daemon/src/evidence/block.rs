//! Blocks of records: the form in which packets go from a worker to the thread that keeps them.
//!
//! A record is a header of 32 bytes and what it holds. What belongs to a packet (an alert, another flow that it is of)
//! stands behind it in the same block, so a block is read from front to back and needs no other to be understood.

use vigia_parsers::Timestamp;

/// Bytes of records after which a block is handed over.
pub(super) const BLOCK_BYTES: usize = 256 * 1024;

/// Room beyond it for what belongs to the block's last packet.
const ROOM_BEHIND: usize = 128 * 1024;

/// Bytes of a record before what it holds.
const HEADER: usize = 32;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A frame as it was captured.
    Packet,
    /// The packet before is of this flow, too.
    Also,
    /// The packet before raised an alert.
    Alert,
    /// An alert that no packet raised.
    Silent,
    /// The rest of the flow is left to the kernel, and will not be seen.
    Left,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Packet, Self::Also, Self::Alert, Self::Silent, Self::Left];
}

/// A record. Which of its members mean something depends on its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'b> {
    pub(super) kind: Kind,
    /// What the packet is found by: the id of its flow, or what stands for one ([`super::recorder`]).
    pub(super) key: u64,
    pub(super) timestamp: Timestamp,
    /// Length on the wire of a packet.
    pub(super) wire_length: u32,
    /// LINKTYPE of a packet.
    pub(super) link: u16,
    /// Interface of a packet.
    pub(super) interface: u16,
    /// The frame; of an alert the [`Claim`].
    pub(super) bytes: &'b [u8],
}

/// What an alert's record holds: a second key by which packets belong to it, that of fragments between the flow's hosts
/// (0: none), and the alert as its line in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim<'b> {
    pub(super) fragments: u64,
    pub(super) line: &'b [u8],
}

impl<'b> Record<'b> {
    /// Bytes that it takes in a block.
    pub(super) fn size(&self) -> usize {
        HEADER + self.bytes.len()
    }

    /// Of an alert, what it holds.
    pub(super) fn claim(&self) -> Claim<'b> {
        let (fragments, line) = self.bytes.split_first_chunk().unwrap_or((&[0; 8], self.bytes));
        Claim { fragments: u64::from_le_bytes(*fragments), line }
    }
}

/// Records of one worker, in the order of its work. Its memory is made once.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Vec<u8>,
    /// The worker.
    pub(super) worker: usize,
    /// Packets in it.
    pub(super) packets: u64,
    /// Alerts in it.
    pub(super) alerts: u64,
    /// Packets that the worker could not keep before this block.
    pub(super) lost: u64,
    /// Time of the first record.
    pub(super) first: Timestamp,
    /// The latest time in it.
    pub(super) last: Timestamp,
}

impl Block {
    /// An empty one.
    pub(super) fn new(worker: usize) -> Self {
        let bytes = Vec::with_capacity(BLOCK_BYTES + ROOM_BEHIND);
        let (first, last) = Default::default();
        Self { bytes, worker, packets: 0, alerts: 0, lost: 0, first, last }
    }

    /// Makes it empty, to be filled anew.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        (self.packets, self.alerts, self.lost) = (0, 0, 0);
        (self.first, self.last) = Default::default();
    }

    /// Nothing in it?
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Its bytes, as [`records`] reads them.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Is there room for a packet of so many bytes, with what may belong to it?
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.bytes.len() + HEADER + bytes <= BLOCK_BYTES
    }

    /// Appends a record that holds `parts`, one after the other; false when there is no room, not even that behind.
    #[inline]
    pub(super) fn push<const N: usize>(&mut self, record: &Record<'_>, parts: [&[u8]; N]) -> bool {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if self.bytes.len() + HEADER + length > BLOCK_BYTES + ROOM_BEHIND {
            return false;
        }
        if self.bytes.is_empty() {
            self.first = record.timestamp;
        }
        self.last = self.last.max(record.timestamp);
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&record.key.to_le_bytes());
        header[8..16].copy_from_slice(&record.timestamp.0.to_le_bytes());
        header[16..20].copy_from_slice(&record.wire_length.to_le_bytes());
        header[20..24].copy_from_slice(&(length as u32).to_le_bytes());
        header[24..26].copy_from_slice(&record.link.to_le_bytes());
        header[26..28].copy_from_slice(&record.interface.to_le_bytes());
        header[28] = record.kind as u8;
        self.bytes.extend_from_slice(&header);
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        true
    }
}

/// The records in the bytes of a block, in their order.
pub(super) fn records(mut bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    std::iter::from_fn(move || {
        let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| header[at + byte]));
        let half = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let lengths = word(16);
        let (held, rest) = rest.split_at_checked((lengths >> 32) as usize)?;
        bytes = rest;
        Some(Record {
            kind: *Kind::ALL.get(usize::from(header[28]))?,
            key: word(0),
            timestamp: Timestamp(word(8)),
            wire_length: lengths as u32,
            link: half(24),
            interface: half(26),
            bytes: held,
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_read_back(
            all in proptest::collection::vec(
                (0usize..5, any::<u64>(), any::<u64>(), any::<u32>(), any::<[u16; 2]>(), proptest::collection::vec(any::<u8>(), 0..300)),
                0..50,
            ),
        ) {
            let record = |(kind, key, time, wire_length, [link, interface], bytes): &(usize, u64, u64, u32, [u16; 2], Vec<u8>)| Record {
                kind: Kind::ALL[*kind], key: *key, timestamp: Timestamp(*time), wire_length: *wire_length, link: *link,
                interface: *interface, bytes: Vec::leak(bytes.clone()),
            };
            let all: Vec<_> = all.iter().map(record).collect();
            let mut block = Block::new(3);
            for record in &all {
                let (one, other) = record.bytes.split_at(record.bytes.len() / 3);
                prop_assert!(block.push(record, [one, other]));
            }
            prop_assert_eq!(records(block.as_bytes()).collect::<Vec<_>>(), all);
        }

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            prop_assert!(records(&bytes).count() <= bytes.len() / HEADER);
        }
    }

    #[test]
    fn a_block_has_an_end() {
        let mut block = Block::new(0);
        let record = Record {
            kind: Kind::Packet,
            key: 1,
            timestamp: Timestamp(1),
            wire_length: 1000,
            link: 1,
            interface: 0,
            bytes: &[],
        };
        let frame = [0; 1000];
        while block.has_room(frame.len()) {
            assert!(block.push(&record, [&frame]));
        }
        assert!(block.as_bytes().len() <= BLOCK_BYTES);
        while block.push(&record, [&frame]) {}
        assert_eq!(block.bytes.capacity(), BLOCK_BYTES + ROOM_BEHIND, "its memory is made once");
    }
}
