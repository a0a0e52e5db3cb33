//! How a provider's failure reaches a client: told apart from ours and from the caller's, in the
//! caller's dialect, with nothing of the provider's that is not on the list.

use serde_json::{Value, json};

use crate::world::{Unusual, World, chat};

#[test]
fn a_providers_failures_are_told_as_the_providers() {
    let world = World::with(Unusual {
        env: vec![
            ("WEIR_FIRST_BYTE_TIMEOUT", "1".to_owned()),
            ("WEIR_ANSWER_BYTES_MAX", "1000000".to_owned()),
        ],
        ..Unusual::default()
    });
    let key = world.any_key();
    for (script, status, code) in [
        (r#"{"status":500}"#, 502, "upstream_failed"),
        (r#"{"status":503}"#, 502, "upstream_failed"),
        (r#"{"status":529}"#, 502, "upstream_failed"),
        (r#"{"status":302}"#, 502, "upstream_failed"),
        (r#"{"garbage":"html"}"#, 502, "upstream_invalid_response"),
        (r#"{"garbage":"truncated_json"}"#, 502, "upstream_invalid_response"),
        (r#"{"garbage":"bytes"}"#, 502, "upstream_invalid_response"),
        (r#"{"headers":{"content-encoding":"gzip"}}"#, 502, "upstream_invalid_response"),
        (r#"{"big_body_mb":2}"#, 502, "upstream_invalid_response"),
        (r#"{"cut_after_bytes":20}"#, 502, "upstream_failed"),
        (r#"{"never_answer":true}"#, 504, "upstream_timeout"),
    ] {
        world.chat(&key.secret, script).refused(status, code);
    }
}

#[test]
fn a_providers_401_is_never_the_callers() {
    for status in [401, 402, 403] {
        let world = World::new();
        let key = world.any_key();
        world
            .chat(&key.secret, &format!(r#"{{"status":{status}}}"#))
            .refused(502, "upstream_credential_rejected");
        // What is denied to one call is no reason to refuse the next.
        world.chat(&key.secret, "").is(200);
    }
    let world = World::new();
    let key = world.any_key();
    let gemini = r#"{"status":400,"error_body":{"error":{"message":"API key not valid. Please pass a valid API key."}}}"#;
    world.chat(&key.secret, gemini).refused(502, "upstream_credential_rejected");
}

#[test]
fn a_credential_that_was_refused_rests_while_another_works() {
    let env = vec![("OPENAI_API_KEY", "sk-one,sk-two".to_owned())];
    let world = World::with(Unusual { env, ..Unusual::default() });
    let key = world.any_key();
    world.chat(&key.secret, r#"{"status":401}"#).refused(502, "upstream_credential_rejected");
    // Both rest, and both are tried all the same: a provider is not given up.
    world.chat(&key.secret, "").is(200);
    world.clock.advance_seconds(61);
    world.chat(&key.secret, "").is(200);
}

#[test]
fn another_credential_is_tried_when_one_is_refused() {
    let world = World::with(Unusual {
        env: vec![("OPENAI_API_KEY", "sk-one,sk-two,sk-three".to_owned())],
        ..Unusual::default()
    });
    let key = world.any_key();
    world.chat(&key.secret, r#"{"status":401}"#).refused(502, "upstream_credential_rejected");
    let seen: Vec<Value> =
        world.provider.requests().iter().map(|request| request["secret_seen"].clone()).collect();
    assert_eq!(seen.len(), 3);
    assert!(seen[0] != seen[1] && seen[1] != seen[2], "{seen:?}");
    // Every attempt has its row, and none of them cost anything.
    let rows = world.rows();
    let names: Vec<_> = rows.iter().map(|row| row["credential"].as_str().unwrap()).collect();
    assert_eq!(names, ["openai#3", "openai#2", "openai#1"]);
    assert!(rows.iter().all(|row| row["cost"] == 0 && row["status"] == 401), "{rows:?}");
}

#[test]
fn credentials_take_turns() {
    let world = World::with(Unusual {
        env: vec![("OPENAI_API_KEY", "sk-one,sk-two".to_owned())],
        ..Unusual::default()
    });
    let key = world.any_key();
    for _ in 0..4 {
        world.chat(&key.secret, "").is(200);
    }
    let names: Vec<Value> = world.rows().iter().map(|row| row["credential"].clone()).collect();
    assert_eq!(names, [json!("openai#2"), json!("openai#1"), json!("openai#2"), json!("openai#1")]);
}

#[test]
fn a_providers_rate_limit_passes_its_wait_on() {
    let world = World::new();
    let key = world.any_key();
    let refused = world
        .chat(&key.secret, r#"{"status":429,"retry_after":"7"}"#)
        .refused(429, "upstream_rate_limited");
    assert_eq!(refused.header("retry-after"), "7");
}

#[test]
fn what_the_provider_finds_wrong_with_a_request_is_passed_on_as_it_wrote_it() {
    let world = World::new();
    let key = world.any_key();
    let script = r#"{"status":400,"error_body":{"error":{"message":"no such tool","type":"invalid_request_error","param":"tools","code":null}}}"#;
    let answer = world.chat(&key.secret, script).is(400);
    assert_eq!(answer.json()["error"]["message"], "no such tool");
    assert_eq!(answer.header("x-weir-error-from"), "provider");
    let row = world.rows()[0].clone();
    assert_eq!((&row["cost"], &row["ending"]), (&json!(0), &json!("provider_error")));
}

#[test]
fn a_provider_that_is_not_there_is_told_as_unreachable_and_costs_nothing() {
    let world = World::with(Unusual {
        settings_file: "[providers.gone]\nbase_url = \"http://127.0.0.1:9/v1\"\n",
        ..Unusual::default()
    });
    let key = world.any_key();
    world
        .post("/v1/chat/completions", &key.secret, &chat("gone/model", ""))
        .refused(502, "upstream_failed");
    assert!(world.rows().is_empty());
}

#[test]
fn a_providers_headers_stay_behind_but_for_a_list() {
    let world = World::new();
    let key = world.any_key();
    let script = r#"{"headers":{"set-cookie":"a=b","x-ratelimit-remaining-requests":"5","server":"secret-host","openai-model":"theirs-too"}}"#;
    let answer = world.chat(&key.secret, script).is(200);
    for name in ["set-cookie", "x-ratelimit-remaining-requests", "server"] {
        assert!(answer.headers.get(name).is_none(), "{name}");
    }
    assert_eq!(answer.header("openai-model"), "theirs-too");
    assert!(answer.header("x-upstream-request-id").starts_with("req_"));
    assert_ne!(answer.header("x-upstream-request-id"), answer.header("x-request-id"));
    assert!(answer.header("x-request-id").starts_with("req_"));
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[test]
fn errors_on_messages_are_in_anthropics_envelope() {
    let world = World::new();
    let key = world.any_key();
    let body = |script: &str| json!({"model": "claude-sonnet-4-20250514", "max_tokens": 5, "messages": [{"role": "user", "content": format!("<<{script}>>")}]});
    let refused =
        world.post("/v1/messages", "sk-nobody", &body("{}")).refused(401, "invalid_api_key").json();
    assert_eq!(
        (&refused["type"], &refused["error"]["type"]),
        (&json!("error"), &json!("authentication_error"))
    );
    let broken = world
        .post("/v1/messages", &key.secret, &body(r#"{"status":529}"#))
        .refused(502, "upstream_failed")
        .json();
    assert_eq!(broken["error"]["type"], "api_error");
    assert!(broken["request_id"].as_str().unwrap().starts_with("req_"));
}
