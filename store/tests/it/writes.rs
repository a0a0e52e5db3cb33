//! A disk that is full, and one that lies.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
            if fails { Err(kind.into()) } else { Ok(usize::MAX) }
        }
    };
    let options = Options { durability, probe: Some(Arc::new(probe)), ..Options::default() };
    (Store::open(dir, options, NOON).unwrap(), failing)
}

#[test]
fn a_full_disk_refuses_new_calls_keeps_the_rows_and_heals() {
    let dir = directory();
    let full = io::ErrorKind::StorageFull;
    let (store, failing) = store_with(dir.path(), Durability::Process, DiskAct::Write, full);
    let held = wait(reserve(&store, &key(1), hold_id(1), domain::Money::ZERO, NOON)).unwrap();
    failing.store(true, Ordering::SeqCst);
    store.settle(held, &row(1, key_id(1), NOON)).unwrap();
    wait_for(|| store.health() == Health::Full);
    let refused = wait(reserve(&store, &key(1), hold_id(2), domain::Money::ZERO, NOON));
    assert!(matches!(refused, Err(NotReserved::Fault(Fault::LedgerFull))));
    // Calls in flight still end.
    store.record(&row(2, key_id(1), NOON)).unwrap();
    assert!(matches!(wait(store.flush()), Err(Fault::LedgerFull)));
    failing.store(false, Ordering::SeqCst);
    wait_for(|| store.health() == Health::Good);
    let rows = wait(store.rows(RowQuery { most: 10, ..RowQuery::default() })).unwrap().rows;
    assert_eq!(rows.len(), 2);
    store.close().unwrap();
    drop(store);
    assert_eq!(sums_in(&open(dir.path())).len(), 2);
}

/// The disk takes a part of a batch, then nothing: at any byte, whether the process is killed then
/// or room comes back, rows are whole and counted once.
#[test]
fn a_disk_that_is_full_in_the_middle_of_a_row() {
    let rows: Vec<_> = (1..9).map(|number| row(number, key_id(number % 2), NOON)).collect();
    for room in (1..900_usize).step_by(71) {
        let dir = directory();
        let live = dir.path().join("live");
        let left = Arc::new(AtomicUsize::new(room));
        let probe = {
            let left = Arc::clone(&left);
            move |_| match left.load(Ordering::SeqCst) {
                0 => Err(io::ErrorKind::StorageFull.into()),
                // One byte at a time, until there is no more room.
                usize::MAX => Ok(usize::MAX),
                some => {
                    left.store(some - 1, Ordering::SeqCst);
                    Ok(1)
                }
            }
        };
        let options = Options { probe: Some(Arc::new(probe)), ..Options::default() };
        let store = Store::open(&live, options, NOON).unwrap();
        for row in &rows {
            store.record(row).unwrap();
        }
        wait_for(|| store.health() == Health::Full);
        assert!(matches!(wait(store.flush()), Err(Fault::LedgerFull)));
        let killed = dir.path().join("killed");
        copy_dir(&live, &killed);
        left.store(usize::MAX, Ordering::SeqCst);
        wait_for(|| store.health() == Health::Good);
        store.close().unwrap();
        drop(store);
        assert_eq!(sums_in(&open(&live)), sums_of(&rows), "room {room}");
        let store = open(&killed);
        let query = RowQuery { most: 10, ..RowQuery::default() };
        let mut whole = wait(store.rows(query)).unwrap().rows;
        whole.reverse();
        assert_eq!(whole, rows[..whole.len()], "room {room}");
        assert_eq!(sums_in(&store), sums_of(&whole), "room {room}");
    }
}

#[test]
fn what_waits_for_a_full_disk_is_bounded() {
    let dir = directory();
    let full = io::ErrorKind::StorageFull;
    let (store, failing) = store_with(dir.path(), Durability::Process, DiskAct::Write, full);
    failing.store(true, Ordering::SeqCst);
    let mut large = row(1, key_id(1), NOON);
    large.model_asked = "x".repeat(900_000).into();
    let refused = (0..100).find_map(|_| store.record(&large).err());
    assert!(matches!(refused, Some(Fault::LedgerFull)));
    assert!(matches!(store.close(), Err(Fault::LedgerFull)));
    large.model_asked = "x".repeat(1_100_000).into();
    assert!(matches!(store.record(&large), Err(Fault::RowTooLarge)));
}

#[test]
fn after_a_failed_sync_nothing_is_recorded_any_more() {
    let dir = directory();
    let (store, failing) =
        store_with(dir.path(), Durability::Power, DiskAct::Sync, io::ErrorKind::Other);
    store.record(&row(1, key_id(1), NOON)).unwrap();
    wait(store.flush()).unwrap();
    failing.store(true, Ordering::SeqCst);
    store.record(&row(2, key_id(1), NOON)).unwrap();
    wait_for(|| matches!(store.health(), Health::Broken(_)));
    failing.store(false, Ordering::SeqCst);
    assert!(matches!(store.record(&row(3, key_id(1), NOON)), Err(Fault::LedgerBroken(_))));
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
    let dir = directory();
    let store = open(dir.path());
    store.close().unwrap();
    store.close().unwrap();
    assert!(matches!(store.record(&row(1, key_id(1), NOON)), Err(Fault::Closed)));
    assert!(matches!(wait(store.flush()), Err(Fault::Closed)));
    assert!(matches!(wait(store.look_up(digest(1))), Err(Fault::Closed)));
    assert!(matches!(wait(store.key(key_id(1))), Err(Fault::Closed)));
}
