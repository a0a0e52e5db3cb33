//! Limits on requests, tokens, money and calls in flight: what is refused and how, and what is made
//! to fit. What was held is what the provider was sent.

use std::time::Duration;

use serde_json::{Value, json};

use crate::owners::owner;
use crate::world::{MASTER, Reply, TestKey, Unusual, World, chat};

/// A chat with a maximum, whose answer is told to have used so much.
fn sized(max_tokens: Option<u64>, prompt: u64, output: u64) -> Value {
    let script = format!(r#"{{"prompt_tokens":{prompt},"output_tokens":{output}}}"#);
    let mut body = chat("gpt-4o", &script);
    if let Some(most) = max_tokens {
        body["max_tokens"] = json!(most);
    }
    body
}

fn post(world: &World, key: &TestKey, body: &Value) -> Reply {
    world.post("/v1/chat/completions", &key.secret, body)
}

/// The body that the provider got last.
fn sent(world: &World) -> Value {
    let requests = world.provider.requests();
    serde_json::from_str(requests.last().unwrap()["body"].as_str().unwrap()).unwrap()
}

fn error(reply: &Reply) -> Value {
    reply.json()["error"].clone()
}

fn number(reply: &Reply, header: &str) -> u64 {
    reply.header(header).parse().unwrap_or_else(|_| panic!("{header}: {}", reply.header(header)))
}

#[test]
fn requests_per_minute_are_told_and_kept() {
    let world = World::new();
    let key = world.key(&json!({"rpm": 2}));
    for left in ["1", "0"] {
        let answer = world.chat(&key.secret, "").is(200);
        assert_eq!(answer.header("x-ratelimit-limit-requests"), "2");
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), left);
        assert_eq!(answer.header("x-ratelimit-reset-requests"), "1m0s");
        world.clock.advance_seconds(20);
    }
    let refused = world.chat(&key.secret, "").refused(429, "rate_limit_exceeded");
    assert_eq!(refused.header("retry-after"), "20");
    assert_eq!(refused.header("retry-after-ms"), "20000");
    assert_eq!(refused.header("x-should-retry"), "");
    assert_eq!(refused.header("x-ratelimit-limit-requests"), "2");
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), "0");
    let told = error(&refused);
    assert_eq!((&told["type"], &told["param"]), (&json!("rate_limit_error"), &json!("rpm")));
    assert_eq!((&told["scope"], &told["scope_id"]), (&json!("key"), &json!(key.id)));
    assert_eq!((&told["unit"], &told["window"]), (&json!("requests"), &json!("60s")));
    assert_eq!(
        (&told["amount"], &told["spent"], &told["held"], &told["wanted"]),
        (&json!(2), &json!(2), &json!(0), &json!(1))
    );
    assert!(told["limit_id"].as_str().unwrap().starts_with("lim_"), "{told}");
    world.clock.advance_seconds(20);
    world.chat(&key.secret, "").is(200);
    assert_eq!(world.provider.requests().len(), 3);
}

#[test]
fn a_rate_of_nothing_blocks_and_no_retry_is_asked_for() {
    let world = World::new();
    let key = world.key(&json!({"rpm": 0}));
    let refused = world.chat(&key.secret, "").refused(429, "rate_limit_exceeded");
    assert_eq!(refused.header("x-should-retry"), "false");
    assert_eq!((refused.header("retry-after"), refused.header("retry-after-ms")), ("", ""));
    assert!(world.provider.requests().is_empty());
}

#[test]
fn anthropics_clients_are_refused_in_their_own_shape() {
    let world = World::new();
    let key = world.key(&json!({"rpm": 0}));
    let body = json!({"model": "claude-sonnet-4-20250514", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]});
    let refused =
        world.post("/v1/messages", &key.secret, &body).refused(429, "rate_limit_exceeded");
    assert_eq!(error(&refused)["type"], "rate_limit_error");
    assert_eq!(refused.header("x-should-retry"), "false");
}

#[test]
fn a_call_that_is_served_counts_until_its_last_byte() {
    let world = World::new();
    let key = world.key(&json!({"max_parallel": 1}));
    let body = chat("gpt-4o", r#"{"delay_ms":700}"#);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| post(&world, &key, &body).status);
        while world.provider.requests().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let refused = world.chat(&key.secret, "").refused(429, "concurrency_limit_exceeded");
        assert_eq!((refused.header("retry-after"), refused.header("x-should-retry")), ("1", ""));
        let told = error(&refused);
        assert_eq!((&told["unit"], &told["window"]), (&json!("in_flight"), &Value::Null));
        assert_eq!((&told["amount"], &told["held"]), (&json!(1), &json!(1)));
        assert_eq!(first.join().unwrap(), 200);
    });
    world.chat(&key.secret, "").is(200);
}

#[test]
fn tokens_per_minute_are_held_before_and_settled_after() {
    let world = World::new();
    let key = world.key(&json!({"tpm_limit": 2_000}));
    let answer = post(&world, &key, &sized(Some(1_000), 600, 900)).is(200);
    assert_eq!(answer.header("x-ratelimit-limit-tokens"), "2000");
    assert!((700..1_000).contains(&number(&answer, "x-ratelimit-remaining-tokens")));
    assert_eq!(world.rows()[0]["cost"], json!(0.0105));
    // 1,500 were used: 500 are left, of which the prompt's bound is a part.
    let clamped = post(&world, &key, &sized(Some(1_000), 10, 10)).is(200);
    let most = number(&clamped, "x-weir-max-tokens-clamped");
    assert!((256..500).contains(&most), "{most}");
    assert_eq!(sent(&world)["max_tokens"], most);
    post(&world, &key, &sized(Some(300), 200, 250)).is(200);
    let refused = post(&world, &key, &sized(Some(300), 10, 10)).refused(429, "rate_limit_exceeded");
    assert_eq!(refused.header("retry-after"), "60");
    assert_eq!(refused.header("x-ratelimit-remaining-tokens"), "30");
    let told = error(&refused);
    assert_eq!((&told["unit"], &told["param"]), (&json!("tokens"), &json!("tpm")));
    assert_eq!((&told["spent"], &told["held"]), (&json!(1_970), &json!(0)));
    world.clock.advance_seconds(61);
    post(&world, &key, &sized(Some(300), 10, 10)).is(200);
}

#[test]
fn a_call_that_fits_no_minute_is_the_callers_to_mend() {
    let world = World::new();
    let key = world.key(&json!({"tpm_limit": 1_000}));
    let mut body = sized(Some(100), 10, 10);
    let words = " one two three four five".repeat(400);
    body["messages"][0]["content"] = json!(words);
    let refused = post(&world, &key, &body).refused(400, "request_exceeds_limit");
    assert_eq!(refused.header("x-should-retry"), "false");
    assert_eq!(error(&refused)["amount"], 1_000);
    assert!(world.provider.requests().is_empty());
}

#[test]
fn tokens_of_a_day_come_back_with_the_next() {
    let world = World::new();
    let key = world.key(&json!({"daily_token_limit": 1_000}));
    post(&world, &key, &sized(Some(300), 200, 300)).is(200);
    post(&world, &key, &sized(Some(300), 150, 300)).is(200);
    let refused = post(&world, &key, &sized(Some(300), 1, 1)).refused(429, "rate_limit_exceeded");
    // 1,800,000,000 is 2027-01-15T08:00:00Z.
    assert_eq!(refused.header("retry-after"), (16 * 3_600).to_string());
    assert_eq!(refused.header("x-should-retry"), "false");
    assert_eq!(refused.header("x-ratelimit-reset-tokens"), "16h0m0s");
    let told = error(&refused);
    assert_eq!(
        (&told["window"], &told["resets_at"], &told["spent"]),
        (&json!("day"), &json!("2027-01-16T00:00:00Z"), &json!(950))
    );
    world.clock.advance_seconds(16 * 3_600);
    post(&world, &key, &sized(Some(300), 1, 1)).is(200);
}

#[test]
fn a_call_without_a_maximum_leaves_room_for_others() {
    let world = World::new();
    // Half of 0.1 dollars is some 5,000 tokens of output.
    let key = world.key(&json!({"limit": 0.1}));
    let clamped = post(&world, &key, &sized(None, 10, 10)).is(200);
    let most = number(&clamped, "x-weir-max-tokens-clamped");
    assert!((4_900..5_000).contains(&most), "{most}");
    assert_eq!(sent(&world)["max_completion_tokens"], most);
    // Enough for all that the model can give: that is what the provider is told.
    let rich = world.key(&json!({"limit": 10}));
    let whole = post(&world, &rich, &sized(None, 10, 10)).is(200);
    assert_eq!(whole.header("x-weir-max-tokens-clamped"), "");
    assert_eq!(sent(&world)["max_completion_tokens"], 16_384);
    // Legacy completions are short where nobody asks for more, and stay so.
    let body = json!({"model": "gpt-3.5-turbo-instruct", "prompt": "Hi"});
    world.post("/v1/completions", &rich.secret, &body).is(200);
    assert_eq!(sent(&world)["max_tokens"], 16);
    // Without a limit, nothing is touched.
    let any = world.any_key();
    let body = sized(None, 10, 10);
    post(&world, &any, &body).is(200);
    assert_eq!(world.provider.requests().last().unwrap()["body"], body.to_string());
}

#[test]
fn what_is_held_is_what_was_sent_times_the_answers() {
    let world = World::new();
    let key = world.key(&json!({"limit": 0.1}));
    let mut body = sized(Some(16_000), 10, 10);
    body["n"] = json!(4);
    let clamped = post(&world, &key, &body).is(200);
    let most = number(&clamped, "x-weir-max-tokens-clamped");
    // Four answers of ten micro-dollars a token, and a prompt.
    assert!(most * 4 < 10_000 && most * 4 > 9_900, "{most}");
    assert_eq!(sent(&world)["max_tokens"], most);
}

#[test]
fn a_maximum_is_not_lowered_below_the_floor() {
    let world = World::new();
    // 0.004 dollars are 400 tokens of output; half of it would be less than the floor.
    let key = world.key(&json!({"limit": 0.004}));
    let clamped = post(&world, &key, &sized(None, 10, 10)).is(200);
    assert_eq!(number(&clamped, "x-weir-max-tokens-clamped"), 256);
    // 0.002 dollars are 200 tokens: less than the floor, but what the client asked for fits.
    let poor = world.key(&json!({"limit": 0.002}));
    let refused = post(&world, &poor, &sized(None, 10, 10)).refused(402, "insufficient_quota");
    assert_eq!(refused.header("x-should-retry"), "false");
    let told = error(&refused);
    assert_eq!(
        (&told["unit"], &told["amount"], &told["spent"]),
        (&json!("money"), &json!("0.002"), &json!("0"))
    );
    post(&world, &poor, &sized(Some(1_000), 10, 10)).refused(402, "insufficient_quota");
    let small = post(&world, &poor, &sized(Some(100), 10, 10)).is(200);
    assert_eq!(small.header("x-weir-max-tokens-clamped"), "");
    let env = vec![("WEIR_FLOOR_TOKENS", "64".to_owned())];
    let low = World::with(Unusual { env, ..Unusual::default() });
    let poor = low.key(&json!({"limit": 0.002}));
    post(&low, &poor, &sized(None, 10, 10)).is(200);
}

#[test]
fn a_prompt_is_counted_in_tokens_where_its_bytes_do_not_fit() {
    let world = World::new();
    let key = world.key(&json!({"tpm_limit": 2_000}));
    let words = "the quick brown fox ".repeat(300);
    let mut body = json!({"model": "gpt-4o", "max_tokens": 300, "messages": [{"role": "user", "content": words}]});
    // 6,000 bytes are 1,200 tokens.
    let answer = post(&world, &key, &body).is(200);
    assert_eq!(answer.header("x-weir-max-tokens-clamped"), "");
    assert!((300..500).contains(&number(&answer, "x-ratelimit-remaining-tokens")));
    // No public vocabulary: bytes count.
    let other = world.key(&json!({"tpm_limit": 2_000}));
    body["model"] = json!("claude-sonnet-4-20250514");
    world.post("/v1/messages", &other.secret, &body).refused(400, "request_exceeds_limit");
}

#[test]
fn a_token_limit_needs_no_price_and_no_published_maximum() {
    let world = World::new();
    let key = world.key(&json!({"tpm_limit": 4_000}));
    let body = chat("gpt-99-unheard-of", r#"{"prompt_tokens":10,"output_tokens":10}"#);
    let clamped = post(&world, &key, &body).is(200);
    let most = number(&clamped, "x-weir-max-tokens-clamped");
    assert!((1_700..2_000).contains(&most), "{most}");
    assert_eq!(sent(&world)["max_completion_tokens"], most);
}

#[test]
fn what_no_answer_told_counts_as_held() {
    let world = World::new();
    let key = world.key(&json!({"tpm_limit": 2_000}));
    let mut body = chat("gpt-4o", r#"{"usage":"none","output_tokens":10}"#);
    body["max_tokens"] = json!(1_800);
    post(&world, &key, &body).is(200);
    let refused = post(&world, &key, &sized(Some(300), 10, 10)).refused(429, "rate_limit_exceeded");
    assert!(error(&refused)["spent"].as_i64().unwrap() > 1_800);
}

#[test]
fn speech_and_pictures_by_the_piece_have_a_bound() {
    let world = World::new();
    let key = world.key(&json!({"limit": 0.1}));
    let speech = json!({"model": "tts-1", "voice": "alloy", "input": "a".repeat(1_000)});
    world.post("/v1/audio/speech", &key.secret, &speech).is(200);
    assert_eq!(world.rows_when(1)[0]["cost"], json!(0.015));
    let long = json!({"model": "tts-1", "voice": "alloy", "input": "a".repeat(20_000)});
    world.post("/v1/audio/speech", &key.secret, &long).refused(402, "insufficient_quota");
    let by_token = json!({"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Hi"});
    world
        .post("/v1/audio/speech", &key.secret, &by_token)
        .refused(403, "unbounded_feature_for_hard_limit");
}

#[test]
fn a_provider_that_uses_more_tokens_than_it_may_is_booked_truthfully() {
    let world = World::new();
    let key = world.key(&json!({"tpm_limit": 2_000}));
    let mut body = chat("gpt-4o", r#"{"ignore_max":true,"prompt_tokens":10,"output_tokens":3000}"#);
    body["max_tokens"] = json!(10);
    post(&world, &key, &body).is(200);
    assert_eq!(world.rows()[0]["output_tokens"], 3_000);
    let refused = post(&world, &key, &sized(Some(10), 1, 1)).refused(429, "rate_limit_exceeded");
    assert_eq!(error(&refused)["spent"], 3_010);
}

#[test]
fn each_credential_that_was_tried_has_a_row_and_the_request_counts_once() {
    let two = "[providers.openai]\napi_keys = [\"sk-one\", \"sk-two\"]\nbase_url = \"{fake}/v1\"\n";
    let world = World::with(Unusual { settings_file: two, ..Unusual::default() });
    let key = world.key(&json!({"rpm": 5, "limit": 1}));
    let answer = world.chat(&key.secret, r#"{"status":429}"#);
    assert_eq!(answer.status, 429);
    let rows = world.rows();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows.iter().all(|row| row["cost"] == 0 && row["ending"] == "provider_error"));
    assert_ne!(rows[0]["id"], rows[1]["id"]);
    let next = world.chat(&key.secret, "").is(200);
    assert_eq!(next.header("x-ratelimit-remaining-requests"), "3");
}

#[test]
fn a_provider_that_cannot_be_reached_takes_no_request() {
    let down = "[providers.down]\napi_key = \"sk-x\"\nbase_url = \"http://127.0.0.1:9/v1\"\n";
    let world = World::with(Unusual { settings_file: down, ..Unusual::default() });
    let key = world.key(&json!({"rpm": 1}));
    post(&world, &key, &chat("down/m", "")).refused(502, "upstream_failed");
    world.chat(&key.secret, "").is(200);
    world.chat(&key.secret, "").refused(429, "rate_limit_exceeded");
}

#[test]
fn what_cannot_be_metered_is_refused_under_a_token_limit_too() {
    let world = World::new();
    let key = world.key(&json!({"daily_token_limit": 1_000_000}));
    for (path, body) in [
        ("/v1/assistants", json!({"model": "gpt-4o"})),
        ("/v1/responses", json!({"model": "gpt-4o", "input": "Hi", "background": true})),
        (
            "/v1/responses",
            json!({"model": "gpt-99-unheard-of", "input": "Hi", "previous_response_id": "resp_1"}),
        ),
    ] {
        world.post(path, &key.secret, &body).refused(403, "unbounded_feature_for_hard_limit");
    }
    // What is free counts as a request and as nothing else.
    let moderation = json!({"input": "Hi"});
    world.post("/v1/moderations", &key.secret, &moderation).is(200);
    assert!(world.get("/v1/models", &key.secret).is(200).text.contains("gpt-4o"));
    assert!(!world.get("/api/v1/keys", MASTER).is(200).text.is_empty());
}

/// R24: rate limits enforced at user level (two keys of one user share the user's limit).
#[test]
fn r24_the_keys_of_a_user_share_the_users_limit() {
    let world = World::new();
    let user = owner(&world, "users", &json!({"external_id": "ada", "rpm": 2}));
    let keys = [(); 2].map(|()| world.key(&json!({"user_id": user})));
    let other = world.any_key();
    for key in &keys {
        world.chat(&key.secret, "").is(200);
    }
    for key in &keys {
        let refused = world.chat(&key.secret, "").refused(429, "rate_limit_exceeded");
        let told = error(&refused);
        assert_eq!((&told["scope"], &told["scope_id"]), (&json!("user"), &json!(user)));
        assert!(told["message"].as_str().unwrap().contains("the user 'ada'"), "{told}");
    }
    world.chat(&other.secret, "").is(200);
}

#[test]
fn every_limit_must_have_room_and_one_that_has_none_takes_nothing() {
    let world = World::new();
    let team = owner(&world, "teams", &json!({"name": "search", "limit": 0.02}));
    let key = world.key(&json!({"team_id": team, "rpm": 1, "limit": 5}));
    post(&world, &key, &sized(Some(1_950), 10, 1_900)).is(200);
    // The key's minute is over, and the team's money is gone: for good goes before for a minute.
    let refused = post(&world, &key, &sized(Some(500), 10, 10)).refused(402, "insufficient_quota");
    assert!(error(&refused)["message"].as_str().unwrap().contains("the team 'search'"));
    world.clock.advance_seconds(60);
    post(&world, &key, &sized(Some(500), 10, 10)).refused(402, "insufficient_quota");
    // Nothing of the key's minute was taken by the calls that were refused.
    world.patch(&format!("/api/v1/teams/{team}"), MASTER, &json!({"limit": 1})).is(200);
    post(&world, &key, &sized(Some(500), 10, 10)).is(200);
    post(&world, &key, &sized(Some(500), 10, 10)).refused(429, "rate_limit_exceeded");
}

#[test]
fn an_address_is_the_callers_own_or_what_a_trusted_proxy_tells() {
    let world = World::new();
    let key = world.key(&json!({"allowed_addresses": ["203.0.113.0/24"]}));
    let call = |world: &World, key: &TestKey, told: &str| {
        let bearer = format!("Bearer {}", key.secret);
        let mut headers =
            vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        if !told.is_empty() {
            headers.push(("x-forwarded-for", told));
        }
        let body = chat("gpt-4o", "").to_string();
        world.send(http::Method::POST, "/v1/chat/completions", &headers, body)
    };
    for told in ["", "203.0.113.7"] {
        call(&world, &key, told).refused(403, "address_not_allowed");
    }
    world.get("/v1/models", &key.secret).refused(403, "address_not_allowed");
    assert!(world.provider.requests().is_empty());
    let env = vec![("WEIR_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8".to_owned())];
    let proxied = World::with(Unusual { env, ..Unusual::default() });
    let key = proxied.key(&json!({"allowed_addresses": ["203.0.113.0/24"]}));
    call(&proxied, &key, "203.0.113.7, 10.1.2.3").is(200);
    call(&proxied, &key, "203.0.113.7, 198.51.100.1, 10.1.2.3").refused(403, "address_not_allowed");
    call(&proxied, &key, "").refused(403, "address_not_allowed");
}

#[test]
fn what_a_provider_remembers_is_never_taken_for_a_few_bytes() {
    let world = World::new();
    let key = world.key(&json!({"limit": "0.02"}));
    for item in [
        json!({"id": "msg_123"}),
        json!({"id": "msg_123", "type": null}),
        json!({"type": "item_reference", "id": "msg_123"}),
        json!({"type": "reasoning", "id": "rs_1", "summary": []}),
    ] {
        let body = json!({"model": "gpt-4o", "max_output_tokens": 20,
            "input": [item, {"role": "user", "content": "Hi"}]});
        // The whole context window may be meant, and that costs more than is left.
        let reply = world.post("/v1/responses", &key.secret, &body);
        assert_eq!(reply.status, 402, "{body}: {}", reply.text);
    }
    let stored = json!({"model": "gpt-4o", "max_output_tokens": 20, "prompt": {"id": "pmpt_1"}});
    world
        .post("/v1/responses", &key.secret, &stored)
        .refused(403, "unbounded_feature_for_hard_limit");
    assert!(world.provider.log().is_empty());
}

#[test]
fn a_prompt_that_betas_may_lengthen_has_no_bound() {
    let world = World::new();
    let key = world.key(&json!({"limit": 5}));
    let body = json!({"model": "claude-sonnet-4-20250514", "max_tokens": 10, "messages": [{"role": "user",
        "content": [{"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}]}]});
    let headers = [
        ("x-api-key", key.secret.as_str()),
        ("content-type", "application/json"),
        ("anthropic-beta", "context-1m-2025-08-07"),
    ];
    let reply = world.send(http::Method::POST, "/v1/messages", &headers, body.to_string());
    reply.refused(403, "unbounded_feature_for_hard_limit");
}

#[test]
fn a_maximum_is_not_lowered_below_what_an_answer_may_think() {
    let world = World::new();
    let key = world.key(&json!({"limit": "0.05"}));
    let body = json!({"model": "claude-sonnet-4-20250514", "max_tokens": 16_000,
        "thinking": {"type": "enabled", "budget_tokens": 10_000},
        "messages": [{"role": "user", "content": "Hi"}]});
    world.post("/v1/messages", &key.secret, &body).refused(402, "insufficient_quota");
    assert!(world.provider.log().is_empty());
}

#[test]
fn requests_that_cost_nothing_are_counted_across_a_restart() {
    let mut world = World::new();
    let key = world.key(&json!({"limits": [
        {"unit": "requests", "amount": 2, "window": {"kind": "calendar", "period": "day"}}]}));
    let body = json!({"input": "Hi"});
    for _ in 0..2 {
        world.post("/v1/moderations", &key.secret, &body).is(200);
    }
    world.restart();
    world.post("/v1/moderations", &key.secret, &body).refused(429, "rate_limit_exceeded");
}

#[test]
fn an_own_recurring_limit_replaces_the_default() {
    let settings_file = r#"
[defaults.key]
recurring_limit = { amount = "0.00003", every = 6, unit = "hour" }
"#;
    let world = World::with(Unusual { settings_file, ..Unusual::default() });
    let poor = world.key(&json!({}));
    let own = world.key(&json!({"recurring_limit": {"amount": 100, "every": 6, "unit": "hour"}}));
    world.chat(&poor.secret, r#"{"output_tokens": 5}"#).refused(402, "insufficient_quota");
    world.chat(&own.secret, r#"{"output_tokens": 5}"#).is(200);
}

#[test]
fn what_is_observed_is_counted_and_told_and_never_refused() {
    let world = World::new();
    let key = world.key(&json!({"limits": [{"unit": "tokens", "amount": 50,
        "window": {"kind": "lifetime"}, "enforcement": "observe"}]}));
    for _ in 0..3 {
        let body = sized(Some(40), 20, 20);
        world.post("/v1/chat/completions", &key.secret, &body).is(200);
    }
    let path = format!("/api/v1/keys/{}/effective", key.id);
    let limit = world.get(&path, MASTER).is(200).json()["limits"][0].clone();
    assert_eq!((&limit["spent"], &limit["held"]), (&json!(120), &json!(0)));
}

#[test]
fn what_is_expected_admits_by_what_calls_usually_use() {
    let world = World::new();
    let key = world.key(&json!({"limits": [{"unit": "tokens", "amount": 20_000,
        "window": {"kind": "lifetime"}, "enforcement": "expected"}]}));
    // Each may use some 1,100 tokens, and uses 500.
    let body = sized(Some(1_000), 100, 400);
    let admitted = (0..60)
        .take_while(|_| world.post("/v1/chat/completions", &key.secret, &body).status == 200)
        .count();
    assert_eq!(admitted, 40, "all of it is used, though the last calls could have used more");
}
