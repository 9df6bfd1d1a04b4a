//! Live interfaces, watched until told to stop.
//!
//! Each worker is a thread of its own with a source of its own. Beside them a small tokio runtime serves metrics and the
//! control socket and waits for signals; nothing of it touches a packet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{Instant as Later, interval, interval_at};
use vigia_parsers::Timestamp;

use super::affinity::pin;
use super::service::{Manager, Rounds, Watchdog};
use super::sets::{self, SAVE_EVERY, SetFiles};
use super::{Bench, Place, RuleStore, evidence};
use crate::allocator;
use crate::capture::TapSettings;
use crate::capture::watch::Watch;
use crate::capture::{self, Progress, Source};
use crate::command::{Context, Outcome, Run, report, tell};
use crate::config::{self, Loaded};
use crate::control::{self, Hooks};
use crate::deliver::{Board, Exporter};
use crate::diagnostic::{Diagnostic, render_all};
use crate::inspection::Names;
use crate::journal::Journal;
use crate::language::{Language, Message};
use crate::metrics::{self, Counter, Metrics};
use crate::pipeline::{Share, Worker};
use crate::priority::Rank;
use crate::tagging::Tags;

/// Watches live interfaces until told to stop. `loaded` has the command line's settings over it already.
pub fn run(arguments: &Run, mut loaded: Loaded, context: Context) -> anyhow::Result<Outcome> {
    // Before a journal is made for nothing.
    if loaded.config.capture.interfaces.is_empty() {
        anyhow::bail!(Message::NoInterface.text(context.language));
    }
    settle(&mut loaded);
    let metrics = Metrics::new();
    let (rules, found) = RuleStore::load(&loaded.config.rules, &metrics);
    report(&found.diagnostics, context);
    if arguments.rules.is_any_absent(&found.diagnostics) {
        anyhow::bail!(Message::RulesAbsent.text(context.language));
    }
    if found.fatal {
        anyhow::bail!(Message::RulesStrict.text(context.language));
    }
    tracing::info!(loaded = found.loaded, failed = found.failed, "rules");
    allocator::trim();
    let (journal, recovery) = Journal::open(&loaded.config.journal, &metrics)?;
    tracing::info!(directory = %loaded.config.journal.directory.display(), ?recovery, "journal");
    let exporter = Exporter::start(&loaded.config, &journal, &metrics).context("starting the delivery of events")?;
    let manager = Manager::of_environment();
    let capture = within(&loaded.config.capture, &manager);
    let live = capture::open_live(&capture, &loaded.config.flow.duplicates);
    let live = live.map_err(|error| error.told(context.language))?;
    let capture::chain::Live { mut sources, watch } = live;
    for way in watch.chosen() {
        tell(&format!("{}\n", way.sentence().text(context.language)));
    }
    let sensor = Arc::new(Sensor {
        sets: SetFiles::new(journal.gate(), &metrics, context.language),
        metrics,
        rules,
        arguments: arguments.clone(),
        loaded: Mutex::new(loaded.clone()),
        language: context.language,
        watch,
        sinks: Arc::clone(exporter.board()),
        rounds: Rounds::of(sources.len()),
        manager,
    });
    let stop = AtomicBool::new(false);
    let bench = Bench {
        config: &loaded.config,
        journal: &journal,
        metrics: &sensor.metrics,
        rules: &sensor.rules,
        tags: Tags::new(sensor.metrics.shared()),
    };
    let mut evidence = evidence::start(&bench, &mut sources);
    let count = sources.len();
    let ended = Notify::new();
    let outcome = thread::scope(|scope| {
        let workers: Vec<_> = sources
            .into_iter()
            .enumerate()
            .map(|(index, mut source)| {
                let interfaces = source.interfaces().into_iter().map(|interface| interface.name).collect();
                let worker = bench.worker(Place {
                    index,
                    share: Share::ALL,
                    names: Names { interfaces, capture: String::new() },
                    histogram: false,
                    shunting: sensor.watch.shunting(&loaded.config.capture.tap),
                    evidence: evidence.as_mut().and_then(|evidence| evidence.recorder(index)),
                });
                let block_timeout = Duration::from_millis(loaded.config.capture.block_timeout_ms.into());
                let shift = Shift {
                    sensor: &sensor,
                    stop: &stop,
                    index,
                    stats: stats_interval(&loaded),
                    patience: DRAIN_AT_MOST + 2 * block_timeout,
                };
                let builder = thread::Builder::new().name(format!("worker-{index}"));
                let ending = Ending(&ended);
                builder.spawn_scoped(scope, move || {
                    let _ending = ending;
                    pin(index, count);
                    Rank::Prompt.take();
                    shift.run(worker, source.as_mut())
                })
            })
            .collect::<Result<_, _>>()
            .context("starting a worker")?;
        sensor.metrics.shared().set(Counter::Workers, workers.len() as u64);
        let health = bench.health();
        let beside = thread::Builder::new().name("interfaces".to_owned()).spawn_scoped(scope, {
            let (sensor, stop) = (&sensor, &stop);
            let lan_silence_s = loaded.config.capture.lan_silence_s;
            move || super::watch::run(&sensor.watch, &sensor.metrics, health, lan_silence_s, stop)
        });
        beside.context("starting the thread that watches the interfaces")?;
        let served = serve(&sensor, &loaded, &ended);
        sensor.manager.stopping();
        sensor.watch.hold();
        stop.store(true, Ordering::Relaxed);
        let workers = workers
            .into_iter()
            .map(|worker| worker.join().map_err(|_| anyhow::anyhow!(Message::WorkerFailed.text(context.language))));
        let mut workers: Vec<Worker> = workers.collect::<Result<_, _>>()?;
        for observation in super::watch::publish(&sensor.watch, &sensor.metrics) {
            if let Some(ledger) = &observation.ledger {
                tracing::info!(interface = observation.chosen.interface, ?ledger, "where the frames went");
            }
        }
        // Once all have counted what they had left: the sums of the last report are final.
        if let Some(first) = workers.first_mut() {
            first.report_stats(&sensor.metrics);
        }
        served
    });
    if let Some(evidence) = evidence {
        evidence.finish();
    }
    let closed = journal.close();
    sensor.save_sets();
    closed?;
    exporter.finish();
    tracing::info!("stopped");
    outcome.map(|()| Outcome::Done)
}

/// Names the folder of saved sets.
fn settle(loaded: &mut Loaded) {
    let journal = loaded.config.journal.directory.clone();
    sets::settle(&mut loaded.config, &journal);
}

/// The settings of capture, with waits for packets that end before the service manager would take a quiet interface for a worker
/// that hangs.
fn within(capture: &capture::Settings, manager: &Manager) -> capture::Settings {
    let longest = manager.pulse().map_or(u32::MAX, |pulse| u32::try_from(pulse.as_millis()).unwrap_or(u32::MAX).max(1));
    capture::Settings { poll_timeout_ms: capture.poll_timeout_ms.min(longest), ..capture.clone() }
}

fn stats_interval(loaded: &Loaded) -> Duration {
    Duration::from_secs(loaded.config.events.stats_interval_s.max(1))
}

/// What the services beside the workers need.
struct Sensor {
    sets: SetFiles,
    metrics: Arc<Metrics>,
    rules: RuleStore,
    arguments: Run,
    loaded: Mutex<Loaded>,
    language: Language,
    watch: Watch,
    sinks: Arc<Board>,
    rounds: Rounds,
    manager: Manager,
}

impl Sensor {
    /// What the sensor does, in a line.
    fn tell_ready(&self) {
        let interfaces: Vec<_> = self.watch.chosen().iter().map(|way| way.interface.as_str()).collect();
        let rules = self.metrics.ruleset().loaded.to_string();
        let sentence = Message::Watching.with([interfaces.join(", ").into(), rules.into()]);
        self.manager.ready(&sentence.text(self.language));
    }

    fn status(&self) -> Value {
        // Before the snapshot: it has what was published then.
        let interfaces = super::watch::status(&self.watch, &self.metrics);
        let exports = self.sinks.status();
        let mut status = serde_json::to_value(self.metrics.snapshot()).unwrap_or(Value::Null);
        status["interfaces"] = interfaces;
        status["exports"] = exports;
        status
    }

    /// Writes the sets that rules have changed.
    fn save_sets(&self) {
        let current = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        self.save_sets_of(&current);
    }

    fn save_sets_of(&self, current: &Loaded) {
        self.sets.save(&self.rules.current(), current.config.rules.saved.as_deref());
    }

    /// What a reload is going to take, in bytes of memory.
    fn foresee(&self) -> Value {
        let current = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = self.rules.foresee(&current.config.rules, &self.metrics);
        json!({ "expected_bytes": expected, "resident_bytes": metrics::resident_memory() })
    }

    /// Loads configuration and rules again; what is at fault does not take the place of what works.
    fn reload(&self) -> Result<Value, String> {
        let mut current = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        self.manager.reloading();
        let outcome = self.exchange(&mut current);
        self.tell_ready();
        outcome
    }

    fn exchange(&self, current: &mut Loaded) -> Result<Value, String> {
        let failed = |counter, diagnostics: Vec<Diagnostic>| {
            self.metrics.shared().add(counter, 1);
            render_all(&diagnostics, self.language, false, usize::MAX)
        };
        let loaded = config::load(current.path.as_deref())
            .map_err(|diagnostics| failed(Counter::ConfigReloadsFailed, diagnostics))?;
        let mut loaded = self.arguments.apply(loaded);
        settle(&mut loaded);
        // The new rules go on with the sets as they are now.
        self.save_sets_of(current);
        let report = self
            .rules
            .reload(&loaded.config.rules, &self.metrics)
            .map_err(|diagnostics| failed(Counter::ConfigReloadsFailed, diagnostics))?;
        // Workers, rings and the journal are made at the start; rules, and what the kernel drops, are what a running sensor
        // can exchange.
        let mut lasting = [&*current, &loaded].map(|loaded| loaded.config.clone());
        for config in &mut lasting {
            config.rules = Default::default();
            let TapSettings { shunt_encrypted, shunt_bulk_bytes, shunt_flows, .. } = config.capture.tap;
            config.capture.tap =
                TapSettings { shunt_encrypted, shunt_bulk_bytes, shunt_flows, ..TapSettings::default() };
        }
        let restart = lasting[0] != lasting[1];
        // The duplicates are those of the workers, which stay.
        self.watch.configure(&loaded.config.capture, &current.config.flow.duplicates).map_err(|error| {
            self.metrics.shared().add(Counter::ConfigReloadsFailed, 1);
            error.to_string()
        })?;
        self.metrics.shared().add(Counter::ConfigReloads, 1);
        *current = loaded;
        let ruleset = self.metrics.ruleset();
        Ok(json!({
            "generation": ruleset.generation,
            "hash": ruleset.hash,
            "loaded": report.loaded,
            "needs_restart": restart,
        }))
    }
}

/// Stands in for the pause between two looks at the workers where nobody wants to know of them.
const UNWATCHED: Duration = Duration::from_secs(3600);

/// Time the workers have to process what waits in their rings when the sensor is stopped, beyond the time in which the
/// kernel hands it over: two timeouts of a block.
const DRAIN_AT_MOST: Duration = Duration::from_secs(5);

/// One worker's loop.
struct Shift<'a> {
    sensor: &'a Sensor,
    stop: &'a AtomicBool,
    /// The worker's number. The first one reports for the whole sensor.
    index: usize,
    stats: Duration,
    /// Time to process what waits when the sensor is stopped.
    patience: Duration,
}

impl Shift<'_> {
    fn run(&self, mut worker: Worker, source: &mut dyn Source) -> Worker {
        let mut reported = Instant::now();
        let mut stopped = None;
        // What the kernel took before the stop is still processed.
        while stopped.is_none_or(|since: Instant| since.elapsed() < self.patience) {
            if stopped.is_none() && self.stop.load(Ordering::Relaxed) {
                source.close();
                stopped = Some(Instant::now());
            }
            if let Some(rules) = self.sensor.rules.newer_than(worker.generation()) {
                worker.use_rules(&rules);
            }
            match source.batch(&mut |captured, interface| worker.frame(captured, interface)) {
                Ok(Progress::Frames(_)) => worker.settle(source, false),
                Ok(Progress::Idle) => worker.idle(source, clock()),
                Ok(Progress::End) => break,
                Err(fault) => {
                    self.sensor.metrics.shared().add(Counter::CaptureErrors, 1);
                    tracing::error!("{fault}");
                }
            }
            self.sensor.rounds.count(self.index);
            if self.index == 0 && reported.elapsed() >= self.stats {
                reported = Instant::now();
                worker.report_stats(&self.sensor.metrics);
            }
        }
        worker.finish(source);
        worker
    }
}

/// The capturing host's clock, which stamps live packets too. A little behind, since packets that were stamped earlier
/// may still be on their way.
fn clock() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(now.as_secs().saturating_sub(1), now.subsec_nanos())
}

/// Tells that a worker's thread is over, by whichever way.
struct Ending<'a>(&'a Notify);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Serves metrics and the control socket until a signal says stop, or a worker ends, without which the sensor would be
/// blind on its share of the traffic: then the service manager is to start it anew.
fn serve(sensor: &Arc<Sensor>, loaded: &Loaded, ended: &Notify) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let settings = &loaded.config.metrics;
        let metrics = metrics::serve(settings, Arc::clone(&sensor.metrics));
        let metrics = metrics
            .await
            .with_context(|| Message::MetricsOn.with([settings.listen.to_string().into()]).text(sensor.language))?;
        let socket = &loaded.config.control;
        let control = control::Server::bind(socket).with_context(|| socket.socket.display().to_string())?;
        let [status, probes, foresee, reload] = std::array::from_fn(|_| Arc::clone(sensor));
        let hooks = Hooks {
            status: Box::new(move || status.status()),
            probes: Box::new(move || json!(probes.watch.inventory())),
            foresee: Box::new(move || foresee.foresee()),
            reload: Box::new(move || reload.reload()),
        };
        let control = tokio::spawn(control.serve(Arc::new(hooks)));
        let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut hangup = signal(SignalKind::hangup())?;
        tracing::info!(metrics = ?metrics.as_ref().map(metrics::Server::address), "watching");
        sensor.tell_ready();
        let pulse = sensor.manager.pulse();
        let (mut pulses, mut watchdog) = (interval(pulse.unwrap_or(UNWATCHED)), Watchdog::of(sensor.rounds.workers()));
        let mut saves = interval_at(Later::now() + SAVE_EVERY, SAVE_EVERY);
        loop {
            tokio::select! {
                _ = saves.tick() => {
                    let sensor = Arc::clone(sensor);
                    tokio::task::spawn_blocking(move || sensor.save_sets());
                }
                _ = pulses.tick(), if pulse.is_some() => if watchdog.all_moved(&sensor.rounds) {
                    sensor.manager.alive();
                },
                _ = term.recv() => break,
                _ = interrupt.recv() => break,
                () = ended.notified() => anyhow::bail!(Message::WorkerFailed.text(sensor.language)),
                _ = hangup.recv() => {
                    let sensor = Arc::clone(sensor);
                    tokio::task::spawn_blocking(move || match sensor.reload() {
                        Ok(report) => tracing::info!(%report, "reloaded"),
                        Err(reason) => tracing::error!("not reloaded, the old rules and settings stay:\n{reason}"),
                    });
                }
            }
        }
        control.abort();
        let _ = control.await;
        Ok(())
    })
}
