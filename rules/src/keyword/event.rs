//! `decode-event`, `stream-event` and `app-layer-event`: what was wrong or odd.

use vigia_parsers::packet::DecodeEvent;

use super::application::wait_for_protocol;
use super::{Arity, Draft, Environment, Keyword, Need, Use, names};
use crate::engine::view::{Condition, View};
use crate::language::said::say;
use crate::language::syntax::Word;
use crate::language::{Problem, nearest};

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "decode-event",
        aliases: &["engine-event"],
        doc: "Something odd in the packet's headers",
        arity: Arity::Required,
        compile: decode_event,
    },
    Keyword {
        name: "stream-event",
        aliases: &[],
        doc: "Something odd in the TCP stream",
        arity: Arity::Required,
        compile: stream_event,
    },
    Keyword {
        name: "app-layer-event",
        aliases: &[],
        doc: "Something that the protocol's standard does not allow: protocol.event",
        arity: Arity::Required,
        compile: app_layer_event,
    },
];

fn unknown<'a>(name: Word<'_>, candidates: impl Iterator<Item = &'a str>) -> Problem {
    Problem::new("unknown-event", say!("there is no event `{}`", name.text), name.span())
        .maybe_help(nearest(name.text, candidates).map(|near| say!("did you mean `{}`?", near)))
}

/// The packet has this decode event.
struct Decode(DecodeEvent);

impl Condition for Decode {
    fn holds(&self, view: &View<'_>) -> bool {
        view.moment.packet.is_some_and(|packet| packet.events.iter().any(|event| event == self.0))
    }
}

fn decode_event(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let event = DecodeEvent::ALL.iter().copied().find(|event| event.name() == it.value.text);
    let event = event.ok_or_else(|| unknown(it.value, DecodeEvent::ALL.iter().map(|event| event.name())))?;
    draft.decode_event = Some(event as u8);
    draft.conditions.push(Box::new(Decode(event)));
    Ok(())
}

/// One of the events that are `told`, or of those that Suricata tells besides: a rule that asks for one of these waits for
/// `need`.
fn known_event(
    draft: &mut Draft,
    name: Word<'_>,
    [told, besides]: [&'static [&'static str]; 2],
    need: Need,
) -> Result<&'static str, Problem> {
    let mut known = told.iter().chain(besides).copied();
    let event = known.clone().find(|event| *event == name.text).ok_or_else(|| unknown(name, known.by_ref()))?;
    if besides.contains(&event) {
        draft.wait(name, need);
    }
    Ok(event)
}

fn stream_event(draft: &mut Draft, _: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let known = [names::STREAM_EVENTS, names::OTHER_STREAM_EVENTS];
    draft.stream_event = Some(known_event(draft, it.value, known, Need::Feature("this event of TCP"))?);
    draft.selective = true;
    Ok(())
}

/// The message has this anomaly.
struct HasAnomaly(&'static str);

impl Condition for HasAnomaly {
    fn holds(&self, view: &View<'_>) -> bool {
        view.has_anomaly(self.0)
    }
}

fn app_layer_event(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let kind = match it.value.split_once('.') {
        None => {
            draft.anomaly = Some(draft.protocol);
            let known = [names::APP_LAYER_EVENTS, names::OTHER_APP_LAYER_EVENTS];
            known_event(draft, it.value, known, Need::Feature("this event of detection"))?
        }
        Some((protocol, event)) => {
            let protocol = match environment.protocol(protocol.text) {
                Some(known) => known,
                None => return wait_for_protocol(draft, protocol, environment),
            };
            draft.need(protocol, it.name)?;
            draft.anomaly = Some(Some(protocol));
            let kinds = protocol.anomalies.iter().map(|anomaly| anomaly.name);
            kinds.clone().find(|kind| *kind == event.text).ok_or_else(|| unknown(event, kinds))?
        }
    };
    draft.conditions.push(Box::new(HasAnomaly(kind)));
    Ok(())
}
