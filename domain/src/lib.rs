//! Weir decides in this room: who may call what, what it may cost, what it did cost.
//!
//! Law: no async, no I/O, no clock, no randomness, no logging, no JSON. Time and randomness come
//! in as arguments ([`Clock`], [`Entropy`]); what goes out are values. Modules stand in reading
//! order: the small nouns first, the state machine last.

#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::float_arithmetic,
        clippy::arithmetic_side_effects
    )
)]

pub mod ask;
pub mod catalog;
pub mod command;
pub mod day;
pub mod destination;
pub mod id;
pub mod key;
pub mod ledger;
pub mod limit;
pub mod money;
pub mod plan;
pub mod prices;
pub mod pricing;
pub mod refusal;
pub mod row;
pub mod rule;
pub mod scope;
pub mod secret;
pub mod supply;
pub mod time;
pub mod usage;
pub mod window;
pub mod zone;

pub use ask::Ask;
pub use catalog::{Catalog, Mode, Model, Override};
pub use day::Day;
pub use id::{CredentialId, HoldId, KeyId, LimitId, ProjectId, RequestId, TeamId, UserId};
pub use key::{Key, KeyKind, KeyState, SecretRecord, Status};
pub use ledger::{Hold, Ledger, Part, Used, Want};
pub use limit::{Enforcement, Limit, Unit};
pub use money::{Charge, Money, Price};
pub use plan::{Plan, Plans};
pub use prices::{Offer, Prices, Rates, Step};
pub use pricing::{Bounds, Unpriced};
pub use refusal::{Code, Refusal};
pub use row::{Began, Correction, Ending, Row};
pub use rule::{MaxPrice, Network, Pattern, Permit, PriceTag, Rules, Spoken, Target, Tier};
pub use scope::{Caller, Defaults, Lineage, Owner, Scope, ScopedLimit};
pub use secret::{Digest, Mask, Secret};
pub use supply::{Item, Place, Supply};
pub use time::{Clock, Entropy, Timestamp};
pub use usage::{Class, Evidence, Usage};
pub use window::{Every, Period, Span, Window};
pub use zone::Zone;
