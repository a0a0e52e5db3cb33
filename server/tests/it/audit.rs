//! The audit trail: who did what, what it was before and after, and never a secret.

use serde_json::{Value, json};

use crate::world::{MASTER, World};

fn acts(world: &World, query: &str) -> Vec<Value> {
    let found = world.get(&format!("/api/v1/audit{query}"), MASTER).is(200).json();
    found["data"].as_array().unwrap().clone()
}

#[test]
fn every_change_is_one_act_with_what_was_before_and_after() {
    let world = World::new();
    let body = json!({"name": "mine", "base_url": "https://mine.example/v1"});
    world.post("/api/v1/providers", MASTER, &body).is(201);
    world.patch("/api/v1/providers/mine", MASTER, &json!({"free": true})).is(200);
    let secret = json!({"secret": "sk-canary-credential-0123456789", "label": "one"});
    let made = world.post("/api/v1/providers/mine/credentials", MASTER, &secret).is(201).json();
    world.put("/api/v1/prices/mine/m", MASTER, &json!({"input": "1", "output": "1"})).is(200);
    world.put("/api/v1/aliases/fast", MASTER, &json!({"model": "openai/gpt-4o"})).is(200);
    world.delete("/api/v1/providers/mine", MASTER).is(200);
    let all = acts(&world, "");
    let done: Vec<_> =
        all.iter().map(|act| (act["action"].clone(), act["subject"].clone())).collect();
    let id = made["id"].clone();
    assert_eq!(
        done,
        [
            (json!("price.delete"), json!("mine/m")),
            (json!("credential.delete"), id.clone()),
            (json!("provider.delete"), json!("mine")),
            (json!("alias.create"), json!("fast")),
            (json!("price.create"), json!("mine/m")),
            (json!("credential.create"), id),
            (json!("provider.update"), json!("mine")),
            (json!("provider.create"), json!("mine")),
        ]
    );
    let update = &all[6];
    assert_eq!(
        (&update["actor"], &update["at"]),
        (&json!("operator"), &json!("2027-01-15T08:00:00Z"))
    );
    assert_eq!(
        (&update["before"]["free"], &update["after"]["free"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        (&update["before"]["revision"], &update["after"]["revision"]),
        (&json!(1), &json!(2))
    );
    let credential = &all[5];
    assert_eq!(
        (&credential["before"], &credential["after"]["hint"]),
        (&Value::Null, &json!("...6789"))
    );
    let text = json!(all).to_string();
    assert!(!text.contains("canary") && !text.contains("sealed"), "{text}");
    // A refused change leaves nothing.
    world
        .patch("/api/v1/providers/openai", MASTER, &json!({"free": true}))
        .refused(409, "conflict");
    assert_eq!(acts(&world, "").len(), 8);
}

#[test]
fn the_trail_is_filtered_and_paged_newest_first() {
    let world = World::new();
    let manager = world.key(&json!({"key_type": "management"}));
    world.clock.advance_seconds(60);
    let made = world.post("/api/v1/keys", &manager.secret, &json!({"name": "k"})).is(201).json();
    let id = made["data"]["hash"].as_str().unwrap();
    world.patch(&format!("/api/v1/keys/{id}"), MASTER, &json!({"rpm": 5})).is(200);
    assert_eq!(acts(&world, "").len(), 3);
    assert_eq!(acts(&world, &format!("?subject={id}")).len(), 2);
    assert_eq!(acts(&world, &format!("?actor={}", manager.id)).len(), 1);
    assert_eq!(acts(&world, "?action=key.update")[0]["subject"], json!(id));
    assert_eq!(acts(&world, "?from=2027-01-15T08:00:30Z").len(), 2);
    assert_eq!(acts(&world, "?until=2027-01-15T08:00:30Z").len(), 1);
    assert!(acts(&world, "?actor=nobody").is_empty());
    let mut found = Vec::new();
    let mut query = "?page_size=1".to_owned();
    loop {
        let page = world.get(&format!("/api/v1/audit{query}"), MASTER).is(200).json();
        found.extend(page["data"].as_array().unwrap().clone());
        match page["next_page_token"].as_str() {
            Some(token) => query = format!("?page_size=1&page_token={token}"),
            None => break,
        }
    }
    assert_eq!(found, acts(&world, ""));
    for wrong in ["?page_size=0", "?page_token=x", "?from=yesterday"] {
        world.get(&format!("/api/v1/audit{wrong}"), MASTER).refused(400, "invalid_value");
    }
    world.get("/api/v1/audit?who=x", MASTER).refused(400, "unknown_parameter");
    world.get("/api/v1/audit", &manager.secret).refused(403, "wrong_key_type");
}
