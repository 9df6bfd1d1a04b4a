//! What a sink is still to get: its streams of the journal, read from its cursor on.

use std::io;
use std::path::Path;
use std::sync::Arc;

use vigia_parsers::Timestamp;

use super::batch::{Batch, Event};
use super::filter::Filter;
use crate::event;
use crate::journal::{Catalogue, Extent, Positions, Reader, Stream};

/// Bytes of events that a sink does not want, after which it is looked whether an alert waits.
const HELD_BACK: usize = 4 << 20;

/// Failures to read on from one place after which the rest of the segment is given up.
const TRIES: u32 = 5;

/// Reads for one sink.
pub(super) struct Source {
    identity: String,
    filter: Filter,
    /// Alerts before records.
    streams: Vec<Following>,
    catalogue: Arc<Catalogue>,
    most_events: usize,
    most_bytes: usize,
    line: Vec<u8>,
}

struct Following {
    stream: Stream,
    reader: Reader,
    skipped: u64,
    failures: u32,
}

/// What [`Source::fill`] met beside the events in the batch.
#[derive(Debug, Default)]
pub(super) struct Met {
    /// Events that the sink does not want.
    pub(super) filtered: u64,
    /// Events that were removed, or could not be read, before the sink got them.
    pub(super) missed: Extent,
    /// Segments of them.
    pub(super) missed_segments: u64,
}

impl Source {
    pub(super) fn new(
        (journal, identity): (&Path, &str),
        catalogue: &Arc<Catalogue>,
        filter: Filter,
        positions: &Positions,
        (most_events, most_bytes): (usize, usize),
    ) -> Self {
        let follow = |stream| Following {
            stream,
            reader: Reader::open(journal, stream, positions.get(stream)),
            skipped: 0,
            failures: 0,
        };
        Self {
            identity: identity.to_owned(),
            streams: filter.streams().map(follow).collect(),
            filter,
            catalogue: Arc::clone(catalogue),
            most_events,
            most_bytes,
            line: Vec::new(),
        }
    }

    /// Puts the next events into `batch`, alerts if there are any; false when there is nothing more to read.
    pub(super) fn fill(&mut self, batch: &mut Batch, met: &mut Met) -> io::Result<bool> {
        for at in 0..self.streams.len() {
            if self.read(at, batch, met)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads one stream; false at its end.
    fn read(&mut self, at: usize, batch: &mut Batch, met: &mut Met) -> io::Result<bool> {
        let Self { identity, filter, streams, catalogue, line, .. } = self;
        let Some(Following { stream, reader, skipped, failures }) = streams.get_mut(at) else { return Ok(false) };
        batch.begin(*stream);
        batch.read_to(reader.cursor());
        let mut held_back = 0;
        let mut any = false;
        while batch.waiting() < self.most_events && batch.bytes() < self.most_bytes && held_back < HELD_BACK {
            let before = reader.cursor();
            match reader.next(line) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    *failures += 1;
                    if *failures >= TRIES {
                        tracing::error!(stream = stream.name(), segment = before.segment, %error, "given up: cannot be read");
                        let rest = catalogue.missed(*stream, before, before.segment + 1);
                        reader.give_up_segment();
                        *failures = 0;
                        count_missed(met, rest, reader, skipped);
                        continue;
                    }
                    // What was read before it goes first; then it is tried again.
                    return if any { Ok(true) } else { Err(error) };
                }
            }
            *failures = 0;
            any = true;
            if reader.skipped() > *skipped {
                let missed = catalogue.missed(*stream, before, reader.cursor().segment);
                count_missed(met, missed, reader, skipped);
            }
            match filter.apply(line) {
                Some(wanted) => {
                    let id = reader.event_id(identity);
                    let time = event::time_of(line).unwrap_or(Timestamp(0));
                    // One that makes the batch too long begins the next.
                    let event = Event { id: &id, json: &wanted, time, flow: event::flow_of(line) };
                    batch.push(event, reader.cursor());
                }
                None => {
                    met.filtered += 1;
                    held_back += line.len();
                }
            }
            batch.read_to(reader.cursor());
        }
        Ok(any)
    }
}

fn count_missed(met: &mut Met, missed: Extent, reader: &Reader, skipped: &mut u64) {
    met.missed.events += missed.events;
    met.missed.bytes += missed.bytes;
    met.missed_segments += reader.skipped() - *skipped;
    *skipped = reader.skipped();
}

/// Where the streams that a sink reads stand, for its lag.
pub(super) fn lag(catalogue: &Catalogue, streams: &[Stream], positions: &Positions) -> [Extent; 2] {
    Stream::ALL.map(|stream| match streams.contains(&stream) {
        true => catalogue.ahead(stream, positions.get(stream)),
        false => Extent::default(),
    })
}
