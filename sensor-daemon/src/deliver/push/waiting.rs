//! Requests that wait for a server, within a bound, and what became of those that did.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::super::certificate::Expiry;
use super::Request;
use crate::metrics::subject::{
    PUSH_CERTIFICATE, PUSH_FAILURES, PUSH_SAMPLES, PUSH_WAITING, PUSH_WAITING_BYTES, Reading,
};

/// What waits for one server, shared by who gathers, who sends and who tells of it.
#[derive(Debug)]
pub(in super::super) struct Waiting {
    pub(in super::super) name: String,
    pub(in super::super) expiry: Expiry,
    most_bytes: usize,
    queue: Mutex<Queue>,
    /// Something was put in.
    pub(super) news: Notify,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    requests: VecDeque<Request>,
    bytes: usize,
    /// Requests that went from the front since the beginning.
    gone: u64,
    pub(super) delivered: u64,
    pub(super) refused: u64,
    dropped: u64,
    pub(super) failures: u64,
}

impl Waiting {
    pub(super) fn new(name: &str, expiry: Expiry, most_bytes: usize) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), expiry, most_bytes, queue: Mutex::default(), news: Notify::new() })
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts requests behind those that wait. The oldest go where the bound is passed, the newest stays.
    pub(super) fn push(&self, requests: Vec<Request>) {
        let mut queue = self.queue();
        for request in requests {
            queue.bytes += request.body.bytes.len();
            queue.requests.push_back(request);
            while queue.bytes > self.most_bytes && queue.requests.len() > 1 {
                queue.dropped += queue.pop().map_or(0, |request| request.samples);
            }
        }
        drop(queue);
        self.news.notify_one();
    }

    /// The first that waits, and its number.
    pub(super) fn front(&self) -> Option<(u64, Request)> {
        let queue = self.queue();
        queue.requests.front().map(|request| (queue.gone, request.clone()))
    }

    /// The request of this number is done with, unless it went already to make room: then its samples, which were counted as
    /// dropped, are no more.
    pub(super) fn done(&self, number: u64, samples: u64, rejected: u64) {
        let mut queue = self.queue();
        if queue.gone == number {
            queue.pop();
        } else {
            queue.dropped = queue.dropped.saturating_sub(samples);
        }
        let rejected = rejected.min(samples);
        queue.refused += rejected;
        queue.delivered += samples - rejected;
    }

    /// What metrics tell.
    pub(in super::super) fn readings(&self) -> Vec<Reading> {
        let queue = self.queue();
        let samples = queue.requests.iter().map(|request| request.samples).sum();
        let one = |family, label: &str, value| Reading { family, label: label.to_owned(), value };
        let counted = [
            one(&PUSH_SAMPLES, "delivered", queue.delivered),
            one(&PUSH_SAMPLES, "refused", queue.refused),
            one(&PUSH_SAMPLES, "dropped", queue.dropped),
            one(&PUSH_FAILURES, "", queue.failures),
            one(&PUSH_WAITING, "", samples),
            one(&PUSH_WAITING_BYTES, "", queue.bytes as u64),
        ];
        counted.into_iter().chain(self.expiry.readings(&PUSH_CERTIFICATE)).collect()
    }
}

impl Queue {
    fn pop(&mut self) -> Option<Request> {
        let request = self.requests.pop_front()?;
        self.bytes -= request.body.bytes.len();
        self.gone += 1;
        Some(request)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Body;
    use super::*;

    fn request(samples: u64, bytes: usize) -> Request {
        Request { samples, body: Body { bytes: vec![0; bytes].into(), encoding: None } }
    }

    fn told(waiting: &Waiting) -> Vec<u64> {
        waiting.readings().iter().map(|reading| reading.value).collect()
    }

    #[test]
    fn beyond_the_bound_the_oldest_goes_and_every_sample_has_one_fate() {
        let waiting = Waiting::new("x", Expiry::default(), 100);
        waiting.push(vec![request(1, 60), request(2, 30)]);
        let (number, first) = waiting.front().unwrap();
        // While the first is on its way, it goes to make room, and is taken all the same.
        waiting.push(vec![request(4, 50)]);
        assert_eq!(told(&waiting), [0, 0, 1, 0, 6, 80]);
        waiting.done(number, first.samples, 0);
        assert_eq!(told(&waiting), [1, 0, 0, 0, 6, 80]);
        let (number, second) = waiting.front().unwrap();
        waiting.done(number, second.samples, 1);
        assert_eq!(told(&waiting), [2, 1, 0, 0, 4, 50]);
        // One that is longer than the bound goes alone.
        waiting.push(vec![request(8, 500)]);
        assert_eq!(told(&waiting), [2, 1, 4, 0, 8, 500]);
    }
}
