//! What was begun is on the disk before anybody says so: in a crowd, on a disk that fails, and in a
//! process that is killed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use domain::{Ending, Evidence, HoldId, Key, Money, Row, Window};
use parking_lot::{Condvar, Mutex};
use store::{DiskAct, Durability, Fault, Health, NotReserved, Options, Store};

use crate::books::{self, Books, Entry, entries, leave, segments};
use crate::world::*;

const DOLLAR: Money = Money::from_nanos(1_000_000_000);

/// A key that may spend so many dollars.
fn limited(dollars: i64) -> Key {
    Key { limits: vec![limit(1, dollars, Window::Lifetime)], ..key(1) }
}

/// The row that stands if a call of one dollar is killed.
fn bound(number: u64) -> Row {
    let (evidence, ending) = (Evidence::Estimated, Ending::Killed);
    Row { cost: Some(DOLLAR), held: DOLLAR, evidence, ending, ..row(number, key_id(1), NOON) }
}

fn begans(dir: &Path) -> BTreeSet<HoldId> {
    let began = |one: books::Written| match one.entry {
        Entry::Began(began) => Some(began.row.attempt),
        _ => None,
    };
    entries(dir).into_iter().filter_map(began).collect()
}

/// What is spent and held of the one limit.
fn stands(store: &Store, key: &Key) -> (i64, i64) {
    let balance = wait(store.balances(&on(key), now(NOON))).unwrap()[0];
    (balance.spent, balance.held)
}

/// Opens what is left, charges it, and finds everything agreed.
fn agrees_after_a_restart(dir: &Path, key: &Key) -> (i64, i64) {
    let mut books = Books::of_dir(dir);
    books.kill();
    let store = open(dir);
    books.agree(&store, dir, &on(key), NOON);
    stands(&store, key)
}

#[test]
fn many_begin_at_a_time_and_each_is_told_only_when_it_is_written() {
    let dir = directory();
    let live = dir.path().join("live");
    let store = Arc::new(open(&live));
    let key = Arc::new(limited(1_000));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let copies = Arc::new(Mutex::new(0));
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..300_u64 {
            let (store, key, copies) = (Arc::clone(&store), Arc::clone(&key), Arc::clone(&copies));
            let (root, live) = (dir.path().to_owned(), live.clone());
            tasks.spawn(async move {
                let row = bound(number);
                let mut held = reserve(&store, &key, row.attempt, DOLLAR, NOON).await.unwrap();
                store.begin(&mut held, &row).await.unwrap();
                // As a process that is killed now would leave it.
                if number % 10 == 0 {
                    let copy = root.join(number.to_string());
                    leave(&live, None, &copy);
                    assert!(begans(&copy).contains(&row.attempt));
                    let store = open(&copy);
                    assert_eq!(store.attempt(row.attempt).await.unwrap().unwrap().0, row);
                    *copies.lock() += 1;
                }
                held
            });
        }
        while let Some(held) = tasks.join_next().await {
            store.release(held.unwrap());
        }
    });
    assert_eq!(*copies.lock(), 30);
    assert_eq!(stands(&store, &key), (0, 0));
    drop(store);
    assert_eq!(agrees_after_a_restart(&live, &key), (0, 0));
}

/// With [`Durability::Power`] only what was synced is left, and that is what was acknowledged. The
/// sums may have come further than the journal.
#[test]
fn a_power_cut_takes_nothing_that_was_acknowledged() {
    let dir = directory();
    let live = dir.path().join("live");
    let synced = Arc::new(Mutex::new(Vec::new()));
    let probe = {
        let (live, synced) = (live.clone(), Arc::clone(&synced));
        move |act| {
            if act == DiskAct::Sync {
                let length = |path: &PathBuf| fs::metadata(path).unwrap().len();
                *synced.lock() =
                    segments(&live).iter().map(|(number, path)| (*number, length(path))).collect();
            }
            Ok(usize::MAX)
        }
    };
    let options = Options {
        durability: Durability::Power,
        segment_bytes: 2_000,
        probe: Some(Arc::new(probe)),
        ..Options::default()
    };
    let store = Store::open(&live, options, NOON).unwrap();
    let key = limited(1_000);
    let mut acknowledged = BTreeSet::new();
    for number in 1..40 {
        let row = bound(number);
        let mut held = wait(reserve(&store, &key, row.attempt, DOLLAR, NOON)).unwrap();
        wait(store.begin(&mut held, &row)).unwrap();
        acknowledged.insert(row.attempt);
        let cut = dir.path().join("cut");
        let (segment, length) = *synced.lock().last().unwrap();
        leave(&live, (number % 2 == 0).then_some(live.as_path()), &cut);
        books::cut(&cut, segment, length);
        assert!(begans(&cut).is_superset(&acknowledged), "{number}");
        if number % 8 == 0 {
            let store = open(&cut);
            assert!(wait(store.attempt(row.attempt)).unwrap().is_some());
        }
        fs::remove_dir_all(&cut).unwrap();
        if number % 3 == 0 {
            store.settle(held, &Row { cost: Some(Money::ZERO), ..row }).unwrap();
        }
        if number % 10 == 0 {
            wait(store.flush()).unwrap();
        }
    }
}

/// A disk that does what it is told, a part of it, or nothing.
#[derive(Clone, Default)]
struct Disk {
    mood: Arc<AtomicU8>,
}

const FULL: u8 = 1;
const SYNC_FAILS: u8 = 2;
const WRITE_FAILS: u8 = 3;

impl Disk {
    fn open(&self, dir: &Path, durability: Durability) -> Store {
        let mood = Arc::clone(&self.mood);
        let probe = move |act| match (mood.load(Ordering::SeqCst), act) {
            (FULL, DiskAct::Write) => Err(io::ErrorKind::StorageFull.into()),
            (WRITE_FAILS, DiskAct::Write) | (SYNC_FAILS, DiskAct::Sync) => {
                Err(io::ErrorKind::Other.into())
            }
            // A few bytes at a time.
            _ => Ok(7),
        };
        let options = Options { durability, probe: Some(Arc::new(probe)), ..Options::default() };
        Store::open(dir, options, NOON).unwrap()
    }

    fn is(&self, mood: u8) {
        self.mood.store(mood, Ordering::SeqCst);
    }
}

fn wait_for(what: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if what() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it did not happen within five seconds");
}

/// Fails where an answer does not come.
fn soon<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let answer =
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(5), future).await });
    answer.expect("an answer within five seconds")
}

#[test]
fn on_a_full_disk_nothing_begins_and_what_is_in_flight_settles() {
    for killed in [false, true] {
        let dir = directory();
        let live = dir.path().join("live");
        let disk = Disk::default();
        let store = disk.open(&live, Durability::Process);
        let key = limited(10);
        let held = |number| {
            let row = bound(number);
            (wait(reserve(&store, &key, row.attempt, DOLLAR, NOON)).unwrap(), row)
        };
        let (mut in_flight, row) = held(1);
        wait(store.begin(&mut in_flight, &row)).unwrap();
        let (mut first, first_row) = held(2);
        let (mut second, second_row) = held(3);
        disk.is(FULL);
        let told = soon(store.begin(&mut first, &first_row));
        assert!(matches!(told, Err(Fault::LedgerFull)), "{told:?}");
        // Also who comes while it is full.
        let told = soon(store.begin(&mut second, &second_row));
        assert!(matches!(told, Err(Fault::LedgerFull)), "{told:?}");
        store.release(first);
        store.release(second);
        assert!(matches!(
            soon(reserve(&store, &key, hold_id(4), DOLLAR, NOON)),
            Err(NotReserved::Fault(Fault::LedgerFull))
        ));
        let cost = Money::from_nanos(400);
        let settled = Row { cost: Some(cost), ..row };
        store.settle(in_flight, &settled).unwrap();
        assert_eq!(stands(&store, &key), (400, 0));
        if killed {
            let copy = dir.path().join("killed");
            leave(&live, None, &copy);
            // It was charged what was held, as far as anybody can tell; the others never began.
            assert_eq!(agrees_after_a_restart(&copy, &key), (DOLLAR.nanos(), 0));
            assert_eq!(begans(&copy).len(), 1);
        }
        disk.is(0);
        wait_for(|| store.health() == Health::Good);
        let mut held = wait(reserve(&store, &key, hold_id(4), DOLLAR, NOON)).unwrap();
        let row = Row { attempt: hold_id(4), ..bound(4) };
        wait(store.begin(&mut held, &row)).unwrap();
        store.release(held);
        wait(store.flush()).unwrap();
        let mut books = Books::of_dir(&live);
        assert_eq!(books.rows, [settled]);
        books.agree(&store, &live, &on(&key), NOON);
        assert_eq!(stands(&store, &key), (400, 0));
        drop(store);
        assert_eq!(agrees_after_a_restart(&live, &key), (400, 0));
    }
}

#[test]
fn a_disk_that_is_full_in_the_middle_of_what_begins_charges_whole_entries_only() {
    let key = limited(10);
    for room in (0..500).step_by(23) {
        let dir = directory();
        let live = dir.path().join("live");
        let left = Arc::new(Mutex::new(room));
        let probe = {
            let left = Arc::clone(&left);
            move |_| match &mut *left.lock() {
                0 => Err(io::ErrorKind::StorageFull.into()),
                some => {
                    *some -= 1;
                    Ok(1)
                }
            }
        };
        let options = Options { probe: Some(Arc::new(probe)), ..Options::default() };
        let store = Store::open(&live, options, NOON).unwrap();
        let mut told = Vec::new();
        let mut holds = Vec::new();
        for number in 1..4 {
            let row = bound(number);
            let Ok(mut held) = wait(reserve(&store, &key, row.attempt, DOLLAR, NOON)) else {
                break;
            };
            told.extend(soon(store.begin(&mut held, &row)).is_ok().then_some(row.attempt));
            holds.push(held);
        }
        assert!(told.len() < 3, "there is no room for all");
        let copy = dir.path().join("killed");
        leave(&live, None, &copy);
        assert!(begans(&copy).is_superset(&told.iter().copied().collect()));
        agrees_after_a_restart(&copy, &key);
        for held in holds {
            store.release(held);
        }
        assert_eq!(stands(&store, &key).1, 0);
        *left.lock() = usize::MAX;
        wait_for(|| store.health() == Health::Good);
        store.close().unwrap();
        drop(store);
        assert_eq!(agrees_after_a_restart(&live, &key), (0, 0), "room {room}");
    }
}

#[test]
fn after_a_failed_sync_or_write_nothing_begins_until_a_restart() {
    for (mood, durability) in [(SYNC_FAILS, Durability::Power), (WRITE_FAILS, Durability::Process)]
    {
        let dir = directory();
        let disk = Disk::default();
        let store = disk.open(dir.path(), durability);
        let key = limited(10);
        let row = bound(1);
        let mut held = wait(reserve(&store, &key, row.attempt, DOLLAR, NOON)).unwrap();
        let mut other = wait(reserve(&store, &key, hold_id(2), DOLLAR, NOON)).unwrap();
        disk.is(mood);
        assert!(matches!(soon(store.begin(&mut held, &row)), Err(Fault::LedgerBroken(_))));
        disk.is(0);
        let row = Row { attempt: hold_id(2), ..bound(2) };
        assert!(matches!(soon(store.begin(&mut other, &row)), Err(Fault::LedgerBroken(_))));
        assert!(matches!(
            soon(reserve(&store, &key, hold_id(3), DOLLAR, NOON)),
            Err(NotReserved::Fault(Fault::LedgerBroken(_)))
        ));
        assert!(store.settle(other, &row).is_err());
        store.release(held);
        assert!(store.close().is_err());
        drop(store);
        let (spent, held) = agrees_after_a_restart(dir.path(), &key);
        assert!(spent <= DOLLAR.nanos() && held == 0);
    }
}

/// The second comes while the disk is still asked about the first.
#[test]
fn who_begins_while_a_write_is_failing_is_told_too() {
    for (kind, durability) in [
        (io::ErrorKind::Other, Durability::Power),
        (io::ErrorKind::StorageFull, Durability::Process),
    ] {
        let dir = directory();
        let gate = Arc::new((Mutex::new((false, false)), Condvar::new()));
        let probe = {
            let gate = Arc::clone(&gate);
            move |act| {
                let failing =
                    if durability == Durability::Power { DiskAct::Sync } else { DiskAct::Write };
                let mut state = gate.0.lock();
                if act != failing || !state.0 {
                    return Ok(usize::MAX);
                }
                while !state.1 {
                    gate.1.wait(&mut state);
                }
                Err(kind.into())
            }
        };
        let options = Options { durability, probe: Some(Arc::new(probe)), ..Options::default() };
        let store = Store::open(dir.path(), options, NOON).unwrap();
        let key = limited(10);
        let hold =
            |number| wait(reserve(&store, &key, bound(number).attempt, DOLLAR, NOON)).unwrap();
        let (mut first, mut second) = (hold(1), hold(2));
        gate.0.lock().0 = true;
        let (one, two) = soon(async {
            let opens = async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                gate.0.lock().1 = true;
                gate.1.notify_all();
            };
            let later = async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                store.begin(&mut second, &bound(2)).await
            };
            let row = bound(1);
            let (one, two, ()) = tokio::join!(store.begin(&mut first, &row), later, opens);
            (one, two)
        });
        assert!(one.is_err() && two.is_err(), "{one:?} {two:?}");
        gate.0.lock().0 = false;
        store.release(first);
        store.release(second);
    }
}

/// What cannot be written any more is charged by the next start; until then it is in memory, too.
#[test]
fn what_finds_no_room_even_in_memory_counts_as_the_next_start_will_charge_it() {
    let dir = directory();
    let disk = Disk::default();
    let live = dir.path().join("live");
    let mood = Arc::clone(&disk.mood);
    let probe = move |_| match mood.load(Ordering::SeqCst) {
        FULL => Err(io::ErrorKind::StorageFull.into()),
        _ => Ok(usize::MAX),
    };
    let options = Options { probe: Some(Arc::new(probe)), ..Options::default() };
    let store = Store::open(&live, options, NOON).unwrap();
    let key = limited(10);
    let mut holds: Vec<_> = (1..6)
        .map(|number| {
            let row = bound(number);
            let mut held = wait(reserve(&store, &key, row.attempt, DOLLAR, NOON)).unwrap();
            wait(store.begin(&mut held, &row)).unwrap();
            held
        })
        .collect();
    disk.is(FULL);
    let large = Row { model_asked: "x".repeat(900_000).into(), ..row(99, key_id(2), NOON) };
    while store.record(&large).is_ok() {}
    let small = Row { model_asked: "x".repeat(900).into(), ..row(99, key_id(2), NOON) };
    while store.record(&small).is_ok() {}
    while store.record(&row(99, key_id(2), NOON)).is_ok() {}
    // Neither a row nor a release fits any more, or only a last few.
    let cost = Some(Money::from_nanos(400));
    let settled = |number| Row { cost, ..bound(number) };
    let (fifth, fourth) = (holds.pop().unwrap(), holds.pop().unwrap());
    assert!(matches!(store.settle(fifth, &settled(5)), Err(Fault::LedgerFull)));
    let refused = Row { cost: Some(Money::ZERO), ..bound(4) };
    assert!(matches!(store.settle(fourth, &refused), Err(Fault::LedgerFull)));
    // There is room to say that it is over, and none for its row: neither is written.
    let third = holds.pop().unwrap();
    let failed = Row { cost: None, ..bound(3) };
    assert!(matches!(store.pass_on(third, &failed, hold_id(9)), Err(Fault::LedgerFull)));
    assert_eq!(stands(&store, &key), (3 * DOLLAR.nanos(), 2 * DOLLAR.nanos()));
    disk.is(0);
    wait_for(|| store.health() == Health::Good);
    for held in holds {
        store.release(held);
    }
    assert_eq!(stands(&store, &key), (3 * DOLLAR.nanos(), 0));
    drop(store);
    let store = open(&live);
    assert_eq!(store.recovery().calls_charged, 3);
    assert_eq!(stands(&store, &key), (3 * DOLLAR.nanos(), 0));
}
