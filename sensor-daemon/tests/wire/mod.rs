//! Frames, sessions and capture files made by hand, so that tests do not depend on files of others; and what they run.
#![allow(dead_code, unreachable_pub)] // Every test uses its own part of this.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Direction of a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
}

/// An address and a port.
pub type End = ([u8; 4], u16);

/// An Ethernet frame with `tags` between the addresses and the type.
pub fn ethernet(tags: &[u8], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1][..], tags, &ethertype.to_be_bytes(), payload].concat()
}

/// The same as a PRP frame over LAN A (0) or B (1).
pub fn prp(mut frame: Vec<u8>, sequence: u16, lan: u16) -> Vec<u8> {
    frame.resize(frame.len().max(60), 0);
    let length = frame.len() as u16 - 14 + 6;
    for word in [sequence, (0xa | lan) << 12 | length, 0x88fb] {
        frame.extend(word.to_be_bytes());
    }
    frame
}

/// An IPv4 packet; `fragment` is the field of flags and offset.
pub fn ipv4(protocol: u8, from: [u8; 4], to: [u8; 4], id: u16, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    for word in [20 + payload.len() as u16, id, fragment] {
        packet.extend(word.to_be_bytes());
    }
    packet.extend([64, protocol, 0, 0]);
    packet.extend(from);
    packet.extend(to);
    let sum: u32 = packet.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    let checksum = !((sum >> 16) + (sum & 0xffff)) as u16;
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet.extend(payload);
    packet
}

/// The same in fragments of `size` bytes, a multiple of eight.
pub fn fragments(protocol: u8, from: [u8; 4], to: [u8; 4], id: u16, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let count = payload.len().div_ceil(size);
    let piece = |(at, piece): (usize, &[u8])| {
        let more = if at + 1 < count { 0x2000 } else { 0 };
        ipv4(protocol, from, to, id, more | (at * size / 8) as u16, piece)
    };
    payload.chunks(size).enumerate().map(piece).collect()
}

/// A UDP datagram without a checksum.
pub fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let words = [from, to, 8 + payload.len() as u16, 0];
    words.iter().flat_map(|word| word.to_be_bytes()).chain(payload.iter().copied()).collect()
}

/// A TCP session whose segments are made one by one.
#[derive(Clone)]
pub struct Session {
    pub client: End,
    pub server: End,
    pub tags: [Vec<u8>; 2],
    next: [u32; 2],
    id: u16,
}

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PUSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

impl Session {
    pub fn new(client: End, server: End) -> Self {
        let id = client.1.wrapping_mul(31) ^ u16::from(client.0[3]) << 8;
        Self { client, server, tags: Default::default(), next: [1000, 9000], id }
    }

    /// SYN, SYN+ACK, ACK.
    pub fn handshake(&mut self) -> [Vec<u8>; 3] {
        [
            self.segment(Way::ToServer, SYN, &[]),
            self.segment(Way::ToClient, SYN | ACK, &[]),
            self.segment(Way::ToServer, ACK, &[]),
        ]
    }

    /// A segment with payload.
    pub fn say(&mut self, way: Way, payload: &[u8]) -> Vec<u8> {
        self.segment(way, ACK | PUSH, payload)
    }

    /// Bytes of this direction that the tap does not see.
    pub fn lose(&mut self, way: Way, bytes: u32) {
        self.next[way as usize] += bytes;
    }

    pub fn segment(&mut self, way: Way, flags: u8, payload: &[u8]) -> Vec<u8> {
        let (from, to) = match way {
            Way::ToServer => (self.client, self.server),
            Way::ToClient => (self.server, self.client),
        };
        let (own, other) = (self.next[way as usize], self.next[1 - way as usize]);
        let mut segment = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
        segment.extend(own.to_be_bytes());
        segment.extend(other.to_be_bytes());
        segment.extend([0x50, flags, 0x10, 0, 0, 0, 0, 0]);
        segment.extend(payload);
        self.next[way as usize] = own + payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        // A sender counts the identification up: copies are told from what is sent anew by it.
        self.id = self.id.wrapping_add(1).max(1);
        ethernet(&self.tags[way as usize], 0x0800, &ipv4(6, from.0, to.0, self.id, 0x4000, &segment))
    }
}

/// A Modbus/TCP message.
pub fn modbus(transaction: u16, pdu: &[u8]) -> Vec<u8> {
    let length = 1 + pdu.len() as u16;
    let words = [transaction, 0, length];
    words.iter().flat_map(|word| word.to_be_bytes()).chain([1]).chain(pdu.iter().copied()).collect()
}

/// A request to write a register, which is also its answer.
pub fn write_register(transaction: u16, register: u16, value: u16) -> Vec<u8> {
    let [a, b] = register.to_be_bytes();
    let [c, d] = value.to_be_bytes();
    modbus(transaction, &[6, a, b, c, d])
}

/// A request to read two registers, and its answer.
pub fn read_registers(transaction: u16) -> [Vec<u8>; 2] {
    [modbus(transaction, &[3, 0, 0, 0, 2]), modbus(transaction, &[3, 4, 0, 1, 0, 2])]
}

/// A DNP3 link frame of user data with its checksums (IEEE 1815, clause 9.2).
pub fn dnp3(control: u8, to: u16, from: u16, user: &[u8]) -> Vec<u8> {
    let mut header = vec![0x05, 0x64, 5 + user.len() as u8, control];
    header.extend(to.to_le_bytes());
    header.extend(from.to_le_bytes());
    let blocks = std::iter::once(&header[..]).chain(user.chunks(16));
    blocks.flat_map(|block| [block, &dnp3_crc(block)].concat()).collect()
}

fn dnp3_crc(block: &[u8]) -> [u8; 2] {
    let step = |crc: u16, _| if crc & 1 != 0 { crc >> 1 ^ 0xa6bc } else { crc >> 1 };
    let crc = block.iter().fold(0, |crc, byte| (0..8).fold(crc ^ u16::from(*byte), step));
    (!crc).to_le_bytes()
}

/// A pcap file with nanoseconds.
pub struct Capture {
    bytes: Vec<u8>,
    now_ns: u64,
}

/// 2026-01-02T03:04:05Z.
pub const START_S: u64 = 1_767_323_045;

impl Default for Capture {
    fn default() -> Self {
        let words = [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 65535, 1];
        Self { bytes: words.iter().flat_map(|word| word.to_le_bytes()).collect(), now_ns: START_S * 1_000_000_000 }
    }
}

impl Capture {
    /// Lets time pass.
    pub fn wait_ms(&mut self, milliseconds: u64) {
        self.now_ns += milliseconds * 1_000_000;
    }

    /// A frame, a millisecond after the one before.
    pub fn push(&mut self, frame: &[u8]) {
        self.wait_ms(1);
        let length = frame.len() as u32;
        let words = [(self.now_ns / 1_000_000_000) as u32, (self.now_ns % 1_000_000_000) as u32, length, length];
        self.bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        self.bytes.extend(frame);
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn write(&self, path: &Path) {
        std::fs::write(path, &self.bytes).unwrap();
    }
}

/// The binary, without this machine's configuration and language.
pub fn vigia() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vigia"));
    for name in ["VIGIA_CONFIG", "LC_ALL", "LC_MESSAGES", "LANG", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

/// A folder of the captures beside the project, if it is there.
pub fn shared(folder: &str) -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let found = workspace.parent()?.join("shared").join(folder);
    if !found.is_dir() {
        println!("skipped: no {folder} beside the project");
        return None;
    }
    Some(found)
}

/// Every file below a folder, in order.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
