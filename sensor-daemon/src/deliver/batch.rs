//! Events that are handed over together.

use std::ops::Range;

use vigia_parsers::Timestamp;

use crate::event;
use crate::journal::{Cursor, Stream};

/// An event as a sink gets it.
#[derive(Debug, Clone, Copy)]
pub struct Event<'b> {
    /// Its id, the same whenever it is handed over.
    pub id: &'b str,
    /// The event as JSON, without an end of line. The id is its first member.
    pub json: &'b [u8],
    /// Its time.
    pub time: Timestamp,
    /// The flow that it is of, if it is of one.
    pub flow: Option<u64>,
}

/// Events of one stream in the order of the journal, those in front settled bit by bit.
#[derive(Debug, Default)]
pub(super) struct Batch {
    stream: Option<Stream>,
    bytes: Vec<u8>,
    events: Vec<Placed>,
    /// Events in front that are settled.
    settled: usize,
    /// The position after all that was read, what the filter holds back included.
    end: Cursor,
}

#[derive(Debug)]
struct Placed {
    json: Range<usize>,
    id: Range<usize>,
    time: Timestamp,
    flow: Option<u64>,
    after: Cursor,
}

impl Batch {
    /// Begins anew, with events of a stream.
    pub(super) fn begin(&mut self, stream: Stream) {
        *self = Self {
            stream: Some(stream),
            bytes: std::mem::take(&mut self.bytes),
            events: std::mem::take(&mut self.events),
            ..Self::default()
        };
        self.bytes.clear();
        self.events.clear();
    }

    /// Appends an event, whose line has no id yet; `after` is the position behind it.
    pub(super) fn push(&mut self, Event { id, json, time, flow }: Event<'_>, after: Cursor) {
        let start = self.bytes.len();
        let id = event::identify(&mut self.bytes, id, json);
        self.events.push(Placed { json: start..self.bytes.len(), id, time, flow, after });
    }

    /// Everything up to there was read.
    pub(super) fn read_to(&mut self, end: Cursor) {
        self.end = end;
    }

    pub(super) fn stream(&self) -> Stream {
        self.stream.unwrap_or(Stream::Alerts)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Events that are not settled.
    pub(super) fn waiting(&self) -> usize {
        self.events.len() - self.settled
    }

    /// The first `most` events that are not settled.
    pub(super) fn pending(&self, most: usize) -> Vec<Event<'_>> {
        let event = |placed: &Placed| Event {
            id: self.bytes.get(placed.id.clone()).and_then(|id| std::str::from_utf8(id).ok()).unwrap_or_default(),
            json: self.bytes.get(placed.json.clone()).unwrap_or_default(),
            time: placed.time,
            flow: placed.flow,
        };
        self.events.iter().skip(self.settled).take(most).map(event).collect()
    }

    /// Time of the first event that is not settled.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.events.get(self.settled).map(|placed| placed.time)
    }

    /// So many more are settled. Gives the bytes of them.
    pub(super) fn settle(&mut self, count: usize) -> usize {
        let from = self.settled;
        self.settled = (from + count).min(self.events.len());
        self.events.get(from..self.settled).unwrap_or_default().iter().map(|placed| placed.json.len()).sum()
    }

    /// The position behind what is settled.
    pub(super) fn position(&self) -> Cursor {
        match self.settled {
            all if all == self.events.len() => self.end,
            0 => Cursor::default(),
            some => self.events.get(some - 1).map_or(self.end, |placed| placed.after),
        }
    }
}
