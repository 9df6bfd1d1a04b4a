//! Capture files made in memory, for the tests.

use super::byte_order::ByteOrder;

/// Magic numbers of pcap.
pub(super) const MICROSECONDS: u32 = 0xa1b2_c3d4;
pub(super) const NANOSECONDS: u32 = 0xa1b2_3c4d;
pub(super) const KUZNETZOV: u32 = 0xa1b2_cd34;

pub(super) const BOTH_ORDERS: [ByteOrder; 2] = [ByteOrder::Big, ByteOrder::Little];

/// Writes capture files in one byte order.
pub(super) struct Writer {
    order: ByteOrder,
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn new(order: ByteOrder) -> Self {
        Self { order, bytes: Vec::new() }
    }

    fn u16(&mut self, number: u16) {
        self.bytes.extend(match self.order {
            ByteOrder::Big => number.to_be_bytes(),
            ByteOrder::Little => number.to_le_bytes(),
        });
    }

    fn u32(&mut self, number: u32) {
        self.bytes.extend(match self.order {
            ByteOrder::Big => number.to_be_bytes(),
            ByteOrder::Little => number.to_le_bytes(),
        });
    }

    /// A pcap file header of version 2.`minor`.
    pub(super) fn pcap(order: ByteOrder, magic: u32, minor: u16, network: u32) -> Self {
        let mut writer = Self::new(order);
        writer.u32(magic);
        writer.u16(2);
        writer.u16(minor);
        [0, 0, 65535, network].into_iter().for_each(|word| writer.u32(word));
        writer
    }

    /// A pcap record; `between` stands between header and frame.
    pub(super) fn record(&mut self, time: (u32, u32), lengths: (u32, u32), between: &[u8], frame: &[u8]) {
        [time.0, time.1, lengths.0, lengths.1].into_iter().for_each(|word| self.u32(word));
        self.bytes.extend(between);
        self.bytes.extend(frame);
    }

    /// A pcapng block.
    pub(super) fn block(&mut self, kind: u32, body: &[u8]) {
        let length = 12 + body.len().next_multiple_of(4);
        self.u32(kind);
        self.u32(length as u32);
        self.bytes.extend(body);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.u32(length as u32);
    }

    fn body(&self, write: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut body = Self::new(self.order);
        write(&mut body);
        body.bytes
    }

    /// A Section Header Block.
    pub(super) fn section(&mut self) {
        let body = self.body(|body| {
            body.u32(0x1a2b_3c4d);
            body.u16(1);
            body.u16(0);
            body.bytes.extend([0xff; 8]);
        });
        self.block(0x0a0d_0d0a, &body);
    }

    /// An Interface Description Block with options.
    pub(super) fn interface(&mut self, link: u16, snaplen: u32, options: &[(u16, &[u8])]) {
        let body = self.body(|body| {
            body.u16(link);
            body.u16(0);
            body.u32(snaplen);
            for (code, value) in options {
                body.u16(*code);
                body.u16(value.len() as u16);
                body.bytes.extend(*value);
                body.bytes.resize(body.bytes.len().next_multiple_of(4), 0);
            }
        });
        self.block(1, &body);
    }

    /// An Enhanced Packet Block.
    pub(super) fn enhanced(&mut self, interface: u32, ticks: u64, wire_length: u32, frame: &[u8]) {
        let body = self.body(|body| {
            let fields = [interface, (ticks >> 32) as u32, ticks as u32, frame.len() as u32, wire_length];
            fields.into_iter().for_each(|word| body.u32(word));
            body.bytes.extend(frame);
        });
        self.block(6, &body);
    }

    /// An obsolete Packet Block.
    pub(super) fn obsolete(&mut self, interface: u16, ticks: u64, frame: &[u8]) {
        let body = self.body(|body| {
            body.u16(interface);
            body.u16(77);
            let length = frame.len() as u32;
            [(ticks >> 32) as u32, ticks as u32, length, length].into_iter().for_each(|word| body.u32(word));
            body.bytes.extend(frame);
        });
        self.block(2, &body);
    }

    /// A Simple Packet Block.
    pub(super) fn simple(&mut self, wire_length: u32, frame: &[u8]) {
        let body = self.body(|body| {
            body.u32(wire_length);
            body.bytes.extend(frame);
        });
        self.block(3, &body);
    }

    /// The value of the option if_tsoffset.
    pub(super) fn seconds(&self, seconds: i64) -> Vec<u8> {
        match self.order {
            ByteOrder::Big => seconds.to_be_bytes().to_vec(),
            ByteOrder::Little => seconds.to_le_bytes().to_vec(),
        }
    }
}

/// A pcap file with `count` frames of different lengths, and the offsets at which its records end.
pub(super) fn pcap_of(count: u32) -> (Vec<u8>, Vec<usize>) {
    let mut writer = Writer::pcap(ByteOrder::Little, MICROSECONDS, 4, 1);
    let mut ends = Vec::new();
    for number in 0..count {
        let frame = vec![number as u8; 20 + number as usize % 50];
        let length = frame.len() as u32;
        writer.record((1000 + number, number), (length, length), &[], &frame);
        ends.push(writer.bytes.len());
    }
    (writer.bytes, ends)
}

/// A pcapng file with `count` frames on two interfaces, and the offsets at which its packet blocks end.
pub(super) fn pcapng_of(count: u32) -> (Vec<u8>, Vec<usize>) {
    let mut writer = Writer::new(ByteOrder::Big);
    writer.section();
    writer.interface(1, 0, &[(2, b"west")]);
    writer.interface(101, 0, &[(9, &[9])]);
    let mut ends = Vec::new();
    for number in 0..count {
        let frame = vec![number as u8; 20 + number as usize % 50];
        writer.enhanced(number % 2, u64::from(number) + 1_000_000, frame.len() as u32, &frame);
        ends.push(writer.bytes.len());
    }
    (writer.bytes, ends)
}
