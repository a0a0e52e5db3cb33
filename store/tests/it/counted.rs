//! What counts where: in the last seconds, in a turn that is over, with a clock that goes back, and
//! what was spent before anybody asked.

use domain::ledger::{Balance, Fit};
use domain::{
    Correction, Ending, Evidence, Limit, LimitId, Money, Period, Row, Scope, ScopedLimit,
    Timestamp, Unit, UserId, Want, Window,
};
use store::{Fault, Held, NotReserved, Options, Store, UsageQuery};

use crate::books::{self, Books, leave};
use crate::world::*;

fn dollars(amount: i64) -> Money {
    Money::from_nanos(amount * 1_000_000_000)
}

const MINUTE: Window = Window::Rolling { seconds: 60 };

fn counts(number: u128, unit: Unit, amount: i64, window: Window) -> ScopedLimit {
    let id = LimitId::new(NOON, number);
    let limit = Limit { unit, ..Limit::money(id, Money::from_nanos(amount), window) };
    ScopedLimit { scope: Scope::Key(key_id(1)), limit }
}

fn after(millis: i64) -> Timestamp {
    Timestamp::from_micros(NOON.micros() + millis * 1_000)
}

fn open_at(dir: &std::path::Path, at: Timestamp) -> Store {
    Store::open(dir, Options { segment_bytes: 600, ..Options::default() }, at).unwrap()
}

fn bound(number: u64, want: Want, at: Timestamp) -> Row {
    let (evidence, ending) = (Evidence::Estimated, Ending::Killed);
    let (cost, tokens) = (Some(want.money), want.tokens);
    Row { cost, held: want.money, tokens, evidence, ending, ..row(number, key_id(1), at) }
}

/// A call that is admitted and begun.
fn begin(store: &Store, limits: &[ScopedLimit], want: Want, number: u64, at: Timestamp) -> Held {
    let row = bound(number, want, at);
    let mut held =
        wait(store.reserve(row.attempt, limits, want, Fit::All, now(at))).expect("it fits");
    wait(store.begin(&mut held, &row)).unwrap();
    held
}

/// A call that used this much.
fn call(store: &Store, limits: &[ScopedLimit], used: Want, number: u64, at: Timestamp) -> Row {
    let held = begin(store, limits, used, number, at);
    let (evidence, ending) = (Evidence::Reported, Ending::Complete);
    let row = Row { evidence, ending, ..bound(number, used, at) };
    store.settle(held, &row).unwrap();
    row
}

fn balances(store: &Store, limits: &[ScopedLimit], at: Timestamp) -> Vec<Balance> {
    wait(store.balances(limits, now(at))).unwrap()
}

fn stands(store: &Store, limits: &[ScopedLimit], at: Timestamp) -> Vec<(i64, i64)> {
    balances(store, limits, at).iter().map(|one| (one.spent, one.held)).collect()
}

/// Microseconds until such a call fits.
fn fits_after(store: &Store, limits: &[ScopedLimit], want: Want, at: Timestamp) -> Option<u64> {
    match wait(store.reserve(hold_id(999), limits, want, Fit::All, now(at))) {
        Ok(held) => {
            store.release(held);
            Some(0)
        }
        Err(NotReserved::Short(short)) => short.after,
        Err(NotReserved::Fault(fault)) => panic!("{fault}"),
    }
}

fn tokens(amount: i64) -> Want {
    Want::call(Money::ZERO, amount)
}

#[test]
fn requests_and_tokens_of_the_last_minute_count_after_a_restart() {
    let limits = [counts(1, Unit::Requests, 4, MINUTE), counts(2, Unit::Tokens, 1_000, MINUTE)];
    let dir = directory();
    let live = dir.path().join("live");
    let store = open_at(&live, NOON);
    call(&store, &limits, tokens(50), 1, after(0));
    call(&store, &limits, tokens(100), 2, after(31_500));
    let released = begin(&store, &limits, tokens(300), 3, after(35_000));
    store.release(released);
    let finished = begin(&store, &limits, tokens(200), 4, after(40_000));
    store.finish(finished);
    // It is killed with this in flight.
    let _in_flight = begin(&store, &limits, tokens(500), 5, after(50_000));
    wait(store.flush()).unwrap();
    let copy = dir.path().join("copy");
    leave(&live, Some(&live), &copy);
    // Three starts: what the first has read, the second has only been told of.
    for turn in 0..3 {
        if turn == 1 {
            for name in ["sums.db", "sums.db-wal", "sums.db-shm"] {
                let _ = std::fs::remove_file(copy.join(name));
            }
        }
        let store = open_at(&copy, after(59_000));
        assert_eq!(store.recovery().calls_charged, u64::from(turn == 0));
        assert_eq!(stands(&store, &limits, after(59_000)), [(4, 0), (650, 0)], "start {turn}");
        assert_eq!(fits_after(&store, &limits, tokens(1), after(59_000)), Some(1_000_000));
        assert_eq!(stands(&store, &limits, after(60_000)), [(3, 0), (600, 0)]);
        assert_eq!(fits_after(&store, &limits, tokens(401), after(60_000)), Some(31_500_000));
        assert_eq!(fits_after(&store, &limits, tokens(501), after(60_000)), Some(50_000_000));
        assert_eq!(fits_after(&store, &limits, tokens(400), after(60_000)), Some(0));
    }
    // What is too old when the process starts does not count, whoever asks first.
    let store = open_at(&copy, after(91_500));
    assert_eq!(stands(&store, &limits, after(91_500)), [(2, 0), (500, 0)]);
    drop(store);
    let store = open_at(&copy, after(200_000));
    assert_eq!(stands(&store, &limits, after(200_000)), [(0, 0), (0, 0)]);
}

/// A killed process leaves segments whose times nobody wrote down; those must still be read by the
/// start after the next.
#[test]
fn the_last_minute_counts_however_often_the_process_is_killed_in_it() {
    let limits = [counts(1, Unit::Requests, 100, MINUTE)];
    let dir = directory();
    let live = dir.path().join("0");
    let store = open_at(&live, NOON);
    for number in 1..20 {
        call(&store, &limits, tokens(1), number, NOON);
        // Many small segments.
        wait(store.rows(store::RowQuery::default())).unwrap();
    }
    let mut place = dir.path().join("1");
    leave(&live, None, &place);
    assert!(books::segments(&place).len() > 3);
    for turn in 2..5 {
        let store = open_at(&place, after(1_000));
        assert_eq!(stands(&store, &limits, after(1_000)), [(19, 0)], "start {turn}");
        wait(store.flush()).unwrap();
        let next = dir.path().join(turn.to_string());
        leave(&place, Some(&place), &next);
        place = next;
    }
}

fn correction(row: &Row, money: Money, tokens: i64, at: Timestamp) -> Correction {
    let (evidence, actor) = ("their records".into(), "test".into());
    Correction { attempt: row.attempt, key: row.key, money, tokens, evidence, actor, at }
}

#[test]
fn a_correction_counts_in_the_turn_that_is_open_and_in_the_sums() {
    let limits = [
        counts(1, Unit::Money, dollars(100).nanos(), Window::Lifetime),
        counts(2, Unit::Money, dollars(100).nanos(), Window::utc(Period::Day)),
        counts(3, Unit::Tokens, 1_000, Window::utc(Period::Day)),
        counts(4, Unit::Tokens, 1_000, MINUTE),
        counts(5, Unit::Requests, 1_000, Window::utc(Period::Day)),
    ];
    let ten = Want::call(dollars(10), 100);
    let dir = directory();
    let store = open_at(dir.path(), NOON);
    let yesterday = call(&store, &limits, ten, 1, after(0));
    let day = 86_400_000;
    let today = call(&store, &limits, ten, 2, after(day));
    let killed = begin(&store, &limits, ten, 3, after(day));
    drop(store);
    let store = open_at(dir.path(), after(day));
    assert_eq!(killed.id(), bound(3, ten, after(day)).attempt);
    let killed = bound(3, ten, after(day));
    let correct = |row: &Row, money| {
        let correction = correction(row, dollars(money), 10, after(day + 1));
        wait(store.correct(correction, act("row.correct"))).unwrap();
    };
    let dollar = |amount: i64| (dollars(amount).nanos(), 0);
    let at = after(day + 1);
    let before = [dollar(30), dollar(20), (200, 0), (200, 0), (2, 0)];
    assert_eq!(stands(&store, &limits, at), before);
    correct(&yesterday, 4);
    let expected = [dollar(26), dollar(20), (200, 0), (200, 0), (2, 0)];
    assert_eq!(stands(&store, &limits, at), expected);
    correct(&today, 3);
    correct(&killed, 9);
    correct(&killed, 1);
    let expected = [dollar(13), dollar(7), (170, 0), (200, 0), (2, 0)];
    assert_eq!(stands(&store, &limits, at), expected);
    let (row, corrections) = wait(store.attempt(killed.attempt)).unwrap().unwrap();
    assert_eq!((row, corrections.len()), (killed, 2));
    // Only what was estimated is an estimate less.
    let total = wait(store.usage(UsageQuery::default())).unwrap().total;
    assert_eq!((total.cost, total.estimated), (dollars(13), Money::ZERO));
    let nobody = Row { attempt: hold_id(77), ..today };
    let nobody = wait(store.correct(correction(&nobody, dollars(1), 0, at), act("row.correct")));
    assert!(matches!(nobody, Err(Fault::NotFound)));
    drop(store);
    for again in 0..2 {
        let store = open_at(dir.path(), at);
        assert_eq!(stands(&store, &limits, at), expected, "{again}");
        let mut books = Books::of_dir(dir.path());
        books.agree(&store, dir.path(), &limits, at);
        drop(store);
        for name in ["sums.db", "sums.db-wal", "sums.db-shm"] {
            let _ = std::fs::remove_file(dir.path().join(name));
        }
    }
}

#[test]
fn a_correction_is_found_though_the_clock_was_set_back() {
    let dir = directory();
    let limits = [counts(1, Unit::Money, dollars(100).nanos(), Window::Lifetime)];
    let store = open_at(dir.path(), NOON);
    let row = call(&store, &limits, Want::call(dollars(5), 0), 1, NOON);
    let yesterday = after(-86_400_000);
    let correction = correction(&row, dollars(1), 0, yesterday);
    for number in 2..9 {
        store
            .record(&Row { began_at: yesterday, ..self::row(number, key_id(2), yesterday) })
            .unwrap();
        wait(store.flush()).unwrap();
    }
    wait(store.correct(correction.clone(), act("row.correct"))).unwrap();
    for number in 20..29 {
        store
            .record(&Row { began_at: yesterday, ..self::row(number, key_id(2), yesterday) })
            .unwrap();
        wait(store.flush()).unwrap();
    }
    assert_eq!(
        wait(store.attempt(row.attempt)).unwrap(),
        Some((row.clone(), vec![correction.clone()]))
    );
    drop(store);
    let store = open_at(dir.path(), yesterday);
    assert_eq!(wait(store.attempt(row.attempt)).unwrap(), Some((row, vec![correction])));
    assert_eq!(stands(&store, &limits, yesterday), [(dollars(4).nanos(), 0)]);
}

/// Who is told that it failed gives it again.
#[test]
fn a_correction_that_is_refused_does_not_count_later() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let dir = directory();
    let full = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&full);
    let probe = move |_| {
        if asked.load(Ordering::SeqCst) {
            Err(std::io::ErrorKind::StorageFull.into())
        } else {
            Ok(usize::MAX)
        }
    };
    let options = Options { probe: Some(Arc::new(probe)), ..Options::default() };
    let store = Store::open(dir.path(), options, NOON).unwrap();
    let limits = [counts(1, Unit::Money, dollars(100).nanos(), Window::Lifetime)];
    let row = call(&store, &limits, Want::call(dollars(5), 0), 1, NOON);
    wait(store.flush()).unwrap();
    full.store(true, Ordering::SeqCst);
    store.record(&self::row(9, key_id(2), NOON)).unwrap();
    assert!(wait(store.flush()).is_err());
    let give = || wait(store.correct(correction(&row, dollars(1), 0, NOON), act("row.correct")));
    assert!(matches!(give(), Err(Fault::LedgerFull)));
    full.store(false, Ordering::SeqCst);
    while wait(store.flush()).is_err() {}
    give().unwrap();
    assert_eq!(stands(&store, &limits, NOON), [(dollars(4).nanos(), 0)]);
    assert_eq!(wait(store.attempt(row.attempt)).unwrap().unwrap().1.len(), 1);
}

#[test]
fn a_limit_set_later_counts_what_was_spent_before_exactly_once() {
    let free: [ScopedLimit; 0] = [];
    let month = Window::utc(Period::Month);
    let limits = [
        counts(1, Unit::Money, dollars(100).nanos(), Window::Lifetime),
        counts(2, Unit::Money, dollars(100).nanos(), month),
        // Only a key's money.
        counts(3, Unit::Tokens, 1_000_000, Window::Lifetime),
    ];
    let last_month = after(-25 * 86_400_000);
    let spend = |amount| Want::call(dollars(amount), 10);
    // Killed before anybody asked, after that, and after something was spent under it.
    for killed in 0..4 {
        let dir = directory();
        let mut place = dir.path().join("0");
        let mut store = open_at(&place, NOON);
        let end = |store: Store, place: &mut std::path::PathBuf, turn: u32| {
            if killed != turn {
                return store;
            }
            wait(store.rows(store::RowQuery::default())).unwrap();
            let next = dir.path().join("1");
            leave(place, None, &next);
            drop(store);
            *place = next;
            open_at(place, NOON)
        };
        call(&store, &free, spend(20), 1, last_month);
        call(&store, &free, spend(7), 2, NOON);
        let in_flight = begin(&store, &free, spend(5), 3, NOON);
        store.release(in_flight);
        store = end(store, &mut place, 1);
        let dollar = |amount: i64| (dollars(amount).nanos(), 0);
        assert_eq!(stands(&store, &limits, NOON), [dollar(27), dollar(7), (0, 0)]);
        store = end(store, &mut place, 2);
        call(&store, &limits, spend(3), 4, NOON);
        store = end(store, &mut place, 3);
        let expected = [dollar(30), dollar(10), (10, 0)];
        assert_eq!(stands(&store, &limits, NOON), expected, "killed {killed}");
        drop(store);
        let store = open_at(&place, NOON);
        Books::of_dir(&place).agree(&store, &place, &limits, NOON);
        assert_eq!(stands(&store, &limits, NOON), expected, "killed {killed}");
    }
}

/// What is in flight when a limit is set was not admitted under it, before a restart and after.
#[test]
fn what_was_in_flight_before_there_was_a_limit_counts_the_same_after_a_restart() {
    let limits = [counts(1, Unit::Money, dollars(100).nanos(), Window::Lifetime)];
    let dir = directory();
    let store = open(dir.path());
    let want = Want::call(dollars(5), 0);
    let earlier = begin(&store, &[], want, 1, NOON);
    assert_eq!(stands(&store, &limits, NOON), [(0, 0)]);
    store.settle(earlier, &bound(1, want, NOON)).unwrap();
    assert_eq!(stands(&store, &limits, NOON), [(0, 0)]);
    drop(store);
    assert_eq!(stands(&open(dir.path()), &limits, NOON), [(0, 0)]);
}

/// Nobody may skip `begin`, but where it is, what settles counts all the same.
#[test]
fn what_settles_without_having_begun_counts_when_the_journal_is_read_again() {
    // Not the key's: nothing that was spent before would make up for it.
    let user = Scope::User(UserId::new(NOON, 1));
    let limit = counts(1, Unit::Money, dollars(100).nanos(), Window::Lifetime);
    let limits = [ScopedLimit { scope: user, ..limit }];
    let dir = directory();
    let live = dir.path().join("live");
    let store = open(&live);
    let want = Want::call(dollars(5), 0);
    let row = bound(1, want, NOON);
    let held = wait(store.reserve(row.attempt, &limits, want, Fit::All, now(NOON))).unwrap();
    store.settle(held, &row).unwrap();
    let held = wait(store.reserve(hold_id(2), &limits, want, Fit::All, now(NOON))).unwrap();
    let failed = Row { attempt: hold_id(2), cost: None, tokens: 0, ..bound(2, want, NOON) };
    let held = store.pass_on(held, &failed, hold_id(3)).unwrap();
    store.settle(held, &Row { attempt: hold_id(3), ..bound(3, want, NOON) }).unwrap();
    wait(store.rows(store::RowQuery::default())).unwrap();
    leave(&live, None, &dir.path().join("copy"));
    let store = open(&dir.path().join("copy"));
    assert_eq!(stands(&store, &limits, NOON), [(dollars(10).nanos(), 0)]);
    assert_eq!(store.recovery().calls_charged, 0);
}

#[test]
fn a_clock_that_goes_back_between_two_runs_reopens_no_turn() {
    let limits = [counts(1, Unit::Money, dollars(10).nanos(), Window::utc(Period::Day))];
    let dir = directory();
    let tomorrow = after(86_400_000);
    let store = open_at(dir.path(), NOON);
    call(&store, &limits, Want::call(dollars(2), 0), 1, NOON);
    let late = begin(&store, &limits, Want::call(dollars(3), 0), 2, NOON);
    call(&store, &limits, Want::call(dollars(7), 0), 3, tomorrow);
    // Its day is over: it counts nowhere any more.
    store.settle(late, &bound(2, Want::call(dollars(3), 0), NOON)).unwrap();
    let dollar = |amount: i64| (dollars(amount).nanos(), 0);
    assert_eq!(stands(&store, &limits, tomorrow), [dollar(7)]);
    drop(store);
    for _ in 0..2 {
        let store = open_at(dir.path(), NOON);
        assert_eq!(stands(&store, &limits, NOON), [dollar(7)]);
        let balance = balances(&store, &limits, NOON)[0];
        assert_eq!(balance.span.start, tomorrow.day());
        drop(store);
    }
    let store = open_at(dir.path(), NOON);
    call(&store, &limits, Want::call(dollars(1), 0), 4, NOON);
    assert_eq!(stands(&store, &limits, NOON), [dollar(8)]);
    drop(store);
    let store = open_at(dir.path(), tomorrow);
    assert_eq!(stands(&store, &limits, tomorrow), [dollar(8)]);
}

/// What a provider says may be beyond all measure; the sums stay at the end of their range.
#[test]
fn amounts_at_the_end_of_their_range_stop_nothing() {
    let user = Scope::User(UserId::new(NOON, 1));
    let limit = counts(1, Unit::Tokens, 1_000_000, Window::Lifetime);
    let limits = [ScopedLimit { scope: user, ..limit }];
    let dir = directory();
    let store = open(dir.path());
    for number in 1..4 {
        let at = NOON.plus_seconds(i64::try_from(number).unwrap() * 3_600);
        let row = bound(number, Want::call(dollars(1), 10), at);
        let asked = [ScopedLimit {
            limit: Limit { enforcement: domain::Enforcement::Observe, ..limits[0].limit },
            ..limits[0]
        }];
        let held = begin(&store, &asked, Want::call(dollars(1), 10), number, at);
        let too_much = Row { tokens: i64::MAX, cost: Some(Money::MAX), ..row };
        store.settle(held, &too_much).unwrap();
        wait(store.flush()).unwrap();
    }
    assert_eq!(stands(&store, &limits, NOON), [(i64::MAX, 0)]);
    let key = counts(2, Unit::Money, dollars(1).nanos(), Window::Lifetime);
    assert_eq!(stands(&store, &[key], NOON), [(i64::MAX, 0)]);
    drop(store);
    let store = open(dir.path());
    assert_eq!(stands(&store, &limits, NOON), [(i64::MAX, 0)]);
    assert_eq!(stands(&store, &[key], NOON), [(i64::MAX, 0)]);
}
