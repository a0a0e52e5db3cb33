//! L, A: what may be spent on a key for ever and per period, the rules of its list's last column, and
//! what can be done to a key there. How limits are written and shown is in `key_limits`.

use serde_json::{Value, json};

use crate::world::{MASTER, Reply, TestKey, World, chat};

/// A call that costs exactly 0.00425 dollars, and is held at little more before it.
fn spend(world: &World, key: &TestKey) -> Reply {
    let mut body = chat("gpt-4o", r#"{"prompt_tokens":100,"output_tokens":400}"#);
    body["max_tokens"] = json!(400);
    world.post("/v1/chat/completions", &key.secret, &body)
}

/// Spends until the limit per such a window has no room for another call.
#[track_caller]
fn exhaust(world: &World, key: &TestKey, calls: usize, window: &str) {
    for _ in 0..calls {
        spend(world, key).is(200);
    }
    let refused = spend(world, key).refused(402, "insufficient_quota");
    assert_eq!(refused.json()["error"]["window"], window);
    assert_eq!(refused.header("x-should-retry"), "false");
}

fn recurring(amount: f64, every: u64, unit: &str) -> Value {
    json!({"recurring_limit": {"amount": amount, "every": every, "unit": unit}})
}

fn path(key: &TestKey) -> String {
    format!("/api/v1/keys/{}", key.id)
}

fn shown(world: &World, key: &TestKey) -> Value {
    world.get(&path(key), MASTER).is(200).json()["data"].clone()
}

fn change(world: &World, key: &TestKey, body: &Value) -> Value {
    world.patch(&path(key), MASTER, body).is(200).json()["data"].clone()
}

// L8: minimum recurring window 1 hour. L9: maximum 12 months. L10: units hour, day, week, month.
#[test]
fn l8_l9_l10_a_window_is_one_hour_to_twelve_months_in_four_units() {
    let world = World::new();
    for (every, unit, resets_at) in [
        (1, "hour", "2027-01-15T09:00:00Z"),
        (36, "hour", "2027-01-16T20:00:00Z"),
        (1, "day", "2027-01-16T08:00:00Z"),
        (366, "day", "2028-01-16T08:00:00Z"),
        (1, "week", "2027-01-22T08:00:00Z"),
        (52, "week", "2028-01-14T08:00:00Z"),
        (1, "month", "2027-02-15T08:00:00Z"),
        (12, "month", "2028-01-15T08:00:00Z"),
    ] {
        let made = shown(&world, &world.key(&recurring(5.0, every, unit)));
        let told = &made["recurring_limit"];
        assert_eq!((&told["every"], &told["unit"]), (&json!(every), &json!(unit)));
        assert_eq!(told["resets_at"], resets_at, "{every} {unit}");
    }
    for (every, unit) in [
        (json!(0), "hour"),
        (json!(0.5), "hour"),
        (json!(59), "minute"),
        (json!(3600), "second"),
        (json!(8_785), "hour"),
        (json!(367), "day"),
        (json!(53), "week"),
        (json!(13), "month"),
        (json!(1), "year"),
    ] {
        let limit = json!({"amount": 5, "every": every, "unit": unit});
        let body = json!({"name": "k", "recurring_limit": limit});
        world.post("/api/v1/keys", MASTER, &body).refused(400, "invalid_value");
    }
    // The shortest and the longest do what they say.
    let shortest = world.key(&recurring(0.01, 1, "hour"));
    let longest = world.key(&recurring(0.01, 12, "month"));
    exhaust(&world, &shortest, 2, "1 hour");
    exhaust(&world, &longest, 2, "12 months");
    world.clock.advance_seconds(3_599);
    spend(&world, &shortest).refused(402, "insufficient_quota");
    world.clock.advance_seconds(1);
    spend(&world, &shortest).is(200);
    world.clock.advance_seconds(365 * 86_400 - 3_601);
    spend(&world, &longest).refused(402, "insufficient_quota");
    world.clock.advance_seconds(1);
    spend(&world, &longest).is(200);
}

// L11: both limits may be set together and are independent. L15: recurring usage is tracked
// separately from lifetime usage.
#[test]
fn l11_l15_both_limits_stand_together_and_are_counted_apart() {
    let world = World::new();
    let mut body = recurring(0.01, 1, "day");
    body["limit"] = json!(0.015);
    let key = world.key(&body);
    let told = || {
        let data = shown(&world, &key);
        let period = &data["recurring_limit"];
        json!([data["usage"], data["limit_remaining"], period["spent"], period["remaining"]])
    };
    assert_eq!(told(), json!([0, 0.015, 0, 0.01]));
    exhaust(&world, &key, 2, "1 day");
    assert_eq!(told(), json!([0.0085, 0.0065, 0.0085, 0.0015]));
    // Another day: the period is new, and what was ever spent stays.
    world.clock.advance_seconds(86_400);
    assert_eq!(told(), json!([0.0085, 0.0065, 0, 0.01]));
    exhaust(&world, &key, 1, "lifetime");
    assert_eq!(told(), json!([0.01275, 0.00225, 0.00425, 0.00575]));
    // Each is changed and taken away without the other.
    change(&world, &key, &json!({"limit": null}));
    assert_eq!(told(), json!([0.01275, null, 0.00425, 0.00575]));
    exhaust(&world, &key, 1, "1 day");
    change(&world, &key, &json!({"recurring_limit": null}));
    spend(&world, &key).is(200);
}

// L12: all-time limit reached -> requests rejected until the key is updated.
#[test]
fn l12_what_is_spent_for_ever_is_refused_until_the_key_is_updated() {
    let world = World::new();
    let key = world.key(&json!({"limit": 0.01}));
    exhaust(&world, &key, 2, "lifetime");
    world.clock.advance_seconds(3 * 366 * 86_400);
    spend(&world, &key).refused(402, "insufficient_quota");
    change(&world, &key, &json!({"limit": 0.014}));
    exhaust(&world, &key, 1, "lifetime");
    change(&world, &key, &json!({"limit": null}));
    spend(&world, &key).is(200);
    assert_eq!(world.provider.requests().len(), 4);
}

// L13: recurring limit reached -> rejected until updated or the next window begins. L18: usage for
// the window resets automatically at expiry.
#[test]
fn l13_l18_what_is_spent_in_a_window_is_refused_until_an_update_or_the_next() {
    let mut world = World::new();
    let key = world.key(&recurring(0.01, 6, "hour"));
    exhaust(&world, &key, 2, "6 hours");
    // An update.
    change(&world, &key, &recurring(0.014, 6, "hour"));
    exhaust(&world, &key, 1, "6 hours");
    // The next window, to the second; nobody has to do anything.
    world.clock.advance_seconds(6 * 3_600 - 1);
    spend(&world, &key).refused(402, "insufficient_quota");
    assert_eq!(shown(&world, &key)["recurring_limit"]["spent"], 0.01275);
    world.clock.advance_seconds(1);
    let told = shown(&world, &key)["recurring_limit"].clone();
    assert_eq!((&told["spent"], &told["remaining"]), (&json!(0), &json!(0.014)));
    assert_eq!(told["period_started_at"], "2027-01-15T14:00:00Z");
    exhaust(&world, &key, 3, "6 hours");
    // Windows that nobody looked at, some of them while Weir was stopped, leave nothing behind.
    world.stop();
    world.clock.advance_seconds(20 * 3_600);
    world.start();
    assert_eq!(shown(&world, &key)["recurring_limit"]["resets_at"], "2027-01-16T14:00:00Z");
    exhaust(&world, &key, 3, "6 hours");
}

// L14: `$50` all-time; `$10 / 1 day`; `$500 / 1 month` are valid settings.
#[test]
fn l14_the_documented_limits_can_be_set() {
    let world = World::new();
    let integration = world.key(&json!({"name": "integration", "limit": 50}));
    let data = shown(&world, &integration);
    assert_eq!((&data["limit"], &data["limit_remaining"]), (&json!(50), &json!(50)));
    assert_eq!((&data["limit_reset"], &data["recurring_limit"]), (&Value::Null, &Value::Null));
    for (amount, unit, resets_at) in
        [(10, "day", "2027-01-16T08:00:00Z"), (500, "month", "2027-02-15T08:00:00Z")]
    {
        let set = json!({"recurring_limit": {"amount": amount, "every": 1, "unit": unit}});
        let key = world.key(&set);
        let data = shown(&world, &key);
        let told = &data["recurring_limit"];
        assert_eq!((&told["amount"], &told["remaining"]), (&json!(amount), &json!(amount)));
        assert_eq!((&told["resets_at"], &data["limit"]), (&json!(resets_at), &Value::Null));
        spend(&world, &key).is(200);
    }
    spend(&world, &integration).is(200);
}

// L21: the list's columns. L23: limits, all-time and recurring. L24: whether rules are configured.
#[test]
fn l21_l23_l24_a_list_has_what_its_columns_show() {
    let world = World::new();
    let mut body = recurring(10.0, 1, "day");
    body["name"] = json!("staging");
    body["limit"] = json!(50);
    body["denied_models"] = json!(["o3"]);
    let (strict, plain) = (world.key(&body), world.key(&json!({"name": "plain"})));
    spend(&world, &strict).is(200);
    change(&world, &plain, &json!({"disabled": true}));
    let listed = world.get("/api/v1/keys?sort=-name", MASTER).is(200);
    assert!(!listed.text.contains(&strict.secret) && !listed.text.contains(&plain.secret));
    let rows = listed.json()["data"].clone();
    let (first, second) = (&rows[0], &rows[1]);
    assert_eq!((&first["name"], &second["name"]), (&json!("staging"), &json!("plain")));
    let end = &strict.secret[strict.secret.len() - 4..];
    assert_eq!(first["label"], format!("lr_live_...{end}"));
    assert_eq!((&first["status"], &second["status"]), (&json!("active"), &json!("disabled")));
    assert_eq!(first["created_at"], "2027-01-15T08:00:00Z");
    assert_eq!((&first["usage"], &second["usage"]), (&json!(0.00425), &json!(0)));
    assert_eq!(first["recurring_limit"]["spent"], 0.00425);
    assert_eq!((&first["limit"], &first["recurring_limit"]["amount"]), (&json!(50), &json!(10)));
    assert_eq!((&second["limit"], &second["recurring_limit"]), (&Value::Null, &Value::Null));
    assert_eq!((rules_of(first), rules_of(second)), (vec!["denied_models"], vec![]));
}

/// The rules that a row shows.
fn rules_of(row: &Value) -> Vec<&str> {
    let is_rule = |name: &str| name.starts_with("allowed_") || name.starts_with("denied_");
    let members = row.as_object().unwrap().iter();
    members
        .filter(|(name, value)| is_rule(name) && !value.is_null())
        .map(|(name, _)| name.as_str())
        .collect()
}

// What can be done to a key: L25 update limits (both) · L26 disable and enable without deleting ·
// L27 configure rules (models, providers, pricing tiers) · L28 open usage details (requests and usage
// of that key) · L29 delete permanently.
#[test]
fn l25_to_l29_what_can_be_done_to_a_key_in_the_list() {
    let world = World::new();
    let (key, other) = (world.key(&json!({"limit": 0.01})), world.any_key());
    exhaust(&world, &key, 2, "lifetime");
    let mut limits = recurring(2.0, 1, "week");
    limits["limit"] = json!(7);
    let changed = change(&world, &key, &limits);
    assert_eq!((&changed["limit"], &changed["recurring_limit"]["amount"]), (&json!(7), &json!(2)));
    spend(&world, &key).is(200);

    change(&world, &key, &json!({"disabled": true}));
    spend(&world, &key).refused(401, "key_disabled");
    let enabled = change(&world, &key, &json!({"disabled": false}));
    assert_eq!((&enabled["limit"], &enabled["usage"]), (&json!(7), &json!(0.01275)));
    spend(&world, &key).is(200);

    for (rule, code) in [
        (json!({"denied_models": ["gpt-4o"]}), "model_not_allowed"),
        (json!({"allowed_providers": ["anthropic"]}), "provider_not_allowed"),
        (json!({"allowed_pricing": ["free"]}), "price_not_allowed"),
    ] {
        world.put(&format!("{}/rules", path(&key)), MASTER, &rule).is(200);
        spend(&world, &key).refused(403, code);
    }
    world.put(&format!("{}/rules", path(&key)), MASTER, &json!({})).is(200);

    spend(&world, &other).is(200);
    let sums = world.get(&format!("{}/usage", path(&key)), MASTER).is(200).json();
    assert_eq!(
        (&sums["totals"]["calls"], &sums["totals"]["cost"]),
        (&json!(4), &json!(0.017)),
        "{sums}"
    );
    let calls = format!("/api/v1/usage/calls?key={}", key.id);
    let calls = world.get(&calls, MASTER).is(200).json()["data"].clone();
    assert_eq!(calls.as_array().unwrap().len(), 4);
    assert!(calls.as_array().unwrap().iter().all(|call| call["cost"] == 0.00425), "{calls}");

    world.delete(&path(&key), MASTER).is(200);
    spend(&world, &key).refused(401, "key_revoked");
    world.patch(&path(&key), MASTER, &json!({"disabled": false})).refused(409, "conflict");
    spend(&world, &other).is(200);
}

// L30: allow and deny models · L31: providers · L32: pricing · L33: a key with rules stays valid,
// limited to the subset.
#[test]
fn l30_to_l33_a_key_with_rules_is_valid_for_what_they_leave() {
    let world = World::new();
    world.put("/api/v1/prices/openai/gpt-4o-mini", MASTER, &json!({"free": true})).is(200);
    let hi = json!([{"role": "user", "content": "Hi"}]);
    // gpt-4o can cost up to 4.25 dollars per million input tokens, Claude 3.
    for (rules, passes, code) in [
        (json!({}), [true, true, true], ""),
        (json!({"allowed_models": ["gpt-4o"]}), [true, false, false], "model_not_allowed"),
        (json!({"denied_models": ["gpt-4o"]}), [false, true, true], "model_not_allowed"),
        (json!({"allowed_providers": ["anthropic"]}), [false, false, true], "provider_not_allowed"),
        (json!({"denied_providers": ["anthropic"]}), [true, true, false], "provider_not_allowed"),
        (json!({"allowed_pricing": ["free"]}), [false, true, false], "price_not_allowed"),
        (json!({"denied_pricing": ["free"]}), [true, false, true], "price_not_allowed"),
        (json!({"max_price": {"input": 4}}), [false, true, true], "price_not_allowed"),
    ] {
        let key = world.key(&rules);
        let claude = "claude-sonnet-4-20250514";
        for (model, passes) in ["gpt-4o", "gpt-4o-mini", claude].into_iter().zip(passes) {
            let path = if model == claude { "/v1/messages" } else { "/v1/chat/completions" };
            let body = json!({"model": model, "max_tokens": 5, "messages": hi});
            let answer = world.post(path, &key.secret, &body);
            if passes {
                answer.is(200);
            } else {
                answer.refused(403, code);
            }
            // The list of models has what the key can call, and no more.
            let found = world.get(&format!("/v1/models/{model}"), &key.secret).status;
            assert_eq!(found == 200, passes, "{rules} {model}: {found}");
        }
        assert_eq!(shown(&world, &key)["status"], "active");
    }
}

// A9: `limit_reset` daily, weekly or monthly. A25: spend over `limit` in the period is refused;
// `limit_remaining` falls as usage rises.
#[test]
fn a9_a25_what_is_over_the_limit_of_the_period_is_refused_until_the_next() {
    for (reset, window, seconds) in [
        ("daily", "day", 16 * 3_600),
        ("weekly", "week", (2 * 24 + 16) * 3_600),
        ("monthly", "month", (16 * 24 + 16) * 3_600),
    ] {
        let world = World::new();
        let key = world.key(&json!({"limit": 0.01, "limit_reset": reset}));
        let told = || {
            let data = shown(&world, &key);
            assert_eq!((&data["limit"], &data["limit_reset"]), (&json!(0.01), &json!(reset)));
            (data["usage"].clone(), data["limit_remaining"].clone())
        };
        assert_eq!(told(), (json!(0), json!(0.01)));
        spend(&world, &key).is(200);
        assert_eq!(told(), (json!(0.00425), json!(0.00575)));
        exhaust(&world, &key, 1, window);
        assert_eq!(told(), (json!(0.0085), json!(0.0015)));
        world.clock.advance_seconds(seconds - 1);
        exhaust(&world, &key, 0, window);
        world.clock.advance_seconds(1);
        assert_eq!(told(), (json!(0.0085), json!(0.01)));
        exhaust(&world, &key, 2, window);
        // What was refused reached no provider.
        assert_eq!(world.provider.requests().len(), 4);
    }
}

// A26: limits per key can be adjusted: here by the API, which is what the dashboard speaks.
#[test]
fn a26_the_limits_of_a_key_are_adjusted_for_its_next_call() {
    let world = World::new();
    let other = world.any_key();
    for (tight, loose, status) in [
        (json!({"rpm": 1}), json!({"rpm": 1_000}), 429),
        (json!({"tpm_limit": 700}), json!({"tpm_limit": 100_000}), 429),
        (json!({"limit": 0.005}), json!({"limit": 5}), 402),
    ] {
        let key = world.any_key();
        change(&world, &key, &tight);
        spend(&world, &key).is(200);
        assert_eq!(spend(&world, &key).status, status, "{tight}");
        spend(&world, &other).is(200);
        change(&world, &key, &loose);
        spend(&world, &key).is(200);
    }
}
