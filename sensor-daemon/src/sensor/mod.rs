//! The sensor: sources, workers, rules, journal and services put together, for capture files ([`replay`]) and for live
//! interfaces ([`run`]), and for trying rules on captures ([`trial()`]).

mod affinity;
mod evidence;
mod lans;
mod live;
mod replay;
mod rules;
mod service;
mod sets;
mod trial;
pub(crate) mod watch;

use std::sync::Arc;

use vigia_parsers::registry::PROTOCOLS;

use crate::config::{Checksums, Config};
use crate::event::{EvidenceOutput, HealthOutput, Output};
use crate::evidence::Recorder;
use crate::inspection::Names;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::pipeline::{Parts, Share, Worker};
use crate::shunting::Shunting;
use crate::tagging::Tags;

pub use live::run;
pub use replay::replay;
use rules::RuleStore;
pub use trial::{Trial, trial};

/// What workers of one sensor share.
struct Bench<'a> {
    config: &'a Config,
    journal: &'a Journal,
    metrics: &'a Arc<Metrics>,
    rules: &'a RuleStore,
    tags: Tags,
}

/// What tells workers of one sensor apart.
struct Place {
    index: usize,
    share: Share,
    names: Names,
    histogram: bool,
    shunting: Option<Shunting>,
    evidence: Option<Recorder>,
}

impl Bench<'_> {
    /// Events of the threads beside the workers.
    fn health(&self) -> HealthOutput {
        HealthOutput::new(&self.config.event_settings(), Arc::clone(self.metrics.shared()), self.journal.submitter(0))
    }

    /// Events about evidence.
    fn evidence(&self) -> EvidenceOutput {
        EvidenceOutput::new(&self.config.event_settings(), Arc::clone(self.metrics.shared()), self.journal.submitter(0))
    }

    fn worker(&self, place: Place) -> Worker {
        let Place { index, share, names, histogram, shunting, evidence } = place;
        let rules = self.rules.current();
        let mut counters = names.interfaces.iter().map(|interface| self.metrics.worker(index, interface));
        let first = counters.next().unwrap_or_else(|| self.metrics.worker(index, ""));
        let counters: Vec<_> = counters.collect();
        let settings = self.config.event_settings();
        let mut output = Output::new(&settings, first, self.journal.submitter(index), Arc::clone(&rules.engine));
        output.set_engine(Arc::clone(&rules.engine), rules.ruleset.clone());
        output.evidence = evidence;
        Worker::new(Parts {
            share,
            flow: self.config.flow.clone(),
            decode: self.config.decode.limits(),
            dissection: self.config.dissection.clone(),
            verify_checksums: self.config.decode.checksums == Checksums::Check,
            protocols: PROTOCOLS,
            rules: rules.as_ref().clone(),
            names,
            counters,
            output,
            tags: self.tags.clone(),
            histogram,
            shunting,
        })
    }
}
