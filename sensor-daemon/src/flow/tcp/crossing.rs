//! Connections that both sides open with a SYN: at the same time (RFC 9293, 3.5, figure 8), or because the one that is
//! asked answers with a SYN of its own. Then each acknowledges the SYN of the other.

use vigia_parsers::Direction;
use vigia_parsers::packet::Tcp;

use super::connection::{ACKED, CROSSED, Side, TcpState};
use super::{Connection, StreamEvent, WINDOW, established, sides};

impl Connection {
    /// Have both sides sent a SYN that answers none, and is the handshake not over?
    pub(super) fn crosses(&self) -> bool {
        !established(self.state) && self.sides.iter().all(|side| side.has(CROSSED))
    }
}

/// A SYN/ACK within such a handshake: what is wrong with it, or the state that it leads to. One that answers the SYN of the
/// other side is believed even if it goes with another SYN than that of its own side: who sent it has had what it answers,
/// and a SYN shows nothing, so it is the forged one. From then on the handshake is like any other.
pub(super) fn answer(c: &mut Connection, tcp: &Tcp, direction: Direction) -> [Option<StreamEvent>; 2] {
    let [this, other] = sides(c, direction);
    let (same, answers) = (tcp.sequence == this.initial, acknowledges(other, tcp.acknowledgement));
    if answers && !same {
        this.begin(tcp.sequence.wrapping_add(1));
    }
    let answered = same && other.has(ACKED) && acknowledges(this, other.acked);
    if answers {
        c.state = if answered { TcpState::Established } else { TcpState::SynRecv };
    }
    if answers && !same {
        c.windows.begin(tcp, direction);
        cross_no_more(c);
    }
    [(!same).then_some(StreamEvent::CrossingSynAckWrongSyn), (!answers).then_some(StreamEvent::CrossingSynAckWrongAck)]
}

/// A segment without SYN within such a handshake: what is wrong with it, or that it ends the handshake. After one that is
/// wrong it is not known what began here: the next ones are taken as those of any other handshake are.
pub(super) fn end(c: &mut Connection, tcp: &Tcp, direction: Direction) -> [Option<StreamEvent>; 2] {
    if !tcp.has(Tcp::ACK) {
        return [None; 2];
    }
    let [this, other] = sides(c, direction);
    // What the tap lost, or what came in another order, is near.
    let far = |number: u32, expected: u32| number.wrapping_sub(expected).wrapping_add(WINDOW) > 2 * WINDOW;
    let wrong = [
        far(tcp.sequence, this.next).then_some(StreamEvent::CrossingWrongSequence),
        far(tcp.acknowledgement, other.next).then_some(StreamEvent::CrossingInvalidAck),
    ];
    match wrong {
        [None, None] => c.state = TcpState::Established,
        _ => cross_no_more(c),
    }
    wrong
}

fn cross_no_more(c: &mut Connection) {
    c.sides.iter_mut().for_each(|side| side.clear(CROSSED));
}

/// Does this acknowledge the SYN of a side, with the data that came with it or without?
pub(super) fn acknowledges(side: &Side, acknowledgement: u32) -> bool {
    (1..=side.next.wrapping_sub(side.initial)).contains(&acknowledgement.wrapping_sub(side.initial))
}
