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

/// A SYN/ACK within such a handshake: what is wrong with it, or the state that it leads to.
pub(super) fn answer(c: &mut Connection, tcp: &Tcp, direction: Direction) -> [Option<StreamEvent>; 2] {
    let [this, other] = sides(c, direction);
    let wrong = [
        (tcp.sequence != this.initial).then_some(StreamEvent::CrossingSynAckWrongSyn),
        (!acknowledges(other, tcp.acknowledgement)).then_some(StreamEvent::CrossingSynAckWrongAck),
    ];
    if wrong == [None; 2] {
        let answered = other.has(ACKED) && acknowledges(this, other.acked);
        c.state = if answered { TcpState::Established } else { TcpState::SynRecv };
    }
    wrong
}

/// A segment without SYN within such a handshake: what is wrong with it, or that it ends the handshake.
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
    if wrong == [None; 2] {
        c.state = TcpState::Established;
    }
    wrong
}

/// Does this acknowledge the SYN of a side, with the data that came with it or without?
pub(super) fn acknowledges(side: &Side, acknowledgement: u32) -> bool {
    (1..=side.next.wrapping_sub(side.initial)).contains(&acknowledgement.wrapping_sub(side.initial))
}
