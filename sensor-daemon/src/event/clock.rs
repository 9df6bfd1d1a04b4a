//! Timestamps as EVE writes them: `2026-01-02T03:04:05.123456+0000`.

use vigia_parsers::Timestamp;

use super::digits::two;

/// Renders timestamps; the date is worked out once a second of packet time.
#[derive(Debug)]
pub(super) struct TimeText {
    second: u64,
    text: [u8; LENGTH],
}

/// Bytes of a time.
pub(super) const LENGTH: usize = 31;

impl Default for TimeText {
    fn default() -> Self {
        let mut text = *b"0000-00-00T00:00:00.000000+0000";
        set_second(&mut text, 0);
        Self { second: 0, text }
    }
}

impl TimeText {
    /// A time as events write it.
    pub(super) fn text(&mut self, time: Timestamp) -> &[u8; LENGTH] {
        if time.seconds() != self.second {
            self.second = time.seconds();
            set_second(&mut self.text, self.second);
        }
        let micros = time.subsec_nanos() / 1000;
        digits::<3>(&mut self.text, 20, micros);
        &self.text
    }
}

/// A time as events write it.
pub(crate) fn text_of(time: Timestamp) -> String {
    String::from_utf8_lossy(TimeText::default().text(time)).into_owned()
}

/// A time as RFC 3339 writes it, in UTC.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    let mut text = String::from_utf8_lossy(&TimeText::default().text(time)[..26]).into_owned();
    text.push('Z');
    text
}

/// This moment as events write times.
pub(crate) fn now_text() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    text_of(Timestamp::new(now.as_secs(), now.subsec_nanos()))
}

/// A time as part of a file name: `20260102T030405`.
pub(crate) fn compact_time(time: Timestamp) -> String {
    TimeText::default().text(time)[..19]
        .iter()
        .filter(|byte| !b"-:".contains(byte))
        .map(|byte| char::from(*byte))
        .collect()
}

/// The time that a text of this form says; none where it says none.
pub(super) fn parse(text: &[u8; LENGTH]) -> Option<Timestamp> {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?.iter().map(|digit| digit.is_ascii_digit().then(|| u64::from(digit - b'0')));
        digits.into_iter().try_fold(0, |number, digit| Some(number * 10 + digit?))
    };
    let [month, day, hour, minute, second] =
        [number(5..7)?, number(8..10)?, number(11..13)?, number(14..16)?, number(17..19)?];
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days(number(0..4)?, month, day)?;
    let micros = u32::try_from(number(20..26)?).ok()?;
    Some(Timestamp::new(days * 86_400 + hour * 3600 + minute * 60 + second, micros * 1000))
}

fn set_second(text: &mut [u8; LENGTH], second: u64) {
    let (year, month, day) = date(second / 86_400);
    let of_day = (second % 86_400) as u32;
    digits::<2>(text, 0, year);
    digits::<1>(text, 5, month);
    digits::<1>(text, 8, day);
    digits::<1>(text, 11, of_day / 3600);
    digits::<1>(text, 14, of_day / 60 % 60);
    digits::<1>(text, 17, of_day % 60);
}

/// Writes the last digits of a number, two at a time.
fn digits<const PAIRS: usize>(text: &mut [u8; LENGTH], at: usize, mut value: u32) {
    for pair in (0..PAIRS).rev() {
        text[at + 2 * pair..][..2].copy_from_slice(&two(value));
        value /= 100;
    }
}

/// Year, month and day of the Gregorian calendar, from days since 1970-01-01. Counts in eras of 400 years that begin on
/// the first of March, so that the leap day is the last of its year.
fn date(days: u64) -> (u32, u32, u32) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    (year as u32, month as u32, day as u32)
}

/// The inverse of [`date`]: days since 1970-01-01; none before.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let shifted = (month + 9) % 12;
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_in_the_calendar() {
        let mut clock = TimeText::default();
        let mut text = |seconds, nanos| String::from_utf8(clock.text(Timestamp::new(seconds, nanos)).to_vec()).unwrap();
        assert_eq!(text(0, 0), "1970-01-01T00:00:00.000000+0000");
        assert_eq!(text(0, 999_999_999), "1970-01-01T00:00:00.999999+0000");
        assert_eq!(text(951_782_400, 0), "2000-02-29T00:00:00.000000+0000");
        assert_eq!(text(1_767_323_045, 123_456_789), "2026-01-02T03:04:05.123456+0000");
        assert_eq!(text(4_107_542_399, 1_000), "2100-02-28T23:59:59.000001+0000");
        assert_eq!(text(4_107_542_400, 0), "2100-03-01T00:00:00.000000+0000");
        assert_eq!(text(1_767_323_045, 0), "2026-01-02T03:04:05.000000+0000", "time may step back");
        assert_eq!(text(u64::MAX / 1_000_000_000, 0), "2554-07-21T23:34:33.000000+0000");
    }

    #[test]
    fn other_systems_read_times_too() {
        assert_eq!(rfc3339(Timestamp::new(1_767_323_045, 123_456_789)), "2026-01-02T03:04:05.123456Z");
    }

    #[test]
    fn a_time_can_stand_in_a_file_name() {
        assert_eq!(compact_time(Timestamp::new(1_767_323_045, 5)), "20260102T030405");
    }

    #[test]
    fn times_read_back() {
        for (seconds, nanos) in
            [(0, 0), (951_782_400, 5_000), (1_767_323_045, 123_456_000), (4_107_542_399, 999_999_000)]
        {
            let time = Timestamp::new(seconds, nanos);
            assert_eq!(parse(TimeText::default().text(time)), Some(time));
        }
        for wrong in
            ["2026-13-02T03:04:05.123456+0000", "2026-01-02T03:04:0x.123456+0000", "1969-12-31T23:59:59.000000+0000"]
        {
            assert_eq!(parse(wrong.as_bytes().first_chunk().unwrap()), None, "{wrong}");
        }
    }

    #[test]
    fn days_follow_each_other() {
        let mut before = date(0);
        for day in 1..200_000 {
            let today = date(day);
            assert_eq!(days(today.0.into(), today.1.into(), today.2.into()), Some(day));
            let next_day = today.0 == before.0 && today.1 == before.1 && today.2 == before.2 + 1;
            let first = today.2 == 1 && before.2 >= 28 && (today.0, today.1) > (before.0, before.1);
            assert!(next_day || first, "{before:?} {today:?}");
            before = today;
        }
    }
}
