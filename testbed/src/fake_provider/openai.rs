//! OpenAI's API: which path is answered by which file, and what the files have in common.

mod audio;
mod batches;
mod chat;
mod completions;
mod embeddings;
mod files;
mod images;
mod models;
mod responses;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::ask::Ask;
use super::envelope::Refusal;
use super::playback::Part;
use super::reply::Reply;
use super::shelf::Shelf;
use super::{script::Script, words};

/// The build of the model that pretends to answer.
const FINGERPRINT: &str = "fp_44709d6fcb";

/// Answers a request, or says why not in OpenAI's words.
pub fn answer(ask: &Ask, shelf: &Shelf) -> Result<Reply, Refusal> {
    let path: Vec<&str> = ask.path.trim_matches('/').split('/').collect();
    match (&ask.method, path.as_slice()) {
        (&Method::POST, ["chat", "completions"]) => chat::answer(ask),
        (&Method::POST, ["completions"]) => completions::answer(ask),
        (&Method::POST, ["embeddings"]) => embeddings::answer(ask),
        (&Method::POST, ["responses"]) => responses::create(ask, shelf),
        (_, ["responses", rest @ ..]) => responses::stored(ask, rest, shelf),
        (&Method::POST, ["moderations"]) => models::moderate(ask),
        (&Method::POST, ["images", "generations" | "edits" | "variations"]) => images::answer(ask),
        (&Method::POST, ["audio", "speech"]) => audio::speak(ask),
        (&Method::POST, ["audio", "transcriptions" | "translations"]) => audio::transcribe(ask),
        (&Method::GET, ["models", rest @ ..]) => models::answer(rest),
        (_, ["files", rest @ ..]) => files::answer(ask, rest, shelf),
        (_, ["batches", rest @ ..]) => batches::answer(ask, rest, shelf),
        _ => Ok(Reply::json(200, &echo(ask))),
    }
}

/// What endpoints without a fake of their own answer.
fn echo(ask: &Ask) -> Value {
    let first = ask.path.trim_matches('/').split('/').next().unwrap_or_default();
    json!({
        "object": first.trim_end_matches('s').replace('/', "."),
        "id": words::id("fake_", 24),
        "created_at": words::unix_seconds(),
        "method": ask.method.as_str(),
        "path": format!("/v1{}", ask.path),
        "query": ask.query,
        "body": ask.json,
    })
}

/// The error for a body that is no JSON, or lacks what every call needs.
fn require(ask: &Ask, fields: &[&'static str]) -> Result<(), Refusal> {
    if !ask.json.is_object() {
        return Err(Refusal::new(
            400,
            "We could not parse the JSON body of your request. (HINT: This likely means you \
             aren't using your HTTP library correctly. The OpenAI API expects a JSON payload.)",
        ));
    }
    for field in fields {
        if ask.json.get(field).is_none_or(Value::is_null) {
            let message = match *field {
                "model" => "you must provide a model parameter".to_owned(),
                other => format!("Missing required parameter: '{other}'."),
            };
            return Err(Refusal::new(400, message).about(field).code("missing_required_parameter"));
        }
    }
    Ok(())
}

/// An object that is not there.
fn missing(what: &str, id: &str) -> Refusal {
    Refusal::new(404, format!("No such {what} object: {id}")).about("id")
}

/// The usage object of the older endpoints.
fn usage(prompt: u64, completion: u64, script: &Script) -> Value {
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": script.cached_tokens.min(prompt),
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": script.reasoning_tokens.min(completion),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

/// An event without a name, carrying `tokens` tokens.
fn event(data: &Value, tokens: u64) -> Part {
    let bytes = Bytes::from(format!("data: {data}\n\n"));
    Part { bytes, tokens, paced: true, ..Part::default() }
}

/// The event that ends the older streams.
fn done() -> Part {
    Part { bytes: Bytes::from_static(b"data: [DONE]\n\n"), ..Part::default() }
}

/// A list in OpenAI's envelope.
fn list(data: &[Value]) -> Value {
    let id = |item: Option<&Value>| item.and_then(|item| item.get("id")).cloned();
    json!({
        "object": "list",
        "data": data,
        "first_id": id(data.first()),
        "last_id": id(data.last()),
        "has_more": false,
    })
}
