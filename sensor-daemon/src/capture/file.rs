//! Capture files: pcap and pcapng, plain or compressed.
//!
//! The readers of the two formats ([`pcap`], [`pcapng`]) are functions of bytes: given a window of the file they hand
//! over the frames that are whole in it and say how much they took and why they stopped. [`input`] keeps the window over
//! what [`reader`] gives, block by block, read when it is needed or by a thread of its own ([`ahead`]).
//! So a frame is handed over where it was read to, and a fault shows with its offset after everything before it.

mod ahead;
mod block;
mod byte_order;
mod input;
mod pcap;
mod pcapng;
mod reader;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use self::input::Input;
use super::{Each, FileSettings, Interface, Progress, Source, SourceError};
use crate::language::{Message, Phrase};

/// Most frames of a batch.
const BATCH_FRAMES: usize = 1024;

/// A capture file as a source of frames.
pub struct FileSource {
    name: String,
    input: Input,
    format: Box<dyn Format>,
    ended: bool,
}

/// A file format: the state of reading it.
trait Format: Send {
    /// Hands over the whole frames at the beginning of `window`, at most a batch of them.
    fn run(&mut self, window: &[u8], each: &mut Each<'_>) -> Run;

    /// Interfaces seen so far, with their counts.
    fn interfaces(&self) -> Vec<Interface>;

    /// A link type that is not supported, if no frame of the file had one that is.
    fn unsupported_link(&self) -> Option<u32> {
        None
    }
}

/// What a format reader did with a window.
struct Run {
    /// Bytes done with.
    taken: usize,
    /// Frames handed over.
    frames: usize,
    /// Why it stopped.
    stop: Stop,
}

/// Why a format reader stopped.
enum Stop {
    /// The batch is full.
    Batch,
    /// The next record needs this many bytes, as far as known.
    Need(usize),
    /// The next record makes no sense.
    Fault(Phrase),
}

impl FileSource {
    /// Opens a capture file and reads its header. The format, and gzip or zstd around it, is told by the first bytes.
    ///
    /// # Errors
    /// It cannot be opened or read, is no capture, or (pcap) has a link type that Vigía does not decode.
    pub fn open(path: &Path, settings: &FileSettings) -> Result<Self, SourceError> {
        let name = path.display().to_string();
        let input = Input::open(path, settings).map_err(|cause| SourceError::Open { name: name.clone(), cause })?;
        Self::start(name, input, settings)
    }

    /// The same from any reader; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`FileSource::open`].
    pub fn from_reader(
        name: &str,
        reader: impl io::Read + Send + 'static,
        settings: &FileSettings,
    ) -> Result<Self, SourceError> {
        let input = Input::new(Box::new(reader), settings)
            .map_err(|cause| SourceError::Open { name: name.to_owned(), cause })?;
        Self::start(name.to_owned(), input, settings)
    }

    fn start(name: String, mut input: Input, settings: &FileSettings) -> Result<Self, SourceError> {
        let mut header = |need| match input.fill(need) {
            Ok(_) => Ok(input.window().to_vec()),
            Err(cause) => Err(SourceError::Read { name: name.clone(), offset: 0, cause }),
        };
        let magic = header(4)?;
        let (format, header_bytes): (Box<dyn Format>, usize) = match Kind::of(&magic) {
            None => return Err(SourceError::NotACapture { name, found: describe(&magic) }),
            Some(Kind::Pcapng) => (Box::new(pcapng::Pcapng::new(settings)), 0),
            Some(Kind::Pcap) => {
                let bytes = header(pcap::HEADER_BYTES)?;
                let Some(bytes) = bytes.first_chunk() else {
                    let (needed, available) = (pcap::HEADER_BYTES, bytes.len());
                    return Err(SourceError::Truncated { name, offset: 0, needed, available });
                };
                (Box::new(pcap::Pcap::new(&name, bytes, settings)?), pcap::HEADER_BYTES)
            }
        };
        input.take(header_bytes);
        Ok(Self { name, input, format, ended: false })
    }

    /// Has the rest of the file read, and decompressed, by a thread of its own while its frames are worked on. What the
    /// source gives, and how it ends, stays the same. The thread ends with the file or with the source.
    #[must_use]
    pub fn read_ahead(self) -> Self {
        Self { input: self.input.read_ahead(), ..self }
    }

    /// How far it is: bytes read of the file as it is on disk (compressed), and its size, 0 if unknown.
    pub fn position(&self) -> (u64, u64) {
        (self.input.file_position(), self.input.file_size())
    }

    fn advance(&mut self, each: &mut Each<'_>) -> Result<Progress, SourceError> {
        loop {
            let run = self.format.run(self.input.window(), each);
            self.input.take(run.taken);
            if run.frames > 0 {
                // A fault behind these frames shows again in the next call.
                return Ok(Progress::Frames(run.frames));
            }
            let needed = match run.stop {
                Stop::Batch => continue,
                Stop::Need(bytes) => bytes,
                Stop::Fault(what) => {
                    return Err(SourceError::Corrupt { name: self.name.clone(), offset: self.input.offset(), what });
                }
            };
            let available = self.input.fill(needed).map_err(|cause| SourceError::Read {
                name: self.name.clone(),
                offset: self.input.offset() + self.input.window().len() as u64,
                cause,
            })?;
            if available == 0 {
                return self.finish();
            }
            if available < needed {
                let (name, offset) = (self.name.clone(), self.input.offset());
                return Err(SourceError::Truncated { name, offset, needed, available });
            }
        }
    }

    fn finish(&self) -> Result<Progress, SourceError> {
        match self.format.unsupported_link() {
            Some(number) => Err(unsupported_link(&self.name, number)),
            None => Ok(Progress::End),
        }
    }
}

impl Source for FileSource {
    fn batch(&mut self, each: &mut Each<'_>) -> Result<Progress, SourceError> {
        if self.ended {
            return Ok(Progress::End);
        }
        let progress = self.advance(each);
        self.ended = !matches!(progress, Ok(Progress::Frames(_)));
        progress
    }

    fn interfaces(&mut self) -> Vec<Interface> {
        self.format.interfaces()
    }
}

/// Whether the file's first bytes are those of a capture, plain or compressed. What cannot be read is none.
pub fn is_capture(path: &Path) -> bool {
    let peek = || {
        let mut input = Input::open(path, &FileSettings { read_bytes: 4096, ..FileSettings::default() })?;
        input.fill(4)?;
        io::Result::Ok(Kind::of(input.window()).is_some())
    };
    peek().unwrap_or(false)
}

#[derive(Clone, Copy)]
enum Kind {
    Pcap,
    Pcapng,
}

impl Kind {
    fn of(bytes: &[u8]) -> Option<Self> {
        let magic = u32::from_be_bytes(*bytes.first_chunk()?);
        match magic {
            pcapng::SECTION_HEADER => Some(Self::Pcapng),
            _ if pcap::Variant::of(magic).is_some() => Some(Self::Pcap),
            _ => None,
        }
    }
}

fn describe(magic: &[u8]) -> Phrase {
    match magic {
        [] => Message::FoundNothing.into(),
        bytes => {
            let hex: Vec<_> = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            Message::FoundBytes.with([hex.join(" ").into()])
        }
    }
}

fn unsupported_link(name: &str, number: u32) -> SourceError {
    SourceError::UnsupportedLink { name: name.to_owned(), number, known_as: link_name(number) }
}

/// The usual name of a LINKTYPE that Vigía does not decode, for messages.
fn link_name(number: u32) -> Phrase {
    let name = match number {
        147..=162 => return Message::LinkPrivate.into(),
        3 => "AX.25",
        6 => "Token Ring",
        7 => "ARCNET",
        8 => "SLIP",
        10 => "FDDI",
        51 => "PPPoE",
        105 => "IEEE 802.11",
        107 => "Frame Relay",
        119 => "IEEE 802.11 with Prism header",
        127 => "IEEE 802.11 with radiotap",
        143 => "DOCSIS",
        165 => "BACnet MS/TP",
        187 | 201 | 251 | 254 | 255 => "Bluetooth",
        189 | 220 | 249 => "USB",
        190 | 227 => "CAN",
        195 | 215 | 230 | 283 => "IEEE 802.15.4",
        239 => "netfilter log",
        242 => "IP over InfiniBand",
        253 => "netlink",
        _ => return Message::LinkNameless.into(),
    };
    Message::Verbatim.with([name.into()])
}

/// A frame and its length on the wire without the frame check sequence that the file says it ends with. A frame that
/// is longer than its stated wire length is believed to be as long as it is.
fn settle_lengths(frame: &[u8], wire_length: u32, fcs_bytes: u8) -> (&[u8], u32) {
    if fcs_bytes == 0 {
        return (frame, wire_length.max(frame.len() as u32));
    }
    let wire_length = wire_length.saturating_sub(u32::from(fcs_bytes));
    (frame.get(..wire_length as usize).unwrap_or(frame), wire_length)
}
