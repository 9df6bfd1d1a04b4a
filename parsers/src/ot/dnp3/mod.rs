//! DNP3 (IEEE 1815-2012) over TCP and UDP: link frames, transport segments, application fragments and their objects.
//!
//! A *message* here is one link frame. The frame that completes an application fragment carries it in its record, so
//! link fields count frames and application fields count fragments.

pub mod application;
pub mod link;
pub mod message;
pub mod names;
pub mod objects;
mod operation;
pub mod transport;

#[cfg(test)]
mod encode;
#[cfg(test)]
mod tests;

use crate::dissector::{Anomaly, AnomalyKind, Direction, Dissector, Envelope, Protocol, Sink};
use crate::limits::{Bound, Kept, Limits};
use application::Fragment;
use link::Start;
pub use message::Message;
use transport::{Joiner, Pair};

/// DNP3.
pub static PROTOCOL: Protocol = Protocol {
    name: "dnp3",
    title: "Distributed Network Protocol (IEEE 1815-2012)",
    tcp_ports: &[20000],
    udp_ports: &[20000],
    only_on_ports: false,
    ethertypes: &[],
    ot: true,
    longest_message: link::LONGEST,
    fields: message::FIELDS,
    anomalies: ANOMALIES,
    probe: link::probe,
    frame: |bytes, _| link::frame(bytes),
    open: |limits| Box::new(Session::new(limits)),
};

/// Points in one fragment beyond which it is reported.
pub const POINTS: u64 = 16384;
/// Object headers in one fragment beyond which it is reported.
pub const OBJECTS: usize = 2048;

static ANOMALIES: &[AnomalyKind] = &[
    kind("bad_link_crc", "CRC of a link header is wrong; the frame is not read (§9.2)"),
    kind("bad_transport_crc", "CRC of a data block is wrong; the segment is not read (§9.2)"),
    kind("len_too_small", "Length is too small for what the frame or fragment is (§9.2, §4.2.2)"),
    kind("reserved_address", "Link address from the reserved range 65520 to 65531 (§9.2)"),
    kind("unknown_link_function", "Link function code that the standard does not define (§9.2)"),
    kind("unexpected_user_data", "User data in a frame whose link function carries none (§9.2)"),
    kind("transport_incomplete", "A fragment begins before the last segment of the one before (§8.2)"),
    kind("transport_out_of_sequence", "Segment that does not follow the one before (§8.2)"),
    kind("too_many_fragments", "More fragments being joined at once in a flow than are kept"),
    kind(
        "too_long_reassembly",
        "Fragment longer than 64 segments, or than all that may be joined in a flow; it is given up",
    ),
    kind("unknown_function", "Application function code that the standard does not define (§4.2.2)"),
    kind("unknown_object", "Object group or variation that is not known (annex A)"),
    kind("invalid_variation", "Values announced of variation 0, which stands for any variation (annex A)"),
    kind("invalid_qualifier", "Reserved qualifier code; objects after it are not read (§4.2.2)"),
    kind("invalid_range", "Range whose stop is below its start; objects after it are not read (§4.2.2)"),
    kind("truncated_object", "Fragment ends within an object header or the points it announces"),
    kind("max_points_per_object", "More points under one object header than 16384"),
    kind("too_many_points", "More points in one fragment than 16384"),
    kind("too_many_objects", "More object headers in one fragment than 2048"),
    kind("flooded", "More requests without a response than may be outstanding in a flow"),
];

const fn kind(name: &'static str, doc: &'static str) -> AnomalyKind {
    AnomalyKind { name, doc }
}

/// Anomalies of one frame: at most one a data block and a few of the layers above. Memory is taken when there is one.
#[derive(Default)]
pub struct Anomalies(Vec<Anomaly>);

impl Anomalies {
    const MOST: usize = 32;

    fn add(&mut self, kind: &'static str, offset: usize) {
        if self.0.len() < Self::MOST {
            self.0.push(Anomaly { kind, offset });
        }
    }
}

/// The state of one flow: at most [`transport::STREAMS`] fragments in the making and the memory of one more, each of at
/// most [`transport::LONGEST`] octets; nothing but a few numbers where fragments fit a frame.
struct Session {
    joiner: Joiner,
    /// Transactions so far. A fragment has a number of its own from its first segment on, which the frames that build
    /// it share; so has each frame that builds none.
    transactions: u64,
    /// Requests since the last response.
    outstanding: u32,
    /// Requests without a response beyond which they are reported.
    most_outstanding: u16,
}

impl Dissector for Session {
    fn parse(&mut self, envelope: &Envelope, message: &[u8], sink: &mut dyn Sink) {
        let refuse = |sink: &mut dyn Sink, kind, offset| sink.anomaly(envelope, &PROTOCOL, Anomaly { kind, offset });
        match link::start(message) {
            Start::Header(header) => self.frame(envelope, header, message, sink),
            Start::BadLength => refuse(sink, "len_too_small", 2),
            Start::BadCrc => refuse(sink, "bad_link_crc", link::HEADER - link::CRC),
            Start::Short | Start::Not => refuse(sink, "len_too_small", 0),
        }
    }

    fn kept(&self) -> Kept {
        Kept { joined_bytes: self.joiner.octets() as u32, ..Kept::default() }
    }

    fn gap(&mut self, direction: Direction) {
        self.joiner.void_all(direction);
        // A response may be among what was lost.
        self.outstanding = 0;
    }
}

impl Session {
    fn new(limits: &Limits) -> Self {
        Self { joiner: Joiner::new(limits), transactions: 0, outstanding: 0, most_outstanding: limits.requests }
    }

    fn frame(&mut self, envelope: &Envelope, link: link::Header, message: &[u8], sink: &mut dyn Sink) {
        let mut anomalies = Anomalies::default();
        inspect_header(link, &mut anomalies);
        let mut damaged = false;
        let data = link::UserData::read(link, message, |offset| {
            anomalies.add("bad_transport_crc", offset);
            damaged = true;
        });
        let mut record = Message { link, transport: None, application: None, transaction: self.transactions + 1 };
        let pair = Pair { direction: envelope.direction, source: link.source, destination: link.destination };
        let mut joined = None;
        if link.is_read() {
            match data.octets().split_first() {
                _ if damaged => self.joiner.void(pair),
                None => anomalies.add("len_too_small", 2),
                Some((&octet, segment)) => {
                    let header = transport::Header(octet);
                    record.transport = Some(header);
                    joined = Some(self.joiner.segment(pair, header, segment, record.transaction, &mut anomalies));
                }
            }
        }
        if let Some(joined) = &joined {
            record.transaction = joined.transaction;
        }
        self.transactions = self.transactions.max(record.transaction);
        if let Some(octets) = joined.and_then(|joined| joined.fragment) {
            let last_segment = data.octets().len() - 1;
            record.application = Fragment::read(octets);
            let before = octets.len() - last_segment;
            // The fragment's octet, as an offset into this frame; of earlier frames' octets, where this one's begin.
            let place = |at: usize| link::offset_of((at + 1).saturating_sub(before));
            match &record.application {
                Some(fragment) => inspect_fragment(
                    fragment,
                    place,
                    (&mut self.outstanding, self.most_outstanding.into()),
                    &mut anomalies,
                ),
                None => anomalies.add("len_too_small", place(0)),
            }
        }
        sink.message(envelope, &record, &anomalies.0);
        if record.application.is_some() {
            sink.transaction(envelope, &record);
        }
        if self.joiner.take_bounded() {
            sink.bounded(Bound::JoinedBytes);
        }
    }
}

fn inspect_header(link: link::Header, anomalies: &mut Anomalies) {
    const RESERVED: std::ops::RangeInclusive<u16> = 65520..=65531;
    if !link.is_known() {
        anomalies.add("unknown_link_function", 3);
    }
    if link.user_data() > 0 && !link.is_user_data() {
        anomalies.add("unexpected_user_data", link::HEADER);
    }
    if RESERVED.contains(&link.destination) {
        anomalies.add("reserved_address", 4);
    }
    if RESERVED.contains(&link.source) {
        anomalies.add("reserved_address", 6);
    }
}

/// Walks the objects of a fragment once, for what is wrong with them.
fn inspect_fragment(
    fragment: &Fragment<'_>,
    place: impl Fn(usize) -> usize,
    (outstanding, most_outstanding): (&mut u32, u32),
    anomalies: &mut Anomalies,
) {
    if !fragment.is_known() {
        anomalies.add("unknown_function", place(1));
    }
    if fragment.is_response() {
        *outstanding = 0;
    } else if fragment.wants_response() {
        *outstanding = outstanding.saturating_add(1);
        if *outstanding == most_outstanding + 1 {
            anomalies.add("flooded", place(0));
        }
    }
    let (mut objects, mut points, mut unknown, mut any) = (0, 0u64, false, false);
    let mut headers = fragment.objects();
    for header in headers.by_ref() {
        objects += 1;
        if objects == OBJECTS + 1 {
            anomalies.add("too_many_objects", place(header.offset));
        }
        if header.is_unknown() && !unknown {
            anomalies.add("unknown_object", place(header.offset));
            unknown = true;
        }
        if header.values_of_any() && !any {
            anomalies.add("invalid_variation", place(header.offset));
            any = true;
        }
        let listed = header.listed();
        if listed > POINTS {
            anomalies.add("max_points_per_object", place(header.offset));
        }
        if points <= POINTS && points.saturating_add(listed) > POINTS {
            anomalies.add("too_many_points", place(header.offset));
        }
        points = points.saturating_add(listed);
    }
    if let Some(fault) = headers.fault().filter(|fault| !(unknown && fault.kind == "unknown_object")) {
        anomalies.add(fault.kind, place(fault.offset));
    }
}
