//! Holds that are written down: however the process ends, and wherever the journal ends, what was
//! in flight is charged once, and nothing else is held.

use std::path::Path;

use domain::{Began, Timestamp};
use proptest::prelude::*;
use store::{Options, Store};

use crate::books::{self, Books, Entry, Written, applied, entries, leave};
use crate::play::Play;
use crate::world::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn whatever_happens_every_limit_stands_as_the_calls_come_to(
        steps in prop::collection::vec(any::<(u8, u64, u64)>(), 1..70),
    ) {
        let mut play = Play::new(3_000);
        for step in steps {
play.step(step);
}
        play.close_all();
    }
}

/// The journal of a play, and the sums of two moments of it.
struct Image {
    root: tempfile::TempDir,
    play: Play,
    entries: Vec<Written>,
}

impl Image {
    fn new(seed: u64, segment_bytes: u64, steps: usize) -> Self {
        let mut play = Play::new(segment_bytes);
        let root = directory();
        let mut numbers = chance(seed);
        for number in 0..steps {
            // Neither flushed nor ended: the sums are as old as this wants them.
            let what = u8::try_from(numbers.next().unwrap() % 28).unwrap();
            // The last ones are close together.
            let what = if number + 40 > steps && what > 23 { 0 } else { what };
            play.step((what, numbers.next().unwrap(), numbers.next().unwrap()));
            for (name, at) in [("early", steps / 3), ("late", steps - 20)] {
                if number == at {
                    wait(play.store().flush()).unwrap();
                    leave(play.place(), Some(play.place()), &root.path().join(name));
                }
            }
        }
        wait(play.store().rows(store::RowQuery::default())).unwrap();
        leave(play.place(), None, &root.path().join("whole"));
        let entries = entries(&root.path().join("whole"));
        Self { root, play, entries }
    }

    /// The journal up to a byte of a segment, with the sums of a moment: every limit stands as
    /// those entries come to, what is open is charged, and that is the end of it.
    fn check(&self, (segment, length): (u64, u64), sums: &str, thoroughly: bool) {
        let dir = self.root.path().join("cut");
        let sums = Some(self.root.path().join(sums)).filter(|dir| dir.exists());
        leave(&self.root.path().join("whole"), sums.as_deref(), &dir);
        books::cut(&dir, segment, length);
        let seen = if sums.is_some() { applied(&dir) } else { (0, 0) };
        let place = |one: &&Written| (one.segment, one.end);
        let whole = |one: &&Written| place(one) <= (segment, length);
        // What the sums had seen they keep.
        let known = |one: &&Written| whole(one) || place(one) <= seen;
        let mut books = Books::of(self.entries.iter().filter(known));
        books.rows = Books::of(self.entries.iter().filter(whole)).rows;
        let open = u64::try_from(books.open.len()).unwrap();
        books.kill();
        let (at, limits) = (self.play.at(), self.play.all_limits());
        let store = open_at(&dir, at);
        assert_eq!(store.recovery().calls_charged, open);
        books.agree(&store, &dir, &limits, at);
        store.close().unwrap();
        drop(store);
        if thoroughly {
            self.check_again(&dir, books);
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    fn check_again(&self, dir: &Path, mut books: Books) {
        let (at, limits) = (self.play.at(), self.play.all_limits());
        let store = open_at(dir, at);
        let recovery = store.recovery();
        assert_eq!((recovery.rows_replayed, recovery.calls_charged), (0, 0));
        assert_eq!((recovery.bytes_cut, recovery.bytes_lost), (0, 0));
        books.agree(&store, dir, &limits, at);
        // And it goes on from there.
        let key = key(1);
        let next = row(9_999_999, key.id, at);
        let mut held = wait(reserve(&store, &key, next.attempt, next.held, at)).unwrap();
        wait(store.begin(&mut held, &next)).unwrap();
        drop(store);
        let store = open_at(dir, at);
        assert_eq!(store.recovery().calls_charged, 1);
        books.read(&Entry::Began(Began { row: next, parts: Vec::new() }));
        books.kill();
        books.agree(&store, dir, &limits, at);
    }
}

fn open_at(dir: &Path, at: Timestamp) -> Store {
    Store::open(dir, Options { segment_bytes: 3_000, ..Options::default() }, at).unwrap()
}

const SUMS: [&str; 3] = ["early", "late", "none"];

#[test]
fn cut_off_behind_any_entry_what_is_open_is_charged_and_nothing_is_held() {
    let image = Image::new(3, 64 << 20, 200);
    let kinds =
        |kind: fn(&Entry) -> bool| image.entries.iter().filter(|one| kind(&one.entry)).count();
    assert!(kinds(|one| matches!(one, Entry::Began(_))) > 20);
    assert!(kinds(|one| matches!(one, Entry::Row(_))) > 15);
    assert!(kinds(|one| matches!(one, Entry::Released(_))) > 5);
    assert!(kinds(|one| matches!(one, Entry::Finished(_))) > 1);
    assert!(kinds(|one| matches!(one, Entry::Corrected { .. })) > 1);
    assert!(kinds(|one| matches!(one, Entry::Seeded { .. })) > 2);
    image.check((0, 0), "none", true);
    for (number, one) in image.entries.iter().rev().take(60).enumerate() {
        image.check((one.segment, one.end), SUMS[number % 3], number < 15);
    }
}

fn cut_in_the_last(image: &Image, entries: usize, step: usize) {
    let first = image.entries.len() - entries;
    let (from, until) = (image.entries[first - 1].end, image.entries.last().unwrap().end);
    for (number, length) in (from..until).step_by(step).enumerate() {
        image.check((0, length), SUMS[number % 3], false);
    }
}

#[test]
fn cut_off_at_any_byte_only_whole_entries_count() {
    cut_in_the_last(&Image::new(4, 64 << 20, 120), 30, 31);
}

#[test]
#[ignore = "every byte takes minutes"]
fn cut_off_at_every_byte_only_whole_entries_count() {
    cut_in_the_last(&Image::new(4, 64 << 20, 120), 30, 1);
}

fn cut_anywhere(image: &Image, times: usize) {
    let mut numbers = chance(9);
    let count = u64::try_from(image.entries.len()).unwrap();
    for number in 0..times {
        let entry = usize::try_from(numbers.next().unwrap() % count).unwrap();
        let one = &image.entries[entry];
        let length = one.end.saturating_sub(numbers.next().unwrap() % 300);
        // A process that ends in a segment has never begun the next, and one that the sums know of
        // was there.
        image.check((one.segment, length), SUMS[number % 3], number % 50 == 0);
    }
}

#[test]
fn cut_off_anywhere_in_many_segments_what_is_open_is_charged() {
    let image = Image::new(5, 2_000, 500);
    let crosses = |began: &Written, row: &Written| match (&began.entry, &row.entry) {
        (Entry::Began(began_entry), Entry::Row(row_entry)) => {
            began_entry.row.attempt == row_entry.attempt && began.segment != row.segment
        }
        _ => false,
    };
    let all = &image.entries;
    assert!(all.iter().any(|began| all.iter().any(|row| crosses(began, row))));
    cut_anywhere(&image, 150);
}

#[test]
#[ignore = "thousands of places take minutes"]
fn cut_off_at_thousands_of_places_what_is_open_is_charged() {
    cut_anywhere(&Image::new(5, 2_000, 500), 2_000);
    cut_anywhere(&Image::new(6, 2_000, 1_500), 1_000);
}

/// The sums' database is locked while calls begin and end: what it has missed it is told later, all
/// at once.
#[test]
fn what_the_sums_could_not_take_they_take_later() {
    let dir = directory();
    let store = open(dir.path());
    let key = key(1);
    let begin = |number: u64| {
        let row = row(number, key.id, NOON);
        let mut held = wait(reserve(&store, &key, row.attempt, row.held, NOON)).unwrap();
        wait(store.begin(&mut held, &row)).unwrap();
        (held, row)
    };
    let (first, first_row) = begin(1);
    let (second, _) = begin(2);
    wait(store.flush()).unwrap();
    let lock = rusqlite::Connection::open(dir.path().join("sums.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (third, third_row) = begin(3);
    let (fourth, _) = begin(4);
    store.settle(first, &first_row).unwrap();
    assert!(wait(store.flush()).is_err(), "the sums cannot be written");
    store.release(second);
    store.settle(third, &third_row).unwrap();
    let (_fifth, fifth_row) = begin(5);
    store.finish(fourth);
    lock.execute_batch("ROLLBACK").unwrap();
    drop(lock);
    wait(store.flush()).unwrap();
    assert_eq!(books::tables(dir.path()).1, [fifth_row.attempt]);
    let mut books = Books::of_dir(dir.path());
    assert_eq!(sums_in(&store), books.sums);
    drop(store);
    books.kill();
    books.agree(&open(dir.path()), dir.path(), &[], NOON);
}
