//! TCP streams: segments in, bytes in order out.
//!
//! A segment that is next in order is handed on as the packet's own bytes. What comes too early waits, within bounds,
//! until the hole before it is filled or known to be lost for good. It is lost when the receiver acknowledges bytes
//! behind it (the station got it, the tap did not), when a bound is reached, when nothing of the other side is seen for
//! a while, or when the flow ends; then a gap is told and the stream goes on with what waited.
//!
//! Nothing ends a stream: data after a reset or a FIN is handed on like any other, because only the receiver knows
//! whether it believed the reset.

mod connection;
mod crossing;
mod event;
mod handshake;
#[cfg(test)]
mod tests;
mod window;

use serde::{Deserialize, Serialize};
use vigia_parsers::packet::Tcp;
use vigia_parsers::{Direction, Timestamp};

use super::overlap::{OverlapPolicy, Pool};
use connection::{ACKED, FIN, GAP, HOLE, KNOWN, LONG, NEW_SYN, RST, SOFT, SYN, Side, TIMED, Waiting};
pub use connection::{Connection, TcpState};
pub use event::StreamEvent;

/// TCP streams of each worker.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Follow connections whose handshake was not seen.
    pub midstream: bool,
    /// Which bytes count where waiting segments overlap with different data.
    pub overlap: OverlapPolicy,
    /// Bytes of one direction that wait for a hole to be filled, at the most.
    pub waiting_bytes: u32,
    /// Segments of one direction that wait for a hole to be filled, at the most.
    pub waiting_segments: u32,
    /// Memory of all waiting segments of a worker, in bytes.
    pub memory_bytes: u64,
    /// A hole is given up after this time when nothing of the other side is seen, in milliseconds of packet time.
    pub gap_timeout_ms: u32,
    /// And after this many segments behind it.
    #[schemars(range(min = 1))]
    pub gap_segments: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            midstream: true,
            overlap: OverlapPolicy::default(),
            waiting_bytes: 256 * 1024,
            waiting_segments: 256,
            memory_bytes: 64 * 1024 * 1024,
            gap_timeout_ms: 500,
            gap_segments: 32,
        }
    }
}

/// What the streams of a worker did since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Bytes of memory in waiting segments now (gauge).
    pub memory_bytes: u64,
    /// Segments that had to wait for others before them.
    pub out_of_order: u64,
    /// Segments of which every byte had come before, keep-alives among them.
    pub retransmitted: u64,
    /// Segments that overlapped waiting ones with different bytes.
    pub overlap_different: u64,
    /// Gaps told.
    pub gaps: u64,
    /// Bytes in them.
    pub gap_bytes: u64,
    /// Holes given up because the receiver acknowledged them.
    pub gaps_acknowledged: u64,
    /// Holes given up because nothing of the other side was seen.
    pub gaps_timed_out: u64,
    /// Holes given up because one direction had too many bytes or segments waiting.
    pub gaps_limited: u64,
    /// Holes given up because all waiting segments together took too much memory.
    pub gaps_memory: u64,
    /// Connections followed without their handshake.
    pub midstream: u64,
    /// Segments far outside their stream.
    pub out_of_window: u64,
    /// Streams taken up again at another place.
    pub resynchronised: u64,
}

/// Takes what a stream consists of.
pub trait Deliver {
    /// The next bytes of a direction; never empty.
    fn data(&mut self, direction: Direction, bytes: &[u8]);

    /// Bytes of a direction were lost; 0 when their number cannot be known.
    fn gap(&mut self, direction: Direction, bytes: u64);

    /// Something odd.
    fn event(&mut self, direction: Direction, event: StreamEvent);
}

/// Sequence numbers further than this from what is expected are not of the stream as known, in bytes.
const WINDOW: u32 = 1 << 20;

/// After so many consecutive segments out of window, with nothing to contradict them, the stream goes on there.
const STRIKES: u8 = 3;

/// Puts segments in order, for all flows of a worker.
#[derive(Debug)]
pub struct Reassembler {
    settings: Settings,
    memory: usize,
    pool: Pool,
    stats: Stats,
}

/// Why a hole is given up.
enum Loss {
    Acknowledged,
    Silence,
    Limit,
    Memory,
}

impl Reassembler {
    /// With nothing waiting.
    pub fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone(), memory: 0, pool: Pool::default(), stats: Stats::default() }
    }

    /// Takes new settings over; streams stay.
    pub fn configure(&mut self, settings: &Settings) {
        self.settings = settings.clone();
    }

    /// Counters and gauges.
    pub fn stats(&self) -> Stats {
        Stats { memory_bytes: self.memory as u64, ..self.stats }
    }

    /// A segment of a connection: hands on what it brings or sets free.
    pub fn push<D: Deliver>(
        &mut self,
        connection: &mut Connection,
        tcp: &Tcp,
        payload: &[u8],
        direction: Direction,
        now: Timestamp,
        out: &mut D,
    ) {
        if let Some(times) = tcp.timestamps
            && !timely(connection, tcp, times, direction)
        {
            // What its receiver drops is no part of the stream.
            return out.event(direction, StreamEvent::InvalidTimestamp);
        }
        if tcp.flags & (Tcp::SYN | Tcp::RST) != 0 {
            self.handshake(connection, tcp, direction, out);
        } else if !self.picked_up(connection, tcp, !payload.is_empty(), direction, out) {
            return;
        }
        if tcp.has(Tcp::ACK) && window::takes_back(connection, tcp, direction) {
            // Who is told so takes no notice: neither of what it never sent, nor of the window.
            out.event(direction, StreamEvent::BadWindowUpdate);
        } else if tcp.has(Tcp::ACK) {
            self.acknowledge(connection, tcp, direction, out);
        } else if tcp.acknowledgement != 0 && !tcp.has(Tcp::RST) {
            out.event(direction, StreamEvent::BrokenAck);
        }
        // A RST's payload, if any, explains it to people; it is not of the stream.
        if !tcp.has(Tcp::RST) {
            let first = tcp.sequence.wrapping_add(u32::from(tcp.has(Tcp::SYN)));
            let fin = tcp.has(Tcp::FIN) && !tcp.has(Tcp::SYN);
            self.segment(connection, first, payload, fin, direction, now, out);
        }
        if connection.sides.iter().any(|side| side.has(FIN)) {
            connection.update_state();
        }
    }

    /// Hands on what still waits, with the gaps between. To be called for every flow that ends.
    pub fn finish<D: Deliver>(&mut self, connection: &mut Connection, out: &mut D) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            while connection.sides[direction.index()].has(HOLE) {
                self.give_up(connection, true, direction, out);
            }
        }
    }

    fn reset<D: Deliver>(&mut self, c: &mut Connection, tcp: &Tcp, direction: Direction, out: &mut D) {
        if c.state == TcpState::None {
            out.event(direction, StreamEvent::RstWithoutSession);
        }
        let [this, other] = sides(c, direction);
        let expected = if this.has(KNOWN) {
            tcp.sequence.wrapping_sub(this.next).wrapping_add(WINDOW) <= 2 * WINDOW
        } else {
            // A refused SYN is answered with sequence 0 and the SYN acknowledged (RFC 9293, 3.10.7.1).
            !other.has(SYN) || !tcp.has(Tcp::ACK) || tcp.acknowledgement.wrapping_sub(other.initial) <= WINDOW
        };
        if expected {
            this.set(RST);
            c.state = TcpState::Closed;
        } else {
            self.stats.out_of_window += 1;
            out.event(direction, StreamEvent::OutOfWindow);
        }
    }

    /// `direction`'s sender has received everything before what this segment acknowledges.
    fn acknowledge<D: Deliver>(&mut self, c: &mut Connection, tcp: &Tcp, direction: Direction, out: &mut D) {
        let acknowledged = tcp.acknowledgement;
        let established = established(c.state);
        c.windows.see(tcp, direction);
        let [this, other] = sides(c, direction);
        this.acked = acknowledged;
        this.set(ACKED);
        let (ahead, behind) = (acknowledged.wrapping_sub(other.next), other.next.wrapping_sub(acknowledged));
        // Where the tap lost bytes, it may be that they were sent.
        let complete = other.has(KNOWN) && other.has(SYN) && !other.has(GAP | HOLE);
        let invalid = ahead > WINDOW && behind > WINDOW && complete && established;
        if other.strikes > 0 {
            if other.candidate == acknowledged {
                self.resynchronise(c, acknowledged, direction.opposite(), out);
            } else {
                other.strikes = 0;
            }
        }
        if invalid {
            let of_flags = match () {
                () if tcp.has(Tcp::RST) => Some(StreamEvent::RstInvalidAck),
                () if tcp.has(Tcp::FIN) => Some(StreamEvent::FinInvalidAck),
                () => None,
            };
            let events = [Some(StreamEvent::InvalidAck), invalid_ack(c.state), of_flags];
            events.into_iter().flatten().for_each(|event| out.event(direction, event));
        }
        let opposite = direction.opposite();
        if c.sides[opposite.index()].has(HOLE) {
            if let Some(waiting) = &mut c.waiting {
                waiting[opposite.index()].answered = true;
            }
            self.release(c, opposite, None, out);
        }
    }

    /// A segment's data: `payload`, whose first byte has the sequence number `first`.
    #[expect(clippy::too_many_arguments, reason = "the parts of one segment, taken apart once")]
    fn segment<D: Deliver>(
        &mut self,
        c: &mut Connection,
        first: u32,
        payload: &[u8],
        fin: bool,
        direction: Direction,
        now: Timestamp,
        out: &mut D,
    ) {
        let side = &mut c.sides[direction.index()];
        if side.next == first && side.has(KNOWN) && !side.has(HOLE | FIN) {
            side.next = first.wrapping_add(payload.len() as u32);
            if side.next.wrapping_sub(side.initial) > WINDOW {
                side.set(LONG);
            }
            if !payload.is_empty() {
                side.clear(SOFT);
                side.strikes = 0;
                out.data(direction, payload);
            }
            if fin {
                self.fin(c, direction);
            }
            return;
        }
        if !side.has(KNOWN) || (side.has(SOFT) && first == side.next.wrapping_add(1) && !payload.is_empty()) {
            side.begin(first);
            side.set(KNOWN);
            side.clear(SOFT);
            if payload.is_empty() && !fin {
                side.set(SOFT);
                return;
            }
            return self.segment(c, first, payload, fin, direction, now, out);
        }
        self.out_of_order(c, first, payload, fin, direction, now, out);
    }

    /// A segment that is not just the next one.
    #[expect(clippy::too_many_arguments, reason = "as for segment")]
    fn out_of_order<D: Deliver>(
        &mut self,
        c: &mut Connection,
        first: u32,
        payload: &[u8],
        fin: bool,
        direction: Direction,
        now: Timestamp,
        out: &mut D,
    ) {
        if payload.is_empty() && !fin {
            return;
        }
        let [side, other] = sides(c, direction);
        let length = payload.len() as u32;
        let end = first.wrapping_add(length);
        let reaches = end.wrapping_sub(side.next).wrapping_add(1);
        if side.has(FIN) && !payload.is_empty() && (1..=WINDOW).contains(&reaches) {
            // New data behind the FIN: no receiver takes it, unless the FIN was forged. So there was none.
            side.clear(FIN);
            side.next = if first == side.next { first } else { side.next.wrapping_sub(1) };
            c.state = TcpState::Established;
            return self.segment(c, first, payload, fin, direction, now, out);
        }
        let ahead = first.wrapping_sub(side.next);
        let behind = side.next.wrapping_sub(first);
        if ahead > WINDOW && behind > WINDOW {
            return self.outside(c, first, payload, fin, direction, now, out);
        }
        let (first, fresh) = if behind <= WINDOW && behind > 0 {
            // Empty when nothing is new.
            (side.next, payload.get(behind as usize..).unwrap_or_default())
        } else {
            (first, payload)
        };
        let fin_is_new = fin && !side.has(FIN) && !(behind > 0 && behind <= WINDOW && behind > length);
        if fresh.is_empty() && !fin_is_new {
            self.stats.retransmitted += 1;
            // A keep-alive repeats one byte, or none.
            if length > 1 {
                let acked = other.has(ACKED).then(|| other.acked.wrapping_sub(end));
                let event = match side.is_before(end) {
                    true => StreamEvent::BeforeBeginning,
                    false => StreamEvent::Retransmission,
                };
                out.event(direction, event);
                again(c.state, acked).into_iter().flatten().for_each(|event| out.event(direction, event));
            }
            return;
        }
        if first == side.next && !side.has(HOLE | FIN) {
            return self.segment(c, first, fresh, fin_is_new, direction, now, out);
        }
        let certain = other.has(ACKED) && !side.has(HOLE) && {
            let beyond = other.acked.wrapping_sub(first);
            beyond <= WINDOW
        };
        self.wait(c, first, fresh, fin_is_new, direction, now, out);
        if certain && let Some(waiting) = &mut c.waiting {
            waiting[direction.index()].certain = true;
        }
        self.release(c, direction, Some(now), out);
    }

    /// Puts a segment aside.
    #[expect(clippy::too_many_arguments, reason = "as for segment")]
    fn wait<D: Deliver>(
        &mut self,
        c: &mut Connection,
        first: u32,
        fresh: &[u8],
        fin: bool,
        direction: Direction,
        now: Timestamp,
        out: &mut D,
    ) {
        let side = &mut c.sides[direction.index()];
        let waiting = &mut c.waiting.get_or_insert_default()[direction.index()];
        if !side.has(HOLE) {
            *waiting = Waiting { since: now, ..Waiting::default() };
            side.set(HOLE);
            side.clear(SOFT);
        }
        let start = waiting.position + u64::from(first.wrapping_sub(side.next));
        let before = waiting.pieces.footprint();
        let met = waiting.pieces.insert(start, fresh, self.settings.overlap, &mut self.pool);
        self.memory += waiting.pieces.footprint() - before;
        waiting.segments += 1;
        if fin {
            waiting.fin.get_or_insert(start + fresh.len() as u64);
        }
        self.stats.out_of_order += 1;
        if met.different {
            self.stats.overlap_different += 1;
            out.event(direction, StreamEvent::OverlapDifferentData);
        }
    }

    /// Hands on what waits and is next; gives holes up that are lost.
    fn release<D: Deliver>(&mut self, c: &mut Connection, direction: Direction, now: Option<Timestamp>, out: &mut D) {
        self.drain(c, direction, out);
        while let Some(loss) = self.loss(c, direction, now) {
            match loss {
                Loss::Acknowledged => self.stats.gaps_acknowledged += 1,
                Loss::Silence => self.stats.gaps_timed_out += 1,
                Loss::Limit => self.stats.gaps_limited += 1,
                Loss::Memory => self.stats.gaps_memory += 1,
            }
            self.give_up(c, false, direction, out);
            if let Some(waiting) = &mut c.waiting {
                let waiting = &mut waiting[direction.index()];
                waiting.since = now.unwrap_or(waiting.since);
                waiting.segments = waiting.pieces.len() as u32;
                waiting.answered = false;
            }
        }
    }

    /// Is the first hole of this direction lost for good, and why?
    fn loss(&self, c: &Connection, direction: Direction, now: Option<Timestamp>) -> Option<Loss> {
        let (side, other) = (&c.sides[direction.index()], &c.sides[direction.opposite().index()]);
        if !side.has(HOLE) {
            return None;
        }
        let waiting = &c.waiting.as_ref()?[direction.index()];
        let hole = waiting.hole_end()? - waiting.position;
        let behind = other.acked.wrapping_sub(side.next.wrapping_add(hole as u32));
        // Acknowledging the hole alone may be reordering in the capture, unless it came before all behind the hole.
        if other.has(ACKED) && (behind as i32 > 0 || (behind == 0 && waiting.certain)) {
            return Some(Loss::Acknowledged);
        }
        if self.memory as u64 > self.settings.memory_bytes {
            return Some(Loss::Memory);
        }
        if waiting.pieces.bytes() > self.settings.waiting_bytes as usize
            || waiting.pieces.len() > self.settings.waiting_segments as usize
        {
            return Some(Loss::Limit);
        }
        let patience = u64::from(self.settings.gap_timeout_ms) * 1_000_000;
        let waited = now.is_some_and(|now| now.since(waiting.since) >= patience);
        if !waiting.answered && (waited || waiting.segments >= self.settings.gap_segments) {
            return Some(Loss::Silence);
        }
        None
    }

    /// Tells the first hole of this direction as a gap and hands on what stands behind it. `ends`: nothing more comes.
    fn give_up<D: Deliver>(&mut self, c: &mut Connection, ends: bool, direction: Direction, out: &mut D) {
        let side = &mut c.sides[direction.index()];
        let Some(waiting) = c.waiting.as_mut().map(|waiting| &mut waiting[direction.index()]) else { return };
        if let Some(end) = waiting.hole_end() {
            let lost = end - waiting.position;
            side.next = side.next.wrapping_add(lost as u32);
            waiting.position = end;
            waiting.certain = false;
            let end = side.next;
            // What is missing at the end of a connection and was never acknowledged, the receiver misses too.
            let odd = !ends || c.has_acknowledged(direction, end) != Some(false);
            self.tell_gap(c, lost, odd, direction, out);
        }
        self.drain(c, direction, out);
    }

    /// Tells a gap, and the event of it when it is `odd`.
    fn tell_gap<D: Deliver>(&mut self, c: &mut Connection, lost: u64, odd: bool, direction: Direction, out: &mut D) {
        c.sides[direction.index()].set(GAP);
        self.stats.gaps += 1;
        self.stats.gap_bytes += lost;
        if odd {
            out.event(direction, StreamEvent::SequenceGap);
        }
        out.gap(direction, lost);
    }

    /// Hands on what waits and is next.
    fn drain<D: Deliver>(&mut self, c: &mut Connection, direction: Direction, out: &mut D) {
        let side = &mut c.sides[direction.index()];
        let Some(both) = c.waiting.as_mut() else { return };
        let waiting = &mut both[direction.index()];
        let before = waiting.pieces.footprint();
        while waiting.pieces.first().is_some_and(|piece| piece.start <= waiting.position) {
            let Some(piece) = waiting.pieces.pop() else { break };
            let fresh = piece.bytes.get((waiting.position - piece.start) as usize..).unwrap_or_default();
            if !fresh.is_empty() {
                waiting.position += fresh.len() as u64;
                side.next = side.next.wrapping_add(fresh.len() as u32);
                out.data(direction, fresh);
            }
            self.pool.put(piece.bytes);
        }
        self.memory -= before - waiting.pieces.footprint();
        let fin = waiting.fin.is_some_and(|fin| fin <= waiting.position);
        if !waiting.pieces.is_empty() {
            if fin {
                // There is data behind it: forged.
                waiting.fin = None;
            }
            return;
        }
        if fin || waiting.fin.is_none() {
            side.clear(HOLE);
            let idle = !c.sides.iter().any(|side| side.has(HOLE));
            if idle {
                c.waiting = None;
            }
        }
        if fin {
            self.fin(c, direction);
        }
    }

    /// All bytes of this direction before its FIN were handed on.
    fn fin(&mut self, c: &mut Connection, direction: Direction) {
        let [this, other] = sides(c, direction);
        this.set(FIN);
        this.next = this.next.wrapping_add(1);
        if direction == Direction::ToClient && !other.has(FIN) {
            c.server_closed_first = true;
        }
    }

    /// A segment far from what is expected: of a connection that began anew unseen, or forged.
    #[expect(clippy::too_many_arguments, reason = "as for segment")]
    fn outside<D: Deliver>(
        &mut self,
        c: &mut Connection,
        first: u32,
        payload: &[u8],
        fin: bool,
        direction: Direction,
        now: Timestamp,
        out: &mut D,
    ) {
        self.stats.out_of_window += 1;
        outside(c.state, fin).into_iter().flatten().for_each(|event| out.event(direction, event));
        let [side, other] = sides(c, direction);
        side.strikes = if side.strikes > 0 && side.candidate == first { side.strikes + 1 } else { 1 };
        side.candidate = first.wrapping_add(payload.len() as u32);
        side.clear(NEW_SYN);
        // The receiver is there already; or nobody contradicts.
        let received = other.has(ACKED) && other.acked.wrapping_sub(first).wrapping_add(WINDOW) <= 2 * WINDOW;
        if received || side.strikes >= STRIKES {
            self.resynchronise(c, first, direction, out);
            self.segment(c, first, payload, false, direction, now, out);
        }
    }

    /// Goes on at another place of the stream.
    fn resynchronise<D: Deliver>(&mut self, c: &mut Connection, next: u32, direction: Direction, out: &mut D) {
        while c.sides[direction.index()].has(HOLE) {
            self.give_up(c, false, direction, out);
        }
        let side = &mut c.sides[direction.index()];
        // Backwards it cannot be the same stream, so nobody knows how much was lost.
        let lost = next.wrapping_sub(side.next);
        let lost = if (lost as i32) < 0 { 0 } else { u64::from(lost) };
        side.begin(next);
        side.strikes = 0;
        side.clear(FIN | SYN);
        c.windows.forget(direction);
        self.stats.resynchronised += 1;
        self.tell_gap(c, lost, true, direction, out);
    }
}

/// How long after its first SYN a client may still be answered, in ticks of its timestamps, of which none is shorter than
/// a millisecond: what a SYN sent again for two minutes comes to.
const SYN_TICKS: u32 = 127_000;

/// Does the receiver take a segment with these timestamps, a value and an echo? The answer to a SYN echoes what came with
/// it (RFC 7323, 3.2).
fn timely(c: &mut Connection, tcp: &Tcp, (value, echo): (u32, u32), direction: Direction) -> bool {
    let unanswered = matches!(c.state, TcpState::None | TcpState::SynSent);
    let [this, _] = sides(c, direction);
    if unanswered && tcp.has(Tcp::SYN) && !tcp.has(Tcp::ACK) {
        // Of a SYN that was sent again, the newest, in whichever order the tap shows them.
        let again = this.has(SYN) && this.has(TIMED) && this.initial == tcp.sequence;
        if !again || value.wrapping_sub(this.candidate).cast_signed() > 0 {
            this.candidate = value;
        }
        this.set(TIMED);
    }
    let answers = c.state == TcpState::SynSent && tcp.has(Tcp::ACK);
    let [this, other] = sides(c, direction);
    if !answers || !other.has(SYN) || this.has(SYN) || echo == 0 {
        return true;
    }
    other.has(TIMED) && other.candidate.wrapping_sub(echo) <= SYN_TICKS
}

/// An acknowledgement outside what was sent, by the state of its connection.
fn invalid_ack(state: TcpState) -> Option<StreamEvent> {
    Some(match state {
        TcpState::Established => StreamEvent::EstablishedInvalidAck,
        TcpState::FinWait1 => StreamEvent::FinWait1InvalidAck,
        TcpState::FinWait2 => StreamEvent::FinWait2InvalidAck,
        TcpState::CloseWait => StreamEvent::CloseWaitInvalidAck,
        TcpState::LastAck => StreamEvent::LastAckInvalidAck,
        TcpState::Closing => StreamEvent::ClosingInvalidAck,
        TcpState::TimeWait => StreamEvent::TimeWaitInvalidAck,
        TcpState::None | TcpState::SynSent | TcpState::SynRecv | TcpState::Closed => return None,
    })
}

/// A segment far from what is expected, by the state of its connection, and whether it ends the stream.
fn outside(state: TcpState, fin: bool) -> [Option<StreamEvent>; 2] {
    let event = match (state, fin) {
        (TcpState::FinWait1, false) => StreamEvent::FinWait1WrongSequence,
        (TcpState::FinWait1, true) => StreamEvent::FinWait1FinWrongSequence,
        (TcpState::FinWait2, false) => StreamEvent::FinWait2WrongSequence,
        (TcpState::FinWait2, true) => StreamEvent::FinWait2FinWrongSequence,
        (TcpState::CloseWait, false) => StreamEvent::CloseWaitOutOfWindow,
        (TcpState::CloseWait, true) => StreamEvent::CloseWaitFinOutOfWindow,
        (TcpState::LastAck, _) => StreamEvent::LastAckWrongSequence,
        (TcpState::Closing, _) => StreamEvent::ClosingWrongSequence,
        (TcpState::TimeWait, _) => StreamEvent::TimeWaitWrongSequence,
        (_, fin) => return [Some(StreamEvent::OutOfWindow), fin.then_some(StreamEvent::FinOutOfWindow)],
    };
    [Some(event), None]
}

/// A segment that came before, whose end is `acked` bytes before what is acknowledged.
fn again(state: TcpState, acked: Option<u32>) -> [Option<StreamEvent>; 2] {
    let Some(acked) = acked.filter(|&acked| acked <= WINDOW) else { return [None; 2] };
    let before = match state {
        TcpState::Established => Some(StreamEvent::EstablishedBeforeLastAck),
        TcpState::CloseWait => Some(StreamEvent::CloseWaitBeforeLastAck),
        _ => None,
    };
    [Some(StreamEvent::SpuriousRetransmission), before.filter(|_| acked > 0)]
}

/// Is the handshake over, or was it not seen?
fn established(state: TcpState) -> bool {
    !matches!(state, TcpState::None | TcpState::SynSent | TcpState::SynRecv)
}

/// The side that sends in this direction, and the other.
fn sides(c: &mut Connection, direction: Direction) -> [&mut Side; 2] {
    let [client, server] = &mut c.sides;
    match direction {
        Direction::ToServer => [client, server],
        Direction::ToClient => [server, client],
    }
}
