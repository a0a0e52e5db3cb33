//! What the journal comes to, as it grows in memory: sums of rows by UTC hour, key, model and
//! provider; what counts against each limit; which holds are open.

pub(crate) mod keeper;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use domain::ledger::Turn;
use domain::{
    Class, Ending, Evidence, HoldId, KeyId, LimitId, Money, Part, Row, Scope, Timestamp, Unit,
    Usage, Used,
};

use crate::journal::frame::{Corrected, Seeded};

/// What a sum is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct About {
    pub(crate) key: KeyId,
    /// The start of the UTC hour the attempt began in.
    pub(crate) hour: Timestamp,
    pub(crate) model: Arc<str>,
    pub(crate) provider: Arc<str>,
}

impl About {
    fn of(row: &Row) -> Self {
        Self {
            key: row.key,
            hour: row.began_at.hour(),
            model: Arc::clone(&row.model_used),
            provider: Arc::clone(&row.provider),
        }
    }
}

/// What rows come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Attempts.
    pub calls: u64,
    /// Of these, attempts at models without a price.
    pub unpriced: u64,
    /// Of these, attempts that did not end complete.
    pub failed: u64,
    /// What they cost.
    pub cost: Money,
    /// Of this, what was estimated.
    pub estimated: Money,
    /// How long they took, in microseconds.
    pub total_micros: u64,
    /// What they used.
    pub usage: Usage,
}

impl Sum {
    /// Adds the other sum to this one.
    pub fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.unpriced = self.unpriced.saturating_add(other.unpriced);
        self.failed = self.failed.saturating_add(other.failed);
        self.cost = self.cost.saturating_add(other.cost);
        self.estimated = self.estimated.saturating_add(other.estimated);
        self.total_micros = self.total_micros.saturating_add(other.total_micros);
        for class in Class::ALL {
            self.usage[class] = self.usage[class].saturating_add(other.usage[class]);
        }
    }

    /// The sum of one row.
    pub fn of(row: &Row) -> Self {
        let cost = row.cost.unwrap_or_default();
        let estimated = row.evidence == Evidence::Estimated;
        Self {
            calls: 1,
            unpriced: u64::from(row.cost.is_none()),
            failed: u64::from(row.ending != Ending::Complete),
            cost,
            estimated: if estimated { cost } else { Money::ZERO },
            total_micros: row.total_micros,
            usage: row.usage,
        }
    }
}

/// A limit's numbers in one turn of its window.
pub(crate) type Address = (Scope, LimitId, i64);

/// One entry of the journal, reduced to what its projections need.
pub(crate) struct Fold {
    at: Option<Timestamp>,
    sum: Option<(About, Sum)>,
    counts: Vec<(Address, i64)>,
    hold: Option<Change>,
}

/// What an entry does to the holds that are open.
enum Change {
    /// It opens one; the entry itself, to be read again after a crash.
    Opens(HoldId, Vec<u8>),
    Closes(HoldId),
}

impl Fold {
    /// A row, and what counts of it where.
    pub(crate) fn row(row: &Row, parts: &[Part]) -> Self {
        Self {
            at: Some(row.began_at),
            sum: Some((About::of(row), Sum::of(row))),
            counts: counts(parts, &row.used()),
            hold: Some(Change::Closes(row.attempt)),
        }
    }

    pub(crate) fn began(row: &Row, payload: &[u8]) -> Self {
        let hold = Some(Change::Opens(row.attempt, payload.to_vec()));
        Self { at: Some(row.began_at), sum: None, counts: Vec::new(), hold }
    }

    pub(crate) fn released(attempt: HoldId) -> Self {
        Self { at: None, sum: None, counts: Vec::new(), hold: Some(Change::Closes(attempt)) }
    }

    pub(crate) fn finished(attempt: HoldId, parts: &[Part]) -> Self {
        Self { counts: counts(parts, &Used::default()), ..Self::released(attempt) }
    }

    pub(crate) fn corrected(corrected: &Corrected) -> Self {
        let Corrected { correction, row, parts } = corrected;
        let (money, tokens) = (correction.money, correction.tokens);
        let back = Money::ZERO.saturating_sub(money);
        let estimated = if row.evidence == Evidence::Estimated { back } else { Money::ZERO };
        let sum = Sum { cost: back, estimated, ..Sum::default() };
        let less = Used { money: back, tokens: 0_i64.saturating_sub(tokens) };
        let money_and_tokens =
            parts.iter().filter(|part| matches!(part.unit, Unit::Money | Unit::Tokens));
        let parts: Vec<Part> = money_and_tokens.copied().collect();
        Self {
            at: Some(correction.at),
            sum: Some((About::of(row), sum)),
            counts: counts(&parts, &less),
            hold: None,
        }
    }

    pub(crate) fn seeded(seeded: Seeded) -> Self {
        let Seeded { scope, limit, turn, amount } = seeded;
        Self { at: None, sum: None, counts: vec![((scope, limit, turn), amount)], hold: None }
    }

    /// When what it is about happened, where it tells.
    pub(crate) const fn at(&self) -> Option<Timestamp> {
        self.at
    }
}

/// What counts where, as far as it must survive.
fn counts(parts: &[Part], used: &Used) -> Vec<(Address, i64)> {
    let durable = parts.iter().filter(|part| part.is_durable());
    let count = |part: &Part| match part.turn {
        Turn::Began(turn) => Some(((part.scope, part.limit, turn), part.settled(used))),
        Turn::Leaves(_) => None,
    };
    durable.filter_map(count).collect()
}

/// What no database has seen yet.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    sums: HashMap<About, Sum>,
    /// When the newest call of a key began.
    used: HashMap<KeyId, Timestamp>,
    counts: HashMap<Address, i64>,
    /// Holds that were opened and are open still.
    opened: HashMap<HoldId, Vec<u8>>,
    /// Holds that were closed, and opened before all this.
    closed: HashSet<HoldId>,
    entries: u64,
}

impl Deltas {
    pub(crate) fn fold(&mut self, fold: Fold) {
        if let Some((about, sum)) = fold.sum {
            // A correction is no call.
            if let Some(at) = fold.at.filter(|_| sum.calls > 0) {
                self.used(about.key, at);
            }
            self.sums.entry(about).or_default().add(&sum);
        }
        for (address, amount) in fold.counts {
            self.count(address, amount);
        }
        match fold.hold {
            Some(Change::Opens(attempt, entry)) => {
                self.opened.insert(attempt, entry);
            }
            Some(Change::Closes(attempt)) => self.close(attempt),
            None => {}
        }
        self.entries = self.entries.saturating_add(1);
    }

    fn used(&mut self, key: KeyId, at: Timestamp) {
        let newest = self.used.entry(key).or_insert(at);
        *newest = at.max(*newest);
    }

    fn count(&mut self, address: Address, amount: i64) {
        let sum = self.counts.entry(address).or_default();
        *sum = sum.saturating_add(amount);
    }

    fn close(&mut self, attempt: HoldId) {
        if self.opened.remove(&attempt).is_none() {
            self.closed.insert(attempt);
        }
    }

    /// How many entries it is made of.
    pub(crate) const fn entries(&self) -> u64 {
        self.entries
    }

    /// Adds what came after it.
    pub(crate) fn merge(&mut self, later: Self) {
        if self.entries == 0 {
            *self = later;
            return;
        }
        for (about, sum) in later.sums {
            self.sums.entry(about).or_default().add(&sum);
        }
        for (key, at) in later.used {
            self.used(key, at);
        }
        for (address, amount) in later.counts {
            self.count(address, amount);
        }
        for attempt in later.closed {
            self.close(attempt);
        }
        self.opened.extend(later.opened);
        self.entries = self.entries.saturating_add(later.entries);
    }

    /// Sums in the order the database keeps them, so that each of its pages is visited once.
    pub(crate) fn sums(&self) -> Vec<(&About, &Sum)> {
        let mut sums: Vec<_> = self.sums.iter().collect();
        sums.sort_unstable_by_key(|(about, _)| *about);
        sums
    }

    /// When keys were last used, in the same way.
    pub(crate) fn last_used(&self) -> Vec<(KeyId, Timestamp)> {
        let mut used: Vec<_> = self.used.iter().map(|(key, at)| (*key, *at)).collect();
        used.sort_unstable();
        used
    }

    /// Counts in the same way; of one limit, those of older turns first.
    pub(crate) fn counts(&self) -> Vec<(&Address, i64)> {
        let mut counts: Vec<_> = self.counts.iter().map(|(at, amount)| (at, *amount)).collect();
        counts.sort_unstable_by_key(|(address, _)| *address);
        counts
    }

    /// Holds that are open still, each with its entry.
    pub(crate) fn opened(&self) -> impl Iterator<Item = (HoldId, &[u8])> {
        self.opened.iter().map(|(attempt, entry)| (*attempt, entry.as_slice()))
    }

    /// Holds that were closed, and opened before.
    pub(crate) fn closed(&self) -> impl Iterator<Item = HoldId> {
        self.closed.iter().copied()
    }
}
