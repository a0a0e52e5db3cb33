//! The span of time a limit counts over. A window is computed from the clock when it is asked
//! about; nothing ever resets one. How local time runs is `zone`'s.

use std::fmt;

use jiff::civil::{self, DateTime};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::day::Day;
use crate::time::{MICROS_PER_SECOND, SECONDS_PER_DAY, SECONDS_PER_HOUR, Timestamp};
use crate::zone::{Zone, first_moment};

/// How long a limit counts before it starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Window {
    /// For ever.
    Lifetime,
    /// From local midnight of the period's first day to that of the next period.
    Calendar {
        /// A day, a week or a month.
        period: Period,
        /// Whose midnight.
        #[serde(default)]
        zone: Zone,
    },
    /// Back to back from a moment, and backwards from it: a moment before the anchor has its turn
    /// too. Hours are elapsed time. Days, weeks and months keep the anchor's local time, each
    /// counted from the anchor itself: January 31, February 28, March 31.
    Anchored {
        /// Where a turn starts.
        anchor: Timestamp,
        /// How long one is.
        every: Every,
        /// Whose days; hours are the same in all of them.
        #[serde(default)]
        zone: Zone,
    },
    /// The seconds up to now.
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

/// How long a turn from an anchor is: an hour at least, a year at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Every {
    amount: u16,
    unit: Step,
}

/// What a turn from an anchor is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// 3,600 seconds.
    Hour,
    /// To the same local time a day on: 23 to 25 hours, as a rule.
    Day,
    /// Seven days.
    Week,
    /// To the same day of the next month, or its last.
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

    /// The window of a period in UTC.
    pub const fn utc(period: Period) -> Self {
        Self::Calendar { period, zone: Zone::UTC }
    }

    /// The turn that `now` belongs to. By the calendar and from an anchor, a turn ends exactly
    /// where the next one starts. Where a local time is skipped, the turn starts at the first
    /// moment after it; where it comes twice, at the earlier (but at the anchor always). Beyond the
    /// years −9999 to 9999 there is nothing to compute: the turn that reaches so far has no end.
    /// Rolling seconds have none either: each moment has its own.
    pub fn span(self, now: Timestamp) -> Span {
        match self {
            Self::Lifetime => Span { start: Timestamp::from_micros(0), end: None },
            Self::Calendar { period, zone: Zone::UTC } => utc_span(period, now),
            Self::Calendar { period, zone } => Turns::of_calendar(period, zone).span(now),
            Self::Anchored { anchor, every, zone } => {
                Turns::from_anchor(anchor, every, zone).span(now)
            }
            Self::Rolling { seconds } => {
                Span { start: now.plus_seconds(i64::from(seconds).saturating_neg()), end: None }
            }
        }
    }
}

/// `6 hours`, `1 month`.
impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.unit {
            Step::Hour => "hour",
            Step::Day => "day",
            Step::Week => "week",
            Step::Month => "month",
        };
        let many = if self.amount == 1 { "" } else { "s" };
        write!(f, "{} {step}{many}", self.amount)
    }
}

impl Every {
    /// This many of `unit`.
    ///
    /// # Errors
    /// None of it, or more than about a year.
    pub const fn new(amount: u16, unit: Step) -> Result<Self, NotATurn> {
        let most = match unit {
            Step::Hour => 8_784,
            Step::Day => 366,
            Step::Week => 52,
            Step::Month => 12,
        };
        if amount == 0 || amount > most {
            return Err(NotATurn);
        }
        Ok(Self { amount, unit })
    }

    /// How many, at least 1.
    pub const fn amount(self) -> u16 {
        self.amount
    }

    /// Of what.
    pub const fn unit(self) -> Step {
        self.unit
    }

    /// Microseconds of it, on average; exactly so many for hours. More than 0.
    fn micros(self) -> i64 {
        let seconds = match self.unit {
            Step::Hour => SECONDS_PER_HOUR,
            Step::Day => SECONDS_PER_DAY,
            Step::Week => 604_800,
            // The Gregorian calendar repeats after 4,800 months: 146,097 days.
            Step::Month => 2_629_746,
        };
        i64::from(self.amount).saturating_mul(seconds).saturating_mul(MICROS_PER_SECOND)
    }
}

/// An [`Every`] as it is written, whatever it says.
#[derive(Deserialize)]
struct Written {
    amount: u16,
    unit: Step,
}

impl TryFrom<Written> for Every {
    type Error = NotATurn;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        Self::new(written.amount, written.unit)
    }
}

/// A length that no turn from an anchor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotATurn;

impl fmt::Display for NotATurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "A window from an anchor is 1 to 8784 hours, 1 to 366 days, 1 to 52 weeks or 1 to 12 months long.",
        )
    }
}

impl std::error::Error for NotATurn {}

/// The turn of a period in UTC, where every day is 86,400 seconds.
fn utc_span(period: Period, now: Timestamp) -> Span {
    let today = Day::of_moment(now);
    let (first, next) = match period {
        Period::Day => (today, today.plus(1)),
        Period::Week => (today.monday(), today.monday().plus(7)),
        Period::Month => (today.first_of_month(), today.first_of_next_month()),
    };
    // The last representable turn has no end to tell.
    Span { start: first.start(), end: Some(next.start()).filter(|&end| now < end) }
}

/// Turns of local time, numbered from one of them, back to back both ways.
struct Turns {
    /// Where turn 0 starts.
    first: jiff::Timestamp,
    /// What the clocks show then.
    wall: DateTime,
    every: Every,
    rules: TimeZone,
}

impl Turns {
    fn of_calendar(period: Period, zone: Zone) -> Self {
        // A Monday, and the 1st of a month.
        const WALL: DateTime = civil::date(2001, 1, 1).at(0, 0, 0, 0);
        let unit = match period {
            Period::Day => Step::Day,
            Period::Week => Step::Week,
            Period::Month => Step::Month,
        };
        let rules = zone.rules();
        // That year is well within what can be computed: there is such a moment.
        let first = first_moment(&rules, WALL).unwrap_or_default();
        Self { first, wall: WALL, every: Every { amount: 1, unit }, rules }
    }

    fn from_anchor(anchor: Timestamp, every: Every, zone: Zone) -> Self {
        let (first, rules) = (reachable(anchor), zone.rules());
        Self { first, wall: rules.to_datetime(first), every, rules }
    }

    /// Where a turn starts; `None` where that is beyond what can be computed.
    fn start(&self, turn: i64) -> Option<jiff::Timestamp> {
        if turn == 0 {
            return Some(self.first);
        }
        let count = turn.saturating_mul(i64::from(self.every.amount));
        let later = match self.every.unit {
            Step::Hour => {
                let elapsed = turn.saturating_mul(self.every.micros());
                let start = self.first.as_microsecond().saturating_add(elapsed);
                return jiff::Timestamp::from_microsecond(start).ok();
            }
            Step::Day => jiff::Span::new().try_days(count),
            Step::Week => jiff::Span::new().try_weeks(count),
            Step::Month => jiff::Span::new().try_months(count),
        };
        first_moment(&self.rules, self.wall.checked_add(later.ok()?).ok()?)
    }

    fn span(&self, now: Timestamp) -> Span {
        let now = reachable(now);
        let begun = |turn: i64| self.start(turn).map_or(turn < 0, |start| start <= now);
        // A guess by the average length, then to the turn itself: it is never far. A turn that is
        // empty (a day that was skipped) ends at its start, and is passed over.
        let elapsed = now.as_microsecond().saturating_sub(self.first.as_microsecond());
        let mut turn = elapsed.div_euclid(self.every.micros());
        while !begun(turn) {
            turn = turn.saturating_sub(1);
        }
        while begun(turn.saturating_add(1)) {
            turn = turn.saturating_add(1);
        }
        let at = |start: jiff::Timestamp| Timestamp::from_micros(start.as_microsecond());
        Span {
            start: self.start(turn).map_or(Timestamp::from_micros(i64::MIN), at),
            end: self.start(turn.saturating_add(1)).map(at),
        }
    }
}

/// The moment as the calendar knows it; the nearest it knows where it lies beyond.
fn reachable(moment: Timestamp) -> jiff::Timestamp {
    let beyond = if moment.micros() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_microsecond(moment.micros()).unwrap_or(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads `2026-03-28T23:00:00`, in UTC.
    fn at(text: &str) -> Timestamp {
        let moment: jiff::Timestamp = format!("{text}Z").parse().unwrap();
        Timestamp::from_micros(moment.as_microsecond())
    }

    fn zone(name: &str) -> Zone {
        Zone::parse(name).unwrap()
    }

    fn anchored(anchor: &str, amount: u16, unit: Step, name: &str) -> Window {
        let every = Every::new(amount, unit).unwrap();
        Window::Anchored { anchor: at(anchor), every, zone: zone(name) }
    }

    fn span(start: &str, end: &str) -> Span {
        Span { start: at(start), end: Some(at(end)) }
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
            for name in ["UTC", "Etc/UTC"] {
                let window = Window::Calendar { period, zone: zone(name) };
                assert_eq!(window.span(at(now)), span(start, end), "{name} {period:?} {now}");
            }
        }
    }

    #[test]
    fn calendar_windows_in_local_time() {
        use Period::{Day, Month, Week};
        #[rustfmt::skip]
        let table = [
            // 23 hours, 25 hours, and the week and month around them.
            ("Europe/Berlin", Day, "2026-03-29T12:00:00", "2026-03-28T23:00:00", "2026-03-29T22:00:00"),
            ("Europe/Berlin", Day, "2026-03-28T23:00:00", "2026-03-28T23:00:00", "2026-03-29T22:00:00"),
            ("Europe/Berlin", Day, "2026-03-29T22:00:00", "2026-03-29T22:00:00", "2026-03-30T22:00:00"),
            ("Europe/Berlin", Day, "2026-10-25T12:00:00", "2026-10-24T22:00:00", "2026-10-25T23:00:00"),
            ("Europe/Berlin", Week, "2026-03-29T12:00:00", "2026-03-22T23:00:00", "2026-03-29T22:00:00"),
            ("Europe/Berlin", Week, "2026-10-25T12:00:00", "2026-10-18T22:00:00", "2026-10-25T23:00:00"),
            ("Europe/Berlin", Month, "2026-03-29T12:00:00", "2026-02-28T23:00:00", "2026-03-31T22:00:00"),
            ("Europe/Berlin", Month, "2026-12-31T22:59:59", "2026-11-30T23:00:00", "2026-12-31T23:00:00"),
            ("Europe/Berlin", Month, "2026-12-31T23:00:00", "2026-12-31T23:00:00", "2027-01-31T23:00:00"),
            ("America/New_York", Day, "2026-03-08T12:00:00", "2026-03-08T05:00:00", "2026-03-09T04:00:00"),
            ("America/New_York", Day, "2026-11-01T12:00:00", "2026-11-01T04:00:00", "2026-11-02T05:00:00"),
            ("America/New_York", Day, "2026-12-31T04:59:59", "2026-12-30T05:00:00", "2026-12-31T05:00:00"),
            ("America/New_York", Day, "2027-01-01T04:59:59", "2026-12-31T05:00:00", "2027-01-01T05:00:00"),
            ("America/New_York", Day, "2024-03-01T04:59:59", "2024-02-29T05:00:00", "2024-03-01T05:00:00"),
            ("America/New_York", Month, "2026-11-15T00:00:00", "2026-11-01T04:00:00", "2026-12-01T05:00:00"),
            // Midnight does not exist: the clocks go from 24:00 to 01:00.
            ("America/Santiago", Day, "2026-09-06T03:59:59", "2026-09-05T04:00:00", "2026-09-06T04:00:00"),
            ("America/Santiago", Day, "2026-09-06T04:00:00", "2026-09-06T04:00:00", "2026-09-07T03:00:00"),
            ("Africa/Cairo", Day, "2026-04-23T21:59:59", "2026-04-22T22:00:00", "2026-04-23T22:00:00"),
            ("Africa/Cairo", Day, "2026-04-23T22:00:00", "2026-04-23T22:00:00", "2026-04-24T21:00:00"),
            // The hour before midnight comes twice: from 24:00 to 23:00.
            ("America/Santiago", Day, "2026-04-05T03:30:00", "2026-04-04T03:00:00", "2026-04-05T04:00:00"),
            ("Africa/Cairo", Day, "2026-10-29T21:30:00", "2026-10-28T21:00:00", "2026-10-29T22:00:00"),
            // Midnight comes twice, from 00:01 to 23:01: the first is the day's start.
            ("America/St_Johns", Day, "2010-11-07T02:29:59", "2010-11-06T02:30:00", "2010-11-07T02:30:00"),
            ("America/St_Johns", Day, "2010-11-07T02:30:00", "2010-11-07T02:30:00", "2010-11-08T03:30:00"),
            ("America/St_Johns", Day, "2010-11-07T02:40:00", "2010-11-07T02:30:00", "2010-11-08T03:30:00"),
            // Offsets that are no whole hours, and a change by half of one.
            ("Asia/Kathmandu", Day, "2026-11-21T18:14:59", "2026-11-20T18:15:00", "2026-11-21T18:15:00"),
            ("Asia/Kathmandu", Month, "2026-11-21T00:00:00", "2026-10-31T18:15:00", "2026-11-30T18:15:00"),
            ("Australia/Lord_Howe", Day, "2026-04-04T20:00:00", "2026-04-04T13:00:00", "2026-04-05T13:30:00"),
            ("Australia/Lord_Howe", Day, "2026-10-04T00:00:00", "2026-10-03T13:30:00", "2026-10-04T13:00:00"),
            // There was no December 30, 2011.
            ("Pacific/Apia", Day, "2011-12-30T09:59:59", "2011-12-29T10:00:00", "2011-12-30T10:00:00"),
            ("Pacific/Apia", Day, "2011-12-30T10:00:00", "2011-12-30T10:00:00", "2011-12-31T10:00:00"),
            ("Pacific/Apia", Week, "2011-12-30T10:00:00", "2011-12-26T10:00:00", "2012-01-01T10:00:00"),
            ("Pacific/Apia", Month, "2011-12-30T10:00:00", "2011-12-01T10:00:00", "2011-12-31T10:00:00"),
        ];
        for (name, period, now, start, end) in table {
            let window = Window::Calendar { period, zone: zone(name) };
            assert_eq!(window.span(at(now)), span(start, end), "{name} {period:?} {now}");
        }
    }

    #[test]
    fn windows_from_an_anchor_follow_one_another() {
        use Step::{Day, Hour, Month, Week};
        #[rustfmt::skip]
        let table: [(Window, &[&str]); 16] = [
            // Months are counted from the anchor: the 31st comes back.
            (anchored("2026-01-31T12:00:00", 1, Month, "UTC"), &["2025-12-31T12:00:00", "2026-01-31T12:00:00",
                "2026-02-28T12:00:00", "2026-03-31T12:00:00", "2026-04-30T12:00:00", "2026-05-31T12:00:00"]),
            (anchored("2026-01-31T12:00:00", 1, Month, "UTC"), &["2028-01-31T12:00:00", "2028-02-29T12:00:00", "2028-03-31T12:00:00"]),
            (anchored("2028-01-31T05:00:00", 1, Month, "America/New_York"), &["2028-01-31T05:00:00",
                "2028-02-29T05:00:00", "2028-03-31T04:00:00", "2028-04-30T04:00:00"]),
            (anchored("2026-01-30T00:00:00", 3, Month, "UTC"), &["2025-10-30T00:00:00", "2026-01-30T00:00:00", "2026-04-30T00:00:00"]),
            (anchored("2024-02-29T08:00:00", 12, Month, "UTC"), &["2023-02-28T08:00:00", "2024-02-29T08:00:00",
                "2025-02-28T08:00:00", "2026-02-28T08:00:00", "2027-02-28T08:00:00", "2028-02-29T08:00:00"]),
            (anchored("2026-12-31T23:59:59", 12, Month, "UTC"), &["2025-12-31T23:59:59", "2026-12-31T23:59:59", "2027-12-31T23:59:59"]),
            (anchored("2026-12-31T10:00:00", 1, Day, "UTC"), &["2026-12-30T10:00:00", "2026-12-31T10:00:00", "2027-01-01T10:00:00"]),
            // The same local time, whatever the clocks did meanwhile.
            (anchored("2026-03-23T08:00:00", 1, Week, "Europe/Berlin"), &["2026-03-16T08:00:00", "2026-03-23T08:00:00", "2026-03-30T07:00:00"]),
            (anchored("2026-03-28T23:00:00", 2, Day, "Europe/Berlin"), &["2026-03-26T23:00:00", "2026-03-28T23:00:00", "2026-03-30T22:00:00"]),
            // Elapsed hours, whatever the clocks did meanwhile.
            (anchored("2026-03-28T23:00:00", 24, Hour, "Europe/Berlin"), &["2026-03-27T23:00:00", "2026-03-28T23:00:00", "2026-03-29T23:00:00"]),
            (anchored("2026-10-24T22:00:00", 5, Hour, "Europe/Berlin"), &["2026-10-24T17:00:00", "2026-10-24T22:00:00",
                "2026-10-25T03:00:00", "2026-10-25T08:00:00"]),
            // 02:30 is skipped: the first moment after. It is not lost for the days that follow.
            (anchored("2026-03-28T01:30:00", 1, Day, "Europe/Berlin"), &["2026-03-28T01:30:00", "2026-03-29T01:00:00", "2026-03-30T00:30:00"]),
            // 02:30 comes twice: the earlier.
            (anchored("2026-10-24T00:30:00", 1, Day, "Europe/Berlin"), &["2026-10-24T00:30:00", "2026-10-25T00:30:00", "2026-10-26T01:30:00"]),
            // The anchor is the later 02:30, and stays where it is.
            (anchored("2026-10-25T01:30:00", 1, Day, "Europe/Berlin"), &["2026-10-24T00:30:00", "2026-10-25T01:30:00", "2026-10-26T01:30:00"]),
            // The 30th is skipped: no empty turn.
            (anchored("2011-12-28T22:00:00", 1, Day, "Pacific/Apia"), &["2011-12-27T22:00:00", "2011-12-28T22:00:00",
                "2011-12-29T22:00:00", "2011-12-30T10:00:00", "2011-12-30T22:00:00", "2011-12-31T22:00:00"]),
            (anchored("2011-11-30T10:00:00", 1, Month, "Pacific/Apia"), &["2011-11-30T10:00:00", "2011-12-30T10:00:00", "2012-01-29T10:00:00"]),
        ];
        for (window, starts) in table {
            for pair in starts.windows(2) {
                let (start, end) = (at(pair[0]), at(pair[1]));
                let expected = Span { start, end: Some(end) };
                for micros in [start.micros(), start.micros() + 1, end.micros() - 1] {
                    assert_eq!(window.span(Timestamp::from_micros(micros)), expected, "{window:?}");
                }
            }
        }
    }

    #[test]
    fn a_lifetime_and_rolling_seconds_have_no_end() {
        let now = at("2026-11-21T13:16:13");
        for (window, start) in [
            (Window::Lifetime, "1970-01-01T00:00:00"),
            (Window::Rolling { seconds: 60 }, "2026-11-21T13:15:13"),
            (Window::Rolling { seconds: 86_400 }, "2026-11-20T13:16:13"),
            (Window::Rolling { seconds: 0 }, "2026-11-21T13:16:13"),
        ] {
            assert_eq!(window.span(now), Span { start: at(start), end: None }, "{window:?}");
        }
    }

    #[test]
    fn a_leap_second_is_not_seen() {
        // 2016-12-31T23:59:60Z was one; unix time has no number for it.
        let last = at("2017-01-01T00:00:00").plus_seconds(-1);
        for name in ["UTC", "Etc/UTC", "Europe/London"] {
            let window = Window::Calendar { period: Period::Day, zone: zone(name) };
            let expected = span("2016-12-31T00:00:00", "2017-01-01T00:00:00");
            assert_eq!(window.span(last), expected, "{name}");
            assert_eq!(expected.end.unwrap().since(expected.start), 86_400_000_000);
        }
    }

    #[test]
    fn a_turn_from_an_anchor_is_an_hour_at_least_and_a_year_at_most() {
        for (unit, most) in
            [(Step::Hour, 8_784), (Step::Day, 366), (Step::Week, 52), (Step::Month, 12)]
        {
            for (amount, fine) in
                [(0, false), (1, true), (most, true), (most + 1, false), (u16::MAX, false)]
            {
                let every = Every::new(amount, unit);
                assert_eq!(every.is_ok(), fine, "{amount} {unit:?}");
                if let Ok(every) = every {
                    assert_eq!((every.amount(), every.unit()), (amount, unit));
                }
            }
            assert!(NotATurn.to_string().contains(&format!("1 to {most} ")), "{unit:?}");
        }
    }

    #[test]
    fn windows_are_written_and_read() {
        for (window, text) in [
            (Window::Lifetime, r#"{"kind":"lifetime"}"#),
            (Window::utc(Period::Day), r#"{"kind":"calendar","period":"day","zone":"UTC"}"#),
            (
                Window::Calendar { period: Period::Month, zone: zone("Europe/Berlin") },
                r#"{"kind":"calendar","period":"month","zone":"Europe/Berlin"}"#,
            ),
            (
                anchored("1970-01-01T00:00:01", 2, Step::Week, "Asia/Tokyo"),
                r#"{"kind":"anchored","anchor":1000000,"every":{"amount":2,"unit":"week"},"zone":"Asia/Tokyo"}"#,
            ),
            (Window::Rolling { seconds: 60 }, r#"{"kind":"rolling","seconds":60}"#),
        ] {
            assert_eq!(serde_json::to_string(&window).unwrap(), text);
            assert_eq!(serde_json::from_str::<Window>(text).unwrap(), window, "{text}");
        }
        let unzoned = r#"{"kind":"calendar","period":"week"}"#;
        assert_eq!(serde_json::from_str::<Window>(unzoned).unwrap(), Window::utc(Period::Week));
        for (text, complaint) in [
            (
                r#"{"kind":"anchored","anchor":0,"every":{"amount":13,"unit":"month"}}"#,
                "1 to 12 months",
            ),
            (
                r#"{"kind":"anchored","anchor":0,"every":{"amount":0,"unit":"hour"}}"#,
                "1 to 8784 hours",
            ),
            (r#"{"kind":"calendar","period":"day","zone":"Mars/Olympus"}"#, "time zone"),
            (r#"{"kind":"rolling"}"#, "seconds"),
        ] {
            let no = serde_json::from_str::<Window>(text).unwrap_err().to_string();
            assert!(no.contains(complaint), "{no}");
        }
    }

    #[test]
    fn beyond_the_calendar_a_turn_has_no_end() {
        let far = [i64::MIN, i64::MIN + 1, -400_000_000_000_000_000, 400_000_000_000_000_000];
        let far = far.into_iter().chain([i64::MAX - 1, i64::MAX]);
        for moment in far.map(Timestamp::from_micros) {
            for now in [moment, Timestamp::from_micros(0)] {
                for name in ["UTC", "Etc/UTC", "Europe/Berlin", "Pacific/Apia"] {
                    let zone = zone(name);
                    for period in [Period::Day, Period::Week, Period::Month] {
                        let span = Window::Calendar { period, zone }.span(now);
                        assert!(span.start <= now && span.end.is_none_or(|end| now < end));
                    }
                    for unit in [Step::Hour, Step::Day, Step::Week, Step::Month] {
                        let every = Every::new(1, unit).unwrap();
                        for anchor in [moment, Timestamp::from_micros(0)] {
                            let span = Window::Anchored { anchor, every, zone }.span(now);
                            assert!(span.end.is_none_or(|end| span.start < end));
                            if anchor == Timestamp::from_micros(0) {
                                assert!(span.start <= now && span.end.is_none_or(|end| now < end));
                            }
                        }
                    }
                }
                assert!(Window::Rolling { seconds: u32::MAX }.span(now).start <= now);
            }
        }
    }

    const ZONES: [&str; 16] = [
        "UTC",
        "Etc/UTC",
        "Europe/Berlin",
        "Europe/London",
        "Europe/Dublin",
        "America/New_York",
        "America/Santiago",
        "America/St_Johns",
        "America/Juneau",
        "Africa/Cairo",
        "Africa/Casablanca",
        "Asia/Kathmandu",
        "Asia/Gaza",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Pacific/Kwajalein",
    ];

    /// From 1840, when most places had a time of their own, to 2240.
    fn moment() -> impl Strategy<Value = Timestamp> {
        let anywhen =
            (-4_102_444_800_000_000_i64..8_520_336_000_000_000).prop_map(Timestamp::from_micros);
        // Where the clocks change, in any zone of the sample.
        let change = (0..ZONES.len(), -4_102_444_800_i64..4_102_444_800, -7_200_i64..7_200);
        let change = change.prop_map(|(which, after, seconds)| {
            let rules = zone(ZONES[which]).rules();
            let after = jiff::Timestamp::from_second(after).unwrap();
            let change = rules.following(after).next().map_or(after, |change| change.timestamp());
            Timestamp::from_seconds(change.as_second() + seconds)
        });
        prop_oneof![anywhen, change]
    }

    fn periodic() -> impl Strategy<Value = Window> {
        let zone = proptest::sample::select(&ZONES[..]).prop_map(zone);
        let period = prop_oneof![Just(Period::Day), Just(Period::Week), Just(Period::Month)];
        let every = prop_oneof![
            (1..=8_784_u16).prop_map(|amount| Every::new(amount, Step::Hour)),
            (1..=366_u16).prop_map(|amount| Every::new(amount, Step::Day)),
            (1..=52_u16).prop_map(|amount| Every::new(amount, Step::Week)),
            (1..=12_u16).prop_map(|amount| Every::new(amount, Step::Month)),
            Just(Every::new(1, Step::Day)),
        ];
        prop_oneof![
            (period, zone.clone()).prop_map(|(period, zone)| Window::Calendar { period, zone }),
            (moment(), every, zone).prop_map(|(anchor, every, zone)| Window::Anchored {
                anchor,
                every: every.unwrap(),
                zone
            }),
        ]
    }

    proptest! {
        #[test]
        fn turns_hold_their_moments_and_border_on_one_another(
            window in periodic(), now in moment(), part in 0..=1_000_u64
        ) {
            let span = window.span(now);
            let (start, end) = (span.start, span.end.unwrap());
            prop_assert!(start <= now && now < end);
            prop_assert_eq!(window.span(end).start, end);
            let last_before = Timestamp::from_micros(start.micros() - 1);
            prop_assert_eq!(window.span(last_before).end, Some(start));
            // Each moment inside has this very span.
            let inside = i64::try_from((end.since(start) - 1) / 1_000 * part).unwrap();
            let last = Timestamp::from_micros(end.micros() - 1);
            for moment in [start, Timestamp::from_micros(start.micros() + inside), last] {
                prop_assert_eq!(window.span(moment), span);
            }
        }

        #[test]
        fn a_calendar_turn_starts_at_midnight_or_where_the_clocks_change(
            which in 0..ZONES.len(), now in moment()
        ) {
            let zone = zone(ZONES[which]);
            let rules = zone.rules();
            for period in [Period::Day, Period::Week, Period::Month] {
                let start = reachable(Window::Calendar { period, zone }.span(now).start);
                let wall = rules.to_datetime(start);
                if wall.time() == civil::Time::midnight() {
                    let right = match period {
                        Period::Day => true,
                        Period::Week => wall.weekday() == civil::Weekday::Monday,
                        Period::Month => wall.day() == 1,
                    };
                    prop_assert!(right, "{zone} {period:?} {wall}");
                } else {
                    let before = jiff::Timestamp::from_microsecond(start.as_microsecond() - 1).unwrap();
                    prop_assert!(rules.to_offset(before) < rules.to_offset(start), "{zone} {wall}");
                    prop_assert!(rules.to_datetime(before).date() < wall.date(), "{zone} {wall}");
                }
            }
        }

        #[test]
        fn utc_by_its_rules_is_utc_by_division(now in moment()) {
            for period in [Period::Day, Period::Week, Period::Month] {
                let ruled = Window::Calendar { period, zone: zone("Etc/UTC") };
                prop_assert_eq!(ruled.span(now), Window::utc(period).span(now));
            }
        }

        #[test]
        fn the_anchor_is_where_a_turn_starts(window in periodic()) {
            if let Window::Anchored { anchor, .. } = window {
                prop_assert_eq!(window.span(anchor).start, anchor);
            }
        }

        #[test]
        fn rolling_seconds_reach_back_from_each_moment(seconds in 0..=u32::MAX, now in moment()) {
            let span = Window::Rolling { seconds }.span(now);
            prop_assert_eq!(now.since(span.start), u64::from(seconds) * 1_000_000);
            prop_assert_eq!(span.end, None);
        }
    }
}
