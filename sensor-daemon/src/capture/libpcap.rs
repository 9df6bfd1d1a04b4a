//! Capture through libpcap: a fallback for live interfaces, and a second opinion on capture files in tests.
//!
//! One thread, all interfaces. An interface that goes down ends the source with an error; rings wait for it instead.

use std::os::fd::AsRawFd;
use std::path::Path;

use pcap::{Activated, Active, Capture, Error, Offline, Precision};
use vigia_parsers::Timestamp;
use vigia_parsers::packet::{Captured, LinkType};

use super::packet_ring::socket::wait;
use super::{Each, Interface, InterfaceId, Progress, Settings, Source, SourceCounts, SourceError};

/// Most frames of a batch from one interface.
const BATCH_FRAMES: usize = 1024;

/// Interfaces, or one file, read by libpcap.
pub struct LibpcapSource<State: Activated> {
    handles: Vec<Handle<State>>,
    number: u64,
    poll_timeout_ms: u32,
    closed: bool,
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

/// Opens all interfaces for one worker.
///
/// # Errors
/// What libpcap says, or a link type that Vigía does not decode.
pub fn open(settings: &Settings) -> Result<Vec<Box<dyn Source>>, SourceError> {
    let handles: Result<Vec<_>, _> = settings
        .interfaces
        .iter()
        .map(|interface| {
            let name = interface.name.as_str();
            let open = || {
                let capture = Capture::from_device(name)?
                    .promisc(interface.promiscuous)
                    .snaplen(settings.snaplen as i32)
                    .timeout(settings.block_timeout_ms as i32)
                    .buffer_size(
                        i32::try_from(u64::from(settings.block_count) * u64::from(settings.block_bytes))
                            .unwrap_or(i32::MAX),
                    )
                    .precision(Precision::Nano)
                    .open()?
                    .setnonblock()?;
                if interface.ignore_outgoing {
                    capture.direction(pcap::Direction::In)?;
                }
                Ok(capture)
            };
            Handle::new(name, open().map_err(|error| library_error(name, error))?)
        })
        .collect();
    Ok(vec![Box::new(LibpcapSource {
        handles: handles?,
        number: 0,
        poll_timeout_ms: settings.poll_timeout_ms,
        closed: false,
    })])
}

/// Opens a capture file with libpcap.
///
/// # Errors
/// What libpcap says, or a link type that Vigía does not decode.
pub fn open_file(path: &Path) -> Result<LibpcapSource<Offline>, SourceError> {
    let name = path.display().to_string();
    let capture = Capture::from_file_with_precision(path, Precision::Nano);
    let capture = capture.map_err(|error| library_error(&name, error))?;
    Ok(LibpcapSource { handles: vec![Handle::new(&name, capture)?], number: 0, poll_timeout_ms: 0, closed: false })
}

impl<State: Activated> Handle<State> {
    fn new(name: &str, capture: Capture<State>) -> Result<Self, SourceError> {
        let number = capture.get_datalink().0.cast_unsigned();
        let Some(link) = LinkType::from_number(number) else {
            let known_as = "libpcap's DLT number";
            return Err(SourceError::UnsupportedLink { name: name.to_owned(), number, known_as });
        };
        Ok(Self { name: name.to_owned(), capture, link, counts: SourceCounts::default(), dropped: 0, stopped: None })
    }

    /// Hands over the frames that are there, a batch at most.
    fn drain(&mut self, interface: InterfaceId, number: &mut u64, each: &mut Each<'_>) -> Result<usize, Error> {
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

impl<State: Activated> LibpcapSource<State> {
    /// Hands over a batch of each interface. `None` says that there was nothing.
    fn drain(&mut self, each: &mut Each<'_>) -> Result<Option<usize>, SourceError> {
        let mut frames = 0;
        for (index, handle) in self.handles.iter_mut().enumerate() {
            match handle.drain(index as InterfaceId, &mut self.number, each) {
                Ok(more) => frames += more,
                Err(Error::TimeoutExpired | Error::NoMorePackets) => {}
                Err(error) => return Err(library_error(&handle.name, error)),
            }
        }
        Ok((frames > 0).then_some(frames))
    }
}

impl Source for LibpcapSource<Offline> {
    fn batch(&mut self, each: &mut Each<'_>) -> Result<Progress, SourceError> {
        Ok(self.drain(each)?.map_or(Progress::End, Progress::Frames))
    }

    fn interfaces(&mut self) -> Vec<Interface> {
        self.handles.iter_mut().map(Handle::report).collect()
    }
}

impl Source for LibpcapSource<Active> {
    fn batch(&mut self, each: &mut Each<'_>) -> Result<Progress, SourceError> {
        if let Some(frames) = self.drain(each)? {
            return Ok(Progress::Frames(frames));
        }
        let sockets: Vec<_> = self.handles.iter().map(|handle| handle.capture.as_raw_fd()).collect();
        wait(&sockets, self.poll_timeout_ms).map_err(|cause| SourceError::Live {
            name: "all interfaces".to_owned(),
            what: "waiting for packets",
            cause,
        })?;
        Ok(match self.drain(each)? {
            Some(frames) => Progress::Frames(frames),
            None if self.closed => Progress::End,
            None => Progress::Idle,
        })
    }

    fn close(&mut self) {
        // It stays open, since with a new filter libpcap would leave out what waits: the end is when nothing does.
        self.closed = true;
    }

    fn interfaces(&mut self) -> Vec<Interface> {
        self.handles.iter_mut().map(Handle::report).collect()
    }
}

fn library_error(name: &str, error: Error) -> SourceError {
    SourceError::Live { name: name.to_owned(), what: "libpcap", cause: std::io::Error::other(error) }
}
