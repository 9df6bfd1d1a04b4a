//! What alerts say of the packet's own protocol where that is neither TCP, UDP nor ICMP: IGMP and SCTP.

use vigia_parsers::packet::{Packet, Transport};

use super::json::JsonWriter;

/// IP protocol number of IGMP.
const IGMP: u8 = 2;
/// The group and the types of RGMP (RFC 3488).
const RGMP_GROUP: [u8; 4] = [224, 0, 0, 25];

/// Adds `igmp`, `rgmp` or `sctp`.
pub(super) fn members(json: &mut JsonWriter<'_>, packet: &Packet<'_>) {
    let Some(ip) = packet.ip.as_ref().filter(|ip| ip.fragment.is_none()) else { return };
    let Some(segment) = packet.bytes.get(ip.payload.clone()) else { return };
    if packet.transport == Transport::Sctp {
        json.nested("sctp", |json| sctp(json, segment));
    } else if ip.protocol == IGMP {
        let [kind, code, ..] = *segment else { return };
        if kind >= 0xfc && ip.destination == std::net::IpAddr::from(RGMP_GROUP) {
            json.nested("rgmp", |json| json.number("type", kind.into()));
        } else {
            json.nested("igmp", |json| {
                json.number("type", kind.into());
                if let Some(version) = igmp_version(kind, code, segment.len()) {
                    json.number("version", version);
                }
            });
        }
    }
}

/// The version of IGMP that a message is of (RFC 3376, 7.1 and 4).
fn igmp_version(kind: u8, code: u8, length: usize) -> Option<u64> {
    match kind {
        0x11 if length >= 12 => Some(3),
        0x11 if code == 0 => Some(1),
        0x11 | 0x16 | 0x17 => Some(2),
        0x12 => Some(1),
        0x22 => Some(3),
        _ => None,
    }
}

/// Chunks named in an alert; a packet with more names the first ones.
const CHUNKS: usize = 16;

/// Names of SCTP's chunk types (RFC 9260, 3.2).
const CHUNK_TYPES: [&str; 15] = [
    "data",
    "init",
    "init_ack",
    "sack",
    "heartbeat",
    "heartbeat_ack",
    "abort",
    "shutdown",
    "shutdown_ack",
    "error",
    "cookie_echo",
    "cookie_ack",
    "ecne",
    "cwr",
    "shutdown_complete",
];

fn sctp(json: &mut JsonWriter<'_>, segment: &[u8]) {
    let Some((header, mut rest)) = segment.split_first_chunk::<12>() else { return };
    json.number("vtag", u32::from_be_bytes([header[4], header[5], header[6], header[7]]).into());
    let (mut kinds, mut count, mut has) = ([0u8; CHUNKS], 0u64, [false; 256]);
    while let &[kind, _, high, low, ..] = rest {
        let length = usize::from(u16::from_be_bytes([high, low])).max(4);
        if length > rest.len() {
            break;
        }
        if let Some(slot) = kinds.get_mut(count as usize) {
            *slot = kind;
        }
        count += 1;
        if let Some(has) = has.get_mut(usize::from(kind)) {
            *has = true;
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    json.number("chunk_cnt", count);
    json.nested_list("chunk_types", |json| {
        for kind in kinds.iter().take(count as usize) {
            json.string("", CHUNK_TYPES.get(usize::from(*kind)).copied().unwrap_or("unknown"));
        }
    });
    json.boolean("has_init", has[1]);
    json.boolean("has_init_ack", has[2]);
    json.boolean("has_data", has[0]);
    json.boolean("has_abort", has[6]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_igmp_follows_from_type_length_and_code() {
        assert_eq!(igmp_version(0x11, 0, 8), Some(1));
        assert_eq!(igmp_version(0x11, 100, 8), Some(2));
        assert_eq!(igmp_version(0x11, 100, 12), Some(3));
        assert_eq!(igmp_version(0x13, 0, 8), None);
    }

    #[test]
    fn chunks_are_named_in_order_until_one_is_cut_short() {
        let mut segment = vec![0; 12];
        segment[7] = 9;
        segment.extend([3, 0, 0, 4, 0, 0, 0, 5, 7, 0, 0, 0, 200, 0, 0, 4, 6, 0, 0, 99]);
        let (mut lines, mut phrases) = (crate::event::Lines::default(), crate::event::phrases::Phrases::default());
        let mut json = JsonWriter::object(&mut lines, &mut phrases);
        sctp(&mut json, &segment);
        json.finish();
        assert_eq!(
            String::from_utf8_lossy(lines.written()),
            r#"{"vtag":9,"chunk_cnt":3,"chunk_types":["sack","data","unknown"],"has_init":false,"has_init_ack":false,"has_data":true,"has_abort":false}"#
        );
    }
}
