//! The store in a process of its own, which is killed, or refused. Apart from the other tests: while
//! a process is started it holds for a moment whatever its parent has locked.

#![expect(clippy::unwrap_used, reason = "what cannot be had ends the test")]

#[path = "../it/books.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod books;
#[path = "../it/world.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod world;

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use domain::ledger::Fit;
use domain::{Ending, Evidence, HoldId, Key, Money, Row, Want, Window};
use parking_lot::Mutex;
use store::{Fault, Options, Store};

use books::{Books, Entry, entries};
use world::*;

/// One test at a time starts processes.
static ALONE: Mutex<()> = Mutex::new(());

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

/// Not a test: the process that [`one_that_is_killed_charges_what_it_began`] kills. It calls
/// as fast as it can, and says what was acknowledged.
#[test]
#[ignore = "another test starts it"]
fn a_process_of_its_own() {
    let mut line = String::new();
    if io::stdin().is_terminal() || io::stdin().read_line(&mut line).is_err() || line.is_empty() {
        return;
    }
    let options = Options { segment_bytes: 20_000, ..Options::default() };
    let store = match Store::open(Path::new(line.trim()), options, NOON) {
        Ok(store) => store,
        Err(fault) => return println!("refused {}", matches!(fault, Fault::InUse(_))),
    };
    let key = limited(1_000_000);
    let say = |what: &str, id: HoldId| {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{what} {id}").and_then(|()| out.flush());
    };
    wait(async {
        let mut open = VecDeque::new();
        for number in 1..1_000_000 {
            let row = bound(number);
            let want = Want::call(DOLLAR, 0);
            let held = store.reserve(row.attempt, &on(&key), want, Fit::All, now(NOON)).await;
            let mut held = held.unwrap();
            store.begin(&mut held, &row).await.unwrap();
            say("begun", row.attempt);
            open.push_back((held, row));
            if open.len() > 5
                && let Some((held, row)) = open.pop_front()
            {
                match number % 3 {
                    0 => store.release(held),
                    _ => store
                        .settle(held, &Row { cost: Some(Money::from_nanos(5)), ..row })
                        .unwrap(),
                }
            }
            if number % 50 == 0 {
                store.flush().await.unwrap();
                say("written", bound(number - 10).attempt);
            }
        }
    });
}

fn start(dir: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_of_its_own", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", dir.display()).unwrap();
    child
}

#[test]
fn one_that_is_killed_charges_what_it_began() {
    let _alone = ALONE.lock();
    for lines in [1, 40, 300, 1_100] {
        let dir = directory();
        let mut child = start(dir.path());
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let words = |line: String| line.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()));
        let mut heard: Vec<_> = said
            .by_ref()
            .filter_map(words)
            .filter(|(what, _)| ["begun", "written"].contains(&what.as_str()))
            .take(lines)
            .collect();
        child.kill().unwrap();
        child.wait().unwrap();
        heard.extend(said.filter_map(words));
        let key = limited(1_000_000);
        let begun = begans(dir.path());
        let mut books = Books::of_dir(dir.path());
        for (what, id) in &heard {
            let Ok(id) = id.parse() else { continue };
            assert!(what != "begun" || begun.contains(&id), "{id} was acknowledged");
            assert!(what != "written" || !books.open.contains_key(&id), "{id} was closed");
        }
        let open = u64::try_from(books.open.len()).unwrap();
        assert!((1..=7).contains(&open), "{open}");
        books.kill();
        let store = open_small(dir.path());
        assert_eq!(store.recovery().calls_charged, open);
        books.agree(&store, dir.path(), &on(&key), NOON);
    }
}

fn open_small(dir: &Path) -> Store {
    let options = Options { segment_bytes: 20_000, ..Options::default() };
    Store::open(dir, options, NOON).unwrap()
}

#[test]
fn a_second_one_is_refused() {
    let _alone = ALONE.lock();
    let dir = directory();
    let store = open(dir.path());
    let said = start(dir.path()).wait_with_output().unwrap().stdout;
    assert!(String::from_utf8(said).unwrap().contains("refused true"));
    drop(store);
}
