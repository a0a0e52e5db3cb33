//! A request as the provider understood it: what is common to every endpoint, read once.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};

use super::envelope::Dialect;
use super::multipart::{self, Field};
use super::script::{self, Script};
use super::words;

/// One request.
#[derive(Debug)]
pub struct Ask {
    /// The method.
    pub method: Method,
    /// The path, without `/v1`.
    pub path: String,
    /// The query, without its question mark.
    pub query: String,
    /// The headers as received.
    pub headers: HeaderMap,
    /// The body as received.
    pub body: Bytes,
    /// The body as JSON; null where it is none.
    pub json: Value,
    /// The fields of a form, if the body is one.
    pub form: Vec<Field>,
    /// Whose API this is.
    pub dialect: Dialect,
    /// The text the answer is made of: what the user said last.
    pub said: String,
    /// The size of all text that counts as prompt.
    pub text_bytes: usize,
    /// What to do with the request.
    pub script: Script,
}

impl Ask {
    /// Reads a request. The error says what is wrong with its script.
    pub fn read(head: Parts, body: Bytes) -> Result<Self, String> {
        let path = head.uri.path();
        let path = path.strip_prefix("/v1").unwrap_or(path).to_owned();
        let dialect = Dialect::of(&path, &head.headers);
        let content_type = header(&head.headers, "content-type").unwrap_or_default();
        let form = multipart::fields(content_type, &body);
        let json = if form.is_empty() {
            serde_json::from_slice(&body).unwrap_or_default()
        } else {
            multipart::as_json(&form)
        };
        let said = said_last(&json);
        let script = Script::find(header(&head.headers, script::HEADER), &said)?;
        let text_bytes = text_bytes(&json);
        let query = head.uri.query().unwrap_or_default().to_owned();
        let (method, headers) = (head.method, head.headers);
        Ok(Self {
            method,
            path,
            query,
            headers,
            body,
            json,
            form,
            dialect,
            said,
            text_bytes,
            script,
        })
    }

    /// A text field of the body.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.json.get(field)?.as_str()
    }

    /// A number of the body.
    pub fn number(&self, field: &str) -> Option<u64> {
        let value = self.json.get(field)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }

    /// Whether a flag of the body is set.
    pub fn flag(&self, field: &str) -> bool {
        self.json.get(field).is_some_and(|flag| flag == true || flag == "true")
    }

    /// The model, as the caller wrote it.
    pub fn model(&self) -> &str {
        self.text("model").unwrap_or_default()
    }

    /// The most tokens the caller allows, under any of the names the APIs have for it.
    pub fn max_tokens(&self) -> Option<u64> {
        ["max_completion_tokens", "max_output_tokens", "max_tokens", "max_tokens_to_sample"]
            .into_iter()
            .find_map(|field| self.number(field))
    }

    /// What the prompt counts as.
    pub fn prompt_tokens(&self) -> u64 {
        self.script.prompt_tokens.unwrap_or_else(|| words::tokens_of(self.text_bytes))
    }

    /// How many tokens one answer has, and whether the caller's maximum cut it short.
    pub fn output_tokens(&self) -> (u64, bool) {
        let wanted = self.script.output_tokens.or(self.script.chunks).unwrap_or(16);
        let wanted = wanted.min(script::MOST);
        match self.max_tokens() {
            Some(max) if max < wanted && !self.script.ignore_max => (max, true),
            _ => (wanted, false),
        }
    }

    /// The credential the caller presented, and how.
    pub fn credential(&self) -> Option<(&'static str, &str)> {
        let bearer = header(&self.headers, "authorization")
            .and_then(|value| value.strip_prefix("Bearer ").or(value.strip_prefix("bearer ")))
            .map(|secret| ("bearer", secret.trim()));
        let named = |name| header(&self.headers, name).map(|secret| (name, secret));
        match self.dialect {
            Dialect::OpenAi => bearer.or_else(|| named("api-key")),
            Dialect::Anthropic => named("x-api-key").or(bearer),
        }
        .filter(|(_, secret)| !secret.is_empty())
    }

    /// What the log's lines say about the request itself.
    pub fn record(&self, credential: &str) -> Map<String, Value> {
        let full = self.body.len() < 64 * 1024;
        let body = if full { String::from_utf8_lossy(&self.body).into() } else { Value::Null };
        let secret = self.credential().map(|(_, secret)| last_four(secret));
        let record = json!({
            "path": format!("/v1{}", self.path),
            "query": self.query,
            "method": self.method.as_str(),
            "model": self.json.get("model"),
            "stream": self.flag("stream"),
            "secret_seen": secret,
            "credential": credential,
            "headers": headers_record(&self.headers),
            "body_sha256": sha256_hex(&self.body),
            "body_bytes": self.body.len(),
            "body": body,
            "max_tokens_seen": self.max_tokens(),
            "prompt_tokens": self.prompt_tokens(),
        });
        match record {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }
}

/// A header as text; one that is no text counts as absent.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// SHA-256, in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

/// All the log may keep of a secret.
fn last_four(secret: &str) -> String {
    let skip = secret.chars().count().saturating_sub(4);
    secret.chars().skip(skip).collect()
}

fn headers_record(headers: &HeaderMap) -> Value {
    let mut record = Map::new();
    for (name, value) in headers {
        let text = String::from_utf8_lossy(value.as_bytes());
        let secret = matches!(name.as_str(), "authorization" | "x-api-key" | "api-key");
        let shown = if secret { last_four(&text) } else { text.into_owned() };
        match record.get_mut(name.as_str()) {
            // A header that came more than once is shown as HTTP would join it.
            Some(Value::String(earlier)) => earlier.extend([", ", shown.as_str()]),
            _ => drop(record.insert(name.as_str().to_owned(), shown.into())),
        }
    }
    Value::Object(record)
}

/// What the user said last, in any of the shapes a request can say it.
fn said_last(json: &Value) -> String {
    let turns = json.get("messages").or_else(|| json.get("input")).and_then(Value::as_array);
    let last = turns.and_then(|turns| {
        turns.iter().rev().find(|turn| turn.get("role").is_some_and(|role| role == "user"))
    });
    let mut text = String::new();
    match last {
        Some(turn) => push_text(&mut text, turn.get("content").unwrap_or(&Value::Null)),
        None => ["input", "prompt", "instructions", "metadata"]
            .iter()
            .filter_map(|field| json.get(field))
            .for_each(|field| push_text(&mut text, field)),
    }
    text
}

/// Appends every text in a content value: a string, or parts with a `text`.
fn push_text(text: &mut String, content: &Value) {
    match content {
        Value::String(part) => {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(part);
        }
        Value::Array(parts) => parts.iter().for_each(|part| push_text(text, part)),
        Value::Object(part) => {
            part.get("text").or(part.get("content")).into_iter().for_each(|t| push_text(text, t));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The size of what a provider counts as prompt: what was said by anyone, what the system says,
/// and the tools as they were declared.
fn text_bytes(json: &Value) -> usize {
    let fields = ["messages", "input", "prompt", "system", "instructions"];
    let said: usize = fields.iter().filter_map(|field| json.get(field)).map(size).sum();
    let declared = json.get("tools").filter(|tools| !tools.is_null());
    said + declared.map_or(0, |tools| tools.to_string().len())
}

/// The size of every text in a content value.
fn size(content: &Value) -> usize {
    match content {
        Value::String(text) => text.len(),
        Value::Array(parts) => parts.iter().map(size).sum(),
        Value::Object(part) => part.get("text").or(part.get("content")).map_or(0, size),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
