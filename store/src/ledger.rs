//! The ledger on this machine: `domain`'s state machine in memory, opened from the sums, kept true
//! by the journal.
//!
//! Every row counts exactly once against every limit of its key. What a limit's first question
//! loads is the sum of the rows before some number; rows from that number on, settled meanwhile
//! under the same lock that numbers them, are added to it.

use std::collections::HashMap;
use std::sync::Arc;

use domain::ledger::{Balance, NotHeld};
use domain::{
    Hold, HoldId, Key, KeyId, Ledger, Limit, LimitId, Money, Refusal, Row, Span, Timestamp,
};
use parking_lot::Mutex;
use tokio::sync::Mutex as Turnstile;

use crate::fault::Fault;
use crate::journal::{Journal, frame::Frame};
use crate::sums::Fold;
use crate::sums::keeper::Question;

/// Money held for one call of one key. Settle it with the call's row, or release it.
#[must_use = "a hold that is dropped stays held: settle or release it"]
#[derive(Debug)]
pub struct Held {
    hold: Hold,
    key: KeyId,
    /// The limits it is held on.
    limits: Vec<LimitId>,
}

impl Held {
    /// Its name, which is also its row's.
    pub const fn id(&self) -> HoldId {
        self.hold.id()
    }

    /// How much is set aside on each limit.
    pub const fn amount(&self) -> Money {
        self.hold.amount()
    }

    /// Whose it is.
    pub const fn key(&self) -> KeyId {
        self.key
    }
}

/// Why nothing was held.
#[derive(Clone, Debug)]
pub enum NotReserved {
    /// It does not fit.
    Refused(Refusal),
    /// The ledger could not be asked.
    Fault(Fault),
}

impl From<Fault> for NotReserved {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

const SHARDS: usize = 64;

/// All balances, apart by key.
pub(crate) struct Balances {
    shards: Vec<Mutex<Shard>>,
}

#[derive(Default)]
struct Shard {
    ledger: Ledger,
    accounts: HashMap<KeyId, Account>,
}

/// The limits of one key that were ever asked about.
#[derive(Default)]
struct Account {
    open: Vec<Limit>,
    /// Rows that came while limits are being opened.
    meanwhile: Option<Vec<Booked>>,
    /// One opens, the others wait.
    turnstile: Arc<Turnstile<()>>,
}

#[derive(Clone, Copy)]
struct Booked {
    /// The row's number; `None` where it could not be recorded, so that no sum has it.
    seq: Option<u64>,
    at: Timestamp,
    amount: Money,
}

impl Balances {
    pub(crate) fn new() -> Self {
        Self { shards: std::iter::repeat_with(Mutex::default).take(SHARDS).collect() }
    }

    fn shard(&self, key: KeyId) -> &Mutex<Shard> {
        // The low bits of an id are random, the high ones are its time.
        let [.., low] = key.ulid().bytes();
        &self.shards[usize::from(low) % SHARDS]
    }

    pub(crate) async fn reserve(
        &self,
        journal: &Journal,
        key: &Key,
        id: HoldId,
        amount: Money,
        now: Timestamp,
    ) -> Result<Held, NotReserved> {
        journal.check()?;
        if let Some(answer) = self.try_reserve(key, id, amount, now) {
            return answer;
        }
        self.open(journal, key, now).await?;
        self.try_reserve(key, id, amount, now).unwrap_or(Err(NotReserved::Fault(Fault::Closed)))
    }

    /// Holds, or refuses; `None` where a limit must be opened first.
    fn try_reserve(
        &self,
        key: &Key,
        id: HoldId,
        amount: Money,
        now: Timestamp,
    ) -> Option<Result<Held, NotReserved>> {
        let answer = if key.limits.is_empty() {
            Ledger::default().reserve(id, &[], amount, now)
        } else {
            self.shard(key.id).lock().ledger.reserve(id, &key.limits, amount, now)
        };
        match answer {
            Ok(hold) => {
                let limits = key.limits.iter().map(|limit| limit.id).collect();
                Some(Ok(Held { hold, key: key.id, limits }))
            }
            Err(NotHeld::Refused(refusal)) => Some(Err(NotReserved::Refused(refusal))),
            Err(NotHeld::Unopened(_)) => None,
        }
    }

    /// Opens the limits of `key` that are not open yet.
    pub(crate) async fn open(
        &self,
        journal: &Journal,
        key: &Key,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let turnstile =
            Arc::clone(&self.shard(key.id).lock().accounts.entry(key.id).or_default().turnstile);
        let _turn = turnstile.lock().await;
        let Some(opening) = Opening::begin(self, key, now) else { return Ok(()) };
        let spans = opening.limits.iter().map(|(_, span)| (span.start, span.end)).collect();
        let spent = journal.spent(Question { key: key.id, spans }).await?;
        opening.finish(&spent.amounts, spent.seq);
        Ok(())
    }

    /// How each limit of `key` stands.
    pub(crate) async fn balances(
        &self,
        journal: &Journal,
        key: &Key,
        now: Timestamp,
    ) -> Result<Vec<Balance>, Fault> {
        if key.limits.is_empty() {
            return Ok(Vec::new());
        }
        self.open(journal, key, now).await?;
        let ledger = &mut self.shard(key.id).lock().ledger;
        let balance = |limit| ledger.balance(limit, now).map_err(|_| Fault::Closed);
        key.limits.iter().map(balance).collect()
    }

    /// Records `row`, and closes `held` with what it cost. Where the row cannot be recorded its
    /// cost still counts, until the next start.
    pub(crate) fn settle(
        &self,
        journal: &Journal,
        held: Option<Held>,
        row: Row,
    ) -> Result<(), Fault> {
        let (key, at, amount) = (row.key, row.began_at, row.cost.unwrap_or_default());
        // Encoding is the long part, so it is done before any lock.
        let frame = Frame::of(&row);
        let fold = Fold::of(row);
        let mut shard = self.shard(key).lock();
        // The number and the balances change under one lock: see the top of this file.
        let pushed = frame.and_then(|frame| journal.push(frame.bytes(), fold));
        shard.book(key, held, Booked { seq: pushed.as_ref().ok().copied(), at, amount });
        drop(shard);
        pushed.map(|_| ())
    }

    pub(crate) fn release(&self, held: Held) {
        if !held.limits.is_empty() {
            self.shard(held.key).lock().ledger.release(held.hold);
        }
    }
}

impl Shard {
    fn book(&mut self, key: KeyId, held: Option<Held>, booked: Booked) {
        let covered = held.map_or_else(Vec::new, |held| {
            self.ledger.settle(held.hold, booked.amount);
            held.limits
        });
        let Some(account) = self.accounts.get_mut(&key) else { return };
        if let Some(meanwhile) = &mut account.meanwhile {
            meanwhile.push(booked);
        }
        // A limit that was opened after the call was admitted has no part of its hold.
        for limit in account.open.iter().filter(|limit| !covered.contains(&limit.id)) {
            add(&mut self.ledger, *limit, booked);
        }
    }
}

/// Counts what was spent against a limit that did not hold it.
fn add(ledger: &mut Ledger, limit: Limit, booked: Booked) {
    let Ok(balance) = ledger.balance(&limit, booked.at) else { return };
    if !holds(balance.span, booked.at) {
        return;
    }
    let everything = Limit { amount: Money::MAX, ..limit };
    let id = HoldId::new(booked.at, 0);
    if let Ok(hold) = ledger.reserve(id, &[everything], Money::ZERO, booked.at) {
        ledger.settle(hold, booked.amount);
    }
}

fn holds(span: Span, at: Timestamp) -> bool {
    span.start <= at && span.end.is_none_or(|end| at < end)
}

/// Limits being opened. Dropped before its end, it leaves no trace.
struct Opening<'a> {
    balances: &'a Balances,
    key: KeyId,
    limits: Vec<(Limit, Span)>,
}

impl<'a> Opening<'a> {
    /// From here on rows of the key are kept in mind. `None` where nothing is to be opened.
    fn begin(balances: &'a Balances, key: &Key, now: Timestamp) -> Option<Self> {
        let mut shard = balances.shard(key.id).lock();
        let limits: Vec<_> = key
            .limits
            .iter()
            .filter(|limit| shard.ledger.balance(limit, now).is_err())
            .map(|limit| (*limit, limit.window.span(now)))
            .collect();
        if limits.is_empty() {
            return None;
        }
        shard.accounts.entry(key.id).or_default().meanwhile = Some(Vec::new());
        drop(shard);
        Some(Self { balances, key: key.id, limits })
    }

    /// Rows numbered `seq` and later are not in `amounts`.
    fn finish(mut self, amounts: &[Money], seq: u64) {
        let mut shard = self.balances.shard(self.key).lock();
        let Shard { ledger, accounts } = &mut *shard;
        let account = accounts.entry(self.key).or_default();
        let meanwhile = account.meanwhile.take().unwrap_or_default();
        for ((limit, span), loaded) in self.limits.drain(..).zip(amounts) {
            let spent = meanwhile
                .iter()
                .filter(|booked| booked.seq.is_none_or(|number| number >= seq))
                .filter(|booked| holds(span, booked.at))
                .fold(*loaded, |sum, booked| sum.saturating_add(booked.amount));
            ledger.open(limit.id, span, spent);
            account.open.push(limit);
        }
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if let Some(account) = self.balances.shard(self.key).lock().accounts.get_mut(&self.key) {
            account.meanwhile = None;
        }
    }
}
