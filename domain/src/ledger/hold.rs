//! What one call has set aside, limit by limit, and what it wanted.

use crate::id::{HoldId, LimitId};
use crate::limit::Unit;
use crate::money::Money;
use crate::scope::Scope;
use serde::{Deserialize, Serialize};

/// The most a call can use, unit by unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// What it may cost.
    pub money: Money,
    /// Tokens of its input and its output.
    pub tokens: i64,
    /// 1 for a client's request.
    pub requests: i64,
    /// 1 while it is served.
    pub in_flight: i64,
}

impl Want {
    /// One request, being served, that costs and uses at most this.
    pub const fn call(money: Money, tokens: i64) -> Self {
        Self { money, tokens, requests: 1, in_flight: 1 }
    }

    /// How much of `unit` it is.
    pub const fn of(&self, unit: Unit) -> i64 {
        match unit {
            Unit::Money => self.money.nanos(),
            Unit::Tokens => self.tokens,
            Unit::Requests => self.requests,
            Unit::InFlight => self.in_flight,
        }
    }
}

/// What a call truly used, for the limits it was held on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// What it cost.
    pub money: Money,
    /// Tokens of its input and its output.
    pub tokens: i64,
}

/// What is set aside on one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What the limit hangs on.
    pub scope: Scope,
    /// The limit.
    pub limit: LimitId,
    /// What it counts.
    pub unit: Unit,
    /// In which turn of its window.
    pub turn: Turn,
    /// How much.
    pub amount: i64,
}

impl Part {
    /// What is counted in the end, where the call used this.
    pub const fn settled(&self, used: &Used) -> i64 {
        match self.unit {
            Unit::Money => used.money.nanos(),
            Unit::Tokens => used.tokens,
            // An admitted request counts, whatever becomes of it.
            Unit::Requests => self.amount,
            Unit::InFlight => 0,
        }
    }

    /// Whether it must survive the end of the process.
    pub const fn is_durable(&self) -> bool {
        matches!(self.turn, Turn::Began(_)) && !matches!(self.unit, Unit::InFlight)
    }
}

/// Which turn of a limit's window something counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Turn {
    /// The one that began at this moment, in microseconds since the epoch.
    Began(i64),
    /// It leaves a rolling window at this reading of the monotonic clock, in microseconds.
    Leaves(i64),
}

/// How much of a rate is left, for whoever paces calls by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How much there is per window.
    pub amount: i64,
    /// How much of it is left.
    pub left: i64,
    /// Microseconds until all of it is there again.
    pub full_after: u64,
}

/// The tightest rates of a call's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Of those that count requests.
    pub requests: Option<Rate>,
    /// Of those that count tokens.
    pub tokens: Option<Rate>,
}

/// What is set aside for one call on every limit that applies. It is closed exactly once, because
/// closing takes it.
#[must_use = "a hold that is dropped stays held: settle or release it"]
#[derive(Debug, PartialEq, Eq)]
pub struct Hold {
    pub(super) id: HoldId,
    pub(super) want: Want,
    pub(super) parts: Vec<Part>,
    pub(super) rates: Rates,
}

impl Hold {
    /// Its name, which is also its ledger row's.
    pub const fn id(&self) -> HoldId {
        self.id
    }

    /// The most the call can use.
    pub const fn want(&self) -> Want {
        self.want
    }

    /// What is set aside, limit by limit.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether some part must survive the end of the process.
    pub fn is_durable(&self) -> bool {
        self.parts.iter().any(Part::is_durable)
    }

    /// Whether it is held on a limit that counts `unit`.
    pub fn counts(&self, unit: Unit) -> bool {
        self.parts.iter().any(|part| part.unit == unit)
    }

    /// The rates, as they stood right after it was admitted.
    pub const fn rates(&self) -> Rates {
        self.rates
    }

    /// The same hold for another attempt at the same request. Where attempts follow each other,
    /// the next takes over what the last one held.
    pub fn renamed(mut self, id: HoldId) -> Self {
        self.id = id;
        self
    }
}
