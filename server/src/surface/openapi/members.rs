//! Members that many routes take: limits, rules, pages of lists, spans of time.

use domain::{Code, Zone};
use serde_json::{Map, Value, json};

use super::Operation;
use super::shape::{
    Members, address, boolean, count, dollars, id, list, moment_or_date, pattern, price, string,
    whole, words,
};
use crate::surface::limits::LimitsView;
use crate::surface::parts::Part;
use crate::surface::rules::RulesView;

/// What [`crate::surface::limits`] reads.
pub(super) fn limits() -> Members {
    const RESETS: [&str; 6] = ["daily", "weekly", "monthly", "day", "week", "month"];
    Members::default()
        .optional("rpm", whole(0, i64::from(u32::MAX)), "Requests in any 60 seconds.")
        .optional("tpm_limit", count(), "Tokens in any 60 seconds.")
        .optional("daily_token_limit", count(), "Tokens per UTC day.")
        .optional("max_parallel", whole(0, i64::from(u32::MAX)), "Calls in flight.")
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

/// Names and texts that nothing here reads.
pub(super) fn metadata() -> Members {
    let notes = json!({
        "type": "object", "maxProperties": 16,
        "propertyNames": {"minLength": 1, "maxLength": 64, "pattern": "^[ -~]*$"},
        "additionalProperties": {"type": "string", "maxLength": 500, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"},
    });
    let about = "Names and texts of your own, kept and shown with the key: at most 16.";
    Members::default().optional("metadata", notes, about)
}

/// A key's id.
pub(super) fn key_id() -> Value {
    id("key")
}

/// The routes of the limits and of the rules of one thing.
pub(super) fn parts(paths: [&'static str; 2], thing: &'static str) -> Vec<Operation> {
    let [limits_at, rules_at] = paths;
    let (names, titles) = match thing {
        "key" => (KEY, KEY_TITLES),
        "project" => (PROJECT, PROJECT_TITLES),
        "team" => (TEAM, TEAM_TITLES),
        "user" => (USER, USER_TITLES),
        _ => (INSTANCE, INSTANCE_TITLES),
    };
    let limits_answer = "The limits, and how they stand.";
    let refusals = &[Code::Conflict, Code::ExceedsCeiling];
    vec![
        Operation::get(limits_at, names[0], titles[0])
            .answers::<Part<LimitsView>>(200, limits_answer),
        Operation::put(limits_at, names[1], titles[1])
            .about("These and no others. One of the same unit and window goes on as it stands.")
            .takes(limits(), json!({"rpm": 60}))
            .answers::<Part<LimitsView>>(200, limits_answer)
            .for_one_revision()
            .refuses(refusals),
        Operation::get(rules_at, names[2], titles[2])
            .answers::<Part<RulesView<'_>>>(200, "The rules."),
        Operation::put(rules_at, names[3], titles[3])
            .about("These and no others.")
            .takes(rules(), json!({"denied_models": ["o1-pro"]}))
            .answers::<Part<RulesView<'_>>>(200, "The rules as they are now.")
            .for_one_revision()
            .refuses(&[Code::InvalidRule, Code::Conflict, Code::ExceedsCeiling]),
    ]
}

const KEY: [&str; 4] = ["get_key_limits", "set_key_limits", "get_key_rules", "set_key_rules"];
const KEY_TITLES: [&str; 4] =
    ["A key's limits", "Replace a key's limits", "A key's rules", "Replace a key's rules"];
const PROJECT: [&str; 4] =
    ["get_project_limits", "set_project_limits", "get_project_rules", "set_project_rules"];
const PROJECT_TITLES: [&str; 4] = [
    "A project's limits",
    "Replace a project's limits",
    "A project's rules",
    "Replace a project's rules",
];
const TEAM: [&str; 4] = ["get_team_limits", "set_team_limits", "get_team_rules", "set_team_rules"];
const TEAM_TITLES: [&str; 4] =
    ["A team's limits", "Replace a team's limits", "A team's rules", "Replace a team's rules"];
const USER: [&str; 4] = ["get_user_limits", "set_user_limits", "get_user_rules", "set_user_rules"];
const USER_TITLES: [&str; 4] =
    ["A user's limits", "Replace a user's limits", "A user's rules", "Replace a user's rules"];
const INSTANCE: [&str; 4] =
    ["get_instance_limits", "set_instance_limits", "get_instance_rules", "set_instance_rules"];
const INSTANCE_TITLES: [&str; 4] = [
    "Everybody's limits",
    "Replace everybody's limits",
    "Everybody's rules",
    "Replace everybody's rules",
];
