//! pcap: a header, then records (draft-ietf-opsawg-pcap).

use vigia_parsers::Timestamp;
use vigia_parsers::packet::{Captured, LinkType};

use super::byte_order::ByteOrder;
use super::{BATCH_FRAMES, Format, Run, Stop, settle_lengths, unsupported_link};
use crate::capture::{Each, FileSettings, Interface, SourceCounts, SourceError};
use crate::language::Message;

/// Bytes of the file header.
pub(super) const HEADER_BYTES: usize = 24;

/// What the magic number tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variant {
    order: ByteOrder,
    /// Nanoseconds of a unit of the timestamp's fraction.
    tick_ns: u64,
    /// Bytes of a record's header.
    record_header: usize,
}

impl Variant {
    /// From the first four bytes, read as big-endian.
    pub(super) fn of(magic: u32) -> Option<Self> {
        Self::in_order(magic, ByteOrder::Big).or_else(|| Self::in_order(magic.swap_bytes(), ByteOrder::Little))
    }

    fn in_order(magic: u32, order: ByteOrder) -> Option<Self> {
        let (tick_ns, record_header) = match magic {
            0xa1b2_c3d4 => (1000, 16),
            0xa1b2_3c4d => (1, 16),
            // Kuznetzov's: each record header goes on with interface, protocol and packet type.
            0xa1b2_cd34 => (1000, 24),
            _ => return None,
        };
        Some(Self { order, tick_ns, record_header })
    }
}

/// The state of reading a pcap file.
pub(super) struct Pcap {
    variant: Variant,
    link: LinkType,
    fcs_bytes: u8,
    /// Versions before 2.3 have the two lengths of a record the other way round.
    lengths_swapped: bool,
    max_frame_bytes: usize,
    number: u64,
    counts: SourceCounts,
}

impl Pcap {
    /// Reads the file header.
    pub(super) fn new(name: &str, header: &[u8; HEADER_BYTES], settings: &FileSettings) -> Result<Self, SourceError> {
        let &[m0, m1, m2, m3, a0, a1, i0, i1, .., n0, n1, n2, n3] = header;
        let magic = [m0, m1, m2, m3];
        let Some(variant) = Variant::of(u32::from_be_bytes(magic)) else {
            return Err(SourceError::NotACapture { name: name.to_owned(), found: super::describe(&magic) });
        };
        let (major, minor) = (variant.order.u16([a0, a1]), variant.order.u16([i0, i1]));
        if major != 2 {
            let what = Message::CorruptVersion.with([format!("{major}.{minor}").into()]);
            return Err(SourceError::Corrupt { name: name.to_owned(), offset: 4, what });
        }
        let network = variant.order.u32([n0, n1, n2, n3]);
        // The top bits say whether frames end with their check sequence, and its length in 16-bit words.
        let number = network & 0x03ff_ffff;
        let fcs_bytes = if network & 0x0400_0000 != 0 { (network >> 28) as u8 * 2 } else { 0 };
        let link = LinkType::from_number(number).ok_or_else(|| unsupported_link(name, number))?;
        Ok(Self {
            variant,
            link,
            fcs_bytes,
            lengths_swapped: minor < 3,
            max_frame_bytes: settings.max_frame_bytes as usize,
            number: 0,
            counts: SourceCounts::default(),
        })
    }
}

impl Format for Pcap {
    fn run(&mut self, window: &[u8], each: &mut Each<'_>) -> Run {
        let variant = self.variant;
        let (mut taken, mut frames, mut bytes) = (0, 0, 0);
        let stop = loop {
            if frames == BATCH_FRAMES {
                break Stop::Batch;
            }
            let rest = window.get(taken..).unwrap_or_default();
            let header = rest.get(..variant.record_header).unwrap_or_default();
            let Some(([seconds, fraction, mut captured, mut wire], _)) = variant.order.words::<4>(header) else {
                break Stop::Need(variant.record_header);
            };
            if self.lengths_swapped {
                (captured, wire) = (wire, captured);
            }
            let length = captured as usize;
            if length > self.max_frame_bytes {
                break Stop::Fault(Message::CorruptFrame.with([length.into(), self.max_frame_bytes.into()]));
            }
            let record = variant.record_header + length;
            let Some(frame) = rest.get(variant.record_header..record) else { break Stop::Need(record) };
            taken += record;
            frames += 1;
            bytes += u64::from(captured);
            self.number += 1;
            let (frame, wire_length) = settle_lengths(frame, wire, self.fcs_bytes);
            let nanoseconds = u64::from(fraction) * variant.tick_ns;
            let captured = Captured {
                number: self.number,
                timestamp: Timestamp(u64::from(seconds) * 1_000_000_000 + nanoseconds),
                link: self.link,
                frame,
                wire_length,
                stripped_vlan: None,
            };
            each(&captured, 0);
        };
        self.counts.received += frames as u64;
        self.counts.bytes += bytes;
        Run { taken, frames, stop }
    }

    fn interfaces(&self) -> Vec<Interface> {
        vec![Interface { counts: self.counts, ..Interface::default() }]
    }
}
