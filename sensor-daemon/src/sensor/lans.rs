//! The LANs of a redundant network: PRP's A and B (IEC 62439-3, 4), HSR's paths A and B (5). Each carries every frame, so one
//! that is silent while the other is heard is a fault that nobody would notice otherwise.

use std::time::{Duration, Instant};

use crate::capture::probes::tap::LAN_NAMES;

/// A LAN or path, and the other one of its network.
#[derive(Debug, Clone, Copy, Default)]
struct Lan {
    frames: u64,
    /// When the last frame came, to the time between two looks; `None` before the first.
    heard: Option<Instant>,
    silent: bool,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// No frame for so long, while frames came over the other one.
    Silent(Duration),
    /// Frames come again.
    Heard,
}

/// Watches them.
pub(super) struct Lans {
    /// Silence that is a fault; 0 for none.
    limit: Duration,
    lans: [Lan; LAN_NAMES.len()],
}

impl Lans {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, lans: Default::default() }
    }

    /// Takes the frames counted by now, in the order of [`LAN_NAMES`]; gives what changed.
    pub(super) fn look(&mut self, now: Instant, frames: [u64; LAN_NAMES.len()]) -> Vec<(&'static str, Change)> {
        let mut changes = Vec::new();
        for ((lan, frames), name) in self.lans.iter_mut().zip(frames).zip(LAN_NAMES) {
            if frames != lan.frames {
                if std::mem::take(&mut lan.silent) {
                    changes.push((name, Change::Heard));
                }
                (lan.frames, lan.heard) = (frames, Some(now));
            }
        }
        for (index, name) in LAN_NAMES.into_iter().enumerate() {
            let (this, other) = (self.lans[index], self.lans[index ^ 1]);
            let silence = this.heard.zip(other.heard).map(|(this, other)| other.saturating_duration_since(this));
            let Some(silence) = silence.filter(|silence| !self.limit.is_zero() && *silence >= self.limit) else {
                continue;
            };
            if !this.silent {
                self.lans[index].silent = true;
                changes.push((name, Change::Silent(silence)));
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks once a second at networks whose counters stand as given.
    fn watched(looks: &[[u64; 4]]) -> Vec<(usize, &'static str, Change)> {
        let (mut lans, start) = (Lans::new(Duration::from_secs(3)), Instant::now());
        let look = |(second, frames): (usize, &[u64; 4])| {
            let changes = lans.look(start + Duration::from_secs(second as u64), *frames);
            changes.into_iter().map(move |(name, change)| (second, name, change)).collect::<Vec<_>>()
        };
        looks.iter().enumerate().flat_map(look).collect()
    }

    #[test]
    fn a_lan_that_falls_silent_is_told_once_and_again_when_it_speaks() {
        let looks = [[1, 1, 0, 0], [2, 2, 0, 0], [3, 2, 0, 0], [4, 2, 0, 0], [5, 2, 0, 0], [6, 2, 0, 0], [7, 3, 0, 0]];
        let silent = Change::Silent(Duration::from_secs(3));
        assert_eq!(watched(&looks), [(4, "prp-b", silent), (6, "prp-b", Change::Heard)]);
    }

    #[test]
    fn paths_of_hsr_are_watched_too() {
        let looks = [[0, 0, 5, 5], [0, 0, 5, 6], [0, 0, 5, 7], [0, 0, 5, 8]];
        assert_eq!(watched(&looks), [(3, "hsr-a", Change::Silent(Duration::from_secs(3)))]);
    }

    #[test]
    fn a_network_that_is_silent_as_a_whole_and_a_lan_that_is_not_tapped_are_no_fault() {
        assert_eq!(watched(&[[1, 1, 0, 0]; 10]), []);
        let one: Vec<_> = (1..10).map(|frames| [frames, 0, 0, 0]).collect();
        assert_eq!(watched(&one), []);
    }
}
