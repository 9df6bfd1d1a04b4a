//! Events over HTTP: Elasticsearch and OpenSearch, Splunk, or whoever takes lines of JSON.
//!
//! Taken means what each calls so: an item of a bulk request with a good status (or that is there already, by its id), an
//! acknowledged request of Splunk, a good status of the whole request otherwise. What a server refuses for its contents
//! (400, 413, 422) is looked for until the event at fault is found; every other bad status is a fault of the way, and the
//! events are offered again.

mod client;
mod elasticsearch;
mod splunk;

use std::path::PathBuf;

use hyper::Uri;
use hyper::header::{HeaderValue, InvalidHeaderValue};

use super::super::connection::Tls;
use super::super::secret::Secret;
use super::{Delivery, Event, Failure, Kind, Settled, Sink};
use crate::language::{Argument, Message};
use client::{Answer, Client, Request};

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
}

/// How a request is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// It is not.
    #[default]
    None,
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
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
    fn place(&self) -> Option<Place> {
        let uri: Uri = self.url.parse().ok()?;
        let secure = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = uri.authority()?.as_str();
        if authority.contains('@') {
            return None;
        }
        // The brackets of an IPv6 address are the URL's, not the address's.
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Some(Place { secure, host, port, authority: authority.to_owned(), path })
    }

    /// The header by which the sensor shows that it may.
    fn authorization(&self) -> std::io::Result<Option<HeaderValue>> {
        use base64::Engine as _;
        let text = match (&self.token_file, &self.user, &self.password_file) {
            (Some(file), ..) => {
                let token = Secret::read(file)?;
                let scheme = match self.format {
                    Format::Ndjson => "Bearer",
                    Format::Elasticsearch => "ApiKey",
                    Format::Splunk => "Splunk",
                };
                format!("{scheme} {}", token.reveal())
            }
            (None, Some(user), Some(file)) => {
                let both = format!("{user}:{}", Secret::read(file)?.reveal());
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both))
            }
            _ => return Ok(None),
        };
        let mut value: HeaderValue =
            text.try_into().map_err(|error: InvalidHeaderValue| std::io::Error::other(error))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl Kind for Settings {
    fn problems(&self) -> Vec<(&'static str, Argument)> {
        let mut problems = self.tls.problems();
        if self.place().is_none() {
            problems.push(("url", Message::ExportUrl.into()));
        }
        if self.user.is_some() != self.password_file.is_some() {
            problems.push(("user", Message::ExportUserWithPassword.into()));
        }
        if self.token_file.is_some() && self.user.is_some() {
            problems.push(("token_file", Message::ExportTokenOrUser.into()));
        }
        problems
    }

    fn target(&self) -> String {
        self.url.clone()
    }

    fn sink(&self) -> Box<dyn Sink> {
        let client = Client::new(self.clone());
        match self.format {
            Format::Ndjson => Box::new(Lines(client)),
            Format::Elasticsearch => Box::new(elasticsearch::Bulk::new(client, self)),
            Format::Splunk => Box::new(splunk::Collector::new(client, self)),
        }
    }
}

/// Where a URL points to.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    secure: bool,
    host: String,
    port: u16,
    /// As the header `Host` has it.
    authority: String,
    /// With its query.
    path: String,
}

impl Place {
    /// A path below that of the URL; its query stays.
    fn below(&self, path: &str) -> String {
        let (base, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        format!("{}/{path}{query}", base.trim_end_matches('/'))
    }
}

/// Lines of JSON to whoever takes them.
struct Lines(Client);

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
        let path = self.0.place().path.clone();
        let answer = self.0.post(Request { path, kind: "application/x-ndjson", channel: None, body }).await?;
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

    fn unavailable(&self) -> Failure {
        Failure::Unavailable { reason: self.text(), retry_after: self.retry_after }
    }

    /// What it says, for a person: its status and how its body begins.
    fn text(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let beginning: String = body.chars().take(512).collect();
        format!("HTTP {} {}", self.status, beginning.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(more: &str) -> Settings {
        toml::from_str(more).unwrap()
    }

    #[test]
    fn a_url_says_where_to_and_hides_nothing() {
        let place = |url: &str| settings(&format!("url = {url:?}")).place();
        let found = place("https://es.example:9200/prefix/?pipeline=ot").unwrap();
        assert_eq!((found.secure, &*found.host, found.port), (true, "es.example", 9200));
        assert_eq!(found.below("_bulk"), "/prefix/_bulk?pipeline=ot");
        let found = place("http://[::1]").unwrap();
        assert_eq!((&*found.host, found.port, &*found.authority, &*found.path), ("::1", 80, "[::1]", "/"));
        for wrong in ["es.example:9200", "ftp://a", "https://user:secret@a", "/path", "https://"] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn credentials_come_from_files_and_go_together() {
        let keys = |more: &str| -> Vec<_> {
            settings(&format!("url = \"https://a\"\n{more}")).problems().iter().map(|(key, _)| *key).collect()
        };
        assert_eq!(keys(""), [""; 0]);
        assert_eq!(keys("user = \"u\""), ["user"]);
        assert_eq!(keys("user = \"u\"\npassword_file = \"p\"\ntoken_file = \"t\""), ["token_file"]);
        assert_eq!(keys("tls = { cert = \"c\" }"), ["tls"]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "s3cret\n").unwrap();
        let header = |more: &str| {
            let value = settings(&format!("url = \"https://a\"\n{more}")).authorization().unwrap().unwrap();
            assert!(!format!("{value:?}").contains("s3cret"));
            value.to_str().unwrap().to_owned()
        };
        assert_eq!(header(&format!("token_file = {file:?}")), "Bearer s3cret");
        assert_eq!(header(&format!("token_file = {file:?}\nformat = \"splunk\"")), "Splunk s3cret");
        assert_eq!(header(&format!("user = \"u\"\npassword_file = {file:?}")), "Basic dTpzM2NyZXQ=");
    }

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
