//! One sink's loop: read, hand over, settle, save the cursor.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::backoff::Backoff;
use super::batch::Batch;
use super::dead_letter::DeadLetter;
use super::progress::{Circuit, Progress};
use super::sink::{Failure, Refusal, Settled, Sink};
use super::source::{Met, Source};
use crate::journal::{Bookmark, Positions};

/// At the end of the journal, it is looked this often whether there is more.
const POLL: Duration = Duration::from_millis(100);

/// A cursor that only moved past events that the sink does not want is saved this often.
const SAVE: Duration = Duration::from_secs(1);

/// The log tells of refused events this often at the most; all of them are in their file.
const TELL: Duration = Duration::from_secs(10);

/// Takes events from the journal to one sink.
pub(super) struct Courier {
    pub(super) sink: Box<dyn Sink>,
    /// Both are lent to the thread that reads.
    pub(super) source: Option<(Source, Batch)>,
    pub(super) bookmark: Bookmark,
    pub(super) positions: Positions,
    pub(super) dead_letter: DeadLetter,
    pub(super) backoff: Backoff,
    pub(super) timeout: Duration,
    pub(super) progress: Arc<Progress>,
    /// The positions differ from the saved ones, which are of then.
    pub(super) unsaved: Option<Instant>,
    /// When the log told last of refused events.
    pub(super) told: Option<Instant>,
}

impl Courier {
    /// Delivers until told to stop, then what is still in the journal, unless the sink fails.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        self.progress.numbers().refused_bytes = self.dead_letter.size();
        loop {
            // Before it is read: what was written until then is seen.
            let stopping = *stop.borrow_and_update();
            let Some((source, mut batch, more)) = self.read().await else { return };
            let settled = self.settle(&mut batch, &mut stop).await;
            self.source = Some((source, batch));
            if !settled || (!more && stopping) {
                self.save(true);
                return;
            }
            if !more {
                self.save(false);
                // Either of them: what comes next is read.
                let _ = tokio::time::timeout(POLL, stop.changed()).await;
            }
        }
    }

    /// Reads on; says whether there was anything. None when the reading thread is gone.
    async fn read(&mut self) -> Option<(Source, Batch, bool)> {
        let (mut source, mut batch) = self.source.take()?;
        let mut met = Met::default();
        let read = tokio::task::spawn_blocking(move || {
            let outcome = source.fill(&mut batch, &mut met);
            (source, batch, met, outcome)
        });
        let (source, batch, met, outcome) = read.await.ok()?;
        self.progress.met(&met);
        if met.missed_segments > 0 {
            let (events, segments) = (met.missed.events, met.missed_segments);
            tracing::error!(
                sink = self.progress.name,
                events,
                segments,
                "removed from the journal before they were delivered"
            );
        }
        let more = outcome.unwrap_or_else(|error| {
            tracing::warn!(sink = self.progress.name, %error, "the journal cannot be read");
            false
        });
        Some((source, batch, more))
    }

    /// Offers a batch until all of it is settled; false when that cannot be before the stop.
    async fn settle(&mut self, batch: &mut Batch, stop: &mut watch::Receiver<bool>) -> bool {
        let mut most = usize::MAX;
        while batch.waiting() > 0 {
            self.progress.numbers().waiting = batch.oldest().map(|time| (batch.stream(), time));
            let pause = match self.offer(batch, &mut most).await {
                Ok(()) => continue,
                Err(pause) => pause,
            };
            let told = tokio::time::timeout(pause, stop.wait_for(|stop| *stop)).await;
            if told.is_ok() {
                return false;
            }
        }
        if self.positions.get(batch.stream()) != batch.position() {
            // What the sink does not want is behind it, too.
            self.positions.set(batch.stream(), batch.position());
            self.unsaved = self.unsaved.or_else(|| Some(Instant::now()));
        }
        let mut numbers = self.progress.numbers();
        numbers.positions = self.positions;
        numbers.waiting = None;
        true
    }

    /// Hands over at most `most` events and settles what the sink took or refused. An error is the time to wait.
    async fn offer(&mut self, batch: &mut Batch, most: &mut usize) -> Result<(), Duration> {
        if self.dead_letter.is_full() {
            let why = "the file of refused events is full: look at it, and take it away";
            return Err(self.failed(Circuit::Blocked, why, None));
        }
        let events = batch.pending(*most);
        let offered = tokio::time::timeout(self.timeout, self.sink.deliver(&events)).await;
        let mut settled = offered.unwrap_or_else(|_| {
            Settled::failed(Failure::unavailable(format!("no answer within {} s", self.timeout.as_secs())))
        });
        if let (Some(Failure::Refused { answer }), 0) = (&settled.failure, settled.count) {
            if events.len() > 1 {
                // One of them is at fault. Fewer are offered, until it is alone.
                *most = events.len() / 2;
                return Ok(());
            }
            settled = Settled { count: 1, refused: vec![Refusal { index: 0, answer: answer.clone() }], failure: None };
        }
        let count = settled.count.min(events.len());
        let refused = settled.refused.iter().filter(|refusal| refusal.index < count);
        let refused: Vec<_> = refused.filter_map(|one| Some((*events.get(one.index)?, one.answer.as_str()))).collect();
        if let Err(error) = self.dead_letter.park(&refused) {
            return Err(self.failed(Circuit::Open, &format!("refused events cannot be kept: {error}"), None));
        }
        let (refusals, refused_bytes) =
            (refused.len(), refused.iter().map(|(event, _)| event.json.len()).sum::<usize>());
        if let Some((event, answer)) = refused.first()
            && self.told.is_none_or(|at| at.elapsed() >= TELL)
        {
            self.told = Some(Instant::now());
            tracing::warn!(
                sink = self.progress.name,
                refused = refusals,
                event_id = event.id,
                answer,
                "events refused"
            );
        }
        let bytes = batch.settle(count);
        if count > 0 {
            self.positions.set(batch.stream(), batch.position());
            self.unsaved = self.unsaved.or_else(|| Some(Instant::now()));
            self.save(true);
            *most = most.saturating_mul(2);
        }
        {
            let mut numbers = self.progress.numbers();
            numbers.delivered += (count - refusals) as u64;
            numbers.delivered_bytes += (bytes - refused_bytes) as u64;
            numbers.refused += refusals as u64;
            numbers.refused_bytes = self.dead_letter.size();
            numbers.positions = self.positions;
        }
        match settled.failure {
            None => {
                self.recovered();
                Ok(())
            }
            Some(Failure::Unavailable { reason, retry_after }) => Err(self.failed(Circuit::Open, &reason, retry_after)),
            // Some in front were settled: the next try begins with the one at fault.
            Some(Failure::Refused { .. }) => Ok(()),
        }
    }

    /// A try failed: counts it, tells it the first time, and gives the time to wait.
    fn failed(&mut self, circuit: Circuit, reason: &str, retry_after: Option<Duration>) -> Duration {
        let pause = self.backoff.pause(retry_after);
        let mut numbers = self.progress.numbers();
        numbers.failures += 1;
        if numbers.circuit != circuit {
            tracing::warn!(sink = self.progress.name, reason, "nothing is delivered until it is well again");
        }
        numbers.circuit = circuit;
        numbers.error = reason.to_owned();
        pause
    }

    fn recovered(&mut self) {
        self.backoff.reset();
        let mut numbers = self.progress.numbers();
        if numbers.circuit != Circuit::Closed {
            tracing::info!(sink = self.progress.name, "delivered again");
        }
        numbers.circuit = Circuit::Closed;
        numbers.error.clear();
    }

    /// Saves the cursor, if it moved: `now`, or once it is time. One that cannot be saved (a full disk) does not keep the
    /// rest from being delivered; it costs repeats after a crash.
    fn save(&mut self, now: bool) {
        if !self.unsaved.is_some_and(|since| now || since.elapsed() >= SAVE) {
            return;
        }
        match tokio::task::block_in_place(|| self.bookmark.save(&self.positions)) {
            Ok(()) => self.unsaved = None,
            Err(error) => {
                self.progress.numbers().cursor_errors += 1;
                tracing::warn!(sink = self.progress.name, %error, "the cursor cannot be saved");
            }
        }
    }
}
