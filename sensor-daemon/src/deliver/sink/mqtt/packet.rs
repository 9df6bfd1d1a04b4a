//! The few packets of MQTT 5.0 that a publisher of QoS 1 says and hears (OASIS standard, section 3).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Longest packet that is read. A publisher hears nothing long.
const LONGEST: usize = 64 << 10;

/// Longest packet that there is (section 2.1.4).
const LONGEST_OF_ALL: u32 = 268_435_455;

/// Reason codes (section 2.4) that decide something here.
pub(super) mod reason {
    pub(in super::super) const SUCCESS: u8 = 0x00;
    pub(in super::super) const NO_MATCHING_SUBSCRIBERS: u8 = 0x10;
    pub(in super::super) const PACKET_TOO_LARGE: u8 = 0x95;
    pub(in super::super) const PAYLOAD_FORMAT_INVALID: u8 = 0x99;
}

/// What the server says.
#[derive(Debug, PartialEq)]
pub(super) enum Packet {
    /// It lets the client in, or not.
    Connack(Outcome, Limits),
    /// What became of the message with this identifier.
    Puback(u16, Outcome),
    /// It ends the connection.
    Disconnect(Outcome),
}

/// A reason code, and what the server says to it; empty where it says nothing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    pub(super) reason: u8,
    pub(super) text: String,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match vigia_parsers::ot::mqtt::reason_name(self.reason) {
            Some(name) => write!(out, "{}", name.replace('_', " "))?,
            None => write!(out, "reason {:#04x}", self.reason)?,
        }
        if self.text.is_empty() { Ok(()) } else { write!(out, ": {}", self.text) }
    }
}

/// What the server bears.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limits {
    /// Messages that wait for its answer.
    pub(super) receive_maximum: u16,
    /// Bytes of a packet.
    pub(super) packet_size: u32,
    /// Best quality of service.
    pub(super) qos: u8,
}

impl Default for Limits {
    /// What holds where it says nothing (section 3.2.2.3).
    fn default() -> Self {
        Self { receive_maximum: u16::MAX, packet_size: LONGEST_OF_ALL, qos: 2 }
    }
}

/// Appends CONNECT, with a new session that ends with the connection, and no pings.
pub(super) fn connect(out: &mut Vec<u8>, client: &str, user: Option<(&str, &str)>) {
    const CLEAN_START: u8 = 0x02;
    const PASSWORD: u8 = 0x40;
    const USER: u8 = 0x80;
    let mut body = Vec::new();
    string(&mut body, b"MQTT");
    body.extend([5, CLEAN_START | if user.is_some() { USER | PASSWORD } else { 0 }]);
    // No keep alive, no properties.
    body.extend([0, 0, 0]);
    string(&mut body, client.as_bytes());
    for text in user.iter().flat_map(|(user, password)| [user, password]) {
        string(&mut body, text.as_bytes());
    }
    out.push(0x10);
    varint(out, body.len());
    out.extend_from_slice(&body);
}

/// Properties of every message: its payload is text (0x01), JSON (0x03).
const PROPERTIES: &[u8] = b"\x01\x01\x03\x00\x10application/json";

/// Appends PUBLISH of QoS 1. Gives its length.
pub(super) fn publish(out: &mut Vec<u8>, topic: &str, id: u16, payload: &[u8]) -> usize {
    let start = out.len();
    out.push(0x32);
    varint(out, 2 + topic.len() + 2 + 1 + PROPERTIES.len() + payload.len());
    string(out, topic.as_bytes());
    out.extend(id.to_be_bytes());
    out.push(PROPERTIES.len() as u8);
    out.extend_from_slice(PROPERTIES);
    out.extend_from_slice(payload);
    out.len() - start
}

/// Text with its length; what is longer than a length can say was refused with the configuration.
fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend_from_slice(text);
}

/// A variable byte integer (section 1.5.5).
fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads one packet.
pub(super) async fn read(connection: &mut (impl AsyncRead + Unpin)) -> io::Result<Packet> {
    let first = connection.read_u8().await?;
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        let byte = connection.read_u8().await?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    if length > LONGEST {
        return Err(malformed("too long"));
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await?;
    parse(first, &mut &body[..]).ok_or_else(|| malformed("not understood"))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a packet of the server is {what}"))
}

fn parse(first: u8, body: &mut &[u8]) -> Option<Packet> {
    match first >> 4 {
        2 => {
            let [_flags, reason] = *take(body)?;
            let mut limits = Limits::default();
            let text = properties(body, &mut limits)?;
            Some(Packet::Connack(Outcome { reason, text }, limits))
        }
        4 => {
            let id = u16::from_be_bytes(*take(body)?);
            Some(Packet::Puback(id, outcome(body)?))
        }
        14 => Some(Packet::Disconnect(outcome(body)?)),
        _ => None,
    }
}

/// Code and text; where they are left out, all is well.
fn outcome(body: &mut &[u8]) -> Option<Outcome> {
    if body.is_empty() {
        return Some(Outcome { reason: reason::SUCCESS, text: String::new() });
    }
    let [reason] = *take(body)?;
    let text = if body.is_empty() { String::new() } else { properties(body, &mut Limits::default())? };
    Some(Outcome { reason, text })
}

/// Reads properties (section 2.2.2): gives the reason string, and sets what the server bears.
fn properties(body: &mut &[u8], limits: &mut Limits) -> Option<String> {
    let length = read_varint(body)?;
    let mut rest = body.split_off(..length)?;
    let mut text = String::new();
    while !rest.is_empty() {
        let [property] = *take(&mut rest)?;
        match property {
            0x01 | 0x17 | 0x19 | 0x25 | 0x28..=0x2a => _ = take::<1>(&mut rest)?,
            0x24 => [limits.qos] = *take(&mut rest)?,
            0x13 | 0x22 | 0x23 => _ = take::<2>(&mut rest)?,
            0x21 => limits.receive_maximum = u16::from_be_bytes(*take(&mut rest)?),
            0x02 | 0x11 | 0x18 => _ = take::<4>(&mut rest)?,
            0x27 => limits.packet_size = u32::from_be_bytes(*take(&mut rest)?),
            0x0b => _ = read_varint(&mut rest)?,
            0x1f => text = String::from_utf8_lossy(read_string(&mut rest)?).into_owned(),
            0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1a | 0x1c => _ = read_string(&mut rest)?,
            0x26 => _ = (read_string(&mut rest)?, read_string(&mut rest)?),
            _ => return None,
        }
    }
    Some(text)
}

fn take<'b, const N: usize>(bytes: &mut &'b [u8]) -> Option<&'b [u8; N]> {
    bytes.split_off(..N)?.first_chunk()
}

fn read_string<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = u16::from_be_bytes(*take(bytes)?);
    bytes.split_off(..usize::from(length))
}

fn read_varint(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let [byte] = *take(bytes)?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8]) -> io::Result<Packet> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(super::read(&mut bytes))
    }

    fn outcome(reason: u8, text: &str) -> Outcome {
        Outcome { reason, text: text.to_owned() }
    }

    #[test]
    fn what_is_said_is_as_the_standard_has_it() {
        let mut out = Vec::new();
        connect(&mut out, "c", None);
        assert_eq!(out, b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c");
        out.clear();
        connect(&mut out, "", Some(("u", "pw")));
        assert_eq!(out, b"\x10\x14\x00\x04MQTT\x05\xc2\x00\x00\x00\x00\x00\x00\x01u\x00\x02pw");
        out.clear();
        let length = publish(&mut out, "a/b", 258, &[b'x'; 200]);
        assert_eq!(length, out.len());
        assert!(out.starts_with(b"\x32\xe5\x01\x00\x03a/b\x01\x02\x15\x01\x01\x03\x00\x10application/jsonxx"));
    }

    #[test]
    fn what_is_heard_is_understood() {
        assert_eq!(read(b"\x20\x03\x00\x00\x00").unwrap(), Packet::Connack(outcome(0, ""), Limits::default()));
        let connack = b"\x20\x1a\x00\x00\x17\x22\x00\x0a\x21\x00\x14\x24\x01\x27\x00\x00\x01\x00\x26\x00\x01k\x00\x01v\x0b\x80\x01";
        let limits = Limits { receive_maximum: 20, packet_size: 256, qos: 1 };
        assert_eq!(read(connack).unwrap(), Packet::Connack(outcome(0, ""), limits));
        assert_eq!(read(b"\x40\x02\x01\x02").unwrap(), Packet::Puback(258, outcome(0, "")));
        assert_eq!(read(b"\x40\x03\x01\x02\x10").unwrap(), Packet::Puback(258, outcome(0x10, "")));
        let refused = read(b"\x40\x09\x00\x01\x99\x05\x1f\x00\x02noA").unwrap();
        assert_eq!(refused, Packet::Puback(1, outcome(0x99, "no")));
        assert_eq!(read(b"\xe0\x00").unwrap(), Packet::Disconnect(outcome(0, "")));
        assert_eq!(outcome(0x99, "no").to_string(), "payload format invalid: no");
        assert_eq!(outcome(0x42, "").to_string(), "reason 0x42");
    }

    #[test]
    fn what_is_broken_is_an_error() {
        let wrong: [&[u8]; 7] = [
            b"",
            b"\x20\x03\x00\x00\x05",
            b"\x40\x01\x00",
            b"\x40\x06\x00\x01\x00\x02\x7f\x00",
            b"\x30\x02\x00\x00",
            b"\x20\xff\xff\xff\x7f",
            b"\x20\x05\x00",
        ];
        for bytes in wrong {
            assert!(read(bytes).is_err(), "{bytes:x?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let _ = read(&bytes);
        }
    }
}
