//! Capture through libpcap: a fallback for live interfaces, and a second opinion on capture files in tests.
//!
//! One thread. An interface that goes down ends the source with an error; rings wait for it instead.

use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::time::Duration;

use pcap::{Activated, Active, Capture, Error, Offline, Precision};
use vigia_parsers::Timestamp;
use vigia_parsers::packet::{Captured, LinkType};

use super::live::Queue;
use super::{Each, Interface, InterfaceId, InterfaceSettings, Progress, Settings, Source, SourceCounts, SourceError};
use crate::language::Message;

/// Most frames of a batch from one interface.
const BATCH_FRAMES: usize = 1024;

/// A capture file, read by libpcap.
pub struct LibpcapFile {
    handle: Handle<Offline>,
    number: u64,
}

struct Handle<State: Activated> {
    name: String,
    capture: Capture<State>,
    link: LinkType,
    counts: SourceCounts,
    /// libpcap's counters at the last look; they wrap.
    dropped: u32,
    /// Why it gave no more, if that was behind frames which the caller is to have first.
    stopped: Option<Error>,
}

/// Opens an interface for one worker.
///
/// # Errors
/// What libpcap says, or a link type that Vigía does not decode.
pub(super) fn open(interface: &InterfaceSettings, settings: &Settings) -> Result<Box<dyn Queue>, SourceError> {
    let name = interface.name.as_str();
    let ring_bytes = u64::from(settings.block_count) * u64::from(settings.block_bytes);
    let open = || {
        let capture = Capture::from_device(name)?
            .promisc(interface.promiscuous)
            .snaplen(settings.snaplen as i32)
            .timeout(settings.block_timeout_ms as i32)
            .buffer_size(i32::try_from(ring_bytes).unwrap_or(i32::MAX))
            .precision(Precision::Nano)
            .open()?
            .setnonblock()?;
        if interface.ignore_outgoing {
            capture.direction(pcap::Direction::In)?;
        }
        Ok(capture)
    };
    Ok(Box::new(Handle::new(name, open().map_err(|error| library_error(name, error))?)?))
}

/// Opens a capture file with libpcap.
///
/// # Errors
/// What libpcap says, or a link type that Vigía does not decode.
pub fn open_file(path: &Path) -> Result<LibpcapFile, SourceError> {
    let name = path.display().to_string();
    let capture = Capture::from_file_with_precision(path, Precision::Nano);
    let capture = capture.map_err(|error| library_error(&name, error))?;
    Ok(LibpcapFile { handle: Handle::new(&name, capture)?, number: 0 })
}

impl<State: Activated> Handle<State> {
    fn new(name: &str, capture: Capture<State>) -> Result<Self, SourceError> {
        let number = capture.get_datalink().0.cast_unsigned();
        let Some(link) = LinkType::from_number(number) else {
            let known_as = Message::LinkDlt.into();
            return Err(SourceError::UnsupportedLink { name: name.to_owned(), number, known_as });
        };
        Ok(Self { name: name.to_owned(), capture, link, counts: SourceCounts::default(), dropped: 0, stopped: None })
    }

    /// Hands over the frames that are there, a batch at most.
    fn read(&mut self, interface: InterfaceId, number: &mut u64, each: &mut Each<'_>) -> Result<usize, Error> {
        if let Some(stop) = self.stopped.take() {
            return Err(stop);
        }
        for frames in 0..BATCH_FRAMES {
            let packet = match self.capture.next_packet() {
                Ok(packet) => packet,
                Err(stop) if frames == 0 => return Err(stop),
                Err(stop) => {
                    self.stopped = Some(stop);
                    return Ok(frames);
                }
            };
            *number += 1;
            self.counts.received += 1;
            self.counts.bytes += packet.data.len() as u64;
            let captured = Captured {
                number: *number,
                // libpcap takes a file's 32 bits of seconds for signed; they last until 2106 without. With nanosecond
                // precision the field of microseconds holds nanoseconds.
                timestamp: Timestamp::new(u64::from(packet.header.ts.tv_sec as u32), packet.header.ts.tv_usec as u32),
                link: self.link,
                frame: packet.data,
                wire_length: packet.header.len.max(packet.header.caplen),
                stripped_vlan: None,
            };
            each(&captured, interface);
        }
        Ok(BATCH_FRAMES)
    }

    fn report(&mut self) -> Interface {
        if let Ok(statistics) = self.capture.stats() {
            self.counts.kernel_dropped += u64::from(statistics.dropped.wrapping_sub(self.dropped));
            self.dropped = statistics.dropped;
        }
        Interface { name: self.name.clone(), counts: self.counts, fault: None }
    }
}

impl Source for LibpcapFile {
    fn batch(&mut self, each: &mut Each<'_>) -> Result<Progress, SourceError> {
        match self.handle.read(0, &mut self.number, each) {
            Ok(frames) => Ok(Progress::Frames(frames)),
            Err(Error::NoMorePackets) => Ok(Progress::End),
            Err(error) => Err(library_error(&self.handle.name, error)),
        }
    }

    fn interfaces(&mut self) -> Vec<Interface> {
        vec![self.handle.report()]
    }
}

impl Queue for Handle<Active> {
    /// It has taken frames since it was opened.
    fn admit(&mut self) -> Result<(), SourceError> {
        Ok(())
    }

    fn drain(&mut self, interface: InterfaceId, number: &mut u64, each: &mut Each<'_>) -> Result<usize, SourceError> {
        match self.read(interface, number, each) {
            Ok(frames) => Ok(frames),
            Err(Error::TimeoutExpired) => Ok(0),
            Err(error) => Err(library_error(&self.name, error)),
        }
    }

    fn descriptors(&self, each: &mut dyn FnMut(RawFd)) {
        each(self.capture.as_raw_fd());
    }

    fn look_after(&mut self, _failed: bool) {}

    /// It stays open, since with a new filter libpcap would leave out what waits: the end is when nothing does.
    fn close(&mut self) {}

    fn lag(&self) -> Duration {
        Duration::ZERO
    }

    fn report(&mut self) -> Interface {
        Handle::report(self)
    }
}

fn library_error(name: &str, error: Error) -> SourceError {
    SourceError::Live { name: name.to_owned(), what: Message::StepLibpcap, cause: std::io::Error::other(error) }
}
