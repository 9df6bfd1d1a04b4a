//! How the rules are asked: by the inspector itself, or by whoever looks on; and which of their limits bit.

use vigia_rules::{Engine, FlowMemory, GivenUp, Moment, Scratch, Subject};

use crate::event::Output;
use crate::metrics::Counter;

/// Asks the rules in the inspector's place, and looks on. A sensor has none; the tools for those who tune rules do.
pub trait Observer: Send {
    /// Does what [`Engine::inspect`] does.
    fn inspect(
        &mut self,
        engine: &Engine,
        moment: &Moment<'_>,
        subject: &Subject<'_>,
        memory: &mut Option<Box<FlowMemory>>,
        scratch: &mut Scratch,
    );
}

/// Shows a subject to the rules, through the observer if there is one.
#[inline]
pub(super) fn ask(
    observer: Option<&mut (dyn Observer + 'static)>,
    engine: &Engine,
    moment: &Moment<'_>,
    subject: &Subject<'_>,
    memory: &mut Option<Box<FlowMemory>>,
    scratch: &mut Scratch,
) {
    match observer {
        None => engine.inspect(moment, subject, memory, scratch),
        Some(observer) => observer.inspect(engine, moment, subject, memory, scratch),
    }
}

/// Counts the limits that bit in the last inspection.
#[inline]
pub(super) fn count_limits(output: &mut Output, scratch: &Scratch, subject: &Subject<'_>) {
    let given_up = scratch.given_up();
    if !scratch.is_cut() && given_up == GivenUp::default() {
        return;
    }
    let cut = match subject {
        Subject::Packet => Counter::CutPackets,
        Subject::Stream(_) | Subject::StreamEvent(_) => Counter::CutStreams,
        Subject::Message { .. } => Counter::CutMessages,
    };
    output.counters.add(cut, scratch.is_cut().into());
    output.counters.add(Counter::GivenUpExpressions, given_up.expressions.into());
    output.counters.add(Counter::GivenUpPlaces, given_up.places.into());
}
