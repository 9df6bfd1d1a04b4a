//! The two tasks of one server: one gathers at the interval, whatever the other, which sends, waits for.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::super::backoff::Backoff;
use super::super::http::{Client, Request as Post};
use super::super::sink::Failure;
use super::protocol::CONTENT_TYPE;
use super::waiting::Waiting;
use super::{Form, Push, Request, Verdict};
use crate::metrics::Metrics;

/// Sends the metrics to one server.
pub(in super::super) struct Pusher {
    metrics: Arc<Metrics>,
    form: Box<dyn Form>,
    interval: Duration,
    sender: Sender,
}

impl Pusher {
    pub(in super::super) fn new(push: &Push, sensor: &str, metrics: &Arc<Metrics>) -> Self {
        let form = || push.form(sensor, metrics.started_at());
        Self {
            metrics: Arc::clone(metrics),
            interval: push.interval(),
            form: form(),
            sender: Sender {
                client: Client::new(push.server()),
                form: form(),
                waiting: Waiting::new(&push.name, push.tls.expiry.clone(), push.waiting_bytes),
                backoff: Backoff::new(Duration::from_secs(push.retry_max_s)),
                timeout: Duration::from_secs(push.timeout_s),
                failing: false,
            },
        }
    }

    /// What waits.
    pub(in super::super) fn waiting(&self) -> &Arc<Waiting> {
        &self.sender.waiting
    }

    /// Sends until told to stop, then the last state, unless the server fails.
    pub(in super::super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let Self { metrics, mut form, interval, sender } = self;
        let waiting = Arc::clone(&sender.waiting);
        let (end, ended) = watch::channel(false);
        let sending = tokio::spawn(sender.run(ended));
        let mut gather = |last| match form.requests(&metrics.families(), SystemTime::now(), last) {
            Ok(requests) => waiting.push(requests),
            Err(error) => tracing::error!(push = waiting.name, %error, "metrics cannot be written"),
        };
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                _ = ticks.tick() => gather(false),
            }
        }
        gather(true);
        // The other side is awaited below.
        let _ = end.send(true);
        let _ = sending.await;
    }
}

/// Sends what waits, in order.
struct Sender {
    client: Client,
    form: Box<dyn Form>,
    waiting: Arc<Waiting>,
    backoff: Backoff,
    timeout: Duration,
    /// The last try failed, and the log has told so.
    failing: bool,
}

impl Sender {
    /// Sends until the end, and then what waits, up to the first failure.
    async fn run(mut self, mut ended: watch::Receiver<bool>) {
        let waiting = Arc::clone(&self.waiting);
        loop {
            let Some((number, request)) = waiting.front() else {
                if *ended.borrow() {
                    return;
                }
                tokio::select! {
                    () = waiting.news.notified() => {}
                    _ = ended.wait_for(|end| *end) => {}
                }
                continue;
            };
            let Err(pause) = self.send(number, request).await else { continue };
            if tokio::time::timeout(pause, ended.wait_for(|end| *end)).await.is_ok() {
                // What was put in last goes too, if the server is well again.
                while let Some((number, request)) = waiting.front() {
                    if self.send(number, request).await.is_err() {
                        return;
                    }
                }
                return;
            }
        }
    }

    /// Sends one request. An error is the time to wait before it is sent again.
    async fn send(&mut self, number: u64, request: Request) -> Result<(), Duration> {
        let samples = request.samples;
        let place = self.client.place();
        let path = self.form.path().map_or_else(|| place.path.clone(), |path| place.below(path));
        let post = Post { path, kind: CONTENT_TYPE, headers: self.form.headers(), body: request.body };
        let answer = tokio::time::timeout(self.timeout, self.client.post(post)).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(Failure::Unavailable { reason, .. } | Failure::Refused { answer: reason })) => {
                return Err(self.failed(&reason, None));
            }
            Err(_) => return Err(self.failed(&format!("no answer within {} s", self.timeout.as_secs()), None)),
        };
        let (rejected, reason) = match self.form.judge(&answer) {
            Verdict::Again => return Err(self.failed(&answer.text(), answer.retry_after)),
            Verdict::Refused => (samples, answer.text()),
            Verdict::Taken { rejected, reason } => (rejected, reason),
        };
        if rejected > 0 {
            tracing::warn!(push = self.waiting.name, rejected, samples, reason, "metrics refused");
        }
        self.waiting.done(number, samples, rejected);
        self.backoff.reset();
        if std::mem::take(&mut self.failing) {
            tracing::info!(push = self.waiting.name, "metrics are sent again");
        }
        Ok(())
    }

    fn failed(&mut self, reason: &str, retry_after: Option<Duration>) -> Duration {
        self.waiting.queue().failures += 1;
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(push = self.waiting.name, reason, "metrics wait until they can be sent");
        }
        self.backoff.pause(retry_after)
    }
}
