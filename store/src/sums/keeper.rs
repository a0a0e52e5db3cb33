//! The thread that carries sums into their database. Sums and the place in the journal they reach
//! change in one transaction, so that a crash neither loses a row nor counts one twice.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use domain::{Class, KeyId, LimitId, Money, Scope, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params, types::Value};
use tokio::sync::oneshot;

use super::{About, Deltas, Sum};
use crate::database::{int, uint};
use crate::fault::Fault;
use crate::journal::segment::{Position, Segment};

/// The answer somebody waits for.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Fault>>;

/// What to sum: a key's rows that began in the UTC hour of the first moment or later, and before
/// the second.
pub(crate) type Spending = (KeyId, Timestamp, Option<Timestamp>);

/// A limit that is about to be asked about for the first time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) scope: Scope,
    pub(crate) limit: LimitId,
    /// What counts where no row ever counted against this limit.
    pub(crate) before: Option<Spending>,
}

/// What is known of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    /// The beginning of the newest turn that something counted in, and how much.
    pub(crate) turn: Option<(Timestamp, i64)>,
    /// What was spent before there was such a limit.
    pub(crate) before: Option<Money>,
}

/// What the journal's thread asks for, in this order.
pub(crate) enum Work {
    /// Carry these over; they reach up to this place.
    Deltas(Box<Deltas>, Position, Vec<Segment>),
    /// Tell when everything before is in the database.
    Flush(Reply<()>),
    /// Sum up what everything before says about keys.
    Spent(Vec<Spending>, Reply<Vec<Money>>),
    /// Tell what everything before says about limits.
    Balances(Vec<Question>, Reply<Vec<Known>>),
    /// Finish.
    Close,
}

pub(crate) struct Keeper {
    connection: Connection,
    names: HashMap<Arc<str>, i64>,
    pending: Deltas,
    sealed: Vec<Segment>,
    position: Position,
    dirty: bool,
    busy: Arc<AtomicBool>,
}

impl Keeper {
    pub(crate) fn new(connection: Connection) -> Result<Self, Fault> {
        let position = connection
            .query_row("SELECT segment, offset, seq FROM applied", [], |row| {
                Ok(Position {
                    segment: uint(row.get(0)?),
                    offset: uint(row.get(1)?),
                    seq: uint(row.get(2)?),
                })
            })
            .optional()
            .map_err(Fault::database("reading the journal's position"))?
            .unwrap_or_default();
        Ok(Self {
            connection,
            names: HashMap::new(),
            pending: Deltas::default(),
            sealed: Vec::new(),
            position,
            dirty: false,
            busy: Arc::default(),
        })
    }

    /// How far in the journal the sums reach.
    pub(crate) const fn position(&self) -> Position {
        self.position
    }

    /// Whether sums are waiting to be carried over: more can be added up meanwhile.
    pub(crate) fn busy(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.busy)
    }

    /// The times of full segments, as far as they were written down.
    pub(crate) fn sealed(&self) -> Result<HashMap<u64, (Timestamp, Timestamp)>, Fault> {
        let read = || -> rusqlite::Result<HashMap<_, _>> {
            let mut rows = self.connection.prepare("SELECT first, since, until FROM segment")?;
            rows.query_map([], |row| {
                let times = (row.get(1)?, row.get(2)?);
                let times = (Timestamp::from_micros(times.0), Timestamp::from_micros(times.1));
                Ok((uint(row.get(0)?), times))
            })?
            .collect()
        };
        read().map_err(Fault::database("reading the segments"))
    }

    /// Adds sums that reach up to `position`, and carries them over.
    pub(crate) fn take(
        &mut self,
        deltas: Deltas,
        position: Position,
        sealed: Vec<Segment>,
    ) -> Result<(), Fault> {
        self.pending.merge(deltas);
        self.sealed.extend(sealed);
        self.position = position;
        self.dirty = true;
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Fault> {
        if !self.dirty {
            return Ok(());
        }
        self.commit().map_err(Fault::database("writing sums"))?;
        self.pending = Deltas::default();
        self.sealed.clear();
        self.dirty = false;
        Ok(())
    }

    fn commit(&mut self) -> rusqlite::Result<()> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut new_names = HashMap::new();
        {
            let mut insert_name = transaction.prepare_cached(
                "INSERT INTO name (text) VALUES (?1)
                 ON CONFLICT (text) DO UPDATE SET text = text RETURNING id",
            )?;
            let mut number = |text: &Arc<str>| -> rusqlite::Result<i64> {
                if let Some(id) = self.names.get(text).or_else(|| new_names.get(text)) {
                    return Ok(*id);
                }
                let id = insert_name.query_row([text.as_ref()], |row| row.get(0))?;
                new_names.insert(Arc::clone(text), id);
                Ok(id)
            };
            let mut upsert = transaction.prepare_cached(&upsert_sql())?;
            for (about, sum) in self.pending.sums() {
                let names = (number(&about.model)?, number(&about.provider)?);
                upsert.execute(rusqlite::params_from_iter(values(about, names, sum)))?;
            }
            let mut used = transaction.prepare_cached(
                "INSERT INTO key_used (key, at) VALUES (?1, ?2)
                 ON CONFLICT (key) DO UPDATE SET at = max(at, excluded.at)",
            )?;
            for (key, at) in self.pending.last_used() {
                used.execute(params![key.ulid().bytes(), at.micros()])?;
            }
            // What settles late, in a turn that is over, counts nowhere any more. At the ends of its
            // range a number stays there, as it does in memory.
            let mut count = transaction.prepare_cached(
                "INSERT INTO balance (scope, lim, turn, spent) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (scope, lim) DO UPDATE SET
                   spent = CASE WHEN excluded.turn > turn THEN excluded.spent
                                WHEN excluded.turn < turn THEN spent
                                WHEN excluded.spent > 0
                                THEN min(spent, 9223372036854775807 - excluded.spent) + excluded.spent
                                ELSE max(spent, -9223372036854775807 - excluded.spent) + excluded.spent
                                END,
                   turn = max(turn, excluded.turn)",
            )?;
            for ((scope, limit, turn), amount) in self.pending.counts() {
                let (scope, limit) = (scope_bytes(*scope), limit.ulid().bytes());
                count.execute(params![scope, limit, turn, amount])?;
            }
            let mut close =
                transaction.prepare_cached("DELETE FROM open_hold WHERE attempt = ?1")?;
            for attempt in self.pending.closed() {
                close.execute([attempt.ulid().bytes()])?;
            }
            let mut open = transaction.prepare_cached(
                "INSERT OR REPLACE INTO open_hold (attempt, began) VALUES (?1, ?2)",
            )?;
            for (attempt, began) in self.pending.opened() {
                open.execute(params![attempt.ulid().bytes(), began])?;
            }
            for segment in &self.sealed {
                let Some((since, until)) = segment.times else { continue };
                transaction.execute(
                    "INSERT OR REPLACE INTO segment (first, since, until) VALUES (?1, ?2, ?3)",
                    params![int(segment.first), since.micros(), until.micros()],
                )?;
            }
            let Position { segment, offset, seq } = self.position;
            transaction.execute(
                "INSERT OR REPLACE INTO applied (id, segment, offset, seq) VALUES (1, ?1, ?2, ?3)",
                params![int(segment), int(offset), int(seq)],
            )?;
        }
        transaction.commit()?;
        // Only now: a number from a transaction that failed would be nobody's.
        self.names.extend(new_names);
        Ok(())
    }

    fn spent(&self, (key, start, end): &Spending) -> rusqlite::Result<Money> {
        // Dollars and the rest apart: neither sum comes to the end of its range.
        let mut sum = self.connection.prepare_cached(
            "SELECT coalesce(sum(cost / 1000000000), 0), coalesce(sum(cost % 1000000000), 0)
             FROM usage_hour WHERE key = ?1 AND hour >= ?2 AND hour < ?3",
        )?;
        let end = end.map_or(i64::MAX, Timestamp::seconds);
        let key = key.ulid().bytes();
        sum.query_row(params![key, start.hour().seconds(), end], |row| {
            let dollars: i64 = row.get(0)?;
            let nanos = dollars.saturating_mul(1_000_000_000).saturating_add(row.get(1)?);
            Ok(Money::from_nanos(nanos))
        })
    }

    fn known(&self, question: &Question) -> rusqlite::Result<Known> {
        let mut select = self
            .connection
            .prepare_cached("SELECT turn, spent FROM balance WHERE scope = ?1 AND lim = ?2")?;
        let name = params![scope_bytes(question.scope), question.limit.ulid().bytes()];
        let turn = select
            .query_row(name, |row| Ok((Timestamp::from_micros(row.get(0)?), row.get(1)?)))
            .optional()?;
        let before = match (turn, &question.before) {
            (None, Some(spending)) => Some(self.spent(spending)?),
            _ => None,
        };
        Ok(Known { turn, before })
    }

    /// The holds that were open where the sums end.
    pub(crate) fn open_holds(&self) -> Result<Vec<Vec<u8>>, Fault> {
        let read = || -> rusqlite::Result<Vec<_>> {
            let mut select = self.connection.prepare("SELECT began FROM open_hold")?;
            select.query_map([], |row| row.get(0))?.collect()
        };
        read().map_err(Fault::database("reading open holds"))
    }

    /// Works until told to close.
    pub(crate) fn run(mut self, work: &mpsc::Receiver<Work>) {
        loop {
            // What could not be carried over is tried again every second.
            let next = if self.dirty {
                match work.recv_timeout(Duration::from_secs(1)) {
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        let _ = self.flush();
                        continue;
                    }
                    next => next.ok(),
                }
            } else {
                work.recv().ok()
            };
            match next {
                Some(Work::Deltas(deltas, position, sealed)) => {
                    // A failure keeps them: whoever asks next is told.
                    let _ = self.take(*deltas, position, sealed);
                    self.busy.store(false, Ordering::Release);
                }
                Some(Work::Flush(reply)) => {
                    let _ = reply.send(self.flush());
                }
                Some(Work::Spent(keys, reply)) => {
                    let all = |keeper: &Self| keys.iter().map(|one| keeper.spent(one)).collect();
                    let _ = reply.send(self.answer(all));
                }
                Some(Work::Balances(questions, reply)) => {
                    let all =
                        |keeper: &Self| questions.iter().map(|one| keeper.known(one)).collect();
                    let _ = reply.send(self.answer(all));
                }
                Some(Work::Close) | None => {
                    // What is missing is made again from the journal.
                    let _ = self.flush();
                    return;
                }
            }
        }
    }

    fn answer<T>(&mut self, read: impl FnOnce(&Self) -> rusqlite::Result<T>) -> Result<T, Fault> {
        self.flush()?;
        read(self).map_err(Fault::database("reading sums"))
    }
}

/// A scope as the database names it.
fn scope_bytes(scope: Scope) -> Vec<u8> {
    let (kind, id) = match scope {
        Scope::Instance => (0, None),
        Scope::Project(id) => (1, Some(id.ulid())),
        Scope::Team(id) => (2, Some(id.ulid())),
        Scope::User(id) => (3, Some(id.ulid())),
        Scope::Key(id) => (4, Some(id.ulid())),
    };
    let id = id.map(domain::id::Ulid::bytes);
    std::iter::once(kind).chain(id.into_iter().flatten()).collect()
}

/// The columns that add up, in the order of [`values`].
fn columns() -> impl Iterator<Item = &'static str> {
    ["calls", "unpriced", "failed", "cost", "estimated", "micros"]
        .into_iter()
        .chain(Class::ALL.map(Class::name))
}

fn upsert_sql() -> String {
    let names: Vec<_> = columns().collect();
    let holes = vec!["?"; names.len() + 4].join(", ");
    // At the end of its range a number stays there: plain addition would turn it into a float.
    let sums: Vec<_> = names
        .iter()
        .map(|name| {
            format!("{name} = min({name}, {} - excluded.{name}) + excluded.{name}", i64::MAX)
        })
        .collect();
    format!(
        "INSERT INTO usage_hour (key, hour, model, provider, {}) VALUES ({holes})
         ON CONFLICT (key, hour, model, provider) DO UPDATE SET {}",
        names.join(", "),
        sums.join(", ")
    )
}

fn values(about: &About, (model, provider): (i64, i64), sum: &Sum) -> impl Iterator<Item = Value> {
    let numbers = [
        about.hour.seconds(),
        model,
        provider,
        int(sum.calls),
        int(sum.unpriced),
        int(sum.failed),
        sum.cost.nanos(),
        sum.estimated.nanos(),
        int(sum.total_micros),
    ];
    std::iter::once(Value::Blob(about.key.ulid().bytes().to_vec()))
        .chain(numbers.into_iter().map(Value::Integer))
        .chain(Class::ALL.map(|class| Value::Integer(int(sum.usage[class]))))
}
