//! Calls to models: who may, what reaches the provider, what comes back. M: the bridge's statements.

use serde_json::{Value, json};

use crate::world::{ANTHROPIC_SECRET, MASTER, OPENAI_SECRET, Unusual, World, chat};

#[test]
fn m1_clients_authenticate_with_a_bearer_on_api_v1() {
    let world = World::new();
    let key = world.any_key();
    let answer = world.post("/api/v1/chat/completions", &key.secret, &chat("gpt-4o", "")).is(200);
    assert_eq!(answer.json()["object"], "chat.completion");
    world
        .post("/api/v1/chat/completions", "sk-nobody", &chat("gpt-4o", ""))
        .refused(401, "invalid_api_key");
}

#[test]
fn m2_and_r2_the_default_address_is_localhost_8000() {
    let setting = server::config::SETTINGS.iter().find(|setting| setting.name == "listen").unwrap();
    assert_eq!(setting.default, "127.0.0.1:8000");
}

#[test]
fn m3_an_openai_client_works_with_the_base_url_api_v1() {
    let world = World::new();
    let key = world.any_key();
    let model = world.get("/api/v1/models/gpt-4o", &key.secret).is(200).json();
    assert_eq!(model["id"], "gpt-4o");
    let mut body = chat("gpt-4o", "");
    for stream in [false, true] {
        body["stream"] = json!(stream);
        let one = world.post("/v1/chat/completions", &key.secret, &body).is(200);
        let other = world.post("/api/v1/chat/completions", &key.secret, &body).is(200);
        assert_eq!(one.header("content-type"), other.header("content-type"));
        assert_eq!(other.text.contains("chat.completion.chunk"), stream);
    }
    let embed = json!({"model": "text-embedding-3-small", "input": "Hi"});
    world.post("/api/v1/embeddings", &key.secret, &embed).is(200);
    // The provider sees one and the same path.
    let paths = world.provider.requests().into_iter().map(|request| request["path"].clone());
    assert!(paths.take(4).all(|path| path == "/v1/chat/completions"));
}

#[test]
fn m4_keys_are_independent() {
    let world = World::new();
    let (first, second) =
        (world.key(&json!({"name": "first"})), world.key(&json!({"name": "second"})));
    world.chat(&first.secret, "").is(200);
    world.chat(&first.secret, "").is(200);
    world.chat(&second.secret, "").is(200);
    let calls = |id: &str| {
        world.get(&format!("/api/v1/usage?key={id}"), MASTER).is(200).json()["totals"]["calls"]
            .clone()
    };
    assert_eq!((calls(&first.id), calls(&second.id)), (json!(2), json!(1)));
    world.delete(&format!("/api/v1/keys/{}", first.id), MASTER).is(200);
    world.chat(&second.secret, "").is(200);
}

#[test]
fn m19_secrets_are_random_and_unlike() {
    let world = World::new();
    let mut secrets: Vec<String> = (0..20).map(|_| world.any_key().secret).collect();
    assert!(secrets.iter().all(|secret| secret.len() == "lr_live_".len() + 44));
    secrets.sort();
    secrets.dedup();
    assert_eq!(secrets.len(), 20);
}

#[test]
fn m32_a_clients_secret_never_reaches_a_provider_and_ours_never_a_client() {
    let world = World::new();
    let key = world.any_key();
    let bearer = format!("Bearer {}", key.secret);
    for (header, value) in
        [("authorization", bearer.as_str()), ("x-api-key", &key.secret), ("api-key", &key.secret)]
    {
        let headers = [
            (header, value),
            ("content-type", "application/json"),
            ("cookie", "a=b"),
            ("x-forwarded-for", "1.2.3.4"),
        ];
        let answer = world.send(
            http::Method::POST,
            "/v1/chat/completions",
            &headers,
            chat("gpt-4o", "").to_string(),
        );
        let answer = answer.is(200);
        assert!(
            !answer.text.contains(OPENAI_SECRET)
                && !format!("{:?}", answer.headers).contains(OPENAI_SECRET)
        );
    }
    let body = json!({"model": "claude-sonnet-4-20250514", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]});
    world.post("/v1/messages", &key.secret, &body).is(200);
    for request in world.provider.requests() {
        let text = request.to_string();
        assert!(
            !text.contains(&key.secret) && !text.contains("a=b") && !text.contains("1.2.3.4"),
            "{text}"
        );
        let ours = if request["path"] == "/v1/messages" { ANTHROPIC_SECRET } else { OPENAI_SECRET };
        assert!(text.contains(&ours[ours.len() - 4..]), "{text}");
    }
}

#[test]
fn m50_a_call_without_a_key_is_refused_unless_the_operator_allows_it() {
    let world = World::new();
    let call = |world: &World| {
        world.send(
            http::Method::POST,
            "/v1/chat/completions",
            &[("content-type", "application/json")],
            chat("gpt-4o", "").to_string(),
        )
    };
    let refused = call(&world).refused(401, "missing_api_key");
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    assert!(world.provider.requests().is_empty());
    let open = World::with(Unusual {
        env: vec![("WEIR_ALLOW_UNAUTHENTICATED", "true".to_owned())],
        ..Unusual::default()
    });
    call(&open).is(200);
    let keys = open.get("/api/v1/keys", MASTER).is(200).json();
    assert_eq!(keys["data"][0]["name"], "anonymous");
    assert!(keys["data"][0]["usage"].as_f64().unwrap() > 0.0);
    open.chat("sk-nobody", "").refused(401, "invalid_api_key");
    // It is a key like any other: switched off, it is off for the very next call.
    let path = format!("/api/v1/keys/{}", keys["data"][0]["hash"].as_str().unwrap());
    open.patch(&path, MASTER, &json!({"disabled": true})).is(200);
    call(&open).refused(401, "key_disabled");
}

#[test]
fn m51_any_string_can_be_a_key() {
    let world = World::new();
    world
        .post("/api/v1/keys", MASTER, &json!({"name": "My app", "secret": "lmb-yourKeyHere"}))
        .is(201);
    world.post("/api/v1/chat/completions", "lmb-yourKeyHere", &chat("gpt-4o", "")).is(200);
}

#[test]
fn the_body_reaches_the_provider_as_the_client_wrote_it() {
    let world = World::new();
    let key = world.any_key();
    let body = r#"{ "model" : "gpt-4o", "unknown_field":{"x":[1,2.50,1e3]},"messages":[{"role":"user","content":"h\u00e9 \u2713"}],  "temperature":0.10 }"#;
    let headers = [
        ("authorization", &*format!("Bearer {}", key.secret)),
        ("content-type", "application/json; charset=utf-8"),
    ];
    world.send(http::Method::POST, "/v1/chat/completions", &headers, body).is(200);
    assert_eq!(world.provider.requests()[0]["body"], body);
    // Another name for the model changes the name and nothing else.
    let prefixed = body.replace("gpt-4o", "openai/gpt-4o");
    world.send(http::Method::POST, "/v1/chat/completions", &headers, prefixed).is(200);
    assert_eq!(world.provider.requests()[1]["body"], body);
}

#[test]
fn an_alias_leads_where_the_operator_says() {
    let world = World::with(Unusual {
        settings_file: "[aliases]\nfast = \"openai/gpt-4o-mini\"\n",
        ..Unusual::default()
    });
    let key = world.key(&json!({"allowed_models": ["fast"]}));
    world.post("/v1/chat/completions", &key.secret, &chat("fast", "")).is(200);
    assert_eq!(world.provider.requests()[0]["model"], "gpt-4o-mini");
    assert_eq!(
        (&world.rows()[0]["model"], &world.rows()[0]["model_used"]),
        (&json!("fast"), &json!("gpt-4o-mini"))
    );
    // A rule judges where a name leads, not what it is called.
    let other = world.key(&json!({"denied_models": ["gpt-4o-mini"]}));
    world
        .post("/v1/chat/completions", &other.secret, &chat("fast", ""))
        .refused(403, "model_not_allowed");
}

#[test]
fn names_find_their_provider_by_catalogue_pattern_prefix_and_default() {
    let world = World::with(Unusual {
        settings_file: "default_provider = \"local\"\n[providers.local]\nbase_url = \"{fake}/v1\"\napi_key = \"sk-local\"\nmodels = [\"llama-*\"]\n",
        ..Unusual::default()
    });
    let key = world.any_key();
    for (name, provider, model) in [
        ("gpt-4o", "openai", "gpt-4o"),
        ("gpt-99-unheard-of", "openai", "gpt-99-unheard-of"),
        ("local/whatever", "local", "whatever"),
        ("llama-3", "local", "llama-3"),
        ("no-such-name", "local", "no-such-name"),
    ] {
        world.post("/v1/chat/completions", &key.secret, &chat(name, "")).is(200);
        let row = &world.rows()[0];
        assert_eq!(
            (&row["provider"], &row["model_used"]),
            (&json!(provider), &json!(model)),
            "{name}"
        );
    }
    let plain = World::new();
    let key = plain.any_key();
    let refused = plain
        .post("/v1/chat/completions", &key.secret, &chat("no-such-name", ""))
        .refused(404, "model_not_found");
    assert_eq!(refused.json()["error"]["param"], "model");
}

#[test]
fn every_openai_route_of_the_table_reaches_its_path() {
    let world = World::new();
    let key = world.any_key();
    for (path, body) in [
        ("/v1/completions", json!({"model": "gpt-3.5-turbo-instruct", "prompt": "Hi"})),
        ("/v1/embeddings", json!({"model": "text-embedding-3-small", "input": ["a", "b"]})),
        ("/v1/responses", json!({"model": "gpt-4o", "input": "Hi"})),
        ("/v1/moderations", json!({"input": "Hi"})),
        ("/v1/images/generations", json!({"model": "gpt-image-1", "prompt": "a weir"})),
        ("/v1/audio/speech", json!({"model": "tts-1", "input": "Hi", "voice": "alloy"})),
        (
            "/v1/batches",
            json!({"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h"}),
        ),
        ("/v1/assistants", json!({"model": "gpt-4o"})),
        ("/v1/vector_stores", json!({"name": "x"})),
    ] {
        world.post(path, &key.secret, &body).is(200);
        assert_eq!(world.provider.requests().last().unwrap()["path"], path);
    }
    // What providers give away has no row, however it ends.
    let rows = world.rows().len();
    world.get("/v1/files?limit=2", &key.secret).is(200);
    world.get("/v1/files/no-such-file", &key.secret).is(404);
    assert_eq!(world.rows().len(), rows);
    let form = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nopenai/whisper-1\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n--b--\r\n";
    let headers = [
        ("authorization", &*format!("Bearer {}", key.secret)),
        ("content-type", "multipart/form-data; boundary=b"),
    ];
    world.send(http::Method::POST, "/v1/audio/transcriptions", &headers, form).is(200);
    assert_eq!(
        world.provider.requests().last().unwrap()["body"],
        form.replace("openai/whisper-1", "whisper-1")
    );
}

#[test]
fn organization_administration_is_off_until_the_operator_switches_it_on() {
    let world = World::new();
    let key = world.any_key();
    world.get("/v1/organization/users", MASTER).refused(403, "route_disabled");
    world.get("/v1/organization/users", &key.secret).refused(403, "wrong_key_type");
    assert!(world.provider.requests().is_empty());
    let env = vec![("WEIR_ORGANIZATION_ROUTES", "true".to_owned())];
    let open = World::with(Unusual { env, ..Unusual::default() });
    let key = open.any_key();
    open.get("/v1/organization/users", &key.secret).refused(403, "wrong_key_type");
    open.get("/v1/organization/users", MASTER).is(200);
    assert_eq!(open.provider.requests()[0]["path"], "/v1/organization/users");
}

#[test]
fn what_a_provider_stores_can_be_switched_off() {
    let env = vec![("WEIR_STORED_OBJECTS", "off".to_owned())];
    let world = World::with(Unusual { env, ..Unusual::default() });
    let key = world.any_key();
    for path in
        ["/v1/files", "/v1/files/file-1", "/v1/responses/resp-1", "/v1/batches", "/v1/assistants"]
    {
        world.get(path, &key.secret).refused(403, "route_disabled");
    }
    world.chat(&key.secret, "").is(200);
    world.post("/v1/moderations", &key.secret, &json!({"input": "Hi"})).is(200);
    assert_eq!(world.provider.requests().len(), 2);
}

#[test]
fn a_dialect_a_provider_does_not_speak_is_told_and_not_tried() {
    let world = World::new();
    let key = world.any_key();
    let refused = world
        .post("/v1/chat/completions", &key.secret, &chat("claude-sonnet-4-20250514", ""))
        .refused(400, "invalid_value");
    assert_eq!(refused.json()["error"]["param"], "model");
    let refused = world.post("/v1/messages", &key.secret, &json!({"model": "gpt-4o", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}));
    assert_eq!(refused.json()["type"], "error");
    refused.refused(400, "invalid_value");
    assert!(world.provider.requests().is_empty());
}

#[test]
fn the_demo_answers_without_any_account_and_costs_something() {
    let world = World::with(Unusual { without_providers: true, ..Unusual::default() });
    let key = world.any_key();
    let answer = world.post(
        "/v1/chat/completions",
        &key.secret,
        &json!({"model": "demo/echo", "messages": [{"role": "user", "content": "Hello weir"}]}),
    );
    let answer = answer.is(200);
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "Hello weir");
    assert_eq!(answer.header("x-weir-cost-usd"), "0.00007");
    let streamed = json!({"model": "demo/story", "stream": true, "max_tokens": 4, "messages": [{"role": "user", "content": "Go"}]});
    let story = world.post("/v1/chat/completions", &key.secret, &streamed).is(200);
    assert!(
        story.text.contains("river") && story.text.ends_with("data: [DONE]\n\n"),
        "{}",
        story.text
    );
    assert!(!story.text.contains("\"usage\":{"), "{}", story.text);
    assert_eq!(world.rows()[0]["output_tokens"], 4);
    let tool = json!({"model": "demo/echo", "messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]});
    let called: Value = world.post("/v1/chat/completions", &key.secret, &tool).is(200).json();
    assert_eq!(called["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(
        called["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"],
        "{\"city\":\"demo\"}"
    );
    let unknown = json!({"model": "demo/nothing", "messages": [{"role": "user", "content": "x"}]});
    world.post("/v1/chat/completions", &key.secret, &unknown).refused(404, "model_not_found");
    assert_eq!(World::new().chat(&key.secret, "").status, 401);
}
