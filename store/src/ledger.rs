//! The ledger on this machine: `domain`'s state machine in memory, opened from the journal's
//! projections, kept true by the journal.

use domain::ledger::{Rates, Short, Want};
use domain::{Hold, HoldId, Unit};

use crate::fault::Fault;

/// What is set aside for one attempt. Settle it with the attempt's row, or release it.
#[must_use = "a hold that is dropped stays held: settle or release it"]
#[derive(Debug)]
pub struct Held {
    hold: Hold,
    /// It was written down: a restart would charge it.
    begun: bool,
}

impl Held {
    /// Its name, which is also its row's.
    pub const fn id(&self) -> HoldId {
        self.hold.id()
    }

    /// The most the call can use.
    pub const fn want(&self) -> Want {
        self.hold.want()
    }

    /// The rates, as they stood right after it was admitted.
    pub const fn rates(&self) -> Rates {
        self.hold.rates()
    }

    /// Whether it is held on a limit that counts `unit`.
    pub fn counts(&self, unit: Unit) -> bool {
        self.hold.counts(unit)
    }
}

/// Why nothing was held.
#[derive(Clone, Debug)]
pub enum NotReserved {
    /// It does not fit.
    Short(Box<Short>),
    /// The ledger could not be asked.
    Fault(Fault),
}

impl From<Fault> for NotReserved {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
