//! What one request asks the fake provider to do with it: how slow, how long, how broken.
//!
//! The script is JSON. It comes in the header `x-fake-script`, or inside the last user message
//! between `<<` and `>>`, so that it also survives client libraries and gateways.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Number, Value};

/// The header a script may come in.
pub const HEADER: &str = "x-fake-script";

/// The most tokens, and the most chunks, an answer is made of: it is built before it is sent.
pub const MOST: u64 = 1_000_000;

/// Everything a request can ask for. An unknown field is an error: a misspelt fault that is
/// silently not injected makes a test pass for the wrong reason.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own, in any mix")]
pub struct Script {
    /// Wait this long before the response head.
    pub delay_ms: u64,
    /// Wait this long between the head and the first byte of the body.
    pub first_byte_ms: u64,
    /// In how many content chunks a stream carries its tokens.
    pub chunks: Option<u64>,
    /// Wait this long between two chunks of a stream.
    pub chunk_gap_ms: u64,
    /// Write the whole stream at once instead of one write per chunk.
    pub burst: bool,
    /// How many tokens to answer with, if the caller's maximum allows it.
    pub output_tokens: Option<u64>,
    /// Answer with `output_tokens` even if the caller asked for fewer.
    pub ignore_max: bool,
    /// How many prompt tokens to count, instead of a quarter of the bytes.
    pub prompt_tokens: Option<u64>,
    /// How many of the prompt tokens are reported as read from the provider's cache.
    pub cached_tokens: u64,
    /// How many of the prompt tokens are reported as written to the cache (Anthropic).
    pub cache_write_tokens: u64,
    /// How many of the output tokens are reported as reasoning.
    pub reasoning_tokens: u64,
    /// How many tools to call, instead of the default for the request.
    pub tool_calls: Option<usize>,
    /// Answer with this status and an error body.
    pub status: Option<u16>,
    /// The error body: an object is sent as JSON, a string as it stands.
    pub error_body: Option<Value>,
    /// The value of `retry-after`.
    pub retry_after: Option<String>,
    /// How the usage is misreported.
    pub usage: Option<UsageFault>,
    /// Close the socket after this many bytes of the body.
    pub cut_after_bytes: Option<usize>,
    /// Begin a stream well and end it with an error event.
    pub error_midstream: bool,
    /// Answer 200 with something that is no answer.
    pub garbage: Option<Garbage>,
    /// End the lines of a stream with CR LF.
    pub crlf: bool,
    /// Flush every so many bytes, through the middle of events and characters.
    pub split: Option<usize>,
    /// Extra response headers.
    pub headers: BTreeMap<String, String>,
    /// Take the request and never answer it.
    pub never_answer: bool,
    /// Go on generating, and counting, when the client has gone.
    pub finish_after_disconnect: bool,
    /// Pad the answer to about this size.
    pub big_body_mb: usize,
}

/// A way to misreport usage.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum UsageFault {
    /// One of the ready-made lies.
    Named(UsageLie),
    /// This object, as it stands.
    Explicit(Value),
}

/// The ready-made lies about usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageLie {
    /// Not reported at all.
    None,
    /// Reported twice.
    Twice,
    /// Every count is three times the truth and seven more.
    Wrong,
    /// Every count is below zero.
    Negative,
    /// Every count is 10^18.
    Huge,
    /// Every count is a string.
    String,
}

/// What a 200 carries instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Garbage {
    /// A page of HTML, as a proxy in between would send it.
    Html,
    /// JSON (or the JSON of an event) that stops in the middle.
    TruncatedJson,
    /// Bytes that are neither JSON, nor events, nor UTF-8.
    Bytes,
}

impl Script {
    /// Reads the script of a request: from its header, else from between `<<` and `>>` in `text`.
    /// No script at all is the default script.
    pub fn find(header: Option<&str>, text: &str) -> Result<Self, String> {
        let Some(json) = header.or_else(|| embedded(text)) else {
            return Ok(Self::default());
        };
        serde_json::from_str(json).map_err(|error| format!("fake script `{json}`: {error}"))
    }

    /// The usage objects to report, in place of the honest one.
    pub fn usages(&self, honest: &Value) -> Vec<Value> {
        match &self.usage {
            None => vec![honest.clone()],
            Some(UsageFault::Explicit(value)) => vec![value.clone()],
            Some(UsageFault::Named(lie)) => match lie {
                UsageLie::None => Vec::new(),
                UsageLie::Twice => vec![honest.clone(), honest.clone()],
                UsageLie::Wrong => vec![with_counts(honest, &|n| Value::from(n * 3 + 7))],
                UsageLie::Negative => vec![with_counts(honest, &|n| Value::from(-n - 1))],
                UsageLie::Huge => {
                    vec![with_counts(honest, &|_| Value::from(1_000_000_000_000_000_000_u64))]
                }
                UsageLie::String => vec![with_counts(honest, &|n| Value::from(n.to_string()))],
            },
        }
    }
}

/// The script inside a message, without its brackets.
fn embedded(text: &str) -> Option<&str> {
    let start = text.find("<<{")? + 2;
    let length = text.get(start..)?.find("}>>")? + 1;
    text.get(start..start + length)
}

/// The same object with every count in it, at any depth, replaced.
fn with_counts(value: &Value, count: &dyn Fn(i64) -> Value) -> Value {
    match value {
        Value::Number(number) => number.as_i64().map_or_else(|| zero().into(), count),
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), with_counts(field, count))).collect()
        }
        Value::Array(items) => items.iter().map(|item| with_counts(item, count)).collect(),
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

fn zero() -> Number {
    Number::from(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_script_is_found_in_the_header_first_and_else_in_the_text() {
        let text = r#"say <<{"output_tokens": 3, "usage": "twice"}>> please"#;
        assert_eq!(Script::find(None, text).unwrap().output_tokens, Some(3));
        let both = Script::find(Some(r#"{"delay_ms": 5}"#), text).unwrap();
        assert_eq!((both.delay_ms, both.output_tokens), (5, None));
        assert_eq!(Script::find(None, "1 << 2 >> 3").unwrap().output_tokens, None);
    }

    #[test]
    fn a_misspelt_field_is_an_error() {
        assert!(Script::find(None, r#"<<{"dleay_ms": 5}>>"#).unwrap_err().contains("dleay_ms"));
    }

    #[test]
    fn usage_lies_reach_every_count() {
        let honest = json!({"prompt_tokens": 4, "details": {"cached_tokens": 0}, "note": "x"});
        let told = |usage: &str| {
            Script::find(Some(&format!(r#"{{"usage":{usage}}}"#)), "").unwrap().usages(&honest)
        };
        assert_eq!(told(r#""none""#), Vec::<Value>::new());
        assert_eq!(told(r#""twice""#).len(), 2);
        assert_eq!(told(r#""wrong""#)[0]["prompt_tokens"], 19);
        assert_eq!(told(r#""negative""#)[0]["details"]["cached_tokens"], -1);
        assert_eq!(told(r#""huge""#)[0]["prompt_tokens"], 1_000_000_000_000_000_000_u64);
        assert_eq!(told(r#""string""#)[0]["prompt_tokens"], "4");
        assert_eq!(told(r#"{"prompt_tokens": 1}"#)[0], json!({"prompt_tokens": 1}));
    }
}
