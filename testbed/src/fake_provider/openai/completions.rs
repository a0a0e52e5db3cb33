//! The legacy text completions, streamed and not; several prompts and several answers to each.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{FINGERPRINT, done, event, require, usage};
use crate::fake_provider::ask::Ask;
use crate::fake_provider::envelope::Refusal;
use crate::fake_provider::reply::Reply;
use crate::fake_provider::speech::{Choice, Speech, Wish};
use crate::fake_provider::words;

/// Answers `POST /v1/completions`.
pub(super) fn answer(ask: &Ask) -> Result<Reply, Refusal> {
    require(ask, &["model"])?;
    let prompts = match ask.json.get("prompt") {
        Some(Value::Array(prompts)) if prompts.iter().any(|p| !p.is_number()) => prompts.len(),
        _ => 1,
    };
    let each = usize::try_from(ask.number("n").unwrap_or(1).clamp(1, 128)).unwrap_or(1);
    let wish =
        Wish { tools: vec![], choice: Choice::None, parallel: None, json: None, user_last: true };
    let speeches: Vec<Speech> =
        (0..prompts * each).map(|choice| Speech::new(ask, &wish, choice)).collect();
    let sent: u64 = speeches.iter().map(|speech| speech.tokens).sum();
    // Of `best_of` candidates all are charged and only `n` returned.
    let best = ask.number("best_of").unwrap_or(0).max(each as u64);
    let charged = sent / each.max(1) as u64 * best;
    let usage = usage(ask.prompt_tokens(), charged, &ask.script);
    let finish = |s: &Speech| if s.cut_short { "length" } else { "stop" };
    let choice = |index: usize, text: String, why: Option<&str>| {
        let mut choice = json!({"index": index, "logprobs": null, "finish_reason": why});
        choice["text"] = text.into();
        json!([choice])
    };
    let (id, created) = (words::id("cmpl-", 29), words::unix_seconds());
    let frame = |choices: Value| {
        json!({
            "id": id, "object": "text_completion", "created": created, "model": ask.model(),
            "system_fingerprint": FINGERPRINT, "choices": choices,
        })
    };
    if !ask.flag("stream") {
        let choices = speeches.iter().enumerate().map(|(index, speech)| {
            choice(index, speech.whole_text(), Some(finish(speech)))[0].take()
        });
        return Ok(Reply::metered(frame(choices.collect()), &usage, charged, &ask.script));
    }
    let include = ask.json.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
    let chunk = |choices: Value, usage: Value, tokens: u64| {
        let mut chunk = frame(choices);
        if include {
            chunk["usage"] = usage;
        }
        event(&chunk, tokens)
    };
    let mut parts = Vec::new();
    for (index, speech) in speeches.iter().enumerate() {
        for piece in &speech.text {
            let choices = choice(index, piece.text.clone(), None);
            parts.push(chunk(choices, Value::Null, piece.tokens));
        }
        let closing = choice(index, String::new(), Some(finish(speech)));
        parts.push(chunk(closing, Value::Null, 0));
    }
    for told in ask.script.usages(&usage).into_iter().filter(|_| include) {
        let mut part = chunk(json!([]), told.clone(), charged - sent);
        part.usage = Some(Arc::new(told));
        parts.push(part);
    }
    parts.push(done());
    Ok(Reply::stream(parts))
}
