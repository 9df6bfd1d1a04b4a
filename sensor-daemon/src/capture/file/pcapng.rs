//! pcapng: sections of blocks, several interfaces each (draft-ietf-opsawg-pcapng).

use vigia_parsers::Timestamp;
use vigia_parsers::packet::{Captured, LinkType};

use super::byte_order::ByteOrder;
use super::{BATCH_FRAMES, Format, Run, Stop, settle_lengths};
use crate::capture::{Each, FileSettings, Interface, InterfaceId, SourceCounts};
use crate::language::{Message, Phrase};

/// Section Header Block; the same in both byte orders.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Type and length before a block's body, the length again behind it.
const BLOCK_OVERHEAD: usize = 12;
/// Interfaces of all sections of a file together.
const MAX_INTERFACES: usize = InterfaceId::MAX as usize;
/// Bytes kept of an interface's name.
const MAX_NAME_BYTES: usize = 256;

/// The state of reading a pcapng file.
pub(super) struct Pcapng {
    max_frame_bytes: usize,
    max_block_bytes: usize,
    /// Of the current section.
    order: ByteOrder,
    interfaces: Vec<Described>,
    /// Where the current section's interfaces begin in `interfaces`: ids count from 0 in each section.
    section: usize,
    number: u64,
    /// Of the packet before, for Simple Packet Blocks, which have none.
    last_timestamp: Timestamp,
}

/// An interface as its Interface Description Block has it.
struct Described {
    name: String,
    link_number: u16,
    link: Option<LinkType>,
    snaplen: u32,
    resolution: Resolution,
    offset_seconds: i64,
    fcs_bytes: u8,
    counts: SourceCounts,
}

/// A packet, whichever block carried it.
struct Packet<'b> {
    interface: usize,
    /// In units of the interface; `None` in Simple Packet Blocks.
    ticks: Option<u64>,
    frame: &'b [u8],
    wire_length: u32,
}

/// What is wrong with a block.
type Fault = Phrase;

impl Pcapng {
    pub(super) fn new(settings: &FileSettings) -> Self {
        Self {
            max_frame_bytes: settings.max_frame_bytes as usize,
            max_block_bytes: settings.max_block_bytes as usize,
            order: ByteOrder::Little,
            interfaces: Vec::new(),
            section: 0,
            number: 0,
            last_timestamp: Timestamp::default(),
        }
    }

    /// The whole block at the beginning of `rest`: its type and body.
    fn block<'b>(&mut self, rest: &'b [u8]) -> Result<(u32, &'b [u8]), Stop> {
        let Some(&[t0, t1, t2, t3, l0, l1, l2, l3, magic @ ..]) = rest.first_chunk::<BLOCK_OVERHEAD>() else {
            return Err(Stop::Need(BLOCK_OVERHEAD));
        };
        if u32::from_be_bytes([t0, t1, t2, t3]) == SECTION_HEADER {
            // The byte order of the section, of this block's own length already.
            self.order = match (u32::from_be_bytes(magic), u32::from_le_bytes(magic)) {
                (BYTE_ORDER_MAGIC, _) => ByteOrder::Big,
                (_, BYTE_ORDER_MAGIC) => ByteOrder::Little,
                (other, _) => {
                    return Err(Stop::Fault(Message::CorruptOrder.with([format!("{other:#010x}").into()])));
                }
            };
        }
        let kind = self.order.u32([t0, t1, t2, t3]);
        let length = self.order.u32([l0, l1, l2, l3]) as usize;
        if length < BLOCK_OVERHEAD || !length.is_multiple_of(4) {
            return Err(Stop::Fault(Message::CorruptLength.with([length.into()])));
        }
        if length > self.max_block_bytes {
            return Err(Stop::Fault(Message::CorruptBlock.with([length.into(), self.max_block_bytes.into()])));
        }
        let Some((body, trailer)) = rest.get(8..length).and_then(|block| block.split_last_chunk::<4>()) else {
            return Err(Stop::Need(length));
        };
        let again = self.order.u32(*trailer) as usize;
        if again != length {
            return Err(Stop::Fault(Message::CorruptTrailer.with([length.into(), again.into()])));
        }
        Ok((kind, body))
    }

    fn section_header(&mut self, body: &[u8]) -> Result<(), Fault> {
        let Some(&[_, _, _, _, m0, m1, ..]) = body.first_chunk::<16>() else {
            return Err(Message::CorruptSectionHeader.into());
        };
        let major = self.order.u16([m0, m1]);
        if major != 1 {
            return Err(Message::CorruptSection.with([usize::from(major).into()]));
        }
        self.section = self.interfaces.len();
        Ok(())
    }

    fn interface_description(&mut self, body: &[u8]) -> Result<(), Fault> {
        let Some((&[l0, l1, _, _, s0, s1, s2, s3], mut options)) = body.split_first_chunk::<8>() else {
            return Err(Message::CorruptDescription.into());
        };
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(Message::CorruptInterfaces.with([MAX_INTERFACES.into()]));
        }
        let link_number = self.order.u16([l0, l1]);
        let mut interface = Described {
            name: String::new(),
            link_number,
            link: LinkType::from_number(u32::from(link_number)),
            snaplen: self.order.u32([s0, s1, s2, s3]),
            resolution: Resolution::of(6),
            offset_seconds: 0,
            fcs_bytes: 0,
            counts: SourceCounts::default(),
        };
        while let Some((code, value, rest)) = self.option(options) {
            match (code, value) {
                (0, _) => break,
                (2, name) => {
                    interface.name = String::from_utf8_lossy(&name[..name.len().min(MAX_NAME_BYTES)]).into_owned();
                }
                (9, &[resolution]) => interface.resolution = Resolution::of(resolution),
                (13, &[fcs_bytes]) => interface.fcs_bytes = fcs_bytes,
                (14, &[o0, o1, o2, o3, o4, o5, o6, o7]) => {
                    let (first, second) = (self.order.u32([o0, o1, o2, o3]), self.order.u32([o4, o5, o6, o7]));
                    let (high, low) = match self.order {
                        ByteOrder::Big => (first, second),
                        ByteOrder::Little => (second, first),
                    };
                    interface.offset_seconds = (u64::from(high) << 32 | u64::from(low)).cast_signed();
                }
                _ => {}
            }
            options = rest;
        }
        self.interfaces.push(interface);
        Ok(())
    }

    /// The first option: code, value, and what follows it. `None` at the end, which a cut option is, too.
    fn option<'b>(&self, options: &'b [u8]) -> Option<(u16, &'b [u8], &'b [u8])> {
        let (&[c0, c1, l0, l1], rest) = options.split_first_chunk::<4>()?;
        let length = usize::from(self.order.u16([l0, l1]));
        let value = rest.get(..length)?;
        Some((self.order.u16([c0, c1]), value, rest.get(length.next_multiple_of(4)..).unwrap_or_default()))
    }

    /// Enhanced Packet Block, and the obsolete Packet Block, whose interface id is shorter.
    fn packet<'b>(&self, body: &'b [u8], obsolete: bool) -> Result<Packet<'b>, Fault> {
        let Some(([id, high, low, captured, wire_length], data)) = self.order.words::<5>(body) else {
            return Err(Message::CorruptPacket.into());
        };
        // In the obsolete block the first half of the word is the interface, the second a count of drops.
        let interface = match (obsolete, self.order) {
            (false, _) => id,
            (true, ByteOrder::Big) => id >> 16,
            (true, ByteOrder::Little) => id & 0xffff,
        };
        let Some(frame) = data.get(..captured as usize) else {
            return Err(Message::CorruptRoom.with([(captured as usize).into(), data.len().into()]));
        };
        Ok(Packet {
            interface: interface as usize,
            ticks: Some(u64::from(high) << 32 | u64::from(low)),
            frame,
            wire_length,
        })
    }

    /// Simple Packet Block: of the section's first interface, captured up to that one's snap length.
    fn simple_packet<'b>(&self, body: &'b [u8]) -> Result<Packet<'b>, Fault> {
        let Some(([wire_length], data)) = self.order.words::<1>(body) else {
            return Err(Message::CorruptSimplePacket.into());
        };
        let snaplen = self.interfaces.get(self.section).map_or(0, |interface| interface.snaplen);
        let captured = if snaplen == 0 { wire_length } else { wire_length.min(snaplen) };
        let Some(frame) = data.get(..captured as usize) else {
            return Err(Message::CorruptRoom.with([(captured as usize).into(), data.len().into()]));
        };
        Ok(Packet { interface: 0, ticks: None, frame, wire_length })
    }

    /// Hands a packet over, if its link type is supported. Says whether it was.
    fn hand_over(&mut self, packet: &Packet<'_>, each: &mut Each<'_>) -> Result<bool, Fault> {
        let length = packet.frame.len();
        if length > self.max_frame_bytes {
            return Err(Message::CorruptFrame.with([length.into(), self.max_frame_bytes.into()]));
        }
        let index = self.section + packet.interface;
        let known = self.interfaces.len() - self.section;
        let Some(interface) = self.interfaces.get_mut(index) else {
            return Err(Message::CorruptInterface.with([packet.interface.into(), known.into()]));
        };
        self.number += 1;
        let Some(link) = interface.link else {
            interface.counts.unsupported_link += 1;
            return Ok(false);
        };
        interface.counts.received += 1;
        interface.counts.bytes += length as u64;
        if let Some(ticks) = packet.ticks {
            self.last_timestamp = interface.timestamp(ticks);
        }
        let (frame, wire_length) = settle_lengths(packet.frame, packet.wire_length, interface.fcs_bytes);
        let captured = Captured {
            number: self.number,
            timestamp: self.last_timestamp,
            link,
            frame,
            wire_length,
            stripped_vlan: None,
        };
        each(&captured, index as InterfaceId);
        Ok(true)
    }

    fn read(&mut self, kind: u32, body: &[u8], each: &mut Each<'_>) -> Result<bool, Fault> {
        let packet = match kind {
            ENHANCED_PACKET => self.packet(body, false)?,
            OBSOLETE_PACKET => self.packet(body, true)?,
            SIMPLE_PACKET => self.simple_packet(body)?,
            SECTION_HEADER => return self.section_header(body).map(|()| false),
            INTERFACE_DESCRIPTION => return self.interface_description(body).map(|()| false),
            _ => return Ok(false),
        };
        self.hand_over(&packet, each)
    }
}

impl Format for Pcapng {
    fn run(&mut self, window: &[u8], each: &mut Each<'_>) -> Run {
        let (mut taken, mut frames) = (0, 0);
        let stop = loop {
            if frames == BATCH_FRAMES {
                break Stop::Batch;
            }
            let (kind, body) = match self.block(window.get(taken..).unwrap_or_default()) {
                Ok(block) => block,
                Err(stop) => break stop,
            };
            match self.read(kind, body, each) {
                Ok(handed_over) => frames += usize::from(handed_over),
                Err(fault) => break Stop::Fault(fault),
            }
            taken += BLOCK_OVERHEAD + body.len();
        };
        Run { taken, frames, stop }
    }

    fn interfaces(&self) -> Vec<Interface> {
        let interface =
            |described: &Described| Interface { name: described.name.clone(), counts: described.counts, fault: None };
        self.interfaces.iter().map(interface).collect()
    }

    fn unsupported_link(&self) -> Option<u32> {
        if self.interfaces.iter().any(|interface| interface.counts.received > 0) {
            return None;
        }
        let left_out = self.interfaces.iter().find(|interface| interface.counts.unsupported_link > 0)?;
        Some(u32::from(left_out.link_number))
    }
}

impl Described {
    fn timestamp(&self, ticks: u64) -> Timestamp {
        let offset_ns = self.offset_seconds.saturating_mul(1_000_000_000);
        Timestamp(self.resolution.nanoseconds(ticks).saturating_add_signed(offset_ns))
    }
}

/// The unit of an interface's timestamps (option if_tsresol).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resolution {
    /// This many nanoseconds.
    Coarse(u64),
    /// This many units are a nanosecond.
    Fine(u64),
    /// Two to the power of minus this, of a second.
    Binary(u8),
}

impl Resolution {
    fn of(option: u8) -> Self {
        match option {
            0..=9 => Self::Coarse(10_u64.pow(9 - u32::from(option))),
            // Beyond the range of 64 bits a unit is nothing: every time is 0.
            10..=127 => Self::Fine(10_u64.checked_pow(u32::from(option) - 9).unwrap_or(u64::MAX)),
            _ => Self::Binary(option & 0x7f),
        }
    }

    fn nanoseconds(self, ticks: u64) -> u64 {
        match self {
            Self::Coarse(nanoseconds) => ticks.saturating_mul(nanoseconds),
            Self::Fine(units) => ticks / units,
            Self::Binary(power) => u64::try_from((u128::from(ticks) * 1_000_000_000) >> power).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Resolution;

    #[test]
    fn one_second_is_the_same_in_every_resolution() {
        for (option, ticks) in [(0, 1), (3, 1000), (6, 1_000_000), (9, 1_000_000_000), (12, 1_000_000_000_000)] {
            assert_eq!(Resolution::of(option).nanoseconds(ticks), 1_000_000_000, "10^-{option}");
        }
        for power in [0, 10, 20, 32, 63] {
            assert_eq!(Resolution::of(0x80 | power).nanoseconds(1 << power), 1_000_000_000, "2^-{power}");
        }
    }

    #[test]
    fn extreme_resolutions_neither_overflow_nor_divide_by_zero() {
        for option in 0..=255 {
            for ticks in [0, 1, u64::MAX] {
                Resolution::of(option).nanoseconds(ticks);
            }
        }
        assert_eq!(Resolution::of(0).nanoseconds(u64::MAX), u64::MAX);
    }
}
