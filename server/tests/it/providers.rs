//! Providers and their credentials, added, changed and taken away while Weir runs: in force for the
//! next call, sealed at rest, and never where they must not be.

use std::path::Path;

use serde_json::{Value, json};

use crate::world::{MASTER, OPENAI_SECRET, TestKey, Unusual, World, chat};

const CANARY: &str = "sk-canary-credential-by-api-0123456789";

/// A world whose API may add providers on this machine.
fn near() -> World {
    let env = vec![("WEIR_ALLOW_PRIVATE_DESTINATIONS", "true".to_owned())];
    World::with(Unusual { env, ..Unusual::default() })
}

/// Adds the provider `mine` at the fake provider.
fn add_mine(world: &World) -> Value {
    let base_url = format!("{}/v1", world.provider.url);
    let body =
        json!({"name": "mine", "base_url": base_url, "catalogue": "openai", "models": ["own-*"]});
    world.post("/api/v1/providers", MASTER, &body).is(201).json()
}

fn add_credential(world: &World, provider: &str, secret: &str) -> String {
    let path = format!("/api/v1/providers/{provider}/credentials");
    let made = world.post(&path, MASTER, &json!({"secret": secret})).is(201).json();
    made["id"].as_str().unwrap().to_owned()
}

fn call(world: &World, key: &TestKey, model: &str, script: &str) -> crate::world::Reply {
    world.post("/v1/chat/completions", &key.secret, &chat(model, script))
}

/// What the fake provider saw as secret in its last request.
fn seen(world: &World) -> Value {
    world.provider.requests().last().unwrap()["secret_seen"].clone()
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

#[test]
fn a_provider_is_added_called_changed_and_taken_away_without_a_restart() {
    let world = near();
    let key = world.any_key();
    call(&world, &key, "mine/gpt-4o", "").refused(404, "model_not_found");
    let made = add_mine(&world);
    for (member, value) in [
        ("name", json!("mine")),
        ("kind", json!("openai")),
        ("from", json!("store")),
        ("credentials", json!(0)),
        ("models", json!(["own-*"])),
        ("resting", json!([])),
        ("problem", Value::Null),
        ("revision", json!(1)),
        ("free", json!(false)),
        ("on_hangup", json!("drain")),
        ("stream_options", json!(true)),
    ] {
        assert_eq!(made[member], value, "{member}");
    }
    // The fake provider wants a secret, and is sent none yet.
    call(&world, &key, "mine/gpt-4o", "").refused(502, "upstream_credential_rejected");
    add_credential(&world, "mine", CANARY);
    call(&world, &key, "mine/gpt-4o", "").is(200);
    call(&world, &key, "own-model", "").is(200);
    let changed = world.patch("/api/v1/providers/mine", MASTER, &json!({"models": ["other-*"]}));
    assert_eq!(changed.is(200).json()["revision"], 2);
    call(&world, &key, "own-model", "").refused(404, "model_not_found");
    call(&world, &key, "other-model", "").is(200);
    let listed = world.get("/api/v1/providers", MASTER).is(200).json();
    let names: Vec<_> =
        listed["data"].as_array().unwrap().iter().map(|p| p["name"].clone()).collect();
    assert_eq!(names, ["openai", "anthropic", "mine"]);
    // Rules that name it are checked against what is there now.
    world.key(&json!({"allowed_providers": ["mine"], "allowed_models": ["mine/gpt-4o"]}));
    world.delete("/api/v1/providers/mine", MASTER).is(200);
    call(&world, &key, "mine/gpt-4o", "").refused(404, "model_not_found");
    world.get("/api/v1/providers/mine", MASTER).refused(404, "not_found");
    let rule = json!({"name": "k", "allowed_providers": ["mine"]});
    world.post("/api/v1/keys", MASTER, &rule).refused(400, "invalid_rule");
}

#[test]
fn what_is_added_outlives_a_restart_and_the_settings_go_first() {
    let mut world = near();
    let key = world.any_key();
    add_mine(&world);
    add_credential(&world, "mine", CANARY);
    world.restart();
    world.clock.advance_seconds(1);
    call(&world, &key, "mine/gpt-4o", "").is(200);
    let saw = seen(&world);
    call(&world, &key, "openai/gpt-4o", "").is(200);
    assert_ne!(seen(&world), saw);
    for (method, path) in
        [("patch", "/api/v1/providers/openai"), ("delete", "/api/v1/providers/openai")]
    {
        let answer = match method {
            "patch" => world.patch(path, MASTER, &json!({"free": true})),
            _ => world.delete(path, MASTER),
        };
        let told = answer.refused(409, "conflict").json();
        assert!(told["error"]["message"].as_str().unwrap().contains("weir.toml"), "{told}");
    }
    let body = json!({"name": "openai", "base_url": "https://mine.example/v1"});
    world.post("/api/v1/providers", MASTER, &body).refused(409, "conflict");
    let body = json!({"name": "mine", "base_url": "https://mine.example/v1"});
    world.post("/api/v1/providers", MASTER, &body).refused(409, "conflict");
}

#[test]
fn a_credential_is_write_only_and_shows_its_end() {
    let world = near();
    let path = "/api/v1/providers/openai/credentials";
    let body = json!({"label": "second account", "secret": CANARY});
    let made = world.post(path, MASTER, &body).is(201);
    let shown = made.json();
    assert_eq!(
        (&shown["hint"], &shown["status"], &shown["label"], &shown["from"]),
        (&json!("...6789"), &json!("active"), &json!("second account"), &json!("store"))
    );
    let id = shown["id"].as_str().unwrap();
    let changed = world.patch(
        &format!("/api/v1/credentials/{id}"),
        MASTER,
        &json!({"label": null, "secret": "sk-canary-credential-another-4321"}),
    );
    let changed = changed.is(200);
    assert_eq!(
        (&changed.json()["hint"], &changed.json()["label"]),
        (&json!("...4321"), &Value::Null)
    );
    let listed = world.get(path, MASTER).is(200);
    let data = listed.json()["data"].clone();
    assert_eq!((&data[0]["id"], &data[0]["from"]), (&json!("openai#1"), &json!("settings")));
    assert_eq!(data[1]["id"], json!(id));
    let trail = world.get("/api/v1/audit", MASTER).is(200);
    for answer in [made, changed, listed, trail] {
        assert!(
            !answer.text.contains("canary") && !answer.text.contains(OPENAI_SECRET),
            "{}",
            answer.text
        );
    }
    let key = world.any_key();
    for _ in 0..4 {
        world.chat(&key.secret, "").is(200);
    }
    let rows = world.rows();
    let with = |name: &str| rows.iter().filter(|row| row["credential"] == name).count();
    assert_eq!((with("openai#1"), with(id)), (2, 2), "they take turns");
    let sinks = files(&world.data.path().join("data"));
    assert!(sinks.iter().any(|(name, _)| name.ends_with("credential.key")));
    for (name, bytes) in sinks {
        for canary in [CANARY, "sk-canary-credential-another-4321", "canary-credential"] {
            let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!found, "{name} holds {canary}");
        }
    }
}

#[test]
fn a_credential_is_disabled_rests_and_is_taken_away_at_once() {
    let world = near();
    let key = world.any_key();
    add_mine(&world);
    let id = add_credential(&world, "mine", CANARY);
    let path = format!("/api/v1/credentials/{id}");
    let list = "/api/v1/providers/mine/credentials";
    let status = || world.get(list, MASTER).is(200).json()["data"][0].clone();
    call(&world, &key, "mine/gpt-4o", "").is(200);
    // A provider's own 401 lets it rest, as long as another change is made meanwhile, too.
    call(&world, &key, "mine/gpt-4o", r#"{"status":401}"#)
        .refused(502, "upstream_credential_rejected");
    assert_eq!(
        (&status()["status"], &status()["resting_until"]),
        (&json!("resting"), &json!("2027-01-15T08:01:00Z"))
    );
    let other = json!({"base_url": "https://other.example/v1", "name": "other"});
    world.post("/api/v1/providers", MASTER, &other).is(201);
    assert_eq!(status()["status"], "resting");
    let provider = world.get("/api/v1/providers/mine", MASTER).is(200).json();
    assert_eq!(provider["resting"], json!([{"credential": id, "until": "2027-01-15T08:01:00Z"}]));
    // Another secret was not refused yet.
    world.patch(&path, MASTER, &json!({"secret": "sk-a-new-secret-of-mine"})).is(200);
    assert_eq!(status()["status"], "active");
    let before = world.provider.requests().len();
    world.patch(&path, MASTER, &json!({"disabled": true})).is(200);
    assert_eq!(status()["status"], "disabled");
    call(&world, &key, "mine/gpt-4o", "").refused(502, "upstream_credential_rejected");
    assert_eq!(world.provider.requests().len(), before, "it was called without a credential");
    world.patch(&path, MASTER, &json!({"disabled": false})).is(200);
    call(&world, &key, "mine/gpt-4o", "").is(200);
    assert_eq!(world.delete(&path, MASTER).is(200).json(), json!({"deleted": true, "id": id}));
    world.delete(&path, MASTER).refused(404, "not_found");
    assert_eq!(world.get(list, MASTER).is(200).json()["data"], json!([]));
}

#[test]
fn a_lost_key_is_told_and_everything_else_works() {
    let mut world = near();
    let key = world.any_key();
    add_mine(&world);
    let id = add_credential(&world, "openai", CANARY);
    std::fs::remove_file(world.data.path().join("data/credential.key")).unwrap();
    world.restart();
    world.clock.advance_seconds(1);
    let list = "/api/v1/providers/openai/credentials";
    let data = world.get(list, MASTER).is(200).json()["data"].clone();
    assert_eq!((&data[0]["status"], &data[1]["status"]), (&json!("active"), &json!("unreadable")));
    for _ in 0..3 {
        world.chat(&key.secret, "").is(200);
    }
    let rows = world.rows();
    assert!(rows.iter().all(|row| row["credential"] == "openai#1"), "{rows:?}");
    // Given its secret anew, it works again.
    let path = format!("/api/v1/credentials/{id}");
    assert_eq!(
        world.patch(&path, MASTER, &json!({"secret": CANARY})).is(200).json()["status"],
        "active"
    );
}

#[test]
fn a_key_that_is_given_makes_no_file() {
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=".to_owned();
    let env = vec![("WEIR_ENCRYPTION_KEY", key)];
    let mut world = World::with(Unusual { env, ..Unusual::default() });
    add_credential(&world, "openai", CANARY);
    world.restart();
    let list = "/api/v1/providers/openai/credentials";
    assert_eq!(world.get(list, MASTER).is(200).json()["data"][1]["status"], "active");
    assert!(!world.data.path().join("data/credential.key").exists());
}

/// B65: a provider at an address that could be anybody's inside is refused, in every spelling.
#[test]
fn b65_no_secret_is_sent_to_a_place_inside() {
    let world = World::new();
    let tried = |world: &World, url: &str| {
        let body = json!({"name": "mine", "base_url": url});
        world.post("/api/v1/providers", MASTER, &body)
    };
    for url in [
        "http://0.0.0.0",
        "http://[::]:80",
        "http://169.254.169.254/latest",
        "http://[::ffff:169.254.169.254]",
        "http://[::ffff:a9fe:a9fe]/v1",
        "http://[2002:a9fe:a9fe::]",
        "http://[64:ff9b::a9fe:a9fe]",
        "http://100.64.0.1",
        "http://127.1",
        "http://0x7f000001",
        "http://2130706433/v1",
        "http://017700000001",
        "https://user@host.example/v1",
        "https://xn--example-.org",
        "http://127.0.0.1:11434/v1",
        "http://localhost:11434/v1",
        "http://[::1]/v1",
        "http://10.0.0.5/v1",
        "http://ollama:11434/v1",
        "http://metadata.google.internal/",
    ] {
        let told = tried(&world, url).refused(400, "destination_not_allowed").json();
        assert_eq!(told["error"]["param"], "base_url", "{url}");
    }
    // This machine can be allowed; what is nobody's cannot.
    let world = near();
    for url in
        ["http://169.254.169.254", "http://[64:ff9b::7f00:1]", "http://0.0.0.0", "http://127.1"]
    {
        tried(&world, url).refused(400, "destination_not_allowed");
    }
    tried(&world, "http://[::1]:9/v1").is(201);
    let change = json!({"base_url": "http://169.254.169.254"});
    world.patch("/api/v1/providers/mine", MASTER, &change).refused(400, "destination_not_allowed");
}

#[test]
fn a_provider_that_may_not_be_there_any_more_is_not_called() {
    let mut world = near();
    let key = world.any_key();
    add_mine(&world);
    add_credential(&world, "mine", CANARY);
    call(&world, &key, "mine/gpt-4o", "").is(200);
    world.set_env(&[]);
    world.restart();
    call(&world, &key, "mine/gpt-4o", "").refused(404, "model_not_found");
    let shown = world.get("/api/v1/providers/mine", MASTER).is(200).json();
    assert!(shown["problem"].as_str().unwrap().contains("allow_private_destinations"), "{shown}");
}

/// B58: what is unknown, missing, of another type, too long, or not to be printed.
#[test]
fn b58_nonsense_about_providers_is_named() {
    let world = World::new();
    let url = "https://mine.example/v1";
    for (body, code, param) in [
        (json!({"base_url": url}), "missing_required_parameter", "name"),
        (json!({"name": "mine"}), "missing_required_parameter", "base_url"),
        (json!({"name": "ollama"}), "missing_required_parameter", "base_url"),
        (json!({"name": 7, "base_url": url}), "invalid_value", "name"),
        (json!({"name": "Mine", "base_url": url}), "invalid_value", "name"),
        (json!({"name": "a/b", "base_url": url}), "invalid_value", "name"),
        (json!({"name": "demo", "base_url": url}), "invalid_value", "name"),
        (json!({"name": "x".repeat(10_000), "base_url": url}), "invalid_value", "name"),
        (json!({"name": "m\u{202e}ine", "base_url": url}), "invalid_value", "name"),
        (json!({"name": "<script>", "base_url": url}), "invalid_value", "name"),
        (json!({"name": "mine", "base_url": "ftp://x"}), "invalid_value", "base_url"),
        (json!({"name": "mine", "base_url": "https://x.example#y"}), "invalid_value", "base_url"),
        (json!({"name": "mine", "base_url": url, "kind": "demo"}), "invalid_value", "kind"),
        (json!({"name": "mine", "base_url": url, "models": ["a b"]}), "invalid_value", "models[0]"),
        (
            json!({"name": "mine", "base_url": url, "catalogue": "nobody"}),
            "invalid_value",
            "catalogue",
        ),
        (json!({"name": "mine", "base_url": url, "api_key": "x"}), "unknown_parameter", "api_key"),
    ] {
        let told = world.post("/api/v1/providers", MASTER, &body).refused(400, code).json();
        assert_eq!(told["error"]["param"], json!(param), "{body}");
    }
    let path = "/api/v1/providers/openai/credentials";
    for (body, code) in [
        (json!({}), "missing_required_parameter"),
        (json!({"secret": ""}), "invalid_value"),
        (json!({"secret": "a\nb"}), "invalid_value"),
        (json!({"secret": "ключ"}), "invalid_value"),
        (json!({"secret": 5}), "invalid_value"),
        (json!({"secret": "x".repeat(9_000)}), "invalid_value"),
        (json!({"secret": "sk-x", "weight": 1}), "unknown_parameter"),
    ] {
        world.post(path, MASTER, &body).refused(400, code);
    }
    let nowhere = "/api/v1/providers/nobody/credentials";
    world.post(nowhere, MASTER, &json!({"secret": "sk-x"})).refused(404, "not_found");
    for id in ["x", "cred_01aryz6s410000000000000000", "openai"] {
        let path = format!("/api/v1/credentials/{id}");
        world.patch(&path, MASTER, &json!({"disabled": true})).refused(404, "not_found");
        world.delete(&path, MASTER).refused(404, "not_found");
    }
    assert!(!world.data.path().join("data/credential.key").exists(), "nothing was sealed");
}

#[test]
fn calls_in_flight_keep_what_they_began_with() {
    let world = near();
    let key = world.any_key();
    add_mine(&world);
    add_credential(&world, "mine", CANARY);
    let slow = chat("mine/gpt-4o", r#"{"delay_ms":600}"#);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| world.post("/v1/chat/completions", &key.secret, &slow));
        while world.provider.requests().is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        world.delete("/api/v1/providers/mine", MASTER).is(200);
        call.join().unwrap().is(200);
    });
    let row = &world.rows_when(1)[0];
    assert_eq!((&row["provider"], &row["ending"]), (&json!("mine"), &json!("complete")));
}

#[test]
fn the_demo_steps_aside_for_the_first_provider() {
    let env = vec![("WEIR_ALLOW_PRIVATE_DESTINATIONS", "true".to_owned())];
    let world = World::with(Unusual { env, without_providers: true, ..Unusual::default() });
    let key = world.any_key();
    call(&world, &key, "demo/echo", "").is(200);
    add_mine(&world);
    add_credential(&world, "mine", CANARY);
    call(&world, &key, "demo/echo", "").refused(404, "model_not_found");
    call(&world, &key, "gpt-4o", "").is(200);
    world.delete("/api/v1/providers/mine", MASTER).is(200);
    call(&world, &key, "demo/echo", "").is(200);
}
