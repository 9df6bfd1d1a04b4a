//! By which way each interface is captured: the best that works there, or the one that the settings demand.
//!
//! This is the one place that knows the order. A way that does not work says why, and the next one is tried; what was chosen
//! and why nothing better was ([`Chosen`]) is told at the start, by `vigia status`, and as a metric.

use std::cell::OnceCell;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::af_xdp::{self, Copying, Refusal};
use super::interface::{self, Control};
use super::live::{LiveSource, Queue, live_error, no_interface};
use super::probes::tap::{Plan, Tap};
use super::probes::{ProbeError, fanout, guard::Guards};
use super::watch::Watch;
use super::{Demand, InterfaceSettings, Settings, Source, SourceError, packet_ring};
use crate::flow::duplicate;
use crate::language::{Message, Phrase};

/// A way to capture live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// AF_XDP; the interface writes the frames to our memory.
    AfXdpZeroCopy,
    /// AF_XDP; the kernel copies the frames to our memory.
    AfXdpCopy,
    /// AF_PACKET ring; one worker.
    AfPacket,
    /// AF_PACKET rings; frames shared out by our program.
    AfPacketEbpf,
    /// AF_PACKET rings; frames shared out by the kernel's own hash.
    AfPacketHash,
    /// libpcap; one worker.
    Libpcap,
}

impl Mode {
    /// Its name in settings, metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AfXdpZeroCopy => "af-xdp-zero-copy",
            Self::AfXdpCopy => "af-xdp-copy",
            Self::AfPacket => "af-packet",
            Self::AfPacketEbpf => "af-packet-ebpf",
            Self::AfPacketHash => "af-packet-hash",
            Self::Libpcap => "libpcap",
        }
    }
}

impl Demand {
    /// The ways that would do, best first. With one worker there is nothing to share out, and so one way of AF_PACKET.
    ///
    /// AF_XDP with copies stands behind AF_PACKET shared out by eBPF: both cost the kernel a copy, and the same memory
    /// bridges a longer stall with AF_PACKET, whose frames take what they need (ARCHITECTURE.md, "Decisions").
    fn ways(self, workers: u16) -> &'static [Mode] {
        use Mode::{AfPacket, AfPacketEbpf, AfPacketHash, AfXdpCopy, AfXdpZeroCopy, Libpcap};
        match (self, workers) {
            (Self::Auto, 0..=1) => &[AfXdpZeroCopy, AfPacket, AfXdpCopy, Libpcap],
            (Self::Auto, _) => &[AfXdpZeroCopy, AfPacketEbpf, AfXdpCopy, AfPacketHash, Libpcap],
            (Self::AfXdp, _) => &[AfXdpZeroCopy, AfXdpCopy],
            (Self::AfXdpZeroCopy, _) => &[AfXdpZeroCopy],
            (Self::AfXdpCopy, _) => &[AfXdpCopy],
            (Self::AfPacket | Self::AfPacketEbpf | Self::AfPacketHash, 0..=1) => &[AfPacket],
            (Self::AfPacket, _) => &[AfPacketEbpf, AfPacketHash],
            (Self::AfPacketEbpf, _) => &[AfPacketEbpf],
            (Self::AfPacketHash, _) => &[AfPacketHash],
            (Self::Libpcap, _) => &[Libpcap],
        }
    }
}

/// How an interface is captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The interface.
    pub interface: String,
    /// The way.
    pub mode: Mode,
    /// The better ways that were tried, each with why it is not to be had.
    pub refused: Vec<(Mode, Phrase)>,
}

impl Chosen {
    /// All of it as one sentence.
    pub fn sentence(&self) -> Phrase {
        let head = Message::CapturedBy.with([self.interface.as_str().into(), self.mode.name().into()]);
        append(head, &self.refused)
    }
}

fn append(head: Phrase, refused: &[(Mode, Phrase)]) -> Phrase {
    refused.iter().fold(head, |sentence, (mode, why)| {
        Message::CapturedNotBy.with([sentence.into(), mode.name().into(), why.clone().into()])
    })
}

/// Live interfaces, captured on.
pub struct Live {
    /// One source a worker.
    pub sources: Vec<Box<dyn Source>>,
    /// What is to be known of the interfaces beside their frames.
    pub watch: Watch,
}

/// Opens the interfaces. No frame is taken before the queues of all workers and interfaces stand, so none is seen by two.
///
/// # Errors
/// An interface that does not exist or can be captured on by none of the ways that would do.
pub(super) fn open(settings: &Settings, duplicates: &duplicate::Settings) -> Result<Live, SourceError> {
    let kernel = Kernel::new(settings, duplicates);
    let mut shares: Vec<Vec<Box<dyn Queue>>> = (0..settings.workers).map(|_| Vec::new()).collect();
    let mut chosen = Vec::new();
    for interface in &settings.interfaces {
        let (way, queues) = kernel.open(interface)?;
        shares.iter_mut().zip(queues).for_each(|(share, queue)| share.push(queue));
        chosen.push(way);
    }
    for queue in shares.iter_mut().flatten() {
        queue.admit()?;
    }
    let tap = kernel.tap.into_inner().and_then(Result::ok);
    if let Some(tap) = &tap {
        let opened = tap.open();
        opened.map_err(|error| live_error("all interfaces", "opening the tap", io::Error::other(error)))?;
    }
    let source = |queues| Box::new(LiveSource::new(queues, settings.poll_timeout_ms)) as Box<dyn Source>;
    let watch = Watch::new(chosen, kernel.guards, tap);
    Ok(Live { sources: shares.into_iter().map(source).collect(), watch })
}

/// What the ways need of the kernel, each loaded when the first one asks for it.
struct Kernel<'s> {
    settings: &'s Settings,
    duplicates: &'s duplicate::Settings,
    guards: Arc<Guards>,
    tap: OnceCell<Result<Arc<Tap>, ProbeError>>,
    fanout: OnceCell<Result<Arc<OwnedFd>, ProbeError>>,
}

impl<'s> Kernel<'s> {
    fn new(settings: &'s Settings, duplicates: &'s duplicate::Settings) -> Self {
        let guards = Arc::new(Guards::new(settings.guard));
        Self { settings, duplicates, guards, tap: OnceCell::new(), fanout: OnceCell::new() }
    }

    /// Captures on an interface by the first way that works.
    fn open(&self, interface: &InterfaceSettings) -> Result<(Chosen, Vec<Box<dyn Queue>>), SourceError> {
        let name = interface.name.as_str();
        let index = interface::index(name);
        index.ok_or_else(|| no_interface(name))?;
        // Before anything makes it talk: it may be down yet.
        self.guards.protect(name);
        let mut refused = Vec::new();
        for &mode in self.settings.mode.ways(self.settings.workers) {
            match self.attempt(mode, interface) {
                Ok(queues) => return Ok((Chosen { interface: name.to_owned(), mode, refused }, queues)),
                Err(Refusal::Failed(error @ SourceError::UnsupportedLink { .. })) => return Err(error),
                Err(Refusal::Unfit(why)) => refused.push((mode, why)),
                Err(Refusal::Failed(error)) => refused.push((mode, verbatim(&reason(&error)))),
            }
        }
        Err(SourceError::NoWay { reasons: append(Message::CapturedByNone.with([name.into()]), &refused) })
    }

    fn attempt(&self, mode: Mode, interface: &InterfaceSettings) -> Result<Vec<Box<dyn Queue>>, Refusal> {
        match mode {
            Mode::AfXdpZeroCopy => self.open_af_xdp(interface, Copying::Zero),
            Mode::AfXdpCopy => self.open_af_xdp(interface, Copying::Each),
            Mode::AfPacket | Mode::AfPacketHash => Ok(packet_ring::open(interface, self.settings, None, &self.guards)?),
            Mode::AfPacketEbpf => {
                let program = self.fanout.get_or_init(|| fanout::load().map(Arc::new)).as_ref().map_err(unloaded)?;
                Ok(packet_ring::open(interface, self.settings, Some(program), &self.guards)?)
            }
            Mode::Libpcap => open_libpcap(interface, self.settings),
        }
    }

    fn open_af_xdp(&self, interface: &InterfaceSettings, copying: Copying) -> Result<Vec<Box<dyn Queue>>, Refusal> {
        if !interface.ignore_outgoing {
            return Err(Refusal::Unfit(Message::WhyOutgoing.into()));
        }
        let kind = Control::open().and_then(|control| control.hardware_type(&interface.name));
        let kind = kind.map_err(|cause| live_error(&interface.name, "asking for the hardware type", cause))?;
        if kind != libc::ARPHRD_ETHER {
            return Err(Refusal::Unfit(Message::WhyNotEthernet.into()));
        }
        let tap = self.tap.get_or_init(|| self.load_tap()).as_ref().map_err(unloaded)?;
        af_xdp::open(interface, self.settings, copying, tap, &self.guards)
    }

    fn load_tap(&self) -> Result<Arc<Tap>, ProbeError> {
        // It steers frames to the workers' sockets, so it is there even if it is to drop none.
        let (settings, snaplen) = (self.settings.tap.clone(), self.settings.snaplen);
        let plan = match settings.enabled {
            true => Plan { settings, duplicates: self.duplicates.clone(), snaplen },
            false => Plan { settings: settings.without_drops(), duplicates: duplicate::Settings::none(), snaplen },
        };
        Tap::load(&plan).map(Arc::new)
    }
}

fn unloaded(error: &ProbeError) -> Refusal {
    Refusal::Unfit(error.phrase())
}

fn verbatim(text: &str) -> Phrase {
    Message::Verbatim.with([text.into()])
}

/// What an error says, without the name of the interface, which the sentence begins with.
fn reason(error: &SourceError) -> String {
    match error {
        SourceError::Live { what, cause, .. } => format!("{what}: {cause}"),
        other => other.to_string(),
    }
}

#[cfg(feature = "libpcap")]
fn open_libpcap(interface: &InterfaceSettings, settings: &Settings) -> Result<Vec<Box<dyn Queue>>, Refusal> {
    Ok(vec![super::libpcap::open(interface, settings)?])
}

#[cfg(not(feature = "libpcap"))]
fn open_libpcap(_: &InterfaceSettings, _: &Settings) -> Result<Vec<Box<dyn Queue>>, Refusal> {
    Err(Refusal::Unfit(Message::WhyNotBuilt.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    #[test]
    fn the_sentence_tells_the_way_and_why_no_better_one() {
        let refused = vec![
            (Mode::AfXdpZeroCopy, verbatim("binding to a queue: Operation not supported")),
            (Mode::AfPacketEbpf, Message::WhyNotEthernet.into()),
        ];
        let chosen = Chosen { interface: "tap0".to_owned(), mode: Mode::AfPacketHash, refused };
        insta::assert_snapshot!(chosen.sentence().text(Language::English));
        insta::assert_snapshot!(chosen.sentence().text(Language::Spanish));
    }

    #[test]
    fn every_demand_has_a_way_and_a_demanded_way_no_other() {
        for workers in [1, 4] {
            for demand in Demand::ALL {
                let ways = demand.ways(workers);
                assert!(!ways.is_empty());
                let name = serde_json::to_value(demand).unwrap();
                if let Some(way) = ways.iter().find(|way| way.name() == name) {
                    assert!(ways == [*way] || demand == Demand::AfPacket, "{demand:?}: {ways:?}");
                }
            }
        }
    }
}
