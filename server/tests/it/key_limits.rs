//! Limits and rules on keys as the keys API takes, changes and shows them. What they let pass is in
//! `calls`.

use http::Method;
use serde_json::{Value, json};

use crate::world::{MASTER, TestKey, World};

fn path(key: &TestKey) -> String {
    format!("/api/v1/keys/{}", key.id)
}

fn shown(world: &World, key: &TestKey) -> Value {
    world.get(&path(key), MASTER).is(200).json()["data"].clone()
}

fn limit_ids(world: &World, key: &TestKey) -> Vec<String> {
    let found = world.get(&format!("{}/effective", path(key)), MASTER).is(200).json();
    let limits = found["limits"].as_array().unwrap().clone();
    limits.iter().map(|limit| limit["limit_id"].as_str().unwrap().to_owned()).collect()
}

/// Sends a body with one member as it is written.
fn create_raw(world: &World, member: &str, value: &str) -> crate::world::Reply {
    let bearer = format!("Bearer {MASTER}");
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let body = format!(r#"{{"name":"k","{member}":{value}}}"#);
    world.send(Method::POST, "/api/v1/keys", &headers, body)
}

#[test]
fn every_member_is_shown_as_it_was_set() {
    let world = World::new();
    let set = json!({
        "rpm": 60, "tpm_limit": 100_000, "daily_token_limit": 5_000_000, "max_parallel": 4,
        "limit": 12.5, "limit_reset": "weekly",
        "allowed_models": ["gpt-*"], "denied_models": ["gpt-4o-mini"],
        "allowed_providers": ["openai"], "denied_providers": ["anthropic"],
        "allowed_pricing": ["paid"], "denied_pricing": ["free"],
        "allowed_addresses": ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"],
        "denied_addresses": ["10.1.0.0/16"],
        "max_price": {"input": 2.5, "output": 10},
        "expires_at": "2030-01-01T00:00:00Z",
    });
    let key = world.key(&set);
    let made = shown(&world, &key);
    for (name, value) in set.as_object().unwrap() {
        assert_eq!(&made[name], value, "{name}");
    }
    // The same by a change, and away again.
    let other = world.any_key();
    let changed = world.patch(&path(&other), MASTER, &set).is(200).json()["data"].clone();
    for (name, value) in set.as_object().unwrap() {
        assert_eq!(&changed[name], value, "{name}");
        let cleared = world.patch(&path(&other), MASTER, &json!({name: null})).is(200).json();
        assert_eq!(cleared["data"][name], Value::Null, "{name}");
    }
    assert_eq!(shown(&world, &other)["limits"], json!([]));
}

#[test]
fn the_full_form_of_limits_can_be_sent_as_it_is_shown() {
    let world = World::new();
    let limits = json!([
        {"unit": "money", "amount": 5.25, "window": {"kind": "lifetime"}, "enforcement": "observe"},
        {"unit": "tokens", "amount": 10, "window": {"kind": "calendar", "period": "day", "zone": "Europe/Berlin"}, "enforcement": "hard"},
        {"unit": "money", "amount": 3, "window": {"kind": "every", "amount": 1, "unit": "month", "zone": "UTC"}, "enforcement": "hard"},
        {"unit": "requests", "amount": 7, "window": {"kind": "rolling", "seconds": 3600}, "enforcement": "expected"},
        {"unit": "in_flight", "amount": 2, "window": {"kind": "lifetime"}, "enforcement": "hard"},
    ]);
    let key = world.key(&json!({ "limits": limits }));
    let made = shown(&world, &key);
    assert_eq!(made["limits"], limits);
    // Hard ones in UTC have short names, too; others are not to be taken for these.
    assert_eq!(
        (&made["limit"], &made["limit_reset"], &made["daily_token_limit"], &made["max_parallel"]),
        (&Value::Null, &Value::Null, &Value::Null, &json!(2))
    );
    assert_eq!(made["recurring_limit"]["every"], 1);
    assert_eq!(made["rpm"], Value::Null);
    let ids = limit_ids(&world, &key);
    world.patch(&path(&key), MASTER, &json!({"limits": made["limits"]})).is(200);
    assert_eq!(limit_ids(&world, &key), ids);
    // All of them are replaced; what is like an old one goes on.
    let one = json!([{"unit": "tokens", "amount": 99, "window": limits[1]["window"]}]);
    let changed = world.patch(&path(&key), MASTER, &json!({"limits": one})).is(200).json();
    assert_eq!(changed["data"]["limits"].as_array().unwrap().len(), 1);
    assert_eq!(limit_ids(&world, &key), ids[1..2]);
    // Amounts are text or number, and window and enforcement have defaults.
    let short = json!([{"unit": "money", "amount": "0.000000001", "window": {"kind": "calendar", "period": "week"}}, {"unit": "in_flight", "amount": 1}]);
    let changed = world.patch(&path(&key), MASTER, &json!({"limits": short})).is(200).json();
    assert_eq!(changed["data"]["limit_reset"], "weekly");
    assert!(changed["data"]["limits"][0].to_string().contains("UTC"));
}

/// Member, value, and the place the error names.
#[rustfmt::skip]
const BAD_VALUES: &[(&str, &str, &str)] = &[
    ("rpm", "-1", "rpm"),
    ("rpm", "1.5", "rpm"),
    ("rpm", "1e3", "rpm"),
    ("rpm", "\"60\"", "rpm"),
    ("rpm", "true", "rpm"),
    ("rpm", "9223372036854775808", "rpm"),
    ("tpm_limit", "-1", "tpm_limit"),
    ("daily_token_limit", "0.1", "daily_token_limit"),
    ("max_parallel", "[]", "max_parallel"),
    ("limit", "-0.01", "limit"),
    ("limit", "0.0000000001", "limit"),
    ("limit", "9223372037", "limit"),
    ("recurring_limit", "5", "recurring_limit"),
    ("recurring_limit", r#"{"amount":-1,"every":1,"unit":"day"}"#, "recurring_limit.amount"),
    ("recurring_limit", r#"{"amount":1,"every":0,"unit":"day"}"#, "recurring_limit.every"),
    ("recurring_limit", r#"{"amount":1,"every":1.5,"unit":"day"}"#, "recurring_limit.every"),
    ("recurring_limit", r#"{"amount":1,"every":13,"unit":"month"}"#, "recurring_limit.every"),
    ("recurring_limit", r#"{"amount":1,"every":70000,"unit":"hour"}"#, "recurring_limit.every"),
    ("recurring_limit", r#"{"amount":1,"every":1,"unit":"minute"}"#, "recurring_limit.unit"),
    ("limits", "{}", "limits"),
    (
        "limits",
        r#"[{"unit":"euros","amount":1,"window":{"kind":"lifetime"}}]"#,
        "limits[0].unit",
    ),
    (
        "limits",
        r#"[{"unit":"tokens","amount":0.5,"window":{"kind":"lifetime"}}]"#,
        "limits[0].amount",
    ),
    (
        "limits",
        r#"[{"unit":"tokens","amount":1,"window":{"kind":"ever"}}]"#,
        "limits[0].window.kind",
    ),
    (
        "limits",
        r#"[{"unit":"tokens","amount":1,"window":{"kind":"rolling","seconds":3601}}]"#,
        "limits[0].window.seconds",
    ),
    (
        "limits",
        r#"[{"unit":"tokens","amount":1,"window":{"kind":"rolling","seconds":0}}]"#,
        "limits[0].window.seconds",
    ),
    (
        "limits",
        r#"[{"unit":"tokens","amount":1,"window":{"kind":"calendar","period":"year"}}]"#,
        "limits[0].window.period",
    ),
    (
        "limits",
        r#"[{"unit":"tokens","amount":1,"window":{"kind":"calendar","period":"day","zone":"Mars"}}]"#,
        "limits[0].window.zone",
    ),
    (
        "limits",
        r#"[{"unit":"tokens","amount":1,"window":{"kind":"lifetime"},"enforcement":"soft"}]"#,
        "limits[0].enforcement",
    ),
    (
        "limits",
        r#"[{"unit":"in_flight","amount":1,"window":{"kind":"rolling","seconds":5}}]"#,
        "limits[0].window",
    ),
    (
        "limits",
        r#"[{"unit":"in_flight","amount":1},{"unit":"in_flight","amount":2}]"#,
        "limits",
    ),
    ("max_price", "-1", "max_price"),
    ("max_price", r#"{"input":0.0000001}"#, "max_price.input"),
    ("expires_at", "\"tomorrow\"", "expires_at"),
    ("project_id", "\"x\"", "project_id"),
];

#[rustfmt::skip]
const BAD_RULES: &[(&str, &str, &str)] = &[
    ("allowed_pricing", r#"["paid","cheap"]"#, "allowed_pricing[1]"),
    ("allowed_addresses", r#"["10.0.0.1/8"]"#, "allowed_addresses[0]"),
    ("denied_addresses", r#"["localhost"]"#, "denied_addresses[0]"),
    ("allowed_models", r#"["a b"]"#, "allowed_models[0]"),
];

#[rustfmt::skip]
const BAD_MEMBERS: &[(&str, &str, &str, &str)] = &[
    (
        "recurring_limit",
        r#"{"amount":1,"unit":"day"}"#,
        "missing_required_parameter",
        "recurring_limit.every",
    ),
    (
        "limits",
        r#"[{"unit":"tokens","amount":1}]"#,
        "missing_required_parameter",
        "limits[0].window",
    ),
    (
        "limits",
        r#"[{"unit":"tokens","amount":1,"window":{"kind":"lifetime","zone":"UTC"}}]"#,
        "unknown_parameter",
        "limits[0].window.zone",
    ),
];

#[test]
fn what_makes_no_sense_is_refused_and_named() {
    let world = World::new();
    let values =
        BAD_VALUES.iter().map(|(member, value, param)| (member, value, "invalid_value", param));
    let rules =
        BAD_RULES.iter().map(|(member, value, param)| (member, value, "invalid_rule", param));
    let members =
        BAD_MEMBERS.iter().map(|(member, value, code, param)| (member, value, *code, param));
    for (member, value, code, param) in values.chain(rules).chain(members) {
        let refused = create_raw(&world, member, value).refused(400, code).json();
        assert_eq!(refused["error"]["param"], *param, "{member} {value}");
    }
    assert_eq!(world.get("/api/v1/keys", MASTER).is(200).json()["data"], json!([]));
}

// L6: an optional lifetime spend cap. L7: an optional spend cap that resets on a schedule. L16: what is
// spent in the current period. L17: when it resets.
#[test]
fn l6_l7_l16_l17_limits_of_money_stand_side_by_side_and_tell_their_period() {
    let world = World::new();
    let recurring = json!({"amount": "3", "every": 6, "unit": "hour"});
    let key =
        world.key(&json!({"limit": 10, "limit_reset": "monthly", "recurring_limit": recurring}));
    let made = shown(&world, &key);
    assert_eq!((&made["limit"], &made["limit_remaining"]), (&json!(10), &json!(10)));
    assert_eq!(
        made["recurring_limit"],
        json!({
            "amount": 3, "every": 6, "unit": "hour", "zone": "UTC", "spent": 0, "remaining": 3,
            "period_started_at": "2027-01-15T08:00:00Z", "resets_at": "2027-01-15T14:00:00Z",
        })
    );
    world.chat(&key.secret, "").is(200);
    let spent = shown(&world, &key);
    assert!(spent["recurring_limit"]["spent"].as_f64().unwrap() > 0.0, "{spent}");
    assert_eq!(spent["recurring_limit"]["spent"], spent["usage"]);
    assert!(spent["limit_remaining"].as_f64().unwrap() < 10.0, "{spent}");
    // One is taken away: the other stays.
    let cleared = world.patch(&path(&key), MASTER, &json!({"recurring_limit": null})).is(200);
    let cleared = cleared.json()["data"].clone();
    assert_eq!((&cleared["recurring_limit"], &cleared["limit"]), (&Value::Null, &json!(10)));
}

// L19: changing the recurring configuration resets the window and starts a new one.
#[test]
fn l19_another_amount_goes_on_and_another_rhythm_starts_anew() {
    let world = World::new();
    let recurring = |amount: u64, every: u64| json!({"recurring_limit": {"amount": amount, "every": every, "unit": "day"}});
    let key = world.key(&recurring(3, 1));
    world.chat(&key.secret, "").is(200);
    let before = shown(&world, &key)["recurring_limit"].clone();
    world.clock.advance_seconds(3_600);
    let more = world.patch(&path(&key), MASTER, &recurring(5, 1)).is(200).json();
    let more = more["data"]["recurring_limit"].clone();
    for same in ["spent", "period_started_at", "resets_at"] {
        assert_eq!(more[same], before[same], "{same}");
    }
    assert_eq!(more["amount"], 5);
    let anew = world.patch(&path(&key), MASTER, &recurring(5, 2)).is(200).json();
    let anew = anew["data"]["recurring_limit"].clone();
    assert_eq!(
        (&anew["spent"], &anew["remaining"], &anew["period_started_at"]),
        (&json!(0), &json!(5), &json!("2027-01-15T09:00:00Z"))
    );
    // Less than what is spent leaves nothing, not less than nothing.
    world.patch(&path(&key), MASTER, &json!({"limit": 1})).is(200);
    world.chat(&key.secret, "").is(200);
    let none = world.patch(&path(&key), MASTER, &json!({"limit": 0})).is(200).json();
    assert_eq!(none["data"]["limit_remaining"], 0);
}

#[test]
fn a_limit_in_a_zone_keeps_it_when_only_its_amount_is_changed() {
    let world = World::new();
    let window = json!({"kind": "calendar", "period": "day", "zone": "Asia/Tokyo"});
    let key = world.key(&json!({"limits": [{"unit": "money", "amount": 1, "window": window}]}));
    let change = json!({"limit": 2, "limit_reset": "daily"});
    let changed = world.patch(&path(&key), MASTER, &change).is(200).json();
    assert_eq!(changed["data"]["limits"][0]["window"], window);
    assert_eq!(changed["data"]["limit"], 2);
}

#[test]
fn the_end_of_a_key_can_be_moved_but_not_into_the_past() {
    let world = World::new();
    let key = world.key(&json!({"expires_at": "2027-01-15T09:00:00Z"}));
    world.clock.advance_seconds(3_600);
    world.chat(&key.secret, "").refused(401, "key_expired");
    let past = json!({"expires_at": "2027-01-15T09:00:00Z"});
    world.patch(&path(&key), MASTER, &past).refused(400, "invalid_value");
    world.patch(&path(&key), MASTER, &json!({"expires_at": "2027-01-15T10:00:00Z"})).is(200);
    world.chat(&key.secret, "").is(200);
    world.patch(&path(&key), MASTER, &json!({"expires_at": null})).is(200);
    world.clock.advance_seconds(36_000);
    world.chat(&key.secret, "").is(200);
}

#[test]
fn names_that_nobody_knows_are_taken_by_force_only() {
    let world = World::new();
    let rule = json!({"name": "k", "allowed_models": ["gpt-99"], "denied_providers": ["nobody"]});
    world.post("/api/v1/keys", MASTER, &rule).refused(400, "invalid_rule");
    let mut forced = rule.clone();
    forced["force"] = json!(true);
    let made = world.post("/api/v1/keys", MASTER, &forced).is(201).json();
    assert_eq!(made["data"]["allowed_models"], json!(["gpt-99"]));
    let key = world.any_key();
    world
        .patch(&path(&key), MASTER, &json!({"denied_models": ["gpt-99"]}))
        .refused(400, "invalid_rule");
    world.patch(&path(&key), MASTER, &json!({"denied_models": ["gpt-99"], "force": true})).is(200);
}
