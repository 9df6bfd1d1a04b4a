//! The protocol of the flow.

use vigia_parsers::Protocol;
use vigia_parsers::registry::FAILED;

use super::{Arity, Draft, Environment, Keyword, Need, Use, names};
use crate::engine::view::{Condition, Key, View, protocol_number, same};
use crate::language::said::say;
use crate::language::set::RangeSet;
use crate::language::syntax::Word;
use crate::language::{Problem, nearest};

pub(super) const KEYWORDS: &[Keyword] = &[Keyword {
    name: "app-layer-protocol",
    aliases: &[],
    doc: "The flow's detected protocol, or any of several with |; also unknown and failed",
    arity: Arity::Required,
    compile: app_layer_protocol,
}];

/// The protocol detected for the flow. A flow has one, whichever direction showed it.
struct AppLayerProtocol {
    protocols: Vec<&'static Protocol>,
    /// It need not be known yet.
    unknown: bool,
    negated: bool,
}

impl Condition for AppLayerProtocol {
    fn holds(&self, view: &View<'_>) -> bool {
        match view.moment.protocol {
            // Nothing is said of a flow whose protocol is not known yet, unless the rule asks for just that.
            None => self.unknown,
            Some(known) => self.protocols.iter().any(|wanted| same(known, wanted)) != self.negated,
        }
    }

    fn domain(&self) -> Option<(Key, RangeSet<u64>)> {
        let number = |protocol: Option<&Protocol>| RangeSet::one(protocol_number(protocol));
        let named = self.protocols.iter().map(|protocol| number(Some(protocol)));
        let named = named.fold(RangeSet::nothing(), |all, one| all.union(&one));
        let undecided = number(None);
        Some((
            Key::Protocol,
            match (self.negated, self.unknown) {
                (true, _) => named.union(&undecided).complement(),
                (false, true) => named.union(&undecided),
                (false, false) => named,
            },
        ))
    }
}

/// Which detection is meant; here there is but one.
const MODES: &[&str] = &["direction", "to_server", "to_client", "either", "both", "final", "original", "exact"];

fn app_layer_protocol(draft: &mut Draft, environment: &Environment<'_>, it: Use<'_>) -> Result<(), Problem> {
    let mut parts = it.value.split(',');
    let names = parts.next().unwrap_or(it.value);
    if let Some(mode) = parts.find(|mode| !MODES.contains(&mode.text)) {
        let near = nearest(mode.text, MODES.iter().copied());
        return Err(Problem::new("unknown-value", say!("`{}` is not a mode", mode.text), mode.span()).help(
            match near {
                Some(near) => say!("did you mean `{}`?", near),
                None => say!("expected {}", MODES.join(", ")),
            },
        ));
    }
    let (negated, names) = match names.text.strip_prefix('!') {
        Some(rest) => (true, names.part(rest).trim()),
        None => (false, names),
    };
    let mut condition = AppLayerProtocol { protocols: Vec::new(), unknown: false, negated };
    for name in names.split('|') {
        match name.text {
            "unknown" if negated => {
                return Err(Problem::new("conflict", say!("`unknown` cannot be negated"), name.span()));
            }
            "unknown" => condition.unknown = true,
            "failed" => condition.protocols.push(&FAILED),
            text => match environment.protocol(text) {
                Some(protocol) => condition.protocols.push(protocol),
                None => wait_for_protocol(draft, name, environment)?,
            },
        }
    }
    draft.conditions.push(Box::new(condition));
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
    Err(Problem::new("unknown-protocol", say!("unknown protocol `{}`", name.text), name.span())
        .maybe_help(nearest(name.text, known).map(|near| say!("did you mean `{}`?", near))))
}
