//! How much each side lets the other send: the edge to which its acknowledgement and its window reach together.
//!
//! A receiver does not take back what it has offered (RFC 9293, 3.8.6), so its edge never moves back, whatever of the
//! segments between two of its own the tap lost.

use vigia_parsers::Direction;
use vigia_parsers::packet::Tcp;

use super::connection::{HOLE, KNOWN, TcpState};
use super::{Connection, WINDOW};

/// The windows of both sides, by direction.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// As last sent with an acknowledgement, unscaled; 0 of a SYN, whose window is never scaled.
    last: [u16; 2],
    /// What the SYN said of the scale: one of the constants below, or a shift that [`OFFERED`] is added to.
    scales: [u8; 2],
}

/// No SYN was seen, or the stream goes on at a place that it does not lead to.
const UNKNOWN: u8 = 0;
/// The SYN had no scale: neither side scales (RFC 7323, 2.2).
const UNSCALED: u8 = 1;
const OFFERED: u8 = 2;

/// The largest shift that counts (RFC 7323, 2.3).
const MOST: u8 = 14;

impl Windows {
    /// The SYN of a side.
    pub(super) fn begin(&mut self, tcp: &Tcp, direction: Direction) {
        self.scales[direction.index()] = tcp.window_scale.map_or(UNSCALED, |shift| shift.min(MOST) + OFFERED);
    }

    /// A side's acknowledgement, and so its window.
    pub(super) fn see(&mut self, tcp: &Tcp, direction: Direction) {
        self.last[direction.index()] = if tcp.has(Tcp::SYN) { 0 } else { tcp.window };
    }

    /// The SYN of a side no longer says anything.
    pub(super) fn forget(&mut self, direction: Direction) {
        self.scales[direction.index()] = UNKNOWN;
    }

    pub(super) fn reverse(&mut self) {
        self.last.swap(0, 1);
        self.scales.swap(0, 1);
    }

    /// By how much a side's windows are scaled, if that is known.
    fn shift(&self, direction: Direction) -> Option<u8> {
        match (self.scales[direction.index()], self.scales[direction.opposite().index()]) {
            (UNKNOWN, _) | (_, UNKNOWN) => None,
            (UNSCALED, _) | (_, UNSCALED) => Some(0),
            (offered, _) => Some(offered - OFFERED),
        }
    }
}

/// Does this segment acknowledge what was never sent, from a place in its own stream that was not reached either, and take
/// back what its sender had offered? Believed, it would stop the other side in the middle of what it says.
pub(super) fn takes_back(c: &Connection, tcp: &Tcp, direction: Direction) -> bool {
    let (this, other) = (&c.sides[direction.index()], &c.sides[direction.opposite().index()]);
    let ahead = |number: u32, of: u32| (1..=WINDOW).contains(&number.wrapping_sub(of));
    let unseen = ahead(tcp.acknowledgement, other.next) && ahead(tcp.sequence, this.next);
    if !unseen || c.state != TcpState::Established || tcp.flags & (Tcp::SYN | Tcp::FIN | Tcp::RST) != 0 {
        return false;
    }
    // What waits shows that the tap lost something, or that segments overtook each other.
    let followed = |side: &super::Side| side.has(KNOWN) && !side.has(HOLE);
    if !followed(this) || !followed(other) || !ahead(tcp.acknowledgement, this.acked) {
        return false;
    }
    let Some(shift) = c.windows.shift(direction) else { return false };
    let edge = |acknowledged: u32, window: u16| acknowledged.wrapping_add(u32::from(window) << shift);
    let offered = edge(this.acked, c.windows.last[direction.index()]);
    let back = offered.wrapping_sub(edge(tcp.acknowledgement, tcp.window)).cast_signed();
    // A scaled window is rounded down.
    back > 1 << shift
}
