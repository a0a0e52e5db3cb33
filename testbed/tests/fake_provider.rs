//! The fake provider as its users see it: over HTTP, and in its log.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::fake_provider::{Options, Server};

fn provider() -> Server {
    Server::start(&Options::default()).unwrap()
}

/// Sends a request and returns the head and the body, without its chunking.
fn call(server: &Server, head: &str, body: &str) -> (String, String) {
    let mut socket = TcpStream::connect(server.address()).unwrap();
    let length = body.len();
    let request =
        format!("{head}\r\nhost: fake\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    socket.write_all(body.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A cut answer may end in a reset: what came before it counts.
    socket.read_to_end(&mut answer).ok();
    let gap = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..gap]).into_owned();
    let body = answer.get(gap + 4..).unwrap_or_default();
    let chunked = head.contains("transfer-encoding: chunked");
    let body = if chunked { dechunk(body) } else { body.to_vec() };
    (head, String::from_utf8_lossy(&body).into_owned())
}

fn dechunk(mut rest: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = rest.windows(2).position(|bytes| bytes == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let Some(chunk) = rest.get(end + 2..end + 2 + size).filter(|_| size > 0) else { break };
        whole.extend_from_slice(chunk);
        rest = rest.get(end + size + 4..).unwrap_or_default();
    }
    whole
}

fn post(server: &Server, path: &str, body: &Value) -> (String, String) {
    let head = format!("POST {path} HTTP/1.1\r\nauthorization: Bearer sk-test-wxyz");
    call(server, &head, &body.to_string())
}

fn chat(content: &str, more: Value) -> Value {
    let mut body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": content}]});
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

fn events(body: &str) -> Vec<Value> {
    let lines = body.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

/// The end lines of the log, once there are `count`.
fn ended(server: &Server, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let (_, lines) = call(server, "GET /__log?after=0 HTTP/1.1", "");
        let lines: Vec<Value> = serde_json::from_str(&lines).unwrap();
        let ended: Vec<Value> = lines.into_iter().filter(|line| line["event"] == "end").collect();
        if ended.len() >= count || Instant::now() > deadline {
            assert_eq!(ended.len(), count);
            return ended;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn usage_comes_in_a_chunk_of_its_own_and_only_when_asked_for() {
    let server = provider();
    let asked = json!({"stream": true, "stream_options": {"include_usage": true}});
    let (_, body) = post(&server, "/v1/chat/completions", &chat("one two", asked));
    let chunks = events(&body);
    let (last, others) = chunks.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["prompt_tokens"], 2);
    assert_eq!(last["usage"]["completion_tokens"], 16);
    assert!(others.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
    assert!(body.ends_with("data: [DONE]\n\n"));

    let plain = json!({"stream": true});
    let (_, body) = post(&server, "/v1/chat/completions", &chat("one two", plain));
    assert!(events(&body).iter().all(|chunk| chunk.get("usage").is_none()));
}

#[test]
fn the_callers_maximum_bounds_the_answer() {
    let server = provider();
    let script = r#"one two three <<{"output_tokens": 50}>>"#;
    let (_, body) = post(&server, "/v1/chat/completions", &chat(script, json!({"max_tokens": 2})));
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "one two");
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], 2);
}

#[test]
fn the_log_says_what_was_asked_and_given() {
    let server = provider();
    post(&server, "/v1/chat/completions", &chat("hello", json!({"max_tokens": 3, "n": 2})));
    let end = &ended(&server, 1)[0];
    assert_eq!(end["secret_seen"], "wxyz");
    assert_eq!(end["headers"]["authorization"], "wxyz");
    assert_eq!(end["max_tokens_seen"], 3);
    assert_eq!(end["output_tokens_sent"], 6);
    assert_eq!(end["usage_reported"]["total_tokens"], 8);
    assert_eq!(end["finished"], true);
    assert!(end["body"].as_str().unwrap().contains("hello"));
    call(&server, "POST /__reset HTTP/1.1", "");
    assert!(ended(&server, 0).is_empty());
}

#[test]
fn a_cut_answer_counts_what_was_sent_and_what_was_generated() {
    let server = provider();
    let script = r#"<<{"cut_after_bytes": 20}>>"#;
    let (head, body) = post(&server, "/v1/chat/completions", &chat(script, json!({})));
    assert!(head.contains("content-length: "));
    assert_eq!(body.len(), 20);
    let end = &ended(&server, 1)[0];
    assert_eq!((&end["finished"], &end["client_gone"]), (&json!(false), &json!(false)));
    assert_eq!(
        (&end["output_tokens_sent"], &end["output_tokens_generated"]),
        (&json!(0), &json!(16))
    );
}

#[test]
fn a_client_that_leaves_is_noticed_and_the_rest_generated_if_scripted() {
    let server = provider();
    for (finish, expected) in [("false", false), ("true", true)] {
        call(&server, "POST /__reset HTTP/1.1", "");
        let script = format!(
            r#"<<{{"chunks": 10, "chunk_gap_ms": 20, "finish_after_disconnect": {finish}}}>>"#
        );
        let body = chat(&script, json!({"stream": true})).to_string();
        let mut socket = TcpStream::connect(server.address()).unwrap();
        let length = body.len();
        write!(
            socket,
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer a\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut some = [0; 600];
        socket.read_exact(&mut some).unwrap();
        drop(socket);
        let end = &ended(&server, 1)[0];
        assert_eq!(end["client_gone"], true);
        assert!(end["output_tokens_sent"].as_u64().unwrap() < 10);
        assert_eq!(end["output_tokens_generated"] == 10, expected);
    }
}

#[test]
fn a_split_stream_is_the_same_stream() {
    let server = provider();
    let script = r#"på söndag <<{"split": 3, "crlf": true, "output_tokens": 4}>>"#;
    let (_, body) = post(&server, "/v1/chat/completions", &chat(script, json!({"stream": true})));
    assert_eq!(body.lines().count(), body.matches("\r\n").count());
    let spoken = events(&body);
    let text = spoken.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
    assert_eq!(text.collect::<String>(), "på söndag på söndag");
    let end = &ended(&server, 1)[0];
    assert_eq!((&end["finished"], &end["output_tokens_sent"]), (&json!(true), &json!(4)));
}

#[test]
fn each_api_refuses_in_its_own_words() {
    let server = provider();
    let (head, body) = call(&server, "POST /v1/chat/completions HTTP/1.1", "{}");
    assert!(head.starts_with("HTTP/1.1 401"));
    assert!(body.contains("You didn't provide an API key"));
    let (head, body) = call(&server, "POST /v1/messages HTTP/1.1\r\nanthropic-version: x", "{}");
    assert!(head.starts_with("HTTP/1.1 401"));
    assert!(body.contains("authentication_error"));
    let (head, body) =
        post(&server, "/v1/chat/completions", &chat(r#"<<{"nonsense": 1}>>"#, json!({})));
    assert!(head.starts_with("HTTP/1.1 400"));
    assert!(body.contains("fake_script_error"));
}

#[test]
fn messages_report_usage_at_both_ends() {
    let server = provider();
    let body = json!({"model": "claude-sonnet-4-5", "max_tokens": 3, "stream": true,
                      "messages": [{"role": "user", "content": "one two three four"}]});
    let head = "POST /v1/messages HTTP/1.1\r\nx-api-key: k\r\nanthropic-version: 2023-06-01";
    let (_, body) = call(&server, head, &body.to_string());
    let events = events(&body);
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    let delta = "content_block_delta";
    let middle = ["content_block_start", "ping", delta, delta, delta, "content_block_stop"];
    assert_eq!(
        kinds,
        [&["message_start"][..], &middle, &["message_delta", "message_stop"]].concat()
    );
    assert_eq!(events[0]["message"]["usage"]["input_tokens"], 5);
    assert_eq!(events[events.len() - 2]["usage"]["output_tokens"], 3);
}

#[test]
fn responses_can_be_read_again_and_deleted() {
    let server = provider();
    let (_, body) = post(&server, "/v1/responses", &json!({"model": "gpt-5", "input": "hi"}));
    let id = serde_json::from_str::<Value>(&body).unwrap()["id"].as_str().unwrap().to_owned();
    let head = |method| format!("{method} /v1/responses/{id} HTTP/1.1\r\nauthorization: Bearer a");
    assert!(call(&server, &head("GET"), "").1.contains("\"status\":\"completed\""));
    assert!(call(&server, &head("DELETE"), "").1.contains("\"deleted\":true"));
    assert!(call(&server, &head("GET"), "").0.starts_with("HTTP/1.1 404"));
}
