//! Once a flow has seen its first requests, dissecting Modbus allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use vigia_parsers::ot::modbus::PROTOCOL;
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
    let mut flow = (PROTOCOL.open)(&Limits::DEFAULT);
    let mut sink = Reader::default();
    let mut poll = |rounds: u16| {
        for round in 0..rounds {
            // Four requests are outstanding before the first is answered.
            for (direction, pdu) in
                [(Direction::ToServer, &[1, 3, 0, 0, 0, 2][..]), (Direction::ToClient, &[1, 3, 4, 1, 2, 3, 4][..])]
            {
                for id in 0..4 {
                    let mut message = [0; 16];
                    message[..2].copy_from_slice(&(round * 4 + id).to_be_bytes());
                    message[5] = pdu.len() as u8;
                    message[6..6 + pdu.len()].copy_from_slice(pdu);
                    let envelope = Envelope { direction, timestamp: Timestamp(round.into()), datagram: false };
                    flow.parse(&envelope, &message[..6 + pdu.len()], &mut sink);
                }
            }
        }
    };
    poll(1);
    let before = ALLOCATIONS.get();
    poll(1000);
    let after = ALLOCATIONS.get();
    assert_eq!(after - before, 0);
    assert_eq!(sink.transactions, 4004);
    assert!(sink.values > 0);
}
