//! Sums of ledger rows by UTC hour, key, model and provider, as they grow in memory.

pub(crate) mod keeper;

use std::collections::HashMap;
use std::sync::Arc;

use domain::{Class, Ending, Evidence, KeyId, Money, Row, Timestamp, Usage};

/// What a sum is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct About {
    pub(crate) key: KeyId,
    /// The start of the UTC hour the attempt began in.
    pub(crate) hour: Timestamp,
    pub(crate) model: Arc<str>,
    pub(crate) provider: Arc<str>,
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

/// One row, reduced to what sums need of it.
pub(crate) struct Fold {
    about: About,
    began_at: Timestamp,
    sum: Sum,
}

impl Fold {
    pub(crate) fn of(row: Row) -> Self {
        let sum = Sum::of(&row);
        let hour = row.began_at.hour();
        let about = About { key: row.key, hour, model: row.model_used, provider: row.provider };
        Self { about, began_at: row.began_at, sum }
    }

    pub(crate) const fn began_at(&self) -> Timestamp {
        self.began_at
    }
}

/// Sums that no database has seen yet.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    sums: HashMap<About, Sum>,
    rows: u64,
}

impl Deltas {
    pub(crate) fn fold(&mut self, fold: Fold) {
        self.sums.entry(fold.about).or_default().add(&fold.sum);
        self.rows = self.rows.saturating_add(1);
    }

    pub(crate) const fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn merge(&mut self, other: Self) {
        if self.rows == 0 {
            *self = other;
            return;
        }
        for (about, sum) in other.sums {
            self.sums.entry(about).or_default().add(&sum);
        }
        self.rows = self.rows.saturating_add(other.rows);
    }

    /// In the order the database keeps them, so that each of its pages is visited once.
    pub(crate) fn sorted(&self) -> Vec<(&About, &Sum)> {
        let mut sums: Vec<_> = self.sums.iter().collect();
        sums.sort_unstable_by_key(|(about, _)| *about);
        sums
    }
}
