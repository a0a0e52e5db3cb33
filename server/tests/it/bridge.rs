//! The operator's own file, config.json: edited by hand while Weir runs, and written by it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::world::{MASTER, Reply, Unusual, World};

/// The example of the documentation, as it stands.
const EXAMPLE: &str = r#"{
"api_keys": [
    {
        "name": "Production App",
        "key": "sk-abc123def456",
        "rpm": 120,
        "created": 1717200000
    },
    {
        "name": "Dev / Testing",
        "key": "sk-xyz789",
        "rpm": 10,
        "created": 1717200001
    }
]
}"#;

pub(crate) fn path(world: &World) -> PathBuf {
    world.data.path().join("config.json")
}

pub(crate) fn file(world: &World) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path(world)).unwrap()).unwrap()
}

/// Puts another file in its place, as editors do.
pub(crate) fn put(world: &World, text: &str) {
    let beside = world.data.path().join("config.json.swp");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(&beside, path(world)).unwrap();
}

fn edit(world: &World, change: impl FnOnce(&mut Value)) {
    let mut value = file(world);
    change(&mut value);
    put(world, &serde_json::to_string_pretty(&value).unwrap());
}

fn bridged(config_json: &'static str) -> World {
    World::with(Unusual { config_json, ..Unusual::default() })
}

fn listed(world: &World) -> Vec<Value> {
    let keys = world.get("/api/v1/keys", MASTER).is(200).json();
    keys["data"].as_array().unwrap().clone()
}

fn named(world: &World, name: &str) -> Value {
    listed(world).into_iter().find(|key| key["name"] == name).unwrap_or_default()
}

fn create(world: &World, body: &Value) -> Value {
    world.post("/create-key", MASTER, body).is(200).json()
}

fn form(world: &World, path: &str, body: &str) -> Reply {
    let bearer = format!("Bearer {MASTER}");
    let headers =
        [("authorization", bearer.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    world.send(Method::POST, path, &headers, body.to_owned())
}

fn lines(world: &World) -> Vec<Value> {
    file(world)["api_keys"].as_array().cloned().unwrap_or_default()
}

// M1, M3: Bearer on POST /api/v1/chat/completions. M13: the example entries load. M9: `name` is the label.
#[test]
fn m1_m3_m9_m13_the_documented_example_loads_as_it_stands() {
    let world = bridged(EXAMPLE);
    for secret in ["sk-abc123def456", "sk-xyz789"] {
        let body = crate::world::chat("gpt-4o", "");
        world.post("/api/v1/chat/completions", secret, &body).is(200);
    }
    for (name, rpm, created) in [
        ("Production App", 120, "2024-06-01T00:00:00Z"),
        ("Dev / Testing", 10, "2024-06-01T00:00:01Z"),
    ] {
        let key = named(&world, name);
        assert_eq!((&key["rpm"], &key["created_at"]), (&json!(rpm), &json!(created)), "{key}");
    }
    // Four members and nothing else of ours: nobody's text is rewritten for its own sake.
    assert_eq!(listed(&world).len(), 2);
}

// M51: `lmb-yourKeyHere` is a valid key value. M20: an arbitrary string works. And whatever looks like a
// secret of ours with a wrong checksum, where the operator wrote it.
#[test]
fn m20_m51_any_visible_string_is_a_key_in_the_file() {
    let odd = format!("sk-{}", "a".repeat(44));
    let mut world = bridged(
        r#"{"api_keys": [{"name": "My app", "key": "lmb-yourKeyHere", "rpm": 60, "created": 1700000000}]}"#,
    );
    world.chat("lmb-yourKeyHere", "").is(200);
    world.chat(&odd, "").refused(401, "invalid_api_key");
    let secrets = ["x", "!\"#$%&'()*+,-./", "lr_live_short", odd.as_str()];
    edit(&world, |file| {
        for secret in secrets {
            file["api_keys"].as_array_mut().unwrap().push(json!(secret));
        }
    });
    for secret in secrets {
        world.chat(secret, "").is(200);
    }
    // Named by their places, and still so when the program wrote the file.
    create(&world, &json!({"name": "another"}));
    let names: Vec<_> = lines(&world).iter().map(|line| line["name"].clone()).collect();
    assert_eq!(json!(names), json!(["My app", "key 2", "key 3", "key 4", "key 5", "another"]));
    world.restart();
    for secret in secrets {
        world.chat(secret, "").is(200);
    }
}

// M6: exactly name, key, rpm, created. M7, M25: rpm absent → 60. M8: created is set automatically.
#[test]
fn m6_m7_m8_m25_what_a_line_leaves_out_is_set() {
    let world = bridged(
        r#"{"api_keys": [{"name": "bare", "key": "sk-bare"}, {"key": "sk-nameless", "rpm": 5}]}"#,
    );
    let lines = lines(&world);
    let members: Vec<_> = lines[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(members.len(), 4);
    assert!(["created", "key", "name", "rpm"].iter().all(|name| members.iter().any(|m| m == name)));
    assert_eq!((&lines[0]["rpm"], &lines[0]["created"]), (&json!(60), &json!(1_800_000_000)));
    assert_eq!((&lines[1]["name"], &lines[1]["rpm"]), (&json!("key 2"), &json!(5)));
    // What the program writes is the digest, and the file is its owner's alone.
    assert!(lines[0]["key"].as_str().unwrap().starts_with("sha256:"), "{lines:?}");
    let rights = std::fs::metadata(path(&world)).unwrap().permissions().mode();
    assert_eq!(rights & 0o777, 0o600);
    world.chat("sk-bare", "").is(200);
    world.chat("sk-nameless", "").is(200);
}

// M10, M16–M19, M25, M52, M58: POST /create-key makes a random value, shows it once and saves it at once.
#[test]
fn m10_m16_m17_m18_m19_m52_m58_create_key_makes_saves_and_shows_once() {
    let world = World::new();
    assert!(!path(&world).exists());
    let made = create(&world, &json!({"name": "from json"}));
    let members: Vec<_> = made.as_object().unwrap().keys().collect();
    assert_eq!(members.len(), 5, "{made}");
    assert_eq!((&made["name"], &made["rpm"]), (&json!("from json"), &json!(60)));
    let secret = made["key"].as_str().unwrap();
    assert!(secret.starts_with("sk-") && secret.len() == 47, "{secret}");
    world.chat(secret, "").is(200);
    let other = form(&world, "/create-key", "name=from+a+form&rpm=7").is(200).json();
    assert_eq!((&other["name"], &other["rpm"]), (&json!("from a form"), &json!(7)));
    assert_ne!(other["key"], made["key"]);
    let text = std::fs::read_to_string(path(&world)).unwrap();
    assert!(!text.contains(secret), "a secret is in the file");
    assert_eq!(lines(&world).len(), 2);
    assert_eq!(lines(&world)[1]["rpm"], 7);
    let rights = std::fs::metadata(path(&world)).unwrap().permissions().mode();
    assert_eq!(rights & 0o777, 0o600);
    for (body, code) in [
        (json!({}), "missing_required_parameter"),
        (json!({"name": ""}), "invalid_value"),
        (json!({"name": "x", "rpm": -1}), "invalid_value"),
        (json!({"name": "x", "rpm": "5"}), "invalid_value"),
        (json!({"name": "x", "key": "chosen"}), "unknown_parameter"),
    ] {
        let refused = world.post("/create-key", MASTER, &body).refused(400, code);
        assert_eq!(refused.json()["detail"], refused.json()["error"]["message"]);
    }
    assert_eq!(lines(&world).len(), 2);
}

// M21, M22, M53: POST /delete-key: the entry leaves at once, and the key stops working.
#[test]
fn m21_m22_m53_delete_key_takes_the_line_and_the_key_at_once() {
    let world = bridged(EXAMPLE);
    let made = create(&world, &json!({"name": "third"}));
    let secret = made["key"].as_str().unwrap();
    let id = made["id"].as_str().unwrap();
    form(&world, "/delete-key", &format!("key_id={id}")).is(200);
    world.chat(secret, "").refused(401, "key_revoked");
    assert_eq!(lines(&world).len(), 2);
    // Again: the same.
    assert_eq!(
        world.post("/delete-key", MASTER, &json!({"id": id})).is(200).json()["deleted"],
        true
    );
    // By its name, and by its secret.
    world.post("/delete-key", MASTER, &json!({"name": "Production App"})).is(200);
    world.post("/delete-key", MASTER, &json!({"key": "sk-xyz789"})).is(200);
    assert!(lines(&world).is_empty());
    for secret in ["sk-abc123def456", "sk-xyz789"] {
        world.chat(secret, "").refused(401, "key_revoked");
    }
    let gone =
        world.post("/delete-key", MASTER, &json!({"id": "nobody"})).refused(404, "not_found");
    assert!(gone.json()["detail"].is_string());
    // What a command ended does not come back with an old copy of the file.
    put(&world, EXAMPLE);
    world.chat("sk-xyz789", "").refused(401, "key_revoked");
    world.get("/api/v1/bridge", MASTER).is(200);
    assert!(lines(&world).is_empty(), "{}", file(&world));
}

// M22: taken out by hand, it stops; put back by hand, it works again.
#[test]
fn m22_a_line_taken_out_by_hand_ends_its_key_and_put_back_makes_one() {
    let world = bridged(EXAMPLE);
    world.chat("sk-xyz789", "").is(200);
    let before = named(&world, "Dev / Testing")["hash"].clone();
    edit(&world, |file| drop(file["api_keys"].as_array_mut().unwrap().pop()));
    world.chat("sk-xyz789", "").refused(401, "key_revoked");
    world.chat("sk-abc123def456", "").is(200);
    put(&world, EXAMPLE);
    world.chat("sk-xyz789", "").is(200);
    assert_ne!(named(&world, "Dev / Testing")["hash"], before);
}

// M11, M12, M24, M54: a rolling 60-second window per key; over it 429. Two keys do not share.
#[test]
fn m11_m12_m24_m54_each_key_has_its_own_rolling_minute() {
    let world = bridged(
        r#"{"api_keys": [{"name": "a", "key": "sk-a", "rpm": 2, "created": 1}, {"name": "b", "key": "sk-b", "rpm": 2, "created": 1}]}"#,
    );
    world.clock.advance_seconds(50);
    world.chat("sk-a", "").is(200);
    world.clock.advance_seconds(20);
    // Another minute of the clock, the same 60 seconds.
    world.chat("sk-a", "").is(200);
    world.chat("sk-a", "").refused(429, "rate_limit_exceeded");
    world.chat("sk-b", "").is(200);
    world.clock.advance_seconds(41);
    world.chat("sk-a", "").is(200);
    world.chat("sk-a", "").refused(429, "rate_limit_exceeded");
}

// M26, M27: rpm changes by hand or by form, and is in force for the next request. M28: 0 blocks.
#[test]
fn m26_m27_m28_a_changed_rpm_is_in_force_for_the_next_request() {
    let world = bridged(EXAMPLE);
    for rpm in [1, 3, 0, 2, 100] {
        world.clock.advance_seconds(120);
        edit(&world, |file| file["api_keys"][1]["rpm"] = json!(rpm));
        for _ in 0..rpm.min(4) {
            world.chat("sk-xyz789", "").is(200);
        }
        if rpm < 100 {
            let refused = world.chat("sk-xyz789", "").refused(429, "rate_limit_exceeded");
            let may_come_back = !refused.header("retry-after").is_empty();
            assert_eq!(may_come_back, rpm > 0, "{rpm}");
            if rpm == 0 {
                assert_eq!(refused.header("x-should-retry"), "false");
            }
        }
    }
    let id = named(&world, "Dev / Testing")["hash"].as_str().unwrap().to_owned();
    world.post("/update-key", MASTER, &json!({"id": id, "rpm": 0})).is(200);
    world.chat("sk-xyz789", "").refused(429, "rate_limit_exceeded");
    assert_eq!(lines(&world)[1]["rpm"], 0);
    assert_eq!(form(&world, "/update-key", &format!("id={id}&rpm=33")).is(200).json()["rpm"], 33);
    world.patch(&format!("/api/v1/keys/{id}"), MASTER, &json!({"name": "renamed"})).is(200);
    let line = &lines(&world)[1];
    assert_eq!((&line["rpm"], &line["name"]), (&json!(33), &json!("renamed")));
    // No limit of that kind at all is null, and stays so.
    world.patch(&format!("/api/v1/keys/{id}"), MASTER, &json!({"rpm": null})).is(200);
    assert_eq!(lines(&world)[1]["rpm"], Value::Null);
    edit(&world, |file| file["password"] = json!("a-password"));
    assert_eq!(named(&world, "renamed")["rpm"], Value::Null);
    // Deleted by hand, it is what a new key gets.
    edit(&world, |file| drop(file["api_keys"][1].as_object_mut().unwrap().remove("rpm")));
    assert_eq!(world.get("/api/v1/bridge", MASTER).is(200).json()["keys"], 2);
    assert_eq!(named(&world, "renamed")["rpm"], 60);
}

// M23: create-new, switch, delete-old works with both keys valid at once. M4: any number of keys.
#[test]
fn m4_m23_old_and_new_are_valid_together() {
    let world = bridged(EXAMPLE);
    let made = create(&world, &json!({"name": "Production App"}));
    let new = made["key"].as_str().unwrap();
    world.chat("sk-abc123def456", "").is(200);
    world.chat(new, "").is(200);
    // Two have the name: it does not say which.
    world.post("/delete-key", MASTER, &json!({"name": "Production App"})).refused(409, "conflict");
    world.post("/delete-key", MASTER, &json!({"key": "sk-abc123def456"})).is(200);
    world.chat("sk-abc123def456", "").refused(401, "key_revoked");
    world.chat(new, "").is(200);
    for number in 0..20 {
        create(&world, &json!({"name": format!("app {number}")}));
    }
    assert_eq!(lines(&world).len(), 22);
    assert_eq!(listed(&world).len(), 22);
}

fn stats_when(world: &World, wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..1_000 {
        let stats = file(world)["usage_stats"].clone();
        if wanted(&stats) {
            return stats;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{}", file(world));
}

// M5, M29, M30, M31: counts per key in `usage_stats`; cleared while stopped they begin again.
#[test]
fn m5_m29_m30_m31_counters_live_in_the_file_and_are_cleared_while_stopped() {
    let mut world = bridged(EXAMPLE);
    let id = named(&world, "Dev / Testing")["hash"].as_str().unwrap().to_owned();
    for model in ["gpt-4o", "gpt-4o", "gpt-4o-mini"] {
        world.post("/v1/chat/completions", "sk-xyz789", &crate::world::chat(model, "")).is(200);
    }
    let wanted =
        json!({"name": "Dev / Testing", "total": 3, "models": {"gpt-4o": 2, "gpt-4o-mini": 1}});
    let stats = stats_when(&world, |stats| stats[&id]["total"] == 3);
    assert_eq!(stats, json!({&id: wanted.clone()}));
    let shown = world.get("/api/v1/bridge", MASTER).is(200).json();
    assert_eq!(shown["usage_stats"][&id], wanted);
    world.restart();
    assert_eq!(file(&world)["usage_stats"][&id]["total"], 3);
    world.stop();
    edit(&world, |file| file["usage_stats"] = json!({}));
    world.start();
    let shown = world.get("/api/v1/bridge", MASTER).is(200).json();
    assert_eq!(shown["usage_stats"], json!({}));
    world.chat("sk-xyz789", "").is(200);
    stats_when(&world, |stats| stats[&id]["total"] == 1);
    // At a stop the last calls are in it.
    world.chat("sk-xyz789", "").is(200);
    world.stop();
    assert_eq!(file(&world)["usage_stats"][&id]["total"], 2);
    world.start();
    // The ledger is untouched.
    assert_eq!(world.rows().len(), 5);
}

// M32, M40, M48: auth tokens, cf_clearance and what nobody here knows stay as they are.
#[test]
fn m32_m40_m48_what_is_not_a_key_is_kept_as_it_was() {
    let world = bridged(
        r#"{"zzz": {"b": 1, "a": [2, 3]}, "auth_tokens": ["base64-eyJ...<token one>...", "base64-eyJ...<token two>..."],
            "cf_clearance": "your-cf_clearance-value-here", "user_agent": "Mozilla/5.0", "aaa": 1e2, "api_keys": []}"#,
    );
    let shown = world.get("/api/v1/bridge", MASTER).is(200);
    assert!(!shown.text.contains("base64-") && !shown.text.contains("your-cf"), "{}", shown.text);
    let shown = shown.json();
    assert_eq!((&shown["auth_tokens"], &shown["cf_clearance"]), (&json!(2), &json!(true)));
    create(&world, &json!({"name": "x"}));
    let text = std::fs::read_to_string(path(&world)).unwrap();
    for kept in [
        r#""zzz": {"b": 1, "a": [2, 3]}"#,
        r#""auth_tokens": ["base64-eyJ...<token one>...", "base64-eyJ...<token two>..."]"#,
        r#""cf_clearance": "your-cf_clearance-value-here""#,
        r#""aaa": 1e2"#,
    ] {
        assert!(text.contains(kept), "{kept} is not in {text}");
    }
    assert!(
        text.find("zzz") < text.find("auth_tokens") && text.find("aaa") < text.find("api_keys")
    );
    // A token is no key, and a key no token.
    world.chat("base64-eyJ...<token", "").refused(401, "invalid_api_key");
}

// M50: without a valid key refused, unless unauthenticated access is configured.
#[test]
fn m50_calls_without_a_key_are_served_only_where_the_file_says_so() {
    let world = bridged(r#"{"api_keys": []}"#);
    let call = || {
        let body = crate::world::chat("gpt-4o", "").to_string();
        world.send(
            Method::POST,
            "/v1/chat/completions",
            &[("content-type", "application/json")],
            body,
        )
    };
    call().refused(401, "missing_api_key");
    world.chat("sk-wrong", "").refused(401, "invalid_api_key");
    edit(&world, |file| file["allow_unauthenticated"] = json!(true));
    call().is(200);
    assert_eq!(named(&world, "anonymous")["status"], "active");
    // A wrong secret is still a wrong secret.
    world.chat("sk-wrong", "").refused(401, "invalid_api_key");
    edit(&world, |file| file["allow_unauthenticated"] = json!(false));
    call().refused(401, "missing_api_key");
}

#[test]
fn a_mistake_in_the_file_leaves_what_it_said_in_force_and_is_told() {
    let world = bridged(EXAMPLE);
    let management = world.key(&json!({"key_type": "management"}));
    let broken = [
        ("{ \"api_keys\": [", "line 1, column 15"),
        ("", "line 1, column 0"),
        (r#"{"api_keys": [{"name": "x", "key": "sk-new", "rpm": "many"}]}"#, "api_keys[0].rpm"),
        (r#"{"api_keys": ["sk-new", "sk-new"]}"#, "api_keys[1]"),
        (r#"{"api_keys": [], "api_keys": []}"#, "line 1, column 32"),
        (r#"{"api_keys": ["a-master-key-for-tests-only-0123456789"]}"#, "api_keys[0].key"),
    ];
    for (text, place) in broken {
        put(&world, text);
        world.chat("sk-xyz789", "").is(200);
        world.chat("sk-new", "").refused(401, "invalid_api_key");
        let shown = world.get("/api/v1/bridge", MASTER).is(200).json();
        assert_eq!(shown["mistake"]["place"], place, "{text}: {shown}");
        assert_eq!(shown["keys"], 2);
        let refused = world.post("/create-key", MASTER, &json!({"name": "x"}));
        refused.refused(409, "conflict");
        assert_eq!(std::fs::read_to_string(path(&world)).unwrap(), text);
        assert_eq!(listed(&world).len(), 3);
    }
    put(&world, &json!({"api_keys": [management.secret]}).to_string());
    let shown = world.get("/api/v1/bridge", MASTER).is(200).json();
    assert_eq!(shown["mistake"]["place"], "api_keys[0].key");
    // A key that a command ends meanwhile leaves with the next good text, old as that may be.
    let id = named(&world, "Dev / Testing")["hash"].as_str().unwrap().to_owned();
    world.delete(&format!("/api/v1/keys/{id}"), MASTER).is(200);
    world.chat("sk-xyz789", "").refused(401, "key_revoked");
    put(&world, EXAMPLE);
    world.chat("sk-abc123def456", "").is(200);
    let shown = world.get("/api/v1/bridge", MASTER).is(200).json();
    assert_eq!((&shown["mistake"], &shown["keys"]), (&Value::Null, &json!(1)));
    world.chat("sk-xyz789", "").refused(401, "key_revoked");
}

#[test]
fn a_file_that_is_gone_takes_no_key_with_it() {
    let mut world = bridged(EXAMPLE);
    std::fs::remove_file(path(&world)).unwrap();
    world.chat("sk-xyz789", "").is(200);
    world.restart();
    world.chat("sk-xyz789", "").is(200);
    assert!(!path(&world).exists());
    create(&world, &json!({"name": "third"}));
    assert_eq!(lines(&world).len(), 3);
}

#[test]
fn edits_while_weir_is_stopped_count_too() {
    let mut world = bridged(EXAMPLE);
    create(&world, &json!({"name": "third"}));
    world.stop();
    edit(&world, |file| {
        let lines = file["api_keys"].as_array_mut().unwrap();
        lines.remove(0);
        lines[0]["name"] = json!("renamed");
        lines.push(json!({"name": "by hand", "key": "sk-by-hand", "rpm": 1}));
    });
    world.start();
    world.chat("sk-abc123def456", "").refused(401, "key_revoked");
    world.chat("sk-xyz789", "").is(200);
    world.chat("sk-by-hand", "").is(200);
    let names: Vec<_> = lines(&world).iter().map(|line| line["name"].clone()).collect();
    assert_eq!(json!(names), json!(["renamed", "third", "by hand"]));
}

/// An editor that was opened before a key was made, and saved after, has not deleted it.
#[test]
fn an_old_buffer_saved_over_the_file_undoes_nothing() {
    let world = bridged(EXAMPLE);
    create(&world, &json!({"name": "first"}));
    let old = file(&world);
    let made = create(&world, &json!({"name": "second"}));
    let id = named(&world, "Dev / Testing")["hash"].as_str().unwrap().to_owned();
    world.post("/update-key", MASTER, &json!({"id": id, "rpm": 77})).is(200);
    world.post("/delete-key", MASTER, &json!({"name": "first"})).is(200);
    let mut buffer = old;
    buffer["api_keys"][0]["rpm"] = json!(5);
    put(&world, &buffer.to_string());
    world.chat(made["key"].as_str().unwrap(), "").is(200);
    let shown = |name: &str| named(&world, name)["rpm"].clone();
    assert_eq!((shown("Production App"), shown("Dev / Testing")), (json!(5), json!(77)));
    let names: Vec<_> = lines(&world).iter().map(|line| line["name"].clone()).collect();
    assert_eq!(json!(names), json!(["Production App", "Dev / Testing", "second"]));
}

#[test]
fn a_key_of_the_keys_api_that_is_written_into_the_file_has_a_line_from_then_on() {
    let world = bridged(r#"{"api_keys": []}"#);
    let key = world.key(&json!({"name": "made elsewhere", "rpm": 9, "limit": 5}));
    edit(&world, |file| file["api_keys"] = json!([key.secret]));
    world.get("/api/v1/bridge", MASTER).is(200);
    assert_eq!(lines(&world)[0]["name"], "made elsewhere");
    assert_eq!(
        (&lines(&world)[0]["rpm"], &named(&world, "made elsewhere")["limit"]),
        (&json!(9), &json!(5))
    );
    world.delete(&format!("/api/v1/keys/{}", key.id), MASTER).is(200);
    assert!(lines(&world).is_empty());
}

#[test]
fn acts_by_hand_are_in_the_audit_trail() {
    let mut world = bridged(EXAMPLE);
    edit(&world, |file| file["api_keys"][0]["rpm"] = json!(1));
    world.get("/api/v1/bridge", MASTER).is(200);
    edit(&world, |file| drop(file["api_keys"].as_array_mut().unwrap().pop()));
    world.get("/api/v1/bridge", MASTER).is(200);
    world.stop();
    let database = world.data.path().join("data/weir.db");
    let bytes = std::fs::read(database).unwrap();
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(
        has("config.jsonkey.create")
            && has("config.jsonkey.update")
            && has("config.jsonkey.revoke")
    );
    for secret in ["sk-abc123def456", "sk-xyz789"] {
        assert!(!has(secret), "a secret is in the database");
    }
    world.start();
}

/// The line of a secret that was rotated says nothing about the key any more: whatever else is
/// changed meanwhile stands, and nobody edited anything.
#[test]
fn a_rotated_keys_old_line_leaves_the_file_and_changes_nothing() {
    let world = bridged("");
    for (number, rotation) in [json!({}), json!({"grace_seconds": 1})].into_iter().enumerate() {
        let name = format!("blocked {number}");
        let made = create(&world, &json!({"name": name, "rpm": 60}));
        let id = made["id"].as_str().unwrap();
        let turned = world.post(&format!("/api/v1/keys/{id}/rotate"), MASTER, &rotation).is(200);
        world.clock.advance_seconds(2);
        let change = world.patch(&format!("/api/v1/keys/{id}"), MASTER, &json!({"rpm": 0})).is(200);
        let secret = turned.json()["key"].as_str().unwrap().to_owned();
        for _ in 0..3 {
            let told = world.get("/api/v1/key", &secret).is(200).json()["data"].clone();
            assert_eq!(
                (&told["rpm"], &told["revision"]),
                (&json!(0), &change.json()["data"]["revision"])
            );
            assert_eq!(named(&world, &name)["rpm"], 0);
            std::thread::sleep(Duration::from_millis(200));
        }
        let audit = world.get(&format!("/api/v1/audit?subject={id}"), MASTER).is(200).json();
        let actors: Vec<_> =
            audit["data"].as_array().unwrap().iter().map(|act| act["actor"].clone()).collect();
        assert_eq!(actors, ["operator"; 3]);
    }
}
