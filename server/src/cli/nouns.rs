//! Every command that administers something: a row for each, beside the columns it shows. A new route
//! of the admin API is one more row below.

mod keys;
mod owners;
mod said;
mod supply;
mod usage;

use super::verb::Noun;

/// All of them.
pub(super) const NOUNS: &[&Noun] = &[
    &keys::NOUN,
    &owners::PROJECT,
    &owners::TEAM,
    &owners::USER,
    &owners::INSTANCE,
    &usage::USAGE,
    &usage::AUDIT,
    &supply::PROVIDER,
    &supply::CREDENTIAL,
    &supply::PRICE,
    &supply::ALIAS,
];
