//! Makes the index and keeps it up to date: a reader of the journal whose cursor is in the index itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::store::{Store, put};
use super::{IndexError, Place, Settings, remove};
use crate::event::AlertColumns;
use crate::journal::{Catalogue, Cursor, Extent, JournalSettings, Reader, Stream, span_of};
use crate::metrics::{Counter, Metrics};
use crate::priority::Rank;

/// Alerts that are committed together, at the most.
const ROUND: usize = 4000;

/// At the end of the journal, and after a failure, it is looked this often whether there is more.
const POLL: Duration = Duration::from_secs(1);

/// Failures to read on from one place after which the rest of the segment is given up.
const TRIES: u32 = 5;

/// Makes the index of one journal.
pub struct Builder {
    journal: PathBuf,
    identity: String,
    max_bytes: u64,
    /// Bytes that are kept on disk for alerts.
    reserve_bytes: u64,
    metrics: Arc<Metrics>,
    catalogue: Arc<Catalogue>,
    open: Option<Open>,
    /// What stands before is in the index.
    indexed: Cursor,
    line: Vec<u8>,
    /// Failures to read on since something was read.
    failures: u32,
    /// The last round failed, and the log has told so.
    failing: bool,
}

struct Open {
    store: Store,
    reader: Reader,
    /// The segment that was written of last.
    segment: u64,
    /// The oldest segment of the journal when it was looked last.
    oldest: u64,
}

impl Builder {
    /// Of a journal, which has this identity and these segments.
    pub fn new(
        journal: &JournalSettings,
        (identity, catalogue): (&str, &Arc<Catalogue>),
        settings: &Settings,
        metrics: &Arc<Metrics>,
    ) -> Self {
        metrics.shared().set(Counter::IndexLimit, settings.max_bytes);
        Self {
            journal: journal.directory.clone(),
            identity: identity.to_owned(),
            max_bytes: settings.max_bytes,
            reserve_bytes: journal.reserve_bytes,
            metrics: Arc::clone(metrics),
            catalogue: Arc::clone(catalogue),
            open: None,
            indexed: Cursor::default(),
            line: Vec::new(),
            failures: 0,
            failing: false,
        }
    }

    /// Puts in some of what the journal has and the index has not; says whether there may be more. What stands in the way
    /// costs the index, not the journal: it is told, counted and tried again.
    pub fn round(&mut self) -> bool {
        let more = self.put_in();
        let Extent { events, bytes } = self.catalogue.ahead(Stream::Alerts, self.indexed);
        self.metrics.shared().set(Counter::IndexLagEvents, events);
        self.metrics.shared().set(Counter::IndexLagBytes, bytes);
        more
    }

    fn put_in(&mut self) -> bool {
        // On a full disk what is there is for alerts.
        if self.metrics.shared().get(Counter::JournalReserve) < self.reserve_bytes {
            return false;
        }
        match self.try_round() {
            Ok(more) => {
                self.failing = false;
                more
            }
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    fn try_round(&mut self) -> Result<bool, IndexError> {
        if self.open.as_ref().is_some_and(|open| !open.store.is_there()) {
            tracing::warn!("the index of alerts was removed: it is made anew");
            self.metrics.shared().add(Counter::IndexRemoved, 1);
            self.open = None;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open()?,
        };
        let more = self.read(&mut open)?;
        self.metrics.shared().set(Counter::IndexBytes, open.store.bytes()?);
        self.open = Some(open);
        Ok(more)
    }

    /// Opens the file, and begins with the last segment that both know, or anew.
    fn open(&mut self) -> Result<Open, IndexError> {
        let (mut store, mut cursor) = Store::open(&self.journal, &self.identity)?;
        if cursor.is_none() {
            tracing::warn!(
                "the index of alerts is of another journal or version, or the machine stopped while it was open: it is made anew"
            );
            self.metrics.shared().add(Counter::IndexOutdated, 1);
            drop(store);
            remove(&self.journal)?;
            (store, cursor) = Store::open(&self.journal, &self.identity)?;
        }
        let newest = span_of(&self.journal, Stream::Alerts)?.map_or(0, |span| *span.end());
        let segment = cursor.unwrap_or_default().segment.min(newest);
        let cursor = Cursor { segment, ..Cursor::default() };
        let writing = store.begin()?;
        writing.remove_from(segment)?;
        writing.commit(cursor)?;
        self.indexed = cursor;
        // For the lag: what earlier runs wrote is not counted yet.
        self.catalogue.count(&self.journal, Stream::Alerts, cursor)?;
        let reader = Reader::open(&self.journal, Stream::Alerts, cursor);
        Ok(Open { store, reader, segment: 0, oldest: 0 })
    }

    fn read(&mut self, open: &mut Open) -> Result<bool, IndexError> {
        let oldest = span_of(&self.journal, Stream::Alerts)?.map_or(open.oldest, |span| *span.start());
        let writing = open.store.begin()?;
        let mut count = 0;
        {
            let mut insertion = writing.insertion()?;
            while count < ROUND {
                match open.reader.next(&mut self.line) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        self.metrics.shared().add(Counter::IndexErrors, 1);
                        self.failures += 1;
                        if self.failures >= TRIES {
                            let segment = open.reader.cursor().segment;
                            tracing::error!(segment, %error, "left out of the index: cannot be read");
                            open.reader.give_up_segment();
                            self.failures = 0;
                        }
                        break;
                    }
                }
                self.failures = 0;
                count += 1;
                let Cursor { segment, offset, .. } = open.reader.last();
                if segment != open.segment {
                    writing.begin_segment(segment, open.reader.segment_name())?;
                    open.segment = segment;
                }
                put(&mut insertion, Place { segment, offset }, &AlertColumns::of(&self.line))?;
            }
        }
        if count == 0 && oldest == open.oldest {
            return Ok(false);
        }
        writing.remove_before(oldest)?;
        // The oldest segment makes room, but not the one in hand.
        let mut left_out = 0;
        while writing.bytes()? > self.max_bytes
            && let Some(first) = writing.oldest()?.filter(|first| *first < open.segment)
        {
            left_out += writing.remove_before(first + 1)? as u64;
        }
        writing.commit(open.reader.cursor())?;
        self.metrics.shared().add(Counter::IndexLeftOut, left_out);
        self.indexed = open.reader.cursor();
        open.oldest = oldest;
        self.metrics.shared().add(Counter::IndexAlerts, count as u64);
        Ok(count == ROUND)
    }

    /// Leaves the index as it may be found after the machine has stopped.
    pub fn close(mut self) {
        if let Some(Err(error)) = self.open.take().map(|open| open.store.close()) {
            tracing::warn!(%error, "the index of alerts is not synced: after a power cut it is made anew");
        }
    }

    fn failed(&mut self, error: &IndexError) {
        // What was not committed is read again.
        self.open = None;
        self.metrics.shared().add(Counter::IndexErrors, 1);
        if error.is_damage() {
            self.metrics.shared().add(Counter::IndexDamaged, 1);
            match Store::put_aside(&self.journal) {
                Ok(aside) => {
                    tracing::error!(%error, aside = %aside.display(), "the index of alerts is damaged: it is made anew");
                }
                Err(aside) => {
                    tracing::error!(%error, %aside, "the index of alerts is damaged and cannot be moved away")
                }
            }
        } else if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(%error, "the index of alerts cannot be written: it is tried again");
        }
    }
}

/// Keeps an index up to date until told to stop, and then up to the end of the journal. It is a thread's whole work, within
/// `runtime`.
pub fn follow(mut builder: Builder, mut stop: watch::Receiver<bool>, runtime: &Handle) {
    // It can always be made up from the journal, so it is in nobody's way.
    Rank::Idle.take();
    loop {
        // Before it is read: what was written until then is seen.
        let stopping = *stop.borrow_and_update();
        if !builder.round() {
            if stopping {
                return builder.close();
            }
            // Either of them: what comes next is read.
            let _ = runtime.block_on(async { tokio::time::timeout(POLL, stop.changed()).await });
        }
    }
}
