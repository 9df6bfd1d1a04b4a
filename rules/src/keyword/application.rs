//! The protocol of the flow.

use vigia_parsers::Protocol;

use super::{Arity, Draft, Environment, Keyword, Need, Use, names};
use crate::engine::view::{Condition, View, same};
use crate::language::syntax::Word;
use crate::language::{Problem, nearest};

pub(super) const KEYWORDS: &[Keyword] = &[Keyword {
    name: "app-layer-protocol",
    aliases: &[],
    doc: "The flow's detected protocol",
    arity: Arity::Required,
    compile: app_layer_protocol,
}];

/// The protocol detected for the flow.
struct AppLayerProtocol {
    protocol: Option<&'static Protocol>,
    negated: bool,
}

impl Condition for AppLayerProtocol {
    fn holds(&self, view: &View<'_>) -> bool {
        // Nothing is said of a flow whose protocol is not known yet, unless the rule asks for just that.
        match self.protocol {
            None => view.moment.protocol.is_none() != self.negated,
            Some(wanted) => view.moment.protocol.is_some_and(|known| same(known, wanted) != self.negated),
        }
    }
}

fn app_layer_protocol(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let mut parts = it.value.split(',');
    let name = parts.next().unwrap_or(it.value);
    if let Some(mode) = parts.next() {
        return Err(Problem::new("not-supported", format!("`{}` is not supported yet", mode.text), mode.span()));
    }
    let (negated, name) = match name.text.strip_prefix('!') {
        Some(rest) => (true, name.part(rest).trim()),
        None => (false, name),
    };
    let protocol = match name.text {
        "unknown" | "failed" => None,
        text => match environment.protocol(text) {
            Some(protocol) => Some(protocol),
            None => return wait_for_protocol(draft, name, environment),
        },
    };
    draft.conditions.push(Box::new(AppLayerProtocol { protocol, negated }));
    Ok(())
}

/// A protocol that is not dissected: the rule waits for it, or there is none of that name.
pub(super) fn wait_for_protocol(
    draft: &mut Draft,
    name: Word<'_>,
    environment: &Environment<'_>,
) -> Result<(), Problem> {
    if let Some(&protocol) = names::PROTOCOLS.iter().find(|protocol| **protocol == name.text) {
        draft.wait(name, Need::Protocol(protocol));
        return Ok(());
    }
    let known = environment.protocols.iter().map(|protocol| protocol.name).chain(names::PROTOCOLS.iter().copied());
    Err(Problem::new("unknown-protocol", format!("unknown protocol `{}`", name.text), name.span())
        .maybe_help(nearest(name.text, known).map(|near| format!("did you mean `{near}`?"))))
}
