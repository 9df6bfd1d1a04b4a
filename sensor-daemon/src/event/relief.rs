//! When records give way to packets.

use vigia_parsers::Timestamp;

use crate::metrics::Counter;

/// Time without shedding after which it is told to be over, and told anew when it begins again: nanoseconds.
const CALM_NS: u64 = 10_000_000_000;

/// Decides, batch of packets by batch, whether a worker still writes records.
pub(super) struct Relief {
    /// Fill of the capture ring, 0 to 1, that begins the shedding; half of it ends it.
    at: f32,
    pressed: bool,
    /// The counter that says why records are shed now.
    cause: Option<Counter>,
    /// Records shed since the log told of it, and when the last batch shed.
    told: Option<(u64, Timestamp)>,
}

impl Relief {
    pub(super) fn new(at_percent: u8) -> Self {
        Self { at: f32::from(at_percent) / 100.0, pressed: false, cause: None, told: None }
    }

    /// Takes the state of the ring, and whether the journal's queue of records is full.
    pub(super) fn judge(&mut self, fill: f32, queue_full: bool, now: Timestamp) {
        self.pressed = fill >= if self.pressed { self.at / 2.0 } else { self.at };
        self.cause = match (self.pressed, queue_full) {
            (true, _) => Some(Counter::LostRecordsPressure),
            (false, true) => Some(Counter::LostRecordsQueue),
            (false, false) => None,
        };
        match &mut self.told {
            None if self.cause.is_some() => {
                tracing::warn!(
                    ring_percent = (100.0 * fill) as u32,
                    queue_full,
                    "overload: records are shed so that no packet is lost"
                );
                self.told = Some((0, now));
            }
            Some((_, last)) if self.cause.is_some() => *last = now,
            Some((records, last)) if now.since(*last) >= CALM_NS => {
                tracing::info!(records, "the overload is over; no record is shed any more");
                self.told = None;
            }
            _ => {}
        }
    }

    /// Is a record shed? Gives the counter of its cause.
    #[inline]
    pub(super) fn shed(&mut self) -> Option<Counter> {
        if self.cause.is_some()
            && let Some((records, _)) = &mut self.told
        {
            *records += 1;
        }
        self.cause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(0);

    #[test]
    fn shedding_begins_at_the_fill_that_is_set_and_ends_at_half_of_it() {
        let mut relief = Relief::new(50);
        let mut sheds = |fill| {
            relief.judge(fill, false, NOW);
            relief.shed()
        };
        assert_eq!(sheds(0.49), None);
        assert_eq!(sheds(0.5), Some(Counter::LostRecordsPressure));
        assert_eq!(sheds(0.26), Some(Counter::LostRecordsPressure));
        assert_eq!(sheds(0.24), None);
        assert_eq!(sheds(0.49), None);
    }

    #[test]
    fn a_full_queue_sheds_under_its_own_cause() {
        let mut relief = Relief::new(50);
        relief.judge(0.0, true, NOW);
        assert_eq!(relief.shed(), Some(Counter::LostRecordsQueue));
        relief.judge(0.6, true, NOW);
        assert_eq!(relief.shed(), Some(Counter::LostRecordsPressure));
        relief.judge(0.0, false, NOW);
        assert_eq!(relief.shed(), None);
    }
}
