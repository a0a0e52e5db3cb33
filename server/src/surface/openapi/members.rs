//! Members that many routes take: limits, rules, pages of lists, spans of time.

use serde_json::{Value, json};

use super::shape::{
    Members, boolean, count, dollars, id, list, moment_or_date, price, string, whole, words,
};

/// What [`crate::surface::limits`] reads.
pub(super) fn limits() -> Members {
    const RESETS: [&str; 6] = ["daily", "weekly", "monthly", "day", "week", "month"];
    Members::default()
        .optional("rpm", count(), "Requests in any 60 seconds.")
        .optional("tpm_limit", count(), "Tokens in any 60 seconds.")
        .optional("daily_token_limit", count(), "Tokens per UTC day.")
        .optional("max_parallel", count(), "Calls in flight.")
        .optional("limit", dollars(), "Dollars, for ever or per `limit_reset`.")
        .optional(
            "limit_reset",
            words(&RESETS),
            "When `limit` starts again: UTC midnight, Monday, the first.",
        )
        .optional(
            "recurring_limit",
            recurring(),
            "Dollars per so many hours, days, weeks or months, from the moment it is set.",
        )
        .optional("limits", list(&limit(), 16), "All limits in full, instead of those there are.")
}

fn recurring() -> Value {
    Members::default()
        .required("amount", dollars(), "Dollars per window.")
        .and(every("every"))
        .object()
}

/// So many of a unit of time, by the calendar of a zone.
fn every(name: &'static str) -> Members {
    Members::default()
        .required(name, whole(1, 8_784), "How many: from 1 hour to 12 months.")
        .required("unit", words(&["hour", "day", "week", "month"]), "Of what.")
        .optional("zone", zone(), "Whose midnight; UTC where nothing is said.")
}

fn zone() -> Value {
    json!({"type": "string", "examples": ["UTC", "Europe/Berlin"]})
}

fn limit() -> Value {
    let kind = |kind: &'static str| words(&[kind]);
    let window = json!({"oneOf": [
        Members::default().required("kind", kind("lifetime"), "For ever.").object(),
        Members::default()
            .required("kind", kind("calendar"), "By the calendar.")
            .required("period", words(&["day", "week", "month"]), "Each.")
            .optional("zone", zone(), "Whose midnight; UTC where nothing is said.")
            .object(),
        Members::default()
            .required("kind", kind("every"), "From the moment it is set.")
            .and(every("amount"))
            .object(),
        Members::default()
            .required("kind", kind("rolling"), "In any so many seconds.")
            .required("seconds", whole(1, 3_600), "How many.")
            .object(),
    ]});
    Members::default()
        .required("unit", words(&["money", "tokens", "requests", "in_flight"]), "What it counts.")
        .required("amount", dollars(), "Dollars, or a whole number.")
        .optional("window", window, "When it starts again; calls in flight have none.")
        .optional(
            "enforcement",
            words(&["hard", "expected", "observe"]),
            "How strictly it is kept.",
        )
        .object()
}

/// What [`crate::surface::rules`] reads, and `force`.
pub(super) fn rules() -> Members {
    let names = || list(&string(), 500);
    let max_price = json!({"anyOf": [
        price(),
        Members::default()
            .optional("input", price(), "Of what is read.")
            .optional("output", price(), "Of what is written.")
            .object(),
    ]});
    let tiers = || list(&words(&["free", "paid"]), 500);
    Members::default()
        .optional("allowed_models", names(), "A model, `provider/model`, or a pattern with `*`.")
        .optional("denied_models", names(), "The same. Deny wins.")
        .optional("allowed_providers", names(), "Names of providers, or patterns.")
        .optional("denied_providers", names(), "The same. Deny wins.")
        .optional("allowed_pricing", tiers(), "`free`, `paid`.")
        .optional("denied_pricing", tiers(), "The same. Deny wins.")
        .optional("max_price", max_price, "Dollars per million tokens.")
        .optional("allowed_addresses", names(), "Addresses and networks a call may come from.")
        .optional("denied_addresses", names(), "The same. Deny wins.")
        .optional("force", boolean(), "Takes names that nobody knows.")
}

/// A page of a list.
pub(super) fn page() -> Members {
    Members::default()
        .optional("page_size", whole(1, 999), "How many; 100 where nothing is said.")
        .optional("page_token", string(), "The `next_page_token` of the page before.")
}

/// From when until when.
pub(super) fn span() -> Members {
    Members::default().optional("from", moment_or_date(), "From this moment or date.").optional(
        "until",
        moment_or_date(),
        "Until before this moment or date.",
    )
}

/// A key's id.
pub(super) fn key_id() -> Value {
    id("key")
}
