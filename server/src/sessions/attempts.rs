//! Wrong passwords, counted: by the address they come from, and all together, so that neither one
//! guesser nor many get far. Whoever guesses waits; nobody is locked out for good.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};

use domain::{Code, Refusal, Timestamp};
use parking_lot::Mutex;

const WINDOW_SECONDS: i64 = 15 * 60;
/// From one address within the window.
const MOST: usize = 10;
/// From all addresses within the window; beyond it each has to wait longer for the next.
const MOST_OF_ALL: usize = 100;
const LONGEST_WAIT_SECONDS: i64 = 60;
const ADDRESSES_MAX: usize = 10_000;

/// The wrong passwords of late.
#[derive(Default)]
pub struct Attempts(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    by_address: HashMap<IpAddr, VecDeque<Timestamp>>,
    all: VecDeque<Timestamp>,
}

impl Attempts {
    /// Counts one more, which is taken back where the password is right: those that are tried at the
    /// same time count too.
    ///
    /// # Errors
    /// There were too many.
    pub fn begin(&self, from: IpAddr, now: Timestamp) -> Result<(), Refusal> {
        let mut counted = self.0.lock();
        let Counted { by_address, all } = &mut *counted;
        let start = now.plus_seconds(-WINDOW_SECONDS);
        forget(all, start);
        if by_address.len() >= ADDRESSES_MAX {
            by_address.retain(|_, times| {
                forget(times, start);
                !times.is_empty()
            });
        }
        let own = by_address.entry(network(from)).or_default();
        forget(own, start);
        let own_wait = own.front().filter(|_| own.len() >= MOST);
        let own_wait = own_wait.map(|first| first.plus_seconds(WINDOW_SECONDS));
        if let Some(until) = own_wait.or_else(|| wait_of_all(all)).filter(|until| *until > now) {
            return Err(too_many(until.since(now)));
        }
        own.push_back(now);
        all.push_back(now);
        Ok(())
    }

    /// The password was right.
    pub fn forgive(&self, from: IpAddr) {
        let mut counted = self.0.lock();
        counted.by_address.remove(&network(from));
        counted.all.pop_back();
    }
}

fn forget(times: &mut VecDeque<Timestamp>, start: Timestamp) {
    while times.front().is_some_and(|first| *first <= start) {
        times.pop_front();
    }
}

/// Until when everybody waits: one second, then two, then four.
fn wait_of_all(all: &VecDeque<Timestamp>) -> Option<Timestamp> {
    let beyond = u32::try_from(all.len().checked_sub(MOST_OF_ALL)?).unwrap_or(u32::MAX);
    let seconds = 1_i64.checked_shl(beyond.min(10)).unwrap_or(LONGEST_WAIT_SECONDS);
    Some(all.back()?.plus_seconds(seconds.min(LONGEST_WAIT_SECONDS)))
}

/// Whoever has one IPv6 address has all of its network.
fn network(from: IpAddr) -> IpAddr {
    match from {
        IpAddr::V4(_) => from,
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}

fn too_many(micros: u64) -> Refusal {
    let mut refusal = Refusal::new(
        Code::TooManyAttempts,
        "Too many wrong passwords. Wait, or use the master key as a bearer.",
    );
    refusal.retry_after_ms = Some(micros.div_ceil(1_000));
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_guesser_waits_and_many_wait_a_little() {
        let attempts = Attempts::default();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let now = Timestamp::from_seconds(1_000_000);
        for _ in 0..MOST {
            assert!(attempts.begin(one, now).is_ok());
        }
        let refused = attempts.begin(one, now).unwrap_err();
        assert_eq!(refused.retry_after_ms, Some(900_000));
        assert!(attempts.begin(other, now).is_ok());
        attempts.forgive(other);
        assert!(attempts.begin(one, now.plus_seconds(WINDOW_SECONDS)).is_ok());
        let later = now.plus_seconds(10_000);
        for number in 0..100_u8 {
            assert!(attempts.begin(IpAddr::from([10, 0, 1, number]), later).is_ok());
        }
        assert_eq!(attempts.begin(other, later).unwrap_err().retry_after_ms, Some(1_000));
        assert!(attempts.begin(other, later.plus_seconds(1)).is_ok());
        let refused = attempts.begin(other, later.plus_seconds(1)).unwrap_err();
        assert_eq!(refused.retry_after_ms, Some(2_000));
        // Whoever's address is another of the same network is no other.
        assert_eq!(
            network("2001:db8::1".parse().unwrap()),
            network("2001:db8::2".parse().unwrap())
        );
    }
}
