//! TOML to validated settings, with diagnostics that say file, line, column and the nearest valid key.
//!
//! **Architecture invariant.** The configuration documents itself: each module owns the struct of its settings, whose doc
//! comments are the reference manual. From the schema that they derive come the check of what a person wrote
//! ([`load`]), the commented defaults of `vigia config default` ([`document::toml`]) and the reference page
//! ([`document::markdown`]).

mod check;
mod dissection;
pub mod document;
mod lists;
pub mod overrides;
pub mod rules;
mod schema;

use std::path::{Path, PathBuf};

use vigia_parsers::packet::DecodeLimits;

pub use dissection::{Dissection, StationSizes};

use crate::diagnostic::{Diagnostic, Text};
use crate::event::EventSettings;
use crate::language::{Argument, Language, Message};

/// The file that is read when no other is named.
pub const DEFAULT_PATH: &str = "/etc/vigia/vigia.toml";

/// Names the configuration file when the command line does not.
pub const ENVIRONMENT: &str = "VIGIA_CONFIG";

/// Every setting of Vigía.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Language of what is shown to a person. Unset: the environment's (`LC_ALL`, `LC_MESSAGES`, `LANG`).
    pub language: Option<Language>,
    /// Who this sensor is.
    pub sensor: Sensor,
    /// Capture: from which interfaces, with how much memory.
    pub capture: crate::capture::Settings,
    /// Decoding of packet headers.
    pub decode: Decode,
    /// Flows: how many, for how long, and what is kept of them.
    pub flow: crate::flow::Settings,
    /// Dissectors: what they keep of a flow.
    pub dissection: Dissection,
    /// Rules: which files, and what their variables stand for.
    pub rules: rules::Settings,
    /// Which events are written, and what they hold.
    pub events: EventSettings,
    /// The durable log of events.
    pub journal: crate::journal::JournalSettings,
    /// Evidence: packets of alerts. They stand in the folder `evidence` of the journal, and have bounds of their own.
    pub evidence: crate::evidence::Settings,
    /// An index of the journal's alerts.
    pub index: crate::index::Settings,
    /// Sinks that events are delivered to.
    pub export: Vec<crate::deliver::Export>,
    /// Where metrics are served, and sent to.
    pub metrics: crate::metrics::MetricsSettings,
    /// What the sensor says about its own work, on standard error.
    pub log: Log,
    /// The Unix socket through which `vigia status` and `vigia reload` speak to the running sensor.
    pub control: crate::control::Settings,
}

/// Who this sensor is.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sensor {
    /// Name of the sensor, the `host` of every event. Unset: events have no `host`.
    pub name: Option<String>,
}

/// What is done with wrong checksums.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    serde::Deserialize,
    serde::Serialize,
    schemars::JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Checksums {
    /// They are counted. Captured on a sending host, checksums are often not yet filled in.
    #[default]
    Ignore,
    /// Packets that carry them are dropped and counted; rules see no more than their headers. Of UDP they are counted.
    Check,
}

/// Decoding of packet headers.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Decode {
    /// Headers of a packet that are walked at the most, tunnels included; beyond them it is dropped with a cause.
    #[schemars(range(min = 4))]
    pub max_layers: u8,
    /// What is done with wrong checksums.
    pub checksums: Checksums,
}

impl Default for Decode {
    fn default() -> Self {
        Self { max_layers: DecodeLimits::default().layers, checksums: Checksums::default() }
    }
}

impl Decode {
    /// As the decoder takes them.
    pub const fn limits(&self) -> DecodeLimits {
        DecodeLimits { layers: self.max_layers, tunnels: u8::MAX }
    }
}

/// How much the log says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What stops a part of the sensor.
    Error,
    /// What a person should look at.
    Warn,
    /// What happens rarely and by design: start, reload, stop.
    #[default]
    Info,
    /// What helps to find a fault.
    Debug,
    /// Everything.
    Trace,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for a person.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What the sensor says about its own work, on standard error.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How much it says. `-v` on the command line adds to it.
    pub level: Level,
    /// How it is written.
    pub format: LogFormat,
}

/// Something that the types allow and the sensor does not: which key, and what is wrong with it.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The key, with dots and indexes: `capture.interfaces[1].name`.
    pub key: String,
    /// What is wrong, as the end of a sentence.
    pub reason: Argument,
}

impl Config {
    /// Settings of events, with the sensor's name.
    pub fn event_settings(&self) -> EventSettings {
        EventSettings { sensor_name: self.sensor.name.clone().unwrap_or_default(), ..self.events.clone() }
    }

    /// What the types allow and the sensor does not.
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Err(error) = self.capture.validate() {
            problems.push(Problem { key: format!("capture.{}", error.key), reason: error.what.into() });
        }
        problems.extend(self.rules.problems());
        problems.extend(crate::deliver::problems(&self.export, &self.metrics.push));
        let journal = &self.journal;
        let least = journal.segment_bytes.saturating_mul(2).saturating_add(journal.reserve_bytes);
        if journal.total_bytes < least {
            let reason = Message::JournalTooSmall.with([least.to_string().into()]);
            problems.push(Problem { key: "journal.total_bytes".to_owned(), reason: reason.into() });
        }
        let least = 2 * u64::from(self.evidence.file_bytes);
        if self.evidence.total_bytes < least {
            let reason = Message::EvidenceTooSmall.with([least.to_string().into()]);
            problems.push(Problem { key: "evidence.total_bytes".to_owned(), reason: reason.into() });
        }
        problems
    }
}

/// A configuration and where it came from.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The settings in force.
    pub config: Config,
    /// The file; none when everything is at its default.
    pub path: Option<PathBuf>,
}

/// Reads the configuration: the file named, else the one that [`ENVIRONMENT`] names, else [`DEFAULT_PATH`] if it exists,
/// else the defaults. Errors are all that is wrong in the file, in its order.
pub fn load(named: Option<&Path>) -> Result<Loaded, Vec<Diagnostic>> {
    let environment = std::env::var_os(ENVIRONMENT).filter(|value| !value.is_empty()).map(PathBuf::from);
    let path = named.map(Path::to_owned).or(environment);
    let path = path.or_else(|| Some(PathBuf::from(DEFAULT_PATH)).filter(|path| path.exists()));
    let Some(path) = path else { return Ok(Loaded::default()) };
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let reason = format!("{}: {error}", path.display());
        vec![Diagnostic::error("config-unreadable", Message::ConfigUnreadable.with([reason.into()]))]
    })?;
    let text = Text::new(path.display().to_string(), text);
    let mut config = parse(&text)?;
    config.rules.anchor(path.parent().unwrap_or(Path::new("")), text);
    Ok(Loaded { config, path: Some(path) })
}

/// Checks and reads a configuration text. Errors are all that is wrong in it, in its order.
pub fn parse(text: &std::sync::Arc<Text>) -> Result<Config, Vec<Diagnostic>> {
    check::parse(text)
}

#[cfg(test)]
mod tests;
