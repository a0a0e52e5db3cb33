//! What was used, in sums and call by call: the ledger's numbers, grouped and filtered, and only
//! those that the asker may see.

use serde_json::json;

use crate::world::{MASTER, World, chat};

#[test]
fn sums_by_model_key_provider_hour_and_day_add_up_to_the_totals() {
    let world = World::new();
    let (first, second) = (world.any_key(), world.any_key());
    let script = r#"{"prompt_tokens":100,"output_tokens":10}"#;
    world.chat(&first.secret, script).is(200);
    world.post("/v1/chat/completions", &first.secret, &chat("gpt-4o-mini", script)).is(200);
    world.clock.advance_seconds(3_600);
    world.chat(&second.secret, script).is(200);
    for (group, count) in [
        ("model", 2),
        ("key", 2),
        ("provider", 1),
        ("hour", 2),
        ("day", 1),
        ("key,model", 3),
        ("hour,key", 2),
    ] {
        let sums = world.get(&format!("/api/v1/usage?group_by={group}"), MASTER).is(200).json();
        let groups = sums["data"].as_array().unwrap();
        assert_eq!(groups.len(), count, "{group}: {sums}");
        for name in ["calls", "input_tokens", "output_tokens"] {
            let sum: u64 = groups.iter().map(|group| group[name].as_u64().unwrap()).sum();
            assert_eq!(json!(sum), sums["totals"][name], "{group} {name}");
        }
    }
    let totals = |query: &str| {
        world.get(&format!("/api/v1/usage?{query}"), MASTER).is(200).json()["totals"]["calls"]
            .clone()
    };
    assert_eq!(totals(&format!("key={}", first.id)), 2);
    assert_eq!(totals("model=gpt-4o"), 2);
    assert_eq!(totals("provider=anthropic"), 0);
    assert_eq!(totals("from=2027-01-15T09:00:00Z"), 1);
    assert_eq!(totals("until=2027-01-15T09:00:00Z"), 2);
    assert_eq!(totals("from=2027-01-16"), 0);
    for wrong in ["group_by=colour", "from=yesterday", "key=x", "limit=0", "unknown=1"] {
        assert_eq!(world.get(&format!("/api/v1/usage?{wrong}"), MASTER).status, 400, "{wrong}");
    }
}

#[test]
fn a_call_is_found_by_the_request_id_its_client_saw() {
    let world = World::new();
    let key = world.any_key();
    world.chat(&key.secret, "").is(200);
    let answer = world.chat(&key.secret, "").is(200);
    let path = format!("/api/v1/usage/calls?request_id={}", answer.header("x-request-id"));
    let found = world.get(&path, MASTER).is(200).json();
    assert_eq!(found["data"].as_array().unwrap().len(), 1);
    assert_eq!(found["data"][0]["request_id"], answer.header("x-request-id"));
}

#[test]
fn a_management_key_sees_the_usage_of_its_own_keys_only() {
    let world = World::new();
    let manager = world.key(&json!({"key_type": "management"}));
    let hers = world.post("/api/v1/keys", &manager.secret, &json!({"name": "hers"})).is(201).json();
    let others = world.any_key();
    world.chat(hers["key"].as_str().unwrap(), "").is(200);
    world.chat(&others.secret, "").is(200);
    let sums = world.get("/api/v1/usage?group_by=key", &manager.secret).is(200).json();
    assert_eq!(
        (&sums["totals"]["calls"], &sums["data"][0]["key"]),
        (&json!(1), &hers["data"]["hash"])
    );
    let calls = |id: &str| world.get(&format!("/api/v1/usage/calls?key={id}"), &manager.secret);
    calls(hers["data"]["hash"].as_str().unwrap()).is(200);
    calls(&others.id).refused(404, "not_found");
    world.get("/api/v1/usage/calls", &manager.secret).refused(400, "invalid_value");
    world.get("/api/v1/usage", &others.secret).refused(403, "wrong_key_type");
}

#[test]
fn rows_and_sums_outlive_a_restart() {
    let mut world = World::new();
    let key = world.any_key();
    world.chat(&key.secret, "").is(200);
    let before = world.get("/api/v1/usage?group_by=key", MASTER).is(200).text;
    let rows = world.rows();
    world.restart();
    assert_eq!(world.get("/api/v1/usage?group_by=key", MASTER).is(200).text, before);
    assert_eq!(world.rows(), rows);
}
