//! The tap in front of packet sockets: in the driver where it can be there, as a filter on the sockets elsewhere.
//!
//! Behind the driver (generic XDP) it would spare nothing that the filter does not: the kernel has made a packet of the frame
//! by then, and would have to make another one that a program of XDP can be shown.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use super::InterfaceSettings;
use super::interface::{self, Control};
use super::probes::ProbeError;
use super::probes::tap::{Mode, Tap};

/// What reads behind the tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// Packet sockets that take a filter of ours.
    Rings,
    /// Others.
    #[cfg_attr(not(feature = "libpcap"), expect(dead_code, reason = "libpcap alone"))]
    Library,
}

/// The tap on an interface that packet sockets read from.
pub(super) struct Inlet {
    tap: Arc<Tap>,
    interface: InterfaceSettings,
    /// The machine itself is reached over the interface: in the driver the tap would cut it off.
    host: bool,
    reader: Reader,
    entered: Mutex<Option<Entered>>,
}

/// The interface that the tap is on.
struct Entered {
    number: u32,
    filter: Option<Arc<OwnedFd>>,
}

impl Inlet {
    pub(super) fn new(tap: &Arc<Tap>, interface: &InterfaceSettings, host: bool, reader: Reader) -> Self {
        Self { tap: Arc::clone(tap), interface: interface.clone(), host, reader, entered: Mutex::default() }
    }

    /// Puts the tap on the interface that now has the name, if it is not there yet, and holds its frames until
    /// [`Inlet::open`]. Gives the filter that each socket is to have; `None` where the tap is before all of them.
    ///
    /// # Errors
    /// The tap cannot be there: frames come without it.
    pub(super) fn enter(&self) -> Result<Option<Arc<OwnedFd>>, ProbeError> {
        let name = self.interface.name.as_str();
        let number = interface::index(name).unwrap_or_default();
        let mut entered = self.entered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = entered.as_ref().filter(|there| there.number == number) {
            self.tap.hold(name)?;
            return Ok(there.filter.clone());
        }
        *entered = None;
        let filter = match self.attach() {
            Ok(()) => None,
            Err(_) if self.reader == Reader::Rings => {
                let filter = self.tap.filter(name, !self.interface.ignore_outgoing)?;
                // The filter is to see the frames that the interface counts.
                if let Err(error) = Control::open().and_then(|control| control.keep_frames_apart(name)) {
                    tracing::warn!(interface = name, "segments may be joined before capture (GRO): {error}");
                }
                Some(Arc::new(filter))
            }
            Err(error) => return Err(error),
        };
        *entered = Some(Entered { number, filter: filter.clone() });
        Ok(filter)
    }

    /// In the driver.
    fn attach(&self) -> Result<(), ProbeError> {
        let name = self.interface.name.as_str();
        let unfit = |why: &str| ProbeError::because("attaching the tap", why);
        if self.host {
            return Err(unfit("the interface has an address of its own"));
        }
        if !self.interface.ignore_outgoing {
            return Err(unfit("frames that this machine sends are asked for, and it does not see them"));
        }
        if !interface::is_ethernet(name) {
            return Err(unfit("the interface is not Ethernet"));
        }
        let control = Control::open().map_err(ProbeError::of("asking about the interface"))?;
        control.keep_vlan_tags(name).map_err(ProbeError::of("having it leave VLAN tags in the frames"))?;
        let modes: &[Mode] = match self.reader {
            Reader::Rings => &[Mode::Native],
            Reader::Library => &[Mode::Native, Mode::Generic],
        };
        self.tap.attach(name, None, modes)?;
        // Attaching may have the driver join segments.
        control.keep_frames_apart(name).map_err(ProbeError::of("having it keep frames apart"))
    }

    /// Lets frames through: all who are to read do.
    pub(super) fn open(&self) {
        let name = self.interface.name.as_str();
        if let Err(error) = self.tap.open(name) {
            tracing::warn!(interface = name, "{error}");
        }
    }

    /// Takes the tap off.
    pub(super) fn leave(&self) {
        // What cannot be taken off now goes with the program.
        let _ = self.tap.detach(&self.interface.name);
    }
}
