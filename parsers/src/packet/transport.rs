//! TCP (RFC 9293), UDP (RFC 768), SCTP (RFC 9260), ICMP (RFC 792), ICMPv6 (RFC 4443), IGMP (RFC 3376).

use std::ops::Range;

use super::decoder::{Decoder, Layer, be16};
use super::event::DecodeEvent;
use super::{Tcp, Transport, tunnel};

/// SCTP chunks that are walked in a packet: a full frame holds 93 data chunks of one byte.
const MAX_CHUNKS: usize = 100;
/// SCTP data chunks of a packet that are nothing odd.
const MAX_DATA_CHUNKS: usize = 50;

/// What is read of the options of a TCP segment.
#[derive(Default)]
struct Options {
    timestamps: Option<(u32, u32)>,
    window_scale: Option<u8>,
}

impl Decoder<'_, '_> {
    pub(super) fn tcp(&mut self) -> Layer {
        let Some(header) = self.header::<20>() else { return self.short(DecodeEvent::TcpPktTooSmall) };
        let header_length = (header[12] >> 4) * 4;
        if header_length < 20 {
            return self.fault(DecodeEvent::TcpHlenTooSmall);
        }
        let mut known = Options::default();
        if header_length > 20 {
            let Some(options) = self.rest().get(20..usize::from(header_length)) else {
                return self.short(DecodeEvent::TcpInvalidOptlen);
            };
            // Timestamps alone, as in nearly every segment of those who use them, need no further look.
            known = match options {
                [1, 1, 8, 10, times @ ..] if times.len() == 8 => {
                    Options { timestamps: tcp_times(times), window_scale: None }
                }
                _ => self.tcp_options(options),
            };
        }
        self.packet.ports = [u16::from_be_bytes([header[0], header[1]]), u16::from_be_bytes([header[2], header[3]])];
        self.packet.transport = Transport::Tcp(Tcp {
            sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            acknowledgement: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            flags: header[13],
            window: u16::from_be_bytes([header[14], header[15]]),
            header_length,
            timestamps: known.timestamps,
            window_scale: known.window_scale,
        });
        self.skip(usize::from(header_length));
        Layer::Payload
    }

    /// Options of TCP (RFC 9293, 3.2); gives those that are read.
    fn tcp_options(&mut self, options: &[u8]) -> Options {
        let mut known = Options::default();
        let mut seen = 0u64;
        let mut at = 0;
        while let Some(&kind) = options.get(at) {
            match kind {
                0 => break,
                1 => {
                    at += 1;
                    continue;
                }
                _ => {}
            }
            let place = self.at() + 20 + at;
            let length = usize::from(options.get(at + 1).copied().unwrap_or(0));
            if length < 2 || at + length > options.len() || !tcp_option_length_is_right(kind, length) {
                self.packet.events.push(DecodeEvent::TcpOptInvalidLen, place);
                break;
            }
            match kind {
                3 => known.window_scale = options.get(at + 2).copied(),
                8 => known.timestamps = options.get(at + 2..).and_then(tcp_times),
                _ => {}
            }
            // Multipath (30) and the experimental ones (253, 254) may stand more than once.
            if kind < 30 {
                if seen & 1 << kind != 0 {
                    self.packet.events.push(DecodeEvent::TcpOptDuplicate, place);
                }
                seen |= 1 << kind;
            }
            at += length;
        }
        known
    }

    pub(super) fn udp(&mut self) -> Layer {
        let Some([s0, s1, d0, d1, l0, l1, _, _]) = self.header() else {
            return self.short(DecodeEvent::UdpHlenTooSmall);
        };
        let available = self.end() - self.at();
        // 0 in jumbograms (RFC 2675), and where the network card divides the datagram.
        match usize::from(u16::from_be_bytes([*l0, *l1])) {
            0 => {}
            1..8 => return self.fault(DecodeEvent::UdpLenInvalid),
            length => {
                if length < available {
                    self.event(DecodeEvent::UdpLenInvalid);
                }
                self.bound(length, DecodeEvent::UdpPktTooSmall);
            }
        }
        let destination = u16::from_be_bytes([*d0, *d1]);
        let source = u16::from_be_bytes([*s0, *s1]);
        self.packet.ports = [source, destination];
        self.packet.transport = Transport::Udp;
        self.skip(8);
        match destination {
            _ if !self.may_tunnel() => Layer::Payload,
            tunnel::VXLAN_PORT | tunnel::VXLAN_LINUX_PORT => self.vxlan(),
            tunnel::GENEVE_PORT => self.geneve(),
            tunnel::GTP_PORT => self.gtp(),
            tunnel::TEREDO_PORT => self.teredo(),
            _ if source == tunnel::TEREDO_PORT => self.teredo(),
            _ => Layer::Payload,
        }
    }

    pub(super) fn icmp(&mut self) -> Layer {
        let Some([kind, code, ..]) = self.header::<8>() else { return self.short(DecodeEvent::Icmpv4PktTooSmall) };
        match icmp_codes(*kind) {
            None => self.event(DecodeEvent::Icmpv4UnknownType),
            Some(highest) if *code > highest => self.event(DecodeEvent::Icmpv4UnknownCode),
            Some(_) => {}
        }
        self.packet.transport = Transport::Icmp { kind: *kind, code: *code };
        self.skip(8);
        if matches!(kind, 3..=5 | 11 | 12) {
            self.quoted(20, 4, DecodeEvent::Icmpv4Ipv4TruncPkt, DecodeEvent::Icmpv4Ipv4UnknownVer);
        }
        Layer::Payload
    }

    pub(super) fn icmpv6(&mut self) -> Layer {
        let Some([kind, code, ..]) = self.header::<8>() else { return self.short(DecodeEvent::Icmpv6PktTooSmall) };
        match icmpv6_codes(*kind) {
            Codes::UpTo(highest) if *code > highest => self.event(DecodeEvent::Icmpv6UnknownCode),
            Codes::UpTo(_) | Codes::Any => {}
            Codes::Experimental => self.event(DecodeEvent::Icmpv6ExperimentationType),
            Codes::Reserved => self.event(DecodeEvent::Icmpv6UnknownType),
            Codes::Unassigned => self.event(DecodeEvent::Icmpv6UnassignedType),
        }
        let hop_limit = self.packet.ip.as_ref().map_or(1, |ip| ip.ttl);
        if matches!(kind, 130..=132 | 143) && hop_limit != 1 {
            self.event(DecodeEvent::Icmpv6MldMessageWithInvalidHl);
        }
        self.packet.transport = Transport::Icmp { kind: *kind, code: *code };
        self.skip(8);
        if matches!(kind, 1..=4) {
            self.quoted(40, 6, DecodeEvent::Icmpv6Ipv6TruncPkt, DecodeEvent::Icmpv6Ipv6UnknownVersion);
        }
        Layer::Payload
    }

    /// Checks the packet that an ICMP error quotes.
    fn quoted(&mut self, header: usize, version: u8, short: DecodeEvent, unknown: DecodeEvent) {
        let rest = self.rest();
        if rest.len() < header {
            self.short(short);
        } else if rest.first().is_some_and(|byte| byte >> 4 != version) {
            self.event(unknown);
        }
    }

    /// IGMP is checked and left as payload.
    pub(super) fn igmp(&mut self) -> Layer {
        let rest = self.rest();
        let Some([kind, ..]) = self.header::<8>() else { return self.short(DecodeEvent::IgmpPktTooSmall) };
        match kind {
            // A query longer than version 2's is version 3's: 12 bytes and the sources.
            0x11 if rest.len() > 8 && rest.len() < 12 => return self.short(DecodeEvent::IgmpV3PktTooSmall),
            0x11 if rest.len() >= 12 && rest.len() < 12 + 4 * usize::from(be16(rest, 10)) => {
                return self.short(DecodeEvent::IgmpV3PktTooSmall);
            }
            0x22 => return self.igmp_records(rest),
            0x11..=0x17 | 0x1e | 0x1f | 0x24..=0x26 | 0x30..=0x32 | 0xf0..=0xff => {}
            _ => self.event(DecodeEvent::IgmpMalformed),
        }
        Layer::Payload
    }

    /// Group records of an IGMPv3 report (RFC 3376, 4.2).
    fn igmp_records(&mut self, report: &[u8]) -> Layer {
        let mut at = 8;
        for _ in 0..be16(report, 6) {
            let Some(record) = report.get(at..).and_then(|tail| tail.first_chunk::<8>()) else {
                return self.short(DecodeEvent::IgmpV3PktTooSmall);
            };
            at += 8 + 4 * (usize::from(record[1]) + usize::from(be16(record, 2)));
        }
        if at > report.len() { self.short(DecodeEvent::IgmpMalformed) } else { Layer::Payload }
    }

    pub(super) fn sctp(&mut self) -> Layer {
        let Some(header) = self.header::<12>() else { return self.short(DecodeEvent::SctpPktTooSmall) };
        self.packet.ports = [u16::from_be_bytes([header[0], header[1]]), u16::from_be_bytes([header[2], header[3]])];
        self.packet.transport = Transport::Sctp;
        let tag = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        self.skip(12);
        let user_data = self.sctp_chunks(tag);
        self.packet.payload = user_data.unwrap_or(self.at()..self.end());
        Layer::Payload
    }

    /// Checks the chunks of an SCTP packet (RFC 9260, 3.2), and says where the user data of the first DATA chunk stands, as
    /// far as it is there (3.3.1).
    fn sctp_chunks(&mut self, tag: u32) -> Option<Range<usize>> {
        let chunks = self.rest();
        let (mut at, mut count, mut data, mut alone, mut user_data) = (0, 0, 0, None, None);
        while at < chunks.len() {
            let place = self.at() + at;
            if count == MAX_CHUNKS {
                self.packet.events.push(DecodeEvent::SctpTooManyChunks, place);
                return user_data;
            }
            let Some([kind, _, l0, l1]) = chunks.get(at..).and_then(|tail| tail.first_chunk()) else {
                if !self.cut {
                    self.packet.events.push(DecodeEvent::SctpChunkTooSmall, place);
                }
                return user_data;
            };
            let length = usize::from(u16::from_be_bytes([*l0, *l1]));
            count += 1;
            if *kind == 0 && user_data.is_none() {
                let end = (place + length).min(self.end());
                user_data = Some((place + 16).min(end)..end);
            }
            match kind {
                0 | 64 => {
                    data += 1;
                    if tag == 0 {
                        self.packet.events.push(DecodeEvent::SctpDataWithZeroVtag, place);
                    }
                }
                1 if tag != 0 => self.packet.events.push(DecodeEvent::SctpInitWithNonZeroVtag, place),
                _ => {}
            }
            // INIT, INIT ACK, SHUTDOWN COMPLETE.
            if matches!(kind, 1 | 2 | 14) {
                alone.get_or_insert(place);
            }
            if length < 4 {
                self.packet.events.push(DecodeEvent::SctpChunkTooSmall, place);
                return user_data;
            }
            if at + length > chunks.len() {
                if !self.cut {
                    self.packet.events.push(DecodeEvent::SctpChunkLenInvalid, place);
                }
                return user_data;
            }
            if data == MAX_DATA_CHUNKS + 1 {
                self.packet.events.push(DecodeEvent::SctpTooManyDataChunks, place);
            }
            if let Some(alone) = alone
                && count > 1
            {
                self.packet.events.push(DecodeEvent::SctpInitChunkBundled, alone);
            }
            at += length.next_multiple_of(4);
        }
        user_data
    }
}

/// Value and echo of a timestamps option, behind its length.
fn tcp_times(option: &[u8]) -> Option<(u32, u32)> {
    let &[v0, v1, v2, v3, e0, e1, e2, e3] = option.first_chunk()?;
    Some((u32::from_be_bytes([v0, v1, v2, v3]), u32::from_be_bytes([e0, e1, e2, e3])))
}

/// Is `length`, kind and length octets included, one that the option may have?
fn tcp_option_length_is_right(kind: u8, length: usize) -> bool {
    match kind {
        2 => length == 4,                                    // Maximum segment size
        3 => length == 3,                                    // Window scale
        4 => length == 2,                                    // SACK permitted
        5 => length >= 10 && (length - 2).is_multiple_of(8), // SACK
        8 => length == 10,                                   // Timestamps
        19 => length == 18,                                  // MD5 (RFC 2385)
        28 => length == 4,                                   // User timeout (RFC 5482)
        29 => length >= 4,                                   // Authentication (RFC 5925)
        34 => length == 2 || (6..=18).contains(&length),     // Fast open (RFC 7413)
        _ => true,
    }
}

/// The highest code of an ICMP type; `None` when the type is not assigned (IANA).
fn icmp_codes(kind: u8) -> Option<u8> {
    Some(match kind {
        0 | 4 | 6 | 8 | 10 | 13..=18 | 42 => 0,
        3 => 15,
        5 => 3,
        // Mobile IP's router that does not take common traffic.
        9 => 16,
        11 | 30 => 1,
        12 => 2,
        40 => 5,
        43 => 4,
        19..=29 | 31..=39 | 41 | 253 | 254 => u8::MAX,
        _ => return None,
    })
}

/// What is known of an ICMPv6 type (IANA).
enum Codes {
    UpTo(u8),
    Any,
    Experimental,
    Reserved,
    Unassigned,
}

fn icmpv6_codes(kind: u8) -> Codes {
    match kind {
        1 | 4 => Codes::UpTo(10),
        3 => Codes::UpTo(1),
        2 | 128..=137 | 141..=153 | 160 => Codes::UpTo(0),
        139 | 140 => Codes::UpTo(2),
        161 => Codes::UpTo(4),
        138 | 154..=159 => Codes::Any,
        100 | 101 | 200 | 201 => Codes::Experimental,
        0 | 127 | 255 => Codes::Reserved,
        _ => Codes::Unassigned,
    }
}
