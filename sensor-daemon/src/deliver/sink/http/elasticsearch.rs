//! The bulk requests of Elasticsearch and OpenSearch.
//!
//! Each event is created under its id, so one that comes again is there already (409) and counts as taken. The order of
//! documents means nothing there: after an item that the server was too busy for, those that it took meanwhile are offered
//! again.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::to_value;

use super::super::{Delivery, Event, Failure, Refusal, Settled, Sink};
use super::{NDJSON, Poster, Settings};
use crate::event;

/// Where events go unless something else is set.
const INDEX: &str = "vigia";

pub(super) struct Bulk {
    poster: Poster,
    /// How the line before each event begins, up to its id.
    action: String,
}

#[derive(Deserialize)]
struct Outcome {
    errors: bool,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    create: Created,
}

#[derive(Deserialize)]
struct Created {
    status: u16,
    #[serde(default)]
    error: Value,
}

impl Bulk {
    pub(super) fn new(poster: Poster, settings: &Settings) -> Self {
        let index = to_value(settings.index.as_deref().unwrap_or(INDEX)).unwrap_or_default();
        Self { poster, action: format!("{{\"create\":{{\"_index\":{index},\"_id\":\"") }
    }

    async fn post(&mut self, events: &[Event<'_>]) -> Result<Settled, Failure> {
        let mut body = Vec::new();
        for event in events {
            for piece in [self.action.as_bytes(), event.id.as_bytes(), b"\"}}\n{\"@timestamp\":\""] {
                body.extend_from_slice(piece);
            }
            body.extend_from_slice(event::rfc3339(event.time).as_bytes());
            body.extend_from_slice(b"\",");
            body.extend_from_slice(event.json.strip_prefix(b"{").unwrap_or(event.json));
            body.push(b'\n');
        }
        let answer = self.poster.post(Some("_bulk"), NDJSON, &[], body).await?;
        answer.judge()?;
        let outcome: Outcome = serde_json::from_slice(&answer.body)
            .map_err(|error| Failure::unavailable(format!("no answer to a bulk request: {error}")))?;
        Ok(judge(outcome, events.len()))
    }
}

impl Sink for Bulk {
    fn deliver<'a>(&'a mut self, events: &'a [Event<'a>]) -> Delivery<'a> {
        Box::pin(async move { self.post(events).await.into() })
    }
}

fn judge(outcome: Outcome, offered: usize) -> Settled {
    if !outcome.errors {
        return Settled { count: offered, ..Settled::default() };
    }
    let mut settled = Settled::default();
    for (index, Item { create: Created { status, error } }) in outcome.items.into_iter().take(offered).enumerate() {
        match status {
            200..=299 | 409 => {}
            400 | 413 | 422 => settled.refused.push(Refusal { index, answer: format!("HTTP {status} {error}") }),
            _ => {
                settled.failure = Some(Failure::unavailable(format!("HTTP {status} {error}")));
                return settled;
            }
        }
        settled.count += 1;
    }
    if settled.count < offered {
        settled.failure = Some(Failure::unavailable("the answer to a bulk request has too few items"));
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(statuses: &[u16], offered: usize) -> (usize, Vec<usize>, bool) {
        let items = statuses.iter().map(|status| format!("{{\"create\":{{\"status\":{status},\"error\":{{}}}}}}"));
        let text = format!("{{\"errors\":true,\"items\":[{}]}}", items.collect::<Vec<_>>().join(","));
        let settled = judge(serde_json::from_str(&text).unwrap(), offered);
        (settled.count, settled.refused.iter().map(|one| one.index).collect(), settled.failure.is_some())
    }

    #[test]
    fn items_are_judged_one_by_one_up_to_the_first_that_is_to_come_again() {
        assert_eq!(judged(&[201, 409, 400, 201], 4), (4, vec![2], false));
        assert_eq!(judged(&[400, 201, 429, 400, 201], 5), (2, vec![0], true));
        assert_eq!(judged(&[201, 403], 2), (1, vec![], true));
        assert_eq!(judged(&[201], 2), (1, vec![], true), "an answer that is too short");
        assert_eq!(judged(&[201; 3], 2), (2, vec![], false), "and one that is too long");
    }
}
