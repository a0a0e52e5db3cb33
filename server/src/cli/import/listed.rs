//! The list of a keys API, as OpenRouter and its like answer it: keys of the same names, limits and
//! rules, with new secrets. A key that gave no name away cannot be told from another.

use anyhow::bail;
use serde_json::{Map, Value, json};

use super::plan::{Key, Plan, dollars, number};
use crate::cli::json::Json;

/// What goes over as it is.
const TAKEN: [&str; 11] = [
    "allowed_models",
    "denied_models",
    "allowed_providers",
    "denied_providers",
    "allowed_pricing",
    "denied_pricing",
    "allowed_addresses",
    "denied_addresses",
    "max_price",
    "expires_at",
    "limit_reset",
];
const COUNTS: [&str; 4] = ["rpm", "tpm_limit", "daily_token_limit", "max_parallel"];
/// What is a fact about the other place, and no wish.
const FACTS: [&str; 22] = [
    "hash",
    "id",
    "label",
    "status",
    "created_at",
    "updated_at",
    "created_by",
    "creator_user_id",
    "last_used_at",
    "limit_remaining",
    "usage",
    "usage_daily",
    "usage_weekly",
    "usage_monthly",
    "byok_usage",
    "byok_usage_daily",
    "byok_usage_weekly",
    "byok_usage_monthly",
    "secrets",
    "revision",
    "workspace_id",
    "object",
];

/// Reads the file.
///
/// # Errors
/// It has no list of keys.
pub(super) fn plan(text: &str) -> anyhow::Result<Plan> {
    let file = Json::read(text)?;
    let list = if file.is_list() { file } else { file.at("data") };
    if !list.is_list() {
        bail!("this is no answer of a keys API: it has no list 'data'");
    }
    let mut plan = Plan::default();
    for (at, entry) in (1..).zip(list.items()) {
        let name = entry.at("name").text().filter(|name| !name.trim().is_empty());
        match name {
            Some(name) => key(&mut plan, &name, &entry),
            None => plan.cannot(format!("number {at}"), "it has no name"),
        }
    }
    Ok(plan)
}

fn key(plan: &mut Plan, name: &str, entry: &Json) {
    if entry.at("status").text().as_deref() == Some("revoked") {
        plan.cannot(name, "it was revoked there");
        return;
    }
    let mut body = Map::new();
    body.insert("name".to_owned(), json!(name));
    // Limits in full say what the short names say, and more.
    let in_full = !entry.at("limits").is_empty();
    for (member, value) in entry.members() {
        let is_limit = COUNTS.contains(&member.as_str())
            || matches!(member.as_str(), "limit" | "limit_reset" | "recurring_limit");
        if value.is_nothing() || (in_full && is_limit) || FACTS.contains(&member.as_str()) {
            continue;
        }
        let taken = match member.as_str() {
            "name" => continue,
            "limit" => dollars(&value),
            "disabled" => value.is_true().then_some(Value::Bool(true)),
            "key_type" => {
                (value.text().as_deref() == Some("management")).then(|| json!("management"))
            }
            "recurring_limit" => Some(recurring(&value)),
            "limits" => (!value.is_empty()).then(|| as_it_is(&value)),
            name if COUNTS.contains(&name) => Some(number(&value)),
            name if TAKEN.contains(&name) => (!value.is_empty()).then(|| as_it_is(&value)),
            _ => {
                if !value.is_empty() {
                    plan.leave(&format!("key {name}"), &member);
                }
                continue;
            }
        };
        if let Some(taken) = taken {
            body.insert(member, taken);
        } else if member == "limit" {
            plan.cannot(name, format!("its limit is no amount: {:.40}", value.written()));
            return;
        }
    }
    plan.leave_spent(name, &entry.at("usage"));
    plan.key(Key { is_new: true, ..Key::default() }, body, "new secret");
}

/// The members of a recurring limit that are a wish; how it stands is a fact.
fn recurring(value: &Json) -> Value {
    let mut limit = Map::new();
    for (name, value) in value.members() {
        match name.as_str() {
            "amount" => drop(limit.insert(name, dollars(&value).unwrap_or(Value::Null))),
            "every" | "unit" | "zone" => drop(limit.insert(name, as_it_is(&value))),
            _ => {}
        }
    }
    Value::Object(limit)
}

/// Small numbers and texts only: amounts go through `dollars`.
fn as_it_is(value: &Json) -> Value {
    serde_json::from_str(value.written()).unwrap_or_default()
}
