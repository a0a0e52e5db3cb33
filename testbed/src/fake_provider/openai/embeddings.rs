//! Embeddings: unit vectors that depend on the text, as floats or packed.

use serde_json::{Value, json};

use super::require;
use crate::fake_provider::ask::Ask;
use crate::fake_provider::envelope::Refusal;
use crate::fake_provider::reply::Reply;
use crate::fake_provider::words;

/// Answers `POST /v1/embeddings`.
pub(super) fn answer(ask: &Ask) -> Result<Reply, Refusal> {
    require(ask, &["model", "input"])?;
    let input = ask.json.get("input").unwrap_or(&Value::Null);
    let texts: Vec<&Value> = match input {
        Value::Array(items) if items.iter().all(|item| !item.is_number()) => items.iter().collect(),
        one => vec![one],
    };
    let usual = if ask.model().contains("3-large") { 3072 } else { 1536 };
    let dimensions = ask.number("dimensions").unwrap_or(usual).clamp(1, 3072);
    let packed = ask.text("encoding_format") == Some("base64");
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = vector(&text.to_string(), dimensions);
            let embedding = if packed {
                let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
                data_encoding::BASE64.encode(&bytes).into()
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let tokens: u64 = texts.iter().map(|text| tokens(text)).sum();
    let tokens = ask.script.prompt_tokens.unwrap_or(tokens);
    let body = json!({"object": "list", "data": data, "model": ask.model()});
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    Ok(Reply::metered(body, &usage, 0, &ask.script).with_prompt_tokens(tokens))
}

/// An input is a text, or its tokens by number.
fn tokens(input: &Value) -> u64 {
    match input {
        Value::Array(numbers) => numbers.len() as u64,
        text => words::tokens_of(text.as_str().map_or(0, str::len)),
    }
}

/// A vector of length one.
fn vector(text: &str, dimensions: u64) -> Vec<f32> {
    let seed = text.bytes().fold(0, |seed, byte| words::scramble(seed ^ u64::from(byte)));
    let raw: Vec<f32> = (0..dimensions)
        .map(|at| {
            let [low, high, ..] = words::scramble(seed ^ at).to_le_bytes();
            f32::from(i16::from_le_bytes([low, high])) / 32_768.0
        })
        .collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    raw.iter().map(|x| x / length).collect()
}
