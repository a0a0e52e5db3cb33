//! Ends of every kind: closed, killed, cut in the middle of a row, damaged.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use domain::Row;
use proptest::prelude::*;
use store::{Fault, Options, RowQuery, Store};

use crate::world::*;

fn all_rows(store: &Store) -> Vec<Row> {
    let query = RowQuery { most: RowQuery::MOST, ..RowQuery::default() };
    let mut rows = wait(store.rows(query)).unwrap().rows;
    rows.reverse();
    rows
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(dir.join("ledger")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_second_opener_is_refused_until_the_first_has_closed() {
    let dir = directory();
    let first = open(dir.path());
    let again = Store::open(dir.path(), Options::default(), NOON);
    assert!(matches!(again, Err(Fault::InUse(_))));
    drop(first);
    open(dir.path());
}

#[test]
fn a_place_that_cannot_be_a_data_directory_says_why() {
    let dir = directory();
    let open = |path: PathBuf| Store::open(&path, Options::default(), NOON).err().unwrap();
    assert!(matches!(open(dir.path().join("no/such")), Fault::NoParent(_)));
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(matches!(open(dir.path().join("file")), Fault::NotADirectory(_)));
    assert!(matches!(open(dir.path().join("file/below")), Fault::NotADirectory(_)));
}

#[test]
fn the_data_directory_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = directory();
    let data = dir.path().join("data");
    let store = open(&data);
    wait(store.insert_key(key(1), act("key.create"))).unwrap();
    store.record(&row(1, key_id(1), NOON)).unwrap();
    wait(store.flush()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&data), mode(&data.join("ledger"))), (0o700, 0o700));
    let files = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|path| path.is_file()).chain(segments(&data)) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_newer_schema_is_refused() {
    let dir = directory();
    drop(open(dir.path()));
    let database = rusqlite::Connection::open(dir.path().join("weir.db")).unwrap();
    database.pragma_update(None, "user_version", 1_000).unwrap();
    drop(database);
    let fault = Store::open(dir.path(), Options::default(), NOON).err().unwrap();
    assert!(matches!(fault, Fault::Newer { found: 1_000, .. }), "{fault}");
}

/// The journal cut off at every byte of its last rows: whole rows stay, and sums agree.
#[test]
fn cut_anywhere_every_whole_row_is_kept_and_counted() {
    let dir = directory();
    let live = dir.path().join("live");
    let rows: Vec<_> = (0..12).map(|number| row(number, key_id(number % 3), NOON)).collect();
    let store = open(&live);
    let mut ends = vec![0];
    for (number, row) in rows.iter().enumerate() {
        store.record(row).unwrap();
        // The sums have seen the first ones, so that some cuts are before the place they reach.
        if number == 9 {
            wait(store.flush()).unwrap();
        }
        wait(store.rows(RowQuery::default())).unwrap();
        ends.push(fs::metadata(&segments(&live)[0]).unwrap().len());
    }
    let image = dir.path().join("image");
    copy_dir(&live, &image);
    for length in ends[8]..=ends[12] {
        let cut = dir.path().join("cut");
        copy_dir(&image, &cut);
        let file = OpenOptions::new().write(true).open(&segments(&cut)[0]).unwrap();
        file.set_len(length).unwrap();
        drop(file);
        let store = open(&cut);
        let whole = ends.iter().filter(|end| **end <= length).count() - 1;
        assert_eq!(all_rows(&store), rows[..whole], "cut at {length}");
        // What the sums had seen they keep.
        let counted = whole.max(10);
        assert_eq!(sums_in(&store), sums_of(&rows[..counted]), "cut at {length}");
        // And it goes on from there.
        let next = row(99, key_id(1), NOON);
        store.record(&next).unwrap();
        store.close().unwrap();
        drop(store);
        let store = open(&cut);
        assert_eq!(store.recovery().rows_replayed, 0);
        assert_eq!(all_rows(&store).last(), Some(&next));
        assert_eq!(sums_in(&store), sums_of(rows[..counted].iter().chain([&next])));
        drop(store);
        fs::remove_dir_all(&cut).unwrap();
    }
}

#[test]
fn zeros_at_the_end_are_cut_and_damage_in_the_middle_is_named() {
    let dir = directory();
    let store = open(dir.path());
    for number in 0..10 {
        store.record(&row(number, key_id(1), NOON)).unwrap();
    }
    drop(store);
    let segment = segments(dir.path()).remove(0);
    let whole = fs::metadata(&segment).unwrap().len();
    OpenOptions::new().write(true).open(&segment).unwrap().set_len(whole + 4096).unwrap();
    let store = open(dir.path());
    assert_eq!(store.recovery().bytes_cut, 4096);
    drop(store);
    let healthy = fs::read(&segment).unwrap();
    // Lengths, checksums and payloads of early rows, changed one byte at a time.
    for place in (0..healthy.len() / 2).step_by(37).chain(0..8) {
        let mut file = OpenOptions::new().write(true).open(&segment).unwrap();
        file.seek(SeekFrom::Start(u64::try_from(place).unwrap())).unwrap();
        file.write_all(&[healthy[place] ^ 0x41]).unwrap();
        drop(file);
        let fault = Store::open(dir.path(), Options::default(), NOON).err().unwrap();
        let Fault::Corrupt { file, offset, .. } = fault else { panic!("{fault}") };
        assert_eq!(file, segment);
        assert!(offset <= u64::try_from(place).unwrap());
        fs::write(&segment, &healthy).unwrap();
    }
    open(dir.path());
}

#[test]
fn sums_are_made_again_from_the_journal() {
    let dir = directory();
    let options = Options { segment_bytes: 2_000, ..Options::default() };
    let store = Store::open(dir.path(), options.clone(), NOON).unwrap();
    let rows: Vec<_> = (0..100).map(|number| row(number, key_id(number % 4), NOON)).collect();
    for row in &rows {
        store.record(row).unwrap();
        wait(store.rows(RowQuery::default())).unwrap();
    }
    drop(store);
    assert!(segments(dir.path()).len() > 5);
    for name in ["sums.db", "sums.db-wal", "sums.db-shm"] {
        let _ = fs::remove_file(dir.path().join(name));
    }
    let store = Store::open(dir.path(), options.clone(), NOON).unwrap();
    assert_eq!(store.recovery().rows_replayed, 100);
    assert_eq!(sums_in(&store), sums_of(&rows));
    assert_eq!(all_rows(&store), rows);
    drop(store);
    // A segment that is missing is not passed over in silence.
    for name in ["sums.db", "sums.db-wal", "sums.db-shm"] {
        let _ = fs::remove_file(dir.path().join(name));
    }
    fs::remove_file(&segments(dir.path())[2]).unwrap();
    let fault = Store::open(dir.path(), options, NOON).err().unwrap();
    assert!(matches!(fault, Fault::Corrupt { .. }), "{fault}");
}

#[test]
fn a_new_month_begins_a_new_segment() {
    let dir = directory();
    let store = open(dir.path());
    let later = NOON.plus_seconds(20 * 86_400);
    for (number, at) in [(1, NOON), (2, later)] {
        store.record(&row(number, key_id(1), at)).unwrap();
        wait(store.flush()).unwrap();
    }
    assert_eq!(segments(dir.path()).len(), 2);
    let query = RowQuery { until: Some(later), most: 10, ..RowQuery::default() };
    assert_eq!(wait(store.rows(query)).unwrap().rows, [row(1, key_id(1), NOON)]);
}

#[derive(Clone, Debug)]
enum Step {
    Record(u8),
    Flush,
    Close,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..40_u8).prop_map(Step::Record),
        2 => Just(Step::Flush),
        1 => Just(Step::Close),
        2 => Just(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn however_it_ends_no_row_is_lost_or_counted_twice(
        steps in prop::collection::vec(step(), 1..14),
        seed in 0..1_000_000_u64,
    ) {
        let dir = directory();
        let options = Options { segment_bytes: 4_000, ..Options::default() };
        let mut place = dir.path().join("0");
        let mut store = Store::open(&place, options.clone(), NOON).unwrap();
        let mut rows = Vec::new();
        for (turn, step) in (1_u64..).zip(steps) {
            match step {
                Step::Record(count) => for number in 0..u64::from(count) {
                    let number = seed + turn * 1_000 + number;
                    let began_at = NOON.plus_seconds(i64::try_from(number * 977 % 200_000).unwrap());
                    let row = row(number, key_id(number % 5), began_at);
                    store.record(&row).unwrap();
                    rows.push(row);
                },
                Step::Flush => wait(store.flush()).unwrap(),
                Step::Close => {
                    store.close().unwrap();
                    drop(store);
                    store = Store::open(&place, options.clone(), NOON).unwrap();
                }
                Step::Kill => {
                    // Rows that were written survive, whatever the sums had seen of them.
                    wait(store.rows(RowQuery::default())).unwrap();
                    let copy = dir.path().join(turn.to_string());
                    copy_dir(&place, &copy);
                    drop(store);
                    place = copy;
                    store = Store::open(&place, options.clone(), NOON).unwrap();
                }
            }
        }
        prop_assert_eq!(sums_in(&store), sums_of(&rows));
        rows.drain(..rows.len().saturating_sub(RowQuery::MOST));
        prop_assert_eq!(all_rows(&store), rows);
    }
}
