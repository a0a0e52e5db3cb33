//! How much of what per window. What counts against a limit, and whether a call still fits, is
//! the ledger's business; what a limit hangs on is `scope`'s.

use serde::{Deserialize, Serialize};

use crate::id::LimitId;
use crate::money::Money;
use crate::window::{Period, Window};

/// An amount per window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Its name; a new one when its unit or its window is changed, so that it starts anew.
    pub id: LimitId,
    /// What it counts.
    pub unit: Unit,
    /// At most this much per turn of the window: nano-dollars, tokens, requests or calls. Zero
    /// blocks.
    pub amount: i64,
    /// When it starts again. Calls in flight have no window.
    pub window: Window,
    /// What happens where a call does not fit.
    pub enforcement: Enforcement,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Nano-dollars.
    Money,
    /// Tokens of input and output.
    Tokens,
    /// Requests that were admitted.
    Requests,
    /// Calls that are being served now.
    InFlight,
}

impl Unit {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Money => "money",
            Self::Tokens => "tokens",
            Self::Requests => "requests",
            Self::InFlight => "in_flight",
        }
    }
}

/// How strictly a limit is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// The most a call can use is held before it: never over.
    #[default]
    Hard,
    /// What calls under this limit usually use is held: it may be passed by what calls in flight
    /// use beyond that.
    Expected,
    /// Counted and told, never refused.
    Observe,
}

impl Enforcement {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Expected => "expected",
            Self::Observe => "observe",
        }
    }
}

impl Limit {
    /// A hard limit on money.
    pub const fn money(id: LimitId, amount: Money, window: Window) -> Self {
        Self {
            id,
            unit: Unit::Money,
            amount: amount.nanos(),
            window,
            enforcement: Enforcement::Hard,
        }
    }

    /// Whether both count the same thing per the same window, so that one can stand for the other.
    pub fn is_like(&self, other: &Self) -> bool {
        self.unit == other.unit
            && (self.unit == Unit::InFlight || self.window.is_like(other.window))
    }

    /// Whether it can refuse anything.
    pub fn refuses(&self) -> bool {
        self.enforcement != Enforcement::Observe
    }

    /// Whether what it counts must survive the end of the process: everything but what heals by
    /// itself within a minute or at the end of a call.
    pub const fn is_durable(&self) -> bool {
        !matches!(self.unit, Unit::InFlight) && !matches!(self.window, Window::Rolling { .. })
    }

    /// An amount as people write it: dollars for money, a whole number for everything else.
    pub fn shown(&self, amount: i64) -> String {
        let many = if amount == 1 { "" } else { "s" };
        match self.unit {
            Unit::Money => format!("{} USD", Money::from_nanos(amount)),
            Unit::Tokens => format!("{amount} token{many}"),
            Unit::Requests => format!("{amount} request{many}"),
            Unit::InFlight => format!("{amount} call{many}"),
        }
    }

    /// What it allows, as people say it: `5 USD a day`, `60 requests in any 60 seconds`.
    pub fn allows(&self) -> String {
        let amount = self.shown(self.amount);
        match self.window {
            _ if self.unit == Unit::InFlight => format!("{amount} at a time"),
            Window::Lifetime => amount,
            Window::Calendar { period: Period::Day, .. } => format!("{amount} a day"),
            Window::Calendar { period: Period::Week, .. } => format!("{amount} a week"),
            Window::Calendar { period: Period::Month, .. } => format!("{amount} a month"),
            Window::Anchored { every, .. } => format!("{amount} every {every}"),
            Window::Rolling { seconds } => format!("{amount} in any {seconds} seconds"),
        }
    }
}
