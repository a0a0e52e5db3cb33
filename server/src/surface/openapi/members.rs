//! Members that many routes take: limits, rules, pages of lists, spans of time.

use domain::Zone;
use serde_json::{Map, Value, json};

use super::shape::{
    Members, address, boolean, count, dollars, id, list, moment_or_date, pattern, price, string,
    whole, words,
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

/// Members that stand for limits, and may not come beside `limits`.
const SHORT: [&str; 7] = [
    "rpm",
    "tpm_limit",
    "daily_token_limit",
    "max_parallel",
    "limit",
    "limit_reset",
    "recurring_limit",
];

/// What a body with limits has to be beside its members: in full, or by short names.
pub(super) fn one_way_of_limits(body: &mut Value) {
    let absent: Map<String, Value> =
        SHORT.iter().map(|name| ((*name).to_owned(), json!({"type": "null"}))).collect();
    body["if"] = json!({
        "required": ["limits"], "properties": {"limits": {"type": "array", "minItems": 1}},
    });
    body["then"] = json!({"properties": absent});
}

fn recurring() -> Value {
    either(&every(
        "every",
        &Members::default().required("amount", dollars(), "Dollars per window."),
    ))
}

/// So many of a unit of time, by the calendar of a zone, beside `others`.
fn every(name: &'static str, others: &Members) -> Vec<Value> {
    // From 1 hour to 12 months.
    let units = [("hour", 8_784), ("day", 366), ("week", 52), ("month", 12)];
    let of = |(unit, most): (&str, i64)| {
        Members::default()
            .and(others.clone())
            .required(name, whole(1, most), "How many.")
            .required("unit", words(&[unit]), "Of what.")
            .optional("zone", zone(), "Whose midnight; UTC where nothing is said.")
            .object()
    };
    units.into_iter().map(of).collect()
}

fn either(shapes: &[Value]) -> Value {
    json!({"anyOf": shapes})
}

fn zone() -> Value {
    json!({"$ref": "#/components/schemas/zone"})
}

/// Shapes that are too long to be written wherever they are meant.
pub(super) fn shared() -> [(String, Value); 1] {
    let zones: Vec<_> = Zone::names().collect();
    let about = "A zone of the IANA time zone database.";
    [("zone".to_owned(), json!({"type": "string", "description": about, "enum": zones}))]
}

fn limit() -> Value {
    let kind = |kind: &'static str| Members::default().required("kind", words(&[kind]), "Which.");
    let lifetime = kind("lifetime").object();
    let calendar = kind("calendar")
        .required("period", words(&["day", "week", "month"]), "Each.")
        .optional("zone", zone(), "Whose midnight; UTC where nothing is said.")
        .object();
    let rolling = kind("rolling").required("seconds", whole(1, 3_600), "In any so many.").object();
    let mut turns = vec![lifetime.clone(), calendar];
    turns.extend(every("amount", &kind("every")));
    let windows = [turns.as_slice(), &[rolling]].concat();
    let of = |units: &[&str], amount: Value| {
        Members::default()
            .required("unit", words(units), "What it counts.")
            .required("amount", amount, "At most so much per turn of the window.")
            .optional("enforcement", words(&["hard", "expected", "observe"]), "How strictly.")
    };
    let when = "When it starts again.";
    either(&[
        of(&["money"], dollars()).required("window", either(&turns), when).object(),
        of(&["tokens", "requests"], count()).required("window", either(&windows), when).object(),
        of(&["in_flight"], count())
            .optional("window", lifetime, "Calls in flight have none.")
            .object(),
    ])
}

/// What [`crate::surface::rules`] reads, and `force`.
pub(super) fn rules() -> Members {
    let models = || list(&pattern("gpt-4o"), 500);
    let providers = || list(&pattern("openai"), 500);
    let addresses = || list(&address(), 500);
    let max_price = json!({"anyOf": [
        price(),
        Members::default()
            .optional("input", price(), "Of what is read.")
            .optional("output", price(), "Of what is written.")
            .object(),
    ]});
    let tiers = || list(&words(&["free", "paid"]), 500);
    Members::default()
        .optional("allowed_models", models(), "A model, `provider/model`, or a pattern with `*`.")
        .optional("denied_models", models(), "The same. Deny wins.")
        .optional("allowed_providers", providers(), "Names of providers, or patterns.")
        .optional("denied_providers", providers(), "The same. Deny wins.")
        .optional("allowed_pricing", tiers(), "`free`, `paid`.")
        .optional("denied_pricing", tiers(), "The same. Deny wins.")
        .optional("max_price", max_price, "Dollars per million tokens.")
        .optional("allowed_addresses", addresses(), "Addresses and networks a call may come from.")
        .optional("denied_addresses", addresses(), "The same. Deny wins.")
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
