//! LiteLLM's virtual keys: what `/key/list?return_full_object=true` answers, or rows of its table
//! `LiteLLM_VerificationToken`. Their secrets are known by digest only, and go on opening them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::litellm::{Names, limited};
use super::plan::{Key, Kind, Plan, Thing, dollars, moment, number};
use crate::cli::json::Json;

/// What is a fact about the other place, and no wish.
const FACTS: [&str; 26] = [
    "key_name",
    "budget_reset_at",
    "created_at",
    "created_by",
    "updated_at",
    "updated_by",
    "last_active",
    "rotation_count",
    "last_rotation_at",
    "key_rotation_at",
    "model_spend",
    "soft_budget_cooldown",
    "last_refreshed_at",
    "litellm_budget_table",
    "litellm_organization_table",
    "team_alias",
    "team_spend",
    "user_role",
    "organization_alias",
    "last_used_at",
    "user",
    "created_by_user",
    "status",
    "object_permission",
    "project_alias",
    "key_type",
];
/// Names that stand for every model.
const ALL_MODELS: [&str; 2] = ["all-proxy-models", "*"];
/// Who holds LiteLLM's master key.
const NOBODY: &str = "default_user_id";

/// Adds the keys of `text` to `plan`; `names` says where the configuration's names lead.
///
/// # Errors
/// It is no JSON.
pub(super) fn add(plan: &mut Plan, text: &str, names: &Names) -> anyhow::Result<()> {
    let mut values = Json::read_all(text)?;
    // A list, an answer with a list in it, or row after row.
    if let [only] = values.as_slice() {
        let within = [only.clone(), only.at("keys"), only.at("data")];
        if let Some(list) = within.iter().find(|value| value.is_list()) {
            values = list.items();
        }
    }
    let mut teams = BTreeMap::new();
    let mut users: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut keys = Plan::default();
    for (at, row) in (1..).zip(&values) {
        match key(&mut keys, at, row, names) {
            Ok((mut key, body)) => {
                if let Some(team) = &key.team {
                    teams.insert(team.clone(), row.at("team_alias").text());
                }
                if let Some(user) = &key.user {
                    let team = users.entry(user.clone()).or_insert_with(|| key.team.clone());
                    if *team != key.team {
                        let theirs = team.clone().unwrap_or_else(|| "none".to_owned());
                        let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
                        keys.leave(
                            &format!("key {name}"),
                            &format!("its team, because user {user} is in team {theirs}"),
                        );
                    }
                    key.team = None;
                }
                keys.key(key, body, "");
            }
            Err((name, why)) => keys.cannot(name, why),
        }
    }
    let owner = |kind, name: String, member: &str| {
        let body = Map::from_iter([(member.to_owned(), json!(name))]);
        Thing { kind, name, body, about: String::new() }
    };
    plan.things.extend(teams.into_keys().map(|name| owner(Kind::Team, name, "name")));
    plan.things
        .extend(users.into_iter().map(|(name, team)| owner(Kind::User(team), name, "external_id")));
    plan.things.append(&mut keys.things);
    plan.left.append(&mut keys.left);
    Ok(())
}

/// One row, or its name and why it cannot be taken over.
fn key(
    plan: &mut Plan,
    at: usize,
    row: &Json,
    names: &Names,
) -> Result<(Key, Map<String, Value>), (String, String)> {
    let said = |member: &str| row.at(member).text().filter(|text| !text.trim().is_empty());
    let name = said("key_alias").unwrap_or_else(|| format!("litellm key {at}"));
    let no = |why: String| Err((name.clone(), why));
    if !row.is_object() {
        return no("only its digest is listed: ask for return_full_object=true".to_owned());
    }
    let mut body = Map::new();
    match said("token") {
        Some(token) if token.starts_with("sk-") => body.insert("secret".to_owned(), json!(token)),
        Some(token) => body.insert("secret_sha256".to_owned(), json!(token)),
        None => return no("it has no 'token'".to_owned()),
    };
    body.insert("name".to_owned(), json!(name));
    let budget = row.at("max_budget");
    if !budget.is_nothing() {
        let Some(amount) = dollars(&budget) else {
            return no(format!("its max_budget is no amount: {:.40}", budget.written()));
        };
        match limited(amount, said("budget_duration").as_deref()) {
            Ok(limit) => body.extend(limit),
            Err(why) => return no(why),
        }
    }
    for (theirs, ours) in [
        ("rpm_limit", "rpm"),
        ("tpm_limit", "tpm_limit"),
        ("max_parallel_requests", "max_parallel"),
    ] {
        let count = row.at(theirs);
        if !count.is_nothing() {
            body.insert(ours.to_owned(), number(&count));
        }
    }
    let models = row.at("models").texts();
    if !models.is_empty() && !models.iter().any(|model| ALL_MODELS.contains(&model.as_str())) {
        if models.iter().any(|model| model == "no-default-models") {
            return no("it may call no model but those of its access groups".to_owned());
        }
        let (team, own): (Vec<_>, Vec<_>) =
            models.into_iter().partition(|model| model == "all-team-models");
        if team.is_empty() {
            let places = |name: String| names.get(&name).cloned().unwrap_or_else(|| vec![name]);
            let places: Vec<_> = own.into_iter().flat_map(places).collect();
            body.insert("allowed_models".to_owned(), json!(places));
        } else {
            plan.leave(
                &format!("key {name}"),
                "models of its team: give the team in Weir its rules",
            );
        }
    }
    if let Some(end) = said("expires") {
        body.insert("expires_at".to_owned(), json!(moment(&end)));
    }
    if row.at("blocked").is_true() {
        body.insert("disabled".to_owned(), Value::Bool(true));
    }
    leave_the_rest(plan, &name, row);
    let user = said("user_id").filter(|user| user != NOBODY);
    Ok((Key { is_new: false, user, team: said("team_id") }, body))
}

fn leave_the_rest(plan: &mut Plan, name: &str, row: &Json) {
    const TAKEN: [&str; 13] = [
        "token",
        "key_alias",
        "max_budget",
        "budget_duration",
        "rpm_limit",
        "tpm_limit",
        "max_parallel_requests",
        "models",
        "expires",
        "user_id",
        "team_id",
        "blocked",
        "spend",
    ];
    plan.leave_spent(name, &row.at("spend"));
    for (member, value) in row.members() {
        if value.is_empty() || TAKEN.contains(&member.as_str()) || FACTS.contains(&member.as_str())
        {
            continue;
        }
        plan.leave(&format!("key {name}"), &member);
    }
}
