//! Anthropic's API: messages, streamed and not, token counts, models.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::ask::Ask;
use super::envelope::Refusal;
use super::playback::Part;
use super::reply::Reply;
use super::speech::{Choice, Speech, Tool, Wish, joined};
use super::words;

/// Answers a request, or says why not in Anthropic's words.
pub fn answer(ask: &Ask) -> Result<Reply, Refusal> {
    if !ask.headers.contains_key("anthropic-version") {
        return Err(Refusal::new(400, "anthropic-version: header is required"));
    }
    match (&ask.method, ask.path.as_str()) {
        (&Method::POST, "/messages") => messages(ask),
        (&Method::POST, "/messages/count_tokens") => {
            require(ask, &["model", "messages"])?;
            Ok(Reply::json(200, &json!({"input_tokens": ask.prompt_tokens()})))
        }
        (&Method::GET, path) if path.starts_with("/models") => Ok(models(path)),
        _ => Err(Refusal::new(404, "Not found")),
    }
}

fn messages(ask: &Ask) -> Result<Reply, Refusal> {
    require(ask, &["model", "messages", "max_tokens"])?;
    let speech = Speech::new(ask, &wish(&ask.json), 0);
    let (input, output) = (ask.prompt_tokens(), speech.tokens);
    let blocks: Vec<Block> = blocks(&speech);
    let mut message = json!({
        "id": words::id("msg_01", 22),
        "type": "message",
        "role": "assistant",
        "model": ask.model(),
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
    });
    if ask.flag("stream") {
        return Ok(Reply::stream(stream(ask, message, &blocks, &speech)));
    }
    message["content"] = blocks.iter().map(|block| block.whole.clone()).collect();
    message["stop_reason"] = stop_reason(&speech).into();
    Ok(Reply::metered(message, &usage(ask, input, output), output, &ask.script))
}

/// The error for a body that is no JSON, or lacks what every call needs.
fn require(ask: &Ask, fields: &[&str]) -> Result<(), Refusal> {
    if !ask.json.is_object() {
        return Err(Refusal::new(400, "The request body is not valid JSON"));
    }
    match fields.iter().find(|field| ask.json.get(**field).is_none_or(Value::is_null)) {
        Some(field) => Err(Refusal::new(400, format!("{field}: Field required"))),
        None => Ok(()),
    }
}

/// A content block whole, as it begins, and the deltas that lead from one to the other.
struct Block {
    whole: Value,
    begun: Value,
    deltas: Vec<(Value, u64)>,
}

fn blocks(speech: &Speech) -> Vec<Block> {
    if speech.calls.is_empty() {
        let delta = |text: &str| json!({"type": "text_delta", "text": text});
        return vec![Block {
            whole: json!({"type": "text", "text": speech.whole_text()}),
            begun: json!({"type": "text", "text": ""}),
            deltas: speech.text.iter().map(|p| (delta(&p.text), p.tokens)).collect(),
        }];
    }
    let block = |call: &super::speech::Call| {
        let arguments = joined(&call.arguments);
        let begun = json!({"type": "tool_use", "id": words::id("toolu_01", 22), "name": call.name,
                   "input": {}});
        let mut whole = begun.clone();
        whole["input"] = serde_json::from_str(&arguments).unwrap_or_default();
        let delta = |json: &str| json!({"type": "input_json_delta", "partial_json": json});
        let deltas = call.arguments.iter().map(|p| (delta(&p.text), p.tokens)).collect();
        Block { whole, begun, deltas }
    };
    speech.calls.iter().map(block).collect()
}

fn stream(ask: &Ask, mut message: Value, blocks: &[Block], speech: &Speech) -> Vec<Part> {
    // The first event already counts the prompt, and one token of the answer.
    let early = ask.script.usages(&usage(ask, ask.prompt_tokens(), speech.tokens.min(1)));
    if let Some(told) = early.first() {
        message["usage"] = told.clone();
    }
    let mut opening = event("message_start", json!({"message": message}), 0);
    opening.usage = early.first().cloned().map(Arc::new);
    let mut parts = vec![opening];
    for (index, block) in blocks.iter().enumerate() {
        let start = json!({"index": index, "content_block": block.begun});
        parts.push(event("content_block_start", start, 0));
        if index == 0 {
            parts.push(event("ping", json!({}), 0));
        }
        for (delta, tokens) in &block.deltas {
            let data = json!({"index": index, "delta": delta});
            parts.push(event("content_block_delta", data, *tokens));
        }
        parts.push(event("content_block_stop", json!({"index": index}), 0));
    }
    let delta = json!({"stop_reason": stop_reason(speech), "stop_sequence": null});
    let late = ask.script.usages(&usage(ask, ask.prompt_tokens(), speech.tokens));
    for place in 0..late.len().max(1) {
        let mut data = json!({"delta": delta});
        if let Some(told) = late.get(place) {
            data["usage"] = told.clone();
        }
        let mut part = event("message_delta", data, 0);
        part.usage = late.get(place).cloned().map(Arc::new);
        parts.push(part);
    }
    parts.push(event("message_stop", json!({}), 0));
    parts
}

fn event(kind: &str, mut data: Value, tokens: u64) -> Part {
    data["type"] = kind.into();
    let bytes = Bytes::from(format!("event: {kind}\ndata: {data}\n\n"));
    Part { bytes, tokens, paced: true, ..Part::default() }
}

/// What was cached is reported beside the input tokens, not as a part of them.
fn usage(ask: &Ask, input: u64, output: u64) -> Value {
    let read = ask.script.cached_tokens.min(input);
    let written = ask.script.cache_write_tokens.min(input - read);
    json!({
        "input_tokens": input - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": written,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": output,
        "service_tier": "standard",
    })
}

fn stop_reason(speech: &Speech) -> &'static str {
    if !speech.calls.is_empty() {
        "tool_use"
    } else if speech.cut_short {
        "max_tokens"
    } else {
        "end_turn"
    }
}

fn wish(json: &Value) -> Wish {
    let choice = match json.pointer("/tool_choice/type").and_then(Value::as_str) {
        Some("none") => Choice::None,
        Some("any") => Choice::Any,
        Some("tool") => {
            let name = json.pointer("/tool_choice/name").and_then(Value::as_str);
            Choice::Named(name.unwrap_or_default().to_owned())
        }
        _ => Choice::Auto,
    };
    let single = json.pointer("/tool_choice/disable_parallel_tool_use");
    let tools = json.get("tools").and_then(Value::as_array).into_iter().flatten();
    let last = json.get("messages").and_then(Value::as_array).and_then(|turns| turns.last());
    let answered = |turn: &Value| {
        let parts = turn["content"].as_array().into_iter().flatten();
        parts.into_iter().any(|part| part["type"] == "tool_result")
    };
    Wish {
        tools: tools
            .filter_map(|tool| {
                let name = tool["name"].as_str()?.to_owned();
                Some(Tool { name, schema: tool["input_schema"].clone() })
            })
            .collect(),
        choice,
        parallel: single.and_then(Value::as_bool).map(|single| !single),
        json: None,
        user_last: last.is_some_and(|turn| turn["role"] == "user" && !answered(turn)),
    }
}

fn models(path: &str) -> Reply {
    let model = |id: &str, name: &str| {
        json!({"type": "model", "id": id, "display_name": name,
               "created_at": "2025-05-22T00:00:00Z"})
    };
    let asked = path.trim_start_matches("/models").trim_start_matches('/');
    if !asked.is_empty() {
        return Reply::json(200, &model(asked, asked));
    }
    let data = [
        model("claude-opus-4-1-20250805", "Claude Opus 4.1"),
        model("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5"),
        model("claude-haiku-4-5-20251001", "Claude Haiku 4.5"),
    ];
    let (first, last) = (&data[0]["id"], &data[2]["id"]);
    let body = json!({"data": data, "has_more": false, "first_id": first, "last_id": last});
    Reply::json(200, &body)
}
