//! Packet time: the only time this crate and the rules know.

/// Nanoseconds since 1970-01-01T00:00:00 UTC, as the capture source stamped the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The end of time: no packet is later.
    pub const MAX: Self = Self(u64::MAX);

    /// The time `seconds` and `nanoseconds` after the epoch; saturates at the end of the range (year 2554).
    pub const fn new(seconds: u64, nanoseconds: u32) -> Self {
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds as u64))
    }

    /// Whole seconds since the epoch.
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// Nanoseconds within the second.
    pub const fn subsec_nanos(self) -> u32 {
        (self.0 % 1_000_000_000) as u32
    }

    /// Nanoseconds from `earlier` to `self`; 0 when `earlier` is later (captures do step back).
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A date and time of day as a device states it, without a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Year of the Gregorian calendar, from 1970 on.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// Seconds and milliseconds of the minute: 0 to 59999.
    pub millisecond: u16,
}

impl Civil {
    /// Is there such a day and time?
    pub const fn is_valid(&self) -> bool {
        let leap = self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let days = match self.month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => 0,
        };
        self.year >= 1970
            && self.day >= 1
            && self.day <= days
            && self.hour < 24
            && self.minute < 60
            && self.millisecond < 60_000
    }

    /// The same on the clock of UTC; `None` when there is no such day or time.
    pub fn utc(&self) -> Option<Timestamp> {
        if !self.is_valid() {
            return None;
        }
        // Years counted from March, so that the leap day is the last (Howard Hinnant, chrono-compatible date algorithms).
        let (year, month) = (i64::from(self.year), i64::from(self.month));
        let year = if month <= 2 { year - 1 } else { year };
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(self.day) - 1;
        let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
        let minutes = days * 1440 + i64::from(self.hour) * 60 + i64::from(self.minute);
        let milliseconds = u64::try_from(minutes).ok()? * 60_000 + u64::from(self.millisecond);
        Some(Timestamp(milliseconds * 1_000_000))
    }
}

impl std::fmt::Display for Civil {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { year, month, day, hour, minute, millisecond } = self;
        let (second, millisecond) = (millisecond / 1000, millisecond % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_told_as_it_is_and_counted_from_the_epoch() {
        let date = |year, month, day| Civil { year, month, day, hour: 12, minute: 34, millisecond: 56_789 };
        assert_eq!(date(2026, 11, 25).to_string(), "2026-11-25T12:34:56.789");
        assert_eq!(date(2026, 11, 25).utc(), Some(Timestamp(1_795_610_096_789_000_000)));
        assert_eq!(date(1970, 1, 1).utc(), Some(Timestamp(45_296_789_000_000)));
        assert_eq!(date(2024, 2, 29).utc().map(|time| time.seconds()), Some(1_709_210_096));
        for (year, month, day) in [(2023, 2, 29), (2026, 13, 1), (2026, 4, 31), (1969, 1, 1), (2026, 0, 1)] {
            assert_eq!(date(year, month, day).utc(), None);
        }
    }
}
