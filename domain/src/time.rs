//! Moments, and where they and randomness come from. The only implementations that look at the
//! machine live in `server`; the manual clock here is for tests and simulations.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::day::Day;

/// A moment: microseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// Microseconds in one second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;
/// Seconds in one hour.
pub const SECONDS_PER_HOUR: i64 = 3_600;
/// Seconds in one UTC day.
pub const SECONDS_PER_DAY: i64 = 86_400;

impl Timestamp {
    /// The moment `micros` microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The moment `seconds` seconds after the epoch, at most the last representable one.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(MICROS_PER_SECOND))
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since the epoch, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// The start of the UTC hour this moment lies in.
    #[must_use]
    pub const fn hour(self) -> Self {
        Self::from_seconds(
            self.seconds().div_euclid(SECONDS_PER_HOUR).saturating_mul(SECONDS_PER_HOUR),
        )
    }

    /// The start of the UTC day this moment lies in.
    #[must_use]
    pub const fn day(self) -> Self {
        Self::from_seconds(
            self.seconds().div_euclid(SECONDS_PER_DAY).saturating_mul(SECONDS_PER_DAY),
        )
    }

    /// The moment `seconds` later (or earlier, when negative).
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(MICROS_PER_SECOND)))
    }

    /// Microseconds from `earlier` to this moment; 0 where `earlier` is later.
    pub fn since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

/// As RFC 3339 writes it in UTC, to the second: `2026-11-21T13:16:13Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = self.seconds().rem_euclid(SECONDS_PER_DAY);
        let (hour, rest) =
            (second.div_euclid(SECONDS_PER_HOUR), second.rem_euclid(SECONDS_PER_HOUR));
        let (minute, second) = (rest.div_euclid(60), rest.rem_euclid(60));
        write!(f, "{}T{hour:02}:{minute:02}:{second:02}Z", Day::of_moment(*self))
    }
}

/// Where the time comes from. Read once per request; every decision is about that instant.
pub trait Clock: Send + Sync {
    /// The moment it is now.
    fn now(&self) -> Timestamp;

    /// Microseconds since some fixed moment; never goes back. For durations, never for windows.
    fn monotonic_micros(&self) -> u64;
}

/// Where randomness comes from. Secrets need an operating system's generator behind it.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with unpredictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicI64,
    elapsed: AtomicU64,
}

impl ManualClock {
    /// A clock standing at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { now: AtomicI64::new(now.micros()), elapsed: AtomicU64::new(0) }
    }

    /// Moves both readings `seconds` seconds on.
    pub fn advance_seconds(&self, seconds: u32) {
        self.now.fetch_add(i64::from(seconds).saturating_mul(MICROS_PER_SECOND), Ordering::SeqCst);
        self.elapsed.fetch_add(u64::from(seconds).saturating_mul(1_000_000), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn monotonic_micros(&self) -> u64 {
        self.elapsed.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_days_round_down_on_both_sides_of_the_epoch() {
        for (seconds, hour, day) in [
            (0, 0, 0),
            (3_599, 0, 0),
            (3_600, 3_600, 0),
            (86_399, 82_800, 0),
            (86_400, 86_400, 86_400),
            (-1, -3_600, -86_400),
        ] {
            let at = Timestamp::from_seconds(seconds);
            assert_eq!(at.hour().seconds(), hour, "hour of {seconds}");
            assert_eq!(at.day().seconds(), day, "day of {seconds}");
        }
    }
}
