//! A bridge's `config.json`: its keys, each with the secret it has.

use anyhow::bail;
use jiff::Timestamp;
use serde_json::{Map, json};

use super::plan::{Key, Plan, number};
use crate::cli::json::Json;

/// Requests a minute where an entry says nothing.
const DEFAULT_RPM: i64 = 60;
/// How an entry begins that tells only its secret's digest.
const DIGEST: &str = "sha256:";

/// Reads the file.
///
/// # Errors
/// It has no list of keys.
pub(super) fn plan(text: &str) -> anyhow::Result<Plan> {
    let file = Json::read(text)?;
    let entries = file.at("api_keys");
    if !entries.is_list() {
        bail!("this is no bridge's config.json: it has no list 'api_keys'");
    }
    let mut plan = Plan::default();
    for (at, entry) in (1..).zip(entries.items()) {
        entry_of(&mut plan, at, &entry);
    }
    for (name, value) in file.members() {
        if name != "api_keys" && !value.is_empty() {
            plan.leave("config.json", &name);
        }
    }
    Ok(plan)
}

fn entry_of(plan: &mut Plan, at: usize, entry: &Json) {
    let bare = entry.is_text().then(|| entry.text()).flatten();
    let name = entry.at("name").text().filter(|name| !name.trim().is_empty());
    let name = name.unwrap_or_else(|| format!("config.json key {at}"));
    let Some(secret) = bare.or_else(|| entry.at("key").text()).filter(|key| !key.is_empty()) else {
        plan.cannot(name, "it has no 'key'");
        return;
    };
    let mut body = Map::new();
    body.insert("name".to_owned(), json!(name));
    match secret.strip_prefix(DIGEST) {
        Some(digest) => body.insert("secret_sha256".to_owned(), json!(digest)),
        None => body.insert("secret".to_owned(), json!(secret)),
    };
    let rpm = entry.at("rpm");
    let rpm = if rpm.is_nothing() { json!(DEFAULT_RPM) } else { number(&rpm) };
    body.insert("rpm".to_owned(), rpm);
    let made = entry.at("created").text().and_then(|seconds| seconds.parse().ok());
    let made = made.and_then(|seconds| Timestamp::from_second(seconds).ok());
    let about = made.map(|made| format!("created {}", made.strftime("%Y-%m-%d")));
    for (member, value) in entry.members() {
        if !matches!(member.as_str(), "name" | "key" | "rpm" | "created") && !value.is_empty() {
            plan.leave(&format!("key {name}"), &member);
        }
    }
    plan.key(Key::default(), body, &about.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_every_kind_are_read() {
        let text = r#"{"password": "p", "auth_tokens": [], "api_keys": [
            {"name": "a", "key": "sk-lmab-1", "rpm": 7, "created": 1717200000},
            "bare-secret", {"name": "d", "key": "sha256:00ff"}, {"name": "none"}, {"key": "k", "rpm": null, "note": "x"}]}"#;
        let plan = plan(text).unwrap_or_default();
        let shown: Vec<_> = plan
            .things
            .iter()
            .map(|thing| (thing.name.as_str(), thing.about.as_str(), thing.kind.name()))
            .collect();
        assert_eq!(
            shown,
            [
                ("a", "7 requests/min, created 2024-06-01", "key"),
                ("config.json key 2", "60 requests/min", "key"),
                ("d", "60 requests/min", "key"),
                ("none", "", "key"),
                ("config.json key 5", "60 requests/min", "key"),
            ]
        );
        assert_eq!(plan.left, ["key config.json key 5: note", "config.json: password"]);
        assert_eq!(plan.things[2].body.get("secret_sha256"), Some(&json!("00ff")));
    }
}
