//! What takes events: one file a kind.

mod datagram;
pub(super) mod file;
pub(super) mod http;
pub(super) mod kafka;
pub(super) mod mqtt;
pub(super) mod nats;
pub(super) mod redis;
mod stream;
pub(super) mod syslog;
pub(super) mod unix;

use std::pin::Pin;
use std::time::Duration;

use super::Event;
pub use super::certificate::Expiry;
use crate::language::Argument;

/// The settings of a kind of sink.
pub trait Kind {
    /// What the types allow and the sink does not: the key below its table, and what is wrong, as the end of a sentence.
    fn problems(&self) -> Vec<(&'static str, Argument)> {
        Vec::new()
    }

    /// Where events go, for a person: a path, an address.
    fn target(&self) -> String;

    /// When the certificates expire that its connections showed; none where it has no TLS.
    fn expiry(&self) -> Option<Expiry> {
        None
    }

    /// A sink. It connects when there is something to deliver, so that one that is away keeps nobody from starting.
    fn sink(&self) -> Box<dyn Sink>;
}

/// Delivers events.
pub trait Sink: Send {
    /// Hands events over, in order, and returns when the other side has said what it took. The future may be dropped before
    /// its end; the events are handed over again then.
    fn deliver<'a>(&'a mut self, events: &'a [Event<'a>]) -> Delivery<'a>;
}

/// What [`Sink::deliver`] is going to say.
pub type Delivery<'a> = Pin<Box<dyn Future<Output = Settled> + Send + 'a>>;

/// What became of events that were handed over.
#[derive(Debug, Default)]
pub struct Settled {
    /// Events from the front that were taken or refused.
    pub count: usize,
    /// Those of them that were refused, in order.
    pub refused: Vec<Refusal>,
    /// Why no more of them.
    pub failure: Option<Failure>,
}

impl Settled {
    /// All of them were taken.
    pub fn all(events: &[Event<'_>]) -> Self {
        Self { count: events.len(), ..Self::default() }
    }

    /// None of them was.
    pub fn failed(failure: Failure) -> Self {
        Self { failure: Some(failure), ..Self::default() }
    }
}

impl<E: Into<Failure>> From<Result<Self, E>> for Settled {
    fn from(result: Result<Self, E>) -> Self {
        result.unwrap_or_else(|failure| Self::failed(failure.into()))
    }
}

/// An event that the sink does not want, however often it is offered.
#[derive(Debug)]
pub struct Refusal {
    /// Its place among those handed over.
    pub index: usize,
    /// What the sink said.
    pub answer: String,
}

/// Why events were not taken.
#[derive(Debug)]
pub enum Failure {
    /// It has nothing to do with the events: they are offered again later.
    Unavailable {
        /// What happened.
        reason: String,
        /// The time that the sink asks for.
        retry_after: Option<Duration>,
    },
    /// One of the events is at fault, and the sink does not say which: it is looked for by halves.
    Refused {
        /// What the sink said.
        answer: String,
    },
}

impl Failure {
    /// It has nothing to do with the events.
    pub fn unavailable(reason: impl ToString) -> Self {
        Self::Unavailable { reason: reason.to_string(), retry_after: None }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::unavailable(error)
    }
}
