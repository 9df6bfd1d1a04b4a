//! What is wrong with one message, collected without the heap.

use crate::dissector::Anomaly;

/// Anomalies of one message, the first [`Findings::LIMIT`]: enough to tell what is wrong, and little to clear each time.
#[derive(Debug, Clone, Copy)]
pub struct Findings {
    list: [Anomaly; Self::LIMIT],
    count: usize,
}

impl Findings {
    /// How many are kept.
    pub const LIMIT: usize = 4;

    /// Nothing found so far.
    pub const NONE: Self = Self { list: [Anomaly { kind: "", offset: 0 }; Self::LIMIT], count: 0 };

    /// Adds one, if there is room.
    pub fn push(&mut self, kind: &'static str, offset: usize) {
        if let Some(free) = self.list.get_mut(self.count) {
            *free = Anomaly { kind, offset };
            self.count += 1;
        }
    }

    /// Adds one about the whole message, which is kept whatever else there is.
    pub fn put_first(&mut self, kind: &'static str) {
        self.list.rotate_right(1);
        self.list[0] = Anomaly { kind, offset: 0 };
        self.count = (self.count + 1).min(Self::LIMIT);
    }

    /// Those found, in order.
    pub fn as_slice(&self) -> &[Anomaly] {
        self.list.get(..self.count).unwrap_or_default()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Is there one of that name?
    pub fn has(&self, kind: &str) -> bool {
        self.as_slice().iter().any(|anomaly| anomaly.kind == kind)
    }
}
