//! Answers that are told in more than one table: sums with their total, what applies, what would
//! become of a call.

use std::fmt::Write as _;

use super::json::Json;
use super::view::{
    Column, NOTHING, amount, column, facts, moment, money, number, plain, price, rows, rule, window,
};

/// What is gone.
pub(super) fn deleted(answer: &Json) -> String {
    let name = |member: &str| answer.at(member).text();
    match (name("hash"), name("provider"), name("model")) {
        (Some(key), ..) => format!("Revoked {key}. It opens nothing any more.\n"),
        (None, Some(provider), Some(model)) => format!("Deleted {provider}/{model}.\n"),
        _ => format!("Deleted {}.\n", name("name").or_else(|| name("id")).unwrap_or_default()),
    }
}

const GROUPS: &[Column] = &[
    column("from", "from", moment),
    column("key", "key", plain),
    column("user", "user", plain),
    column("team", "team", plain),
    column("project", "project", plain),
    column("model", "model", plain),
    column("provider", "provider", plain),
];

const SUMS: &[Column] = &[
    number("calls", "calls", plain),
    number("failed", "failed_calls", plain),
    number("input tokens", "input_tokens", plain),
    number("output tokens", "output_tokens", plain),
    number("cost", "cost", money),
];

/// Sums by whatever they are by, and their total.
pub(super) fn sums(answer: &Json) -> String {
    totalled(answer, &[])
}

/// Who leads.
pub(super) fn leaders(answer: &Json) -> String {
    totalled(answer, &[number("rank", "rank", plain), column("name", "name", plain)])
}

fn totalled(answer: &Json, first: &[Column]) -> String {
    let mut list = answer.at("data").items();
    let groups = GROUPS.iter().filter(|group| list.iter().any(|sum| group.says(sum) != NOTHING));
    let columns: Vec<_> = first.iter().chain(groups).chain(SUMS).copied().collect();
    let totals = answer.at("totals");
    let unpriced = plain(&totals, "unpriced_calls");
    list.push(totals);
    let mut text = format!("{}\nThe last line is the total.\n", rows(&list, &columns));
    if unpriced != "0" && unpriced != NOTHING {
        let _ = writeln!(
            text,
            "{unpriced} calls were of models without a known price; their cost is in no sum."
        );
    }
    if answer.at("cut_short").is_true() {
        text.push_str("There are more: ask for --most.\n");
    }
    text
}

const STANDING: &[Column] = &[
    column("whose", "scope", plain),
    column("name", "scope_name", plain),
    column("counts", "unit", plain),
    number("amount", "amount", amount),
    column("per", "window", window),
    column("kept", "enforcement", plain),
    number("spent", "spent", amount),
    number("held", "held", amount),
    number("left", "available", amount),
    column("resets", "resets_at", moment),
    column("set by", "from", plain),
];

const LAYERS: &[Column] = &[
    column("whose", "scope", plain),
    column("name", "scope_name", plain),
    column("models", "models", rule),
    column("providers", "providers", rule),
    column("pricing", "pricing", rule),
    column("dearest price", "max_price", price),
    column("addresses", "addresses", rule),
];

/// Every limit and every layer of rules.
pub(super) fn effective(answer: &Json) -> String {
    let limits = answer.at("limits").items();
    let rules = answer.at("rules").items();
    let mut text =
        if limits.is_empty() { "No limits.\n".to_owned() } else { rows(&limits, STANDING) };
    let said = |layer: &Json| LAYERS.iter().skip(2).any(|column| column.says(layer) != NOTHING);
    let rules =
        if rules.iter().any(said) { rows(&rules, LAYERS) } else { "No rules.\n".to_owned() };
    let _ = write!(text, "\n{rules}");
    text
}

const RULES: &[Column] = &[
    column("provider", "provider", plain),
    column("model", "model", plain),
    column("whose rule", "said.scope", plain),
    column("rule", "said.rule", plain),
    column("entry", "said.entry", plain),
    column("says", "said.allows", yes_or_no),
];

fn yes_or_no(row: &Json, member: &str) -> String {
    if row.at(member).is_true() { "yes" } else { "no" }.to_owned()
}

/// What would become of a call.
pub(super) fn explained(answer: &Json) -> String {
    let mut text = verdict(answer);
    let mut rules: Vec<_> =
        answer.at("address_rules").items().iter().map(|said| Json::of(&[("said", said)])).collect();
    for route in answer.at("routes").items() {
        let (provider, model) = (route.at("provider"), route.at("model"));
        for said in route.at("rules").items() {
            rules.push(Json::of(&[("provider", &provider), ("model", &model), ("said", &said)]));
        }
    }
    if !rules.is_empty() {
        let _ = write!(text, "\n{}", rows(&rules, RULES));
    }
    let limits = answer.at("limits").items();
    if !limits.is_empty() {
        let _ = write!(text, "\n{}", rows(&limits, STANDING));
    }
    text
}

fn verdict(answer: &Json) -> String {
    let mut text = String::new();
    if answer.at("allowed").is_true() {
        text.push_str("Allowed.\n");
        if let Some(most) = answer.at("max_tokens").text() {
            let why = if answer.at("clamped").is_true() { ", lowered to what fits" } else { "" };
            let _ = writeln!(text, "The provider would be told a maximum of {most} tokens{why}.");
        }
    } else {
        let refusal = answer.at("refusal");
        let (status, code) = (plain(&refusal, "status"), plain(&refusal, "code"));
        let _ = writeln!(text, "Denied: {status} {code}\n{}", plain(&refusal, "message"));
        if answer.at("succeeds_at").is_nothing() {
            text.push_str("Waiting does not help.\n");
        } else {
            let at = moment(answer, "succeeds_at");
            let _ = writeln!(text, "It would succeed at {at}, if nothing else happens.");
        }
    }
    let wanted = answer.at("wanted");
    if !wanted.is_nothing() {
        let (cost, tokens) = (money(&wanted, "cost"), plain(&wanted, "tokens"));
        let _ = writeln!(text, "At most it costs {cost} and uses {tokens} tokens.");
    }
    text
}

const ESTIMATED: &[Column] = &[
    column("call", "id", plain),
    column("began", "began_at", moment),
    column("key", "key", plain),
    column("model", "model", plain),
    column("provider", "provider", plain),
    number("charged", "cost", money),
    number("tokens", "tokens", plain),
    column("ending", "ending", plain),
];

/// Calls that are charged by estimate.
pub(super) fn estimated(answer: &Json) -> String {
    let calls = answer.at("data").items();
    let table = rows(&calls, ESTIMATED);
    let count = calls.len();
    format!(
        "{table}\n{count} calls, the newest first, those that were corrected among them.\nCorrect one: weir reconcile CALL --cost DOLLARS --evidence TEXT\n"
    )
}

const CORRECTED: &[Column] = &[
    column("call", "id", plain),
    column("held", "held", money),
    column("charged", "cost", money),
    column("tokens", "tokens", plain),
];

const CORRECTIONS: &[Column] = &[
    column("corrected", "at", moment),
    number("given back", "money", money),
    number("tokens", "tokens", plain),
    column("evidence", "evidence", plain),
];

/// A call, and all that was given back of its charge.
pub(super) fn reconciled(answer: &Json) -> String {
    let corrections = rows(&answer.at("corrections").items(), CORRECTIONS);
    format!("{}\n{corrections}", facts(&answer.at("data"), CORRECTED))
}
