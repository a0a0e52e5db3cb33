//! How many keys a project may have. Who may say so is `command`'s; counting them is the store's.

use serde::{Deserialize, Serialize};

/// What a project is entitled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "plan")]
pub enum Plan {
    /// A few keys.
    Free,
    /// More.
    Pro,
    /// As many as the settings say; without a bound, unless they do.
    Enterprise,
    /// A number of its own; `None` is no bound.
    Custom {
        /// How many keys.
        keys: Option<u32>,
    },
}

impl Plan {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Pro => "pro",
            Self::Enterprise => "enterprise",
            Self::Custom { .. } => "custom",
        }
    }
}

/// How many keys the plans allow that have no number of their own; `None` is no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plans {
    /// Of the free one.
    pub free: Option<u32>,
    /// Of the pro one.
    pub pro: Option<u32>,
    /// Of the enterprise one.
    pub enterprise: Option<u32>,
}

impl Plans {
    /// The most keys that `plan` allows; `None` is no bound.
    pub const fn keys(&self, plan: Plan) -> Option<u32> {
        match plan {
            Plan::Free => self.free,
            Plan::Pro => self.pro,
            Plan::Enterprise => self.enterprise,
            Plan::Custom { keys } => keys,
        }
    }
}
