//! Speech as bytes, and words for bytes.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{done, event, require};
use crate::fake_provider::ask::Ask;
use crate::fake_provider::envelope::Refusal;
use crate::fake_provider::reply::Reply;
use crate::fake_provider::words;

/// Answers `POST /v1/audio/speech`: as many bytes as the text is long, times a hundred.
pub(super) fn speak(ask: &Ask) -> Result<Reply, Refusal> {
    require(ask, &["model", "input", "voice"])?;
    let content_type = match ask.text("response_format").unwrap_or("mp3") {
        "wav" => "audio/wav",
        "opus" => "audio/opus",
        "flac" => "audio/flac",
        "aac" => "audio/aac",
        "pcm" => "audio/pcm",
        _ => "audio/mpeg",
    };
    let length = ask.text("input").map_or(0, str::len).max(1) as u64 * 100;
    let sound = (0..length).map(|at| words::scramble(at).to_le_bytes()[0]);
    let frame = [b"ID3\x04".to_vec(), sound.collect()].concat();
    Ok(Reply::bytes(content_type, Bytes::from(frame)))
}

/// Answers `POST /v1/audio/{transcriptions,translations}`, a form with a file.
pub(super) fn transcribe(ask: &Ask) -> Result<Reply, Refusal> {
    let Some(file) = ask.form.iter().find(|field| field.name == "file") else {
        return Err(Refusal::new(400, "Missing required parameter: 'file'.").about("file"));
    };
    require(ask, &["model"])?;
    let (output, _) = ask.output_tokens();
    let said = words::answer_words(&ask.said, 0, output);
    let text = said.concat();
    // A minute of speech is about a megabyte.
    let seconds = file.content.len().div_ceil(16_000) as u64;
    let heard = seconds * 10;
    let usage = json!({
        "type": "tokens",
        "input_tokens": heard + ask.prompt_tokens(),
        "input_token_details": {"audio_tokens": heard, "text_tokens": ask.prompt_tokens()},
        "output_tokens": output,
        "total_tokens": heard + ask.prompt_tokens() + output,
    });
    let by_tokens = ask.model().contains("transcribe");
    if by_tokens && ask.flag("stream") {
        let delta =
            |word: &String| event(&json!({"type": "transcript.text.delta", "delta": word}), 1);
        let mut parts: Vec<_> = said.iter().map(delta).collect();
        for told in ask.script.usages(&usage) {
            let closing = json!({"type": "transcript.text.done", "text": text, "usage": told});
            let mut part = event(&closing, 0);
            part.usage = Some(told.into());
            parts.push(part);
        }
        parts.push(done());
        return Ok(Reply::stream(parts).with_prompt_tokens(heard + ask.prompt_tokens()));
    }
    let by_time = json!({"type": "duration", "seconds": seconds});
    let usage = if by_tokens { usage } else { by_time };
    let body: Value = match ask.text("response_format").unwrap_or("json") {
        "text" => return Ok(Reply::bytes("text/plain; charset=utf-8", format!("{text}\n").into())),
        "verbose_json" => json!({
            "task": "transcribe", "language": "english", "duration": seconds, "text": text,
            "segments": [{"id": 0, "seek": 0, "start": 0.0, "end": seconds, "text": text}],
        }),
        _ => json!({"text": text}),
    };
    let (prompt, output) = if by_tokens { (heard + ask.prompt_tokens(), output) } else { (0, 0) };
    Ok(Reply::metered(body, &usage, output, &ask.script).with_prompt_tokens(prompt))
}
