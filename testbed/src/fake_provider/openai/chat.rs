//! Chat completions, streamed and not.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{FINGERPRINT, done, event, require, usage};
use crate::fake_provider::ask::Ask;
use crate::fake_provider::envelope::Refusal;
use crate::fake_provider::playback::Part;
use crate::fake_provider::reply::Reply;
use crate::fake_provider::speech::{Call, Choice, Speech, Tool, Wish, joined};
use crate::fake_provider::words;

/// Answers `POST /v1/chat/completions`.
pub(super) fn answer(ask: &Ask) -> Result<Reply, Refusal> {
    require(ask, &["model", "messages"])?;
    let choices = ask.number("n").unwrap_or(1).clamp(1, 128);
    let wish = wish(&ask.json);
    let speeches: Vec<Speech> = (0..usize::try_from(choices).unwrap_or(1))
        .map(|choice| Speech::new(ask, &wish, choice))
        .collect();
    let tokens = speeches.iter().map(|speech| speech.tokens).sum();
    let usage = usage(ask.prompt_tokens(), tokens, &ask.script);
    let frame = Frame::new(ask);
    if ask.flag("stream") {
        return Ok(Reply::stream(stream(ask, &frame, &speeches, &usage)));
    }
    let choices: Vec<Value> = speeches.iter().enumerate().map(|(at, s)| choice(at, s)).collect();
    let body = json!({
        "id": frame.id,
        "object": "chat.completion",
        "created": frame.created,
        "model": ask.model(),
        "choices": choices,
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    });
    Ok(Reply::metered(body, &usage, tokens, &ask.script))
}

/// What stays the same through a stream.
struct Frame {
    id: String,
    created: u64,
    model: String,
    /// Whether the caller asked for usage: then every other chunk says `"usage":null`.
    include_usage: bool,
}

impl Frame {
    fn new(ask: &Ask) -> Self {
        let include = ask.json.pointer("/stream_options/include_usage");
        Self {
            id: words::id("chatcmpl-", 29),
            created: words::unix_seconds(),
            model: ask.model().to_owned(),
            include_usage: include == Some(&Value::Bool(true)),
        }
    }

    fn chunk(&self, choices: Value, usage: Option<&Value>) -> Value {
        let mut chunk = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "service_tier": "default",
            "system_fingerprint": FINGERPRINT,
        });
        chunk["choices"] = choices;
        if self.include_usage {
            chunk["usage"] = usage.cloned().unwrap_or_default();
        }
        chunk
    }

    fn delta(&self, index: usize, delta: Value, finish: Option<&str>, tokens: u64) -> Part {
        let mut choice = json!({"index": index, "logprobs": null, "finish_reason": finish});
        choice["delta"] = delta;
        event(&self.chunk(json!([choice]), None), tokens)
    }
}

fn stream(ask: &Ask, frame: &Frame, speeches: &[Speech], usage: &Value) -> Vec<Part> {
    let mut parts = Vec::new();
    for (index, speech) in speeches.iter().enumerate() {
        let calls = !speech.calls.is_empty();
        let content = if calls { Value::Null } else { "".into() };
        let opening = json!({"role": "assistant", "content": content, "refusal": null});
        parts.push(frame.delta(index, opening, None, 0));
    }
    // Several choices are generated beside each other: their chunks interleave.
    let longest = speeches.iter().map(|speech| speech.text.len()).max().unwrap_or(0);
    for at in 0..longest {
        for (index, speech) in speeches.iter().enumerate() {
            if let Some(piece) = speech.text.get(at) {
                let delta = json!({"content": piece.text});
                parts.push(frame.delta(index, delta, None, piece.tokens));
            }
        }
    }
    for (index, speech) in speeches.iter().enumerate() {
        for (place, call) in speech.calls.iter().enumerate() {
            stream_call(&mut parts, frame, index, place, call);
        }
        parts.push(frame.delta(index, json!({}), Some(finish_reason(speech)), 0));
    }
    if frame.include_usage {
        for told in ask.script.usages(usage) {
            let mut part = event(&frame.chunk(json!([]), Some(&told)), 0);
            part.usage = Some(Arc::new(told));
            parts.push(part);
        }
    }
    parts.push(done());
    parts
}

fn stream_call(parts: &mut Vec<Part>, frame: &Frame, index: usize, place: usize, call: &Call) {
    let opening = json!({"tool_calls": [{
        "index": place,
        "id": words::id("call_", 24),
        "type": "function",
        "function": {"name": call.name, "arguments": ""},
    }]});
    parts.push(frame.delta(index, opening, None, 0));
    for piece in &call.arguments {
        let delta = json!({"tool_calls": [
            {"index": place, "function": {"arguments": piece.text}},
        ]});
        parts.push(frame.delta(index, delta, None, piece.tokens));
    }
}

fn choice(index: usize, speech: &Speech) -> Value {
    let mut message = json!({"role": "assistant", "refusal": null, "annotations": []});
    if speech.calls.is_empty() {
        message["content"] = speech.whole_text().into();
    } else {
        message["content"] = Value::Null;
        let call = |call: &Call| {
            json!({
                "id": words::id("call_", 24),
                "type": "function",
                "function": {"name": call.name, "arguments": joined(&call.arguments)},
            })
        };
        message["tool_calls"] = speech.calls.iter().map(call).collect();
    }
    let finish = finish_reason(speech);
    json!({"index": index, "message": message, "logprobs": null, "finish_reason": finish})
}

fn finish_reason(speech: &Speech) -> &'static str {
    if !speech.calls.is_empty() {
        "tool_calls"
    } else if speech.cut_short {
        "length"
    } else {
        "stop"
    }
}

fn wish(json: &Value) -> Wish {
    let tools = json.get("tools").and_then(Value::as_array).into_iter().flatten();
    let choice = match json.get("tool_choice") {
        Some(Value::String(word)) if word == "none" => Choice::None,
        Some(Value::String(word)) if word == "required" => Choice::Any,
        Some(named @ Value::Object(_)) => {
            let name = named.pointer("/function/name").and_then(Value::as_str);
            name.map_or(Choice::Any, |name| Choice::Named(name.to_owned()))
        }
        _ => Choice::Auto,
    };
    let format = json.get("response_format");
    let wanted = match format.and_then(|format| format["type"].as_str()) {
        Some("json_schema") => json.pointer("/response_format/json_schema/schema").cloned(),
        Some("json_object") => Some(Value::Null),
        _ => None,
    };
    let last = json.get("messages").and_then(Value::as_array).and_then(|turns| turns.last());
    Wish {
        tools: tools
            .filter_map(|tool| {
                let name = tool.pointer("/function/name")?.as_str()?.to_owned();
                let schema = tool.pointer("/function/parameters").cloned().unwrap_or_default();
                Some(Tool { name, schema })
            })
            .collect(),
        choice,
        parallel: json.get("parallel_tool_calls").and_then(Value::as_bool),
        json: wanted,
        user_last: last.is_some_and(|turn| turn["role"] == "user"),
    }
}
