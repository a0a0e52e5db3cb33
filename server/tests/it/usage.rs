//! What was used, in sums and call by call: the ledger's numbers, grouped and filtered, and only
//! those that the asker may see.

use serde_json::{Value, json};

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

/// Two users of a team, a key of a team, and a key of nobody, each with calls of its own size.
fn crowd(world: &World) -> Value {
    let owner = |kind: &str, body: &Value| crate::owners::owner(world, kind, body);
    let team = owner("teams", &json!({"name": "search"}));
    let alice = owner("users", &json!({"external_id": "alice", "team_id": team}));
    let bob = owner("users", &json!({"external_id": "bob"}));
    let project = owner("projects", &json!({"name": "p"}));
    let key = |body: &Value| world.key(body);
    let of_alice = key(&json!({"name": "laptop", "user_id": alice, "project_id": project}));
    let (of_bob, of_team) = (key(&json!({"user_id": bob})), key(&json!({"team_id": team})));
    let of_nobody = world.any_key();
    for (key, calls, prompt, model) in [
        (&of_alice, 1, 5_000, "gpt-4o"),
        (&of_bob, 3, 100, "gpt-4o"),
        (&of_team, 2, 400, "gpt-4o"),
        (&of_nobody, 1, 20_000, "gpt-4o-mini"),
    ] {
        for _ in 0..calls {
            let script = format!(r#"{{"prompt_tokens":{prompt},"output_tokens":10}}"#);
            world.post("/v1/chat/completions", &key.secret, &chat(model, &script)).is(200);
        }
    }
    let ids = (&of_alice.id, &of_nobody.id);
    json!({"team": team, "alice": alice, "bob": bob, "project": project, "key": ids.0, "nobody": ids.1})
}

#[test]
fn sums_by_user_team_and_project_add_up_to_the_totals() {
    let world = World::new();
    let ids = crowd(&world);
    let by = |path: &str, group: &str| {
        let sums = world.get(&format!("{path}?group_by={group}"), MASTER).is(200).json();
        let groups = sums["data"].as_array().unwrap().clone();
        let calls: u64 = groups.iter().map(|one| one["calls"].as_u64().unwrap()).sum();
        assert_eq!((json!(calls), &sums["totals"]["calls"]), (json!(7), &json!(7)), "{group}");
        groups
    };
    for path in ["/api/v1/usage", "/internal/usage"] {
        for (group, found) in [
            ("user", vec![(&ids["alice"], 1), (&ids["bob"], 3), (&Value::Null, 3)]),
            ("team", vec![(&ids["team"], 3), (&Value::Null, 4)]),
        ] {
            let groups = by(path, group);
            assert_eq!(groups.len(), found.len(), "{groups:?}");
            for (id, calls) in found {
                let one = groups.iter().find(|one| &one[group] == id).unwrap();
                assert_eq!(one["calls"], calls, "{group} {id}");
            }
        }
        assert_eq!(by(path, "project").len(), 2);
        assert_eq!(by(path, "user,model,day").len(), 4);
    }
    let here = by("/internal/usage", "key");
    assert!(here.iter().all(|one| one["key"].as_str().unwrap().starts_with("ak_")), "{here:?}");
    let calls = |query: &str| {
        let sums = world.get(&format!("/internal/usage?{query}"), MASTER).is(200).json();
        assert_eq!(sums["data"], json!([]));
        sums["totals"]["calls"].clone()
    };
    let id = |name: &str| ids[name].as_str().unwrap();
    assert_eq!(calls(&format!("user_id={}", id("alice"))), 1);
    assert_eq!(calls(&format!("team_id={}", id("team"))), 3);
    assert_eq!(calls(&format!("team_id={}&user_id={}", id("team"), id("bob"))), 0);
    assert_eq!(calls(&format!("project_id={}", id("project"))), 1);
    assert_eq!(calls(&format!("api_key_id={}", id("key").replace("key_", "ak_"))), 1);
    assert_eq!(calls("model=gpt-4o-mini&from=2027-01-15&until=2027-01-16"), 1);
    for wrong in ["user_id=alice", "team_id=x", "user_id=x", "group_by=users", "colour=red"] {
        assert_eq!(world.get(&format!("/internal/usage?{wrong}"), MASTER).status, 400, "{wrong}");
    }
}

#[test]
fn the_leaderboard_shows_who_used_the_most_first() {
    let world = World::new();
    let ids = crowd(&world);
    let board = |query: &str| {
        let here = world.get(&format!("/internal/usage/leaderboard{query}"), MASTER).is(200).json();
        let there = world.get(&format!("/api/v1/usage/leaderboard{query}"), MASTER).is(200).json();
        assert_eq!(here["totals"], there["totals"]);
        there
    };
    let names = |board: &Value| -> Vec<String> {
        let places = board["data"].as_array().unwrap();
        for (rank, place) in (1..).zip(places) {
            assert_eq!(place["rank"], rank);
        }
        places.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let usual = board("");
    assert_eq!(names(&usual), ["alice", "bob"]);
    assert_eq!(usual["data"][0]["user"], ids["alice"]);
    let said = ["of", "by", "period"].map(|name| usual[name].as_str().unwrap());
    assert_eq!(said, ["users", "cost", "month"]);
    assert_eq!(usual["from"], "2027-01-01T00:00:00Z");
    // Of all users; what is nobody's is not among them.
    assert_eq!(usual["totals"]["calls"], 4);
    assert_eq!(board("?of=keys")["totals"]["calls"], 7);
    assert_eq!(names(&board("?by=requests")), ["bob", "alice"]);
    assert_eq!(names(&board("?by=tokens")), ["alice", "bob"]);
    assert_eq!(names(&board("?of=teams")), ["search"]);
    assert_eq!(names(&board("?of=projects&by=requests")), ["default", "p"]);
    assert_eq!(names(&board("?of=models&by=tokens")), ["gpt-4o-mini", "gpt-4o"]);
    assert_eq!(names(&board("?of=models&by=cost")), ["gpt-4o", "gpt-4o-mini"]);
    assert_eq!(board("?of=keys&by=tokens")["data"][0]["key"], ids["nobody"]);
    let first = board("?of=keys&limit=1");
    assert_eq!((names(&first), &first["cut_short"]), (vec!["laptop".to_owned()], &json!(true)));
    // 2027-01-15 is a Friday.
    assert_eq!(board("?period=week")["from"], "2027-01-11T00:00:00Z");
    assert_eq!(board("?period=day")["from"], "2027-01-15T00:00:00Z");
    world.clock.advance_seconds(86_400);
    assert_eq!(names(&board("?period=day")), Vec::<String>::new());
    assert_eq!(names(&board("?period=week")), ["alice", "bob"]);
    world.clock.advance_seconds(86_400 * 40);
    assert_eq!(names(&board("")), Vec::<String>::new());
    let ever = board("?period=all");
    assert_eq!((names(&ever).len(), &ever["from"]), (2, &Value::Null));
    for wrong in ["of=cats", "by=luck", "period=year", "limit=0", "limit=101", "x=1"] {
        let path = format!("/api/v1/usage/leaderboard?{wrong}");
        assert_eq!(world.get(&path, MASTER).status, 400, "{wrong}");
    }
}

#[test]
fn a_management_key_sees_its_own_keys_lead_and_no_names_above_them() {
    let world = World::new();
    crowd(&world);
    let user = crate::owners::owner(&world, "users", &json!({"external_id": "carol"}));
    let manager = world.key(&json!({"key_type": "management", "user_id": user}));
    let hers = world.post("/api/v1/keys", &manager.secret, &json!({"name": "hers"})).is(201).json();
    world.chat(hers["key"].as_str().unwrap(), "").is(200);
    let board = |of: &str| {
        let path = format!("/api/v1/usage/leaderboard?of={of}");
        world.get(&path, &manager.secret).is(200).json()
    };
    let keys = board("keys");
    assert_eq!((&keys["data"][0]["name"], &keys["totals"]["calls"]), (&json!("hers"), &json!(1)));
    let users = board("users");
    assert_eq!(users["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&users["data"][0]["user"], &users["data"][0]["name"]),
        (&json!(user), &Value::Null)
    );
}
