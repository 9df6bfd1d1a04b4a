//! Events over HTTP: Elasticsearch and OpenSearch, Splunk, OpenTelemetry, or whoever takes lines of JSON.
//!
//! Taken means what each calls so: an item of a bulk request with a good status (or that is there already, by its id), an
//! acknowledged request of Splunk, a good status of the whole request otherwise. What a server refuses for its contents
//! (400, 413, 422) is looked for until the event at fault is found; every other bad status is a fault of the way, and the
//! events are offered again. OTLP has rules of its own ([`otlp`]).

mod elasticsearch;
mod otlp;
mod splunk;

use std::path::PathBuf;

use super::super::connection::Tls;
use super::super::http::{Answer, Client, Compression, Request, Server};
use super::{Delivery, Event, Expiry, Failure, Kind, Settled, Sink};
use crate::language::Argument;

/// Content type of lines of JSON.
const NDJSON: &str = "application/x-ndjson";

/// What the server understands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Lines of JSON, to the URL as it stands.
    #[default]
    Ndjson,
    /// Elasticsearch or OpenSearch: `_bulk` below the URL.
    Elasticsearch,
    /// Splunk's HTTP Event Collector: `services/collector` below the URL.
    Splunk,
    /// OpenTelemetry: logs by OTLP in protobuf, `v1/logs` below the URL.
    Otlp,
}

impl Format {
    /// The scheme by which a token is shown.
    const fn scheme(self) -> &'static str {
        match self {
            Self::Ndjson | Self::Otlp => "Bearer",
            Self::Elasticsearch => "ApiKey",
            Self::Splunk => "Splunk",
        }
    }
}

/// A server that takes events over HTTP/1.1.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// URL of the server, `http` or `https`, without user and password.
    pub url: String,
    /// What the server understands.
    #[serde(default)]
    pub format: Format,
    /// Index or data stream of Elasticsearch (unset: `vigia`), or index of Splunk (unset: the one of its token).
    #[serde(default)]
    pub index: Option<String>,
    /// How requests are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// File with a token: of a bearer, an API key of Elasticsearch (as it is encoded), a token of Splunk. Only the file's first
    /// line is read; a path that is not absolute is the name of a credential of systemd.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// User, where the server wants one with a password.
    #[serde(default)]
    pub user: Option<String>,
    /// File with the password, as `token_file`.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// How `https` is spoken.
    #[serde(default)]
    pub tls: Tls,
}

impl Settings {
    fn server(&self) -> Server {
        Server {
            url: self.url.clone(),
            scheme: self.format.scheme(),
            token_file: self.token_file.clone(),
            user: self.user.clone(),
            password_file: self.password_file.clone(),
            tls: self.tls.clone(),
        }
    }
}

impl Kind for Settings {
    fn problems(&self) -> Vec<(&'static str, Argument)> {
        self.server().problems()
    }

    fn target(&self) -> String {
        self.url.clone()
    }

    fn expiry(&self) -> Option<Expiry> {
        Some(self.tls.expiry.clone())
    }

    fn sink(&self) -> Box<dyn Sink> {
        let poster = Poster { client: Client::new(self.server()), compression: self.compression };
        match self.format {
            Format::Ndjson => Box::new(Lines(poster)),
            Format::Elasticsearch => Box::new(elasticsearch::Bulk::new(poster, self)),
            Format::Splunk => Box::new(splunk::Collector::new(poster, self)),
            Format::Otlp => Box::new(otlp::Logs::new(poster)),
        }
    }
}

/// Posts events to one server, compressed as the settings say.
struct Poster {
    client: Client,
    compression: Compression,
}

impl Poster {
    /// Posts to a path below that of the URL, or to the URL as it stands, and waits for the answer, whatever its status.
    async fn post(
        &mut self,
        below: Option<&str>,
        kind: &'static str,
        headers: &[(&'static str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer, Failure> {
        let place = self.client.place();
        let path = below.map_or_else(|| place.path.clone(), |path| place.below(path));
        let body = tokio::task::block_in_place(|| self.compression.apply(body))?;
        self.client.post(Request { path, kind, headers, body }).await
    }
}

/// Lines of JSON to whoever takes them.
struct Lines(Poster);

impl Sink for Lines {
    fn deliver<'a>(&'a mut self, events: &'a [Event<'a>]) -> Delivery<'a> {
        Box::pin(async move { self.post(events).await.into() })
    }
}

impl Lines {
    async fn post(&mut self, events: &[Event<'_>]) -> Result<Settled, Failure> {
        let mut body = Vec::new();
        for event in events {
            body.extend_from_slice(event.json);
            body.push(b'\n');
        }
        let answer = self.0.post(None, NDJSON, &[], body).await?;
        answer.judge().map(|()| Settled::all(events))
    }
}

impl Answer {
    /// Is it a good one?
    fn judge(&self) -> Result<(), Failure> {
        match self.status {
            200..=299 => Ok(()),
            400 | 413 | 422 => Err(Failure::Refused { answer: self.text() }),
            _ => Err(self.unavailable()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_status_about_the_contents_lays_the_fault_to_an_event() {
        let judged = |status| Answer { status, retry_after: None, body: b"why".to_vec() }.judge();
        assert!(judged(204).is_ok());
        for status in [400, 413, 422] {
            assert!(
                matches!(judged(status), Err(Failure::Refused { answer }) if answer == format!("HTTP {status} why"))
            );
        }
        for status in [302, 401, 403, 404, 429, 500, 503] {
            assert!(matches!(judged(status), Err(Failure::Unavailable { .. })), "{status}");
        }
    }
}
