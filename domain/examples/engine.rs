//! How fast and how large the ledger is with a million keys that are all in use: nanoseconds per
//! call held and settled on a dozen limits, and bytes per key.
//!
//! `cargo run --release -p domain --example engine`

#![expect(clippy::print_stdout, reason = "it is what this program is for")]
#![expect(clippy::disallowed_methods, reason = "it measures time, and looks at the clock for that")]
#![expect(clippy::unwrap_used, reason = "a measurement that fails should stop")]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use domain::ledger::{Fit, Loaded, Now};
use domain::scope::AllLimits;
use domain::{
    Enforcement, Hold, HoldId, KeyId, Ledger, Limit, LimitId, Money, Period, ProjectId, Scope,
    ScopedLimit, TeamId, Timestamp, Unit, Used, UserId, Want, Window,
};

const KEYS: u64 = 1_000_000;
const USERS: u64 = 100_000;
const TEAMS: u64 = 1_000;
const PROJECTS: u64 = 100;

/// Calls that are measured together, and how often.
const CALLS: u64 = 100_000;
const RUNS: u64 = 15;
/// Calls whose limits are collected together, before the time is taken.
const BATCH: u64 = 200;
/// Limits of a key itself.
const OWN: usize = 5;
/// Calls that are open at a time.
const OPEN: usize = 500;
/// Microseconds from one call to the next.
const PAUSE: u64 = 200;

const START: Timestamp = Timestamp::from_seconds(1_900_000_000);
const MINUTE: Window = Window::Rolling { seconds: 60 };

/// Random bits that are the same in every run (`SplitMix64`).
fn mixed(seed: u64) -> u64 {
    let bits = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// 80 random bits, as ids have them.
fn random(kind: u64, number: u64) -> u128 {
    let seed = (kind << 48) | number;
    (u128::from(mixed(seed)) << 64) | u128::from(mixed(!seed))
}

fn add(all: &mut AllLimits, scope: Scope, number: u64, limits: &[(Unit, Window)]) {
    let kind = scope.kind().len() as u64;
    for (place, (unit, window)) in limits.iter().enumerate() {
        let id = LimitId::new(START, random(kind * 16 + place as u64 + 1, number));
        let limit = Limit {
            id,
            unit: *unit,
            amount: 1 << 60,
            window: *window,
            enforcement: Enforcement::Hard,
        };
        // The requests of a minute are few enough to be remembered one by one.
        let amount = if *unit == Unit::Requests { 10_000 } else { limit.amount };
        all.push(ScopedLimit { scope, limit: Limit { amount, ..limit } });
    }
}

/// The limits of a call with the key of this number.
fn limits(key: u64) -> AllLimits {
    use Unit::{Money, Requests, Tokens};
    let (day, month) = (Window::utc(Period::Day), Window::utc(Period::Month));
    let user = key % USERS;
    let (team, project) = (user % TEAMS, key % PROJECTS);
    let mut all = AllLimits::new();
    add(&mut all, Scope::Instance, 0, &[(Money, month)]);
    let id = ProjectId::new(START, random(1, project));
    add(&mut all, Scope::Project(id), project, &[(Money, month)]);
    let id = TeamId::new(START, random(2, team));
    add(&mut all, Scope::Team(id), team, &[(Tokens, MINUTE), (Money, month)]);
    let id = UserId::new(START, random(3, user));
    add(&mut all, Scope::User(id), user, &[(Requests, MINUTE), (Tokens, MINUTE), (Money, month)]);
    let id = KeyId::new(START, random(4, key));
    let own = [
        (Requests, MINUTE),
        (Tokens, MINUTE),
        (Tokens, day),
        (Money, month),
        (Money, Window::Lifetime),
    ];
    add(&mut all, Scope::Key(id), key, &own);
    all
}

/// Memory that this program has in use.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

/// The ledger, the time, and what is open.
struct Bench {
    ledger: Ledger,
    open: VecDeque<Hold>,
    calls: u64,
}

impl Bench {
    fn now(&self) -> Now {
        let micros = self.calls * PAUSE;
        let wall = Timestamp::from_micros(START.micros() + i64::try_from(micros).unwrap());
        Now { wall, monotonic: micros }
    }

    fn settle(&mut self) {
        if let Some(hold) = self.open.pop_front() {
            self.ledger.settle(hold, Used { money: Money::from_nanos(700), tokens: 300 });
        }
    }

    /// Holds one call, and settles the one that is open longest.
    fn call(&mut self, limits: &[ScopedLimit]) {
        self.calls += 1;
        let id = HoldId::new(START, u128::from(self.calls));
        let want = Want::call(Money::from_nanos(1_000), 1_000);
        let hold = self.ledger.reserve(id, limits, want, Fit::All, self.now()).unwrap();
        self.open.push_back(hold);
        if self.open.len() > OPEN {
            self.settle();
        }
    }
}

impl Bench {
    /// Nanoseconds per call, the middle one of many runs, with keys at random among the first `keys`.
    /// Without what is `above` them, only their own limits count.
    fn median(&mut self, keys: u64, above: bool) -> u128 {
        let mut runs: Vec<u128> = (0..RUNS).map(|run| self.run(run, keys, above)).collect();
        runs.sort_unstable();
        runs[runs.len() / 2]
    }

    fn run(&mut self, run: u64, keys: u64, above: bool) -> u128 {
        let mut spent = Duration::ZERO;
        for batch in 0..CALLS / BATCH {
            let first = run * CALLS + batch * BATCH;
            let calls: Vec<AllLimits> =
                (first..first + BATCH).map(|call| limits(mixed(call) % keys)).collect();
            let start = Instant::now();
            for limits in &calls {
                let own = limits.len() - OWN;
                self.call(if above { limits } else { &limits[own..] });
            }
            spent += start.elapsed();
        }
        spent.as_nanos() / u128::from(CALLS)
    }
}

/// Nanoseconds to read memory that no cache has, each place telling where the next one is: what the
/// figure above depends on most, and what differs most between machines.
fn cold_read() -> u128 {
    const LINES: usize = 1 << 23;
    const READS: u32 = 1_000_000;
    let mut next: Vec<[usize; 8]> = (0..LINES).map(|line| [line; 8]).collect();
    for line in (1..LINES).rev() {
        let other = usize::try_from(mixed(line as u64)).unwrap() % line;
        next.swap(line, other);
    }
    let start = Instant::now();
    let line = (0..READS).fold(0, |line: usize, _| next[line][0]);
    let nanos = start.elapsed().as_nanos() / u128::from(READS);
    assert!(line < LINES);
    nanos
}

fn main() {
    let mut bench = Bench { ledger: Ledger::default(), open: VecDeque::new(), calls: 0 };
    let before = resident_bytes();
    for key in 0..KEYS {
        let limits = limits(key);
        for scoped in bench.ledger.missing(&limits) {
            bench.ledger.open(&scoped, &Loaded::default(), bench.now());
        }
    }
    let opened = resident_bytes() - before;
    for key in 0..KEYS {
        bench.call(&limits(key));
    }
    let used = resident_bytes() - before;
    println!("{} limits per call, {} accounts", limits(0).len(), bench.ledger.len());
    println!("bytes per key: {} opened, {} in use", opened / KEYS, used / KEYS);

    println!("ns per hold and settle, keys at random:");
    for (what, keys, above) in [
        ("own limits of a million keys", KEYS, false),
        ("all limits of a million keys", KEYS, true),
        ("all limits of a thousand keys", 1_000, true),
    ] {
        println!("  {what}: {}", bench.median(keys, above));
    }
    println!("ns per read of memory that no cache has: {}", cold_read());
}
