//! Sticky buffers of packet headers, as their bytes stand on the wire.

use super::{Arity, Keyword};
use crate::engine::{Buffer, HeaderBuffer};

macro_rules! buffers {
    ($($name:literal $buffer:ident $doc:literal,)*) => {
        pub(super) const KEYWORDS: &[Keyword] = &[$(Keyword {
            name: $name,
            aliases: &[],
            doc: $doc,
            arity: Arity::None,
            compile: |draft, _, it| {
                draft.packet = true;
                draft.stick(Buffer::Header(HeaderBuffer::$buffer), false, it.name)
            },
        },)*];
    };
}

buffers! {
    "ether.hdr" Ethernet "Ethernet header; a sticky buffer",
    "ipv4.hdr" Ipv4 "IPv4 header with its options; a sticky buffer",
    "ipv6.hdr" Ipv6 "IPv6 header with its extension headers; a sticky buffer",
    "tcp.hdr" Tcp "TCP header with its options; a sticky buffer",
    "udp.hdr" Udp "UDP header; a sticky buffer",
    "icmpv4.hdr" Icmpv4 "ICMP header, 8 bytes; a sticky buffer",
    "icmpv6.hdr" Icmpv6 "ICMPv6 header, 8 bytes; a sticky buffer",
    "igmp.hdr" Igmp "IGMP message; a sticky buffer",
    "sctp.hdr" Sctp "SCTP header with all chunks; a sticky buffer",
    "sctp.chunk_data" SctpData "User data of each SCTP DATA chunk; a sticky buffer",
    "ip.src" Source "Address of the sender, 4 or 16 bytes; a sticky buffer",
    "ip.dst" Destination "Address of the receiver, 4 or 16 bytes; a sticky buffer",
}
