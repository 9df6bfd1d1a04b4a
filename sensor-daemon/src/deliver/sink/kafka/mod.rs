//! Events to a topic of Kafka.
//!
//! Taken means: all replicas that are in step have it. Its client is librdkafka, a C library that takes OpenSSL for TLS and
//! SCRAM, and GNU's tools to be built; so it is in the program only where it was asked for (feature `kafka`).

#[cfg(feature = "kafka")]
mod producer;

use std::path::PathBuf;

use super::super::connection::{Tls, place};
use super::super::secret;
use super::{Expiry, Kind, Sink};
use crate::language::{Argument, Message};

/// How messages are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// How the sensor shows that it is the user that it says (SASL).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// The password as it is; only TLS hides it.
    Plain,
    /// SCRAM with SHA-256.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// SCRAM with SHA-512.
    #[default]
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

/// A cluster of Kafka.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Hosts and ports of some brokers, by which all others are found: `["kafka1.example:9092"]`.
    pub brokers: Vec<String>,
    /// Topic that events are published to.
    #[serde(default = "topic")]
    pub topic: String,
    /// How messages are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// User, where the cluster wants one with a password (SASL).
    #[serde(default)]
    pub user: Option<String>,
    /// File with the password. Only the file's first line is read; a path that is not absolute is the name of a credential
    /// of systemd.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// How the password is shown.
    #[serde(default)]
    pub mechanism: Mechanism,
    /// Speak TLS, and how. The name in a broker's certificate is its address's: neither `server_name` nor `pins` are for this
    /// sink.
    #[serde(default)]
    pub tls: Option<Tls>,
}

fn topic() -> String {
    "vigia".to_owned()
}

impl Kind for Settings {
    fn problems(&self) -> Vec<(&'static str, Argument)> {
        let mut problems = self.tls.as_ref().map(Tls::problems).unwrap_or_default();
        if cfg!(not(feature = "kafka")) {
            problems.push(("", Message::ExportNoKafka.into()));
        }
        if self.brokers.is_empty() || self.brokers.iter().any(|broker| place(broker).is_none() || broker.contains(','))
        {
            problems.push(("brokers", Message::ExportBrokers.into()));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if self.topic.is_empty() || self.topic.len() > 249 || !self.topic.bytes().all(plain) {
            problems.push(("topic", Message::ExportKafkaTopic.into()));
        }
        problems.extend(secret::problems(None, self.user.as_deref(), self.password_file.as_deref()));
        if self.tls.as_ref().is_some_and(|tls| tls.server_name.is_some()) {
            problems.push(("tls.server_name", Message::ExportNoServerName.into()));
        }
        if self.tls.as_ref().is_some_and(|tls| !tls.pins.is_empty()) {
            problems.push(("tls.pins", Message::ExportNoPins.into()));
        }
        problems
    }

    fn target(&self) -> String {
        format!("{} {}", self.brokers.join(","), self.topic)
    }

    fn expiry(&self) -> Option<Expiry> {
        self.tls.as_ref().map(|tls| tls.expiry.clone())
    }

    #[cfg(feature = "kafka")]
    fn sink(&self) -> Box<dyn Sink> {
        Box::new(producer::Kafka::new(self.clone()))
    }

    #[cfg(not(feature = "kafka"))]
    fn sink(&self) -> Box<dyn Sink> {
        /// What the configuration was refused for.
        struct Absent;
        impl Sink for Absent {
            fn deliver<'a>(&'a mut self, _: &'a [super::Event<'a>]) -> super::Delivery<'a> {
                Box::pin(async { super::Settled::failed(super::Failure::unavailable("built without Kafka")) })
            }
        }
        Box::new(Absent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_told() {
        let keys = |more: &str| -> Vec<_> {
            let settings: Settings = toml::from_str(more).unwrap();
            settings.problems().iter().map(|(key, _)| *key).filter(|key| !key.is_empty()).collect()
        };
        let more = "brokers = [\"a:9092\", \"[::1]:9092\"]\ncompression = \"zstd\"\nmechanism = \"scram-sha-256\"";
        assert_eq!(keys(more), [""; 0]);
        for brokers in ["[]", "[\"a\"]", "[\"a:1\", \"b\"]", "[\"a:1,b:1\"]"] {
            assert_eq!(keys(&format!("brokers = {brokers}")), ["brokers"], "{brokers}");
        }
        assert_eq!(keys("brokers = [\"a:1\"]\ntopic = \"a b\""), ["topic"]);
        let more = "brokers = [\"a:1\"]\nuser = \"u\"\ntls = { key = \"k\", server_name = \"a\", pins = [\"x\"] }";
        assert_eq!(keys(more), ["tls", "tls.pins", "user", "tls.server_name", "tls.pins"]);
    }
}
