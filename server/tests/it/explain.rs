//! What would become of a call, told before it is made: the same as becomes of it when it is.

use serde_json::{Value, json};

use crate::owners::owner;
use crate::world::{MASTER, TestKey, World};

fn explain(world: &World, key: &TestKey, body: &Value) -> Value {
    let path = format!("/api/v1/keys/{}/explain", key.id);
    world.post(&path, MASTER, body).is(200).json()
}

#[test]
fn a_call_that_fits_is_allowed_and_nothing_is_held() {
    let world = World::new();
    let key = world.key(&json!({"limit": 5, "tpm_limit": 100_000}));
    let answer = explain(
        &world,
        &key,
        &json!({"model": "gpt-4o", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}),
    );
    assert_eq!(
        (&answer["allowed"], &answer["clamped"], &answer["refusal"], &answer["succeeds_at"]),
        (&json!(true), &json!(false), &Value::Null, &Value::Null)
    );
    assert!(answer["wanted"]["tokens"].as_i64().unwrap() > 100, "{answer}");
    assert_eq!(answer["routes"][0]["provider"], "openai");
    for limit in answer["limits"].as_array().unwrap() {
        assert_eq!((&limit["spent"], &limit["held"]), (&json!(0), &json!(0)));
    }
    // The key may ask about itself, and gets the same answer.
    let own = json!({"model": "gpt-4o", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]});
    assert_eq!(world.post("/api/v1/key/explain", &key.secret, &own).is(200).json(), answer);
}

#[test]
fn a_call_that_would_be_lowered_says_to_what() {
    let world = World::new();
    let key = world.key(&json!({"limit": "0.02"}));
    let answer = explain(&world, &key, &json!({"model": "gpt-4o", "input_tokens": 100}));
    assert_eq!((&answer["allowed"], &answer["clamped"]), (&json!(true), &json!(true)), "{answer}");
    let most = answer["max_tokens"].as_u64().unwrap();
    assert!((256..16_384).contains(&most), "{most}");
}

#[test]
fn every_rule_that_speaks_is_told_with_whose_it_is() {
    let world = World::new();
    let team = owner(&world, "teams", &json!({"name": "search", "denied_models": ["gpt-4o"]}));
    let user = owner(&world, "users", &json!({"external_id": "u-1", "team_id": team}));
    let key = world.key(&json!({"user_id": user, "allowed_models": ["gpt-*"]}));
    let answer = explain(&world, &key, &json!({"model": "gpt-4o"}));
    assert_eq!((&answer["allowed"], &answer["succeeds_at"]), (&json!(false), &Value::Null));
    assert_eq!(
        (&answer["refusal"]["code"], &answer["refusal"]["status"]),
        (&json!("model_not_allowed"), &json!(403))
    );
    let rules = answer["routes"][0]["rules"].as_array().unwrap();
    let said: Vec<_> = rules
        .iter()
        .map(|rule| (rule["scope"].clone(), rule["rule"].clone(), rule["allows"].clone()))
        .collect();
    assert_eq!(
        said,
        [
            (json!("team"), json!("denied_models"), json!(false)),
            (json!("key"), json!("allowed_models"), json!(true)),
        ]
    );
    // The call itself is refused by the same rule.
    let chat = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]});
    world.post("/v1/chat/completions", &key.secret, &chat).refused(403, "model_not_allowed");
}

#[test]
fn an_address_is_asked_about_where_it_is_told() {
    let world = World::new();
    let key = world.key(&json!({"allowed_addresses": ["127.0.0.0/8", "::1"]}));
    let ask = |ip: &str| explain(&world, &key, &json!({"model": "gpt-4o", "ip": ip}));
    assert_eq!(ask("127.0.0.9")["allowed"], json!(true));
    let denied = ask("203.0.113.7");
    assert_eq!(denied["refusal"]["code"], json!("address_not_allowed"));
    assert_eq!(denied["address_rules"][0]["allows"], json!(false));
}

#[test]
fn it_tells_when_the_call_would_succeed_and_then_it_does() {
    let world = World::new();
    let key = world.key(&json!({"rpm": 1}));
    let chat = json!({"model": "gpt-4o", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]});
    world.post("/v1/chat/completions", &key.secret, &chat).is(200);
    let question = json!({"model": "gpt-4o", "max_tokens": 5});
    let answer = explain(&world, &key, &question);
    assert_eq!(answer["refusal"]["code"], json!("rate_limit_exceeded"), "{answer}");
    let at = answer["succeeds_at"].as_str().unwrap().to_owned();
    // Asked about that moment, it is allowed; and asking changed nothing about now.
    let mut later = question.clone();
    later["at"] = json!(at);
    assert_eq!(explain(&world, &key, &later)["allowed"], json!(true));
    world.post("/v1/chat/completions", &key.secret, &chat).refused(429, "rate_limit_exceeded");
    world.clock.advance_seconds(61);
    world.post("/v1/chat/completions", &key.secret, &chat).is(200);
}

#[test]
fn money_that_is_gone_comes_back_with_the_window_or_never() {
    let world = World::new();
    let question = json!({"model": "gpt-4o", "input_tokens": 10, "max_tokens": 300});
    let daily = world.key(&json!({"limit": "0.000001", "limit_reset": "daily"}));
    let answer = explain(&world, &daily, &question);
    assert_eq!(answer["refusal"]["status"], json!(402));
    // The next day has no more than this one, so waiting does not help.
    assert_eq!(answer["succeeds_at"], Value::Null);
}

#[test]
fn questions_that_make_no_sense_are_refused() {
    let world = World::new();
    let key = world.key(&json!({}));
    let path = format!("/api/v1/keys/{}/explain", key.id);
    for (body, code) in [
        (json!({}), "missing_required_parameter"),
        (json!({"model": "gpt-4o", "max_tokens": 0}), "invalid_value"),
        (json!({"model": "gpt-4o", "ip": "nowhere"}), "invalid_value"),
        (json!({"model": "gpt-4o", "at": "soon"}), "invalid_value"),
        (json!({"model": "gpt-4o", "input_tokens": 5, "messages": []}), "invalid_value"),
        (json!({"model": "gpt-4o", "mistake": 1}), "unknown_parameter"),
    ] {
        world.post(&path, MASTER, &body).refused(400, code);
    }
    let answer = explain(&world, &key, &json!({"model": "nobody-has-this"}));
    assert_eq!(answer["refusal"]["code"], json!("model_not_found"));
}
