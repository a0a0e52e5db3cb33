//! The keys API as its document describes it; each test is named after the statement it shows
//! (A: management and API keys). What keys may call is in `calls`.

use serde_json::{Value, json};

use crate::world::{MASTER, TestKey, World, chat};

fn manager(world: &World, name: &str) -> TestKey {
    world.key(&json!({"name": name, "key_type": "management"}))
}

#[test]
fn a1_two_key_types_with_their_own_prefixes() {
    let world = World::new();
    assert!(manager(&world, "m").secret.starts_with("lr_mgmt_"));
    assert!(world.any_key().secret.starts_with("lr_live_"));
}

#[test]
fn a2_a_management_key_creates_lists_updates_and_deletes() {
    let world = World::new();
    let manager = manager(&world, "m");
    let made = world.post("/api/v1/keys", &manager.secret, &json!({"name": "mine"})).is(201).json();
    let id = made["data"]["hash"].as_str().unwrap();
    let list = world.get("/api/v1/keys", &manager.secret).is(200).json();
    assert_eq!(list["data"][0]["hash"], id);
    let path = format!("/api/v1/keys/{id}");
    assert_eq!(
        world.patch(&path, &manager.secret, &json!({"name": "ours"})).is(200).json()["data"]["name"],
        "ours"
    );
    assert_eq!(world.delete(&path, &manager.secret).is(200).json()["deleted"], true);
}

#[test]
fn a3_an_api_key_makes_chat_embedding_and_other_calls() {
    let world = World::new();
    let key = world.any_key();
    world.chat(&key.secret, "").is(200);
    world
        .post(
            "/v1/embeddings",
            &key.secret,
            &json!({"model": "text-embedding-3-small", "input": "Hi"}),
        )
        .is(200);
    world.post("/v1/responses", &key.secret, &json!({"model": "gpt-4o", "input": "Hi"})).is(200);
}

#[test]
fn a4_to_a15_the_documents_own_example() {
    let world = World::new();
    let manager = manager(&world, "m");
    let body = json!({
        "name": "production-backend",
        "allowed_providers": ["openai", "anthropic"],
        "allowed_models": ["gpt-4o", "claude-sonnet-4-20250514"],
        "limit": 150,
        "limit_reset": "monthly",
        "expires_at": "2027-12-31T23:59:59Z",
    });
    let made = world.post("/api/v1/keys", &manager.secret, &body).is(201).json();
    // A12, A15: the secret stands beside data, here and never again.
    let secret = made["key"].as_str().unwrap();
    assert!(secret.starts_with("lr_live_"));
    let data = made["data"].as_object().unwrap();
    // A13, A14.
    let expected = json!({
        "name": "production-backend", "key_type": "regular", "disabled": false, "limit": 150,
        "limit_remaining": 150, "limit_reset": "monthly", "allowed_providers": ["openai", "anthropic"],
        "allowed_models": ["gpt-4o", "claude-sonnet-4-20250514"], "usage": 0,
        "created_at": "2027-01-15T08:00:00Z", "expires_at": "2027-12-31T23:59:59Z",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&data[name], value, "{name}");
    }
    let id = data["hash"].as_str().unwrap();
    for path in ["/api/v1/keys".to_owned(), format!("/api/v1/keys/{id}")] {
        assert!(!world.get(&path, &manager.secret).is(200).text.contains(secret), "{path}");
    }
}

#[test]
fn a5_and_l5_a_name_is_needed_and_is_stored_as_it_is() {
    let world = World::new();
    let refused =
        world.post("/api/v1/keys", MASTER, &json!({})).refused(400, "missing_required_parameter");
    assert_eq!(refused.json()["error"]["param"], "name");
    for name in ["", "  ", "line\nbreak", "\u{202e}txt"] {
        world.post("/api/v1/keys", MASTER, &json!({"name": name})).refused(400, "invalid_value");
    }
    let long = "x".repeat(10_000);
    world.post("/api/v1/keys", MASTER, &json!({"name": long})).refused(400, "invalid_value");
    let markup = "<script>alert(1)</script>";
    let made = world.post("/api/v1/keys", MASTER, &json!({"name": markup})).is(201).json();
    assert_eq!(made["data"]["name"], markup);
}

#[test]
fn a6_allowed_providers_and_a7_allowed_models_are_stored_and_shown() {
    let world = World::new();
    let made = world.post(
        "/api/v1/keys",
        MASTER,
        &json!({"name": "k", "allowed_providers": ["openai"], "allowed_models": ["gpt-*"]}),
    );
    let data = made.is(201).json()["data"].clone();
    assert_eq!(
        (&data["allowed_providers"], &data["allowed_models"]),
        (&json!(["openai"]), &json!(["gpt-*"]))
    );
    for wrong in [json!("openai"), json!([1]), json!([""]), json!(["a b"])] {
        let body = json!({"name": "k", "allowed_providers": wrong});
        assert_eq!(world.post("/api/v1/keys", MASTER, &body).status, 400, "{body}");
    }
}

#[test]
fn names_that_mean_nothing_are_refused_when_a_rule_is_written() {
    let world = World::new();
    let key = world.any_key();
    for (list, name) in [
        ("allowed_models", "gpt-4oo"),
        ("denied_models", "nobody/nothing"),
        ("allowed_providers", "opnai"),
        ("denied_providers", "x"),
    ] {
        let body = json!({"name": "k", list: ["*", name]});
        let refused = world.post("/api/v1/keys", MASTER, &body).refused(400, "invalid_rule");
        assert_eq!(refused.json()["error"]["param"], format!("{list}[1]"));
    }
    let path = format!("/api/v1/keys/{}", key.id);
    let change = json!({"allowed_models": ["gpt-4oo"]});
    world.patch(&path, MASTER, &change).refused(400, "invalid_rule");
    for good in ["gpt-4o", "claude-sonnet-4-20250514", "openai/anything", "deepseek-*", "o3"] {
        world.patch(&path, MASTER, &json!({"allowed_models": [good]})).is(200);
    }
}

#[test]
fn a8_a_limit_is_dollars_and_nothing_else() {
    let world = World::new();
    for good in [json!(150), json!(0.5), json!("12.34"), json!("0.000000001"), json!(0)] {
        world.post("/api/v1/keys", MASTER, &json!({"name": "k", "limit": good})).is(201);
    }
    let bad = [
        r"-1",
        r#""-0.01""#,
        r#""1,5""#,
        r#""NaN""#,
        r"0.123456789012",
        r"1000000000000000000000000000000",
        r"true",
        r"[1]",
    ];
    for limit in bad {
        let body = format!(r#"{{"name":"k","limit":{limit}}}"#);
        let headers =
            [("authorization", &*format!("Bearer {MASTER}")), ("content-type", "application/json")];
        let refused = world.send(http::Method::POST, "/api/v1/keys", &headers, body);
        assert_eq!(
            refused.refused(400, "invalid_value").json()["error"]["param"],
            "limit",
            "{limit}"
        );
    }
    let refused =
        world.post("/api/v1/keys", MASTER, &json!({"name": "k", "limit_reset": "monthly"}));
    assert_eq!(refused.refused(409, "conflict").json()["error"]["param"], "limit_reset");
    world
        .post("/api/v1/keys", MASTER, &json!({"name": "k", "limit": 1, "limit_reset": "hourly"}))
        .refused(400, "invalid_value");
}

#[test]
fn a10_a_key_expires_by_itself() {
    let world = World::new();
    let key = world.key(&json!({"expires_at": "2027-01-15T09:00:00+00:00"}));
    world.chat(&key.secret, "").is(200);
    world.clock.advance_seconds(3_599);
    world.chat(&key.secret, "").is(200);
    world.clock.advance_seconds(1);
    world.chat(&key.secret, "").refused(401, "key_expired");
    let path = format!("/api/v1/keys/{}", key.id);
    assert_eq!(world.get(&path, MASTER).is(200).json()["data"]["status"], "expired");
    for wrong in
        ["2020-01-01T00:00:00Z", "2027-12-31T23:59:59", "99999-01-01T00:00:00Z", "tomorrow"]
    {
        let body = json!({"name": "k", "expires_at": wrong});
        assert_eq!(
            world.post("/api/v1/keys", MASTER, &body).refused(400, "invalid_value").json()["error"]
                ["param"],
            "expires_at"
        );
    }
}

#[test]
fn a11_a_key_without_restrictions_may_use_everything() {
    let world = World::new();
    let key = world.any_key();
    let shown =
        world.get(&format!("/api/v1/keys/{}", key.id), MASTER).is(200).json()["data"].clone();
    for name in [
        "allowed_providers",
        "allowed_models",
        "limit",
        "limit_remaining",
        "limit_reset",
        "expires_at",
    ] {
        assert_eq!(shown[name], Value::Null, "{name}");
    }
    world.chat(&key.secret, "").is(200);
    let body = json!({"model": "claude-sonnet-4-20250514", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]});
    world.post("/v1/messages", &key.secret, &body).is(200);
}

#[test]
fn a16_and_a17_pages_by_size_token_and_offset() {
    let world = World::new();
    let manager = manager(&world, "m");
    for number in 0..5 {
        world.clock.advance_seconds(1);
        world
            .post("/api/v1/keys", &manager.secret, &json!({"name": format!("key {number}")}))
            .is(201);
    }
    let names = |page: &Value| -> Vec<String> {
        page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let page =
        |query: &str| world.get(&format!("/api/v1/keys?{query}"), &manager.secret).is(200).json();
    let first = page("page_size=2");
    assert_eq!(names(&first), ["key 4", "key 3"]);
    let token = first["next_page_token"].as_str().unwrap();
    let second = page(&format!("page_size=2&page_token={token}"));
    assert_eq!(names(&second), ["key 2", "key 1"]);
    let token = second["next_page_token"].as_str().unwrap();
    let last = page(&format!("page_size=2&page_token={token}"));
    assert_eq!((names(&last), &last["next_page_token"]), (vec!["key 0".to_owned()], &Value::Null));
    assert_eq!(names(&page("offset=4")), ["key 0"]);
    assert_eq!(names(&page("page_size=20")).len(), 5);
    for wrong in [
        "page_size=0",
        "page_size=-1",
        "page_size=1000000000",
        "page_token=garbage",
        "offset=x",
        "page=2",
        "page_size=1&page_size=2",
    ] {
        assert_eq!(
            world.get(&format!("/api/v1/keys?{wrong}"), &manager.secret).status,
            400,
            "{wrong}"
        );
    }
}

#[test]
fn a18_a_disabled_key_is_refused_by_the_next_call_and_works_again_when_enabled() {
    let world = World::new();
    let key = world.any_key();
    let path = format!("/api/v1/keys/{}", key.id);
    world.chat(&key.secret, "").is(200);
    assert_eq!(
        world.patch(&path, MASTER, &json!({"disabled": true})).is(200).json()["data"]["status"],
        "disabled"
    );
    world.chat(&key.secret, "").refused(401, "key_disabled");
    world.patch(&path, MASTER, &json!({"disabled": false})).is(200);
    world.chat(&key.secret, "").is(200);
}

#[test]
fn a19_the_documented_members_can_be_changed_and_nothing_else() {
    let world = World::new();
    let key = world.any_key();
    let path = format!("/api/v1/keys/{}", key.id);
    let change = json!({"name": "new", "limit": 5, "limit_reset": "daily", "allowed_providers": ["openai"], "allowed_models": ["gpt-4o"]});
    let data = world.patch(&path, MASTER, &change).is(200).json()["data"].clone();
    for (name, value) in change.as_object().unwrap() {
        assert_eq!(&data[name], value, "{name}");
    }
    world
        .post("/v1/chat/completions", &key.secret, &chat("gpt-4o-mini", ""))
        .refused(403, "model_not_allowed");
    let cleared = json!({"limit": null, "limit_reset": null, "allowed_providers": null, "allowed_models": null});
    let data = world.patch(&path, MASTER, &cleared).is(200).json()["data"].clone();
    for name in cleared.as_object().unwrap().keys() {
        assert_eq!(data[name], Value::Null, "{name}");
    }
    for name in [
        "key_type",
        "hash",
        "usage",
        "created_at",
        "updated_at",
        "created_by",
        "status",
        "label",
        "limit_remaining",
        "project_id",
        "user_id",
        "team_id",
        "secrets",
        "key",
        "secret",
    ] {
        world
            .patch(&path, MASTER, &json!({name: "2030-01-01T00:00:00Z"}))
            .refused(400, "unknown_parameter");
    }
}

#[test]
fn a20_and_a21_a_deleted_key_is_invalid_at_once_and_for_good() {
    let mut world = World::new();
    let key = world.any_key();
    let path = format!("/api/v1/keys/{}", key.id);
    world.chat(&key.secret, "").is(200);
    world.delete(&path, MASTER).is(200);
    world.chat(&key.secret, "").refused(401, "key_revoked");
    world.patch(&path, MASTER, &json!({"disabled": false})).refused(409, "conflict");
    world.delete(&path, MASTER).is(200);
    world.restart();
    world.chat(&key.secret, "").refused(401, "key_revoked");
}

#[test]
fn a22_the_hash_names_the_key_and_opens_nothing() {
    let world = World::new();
    let key = world.any_key();
    assert!(key.id.starts_with("key_"));
    world.chat(&key.id, "").refused(401, "invalid_api_key");
    world.get(&format!("/api/v1/keys/{}", key.secret), MASTER).refused(404, "not_found");
    world.get("/api/v1/keys/key_00000000000000000000000000", MASTER).refused(404, "not_found");
}

#[test]
fn a23_a_provider_outside_of_allowed_providers_is_refused() {
    let world = World::new();
    let key = world.key(&json!({"allowed_providers": ["anthropic"]}));
    world.chat(&key.secret, "").refused(403, "provider_not_allowed");
    assert!(world.provider.requests().is_empty());
}

#[test]
fn a24_a_model_outside_of_allowed_models_is_refused() {
    let world = World::new();
    let key = world.key(&json!({"allowed_models": ["gpt-4o"]}));
    world.chat(&key.secret, "").is(200);
    for model in ["gpt-4o-mini", "openai/gpt-4o-mini", "gpt-4"] {
        world
            .post("/v1/chat/completions", &key.secret, &chat(model, ""))
            .refused(403, "model_not_allowed");
    }
    world.post("/v1/chat/completions", &key.secret, &chat("openai/gpt-4o", "")).is(200);
    // A route that does not show its model is no way around the rule.
    world
        .post("/v1/assistants", &key.secret, &json!({"model": "gpt-4o"}))
        .refused(403, "unbounded_feature_for_hard_limit");
    assert_eq!(world.provider.requests().len(), 2);
}

#[test]
fn a27_keys_of_one_management_key_work_independently() {
    let world = World::new();
    let manager = manager(&world, "m");
    let make = |body: Value| {
        world.post("/api/v1/keys", &manager.secret, &body).is(201).json()["key"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let openai = make(json!({"name": "a", "allowed_providers": ["openai"]}));
    let anthropic = make(json!({"name": "b", "allowed_providers": ["anthropic"]}));
    world.chat(&openai, "").is(200);
    world.chat(&anthropic, "").refused(403, "provider_not_allowed");
    let body = json!({"model": "claude-sonnet-4-20250514", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]});
    world.post("/v1/messages", &anthropic, &body).is(200);
    assert_eq!(world.post("/v1/messages", &openai, &body).status, 403);
}

#[test]
fn a28_neither_type_works_as_the_other() {
    let world = World::new();
    let manager = manager(&world, "m");
    let key = world.any_key();
    world.chat(&manager.secret, "").refused(403, "wrong_key_type");
    world.get("/api/v1/keys", &key.secret).refused(403, "wrong_key_type");
    world.post("/api/v1/keys", &key.secret, &json!({"name": "x"})).refused(403, "wrong_key_type");
    world.chat(MASTER, "").refused(403, "wrong_key_type");
    assert!(world.provider.requests().is_empty());
}

#[test]
fn a29_a_management_key_owns_the_keys_it_made_and_sees_no_others() {
    let world = World::new();
    let (first, second) = (manager(&world, "first"), manager(&world, "second"));
    let made = world.post("/api/v1/keys", &first.secret, &json!({"name": "hers"})).is(201).json();
    let path = format!("/api/v1/keys/{}", made["data"]["hash"].as_str().unwrap());
    world.get(&path, &first.secret).is(200);
    let not_mine = world.get(&path, &second.secret).refused(404, "not_found");
    let nobody = world
        .get("/api/v1/keys/key_00000000000000000000000000", &second.secret)
        .refused(404, "not_found");
    assert_eq!(not_mine.text, nobody.text);
    world.patch(&path, &second.secret, &json!({"disabled": true})).refused(404, "not_found");
    world.delete(&path, &second.secret).refused(404, "not_found");
    assert_eq!(world.get("/api/v1/keys", &second.secret).is(200).json()["data"], json!([]));
    assert_eq!(
        world.get("/api/v1/keys", MASTER).is(200).json()["data"].as_array().unwrap().len(),
        3
    );
    world
        .post("/api/v1/keys", &first.secret, &json!({"name": "x", "key_type": "management"}))
        .refused(403, "wrong_key_type");
}

#[test]
fn a_key_tells_about_itself() {
    let world = World::new();
    let key = world.key(&json!({"name": "me", "limit": 2}));
    world.chat(&key.secret, "").is(200);
    let own = world.get("/api/v1/key", &key.secret).is(200).json()["data"].clone();
    assert_eq!(
        (&own["name"], &own["hash"], &own["limit"]),
        (&json!("me"), &json!(key.id), &json!(2))
    );
    assert!(own["usage"].as_f64().unwrap() > 0.0, "{own}");
    world.get("/api/v1/key", MASTER).refused(403, "wrong_key_type");
}

#[test]
fn a_secret_that_somebody_chose_is_for_the_operator_only_and_for_one_key() {
    let world = World::new();
    let manager = manager(&world, "m");
    let body = json!({"name": "moved", "secret": "sk-abc123def456"});
    world.post("/api/v1/keys", &manager.secret, &body).refused(400, "invalid_value");
    world.post("/api/v1/keys", MASTER, &body).is(201);
    world.chat("sk-abc123def456", "").is(200);
    world.post("/api/v1/keys", MASTER, &body).refused(409, "conflict");
    let mistyped = format!("{}x", &world.any_key().secret[..51]);
    let body = json!({"name": "x", "secret": mistyped});
    world.post("/api/v1/keys", MASTER, &body).refused(400, "invalid_value");
}

#[test]
fn unknown_members_are_told_and_nothing_is_made() {
    let world = World::new();
    let refused = world
        .post("/api/v1/keys", MASTER, &json!({"name": "k", "nmae": "x"}))
        .refused(400, "unknown_parameter");
    assert_eq!(refused.json()["error"]["param"], "nmae");
    assert_eq!(world.get("/api/v1/keys", MASTER).is(200).json()["data"], json!([]));
}
