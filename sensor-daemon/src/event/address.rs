//! Addresses, ports, protocol names and community ids.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::digits::{hex, number};
use super::envelope::Endpoints;
use super::lines::Lines;

/// Appends the members `src_ip` to `ip_v`; each ends with a comma.
pub(super) fn members(out: &mut Lines, endpoints: &Endpoints) {
    let (source, destination) = (endpoints.source, endpoints.destination);
    side(out, b"\"src_ip\":\"", b"\",\"src_port\":", endpoints.protocol, source);
    side(out, b",\"dest_ip\":\"", b"\",\"dest_port\":", endpoints.protocol, destination);
    out.fixed(b",\"proto\":\"");
    protocol(out, endpoints.protocol);
    out.fixed(if source.0.is_ipv4() { b"\",\"ip_v\":4," } else { b"\",\"ip_v\":6," });
}

fn side(out: &mut Lines, ip_key: &[u8], port_key: &[u8], protocol: u8, (ip, port): (IpAddr, u16)) {
    out.append(ip_key);
    address(out, ip);
    if has_ports(protocol) {
        out.append(port_key);
        number(out, port.into());
    } else {
        out.push(b'"');
    }
}

/// TCP, UDP and SCTP.
pub(super) fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 132)
}

/// IPv4 dotted, IPv6 with all its zeros, as EVE has them.
pub(super) fn address(out: &mut Lines, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => dotted(out, v4),
        IpAddr::V6(v6) => expanded(out, v6),
    }
}

/// The same as text.
pub(crate) fn address_text(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => v6.segments().map(|group| format!("{group:04x}")).join(":"),
    }
}

fn dotted(out: &mut Lines, address: Ipv4Addr) {
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        number(out, octet.into());
    }
}

fn expanded(out: &mut Lines, address: Ipv6Addr) {
    for (at, group) in address.segments().into_iter().enumerate() {
        if at > 0 {
            out.push(b':');
        }
        hex(out, &group.to_be_bytes());
    }
}

/// The community id (version 1) of a flow: the same whichever direction the packet goes.
pub fn community_id(endpoints: &Endpoints, icmp: Option<(u8, u8)>, seed: u16) -> String {
    let Endpoints { source, destination, protocol } = endpoints;
    let (ports, one_way) = match icmp {
        Some((kind, code)) => match icmp_counterpart(*protocol, kind) {
            Some(counterpart) => (Some((kind.into(), counterpart.into())), false),
            None => (Some((kind.into(), code.into())), true),
        },
        None => (has_ports(*protocol).then_some((source.1, destination.1)), false),
    };
    let (from, to) = ports.unwrap_or((0, 0));
    let in_order = one_way || compare((source.0, from), (destination.0, to)) != Ordering::Greater;
    let ((low, low_port), (high, high_port)) = match in_order {
        true => ((source.0, from), (destination.0, to)),
        false => ((destination.0, to), (source.0, from)),
    };
    let mut hash = Sha1::new();
    hash.update(seed.to_be_bytes());
    for ip in [low, high] {
        match ip {
            IpAddr::V4(v4) => hash.update(v4.octets()),
            IpAddr::V6(v6) => hash.update(v6.octets()),
        }
    }
    hash.update([*protocol, 0]);
    if ports.is_some() {
        hash.update(low_port.to_be_bytes());
        hash.update(high_port.to_be_bytes());
    }
    let mut id = String::with_capacity(30);
    id.push_str("1:");
    STANDARD.encode_string(hash.finalize(), &mut id);
    id
}

/// Addresses of the two versions never meet in a packet; within one their order is that of their octets.
fn compare(one: (IpAddr, u16), other: (IpAddr, u16)) -> Ordering {
    one.cmp(&other)
}

/// The ICMP type that answers `kind`, for those that come in pairs (community id specification, after Zeek).
fn icmp_counterpart(protocol: u8, kind: u8) -> Option<u8> {
    const ICMP: &[(u8, u8)] = &[(0, 8), (13, 14), (15, 16), (17, 18), (10, 9)];
    const ICMPV6: &[(u8, u8)] = &[(128, 129), (130, 131), (133, 134), (135, 136), (139, 140), (144, 145)];
    let pairs = if protocol == 58 { ICMPV6 } else { ICMP };
    pairs.iter().find_map(|(one, other)| match kind {
        _ if kind == *one => Some(*other),
        _ if kind == *other => Some(*one),
        _ => None,
    })
}

/// Appends the name of an IP protocol (IANA's keyword), or its number where it has none.
pub(super) fn protocol(out: &mut Lines, code: u8) {
    match protocol_name(code) {
        Some(name) => out.append(name.as_bytes()),
        None => number(out, code.into()),
    }
}

fn protocol_name(number: u8) -> Option<&'static str> {
    Some(match number {
        0 => "HOPOPT",
        1 => "ICMP",
        2 => "IGMP",
        3 => "GGP",
        4 => "IP-in-IP",
        5 => "ST",
        6 => "TCP",
        7 => "CBT",
        8 => "EGP",
        9 => "IGP",
        17 => "UDP",
        27 => "RDP",
        33 => "DCCP",
        41 => "IPv6",
        43 => "IPv6-Route",
        44 => "IPv6-Frag",
        45 => "IDRP",
        46 => "RSVP",
        47 => "GRE",
        50 => "ESP",
        51 => "AH",
        58 => "IPv6-ICMP",
        59 => "IPv6-NoNxt",
        60 => "IPv6-Opts",
        88 => "EIGRP",
        89 => "OSPFIGP",
        94 => "IPIP",
        97 => "ETHERIP",
        98 => "ENCAP",
        103 => "PIM",
        108 => "IPComp",
        112 => "VRRP",
        113 => "PGM",
        115 => "L2TP",
        124 => "ISIS over IPv4",
        132 => "SCTP",
        133 => "FC",
        135 => "Mobility Header",
        136 => "UDPLite",
        137 => "MPLS-in-IP",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(source: (&str, u16), destination: (&str, u16), protocol: u8) -> Endpoints {
        let parse = |(ip, port): (&str, u16)| (ip.parse().unwrap(), port);
        Endpoints { source: parse(source), destination: parse(destination), protocol }
    }

    /// Examples of the specification's reference data.
    #[test]
    fn community_ids_equal_the_specifications() {
        let cases = [
            (("128.232.110.120", 34855), ("66.35.250.204", 80), 6, None, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            (("192.168.1.52", 54585), ("8.8.8.8", 53), 17, None, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
            (("192.168.0.89", 0), ("192.168.0.1", 0), 1, Some((8, 0)), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
            (("192.168.170.8", 7), ("192.168.170.56", 80), 132, None, "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ="),
            (
                ("fe80::200:86ff:fe05:80da", 0),
                ("fe80::260:97ff:fe07:69ea", 0),
                58,
                Some((135, 0)),
                "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=",
            ),
        ];
        for (source, destination, protocol, icmp, id) in cases {
            assert_eq!(community_id(&endpoints(source, destination, protocol), icmp, 0), id);
            let answer = icmp.map(|(kind, code)| (icmp_counterpart(protocol, kind).unwrap(), code));
            assert_eq!(community_id(&endpoints(destination, source, protocol), answer, 0), id, "the way back");
        }
        let (a, b) = (("10.0.0.1", 0), ("10.0.0.2", 0));
        let unreachable = |one, other| community_id(&endpoints(one, other, 1), Some((3, 1)), 0);
        assert_ne!(unreachable(a, b), unreachable(b, a), "types without an answer have a direction");
    }

    #[test]
    fn addresses_read_as_in_eve() {
        let mut out = Lines::default();
        members(&mut out, &endpoints(("fe80::1", 502), ("::ffff:10.0.0.1", 80), 6));
        assert_eq!(
            std::str::from_utf8(out.written()).unwrap(),
            "\"src_ip\":\"fe80:0000:0000:0000:0000:0000:0000:0001\",\"src_port\":502,\
             \"dest_ip\":\"0000:0000:0000:0000:0000:ffff:0a00:0001\",\"dest_port\":80,\"proto\":\"TCP\",\"ip_v\":6,"
        );
        let mut out = Lines::default();
        members(&mut out, &endpoints(("10.0.0.1", 0), ("255.255.255.255", 0), 253));
        assert_eq!(
            std::str::from_utf8(out.written()).unwrap(),
            "\"src_ip\":\"10.0.0.1\",\"dest_ip\":\"255.255.255.255\",\"proto\":\"253\",\"ip_v\":4,"
        );
    }
}
