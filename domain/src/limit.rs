//! How much of what per window. What counts against a limit, and whether a call still fits, is
//! the ledger's business.

use serde::{Deserialize, Serialize};

use crate::id::LimitId;
use crate::money::Money;
use crate::window::Window;

/// An amount of money per window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Its name; a new one when its window is changed. What the key spent since the new window
    /// began counts in it.
    pub id: LimitId,
    /// At most this much per turn of the window. Zero blocks.
    pub amount: Money,
    /// When it starts again.
    pub window: Window,
}
