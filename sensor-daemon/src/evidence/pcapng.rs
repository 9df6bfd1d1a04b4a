//! Evidence as a capture file: writing pcapng (draft-ietf-opsawg-pcapng), and reading its comments back.

use std::collections::HashMap;
use std::io::{self, Read};

use vigia_parsers::Timestamp;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// Options: of every block, of the section header, of an interface.
const END: u16 = 0;
const COMMENT: u16 = 1;
const HARDWARE: u16 = 2;
const SYSTEM: u16 = 3;
const APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const RESOLUTION: u16 = 9;

/// Type and length before a block's body, the length again behind it.
const OVERHEAD: usize = 12;

/// Bytes of a packet's block before the packet, and of a whole one without it.
const PACKET_OVERHEAD: usize = OVERHEAD + 20;

/// A packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'f> {
    pub(super) timestamp: Timestamp,
    pub(super) link: u16,
    pub(super) interface: u16,
    pub(super) wire_length: u32,
    pub(super) bytes: &'f [u8],
}

/// The blocks behind a file's section header, being written.
#[derive(Debug, Default)]
pub(super) struct Body {
    bytes: Vec<u8>,
    /// The number in the file of each interface and link type.
    interfaces: HashMap<(u16, u16), u32>,
    /// Where the last packet's block begins.
    last: Option<usize>,
}

impl Body {
    /// Appends a packet; of an interface that it is the first of, `name` tells the name.
    pub(super) fn packet<'n>(&mut self, frame: &Frame<'_>, name: impl FnOnce() -> &'n str) {
        let next = self.interfaces.len() as u32;
        let interface = *self.interfaces.entry((frame.interface, frame.link)).or_insert_with(|| {
            let mut body = Vec::from(frame.link.to_le_bytes());
            // No limit on the length of packets.
            body.extend([0; 6]);
            option(&mut body, INTERFACE_NAME, name().as_bytes());
            // Nanoseconds.
            option(&mut body, RESOLUTION, &[9]);
            option(&mut body, END, &[]);
            block(&mut self.bytes, INTERFACE_DESCRIPTION, &body);
            next
        });
        self.last = Some(self.bytes.len());
        let (high, low) = ((frame.timestamp.0 >> 32) as u32, frame.timestamp.0 as u32);
        let length = PACKET_OVERHEAD + frame.bytes.len().next_multiple_of(4);
        let words = [ENHANCED_PACKET, length as u32, interface, high, low, frame.bytes.len() as u32, frame.wire_length];
        words.iter().for_each(|word| self.bytes.extend(word.to_le_bytes()));
        padded(&mut self.bytes, frame.bytes);
        self.bytes.extend((length as u32).to_le_bytes());
    }

    /// Puts a comment on the packet appended last.
    pub(super) fn comment(&mut self, text: &[u8]) {
        let Some(start) = self.last else { return };
        let word = |bytes: &[u8], at: usize| bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
        let Some(captured) = word(&self.bytes, start + 20).map(u32::from_le_bytes) else { return };
        let plain = start + PACKET_OVERHEAD + (captured as usize).next_multiple_of(4);
        // The length behind, and what ends the options, if there are any.
        let taken = if self.bytes.len() > plain { 8 } else { 4 };
        self.bytes.truncate(self.bytes.len() - taken);
        option(&mut self.bytes, COMMENT, text);
        option(&mut self.bytes, END, &[]);
        let length = (self.bytes.len() + 4 - start) as u32;
        self.bytes.extend(length.to_le_bytes());
        if let Some(stated) = self.bytes.get_mut(start + 4..start + 8) {
            stated.copy_from_slice(&length.to_le_bytes());
        }
    }

    /// Bytes that a packet takes.
    pub(super) fn cost(bytes: usize) -> usize {
        PACKET_OVERHEAD + bytes.next_multiple_of(4)
    }

    /// Bytes up to now.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Who captured: hardware and system, where the machine that writes is the one that captured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// The machine.
    pub(super) hardware: String,
    /// Its system.
    pub(super) system: String,
}

impl Origin {
    /// This machine.
    pub(super) fn of_this_machine() -> Self {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let system = format!("{} {}", std::env::consts::OS, release.trim());
        Self { hardware: std::env::consts::ARCH.to_owned(), system }
    }
}

/// A file's section header, with comments on the whole of it.
pub(super) fn section<'c>(origin: &Origin, comments: impl IntoIterator<Item = &'c [u8]>) -> Vec<u8> {
    let mut body = Vec::from(BYTE_ORDER_MAGIC.to_le_bytes());
    // Version 1.0; how long the section is, the file tells.
    body.extend([1, 0, 0, 0]);
    body.extend([0xff; 8]);
    let application = format!("vigia {}", env!("CARGO_PKG_VERSION"));
    comments.into_iter().for_each(|comment| option(&mut body, COMMENT, comment));
    for (code, text) in [(HARDWARE, &origin.hardware), (SYSTEM, &origin.system), (APPLICATION, &application)] {
        if !text.is_empty() {
            option(&mut body, code, text.as_bytes());
        }
    }
    option(&mut body, END, &[]);
    let mut section = Vec::new();
    block(&mut section, SECTION_HEADER, &body);
    section
}

fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = (OVERHEAD + body.len()) as u32;
    out.extend(kind.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend(body);
    out.extend(length.to_le_bytes());
}

/// An option; what is longer than one can be is cut.
fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..value.len().min(usize::from(u16::MAX))).unwrap_or_default();
    out.extend(code.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    padded(out, value);
}

fn padded(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(bytes);
    out.extend(&[0; 3][..bytes.len().next_multiple_of(4) - bytes.len()]);
}

/// What a file of evidence says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Comments on the whole file.
    pub of_file: Vec<String>,
    /// Comments on packets, in their order.
    pub of_packets: Vec<String>,
    /// Packets.
    pub packets: u64,
}

/// Reads what a file of evidence says of itself.
///
/// # Errors
/// It cannot be read, or is none of those that [`Body`] writes.
pub fn read(mut file: impl Read) -> io::Result<Told> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "no file of evidence");
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let mut rest = bytes.as_slice();
    let mut told = Told::default();
    while let Some(([kind, length], _)) = words::<2>(rest) {
        let (block, after) = rest.split_at_checked(length as usize).ok_or_else(wrong)?;
        // One that is shorter than its own lengths has no body, and ends the reading.
        let body = block.get(8..block.len().saturating_sub(4)).ok_or_else(wrong)?;
        match kind {
            SECTION_HEADER => told.of_file.extend(comments(body.get(16..).ok_or_else(wrong)?)),
            ENHANCED_PACKET => {
                let ([.., captured, _], _) = words::<5>(body).ok_or_else(wrong)?;
                let options = body.get(20 + (captured as usize).next_multiple_of(4)..).ok_or_else(wrong)?;
                told.of_packets.extend(comments(options));
                told.packets += 1;
            }
            _ => {}
        }
        rest = after;
    }
    if told.of_file.is_empty() { Err(wrong()) } else { Ok(told) }
}

fn words<const N: usize>(bytes: &[u8]) -> Option<([u32; N], &[u8])> {
    let (words, rest) = bytes.split_at_checked(4 * N)?;
    let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| words[4 * at + byte]));
    Some((std::array::from_fn(word), rest))
}

/// The comments among the options of a block.
fn comments(mut options: &[u8]) -> impl Iterator<Item = String> {
    std::iter::from_fn(move || {
        loop {
            let (&[c0, c1, l0, l1], rest) = options.split_first_chunk::<4>()?;
            let (code, length) = (u16::from_le_bytes([c0, c1]), usize::from(u16::from_le_bytes([l0, l1])));
            let value = rest.get(..length)?;
            options = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            match code {
                END => return None,
                COMMENT => return Some(String::from_utf8_lossy(value).into_owned()),
                _ => {}
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::capture::file::FileSource;
    use crate::capture::{FileSettings, Progress, Source as _};

    proptest! {
        /// What is written, the sensor's own reader of captures reads back, and the comments are found again.
        #[test]
        fn packets_and_comments_read_back(
            frames in proptest::collection::vec(
                (0u64..1 << 62, 0u16..3, 0u32..1000, proptest::collection::vec(any::<u8>(), 1..200), proptest::collection::vec("[a-zñ]{0,40}", 0..3)),
                1..30,
            ),
        ) {
            let mut body = Body::default();
            for (time, interface, more, bytes, comments) in &frames {
                let wire_length = bytes.len() as u32 + more;
                let frame = Frame { timestamp: Timestamp(*time), link: 1, interface: *interface, wire_length, bytes };
                let before = body.len();
                let described = body.interfaces.len();
                body.packet(&frame, || "tap");
                if body.interfaces.len() == described {
                    prop_assert_eq!(body.len() - before, Body::cost(bytes.len()));
                }
                comments.iter().for_each(|comment| body.comment(comment.as_bytes()));
            }
            let mut file = section(&Origin::of_this_machine(), [&b"of all"[..], b"and more"]);
            file.extend(body.into_bytes());

            let told = read(file.as_slice()).unwrap();
            prop_assert_eq!(&told.of_file, &["of all", "and more"]);
            let comments: Vec<_> = frames.iter().flat_map(|frame| frame.4.clone()).collect();
            prop_assert_eq!((told.of_packets, told.packets), (comments, frames.len() as u64));

            let mut source =
                FileSource::from_reader("evidence", io::Cursor::new(file), &FileSettings::default()).unwrap();
            let mut read = Vec::new();
            let mut each = |captured: &vigia_parsers::packet::Captured<'_>, _: u16| {
                read.push((captured.timestamp.0, captured.wire_length, captured.frame.to_vec()));
            };
            while source.batch(&mut each).unwrap() != Progress::End {}
            let written = frames.iter().map(|(time, _, more, bytes, _)| (*time, bytes.len() as u32 + more, bytes.clone()));
            prop_assert_eq!(read, written.collect::<Vec<_>>());
            prop_assert!(source.interfaces().iter().all(|interface| interface.name == "tap"));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(bytes.as_slice());
            let mut file = section(&Origin::default(), [&b"x"[..]]);
            file.extend(bytes);
            let _ = read(file.as_slice());
        }
    }
}
