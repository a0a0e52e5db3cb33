//! The keys API's own examples, command by command as they are written, with only the host and the
//! secrets changed: the answers have these members and these values.

use std::process::Command;

use serde_json::{Value, json};

use crate::world::{MASTER, TestKey, Unusual, World};

/// The moment of the examples: 2025-01-15T10:30:00Z.
const THEN: i64 = 1_736_937_000;

struct Scene {
    world: World,
    manager: TestKey,
}

impl Scene {
    fn new() -> Self {
        let world = World::with(Unusual { begins_at: Some(THEN), ..Unusual::default() });
        let manager = world.key(&json!({"name": "m", "key_type": "management"}));
        Self { world, manager }
    }

    /// Runs a command as a shell does: its answer, and nothing on the side.
    fn run(&self, command: &str) -> Value {
        let host = format!("http://{}", self.world.address());
        let command =
            command.replace("{host}", &host).replace("lr_mgmt_xxxx", &self.manager.secret);
        let output = Command::new("sh")
            .args(["-c", &command.replacen("curl ", "curl -s ", 1)])
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn create(&self) -> Value {
        self.run(
            r#"curl -X POST {host}/api/v1/keys \
  -H "Authorization: Bearer lr_mgmt_xxxx" \
  -H "Content-Type: application/json" \
  -d '{
    "name": "production-backend",
    "allowed_providers": ["openai", "anthropic"],
    "allowed_models": ["gpt-4o", "claude-sonnet-4-20250514"],
    "limit": 150,
    "limit_reset": "monthly",
    "expires_at": "2025-12-31T23:59:59Z"
  }'"#,
        )
    }
}

/// A12 Response `{"data":{...},"key":"lr_live_..."}`; key outside data. A13 the members of data. A14
/// `key_type` "regular"; disabled false; usage 0; `limit_remaining` = limit at birth.
#[test]
fn a12_to_a14_the_answer_to_the_documented_creation_is_the_documented_one() {
    let scene = Scene::new();
    let made = scene.create();
    let documented = json!({
        "name": "production-backend",
        "key_type": "regular",
        "disabled": false,
        "limit": 150,
        "limit_remaining": 150,
        "limit_reset": "monthly",
        "allowed_providers": ["openai", "anthropic"],
        "allowed_models": ["gpt-4o", "claude-sonnet-4-20250514"],
        "usage": 0,
        "created_at": "2025-01-15T10:30:00Z",
        "expires_at": "2025-12-31T23:59:59Z",
    });
    for (name, value) in documented.as_object().unwrap() {
        assert_eq!(&made["data"][name], value, "{name}");
    }
    assert!(made["data"]["hash"].as_str().unwrap().len() > 20);
    assert_eq!(made.as_object().unwrap().keys().collect::<Vec<_>>(), ["data", "key"]);
    let secret = made["key"].as_str().unwrap();
    assert!(secret.starts_with("lr_live_"));
    scene.world.chat(secret, "").is(200);
}

/// A15 `key` returned only at creation, never again. L3 Full key shown only once, right after creation.
#[test]
fn a15_and_l3_the_secret_is_in_one_answer_only() {
    let scene = Scene::new();
    let made = scene.create();
    let (secret, id) = (made["key"].as_str().unwrap(), made["data"]["hash"].as_str().unwrap());
    let path = format!("/api/v1/keys/{id}");
    for tail in ["", "/effective", "/limits", "/rules", "/usage"] {
        let shown = scene.world.get(&format!("{path}{tail}"), MASTER).is(200);
        assert!(!shown.text.contains(secret), "{tail}");
        assert_eq!(shown.json()["key"], Value::Null);
    }
    for shown in [
        scene.world.get("/api/v1/keys", MASTER).is(200),
        scene.world.get("/api/v1/key", secret).is(200),
        scene.world.patch(&path, MASTER, &json!({"name": "renamed"})).is(200),
        scene.world.delete(&path, MASTER).is(200),
    ] {
        assert!(!shown.text.contains(secret), "{}", shown.text);
    }
}

/// A16 `GET /api/v1/keys?page_size=20`.
#[test]
fn a16_the_documented_list_shows_the_keys_of_the_management_key() {
    let scene = Scene::new();
    for _ in 0..21 {
        scene.create();
    }
    let list = scene.run(
        r#"curl "{host}/api/v1/keys?page_size=20" \
  -H "Authorization: Bearer lr_mgmt_xxxx""#,
    );
    let data = list["data"].as_array().unwrap();
    assert_eq!(data.len(), 20);
    assert!(list["next_page_token"].is_string());
    for key in data {
        assert_eq!((&key["name"], &key["limit"]), (&json!("production-backend"), &json!(150)));
        assert_eq!(key["created_by"], json!(scene.manager.id));
    }
}

/// A18 `PATCH /api/v1/keys/KEY_HASH` with `{"disabled": true}` disables. A20 `DELETE
/// /api/v1/keys/KEY_HASH`. A21 Deleted keys are invalid at once and cannot be restored.
#[test]
fn a18_a20_and_a21_the_documented_change_and_the_documented_end() {
    let scene = Scene::new();
    let made = scene.create();
    let (secret, id) = (made["key"].as_str().unwrap(), made["data"]["hash"].as_str().unwrap());
    let disable = r#"curl -X PATCH {host}/api/v1/keys/KEY_HASH \
  -H "Authorization: Bearer lr_mgmt_xxxx" \
  -H "Content-Type: application/json" \
  -d '{"disabled": true}'"#;
    let changed = scene.run(&disable.replace("KEY_HASH", id));
    assert_eq!(
        (&changed["data"]["disabled"], &changed["data"]["status"]),
        (&json!(true), &json!("disabled"))
    );
    for member in ["hash", "name", "limit", "limit_reset", "allowed_models", "expires_at"] {
        assert_eq!(changed["data"][member], made["data"][member], "{member}");
    }
    scene.world.chat(secret, "").refused(401, "key_disabled");
    let delete = r#"curl -X DELETE {host}/api/v1/keys/KEY_HASH \
  -H "Authorization: Bearer lr_mgmt_xxxx""#;
    let ended = scene.run(&delete.replace("KEY_HASH", id));
    assert_eq!(ended, json!({"deleted": true, "hash": id}));
    scene.world.chat(secret, "").refused(401, "key_revoked");
    for change in [json!({"disabled": false}), json!({"expires_at": null}), json!({"name": "x"})] {
        let path = format!("/api/v1/keys/{id}");
        scene.world.patch(&path, &scene.manager.secret, &change).refused(409, "conflict");
        scene.world.put(&format!("{path}/limits"), MASTER, &json!({})).refused(409, "conflict");
        scene.world.post(&format!("{path}/rotate"), MASTER, &json!({})).refused(409, "conflict");
    }
    let again = json!({"name": "again", "secret": secret});
    scene.world.post("/api/v1/keys", MASTER, &again).refused(409, "secret_revoked");
    scene.world.chat(secret, "").refused(401, "key_revoked");
}

/// The tree of the overview: three keys of one management key, each with a scope of its own.
#[test]
fn a27_and_a29_the_documented_tree_of_keys() {
    let scene = Scene::new();
    let make =
        |body: &Value| scene.world.post("/api/v1/keys", &scene.manager.secret, body).is(201).json();
    let first = make(
        &json!({"name": "1", "allowed_providers": ["openai", "anthropic"], "limit": 150, "limit_reset": "monthly", "expires_at": "2025-12-01T00:00:00Z"}),
    );
    let second = make(
        &json!({"name": "2", "allowed_providers": ["deepseek"], "limit": 50, "limit_reset": "daily", "force": true}),
    );
    let third = make(&json!({"name": "3"}));
    let listed = scene.world.get("/api/v1/keys?key_type=management", MASTER).is(200).json();
    assert_eq!(listed["data"][0]["created_by"], Value::Null);
    for key in [&first, &second, &third] {
        assert_eq!(key["data"]["created_by"], json!(scene.manager.id));
    }
    assert_eq!(third["data"]["limit"], Value::Null);
    let secret = |key: &Value| key["key"].as_str().unwrap().to_owned();
    scene.world.chat(&secret(&first), "").is(200);
    scene.world.chat(&secret(&second), "").refused(403, "provider_not_allowed");
    scene.world.chat(&secret(&third), "").is(200);
}

/// L2 Keys are project-specific. M20: an arbitrary string must work as a key.
#[test]
fn l2_and_m20_a_key_belongs_to_one_project_and_any_string_opens_it() {
    let world = World::new();
    let project = crate::owners::owner(&world, "projects", &json!({"name": "p"}));
    let body = json!({"name": "k", "project_id": project, "secret": "just-any-string!"});
    let made = world.post("/api/v1/keys", MASTER, &body).is(201).json();
    assert_eq!(
        (&made["data"]["project_id"], &made["key"]),
        (&json!(project), &json!("just-any-string!"))
    );
    world.chat("just-any-string!", "").is(200);
    let path = format!("/api/v1/keys/{}", made["data"]["hash"].as_str().unwrap());
    let other = json!({"project_id": "proj_00000000000000000000000000"});
    world.patch(&path, MASTER, &other).refused(400, "unknown_parameter");
    // What stands on the project binds its keys, and no others.
    world.patch(&format!("/api/v1/projects/{project}"), MASTER, &json!({"rpm": 0})).is(200);
    world.chat("just-any-string!", "").refused(429, "rate_limit_exceeded");
    world.chat(&world.any_key().secret, "").is(200);
}

/// L22 Status is active or inactive: `active` exactly where the key works.
#[test]
fn l22_the_status_is_active_exactly_where_the_key_works() {
    let world = World::new();
    let keys = [
        world.any_key(),
        world.any_key(),
        world.any_key(),
        world.key(&json!({"expires_at": "2027-01-15T08:00:01Z"})),
    ];
    let path = |key: &TestKey| format!("/api/v1/keys/{}", key.id);
    world.patch(&path(&keys[1]), MASTER, &json!({"disabled": true})).is(200);
    world.delete(&path(&keys[2]), MASTER).is(200);
    world.clock.advance_seconds(1);
    for (key, word) in keys.iter().zip(["active", "disabled", "revoked", "expired"]) {
        let shown = world.get(&path(key), MASTER).is(200).json()["data"].clone();
        assert_eq!(
            (&shown["status"], &shown["disabled"]),
            (&json!(word), &json!(word == "disabled"))
        );
        assert_eq!(world.chat(&key.secret, "").status == 200, word == "active", "{word}");
    }
}

/// L20 Usage includes gateway credits AND requests through own provider keys. L37 Usage tracked per
/// key including the active recurring window.
#[test]
fn l20_and_l37_every_call_of_a_key_counts_in_its_usage_and_in_its_period() {
    let world = World::new();
    let body = json!({"recurring_limit": {"amount": 10, "every": 1, "unit": "day"}});
    let (key, other) = (world.key(&body), world.any_key());
    for secret in [&key.secret, &key.secret, &other.secret] {
        world.chat(secret, "").is(200);
    }
    let claude = json!({"model": "claude-sonnet-4-20250514", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]});
    world.post("/v1/messages", &key.secret, &claude).is(200);
    let cost = |row: &Value| row["cost"].as_f64().unwrap();
    let spent: f64 = world.rows().iter().filter(|row| row["key"] == json!(key.id)).map(cost).sum();
    let shown =
        || world.get(&format!("/api/v1/keys/{}", key.id), MASTER).is(200).json()["data"].clone();
    let near = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-9;
    let data = shown();
    assert!(spent > 0.0 && near(&data["usage"], spent), "{data}");
    assert!(near(&data["recurring_limit"]["spent"], spent), "{data}");
    // The period ends, and what was ever used stays.
    world.clock.advance_seconds(86_400);
    let data = shown();
    assert!(near(&data["usage"], spent), "{data}");
    assert_eq!(data["recurring_limit"]["spent"], 0);
    world.chat(&key.secret, "").is(200);
    let data = shown();
    assert!(data["usage"].as_f64().unwrap() > spent);
    assert!(data["recurring_limit"]["spent"].as_f64().unwrap() > 0.0);
}
