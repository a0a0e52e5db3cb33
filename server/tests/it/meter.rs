//! What a call used and cost, however it ends: streams, hang-ups, lying and breaking providers. The
//! fake provider's own log is the truth the ledger is held against.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{Unusual, World, chat};

/// Dollars per million tokens of gpt-4o in the catalogue: 2.50 in, 1.25 from the cache, 10.00 out.
fn gpt_4o_picos(input: u64, cached: u64, output: u64) -> u64 {
    input * 2_500_000 + cached * 1_250_000 + output * 10_000_000
}

/// Pico-dollars as the API writes dollars, rounded up to nano-dollars.
fn dollars(picos: u64) -> Value {
    let nanos = picos.div_ceil(1_000);
    let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    serde_json::from_str(text.trim_end_matches('0').trim_end_matches('.')).unwrap()
}

fn streamed(script: &str) -> Value {
    let mut body = chat("gpt-4o", script);
    body["stream"] = json!(true);
    body
}

#[test]
fn a_plain_call_costs_what_the_provider_reported_at_the_catalogues_price() {
    let world = World::new();
    let key = world.any_key();
    let script =
        r#"{"prompt_tokens":1000,"cached_tokens":200,"output_tokens":50,"reasoning_tokens":10}"#;
    let answer = world.chat(&key.secret, script).is(200);
    let row = world.rows()[0].clone();
    assert_eq!(
        row["units"],
        json!({"input": 800, "cache_read": 200, "output": 40, "reasoning": 10})
    );
    assert_eq!(
        (&row["evidence"], &row["ending"], &row["stream"]),
        (&json!("reported"), &json!("complete"), &json!(false))
    );
    assert_eq!(row["cost"], dollars(gpt_4o_picos(800, 200, 50)));
    assert_eq!(answer.header("x-weir-cost-usd"), row["cost"].to_string());
    assert_eq!(answer.header("x-request-id"), row["request_id"].as_str().unwrap());
    assert_eq!(
        row["rates"],
        json!({"input": 2_500_000, "cache_read": 1_250_000, "output": 10_000_000, "reasoning": 10_000_000})
    );
    assert_eq!(
        (&row["credential"], &row["provider"], &row["route"]),
        (&json!("openai#1"), &json!("openai"), &json!("chat/completions"))
    );
}

#[test]
fn the_cost_of_a_row_can_be_computed_again_from_the_row() {
    let world = World::new();
    let key = world.any_key();
    let scripts = [
        r#"{"prompt_tokens":1000,"cached_tokens":200,"output_tokens":50,"reasoning_tokens":10}"#,
        r#"{"prompt_tokens":7,"output_tokens":3}"#,
        r#"{"prompt_tokens":123457,"cached_tokens":11,"output_tokens":999}"#,
    ];
    for script in scripts {
        world.chat(&key.secret, script).is(200);
        world.post("/v1/chat/completions", &key.secret, &streamed(script)).is(200);
        let mut claude = chat("claude-sonnet-4-20250514", script);
        claude["max_tokens"] = json!(2_000);
        world.post("/v1/messages", &key.secret, &claude).is(200);
    }
    let rows = world.rows_when(3 * scripts.len());
    for row in rows {
        let units = row["units"].as_object().unwrap().iter();
        let picos = units
            .map(|(class, units)| units.as_u64().unwrap() * row["rates"][class].as_u64().unwrap());
        assert_eq!(row["cost"], dollars(picos.sum()), "{row}");
    }
}

#[test]
fn a_stream_costs_the_same_and_its_extra_chunk_is_taken_out() {
    let world = World::new();
    let key = world.any_key();
    let answer = world
        .post(
            "/v1/chat/completions",
            &key.secret,
            &streamed(r#"{"prompt_tokens":100,"output_tokens":20}"#),
        )
        .is(200);
    assert!(answer.header("content-type").starts_with("text/event-stream"));
    assert!(answer.text.ends_with("data: [DONE]\n\n"));
    assert!(!answer.text.contains("prompt_tokens"), "{}", answer.text);
    let sent: Value =
        serde_json::from_str(world.provider.requests()[0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(sent["stream_options"], json!({"include_usage": true}));
    let row = world.rows()[0].clone();
    assert_eq!(
        (&row["input_tokens"], &row["output_tokens"], &row["stream"]),
        (&json!(100), &json!(20), &json!(true))
    );
    assert_eq!(row["cost"], dollars(gpt_4o_picos(100, 0, 20)));
}

#[test]
fn who_asks_for_the_usage_of_a_stream_gets_it_and_the_body_is_not_touched() {
    let world = World::new();
    let key = world.any_key();
    let mut body = streamed("");
    body["stream_options"] = json!({"include_usage": true});
    let answer = world.post("/v1/chat/completions", &key.secret, &body).is(200);
    assert!(answer.text.contains("prompt_tokens"));
    assert_eq!(world.provider.requests()[0]["body"], body.to_string());
    assert_eq!(world.rows()[0]["evidence"], "reported");
}

#[test]
fn chunking_of_any_kind_changes_neither_bytes_nor_bill() {
    let world = World::new();
    let key = world.any_key();
    let mut texts = Vec::new();
    for script in [r#""burst":true"#, r#""split":1"#, r#""split":7"#, r#""chunk_gap_ms":2"#] {
        let script = format!(r#"{{"prompt_tokens":100,"output_tokens":8,"chunks":8,{script}}}"#);
        let answer = world.post("/v1/chat/completions", &key.secret, &streamed(&script)).is(200);
        let deltas: String = answer
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("data: {"))
            .map(|json| serde_json::from_str::<Value>(&format!("{{{json}")).unwrap())
            .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
            .collect();
        texts.push(deltas);
        assert_eq!(world.rows()[0]["cost"], dollars(gpt_4o_picos(100, 0, 8)), "{script}");
    }
    let crlf = r#"{"prompt_tokens":100,"output_tokens":8,"chunks":8,"crlf":true,"split":3}"#;
    world.post("/v1/chat/completions", &key.secret, &streamed(crlf)).is(200);
    assert_eq!(world.rows()[0]["cost"], dollars(gpt_4o_picos(100, 0, 8)));
    assert!(texts.iter().all(|text| !text.is_empty()));
}

#[test]
fn anthropics_streams_and_caches_are_read() {
    let world = World::new();
    let key = world.any_key();
    for stream in [false, true] {
        let script = r#"<<{"prompt_tokens":500,"cached_tokens":300,"cache_write_tokens":100,"output_tokens":9}>>"#;
        let body = json!({"model": "claude-sonnet-4-20250514", "max_tokens": 50, "stream": stream, "messages": [{"role": "user", "content": script}]});
        world.post("/v1/messages", &key.secret, &body).is(200);
        let row = world.rows()[0].clone();
        assert_eq!(row["input_tokens"], 500, "{row}");
        assert_eq!(
            (&row["units"]["cache_read"], &row["units"]["cache_write"], &row["output_tokens"]),
            (&json!(300), &json!(100), &json!(9))
        );
        // 3.00 in, 0.30 from the cache, 3.75 into it, 15.00 out.
        assert_eq!(
            row["cost"],
            dollars(100 * 3_000_000 + 300 * 300_000 + 100 * 3_750_000 + 9 * 15_000_000),
            "stream {stream}"
        );
    }
}

#[test]
fn responses_streams_are_read() {
    let world = World::new();
    let key = world.any_key();
    for stream in [false, true] {
        let body = json!({"model": "gpt-4o", "stream": stream, "input": "Hi <<{\"prompt_tokens\":100,\"output_tokens\":20}>>"});
        world.post("/v1/responses", &key.secret, &body).is(200);
        assert_eq!(world.rows()[0]["cost"], dollars(gpt_4o_picos(100, 0, 20)), "stream {stream}");
    }
}

#[test]
fn usage_that_is_no_usage_is_counted_instead_and_the_answer_is_not_touched() {
    let world = World::new();
    let key = world.any_key();
    for lie in ["none", "negative", "huge", "string"] {
        for stream in [false, true] {
            let mut body = chat("gpt-4o", &format!(r#"{{"usage":"{lie}","output_tokens":8}}"#));
            body["stream"] = json!(stream);
            world.post("/v1/chat/completions", &key.secret, &body).is(200);
            let row = world.rows()[0].clone();
            assert_eq!(row["evidence"], "counted", "{lie} {stream} {row}");
            assert!(
                row["cost"].as_f64().unwrap() > 0.0 && row["input_tokens"].as_u64().unwrap() > 0,
                "{lie} {row}"
            );
        }
    }
    let twice = streamed(r#"{"usage":"twice","prompt_tokens":100,"output_tokens":8}"#);
    world.post("/v1/chat/completions", &key.secret, &twice).is(200);
    assert_eq!(world.rows()[0]["cost"], dollars(gpt_4o_picos(100, 0, 8)));
}

#[test]
fn a_model_without_a_price_is_metered_and_its_cost_is_unknown() {
    let world = World::new();
    let key = world.any_key();
    world.post("/v1/chat/completions", &key.secret, &chat("gpt-99-unheard-of", "")).is(200);
    let row = world.rows()[0].clone();
    assert_eq!(row["cost"], Value::Null);
    assert!(row["input_tokens"].as_u64().unwrap() > 0);
    let sums = world.get("/api/v1/usage", crate::world::MASTER).is(200).json();
    assert_eq!(
        (&sums["totals"]["unpriced_calls"], &sums["totals"]["cost"]),
        (&json!(1), &json!(0))
    );
    let limited = world.key(&json!({"limit": 1}));
    world
        .post("/v1/chat/completions", &limited.secret, &chat("gpt-99-unheard-of", ""))
        .refused(403, "model_unpriced");
}

#[test]
fn what_no_answer_tells_has_a_row_without_a_cost_and_looking_at_it_has_none() {
    let world = World::new();
    let key = world.any_key();
    world.post("/v1/assistants", &key.secret, &json!({"model": "gpt-4o"})).is(200);
    world.get("/v1/assistants", &key.secret).is(200);
    let rows = world.rows();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["cost"], &rows[0]["evidence"]), (&Value::Null, &json!("estimated")));
    assert_eq!(rows[0]["units"], json!({}));
}

#[test]
fn operator_prices_go_before_the_catalogues() {
    let prices =
        "[[prices]]\nprovider = \"openai\"\nmodel = \"gpt-4o\"\ninput = \"1\"\noutput = \"2\"\n";
    let world = World::with(Unusual { settings_file: prices, ..Unusual::default() });
    let key = world.any_key();
    world.chat(&key.secret, r#"{"prompt_tokens":1000,"output_tokens":10}"#).is(200);
    assert_eq!(world.rows()[0]["cost"], json!(0.00102));
}

/// Sends a request over a bare connection, waits until the provider has it, and hangs up.
fn hang_up_when_sent(world: &World, secret: &str, body: &Value) {
    let _stream = send_bare(world, secret, body);
    // The runner ends a test that waits for ever.
    while world.provider.requests().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a request over a bare connection, reads `bytes` bytes of the answer, and hangs up.
fn hang_up_after(world: &World, secret: &str, body: &Value, bytes: usize) {
    let mut read = vec![0; bytes];
    send_bare(world, secret, body).read_exact(&mut read).unwrap();
}

fn send_bare(world: &World, secret: &str, body: &Value) -> TcpStream {
    let body = body.to_string();
    let mut stream = TcpStream::connect(world.address()).unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {secret}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    stream
}

#[test]
fn a_stream_whose_client_has_gone_is_read_on_for_its_usage_where_the_provider_bills_it() {
    let drain = "[providers.openai]\napi_key = \"sk-x\"\non_hangup = \"drain\"\n";
    let world = World::with(Unusual { settings_file: drain, ..Unusual::default() });
    let key = world.any_key();
    let body =
        streamed(r#"{"prompt_tokens":100,"output_tokens":20,"chunks":20,"chunk_gap_ms":10}"#);
    hang_up_after(&world, &key.secret, &body, 600);
    let row = world.rows_when(1)[0].clone();
    assert_eq!((&row["ending"], &row["evidence"]), (&json!("client_gone"), &json!("reported")));
    assert_eq!(row["cost"], dollars(gpt_4o_picos(100, 0, 20)));
}

#[test]
fn a_stream_whose_client_has_gone_is_cancelled_where_that_ends_the_bill() {
    let world = World::new();
    let key = world.any_key();
    let body =
        streamed(r#"{"prompt_tokens":100,"output_tokens":200,"chunks":200,"chunk_gap_ms":10}"#);
    hang_up_after(&world, &key.secret, &body, 600);
    let row = world.rows_when(1)[0].clone();
    assert_eq!((&row["ending"], &row["evidence"]), (&json!("client_gone"), &json!("estimated")));
    assert!(row["cost"].as_f64().unwrap() > 0.0);
    let ended = (0..1_000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        world.provider.ended().first().cloned()
    });
    assert_eq!(ended.unwrap()["client_gone"], true);
}

#[test]
fn a_plain_call_whose_client_has_gone_is_settled_with_the_real_usage() {
    let world = World::new();
    let key = world.any_key();
    let body = chat("gpt-4o", r#"{"prompt_tokens":100,"output_tokens":20,"delay_ms":300}"#);
    hang_up_when_sent(&world, &key.secret, &body);
    let row = world.rows_when(1)[0].clone();
    assert_eq!(row["evidence"], "reported");
    assert_eq!(row["cost"], dollars(gpt_4o_picos(100, 0, 20)));
}

#[test]
fn wherever_a_client_hangs_up_there_is_one_row_and_it_is_not_free() {
    let world = World::new();
    let key = world.key(&json!({"limit": 100}));
    let offsets = [0, 1, 50, 150, 300, 500, 700, 900, 1100];
    for bytes in offsets {
        let body =
            streamed(r#"{"prompt_tokens":100,"output_tokens":10,"chunks":10,"chunk_gap_ms":3}"#);
        hang_up_after(&world, &key.secret, &body, bytes);
    }
    // A client that left before its request was sent on cost nothing; all others have one row each.
    let requests = || world.provider.requests().len();
    let rows = (0..2_000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        let rows = world.rows();
        let quiet = world.provider.ended().len() == requests() && rows.len() == requests();
        quiet.then_some(rows)
    });
    let rows = rows.expect("as many rows as requests that reached the provider");
    assert!(rows.len() >= offsets.len() - 1);
    for row in rows {
        // Under a money limit the answer is read to its end, so that nothing is guessed.
        assert_eq!(row["cost"], dollars(gpt_4o_picos(100, 0, 10)), "{row}");
    }
}

#[test]
fn a_stream_that_breaks_says_so_and_is_never_free() {
    let world = World::new();
    let key = world.any_key();
    let cut =
        streamed(r#"{"output_tokens":20,"chunks":20,"chunk_gap_ms":2,"cut_after_bytes":900}"#);
    let answer = world.post("/v1/chat/completions", &key.secret, &cut).is(200);
    assert!(
        answer.text.contains("upstream_failed") && !answer.text.contains("[DONE]"),
        "{}",
        answer.text
    );
    let row = world.rows()[0].clone();
    assert_eq!((&row["ending"], &row["evidence"]), (&json!("provider_broke"), &json!("estimated")));
    assert!(row["cost"].as_f64().unwrap() > 0.0);
    world
        .post("/v1/chat/completions", &key.secret, &streamed(r#"{"error_midstream":true}"#))
        .is(200);
    assert_eq!(world.rows()[0]["ending"], "provider_error");
}

#[test]
fn money_is_held_before_the_call_and_a_call_that_does_not_fit_is_refused() {
    let world = World::new();
    // One call is held at 500 output tokens of ten dollars a million, and its prompt.
    let key = world.key(&json!({"limit": 0.0125}));
    let mut body = chat("gpt-4o", r#"{"prompt_tokens":100,"output_tokens":500}"#);
    body["max_tokens"] = json!(500);
    world.post("/v1/chat/completions", &key.secret, &body).is(200);
    world.post("/v1/chat/completions", &key.secret, &body).is(200);
    let refused =
        world.post("/v1/chat/completions", &key.secret, &body).refused(402, "insufficient_quota");
    assert_eq!(refused.header("x-should-retry"), "false");
    let error = refused.json()["error"].clone();
    assert_eq!(
        (&error["amount"], &error["spent"], &error["held"], &error["scope"]),
        (&json!("0.0125"), &json!("0.0105"), &json!("0"), &json!("key"))
    );
    let mut small = chat("gpt-4o", "");
    small["max_tokens"] = json!(100);
    world.post("/v1/chat/completions", &key.secret, &small).is(200);
    assert_eq!(world.provider.requests().len(), 3);
}

#[test]
fn a_limit_outlives_a_restart() {
    let mut world = World::new();
    let key = world.key(&json!({"limit": 0.016}));
    let mut body = chat("gpt-4o", r#"{"output_tokens":1500}"#);
    body["max_tokens"] = json!(1_500);
    world.post("/v1/chat/completions", &key.secret, &body).is(200);
    world.restart();
    world.chat(&key.secret, "").refused(402, "insufficient_quota");
}

#[test]
fn what_cannot_be_bounded_or_metered_is_refused_to_a_key_with_a_money_limit() {
    let world = World::new();
    let key = world.key(&json!({"limit": 100}));
    for (path, body) in [
        (
            "/v1/responses",
            json!({"model": "gpt-4o", "input": "Hi", "tools": [{"type": "web_search"}]}),
        ),
        ("/v1/responses", json!({"model": "gpt-4o", "input": "Hi", "background": true})),
        ("/v1/assistants", json!({"model": "gpt-4o"})),
        ("/v1/batches", json!({"input_file_id": "file-1"})),
        ("/v1/realtime/sessions", json!({"model": "gpt-4o-realtime-preview"})),
    ] {
        world.post(path, &key.secret, &body).refused(403, "unbounded_feature_for_hard_limit");
    }
    assert!(world.provider.requests().is_empty());
}

#[test]
fn two_hundred_clients_on_one_dollar_never_spend_more_than_it() {
    let world = World::new();
    let key = world.key(&json!({"limit": 1}));
    let script = r#"{"prompt_tokens":100,"output_tokens":1000,"delay_ms":5}"#;
    let mut body = chat("gpt-4o", script);
    body["max_tokens"] = json!(1000);
    let (mut served, mut refused) = (0_u64, 0_u64);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    let statuses: Vec<u16> = (0..10)
                        .map(|_| world.post("/v1/chat/completions", &key.secret, &body).status)
                        .collect();
                    statuses
                })
            })
            .collect();
        for status in callers.into_iter().flat_map(|caller| caller.join().unwrap()) {
            match status {
                200 => served += 1,
                402 => refused += 1,
                other => panic!("{other}"),
            }
        }
    });
    assert_eq!(served + refused, 200);
    assert_eq!(u64::try_from(world.provider.requests().len()).unwrap(), served);
    // The last answers were made to fit into what was left.
    let spent: f64 = world.rows_when(1).iter().map(|row| row["cost"].as_f64().unwrap()).sum();
    assert!(spent <= 1.0 && spent > 0.98, "{spent} by {served} served");
    let shown = world.get("/api/v1/key", &key.secret).is(200).json()["data"]["usage"].clone();
    assert!((shown.as_f64().unwrap() - spent).abs() < 1e-9, "{shown} {spent}");
}

#[test]
fn what_the_provider_wrote_at_once_leaves_at_once() {
    let world = World::new();
    let key = world.any_key();
    let body = streamed(r#"{"chunks":100,"output_tokens":100}"#).to_string();
    let mut stream = TcpStream::connect(world.address()).unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        key.secret,
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let events = answer.matches("\ndata: {").count();
    // Every HTTP chunk of ours is one write: a line of hexadecimal digits before its data.
    let is_size = |line: &&str| !line.is_empty() && line.bytes().all(|b| b.is_ascii_hexdigit());
    let writes = answer.split("\r\n").filter(is_size).count();
    assert!(events > 100, "{events} events");
    assert!(writes < events / 2, "{events} events left in {writes} writes");
}

#[test]
fn a_client_that_does_not_read_holds_its_provider_back() {
    let world = World::new();
    let key = world.any_key();
    let body = streamed(r#"{"big_body_mb":64,"chunks":2000,"output_tokens":2000}"#);
    let stream = send_bare(&world, &key.secret, &body);
    std::thread::sleep(Duration::from_millis(800));
    // The answer is far larger than all buffers on its way: it cannot have been sent.
    assert!(world.provider.ended().is_empty(), "{:?}", world.provider.ended());
    drop(stream);
    world.rows_when(1);
}

#[test]
fn a_client_that_never_reads_counts_as_gone() {
    let env = vec![("WEIR_STALL_TIMEOUT", "1".to_owned())];
    let world = World::with(Unusual { env, ..Unusual::default() });
    let key = world.any_key();
    let body = streamed(r#"{"big_body_mb":64,"chunks":2000,"output_tokens":2000}"#);
    let stream = send_bare(&world, &key.secret, &body);
    let row = world.rows_when(1)[0].clone();
    assert_eq!(row["ending"], "client_gone");
    assert!(row["cost"].as_f64().unwrap() > 0.0);
    drop(stream);
}

#[test]
fn what_has_no_price_is_charged_at_the_hold_under_a_money_limit() {
    let prices =
        "[[prices]]\nprovider = \"openai\"\nmodel = \"gpt-4o\"\ninput = \"1\"\noutput = \"2\"\n";
    let world = World::with(Unusual { settings_file: prices, ..Unusual::default() });
    let key = world.key(&json!({"limit": 1}));
    // Audio has no price here, and none can be made up.
    let usage = r#"{"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"audio_tokens":8}}}"#;
    let mut body = chat("gpt-4o", usage);
    body["max_tokens"] = json!(100);
    world.post("/v1/chat/completions", &key.secret, &body).is(200);
    let row = world.rows()[0].clone();
    assert_eq!(row["evidence"], "estimated", "{row}");
    assert!(row["cost"].as_f64().unwrap() >= 0.0002, "{row}");
    let spent = world.get("/api/v1/key", &key.secret).is(200).json()["data"]["usage"].clone();
    assert_eq!(spent, row["cost"]);
}

#[test]
fn a_provider_that_uses_more_than_it_was_allowed_is_booked_truthfully() {
    let world = World::new();
    let key = world.key(&json!({"limit": 0.01}));
    let mut body = chat("gpt-4o", r#"{"ignore_max":true,"output_tokens":2000,"prompt_tokens":10}"#);
    body["max_tokens"] = json!(10);
    world.post("/v1/chat/completions", &key.secret, &body).is(200);
    assert_eq!(world.rows()[0]["cost"], dollars(gpt_4o_picos(10, 0, 2000)));
    world.post("/v1/chat/completions", &key.secret, &body).refused(402, "insufficient_quota");
}

#[test]
fn a_stream_that_broke_off_is_never_billed_by_what_it_had_told_so_far() {
    let drain = "[providers.anthropic]\napi_key = \"sk-x\"\non_hangup = \"cancel\"\n";
    let world = World::with(Unusual { settings_file: drain, ..Unusual::default() });
    let script =
        r#"<<{"prompt_tokens":100,"output_tokens":400,"chunks":40,"cut_after_bytes":4000}>>"#;
    let body = json!({"model": "claude-sonnet-4-20250514", "max_tokens": 500, "stream": true, "messages": [{"role": "user", "content": script}]});
    let any = world.any_key();
    world.post("/v1/messages", &any.secret, &body).is(200);
    let row = world.rows()[0].clone();
    assert_eq!(
        (&row["evidence"], &row["input_tokens"]),
        (&json!("estimated"), &json!(100)),
        "{row}"
    );
    assert!(row["output_tokens"].as_u64().unwrap() > 20, "{row}");
    // Under a money limit it is charged what was held for it.
    let limited = world.key(&json!({"limit": 5}));
    world.post("/v1/messages", &limited.secret, &body).is(200);
    let row = world.rows()[0].clone();
    assert!(row["cost"].as_f64().unwrap() >= 500.0 * 0.000_015, "{row}");
}

#[test]
fn a_report_that_cannot_be_true_is_charged_at_the_hold_under_a_money_limit() {
    let world = World::new();
    let key = world.key(&json!({"limit": 5}));
    for lie in [
        r#""negative""#,
        r#""none""#,
        r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#,
    ] {
        let mut body = chat("gpt-4o", &format!(r#"{{"usage":{lie},"output_tokens":1000}}"#));
        body["max_tokens"] = json!(1000);
        world.post("/v1/chat/completions", &key.secret, &body).is(200);
        let row = world.rows()[0].clone();
        assert_eq!(row["evidence"], "estimated", "{lie} {row}");
        assert!(row["cost"].as_f64().unwrap() >= 0.01, "{lie} {row}");
    }
}

#[test]
fn a_call_under_a_limit_is_kept_to_the_plain_tier_and_to_its_own_maximum() {
    let local = "[providers.local]\nbase_url = \"{fake}/v1\"\napi_key = \"sk-x\"\n[[prices]]\nprovider = \"local\"\nmodel = \"m\"\ninput = \"1\"\noutput = \"2\"\n";
    let world = World::with(Unusual { settings_file: local, ..Unusual::default() });
    let key = world.key(&json!({"limit": 5}));
    let mut body = chat("gpt-4o", "");
    body["max_completion_tokens"] = json!(7);
    world.post("/v1/chat/completions", &key.secret, &body).is(200);
    body["model"] = json!("local/m");
    world.post("/v1/chat/completions", &key.secret, &body).is(200);
    let sent: Vec<Value> = world
        .provider
        .requests()
        .iter()
        .map(|request| serde_json::from_str(request["body"].as_str().unwrap()).unwrap())
        .collect();
    assert_eq!(
        (&sent[0]["service_tier"], &sent[0]["max_tokens"]),
        (&json!("default"), &Value::Null)
    );
    assert_eq!((&sent[1]["service_tier"], &sent[1]["max_tokens"]), (&Value::Null, &json!(7)));
    for member in ["models", "fallbacks", "extra_body", "preset", "speed", "inference_geo"] {
        let mut body = chat("gpt-4o", "");
        body[member] = json!(["o1"]);
        world
            .post("/v1/chat/completions", &key.secret, &body)
            .refused(403, "unbounded_feature_for_hard_limit");
    }
    let narrow = world.key(&json!({"allowed_models": ["gpt-4o"]}));
    let mut body = chat("gpt-4o", "");
    body["models"] = json!(["o1"]);
    world.post("/v1/chat/completions", &narrow.secret, &body).refused(403, "model_not_allowed");
}
