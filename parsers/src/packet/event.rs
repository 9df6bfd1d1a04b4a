//! What can be wrong or odd in a packet's headers, in Suricata's `decode-event` spelling where it has one.

/// One decode event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum DecodeEvent {
    /// More layers than the configured bound.
    TooManyLayers,
}

impl DecodeEvent {
    /// Every event.
    pub const ALL: &[Self] = &[Self::TooManyLayers];

    /// Its name, as in `decode-event:` of rules and `anomaly.event` of EVE.
    pub fn name(self) -> &'static str {
        match self {
            Self::TooManyLayers => "too_many_layers",
        }
    }
}

/// The events of one packet: a few, without allocation. Further ones are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecodeEvents {
    events: [Option<DecodeEvent>; 4],
}

impl DecodeEvents {
    /// Adds an event.
    pub fn push(&mut self, event: DecodeEvent) {
        if let Some(slot) = self.events.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(event);
        }
    }

    /// The events, in the order met.
    pub fn iter(&self) -> impl Iterator<Item = DecodeEvent> + '_ {
        self.events.iter().map_while(|slot| *slot)
    }

    /// No event?
    pub fn is_empty(&self) -> bool {
        self.events[0].is_none()
    }
}
