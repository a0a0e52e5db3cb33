//! Limits: what was spent before counts, what is spent meanwhile counts once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use domain::{Money, Period, Row, Window};
use parking_lot::Mutex;
use store::{NotReserved, Options, RowQuery, Store};

use crate::world::*;

fn dollars(amount: i64) -> Money {
    Money::from_nanos(amount * 1_000_000_000)
}

fn costing(number: u64, key: domain::KeyId, cost: Money) -> Row {
    Row { cost: Some(cost), ..row(number, key, NOON) }
}

#[test]
fn what_was_spent_survives_a_restart_and_still_counts() {
    let dir = directory();
    let mut limited = key(1);
    limited.limits = vec![limit(1, 100, Window::Lifetime), limit(2, 10, Window::utc(Period::Day))];
    let store = open(dir.path());
    let yesterday =
        Row { began_at: NOON.plus_seconds(-86_400), ..costing(1, limited.id, dollars(50)) };
    store.record(&yesterday).unwrap();
    let held = wait(reserve(&store, &limited, hold_id(2), dollars(8), NOON)).unwrap();
    store.settle(held, &costing(2, limited.id, dollars(7))).unwrap();
    drop(store);
    let store = open(dir.path());
    let stands = wait(store.balances(&on(&limited), now(NOON))).unwrap();
    assert_eq!((stands[0].spent, stands[1].spent), (dollars(57).nanos(), dollars(7).nanos()));
    let refused = wait(reserve(&store, &limited, hold_id(3), dollars(4), NOON)).unwrap_err();
    let NotReserved::Short(short) = refused else { panic!("{refused:?}") };
    assert_eq!(short.scoped.limit, limited.limits[1]);
    let tomorrow = NOON.plus_seconds(86_400);
    let held = wait(reserve(&store, &limited, hold_id(4), dollars(4), tomorrow)).unwrap();
    store.release(held);
    assert_eq!(
        wait(store.balances(&on(&limited), now(tomorrow))).unwrap()[0].spent,
        dollars(57).nanos()
    );
    assert_eq!(wait(store.spent([(limited.id, NOON)])).unwrap(), [dollars(7)]);
}

#[test]
fn a_limit_counts_what_its_key_spent_before_it_and_every_call_admitted_under_it() {
    let dir = directory();
    let store = open(dir.path());
    let free = key(1);
    let mut limited = key(1);
    store.record(&costing(9, free.id, dollars(2))).unwrap();
    let in_flight = wait(reserve(&store, &free, hold_id(1), dollars(5), NOON)).unwrap();
    limited.limits = vec![limit(1, 10, Window::Lifetime), limit(2, 10, Window::utc(Period::Month))];
    let second = wait(reserve(&store, &limited, hold_id(2), dollars(1), NOON)).unwrap();
    // It was admitted before there were limits.
    store.settle(in_flight, &costing(1, limited.id, dollars(5))).unwrap();
    store.settle(second, &costing(2, limited.id, dollars(1))).unwrap();
    let stands = |store: &Store| {
        let balances = wait(store.balances(&on(&limited), now(NOON))).unwrap();
        balances.iter().map(|balance| (balance.spent, balance.held)).collect::<Vec<_>>()
    };
    assert_eq!(stands(&store), [(dollars(3).nanos(), 0); 2]);
    drop(store);
    assert_eq!(stands(&open(dir.path())), [(dollars(3).nanos(), 0); 2]);
}

/// Threads call and settle while their key's limit is opened for the first time.
#[test]
fn whoever_opens_a_limit_every_call_counts_exactly_once() {
    const KEYS: u64 = 40;
    let dir = directory();
    let store = Arc::new(open(dir.path()));
    let mut totals = Vec::new();
    for number in 0..KEYS {
        let mut limited = key(number);
        limited.limits = vec![limit(u128::from(number), 1_000, Window::Lifetime)];
        store.record(&costing(number, limited.id, Money::from_nanos(77))).unwrap();
        let total = AtomicI64::new(77);
        let turn = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let (store, limited, total, turn) = (&store, &limited, &total, &turn);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let number = 1_000 * number + turn.fetch_add(1, Ordering::SeqCst);
                        let cost = Money::from_nanos(i64::try_from(number % 97).unwrap());
                        let row = costing(number, limited.id, cost);
                        let mut held =
                            wait(reserve(store, limited, row.attempt, cost, NOON)).unwrap();
                        wait(store.begin(&mut held, &row)).unwrap();
                        store.settle(held, &row).unwrap();
                        total.fetch_add(cost.nanos(), Ordering::SeqCst);
                    }
                });
            }
        });
        let stands = wait(store.balances(&on(&limited), now(NOON))).unwrap()[0];
        assert_eq!((stands.spent, stands.held), (total.load(Ordering::SeqCst), 0), "key {number}");
        totals.push((limited, stands.spent));
    }
    store.close().unwrap();
    drop(store);
    let store = open(dir.path());
    for (limited, spent) in totals {
        assert_eq!(wait(store.balances(&on(&limited), now(NOON))).unwrap()[0].spent, spent);
        assert_eq!(wait(store.spent([(limited.id, NOON)])).unwrap()[0].nanos(), spent);
    }
}

#[test]
fn an_opening_that_is_given_up_leaves_nothing_behind() {
    let dir = directory();
    let gate = Arc::new(Mutex::new(()));
    let probe = {
        let gate = Arc::clone(&gate);
        move |_| {
            drop(gate.lock());
            Ok(usize::MAX)
        }
    };
    let options = Options { probe: Some(Arc::new(probe)), ..Options::default() };
    let store = Store::open(dir.path(), options, NOON).unwrap();
    let mut limited = key(1);
    limited.limits = vec![limit(1, 10, Window::Lifetime)];
    let shut = gate.lock();
    store.record(&costing(1, limited.id, dollars(3))).unwrap();
    wait(async {
        let reserve = reserve(&store, &limited, hold_id(1), dollars(1), NOON);
        tokio::select! {
            biased;
            _ = reserve => panic!("nothing can be known yet"),
            () = std::future::ready(()) => {}
        }
    });
    drop(shut);
    store.record(&costing(2, limited.id, dollars(3))).unwrap();
    let held = wait(reserve(&store, &limited, hold_id(2), dollars(4), NOON)).unwrap();
    assert!(wait(reserve(&store, &limited, hold_id(3), dollars(1), NOON)).is_err());
    store.release(held);
}

#[test]
fn rows_are_found_by_key_request_and_time() {
    let dir = directory();
    let store = open(dir.path());
    let at = |number: u64| NOON.plus_seconds(i64::try_from(number).unwrap());
    let rows: Vec<_> = (0..50).map(|n| row(n, key_id(n % 5), at(n))).collect();
    for row in &rows {
        store.record(row).unwrap();
    }
    let find = |query: RowQuery| wait(store.rows(query)).unwrap().rows;
    let all = RowQuery { most: 1_000, ..RowQuery::default() };
    assert_eq!(find(all).len(), 50);
    let found = find(RowQuery { key: Some(key_id(3)), most: 2, ..all });
    assert_eq!(found, [rows[48].clone(), rows[43].clone()]);
    let found = find(RowQuery { request: Some(rows[7].request), ..all });
    assert_eq!(found, [rows[7].clone()]);
    let found = find(RowQuery { from: Some(at(10)), until: Some(at(12)), ..all });
    assert_eq!(found, [rows[11].clone(), rows[10].clone()]);
}

/// The server's tasks move between threads.
#[test]
fn futures_may_be_sent() {
    fn sent<T: Send>(_: &T) {}
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    let dir = directory();
    let store = open(dir.path());
    let key = key(1);
    sent(&store.look_up(digest(1)));
    sent(&reserve(&store, &key, hold_id(1), dollars(1), NOON));
    sent(&store.balances(&on(&key), now(NOON)));
    sent(&store.usage(store::UsageQuery::default()));
    sent(&store.rows(RowQuery::default()));
    sent(&store.insert_key(key.clone(), act("key.create")));
    sent(&store.update_key(key.id, None, |_| Ok::<_, ()>(()), act("key.update")));
    shared(&store);
}
