//! Link layers: Ethernet, tags (802.1Q, 802.1ad, 802.1ah, 802.1BR, VN-Tag, FabricPath), LLC/SNAP, Linux cooked, BSD
//! loopback, Cisco HDLC, ARP.

use super::decoder::{Decoder, Layer, be16};
use super::event::DecodeEvent;
use super::{Ethernet, LinkType};

/// Ethertypes that lead to a header decoded here.
pub(super) mod ethertype {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const ARP: u16 = 0x0806;
    pub(crate) const TRANSPARENT_ETHERNET: u16 = 0x6558;
    pub(crate) const VLAN: u16 = 0x8100;
    pub(crate) const IPV6: u16 = 0x86dd;
    pub(crate) const MPLS: u16 = 0x8847;
    pub(crate) const MPLS_UPSTREAM: u16 = 0x8848;
    pub(crate) const PPPOE_DISCOVERY: u16 = 0x8863;
    pub(crate) const PPPOE_SESSION: u16 = 0x8864;
    pub(crate) const PPP: u16 = 0x880b;
    pub(crate) const SERVICE_VLAN: u16 = 0x88a8;
    pub(crate) const SERVICE_TAG: u16 = 0x88e7;
    pub(crate) const FABRIC_PATH: u16 = 0x8903;
    pub(crate) const METADATA: u16 = 0x8909;
    pub(crate) const VN_TAG: u16 = 0x8926;
    pub(crate) const HSR: u16 = 0x892f;
    pub(crate) const E_TAG: u16 = 0x893f;
    pub(crate) const NSH: u16 = 0x894f;
    pub(crate) const OLD_QINQ: u16 = 0x9100;
}

/// Is this one of the ethertypes of a VLAN tag (802.1Q, 802.1ad, and the one used before 802.1ad)?
pub(super) const fn is_vlan(ethertype: u16) -> bool {
    matches!(ethertype, ethertype::VLAN | ethertype::SERVICE_VLAN | ethertype::OLD_QINQ)
}

/// Largest value of the length/type field that is a length (IEEE 802.3, 3.2.6).
pub(super) const MAX_LENGTH: u16 = 1500;

/// Is `value` an ethertype in use that is left as payload, for dissectors to take or leave?
pub(super) const fn is_payload_ethertype(value: u16) -> bool {
    matches!(
        value,
        0x0600 // Xerox NS IDP
            | 0x0842 // Wake-on-LAN
            | 0x2000 // CDP over HDLC
            | 0x2001 // NHRP
            | 0x22ea // Stream reservation
            | 0x22f0 // AVTP
            | 0x22f3 // TRILL
            | 0x6000..=0x6009 // DEC
            | 0x8035 // RARP
            | 0x809b | 0x80f3 // AppleTalk
            | 0x80e1 // EtherNet/IP device level ring
            | 0x8137 | 0x8138 // IPX
            | 0x8808 // Flow control
            | 0x8809 // Slow protocols (LACP, OAM)
            | 0x8819 // CobraNet
            | 0x8820 // H1 over Ethernet
            | 0x8870 // Jumbo frames
            | 0x8874 // Broadcom tag
            | 0x887b | 0x88e1 // HomePlug
            | 0x888e // EAPOL
            | 0x8892 // PROFINET
            | 0x8899 // Realtek
            | 0x889a // HyperSCSI
            | 0x88a2 // ATA over Ethernet
            | 0x88a4 // EtherCAT
            | 0x88ab // POWERLINK
            | 0x88b5..=0x88b7 // Experimental, OUI extended
            | 0x88b8..=0x88ba // GOOSE, GSE management, sampled values
            | 0x88bf // MikroTik
            | 0x88c7 // 802.11i pre-authentication
            | 0x88ca // TIPC
            | 0x88cc // LLDP
            | 0x88cd // SERCOS III
            | 0x88d9 // LLTD
            | 0x88dc // WAVE
            | 0x88e3 // Media redundancy protocol
            | 0x88e5 // MACsec
            | 0x88f5..=0x88f7 // MVRP, MMRP, PTP
            | 0x88f8 // NC-SI
            | 0x88fb // PRP and HSR supervision
            | 0x88fe // RAPIEnet
            | 0x8902 // Connectivity fault management
            | 0x8906 | 0x8914 // FCoE
            | 0x890d // Fast roaming
            | 0x890f // CC-Link IE
            | 0x8912 // mediaxtream
            | 0x8915 // RoCE
            | 0x891d // TTEthernet
            | 0x893a // 1905.1
            | 0x8940 | 0x8947 | 0x8951 // ECP, GeoNetworking, LoRa
            | 0x9000 // Loopback
            | 0x9003 // Broadcom
            | 0xcafe | 0xfefe // Veritas, VMware beacon probing
            | 0xf1c1 // 802.1CB redundancy tag
    )
}

impl Decoder<'_, '_> {
    /// The first layer of a frame.
    pub(super) fn first_layer(&mut self, link: LinkType) -> Layer {
        match link {
            LinkType::Ethernet => Layer::Ethernet,
            LinkType::RawIp => self.ip(),
            LinkType::LinuxSll => self.linux_sll(),
            LinkType::LinuxSll2 => self.linux_sll2(),
            LinkType::Loopback => self.loopback(),
            LinkType::Ppp => Layer::Ppp,
            LinkType::CiscoHdlc => self.cisco_hdlc(),
        }
    }

    /// The layer behind a header that ended with `ethertype`; `unknown` is raised where that is not in use.
    pub(super) fn by_ethertype(&mut self, ethertype: u16, unknown: DecodeEvent) -> Layer {
        match ethertype {
            ethertype::IPV4 => Layer::Ipv4,
            ethertype::IPV6 => Layer::Ipv6,
            ethertype::ARP => Layer::Arp,
            ethertype::VLAN | ethertype::SERVICE_VLAN | ethertype::OLD_QINQ => Layer::Vlan,
            ethertype::MPLS | ethertype::MPLS_UPSTREAM => Layer::Mpls,
            ethertype::PPPOE_DISCOVERY => Layer::PppoeDiscovery,
            ethertype::PPPOE_SESSION => Layer::PppoeSession,
            ethertype::PPP => Layer::Ppp,
            ethertype::TRANSPARENT_ETHERNET => Layer::Ethernet,
            ethertype::HSR => Layer::Hsr,
            ethertype::VN_TAG => Layer::VnTag,
            ethertype::E_TAG => Layer::ETag,
            ethertype::SERVICE_TAG => Layer::ServiceTag,
            ethertype::FABRIC_PATH => Layer::FabricPath,
            ethertype::METADATA => Layer::Metadata,
            ethertype::NSH => Layer::Nsh,
            payload if is_payload_ethertype(payload) => Layer::Payload,
            _ => {
                self.event(unknown);
                Layer::Payload
            }
        }
    }

    /// The layer behind an Ethernet address pair or a tag: an ethertype, or the length of an 802.3 frame.
    pub(super) fn by_length_or_type(&mut self, value: u16, unknown: DecodeEvent) -> Layer {
        if value > MAX_LENGTH {
            self.set_ethertype(value);
            return self.by_ethertype(value, unknown);
        }
        self.set_ethertype(0);
        self.bound(usize::from(value), DecodeEvent::EthernetLenInvalid);
        Layer::Llc
    }

    fn set_ethertype(&mut self, ethertype: u16) {
        if let Some(ethernet) = &mut self.packet.ethernet {
            ethernet.ethertype = ethertype;
        }
    }

    /// Ethernet II or IEEE 802.3. Inside a tunnel this is where the packet begins: the IP header around it is only its
    /// carrier.
    pub(super) fn ethernet(&mut self) -> Layer {
        let Some(header) = self.header::<14>() else { return self.short(DecodeEvent::EthernetPktTooSmall) };
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *header;
        let ethertype = u16::from_be_bytes([t0, t1]);
        self.packet.ethernet =
            Some(Ethernet { source: [s0, s1, s2, s3, s4, s5], destination: [d0, d1, d2, d3, d4, d5], ethertype });
        self.packet.ethernet_header = u32::try_from(self.at()).ok();
        self.packet.ip = None;
        self.skip(14);
        if !self.cut {
            self.prp(ethertype);
        }
        self.by_length_or_type(ethertype, DecodeEvent::EthernetUnknownEthertype)
    }

    /// 802.1Q and 802.1ad. An id of 0 is a priority without a VLAN (802.1Q, 9.6) and is not kept.
    pub(super) fn vlan(&mut self) -> Layer {
        let Some([tag0, tag1, t0, t1]) = self.header() else { return self.short(DecodeEvent::VlanHeaderTooSmall) };
        let id = u16::from_be_bytes([*tag0, *tag1]) & 0x0fff;
        if id != 0 && !self.packet.vlans.push(id) {
            self.event(DecodeEvent::VlanTooManyLayers);
        }
        self.skip(4);
        self.by_length_or_type(u16::from_be_bytes([*t0, *t1]), DecodeEvent::VlanUnknownType)
    }

    /// Cisco VN-Tag: four bytes and the ethertype.
    pub(super) fn vn_tag(&mut self) -> Layer {
        let Some([.., t0, t1]) = self.header::<6>() else { return self.short(DecodeEvent::VntagHeaderTooSmall) };
        self.skip(6);
        self.by_length_or_type(u16::from_be_bytes([*t0, *t1]), DecodeEvent::VntagUnknownType)
    }

    /// 802.1BR E-Tag: six bytes and the ethertype.
    pub(super) fn e_tag(&mut self) -> Layer {
        let Some([.., t0, t1]) = self.header::<8>() else { return self.short(DecodeEvent::EtagHeaderTooSmall) };
        self.skip(8);
        self.by_length_or_type(u16::from_be_bytes([*t0, *t1]), DecodeEvent::EtagUnknownType)
    }

    /// 802.1ah: the service tag, then the customer's frame.
    pub(super) fn service_tag(&mut self) -> Layer {
        if self.header::<18>().is_none() {
            return self.short(DecodeEvent::Ieee8021ahHeaderTooSmall);
        }
        self.skip(4);
        Layer::Ethernet
    }

    /// Cisco FabricPath: the forwarding tag, then the whole frame.
    pub(super) fn fabric_path(&mut self) -> Layer {
        if self.header::<16>().is_none() {
            return self.short(DecodeEvent::DcePktTooSmall);
        }
        self.skip(2);
        Layer::Ethernet
    }

    /// Cisco metadata: version, length, options with the security group tag, ethertype.
    pub(super) fn metadata(&mut self) -> Layer {
        let Some([.., t0, t1]) = self.header::<8>() else { return self.short(DecodeEvent::CmdHeaderTooSmall) };
        self.skip(8);
        self.by_length_or_type(u16::from_be_bytes([*t0, *t1]), DecodeEvent::CmdUnknownType)
    }

    /// IEEE 802.2. Only SNAP leads further; of other frames the LLC header is payload, and the service access point, where
    /// source and destination agree on it, says what it is.
    pub(super) fn llc(&mut self) -> Layer {
        let rest = self.rest();
        match rest {
            [0xaa, 0xaa, 0x03, oui0, oui1, oui2, t0, t1, ..] => {
                let protocol = u16::from_be_bytes([*t0, *t1]);
                self.set_ethertype(protocol);
                self.skip(8);
                // RFC 1042, and 802.1H for what Ethernet bridges must not translate.
                match [*oui0, *oui1, *oui2] {
                    [0, 0, 0] | [0, 0, 0xf8] => self.by_ethertype(protocol, DecodeEvent::EthernetUnknownEthertype),
                    _ => Layer::Payload,
                }
            }
            [0xaa, 0xaa, 0x03, ..] | [] | [_] | [_, _] => self.short(DecodeEvent::LlcPktTooSmall),
            &[destination, source, ..] => {
                if destination == source {
                    self.set_ethertype(destination.into());
                }
                Layer::Payload
            }
        }
    }

    /// Linux cooked capture: sixteen bytes, of which the last two are the protocol.
    fn linux_sll(&mut self) -> Layer {
        let Some(&[_, _, _, _, _, length, a, b, c, d, e, f, _, _, p0, p1]) = self.header::<16>() else {
            return self.short(DecodeEvent::SllPktTooSmall);
        };
        self.skip(16);
        let protocol = u16::from_be_bytes([p0, p1]);
        self.cooked_sender(length, [a, b, c, d, e, f], protocol);
        self.by_cooked_protocol(protocol)
    }

    /// Linux cooked capture v2: twenty bytes, of which the first two are the protocol.
    fn linux_sll2(&mut self) -> Layer {
        let Some(&[p0, p1, _, _, _, _, _, _, _, _, _, length, a, b, c, d, e, f, _, _]) = self.header::<20>() else {
            return self.short(DecodeEvent::Sll2PktTooSmall);
        };
        self.skip(20);
        let protocol = u16::from_be_bytes([p0, p1]);
        self.cooked_sender(length, [a, b, c, d, e, f], protocol);
        self.by_cooked_protocol(protocol)
    }

    /// A cooked header keeps the sender's address; the receiver's is not known.
    fn cooked_sender(&mut self, length: u8, source: [u8; 6], ethertype: u16) {
        if length == 6 && ethertype > MAX_LENGTH {
            self.packet.ethernet = Some(Ethernet { source, destination: [0; 6], ethertype });
        }
    }

    /// Below 0x0600 stand Linux's own numbers (`ETH_P_*`): 4 is an LLC header, the others are no IP.
    fn by_cooked_protocol(&mut self, protocol: u16) -> Layer {
        match protocol {
            4 => Layer::Llc,
            0..=MAX_LENGTH => Layer::Payload,
            _ => self.by_ethertype(protocol, DecodeEvent::EthernetUnknownEthertype),
        }
    }

    /// BSD loopback: the address family, in the byte order of the host that captured or in network order. IPv6 has
    /// another number on every system.
    fn loopback(&mut self) -> Layer {
        let Some(family) = self.header::<4>() else { return self.short(DecodeEvent::LtnullPktTooSmall) };
        let family = match u32::from_le_bytes(*family) {
            little if little <= 0xffff => little,
            big => big.swap_bytes(),
        };
        let layer = match family {
            2 => Layer::Ipv4,
            10 | 23 | 24 | 28 | 30 => Layer::Ipv6,
            _ => return self.fault(DecodeEvent::LtnullUnsupportedType),
        };
        self.skip(4);
        layer
    }

    /// Cisco HDLC: address, control, ethertype.
    fn cisco_hdlc(&mut self) -> Layer {
        let Some([_, _, t0, t1]) = self.header() else { return self.short(DecodeEvent::ChdlcPktTooSmall) };
        self.skip(4);
        self.by_ethertype(u16::from_be_bytes([*t0, *t1]), DecodeEvent::EthernetUnknownEthertype)
    }

    /// ARP (RFC 826): checked, and left as payload without the frame's padding.
    pub(super) fn arp(&mut self) -> Layer {
        let Some([_, _, _, _, hardware_size, protocol_size, _, _]) = self.header() else {
            return self.short(DecodeEvent::ArpPktTooSmall);
        };
        let length = 8 + 2 * (usize::from(*hardware_size) + usize::from(*protocol_size));
        let rest = self.rest();
        // 6 is IEEE 802, which RFC 1042 hosts state on Ethernet.
        if !matches!(be16(rest, 0), 1 | 6) {
            self.event(DecodeEvent::ArpUnsupportedHardware);
        } else if *hardware_size != 6 {
            self.event(DecodeEvent::ArpInvalidHardwareSize);
        }
        if be16(rest, 2) != ethertype::IPV4 {
            self.event(DecodeEvent::ArpUnsupportedProtocol);
        } else if *protocol_size != 4 {
            self.event(DecodeEvent::ArpInvalidProtocolSize);
        }
        // 1 to 25 are assigned: ARP, RARP, DRARP, InARP, ATMARP and others.
        if !(1..=25).contains(&be16(rest, 6)) {
            self.event(DecodeEvent::ArpUnsupportedOpcode);
        }
        self.bound(length, DecodeEvent::ArpPktTooSmall);
        Layer::Payload
    }
}
