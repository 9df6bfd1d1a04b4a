//! By which way each interface is captured: the best that works there, or the one that the settings demand.
//!
//! This is the one place that knows the order. A way that does not work says why, and the next one is tried; what was chosen
//! and why nothing better was ([`Chosen`]) is told at the start, by `vigia status`, and as a metric.

use std::cell::OnceCell;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::af_xdp::{self, Copying, Refusal};
use super::inlet::{Inlet, Reader};
use super::interface::{self, Control};
use super::live::{LiveSource, Queue, live_error, no_interface};
use super::probes::guard::{Guards, Standing};
use super::probes::tap::{self, Plan, Tap};
use super::probes::{ProbeError, fanout};
use super::shed::{Pressure, Shedder};
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
    /// How it takes the tap, or why it has none.
    pub tap: Result<tap::Mode, Phrase>,
}

impl Chosen {
    /// All of it as one sentence.
    pub fn sentence(&self) -> Phrase {
        let head = Message::CapturedBy.with([self.interface.as_str().into(), self.mode.name().into()]);
        let (head, tap) = (append(head, &self.refused), &self.tap);
        match tap {
            Ok(mode) => Message::CapturedBehind.with([head.into(), mode.name().into()]),
            Err(why) => Message::CapturedAlone.with([head.into(), why.clone().into()]),
        }
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
    for name in tap.iter().flat_map(|tap| tap.interfaces()) {
        let opened = tap.as_ref().map_or(Ok(()), |tap| tap.open(&name));
        opened.map_err(|error| live_error(&name, Message::StepTap, io::Error::other(error)))?;
    }
    let shed_at = if settings.tap.enabled { settings.tap.shed_at_percent } else { 0 };
    let shedder = tap.as_ref().map(|tap| Arc::new(Shedder::new(Arc::clone(tap), shares.len(), shed_at)));
    let source = |(worker, queues)| {
        let pressure = shedder.clone().map(|shedder| Pressure { shedder, worker });
        Box::new(LiveSource::new(queues, settings.poll_timeout_ms, pressure)) as Box<dyn Source>
    };
    let sources = shares.into_iter().enumerate().map(source).collect();
    let fanout = kernel.fanout.into_inner().and_then(Result::ok);
    Ok(Live { sources, watch: Watch::new(chosen, kernel.guards, tap, shedder, fanout) })
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
                Ok(queues) => {
                    let tap = self.tap().map_err(|error| error.phrase());
                    let tap = tap.and_then(|tap| tap.mode(name).ok_or_else(|| Message::WhyNotAttached.into()));
                    return Ok((Chosen { interface: name.to_owned(), mode, refused, tap }, queues));
                }
                Err(Refusal::Failed(error @ SourceError::UnsupportedLink { .. })) => return Err(error),
                Err(Refusal::Unfit(why)) => refused.push((mode, why)),
                Err(Refusal::Failed(error)) => refused.push((mode, error.reason())),
            }
        }
        Err(SourceError::NoWay { reasons: append(Message::CapturedByNone.with([name.into()]), &refused) })
    }

    fn attempt(&self, mode: Mode, interface: &InterfaceSettings) -> Result<Vec<Box<dyn Queue>>, Refusal> {
        match mode {
            Mode::AfXdpZeroCopy => self.open_af_xdp(interface, Copying::Zero),
            Mode::AfXdpCopy => self.open_af_xdp(interface, Copying::Each),
            Mode::AfPacket | Mode::AfPacketHash => self.open_rings(interface, None),
            Mode::AfPacketEbpf => {
                let program = self.fanout.get_or_init(|| fanout::load().map(Arc::new)).as_ref().map_err(unloaded)?;
                self.open_rings(interface, Some(program))
            }
            Mode::Libpcap => self.open_libpcap(interface),
        }
    }

    /// Rings behind the tap; without it where the kernel does not let us load it.
    fn open_rings(
        &self,
        interface: &InterfaceSettings,
        program: Option<&Arc<OwnedFd>>,
    ) -> Result<Vec<Box<dyn Queue>>, Refusal> {
        let inlet = self.inlet(interface, Reader::Rings);
        let opened = packet_ring::open(interface, self.settings, program, &self.guards, inlet.as_ref());
        if let (Err(_), Some(inlet)) = (&opened, &inlet) {
            inlet.leave();
        }
        Ok(opened?)
    }

    #[cfg(feature = "libpcap")]
    fn open_libpcap(&self, interface: &InterfaceSettings) -> Result<Vec<Box<dyn Queue>>, Refusal> {
        let inlet = self.inlet(interface, Reader::Library);
        let _ = inlet.as_ref().map(|inlet| inlet.enter());
        let opened = super::libpcap::open(interface, self.settings);
        if let (Err(_), Some(inlet)) = (&opened, &inlet) {
            inlet.leave();
        }
        Ok(vec![opened?])
    }

    #[cfg(not(feature = "libpcap"))]
    #[expect(clippy::unused_self, reason = "another build needs it")]
    fn open_libpcap(&self, _: &InterfaceSettings) -> Result<Vec<Box<dyn Queue>>, Refusal> {
        Err(Refusal::Unfit(Message::WhyNotBuilt.into()))
    }

    fn inlet(&self, interface: &InterfaceSettings, reader: Reader) -> Option<Arc<Inlet>> {
        let tap = self.tap().ok()?;
        Some(Arc::new(Inlet::new(tap, interface, self.is_host(interface), reader)))
    }

    /// Has it an address of its own, by which this machine may be reached?
    fn is_host(&self, interface: &InterfaceSettings) -> bool {
        self.guards.standing(&interface.name, |standing| matches!(standing, Standing::Host))
    }

    fn tap(&self) -> Result<&Arc<Tap>, &ProbeError> {
        self.tap.get_or_init(|| Tap::load(&plan(self.settings, self.duplicates)).map(Arc::new)).as_ref()
    }

    fn open_af_xdp(&self, interface: &InterfaceSettings, copying: Copying) -> Result<Vec<Box<dyn Queue>>, Refusal> {
        if !interface.ignore_outgoing {
            return Err(Refusal::Unfit(Message::WhyOutgoing.into()));
        }
        let kind = Control::open().and_then(|control| control.hardware_type(&interface.name));
        let kind = kind.map_err(|cause| live_error(&interface.name, Message::StepHardware, cause))?;
        if kind != libc::ARPHRD_ETHER {
            return Err(Refusal::Unfit(Message::WhyNotEthernet.into()));
        }
        if self.is_host(interface) {
            return Err(Refusal::Unfit(Message::WhyHost.into()));
        }
        let tap = self.tap().map_err(unloaded)?;
        af_xdp::open(interface, self.settings, copying, tap, &self.guards)
    }
}

/// What the tap is told. It counts and steers frames even if it is to drop none.
pub(super) fn plan(settings: &Settings, duplicates: &duplicate::Settings) -> Plan {
    let (tap, snaplen) = (settings.tap.clone(), settings.snaplen);
    match tap.enabled {
        true => Plan { settings: tap, duplicates: duplicates.clone(), snaplen },
        false => Plan { settings: tap.without_drops(), duplicates: duplicate::Settings::none(), snaplen },
    }
}

fn unloaded(error: &ProbeError) -> Refusal {
    Refusal::Unfit(error.phrase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    #[test]
    fn the_sentence_tells_the_way_and_why_no_better_one() {
        let refused = vec![
            (
                Mode::AfXdpZeroCopy,
                Message::Colon.with([Message::StepBindQueue.into(), "Operation not supported".into()]),
            ),
            (Mode::AfPacketEbpf, Message::WhyNotEthernet.into()),
        ];
        let chosen =
            Chosen { interface: "tap0".to_owned(), mode: Mode::AfPacketHash, refused, tap: Ok(tap::Mode::Native) };
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
