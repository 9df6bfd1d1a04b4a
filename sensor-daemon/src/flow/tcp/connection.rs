//! What is remembered of a TCP connection: 56 bytes while every segment comes in order.

use vigia_parsers::Direction;
use vigia_parsers::Timestamp;
use vigia_parsers::packet::Tcp;

use super::super::overlap::Pieces;
use super::WINDOW;
use super::window::Windows;

/// State of a connection; EVE's `tcp.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TcpState {
    /// Not TCP, or nothing seen that says.
    #[default]
    None,
    /// The client sent a SYN.
    SynSent,
    /// The server answered it.
    SynRecv,
    /// The handshake is complete, or was not seen and data flows.
    Established,
    /// The client sent a FIN.
    FinWait1,
    /// And the server acknowledged it.
    FinWait2,
    /// The server sent a FIN first.
    CloseWait,
    /// And the client too.
    LastAck,
    /// Both sent a FIN, and the client's is not acknowledged.
    Closing,
    /// Both sent a FIN, and the client's is acknowledged.
    TimeWait,
    /// Both FINs are acknowledged, or it was reset.
    Closed,
}

impl TcpState {
    /// EVE's spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SynSent => "syn_sent",
            Self::SynRecv => "syn_recv",
            Self::Established => "established",
            Self::FinWait1 => "fin_wait1",
            Self::FinWait2 => "fin_wait2",
            Self::CloseWait => "close_wait",
            Self::LastAck => "last_ack",
            Self::Closing => "closing",
            Self::TimeWait => "time_wait",
            Self::Closed => "closed",
        }
    }

    /// Did the connection end, or is it about to?
    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::TimeWait | Self::LastAck | Self::Closing)
    }
}

/// One side of a connection: the stream it sends.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// Its SYN's sequence number; where none was seen, that before the first byte of it that is known.
    pub(super) initial: u32,
    /// Sequence number of the next byte to hand on.
    pub(super) next: u32,
    /// Its last acknowledgement: what it has received of the other side.
    pub(super) acked: u32,
    /// While [`Side::strikes`]: where a segment far outside the stream ended. Before the handshake is answered: the
    /// timestamp of its SYN, if it is [`TIMED`].
    pub(super) candidate: u32,
    /// Consecutive segments there.
    pub(super) strikes: u8,
    /// SYNs of it, with or without ACK, that contradicted the one before the handshake was complete.
    pub(super) starts: u8,
    flags: u16,
}

/// [`Side::next`] is known.
pub(super) const KNOWN: u16 = 1;
/// [`Side::acked`] is known.
pub(super) const ACKED: u16 = 1 << 1;
/// [`Side::initial`] is of a SYN.
pub(super) const SYN: u16 = 1 << 2;
/// Its FIN came, all bytes before it were handed on.
pub(super) const FIN: u16 = 1 << 3;
/// It sent a RST.
pub(super) const RST: u16 = 1 << 4;
/// Bytes of it were lost.
pub(super) const GAP: u16 = 1 << 5;
/// Segments wait behind a hole.
pub(super) const HOLE: u16 = 1 << 6;
/// `next` is from a segment without data and may be one short, as in a keep-alive.
pub(super) const SOFT: u16 = 1 << 7;
/// It sent a SYN within the connection: `candidate` is its sequence number.
pub(super) const NEW_SYN: u16 = 1 << 8;

/// Its SYN carried timestamps.
pub(super) const TIMED: u16 = 1 << 9;
/// Neither its SYN nor that of the other side answers the other.
pub(super) const CROSSED: u16 = 1 << 10;
/// It has gone further than a window from [`Side::initial`]; it may have come round to there.
pub(super) const LONG: u16 = 1 << 11;

impl Side {
    pub(super) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn set(&mut self, flag: u16) {
        self.flags |= flag;
    }

    pub(super) fn clear(&mut self, flag: u16) {
        self.flags &= !flag;
    }

    /// What is known of its stream begins here.
    pub(super) fn begin(&mut self, first: u32) {
        self.initial = first.wrapping_sub(1);
        self.next = first;
        self.clear(LONG);
    }

    /// Does what ends here, and is close to what comes next, end before all that is known?
    pub(super) fn is_before(&self, end: u32) -> bool {
        let beginning = self.initial.wrapping_add(1);
        !self.has(LONG) && beginning.wrapping_sub(end) <= WINDOW
    }
}

/// Segments of one side that wait for a hole to be filled.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) pieces: Pieces,
    /// Where [`Side::next`] stands among the pieces' positions.
    pub(super) position: u64,
    /// Where the stream ends, once a FIN came.
    pub(super) fin: Option<u64>,
    /// When the hole was noticed.
    pub(super) since: Timestamp,
    /// Segments that came since.
    pub(super) segments: u32,
    /// The receiver acknowledged something since.
    pub(super) answered: bool,
    /// The receiver had acknowledged the hole before anything came behind it.
    pub(super) certain: bool,
}

impl Waiting {
    /// Where the hole ends.
    pub(super) fn hole_end(&self) -> Option<u64> {
        // A FIN with data behind it is forged.
        self.pieces.first().map(|piece| piece.start).or(self.fin)
    }
}

/// A TCP connection.
#[derive(Debug, Default)]
pub struct Connection {
    /// By direction.
    pub(super) sides: [Side; 2],
    pub(super) waiting: Option<Box<[Waiting; 2]>>,
    pub(super) windows: Windows,
    pub(super) state: TcpState,
    /// The server sent its FIN before the client.
    pub(super) server_closed_first: bool,
}

impl Connection {
    /// Its state.
    pub fn state(&self) -> TcpState {
        self.state
    }

    /// How far the sequence numbers of each side have come since its SYN, which counts as one; 0 where none was seen.
    pub fn sent(&self) -> [u32; 2] {
        [&self.sides[0], &self.sides[1]].map(|side| match side.has(SYN) && side.has(KNOWN) {
            true => side.next.wrapping_sub(side.initial),
            false => 0,
        })
    }

    /// Sequence number of the next byte of a direction.
    pub fn next(&self, direction: Direction) -> u32 {
        self.sides[direction.index()].next
    }

    /// Has the receiver of a direction acknowledged everything before `end`? Nothing when it is not seen at all.
    pub fn has_acknowledged(&self, direction: Direction, end: u32) -> Option<bool> {
        let receiver = &self.sides[direction.opposite().index()];
        receiver.has(ACKED).then(|| receiver.acked.wrapping_sub(end) as i32 >= 0)
    }

    /// Were bytes of this direction lost? EVE's `tcp.ts_gap` and `tcp.tc_gap`.
    pub fn has_gap(&self, direction: Direction) -> bool {
        self.sides[direction.index()].has(GAP)
    }

    /// Does this segment, a SYN, begin another connection on the same addresses and ports?
    pub(in crate::flow) fn replaced_by(&self, tcp: &Tcp, direction: Direction) -> bool {
        let (this, other) = (&self.sides[direction.index()], &self.sides[direction.opposite().index()]);
        let resent = this.has(SYN) && this.initial == tcp.sequence;
        if resent || self.state == TcpState::None {
            return false;
        }
        if tcp.has(Tcp::ACK) {
            // The other side's SYN within the connection was no stray: it is answered.
            let answers = other.has(NEW_SYN) && tcp.acknowledgement == other.candidate.wrapping_add(1);
            return self.state.is_over() || answers;
        }
        let one_way = !other.has(KNOWN | ACKED);
        self.state.is_over() || (one_way && self.state != TcpState::SynSent)
    }

    /// Goes on at this segment: what came before it was left to the kernel, and is no gap.
    pub fn resume(&mut self, tcp: &Tcp, direction: Direction) {
        let acknowledged = tcp.has(Tcp::ACK).then_some((direction.opposite(), tcp.acknowledgement));
        for (direction, next) in [(direction, tcp.sequence)].into_iter().chain(acknowledged) {
            let side = &mut self.sides[direction.index()];
            if side.has(KNOWN) && !side.has(HOLE) && next.wrapping_sub(side.next).cast_signed() > 0 {
                side.next = next;
                side.set(LONG);
            }
        }
    }

    pub(in crate::flow) fn reverse(&mut self) {
        self.sides.swap(0, 1);
        if let Some(waiting) = &mut self.waiting {
            waiting.swap(0, 1);
        }
        self.windows.reverse();
        self.server_closed_first = !self.server_closed_first;
        self.update_state();
    }

    /// The state that follows from the FINs seen and acknowledged.
    pub(super) fn update_state(&mut self) {
        let closed = |side: Direction| self.sides[side.index()].has(FIN);
        let acked = |side: Direction| {
            let (sender, receiver) = (&self.sides[side.index()], &self.sides[side.opposite().index()]);
            sender.has(FIN) && receiver.has(ACKED) && receiver.acked.wrapping_sub(sender.next) as i32 >= 0
        };
        let (client, server) = (Direction::ToServer, Direction::ToClient);
        if self.state == TcpState::Closed && self.sides.iter().any(|side| side.has(RST)) {
            return;
        }
        self.state = match (closed(client), closed(server)) {
            (false, false) => return,
            (true, true) if acked(client) && acked(server) => TcpState::Closed,
            (true, true) if self.server_closed_first => TcpState::LastAck,
            (true, true) if acked(client) => TcpState::TimeWait,
            (true, true) => TcpState::Closing,
            (true, false) if acked(client) => TcpState::FinWait2,
            (true, false) => TcpState::FinWait1,
            (false, true) => TcpState::CloseWait,
        };
    }
}
