//! What a journal comes to, computed anew from its bytes and in the plainest way, and whether a
//! store says the same: in memory, in the tables of its sums, and in its rows.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use domain::ledger::Turn;
use domain::{
    Began, Correction, Evidence, HoldId, LimitId, Money, Part, Row, Scope, ScopedLimit, Timestamp,
    Unit, Window, Zone,
};
use serde::Deserialize;
use store::{RowQuery, Store, Sum};

use crate::world::*;

/// The journal's entries as they lie on the disk.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) enum Entry {
    Row(Row),
    Began(Began),
    Released(HoldId),
    Finished(HoldId),
    Corrected { correction: Correction, row: Row, parts: Vec<Part> },
    Seeded { scope: Scope, limit: LimitId, turn: i64, amount: i64 },
}

/// An entry, and the bytes of its segment that end with it.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) segment: u64,
    pub(crate) end: u64,
    pub(crate) entry: Entry,
}

/// The segments of a data directory by their numbers, oldest first.
pub(crate) fn segments(dir: &Path) -> Vec<(u64, PathBuf)> {
    let mut all: Vec<_> = fs::read_dir(dir.join("ledger"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().parse().unwrap(), path))
        .collect();
    all.sort();
    all
}

/// Every whole entry of a journal, up to the first bytes that are none.
pub(crate) fn entries(dir: &Path) -> Vec<Written> {
    let mut all = Vec::new();
    for (segment, path) in segments(dir) {
        let bytes = fs::read(path).unwrap();
        let mut rest = bytes.as_slice();
        while let Some((head, after)) = rest.split_at_checked(8) {
            let length = u32::from_le_bytes(*head.first_chunk().unwrap());
            let checksum = u32::from_le_bytes(*head.last_chunk().unwrap());
            let Some((payload, after)) = after.split_at_checked(usize::try_from(length).unwrap())
            else {
                break;
            };
            if payload.is_empty() || crc32fast::hash(payload) != checksum {
                break;
            }
            rest = after;
            let end = u64::try_from(bytes.len() - rest.len()).unwrap();
            all.push(Written { segment, end, entry: postcard::from_bytes(payload).unwrap() });
        }
    }
    all
}

/// What entries come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Books {
    /// What counts against a limit, turn by turn.
    pub(crate) counted: BTreeMap<(Scope, LimitId), BTreeMap<i64, i64>>,
    pub(crate) open: BTreeMap<HoldId, Began>,
    pub(crate) rows: Vec<Row>,
    pub(crate) sums: Sums,
}

impl Books {
    pub(crate) fn of<'a>(entries: impl IntoIterator<Item = &'a Written>) -> Self {
        let mut books = Self::default();
        for written in entries {
            books.read(&written.entry);
        }
        books
    }

    pub(crate) fn of_dir(dir: &Path) -> Self {
        Self::of(&entries(dir))
    }

    pub(crate) fn read(&mut self, entry: &Entry) {
        match entry {
            Entry::Row(row) => self.row(row),
            Entry::Began(began) => {
                self.open.insert(began.row.attempt, began.clone());
            }
            Entry::Released(attempt) => {
                self.open.remove(attempt);
            }
            Entry::Finished(attempt) => {
                let began = self.open.remove(attempt);
                for part in began.into_iter().flat_map(|began| began.parts) {
                    let amount = if part.unit == Unit::Requests { part.amount } else { 0 };
                    self.count(&part, amount);
                }
            }
            Entry::Corrected { correction, row, parts } => {
                for part in parts {
                    match part.unit {
                        Unit::Money => self.count(part, -correction.money.nanos()),
                        Unit::Tokens => self.count(part, -correction.tokens),
                        Unit::Requests | Unit::InFlight => {}
                    }
                }
                less(&mut self.sums, row, correction.money);
            }
            Entry::Seeded { scope, limit, turn, amount } => {
                self.add((*scope, *limit), *turn, *amount);
            }
        }
    }

    fn row(&mut self, row: &Row) {
        let began = self.open.remove(&row.attempt);
        for part in began.into_iter().flat_map(|began| began.parts) {
            let amount = match part.unit {
                Unit::Money => row.cost.unwrap_or_default().nanos(),
                Unit::Tokens => row.tokens,
                Unit::Requests => part.amount,
                Unit::InFlight => 0,
            };
            self.count(&part, amount);
        }
        self.sums.entry(about(row)).or_default().add(&Sum::of(row));
        self.rows.push(row.clone());
    }

    fn count(&mut self, part: &Part, amount: i64) {
        if let (Turn::Began(turn), false) = (part.turn, part.unit == Unit::InFlight) {
            self.add((part.scope, part.limit), turn, amount);
        }
    }

    fn add(&mut self, limit: (Scope, LimitId), turn: i64, amount: i64) {
        *self.counted.entry(limit).or_default().entry(turn).or_default() += amount;
    }

    /// The process is killed, and started again: whatever is open is charged.
    pub(crate) fn kill(&mut self) {
        let open: Vec<_> = self.open.values().map(|began| began.row.clone()).collect();
        for row in &open {
            self.row(row);
        }
    }

    /// The newest turn that something counted in, and how much, as the table of balances has it.
    pub(crate) fn balances(&self) -> BTreeMap<(Scope, LimitId), (i64, i64)> {
        let newest = |turns: &BTreeMap<i64, i64>| turns.last_key_value().map(|(t, s)| (*t, *s));
        self.counted.iter().map(|(limit, turns)| (*limit, newest(turns).unwrap())).collect()
    }

    /// What is spent of a limit whose turns have fixed beginnings. A key's money that was spent
    /// before anything was asked about a limit on it counts.
    pub(crate) fn spent(&self, scoped: &ScopedLimit, at: Timestamp) -> i64 {
        let start = scoped.limit.window.span(at).start;
        match (self.counted.get(&(scoped.scope, scoped.limit.id)), scoped.scope) {
            (Some(turns), _) => turns.get(&start.micros()).copied().unwrap_or(0),
            (None, Scope::Key(key)) if seeds(scoped) => {
                let of_key =
                    |((hour, of, ..), _): &(&About, &Sum)| *of == key && *hour >= start.seconds();
                self.sums.iter().filter(of_key).map(|(_, sum)| sum.cost.nanos()).sum()
            }
            (None, _) => 0,
        }
    }

    /// Whoever asks about these limits writes down what was spent before.
    pub(crate) fn ask(&mut self, limits: &[ScopedLimit], at: Timestamp) {
        for scoped in limits.iter().filter(|scoped| seeds(scoped)) {
            let name = (scoped.scope, scoped.limit.id);
            if !self.counted.contains_key(&name) {
                let amount = self.spent(scoped, at);
                self.add(name, scoped.limit.window.span(at).start.micros(), amount);
            }
        }
    }

    /// Nothing is in flight: memory, tables, rows and these books say the same.
    #[track_caller]
    pub(crate) fn agree(
        &mut self,
        store: &Store,
        dir: &Path,
        limits: &[ScopedLimit],
        at: Timestamp,
    ) {
        assert_eq!(self.open, BTreeMap::new(), "something is open");
        wait(store.flush()).unwrap();
        assert_eq!(tables(dir), (self.tables(), Vec::new()));
        assert_eq!(sums_in(store), self.sums);
        assert_eq!(last_rows(store), self.last_rows());
        let fixed: Vec<_> = limits.iter().filter(|one| one.limit.is_durable()).copied().collect();
        for (scoped, balance) in fixed.iter().zip(wait(store.balances(&fixed, now(at))).unwrap()) {
            assert_eq!((balance.spent, balance.held), (self.spent(scoped, at), 0), "{scoped:?}");
        }
        self.ask(&fixed, at);
        wait(store.flush()).unwrap();
        assert_eq!(tables(dir), (self.tables(), Vec::new()));
    }

    fn tables(&self) -> Table {
        let bytes = |limit: LimitId| limit.ulid().bytes().to_vec();
        self.balances()
            .into_iter()
            .map(|((s, l), held)| ((scope_bytes(s), bytes(l)), held))
            .collect()
    }

    fn last_rows(&self) -> &[Row] {
        &self.rows[self.rows.len().saturating_sub(RowQuery::MOST)..]
    }
}

type About = (i64, domain::KeyId, String, String);

fn about(row: &Row) -> About {
    let hour = row.began_at.hour().seconds();
    (hour, row.key, row.model_used.to_string(), row.provider.to_string())
}

/// What was given back is no cost, and no estimate, any more.
pub(crate) fn less(sums: &mut Sums, row: &Row, money: Money) {
    let sum = sums.get_mut(&about(row)).unwrap();
    sum.cost = sum.cost.saturating_sub(money);
    if row.evidence == Evidence::Estimated {
        sum.estimated = sum.estimated.saturating_sub(money);
    }
}

/// Whether such a limit counts what was spent before it.
pub(crate) fn seeds(scoped: &ScopedLimit) -> bool {
    let past = match scoped.limit.window {
        Window::Lifetime => true,
        Window::Calendar { zone, .. } => zone == Zone::UTC,
        Window::Anchored { .. } | Window::Rolling { .. } => false,
    };
    past && scoped.limit.unit == Unit::Money && matches!(scoped.scope, Scope::Key(_))
}

fn scope_bytes(scope: Scope) -> Vec<u8> {
    let (kind, id) = match scope {
        Scope::Instance => (0, None),
        Scope::Project(id) => (1, Some(id.ulid().bytes())),
        Scope::Team(id) => (2, Some(id.ulid().bytes())),
        Scope::User(id) => (3, Some(id.ulid().bytes())),
        Scope::Key(id) => (4, Some(id.ulid().bytes())),
    };
    std::iter::once(kind).chain(id.into_iter().flatten()).collect()
}

type Table = BTreeMap<(Vec<u8>, Vec<u8>), (i64, i64)>;

/// The tables of balances and of open holds.
pub(crate) fn tables(dir: &Path) -> (Table, Vec<HoldId>) {
    let database = rusqlite::Connection::open(dir.join("sums.db")).unwrap();
    let mut select = database.prepare("SELECT scope, lim, turn, spent FROM balance").unwrap();
    let balances = select
        .query_map([], |row| Ok(((row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?))))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let mut select = database.prepare("SELECT attempt FROM open_hold ORDER BY attempt").unwrap();
    let id = |bytes| HoldId::from_ulid(domain::id::Ulid::from_bytes(bytes));
    let open = select.query_map([], |row| Ok(id(row.get(0)?))).unwrap();
    (balances, open.collect::<Result<_, _>>().unwrap())
}

/// Where in the journal the sums end.
pub(crate) fn applied(dir: &Path) -> (u64, u64) {
    let database = rusqlite::Connection::open(dir.join("sums.db")).unwrap();
    let number = |row: &rusqlite::Row<'_>, place| row.get::<_, i64>(place).map(i64::unsigned_abs);
    let read = "SELECT segment, offset FROM applied";
    database.query_row(read, [], |row| Ok((number(row, 0)?, number(row, 1)?))).unwrap_or_default()
}

/// The newest rows, oldest first.
pub(crate) fn last_rows(store: &Store) -> Vec<Row> {
    let query = RowQuery { most: RowQuery::MOST, ..RowQuery::default() };
    let mut rows = wait(store.rows(query)).unwrap().rows;
    rows.reverse();
    rows
}

/// Makes `to` what a process leaves that is killed when `from`'s journal is as it is now: with the
/// sums of `sums`, which are as old as they may be, or with none.
pub(crate) fn leave(from: &Path, sums: Option<&Path>, to: &Path) {
    fs::create_dir(to).unwrap();
    copy_dir(&from.join("ledger"), &to.join("ledger"));
    for file in ["sums.db", "sums.db-wal"] {
        if let Some(sums) = sums.map(|dir| dir.join(file)).filter(|file| file.exists()) {
            fs::copy(sums, to.join(file)).unwrap();
        }
    }
}

/// Cuts the journal off behind so many bytes of a segment; later segments do not exist yet.
pub(crate) fn cut(dir: &Path, segment: u64, length: u64) {
    for (number, path) in segments(dir) {
        if number > segment {
            fs::remove_file(path).unwrap();
        } else if number == segment {
            OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
        }
    }
}
