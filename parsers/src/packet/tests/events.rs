//! One frame for each decode event, and where the event must be located.

use super::DecodeEvent as E;
use super::*;

/// Raised by others: the capture source, and whoever joins fragments; or kept for rules that name it.
const ELSEWHERE: [E; 4] = [E::CaptureTruncated, E::Ipv4FragOverlap, E::Ipv6FragOverlap, E::Ipv6ExthdrDuplEh];

struct Case {
    event: E,
    link: LinkType,
    frame: Vec<u8>,
    offset: usize,
}

fn on(link: LinkType, event: E, offset: usize, frame: &[u8]) -> Case {
    Case { event, link, frame: frame.to_vec(), offset }
}

fn eth(event: E, offset: usize, ethertype: u16, payload: &[u8]) -> Case {
    on(LinkType::Ethernet, event, offset, &ethernet(ethertype, payload))
}

/// In IPv4 at 14, so that its payload is at 34.
fn v4(event: E, offset: usize, protocol: u8, payload: &[u8]) -> Case {
    eth(event, offset, IPV4, &ipv4(protocol, payload))
}

/// In IPv6 at 14, so that its payload is at 54.
fn v6(event: E, offset: usize, next: u8, payload: &[u8]) -> Case {
    eth(event, offset, IPV6, &ipv6(next, payload))
}

/// An IPv4 header with options, which are at 34.
fn options(event: E, offset: usize, options: &[u8]) -> Case {
    eth(event, offset, IPV4, &ipv4_with(options, UDP, &udp(1, b"")))
}

/// An IPv4 header with some bytes changed.
fn v4_but(event: E, place: usize, bytes: &[u8]) -> Case {
    let mut packet = ipv4(UDP, &udp(1, b""));
    packet[place..place + bytes.len()].copy_from_slice(bytes);
    eth(event, 14, IPV4, &packet)
}

fn link_cases() -> Vec<Case> {
    let cdp_over_tag = |ethertype: u16, header: &[u8]| ethernet(ethertype, &cat(&[header, &[0x12, 0x34, 0, 0]]));
    let four_tags = tag(1, VLAN, &tag(2, VLAN, &tag(3, VLAN, &tag(4, 0x88cc, b"lldp"))));
    vec![
        eth(E::TooManyLayers, 14 + 15 * 4, VLAN, &tag(1, VLAN, &[]).repeat(20)),
        on(LinkType::Ethernet, E::EthernetPktTooSmall, 0, &[0; 13]),
        eth(E::EthernetUnknownEthertype, 14, 0x1234, &[0; 50]),
        eth(E::EthernetLenInvalid, 14, 100, &[0x42; 50]),
        eth(E::LlcPktTooSmall, 14, 2, &[0x42; 2]),
        eth(E::VlanHeaderTooSmall, 14, VLAN, &[0, 1, 8]),
        on(LinkType::Ethernet, E::VlanUnknownType, 18, &cdp_over_tag(VLAN, &[0, 1])),
        eth(E::VlanTooManyLayers, 26, VLAN, &four_tags),
        eth(E::VntagHeaderTooSmall, 14, 0x8926, &[0; 5]),
        on(LinkType::Ethernet, E::VntagUnknownType, 20, &cdp_over_tag(0x8926, &[0; 4])),
        eth(E::EtagHeaderTooSmall, 14, 0x893f, &[0; 7]),
        on(LinkType::Ethernet, E::EtagUnknownType, 22, &cdp_over_tag(0x893f, &[0; 6])),
        eth(E::Ieee8021ahHeaderTooSmall, 14, 0x88e7, &[0; 17]),
        eth(E::DcePktTooSmall, 14, 0x8903, &[0; 15]),
        eth(E::CmdHeaderTooSmall, 14, 0x8909, &[0; 7]),
        on(LinkType::Ethernet, E::CmdUnknownType, 22, &cdp_over_tag(0x8909, &[0; 6])),
        eth(E::ArpPktTooSmall, 14, 0x0806, &[0, 1, 8, 0, 6, 4, 0, 1, 0, 0]),
        eth(E::ArpUnsupportedHardware, 14, 0x0806, &cat(&[&[0, 9, 8, 0, 6, 4, 0, 1], &[0; 20]])),
        eth(E::ArpUnsupportedProtocol, 14, 0x0806, &cat(&[&[0, 1, 8, 1, 6, 4, 0, 1], &[0; 20]])),
        eth(E::ArpInvalidHardwareSize, 14, 0x0806, &cat(&[&[0, 1, 8, 0, 5, 4, 0, 1], &[0; 20]])),
        eth(E::ArpInvalidProtocolSize, 14, 0x0806, &cat(&[&[0, 1, 8, 0, 6, 3, 0, 1], &[0; 20]])),
        eth(E::ArpUnsupportedOpcode, 14, 0x0806, &cat(&[&[0, 1, 8, 0, 6, 4, 0, 99], &[0; 20]])),
        on(LinkType::Ethernet, E::PrpSizeMismatch, 60, &{
            let mut frame = plain(b"");
            frame.resize(60, 0);
            cat(&[&frame, &[0, 1, 0xb0, 7, 0x88, 0xfb]])
        }),
        eth(E::PrpInvalidLan, 60, 0x88b8, &cat(&[&[0; 46], &[0, 1, 0x30, 52, 0x88, 0xfb]])),
        eth(E::HsrHeaderTooSmall, 14, 0x892f, &[0; 5]),
        eth(E::HsrSizeMismatch, 14, 0x892f, &[0, 200, 0, 1, 0x88, 0xfb, 0, 0]),
        on(LinkType::Ethernet, E::HsrUnknownType, 20, &cdp_over_tag(0x892f, &[0, 8, 0, 1])),
        eth(E::MplsHeaderTooSmall, 14, 0x8847, &[0, 0, 1]),
        eth(E::MplsPktTooSmall, 18, 0x8847, &[0, 6, 0x41, 64]),
        eth(E::MplsBadLabelRouterAlert, 14, 0x8847, &cat(&[&[0, 0, 0x11, 64], &ipv4(TCP, &tcp(b""))])),
        eth(E::MplsBadLabelImplicitNull, 14, 0x8847, &cat(&[&[0, 0, 0x31, 64], &ipv4(TCP, &tcp(b""))])),
        eth(E::MplsBadLabelReserved, 14, 0x8847, &cat(&[&[0, 0, 0x91, 64], &ipv4(TCP, &tcp(b""))])),
        eth(E::MplsUnknownPayloadType, 18, 0x8847, &cat(&[&[0, 6, 0x41, 64], &[0x77; 40]])),
        eth(E::NshHeaderTooSmall, 14, 0x894f, &[0x0f, 0xc2, 2, 1, 0, 0, 7]),
        eth(E::NshUnsupportedVersion, 14, 0x894f, &[0x4f, 0xc2, 2, 1, 0, 0, 7, 255]),
        eth(E::NshBadHeaderLength, 14, 0x894f, &[0x0f, 0xc2, 1, 1, 0, 0, 7, 255]),
        eth(E::NshBadHeaderLength, 14, 0x894f, &[0x0f, 0xc3, 2, 1, 0, 0, 7, 255]),
        eth(E::NshBadHeaderLength, 14, 0x894f, &[0x0f, 0xc0, 2, 1, 0, 0, 7, 255]),
        eth(E::NshReservedType, 14, 0x894f, &[0x0f, 0xc2, 0, 1, 0, 0, 7, 255]),
        eth(E::NshUnsupportedType, 14, 0x894f, &[0x0f, 0xc2, 3, 1, 0, 0, 7, 255]),
        eth(E::NshUnknownPayload, 14, 0x894f, &[0x0f, 0xc2, 2, 9, 0, 0, 7, 255]),
        on(LinkType::Ppp, E::PppPktTooSmall, 0, &[0xff, 3, 0]),
        on(LinkType::Ppp, E::PppVjuPktTooSmall, 0, &[0, 0x2f, 0x45]),
        on(LinkType::Ppp, E::PppIp4PktTooSmall, 0, &[0, 0x21, 0x45]),
        on(LinkType::Ppp, E::PppIp6PktTooSmall, 0, &[0, 0x57, 0x60]),
        on(LinkType::Ppp, E::PppWrongType, 0, &[0, 0x20, 0x45]),
        on(LinkType::Ppp, E::PppUnsupProto, 0, &[0, 0x2d, 0x45]),
        eth(E::PppoePktTooSmall, 14, 0x8864, &[0x11, 0, 0, 1, 0, 9, 0, 0x21]),
        eth(E::PppoeWrongCode, 14, 0x8864, &[0x11, 9, 0, 1, 0, 2, 0xc0, 0x21]),
        eth(E::PppoeMalformedTags, 14, 0x8863, &[0x11, 9, 0, 0, 0, 4, 1, 1, 0, 9]),
        on(LinkType::CiscoHdlc, E::ChdlcPktTooSmall, 0, &[0x0f, 0, 8]),
        on(LinkType::LinuxSll, E::SllPktTooSmall, 0, &[0; 15]),
        on(LinkType::LinuxSll2, E::Sll2PktTooSmall, 0, &[0; 19]),
        on(LinkType::Loopback, E::LtnullPktTooSmall, 0, &[2, 0, 0]),
        on(LinkType::Loopback, E::LtnullUnsupportedType, 0, &[7, 0, 0, 0]),
        on(LinkType::RawIp, E::IprawInvalidIpVersion, 0, &[0x51; 40]),
    ]
}

fn ipv4_cases() -> Vec<Case> {
    vec![
        eth(E::Ipv4PktTooSmall, 14, IPV4, &[0x45; 19]),
        v4_but(E::Ipv4HlenTooSmall, 0, &[0x44]),
        v4_but(E::Ipv4IplenSmallerThanHlen, 2, &[0, 19]),
        v4_but(E::Ipv4TruncPkt, 2, &[0, 99]),
        v4_but(E::Ipv4WrongIpVersion, 0, &[0x55]),
        // A router alert of value 300.
        options(E::Ipv4OptInvalid, 34, &[148, 4, 1, 44]),
        options(E::Ipv4OptInvalidLen, 34, &[148, 40, 0, 0]),
        // Record route whose pointer is into its own header.
        options(E::Ipv4OptMalformed, 34, &[7, 7, 3, 0, 0, 0, 0, 0]),
        options(E::Ipv4OptPadRequired, 35, &[1, 0, 0, 7]),
        options(E::Ipv4OptEolRequired, 37, &[1, 1, 1, 7]),
        options(E::Ipv4OptDuplicate, 38, &[148, 4, 0, 0, 148, 4, 0, 0]),
        options(E::Ipv4OptUnknown, 34, &[99, 4, 0, 0]),
        v4(E::Ipv4UnknownProtocol, 34, 253, b"what"),
        v4(E::Ipv4Icmpv6, 34, 58, &[128, 0, 0, 0, 0, 0, 0, 0]),
        v4_but(E::Ipv4FragPktTooLarge, 6, &[0x1f, 0xff]),
        v4(E::AhPktTooSmall, 34, 51, &[6, 4, 0, 0]),
        v4(E::EspPktTooSmall, 34, 50, &[0; 7]),
    ]
}

fn ipv6_cases() -> Vec<Case> {
    let hop = |option: &[u8]| cat(&[&[59, 0], option]);
    let fragment = [TCP, 0, 0, 1, 0, 0, 0, 1];
    let chain = |kind: u8, count: usize| {
        let mut headers = [kind, 0, 5, 2, 0, 0, 0, 0].repeat(count);
        let last = headers.len() - 8;
        headers[last] = 59;
        headers
    };
    let authentication = |next: u8, reserved: u8| [next, 1, 0, reserved, 0, 0, 0, 1, 0, 0, 0, 2];
    vec![
        eth(E::Ipv6PktTooSmall, 14, IPV6, &[0x60; 39]),
        eth(E::Ipv6TruncPkt, 14, IPV6, &{
            let mut packet = ipv6(UDP, &udp(1, b""));
            packet[5] = 99;
            packet
        }),
        v6(E::Ipv6TruncExthdr, 54, 0, &[59, 1, 0, 0, 0, 0, 0, 0]),
        eth(E::Ipv6WrongIpVersion, 14, IPV6, &[0x45; 60]),
        v6(E::Ipv6ExthdrDuplFh, 62, 44, &cat(&[&[44, 0, 0, 0, 0, 0, 0, 1], &fragment, &[0; 16]])),
        v6(E::Ipv6ExthdrUselessFh, 54, 44, &cat(&[&[TCP, 0, 0, 0, 0, 0, 0, 1], &tcp(b"")])),
        v6(E::Ipv6ExthdrDuplRh, 62, 43, &chain(43, 2)),
        v6(E::Ipv6ExthdrDuplHh, 62, 0, &chain(0, 2)),
        v6(E::Ipv6ExthdrDuplDh, 70, 60, &chain(60, 3)),
        v6(E::Ipv6ExthdrDuplAh, 66, 51, &cat(&[&authentication(51, 0), &authentication(59, 0)])),
        v6(E::Ipv6ExthdrInvalidOptlen, 56, 0, &hop(&[5, 3, 0, 0, 0, 0])),
        v6(E::Ipv6ExthdrAhResNotNull, 54, 51, &authentication(59, 1)),
        v6(E::Ipv6HopoptsUnknownOpt, 56, 0, &hop(&[0x3e, 2, 0, 0, 0, 0])),
        v6(E::Ipv6HopoptsOnlyPadding, 54, 0, &hop(&[1, 4, 0, 0, 0, 0])),
        v6(E::Ipv6DstoptsUnknownOpt, 56, 60, &hop(&[0x3e, 2, 0, 0, 0, 0])),
        v6(E::Ipv6DstoptsOnlyPadding, 54, 60, &hop(&[1, 4, 0, 0, 0, 0])),
        v6(E::Ipv6RhType0, 54, 43, &[59, 0, 0, 0, 0, 0, 0, 0]),
        v6(E::Ipv6ZeroLenPadn, 60, 0, &hop(&[5, 2, 0, 0, 1, 0])),
        v6(E::Ipv6FhNonZeroReservedField, 54, 44, &[TCP, 7, 0, 8, 0, 0, 0, 1]),
        v6(E::Ipv6DataAfterNoneHeader, 54, 59, b"data"),
        v6(E::Ipv6UnknownNextHeader, 54, 253, b"what"),
        v6(E::Ipv6Icmpv4, 54, 1, &[8, 0, 0, 0, 0, 0, 0, 0]),
        v6(E::Ipv6FragPktTooLarge, 54, 44, &cat(&[&[TCP, 0, 0xff, 0xf8, 0, 0, 0, 1], &[0; 16]])),
        v6(E::Ipv6FragInvalidLength, 54, 44, &cat(&[&fragment, &[0; 15]])),
        v6(E::Ipv6Ipv4InIpv6TooSmall, 54, 4, &[0x45; 19]),
        v6(E::Ipv6Ipv4InIpv6WrongVersion, 54, 4, &[0x56; 30]),
        v6(E::Ipv6Ipv6InIpv6TooSmall, 54, 41, &[0x60; 39]),
        v6(E::Ipv6Ipv6InIpv6WrongVersion, 54, 41, &[0x45; 60]),
    ]
}

fn icmp_cases() -> Vec<Case> {
    let error = |quoted: &[u8]| cat(&[&[3, 1, 0, 0, 0, 0, 0, 0], quoted]);
    let error6 = |quoted: &[u8]| cat(&[&[1, 0, 0, 0, 0, 0, 0, 0], quoted]);
    let kind6 = |kind: u8, code: u8| [kind, code, 0, 0, 0, 0, 0, 0];
    vec![
        v4(E::Icmpv4PktTooSmall, 34, 1, &[8, 0, 0, 0, 0, 0, 0]),
        v4(E::Icmpv4UnknownType, 34, 1, &[99, 0, 0, 0, 0, 0, 0, 0]),
        v4(E::Icmpv4UnknownCode, 34, 1, &[8, 1, 0, 0, 0, 0, 0, 0]),
        v4(E::Icmpv4Ipv4TruncPkt, 42, 1, &error(&[0x45; 19])),
        v4(E::Icmpv4Ipv4UnknownVer, 42, 1, &error(&[0x55; 28])),
        v6(E::Icmpv6PktTooSmall, 54, 58, &[128, 0, 0, 0, 0, 0, 0]),
        v6(E::Icmpv6UnknownType, 54, 58, &kind6(255, 0)),
        v6(E::Icmpv6UnknownCode, 54, 58, &kind6(128, 1)),
        v6(E::Icmpv6Ipv6TruncPkt, 62, 58, &error6(&[0x60; 39])),
        v6(E::Icmpv6Ipv6UnknownVersion, 62, 58, &error6(&[0x45; 48])),
        v6(E::Icmpv6MldMessageWithInvalidHl, 54, 58, &kind6(130, 0)),
        v6(E::Icmpv6UnassignedType, 54, 58, &kind6(50, 0)),
        v6(E::Icmpv6ExperimentationType, 54, 58, &kind6(200, 0)),
        v4(E::IgmpPktTooSmall, 34, 2, &[0x16, 0, 0, 0, 224, 0, 0]),
        v4(E::IgmpV3PktTooSmall, 34, 2, &[0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        v4(E::IgmpMalformed, 34, 2, &[0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 9, 224, 0, 0, 1]),
    ]
}

fn transport_cases() -> Vec<Case> {
    let tcp_offset = |offset: u8| {
        let mut segment = tcp(b"data");
        segment[12] = offset << 4;
        segment
    };
    let udp_length = |length: u8| {
        let mut datagram = udp(1, b"data");
        datagram[5] = length;
        datagram
    };
    let sctp = |tag: u8, chunks: &[u8]| cat(&[&[0, 1, 0, 2, 0, 0, 0, tag, 0, 0, 0, 0], chunks]);
    let data = [0, 3, 0, 17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, b'x', 0, 0, 0];
    let init = cat(&[&[1, 0, 0, 20], &[0; 16]]);
    vec![
        v4(E::TcpPktTooSmall, 34, TCP, &[0; 19]),
        v4(E::TcpHlenTooSmall, 34, TCP, &tcp_offset(4)),
        v4(E::TcpInvalidOptlen, 34, TCP, &tcp_offset(15)),
        v4(E::TcpOptInvalidLen, 55, TCP, &tcp_with(&[1, 2, 9, 0], b"")),
        v4(E::TcpOptDuplicate, 58, TCP, &tcp_with(&[2, 4, 5, 0xb4, 2, 4, 5, 0xb4], b"")),
        v4(E::UdpPktTooSmall, 34, UDP, &udp_length(40)),
        v4(E::UdpHlenTooSmall, 34, UDP, &[0; 7]),
        v4(E::UdpLenInvalid, 34, UDP, &udp_length(7)),
        v4(E::SctpPktTooSmall, 34, 132, &[0; 11]),
        v4(E::SctpChunkTooSmall, 46, 132, &sctp(7, &[0, 3, 0])),
        v4(E::SctpChunkLenInvalid, 46, 132, &sctp(7, &[0, 3, 0, 99])),
        v4(E::SctpDataWithZeroVtag, 46, 132, &sctp(0, &data)),
        v4(E::SctpInitChunkBundled, 46, 132, &sctp(0, &cat(&[&init, &data]))),
        v4(E::SctpInitWithNonZeroVtag, 46, 132, &sctp(7, &init)),
        v4(E::SctpTooManyChunks, 46 + 400, 132, &sctp(7, &[10, 0, 0, 4].repeat(101))),
        v4(E::SctpTooManyDataChunks, 46 + 1000, 132, &sctp(7, &data.repeat(51))),
    ]
}

fn tunnel_cases() -> Vec<Case> {
    let gre = |flags: u16, protocol: u16, rest: &[u8]| cat(&[&flags.to_be_bytes(), &protocol.to_be_bytes(), rest]);
    let inner = ipv4(TCP, &tcp(b""));
    let ppp = |flags: u16| gre(flags, 0x880b, &[0; 12]);
    vec![
        v4(E::GrePktTooSmall, 34, 47, &[0; 3]),
        v4(E::GreWrongVersion, 34, 47, &gre(2, 0x0800, &inner)),
        v4(E::GreVersion0Recur, 34, 47, &gre(0x0100, 0x0800, &inner)),
        v4(E::GreVersion0Flags, 34, 47, &gre(0x0008, 0x0800, &inner)),
        v4(E::GreVersion0HdrTooBig, 34, 47, &gre(0xb000, 0x0800, &[0; 11])),
        v4(E::GreVersion0MalformedSreHdr, 34, 47, &gre(0x4000, 0x0800, &[0, 0, 0, 0, 8, 0, 0, 200])),
        v4(E::GreVersion1Chksum, 34, 47, &ppp(0xa001)),
        v4(E::GreVersion1Route, 34, 47, &ppp(0x6001)),
        v4(E::GreVersion1Ssr, 34, 47, &ppp(0x2801)),
        v4(E::GreVersion1Recur, 34, 47, &ppp(0x2101)),
        v4(E::GreVersion1Flags, 34, 47, &ppp(0x2009)),
        v4(E::GreVersion1NoKey, 34, 47, &ppp(0x0001)),
        v4(E::GreVersion1WrongProtocol, 34, 47, &gre(0x2001, 0x0800, &[0; 8])),
        v4(E::GreVersion1MalformedSreHdr, 34, 47, &gre(0x2001, 0x880b, &[0, 99, 0, 1, 0, 0x21])),
        v4(E::GreVersion1HdrTooBig, 34, 47, &gre(0x3081, 0x880b, &[0; 11])),
        v4(E::GreUnknownProtocol, 34, 47, &gre(0, 0x1234, &inner)),
        v4(E::ErspanHeaderTooSmall, 42, 47, &gre(0x1000, 0x88be, &cat(&[&[0, 0, 0, 1], &[0x10; 7]]))),
        v4(E::ErspanUnsupportedVersion, 42, 47, &gre(0x1000, 0x88be, &cat(&[&[0, 0, 0, 1], &[0x70; 40]]))),
        eth(E::ErspanTooManyVlanLayers, 62, VLAN, &{
            let header = [0, 0, 0, 1, 0x10, 0x07, 0, 1, 0, 0, 0, 0];
            let erspan = gre(0x1000, 0x88be, &cat(&[&header, &plain(b"")]));
            tag(1, VLAN, &tag(2, VLAN, &tag(3, IPV4, &ipv4(47, &erspan))))
        }),
        v4(E::VxlanUnknownPayloadType, 42, UDP, &udp(4789, &cat(&[&[8, 0, 0, 0, 0, 0, 1, 0], &[0x55; 30]]))),
        v4(E::GeneveUnknownPayloadType, 42, UDP, &udp(6081, &[0, 0, 0x12, 0x34, 0, 0, 1, 0, 9, 9])),
        v4(E::GtpUnknownPayloadType, 42, UDP, &udp(2152, &[0x30, 255, 0, 2, 0, 0, 0, 1, 9, 9])),
    ]
}

fn cases() -> Vec<Case> {
    [link_cases(), ipv4_cases(), ipv6_cases(), icmp_cases(), transport_cases(), tunnel_cases()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn every_fault_is_named_at_its_place() {
    for Case { event, link, frame, offset } in cases() {
        let packet = decode_as(link, &frame);
        let located: Vec<_> = packet.events.located().map(|met| (met.event.name(), met.offset)).collect();
        assert!(located.contains(&(event.name(), offset)), "{} at {offset}: {located:?}", event.name());
    }
}

#[test]
fn every_event_has_a_frame_that_provokes_it() {
    let provoked: Vec<E> = cases().iter().map(|case| case.event).collect();
    for event in E::ALL {
        assert!(provoked.contains(event) != ELSEWHERE.contains(event), "{}", event.name());
    }
}

#[test]
fn events_are_named_as_the_known_vocabulary_has_them() {
    // Names that rule files in use know.
    for name in [
        "ipv4.pkt_too_small",
        "ipv4.hlen_too_small",
        "ipv4.iplen_smaller_than_hlen",
        "ipv4.trunc_pkt",
        "ipv6.trunc_exthdr",
        "ipv6.ipv4_in_ipv6_wrong_version",
        "tcp.hlen_too_small",
        "tcp.invalid_optlen",
        "udp.hlen_too_small",
        "udp.len_invalid",
        "sctp.pkt_too_small",
        "gre.version1_malformed_sre_hdr",
        "erspan.too_many_vlan_layers",
        "ltnull.unsupported_type",
        "ieee8021ah.header_too_small",
        "too_many_layers",
    ] {
        assert!(E::from_name(name).is_some(), "{name}");
    }
}
