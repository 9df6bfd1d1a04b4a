//! Control packets: detection, framing, and a view of one (MQTT 5.0 §2, §3; MQTT 3.1.1 the same clauses).

use super::property::Properties;
use super::read::{Reader, Variable, variable};
use super::{HEAD, INVALID_QOS_LEVEL, LONGEST_MESSAGE, MALFORMED_TRAFFIC, MISSING_MSG_ID, UNASSIGNED_MSG_TYPE};
use crate::dissector::{Anomaly, Direction, Frame, Probe};

/// Packet types (§2.1.2).
pub(super) mod kind {
    pub(in super::super) const CONNECT: u8 = 1;
    pub(in super::super) const CONNACK: u8 = 2;
    pub(in super::super) const PUBLISH: u8 = 3;
    pub(in super::super) const PUBACK: u8 = 4;
    pub(in super::super) const PUBREC: u8 = 5;
    pub(in super::super) const PUBREL: u8 = 6;
    pub(in super::super) const PUBCOMP: u8 = 7;
    pub(in super::super) const SUBSCRIBE: u8 = 8;
    pub(in super::super) const SUBACK: u8 = 9;
    pub(in super::super) const UNSUBSCRIBE: u8 = 10;
    pub(in super::super) const UNSUBACK: u8 = 11;
    pub(in super::super) const PINGREQ: u8 = 12;
    pub(in super::super) const PINGRESP: u8 = 13;
    pub(in super::super) const DISCONNECT: u8 = 14;
    pub(in super::super) const AUTH: u8 = 15;
}

use kind::*;

/// MQTT 3.1.1, which is taken for granted where nothing else is known.
pub(super) const VERSION_3_1_1: u8 = 4;
pub(super) const VERSION_5: u8 = 5;

/// Where the packet that begins here ends. Whatever its type: it is reported when there is no such. Only a PUBLISH may be
/// longer than what is held.
pub(super) fn frame(bytes: &[u8], _: Direction) -> Frame {
    let Some((&first, rest)) = bytes.split_first() else { return Frame::Need(2) };
    match variable(rest) {
        Variable::Unfinished => Frame::Need(bytes.len() + 1),
        Variable::TooLong => Frame::Not,
        Variable::Is { value, length, .. } => match 1 + length + value as usize {
            end if end > LONGEST_MESSAGE => {
                let body = rest.get(length..).unwrap_or_default();
                match first >> 4 == PUBLISH && suits(first) && topic_begins(body) {
                    true if bytes.len() < HEAD => Frame::Need(HEAD),
                    true => Frame::Long { head: HEAD, length: end },
                    false => Frame::Not,
                }
            }
            end if bytes.len() >= end => Frame::Whole(end),
            end => Frame::Need(end),
        },
    }
}

/// Certain of a CONNECT, which names the protocol. Other packets are possible when flags, direction and layout are as
/// the standard has them.
pub(super) fn probe(bytes: &[u8], direction: Direction) -> Probe {
    let Some((&first, rest)) = bytes.split_first() else { return Probe::Maybe };
    if !goes(first >> 4, direction) || !suits(first) {
        return Probe::No;
    }
    let (value, length) = match variable(rest) {
        Variable::Is { value, length, minimal: true } => (value as usize, length),
        Variable::Unfinished => return Probe::Maybe,
        _ => return Probe::No,
    };
    let end = 1 + length + value;
    if end > LONGEST_MESSAGE || !could_be_long(first >> 4, value) {
        return Probe::No;
    }
    let body = bytes.get(1 + length..bytes.len().min(end)).unwrap_or_default();
    if first >> 4 == CONNECT {
        return match named(body) {
            Some(true) => Probe::Certain,
            None => Probe::Maybe,
            Some(false) => Probe::No,
        };
    }
    if bytes.len() < end {
        return if first >> 4 != PUBLISH || topic_begins(body) { Probe::Maybe } else { Probe::No };
    }
    let possible = [VERSION_3_1_1, VERSION_5].into_iter().any(|version| {
        Packet::new(bytes.get(..end).unwrap_or_default(), version).is_ok_and(|packet| is_plausible(&packet))
    });
    if possible { Probe::Maybe } else { Probe::No }
}

/// Does the packet type go this way? (§2.1.2 table 2-1)
fn goes(kind: u8, direction: Direction) -> bool {
    match kind {
        CONNECT | SUBSCRIBE | UNSUBSCRIBE | PINGREQ => direction == Direction::ToServer,
        CONNACK | SUBACK | UNSUBACK | PINGRESP => direction == Direction::ToClient,
        kind => kind != 0,
    }
}

/// Are the flags those of the packet type? (§2.1.3)
fn suits(first: u8) -> bool {
    let flags = first & 0x0f;
    match first >> 4 {
        // Quality 3 is none, and what is sent at quality 0 is no duplicate.
        PUBLISH => flags & 6 != 6 && flags & 0x0e != 8,
        PUBREL | SUBSCRIBE | UNSUBSCRIBE => flags == 2,
        _ => flags == 0,
    }
}

/// Can the body of a packet type have this length?
fn could_be_long(kind: u8, length: usize) -> bool {
    match kind {
        CONNECT => length >= 10,
        CONNACK => length >= 2,
        PUBLISH => length >= 3,
        PUBACK | PUBREC | PUBREL | PUBCOMP => length >= 2,
        SUBSCRIBE => length >= 6,
        SUBACK => length >= 3,
        UNSUBSCRIBE => length >= 5,
        UNSUBACK => length >= 2,
        PINGREQ | PINGRESP => length == 0,
        _ => true,
    }
}

/// Does the CONNECT name a protocol and level that there is? `None` when it is too short to tell.
fn named(body: &[u8]) -> Option<bool> {
    const NAMES: [&[u8]; 3] = [b"\0\x04MQTT\x04", b"\0\x04MQTT\x05", b"\0\x06MQIsdp\x03"];
    // Bridges set the highest bit of the level.
    let is = |name: &[u8]| {
        name.iter().zip(body).enumerate().all(|(at, (a, b))| a == b || (at + 1 == name.len() && *a == b & 0x7f))
    };
    match NAMES.iter().find(|name| is(name)) {
        Some(name) if body.len() >= name.len() => Some(true),
        Some(_) => None,
        None => Some(false),
    }
}

fn topic_begins(body: &[u8]) -> bool {
    let mut reader = Reader::new(body);
    let Some(length) = reader.word() else { return true };
    length > 0 && is_topic(reader.rest.get(..length.into()).unwrap_or(reader.rest))
}

/// Are these characters that a topic is made of in practice?
fn is_topic(name: &[u8]) -> bool {
    name.iter().all(|byte| *byte >= 0x20 && *byte != 0x7f)
}

fn is_plausible(packet: &Packet<'_>) -> bool {
    if packet.fault.is_some() {
        return false;
    }
    match packet.body {
        Body::Connack { flags, code } => flags <= 1 && (code <= 5 || code >= 0x80),
        Body::Publish { topic, .. } => !topic.is_empty() && is_topic(topic) && !topic.iter().any(|c| b"+#".contains(c)),
        Body::Acknowledge { .. } => packet.id != Some(0),
        Body::Subscribe { filters } => packet.id != Some(0) && filters.is_sound(true),
        Body::Unsubscribe { filters } => packet.id != Some(0) && filters.is_sound(false),
        Body::Codes(codes) => codes.iter().all(|code| *code <= 2 || *code == 17 || *code >= 0x80),
        Body::Bare { .. } | Body::Connect(_) => true,
    }
}

/// What CONNECT says (§3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Connect<'a> {
    pub(super) protocol: &'a [u8],
    pub(super) version: u8,
    pub(super) flags: u8,
    pub(super) keep_alive_s: u16,
    pub(super) client_id: &'a [u8],
    pub(super) will: Option<Will<'a>>,
    pub(super) username: Option<&'a [u8]>,
    pub(super) password: Option<&'a [u8]>,
}

/// What the server is to publish when the client is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Will<'a> {
    pub(super) topic: &'a [u8],
    pub(super) message: &'a [u8],
    pub(super) properties: Properties<'a>,
}

/// Topic filters, with options in SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Filters<'a> {
    bytes: &'a [u8],
}

impl<'a> Filters<'a> {
    /// Filter and options; these are 0 where there are none.
    pub(super) fn each(self, options: bool) -> impl Iterator<Item = (&'a [u8], u8)> {
        let mut reader = Reader::new(self.bytes);
        std::iter::from_fn(move || {
            let filter = reader.string()?;
            Some((filter, if options { reader.byte()? } else { 0 }))
        })
    }

    fn is_sound(self, options: bool) -> bool {
        let length: usize = self.each(options).map(|(filter, _)| 2 + filter.len() + usize::from(options)).sum();
        length == self.bytes.len()
            && length > 0
            && self.each(options).all(|(filter, options)| is_topic(filter) && options & 3 < 3)
    }
}

/// What follows the header, identifier and properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body<'a> {
    Connect(Connect<'a>),
    Connack {
        flags: u8,
        code: u8,
    },
    Publish {
        topic: &'a [u8],
        payload: &'a [u8],
    },
    /// PUBACK, PUBREC, PUBREL, PUBCOMP.
    Acknowledge {
        code: Option<u8>,
    },
    Subscribe {
        filters: Filters<'a>,
    },
    Unsubscribe {
        filters: Filters<'a>,
    },
    /// SUBACK, UNSUBACK.
    Codes(&'a [u8]),
    /// The others: a reason code at the most.
    Bare {
        code: Option<u8>,
    },
}

/// A view of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) kind: u8,
    /// Flags of the fixed header.
    pub(super) flags: u8,
    /// The remaining length, as stated.
    pub(super) length: u32,
    /// Bytes of that which were passed over: a long PUBLISH has no more than its beginning.
    pub(super) missing: usize,
    /// Packet identifier.
    pub(super) id: Option<u16>,
    pub(super) properties: Properties<'a>,
    pub(super) body: Body<'a>,
    /// What is wrong with it, though it could be read.
    pub(super) fault: Option<Anomaly>,
}

impl<'a> Packet<'a> {
    /// Reads a packet as [`frame`] delimited it, in this version of the protocol. The error says why it cannot be read.
    pub(super) fn new(bytes: &'a [u8], version: u8) -> Result<Self, Anomaly> {
        let mut reader = Reader::new(bytes);
        let cut = |reader: &Reader<'_>| Anomaly { kind: MALFORMED_TRAFFIC, offset: bytes.len() - reader.rest.len() };
        let (Some(first), Some(length)) = (reader.byte(), reader.variable()) else { return Err(cut(&reader)) };
        let (kind, flags) = (first >> 4, first & 0x0f);
        if kind == 0 {
            return Err(Anomaly { kind: UNASSIGNED_MSG_TYPE, offset: 0 });
        }
        let mut packet = Self {
            kind,
            flags,
            length,
            missing: (length as usize).saturating_sub(reader.rest.len()),
            id: None,
            properties: Properties::NONE,
            body: Body::Bare { code: None },
            fault: None,
        };
        if kind == PUBLISH && flags & 6 == 6 {
            return Err(Anomaly { kind: INVALID_QOS_LEVEL, offset: 0 });
        }
        match packet.fill(&mut reader, version) {
            Some(()) => {}
            None => return Err(cut(&reader)),
        }
        if !packet.properties.is_sound() {
            packet.fault = Some(Anomaly { kind: MALFORMED_TRAFFIC, offset: bytes.len() - reader.rest.len() });
        } else if packet.id == Some(0) {
            packet.fault = Some(Anomaly { kind: MISSING_MSG_ID, offset: bytes.len() - reader.rest.len() });
        } else if !suits(first) {
            packet.fault = Some(Anomaly { kind: MALFORMED_TRAFFIC, offset: 0 });
        }
        Ok(packet)
    }

    /// Quality of service of the fixed header.
    pub(super) fn qos(&self) -> u8 {
        self.flags >> 1 & 3
    }

    /// Length of what a PUBLISH carries.
    pub(super) fn payload_length(&self) -> usize {
        match self.body {
            Body::Publish { payload, .. } => payload.len(),
            _ => 0,
        }
    }

    fn fill(&mut self, reader: &mut Reader<'a>, version: u8) -> Option<()> {
        let five = version >= VERSION_5;
        match self.kind {
            CONNECT => self.body = Body::Connect(self.connect(reader)?),
            CONNACK => {
                let (flags, code) = (reader.byte()?, reader.byte()?);
                self.body = Body::Connack { flags, code };
                self.properties(reader, five)?;
            }
            PUBLISH => {
                let topic = reader.string()?;
                if self.qos() > 0 {
                    self.id = Some(reader.word()?);
                }
                self.properties(reader, five)?;
                self.body = Body::Publish { topic, payload: std::mem::take(&mut reader.rest) };
            }
            PUBACK | PUBREC | PUBREL | PUBCOMP => {
                self.id = Some(reader.word()?);
                let code = if five { reader.byte() } else { None };
                self.body = Body::Acknowledge { code };
                self.properties(reader, five)?;
                return reader.rest.is_empty().then_some(());
            }
            SUBSCRIBE | UNSUBSCRIBE => {
                self.id = Some(reader.word()?);
                self.properties(reader, five)?;
                let filters = Filters { bytes: std::mem::take(&mut reader.rest) };
                self.body = match self.kind {
                    SUBSCRIBE => Body::Subscribe { filters },
                    _ => Body::Unsubscribe { filters },
                };
            }
            SUBACK | UNSUBACK => {
                self.id = Some(reader.word()?);
                self.properties(reader, five)?;
                self.body = Body::Codes(std::mem::take(&mut reader.rest));
            }
            DISCONNECT | AUTH => {
                self.body = Body::Bare { code: if five { reader.byte() } else { None } };
                self.properties(reader, five)?;
            }
            _ => return reader.rest.is_empty().then_some(()),
        }
        Some(())
    }

    /// Of version 5; where all are left out, so is their length.
    fn properties(&mut self, reader: &mut Reader<'a>, five: bool) -> Option<()> {
        let needed = matches!(self.kind, PUBLISH | SUBSCRIBE | UNSUBSCRIBE | SUBACK | UNSUBACK);
        if five && (needed || !reader.rest.is_empty()) {
            self.properties = Properties::take(reader)?;
        }
        Some(())
    }

    fn connect(&mut self, reader: &mut Reader<'a>) -> Option<Connect<'a>> {
        let protocol = reader.string()?;
        let version = reader.byte()? & 0x7f;
        let flags = reader.byte()?;
        let keep_alive_s = reader.word()?;
        let five = version >= VERSION_5;
        if five {
            self.properties = Properties::take(reader)?;
        }
        let client_id = reader.string()?;
        let mut will = None;
        if flags & connect_flag::WILL != 0 {
            let properties = if five { Properties::take(reader)? } else { Properties::NONE };
            will = Some(Will { topic: reader.string()?, message: reader.string()?, properties });
        }
        let username = if flags & connect_flag::USERNAME != 0 { Some(reader.string()?) } else { None };
        let password = if flags & connect_flag::PASSWORD != 0 { Some(reader.string()?) } else { None };
        Some(Connect { protocol, version, flags, keep_alive_s, client_id, will, username, password })
    }
}

/// Flags of CONNECT (§3.1.2.3).
pub(super) mod connect_flag {
    pub(in super::super) const CLEAN_SESSION: u8 = 0x02;
    pub(in super::super) const WILL: u8 = 0x04;
    pub(in super::super) const WILL_RETAIN: u8 = 0x20;
    pub(in super::super) const PASSWORD: u8 = 0x40;
    pub(in super::super) const USERNAME: u8 = 0x80;
}

/// Which version does a packet speak whose CONNECT was not seen? Version 5 when what can be properties are some.
pub(super) fn version_of(bytes: &[u8]) -> Option<u8> {
    let read = |version| Packet::new(bytes, version).ok().filter(|packet| packet.fault.is_none());
    if !matches!(bytes.first()? >> 4, PUBLISH | SUBSCRIBE | UNSUBSCRIBE | SUBACK | UNSUBACK) {
        return None;
    }
    let (four, five) = (read(VERSION_3_1_1), read(VERSION_5));
    let is_five = match (four.map(|packet| packet.body), five) {
        // Text does not begin with a zero; the properties of version 5 do when there are none.
        (Some(Body::Publish { payload, .. }), Some(five)) => !five.properties.is_empty() || payload.first() == Some(&0),
        (_, Some(five)) => is_plausible(&five) && !four.is_some_and(|four| is_plausible(&four)),
        (_, None) => false,
    };
    Some(if is_five { VERSION_5 } else { VERSION_3_1_1 })
}
