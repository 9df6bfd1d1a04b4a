//! Events about the sensor itself and its interfaces, which no packet raises.

use std::sync::Arc;

use vigia_parsers::Timestamp;
use vigia_parsers::field::Tree as _;

use super::EventSettings;
use super::envelope::Header;
use super::eve::Eve;
use super::json::JsonWriter;
use crate::journal::Submitter;
use crate::metrics::subject::Subject;
use crate::metrics::{Block, Counter};

/// What befell the sensor or one of its interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health<'a> {
    /// Something on this machine tried to send on a tap, and the guard dropped it: the first frame of its EtherType.
    GuardDropped {
        /// EtherType.
        ethertype: u32,
        /// Bytes of the frame.
        length: u32,
        /// User that owned the socket, where it came from one.
        user: Option<u32>,
        /// Number of the cgroup (version 2) that owned the socket, where it came from one; and its path, where it still is.
        cgroup: Option<(u64, Option<String>)>,
        /// How the frame begins.
        frame: &'a [u8],
    },
    /// Frames left by a tap in spite of the guard, past the kernel's network stack.
    Transmitted {
        /// Frames since the last such event.
        packets: u64,
        /// Frames since the start.
        total: u64,
    },
    /// A LAN of PRP or a path of HSR fell silent, while frames came over the other one.
    LanSilent {
        /// Which: `prp-a` and the like.
        lan: &'static str,
        /// For how long, in seconds.
        seconds: u64,
    },
    /// A certificate of the way to a sink, or to a server that metrics are sent to, is about to expire, or has.
    CertificateExpires {
        /// Which of the two.
        subject: Subject,
        /// Its name.
        name: &'a str,
        /// Whose: `own`, `sink` or `push`.
        certificate: &'static str,
        /// When.
        expires: Timestamp,
    },
    /// It is heard again.
    LanHeard {
        /// Which.
        lan: &'static str,
    },
}

impl Health<'_> {
    /// Its name in events.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::GuardDropped { .. } => "guard-dropped",
            Self::Transmitted { .. } => "tap-transmitted",
            Self::LanSilent { .. } => "lan-silent",
            Self::LanHeard { .. } => "lan-heard",
            Self::CertificateExpires { .. } => "certificate-expires",
        }
    }

    pub(super) fn members(&self, json: &mut JsonWriter<'_>) {
        json.string("kind", self.kind());
        match self {
            Self::GuardDropped { ethertype, length, user, cgroup, frame } => {
                json.string("ethertype", &format!("0x{ethertype:04x}"));
                json.number("length", (*length).into());
                if let Some(user) = user {
                    json.number("uid", (*user).into());
                }
                if let Some((number, path)) = cgroup {
                    json.number("cgroup_id", *number);
                    if let Some(path) = path {
                        json.string("cgroup", path);
                    }
                }
                json.hex("frame", frame);
            }
            Self::Transmitted { packets, total } => {
                json.number("packets", *packets);
                json.number("packets_total", *total);
            }
            Self::LanSilent { lan, seconds } => {
                json.string("lan", lan);
                json.number("silent_s", *seconds);
            }
            Self::LanHeard { lan } => json.string("lan", lan),
            Self::CertificateExpires { subject, name, certificate, expires } => {
                json.string(subject.label(), name);
                json.string("certificate", certificate);
                json.string("expires", &super::text_of(*expires));
            }
        }
    }
}

/// Reports such events: counted, written as lines, and handed to the journal at once.
pub struct HealthOutput {
    eve: Eve,
    wanted: bool,
    journal: Submitter,
    counters: Arc<Block>,
}

impl HealthOutput {
    /// Events of the threads beside the workers.
    pub fn new(settings: &EventSettings, counters: Arc<Block>, journal: Submitter) -> Self {
        Self { eve: Eve::new(settings), wanted: settings.health, journal, counters }
    }

    /// Reports one about an interface; the name is empty where it is about none.
    pub fn report(&mut self, timestamp: Timestamp, interface: &str, health: &Health<'_>) {
        self.counters.add(Counter::HealthEvents, 1);
        if !self.wanted {
            return;
        }
        let mut batch = self.journal.record_batch();
        let header = Header { timestamp, in_iface: interface, ..Header::default() };
        self.eve.health(&mut batch.lines, &header, health);
        (batch.events, batch.first) = (1, timestamp);
        self.journal.records(batch);
    }
}
