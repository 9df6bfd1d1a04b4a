//! Where packets come from: capture files and live interfaces behind one trait, by batches.
//!
//! A [`Source`] is one queue of frames and belongs to one thread: a capture file ([`file`]), or one worker's share of
//! all live interfaces (`live`). An interface is captured by AF_XDP (`af_xdp`), AF_PACKET (`packet_ring`), or `libpcap`
//! under the feature of that name; [`chain`] chooses. Frames are borrowed from the
//! source's own memory; nothing is allocated or copied per packet.
//!
//! **Architecture invariants.** Unsafe code of the daemon stands in this folder only. Nothing here ever transmits.

#[cfg(target_os = "linux")]
mod af_xdp;
#[cfg(target_os = "linux")]
pub mod chain;
pub mod directory;
mod error;
pub mod file;
#[cfg(target_os = "linux")]
mod inlet;
#[cfg(target_os = "linux")]
pub mod interface;
#[cfg(feature = "libpcap")]
pub mod libpcap;
#[cfg(target_os = "linux")]
mod live;
#[cfg(target_os = "linux")]
mod packet_ring;
#[cfg(target_os = "linux")]
pub mod probes;
mod settings;
#[cfg(target_os = "linux")]
mod shed;
pub mod shunt;
#[cfg(target_os = "linux")]
mod system;
pub mod tap;
#[cfg(target_os = "linux")]
pub mod watch;

use std::path::Path;

use vigia_parsers::packet::Captured;

use crate::flow::duplicate;

pub use error::SourceError;
pub use settings::{Demand, FileSettings, InterfaceSettings, Settings, SettingsError};
pub use tap::TapSettings;

/// Which of a source's interfaces a frame came from: an index into [`Source::interfaces`].
pub type InterfaceId = u16;

/// What takes the frames of a batch, one call each. The frame's bytes are valid during the call only.
pub type Each<'e> = dyn FnMut(&Captured<'_>, InterfaceId) + 'e;

/// A queue of captured frames.
pub trait Source: Send {
    /// Hands the next frames to `each`, at most a batch of them (some thousand), and says how it went on.
    ///
    /// A live source waits for its poll timeout at most. A source that returned an error is at its end: what was
    /// before the fault has been handed over by earlier calls, and the next call gives [`Progress::End`].
    fn batch(&mut self, each: &mut Each<'_>) -> Result<Progress, SourceError>;

    /// Takes no more frames from a live interface. Those that the kernel took already are still handed over by
    /// [`Source::batch`], then comes [`Progress::End`]. A file has its own end.
    fn close(&mut self) {}

    /// The interfaces frames come from, with what was counted on each since the start. [`InterfaceId`] is the index.
    fn interfaces(&mut self) -> Vec<Interface>;

    /// How full it is: the share, 0 to 1, of its room for frames that is taken by frames not yet handed over, of its
    /// fullest ring. At 1 the kernel drops. This is the one sign of overload: who can do with less work looks at it. A
    /// file waits, so it is never full.
    fn fill(&self) -> f32 {
        0.0
    }

    /// The sum over all interfaces.
    fn counts(&mut self) -> SourceCounts {
        self.interfaces().iter().fold(SourceCounts::default(), |sum, interface| sum.plus(&interface.counts))
    }
}

/// How a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// This many frames were handed over, at least one.
    Frames(usize),
    /// Live: nothing came within the poll timeout. [`Interface::fault`] says whether an interface is down.
    Idle,
    /// There will be no more.
    End,
}

/// One interface of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interface {
    /// The name: of a live interface, or the one a pcapng file states; empty where the file has none.
    pub name: String,
    /// What was counted on it.
    pub counts: SourceCounts,
    /// Live: why nothing can come at the moment (interface down or gone); `None` while all is well.
    pub fault: Option<String>,
}

/// What a source counted, cumulative. `received + kernel_dropped + no_buffer + unsupported_link + malformed` is every
/// frame that reached the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourceCounts {
    /// Frames handed over.
    pub received: u64,
    /// Captured bytes of the frames handed over.
    pub bytes: u64,
    /// Frames the kernel dropped because the ring was full.
    pub kernel_dropped: u64,
    /// Times the ring was full and the kernel stopped writing to it.
    pub ring_freezes: u64,
    /// AF_XDP: frames the kernel dropped for want of a free buffer, or because they were longer than one.
    pub no_buffer: u64,
    /// AF_XDP: times the kernel found no free buffer. Where the interface itself writes the frames, what it lost then is in
    /// its own statistics.
    pub starved: u64,
    /// Frames of a pcapng file left out because their interface has a link type that Vigía does not decode.
    pub unsupported_link: u64,
    /// Frames of a ring left out because the descriptor did not make sense.
    pub malformed: u64,
    /// Times the interface went down or away.
    pub outages: u64,
}

impl SourceCounts {
    /// Field by field.
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            received: self.received + other.received,
            bytes: self.bytes + other.bytes,
            kernel_dropped: self.kernel_dropped + other.kernel_dropped,
            ring_freezes: self.ring_freezes + other.ring_freezes,
            no_buffer: self.no_buffer + other.no_buffer,
            starved: self.starved + other.starved,
            unsupported_link: self.unsupported_link + other.unsupported_link,
            malformed: self.malformed + other.malformed,
            outages: self.outages + other.outages,
        }
    }
}

/// Opens a capture file.
///
/// # Errors
/// As [`file::FileSource::open`].
pub fn open_file(path: &Path, settings: &FileSettings) -> Result<Box<dyn Source>, SourceError> {
    Ok(Box::new(file::FileSource::open(path, settings)?))
}

/// Opens the live interfaces: one source a worker, each with its share of every interface. Both directions of a flow
/// reach the same worker. `duplicates` says which frames are copies: the kernel discards them, where it can.
///
/// # Errors
/// Settings that cannot work, an interface that does not exist or cannot be captured on, or no right to.
#[cfg(target_os = "linux")]
pub fn open_live(settings: &Settings, duplicates: &duplicate::Settings) -> Result<chain::Live, SourceError> {
    settings.validate()?;
    if settings.interfaces.is_empty() {
        return Err(SourceError::NoInterfaces);
    }
    chain::open(settings, duplicates)
}
