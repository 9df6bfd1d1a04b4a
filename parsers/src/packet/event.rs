//! What can be wrong or odd in a packet's headers, in Suricata's `decode-event` spelling where it has one.

macro_rules! decode_events {
    ($($event:ident $name:literal $doc:literal,)*) => {
        /// One decode event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum DecodeEvent {
            $(#[doc = $doc] $event,)*
        }

        impl DecodeEvent {
            /// Every event.
            pub const ALL: &[Self] = &[$(Self::$event,)*];

            /// Its name, as in `decode-event:` of rules and `anomaly.event` of EVE.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$event => $name,)*
                }
            }

            /// What it means, in a sentence.
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$event => $doc,)*
                }
            }
        }
    };
}

decode_events! {
    TooManyLayers "too_many_layers" "More layers than the configured bound.",
    CaptureTruncated "afpacket.trunc_pkt" "The capture ring cut the packet.",
    EthernetPktTooSmall "ethernet.pkt_too_small" "Shorter than an Ethernet header (14 bytes).",
    EthernetUnknownEthertype "ethernet.unknown_ethertype" "An ethertype that is not assigned, as far as is known here.",
    EthernetLenInvalid "ethernet.len_invalid" "The length field of an IEEE 802.3 frame goes beyond the frame.",
    LlcPktTooSmall "llc.pkt_too_small" "Shorter than its LLC or SNAP header (IEEE 802.2).",
    VlanHeaderTooSmall "vlan.header_too_small" "An 802.1Q tag is cut short.",
    VlanUnknownType "vlan.unknown_type" "Unknown ethertype behind a VLAN tag.",
    VlanTooManyLayers "vlan.too_many_layers" "More VLAN tags than are kept; the further ones are walked, not kept.",
    VntagHeaderTooSmall "vntag.header_too_small" "A VN-Tag is cut short.",
    VntagUnknownType "vntag.unknown_type" "Unknown ethertype behind a VN-Tag.",
    EtagHeaderTooSmall "etag.header_too_small" "An 802.1BR E-Tag is cut short.",
    EtagUnknownType "etag.unknown_type" "Unknown ethertype behind an E-Tag.",
    Ieee8021ahHeaderTooSmall "ieee8021ah.header_too_small" "An 802.1ah service tag is cut short.",
    DcePktTooSmall "dce.pkt_too_small" "A Cisco FabricPath header is cut short.",
    CmdHeaderTooSmall "cmd.header_too_small" "A Cisco metadata header (security group tag) is cut short.",
    CmdUnknownType "cmd.unknown_type" "Unknown ethertype behind a Cisco metadata header.",
    ArpPktTooSmall "arp.pkt_too_small" "Shorter than an ARP packet for the address sizes it states.",
    ArpUnsupportedHardware "arp.unsupported_hardware" "Hardware type other than Ethernet.",
    ArpUnsupportedProtocol "arp.unsupported_protocol" "Protocol type other than IPv4.",
    ArpInvalidHardwareSize "arp.invalid_hardware_size" "Hardware address size other than 6.",
    ArpInvalidProtocolSize "arp.invalid_protocol_size" "Protocol address size other than 4.",
    ArpUnsupportedOpcode "arp.unsupported_opcode" "An opcode that is not assigned.",
    PrpSizeMismatch "prp.size_mismatch" "Behind the IP packet stands a PRP trailer whose LSDU size is not the frame's.",
    PrpInvalidLan "prp.invalid_lan" "A PRP trailer with the right size, but a LAN that is neither A nor B.",
    HsrHeaderTooSmall "hsr.header_too_small" "An HSR tag is cut short.",
    HsrSizeMismatch "hsr.size_mismatch" "The LSDU size of an HSR tag goes beyond the frame.",
    HsrUnknownType "hsr.unknown_type" "Unknown ethertype behind an HSR tag.",
    MplsHeaderTooSmall "mpls.header_too_small" "An MPLS label is cut short.",
    MplsPktTooSmall "mpls.pkt_too_small" "Nothing, or too little, behind the MPLS label stack.",
    MplsBadLabelRouterAlert "mpls.bad_label_router_alert" "Router alert (1) at the bottom of the stack (RFC 3032).",
    MplsBadLabelImplicitNull "mpls.bad_label_implicit_null" "Implicit null (3), which never stands on the wire (RFC 3032).",
    MplsBadLabelReserved "mpls.bad_label_reserved" "A reserved label (4 to 15) without meaning here.",
    MplsUnknownPayloadType "mpls.unknown_payload_type" "Neither IPv4, IPv6 nor Ethernet behind the label stack.",
    NshHeaderTooSmall "nsh.header_too_small" "Shorter than a network service header (8 bytes, RFC 8300).",
    NshUnsupportedVersion "nsh.unsupported_version" "A network service header of a version other than 0.",
    NshBadHeaderLength "nsh.bad_header_length" "A network service header whose length is none of its metadata type, or goes beyond the packet.",
    NshReservedType "nsh.reserved_type" "A metadata type of a network service header that is reserved, or for experiments.",
    NshUnsupportedType "nsh.unsupported_type" "A metadata type of a network service header that is not assigned.",
    NshUnknownPayload "nsh.unknown_payload" "A network service header with something behind it that is not known.",
    PppPktTooSmall "ppp.pkt_too_small" "Shorter than a PPP header.",
    PppVjuPktTooSmall "ppp.vju_pkt_too_small" "Van Jacobson uncompressed, shorter than an IPv4 header.",
    PppIp4PktTooSmall "ppp.ip4_pkt_too_small" "IPv4 in PPP, shorter than an IPv4 header.",
    PppIp6PktTooSmall "ppp.ip6_pkt_too_small" "IPv6 in PPP, shorter than an IPv6 header.",
    PppWrongType "ppp.wrong_type" "A PPP protocol number that is not assigned (RFC 1661).",
    PppUnsupProto "ppp.unsup_proto" "An assigned PPP protocol that is not decoded.",
    PppoePktTooSmall "pppoe.pkt_too_small" "Shorter than a PPPoE header, or than the length it states.",
    PppoeWrongCode "pppoe.wrong_code" "A PPPoE code or version that RFC 2516 does not know.",
    PppoeMalformedTags "pppoe.malformed_tags" "A PPPoE discovery tag goes beyond the packet.",
    ChdlcPktTooSmall "chdlc.pkt_too_small" "Shorter than a Cisco HDLC header.",
    SllPktTooSmall "sll.pkt_too_small" "Shorter than a Linux cooked header (16 bytes).",
    Sll2PktTooSmall "sll2.pkt_too_small" "Shorter than a Linux cooked header v2 (20 bytes).",
    LtnullPktTooSmall "ltnull.pkt_too_small" "Shorter than a BSD loopback header (4 bytes).",
    LtnullUnsupportedType "ltnull.unsupported_type" "Address family of a BSD loopback header is neither IPv4 nor IPv6.",
    IprawInvalidIpVersion "ipraw.invalid_ip_version" "A raw IP packet whose version is neither 4 nor 6.",
    Ipv4PktTooSmall "ipv4.pkt_too_small" "Shorter than an IPv4 header.",
    Ipv4HlenTooSmall "ipv4.hlen_too_small" "IPv4 header length below 20 bytes.",
    Ipv4IplenSmallerThanHlen "ipv4.iplen_smaller_than_hlen" "IPv4 total length below the header length.",
    Ipv4TruncPkt "ipv4.trunc_pkt" "IPv4 total length beyond the frame, and the capture did not cut it.",
    Ipv4WrongIpVersion "ipv4.wrong_ip_version" "IPv4 announced, but the version is another.",
    Ipv4OptInvalid "ipv4.opt_invalid" "An IPv4 option with contents that its RFC forbids.",
    Ipv4OptInvalidLen "ipv4.opt_invalid_len" "An IPv4 option longer than the header, or with a length that its RFC forbids.",
    Ipv4OptMalformed "ipv4.opt_malformed" "An IPv4 option inconsistent in itself.",
    Ipv4OptPadRequired "ipv4.opt_pad_required" "Bytes other than zero behind the end of the IPv4 options.",
    Ipv4OptEolRequired "ipv4.opt_eol_required" "The last byte of the IPv4 options begins an option, where only the end of the list has room.",
    Ipv4OptDuplicate "ipv4.opt_duplicate" "The same IPv4 option twice.",
    Ipv4OptUnknown "ipv4.opt_unknown" "An IPv4 option that is not assigned.",
    Ipv4UnknownProtocol "ipv4.unknown_protocol" "An IP protocol number that is not assigned, in IPv4.",
    Ipv4Icmpv6 "ipv4.icmpv6" "ICMPv6 in IPv4.",
    Ipv4FragPktTooLarge "ipv4.frag_pkt_too_large" "An IPv4 fragment that ends beyond 65,535 bytes.",
    Ipv4FragOverlap "ipv4.frag_overlap" "IPv4 fragments overlap (found when they are joined).",
    Ipv6PktTooSmall "ipv6.pkt_too_small" "Shorter than an IPv6 header.",
    Ipv6TruncPkt "ipv6.trunc_pkt" "IPv6 payload length beyond the frame, and the capture did not cut it.",
    Ipv6TruncExthdr "ipv6.trunc_exthdr" "An IPv6 extension header is cut short.",
    Ipv6WrongIpVersion "ipv6.wrong_ip_version" "IPv6 announced, but the version is another.",
    Ipv6ExthdrDuplFh "ipv6.exthdr_dupl_fh" "Two fragment headers.",
    Ipv6ExthdrUselessFh "ipv6.exthdr_useless_fh" "A fragment header on a packet that is whole (RFC 6946).",
    Ipv6ExthdrDuplRh "ipv6.exthdr_dupl_rh" "Two routing headers.",
    Ipv6ExthdrDuplHh "ipv6.exthdr_dupl_hh" "Two hop-by-hop headers.",
    Ipv6ExthdrDuplDh "ipv6.exthdr_dupl_dh" "More than two destination options headers.",
    Ipv6ExthdrDuplAh "ipv6.exthdr_dupl_ah" "Two authentication headers.",
    Ipv6ExthdrDuplEh "ipv6.exthdr_dupl_eh" "Two ESP headers (for rules that name it: what ESP encrypts is not walked).",
    Ipv6ExthdrInvalidOptlen "ipv6.exthdr_invalid_optlen" "An option longer than its extension header, or of a length its RFC forbids.",
    Ipv6ExthdrAhResNotNull "ipv6.exthdr_ah_res_not_null" "Reserved field of an authentication header is not zero (RFC 4302).",
    Ipv6HopoptsUnknownOpt "ipv6.hopopts_unknown_opt" "A hop-by-hop option that is not assigned.",
    Ipv6HopoptsOnlyPadding "ipv6.hopopts_only_padding" "A hop-by-hop header with nothing but padding.",
    Ipv6DstoptsUnknownOpt "ipv6.dstopts_unknown_opt" "A destination option that is not assigned.",
    Ipv6DstoptsOnlyPadding "ipv6.dstopts_only_padding" "A destination options header with nothing but padding.",
    Ipv6RhType0 "ipv6.rh_type_0" "Routing header of type 0 (deprecated by RFC 5095).",
    Ipv6ZeroLenPadn "ipv6.zero_len_padn" "A PadN option of length zero.",
    Ipv6FhNonZeroReservedField "ipv6.fh_non_zero_reserved_field" "Reserved field of a fragment header is not zero.",
    Ipv6DataAfterNoneHeader "ipv6.data_after_none_header" "Data behind the header 59, after which there is none.",
    Ipv6UnknownNextHeader "ipv6.unknown_next_header" "An IP protocol number that is not assigned, in IPv6.",
    Ipv6Icmpv4 "ipv6.icmpv4" "ICMPv4 in IPv6.",
    Ipv6FragPktTooLarge "ipv6.frag_pkt_too_large" "An IPv6 fragment that ends beyond 65,535 bytes.",
    Ipv6FragOverlap "ipv6.frag_overlap" "IPv6 fragments overlap (found when they are joined).",
    Ipv6FragInvalidLength "ipv6.frag_invalid_length" "An IPv6 fragment, not the last, whose length is no multiple of 8.",
    Ipv6Ipv4InIpv6TooSmall "ipv6.ipv4_in_ipv6_too_small" "IPv4 in IPv6, shorter than an IPv4 header.",
    Ipv6Ipv4InIpv6WrongVersion "ipv6.ipv4_in_ipv6_wrong_version" "IPv4 in IPv6 announced, but the version is another.",
    Ipv6Ipv6InIpv6TooSmall "ipv6.ipv6_in_ipv6_too_small" "IPv6 in IPv6, shorter than an IPv6 header.",
    Ipv6Ipv6InIpv6WrongVersion "ipv6.ipv6_in_ipv6_wrong_version" "IPv6 in IPv6 announced, but the version is another.",
    AhPktTooSmall "ah.pkt_too_small" "An authentication header in IPv4 is cut short (RFC 4302).",
    EspPktTooSmall "esp.pkt_too_small" "Shorter than an ESP header (RFC 4303).",
    Icmpv4PktTooSmall "icmpv4.pkt_too_small" "Shorter than an ICMP header (8 bytes).",
    Icmpv4UnknownType "icmpv4.unknown_type" "An ICMP type that is not assigned.",
    Icmpv4UnknownCode "icmpv4.unknown_code" "A code that the ICMP type does not have.",
    Icmpv4Ipv4TruncPkt "icmpv4.ipv4_trunc_pkt" "The packet quoted in an ICMP error is shorter than an IPv4 header.",
    Icmpv4Ipv4UnknownVer "icmpv4.ipv4_unknown_ver" "The packet quoted in an ICMP error is not IPv4.",
    Icmpv6PktTooSmall "icmpv6.pkt_too_small" "Shorter than an ICMPv6 header (8 bytes).",
    Icmpv6UnknownType "icmpv6.unknown_type" "A reserved ICMPv6 type (0, 127, 255).",
    Icmpv6UnknownCode "icmpv6.unknown_code" "A code that the ICMPv6 type does not have.",
    Icmpv6Ipv6TruncPkt "icmpv6.ipv6_trunc_pkt" "The packet quoted in an ICMPv6 error is shorter than an IPv6 header.",
    Icmpv6Ipv6UnknownVersion "icmpv6.ipv6_unknown_version" "The packet quoted in an ICMPv6 error is not IPv6.",
    Icmpv6MldMessageWithInvalidHl "icmpv6.mld_message_with_invalid_hl" "Multicast listener discovery with a hop limit other than 1 (RFC 2710, 3810).",
    Icmpv6UnassignedType "icmpv6.unassigned_type" "An ICMPv6 type that is not assigned.",
    Icmpv6ExperimentationType "icmpv6.experimentation_type" "An ICMPv6 type for private experimentation.",
    IgmpPktTooSmall "igmp.pkt_too_small" "Shorter than an IGMP message (8 bytes).",
    IgmpV3PktTooSmall "igmp.v3_pkt_too_small" "Shorter than the IGMPv3 message it states to be (RFC 3376).",
    IgmpMalformed "igmp.malformed" "An IGMP type that is not assigned, or records that do not fit.",
    TcpPktTooSmall "tcp.pkt_too_small" "Shorter than a TCP header (20 bytes).",
    TcpHlenTooSmall "tcp.hlen_too_small" "TCP data offset below 20 bytes.",
    TcpInvalidOptlen "tcp.invalid_optlen" "TCP data offset beyond the segment.",
    TcpOptInvalidLen "tcp.opt_invalid_len" "A TCP option longer than the header, or with a length that its RFC forbids.",
    TcpOptDuplicate "tcp.opt_duplicate" "The same TCP option twice.",
    UdpPktTooSmall "udp.pkt_too_small" "UDP length beyond the packet.",
    UdpHlenTooSmall "udp.hlen_too_small" "Shorter than a UDP header (8 bytes).",
    UdpLenInvalid "udp.len_invalid" "UDP length other than that of the IP payload.",
    SctpPktTooSmall "sctp.pkt_too_small" "Shorter than an SCTP common header (12 bytes).",
    SctpChunkTooSmall "sctp.chunk_too_small" "An SCTP chunk shorter than its header.",
    SctpChunkLenInvalid "sctp.chunk_len_invalid" "An SCTP chunk goes beyond the packet.",
    SctpDataWithZeroVtag "sctp.data_with_zero_vtag" "SCTP data with verification tag 0.",
    SctpInitChunkBundled "sctp.init_chunk_bundled" "INIT, INIT ACK or SHUTDOWN COMPLETE bundled with another chunk (RFC 9260, 6.10).",
    SctpInitWithNonZeroVtag "sctp.init_with_non_zero_vtag" "INIT with a verification tag other than 0.",
    SctpTooManyChunks "sctp.too_many_chunks" "More SCTP chunks than are walked.",
    SctpTooManyDataChunks "sctp.too_many_data_chunks" "More SCTP data chunks than any sender has reason to bundle.",
    GrePktTooSmall "gre.pkt_too_small" "Shorter than a GRE header (4 bytes).",
    GreWrongVersion "gre.wrong_version" "GRE version other than 0 and 1.",
    GreVersion0Recur "gre.version0_recur" "GRE version 0 with the recursion field set.",
    GreVersion0Flags "gre.version0_flags" "GRE version 0 with reserved flags set.",
    GreVersion0HdrTooBig "gre.version0_hdr_too_big" "The optional fields of a GRE version 0 header go beyond the packet.",
    GreVersion0MalformedSreHdr "gre.version0_malformed_sre_hdr" "A source route entry of a GRE version 0 header goes beyond the packet.",
    GreVersion1Chksum "gre.version1_chksum" "GRE version 1 with a checksum.",
    GreVersion1Route "gre.version1_route" "GRE version 1 with routing.",
    GreVersion1Ssr "gre.version1_ssr" "GRE version 1 with a strict source route.",
    GreVersion1Recur "gre.version1_recur" "GRE version 1 with the recursion field set.",
    GreVersion1Flags "gre.version1_flags" "GRE version 1 with reserved flags set.",
    GreVersion1NoKey "gre.version1_no_key" "GRE version 1 without a key.",
    GreVersion1WrongProtocol "gre.version1_wrong_protocol" "GRE version 1 with a protocol other than PPP.",
    GreVersion1MalformedSreHdr "gre.version1_malformed_sre_hdr" "The payload length of a GRE version 1 header goes beyond the packet.",
    GreVersion1HdrTooBig "gre.version1_hdr_too_big" "The optional fields of a GRE version 1 header go beyond the packet.",
    GreUnknownProtocol "gre.unknown_protocol" "Unknown ethertype behind a GRE header.",
    ErspanHeaderTooSmall "erspan.header_too_small" "An ERSPAN header is cut short.",
    ErspanUnsupportedVersion "erspan.unsupported_version" "ERSPAN of a version other than II and III.",
    ErspanTooManyVlanLayers "erspan.too_many_vlan_layers" "No room for the VLAN of an ERSPAN header.",
    VxlanUnknownPayloadType "vxlan.unknown_payload_type" "A VXLAN header without a plausible Ethernet frame behind it.",
    GeneveUnknownPayloadType "geneve.unknown_payload_type" "A Geneve header without a plausible packet behind it.",
    GtpUnknownPayloadType "gtp.unknown_payload_type" "A GTP-U header without a plausible packet behind it.",
}

impl DecodeEvent {
    /// The event of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event| event.name() == name)
    }
}

/// A decode event, and where it was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// What.
    pub event: DecodeEvent,
    /// Offset in the packet's bytes of the header (or option, or trailer) at fault.
    pub offset: usize,
}

/// The events of one packet: each kind once, at the place where it was met first; at most [`DecodeEvents::CAPACITY`]
/// kinds, without allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecodeEvents {
    events: [Option<DecodeEvent>; Self::CAPACITY],
    offsets: [u32; Self::CAPACITY],
    omitted: u8,
}

impl DecodeEvents {
    /// Events kept of one packet.
    pub const CAPACITY: usize = 6;

    /// Adds an event met at `offset`, unless its kind stands there already.
    #[cold]
    pub fn push(&mut self, event: DecodeEvent, offset: usize) {
        if self.contains(event) {
            return;
        }
        match self.events.iter().position(Option::is_none) {
            Some(free) => {
                self.events[free] = Some(event);
                self.offsets[free] = u32::try_from(offset).unwrap_or(u32::MAX);
            }
            None => self.omitted = self.omitted.saturating_add(1),
        }
    }

    /// The events, in the order met.
    pub fn iter(&self) -> impl Iterator<Item = DecodeEvent> + '_ {
        self.events.iter().map_while(|slot| *slot)
    }

    /// The events with their places, in the order met.
    pub fn located(&self) -> impl Iterator<Item = Located> + '_ {
        self.iter().zip(self.offsets).map(|(event, offset)| Located { event, offset: offset as usize })
    }

    /// Was this event met?
    pub fn contains(&self, event: DecodeEvent) -> bool {
        self.iter().any(|met| met == event)
    }

    /// No event?
    pub fn is_empty(&self) -> bool {
        self.events[0].is_none()
    }

    /// Events that found no room.
    pub fn omitted(&self) -> u8 {
        self.omitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_name_is_unique_and_leads_back_to_its_event() {
        let names: HashSet<_> = DecodeEvent::ALL.iter().map(|event| event.name()).collect();
        assert_eq!(names.len(), DecodeEvent::ALL.len());
        for event in DecodeEvent::ALL {
            assert_eq!(DecodeEvent::from_name(event.name()), Some(*event));
        }
        assert_eq!(DecodeEvent::from_name("ipv4.no_such_event"), None);
    }

    #[test]
    fn an_event_is_kept_once_at_its_first_place_and_the_overflow_is_counted() {
        let mut events = DecodeEvents::default();
        events.push(DecodeEvent::TcpPktTooSmall, 34);
        events.push(DecodeEvent::TcpPktTooSmall, 99);
        assert_eq!(events.located().collect::<Vec<_>>(), [Located { event: DecodeEvent::TcpPktTooSmall, offset: 34 }]);
        for event in &DecodeEvent::ALL[..DecodeEvents::CAPACITY] {
            events.push(*event, 0);
        }
        assert_eq!(events.iter().count(), DecodeEvents::CAPACITY);
        assert_eq!(events.omitted(), 1);
    }
}
