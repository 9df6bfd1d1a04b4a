//! What targets share: a sink that asks everything of every record, as rules and events would, and the reading of a
//! capture file that is given as bytes.

use std::io::Cursor;

use vigia::capture::file::FileSource;
use vigia::capture::{FileSettings, Progress, Source};
use vigia_parsers::conversation::{Conversation, Medium, Opening};
use vigia_parsers::field::Tree;
use vigia_parsers::{Anomaly, Direction, Envelope, Limits, Protocol, Record, Sink, Timestamp};

/// Reads every field of every message and writes the tree of every transaction.
pub struct Curious;

impl Sink for Curious {
    fn message(&mut self, _: &Envelope, record: &dyn Record, _: &[Anomaly]) {
        for index in 0..record.protocol().fields.len() {
            record.visit(index, &mut |value| {
                std::hint::black_box(value);
            });
        }
        record.tree(&mut Void);
    }

    fn transaction(&mut self, _: &Envelope, record: &dyn Record) {
        record.tree(&mut Void);
    }

    fn anomaly(&mut self, _: &Envelope, _: &'static Protocol, _: Anomaly) {}
}

/// A tree that goes nowhere.
struct Void;

impl Tree for Void {
    fn unsigned(&mut self, _: &'static str, _: u64) {}
    fn signed(&mut self, _: &'static str, _: i64) {}
    fn float(&mut self, _: &'static str, _: f64) {}
    fn flag(&mut self, _: &'static str, _: bool) {}
    fn text(&mut self, _: &'static str, _: &'static str) {}
    fn formatted(&mut self, _: &'static str, value: std::fmt::Arguments<'_>) {
        let _ = value.to_string();
    }
    fn octets(&mut self, _: &'static str, _: &[u8]) {}
    fn hex(&mut self, _: &'static str, _: &[u8]) {}
    fn object(&mut self, _: &'static str) {}
    fn list(&mut self, _: &'static str) {}
    fn end(&mut self) {}
}

/// Feeds `input` to a conversation on `port` in chunks: a length byte, a byte of direction and gap (of as
/// many bytes), the chunk.
pub fn converse(port: u16, protocols: &'static [&'static Protocol], datagram: bool, input: &[u8]) {
    let medium = if datagram { Medium::Datagram } else { Medium::Stream };
    let opening = Opening { client_port: 40000, server_port: port, medium, roles_known: port != 0 };
    feed(Conversation::new(opening, protocols, &Limits::DEFAULT), datagram, input);
}

/// Feeds `input` to a conversation on the link layer, each chunk a frame.
pub fn on_link(protocol: &'static Protocol, input: &[u8]) {
    feed(Conversation::on_link(protocol, &Limits::DEFAULT), false, input);
}

fn feed(mut conversation: Conversation, datagram: bool, mut input: &[u8]) {
    let mut timestamp = Timestamp::default();
    while let [length, way, rest @ ..] = input {
        let (chunk, left) = rest.split_at(rest.len().min(*length as usize));
        input = left;
        timestamp.0 += 1_000_000;
        let direction = if way & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
        if way & 2 != 0 {
            conversation.gap(direction, u64::from(*length));
        }
        conversation.data(&Envelope { direction, timestamp, datagram }, chunk, &mut Curious);
    }
    conversation.expire(Timestamp::MAX, &mut Curious);
}

/// Reads a capture file to its end or fault, in small pieces and at once: both give the same frames and the same fault.
pub fn capture(file: Vec<u8>) {
    let pieces = read(file.clone(), 64);
    let whole = read(file, 1 << 20);
    assert_eq!(pieces, whole, "what is read does not depend on how much of the file is at hand");
}

/// The frames' times and bytes, and how it ended.
fn read(file: Vec<u8>, read_bytes: u32) -> (Vec<(u64, Vec<u8>)>, String) {
    let settings = FileSettings { max_frame_bytes: 4096, max_block_bytes: 1 << 16, read_bytes };
    let mut frames = Vec::new();
    let mut source = match FileSource::from_reader("fuzz", Cursor::new(file), &settings) {
        Ok(source) => source,
        Err(fault) => return (frames, fault.to_string()),
    };
    loop {
        let before = frames.len();
        let progress = source.batch(&mut |captured, _| {
            assert!(captured.frame.len() <= 4096);
            frames.push((captured.timestamp.0, captured.frame.to_vec()));
        });
        match progress {
            Ok(Progress::Frames(count)) => assert_eq!(count, frames.len() - before),
            Ok(Progress::Idle) => panic!("a file is never idle"),
            Ok(Progress::End) => return (frames, String::new()),
            Err(fault) => return (frames, fault.to_string()),
        }
    }
}
