//! What a route to a provider is: whose API, which dialect, how it is metered, who may call it. Which
//! routes there are is written in `surface`; what happens on one, in `gate`.

use crate::wire::Dialect;

/// Who may call a route. Checked before anything of the route runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Anybody: nothing of value is told.
    Open,
    /// A live regular key.
    Caller,
    /// Any live key, about itself.
    Holder,
    /// A live management key, or the master key.
    Manager,
    /// The master key.
    Master,
    /// The master key too; whoever sends another secret is answered 403, known or not.
    Internal,
}

/// How a route to a provider is metered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metering {
    /// The answer tells what was used.
    Usage,
    /// Providers ask nothing for it.
    Free,
    /// It may cost something that no answer tells: refused to a key with a money limit, and to one
    /// with rules about models, which such a route does not show.
    Unmetered,
}

/// Whose API a route belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    OpenAi,
    Anthropic,
}

/// A route to a provider.
#[derive(Clone, Copy, Debug)]
pub struct Relay {
    /// As the table writes it; the ledger's rows name it so.
    pub path: &'static str,
    pub api: Api,
    pub dialect: Dialect,
    pub metering: Metering,
    /// Whether it is about things that the provider stores for its account, whichever key made them.
    pub stored: bool,
}

impl Relay {
    /// How the body is read: a request without one (a look at something stored, a cancellation) is
    /// passed on without one.
    pub fn dialect_of(self, body: &[u8]) -> Dialect {
        if body.is_empty() && self.dialect == Dialect::Json { Dialect::Raw } else { self.dialect }
    }
}
