//! Where a header says that its rule is to be inspected: `tcp:flow_start`, `modbus:request_complete`.
//!
//! In rules that detect, what a rule asks for says as much; firewalls want it said, and rules are shared. A message is inspected
//! once it is whole, so all states of a request are one.

use vigia_parsers::Direction;

use super::Draft;
use super::rule::Only;
use crate::engine::view::{Condition, Key, View};
use crate::language::said::say;
use crate::language::set::RangeSet;
use crate::language::syntax::Word;
use crate::language::{Problem, nearest};

/// Hooks of packets.
const PACKET: &[&str] = &["flow_start", "pre_flow", "pre_stream", "all"];
/// Hooks that every protocol of the application layer has.
const MESSAGE: &[&str] = &["request_started", "request_complete", "response_started", "response_complete"];
/// How the states of protocols that have more of them begin: to the server, to the client.
const SIDES: [[&str; 2]; 2] = [["request_", "client_"], ["response_", "server_"]];

/// The first packet of each direction.
struct First;

impl Condition for First {
    fn holds(&self, view: &View<'_>) -> bool {
        let count = view.moment.flow.as_ref().zip(view.moment.direction).map(|(it, way)| it.packets[way.index()]);
        count.is_some_and(|count| count <= 1)
    }
}

/// What goes this way.
struct Way(Direction);

impl Condition for Way {
    fn holds(&self, view: &View<'_>) -> bool {
        view.moment.direction == Some(self.0)
    }

    fn domain(&self) -> Option<(Key, RangeSet<u64>)> {
        Some((Key::Direction, RangeSet::one(self.0.index() as u64)))
    }
}

/// The protocol of a header without its hook, and the hook.
pub(super) fn split(protocol: Word<'_>) -> (Word<'_>, Option<Word<'_>>) {
    match protocol.text.split_once(':') {
        // With `<`, a firewall takes the states before as well.
        Some((name, hook)) => (protocol.part(name), Some(protocol.part(hook.strip_prefix('<').unwrap_or(hook)))),
        None => (protocol, None),
    }
}

/// A hook of packets.
pub(super) fn of_packets(draft: &mut Draft, hook: Word<'_>) -> Result<(), Problem> {
    if !PACKET.contains(&hook.text) {
        return Err(unknown(hook, PACKET));
    }
    draft.only = Some(Only::Packet);
    draft.selective = true;
    if hook.text == "flow_start" {
        draft.conditions.push(Box::new(First));
    }
    Ok(())
}

/// A hook of messages; of a protocol that is `dissected` the states are known.
pub(super) fn of_messages(draft: &mut Draft, hook: Word<'_>, dissected: bool) -> Result<(), Problem> {
    let begins = |side: &[&str]| side.iter().any(|begin| hook.text.starts_with(begin));
    let known = if dissected { MESSAGE.contains(&hook.text) } else { SIDES.iter().any(|side| begins(side)) };
    if !known {
        return Err(unknown(hook, MESSAGE));
    }
    let way = if begins(&SIDES[0]) { Direction::ToServer } else { Direction::ToClient };
    draft.message = true;
    draft.conditions.push(Box::new(Way(way)));
    Ok(())
}

fn unknown(hook: Word<'_>, known: &[&str]) -> Problem {
    let near = nearest(hook.text, known.iter().copied());
    Problem::new("unknown-value", say!("there is no hook `{}` here", hook.text), hook.span()).help(match near {
        Some(near) => say!("did you mean `{}`?", near),
        None => say!("expected {}", known.join(", ")),
    })
}
