//! Recorded shapes of every provider's answers, what they must be understood as, and that no way of
//! cutting a stream into frames changes anything.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::stream::StreamReader;
use super::*;

/// A fixture, its dialect, its usage, its model, and how it ended.
type Row = (&'static str, Dialect, Option<&'static str>, &'static str, &'static str);

use Dialect::{
    Chat, Completions, CountTokens, Embeddings, Images, Messages, Responses, Speech, Transcriptions,
};

#[rustfmt::skip]
const FIXTURES: &[Row] = &[
    ("anthropic/cache.json", Messages, Some("input=21 cache_read=188086 cache_write=456 cache_write_hour=100 output=393"), "claude-sonnet-4-5-20250929", "ended"),
    ("anthropic/cache_stream.sse", Messages, Some("input=4 cache_read=20000 cache_write_hour=1000 output=77"), "claude-sonnet-4-5-20250929", "ended"),
    ("anthropic/count_tokens.json", CountTokens, Some(""), "", "ended"),
    ("anthropic/error.json", Messages, None, "", "ended failed"),
    ("anthropic/error_stream.sse", Messages, Some("input=25 output=1"), "claude-sonnet-4-5-20250929", "failed"),
    ("anthropic/plain.json", Messages, Some("input=2095 output=503"), "claude-sonnet-4-5-20250929", "ended"),
    ("anthropic/search_stream.sse", Messages, Some("input=10682 output=510 tool_calls=1"), "claude-sonnet-4-5-20250929", "ended"),
    ("anthropic/stream.sse", Messages, Some("input=25 output=15"), "claude-sonnet-4-5-20250929", "ended"),
    ("anthropic/thinking_stream.sse", Messages, Some("input=60 output=340"), "claude-sonnet-4-5-20250929", "ended"),
    ("anthropic/tools_stream.sse", Messages, Some("input=472 output=89"), "claude-sonnet-4-5-20250929", "ended"),
    ("azure/chat.json", Chat, Some("input=33 output=557"), "gpt-4o-2024-08-06", "ended"),
    ("azure/chat_stream.sse", Chat, Some("input=33 output=2"), "gpt-4o-2024-08-06", "ended"),
    ("deepseek/chat.json", Chat, Some("input=92 cache_read=1408 output=120 reasoning=200"), "deepseek-reasoner", "ended"),
    ("deepseek/chat_stream.sse", Chat, Some("input=92 cache_read=1408 output=120 reasoning=200"), "deepseek-reasoner", "ended"),
    ("deepseek/hit_only.json", Chat, Some("input=92 cache_read=1408 output=320"), "deepseek-chat", "ended"),
    ("fireworks/chat.json", Chat, Some("input=8 cache_read=16 output=34"), "accounts/fireworks/models/llama-v3p1-8b-instruct", "ended"),
    ("fireworks/chat_stream.sse", Chat, Some("input=24 output=34"), "accounts/fireworks/models/llama-v3p1-8b-instruct", "ended"),
    ("gemini-compat/chat.json", Chat, Some("input=8 output=712"), "gemini-2.5-flash", "ended"),
    ("gemini-compat/chat_stream.sse", Chat, Some("input=8 output=712"), "gemini-2.5-flash", "ended"),
    ("groq/chat.json", Chat, Some("input=18 output=556"), "llama-3.3-70b-versatile", "ended"),
    ("groq/chat_stream.sse", Chat, Some("input=18 output=556"), "llama-3.3-70b-versatile", "ended"),
    ("mistral/chat.json", Chat, Some("input=16 output=34"), "mistral-small-latest", "ended"),
    ("mistral/chat_stream.sse", Chat, Some("input=16 output=34"), "mistral-small-latest", "ended"),
    ("mistral/transcription.json", Transcriptions, Some("input=4 output=635 audio_millis=203000"), "voxtral-mini-2507", "ended"),
    ("ollama/chat.json", Chat, Some("input=26 output=8"), "llama3.2", "ended"),
    ("ollama/chat_stream.sse", Chat, Some("input=26 output=8"), "llama3.2", "ended"),
    ("openai/audio.json", Chat, Some("input=17 output=60 audio_input=100 audio_output=233"), "gpt-4o-audio-preview-2024-12-17", "ended"),
    ("openai/chat.json", Chat, Some("input=86 cache_read=1920 output=300"), "gpt-4.1-2025-04-14", "ended default"),
    ("openai/chat_stream.sse", Chat, Some("input=19 output=10"), "gpt-4o-mini-2024-07-18", "ended default"),
    ("openai/completions.json", Completions, Some("input=5 output=7"), "gpt-3.5-turbo-instruct", "ended"),
    ("openai/completions_stream.sse", Completions, Some("input=5 output=7"), "gpt-3.5-turbo-instruct", "ended"),
    ("openai/embeddings.json", Embeddings, Some("input=8"), "text-embedding-ada-002", "ended"),
    ("openai/images_dalle.json", Images, Some("images=2"), "", "ended"),
    ("openai/images_gpt.json", Images, Some("input=55 image_input=323 image_output=272"), "", "ended"),
    ("openai/images_stream.sse", Images, Some("input=10 image_input=40 image_output=50"), "", "ended"),
    ("openai/reasoning.json", Chat, Some("input=120 output=21 reasoning=1024"), "o3-mini-2025-01-31", "ended default"),
    ("openai/responses.json", Responses, Some("input=72 cache_read=256 output=59 reasoning=128"), "gpt-5-2025-08-07", "ended default"),
    ("openai/responses_failed.sse", Responses, None, "gpt-5-2025-08-07", "ended failed default"),
    ("openai/responses_incomplete.sse", Responses, Some("input=72 cache_read=256 output=59 reasoning=128"), "gpt-5-2025-08-07", "ended default"),
    ("openai/responses_search.json", Responses, Some("input=72 cache_read=256 output=59 reasoning=128 tool_calls=2"), "gpt-5-2025-08-07", "ended default"),
    ("openai/responses_stream.sse", Responses, Some("input=72 cache_read=256 output=59 reasoning=128"), "gpt-5-2025-08-07", "ended default"),
    ("openai/speech_stream.sse", Speech, Some("input=14 audio_output=101"), "", "ended"),
    ("openai/stream_error.sse", Chat, None, "gpt-4o-mini-2024-07-18", "failed default"),
    ("openai/tools_stream.sse", Chat, Some("input=18 cache_read=64 output=17"), "gpt-4o-mini-2024-07-18", "ended default"),
    ("openai/transcription_duration.json", Transcriptions, Some("audio_millis=9000"), "", "ended"),
    ("openai/transcription_stream.sse", Transcriptions, Some("output=45 audio_input=14"), "", "ended"),
    ("openai/transcription_tokens.json", Transcriptions, Some("input=4 output=101 audio_input=10"), "", "ended"),
    ("openai/transcription_verbose.json", Transcriptions, Some("audio_millis=8471"), "", "ended"),
    ("openrouter/chat.json", Chat, Some("input=44 cache_read=100 cache_write=50 output=2"), "anthropic/claude-sonnet-4", "ended"),
    ("openrouter/chat_stream.sse", Chat, Some("input=44 cache_read=100 cache_write=50 output=2"), "openai/gpt-4o", "ended default"),
    ("openrouter/error_stream.sse", Chat, None, "openai/gpt-4o", "failed default"),
    ("together/chat.json", Chat, Some("input=6 cache_read=32 output=53"), "meta-llama/Llama-3.3-70B-Instruct-Turbo", "ended"),
    ("together/chat_stream.sse", Chat, Some("input=38 output=2"), "meta-llama/Llama-3.3-70B-Instruct-Turbo", "ended"),
    ("xai/chat.json", Chat, Some("input=26 cache_read=6 output=9 reasoning=94"), "grok-3-mini", "ended"),
    ("xai/chat_stream.sse", Chat, Some("input=26 cache_read=6 output=9 reasoning=94"), "grok-3-mini", "ended"),
    ("xai/search.json", Chat, Some("input=32 output=9 tool_calls=5"), "grok-4", "ended"),
];

fn is_stream(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, kind)| kind == "sse")
}

fn streams() -> impl Iterator<Item = &'static Row> {
    FIXTURES.iter().filter(|row| is_stream(row.0))
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/usage"))
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).expect("a fixture of the table is there")
}

fn in_words(usage: &Usage) -> String {
    let words = usage.used().map(|(class, units)| format!("{}={units}", class.name()));
    words.collect::<Vec<_>>().join(" ")
}

/// Everything that a reader saw and forwarded of a stream in these frames.
fn pass(dialect: Dialect, strip: bool, frames: &[&[u8]]) -> (Observed, Vec<u8>) {
    let mut reader = StreamReader::new(dialect, strip);
    let mut forwarded = Vec::new();
    for frame in frames {
        forwarded.extend_from_slice(&reader.push(Bytes::copy_from_slice(frame)));
    }
    forwarded.extend_from_slice(&reader.finish());
    (reader.observed().clone(), forwarded)
}

#[test]
fn every_fixture_is_understood() {
    for (name, dialect, usage, model, how) in FIXTURES {
        let body = fixture(name);
        let observed = if is_stream(name) {
            pass(*dialect, false, &[&body]).0
        } else {
            read_answer(*dialect, &body)
        };
        assert_eq!(observed.usage.as_ref().map(in_words).as_deref(), *usage, "{name}");
        assert_eq!(observed.served_model.as_deref().unwrap_or_default(), *model, "{name}");
        let words: Vec<_> = how.split(' ').collect();
        assert_eq!(observed.ended, words.contains(&"ended"), "{name}");
        assert_eq!(observed.failed, words.contains(&"failed"), "{name}");
        assert!(!observed.invalid, "{name}");
        if words.contains(&"default") {
            assert_eq!(observed.service_tier.as_deref(), Some("default"), "{name}");
        }
    }
}

#[test]
fn every_fixture_is_in_the_table() {
    let listed: BTreeSet<_> = FIXTURES.iter().map(|row| row.0.to_owned()).collect();
    let mut found = BTreeSet::new();
    for provider in folder().read_dir().expect("the fixtures' folder") {
        let provider = provider.expect("a provider's folder").path();
        for file in provider.read_dir().expect("a provider's fixtures") {
            let path = file.expect("a fixture").path();
            let name = path.strip_prefix(folder()).expect("inside").display().to_string();
            found.insert(name);
        }
    }
    assert_eq!(found, listed);
}

/// The stream without the event that only tells usage, made without any of the code under test.
fn without_usage_event(stream: &str) -> String {
    let kept = stream.split_inclusive("\n\n").filter(|event| {
        let data = event.trim_end().strip_prefix("data: ").unwrap_or("null");
        let data: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
        !(data["choices"].as_array().is_some_and(Vec::is_empty) && data["usage"].is_object())
    });
    kept.collect()
}

#[test]
fn exactly_the_usage_event_is_taken_out() {
    let mut taken_out = 0;
    for (name, dialect, ..) in streams() {
        let stream = String::from_utf8(fixture(name)).expect("text");
        let expected = match dialect {
            Chat | Completions => without_usage_event(&stream),
            _ => stream.clone(),
        };
        let (observed, forwarded) = pass(*dialect, true, &[stream.as_bytes()]);
        assert_eq!(String::from_utf8_lossy(&forwarded), expected, "{name}");
        assert_eq!(observed, pass(*dialect, false, &[stream.as_bytes()]).0, "{name}");
        taken_out += usize::from(expected != stream);
    }
    assert_eq!(taken_out, 6);
}

#[test]
fn single_bytes_and_every_line_end_change_nothing() {
    for (name, dialect, ..) in streams() {
        let stream = String::from_utf8(fixture(name)).expect("text");
        for end in ["\n", "\r\n", "\r"] {
            let stream = stream.replace('\n', end);
            let bytes: Vec<_> = stream.as_bytes().chunks(1).collect();
            for strip in [false, true] {
                let whole = pass(*dialect, strip, &[stream.as_bytes()]);
                assert_eq!(pass(*dialect, strip, &bytes), whole, "{name} {end:?} {strip}");
                assert!(strip || whole.1 == stream.as_bytes(), "{name} {end:?}");
            }
        }
    }
}

#[test]
fn a_frame_that_needs_no_change_is_not_copied() {
    let stream = Bytes::from(fixture("openai/chat_stream.sse"));
    let mut reader = StreamReader::new(Chat, false);
    assert_eq!(reader.push(stream.clone()).as_ptr(), stream.as_ptr());
    let first = stream.slice(..memchr::memmem::find(&stream, b"\n\n").expect("an event") + 2);
    let mut reader = StreamReader::new(Chat, true);
    assert_eq!(reader.push(first.clone()).as_ptr(), first.as_ptr());
    let cut = first.slice(..first.len() - 7);
    assert!(reader.push(cut).is_empty(), "an open event is held back");
    assert_eq!(reader.push(first.slice(first.len() - 7..)), first);
}

#[test]
fn an_event_without_an_end_counts_when_the_stream_ends() {
    let usage = br#"data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
    let (observed, forwarded) = pass(Chat, true, &[b": hi\n\n", usage]);
    assert_eq!(observed.usage.as_ref().map(in_words).as_deref(), Some("input=3 output=4"));
    assert_eq!(forwarded, b": hi\n\n");
    assert_eq!(pass(Chat, false, &[usage]).1, usage);
    assert_eq!(pass(Chat, true, &[b"data: {\"cho"]).1, b"data: {\"cho");
}

#[test]
fn an_event_beyond_all_measure_passes_unseen() {
    let long =
        format!("data: {{\"choices\":[],\"usage\":{{}},\"x\":\"{}\"}}\n\n", "x".repeat(17 << 20));
    let after = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n";
    let stream = format!("{long}{after}");
    for size in [stream.len(), 1 << 20, 1_000_003] {
        let frames: Vec<_> = stream.as_bytes().chunks(size).collect();
        let (observed, forwarded) = pass(Chat, true, &frames);
        assert!(forwarded == long.as_bytes(), "{size}");
        assert_eq!(observed.usage.as_ref().map(in_words).as_deref(), Some("input=1"));
    }
}

#[test]
fn numbers_that_cannot_be_are_no_usage() {
    let rows = [
        r#"{"prompt_tokens":-1,"completion_tokens":1}"#,
        r#"{"prompt_tokens":1.0,"completion_tokens":1}"#,
        r#"{"prompt_tokens":"1","completion_tokens":1}"#,
        r#"{"prompt_tokens":1000000000000000000,"completion_tokens":1}"#,
        r#"{"prompt_tokens":1,"completion_tokens":2147483649}"#,
        r#"{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":6}}"#,
        r#"{"prompt_tokens":5,"completion_tokens":1,"total_tokens":4}"#,
        r#"{"prompt_tokens":5,"completion_tokens":1,"completion_tokens_details":{"reasoning_tokens":2}}"#,
        r#"{"completion_tokens":1}"#,
        r#"{"prompt_tokens":null}"#,
        r#"{"input_tokens":5,"output_tokens":2,"total_tokens":6}"#,
        "{}",
    ];
    for usage in rows {
        let body = format!("{{\"choices\":[],\"usage\":{usage}}}");
        let observed = read_answer(Chat, body.as_bytes());
        assert_eq!((observed.usage, observed.invalid), (None, false), "{usage}");
    }
    let written = br#"{"usage":{"input_tokens":1,"cache_creation_input_tokens":5,
        "cache_creation":{"ephemeral_5m_input_tokens":6},"output_tokens":1}}"#;
    assert_eq!(read_answer(Messages, written).usage, None);
    let broken = concat!(
        "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9,",
        "\"cache_read_input_tokens\":-5}}}\n\n",
        "data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":5}}\n\n",
    );
    assert_eq!(pass(Messages, false, &[broken.as_bytes()]).0.usage, None);
}

#[test]
fn of_two_reports_the_last_counts_and_null_is_none() {
    let stream = concat!(
        "data: {\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1}}\n\n",
        "data: {\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":5}}\n\n",
        "data: {\"usage\":null}\n\n",
    );
    let usage = pass(Chat, false, &[stream.as_bytes()]).0.usage;
    assert_eq!(usage.as_ref().map(in_words).as_deref(), Some("input=9 output=5"));
}

#[test]
fn what_is_not_json_is_told() {
    for body in ["", "<html>", "{\"usage\":", "{} {}"] {
        let observed = read_answer(Chat, body.as_bytes());
        assert!(observed.invalid && !observed.ended, "{body}");
    }
    assert!(!read_answer(Transcriptions, b"1\n00:00 --> 00:01\nHi").invalid);
    assert!(!read_answer(Speech, b"RIFF\xff").invalid);
}

#[test]
fn visible_output_is_counted_without_its_wrapping() {
    let of = |name, dialect| pass(dialect, false, &[&fixture(name)]).0.output_bytes;
    assert_eq!(of("anthropic/stream.sse", Messages), 5 + 1 + 13 + 8);
    assert_eq!(of("openai/responses_stream.sse", Responses), 9 + 8);
    assert_eq!(of("openai/completions_stream.sse", Completions), 4 + 3);
    assert_eq!(of("ollama/chat_stream.sse", Chat), 2);
    let tools = of("openai/tools_stream.sse", Chat);
    assert!((30..90).contains(&tools), "{tools}");
    let nest = format!("data: {{\"delta\":{}", "[".repeat(500_000));
    pass(Chat, false, &[nest.as_bytes()]);
}

proptest! {
    #[test]
    fn any_cut_gives_the_same(
        row in prop::sample::select(streams().collect::<Vec<_>>()),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        strip: bool,
    ) {
        let stream = String::from_utf8(fixture(row.0)).expect("text").replace('\n', end);
        let stream = stream.as_bytes();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.push(stream.len());
        cuts.sort_unstable();
        let mut from = 0;
        let frames: Vec<_> = cuts.iter().map(|cut| {
            let frame = &stream[from..*cut];
            from = *cut;
            frame
        }).collect();
        prop_assert_eq!(pass(row.1, strip, &frames), pass(row.1, strip, &[stream]));
    }

    #[test]
    fn no_stream_breaks_the_reader(stream in prop::collection::vec(
        prop::sample::select(vec![
            "data: ", "data:", "\n", "\r", "\r\n", "\n\n", "[DONE]", "{\"choices\":[],\"usage\":",
            "{\"prompt_tokens\":1}", "{}", "}", "\"delta\":", "\"text\":", "[", "\"", "\\", "é", ":",
        ]), 0..60), strip: bool, size in 1..20_usize) {
        let stream = stream.concat();
        let frames: Vec<_> = stream.as_bytes().chunks(size).collect();
        let cut = pass(Chat, strip, &frames);
        prop_assert_eq!(&cut, &pass(Chat, strip, &[stream.as_bytes()]));
        prop_assert!(strip || cut.1 == stream.as_bytes());
    }
}
