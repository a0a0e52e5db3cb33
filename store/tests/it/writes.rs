//! A disk that is full, and one that lies.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use store::{DiskAct, Durability, Fault, Health, NotReserved, Options, RowQuery, Store};

use crate::world::*;

fn wait_for(what: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if what() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it did not happen within five seconds");
}

fn store_with(
    dir: &std::path::Path,
    durability: Durability,
    act: DiskAct,
    kind: io::ErrorKind,
) -> (Store, Arc<AtomicBool>) {
    let failing = Arc::new(AtomicBool::new(false));
    let probe = {
        let failing = Arc::clone(&failing);
        move |asked| {
            let fails = asked == act && failing.load(Ordering::SeqCst);
            if fails { Err(kind.into()) } else { Ok(()) }
        }
    };
    let options = Options { durability, probe: Some(Arc::new(probe)), ..Options::default() };
    (Store::open(dir, options, NOON).unwrap(), failing)
}

#[test]
fn a_full_disk_refuses_new_calls_keeps_the_rows_and_heals() {
    let dir = tempfile::tempdir().unwrap();
    let full = io::ErrorKind::StorageFull;
    let (store, failing) = store_with(dir.path(), Durability::Process, DiskAct::Write, full);
    let held = wait(store.reserve(&key(1), hold_id(1), domain::Money::ZERO, NOON)).unwrap();
    failing.store(true, Ordering::SeqCst);
    store.settle(held, row(1, key_id(1), NOON)).unwrap();
    wait_for(|| store.health() == Health::Full);
    let refused = wait(store.reserve(&key(1), hold_id(2), domain::Money::ZERO, NOON));
    assert!(matches!(refused, Err(NotReserved::Fault(Fault::LedgerFull))));
    // Calls in flight still end.
    store.record(row(2, key_id(1), NOON)).unwrap();
    assert!(matches!(wait(store.flush()), Err(Fault::LedgerFull)));
    failing.store(false, Ordering::SeqCst);
    wait_for(|| store.health() == Health::Good);
    let rows = wait(store.rows(RowQuery { most: 10, ..RowQuery::default() })).unwrap().rows;
    assert_eq!(rows.len(), 2);
    store.close().unwrap();
    drop(store);
    assert_eq!(sums_in(&open(dir.path())).len(), 2);
}

#[test]
fn what_waits_for_a_full_disk_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let full = io::ErrorKind::StorageFull;
    let (store, failing) = store_with(dir.path(), Durability::Process, DiskAct::Write, full);
    failing.store(true, Ordering::SeqCst);
    let mut large = row(1, key_id(1), NOON);
    large.model_asked = "x".repeat(900_000).into();
    let refused = (0..100).find_map(|_| store.record(large.clone()).err());
    assert!(matches!(refused, Some(Fault::LedgerFull)));
    assert!(matches!(store.close(), Err(Fault::LedgerFull)));
    large.model_asked = "x".repeat(1_100_000).into();
    assert!(matches!(store.record(large), Err(Fault::RowTooLarge)));
}

#[test]
fn after_a_failed_sync_nothing_is_recorded_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let (store, failing) =
        store_with(dir.path(), Durability::Power, DiskAct::Sync, io::ErrorKind::Other);
    store.record(row(1, key_id(1), NOON)).unwrap();
    wait(store.flush()).unwrap();
    failing.store(true, Ordering::SeqCst);
    store.record(row(2, key_id(1), NOON)).unwrap();
    wait_for(|| matches!(store.health(), Health::Broken(_)));
    failing.store(false, Ordering::SeqCst);
    assert!(matches!(store.record(row(3, key_id(1), NOON)), Err(Fault::LedgerBroken(_))));
    assert!(matches!(wait(store.flush()), Err(Fault::LedgerBroken(_))));
    assert!(store.close().is_err());
    drop(store);
    // The row was in the file all the same. It is counted once.
    let store = open(dir.path());
    let rows = wait(store.rows(RowQuery { most: 10, ..RowQuery::default() })).unwrap().rows;
    assert_eq!(sums_in(&store), sums_of(&rows));
}

#[test]
fn a_closed_store_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.close().unwrap();
    store.close().unwrap();
    assert!(matches!(store.record(row(1, key_id(1), NOON)), Err(Fault::Closed)));
    assert!(matches!(wait(store.flush()), Err(Fault::Closed)));
    assert!(matches!(wait(store.look_up(digest(1))), Err(Fault::Closed)));
    assert!(matches!(wait(store.key(key_id(1))), Err(Fault::Closed)));
}
