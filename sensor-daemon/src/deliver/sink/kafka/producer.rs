//! What speaks to the cluster: an idempotent producer of librdkafka.
//!
//! - **Order.** Events of a flow have its number as their key, so they meet one partition. The producer numbers what it sends
//!   there, and the broker takes nothing out of order; with `enable.gapless.guarantee` a message that fails for good takes
//!   all behind it along, instead of leaving a gap. A producer that failed is not used again: what comes next is another,
//!   which begins with the first event that was not taken, so what the first one may still get through is a repeat.
//! - **Time.** Nothing expires in librdkafka. It is the courier that gives up, by dropping the producer with all it holds.
//! - **Refusals.** A broker refuses messages by packs, so all of a pack are told the same; who is at fault is found by halves.

use std::sync::{Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};
use tokio::sync::watch;

use super::super::super::secret::{self, Secret};
use super::super::{Delivery, Event, Failure, Settled, Sink};
use super::{Compression, Mechanism, Settings};

/// Ciphers of TLS 1.2; since it has no older ones, nothing older is spoken. Those of 1.3 are OpenSSL's.
const CIPHERS: &str = "ECDHE+AESGCM:ECDHE+CHACHA20";

/// Messages and KiB that librdkafka holds: more than is handed over at once (`batch_events`, `batch_bytes`).
const MOST_MESSAGES: &str = "100000";
const MOST_KIBIBYTES: &str = "262144";

/// Longest message that is tried: what a cluster takes is its own affair.
const LONGEST_MESSAGE: &str = "100000000";

/// Publishes to a topic.
pub(super) struct Kafka {
    settings: Settings,
    open: Option<Open>,
}

impl Kafka {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, open: None }
    }

    async fn publish(&mut self, events: &[Event<'_>]) -> Result<Settled, Failure> {
        // One that fails, or is given up halfway, does not come back.
        let mut open = match self.open.take().filter(|open| open.down.borrow().is_none()) {
            Some(open) => open,
            None => Open::new(&self.settings)?,
        };
        let answers = events.iter().map(|event| open.send(&self.settings.topic, event)).collect();
        let settled = tokio::select! {
            biased;
            settled = settle(answers) => settled,
            why = open.is_down() => return Err(Failure::unavailable(why)),
        };
        self.open = Some(open).filter(|_| settled.failure.is_none());
        Ok(settled)
    }
}

impl Sink for Kafka {
    fn deliver<'a>(&'a mut self, events: &'a [Event<'a>]) -> Delivery<'a> {
        Box::pin(async move { self.publish(events).await.into() })
    }
}

/// A producer, and whether it is cut off.
struct Open {
    producer: Option<FutureProducer<Watch>>,
    down: watch::Receiver<Option<String>>,
}

impl Open {
    fn new(settings: &Settings) -> Result<Self, Failure> {
        let (tell, down) = watch::channel(None);
        let context = Watch { last: Mutex::default(), down: tell };
        let producer = settings.client()?.create_with_context(context).map_err(Failure::unavailable)?;
        Ok(Self { producer: Some(producer), down })
    }

    fn send(&self, topic: &str, event: &Event<'_>) -> Result<DeliveryFuture, KafkaError> {
        let producer = self.producer.as_ref().ok_or(KafkaError::Canceled)?;
        let flow = event.flow.map(|flow| flow.to_string());
        let id = OwnedHeaders::new_with_capacity(1).insert(Header { key: "event_id", value: Some(event.id) });
        let record = FutureRecord { key: flow.as_ref(), ..FutureRecord::to(topic) }.payload(event.json).headers(id);
        producer.send_result(record).map_err(|(error, _)| error)
    }

    /// Waits until no broker can be reached; gives the reason.
    async fn is_down(&mut self) -> String {
        let told = self.down.wait_for(Option::is_some).await;
        told.ok().and_then(|why| why.clone()).unwrap_or_default()
    }
}

impl Drop for Open {
    /// Throws away what the producer holds, on another thread: that waits for its own to end.
    fn drop(&mut self) {
        let producer = self.producer.take();
        tokio::task::spawn_blocking(|| drop(producer));
    }
}

/// Waits for all answers; settles events from the front up to the first that was not taken.
async fn settle(answers: Vec<Result<DeliveryFuture, KafkaError>>) -> Settled {
    let mut settled = Settled::default();
    let mut failed = None;
    let mut refused = None;
    for sent in answers {
        let answer = match sent {
            Ok(sent) => match sent.await {
                Ok(answer) => answer.map_err(|(error, _)| error),
                Err(_) => Err(KafkaError::Canceled),
            },
            Err(error) => Err(error),
        };
        match answer {
            Ok(_) if failed.is_none() => settled.count += 1,
            Ok(_) => {}
            Err(error) => {
                refused = refused.or_else(|| refusal(&error));
                failed.get_or_insert(error);
            }
        }
    }
    settled.failure = match (refused, failed) {
        (Some(answer), _) => Some(Failure::Refused { answer }),
        (None, Some(error)) => Some(Failure::unavailable(error)),
        (None, None) => None,
    };
    settled
}

/// What is said of messages among which one is not wanted, which no repetition changes.
fn refusal(error: &KafkaError) -> Option<String> {
    let code = error.rdkafka_error_code()?;
    matches!(code, RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidRecord).then(|| code.to_string())
}

impl Settings {
    /// What librdkafka is told. Secrets and certificates are read anew for each producer.
    fn client(&self) -> std::io::Result<ClientConfig> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.brokers.join(","))
            .set("client.id", "vigia")
            .set("enable.idempotence", "true")
            .set("enable.gapless.guarantee", "true")
            .set("message.timeout.ms", "0")
            .set("message.max.bytes", LONGEST_MESSAGE)
            .set("queue.buffering.max.messages", MOST_MESSAGES)
            .set("queue.buffering.max.kbytes", MOST_KIBIBYTES)
            .set("compression.type", self.compression.name())
            .set_log_level(RDKafkaLogLevel::Info);
        let security = match (&self.tls, &self.user) {
            (None, None) => "plaintext",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), None) => "ssl",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", security);
        if let Some(tls) = &self.tls {
            config.set("ssl.cipher.suites", CIPHERS).set("ssl.ca.pem", secret::read(tls.ca())?);
            if let (Some(cert), Some(key)) = (&tls.cert, &tls.key) {
                // For what it tells.
                tls.own(cert)?;
                config.set("ssl.certificate.pem", secret::read(cert)?).set("ssl.key.pem", secret::read(key)?);
            }
        }
        if let (Some(user), Some(file)) = (&self.user, &self.password_file) {
            config
                .set("sasl.mechanism", self.mechanism.name())
                .set("sasl.username", user)
                .set("sasl.password", Secret::read(file)?.reveal());
        }
        Ok(config)
    }
}

impl Compression {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl Mechanism {
    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Hears what librdkafka says of itself.
struct Watch {
    /// What went wrong last.
    last: Mutex<String>,
    /// Why no broker can be reached, once that is so.
    down: watch::Sender<Option<String>>,
}

impl ClientContext for Watch {
    /// Failures are told by who delivers, once; librdkafka says them again and again.
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, "librdkafka: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            reason.clone_into(&mut last);
            return;
        }
        let why = if last.is_empty() { reason } else { &last };
        self.down.send_replace(Some(why.to_owned()));
    }
}
