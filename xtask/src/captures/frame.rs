//! Headers of the protocols around what a case says.

use anyhow::{Context, Result, ensure};

use super::session::Transport;

/// How a protocol's messages go over TCP, UDP or the link layer.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Framing {
    /// MBAP header around unit and PDU.
    Modbus,
    /// One transport segment in one link frame around an application fragment.
    Dnp3,
    /// One data TPDU of class 0 in a TPKT packet around a message.
    Cotp,
    /// Type and length of virtual link control around its function and data, over UDP.
    Bacnet,
    /// Presentation, session, COTP and TPKT around a PDU.
    Mms,
    /// On the link layer: the header of GOOSE around an APDU.
    Goose,
    /// On the link layer: the same header around Sampled Values.
    Sv,
    /// The session layer of IEC/TR 61850-90-5 around a GOOSE APDU, over UDP.
    Rgoose,
    /// An APDU of the I format around an ASDU, with the next sequence numbers.
    Iec104,
    /// The encapsulation header of EtherNet/IP around a command's two octets and its data.
    Enip,
    /// The same with Send RR Data around an unconnected message of CIP.
    Cip,
    /// Over UDP: connection and sequence number, four octets each, and the data of an implicit message of CIP as its items.
    Cipio,
    /// The fixed header of MQTT around its first octet and what follows the length.
    Mqtt,
}

impl Framing {
    /// What carries the messages.
    pub fn transport(self) -> Transport {
        match self {
            Self::Modbus | Self::Dnp3 | Self::Cotp | Self::Iec104 | Self::Mms => Transport::Tcp,
            Self::Enip | Self::Cip | Self::Mqtt => Transport::Tcp,
            Self::Bacnet | Self::Rgoose | Self::Cipio => Transport::Udp,
            Self::Goose => Transport::Link { ethertype: 0x88b8 },
            Self::Sv => Transport::Link { ethertype: 0x88ba },
        }
    }
}

/// DNP3 link address of the master.
const MASTER: u16 = 1;
/// The most of a fragment that one link frame carries.
const SEGMENT: usize = 249;

/// Frames the messages of one session.
pub struct Framer {
    framing: Framing,
    outstation: u16,
    /// Modbus: identifier of the last request; EtherNet/IP: its sender context.
    transaction: u16,
    /// The next sequence number of either side: DNP3 of transport, IEC 104 of APDUs.
    sequences: [u8; 2],
}

impl Framer {
    /// For a session of which nothing is said yet.
    pub fn new(framing: Framing, outstation: u16) -> Self {
        Self { framing, outstation, transaction: 0, sequences: [0; 2] }
    }

    /// The message as it is sent. An answer of Modbus or EtherNet/IP is one to the last request.
    pub fn frame(&mut self, from_client: bool, message: &[u8]) -> Result<Vec<u8>> {
        match self.framing {
            Framing::Modbus => {
                self.transaction += u16::from(from_client);
                Ok(modbus(self.transaction, message))
            }
            Framing::Dnp3 => {
                ensure!(message.len() <= SEGMENT, "a fragment of more than {SEGMENT} bytes needs several frames");
                let sequence = &mut self.sequences[usize::from(from_client)];
                let transport = 0xc0 | *sequence;
                *sequence = (*sequence + 1) & 0x3f;
                let data = [&[transport], message].concat();
                let (control, destination, source) =
                    if from_client { (0xc4, self.outstation, MASTER) } else { (0x44, MASTER, self.outstation) };
                Ok(dnp3(control, destination, source, &data))
            }
            Framing::Cotp => Ok(cotp(message)),
            Framing::Bacnet => {
                let (function, data) = message.split_first().context("a message begins with its function")?;
                Ok([&[0x81, *function], &(data.len() as u16 + 4).to_be_bytes()[..], data].concat())
            }
            Framing::Mms => Ok(mms(message)),
            Framing::Goose => Ok(substation(0x0001, message)),
            Framing::Sv => Ok(substation(0x4000, message)),
            Framing::Rgoose => Ok(routed(0x0001, message)),
            Framing::Iec104 => {
                ensure!(message.len() <= 249, "an ASDU has 249 bytes at the most");
                let [own, other] = [from_client, !from_client].map(usize::from);
                let control = [self.sequences[own] << 1, 0, self.sequences[other] << 1, 0];
                self.sequences[own] = (self.sequences[own] + 1) & 0x7f;
                Ok([&[0x68, message.len() as u8 + 4], &control[..], message].concat())
            }
            Framing::Enip => {
                let (command, data) = message.split_at_checked(2).context("a message begins with its command")?;
                self.transaction += u16::from(from_client);
                Ok(enip(self.transaction, from_client, command, data))
            }
            Framing::Cip => {
                self.transaction += u16::from(from_client);
                Ok(enip(self.transaction, from_client, &SEND_RR_DATA, &unconnected(message)))
            }
            Framing::Cipio => {
                let (address, data) = message.split_at_checked(8).context("a message begins with its address")?;
                Ok([&[2, 0][..], &item(0x8002, address), &item(0x00b1, data)].concat())
            }
            Framing::Mqtt => {
                let (first, body) = message.split_first().context("a message begins with its type")?;
                Ok([&[*first], &variable(body.len())[..], body].concat())
            }
        }
    }
}

fn modbus(transaction: u16, message: &[u8]) -> Vec<u8> {
    let mut out = transaction.to_be_bytes().to_vec();
    out.extend([0, 0]);
    out.extend((message.len() as u16).to_be_bytes());
    out.extend(message);
    out
}

fn cotp(message: &[u8]) -> Vec<u8> {
    let header = [2, 0xf0, 0x80];
    let mut out = vec![3, 0];
    out.extend(((4 + header.len() + message.len()) as u16).to_be_bytes());
    out.extend(header);
    out.extend(message);
    out
}

/// A presentation data value in context 3, which clients give to MMS; give tokens and data transfer; COTP.
fn mms(pdu: &[u8]) -> Vec<u8> {
    let value = element(0x30, &[&[0x02, 1, 3], &element(0xa0, pdu)[..]].concat());
    cotp(&[&[1, 0, 1, 0], &element(0x61, &value)[..]].concat())
}

/// An element of the basic encoding rules, its length in one or three octets.
fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len() as u16;
    let header =
        if length < 128 { vec![tag, length as u8] } else { [&[tag, 0x82][..], &length.to_be_bytes()].concat() };
    [header, contents.to_vec()].concat()
}

/// Application identifier, length and reserved octets (IEC 61850-8-1 annex C).
fn substation(app_id: u16, apdu: &[u8]) -> Vec<u8> {
    let length = apdu.len() as u16 + 8;
    [&app_id.to_be_bytes()[..], &length.to_be_bytes(), &[0; 4], apdu].concat()
}

/// A session PDU of GOOSE without security: its header, whose fields are zero, one payload, no signature.
fn routed(app_id: u16, apdu: &[u8]) -> Vec<u8> {
    let payload = [&[0x81, 0][..], &app_id.to_be_bytes(), &(apdu.len() as u16).to_be_bytes(), apdu].concat();
    let header = [&[0x01, 0x40, 0xa1, 24, 0x80, 22][..], &[0; 22]].concat();
    [&header[..], &(payload.len() as u32).to_be_bytes(), &payload, &[0x85, 0]].concat()
}

/// Command of EtherNet/IP that carries unconnected messages.
const SEND_RR_DATA: [u8; 2] = [0x6f, 0];

/// Session 1, but where a client has none yet, and the number of the request as context.
fn enip(request: u16, from_client: bool, command: &[u8], data: &[u8]) -> Vec<u8> {
    let needs_none = matches!(command, [0x04 | 0x63..=0x65, 0]);
    let session = u32::from(!(from_client && needs_none));
    let mut out = command.to_vec();
    out.extend((data.len() as u16).to_le_bytes());
    out.extend(session.to_le_bytes());
    out.extend([0; 4]);
    out.extend(u64::from(request).to_le_bytes());
    out.extend([0; 4]);
    out.extend(data);
    out
}

/// Interface handle 0, no timeout, a null address item and the message.
fn unconnected(message: &[u8]) -> Vec<u8> {
    [&[0; 6][..], &[2, 0], &item(0, &[]), &item(0x00b2, message)].concat()
}

/// An item of EtherNet/IP's common packet format.
fn item(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &(data.len() as u16).to_le_bytes(), data].concat()
}

/// A variable byte integer (MQTT 5.0 §1.5.5).
fn variable(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn dnp3(control: u8, destination: u16, source: u16, data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x05, 0x64, 5 + data.len() as u8, control];
    out.extend(destination.to_le_bytes());
    out.extend(source.to_le_bytes());
    out.extend(crc(&out).to_le_bytes());
    for block in data.chunks(16) {
        out.extend(block);
        out.extend(crc(block).to_le_bytes());
    }
    out
}

/// CRC of IEEE 1815 §9.2.
fn crc(bytes: &[u8]) -> u16 {
    let step = |crc: u16| if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xa6bc };
    !bytes.iter().fold(0, |crc, byte| (0..8).fold(crc ^ u16::from(*byte), |crc, _| step(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_those_of_the_standards() {
        assert_eq!(modbus(7, &[1, 3, 0, 0, 0, 1]), [0, 7, 0, 0, 0, 6, 1, 3, 0, 0, 0, 1]);
        assert_eq!(cotp(&[0x32, 1]), [3, 0, 0, 9, 2, 0xf0, 0x80, 0x32, 1]);
        assert_eq!(
            mms(&[0x8b, 0]),
            [3, 0, 0, 0x16, 2, 0xf0, 0x80, 1, 0, 1, 0, 0x61, 9, 0x30, 7, 2, 1, 3, 0xa0, 2, 0x8b, 0]
        );
        assert_eq!(substation(1, &[0x61, 0]), [0, 1, 0, 10, 0, 0, 0, 0, 0x61, 0]);
        assert_eq!(variable(321), [0xc1, 0x02]);
        let read = unconnected(&[0x0e, 3, 0x20, 1, 0x24, 1, 0x30, 7]);
        assert_eq!(
            read,
            [&[0; 6][..], &[2, 0, 0, 0, 0, 0, 0xb2, 0, 8, 0, 0x0e, 3, 0x20, 1, 0x24, 1, 0x30, 7]].concat()
        );
        let list = [&[0x63, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 11]].concat();
        assert_eq!(enip(1, true, &[0x63, 0], &[]), list);
        // A link header known from the field: reset of link states to outstation 1 by master 1024.
        assert_eq!(dnp3(0xc0, 1, 1024, &[]), [0x05, 0x64, 0x05, 0xc0, 0x01, 0x00, 0x00, 0x04, 0xe9, 0x21]);
    }
}
