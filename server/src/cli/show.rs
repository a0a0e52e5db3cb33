//! Answers of the admin API as tables for people. Amounts are shown as the API wrote them, digit by
//! digit.

use std::fmt::Write as _;

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::table;

#[derive(Deserialize)]
struct One {
    data: Key,
    key: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Key>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Key {
    hash: String,
    name: String,
    #[serde(rename = "key_type")]
    kind: String,
    label: String,
    status: String,
    limit: Option<Box<RawValue>>,
    limit_remaining: Option<Box<RawValue>>,
    limit_reset: Option<String>,
    rpm: Option<i64>,
    tpm_limit: Option<i64>,
    daily_token_limit: Option<i64>,
    max_parallel: Option<i64>,
    allowed_models: Option<Vec<String>>,
    denied_models: Option<Vec<String>>,
    allowed_providers: Option<Vec<String>>,
    denied_providers: Option<Vec<String>>,
    usage: Box<RawValue>,
    created_at: String,
    expires_at: Option<String>,
    last_used_at: Option<String>,
}

#[derive(Deserialize)]
struct Deleted {
    hash: String,
}

#[derive(Deserialize)]
struct Usage {
    data: Vec<Sum>,
    totals: Sum,
    cut_short: bool,
}

#[derive(Deserialize)]
struct Sum {
    from: Option<String>,
    key: Option<String>,
    user: Option<String>,
    team: Option<String>,
    project: Option<String>,
    model: Option<String>,
    provider: Option<String>,
    calls: u64,
    failed_calls: u64,
    unpriced_calls: u64,
    input_tokens: u64,
    output_tokens: u64,
    cost: Box<RawValue>,
}

#[derive(Deserialize)]
struct Calls {
    data: Vec<Call>,
}

#[derive(Deserialize)]
struct Reconciled {
    data: Call,
    corrections: Vec<Correction>,
}

#[derive(Deserialize)]
struct Correction {
    money: Box<RawValue>,
    tokens: i64,
    evidence: String,
    at: String,
}

#[derive(Deserialize)]
struct Owners {
    data: Vec<Owner>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Owner {
    id: String,
    name: Option<String>,
    external_id: Option<String>,
    team_id: Option<String>,
    created_at: String,
    limit: Option<Box<RawValue>>,
    limit_remaining: Option<Box<RawValue>>,
    limit_reset: Option<String>,
    rpm: Option<i64>,
    tpm_limit: Option<i64>,
    daily_token_limit: Option<i64>,
    max_parallel: Option<i64>,
}

#[derive(Deserialize)]
struct Call {
    id: String,
    held: Box<RawValue>,
    tokens: i64,
    began_at: String,
    key: String,
    model: String,
    provider: String,
    status: u16,
    input_tokens: u64,
    output_tokens: u64,
    cost: Option<Box<RawValue>>,
    evidence: String,
    ending: String,
    request_id: String,
}

fn read<T: DeserializeOwned>(answer: &str) -> anyhow::Result<T> {
    serde_json::from_str(answer).context("the answer is not what this version understands")
}

pub(super) fn new_key(answer: &str) -> anyhow::Result<String> {
    let One { data, key } = read(answer)?;
    let key = key.unwrap_or_default();
    Ok(format!("{}\n\nThe secret, shown this once:\n\n{key}\n", key_table(&[data])))
}

pub(super) fn key(answer: &str) -> anyhow::Result<String> {
    let One { data: key, .. } = read(answer)?;
    let left = key.limit_remaining.as_ref().map(|left| format!(", ${left} left"));
    let amount = limit(key.limit.as_deref(), key.limit_reset.as_ref());
    Ok(facts(&[
        ("id", key.hash.clone()),
        ("name", key.name.clone()),
        ("type", key.kind.clone()),
        ("secret", key.label.clone()),
        ("status", key.status.clone()),
        ("limit", format!("{amount}{}", left.unwrap_or_default())),
        ("spent", format!("${}", key.usage)),
        ("models", names(key.allowed_models.as_ref(), key.denied_models.as_ref())),
        ("providers", names(key.allowed_providers.as_ref(), key.denied_providers.as_ref())),
        ("created", key.created_at.clone()),
        ("requests per minute", count(key.rpm)),
        ("tokens per minute", count(key.tpm_limit)),
        ("tokens per day", count(key.daily_token_limit)),
        ("calls in flight", count(key.max_parallel)),
        ("expires", key.expires_at.clone().unwrap_or_else(|| "never".to_owned())),
        ("last used", key.last_used_at.clone().unwrap_or_else(|| "never".to_owned())),
    ]))
}

pub(super) fn keys(answer: &str) -> anyhow::Result<String> {
    let page: Page = read(answer)?;
    let more = if page.next_page_token.is_some() {
        "\nThere are more: ask for a larger --page-size.\n"
    } else {
        ""
    };
    Ok(format!("{}\n{more}", key_table(&page.data)))
}

pub(super) fn revoked(answer: &str) -> anyhow::Result<String> {
    let Deleted { hash } = read(answer)?;
    Ok(format!("Revoked {hash}. It opens nothing any more.\n"))
}

/// What a sum is about, in one of the ways it can be.
type Named = fn(&Sum) -> Option<&String>;

pub(super) fn usage(answer: &str) -> anyhow::Result<String> {
    let usage: Usage = read(answer)?;
    let of = |name: Named| usage.data.iter().any(|sum| name(sum).is_some());
    let groups: [(&str, Named); 7] = [
        ("from", |sum| sum.from.as_ref()),
        ("key", |sum| sum.key.as_ref()),
        ("user", |sum| sum.user.as_ref()),
        ("team", |sum| sum.team.as_ref()),
        ("project", |sum| sum.project.as_ref()),
        ("model", |sum| sum.model.as_ref()),
        ("provider", |sum| sum.provider.as_ref()),
    ];
    let shown: Vec<_> = groups.into_iter().filter(|(_, name)| of(*name)).collect();
    let numbers = ["calls", "failed", "input tokens", "output tokens", "cost"];
    let head: Vec<_> = shown.iter().map(|(head, _)| *head).chain(numbers).collect();
    let mut sums = table(&head);
    for sum in usage.data.iter().chain([&usage.totals]) {
        let names = shown.iter().map(|(_, name)| name(sum).cloned().unwrap_or_default());
        let counts = [sum.calls, sum.failed_calls, sum.input_tokens, sum.output_tokens];
        let counts = counts.iter().map(u64::to_string);
        sums.add_row(names.chain(counts).chain([format!("${}", sum.cost)]));
    }
    align_numbers(&mut sums, shown.len(), numbers.len());
    let unpriced = usage.totals.unpriced_calls;
    let mut notes = String::from("The last line is the total.\n");
    if unpriced > 0 {
        let _ = writeln!(
            notes,
            "{unpriced} calls were of models without a known price; their cost is in no sum."
        );
    }
    if usage.cut_short {
        notes.push_str("There are more: ask for --most.\n");
    }
    Ok(format!("{sums}\n\n{notes}"))
}

pub(super) fn calls(answer: &str) -> anyhow::Result<String> {
    let calls: Calls = read(answer)?;
    let mut rows = table(&[
        "began", "key", "model", "provider", "status", "input", "output", "cost", "evidence",
        "ending", "request",
    ]);
    for call in &calls.data {
        rows.add_row([
            call.began_at.as_str(),
            &call.key,
            &call.model,
            &call.provider,
            &call.status.to_string(),
            &call.input_tokens.to_string(),
            &call.output_tokens.to_string(),
            &cost(call),
            &call.evidence,
            &call.ending,
            &call.request_id,
        ]);
    }
    align_numbers(&mut rows, 4, 4);
    Ok(format!("{rows}\n\n{} calls, the newest first; --most asks for more.\n", calls.data.len()))
}

/// Calls that are charged by estimate.
pub(super) fn estimated(answer: &str) -> anyhow::Result<String> {
    let calls: Calls = read(answer)?;
    let mut rows =
        table(&["call", "began", "key", "model", "provider", "charged", "tokens", "ending"]);
    for call in &calls.data {
        rows.add_row([
            call.id.as_str(),
            &call.began_at,
            &call.key,
            &call.model,
            &call.provider,
            &cost(call),
            &call.tokens.to_string(),
            &call.ending,
        ]);
    }
    align_numbers(&mut rows, 5, 2);
    Ok(format!(
        "{rows}\n\n{} calls, the newest first, those that were corrected among them.\nCorrect one: weir reconcile CALL --cost DOLLARS --evidence TEXT\n",
        calls.data.len()
    ))
}

pub(super) fn reconciled(answer: &str) -> anyhow::Result<String> {
    let Reconciled { data: call, corrections } = read(answer)?;
    let mut text = format!(
        "{}: charged {}, of {} held, and {} tokens\n",
        call.id,
        cost(&call),
        call.held,
        call.tokens
    );
    for Correction { money, tokens, evidence, at } in &corrections {
        let _ = writeln!(text, "  {at}: ${money} and {tokens} tokens given back ({evidence})");
    }
    Ok(text)
}

fn cost(call: &Call) -> String {
    call.cost.as_ref().map_or_else(|| "unknown".to_owned(), |cost| format!("${cost}"))
}

pub(super) fn owners(answer: &str) -> anyhow::Result<String> {
    let page: Owners = read(answer)?;
    let more = if page.next_page_token.is_some() {
        "\nThere are more: ask for a larger --page-size.\n"
    } else {
        ""
    };
    let mut rows = table(&["id", "name", "team", "limit", "rpm", "tokens/min", "tokens/day"]);
    for owner in &page.data {
        rows.add_row([
            owner.id.as_str(),
            owner.label(),
            owner.team_id.as_deref().unwrap_or_default(),
            &limit(owner.limit.as_deref(), owner.limit_reset.as_ref()),
            &count(owner.rpm),
            &count(owner.tpm_limit),
            &count(owner.daily_token_limit),
        ]);
    }
    align_numbers(&mut rows, 4, 3);
    Ok(format!("{rows}\n{more}"))
}

pub(super) fn owner(answer: &str) -> anyhow::Result<String> {
    let owner: Owner = read(answer)?;
    let left = owner.limit_remaining.as_ref().map(|left| format!(", ${left} left"));
    let amount = limit(owner.limit.as_deref(), owner.limit_reset.as_ref());
    Ok(facts(&[
        ("id", owner.id.clone()),
        ("name", owner.label().to_owned()),
        ("team", owner.team_id.clone().unwrap_or_else(|| "none".to_owned())),
        ("limit", format!("{amount}{}", left.unwrap_or_default())),
        ("requests per minute", count(owner.rpm)),
        ("tokens per minute", count(owner.tpm_limit)),
        ("tokens per day", count(owner.daily_token_limit)),
        ("calls in flight", count(owner.max_parallel)),
        ("created", owner.created_at.clone()),
    ]))
}

impl Owner {
    fn label(&self) -> &str {
        self.name.as_deref().or(self.external_id.as_deref()).unwrap_or_default()
    }
}

fn count(number: Option<i64>) -> String {
    number.map_or_else(|| "any".to_owned(), |number| number.to_string())
}

/// A list of facts: it needs no head, only its lines.
fn facts(facts: &[(&str, String)]) -> String {
    let mut rows = table(&["", ""]);
    for (name, value) in facts {
        rows.add_row([*name, value]);
    }
    let text = rows.to_string();
    let lines: Vec<_> = text.lines().skip(2).map(str::trim_end).collect();
    format!("{}\n", lines.join("\n"))
}

fn key_table(keys: &[Key]) -> Table {
    let head = ["id", "name", "type", "secret", "status", "limit", "spent", "models", "providers"];
    let mut rows = table(&head);
    for key in keys {
        rows.add_row([
            key.hash.as_str(),
            &key.name,
            &key.kind,
            &key.label,
            &key.status,
            &limit(key.limit.as_deref(), key.limit_reset.as_ref()),
            &format!("${}", key.usage),
            &names(key.allowed_models.as_ref(), key.denied_models.as_ref()),
            &names(key.allowed_providers.as_ref(), key.denied_providers.as_ref()),
        ]);
    }
    align_numbers(&mut rows, 6, 1);
    rows
}

fn limit(amount: Option<&RawValue>, reset: Option<&String>) -> String {
    match (amount, reset) {
        (None, _) => "none".to_owned(),
        (Some(amount), None) => format!("${amount}"),
        (Some(amount), Some(reset)) => format!("${amount} {reset}"),
    }
}

fn names(allowed: Option<&Vec<String>>, denied: Option<&Vec<String>>) -> String {
    match (allowed, denied) {
        (None, None) => "all".to_owned(),
        (Some(allowed), None) => allowed.join(", "),
        (None, Some(denied)) => format!("all but {}", denied.join(", ")),
        (Some(allowed), Some(denied)) => {
            format!("{}, but not {}", allowed.join(", "), denied.join(", "))
        }
    }
}

fn align_numbers(table: &mut Table, first: usize, count: usize) {
    for at in first..first + count {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
