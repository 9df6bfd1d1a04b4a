//! Timeouts: one list of flows for each class, the one idle longest first.
//!
//! All flows of a class have the same timeout, so a list in order of use is a timer queue whose head expires next, and
//! the same list says which flow is the least useful when the table is full. A flow moves to its list's end at most
//! once a second: a busy flow costs no list work, and the order is true to a second. What expires exactly when is
//! decided by the flow's own last packet, not by the list.

use vigia_parsers::Timestamp;

use super::slab::Slab;
use super::table::Settings;
use super::{Flow, FlowState};

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

/// What a flow's timeout and its usefulness depend on; least useful first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    Closed,
    TcpNew,
    UdpNew,
    OtherNew,
    Tcp,
    Udp,
    Other,
    OtTcp,
    OtUdp,
}

impl Class {
    pub(super) const ALL: [Self; 9] = [
        Self::Closed,
        Self::TcpNew,
        Self::UdpNew,
        Self::OtherNew,
        Self::Tcp,
        Self::Udp,
        Self::Other,
        Self::OtTcp,
        Self::OtUdp,
    ];

    /// Classes of like usefulness, least useful first.
    pub(super) const RANKS: [&[Self]; 4] = [
        &[Self::Closed],
        &[Self::TcpNew, Self::UdpNew, Self::OtherNew],
        &[Self::Tcp, Self::Udp, Self::Other],
        &[Self::OtTcp, Self::OtUdp],
    ];

    pub(super) fn of(flow: &Flow) -> Self {
        let protocol = flow.ip_protocol();
        match (flow.state(), flow.is_ot(), protocol) {
            (FlowState::Closed, ..) => Self::Closed,
            (_, true, 6) => Self::OtTcp,
            (_, true, _) => Self::OtUdp,
            (FlowState::New, _, 6) => Self::TcpNew,
            (FlowState::New, _, 17) => Self::UdpNew,
            (FlowState::New, ..) => Self::OtherNew,
            (FlowState::Established, _, 6) => Self::Tcp,
            (FlowState::Established, _, 17) => Self::Udp,
            (FlowState::Established, ..) => Self::Other,
        }
    }
}

/// Nanoseconds of idleness after which a flow of each class ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts([u64; 9]);

impl Timeouts {
    pub(super) fn new(settings: &Settings) -> Self {
        Self(Class::ALL.map(|class| {
            let seconds = match class {
                Class::Closed => settings.tcp_closed_s,
                Class::TcpNew => settings.tcp_new_s,
                Class::UdpNew => settings.udp_new_s,
                Class::OtherNew | Class::Other => settings.other_s,
                Class::Tcp | Class::OtTcp => settings.tcp_established_s,
                Class::Udp | Class::OtUdp => settings.udp_established_s,
            };
            u64::from(seconds) * 1_000_000_000
        }))
    }

    /// When a flow that has been silent since its last packet ends, by the class it was filed under after that.
    pub(super) fn deadline(&self, flow: &Flow) -> Timestamp {
        Timestamp(flow.last().0.saturating_add(self.0[flow.links.class as usize]))
    }
}

/// A flow's place in its list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Links {
    previous: u32,
    /// The next in the list; of vacant slots, the next vacant one.
    pub(super) next: u32,
    class: Class,
    /// When it was put at the end, in seconds.
    filed: u32,
    /// When it was last reported (or began), in seconds.
    pub(super) reported: u32,
}

impl Links {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            previous: NONE,
            next: NONE,
            class: Class::Closed,
            filed: now.seconds() as u32,
            reported: now.seconds() as u32,
        }
    }
}

/// The lists.
pub(super) struct Lists {
    heads: [u32; 9],
    tails: [u32; 9],
}

impl Lists {
    pub(super) fn new() -> Self {
        Self { heads: [NONE; 9], tails: [NONE; 9] }
    }

    /// The flow of a class that has been idle longest.
    pub(super) fn head(&self, class: Class) -> Option<u32> {
        Some(self.heads[class as usize]).filter(|&slot| slot != NONE)
    }

    /// Puts a new flow at the end of its list.
    pub(super) fn file(&mut self, slab: &mut Slab, slot: u32) {
        let flow = slab.get_mut(slot);
        let class = Class::of(flow);
        let tail = std::mem::replace(&mut self.tails[class as usize], slot);
        flow.links.class = class;
        flow.links.filed = flow.last().seconds() as u32;
        flow.links.previous = tail;
        flow.links.next = NONE;
        match tail {
            NONE => self.heads[class as usize] = slot,
            tail => slab.get_mut(tail).links.next = slot,
        }
    }

    /// Takes a flow out of its list.
    pub(super) fn unfile(&mut self, slab: &mut Slab, slot: u32) {
        let Links { previous, next, class, .. } = slab.get(slot).links;
        match previous {
            NONE => self.heads[class as usize] = next,
            previous => slab.get_mut(previous).links.next = next,
        }
        match next {
            NONE => self.tails[class as usize] = previous,
            next => slab.get_mut(next).links.previous = previous,
        }
    }

    /// Moves a flow to the end of the list of the class it is in now.
    pub(super) fn rotate(&mut self, slab: &mut Slab, slot: u32) {
        self.unfile(slab, slot);
        self.file(slab, slot);
    }

    /// Moves a flow that was used to the end of its list, unless it is near it.
    pub(super) fn refile(&mut self, slab: &mut Slab, slot: u32) {
        let flow = slab.get(slot);
        let same_class = flow.links.class == Class::of(flow);
        let this_second = flow.links.filed == flow.last().seconds() as u32;
        if !(same_class && this_second) {
            self.rotate(slab, slot);
        }
    }
}
