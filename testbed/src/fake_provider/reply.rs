//! An answer before it is played: the honest one, as the dialects build it, and the faults that
//! the script puts on top of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::envelope::{Dialect, Refusal};
use super::playback::{Part, Plan};
use super::script::{Garbage, Script};
use super::words;

/// An honest answer.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    content_type: String,
    headers: Vec<(String, String)>,
    parts: Vec<Part>,
    streamed: bool,
    prompt_tokens: Option<u64>,
}

impl Reply {
    /// A JSON answer that reports no usage.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::bytes("application/json", Bytes::from(body.to_string())).with_status(status)
    }

    /// Bytes of some type.
    pub fn bytes(content_type: &str, bytes: Bytes) -> Self {
        let parts = vec![Part { bytes, ..Part::default() }];
        let content_type = content_type.to_owned();
        let (headers, prompt_tokens) = (Vec::new(), None);
        Self { status: 200, content_type, headers, parts, streamed: false, prompt_tokens }
    }

    /// A JSON answer with `usage`, told as the script wants it told.
    pub fn metered(mut body: Value, usage: &Value, tokens: u64, script: &Script) -> Self {
        let told = script.usages(usage);
        if let (Some(first), Some(fields)) = (told.first(), body.as_object_mut()) {
            fields.insert("usage".to_owned(), first.clone());
        }
        let mut text = body.to_string();
        for again in told.iter().skip(1) {
            text.truncate(text.len() - 1);
            text = format!("{text},\"usage\":{again}}}");
        }
        let mut reply = Self::bytes("application/json", Bytes::from(text));
        let usage = told.last().cloned().map(Arc::new);
        if let Some(part) = reply.parts.first_mut() {
            (part.tokens, part.usage) = (tokens, usage);
        }
        reply
    }

    /// A stream of events.
    pub fn stream(parts: Vec<Part>) -> Self {
        Self {
            status: 200,
            content_type: "text/event-stream; charset=utf-8".to_owned(),
            headers: vec![("cache-control".to_owned(), "no-cache".to_owned())],
            parts,
            streamed: true,
            prompt_tokens: None,
        }
    }

    /// An error in the dialect's envelope.
    pub fn refusal(refusal: &Refusal, dialect: Dialect) -> Self {
        Self::json(refusal.status, &refusal.body(dialect))
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The same, where the prompt counts as something else than a quarter of its bytes.
    #[must_use]
    pub fn with_prompt_tokens(self, tokens: u64) -> Self {
        Self { prompt_tokens: Some(tokens), ..self }
    }

    /// The plan for this answer with the faults of `script`.
    pub fn plan(mut self, script: &Script, dialect: Dialect, prompt_tokens: u64) -> Plan {
        if let Some(status) = script.status {
            self = scripted_status(status, script, dialect);
        } else if script.error_midstream {
            self = self.broken_off(dialect);
        }
        if let Some(garbage) = script.garbage {
            self = self.spoilt(garbage);
        }
        if script.big_body_mb > 0 {
            self.pad(script.big_body_mb);
        }
        if script.crlf && self.streamed {
            for part in &mut self.parts {
                part.bytes = with_crlf(&part.bytes);
            }
        }
        if script.burst {
            self.parts = vec![merged(&self.parts)];
        }
        let length: usize = self.parts.iter().map(|part| part.bytes.len()).sum();
        if let Some(size) = script.split.filter(|size| *size > 0) {
            self.parts = self.parts.iter().flat_map(|part| split(part, size)).collect();
        }
        if let Some(limit) = script.cut_after_bytes {
            self.parts = cut(&self.parts, limit);
        }
        let mut headers = self.headers;
        headers.push(("content-type".to_owned(), self.content_type));
        headers.extend(usual_headers(dialect));
        headers.extend(script.retry_after.clone().map(|value| ("retry-after".to_owned(), value)));
        headers.extend(script.headers.clone());
        Plan {
            status: self.status,
            headers,
            parts: self.parts,
            content_length: (!self.streamed).then_some(length as u64),
            prompt_tokens: match self.status {
                200 => self.prompt_tokens.unwrap_or(prompt_tokens),
                _ => 0,
            },
            delay: Duration::from_millis(script.delay_ms),
            first_byte: Duration::from_millis(script.first_byte_ms),
            gap: Duration::from_millis(script.chunk_gap_ms),
            cut: script.cut_after_bytes.is_some(),
            never_answer: script.never_answer,
            finish_after_disconnect: script.finish_after_disconnect,
        }
    }

    /// The first half of a stream, then an error; an answer in one piece becomes a 200 error.
    fn broken_off(mut self, dialect: Dialect) -> Self {
        let status = if dialect == Dialect::Anthropic { 529 } else { 500 };
        let error = Refusal::scripted(status).body(dialect);
        if !self.streamed {
            return Self::json(200, &error);
        }
        let typed = self.parts.first().is_some_and(|part| part.bytes.starts_with(b"event: "));
        let event = match dialect {
            Dialect::OpenAi if typed => {
                let error = serde_json::json!({
                    "type": "error", "code": "server_error", "param": null,
                    "message": error["error"]["message"], "sequence_number": self.parts.len() / 2,
                });
                format!("event: error\ndata: {error}\n\n")
            }
            Dialect::OpenAi => format!("data: {error}\n\n"),
            Dialect::Anthropic => format!("event: error\ndata: {error}\n\n"),
        };
        self.parts.truncate(self.parts.len() / 2);
        self.parts.push(Part { bytes: event.into(), paced: true, ..Part::default() });
        self
    }

    /// A 200 that is no answer. No tokens are charged for it by anyone.
    fn spoilt(mut self, garbage: Garbage) -> Self {
        match garbage {
            Garbage::Html => {
                let page = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\
                            <body><center><h1>502 Bad Gateway</h1></center></body></html>\n";
                return Self::bytes("text/html", Bytes::from(page));
            }
            Garbage::TruncatedJson => {
                let whole = merged(&self.parts[..self.parts.len().min(3)]);
                let half = whole.bytes.slice(..whole.bytes.len() * 2 / 3);
                self.parts = vec![Part { bytes: half, ..whole }];
            }
            Garbage::Bytes => {
                let noise: Vec<u8> =
                    (0..512_u64).map(|n| words::scramble(n).to_le_bytes()[0]).collect();
                self.parts = vec![Part { bytes: noise.into(), ..Part::default() }];
            }
        }
        self
    }

    /// Puts a field of `megabytes` into the first object of the answer.
    fn pad(&mut self, megabytes: usize) {
        let Some(first) = self.parts.first().cloned() else { return };
        let Some(brace) = first.bytes.iter().position(|byte| *byte == b'{') else { return };
        let start = [&first.bytes[..=brace], b"\"padding\":\""].concat();
        let end = [b"\",", &first.bytes[brace + 1..]].concat();
        let block = Bytes::from(vec![b'x'; 1024 * 1024]);
        let plain = |bytes: Bytes| Part { bytes, ..Part::default() };
        let mut parts = vec![plain(start.into())];
        parts.extend((0..megabytes).map(|_| plain(block.clone())));
        parts.push(Part { bytes: end.into(), paced: false, ..first });
        parts.extend(self.parts.drain(1..));
        self.parts = parts;
    }
}

fn scripted_status(status: u16, script: &Script, dialect: Dialect) -> Reply {
    match &script.error_body {
        None => Reply::refusal(&Refusal::scripted(status), dialect),
        Some(Value::String(text)) => {
            Reply::bytes("text/plain; charset=utf-8", text.clone().into()).with_status(status)
        }
        Some(body) => Reply::json(status, body),
    }
}

fn usual_headers(dialect: Dialect) -> Vec<(String, String)> {
    let own = |name: &str, value: String| (name.to_owned(), value);
    match dialect {
        Dialect::OpenAi => vec![
            own("openai-version", "2020-10-01".to_owned()),
            own("openai-processing-ms", "1".to_owned()),
            own("x-request-id", words::id("req_", 32)),
        ],
        Dialect::Anthropic => vec![own("request-id", words::id("req_", 24))],
    }
}

fn with_crlf(bytes: &Bytes) -> Bytes {
    let mut out = Vec::with_capacity(bytes.len() + 8);
    for byte in bytes {
        if *byte == b'\n' {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out.into()
}

fn merged(parts: &[Part]) -> Part {
    Part {
        bytes: parts.iter().flat_map(|part| part.bytes.iter().copied()).collect(),
        tokens: parts.iter().map(|part| part.tokens).sum(),
        lost: parts.iter().map(|part| part.lost).sum(),
        usage: parts.iter().rev().find_map(|part| part.usage.clone()),
        paced: false,
    }
}

/// The part in writes of `size` bytes; its tokens count with the last.
fn split(part: &Part, size: usize) -> Vec<Part> {
    let length = part.bytes.len();
    let mut pieces: Vec<Part> = (0..length)
        .step_by(size)
        .map(|at| Part {
            bytes: part.bytes.slice(at..(at + size).min(length)),
            paced: part.paced && at == 0,
            ..Part::default()
        })
        .collect();
    if let Some(last) = pieces.last_mut() {
        (last.tokens, last.usage) = (part.tokens, part.usage.clone());
    }
    pieces
}

/// The first `limit` bytes; of a part that is not whole the tokens are generated, but not sent.
fn cut(parts: &[Part], limit: usize) -> Vec<Part> {
    let mut left = limit;
    let mut kept = Vec::new();
    for part in parts {
        if part.bytes.len() <= left {
            left -= part.bytes.len();
            kept.push(part.clone());
            continue;
        }
        if left > 0 {
            let bytes = part.bytes.slice(..left);
            kept.push(Part { bytes, lost: part.tokens, paced: part.paced, ..Part::default() });
        }
        break;
    }
    kept
}
