//! The thread that carries sums into their database. Sums and the place in the journal they reach
//! change in one transaction, so that a crash neither loses a row nor counts one twice.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use domain::{Class, KeyId, Money, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params, types::Value};
use tokio::sync::oneshot;

use super::{About, Deltas, Sum};
use crate::database::{int, uint};
use crate::fault::Fault;
use crate::journal::segment::{Position, Segment};

/// The answer somebody waits for.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Fault>>;

/// What a key spent, and of which rows that is the sum.
#[derive(Debug)]
pub(crate) struct Spent {
    /// One amount for every span asked about.
    pub(crate) amounts: Vec<Money>,
    /// Rows before this number are in it, and no others.
    pub(crate) seq: u64,
}

/// What to sum: a key's rows that began from the first moment until just before the second.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) key: KeyId,
    pub(crate) spans: Vec<(Timestamp, Option<Timestamp>)>,
}

/// What the journal's thread asks for, in this order.
pub(crate) enum Work {
    /// Carry these over; they reach up to this place.
    Deltas(Deltas, Position, Vec<Segment>),
    /// Tell when everything before is in the database.
    Flush(Reply<()>),
    /// Sum up what everything before says about a key.
    Spent(Question, Reply<Spent>),
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
            for (about, sum) in self.pending.sorted() {
                let names = (number(&about.model)?, number(&about.provider)?);
                upsert.execute(rusqlite::params_from_iter(values(about, names, sum)))?;
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

    fn spent(&self, question: &Question) -> rusqlite::Result<Vec<Money>> {
        let mut sum = self.connection.prepare_cached(
            "SELECT coalesce(sum(cost), 0) FROM usage_hour WHERE key = ?1 AND hour >= ?2 AND hour < ?3",
        )?;
        let key = question.key.ulid().bytes();
        let one = |(start, end): &(Timestamp, Option<Timestamp>)| {
            let end = end.map_or(i64::MAX, Timestamp::seconds);
            let nanos = sum.query_row(params![key, start.hour().seconds(), end], |row| row.get(0));
            nanos.map(Money::from_nanos)
        };
        question.spans.iter().map(one).collect()
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
                    let _ = self.take(deltas, position, sealed);
                    self.busy.store(false, Ordering::Release);
                }
                Some(Work::Flush(reply)) => {
                    let _ = reply.send(self.flush());
                }
                Some(Work::Spent(question, reply)) => {
                    let _ = reply.send(self.answer(&question));
                }
                Some(Work::Close) | None => {
                    // What is missing is made again from the journal.
                    let _ = self.flush();
                    return;
                }
            }
        }
    }

    fn answer(&mut self, question: &Question) -> Result<Spent, Fault> {
        self.flush()?;
        let amounts = self.spent(question).map_err(Fault::database("reading sums"))?;
        Ok(Spent { amounts, seq: self.position.seq })
    }
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
