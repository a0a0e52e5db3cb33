//! Options that several nouns have: what a thing may use, how much, and how a list is paged.

use crate::cli::flag::{Flag, Kind, flag};

pub(super) const NEW_NAME: &[Flag] =
    &[flag("name", "name", Kind::Word, "NAME", "A label for people")];

pub(super) const OTHER_NAME: &[Flag] =
    &[flag("name", "name", Kind::Text, "NAME", "Another label for people")];

pub(super) const LIMITS: &[Flag] = &[
    flag("limit", "limit", Kind::Text, "DOLLARS", "The most it may spend, or none for any amount"),
    flag(
        "limit-reset",
        "limit_reset",
        Kind::Text,
        "PERIOD",
        "daily, weekly or monthly; none: the limit is for ever",
    ),
    flag(
        "recurring",
        "recurring_limit",
        Kind::Recurring,
        "LIMIT",
        "Dollars again and again, such as \"10 per 6 hours\", or none",
    ),
    flag("rpm", "rpm", Kind::Number, "N", "Requests in any 60 seconds, or none"),
    flag("tpm", "tpm_limit", Kind::Number, "N", "Tokens in any 60 seconds, or none"),
    flag("daily-tokens", "daily_token_limit", Kind::Number, "N", "Tokens per UTC day, or none"),
    flag("parallel", "max_parallel", Kind::Number, "N", "Calls in flight, or none"),
];

pub(super) const RULES: &[Flag] = &[
    flag(
        "allow-model",
        "allowed_models",
        Kind::List,
        "NAMES",
        "Only these models (names, provider/model, or * patterns), separated by commas; none for no rule",
    ),
    flag("deny-model", "denied_models", Kind::List, "NAMES", "None of these models"),
    flag("allow-provider", "allowed_providers", Kind::List, "NAMES", "Only these providers"),
    flag("deny-provider", "denied_providers", Kind::List, "NAMES", "None of these providers"),
    flag("allow-pricing", "allowed_pricing", Kind::List, "NAMES", "Only free or paid models"),
    flag("deny-pricing", "denied_pricing", Kind::List, "NAMES", "No free or no paid models"),
    flag(
        "allow-address",
        "allowed_addresses",
        Kind::List,
        "NAMES",
        "Only from these addresses and networks",
    ),
    flag(
        "deny-address",
        "denied_addresses",
        Kind::List,
        "NAMES",
        "From none of these addresses and networks",
    ),
    flag(
        "max-price",
        "max_price",
        Kind::Price,
        "DOLLARS",
        "The most a million tokens may cost (3, or 3/15 for input and output), or none",
    ),
    flag("force", "force", Kind::Yes, "", "Take names in rules as they are, known or not"),
];

pub(super) const PAGE: &[Flag] = &[
    flag("page-size", "page_size", Kind::Text, "N", "How many [default: 100]"),
    flag("page-token", "page_token", Kind::Text, "TOKEN", "Go on where the last page ended"),
];

pub(super) const SPAN: &[Flag] = &[
    flag("from", "from", Kind::Text, "MOMENT", "Not before this moment or date"),
    flag("until", "until", Kind::Text, "MOMENT", "Before this moment or date"),
];
