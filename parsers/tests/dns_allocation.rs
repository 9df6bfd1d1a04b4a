//! Once a flow has seen its first requests, dissecting DNS allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use vigia_parsers::it::dns::PROTOCOL;
use vigia_parsers::{Anomaly, Direction, Envelope, Limits, Protocol, Record, Sink, Timestamp};

struct Counting;

thread_local! {
    /// Of this thread alone: the test harness allocates in its own.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches a plain cell only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Reads every field of every message.
#[derive(Default)]
struct Reader {
    values: usize,
    transactions: usize,
}

impl Sink for Reader {
    fn message(&mut self, _: &Envelope, record: &dyn Record, _: &[Anomaly]) {
        for index in 0..record.protocol().fields.len() {
            record.visit(index, &mut |_| self.values += 1);
        }
    }

    fn transaction(&mut self, _: &Envelope, _: &dyn Record) {
        self.transactions += 1;
    }

    fn anomaly(&mut self, _: &Envelope, _: &'static Protocol, _: Anomaly) {}
}

#[test]
fn dissecting_allocates_nothing_in_the_steady_state() {
    const QUESTION: &[u8] = b"\x03www\x07example\x03com\x00\x00\x01\x00\x01";
    const ANSWER: &[u8] = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xc0\x00\x02\x01";
    let mut flow = (PROTOCOL.open)(&Limits::DEFAULT);
    let mut sink = Reader::default();
    let mut ask = |rounds: u16| {
        for round in 0..rounds {
            // Four requests are outstanding before the first is answered.
            for direction in [Direction::ToServer, Direction::ToClient] {
                for id in 0..4 {
                    let mut message = [0; 64];
                    let mut length = 0;
                    let mut add = |bytes: &[u8]| {
                        message[length..length + bytes.len()].copy_from_slice(bytes);
                        length += bytes.len();
                    };
                    add(&(round * 4 + id).to_be_bytes());
                    let answered = direction == Direction::ToClient;
                    add(&[if answered { 0x81 } else { 1 }, 0, 0, 1, 0, answered.into(), 0, 0, 0, 0]);
                    add(QUESTION);
                    if answered {
                        add(ANSWER);
                    }
                    let envelope = Envelope { direction, timestamp: Timestamp(round.into()), datagram: true };
                    flow.parse(&envelope, &message[..length], &mut sink);
                }
            }
        }
    };
    ask(1);
    let before = ALLOCATIONS.get();
    ask(1000);
    let after = ALLOCATIONS.get();
    assert_eq!(after - before, 0);
    assert_eq!(sink.transactions, 8008);
    assert!(sink.values > 0);
}
