//! Events to a stream of NATS JetStream.
//!
//! Taken means: the stream has stored it and said so. Each message has the event's id as its `Nats-Msg-Id`, so within the
//! stream's window of duplicates nothing is stored twice.

use std::error::Error as _;
use std::path::PathBuf;

use async_nats::connection::State;
use async_nats::jetstream::context::{Context, PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{ConnectOptions, ServerAddr};

use super::super::connection::Tls;
use super::super::secret::{self, Secret};
use super::{Delivery, Event, Expiry, Failure, Kind, Refusal, Settled, Sink};
use crate::language::{Argument, Message};

/// A NATS server with JetStream, where a stream listens to the subject.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// URL of the server: `nats://host:4222`, or `tls://host:4222`; without user and password.
    pub url: String,
    /// Subject that events are published to. A stream of JetStream must listen to it.
    #[serde(default = "subject")]
    pub subject: String,
    /// File with a token. Only the file's first line is read; a path that is not absolute is the name of a credential of
    /// systemd.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// User, where the server wants one with a password.
    #[serde(default)]
    pub user: Option<String>,
    /// File with the password, as `token_file`.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// How `tls` is spoken. The name in the server's certificate is the URL's: `server_name` is not for this sink.
    #[serde(default)]
    pub tls: Tls,
}

fn subject() -> String {
    "vigia".to_owned()
}

impl Settings {
    fn address(&self) -> Option<ServerAddr> {
        let address: ServerAddr = self.url.parse().ok()?;
        let plain = address.username().is_none() && address.password().is_none();
        Some(address)
            .filter(|address| plain && !address.host().is_empty() && matches!(address.scheme(), "nats" | "tls"))
    }

    async fn connect(&self) -> Result<Context, Failure> {
        let address = self.address().ok_or_else(|| Failure::unavailable("no URL of NATS"))?;
        // One that is lost is not sought again behind our back: files of secrets and certificates are read at each.
        let mut options = ConnectOptions::new().name("vigia").max_reconnects(1);
        if let Some(file) = &self.token_file {
            options = options.token(Secret::read(file)?.reveal().to_owned());
        } else if let (Some(user), Some(file)) = (&self.user, &self.password_file) {
            options = options.user_and_password(user.clone(), Secret::read(file)?.reveal().to_owned());
        }
        if address.scheme() == "tls" {
            options = options.require_tls(true).tls_client_config(self.tls.client()?);
        }
        let client = options.connect(address).await.map_err(Failure::unavailable)?;
        Ok(jetstream::new(client))
    }
}

impl Kind for Settings {
    fn problems(&self) -> Vec<(&'static str, Argument)> {
        let mut problems = self.tls.problems();
        if self.address().is_none() {
            problems.push(("url", Message::ExportNatsUrl.into()));
        }
        if self.subject.is_empty() || self.subject.contains(|at: char| at.is_whitespace() || at == '*' || at == '>') {
            problems.push(("subject", Message::ExportSubject.into()));
        }
        problems.extend(secret::problems(
            self.token_file.as_deref(),
            self.user.as_deref(),
            self.password_file.as_deref(),
        ));
        if self.tls.server_name.is_some() {
            problems.push(("tls.server_name", Message::ExportNoServerName.into()));
        }
        problems
    }

    fn target(&self) -> String {
        format!("{} {}", self.url, self.subject)
    }

    fn expiry(&self) -> Option<Expiry> {
        Some(self.tls.expiry.clone())
    }

    fn sink(&self) -> Box<dyn Sink> {
        Box::new(JetStream { settings: self.clone(), open: None })
    }
}

struct JetStream {
    settings: Settings,
    open: Option<Context>,
}

impl Sink for JetStream {
    fn deliver<'a>(&'a mut self, events: &'a [Event<'a>]) -> Delivery<'a> {
        Box::pin(async move { self.publish(events).await.into() })
    }
}

impl JetStream {
    async fn publish(&mut self, events: &[Event<'_>]) -> Result<Settled, Failure> {
        // One that fails, or is given up halfway, does not come back.
        let open = self.open.take().filter(|context| context.client().connection_state() == State::Connected);
        let context = match open {
            Some(context) => context,
            None => self.settings.connect().await?,
        };
        let mut answers = Vec::with_capacity(events.len());
        for event in events {
            let message = PublishMessage::build().payload(event.json.to_vec().into()).message_id(event.id);
            let sent = context.send_publish(self.settings.subject.clone(), message).await;
            let goes_on = sent.as_ref().err().is_none_or(|error| refusal(error).is_some());
            answers.push(sent);
            if !goes_on {
                break;
            }
        }
        let settled = settle(answers).await;
        self.open = Some(context).filter(|_| settled.failure.is_none());
        Ok(settled)
    }
}

/// Waits for the answers, in order, up to the first that is of no event.
async fn settle(answers: Vec<Result<PublishAckFuture, PublishError>>) -> Settled {
    let mut settled = Settled::default();
    for (index, sent) in answers.into_iter().enumerate() {
        let answer = match sent {
            Ok(answer) => answer.await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = answer {
            let Some(answer) = refusal(&error) else {
                settled.failure = Some(Failure::unavailable(told(&error)));
                break;
            };
            settled.refused.push(Refusal { index, answer });
        }
        settled.count = index + 1;
    }
    settled
}

/// What is said of an event that is too long for server or stream, which no repetition changes.
fn refusal(error: &PublishError) -> Option<String> {
    let code =
        error.source().and_then(|source| source.downcast_ref::<jetstream::Error>()).map(|error| error.error_code());
    let too_long = [ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM, ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM];
    let refused =
        error.kind() == PublishErrorKind::MaxPayloadExceeded || code.is_some_and(|code| too_long.contains(&code));
    refused.then(|| told(error))
}

fn told(error: &PublishError) -> String {
    match error.kind() {
        PublishErrorKind::StreamNotFound => "no stream of JetStream listens to the subject".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_told() {
        let keys = |more: &str| -> Vec<_> {
            let settings: Settings = toml::from_str(more).unwrap();
            settings.problems().iter().map(|(key, _)| *key).collect()
        };
        assert_eq!(keys("url = \"nats://soc.example:4222\""), [""; 0]);
        assert_eq!(keys("url = \"tls://[::1]\"\nsubject = \"plant.events\""), [""; 0]);
        for url in ["http://soc.example", "nats://user:secret@soc.example", "nats://token@soc.example", ""] {
            assert_eq!(keys(&format!("url = {url:?}")), ["url"], "{url}");
        }
        for subject in ["", "a b", "a.*", "a.>"] {
            assert_eq!(keys(&format!("url = \"nats://a\"\nsubject = {subject:?}")), ["subject"], "{subject}");
        }
        let more = "url = \"tls://a\"\nuser = \"u\"\ntoken_file = \"t\"\ntls = { server_name = \"b\" }";
        assert_eq!(keys(more), ["user", "token_file", "tls.server_name"]);
    }
}
