//! Many calls at a time, in an order that nobody chooses: at every moment no limit is passed, a
//! process that is killed then loses nothing, and when all have ended everything agrees.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use domain::ledger::Fit;
use domain::{
    Correction, Ending, Evidence, HoldId, Limit, LimitId, Money, Period, Row, Scope, ScopedLimit,
    TeamId, Timestamp, Unit, UserId, Want, Window,
};
use parking_lot::Mutex;
use store::{Held, NotReserved, Options, Store};

use crate::books::{Books, Entry, entries, leave};
use crate::world::*;

const KEYS: u64 = 3;
const CALLERS: u64 = 6;
const CALLS: u64 = 25;

struct Crowd {
    store: Store,
    place: PathBuf,
    /// Two minutes before midnight, and going on.
    clock: AtomicI64,
    over: AtomicBool,
    /// What was acknowledged, and what was recorded.
    begun: Mutex<BTreeSet<HoldId>>,
    recorded: Mutex<Vec<Row>>,
}

impl Crowd {
    fn at(&self) -> Timestamp {
        Timestamp::from_micros(self.clock.load(Ordering::SeqCst))
    }
}

fn limits_of(key: u64) -> Vec<ScopedLimit> {
    let limit = |scope, number: u64, unit, amount, window| {
        let id = LimitId::new(NOON, number.into());
        let limit = Limit { unit, ..Limit::money(id, Money::from_nanos(amount), window) };
        ScopedLimit { scope, limit }
    };
    let team = Scope::Team(TeamId::new(NOON, 1));
    let user = Scope::User(UserId::new(NOON, u128::from(key % 2)));
    let own = Scope::Key(key_id(key));
    vec![
        limit(team, 1, Unit::Money, 30_000, Window::Lifetime),
        limit(team, 2, Unit::InFlight, 5, Window::Lifetime),
        limit(user, 3, Unit::Money, 9_000, Window::utc(Period::Day)),
        limit(user, 4, Unit::Requests, 45, Window::utc(Period::Day)),
        limit(own, 10 + key, Unit::Money, 14_000, Window::Lifetime),
        limit(own, 20 + key, Unit::Tokens, 6_000, Window::Rolling { seconds: 60 }),
    ]
}

fn all_limits() -> Vec<ScopedLimit> {
    let mut all: Vec<ScopedLimit> = Vec::new();
    for one in (0..KEYS).flat_map(limits_of) {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}

fn bound(number: u64, key: u64, want: Want, at: Timestamp) -> Row {
    Row {
        cost: Some(want.money),
        held: want.money,
        tokens: want.tokens,
        evidence: Evidence::Estimated,
        ending: Ending::Killed,
        ..row(number, key_id(key), at)
    }
}

async fn pause(numbers: &mut impl Iterator<Item = u64>) {
    for _ in 0..numbers.next().unwrap() % 4 {
        tokio::task::yield_now().await;
    }
}

/// One caller's calls; gives back what it left open.
async fn calls(crowd: Arc<Crowd>, caller: u64, seed: u64) -> Vec<Held> {
    let mut numbers = chance(seed * 100 + caller);
    let mut left = Vec::new();
    for call in 0..CALLS {
        let mut next = |most: u64| numbers.next().unwrap() % most;
        let (key, number) = (next(KEYS), 1 + caller * 1_000 + call * 2);
        let money = Money::from_nanos(i64::try_from(1 + next(2_000)).unwrap());
        let want = Want::call(money, i64::try_from(1 + next(900)).unwrap());
        let (gives_up, how, used) = (next(8) == 0, next(10), i64::try_from(next(11)).unwrap());
        crowd.clock.fetch_add(i64::try_from(next(4_000_000)).unwrap(), Ordering::SeqCst);
        let (at, limits) = (crowd.at(), limits_of(key));
        let mut row = bound(number, key, want, at);
        let reserved = crowd.store.reserve(row.attempt, &limits, want, Fit::All, now(at)).await;
        let mut held = match reserved {
            Ok(held) => held,
            Err(NotReserved::Short(_)) => continue,
            Err(NotReserved::Fault(fault)) => panic!("{fault}"),
        };
        pause(&mut numbers).await;
        if gives_up {
            tokio::select! {
                biased;
                _ = crowd.store.begin(&mut held, &row) => {}
                () = tokio::task::yield_now() => {}
            }
            crowd.store.release(held);
            continue;
        }
        crowd.store.begin(&mut held, &row).await.unwrap();
        crowd.begun.lock().insert(row.attempt);
        pause(&mut numbers).await;
        if how == 0 {
            let failed = Row { cost: None, tokens: 0, ..row.clone() };
            row = bound(number + 1, key, want, at);
            held = crowd.store.pass_on(held, &failed, row.attempt).unwrap();
            crowd.recorded.lock().push(failed);
            pause(&mut numbers).await;
            crowd.store.begin(&mut held, &row).await.unwrap();
            crowd.begun.lock().insert(row.attempt);
        }
        match how {
            1 => crowd.store.release(held),
            2 => crowd.store.finish(held),
            3 => left.push(held),
            _ => {
                let part = |whole: i64| whole * used / 10;
                let cost = Some(Money::from_nanos(part(money.nanos())));
                let evidence = Evidence::Reported;
                let row = Row { cost, tokens: part(want.tokens), evidence, ..row };
                crowd.store.settle(held, &row).unwrap();
                if how == 4 {
                    correct(&crowd, &row, at).await;
                }
                crowd.recorded.lock().push(row);
            }
        }
    }
    left
}

async fn correct(crowd: &Crowd, row: &Row, at: Timestamp) {
    let money = Money::from_nanos(row.cost.unwrap_or_default().nanos() / 2);
    let (attempt, key, tokens) = (row.attempt, row.key, row.tokens / 2);
    let (evidence, actor) = ("records".into(), "test".into());
    let correction = Correction { attempt, key, money, tokens, evidence, actor, at };
    crowd.store.correct(correction, act("row.correct")).await.unwrap();
}

/// What every limit says, again and again.
async fn watch(crowd: Arc<Crowd>) {
    let limits = all_limits();
    while !crowd.over.load(Ordering::SeqCst) {
        let balances = crowd.store.balances(&limits, now(crowd.at())).await.unwrap();
        for (scoped, balance) in limits.iter().zip(balances) {
            assert!(balance.taken() <= scoped.limit.amount, "{scoped:?} {balance:?}");
            assert!(balance.spent >= 0 && balance.held >= 0, "{scoped:?} {balance:?}");
        }
        tokio::task::yield_now().await;
    }
}

/// What a process leaves that is killed now, and what had been acknowledged by then.
fn kill(crowd: &Crowd, copy: &Path) -> BTreeSet<HoldId> {
    let begun = crowd.begun.lock().clone();
    leave(&crowd.place, None, copy);
    begun
}

fn check_killed(copy: &Path, begun: &BTreeSet<HoldId>, at: Timestamp) {
    let journal = entries(copy);
    let written: BTreeSet<_> = journal
        .iter()
        .filter_map(|one| match &one.entry {
            Entry::Began(of) => Some(of.row.attempt),
            _ => None,
        })
        .collect();
    assert!(written.is_superset(begun));
    let mut books = Books::of(&journal);
    books.kill();
    for scoped in all_limits().iter().filter(|one| one.limit.is_durable()) {
        let turns = books.counted.get(&(scoped.scope, scoped.limit.id));
        for (_, spent) in turns.into_iter().flatten() {
            assert!(*spent <= scoped.limit.amount, "{scoped:?} {spent}");
        }
    }
    let mut attempts: Vec<_> = books.rows.iter().map(|row| row.attempt).collect();
    attempts.sort();
    assert!(attempts.windows(2).all(|two| two[0] != two[1]), "two rows of one attempt");
    let store = Store::open(copy, small(), at).unwrap();
    books.agree(&store, copy, &all_limits(), at);
}

fn small() -> Options {
    Options { segment_bytes: 5_000, ..Options::default() }
}

fn one_crowd(seed: u64) {
    let root = directory();
    let place = root.path().join("live");
    let store = Store::open(&place, small(), NOON).unwrap();
    let clock = AtomicI64::new(NOON.plus_seconds(43_200 - 120).micros());
    let (over, begun, recorded) = (AtomicBool::new(false), Mutex::default(), Mutex::default());
    let crowd = Arc::new(Crowd { store, place: place.clone(), clock, over, begun, recorded });
    let workers = 1 + usize::try_from(seed % 4).unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers).build().unwrap();
    let mut copies = Vec::new();
    let left: Vec<Held> = runtime.block_on(async {
        let watcher = tokio::task::JoinSet::from_iter([watch(Arc::clone(&crowd))]);
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..CALLERS {
            callers.spawn(calls(Arc::clone(&crowd), caller, seed));
        }
        let mut left = Vec::new();
        while let Some(held) = callers.join_next().await {
            let copy = root.path().join(copies.len().to_string());
            copies.push((kill(&crowd, &copy), copy));
            left.extend(held.unwrap());
        }
        crowd.over.store(true, Ordering::SeqCst);
        watcher.join_all().await;
        left
    });
    let at = crowd.at();
    for (begun, copy) in &copies {
        check_killed(copy, begun, at);
    }
    for held in left {
        crowd.store.release(held);
    }
    wait(crowd.store.flush()).unwrap();
    let sorted = |rows: &[Row]| {
        let mut rows = rows.to_vec();
        rows.sort_by_key(|row| row.attempt);
        rows
    };
    let mut books = Books::of_dir(&place);
    assert_eq!(sorted(&books.rows), sorted(&crowd.recorded.lock()));
    books.agree(&crowd.store, &place, &all_limits(), at);
    for (scoped, balance) in
        all_limits().iter().zip(wait(crowd.store.balances(&all_limits(), now(at))).unwrap())
    {
        assert_eq!(balance.held, 0, "{scoped:?}");
    }
}

#[test]
fn a_crowd_passes_no_limit_and_leaves_nothing_held() {
    for seed in 0..12 {
        one_crowd(seed);
    }
}

#[test]
#[ignore = "many crowds take minutes"]
fn many_crowds_pass_no_limit_and_leave_nothing_held() {
    for seed in 100..600 {
        one_crowd(seed);
    }
}
