//! Bad input gets a clear error: never a 500, nothing sent to a provider, nothing counted.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::world::{MASTER, Reply, TestKey, Unusual, World, chat};

struct Tried {
    world: World,
    key: TestKey,
}

impl Tried {
    fn new() -> Self {
        let world = World::new();
        let key = world.any_key();
        Self { world, key }
    }

    fn chat(&self, body: impl Into<bytes::Bytes>) -> Reply {
        let bearer = format!("Bearer {}", self.key.secret);
        self.world.send(
            Method::POST,
            "/v1/chat/completions",
            &[("authorization", &bearer), ("content-type", "application/json")],
            body,
        )
    }

    /// Nothing reached the provider, and nothing was counted.
    fn end(self) {
        assert!(self.world.provider.requests().is_empty());
        assert!(self.world.rows().is_empty());
    }
}

#[test]
fn credentials_that_are_none() {
    let tried = Tried::new();
    let body = chat("gpt-4o", "").to_string();
    let secret = &tried.key.secret;
    let long = "x".repeat(8_000);
    for value in [
        "Basic c2s6MQ==",
        "Bearer",
        "Bearer ",
        &format!("Bearer  {secret}"),
        &format!("Bearer\t{secret}"),
        &format!("Bearer {secret} x"),
        &format!("Bearer {}", secret.to_uppercase()),
        &format!("Bearer {}", secret.to_lowercase()),
        &format!("Bearer {long}"),
    ] {
        let headers = [("authorization", value), ("content-type", "application/json")];
        tried
            .world
            .send(Method::POST, "/v1/chat/completions", &headers, body.clone())
            .refused(401, "invalid_api_key");
    }
    // A secret that nobody has is answered like one that is mistyped, byte for byte but for the id.
    let unknown = tried.world.chat("sk-nobody", "").refused(401, "invalid_api_key");
    let mistyped = tried
        .world
        .chat(&format!("{}x", &secret[..secret.len() - 1]), "")
        .refused(401, "invalid_api_key");
    assert_eq!(unknown.text, mistyped.text);
    let bearer = format!("Bearer {secret}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("x-api-key", "sk-other"),
        ("content-type", "application/json"),
    ];
    tried
        .world
        .send(Method::POST, "/v1/chat/completions", &headers, body)
        .refused(400, "conflicting_credentials");
    tried.end();
}

#[test]
fn methods_types_and_encodings() {
    let tried = Tried::new();
    let bearer = format!("Bearer {}", tried.key.secret);
    let auth = ("authorization", bearer.as_str());
    let body = chat("gpt-4o", "").to_string();
    for method in [Method::GET, Method::PUT, Method::TRACE, Method::OPTIONS] {
        let answer = tried
            .world
            .send(method, "/v1/chat/completions", &[auth], "")
            .refused(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), "POST");
    }
    for headers in [
        &[auth][..],
        &[auth, ("content-type", "text/plain")],
        &[auth, ("content-type", "multipart/form-data; boundary=x")],
    ] {
        tried
            .world
            .send(Method::POST, "/v1/chat/completions", headers, body.clone())
            .refused(415, "unsupported_media_type");
    }
    let json = ("content-type", "application/json");
    let send = |encoding: &str, body: Vec<u8>| {
        tried.world.send(
            Method::POST,
            "/v1/chat/completions",
            &[auth, json, ("content-encoding", encoding)],
            body,
        )
    };
    send("br", body.clone().into()).refused(415, "unsupported_encoding");
    send("gzip", body.clone().into()).refused(400, "invalid_value");
    send("gzip", gzip(&vec![b' '; 40 << 20])).refused(413, "request_too_large");
    tried
        .world
        .send(
            Method::POST,
            "/v1/chat/completions",
            &[auth, json, ("upgrade", "websocket"), ("connection", "upgrade")],
            body.clone(),
        )
        .refused(400, "invalid_upgrade");
    assert!(tried.world.provider.requests().is_empty());
    send("gzip", gzip(body.as_bytes())).is(200);
    assert_eq!(tried.world.provider.requests()[0]["body"], body);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn bodies_that_are_no_json() {
    let tried = Tried::new();
    let bodies: [&[u8]; 14] = [
        b"",
        b"{",
        b"{\"model\":\"gpt-4o\",}",
        b"{} {}",
        b"\xef\xbb\xbf{}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"a\":\"\xff\"}",
        b"nope",
        b"{\"a\":01}",
        b"{\"a\":\"\n\"}",
        b"{'a':1}",
        b"\xff\xfe{\x00}\x00",
        b"{\"a\":+1}",
        b"{\"a\":1.}",
    ];
    for body in bodies {
        let answer = tried.chat(body.to_vec());
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "invalid_json"),
            "{}",
            String::from_utf8_lossy(body)
        );
    }
    for body in ["null", "[]", "\"x\"", "5"] {
        assert_eq!(tried.chat(body).status, 400, "{body}");
    }
    let deep = format!(
        "{{\"model\":\"gpt-4o\",\"messages\":{}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    tried.chat(deep).refused(400, "invalid_json");
    for (body, param) in [
        (r#"{"model":"gpt-4o","model":"o1","messages":[]}"#, "model"),
        (r#"{"mod\u0065l":"gpt-4o","model":"o1"}"#, "model"),
        (
            r#"{"model":"gpt-4o","messages":[{"role":"user","content":"x","role":"system"}]}"#,
            "messages[0].role",
        ),
    ] {
        assert_eq!(
            tried.chat(body).refused(400, "duplicate_json_key").json()["error"]["param"],
            param,
            "{body}"
        );
    }
    for body in
        [r#"{"model":"gpt-4o","temperature":NaN}"#, r#"{"model":"gpt-4o","temperature":1e400}"#]
    {
        tried.chat(body).refused(400, "invalid_value");
    }
    tried.end();
}

#[test]
fn parameters_out_of_range_are_named() {
    let tried = Tried::new();
    let with = |member: &str| {
        format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"x"}}],{member}}}"#)
    };
    for (body, code, param) in [
        (
            r#"{"messages":[{"role":"user","content":"x"}]}"#.to_owned(),
            "missing_required_parameter",
            "model",
        ),
        (r#"{"model":"","messages":[]}"#.to_owned(), "invalid_value", "model"),
        (r#"{"model":5,"messages":[]}"#.to_owned(), "invalid_value", "model"),
        (r#"{"model":"a\nb","messages":[]}"#.to_owned(), "invalid_value", "model"),
        (
            format!(r#"{{"model":"{}","messages":[]}}"#, "x".repeat(10_000)),
            "invalid_value",
            "model",
        ),
        (r#"{"model":"gpt-4o"}"#.to_owned(), "missing_required_parameter", "messages"),
        (r#"{"model":"gpt-4o","messages":[]}"#.to_owned(), "invalid_value", "messages"),
        (r#"{"model":"gpt-4o","messages":"x"}"#.to_owned(), "invalid_value", "messages"),
        (
            r#"{"model":"gpt-4o","messages":[{"role":"king","content":"x"}]}"#.to_owned(),
            "invalid_value",
            "messages[0].role",
        ),
        (with(r#""max_tokens":0"#), "invalid_value", "max_tokens"),
        (with(r#""max_tokens":-1"#), "invalid_value", "max_tokens"),
        (with(r#""max_tokens":1.5"#), "invalid_value", "max_tokens"),
        (with(r#""max_tokens":"100""#), "invalid_value", "max_tokens"),
        (
            with(r#""max_completion_tokens":1000000000000"#),
            "invalid_value",
            "max_completion_tokens",
        ),
        (with(r#""n":0"#), "invalid_value", "n"),
        (with(r#""n":1000000"#), "invalid_value", "n"),
        (with(r#""temperature":-1"#), "invalid_value", "temperature"),
        (with(r#""temperature":99"#), "invalid_value", "temperature"),
        (with(r#""stream":"yes""#), "invalid_value", "stream"),
        (with(r#""base_url":"http://evil""#), "unsupported_parameter", "base_url"),
        (with(r#""api_base":"http://evil""#), "unsupported_parameter", "api_base"),
        (with(r#""api_key":"sk-x""#), "unsupported_parameter", "api_key"),
    ] {
        let refused = tried.chat(body.clone()).refused(400, code);
        assert_eq!(refused.json()["error"]["param"], param, "{body}");
    }
    tried.end();
}

#[test]
fn names_in_other_places_decide_nothing() {
    let tried = Tried::new();
    let narrow = tried.world.key(&json!({"allowed_models": ["gpt-4o"]}));
    let bearer = format!("Bearer {}", narrow.secret);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("x-model", "o1"),
        ("x-portkey-custom-host", "http://evil"),
        ("host", "h/?"),
    ];
    let answer = tried.world.send(
        Method::POST,
        "/v1/chat/completions?model=o1&api_base=http://evil",
        &headers,
        chat("gpt-4o", "").to_string(),
    );
    answer.is(200);
    let request = tried.world.provider.requests()[0].clone();
    assert_eq!(
        (&request["model"], &request["path"]),
        (&json!("gpt-4o"), &json!("/v1/chat/completions"))
    );
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let world = World::with(Unusual {
        env: vec![("WEIR_BODY_BYTES_MAX", "1000".to_owned())],
        ..Unusual::default()
    });
    let key = world.any_key();
    let head = |length: &str| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n{length}\r\n\r\n",
            key.secret
        )
    };
    // Not a byte of the body is sent, and the answer comes all the same.
    assert!(
        raw(&world, &head("content-length: 5000\r\nexpect: 100-continue"))
            .contains("request_too_large")
    );
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    assert!(
        raw(&world, &format!("{}{chunk}", head("transfer-encoding: chunked")))
            .contains("request_too_large")
    );
    assert!(world.provider.requests().is_empty());
}

#[test]
fn requests_that_could_be_read_in_two_ways_are_refused_and_the_connection_is_closed() {
    let tried = Tried::new();
    let body = chat("gpt-4o", "").to_string();
    let length = body.len();
    // A body that is right in chunks, so that only the framing can be what is refused.
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    for (framing, body) in [
        (format!("content-length: +{length}"), &body),
        (format!("content-length: {length},{length}5"), &body),
        ("content-length: -1".to_owned(), &body),
        (format!("content-length: {length}\r\ncontent-length: 5"), &body),
        (format!("x-folded: a\r\n b\r\ncontent-length: {length}"), &body),
        (format!("bad header: x\r\ncontent-length: {length}"), &body),
        ("transfer-encoding: xchunked".to_owned(), &chunked),
        ("transfer-encoding: chunked, identity".to_owned(), &chunked),
        ("transfer-encoding: gzip, chunked".to_owned(), &chunked),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked".to_owned(), &chunked),
    ] {
        let secret = &tried.key.secret;
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {secret}\r\ncontent-type: application/json\r\n{framing}\r\n\r\n"
        );
        let answer =
            raw(&tried.world, &format!("{head}{body}GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 400"), "{framing}: {answer}");
        assert!(!answer.contains("\"status\":\"ok\""), "{framing}: went on reading: {answer}");
    }
    tried.end();
}

#[test]
fn of_a_length_and_chunks_the_chunks_count_and_the_provider_gets_one_length() {
    // RFC 9112, section 6.3: Transfer-Encoding overrides Content-Length, which is taken out.
    let tried = Tried::new();
    let body = chat("gpt-4o", "").to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        tried.key.secret
    );
    let answer = raw(&tried.world, &format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let requests = tried.world.provider.requests();
    assert_eq!((requests.len(), &requests[0]["body"]), (1, &json!(body)));
}

#[test]
fn hosts_of_any_kind_change_nothing() {
    let tried = Tried::new();
    for host in ["h/?", "h/#", "a@b", "x:99999", "", "[::1]", "localhost"] {
        let answer =
            raw(&tried.world, &format!("GET /api/v1/keys HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        assert!(
            answer.starts_with("HTTP/1.1 401") || answer.starts_with("HTTP/1.1 400"),
            "{host}: {answer}"
        );
    }
    let absolute = raw(
        &tried.world,
        "GET http://evil/api/v1/keys HTTP/1.1\r\nhost: x\r\nx-original-url: /healthz\r\n\r\n",
    );
    assert!(absolute.starts_with("HTTP/1.1 401"), "{absolute}");
    tried.end();
}

#[test]
fn a_client_that_is_too_slow_is_let_go() {
    let env = vec![("WEIR_HEADER_TIMEOUT", "1".to_owned()), ("WEIR_BODY_TIMEOUT", "1".to_owned())];
    let world = World::with(Unusual { env, ..Unusual::default() });
    let key = world.any_key();
    let half_a_head = raw(&world, "GET /healthz HTTP/1.1\r\nhost: x\r\n");
    assert!(half_a_head.is_empty() || half_a_head.starts_with("HTTP/1.1 408"), "{half_a_head}");
    let half_a_body = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{",
        key.secret
    );
    assert!(raw(&world, &half_a_body).contains("request_timeout"));
    assert!(world.provider.requests().is_empty());
}

#[test]
fn hostile_names_in_admin_requests_get_clear_errors() {
    let world = World::new();
    for path in [
        "/api/v1/keys/'%20OR%201=1",
        "/api/v1/keys/..",
        "/api/v1/keys/%2e%2e",
        "/api/v1/keys/x",
        "/api/v1/keys/key_zzz",
    ] {
        world.get(path, MASTER).refused(
            404,
            if path.contains('%') || path.ends_with("..") { "unknown_url" } else { "not_found" },
        );
    }
    for body in ["", "null", "[]", "{\"name\":\"a\",\"name\":\"b\"}", "{\"name\":5}"] {
        let answer = world.send(
            Method::POST,
            "/api/v1/keys",
            &[("authorization", &format!("Bearer {MASTER}")), ("content-type", "application/json")],
            body,
        );
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
    }
}

/// Sends bytes as they are and gives back what comes until the connection closes or a second
/// passes in silence.
fn raw(world: &World, bytes: &str) -> String {
    let mut stream = TcpStream::connect(world.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(6))).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    while let Ok(count) = stream.read(&mut part) {
        if count == 0 {
            break;
        }
        answer.extend_from_slice(&part[..count]);
        // One whole answer is enough where the connection stays open.
        if answer.ends_with(b"}") {
            stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}
