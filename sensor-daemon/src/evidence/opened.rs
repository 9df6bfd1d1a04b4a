//! Evidence of one flow while it is collected.

use vigia_parsers::Timestamp;

use super::block::{Claim, Kind, Record};
use super::pcapng::{Body, Frame};
use super::ring::{Past, Search};
use super::store::{Finished, Missing};

/// Alerts whose lines are kept as comments.
const MOST_COMMENTS: u64 = 256;

/// Evidence of a flow that raises alerts all the time is ended this long after the first, in nanoseconds; the next begins then.
const LONGEST: u64 = 60_000_000_000;

/// What bounds a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Time before the alert, in nanoseconds.
    pub(super) before: u64,
    /// Time after it.
    pub(super) after: u64,
    /// Bytes of packets and comments; half of them for what was before.
    pub(super) bytes: usize,
}

/// Evidence that is open.
pub(super) struct Opened {
    keys: [u64; 2],
    body: Body,
    first_alert: Timestamp,
    last_alert: Timestamp,
    /// Packets up to then belong to it.
    until: Timestamp,
    /// Times of the first packet and the last.
    span: Option<(Timestamp, Timestamp)>,
    packets: u64,
    alerts: u64,
    comments: u64,
    /// Alerts that are on no packet.
    silent: Vec<Vec<u8>>,
    missing: Missing,
    /// The packet in hand was taken, so an alert about it stands on it.
    took: bool,
}

impl Opened {
    /// Of the flow of an alert, found under these keys.
    pub(super) fn new(alert: &Record<'_>, keys: [u64; 2], limits: &Limits) -> Self {
        Self {
            keys,
            body: Body::default(),
            first_alert: alert.timestamp,
            last_alert: alert.timestamp,
            until: Timestamp(alert.timestamp.0.saturating_add(limits.after)),
            span: None,
            packets: 0,
            alerts: 0,
            comments: 0,
            silent: Vec::new(),
            missing: Missing::default(),
            took: false,
        }
    }

    /// The keys of its packets.
    pub(super) fn keys(&self) -> impl Iterator<Item = u64> + use<> {
        let [flow, fragments] = self.keys;
        [Some(flow), Some(fragments).filter(|key| *key != 0 && *key != flow)].into_iter().flatten()
    }

    /// Are packets of one of these keys among its own?
    pub(super) fn has_any(&self, keys: &[u64]) -> bool {
        self.keys().any(|key| keys.contains(&key))
    }

    /// Time of the alert that opened it.
    pub(super) fn first_alert(&self) -> Timestamp {
        self.first_alert
    }

    /// Does an alert of this time belong to it?
    pub(super) fn holds(&self, time: Timestamp) -> bool {
        time <= self.until
    }

    /// Is its time over?
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        now > self.until
    }

    /// Bytes that it takes.
    pub(super) fn size(&self) -> u64 {
        (self.body.len() + self.silent.iter().map(Vec::len).sum::<usize>()) as u64
    }

    /// Begins with what was before. `gone` tells until when the buffer has nothing any more. Returns the bytes that it takes.
    pub(super) fn begin(
        &mut self,
        search: Search,
        gone: Option<Timestamp>,
        interfaces: &[String],
        room: usize,
        limits: &Limits,
    ) -> u64 {
        self.missing.older_than = gone;
        self.missing.bound |= search.cut;
        self.missing.busy |= search.lost;
        let mut taken = 0;
        for Past { kind, timestamp, wire_length, link, interface, bytes } in search.found.iter().rev() {
            let record = Record {
                kind: *kind,
                key: 0,
                timestamp: *timestamp,
                wire_length: *wire_length,
                link: *link,
                interface: *interface,
                bytes,
            };
            match kind {
                Kind::Left => self.left_to_kernel(*timestamp),
                _ => taken += self.packet(&record, interfaces, room.saturating_sub(taken as usize), limits),
            }
        }
        taken
    }

    /// Takes a packet, if it is of its time and there is room. Returns the bytes that it takes.
    pub(super) fn packet(&mut self, record: &Record<'_>, interfaces: &[String], room: usize, limits: &Limits) -> u64 {
        self.took = false;
        if record.timestamp > self.until {
            return 0;
        }
        let before = self.body.len();
        let cost = Body::cost(record.bytes.len());
        if before + cost > limits.bytes || cost > room {
            self.missing.bound = true;
            return 0;
        }
        let Record { timestamp, link, interface, wire_length, bytes, .. } = *record;
        let name = || interfaces.get(usize::from(interface)).or(interfaces.first()).map_or("", String::as_str);
        self.body.packet(&Frame { timestamp, link, interface, wire_length, bytes }, name);
        self.packets += 1;
        self.missing.cut_packets += u64::from(wire_length as usize > bytes.len());
        let (first, last) = self.span.unwrap_or((timestamp, timestamp));
        self.span = Some((first.min(timestamp), last.max(timestamp)));
        self.took = true;
        (self.body.len() - before) as u64
    }

    /// An alert about the packet taken last, or about none. Returns the bytes that it takes.
    pub(super) fn alert(&mut self, alert: &Record<'_>, limits: &Limits) -> u64 {
        let Claim { line, .. } = alert.claim();
        self.alerts += 1;
        self.last_alert = self.last_alert.max(alert.timestamp);
        let longest = self.first_alert.0.saturating_add(LONGEST.max(limits.after));
        self.until = self.until.max(Timestamp(alert.timestamp.0.saturating_add(limits.after).min(longest)));
        // Half of the bytes more, so that an alert is told though the packets are at their bound.
        let before = self.size();
        if self.comments >= MOST_COMMENTS || before as usize + line.len() > limits.bytes + limits.bytes / 2 {
            return 0;
        }
        self.comments += 1;
        match alert.kind {
            Kind::Alert if self.took => self.body.comment(line),
            _ => self.silent.push(line.to_vec()),
        }
        self.size() - before
    }

    /// Packets of its time were lost.
    pub(super) fn lost(&mut self) {
        self.missing.busy = true;
    }

    /// The rest of the flow was left to the kernel.
    pub(super) fn left_to_kernel(&mut self, time: Timestamp) {
        self.missing.kernel_from.get_or_insert(time);
    }

    /// All that is known of it.
    pub(super) fn finish(self, flow: u64) -> Finished {
        Finished {
            flow,
            body: self.body.into_bytes(),
            first_alert: self.first_alert,
            last_alert: self.last_alert,
            span: self.span,
            packets: self.packets,
            alerts: self.alerts,
            untold: self.alerts - self.comments,
            silent: self.silent,
            missing: self.missing,
        }
    }
}
