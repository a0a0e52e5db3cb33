//! What models cost, an administrator's word on it, and other names for them: in force for the next
//! call, and told apart in the rows.

use serde_json::{Value, json};

use crate::world::{MASTER, Unusual, World, chat};

fn price(world: &World, provider: &str, model: &str) -> Value {
    let path = format!("/api/v1/prices?provider={provider}&model={model}");
    let found = world.get(&path, MASTER).is(200).json();
    assert_eq!(found["data"].as_array().unwrap().len(), 1, "{found}");
    found["data"][0].clone()
}

#[test]
fn an_override_prices_the_next_call_and_rows_tell_the_prices_apart() {
    let world = World::new();
    let key = world.any_key();
    let shown = price(&world, "openai", "gpt-4o");
    assert_eq!(
        (&shown["input"], &shown["output"], &shown["cache_read"], &shown["from"]),
        (&json!("2.5"), &json!("10"), &json!("1.25"), &json!("catalogue"))
    );
    assert_eq!((&shown["context_tokens"], &shown["varies"]), (&json!(128_000), &json!(true)));
    world.chat(&key.secret, "").is(200);
    let path = "/api/v1/prices/openai/gpt-4o";
    let set = world.put(path, MASTER, &json!({"input": "5", "output": 20, "cache_read": "2.5"}));
    let set = set.is(200).json();
    assert_eq!(
        (&set["input"], &set["output"], &set["from"], &set["varies"], &set["max_output_tokens"]),
        (&json!("5"), &json!("20"), &json!("store"), &json!(false), &json!(16_384))
    );
    assert_eq!(price(&world, "openai", "GPT-4o"), set);
    world.chat(&key.secret, "").is(200);
    world.put(path, MASTER, &json!({"free": true})).is(200);
    assert_eq!(price(&world, "openai", "gpt-4o")["free"], true);
    world.chat(&key.secret, "").is(200);
    world.delete(path, MASTER).is(200);
    world.delete(path, MASTER).refused(404, "not_found");
    world.chat(&key.secret, "").is(200);
    let rows: Vec<_> = world.rows().into_iter().rev().collect();
    let cost = |row: &Value| row["cost"].as_f64().unwrap();
    assert!(cost(&rows[0]) > 0.0);
    assert_eq!(rows[2]["cost"], 0);
    assert_eq!(rows[3]["cost"], rows[0]["cost"]);
    assert!((cost(&rows[1]) - 2.0 * cost(&rows[0])).abs() < 1e-9, "{rows:?}");
    let version = |at: usize| rows[at]["price_version"].as_str().unwrap();
    assert_eq!(version(0), version(3));
    assert!(version(0) != version(1) && version(1) != version(2), "{rows:?}");
}

#[test]
fn a_model_nobody_priced_can_be_priced_and_then_held_to_a_limit() {
    let world = World::new();
    let limited = world.key(&json!({"limit": 5}));
    let call =
        || world.post("/v1/chat/completions", &limited.secret, &chat("openai/own/model-1", ""));
    call().refused(403, "model_unpriced");
    let body =
        json!({"input": "1", "output": "1", "context_tokens": 4_096, "max_output_tokens": 512});
    world.put("/api/v1/prices/openai/own/model-1", MASTER, &body).is(200);
    call().is(200);
    assert_eq!(price(&world, "openai", "own/model-1")["context_tokens"], 4_096);
    // A rule may name what has a price, and no more once it has none.
    let rule = json!({"name": "k", "allowed_models": ["own/model-1"]});
    world.post("/api/v1/keys", MASTER, &rule).is(201);
    world.delete("/api/v1/prices/openai/own/model-1", MASTER).is(200);
    world.post("/api/v1/keys", MASTER, &rule).refused(400, "invalid_rule");
    call().refused(403, "model_unpriced");
}

#[test]
fn providers_of_one_catalogue_are_priced_apart() {
    let world = World::with(Unusual {
        settings_file: "[providers.twin]\nbase_url = \"{fake}/v1\"\ncatalogue = \"openai\"\n\
                        [[prices]]\nprovider = \"twin\"\nmodel = \"gpt-4o-mini\"\ninput = \"7\"\noutput = \"7\"\n",
        ..Unusual::default()
    });
    world.put("/api/v1/prices/twin/gpt-4o", MASTER, &json!({"free": true})).is(200);
    assert_eq!(price(&world, "twin", "gpt-4o")["free"], true);
    assert_eq!(price(&world, "openai", "gpt-4o")["input"], "2.5");
    // What the settings say of prices is not changed here.
    let shown = price(&world, "twin", "gpt-4o-mini");
    assert_eq!((&shown["input"], &shown["from"]), (&json!("7"), &json!("settings")));
    let path = "/api/v1/prices/twin/gpt-4o-mini";
    world.put(path, MASTER, &json!({"free": true})).refused(409, "conflict");
    world.delete(path, MASTER).refused(409, "conflict");
    assert_ne!(price(&world, "openai", "gpt-4o-mini")["input"], "7");
}

#[test]
fn the_catalogue_is_searched_and_paged() {
    let world = World::new();
    let all = world.get("/api/v1/prices?page_size=999", MASTER).is(200).json();
    let all = all["data"].as_array().unwrap();
    let mut paged = Vec::new();
    let mut token = String::new();
    loop {
        let path = format!("/api/v1/prices?page_size=37&page_token={token}");
        let page = world.get(&path, MASTER).is(200).json();
        paged.extend(page["data"].as_array().unwrap().clone());
        match page["next_page_token"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => break,
        }
    }
    assert_eq!(&paged, all);
    let found = world.get("/api/v1/prices?search=SONNET&provider=anthropic", MASTER).is(200).json();
    let found = found["data"].as_array().unwrap();
    assert!(!found.is_empty());
    assert!(found.iter().all(|one| one["model"].as_str().unwrap().contains("sonnet")));
    world.get("/api/v1/prices?page_token=x", MASTER).refused(400, "invalid_value");
    world.get("/api/v1/prices?page_size=0", MASTER).refused(400, "invalid_value");
    world.get("/api/v1/prices?q=x", MASTER).refused(400, "unknown_parameter");
}

#[test]
fn what_is_no_price_is_refused_and_named() {
    let world = World::new();
    let path = "/api/v1/prices/openai/gpt-4o";
    for (body, param) in [
        (json!({"input": "two"}), json!("input")),
        (json!({"input": "-1"}), json!("input")),
        (json!({"output": "1,5"}), json!("output")),
        (json!({"output": true}), json!("output")),
        (json!({"per_image": "0.0000000000001"}), json!("per_image")),
        (json!({"input": "99999999999999999999"}), json!("input")),
        (json!({"input": "1", "free": true}), Value::Null),
        (json!({}), Value::Null),
        (json!({"input": "1", "context_tokens": 0}), json!("context_tokens")),
        (json!({"input": "1", "context_tokens": 1.5}), json!("context_tokens")),
    ] {
        let told = world.put(path, MASTER, &body).refused(400, "invalid_value").json();
        assert_eq!(told["error"]["param"], param, "{body}");
    }
    world
        .send(
            http::Method::PUT,
            path,
            &[("authorization", &format!("Bearer {MASTER}"))],
            r#"{"input":1e309}"#,
        )
        .refused(400, "invalid_value");
    world.put(path, MASTER, &json!({"inptu": "1"})).refused(400, "unknown_parameter");
    world.put(path, MASTER, &json!({"input": "1", "x": "1"})).refused(400, "unknown_parameter");
    let nobody = "/api/v1/prices/nobody/gpt-4o";
    world.put(nobody, MASTER, &json!({"free": true})).refused(404, "not_found");
    world.put("/api/v1/prices/openai", MASTER, &json!({"free": true})).refused(404, "not_found");
}

#[test]
fn an_alias_leads_to_its_model_from_the_next_call_on() {
    let world = World::with(Unusual {
        settings_file: "[aliases]\nfixed = \"gpt-4o\"\n",
        ..Unusual::default()
    });
    let key = world.any_key();
    let call = |model: &str| world.post("/v1/chat/completions", &key.secret, &chat(model, ""));
    call("fast").refused(404, "model_not_found");
    let made = world.put("/api/v1/aliases/fast", MASTER, &json!({"model": "openai/gpt-4o-mini"}));
    let made = made.is(200).json();
    assert_eq!(
        (&made["name"], &made["from"], &made["revision"]),
        (&json!("fast"), &json!("store"), &json!(1))
    );
    call("fast").is(200);
    assert_eq!(world.rows()[0]["model_used"], "gpt-4o-mini");
    world.put("/api/v1/aliases/fast", MASTER, &json!({"model": "gpt-4o"})).is(200);
    call("fast").is(200);
    assert_eq!(world.rows()[0]["model_used"], "gpt-4o");
    let listed = world.get("/api/v1/aliases", MASTER).is(200).json();
    let names: Vec<_> =
        listed["data"].as_array().unwrap().iter().map(|a| a["name"].clone()).collect();
    assert_eq!(names, ["fast", "fixed"]);
    // An alias stands for a model, and not for another alias.
    for model in ["fast", "fixed", "nobody/x"] {
        let told = world.put("/api/v1/aliases/other", MASTER, &json!({"model": model}));
        assert_eq!(told.refused(404, "model_not_found").json()["error"]["param"], "model");
    }
    world
        .put("/api/v1/aliases/gpt-4o", MASTER, &json!({"model": "gpt-4o-mini"}))
        .refused(409, "conflict");
    world
        .put("/api/v1/aliases/fixed", MASTER, &json!({"model": "gpt-4o"}))
        .refused(409, "conflict");
    world.delete("/api/v1/aliases/fixed", MASTER).refused(409, "conflict");
    world.delete("/api/v1/aliases/fast", MASTER).is(200);
    world.get("/api/v1/aliases/fast", MASTER).refused(404, "not_found");
    call("fast").refused(404, "model_not_found");
}

#[test]
fn a_provider_that_an_alias_needs_is_not_taken_away() {
    let env = vec![("WEIR_ALLOW_PRIVATE_DESTINATIONS", "true".to_owned())];
    let world = World::with(Unusual { env, ..Unusual::default() });
    let body = json!({"name": "mine", "base_url": format!("{}/v1", world.provider.url)});
    world.post("/api/v1/providers", MASTER, &body).is(201);
    world.put("/api/v1/aliases/fast", MASTER, &json!({"model": "mine/x"})).is(200);
    world.delete("/api/v1/providers/mine", MASTER).refused(409, "conflict");
    world.delete("/api/v1/aliases/fast", MASTER).is(200);
    world.delete("/api/v1/providers/mine", MASTER).is(200);
}

/// A no has done nothing. The demo steps aside where there is a provider.
#[test]
fn a_price_of_a_provider_that_is_not_called_is_refused_and_not_kept() {
    let world = World::with(Unusual { without_providers: true, ..Unusual::default() });
    let body = json!({"input": "7", "output": "7"});
    let added = json!({"name": "things", "base_url": "https://things.example.com/v1"});
    world.post("/api/v1/providers", MASTER, &added).is(201);
    world.put("/api/v1/prices/demo/echo", MASTER, &body).refused(409, "conflict");
    let audit = world.get("/api/v1/audit", MASTER).is(200).json();
    let actions: Vec<_> =
        audit["data"].as_array().unwrap().iter().map(|act| act["action"].clone()).collect();
    assert_eq!(actions, ["provider.create"]);
}
