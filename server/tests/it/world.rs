//! A small world for one test: Weir, a fake provider, a clock, and callers. Everything goes over
//! HTTP; nothing inside Weir is touched.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::time::ManualClock;
use domain::{Entropy, Timestamp};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;
use serde_json::{Value, json};
use server::app::{App, Start};
use server::config::Config;
use server::config::raw::Raw;
use tempfile::TempDir;

use crate::promises;

pub(crate) const MASTER: &str = "a-master-key-for-tests-only-0123456789";

/// Secrets of ours that must never leave: the fake provider accepts any.
pub(crate) const OPENAI_SECRET: &str = "sk-canary-openai-credential";
pub(crate) const ANTHROPIC_SECRET: &str = "sk-ant-canary-credential";

/// Everything one test needs.
pub(crate) struct World {
    app: Option<App>,
    unusual: Unusual,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) provider: Provider,
    pub(crate) data: TempDir,
    url: String,
    runtime: tokio::runtime::Runtime,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// Settings of a world that differ from the usual.
#[derive(Default)]
pub(crate) struct Unusual {
    pub(crate) env: Vec<(&'static str, String)>,
    pub(crate) settings_file: &'static str,
    /// The operator's own file, as it is before the first start; empty: there is none.
    pub(crate) config_json: &'static str,
    pub(crate) without_providers: bool,
    pub(crate) pace: Duration,
    /// Where the clock stands at first, in seconds since the epoch.
    pub(crate) begins_at: Option<i64>,
}

/// Randomness that is the same in every run.
struct Seeded(Mutex<fastrand::Rng>);

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().fill(bytes);
    }
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Whether there is nothing under the path that was asked for.
    pub(crate) fn is_no_url(&self) -> bool {
        self.status == 404 && self.text.contains("\"unknown_url\"")
    }

    /// The error's code, in either dialect.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:.2000}", self.text);
        self
    }

    /// Asserts an error, and what is true of every error.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{:.2000}", self.text);
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.header("cache-control"), "no-store");
        assert!(self.header("x-request-id").starts_with("req_"));
        let message = self.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(!message.is_empty() && message.len() <= 300, "{message}");
        for canary in [MASTER, OPENAI_SECRET, ANTHROPIC_SECRET] {
            assert!(!self.text.contains(canary));
        }
        self
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Unusual::default())
    }

    pub(crate) fn with(unusual: Unusual) -> Self {
        let provider = Provider::start();
        let data = tempfile::tempdir().unwrap();
        if !unusual.config_json.is_empty() {
            std::fs::write(data.path().join("config.json"), unusual.config_json).unwrap();
        }
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(
            unusual.begins_at.unwrap_or(1_800_000_000),
        )));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let app = start(&provider, &data, &clock, &unusual);
        let url = format!("http://{}", app.address());
        Self { app: Some(app), unusual, clock, provider, data, url, runtime, client }
    }

    /// Stops Weir and starts it again on the same data, with the same settings.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start();
    }

    pub(crate) fn stop(&mut self) {
        self.app.take().unwrap().stop();
    }

    pub(crate) fn start(&mut self) {
        let app = start(&self.provider, &self.data, &self.clock, &self.unusual);
        self.url = format!("http://{}", app.address());
        self.app = Some(app);
    }

    /// The same, with another setting.
    pub(crate) fn restart_with(&mut self, name: &'static str, value: &str) {
        self.unusual.env.push((name, value.to_owned()));
        self.restart();
    }

    /// Other variables, from the next start on.
    pub(crate) fn set_env(&mut self, env: &[(&'static str, String)]) {
        self.unusual.env = env.to_vec();
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.app.as_ref().unwrap().address()
    }

    /// Sends any request.
    pub(crate) fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let reply = self.runtime.block_on(async {
            let answer = self.client.request(request).await.unwrap();
            let (head, body) = answer.into_parts();
            let body =
                body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let text = String::from_utf8_lossy(&body).into_owned();
            Reply { status: head.status.as_u16(), headers: head.headers, text }
        });
        promises::hold(&method, uri.path(), &reply);
        reply
    }

    pub(crate) fn get(&self, path: &str, secret: &str) -> Reply {
        self.send(Method::GET, path, &[("authorization", &format!("Bearer {secret}"))], "")
    }

    pub(crate) fn post(&self, path: &str, secret: &str, body: &Value) -> Reply {
        self.with_json(Method::POST, path, secret, body)
    }

    pub(crate) fn patch(&self, path: &str, secret: &str, body: &Value) -> Reply {
        self.with_json(Method::PATCH, path, secret, body)
    }

    pub(crate) fn put(&self, path: &str, secret: &str, body: &Value) -> Reply {
        self.with_json(Method::PUT, path, secret, body)
    }

    pub(crate) fn delete(&self, path: &str, secret: &str) -> Reply {
        self.send(Method::DELETE, path, &[("authorization", &format!("Bearer {secret}"))], "")
    }

    pub(crate) fn with_json(
        &self,
        method: Method,
        path: &str,
        secret: &str,
        body: &Value,
    ) -> Reply {
        let bearer = format!("Bearer {secret}");
        self.send(
            method,
            path,
            &[("authorization", &bearer), ("content-type", "application/json")],
            body.to_string(),
        )
    }

    /// Makes a key with the master key.
    pub(crate) fn key(&self, body: &Value) -> TestKey {
        let mut body = body.clone();
        body.as_object_mut().unwrap().entry("name").or_insert(json!("test"));
        let made = self.post("/api/v1/keys", MASTER, &body).is(201).json();
        TestKey {
            id: made["data"]["hash"].as_str().unwrap().to_owned(),
            secret: made["key"].as_str().unwrap().to_owned(),
        }
    }

    /// A key without restrictions.
    pub(crate) fn any_key(&self) -> TestKey {
        self.key(&json!({}))
    }

    /// One chat call; `script` tells the fake provider what to do.
    pub(crate) fn chat(&self, secret: &str, script: &str) -> Reply {
        self.post("/v1/chat/completions", secret, &chat("gpt-4o", script))
    }

    /// The ledger's rows, the newest first.
    pub(crate) fn rows(&self) -> Vec<Value> {
        let answer = self.get("/api/v1/usage/calls", MASTER).is(200).json();
        answer["data"].as_array().unwrap().clone()
    }

    /// The ledger's rows, once there are as many as expected: a call whose client has gone is
    /// settled a little later.
    pub(crate) fn rows_when(&self, count: usize) -> Vec<Value> {
        for _ in 0..2_000 {
            let rows = self.rows();
            if rows.len() >= count {
                return rows;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no {count} rows: {:?}", self.rows());
    }
}

/// A chat request whose last message carries a script for the fake provider.
pub(crate) fn chat(model: &str, script: &str) -> Value {
    let content = if script.is_empty() {
        "Hello there".to_owned()
    } else {
        format!("Hello there <<{script}>>")
    };
    json!({"model": model, "messages": [{"role": "user", "content": content}]})
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(app) = self.app.take() {
            app.stop();
        }
    }
}

pub(crate) struct TestKey {
    pub(crate) id: String,
    pub(crate) secret: String,
}

fn start(provider: &Provider, data: &TempDir, clock: &Arc<ManualClock>, unusual: &Unusual) -> App {
    let mut env = HashMap::new();
    let mut set = |name: &str, value: String| env.insert(name.to_owned(), value);
    set("PROXY_MASTER_KEY", MASTER.to_owned());
    set("WEIR_LISTEN", "127.0.0.1:0".to_owned());
    set("WEIR_DATA", data.path().join("data").display().to_string());
    set("WEIR_THREADS", "1".to_owned());
    if !unusual.without_providers {
        set("OPENAI_API_KEY", OPENAI_SECRET.to_owned());
        set("OPENAI_BASE_URL", format!("{}/v1", provider.url));
        set("ANTHROPIC_API_KEY", ANTHROPIC_SECRET.to_owned());
        set("ANTHROPIC_BASE_URL", provider.url.clone());
    }
    for (name, value) in &unusual.env {
        set(name, value.clone());
    }
    let file = data.path().join("weir.toml");
    std::fs::write(&file, unusual.settings_file.replace("{fake}", &provider.url)).unwrap();
    let mut raw = Raw::collect(&HashMap::new(), Some(&file), env).unwrap();
    let config = Config::resolve(&mut raw).unwrap();
    App::start(Start {
        config,
        clock: Arc::clone(clock) as Arc<dyn domain::Clock>,
        entropy: Arc::new(Seeded(Mutex::new(fastrand::Rng::with_seed(42)))),
        demo_pace: unusual.pace,
    })
    .unwrap()
}

/// The fake provider, in a process of its own.
pub(crate) struct Provider {
    child: Child,
    pub(crate) url: String,
    directory: TempDir,
}

impl Provider {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log.jsonl");
        let mut child = Command::new(program("fake-provider"))
            .args(["--listen", "127.0.0.1:0", "--log"])
            .arg(&log)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the fake provider starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { child, url, directory }
    }

    /// What it wrote down: its own log, line by line.
    pub(crate) fn log(&self) -> Vec<Value> {
        let text =
            std::fs::read_to_string(self.directory.path().join("log.jsonl")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The requests it got, as they began.
    pub(crate) fn requests(&self) -> Vec<Value> {
        self.log().into_iter().filter(|line| line["event"] == "start").collect()
    }

    /// The requests that have ended.
    pub(crate) fn ended(&self) -> Vec<Value> {
        self.log().into_iter().filter(|line| line["event"] == "end").collect()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program of this workspace, beside the test's own.
pub(crate) fn program(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().unwrap().parent().unwrap().join(name);
    assert!(path.exists(), "{} is not built: cargo build --workspace --bins", path.display());
    path
}
