//! The span of time a limit counts over. A window is computed from the clock when it is asked
//! about; nothing ever resets one.

use serde::{Deserialize, Serialize};

use crate::time::{SECONDS_PER_DAY, Timestamp};

/// How long a limit counts before it starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "period")]
pub enum Window {
    /// For ever.
    Lifetime,
    /// From UTC midnight of the period's first day to that of the next period.
    Calendar(Period),
}

/// A calendar period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A day.
    Day,
    /// A week, from Monday (ISO 8601).
    Week,
    /// A month, from the 1st.
    Month,
}

/// One turn of a window: from `start` until just before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first moment that counts.
    pub start: Timestamp,
    /// The first moment of the next turn; `None` where there is none.
    pub end: Option<Timestamp>,
}

impl Window {
    /// The turn that `now` belongs to.
    pub fn span(self, now: Timestamp) -> Span {
        match self {
            Self::Lifetime => Span { start: Timestamp::from_micros(0), end: None },
            Self::Calendar(Period::Day) => {
                let start = now.day();
                Span { start, end: Some(start.plus_seconds(SECONDS_PER_DAY)) }
            }
            Self::Calendar(Period::Week) => {
                // Day 0, 1970-01-01, was a Thursday: the Monday before it was day -3.
                let day = now.seconds().div_euclid(SECONDS_PER_DAY);
                let monday = day.saturating_sub(day.saturating_add(3).rem_euclid(7));
                let start = day_start(monday);
                Span { start, end: Some(day_start(monday.saturating_add(7))) }
            }
            Self::Calendar(Period::Month) => {
                let (year, month) = year_and_month(now.seconds().div_euclid(SECONDS_PER_DAY));
                let next = if month == 12 {
                    (year.saturating_add(1), 1)
                } else {
                    (year, month.saturating_add(1))
                };
                Span {
                    start: day_start(days_before(year, month)),
                    end: Some(day_start(days_before(next.0, next.1))),
                }
            }
        }
    }
}

fn day_start(day: i64) -> Timestamp {
    Timestamp::from_seconds(day.saturating_mul(SECONDS_PER_DAY))
}

/// Days from the epoch to the first of the month, in the proleptic Gregorian calendar.
fn days_before(year: i64, month: i64) -> i64 {
    // Years are counted from March, so that the leap day is the last day of its year.
    let (year, month) = if month > 2 {
        (year, month.saturating_sub(3))
    } else {
        (year.saturating_sub(1), month.saturating_add(9))
    };
    let leaps = year
        .div_euclid(4)
        .saturating_sub(year.div_euclid(100))
        .saturating_add(year.div_euclid(400));
    let in_year = month.saturating_mul(153).saturating_add(2).div_euclid(5);
    year.saturating_mul(365).saturating_add(leaps).saturating_add(in_year).saturating_sub(719_468)
}

fn year_and_month(day: i64) -> (i64, i64) {
    // An estimate that is never late and at most one month early, mended by looking once.
    let months = day.saturating_mul(4_800).div_euclid(146_097);
    let at = |months: i64| {
        (months.div_euclid(12).saturating_add(1970), months.rem_euclid(12).saturating_add(1))
    };
    let after = at(months.saturating_add(1));
    let before = at(months);
    if days_before(after.0, after.1) <= day {
        after
    } else if days_before(before.0, before.1) <= day {
        before
    } else {
        at(months.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        let (date, time) = text.split_once('T').unwrap();
        let mut date = date.split('-').map(|part| part.parse::<i64>().unwrap());
        let (year, month, day) = (date.next().unwrap(), date.next().unwrap(), date.next().unwrap());
        let mut time = time.split(':').map(|part| part.parse::<i64>().unwrap());
        let seconds =
            time.next().unwrap() * 3600 + time.next().unwrap() * 60 + time.next().unwrap();
        Timestamp::from_seconds((days_before(year, month) + day - 1) * 86_400 + seconds)
    }

    #[test]
    fn calendar_windows() {
        for (period, now, start, end) in [
            (Period::Day, "2026-11-21T13:16:13", "2026-11-21T00:00:00", "2026-11-22T00:00:00"),
            (Period::Day, "2024-02-29T23:59:59", "2024-02-29T00:00:00", "2024-03-01T00:00:00"),
            (Period::Week, "2026-11-21T13:16:13", "2026-11-16T00:00:00", "2026-11-23T00:00:00"),
            (Period::Week, "2026-11-16T00:00:00", "2026-11-16T00:00:00", "2026-11-23T00:00:00"),
            (Period::Week, "2026-11-15T23:59:59", "2026-11-09T00:00:00", "2026-11-16T00:00:00"),
            (Period::Month, "2026-11-21T13:16:13", "2026-11-01T00:00:00", "2026-12-01T00:00:00"),
            (Period::Month, "2026-12-31T23:59:59", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
            (Period::Month, "2024-02-29T12:00:00", "2024-02-01T00:00:00", "2024-03-01T00:00:00"),
            (Period::Month, "2025-01-01T00:00:00", "2025-01-01T00:00:00", "2025-02-01T00:00:00"),
        ] {
            let span = Window::Calendar(period).span(at(now));
            assert_eq!(span, Span { start: at(start), end: Some(at(end)) }, "{period:?} {now}");
        }
    }

    proptest! {
        #[test]
        fn a_span_holds_its_moment_and_borders_on_the_next(seconds in -4_000_000_000_i64..40_000_000_000) {
            let now = Timestamp::from_seconds(seconds);
            for period in [Period::Day, Period::Week, Period::Month] {
                let window = Window::Calendar(period);
                let span = window.span(now);
                let end = span.end.unwrap();
                prop_assert!(span.start <= now && now < end);
                prop_assert_eq!(window.span(end).start, end);
                prop_assert_eq!(window.span(span.start), span);
            }
        }
    }
}
