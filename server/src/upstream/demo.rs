//! The provider that is always there: answers without a network and without an account, at invented
//! prices, so that the first call works and costs something visible. `demo/echo` says what it was
//! told; `demo/story` tells a story, word by word, at a human pace. It speaks Chat Completions as
//! OpenAI documents it: streams, tools, usage, maxima.

use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use domain::{Class, Clock, Override, Price, Prices, Rates, Timestamp};
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::time::Sleep;

use crate::ids::Ids;
use crate::providers::DEMO;
use crate::upstream::Body;

const STORY: &str = "A river ran past a mill, and the miller built a weir. When the river rose, the weir held it back; \
when it sank, the weir let it through; and every evening the miller wrote down how much had passed. \
One spring a stranger came and asked for all of the water at once. The miller looked at the book, then at the river, \
and said: you may have what is there, and not a drop more. The stranger laughed and opened every gate. \
Nothing more came than what was written. So they sat down together, and the mill went on turning.";

/// What the demo models cost: invented, and meant to be seen. A dollar buys a hundred thousand words
/// in, or fifty thousand out.
pub fn models() -> Vec<Override> {
    let rates = Rates::UNKNOWN
        .with(Class::Input, Price::from_picos(10_000_000))
        .with(Class::Output, Price::from_picos(20_000_000));
    let model = |name: &str| Override {
        provider: DEMO.to_owned(),
        name: name.to_owned(),
        prices: Prices::flat(rates),
        context_tokens: Some(32_768),
        max_output_tokens: Some(4_096),
    };
    ["echo", "story"].map(model).to_vec()
}

/// The provider.
#[derive(Clone)]
pub struct Demo {
    clock: Arc<dyn Clock>,
    ids: Arc<Ids>,
    /// Between two words of the story.
    pace: Duration,
}

/// What is asked of it.
struct Wanted {
    id: String,
    created: i64,
    model: String,
    stream: bool,
    include_usage: bool,
    prompt_words: usize,
    words_max: usize,
    reply: Reply,
}

enum Reply {
    Text(String),
    Tool { name: String, arguments: String },
}

impl Demo {
    pub fn new(clock: Arc<dyn Clock>, ids: Arc<Ids>, pace: Duration) -> Self {
        Self { clock, ids, pace }
    }

    /// Answers one Chat Completions request for `model`.
    pub fn answer(&self, model: &str, body: &[u8]) -> Response<Body> {
        let now = self.clock.now();
        let id = format!("chatcmpl-{}", self.ids.request(now).ulid());
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        match wanted(id, now, model, &body) {
            None => not_found(model),
            Some(wanted) if wanted.stream => {
                let pace = if model == "story" { self.pace } else { Duration::ZERO };
                answer(StatusCode::OK, "text/event-stream", events(&wanted), pace)
            }
            Some(wanted) => {
                let whole = whole(&wanted).to_string();
                answer(StatusCode::OK, "application/json", VecDeque::from([whole]), Duration::ZERO)
            }
        }
    }
}

fn not_found(model: &str) -> Response<Body> {
    let error = json!({"error": {
        "message": format!("The demo provider has no model '{model}': it has demo/echo and demo/story."),
        "type": "invalid_request_error", "param": "model", "code": "model_not_found",
    }});
    answer(
        StatusCode::NOT_FOUND,
        "application/json",
        VecDeque::from([error.to_string()]),
        Duration::ZERO,
    )
}

fn answer(
    status: StatusCode,
    kind: &'static str,
    parts: VecDeque<String>,
    pace: Duration,
) -> Response<Body> {
    let mut answer = Response::new(Body::Demo(Words { parts, pace, wait: None }));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn wanted(id: String, now: Timestamp, model: &str, body: &Value) -> Option<Wanted> {
    let no_messages = Vec::new();
    let messages = body["messages"].as_array().unwrap_or(&no_messages);
    let texts: Vec<String> = messages.iter().map(|message| text_of(&message["content"])).collect();
    let last = messages.last();
    let after_tool = last.is_some_and(|message| message["role"] == "tool");
    let text = match model {
        "echo" => texts.last().cloned().unwrap_or_default(),
        "story" => STORY.to_owned(),
        _ => return None,
    };
    let reply = match chosen_tool(body) {
        Some(tool) if !after_tool => tool,
        _ => Reply::Text(text),
    };
    let cap = ["max_completion_tokens", "max_tokens"]
        .iter()
        .filter_map(|name| body[*name].as_u64())
        .min();
    Some(Wanted {
        id,
        created: now.seconds(),
        model: model.to_owned(),
        stream: body["stream"] == true,
        include_usage: body["stream_options"]["include_usage"] == true,
        prompt_words: texts.iter().map(|text| text.split_whitespace().count() + 1).sum(),
        words_max: cap.and_then(|cap| usize::try_from(cap).ok()).unwrap_or(usize::MAX),
        reply,
    })
}

/// The text of a message's content, which is a string or a list of parts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

/// The tool that is to be called: the one that is demanded, or the first where any is offered.
fn chosen_tool(body: &Value) -> Option<Reply> {
    let tools = body["tools"].as_array()?;
    let function = match &body["tool_choice"] {
        Value::String(choice) if choice == "none" => return None,
        Value::Object(choice) => {
            let name = choice.get("function")?.get("name")?;
            &tools.iter().find(|tool| tool["function"]["name"] == *name)?["function"]
        }
        _ => &tools.first()?["function"],
    };
    let name = function["name"].as_str()?.to_owned();
    let arguments = sample(&function["parameters"]).to_string();
    Some(Reply::Tool { name, arguments })
}

/// Some value that a JSON schema would accept.
fn sample(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let properties = schema["properties"].as_object();
            let members = properties
                .into_iter()
                .flatten()
                .map(|(name, schema)| (name.clone(), sample(schema)));
            Value::Object(members.collect())
        }
        Some("array") => json!([]),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        _ => json!("demo"),
    }
}

impl Wanted {
    /// The words of the reply, each with the space before it, as far as the maximum allows.
    fn words(&self) -> Vec<String> {
        let text = match &self.reply {
            Reply::Text(text) => text,
            Reply::Tool { arguments, .. } => arguments,
        };
        let words = text.split_inclusive(' ').take(self.words_max);
        words.map(str::to_owned).collect()
    }

    fn finish_reason(&self) -> &'static str {
        match &self.reply {
            Reply::Text(text) if text.split_inclusive(' ').count() > self.words_max => "length",
            Reply::Text(_) => "stop",
            Reply::Tool { .. } => "tool_calls",
        }
    }

    fn usage(&self) -> Value {
        let completion = self.words().len();
        json!({
            "prompt_tokens": self.prompt_words,
            "completion_tokens": completion,
            "total_tokens": self.prompt_words + completion,
        })
    }

    fn call_id(&self) -> String {
        format!("call_{}", self.id.trim_start_matches("chatcmpl-"))
    }

    fn chunk(&self, delta: &Value, finish_reason: Option<&str>) -> String {
        let mut chunk = json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        });
        if self.include_usage {
            chunk["usage"] = Value::Null;
        }
        format!("data: {chunk}\n\n")
    }
}

fn whole(wanted: &Wanted) -> Value {
    let message = match &wanted.reply {
        Reply::Text(_) => {
            json!({"role": "assistant", "content": wanted.words().concat(), "refusal": null})
        }
        Reply::Tool { name, arguments } => json!({
            "role": "assistant", "content": null,
            "tool_calls": [{"id": wanted.call_id(), "type": "function", "function": {"name": name, "arguments": arguments}}],
        }),
    };
    json!({
        "id": wanted.id, "object": "chat.completion", "created": wanted.created, "model": wanted.model,
        "choices": [{"index": 0, "message": message, "finish_reason": wanted.finish_reason()}],
        "usage": wanted.usage(),
    })
}

fn events(wanted: &Wanted) -> VecDeque<String> {
    let mut events = VecDeque::new();
    events.push_back(wanted.chunk(&json!({"role": "assistant", "content": ""}), None));
    match &wanted.reply {
        Reply::Text(_) => {
            let words = wanted.words().into_iter();
            events.extend(words.map(|word| wanted.chunk(&json!({"content": word}), None)));
        }
        Reply::Tool { name, arguments } => {
            let call =
                |function: Value| json!({"tool_calls": [{"index": 0, "function": function}]});
            let mut first = call(json!({"name": name, "arguments": ""}));
            first["tool_calls"][0]["id"] = json!(wanted.call_id());
            first["tool_calls"][0]["type"] = json!("function");
            events.push_back(wanted.chunk(&first, None));
            events.push_back(wanted.chunk(&call(json!({"arguments": arguments})), None));
        }
    }
    events.push_back(wanted.chunk(&json!({}), Some(wanted.finish_reason())));
    if wanted.include_usage {
        let last = json!({
            "id": wanted.id, "object": "chat.completion.chunk", "created": wanted.created, "model": wanted.model,
            "choices": [], "usage": wanted.usage(),
        });
        events.push_back(format!("data: {last}\n\n"));
    }
    events.push_back("data: [DONE]\n\n".to_owned());
    events
}

/// An answer on its way, one part after another.
pub struct Words {
    parts: VecDeque<String>,
    pace: Duration,
    wait: Option<Pin<Box<Sleep>>>,
}

impl Words {
    /// The next part, when it is due.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(wait) = &mut self.wait {
            if wait.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.wait = None;
        }
        let part = self.parts.pop_front();
        if part.is_some() && !self.parts.is_empty() && !self.pace.is_zero() {
            self.wait = Some(Box::pin(tokio::time::sleep(self.pace)));
        }
        Poll::Ready(part.map(Bytes::from))
    }
}
