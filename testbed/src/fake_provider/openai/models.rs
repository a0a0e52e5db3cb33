//! The list of models, and moderation, which is free.

use serde_json::{Value, json};

use super::require;
use crate::fake_provider::ask::Ask;
use crate::fake_provider::envelope::Refusal;
use crate::fake_provider::reply::Reply;
use crate::fake_provider::words;

/// The models the fake claims to have. It answers for any other name just as well.
const MODELS: [&str; 14] = [
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-5",
    "gpt-5-mini",
    "o3",
    "o4-mini",
    "gpt-3.5-turbo-instruct",
    "text-embedding-3-small",
    "text-embedding-3-large",
    "gpt-image-1",
    "whisper-1",
    "tts-1",
];

/// Answers `GET /v1/models` and `GET /v1/models/{id}`.
pub(super) fn answer(rest: &[&str]) -> Result<Reply, Refusal> {
    let model = |id: &str| {
        let created = 1_715_367_049;
        json!({"id": id, "object": "model", "created": created, "owned_by": "system"})
    };
    let Some(id) = rest.first() else {
        let all: Vec<Value> = MODELS.iter().map(|id| model(id)).collect();
        return Ok(Reply::json(200, &json!({"object": "list", "data": all})));
    };
    if *id == "missing" {
        let message = format!("The model '{id}' does not exist");
        return Err(Refusal::new(404, message).about("model").code("model_not_found"));
    }
    Ok(Reply::json(200, &model(id)))
}

/// Answers `POST /v1/moderations`.
pub(super) fn moderate(ask: &Ask) -> Result<Reply, Refusal> {
    const CATEGORIES: [&str; 13] = [
        "harassment",
        "harassment/threatening",
        "hate",
        "hate/threatening",
        "illicit",
        "illicit/violent",
        "self-harm",
        "self-harm/instructions",
        "self-harm/intent",
        "sexual",
        "sexual/minors",
        "violence",
        "violence/graphic",
    ];
    require(ask, &["input"])?;
    let inputs = ask.json["input"].as_array().map_or(1, Vec::len);
    let flagged = ask.said.contains("kill");
    let of = |value: &dyn Fn(&str) -> Value| -> Value {
        CATEGORIES.iter().map(|name| ((*name).to_owned(), value(name))).collect()
    };
    let score = |name: &str| if flagged && name == "violence" { 0.91 } else { 0.001 };
    let result = json!({
        "flagged": flagged,
        "categories": of(&|name| (flagged && name == "violence").into()),
        "category_scores": of(&|name| score(name).into()),
        "category_applied_input_types": of(&|_| json!(["text"])),
    });
    let results = vec![result; inputs.max(1)];
    let model = ask.text("model").unwrap_or("omni-moderation-latest");
    let body = json!({"id": words::id("modr-", 28), "model": model, "results": results});
    Ok(Reply::json(200, &body))
}
