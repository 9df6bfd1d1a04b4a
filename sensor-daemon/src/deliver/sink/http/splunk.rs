//! Splunk's HTTP Event Collector.
//!
//! Where its token has acknowledgement on, an answer has the number of an acknowledgement, which is asked for until Splunk
//! says that it indexed the events. Without, a good status has to do.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Delivery, Event, Failure, Settled, Sink};
use super::{Answer, Poster, Settings};

/// The first pause before an acknowledgement is asked for, and the longest.
const ASK: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// Codes about the contents of a request: no data, invalid data, no event, blank event, wrong fields.
const CONTENTS: [i64; 5] = [5, 6, 12, 13, 15];

pub(super) struct Collector {
    poster: Poster,
    /// Acknowledgements are counted by channel.
    channel: String,
    /// What stands in every event after its time.
    envelope: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Receipt {
    code: i64,
    #[serde(rename = "ackId")]
    acknowledgement: Option<u64>,
}

impl Collector {
    pub(super) fn new(poster: Poster, settings: &Settings) -> Self {
        let index = settings.index.as_ref().map(|index| format!(",\"index\":{}", json!(index))).unwrap_or_default();
        let envelope = format!(",\"source\":\"vigia\",\"sourcetype\":\"suricata\"{index},\"event\":");
        Self { poster, channel: channel(), envelope }
    }

    async fn post(&mut self, events: &[Event<'_>]) -> Result<Settled, Failure> {
        let mut body = Vec::new();
        for event in events {
            let time = format!("{{\"time\":{}.{:06}", event.time.seconds(), event.time.subsec_nanos() / 1000);
            for piece in [time.as_bytes(), self.envelope.as_bytes(), event.json, b"}\n"] {
                body.extend_from_slice(piece);
            }
        }
        let answer = self.ask("services/collector", body).await?;
        let receipt: Receipt = serde_json::from_slice(&answer.body).unwrap_or_default();
        match answer.judge() {
            // All others are about the token, the channel, the index: no event is at fault.
            Err(Failure::Refused { .. }) if answer.status == 400 && !CONTENTS.contains(&receipt.code) => {
                return Err(answer.unavailable());
            }
            judged => judged?,
        }
        if let Some(number) = receipt.acknowledgement {
            self.acknowledged(number).await?;
        }
        Ok(Settled::all(events))
    }

    /// Waits until Splunk says that it has what it gave this number for; the courier's patience is the bound.
    async fn acknowledged(&mut self, number: u64) -> Result<(), Failure> {
        let mut pause = ASK[0];
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(ASK[1]);
            let answer =
                self.ask("services/collector/ack", json!({ "acks": [number] }).to_string().into_bytes()).await?;
            // Nothing in this request is an event's fault.
            answer.judge().map_err(|_| answer.unavailable())?;
            let acks: Value = serde_json::from_slice(&answer.body).map_err(Failure::unavailable)?;
            if acks["acks"][number.to_string()] == true {
                return Ok(());
            }
        }
    }

    async fn ask(&mut self, path: &str, body: Vec<u8>) -> Result<Answer, Failure> {
        let channel = [("x-splunk-request-channel", self.channel.as_str())];
        self.poster.post(Some(path), "application/json", &channel, body).await
    }
}

impl Sink for Collector {
    fn deliver<'a>(&'a mut self, events: &'a [Event<'a>]) -> Delivery<'a> {
        Box::pin(async move { self.post(events).await.into() })
    }
}

/// A channel of our own: a random UUID (RFC 9562, version 4).
fn channel() -> String {
    let [high, low] = [0, 1].map(|part: u64| RandomState::new().hash_one(part));
    let (version, variant) = (high & 0x0fff | 0x4000, low >> 48 & 0x3fff | 0x8000);
    format!(
        "{:08x}-{:04x}-{version:04x}-{variant:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_a_uuid_of_its_own() {
        let (one, other) = (channel(), channel());
        assert_ne!(one, other);
        let parts: Vec<_> = one.split('-').map(str::len).collect();
        assert_eq!((parts, &one[14..15]), (vec![8, 4, 4, 4, 12], "4"));
    }
}
