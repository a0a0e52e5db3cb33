//! What applies to something, wherever it was set, as the `effective` routes tell it.

use serde_json::{Value, json};

use crate::owners::owner;
use crate::world::{MASTER, Unusual, World};

const DEFAULTS: &str = r#"
team_share = 50
[defaults.instance]
max_parallel = 1000
[defaults.key]
rpm = 60
tpm_limit = 100
[defaults.user]
limit = "2.5"
limit_reset = "daily"
"#;

/// Scope, origin, unit and amount of every limit.
fn told(answer: &Value) -> Vec<(String, String, String, Value)> {
    let text = |limit: &Value, name: &str| limit[name].as_str().unwrap().to_owned();
    let limits = answer["limits"].as_array().unwrap().iter();
    limits
        .map(|limit| {
            (
                text(limit, "scope"),
                text(limit, "from"),
                text(limit, "unit"),
                limit["amount"].clone(),
            )
        })
        .collect()
}

fn expected(rows: &[(&str, &str, &str, Value)]) -> Vec<(String, String, String, Value)> {
    rows.iter()
        .map(|(scope, from, unit, amount)| {
            ((*scope).to_owned(), (*from).to_owned(), (*unit).to_owned(), amount.clone())
        })
        .collect()
}

#[test]
fn a_key_is_told_its_own_limits_the_defaults_and_its_share() {
    let world = World::with(Unusual { settings_file: DEFAULTS, ..Unusual::default() });
    let team = owner(
        &world,
        "teams",
        &json!({"name": "search", "tpm_limit": 1_000, "denied_models": ["o3"]}),
    );
    let user = owner(&world, "users", &json!({"external_id": "u-1", "team_id": team}));
    owner(&world, "users", &json!({"external_id": "u-2", "team_id": team}));
    let key = world.key(&json!({"user_id": user, "tpm_limit": 7, "allowed_models": ["gpt-*"]}));
    let answer = world.get(&format!("/api/v1/keys/{}/effective", key.id), MASTER).is(200).json();
    assert_eq!(
        told(&answer),
        expected(&[
            ("instance", "default", "in_flight", json!(1_000)),
            ("team", "own", "tokens", json!(1_000)),
            ("user", "default", "money", json!(2.5)),
            ("user", "team_share", "tokens", json!(500)),
            ("key", "own", "tokens", json!(7)),
            ("key", "default", "requests", json!(60)),
        ])
    );
    let money = &answer["limits"][2];
    assert_eq!(
        (&money["scope_id"], &money["scope_name"], &money["available"], &money["resets_at"]),
        (&json!(user), &json!("u-1"), &json!(2.5), &json!("2027-01-16T00:00:00Z"))
    );
    assert_eq!((&money["spent"], &money["held"]), (&json!(0), &json!(0)));
    assert_eq!(money["window"], json!({"kind": "calendar", "period": "day", "zone": "UTC"}));
    assert_eq!(answer["limits"][3]["limit_id"], answer["limits"][1]["limit_id"]);
    // Rules of all layers, the widest first.
    let layers: Vec<_> = answer["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| {
            (
                layer["scope"].clone(),
                layer["allowed_models"].clone(),
                layer["denied_models"].clone(),
            )
        })
        .collect();
    assert_eq!(
        layers,
        [
            (json!("instance"), Value::Null, Value::Null),
            (json!("project"), Value::Null, Value::Null),
            (json!("team"), Value::Null, json!(["o3"])),
            (json!("user"), Value::Null, Value::Null),
            (json!("key"), json!(["gpt-*"]), Value::Null),
        ]
    );
    // The key may know all of it, and of no other key.
    assert_eq!(world.get("/api/v1/key/effective", &key.secret).is(200).json(), answer);
    let path = format!("/api/v1/keys/{}/effective", key.id);
    world.get(&path, &key.secret).refused(403, "wrong_key_type");
    let manager = world.key(&json!({"key_type": "management"}));
    world.get(&path, &manager.secret).refused(404, "not_found");
    world.get("/api/v1/key/effective", MASTER).refused(403, "wrong_key_type");
}

#[test]
fn an_owner_is_told_its_own_limits_and_those_above_it() {
    let world = World::with(Unusual { settings_file: DEFAULTS, ..Unusual::default() });
    let team = owner(&world, "teams", &json!({"name": "search", "tpm_limit": 1_000}));
    let user = owner(&world, "users", &json!({"external_id": "u-1", "team_id": team, "limit": 1}));
    owner(&world, "users", &json!({"external_id": "u-2", "team_id": team}));
    let effective = |kind: &str, id: &str| {
        told(&world.get(&format!("/api/v1/{kind}/{id}/effective"), MASTER).is(200).json())
    };
    assert_eq!(
        effective("users", &user),
        expected(&[
            ("instance", "default", "in_flight", json!(1_000)),
            ("team", "own", "tokens", json!(1_000)),
            ("user", "own", "money", json!(1)),
            ("user", "default", "money", json!(2.5)),
            ("user", "team_share", "tokens", json!(500)),
        ])
    );
    assert_eq!(effective("teams", &team).len(), 2);
    world.patch("/api/v1/instance", MASTER, &json!({"max_parallel": 5})).is(200);
    let instance = world.get("/api/v1/instance/effective", MASTER).is(200).json();
    assert_eq!(told(&instance), expected(&[("instance", "own", "in_flight", json!(5))]));
    assert_eq!(instance["rules"].as_array().unwrap().len(), 1);
    for nobody in ["users/user_01aryz6s410000000000000000", "teams/x", "keys/x"] {
        world.get(&format!("/api/v1/{nobody}/effective"), MASTER).refused(404, "not_found");
    }
}

#[test]
fn a_default_is_the_same_limit_after_a_restart() {
    let mut world = World::with(Unusual { settings_file: DEFAULTS, ..Unusual::default() });
    let key = world.any_key();
    let path = format!("/api/v1/keys/{}/effective", key.id);
    let before = world.get(&path, MASTER).is(200).json();
    world.restart();
    assert_eq!(world.get(&path, MASTER).is(200).json(), before);
}
