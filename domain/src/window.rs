//! The span of time a limit counts over. A window is computed from the clock when it is asked
//! about; nothing ever resets one.

use serde::{Deserialize, Serialize};

use crate::day::Day;
use crate::time::Timestamp;

/// How long a limit counts before it starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "period")]
pub enum Window {
    /// For ever.
    Lifetime,
    /// From UTC midnight of the period's first day to that of the next period.
    Calendar {
        /// p
        period: Period,
        /// z
        zone: Zone,
    },
    /// a
    Anchored {
        /// a
        anchor: Timestamp,
        /// e
        every: Every,
        /// z
        zone: Zone,
    },
    /// The last so many seconds, whenever it is asked.
    Rolling {
        /// How many.
        seconds: u32,
    },
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

/// z
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Zone;
impl Zone {
    /// u
    pub const UTC: Self = Self;
}
/// e
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Every {
    /// a
    pub amount: u16,
    /// s
    pub unit: Step,
}
impl Every {
    /// n
    pub fn new(amount: u16, unit: Step) -> Result<Self, ()> {
        Ok(Self { amount, unit })
    }
}
/// s
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Step {
    /// h
    Hour,
    /// d
    Day,
    /// w
    Week,
    /// m
    Month,
}

impl Window {
    /// From UTC midnight of the period's first day.
    pub const fn utc(period: Period) -> Self {
        Self::Calendar { period, zone: Zone::UTC }
    }

    /// Whether both start again in the same rhythm, wherever they are anchored.
    pub fn is_like(self, other: Self) -> bool {
        match (self, other) {
            (
                Self::Anchored { every, zone, .. },
                Self::Anchored { every: other_every, zone: other_zone, .. },
            ) => every == other_every && zone == other_zone,
            _ => self == other,
        }
    }

    /// The turn that `now` belongs to.
    pub fn span(self, now: Timestamp) -> Span {
        match self {
            Self::Lifetime => Span { start: Timestamp::from_micros(0), end: None },
            Self::Calendar { period, .. } => {
                let today = Day::of_moment(now);
                let (first, next) = match period {
                    Period::Day => (today, today.plus(1)),
                    Period::Week => (today.monday(), today.monday().plus(7)),
                    Period::Month => (today.first_of_month(), today.first_of_next_month()),
                };
                Span { start: first.start(), end: Some(next.start()) }
            }
            Self::Anchored { .. } => Span { start: now, end: None },
            Self::Rolling { seconds } => {
                Span { start: now.plus_seconds(i64::from(seconds).saturating_neg()), end: None }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        let (date, time) = text.split_once('T').unwrap();
        let mut time = time.split(':').map(|part| part.parse::<i64>().unwrap());
        let seconds =
            time.next().unwrap() * 3600 + time.next().unwrap() * 60 + time.next().unwrap();
        Day::parse(date).unwrap().start().plus_seconds(seconds)
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
            let span = Window::utc(period).span(at(now));
            assert_eq!(span, Span { start: at(start), end: Some(at(end)) }, "{period:?} {now}");
        }
    }

    proptest! {
        #[test]
        fn a_span_holds_its_moment_and_borders_on_the_next(seconds in -4_000_000_000_i64..40_000_000_000) {
            let now = Timestamp::from_seconds(seconds);
            for period in [Period::Day, Period::Week, Period::Month] {
                let window = Window::utc(period);
                let span = window.span(now);
                let end = span.end.unwrap();
                prop_assert!(span.start <= now && now < end);
                prop_assert_eq!(window.span(end).start, end);
                prop_assert_eq!(window.span(span.start), span);
            }
        }
    }
}
