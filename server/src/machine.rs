//! This machine's clock and randomness: the only place that looks at them. Everything else gets them
//! passed in.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use domain::{Clock, Entropy, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// The machine's clocks. The calendar's time never goes back, and is not believed when it leaps:
/// a leap would end every window at once, or none for years.
#[derive(Debug)]
pub struct MachineClock {
    steady: Steady,
    started_micros: i64,
}

impl MachineClock {
    pub fn new() -> Self {
        let (wall, boot) = (read(ClockId::Realtime), read(BOOT));
        Self { steady: Steady::new(wall, boot), started_micros: boot }
    }
}

impl Default for MachineClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        let (wall, boot) = (read(ClockId::Realtime), read(BOOT));
        let (now, leapt) = self.steady.now(wall, boot);
        if leapt {
            let off_seconds = (wall - now) / 1_000_000;
            tracing::error!(
                off_seconds,
                "the machine's clock leapt: Weir goes on by its own count; restart it to believe the machine again"
            );
        }
        Timestamp::from_micros(now)
    }

    fn monotonic_micros(&self) -> u64 {
        u64::try_from(read(BOOT) - self.started_micros).unwrap_or(0)
    }
}

/// Runs on while the machine sleeps, where there is such a clock.
#[cfg(target_os = "linux")]
const BOOT: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const BOOT: ClockId = ClockId::Monotonic;

/// A clock's reading in microseconds.
fn read(clock: ClockId) -> i64 {
    let reading = clock_gettime(clock);
    reading.tv_sec * 1_000_000 + reading.tv_nsec / 1_000
}

/// The calendar's time by two clocks: one that people and networks set, and one that only runs.
#[derive(Debug)]
struct Steady {
    /// From the running clock to the calendar, in microseconds. Never becomes less.
    offset: AtomicI64,
    /// The leap was told.
    told: AtomicBool,
}

/// As much as the calendar's clock may be set forward at once, in microseconds.
const LEAP: i64 = 300 * 1_000_000;

impl Steady {
    fn new(wall: i64, boot: i64) -> Self {
        Self { offset: AtomicI64::new(wall - boot), told: AtomicBool::new(false) }
    }

    /// The time, and whether the clock was found to have leapt since this was last asked.
    fn now(&self, wall: i64, boot: i64) -> (i64, bool) {
        let offset = wall - boot;
        let known = self.offset.load(Ordering::Relaxed);
        if (known - LEAP..=known + LEAP).contains(&offset) {
            self.told.store(false, Ordering::Relaxed);
            let newest = self.offset.fetch_max(offset, Ordering::Relaxed).max(offset);
            return (boot + newest, false);
        }
        (boot + known, !self.told.swap(true, Ordering::Relaxed))
    }
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug)]
pub struct MachineEntropy;

impl Entropy for MachineEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the randomness that others are given")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("a machine whose random generator fails can make no secrets");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const DAY: i64 = 86_400 * SECOND;

    #[test]
    fn time_follows_small_corrections_and_never_goes_back() {
        let clock = Steady::new(DAY, 0);
        assert_eq!(clock.now(DAY + SECOND, SECOND), (DAY + SECOND, false));
        // Set forward by two minutes: believed.
        assert_eq!(clock.now(DAY + 122 * SECOND, 2 * SECOND), (DAY + 122 * SECOND, false));
        // And back again: it goes on from where it was.
        assert_eq!(clock.now(DAY + 3 * SECOND, 3 * SECOND), (DAY + 123 * SECOND, false));
    }

    #[test]
    fn a_leap_is_told_once_and_not_believed() {
        let clock = Steady::new(DAY, 0);
        for hour in [3_600 * SECOND, -3_600 * SECOND, 365 * DAY] {
            assert_eq!(clock.now(DAY + SECOND + hour, SECOND), (DAY + SECOND, true));
            assert_eq!(clock.now(DAY + 2 * SECOND + hour, 2 * SECOND), (DAY + 2 * SECOND, false));
            assert_eq!(clock.now(DAY + 3 * SECOND, 3 * SECOND), (DAY + 3 * SECOND, false));
        }
    }

    #[test]
    fn the_machine_has_such_clocks() {
        let clock = MachineClock::new();
        let (now, monotonic) = (clock.now(), clock.monotonic_micros());
        assert!(now > Timestamp::from_seconds(1_700_000_000));
        assert!(clock.now() >= now && clock.monotonic_micros() >= monotonic);
    }
}
