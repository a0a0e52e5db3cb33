//! The Responses API: one object, or the events that build it up; and the stored ones.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::{list, missing, require};
use crate::fake_provider::ask::Ask;
use crate::fake_provider::envelope::Refusal;
use crate::fake_provider::playback::Part;
use crate::fake_provider::reply::Reply;
use crate::fake_provider::shelf::Shelf;
use crate::fake_provider::speech::{Call, Choice, Piece, Speech, Tool, Wish, joined};
use crate::fake_provider::words;

/// Answers `POST /v1/responses`.
pub(super) fn create(ask: &Ask, shelf: &Shelf) -> Result<Reply, Refusal> {
    require(ask, &["model", "input"])?;
    // What was said before is read, and charged, again.
    let before = match ask.text("previous_response_id") {
        None => 0,
        Some(id) => shelf
            .get(id)
            .ok_or_else(|| {
                let message = format!("Previous response with id '{id}' not found.");
                let refusal = Refusal::new(400, message).about("previous_response_id");
                refusal.code("previous_response_not_found")
            })?
            .pointer("/usage/total_tokens")
            .and_then(Value::as_u64)
            .unwrap_or(0),
    };
    let speech = Speech::new(ask, &wish(&ask.json), 0);
    let prompt = before + ask.prompt_tokens();
    let usage = usage(ask, prompt, speech.tokens);
    let items = items(&speech);
    let unfinished = object(ask, "in_progress", &[]);
    let mut finished = unfinished.clone();
    finished["output"] = items.iter().map(|item| item.done.clone()).collect();
    finished["status"] = if speech.cut_short { "incomplete" } else { "completed" }.into();
    if speech.cut_short {
        finished["incomplete_details"] = json!({"reason": "max_output_tokens"});
    }
    let mut stored = finished.clone();
    stored["usage"] = usage.clone();
    if ask.json.get("store") != Some(&Value::Bool(false)) {
        shelf.put(&stored, Bytes::new());
    }
    let reply = if ask.flag("stream") {
        Reply::stream(stream(ask, &unfinished, &items, &finished, &usage))
    } else if ask.flag("background") {
        let mut queued = unfinished;
        queued["status"] = "queued".into();
        Reply::json(200, &queued)
    } else {
        Reply::metered(finished, &usage, speech.tokens, &ask.script)
    };
    Ok(reply.with_prompt_tokens(prompt))
}

/// Answers everything below `/v1/responses/{id}`.
pub(super) fn stored(ask: &Ask, rest: &[&str], shelf: &Shelf) -> Result<Reply, Refusal> {
    let [id, action @ ..] = rest else {
        return Ok(Reply::json(200, &list(&shelf.list("resp_"))));
    };
    let Some(mut object) = shelf.get(id) else {
        let message = format!("Response with id '{id}' not found.");
        return Err(Refusal::new(404, message).about("id"));
    };
    match (&ask.method, action) {
        (&Method::GET, []) => Ok(Reply::json(200, &object)),
        (&Method::DELETE, []) => {
            shelf.remove(id);
            Ok(Reply::json(200, &json!({"id": id, "object": "response", "deleted": true})))
        }
        (&Method::POST, ["cancel"]) => {
            object["status"] = "cancelled".into();
            shelf.put(&object, Bytes::new());
            Ok(Reply::json(200, &object))
        }
        (&Method::GET, ["input_items"]) => Ok(Reply::json(200, &list(&[]))),
        _ => Err(missing("response", id)),
    }
}

/// An output item as it begins, as it ends, and what it is made of.
struct Item {
    id: String,
    begun: Value,
    done: Value,
    pieces: Vec<Piece>,
    message: bool,
}

fn items(speech: &Speech) -> Vec<Item> {
    if speech.calls.is_empty() {
        let id = words::id("msg_", 48);
        let shape = |status: &str, content: Value| {
            json!({"id": id, "type": "message", "status": status, "role": "assistant",
                   "content": content})
        };
        let text = text_part(&speech.whole_text());
        return vec![Item {
            begun: shape("in_progress", json!([])),
            done: shape("completed", json!([text])),
            pieces: speech.text.clone(),
            message: true,
            id: id.clone(),
        }];
    }
    let item = |call: &Call| {
        let (id, call_id) = (words::id("fc_", 48), words::id("call_", 24));
        let shape = |status: &str, arguments: String| {
            json!({"id": id, "type": "function_call", "status": status, "call_id": call_id,
                   "name": call.name, "arguments": arguments})
        };
        Item {
            begun: shape("in_progress", String::new()),
            done: shape("completed", joined(&call.arguments)),
            pieces: call.arguments.clone(),
            message: false,
            id: id.clone(),
        }
    };
    speech.calls.iter().map(item).collect()
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// Numbers the events as they are added.
#[derive(Default)]
struct Events {
    parts: Vec<Part>,
}

impl Events {
    fn push(&mut self, kind: &str, mut data: Value, tokens: u64) -> &mut Part {
        data["type"] = kind.into();
        data["sequence_number"] = self.parts.len().into();
        let bytes = Bytes::from(format!("event: {kind}\ndata: {data}\n\n"));
        let at = self.parts.len();
        self.parts.push(Part { bytes, tokens, paced: true, ..Part::default() });
        &mut self.parts[at]
    }
}

fn stream(
    ask: &Ask,
    unfinished: &Value,
    items: &[Item],
    finished: &Value,
    usage: &Value,
) -> Vec<Part> {
    let mut events = Events::default();
    events.push("response.created", json!({"response": unfinished}), 0);
    events.push("response.in_progress", json!({"response": unfinished}), 0);
    for (index, item) in items.iter().enumerate() {
        let of = |more: Value| {
            let mut data = json!({"output_index": index});
            if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
                data.extend(more);
            }
            data
        };
        events.push("response.output_item.added", of(json!({"item": item.begun})), 0);
        if item.message {
            stream_message(&mut events, item, &of);
        } else {
            for piece in &item.pieces {
                let data = of(json!({"item_id": item.id, "delta": piece.text}));
                events.push("response.function_call_arguments.delta", data, piece.tokens);
            }
            let data = of(json!({"item_id": item.id, "arguments": joined(&item.pieces)}));
            events.push("response.function_call_arguments.done", data, 0);
        }
        events.push("response.output_item.done", of(json!({"item": item.done})), 0);
    }
    let told = ask.script.usages(usage);
    let kind = match finished["status"].as_str() {
        Some("incomplete") => "response.incomplete",
        _ => "response.completed",
    };
    for place in 0..told.len().max(1) {
        let mut response = finished.clone();
        response["usage"] = told.get(place).cloned().unwrap_or_default();
        let part = events.push(kind, json!({"response": response}), 0);
        part.usage = told.get(place).cloned().map(Arc::new);
    }
    events.parts
}

fn stream_message(events: &mut Events, item: &Item, of: &dyn Fn(Value) -> Value) {
    let of = |mut more: Value| {
        more["item_id"] = item.id.as_str().into();
        more["content_index"] = 0.into();
        of(more)
    };
    events.push("response.content_part.added", of(json!({"part": text_part("")})), 0);
    for piece in &item.pieces {
        let data = of(json!({"delta": piece.text, "logprobs": []}));
        events.push("response.output_text.delta", data, piece.tokens);
    }
    let text = joined(&item.pieces);
    let done = of(json!({"text": text, "logprobs": []}));
    events.push("response.output_text.done", done, 0);
    events.push("response.content_part.done", of(json!({"part": text_part(&text)})), 0);
}

fn usage(ask: &Ask, prompt: u64, output: u64) -> Value {
    json!({
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": ask.script.cached_tokens.min(prompt)},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": ask.script.reasoning_tokens.min(output)},
        "total_tokens": prompt + output,
    })
}

fn object(ask: &Ask, status: &str, output: &[Value]) -> Value {
    let or = |field: &str, usual: Value| {
        ask.json.get(field).filter(|given| !given.is_null()).cloned().unwrap_or(usual)
    };
    json!({
        "id": words::id("resp_", 48),
        "object": "response",
        "created_at": words::unix_seconds(),
        "status": status,
        "background": ask.flag("background"),
        "error": null,
        "incomplete_details": null,
        "instructions": ask.json.get("instructions"),
        "max_output_tokens": ask.json.get("max_output_tokens"),
        "model": ask.model(),
        "output": output,
        "parallel_tool_calls": or("parallel_tool_calls", true.into()),
        "previous_response_id": ask.json.get("previous_response_id"),
        "reasoning": or("reasoning", json!({"effort": null, "summary": null})),
        "service_tier": "default",
        "store": or("store", true.into()),
        "temperature": or("temperature", 1.0.into()),
        "text": or("text", json!({"format": {"type": "text"}})),
        "tool_choice": or("tool_choice", "auto".into()),
        "tools": or("tools", json!([])),
        "top_p": or("top_p", 1.0.into()),
        "truncation": or("truncation", "disabled".into()),
        "usage": null,
        "user": ask.json.get("user"),
        "metadata": or("metadata", json!({})),
    })
}

fn wish(json: &Value) -> Wish {
    let tools = json.get("tools").and_then(Value::as_array).into_iter().flatten();
    let choice = match json.get("tool_choice") {
        Some(Value::String(word)) if word == "none" => Choice::None,
        Some(Value::String(word)) if word == "required" => Choice::Any,
        Some(Value::Object(named)) => match named.get("name").and_then(Value::as_str) {
            Some(name) => Choice::Named(name.to_owned()),
            None => Choice::Any,
        },
        _ => Choice::Auto,
    };
    let wanted = match json.pointer("/text/format/type").and_then(Value::as_str) {
        Some("json_schema") => json.pointer("/text/format/schema").cloned(),
        Some("json_object") => Some(Value::Null),
        _ => None,
    };
    let last = json.get("input").and_then(Value::as_array).and_then(|turns| turns.last());
    Wish {
        tools: tools
            .filter(|tool| tool["type"] == "function")
            .filter_map(|tool| {
                let name = tool["name"].as_str()?.to_owned();
                Some(Tool { name, schema: tool["parameters"].clone() })
            })
            .collect(),
        choice,
        parallel: json.get("parallel_tool_calls").and_then(Value::as_bool),
        json: wanted,
        user_last: last.is_none_or(|turn| turn["role"] == "user"),
    }
}
