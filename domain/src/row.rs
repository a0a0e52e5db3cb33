//! The ledger's row: what one attempt at a provider used, what it cost, and how we know. Rows are
//! written once and never changed; sums are made from them, not the other way round.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{HoldId, KeyId, RequestId};
use crate::ledger::{Part, Used};
use crate::money::{Money, Price};
use crate::time::Timestamp;
use crate::usage::{Class, Evidence, Usage};

/// One attempt that may have produced tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The attempt; its time tells when the attempt began, to the millisecond.
    pub attempt: HoldId,
    /// The client's request it belongs to.
    pub request: RequestId,
    /// Whose call it was.
    pub key: KeyId,
    /// The URL's route, as the route table writes it: `chat/completions`.
    pub route: Arc<str>,
    /// The model's name as the client wrote it.
    pub model_asked: Arc<str>,
    /// The model's name as it was sent to the provider.
    pub model_used: Arc<str>,
    /// The provider's configured name.
    pub provider: Arc<str>,
    /// The name of our credential that was used; never the secret.
    pub credential: Arc<str>,
    /// What was used.
    pub usage: Usage,
    /// How we know.
    pub evidence: Evidence,
    /// What it cost; `None` where the model has no price.
    pub cost: Option<Money>,
    /// The most it could cost, held before it; zero where no limit on money applied.
    pub held: Money,
    /// Tokens that limits counted: those used, or those held where nobody knows better.
    pub tokens: i64,
    /// The version of the price list the rates are from.
    pub price_version: Arc<str>,
    /// The rates of the classes that were used, so that the cost can be computed again.
    pub rates: Vec<(Class, Price)>,
    /// Whether the answer was streamed.
    pub stream: bool,
    /// The provider's HTTP status; 0 where none came.
    pub status: u16,
    /// How it ended.
    pub ending: Ending,
    /// When it began.
    pub began_at: Timestamp,
    /// Microseconds of our own, before the provider was called.
    pub ours_micros: u64,
    /// Microseconds until the provider's first byte; `None` where none came.
    pub first_byte_micros: Option<u64>,
    /// Microseconds from beginning to end.
    pub total_micros: u64,
}

impl Row {
    /// What limits count of it.
    pub fn used(&self) -> Used {
        Used { money: self.cost.unwrap_or_default(), tokens: self.tokens }
    }

    /// What it cost beyond the most it could: a provider reported more than it was allowed to use.
    pub fn overrun(&self) -> Money {
        let cost = self.cost.unwrap_or_default();
        if self.held == Money::ZERO {
            return Money::ZERO;
        }
        cost.saturating_sub(self.held).max(Money::ZERO)
    }
}

/// What is written down before a provider is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    /// The row that stands if nobody writes a better one: the call is charged what was held.
    pub row: Row,
    /// Where it is held.
    pub parts: Vec<Part>,
}

/// What an attempt was charged too much, given back on evidence. The row it corrects stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// The row.
    pub attempt: HoldId,
    /// The key whose call it was.
    pub key: KeyId,
    /// How much less it cost.
    pub money: Money,
    /// How many tokens less limits count.
    pub tokens: i64,
    /// Why: what the provider's own records say.
    pub evidence: Arc<str>,
    /// Who gave it back.
    pub actor: Arc<str>,
    /// When.
    pub at: Timestamp,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The provider's answer came to its end.
    Complete,
    /// The client went away before the end.
    ClientGone,
    /// The provider answered with an error of its own.
    ProviderError,
    /// The provider's answer broke off, or was not what its API promises.
    ProviderBroke,
    /// The provider took longer than we wait.
    TimedOut,
    /// We stopped before the end.
    Stopped,
    /// The process was killed before the end.
    Killed,
}

impl Ending {
    /// Its name in JSON and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientGone => "client_gone",
            Self::ProviderError => "provider_error",
            Self::ProviderBroke => "provider_broke",
            Self::TimedOut => "timed_out",
            Self::Stopped => "stopped",
            Self::Killed => "killed",
        }
    }
}
