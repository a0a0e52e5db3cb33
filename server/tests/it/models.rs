//! `GET /v1/models`: what this key may use, with what it costs. The list and the rules never differ.

use serde_json::{Value, json};

use crate::world::{Unusual, World, chat};

fn ids(world: &World, secret: &str) -> Vec<String> {
    let list = world.get("/v1/models", secret).is(200).json();
    list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_list_has_what_the_key_may_use_and_nothing_else() {
    let world = World::new();
    let key = world.any_key();
    let all = ids(&world, &key.secret);
    assert!(all.contains(&"gpt-4o".to_owned()) && all.iter().any(|id| id.starts_with("claude-")));
    let narrow = world.key(&json!({"allowed_models": ["gpt-4o", "gpt-4o-mini"]}));
    assert_eq!(ids(&world, &narrow.secret), ["gpt-4o", "gpt-4o-mini"]);
    let one_provider = world.key(&json!({"allowed_providers": ["anthropic"]}));
    assert!(ids(&world, &one_provider.secret).iter().all(|id| id.starts_with("claude")));
    world.get("/v1/models/gpt-4", &narrow.secret).refused(404, "model_not_found");
    world
        .post("/v1/chat/completions", &narrow.secret, &chat("gpt-4", ""))
        .refused(403, "model_not_allowed");
}

#[test]
fn a_key_with_a_money_limit_is_shown_what_it_can_call() {
    let world = World::new();
    let (any, limited) = (world.any_key(), world.key(&json!({"limit": 5})));
    let (all, shown) = (ids(&world, &any.secret), ids(&world, &limited.secret));
    assert!(shown.len() < all.len() && shown.iter().all(|id| all.contains(id)));
    for id in ["gpt-image-1", "whisper-1", "gpt-4o-mini-tts"] {
        assert!(all.contains(&id.to_owned()) && !shown.contains(&id.to_owned()), "{id}");
    }
    // Speech by the character has a bound.
    assert!(["gpt-4o", "tts-1"].iter().all(|id| shown.iter().any(|it| it == id)));
    let body = json!({"model": "gpt-image-1", "prompt": "a weir"});
    world
        .post("/v1/images/generations", &limited.secret, &body)
        .refused(403, "unbounded_feature_for_hard_limit");
}

#[test]
fn a_model_shows_its_price_and_limits_to_either_client() {
    let world = World::new();
    let key = world.any_key();
    for path in ["/v1/models/gpt-4o", "/api/v1/models/openai/gpt-4o"] {
        let model = world.get(path, &key.secret).is(200).json();
        assert_eq!(
            (&model["object"], &model["owned_by"], &model["provider"]),
            (&json!("model"), &json!("openai"), &json!("openai"))
        );
        assert_eq!(model["pricing"], json!({"input": "2.5", "output": "10", "cache_read": "1.25"}));
        assert_eq!(
            (&model["context_tokens"], &model["max_output_tokens"]),
            (&json!(128_000), &json!(16_384))
        );
    }
    let list: Value = world.get("/v1/models", &key.secret).is(200).json();
    assert_eq!(
        (&list["object"], &list["has_more"], &list["data"][0]["type"]),
        (&json!("list"), &json!(false), &json!("model"))
    );
}

#[test]
fn the_demo_is_there_only_while_no_provider_is() {
    let demo = World::with(Unusual { without_providers: true, ..Unusual::default() });
    let key = demo.any_key();
    assert_eq!(ids(&demo, &key.secret), ["demo/echo", "demo/story"]);
    let asked_for =
        World::with(Unusual { env: vec![("WEIR_DEMO", "on".to_owned())], ..Unusual::default() });
    let key = asked_for.any_key();
    assert!(ids(&asked_for, &key.secret).iter().any(|id| id == "demo/echo"));
    let plain = World::new();
    let key = plain.any_key();
    assert!(ids(&plain, &key.secret).iter().all(|id| !id.starts_with("demo")));
}
