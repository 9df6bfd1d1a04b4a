//! How a connection begins: the handshake, what contradicts it, and what is picked up midstream.

use vigia_parsers::Direction;
use vigia_parsers::packet::Tcp;

use super::connection::{ACKED, CROSSED, KNOWN, NEW_SYN, RST, SOFT, SYN, Side, TcpState};
use super::{Connection, Deliver, Reassembler, StreamEvent, WINDOW, crossing, established, sides};

/// SYNs and SYN/ACKs that may contradict each other before it is a flood.
const SYNS: u8 = 10;
const SYN_ACKS: u8 = 5;

impl Reassembler {
    /// Is a segment without SYN one of a connection that is followed?
    pub(super) fn picked_up<D: Deliver>(
        &mut self,
        c: &mut Connection,
        tcp: &Tcp,
        has_data: bool,
        direction: Direction,
        out: &mut D,
    ) -> bool {
        match c.state {
            TcpState::None if !self.settings.midstream => return false,
            TcpState::None => {
                if tcp.has(Tcp::FIN) {
                    out.event(direction, StreamEvent::FinWithoutSession);
                }
                self.stats.midstream += 1;
                c.state = TcpState::Established;
            }
            TcpState::SynSent | TcpState::SynRecv if c.crosses() => {
                let wrong = crossing::end(c, tcp, direction);
                wrong.into_iter().flatten().for_each(|event| out.event(direction, event));
            }
            TcpState::SynSent | TcpState::SynRecv => {
                if let Some(event) = wrong_end(c, tcp, direction) {
                    out.event(direction, event);
                }
                // The client's ACK completes the handshake; an answer of the server to the SYN, that the tap lost a part.
                let syn = c.sides[Direction::ToServer.index()].initial;
                let answered = c.state == TcpState::SynRecv || syn.wrapping_add(1) == tcp.acknowledgement;
                if direction == Direction::ToServer || answered {
                    c.state = TcpState::Established;
                }
            }
            TcpState::Closed if has_data && c.sides[direction.index()].has(RST) => {
                let side = &mut c.sides[direction.index()];
                if side.next == tcp.sequence {
                    side.clear(RST);
                    c.state = TcpState::Established;
                    out.event(direction, StreamEvent::SuspectedRstInject);
                }
            }
            _ => {}
        }
        true
    }

    /// A segment with SYN or RST.
    pub(super) fn handshake<D: Deliver>(&mut self, c: &mut Connection, tcp: &Tcp, direction: Direction, out: &mut D) {
        if tcp.has(Tcp::SYN | Tcp::FIN) {
            out.event(direction, StreamEvent::FinSyn);
        }
        if tcp.has(Tcp::RST) {
            return self.reset(c, tcp, direction, out);
        }
        let answer = tcp.has(Tcp::ACK);
        if c.crosses() && answer {
            let wrong = crossing::answer(c, tcp, direction);
            return wrong.into_iter().flatten().for_each(|event| out.event(direction, event));
        }
        if c.crosses() && c.sides[direction.index()].initial == tcp.sequence {
            return; // sent again
        }
        if answer && direction == Direction::ToServer && c.state == TcpState::SynSent && !c.sides[1].has(SYN) {
            out.event(direction, StreamEvent::SynAckInWrongDirection);
        }
        if answer && is_late(c, tcp, direction) {
            let [this, _] = sides(c, direction);
            return began(this, tcp.sequence);
        }
        if let Some(event) = contradiction(c, tcp, direction) {
            out.event(direction, event);
        }
        let (established, state) = (established(c.state), c.state);
        let [this, other] = sides(c, direction);
        if this.has(SYN) && this.initial == tcp.sequence {
            return; // sent again
        }
        if this.has(SYN) && !established {
            this.starts = this.starts.saturating_add(1);
            let (most, flood) =
                if answer { (SYN_ACKS, StreamEvent::SynAckFlood) } else { (SYNS, StreamEvent::SynFlood) };
            if this.starts > most {
                out.event(direction, flood);
            }
        }
        if established || (state == TcpState::SynRecv && this.has(SYN)) {
            // Whichever is forged: the first stands, until the other side answers this one or data follows it.
            this.candidate = tcp.sequence;
            this.strikes = 0;
            return this.set(NEW_SYN);
        }
        if answer && other.has(SYN) {
            // A SYN that carried data may be acknowledged with it.
            let ahead = tcp.acknowledgement.wrapping_sub(other.initial);
            if ahead == 0 || ahead > WINDOW {
                return out.event(direction, StreamEvent::SynAckWrongAck);
            }
            if ahead == 1 && other.next.wrapping_sub(other.initial) > 1 {
                out.event(direction, StreamEvent::SynDataIgnored);
            }
        }
        if answer && !other.has(KNOWN) {
            other.begin(tcp.acknowledgement);
            other.set(KNOWN | SYN);
        }
        if !answer && other.has(SYN) && state == TcpState::SynSent {
            this.set(CROSSED);
            other.set(CROSSED);
        }
        this.begin(tcp.sequence.wrapping_add(1));
        this.set(KNOWN | SYN);
        this.clear(SOFT);
        c.windows.begin(tcp, direction);
        c.state = if answer { TcpState::SynRecv } else { TcpState::SynSent };
    }
}

/// What is wrong with the segment of the client that is to end a handshake.
fn wrong_end(c: &Connection, tcp: &Tcp, direction: Direction) -> Option<StreamEvent> {
    let [client, server] = &c.sides;
    let seen = c.state == TcpState::SynRecv && client.has(SYN) && server.has(SYN);
    if !seen || direction == Direction::ToClient || !tcp.has(Tcp::ACK) {
        return None;
    }
    // What the tap lost, or what came in another order, is near.
    let near = |number: u32, expected: u32| number.wrapping_sub(expected).wrapping_add(WINDOW) <= 2 * WINDOW;
    match (near(tcp.sequence, client.next), near(tcp.acknowledgement, server.next)) {
        (_, true) => None,
        (true, false) => Some(StreamEvent::HandshakeWrongAck),
        (false, false) => Some(StreamEvent::HandshakeWrongSequenceAndAck),
    }
}

/// Is this SYN/ACK the server's first, which the tap shows after what answered it?
fn is_late(c: &Connection, tcp: &Tcp, direction: Direction) -> bool {
    let [client, server] = &c.sides;
    if c.state != TcpState::Established || direction == Direction::ToServer || server.has(SYN) {
        return false;
    }
    let leads_to = |number: u32, first: u32| number.wrapping_sub(first) <= WINDOW;
    let answers = match client.has(SYN) {
        true => crossing::acknowledges(client, tcp.acknowledgement),
        false => client.has(KNOWN) && leads_to(client.next, tcp.acknowledgement),
    };
    let first = tcp.sequence.wrapping_add(1);
    answers
        && match server.has(KNOWN) {
            true => leads_to(server.next, first),
            false => client.has(ACKED) && leads_to(client.acked, first),
        }
}

/// The stream of a side, which may have gone on since, began with this SYN.
fn began(side: &mut Side, sequence: u32) {
    if !side.has(KNOWN) {
        side.next = sequence.wrapping_add(1);
    }
    side.initial = sequence;
    side.set(KNOWN | SYN);
    side.clear(SOFT);
}

/// What is odd about a segment with SYN once the handshake was answered.
fn contradiction(c: &Connection, tcp: &Tcp, direction: Direction) -> Option<StreamEvent> {
    let (this, other) = (&c.sides[direction.index()], &c.sides[direction.opposite().index()]);
    let answer = tcp.has(Tcp::ACK);
    let to_server = direction == Direction::ToServer;
    let same = this.has(SYN) && this.initial == tcp.sequence;
    let expected = other.initial.wrapping_add(1);
    // A SYN that carried data may have been acknowledged with it.
    let same_ack = [expected, this.acked].contains(&tcp.acknowledgement) || !other.has(SYN);
    // Both have gone on since, so neither can have missed the handshake.
    let confirmed = this.next != this.initial.wrapping_add(1) && this.has(ACKED) && this.acked != expected;
    Some(match (c.state, answer) {
        (TcpState::None | TcpState::SynSent, _) => return None,
        (TcpState::SynRecv, false) if !to_server && this.has(SYN) => StreamEvent::HandshakeSynToClient,
        (TcpState::SynRecv, true) if to_server && this.has(SYN) && !same => StreamEvent::HandshakeSynAckToServer,
        (TcpState::SynRecv, true) if same && !same_ack => StreamEvent::HandshakeSynAckDifferentAck,
        (TcpState::SynRecv, _) if same || !this.has(SYN) => return None,
        (TcpState::SynRecv, true) => StreamEvent::HandshakeSynAckDifferentSequence,
        (TcpState::SynRecv, false) => StreamEvent::HandshakeSynDifferentSequence,
        (TcpState::Established, false) if !to_server => StreamEvent::SynToClient,
        (TcpState::Established, true) if to_server => StreamEvent::SynAckToServer,
        (TcpState::Established, true) if same && !same_ack => StreamEvent::SynAckResendDifferentAck,
        (TcpState::Established, _) if same && !confirmed => return None,
        (TcpState::Established, true) if same => StreamEvent::SynAckResend,
        (TcpState::Established, false) if same => StreamEvent::SynResend,
        (TcpState::Established, true) => StreamEvent::SynAckResendDifferentSequence,
        (TcpState::Established, false) => StreamEvent::SynResendDifferentSequence,
        (_, false) => StreamEvent::ShutdownSynResend,
        (_, true) if same => return None,
        (_, true) => StreamEvent::SynAckResendDifferentSequence,
    })
}
