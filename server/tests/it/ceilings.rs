//! What a management key may give away: nothing that exceeds its own limits and rules, and nothing
//! outside of its own home.

use serde_json::{Value, json};

use crate::owners::owner;
use crate::world::{MASTER, Reply, TestKey, World};

fn manager(world: &World, body: &Value) -> TestKey {
    let mut body = body.clone();
    body["key_type"] = json!("management");
    world.key(&body)
}

fn make(world: &World, manager: &TestKey, body: &Value) -> Reply {
    let mut body = body.clone();
    body["name"] = json!("k");
    world.post("/api/v1/keys", &manager.secret, &body)
}

fn exceeds(answer: Reply, member: &str) {
    let told = answer.refused(403, "exceeds_ceiling").json();
    assert_eq!(told["error"]["param"], member, "{told}");
}

/// B62: caller's ceiling; allowed models not a subset of the caller's: 403 `exceeds_ceiling`.
#[test]
fn b62_what_a_management_key_makes_exceeds_nothing_of_its_own() {
    let world = World::new();
    let most = json!({
        "limit": 100, "limit_reset": "monthly", "rpm": 60, "allowed_models": ["gpt-*"],
        "denied_models": ["gpt-4"], "allowed_providers": ["openai"], "max_price": 20,
    });
    let manager = manager(&world, &most);
    // What is not said is the management key's own.
    let data = make(&world, &manager, &json!({})).is(201).json()["data"].clone();
    for member in ["limit", "limit_reset", "rpm", "allowed_models", "denied_models"] {
        assert_eq!(data[member], most[member], "{member}");
    }
    let less = json!({"limit": 50, "rpm": 60, "allowed_models": ["gpt-4o"], "max_price": {"input": 1, "output": 2}});
    let data = make(&world, &manager, &less).is(201).json()["data"].clone();
    assert_eq!((&data["limit"], &data["limit_reset"]), (&json!(50), &json!("monthly")));
    let path = format!("/api/v1/keys/{}", data["hash"].as_str().unwrap());
    for (body, member) in [
        (json!({"limit": 100.01}), "limit"),
        (json!({"limit": null}), "limit"),
        (json!({"limit": 1, "limit_reset": "daily"}), "limit"),
        (json!({"rpm": 61}), "rpm"),
        (json!({"limits": []}), "rpm"),
        (json!({"allowed_models": ["gpt-4o", "claude-*"]}), "allowed_models"),
        (json!({"allowed_models": ["*"]}), "allowed_models"),
        (json!({"denied_models": ["o3"]}), "denied_models"),
        (json!({"allowed_providers": ["anthropic"]}), "allowed_providers"),
        (json!({"max_price": 21}), "max_price"),
    ] {
        exceeds(make(&world, &manager, &body), member);
        exceeds(world.patch(&path, &manager.secret, &body), member);
    }
    exceeds(
        world.patch(&path, &manager.secret, &json!({"allowed_models": null})),
        "allowed_models",
    );
    exceeds(world.put(&format!("{path}/limits"), &manager.secret, &json!({})), "rpm");
    exceeds(world.put(&format!("{path}/rules"), &manager.secret, &json!({})), "allowed_models");
    // The operator may: the ceiling is the management key's.
    world.patch(&path, MASTER, &json!({"limit": 1_000})).is(200);
    // A change of something else is no question of ceilings.
    world.patch(&path, &manager.secret, &json!({"name": "renamed"})).is(200);
    // A raised ceiling counts from now on.
    world.patch(&format!("/api/v1/keys/{}", manager.id), MASTER, &json!({"rpm": 100})).is(200);
    make(&world, &manager, &json!({"rpm": 99})).is(201);
}

#[test]
fn a_management_key_puts_keys_into_its_own_home_only() {
    let world = World::new();
    let own = owner(&world, "projects", &json!({"name": "own", "plan": "enterprise"}));
    let other = owner(&world, "projects", &json!({"name": "other"}));
    let team = owner(&world, "teams", &json!({"name": "t"}));
    let stranger = owner(&world, "teams", &json!({"name": "s"}));
    let ann = owner(&world, "users", &json!({"external_id": "ann", "team_id": team}));
    let bob = owner(&world, "users", &json!({"external_id": "bob", "team_id": stranger}));
    let of_team = manager(&world, &json!({"project_id": own, "team_id": team}));
    let made = make(&world, &of_team, &json!({})).is(201).json()["data"].clone();
    assert_eq!((&made["project_id"], &made["team_id"]), (&json!(own), &json!(team)));
    let made = make(&world, &of_team, &json!({"user_id": ann})).is(201).json()["data"].clone();
    assert_eq!((&made["user_id"], &made["team_id"]), (&json!(ann), &json!(team)));
    exceeds(make(&world, &of_team, &json!({"project_id": other})), "project_id");
    exceeds(make(&world, &of_team, &json!({"team_id": stranger})), "team_id");
    exceeds(make(&world, &of_team, &json!({"user_id": bob})), "user_id");
    // Whether somebody else exists is not told.
    let nobody = make(&world, &of_team, &json!({"user_id": "user_01aryz6s410000000000000000"}));
    let bobs = make(&world, &of_team, &json!({"user_id": bob}));
    assert_eq!(nobody.text, bobs.text);
    let of_user = manager(&world, &json!({"user_id": ann}));
    assert_eq!(make(&world, &of_user, &json!({})).is(201).json()["data"]["user_id"], json!(ann));
    exceeds(make(&world, &of_user, &json!({"user_id": bob})), "user_id");
    let anywhere = manager(&world, &json!({}));
    exceeds(make(&world, &anywhere, &json!({"user_id": ann})), "user_id");
    exceeds(make(&world, &anywhere, &json!({"team_id": team})), "team_id");
    exceeds(make(&world, &anywhere, &json!({"project_id": own})), "project_id");
}

/// A29 Created keys are owned by the management key that made them (tree in the seed).
#[test]
fn a29_keys_name_the_management_key_that_made_them_and_outlive_it() {
    let world = World::new();
    let ends = json!({"expires_at": "2027-01-15T08:01:00Z"});
    let (expiring, disabled, revoked) =
        (manager(&world, &ends), manager(&world, &json!({})), manager(&world, &json!({})));
    assert_eq!(
        world.get("/api/v1/key", &expiring.secret).is(200).json()["data"]["created_by"],
        Value::Null
    );
    let mut made = Vec::new();
    for manager in [&expiring, &disabled, &revoked] {
        let key = make(&world, manager, &json!({})).is(201).json();
        assert_eq!(key["data"]["created_by"], json!(manager.id));
        let path = format!("/api/v1/keys?created_by={}", manager.id);
        let listed = world.get(&path, MASTER).is(200).json();
        assert_eq!(listed["data"].as_array().unwrap().len(), 1);
        assert_eq!(listed["data"][0]["hash"], key["data"]["hash"]);
        made.push(key["key"].as_str().unwrap().to_owned());
    }
    world
        .patch(&format!("/api/v1/keys/{}", disabled.id), MASTER, &json!({"disabled": true}))
        .is(200);
    world.delete(&format!("/api/v1/keys/{}", revoked.id), MASTER).is(200);
    world.clock.advance_seconds(60);
    for (manager, code) in
        [(&expiring, "key_expired"), (&disabled, "key_disabled"), (&revoked, "key_revoked")]
    {
        world.get("/api/v1/keys", &manager.secret).refused(401, code);
    }
    for secret in &made {
        world.chat(secret, "").is(200);
    }
}
