//! New secrets for old keys: when the old ones end, and what becomes of a secret somebody found.

use serde_json::{Value, json};

use crate::world::{MASTER, TestKey, Unusual, World};

fn rotate(world: &World, key: &TestKey, body: &Value) -> crate::world::Reply {
    world.post(&format!("/api/v1/keys/{}/rotate", key.id), MASTER, body)
}

fn new_secret(world: &World, key: &TestKey, body: &Value) -> String {
    rotate(world, key, body).is(200).json()["key"].as_str().unwrap().to_owned()
}

#[test]
fn rotating_ends_the_old_secret_at_once_and_the_key_goes_on() {
    let mut world = World::new();
    let key = world.key(&json!({"limit": 5, "name": "k"}));
    world.chat(&key.secret, "").is(200);
    let answer = rotate(&world, &key, &json!({})).is(200);
    let made = answer.json();
    let secret = made["key"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("lr_live_") && secret != key.secret);
    let data = &made["data"];
    assert_eq!(
        (&data["hash"], &data["name"], &data["limit"], &data["revision"]),
        (&json!(key.id), &json!("k"), &json!(5), &json!(2))
    );
    assert_ne!(data["usage"], 0);
    assert_eq!(data["secrets"].as_array().unwrap().len(), 1);
    assert_eq!(answer.header("etag"), "\"2\"");
    let refused = world.chat(&key.secret, "").refused(401, "key_revoked").json();
    assert!(refused["error"]["message"].as_str().unwrap().contains("rotated"), "{refused}");
    world.chat(&secret, "").is(200);
    // Never shown again, and the same after a restart.
    let path = format!("/api/v1/keys/{}", key.id);
    assert!(!world.get(&path, MASTER).is(200).text.contains(&secret));
    world.restart();
    world.chat(&secret, "").is(200);
    world.chat(&key.secret, "").refused(401, "key_revoked");
}

#[test]
fn after_a_grace_the_old_secret_ends_at_the_exact_moment() {
    let world = World::new();
    let key = world.any_key();
    let secret = new_secret(&world, &key, &json!({"grace_seconds": 60}));
    let path = format!("/api/v1/keys/{}", key.id);
    let secrets = world.get(&path, MASTER).is(200).json()["data"]["secrets"].clone();
    assert_eq!(secrets[0]["ends_at"], "2027-01-15T08:01:00Z");
    assert_eq!(secrets[1]["ends_at"], Value::Null);
    world.clock.advance_seconds(59);
    world.chat(&key.secret, "").is(200);
    world.chat(&secret, "").is(200);
    world.clock.advance_seconds(1);
    world.chat(&key.secret, "").refused(401, "key_revoked");
    world.get("/api/v1/key", &key.secret).refused(401, "key_revoked");
    world.chat(&secret, "").is(200);
    let secrets = world.get(&path, MASTER).is(200).json()["data"]["secrets"].clone();
    assert_eq!(secrets.as_array().unwrap().len(), 1);
}

#[test]
fn at_most_five_secrets_open_a_key_at_a_time() {
    let world = World::new();
    let key = world.any_key();
    let body = json!({"grace_seconds": 3_600});
    let mut secrets = vec![key.secret.clone()];
    for _ in 0..4 {
        secrets.push(new_secret(&world, &key, &body));
    }
    rotate(&world, &key, &body).refused(409, "conflict");
    for secret in &secrets {
        world.chat(secret, "").is(200);
    }
    let last = new_secret(&world, &key, &json!({}));
    for secret in &secrets {
        world.chat(secret, "").refused(401, "key_revoked");
    }
    world.chat(&last, "").is(200);
}

#[test]
fn what_cannot_be_rotated_and_how_not_to_ask() {
    let world = World::new();
    let revoked = world.any_key();
    world.delete(&format!("/api/v1/keys/{}", revoked.id), MASTER).is(200);
    rotate(&world, &revoked, &json!({})).refused(409, "conflict");
    let expired = world.key(&json!({"expires_at": "2027-01-15T08:00:01Z"}));
    world.clock.advance_seconds(1);
    rotate(&world, &expired, &json!({})).refused(409, "conflict");
    let key = world.any_key();
    for wrong in [json!(-1), json!(2_592_001), json!("60"), json!(1.5), json!(1e300), json!([])] {
        let refused = rotate(&world, &key, &json!({"grace_seconds": wrong}));
        assert_eq!(
            refused.refused(400, "invalid_value").json()["error"]["param"],
            "grace_seconds",
            "{wrong}"
        );
    }
    rotate(&world, &key, &json!({"grace": 1})).refused(400, "unknown_parameter");
    rotate(&world, &key, &json!({"secret": "short"})).refused(400, "invalid_value");
    let other = world.any_key();
    rotate(&world, &key, &json!({"secret": other.secret})).refused(409, "conflict");
    rotate(&world, &key, &json!({"secret": key.secret})).refused(409, "conflict");
    world.chat(&key.secret, "").is(200);
    // A disabled key may be given another secret before it is enabled again.
    world.patch(&format!("/api/v1/keys/{}", key.id), MASTER, &json!({"disabled": true})).is(200);
    let secret = new_secret(&world, &key, &json!({"secret": "a-secret-of-my-own"}));
    assert_eq!(secret, "a-secret-of-my-own");
    world.chat(&secret, "").refused(401, "key_disabled");
}

#[test]
fn the_key_of_calls_without_a_secret_has_none_to_rotate() {
    let env = vec![("WEIR_ALLOW_UNAUTHENTICATED", "true".to_owned())];
    let world = World::with(Unusual { env, ..Unusual::default() });
    let found = world.get("/api/v1/keys?search=anonymous", MASTER).is(200).json();
    let path = format!("/api/v1/keys/{}/rotate", found["data"][0]["hash"].as_str().unwrap());
    world.post(&path, MASTER, &json!({})).refused(409, "conflict");
    let chat = crate::world::chat("gpt-4o", "").to_string();
    let headers = [("content-type", "application/json")];
    world.send(http::Method::POST, "/v1/chat/completions", &headers, chat).is(200);
}

#[test]
fn a_management_key_rotates_its_own_keys_and_chooses_no_secret() {
    let world = World::new();
    let manager = world.key(&json!({"key_type": "management"}));
    let made = world.post("/api/v1/keys", &manager.secret, &json!({"name": "hers"})).is(201).json();
    let path = format!("/api/v1/keys/{}/rotate", made["data"]["hash"].as_str().unwrap());
    world.post(&path, &manager.secret, &json!({})).is(200);
    let chosen = json!({"secret": "a-secret-of-my-own"});
    world.post(&path, &manager.secret, &chosen).refused(400, "invalid_value");
    for other in [&world.any_key().id, &manager.id] {
        let path = format!("/api/v1/keys/{other}/rotate");
        world.post(&path, &manager.secret, &json!({})).refused(404, "not_found");
    }
    // The operator gives a management key another secret, which looks like one.
    let made = rotate(&world, &manager, &json!({})).is(200).json();
    let secret = made["key"].as_str().unwrap();
    assert!(secret.starts_with("lr_mgmt_"));
    world.get("/api/v1/keys", &manager.secret).refused(401, "key_revoked");
    assert_eq!(
        world.get("/api/v1/keys", secret).is(200).json()["data"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn a_secret_that_somebody_found_is_looked_up() {
    let world = World::new();
    let find = |who: &str, secret: &str| {
        world.post("/api/v1/keys/lookup", who, &json!({"secret": secret}))
    };
    let key = world.key(&json!({"name": "leaked"}));
    let found = find(MASTER, &key.secret).is(200);
    assert!(!found.text.contains(&key.secret));
    let found = found.json();
    assert_eq!(
        (&found["data"]["hash"], &found["data"]["status"]),
        (&json!(key.id), &json!("active"))
    );
    assert_eq!(found["secret"]["ends_at"], Value::Null);
    assert_eq!(found["key"], Value::Null);
    rotate(&world, &key, &json!({})).is(200);
    assert_eq!(
        find(MASTER, &key.secret).is(200).json()["secret"]["ends_at"],
        "2027-01-15T08:00:00Z"
    );
    world.delete(&format!("/api/v1/keys/{}", key.id), MASTER).is(200);
    assert_eq!(find(MASTER, &key.secret).is(200).json()["data"]["status"], "revoked");
    let manager = world.key(&json!({"key_type": "management"}));
    let nobody = find(&manager.secret, "sk-nobody-has-this").refused(404, "not_found");
    let not_mine = find(&manager.secret, &key.secret).refused(404, "not_found");
    assert_eq!(nobody.text, not_mine.text);
    find(&manager.secret, &manager.secret).refused(404, "not_found");
    let made = world.post("/api/v1/keys", &manager.secret, &json!({"name": "hers"})).is(201).json();
    find(&manager.secret, made["key"].as_str().unwrap()).is(200);
    find(MASTER, MASTER).refused(404, "not_found");
    for (body, code) in [
        (json!({}), "missing_required_parameter"),
        (json!({"secret": 7}), "invalid_value"),
        (json!({"secret": "x", "key": "y"}), "unknown_parameter"),
    ] {
        world.post("/api/v1/keys/lookup", MASTER, &body).refused(400, code);
    }
    // What was looked up is in no file.
    let data = world.data.path().join("data");
    for entry in std::fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        let holds = bytes.windows(key.secret.len()).any(|part| part == key.secret.as_bytes());
        assert!(!holds, "{}", path.display());
    }
}

/// What opens everything must not live on as a key once it is no longer the master key.
#[test]
fn the_master_key_is_no_keys_secret() {
    let world = World::new();
    let body = json!({"name": "k", "secret": MASTER});
    let refused = world.post("/api/v1/keys", MASTER, &body).refused(400, "invalid_value").json();
    assert_eq!(refused["error"]["param"], "secret");
    let key = world.any_key();
    let path = format!("/api/v1/keys/{}/rotate", key.id);
    world.post(&path, MASTER, &json!({"secret": MASTER})).refused(400, "invalid_value");
    world.get("/api/v1/key", &key.secret).is(200);
}

#[test]
fn a_revoked_secret_does_not_come_back() {
    let world = World::new();
    let key = world.key(&json!({"secret": "sk-was-here-before"}));
    let again = json!({"name": "again", "secret": "sk-was-here-before"});
    world.post("/api/v1/keys", MASTER, &again).refused(409, "conflict");
    world.delete(&format!("/api/v1/keys/{}", key.id), MASTER).is(200);
    world.post("/api/v1/keys", MASTER, &again).refused(409, "secret_revoked");
}
