//! What rules and logs see of a link frame and of the fragment that it completes.

use super::application::Fragment;
use super::objects::{Datum, ObjectHeader, Point};
use super::{PROTOCOL, link, names, operation, transport};
use crate::dissector::{Protocol, Record};
use crate::field::{Tree, Value, Visit};
use crate::fields;
use crate::identity::VisitFacts;
use crate::operation::{Operation, VisitPoints};
use crate::time::Timestamp;

/// Object headers written into one log record at the most.
pub const LOGGED_OBJECTS: usize = 512;
/// Points written into one log record at the most; `count` tells how many there were.
pub const LOGGED_POINTS: usize = 2048;

/// One link frame, and the application fragment that it completes.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The link header.
    pub link: link::Header,
    /// The transport header of a frame with undamaged user data.
    pub transport: Option<transport::Header>,
    /// The fragment whose last segment the frame carries.
    pub application: Option<Fragment<'a>>,
    /// Number of the transaction within the flow.
    pub(super) transaction: u64,
}

impl<'a> Message<'a> {
    fn objects(&self, mut visit: impl FnMut(&ObjectHeader<'a>)) {
        if let Some(fragment) = &self.application {
            fragment.objects().for_each(|header| visit(&header));
        }
    }

    fn points(&self, mut visit: impl FnMut(&ObjectHeader<'a>, &Point<'a>)) {
        self.objects(|header| header.points().for_each(|point| visit(header, &point)));
    }

    /// Hands to `visit` the parts named `name` of objects of the groups that `wanted` holds.
    fn parts(&self, wanted: impl Fn(u8) -> bool, name: &str, mut visit: impl FnMut(Datum<'a>)) {
        self.objects(|header| {
            if wanted(header.group) {
                header.points().for_each(|point| {
                    point.parts(&mut |part, datum| {
                        if part == name {
                            visit(datum)
                        }
                    });
                });
            }
        });
    }

    /// The same for numbers that are no quantities.
    fn unsigned(&self, groups: &[u8], name: &str, out: &mut Visit<'_>) {
        self.parts(
            |group| groups.contains(&group),
            name,
            |datum| {
                if let Datum::Unsigned(number) = datum {
                    out(Value::Unsigned(number));
                }
            },
        );
    }

    /// Measured and commanded quantities, whatever their type.
    fn quantities(&self, out: &mut Visit<'_>) {
        self.points(|header, point| {
            point.parts(&mut |part, datum| {
                let quantity = match part {
                    "value" | "commanded_value" | "deadband_value" | "count_value" | "bcd_value" => true,
                    "count" => matches!(header.group, 20..=23),
                    _ => false,
                };
                if let Some(number) = datum.number().filter(|_| quantity) {
                    out(Value::Float(number));
                }
            });
        });
    }

    fn texts(&self, groups: &[u8], name: &str, out: &mut Visit<'_>) {
        self.parts(
            |group| groups.contains(&group),
            name,
            |datum| {
                if let Datum::Text(octets) | Datum::Octets(octets) = datum {
                    out(Value::Bytes(octets));
                }
            },
        );
    }

    fn times(&self, out: &mut Visit<'_>) {
        self.points(|_, point| {
            point.parts(&mut |_, datum| {
                if let Datum::Milliseconds(since_epoch) = datum {
                    out(Value::Time(Timestamp(since_epoch.saturating_mul(1_000_000))));
                }
            });
        });
    }
}

fields! {
    /// What a rule can ask of a DNP3 frame. Link and transport fields stand in every frame's record, application fields
    /// in that of the frame which completes a fragment.
    pub static FIELDS, visit(message: &Message<'_>, out) {
        link_length: Unsigned { bits: 8, names: &[] }, One, "Length octet of the link header: octets after it, CRCs not counted (§9.2)"
            => out(Value::Unsigned(message.link.length.into()));
        link_direction: Flag, One, "DIR bit: set in frames from a master (§9.2)"
            => out(Value::Flag(message.link.direction()));
        link_primary: Flag, One, "PRM bit: set in frames that start a link transaction (§9.2)"
            => out(Value::Flag(message.link.primary()));
        link_primary_function: Unsigned { bits: 4, names: names::PRIMARY_FUNCTIONS }, Optional, "Link function code of a frame with PRM set (§9.2)"
            => if message.link.primary() { out(Value::Unsigned(message.link.function().into())) };
        link_secondary_function: Unsigned { bits: 4, names: names::SECONDARY_FUNCTIONS }, Optional, "Link function code of a frame with PRM clear (§9.2)"
            => if !message.link.primary() { out(Value::Unsigned(message.link.function().into())) };
        fcb: Flag, Optional, "Frame count bit of a frame with PRM set (§9.2)"
            => if message.link.primary() { out(Value::Flag(message.link.fcb())) };
        fcv: Flag, Optional, "Frame count valid bit of a frame with PRM set (§9.2)"
            => if message.link.primary() { out(Value::Flag(message.link.fcv())) };
        dfc: Flag, Optional, "Data flow control bit of a frame with PRM clear: the receiver's buffers are full (§9.2)"
            => if !message.link.primary() { out(Value::Flag(message.link.fcv())) };
        source: Unsigned { bits: 16, names: &[] }, One, "Link address of the sender (§9.2)"
            => out(Value::Unsigned(message.link.source.into()));
        destination: Unsigned { bits: 16, names: &[] }, One, "Link address of the receiver; 65533 to 65535 are broadcasts (§9.2)"
            => out(Value::Unsigned(message.link.destination.into()));
        transport_fir: Flag, Optional, "First segment of a fragment (§8.2)"
            => if let Some(header) = message.transport { out(Value::Flag(header.fir())) };
        transport_fin: Flag, Optional, "Last segment of a fragment (§8.2)"
            => if let Some(header) = message.transport { out(Value::Flag(header.fin())) };
        transport_sequence: Unsigned { bits: 6, names: &[] }, Optional, "Sequence number of the segment, modulo 64 (§8.2)"
            => if let Some(header) = message.transport { out(Value::Unsigned(header.sequence().into())) };
        fir: Flag, Optional, "First fragment of a message (§4.2.2)"
            => if let Some(fragment) = &message.application { out(Value::Flag(fragment.fir())) };
        fin: Flag, Optional, "Last fragment of a message (§4.2.2)"
            => if let Some(fragment) = &message.application { out(Value::Flag(fragment.fin())) };
        con: Flag, Optional, "A confirmation of the fragment is asked for (§4.2.2)"
            => if let Some(fragment) = &message.application { out(Value::Flag(fragment.con())) };
        uns: Flag, Optional, "The sequence number counts unsolicited responses (§4.2.2)"
            => if let Some(fragment) = &message.application { out(Value::Flag(fragment.uns())) };
        sequence: Unsigned { bits: 4, names: &[] }, Optional, "Sequence number of the fragment, modulo 16 (§4.2.2)"
            => if let Some(fragment) = &message.application { out(Value::Unsigned(fragment.sequence().into())) };
        function: Unsigned { bits: 8, names: names::FUNCTIONS }, Optional, "Application function code (§4.2.2)"
            => if let Some(fragment) = &message.application { out(Value::Unsigned(fragment.function.into())) };
        iin: Unsigned { bits: 16, names: &[] }, Optional, "Internal indications of a response, IIN1 in the high octet (§4.2.2)"
            => if let Some(iin) = message.application.and_then(|fragment| fragment.iin) { out(Value::Unsigned(iin.into())) };
        indication: Unsigned { bits: 4, names: names::INDICATIONS }, Many, "Each internal indication that is set, by its bit in iin (§4.2.2)"
            => for bit in indications(message) { out(Value::Unsigned(bit.into())) };
        object: Unsigned { bits: 16, names: &[] }, Many, "Group times 256 plus variation of each object header (§4.2.2)"
            => message.objects(|header| out(Value::Unsigned(header.object().into())));
        group: Unsigned { bits: 8, names: names::GROUPS }, Many, "Group of each object header (annex A)"
            => message.objects(|header| out(Value::Unsigned(header.group.into())));
        variation: Unsigned { bits: 8, names: &[] }, Many, "Variation of each object header (annex A)"
            => message.objects(|header| out(Value::Unsigned(header.variation.into())));
        qualifier: Unsigned { bits: 8, names: &[] }, Many, "Qualifier octet of each object header (§4.2.2)"
            => message.objects(|header| out(Value::Unsigned(header.qualifier.into())));
        count: Unsigned { bits: 33, names: &[] }, Many, "Points of each object header, 0 for all (§4.2.2)"
            => message.objects(|header| out(Value::Unsigned(header.count)));
        start: Unsigned { bits: 32, names: &[] }, Many, "First index of each object header with a range (§4.2.2)"
            => message.objects(|header| if header.has_range() { out(Value::Unsigned(header.start.into())) });
        stop: Unsigned { bits: 32, names: &[] }, Many, "Last index of each object header with a range (§4.2.2)"
            => message.objects(|header| if header.has_range() { out(Value::Unsigned(header.stop.into())) });
        index: Unsigned { bits: 32, names: &[] }, Many, "Index of each point that the fragment lists"
            => message.points(|_, point| out(Value::Unsigned(point.index.into())));
        value: Float, Many, "Each value of counters, analog inputs and outputs, and deadbands (groups 20 to 43, 101, 102, 121, 122)"
            => message.quantities(out);
        state: Unsigned { bits: 8, names: &[] }, Many, "Each state of binary and double-bit points (groups 1 to 4, 10, 11, 80)"
            => message.unsigned(&[1, 2, 3, 4, 10, 11, 80], "state", out);
        commanded_state: Unsigned { bits: 1, names: &[] }, Many, "Commanded state of each binary command event (group 13)"
            => message.unsigned(&[13], "commanded_state", out);
        crob_operation: Unsigned { bits: 4, names: names::OPERATIONS }, Many, "Operation of each control relay output block (group 12)"
            => message.unsigned(&[12], "op_type", out);
        crob_trip_close: Unsigned { bits: 2, names: names::TRIP_CLOSE }, Many, "Trip-close code of each control relay output block (group 12)"
            => message.unsigned(&[12], "tcc", out);
        crob_clear: Unsigned { bits: 1, names: &[] }, Many, "Clear bit of each control relay output block (group 12)"
            => message.unsigned(&[12], "cr", out);
        crob_count: Unsigned { bits: 8, names: &[] }, Many, "Repetitions of each control relay output block (group 12)"
            => message.unsigned(&[12], "count", out);
        crob_on_time: Unsigned { bits: 32, names: &[] }, Many, "On time of each control relay output block, in milliseconds (group 12)"
            => message.unsigned(&[12], "ontime", out);
        crob_off_time: Unsigned { bits: 32, names: &[] }, Many, "Off time of each control relay output block, in milliseconds (group 12)"
            => message.unsigned(&[12], "offtime", out);
        status: Unsigned { bits: 8, names: names::CONTROL_STATUS }, Many, "Status of each control (groups 12, 13, 41, 43)"
            => statuses(message, out);
        analog_output: Float, Many, "Value of each analog output command (group 41)"
            => message.parts(|group| group == 41, "value", |datum| if let Some(number) = datum.number() { out(Value::Float(number)) });
        time: Time, Many, "Each absolute time in the objects"
            => message.times(out);
        string: Bytes, Many, "Each octet string and virtual terminal text (groups 110 to 113)"
            => message.texts(&[110, 111, 112, 113], "value", out);
        file_name: Bytes, Many, "Name of each file (group 70 variations 1, 3, 7)"
            => message.texts(&[70], "filename", out);
        file_data: Bytes, Many, "Each block of a file's contents (group 70 variation 5)"
            => message.texts(&[70], "file_data", out);
        file_size: Unsigned { bits: 32, names: &[] }, Many, "Size of each file, in octets (group 70)"
            => message.unsigned(&[70], "file_size", out);
        file_mode: Unsigned { bits: 16, names: names::FILE_MODES }, Many, "Mode of each file command (group 70 variation 3)"
            => message.unsigned(&[70], "operational_mode", out);
        file_handle: Unsigned { bits: 32, names: &[] }, Many, "Handle of each file operation (group 70 variations 4, 5, 6)"
            => message.unsigned(&[70], "file_handle", out);
        file_block: Unsigned { bits: 32, names: &[] }, Many, "Block number of each file transport, high bit set in the last (group 70 variations 5, 6)"
            => message.unsigned(&[70], "block_number", out);
        file_status: Unsigned { bits: 8, names: names::FILE_STATUS }, Many, "Status of each file operation (group 70 variations 4, 6)"
            => message.unsigned(&[70], "status_code", out);
        user_name: Bytes, Many, "Each user name (group 70 variation 2, group 120 variations 10, 11)"
            => message.texts(&[70, 120], "username", out);
        password: Bytes, Many, "Each password sent in clear (group 70 variation 2)"
            => message.texts(&[70], "password", out);
        auth_user: Unsigned { bits: 16, names: &[] }, Many, "User number of each authentication object (group 120)"
            => { message.unsigned(&[120], "usr", out); message.unsigned(&[120], "user_number", out) };
        auth_challenge_sequence: Unsigned { bits: 32, names: &[] }, Many, "Challenge sequence number (group 120 variations 1, 2, 3)"
            => message.unsigned(&[120], "csq", out);
        auth_key_sequence: Unsigned { bits: 32, names: &[] }, Many, "Key change sequence number (group 120 variations 5, 6, 12, 13)"
            => message.unsigned(&[120], "ksq", out);
        auth_mac_algorithm: Unsigned { bits: 8, names: names::MAC_ALGORITHMS }, Many, "MAC algorithm (group 120 variations 1, 5)"
            => message.unsigned(&[120], "mal", out);
        auth_key_status: Unsigned { bits: 8, names: names::KEY_STATUS }, Many, "Status of the session keys (group 120 variation 5)"
            => message.unsigned(&[120], "key_status", out);
        auth_error: Unsigned { bits: 8, names: names::AUTHENTICATION_ERRORS }, Many, "Authentication error code (group 120 variation 7)"
            => message.unsigned(&[120], "error_code", out);
        data: Bytes, Optional, "The application fragment, joined from its segments and free of CRCs, from its control octet (§4.2.2)"
            => if let Some(fragment) = &message.application { out(Value::Bytes(fragment.octets)) };
    }
}

fn statuses(message: &Message<'_>, out: &mut Visit<'_>) {
    message.points(|header, point| {
        let name = match header.group {
            12 | 13 | 43 => "status_code",
            41 => "control_status",
            _ => return,
        };
        point.parts(&mut |part, datum| {
            if let (true, Datum::Unsigned(number)) = (part == name, datum) {
                out(Value::Unsigned(number));
            }
        });
    });
}

/// Bits of `iin` that are set, in the order of the wire: IIN1 before IIN2.
fn indications(message: &Message<'_>) -> impl Iterator<Item = u8> {
    let iin = message.application.and_then(|fragment| fragment.iin).unwrap_or(0);
    (8..16).chain(0..8).filter(move |bit| iin >> bit & 1 != 0)
}

impl Record for Message<'_> {
    fn protocol(&self) -> &'static Protocol {
        &PROTOCOL
    }

    fn visit(&self, index: usize, out: &mut Visit<'_>) {
        visit(self, index, out);
    }

    /// Within an alert the message stands under what it is, as consumers of Suricata's alerts expect.
    fn alert_tree(&self, tree: &mut dyn Tree) {
        match &self.application {
            Some(fragment) => {
                tree.object(if fragment.is_response() { "response" } else { "request" });
                self.tree(tree);
                tree.end();
            }
            None => self.tree(tree),
        }
    }

    fn tree(&self, tree: &mut dyn Tree) {
        if let Some(fragment) = &self.application {
            let kind = match fragment.function {
                130 => "unsolicited_response",
                _ if fragment.is_response() => "response",
                _ => "request",
            };
            tree.text("type", kind);
        }
        tree.object("control");
        tree.flag("dir", self.link.direction());
        tree.flag("pri", self.link.primary());
        tree.flag("fcb", self.link.fcb());
        tree.flag("fcv", self.link.fcv());
        tree.unsigned("function_code", self.link.function().into());
        tree.end();
        tree.unsigned("src", self.link.source.into());
        tree.unsigned("dst", self.link.destination.into());
        if let Some(fragment) = &self.application {
            application(fragment, tree);
            if fragment.iin.is_some() {
                self.indicators(tree);
            }
        }
    }

    fn transaction(&self) -> u64 {
        self.transaction
    }

    fn operation(&self) -> Option<Operation> {
        operation::operation(self)
    }

    fn points(&self, out: &mut VisitPoints<'_>) {
        operation::points(self, out);
    }

    fn facts(&self, out: &mut VisitFacts<'_>) {
        operation::facts(self, out);
    }
}

impl Message<'_> {
    fn indicators(&self, tree: &mut dyn Tree) {
        tree.object("iin");
        let mut set = indications(self).peekable();
        if set.peek().is_some() {
            tree.list("indicators");
            for bit in set {
                tree.text("", crate::field::name_of(names::INDICATIONS, bit.into()).unwrap_or_default());
            }
            tree.end();
        }
        tree.end();
    }
}

fn application(fragment: &Fragment<'_>, tree: &mut dyn Tree) {
    tree.object("application");
    tree.object("control");
    tree.flag("fir", fragment.fir());
    tree.flag("fin", fragment.fin());
    tree.flag("con", fragment.con());
    tree.flag("uns", fragment.uns());
    tree.unsigned("sequence", fragment.sequence().into());
    tree.end();
    tree.unsigned("function_code", fragment.function.into());
    let mut headers = fragment.objects().peekable();
    if headers.peek().is_some() {
        let mut room = LOGGED_POINTS;
        tree.list("objects");
        for header in headers.take(LOGGED_OBJECTS) {
            room -= object(&header, room, tree);
        }
        tree.end();
    }
    let mut headers = fragment.objects();
    headers.by_ref().for_each(drop);
    tree.flag("complete", headers.fault().is_none());
    tree.end();
}

/// Writes an object header and at most `room` of its points; returns how many.
fn object(header: &ObjectHeader<'_>, room: usize, tree: &mut dyn Tree) -> usize {
    tree.object("");
    tree.unsigned("group", header.group.into());
    tree.unsigned("variation", header.variation.into());
    tree.unsigned("qualifier", header.qualifier.into());
    tree.unsigned("prefix_code", header.prefix_code().into());
    tree.unsigned("range_code", header.range_code().into());
    tree.unsigned("start", header.start.into());
    tree.unsigned("stop", header.stop.into());
    tree.unsigned("count", header.count);
    let mut points = header.points().take(room).peekable();
    let mut written = 0;
    if points.peek().is_some() {
        tree.list("points");
        for point in points {
            point_tree(&point, tree);
            written += 1;
        }
        tree.end();
    }
    tree.end();
    written
}

fn point_tree(point: &Point<'_>, tree: &mut dyn Tree) {
    tree.object("");
    tree.unsigned("prefix", point.prefix.into());
    tree.unsigned("index", point.index.into());
    if let Some(size) = point.size {
        tree.unsigned("size", size.into());
    }
    point.parts(&mut |name, datum| match datum {
        Datum::Unsigned(number) | Datum::Milliseconds(number) => tree.unsigned(name, number),
        Datum::Signed(number) => tree.signed(name, number),
        Datum::Float(number) => tree.float(name, number),
        Datum::Text(octets) => tree.octets(name, octets),
        Datum::Octets(octets) => tree.hex(name, octets),
    });
    tree.end();
}
