//! Limits: what was spent before counts, what is spent meanwhile counts once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use domain::{Money, Period, Row, Window};
use store::{NotReserved, RowQuery};

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
    limited.limits =
        vec![limit(1, 100, Window::Lifetime), limit(2, 10, Window::Calendar(Period::Day))];
    let store = open(dir.path());
    let yesterday =
        Row { began_at: NOON.plus_seconds(-86_400), ..costing(1, limited.id, dollars(50)) };
    store.record(yesterday).unwrap();
    let held = wait(store.reserve(&limited, hold_id(2), dollars(8), NOON)).unwrap();
    store.settle(held, costing(2, limited.id, dollars(7))).unwrap();
    drop(store);
    let store = open(dir.path());
    let stands = wait(store.balances(&limited, NOON)).unwrap();
    assert_eq!((stands[0].spent, stands[1].spent), (dollars(57), dollars(7)));
    let refused = wait(store.reserve(&limited, hold_id(3), dollars(4), NOON)).unwrap_err();
    let NotReserved::Refused(refusal) = refused else { panic!("{refused:?}") };
    assert_eq!(refusal.limit.unwrap().limit, limited.limits[1].id);
    let tomorrow = NOON.plus_seconds(86_400);
    let held = wait(store.reserve(&limited, hold_id(4), dollars(4), tomorrow)).unwrap();
    store.release(held);
    assert_eq!(wait(store.balances(&limited, tomorrow)).unwrap()[0].spent, dollars(57));
    assert_eq!(wait(store.spent(limited.id, NOON)).unwrap(), dollars(7));
}

#[test]
fn a_limit_that_came_during_a_call_counts_the_call() {
    let dir = directory();
    let store = open(dir.path());
    let free = key(1);
    let mut limited = key(1);
    let in_flight = wait(store.reserve(&free, hold_id(1), dollars(5), NOON)).unwrap();
    limited.limits = vec![limit(1, 10, Window::Lifetime)];
    let second = wait(store.reserve(&limited, hold_id(2), dollars(1), NOON)).unwrap();
    limited.limits.push(limit(2, 10, Window::Calendar(Period::Month)));
    let third = wait(store.reserve(&limited, hold_id(3), dollars(1), NOON)).unwrap();
    store.settle(in_flight, costing(1, limited.id, dollars(5))).unwrap();
    store.settle(second, costing(2, limited.id, dollars(1))).unwrap();
    store.settle(third, costing(3, limited.id, dollars(1))).unwrap();
    for balance in wait(store.balances(&limited, NOON)).unwrap() {
        assert_eq!((balance.spent, balance.held), (dollars(7), Money::ZERO));
    }
}

/// Threads settle calls of keys while their limits are opened for the first time.
#[test]
fn rows_settled_while_a_limit_opens_count_exactly_once() {
    const KEYS: u64 = 60;
    let dir = directory();
    let store = Arc::new(open(dir.path()));
    let total = AtomicI64::new(0);
    let turn = AtomicU64::new(0);
    for number in 0..KEYS {
        let free = key(number);
        let mut limited = key(number);
        limited.limits = vec![limit(u128::from(number), 1_000, Window::Lifetime)];
        total.store(0, Ordering::SeqCst);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let (store, free, total, turn) = (&store, &free, &total, &turn);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let number = turn.fetch_add(1, Ordering::SeqCst);
                        let cost = Money::from_nanos(i64::try_from(number % 97).unwrap());
                        let row = costing(number, free.id, cost);
                        let held = wait(store.reserve(free, row.attempt, cost, NOON)).unwrap();
                        store.settle(held, row).unwrap();
                        total.fetch_add(cost.nanos(), Ordering::SeqCst);
                    }
                });
            }
            let (store, limited) = (&store, &limited);
            scope.spawn(move || {
                let held = wait(store.reserve(limited, hold_id(1), Money::ZERO, NOON)).unwrap();
                store.release(held);
            });
        });
        let stands = wait(store.balances(&limited, NOON)).unwrap()[0];
        assert_eq!(stands.spent.nanos(), total.load(Ordering::SeqCst), "key {number}");
        assert_eq!(wait(store.spent(limited.id, NOON)).unwrap(), stands.spent);
    }
}

#[test]
fn an_opening_that_is_given_up_leaves_nothing_behind() {
    let dir = directory();
    let store = open(dir.path());
    let mut limited = key(1);
    limited.limits = vec![limit(1, 10, Window::Lifetime)];
    store.record(costing(1, limited.id, dollars(3))).unwrap();
    wait(async {
        let reserve = store.reserve(&limited, hold_id(1), dollars(1), NOON);
        tokio::select! {
            biased;
            _ = reserve => {}
            () = std::future::ready(()) => {}
        }
    });
    store.record(costing(2, limited.id, dollars(3))).unwrap();
    let held = wait(store.reserve(&limited, hold_id(2), dollars(4), NOON)).unwrap();
    assert!(wait(store.reserve(&limited, hold_id(3), dollars(1), NOON)).is_err());
    store.release(held);
}

#[test]
fn rows_are_found_by_key_request_and_time() {
    let dir = directory();
    let store = open(dir.path());
    let at = |number: u64| NOON.plus_seconds(i64::try_from(number).unwrap());
    let rows: Vec<_> = (0..50).map(|n| row(n, key_id(n % 5), at(n))).collect();
    for row in &rows {
        store.record(row.clone()).unwrap();
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
    sent(&store.reserve(&key, hold_id(1), dollars(1), NOON));
    sent(&store.balances(&key, NOON));
    sent(&store.usage(store::UsageQuery::default()));
    sent(&store.rows(RowQuery::default()));
    sent(&store.insert_key(key.clone(), act("key.create")));
    sent(&store.update_key(key.id, None, |_| Ok::<_, ()>(()), act("key.update")));
    shared(&store);
}
