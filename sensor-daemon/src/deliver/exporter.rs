//! All couriers and pushers of a sensor, with the threads that they run on.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::{self, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::backoff::Backoff;
use super::batch::Batch;
use super::certificate::Expiry;
use super::dead_letter::DeadLetter;
use super::filter::Filter;
use super::progress::Progress;
use super::push::{Pusher, Waiting};
use super::source::Source;
use super::warden::Warden;
use super::{Courier, Export};
use crate::config::Config;
use crate::event::HealthOutput;
use crate::index::{self, Builder};
use crate::journal::{Bookmark, Catalogue, Journal, Stream};
use crate::metrics::Metrics;
use crate::metrics::subject::Subject;
use crate::priority::Rank;

/// Metrics are told anew this often.
const TELL: Duration = Duration::from_millis(500);

/// Time to deliver what is in the journal when the sensor stops. What is left goes after the next start.
const DRAIN: Duration = Duration::from_secs(5);

/// Delivers the events of a journal to all sinks, and the metrics to all servers that they are sent to.
pub struct Exporter {
    runtime: Runtime,
    /// Couriers, pushers, and what keeps the index.
    tasks: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    board: Arc<Board>,
}

/// What is told of the sinks.
pub struct Board {
    catalogue: Arc<Catalogue>,
    sinks: Vec<Arc<Progress>>,
    pushes: Vec<Arc<Waiting>>,
    metrics: Arc<Metrics>,
}

impl Board {
    /// The sinks as `vigia status` has them. Brings the metrics up to date, too: afterwards, so that where nothing waits any
    /// more they have counted all of it.
    pub fn status(&self) -> Value {
        let sinks = self.sinks.iter().map(|sink| sink.status(&self.catalogue)).collect();
        self.publish();
        sinks
    }

    /// All ways up, and what was seen of their certificates.
    fn ways(&self) -> impl Iterator<Item = (Subject, &str, &Expiry)> {
        let sinks = self.sinks.iter().map(|sink| (Subject::Sink, sink.name.as_str(), &sink.expiry));
        sinks.chain(self.pushes.iter().map(|push| (Subject::Push, push.name.as_str(), &push.expiry)))
    }

    fn publish(&self) {
        for sink in &self.sinks {
            self.metrics.set_sink(&sink.name, sink.readings(&self.catalogue));
        }
        for push in &self.pushes {
            self.metrics.set_push(&push.name, push.readings());
        }
    }
}

impl Exporter {
    /// Starts a courier for each sink, a pusher for each server that metrics are sent to, and what keeps the index of alerts.
    /// One that is away is no error; a journal that cannot keep a cursor is.
    pub fn start(config: &Config, journal: &Journal, metrics: &Arc<Metrics>) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let mut builder = runtime::Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("deliver").enable_all();
        builder.on_thread_start(|| Rank::Behind.take());
        let runtime = builder.build()?;
        let catalogue = Arc::clone(journal.catalogue());
        let mut couriers = Vec::new();
        let directory = config.journal.directory.as_path();
        for export in &config.export {
            couriers.extend(courier(export, (directory, journal.identity()), &catalogue)?);
        }
        let sinks = couriers.iter().map(|courier| Arc::clone(&courier.progress)).collect();
        let sensor = config.sensor.name.as_deref().unwrap_or_default();
        let pushers: Vec<_> = config.metrics.push.iter().map(|push| Pusher::new(push, sensor, metrics)).collect();
        let pushes = pushers.iter().map(|pusher| Arc::clone(pusher.waiting())).collect();
        let board = Arc::new(Board { catalogue, sinks, pushes, metrics: Arc::clone(metrics) });
        count_earlier(&runtime, &board, directory);
        let told = Arc::clone(&board);
        let health = HealthOutput::new(&config.event_settings(), Arc::clone(metrics.shared()), journal.submitter(0));
        let mut warden = Warden::new(health);
        runtime.spawn(async move {
            loop {
                told.publish();
                warden.look(told.ways());
                tokio::time::sleep(TELL).await;
            }
        });
        let couriers = couriers.into_iter().map(|courier| runtime.spawn(courier.run(stopped.clone())));
        let mut tasks: Vec<_> = couriers.collect();
        tasks.extend(pushers.into_iter().map(|pusher| runtime.spawn(pusher.run(stopped.clone()))));
        if config.index.enabled {
            let builder = Builder::new(&config.journal, (journal.identity(), &board.catalogue), &config.index, metrics);
            let (stopped, handle) = (stopped.clone(), runtime.handle().clone());
            tasks.push(runtime.spawn_blocking(move || index::follow(builder, stopped, &handle)));
        }
        Ok(Self { runtime, tasks, stop, board })
    }

    /// What is told of the sinks.
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Delivers what the journal, closed by now, still holds, for some seconds at the most, and ends.
    pub fn finish(self) {
        let Self { runtime, tasks, stop, board } = self;
        // Without tasks nobody hears it.
        let _ = stop.send(true);
        runtime.block_on(async {
            let all = async {
                for task in tasks {
                    // A courier that failed has left its cursor where it was.
                    let _ = task.await;
                }
            };
            let _ = tokio::time::timeout(DRAIN, all).await;
        });
        board.publish();
        for sink in &board.sinks {
            tracing::info!(sink = sink.name, status = %sink.status(&board.catalogue), "delivery");
        }
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

/// The courier of a sink; a configuration has one kind for each.
fn courier(
    export: &Export,
    (directory, identity): (&Path, &str),
    catalogue: &Arc<Catalogue>,
) -> io::Result<Option<Courier>> {
    let Some((kind, settings)) = export.kinds().into_iter().next() else { return Ok(None) };
    let bookmark = Bookmark::open(directory, &export.name)?;
    let positions = bookmark.load();
    let filter = Filter::new(export);
    let streams = filter.streams().collect();
    let most = (export.batch_events, export.batch_bytes);
    let source = Source::new((directory, identity), catalogue, filter, &positions, most);
    Ok(Some(Courier {
        sink: settings.sink(),
        source: Some((source, Batch::default())),
        dead_letter: DeadLetter::new(bookmark.beside("refused.ndjson"), export.refused_bytes),
        bookmark,
        positions,
        backoff: Backoff::new(Duration::from_secs(export.retry_max_s)),
        timeout: Duration::from_secs(export.timeout_s),
        progress: Progress::new(&export.name, (kind, settings), streams, positions),
        unsaved: None,
        told: None,
    }))
}

/// Counts in the background what earlier runs left for the sinks, for their lag.
fn count_earlier(runtime: &Runtime, board: &Arc<Board>, directory: &Path) {
    if board.sinks.is_empty() {
        return;
    }
    let (board, directory) = (Arc::clone(board), directory.to_owned());
    runtime.spawn_blocking(move || {
        for stream in Stream::ALL {
            let readers = board.sinks.iter().filter(|sink| sink.reads(stream));
            let Some(from) = readers.map(|sink| sink.numbers().positions.get(stream)).min() else { continue };
            if let Err(error) = board.catalogue.count(&directory, stream, from) {
                tracing::warn!(stream = stream.name(), %error, "what waits in the journal cannot be counted");
            }
        }
    });
}
