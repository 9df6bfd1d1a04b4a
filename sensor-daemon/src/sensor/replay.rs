//! Capture files processed as if they were live, each a session of its own.
//!
//! Every worker reads every file and takes its share of the flows. That costs each of them the decoding of all packets,
//! and gives them the same clock and the same packet numbers: so the events are the same with any number of workers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use vigia_parsers::Timestamp;
use vigia_parsers::packet::Captured;

use super::sets::{self, SetFiles};
use super::{Bench, Place, RuleStore, evidence};
use crate::capture::file::FileSource;
use crate::capture::{FileSettings, Progress, Source, SourceError, directory};
use crate::command::{Context, Outcome, Replay, print, report, report_faults, summary};
use crate::config::Loaded;
use crate::evidence::marks::Marks;
use crate::histogram::Histogram;
use crate::inspection::Names;
use crate::journal::Journal;
use crate::language::Message;
use crate::metrics::{Counter, Metrics};
use crate::pipeline::{Share, Worker};
use crate::tagging::{Tags, ties_flows};

/// Processes capture files. `loaded` has the command line's settings over it already.
pub fn replay(arguments: &Replay, loaded: Loaded, context: Context) -> anyhow::Result<Outcome> {
    let mut config = loaded.config;
    let captures = directory::expand(&arguments.captures).map_err(|error| error.told(context.language))?;
    let output = arguments.output.clone().unwrap_or_else(|| PathBuf::from("."));
    std::fs::create_dir_all(&output).with_context(|| output.display().to_string())?;
    sets::settle(&mut config, &output);
    let metrics = Metrics::new();
    let (rules, found) = RuleStore::load(&config.rules, &metrics);
    report(&found.diagnostics, context);
    if arguments.rules.is_any_absent(&found.diagnostics) {
        anyhow::bail!(Message::RulesAbsent.text(context.language));
    }
    if found.fatal {
        anyhow::bail!(Message::RulesStrict.text(context.language));
    }
    // One flow's packets may be recorded for what another says: then whoever sees one sees all.
    let workers = if ties_flows(&rules.current().engine) { 1 } else { usize::from(arguments.workers) };
    let events = output.join("eve.json");
    if let Some(folder) = arguments.evidence.as_deref().filter(|folder| evidence::is_used(folder)) {
        anyhow::bail!(Message::EvidenceFolderUsed.with([folder.display().to_string().into()]).text(context.language));
    }
    let journal = Journal::single_file(&events, workers, &metrics)?;
    let files = SetFiles::new(journal.gate(), &metrics, context.language);
    let tags = Tags::new(metrics.shared());
    let bench = Bench { config: &config, journal: &journal, metrics: &metrics, rules: &rules, tags };
    let settings = &config.capture.file;
    let reading = Reading { captures: &captures, settings, ahead: reads_ahead(workers), metrics: &metrics };
    let worker = |index| {
        bench.worker(Place {
            index,
            share: Share::new(index as u32, workers as u32),
            names: Names { interfaces: vec!["capture".to_owned()], capture: String::new() },
            histogram: arguments.fields.is_some(),
            shunting: None,
            evidence: None,
        })
    };
    let bar = progress_bar(arguments, &captures);
    let (faults, histogram) = thread::scope(|scope| {
        let start = |index| {
            let (worker, reading) = (worker(index), &reading);
            scope.spawn(move || reading.read(worker, None, None))
        };
        let others: Vec<_> = (1..workers).map(start).collect();
        let (faults, mut first) = reading.read(worker(0), Some(&bar), None);
        let others = others
            .into_iter()
            .map(|other| other.join().map_err(|_| anyhow::anyhow!(Message::WorkerFailed.text(context.language))));
        let others: Vec<_> = others.collect::<Result<_, _>>()?;
        // Only now the numbers are those of the whole sensor.
        first.report_stats(&metrics);
        let mut histogram = first.into_histogram();
        for (_, other) in others {
            if let (Some(ours), Some(theirs)) = (&mut histogram, other.into_histogram()) {
                ours.merge(theirs);
            }
        }
        anyhow::Ok((faults, histogram))
    })?;
    bar.finish_and_clear();
    journal.close()?;
    files.save(&rules.current(), config.rules.saved.as_deref());
    if let Some(folder) = &arguments.evidence {
        evidence::collect(&config, &reading, (&events, folder)).context("collecting evidence")?;
    }
    if let (Some(path), Some(histogram)) = (&arguments.fields, histogram) {
        write_fields(path, &histogram)?;
    }
    report_faults(&faults, context);
    conclude(arguments, &events, &metrics, &faults, context)
}

/// What every worker reads.
pub(super) struct Reading<'a> {
    pub(super) captures: &'a [PathBuf],
    pub(super) settings: &'a FileSettings,
    /// Whether a thread of its own reads the file for each worker.
    pub(super) ahead: bool,
    pub(super) metrics: &'a Arc<Metrics>,
}

impl Reading<'_> {
    /// One worker reads all captures, each to its end or fault. Gives the faults, and the worker back.
    /// Alerts that are known already are told at their packets.
    pub(super) fn read(
        &self,
        mut worker: Worker,
        bar: Option<&ProgressBar>,
        mut marks: Option<&mut Marks>,
    ) -> (Vec<SourceError>, Worker) {
        let mut faults = Vec::new();
        let mut numbered = 0;
        for capture in self.captures {
            worker.use_capture(&capture.display().to_string());
            if let Some(marks) = &mut marks {
                marks.begin_capture(&capture.display().to_string());
            }
            match FileSource::open(capture, self.settings) {
                Ok(source) => {
                    let mut source = if self.ahead { source.read_ahead() } else { source };
                    faults.extend(self.one(&mut worker, &mut source, &mut numbered, bar, marks.as_deref_mut()));
                }
                Err(fault) => faults.push(fault),
            }
        }
        (faults, worker)
    }

    /// One capture. Packets are numbered through all captures, so that the workers' events can be put in order.
    fn one(
        &self,
        worker: &mut Worker,
        source: &mut FileSource,
        numbered: &mut u64,
        bar: Option<&ProgressBar>,
        mut marks: Option<&mut Marks>,
    ) -> Option<SourceError> {
        let before = *numbered;
        let start = bar.map_or(0, ProgressBar::position);
        let outcome = loop {
            let outcome = source.batch(&mut |captured, interface| {
                *numbered += 1;
                worker.frame(&Captured { number: *numbered, ..*captured }, interface);
                if let Some(marks) = &mut marks {
                    tell(marks, worker, *numbered, captured.timestamp);
                }
            });
            match outcome {
                Ok(Progress::Frames(_) | Progress::Idle) => worker.settle(source, false),
                Ok(Progress::End) => break None,
                Err(fault) => break Some(fault),
            }
            if let Some(bar) = bar {
                bar.set_position(start + source.position().0);
            }
        };
        if let Some(marks) = marks {
            tell(marks, worker, *numbered, Timestamp(u64::MAX));
        }
        worker.finish(source);
        if let Some(bar) = bar {
            bar.set_position(start + source.position().1);
            if *numbered == before && outcome.is_some() {
                self.metrics.shared().add(Counter::CaptureErrors, 1);
            }
        }
        outcome
    }
}

/// Tells a worker the alerts up to a packet and a time.
fn tell(marks: &mut Marks, worker: &mut Worker, number: u64, time: Timestamp) {
    loop {
        match marks.due(number, time) {
            Ok(Some(mark)) => worker.mark(&mark),
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "an alert cannot be read again: it has no evidence");
            }
        }
    }
}

/// Whether so many workers have their file read ahead: where every thread finds a processor of its own. Where not, the
/// threads that read take from those that work what they save them, and handing over costs besides.
pub(super) fn reads_ahead(workers: usize) -> bool {
    thread::available_parallelism().is_ok_and(|processors| processors.get() >= 2 * workers)
}

/// A bar on a terminal, nothing elsewhere.
fn progress_bar(arguments: &Replay, captures: &[PathBuf]) -> ProgressBar {
    if arguments.no_progress {
        return ProgressBar::hidden();
    }
    let bytes = captures.iter().filter_map(|capture| std::fs::metadata(capture).ok()).map(|found| found.len()).sum();
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    let bar = ProgressBar::new(bytes);
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

fn write_fields(path: &Path, histogram: &Histogram) -> anyhow::Result<()> {
    let text = serde_json::to_string(&histogram.to_json())?;
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

/// The summary, where the events are, and how the replay ended.
fn conclude(
    arguments: &Replay,
    events: &Path,
    metrics: &Metrics,
    faults: &[SourceError],
    context: Context,
) -> anyhow::Result<Outcome> {
    let mut snapshot = serde_json::to_value(metrics.snapshot())?;
    snapshot["faults"] = faults.iter().map(ToString::to_string).collect();
    if arguments.json {
        print(&format!("{snapshot:#}\n"))?;
    } else {
        let sum = summary::render(&snapshot, context.language, true);
        let events = Message::EventsIn.with([events.display().to_string().into()]);
        print(&format!("{sum}\n{}\n", events.text(context.language)))?;
    }
    anyhow::ensure!(summary::balances(&snapshot, true), Message::SumsDoNotBalance.text(context.language));
    Ok(if faults.is_empty() { Outcome::Done } else { Outcome::Damaged })
}
