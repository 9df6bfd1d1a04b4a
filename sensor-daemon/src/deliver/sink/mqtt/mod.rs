//! Events to a topic of an MQTT server.
//!
//! Taken means: the server has acknowledged it (QoS 1) and had somebody to give it to. Of MQTT there is version 5 only: in
//! those before, a message that the server does not want is acknowledged like any other, and is lost.
//!
//! The client is our own, some packets over the connection that all sinks have. That of `rumqttc` (0.25) would make its TLS
//! connections by itself, through crates that are given up (`rustls-pemfile`, RUSTSEC-2025-0134), and does not tell a
//! publisher what the server said to which message.

mod packet;

use std::collections::VecDeque;
use std::path::PathBuf;

use tokio::io::{AsyncWriteExt as _, BufReader};

use super::super::connection::{self, Duplex, Tls};
use super::super::secret::{self, Secret};
use super::stream::lives;
use super::{Delivery, Event, Expiry, Failure, Kind, Refusal, Settled, Sink};
use crate::language::{Argument, Message};
use packet::{Limits, Outcome, Packet, reason};

/// Messages that wait for an answer, at the most; a server may want fewer.
const WINDOW: usize = 256;

/// A server of MQTT 5.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Host and port: `broker.example:1883`, by TLS mostly 8883.
    pub address: String,
    /// Topic that events are published to. Somebody must have subscribed to it: until then they wait.
    #[serde(default = "topic")]
    pub topic: String,
    /// Client identifier. Unset: the server gives one.
    #[serde(default)]
    pub client_id: String,
    /// User, where the server wants one.
    #[serde(default)]
    pub user: Option<String>,
    /// File with the password. Only the file's first line is read; a path that is not absolute is the name of a credential
    /// of systemd.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Speak TLS, and how.
    #[serde(default)]
    pub tls: Option<Tls>,
}

fn topic() -> String {
    "vigia".to_owned()
}

impl Settings {
    async fn connect(&self) -> Result<Connection, Failure> {
        let password = self.password_file.as_deref().map(Secret::read).transpose()?;
        let user = self.user.as_deref().zip(password.as_ref().map(Secret::reveal));
        let mut stream = connection::reach(&self.address, self.tls.as_ref()).await?;
        let mut out = Vec::new();
        packet::connect(&mut out, &self.client_id, user);
        stream.write_all(&out).await?;
        stream.flush().await?;
        match packet::read(&mut stream).await? {
            Packet::Connack(Outcome { reason: reason::SUCCESS, .. }, limits) if limits.qos > 0 => {
                Ok(Connection { stream, limits, window: 1 })
            }
            Packet::Connack(Outcome { reason: reason::SUCCESS, .. }, _) => {
                Err(Failure::unavailable("the server acknowledges no messages: it has QoS 0 alone"))
            }
            Packet::Connack(outcome, _) | Packet::Disconnect(outcome) => Err(Failure::unavailable(outcome)),
            Packet::Puback(..) => Err(Failure::unavailable("an acknowledgement of nothing")),
        }
    }
}

impl Kind for Settings {
    fn problems(&self) -> Vec<(&'static str, Argument)> {
        let mut problems = connection::problems(&self.address, self.tls.as_ref());
        if self.topic.is_empty() || self.topic.len() > 0xffff || self.topic.contains(['+', '#', '\0']) {
            problems.push(("topic", Message::ExportTopic.into()));
        }
        problems.extend(secret::problems(None, self.user.as_deref(), self.password_file.as_deref()));
        problems
    }

    fn target(&self) -> String {
        format!("{} {}", self.address, self.topic)
    }

    fn expiry(&self) -> Option<Expiry> {
        self.tls.as_ref().map(|tls| tls.expiry.clone())
    }

    fn sink(&self) -> Box<dyn Sink> {
        Box::new(Mqtt { settings: self.clone(), open: None })
    }
}

struct Mqtt {
    settings: Settings,
    open: Option<Connection>,
}

impl Sink for Mqtt {
    fn deliver<'a>(&'a mut self, events: &'a [Event<'a>]) -> Delivery<'a> {
        Box::pin(async move {
            // One that fails, or is given up halfway, does not come back.
            let open = match self.open.take() {
                Some(mut open) => lives(&mut open.stream).await.then_some(open),
                None => None,
            };
            let mut connection = match open {
                Some(open) => open,
                None => match self.settings.connect().await {
                    Ok(connection) => connection,
                    Err(failure) => return Settled::failed(failure),
                },
            };
            let mut settled = Settled::default();
            match connection.publish(&self.settings.topic, events, &mut settled).await {
                Ok(()) => self.open = Some(connection),
                // A server may end the connection with what it refuses.
                Err(_) if settled.refused.last().is_some_and(|last| last.index + 1 == settled.count) => {}
                Err(failure) => settled.failure = Some(failure),
            }
            settled
        })
    }
}

/// A server that let us in.
struct Connection {
    stream: Box<dyn Duplex>,
    limits: Limits,
    /// Messages that may wait for an answer: one at first, more with every answer. So one that the server does not take for
    /// now mostly has none behind it that it takes, which would be out of order when the first comes again.
    window: usize,
}

impl Connection {
    /// Publishes events and settles them by the answers, in order, up to the first that is of no event.
    async fn publish(&mut self, topic: &str, events: &[Event<'_>], settled: &mut Settled) -> Result<(), Failure> {
        let Self { stream, limits, window } = self;
        let most = WINDOW.min(limits.receive_maximum.into());
        let mut stream = BufReader::new(stream);
        // Of the messages behind those that are settled.
        let mut answers: VecDeque<Option<Outcome>> = VecDeque::new();
        let mut out = Vec::new();
        while settled.count < events.len() {
            out.clear();
            while answers.len() < *window
                && let Some(event) = events.get(settled.count + answers.len())
            {
                let start = out.len();
                let length = packet::publish(&mut out, topic, id(settled.count + answers.len()), event.json);
                let fits = length <= limits.packet_size as usize;
                if !fits {
                    out.truncate(start);
                }
                answers.push_back((!fits).then(|| Outcome { reason: reason::PACKET_TOO_LARGE, text: String::new() }));
            }
            stream.write_all(&out).await?;
            stream.flush().await?;
            // Until there is room for half of a window: so messages go out by many.
            while answers.len() > *window / 2 || settled.count + answers.len() == events.len() {
                while let Some(outcome) = answers.front_mut().and_then(Option::take) {
                    answers.pop_front();
                    settle(outcome, settled)?;
                    *window = (*window + 1).min(most);
                }
                if answers.is_empty() {
                    break;
                }
                match packet::read(&mut stream).await? {
                    Packet::Puback(told, outcome) => {
                        let at = (0..answers.len()).find(|at| id(settled.count + at) == told);
                        let answer = at.and_then(|at| answers.get_mut(at)).filter(|answer| answer.is_none());
                        let answer = answer.ok_or_else(|| Failure::unavailable("an acknowledgement of nothing"))?;
                        *answer = Some(outcome);
                    }
                    Packet::Disconnect(outcome) | Packet::Connack(outcome, _) => {
                        return Err(Failure::unavailable(outcome));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The identifier of a message by its place: never 0, and no two that wait have the same.
fn id(index: usize) -> u16 {
    (index % usize::from(u16::MAX)) as u16 + 1
}

/// Settles the next event by what the server says of it.
fn settle(outcome: Outcome, settled: &mut Settled) -> Result<(), Failure> {
    match outcome.reason {
        reason::SUCCESS => {}
        reason::PACKET_TOO_LARGE | reason::PAYLOAD_FORMAT_INVALID => {
            settled.refused.push(Refusal { index: settled.count, answer: outcome.to_string() });
        }
        reason::NO_MATCHING_SUBSCRIBERS => return Err(Failure::unavailable("nobody has subscribed to the topic")),
        _ => return Err(Failure::unavailable(outcome)),
    }
    settled.count += 1;
    Ok(())
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
        assert_eq!(keys("address = \"[::1]:1883\"\ntopic = \"plant/1/events\""), [""; 0]);
        for topic in ["", "a/+", "a/#", "\\u0000"] {
            assert_eq!(keys(&format!("address = \"a:1\"\ntopic = \"{topic}\"")), ["topic"], "{topic}");
        }
        assert_eq!(keys("address = \"a\"\nuser = \"u\"\ntls = { cert = \"c\" }"), ["tls", "address", "user"]);
    }

    #[test]
    fn identifiers_are_never_zero() {
        assert_eq!([0, 1, 65_534, 65_535, 131_069].map(id), [1, 2, 65_535, 1, 65_535]);
    }
}
