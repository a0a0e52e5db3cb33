//! Days of the UTC calendar: read, written, where they start, and which month and week they are in.
//! What counts over a day, a week or a month is not this room's.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::{SECONDS_PER_DAY, Timestamp};

/// A day of the UTC calendar. Written `2026-11-21`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(i64);

impl Day {
    /// Reads `2026-11-21`; `None` where it is no day between the years 1 and 9999.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next()?.parse::<i64>().ok();
        let (year, month, day) = (part()?, part()?, part()?);
        if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let parsed = Self::of(year, month, day);
        // What was not written in this very form, or is no day of its month, reads back otherwise.
        (parsed.to_string() == text).then_some(parsed)
    }

    /// Its first moment.
    pub const fn start(self) -> Timestamp {
        Timestamp::from_seconds(self.0.saturating_mul(SECONDS_PER_DAY))
    }

    /// The day that `moment` lies in.
    pub const fn of_moment(moment: Timestamp) -> Self {
        Self(moment.seconds().div_euclid(SECONDS_PER_DAY))
    }

    /// The day `days` days later.
    #[must_use]
    pub const fn plus(self, days: i64) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// The Monday on or before it (ISO 8601).
    #[must_use]
    pub const fn monday(self) -> Self {
        // Day 0, 1970-01-01, was a Thursday: the Monday before it was day -3.
        Self(self.0.saturating_sub(self.0.saturating_add(3).rem_euclid(7)))
    }

    /// The first day of its month.
    #[must_use]
    pub fn first_of_month(self) -> Self {
        let (year, month, _) = self.date();
        Self::of(year, month, 1)
    }

    /// The first day of the month after its own.
    #[must_use]
    pub fn first_of_next_month(self) -> Self {
        // No month is longer than 31 days, and none is shorter than 28.
        self.first_of_month().plus(31).first_of_month()
    }

    /// Years are counted from March, so that the day a leap year adds is its last.
    fn of(year: i64, month: i64, day: i64) -> Self {
        let year = if month <= 2 { year.saturating_sub(1) } else { year };
        let month = month.saturating_add(9).rem_euclid(12);
        let era = year.div_euclid(400);
        let year = year.rem_euclid(400);
        let in_year = month.saturating_mul(153).saturating_add(2).div_euclid(5).saturating_add(day);
        let in_era = year
            .saturating_mul(365)
            .saturating_add(year.div_euclid(4))
            .saturating_sub(year.div_euclid(100))
            .saturating_add(in_year);
        Self(era.saturating_mul(146_097).saturating_add(in_era).saturating_sub(719_469))
    }

    /// Year, month and day of the month.
    fn date(self) -> (i64, i64, i64) {
        let days = self.0.saturating_add(719_468);
        let (era, in_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = in_era
            .saturating_sub(in_era.div_euclid(1_460))
            .saturating_add(in_era.div_euclid(36_524))
            .saturating_sub(in_era.div_euclid(146_096))
            .div_euclid(365);
        let before = year
            .saturating_mul(365)
            .saturating_add(year.div_euclid(4))
            .saturating_sub(year.div_euclid(100));
        let in_year = in_era.saturating_sub(before);
        let month = in_year.saturating_mul(5).saturating_add(2).div_euclid(153);
        let day = in_year
            .saturating_sub(month.saturating_mul(153).saturating_add(2).div_euclid(5))
            .saturating_add(1);
        let year = year.saturating_add(era.saturating_mul(400));
        let (year, month) = if month < 10 {
            (year, month.saturating_add(3))
        } else {
            (year.saturating_add(1), month.saturating_sub(9))
        };
        (year, month, day)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl TryFrom<String> for Day {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a day written as 2026-11-21")
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_written_as_the_calendar_has_them() {
        for (text, seconds) in [
            ("1970-01-01", Some(0)),
            ("1969-12-31", Some(-86_400)),
            ("2000-02-29", Some(951_782_400)),
            ("2026-11-21", Some(1_795_219_200)),
            ("1900-02-29", None),
            ("2026-02-29", None),
            ("2026-04-31", None),
            ("2026-13-01", None),
            ("2026-1-1", None),
            ("+026-01-01", None),
            ("2026-11-21T00", None),
            ("", None),
        ] {
            let day = Day::parse(text);
            assert_eq!(day.map(|day| day.start().seconds()), seconds, "{text}");
            if let Some(day) = day {
                assert_eq!(day.to_string(), text);
            }
        }
        for days in (-700_000..2_000_000).step_by(13) {
            let day = Day(days);
            assert_eq!(Day::parse(&day.to_string()), Some(day), "{day}");
        }
    }
}
