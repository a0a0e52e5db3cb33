//! Every kind of body, good and bad, and what it is understood as or refused with.

use proptest::prelude::*;

use super::*;
use crate::wire::json::Document;
use crate::wire::splice::Rewrite;

const JSON: Option<&str> = Some("application/json");

fn asked(dialect: Dialect, body: &str) -> Request {
    read(dialect, JSON, Bytes::copy_from_slice(body.as_bytes()))
        .unwrap_or_else(|refusal| panic!("{body}: {refusal:?}"))
}

fn refused(dialect: Dialect, body: &str) -> (Code, String) {
    let read = read(dialect, JSON, Bytes::copy_from_slice(body.as_bytes()));
    let refusal = read.map(|_| ()).expect_err(body);
    assert!(refusal.message.len() <= 300 && refusal.message.ends_with('.'), "{refusal:?}");
    (refusal.code, refusal.param.unwrap_or_default())
}

/// A chat's body with more members.
fn chat(more: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{more}}}"#)
}

fn with(dialect: Dialect, more: &str) -> String {
    match dialect {
        Dialect::Completions => format!(r#"{{"model":"m","prompt":"hi"{more}}}"#),
        Dialect::Responses => format!(r#"{{"model":"m","input":"hi"{more}}}"#),
        Dialect::Messages => chat(&format!(r#","max_tokens":9{more}"#)),
        _ => chat(more),
    }
}

#[test]
fn a_chat_is_understood() {
    let body = chat(r#","stream":true,"n":3,"max_tokens":50,"max_completion_tokens":70,"x":[1]"#);
    let request = asked(Dialect::Chat, &body);
    let expected = Ask {
        model: "m".to_owned(),
        stream: true,
        output_cap: Some(70),
        answers: 3,
        body_bytes: u64::try_from(body.len()).expect("small"),
        input_elsewhere: false,
        media: false,
        unbounded: None,
    };
    assert_eq!((request.ask, request.usage_asked), (expected, false));
    let options = r#","stream":true,"stream_options":{"include_usage":true}"#;
    assert!(asked(Dialect::Chat, &chat(options)).usage_asked);
    assert_eq!(asked(Dialect::Chat, &chat("").replace("model", "mod\\u0065l")).ask.model, "m");
}

#[test]
fn the_other_dialects_are_understood() {
    use Dialect::{
        Completions, CountTokens, Embeddings, Images, Json, Messages, Moderations, Raw, Responses,
        Speech,
    };
    let rows = [
        (Completions, r#"{"model":"m","prompt":["a","b"],"n":2,"best_of":3}"#, "m", 6),
        (Completions, r#"{"model":"m","prompt":[1,2,3],"n":2}"#, "m", 2),
        (Completions, r#"{"model":"m","prompt":[[1],[2,3]]}"#, "m", 2),
        (Completions, r#"{"model":"m"}"#, "m", 1),
        (Embeddings, r#"{"model":"m","input":["a","b"]}"#, "m", 1),
        (Responses, r#"{"model":"m"}"#, "m", 1),
        (Moderations, r#"{"input":"a"}"#, "", 1),
        (Images, r#"{"prompt":"a","n":4}"#, "", 4),
        (Speech, r#"{"model":"m","input":"h\u00e9😀","voice":"alloy"}"#, "m", 1),
        (
            Messages,
            r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":[]}]}"#,
            "m",
            1,
        ),
        (CountTokens, r#"{"model":"m","messages":[{"role":"user","content":""}]}"#, "m", 1),
        (Json, r#"{"query":"a","n":"many"}"#, "", 1),
        (Json, r#"{"model":"rerank"}"#, "rerank", 1),
        (Raw, "\u{0}not json", "", 1),
    ];
    for (dialect, body, model, answers) in rows {
        let request = asked(dialect, body);
        assert_eq!((request.ask.model.as_str(), request.ask.answers), (model, answers), "{body}");
        assert_eq!(request.characters, if dialect == Speech { 3 } else { 0 }, "{body}");
        assert_eq!((request.ask.media, request.ask.unbounded), (false, None), "{body}");
    }
}

#[test]
fn bad_members_are_refused_with_their_path() {
    let long = format!(r#""{}""#, "x".repeat(10_000));
    let text = format!(r#"[{{"role":"user","content":"{}"}}]"#, "x".repeat(5 << 20));
    let many = format!("[{}{{}}]", r#"{"role":"user"},"#.repeat(99_999));
    let biases: Vec<_> = (0..100_000).map(|token| format!(r#""{token}":1"#)).collect();
    let biases = format!("{{{}}}", biases.join(","));
    let stops = format!("[{}\"a\"]", "\"a\",".repeat(999));
    let bad: &[(&str, &[&str], &str)] = &[
        ("model", &["\"\"", "5", "null", "[]", "\"a\\nb\"", "\"\\u007f\"", &long], "model"),
        ("stream", &["\"true\"", "1", "{}"], "stream"),
        (
            "max_tokens",
            &[
                "0",
                "-1",
                "-2147483648",
                "1.5",
                "1.0",
                "\"100\"",
                "1000000000000",
                "9223372036854775808",
                "18446744073709551617",
                "true",
            ],
            "max_tokens",
        ),
        ("max_completion_tokens", &["0", "\"1\""], "max_completion_tokens"),
        ("n", &["0", "-1", "1000000", "129", "1.0", "\"1\""], "n"),
        ("temperature", &["-1", "99", "null", "\"1\""], "temperature"),
        ("top_p", &["-0.1", "1.1", "null"], "top_p"),
        ("stop", &[&stops, "5", "[5]", "{}"], "stop"),
        ("logit_bias", &[&biases, "[]", "{\"1\":101}", "{\"1\":\"1\"}"], "logit_bias"),
        ("messages", &["[]", "{}", "\"hi\"", "null", "5", &many], "messages"),
        ("messages", &["[5]", "[[]]"], "messages[0]"),
        ("messages", &[r#"[{"role":"king"}]"#, r#"[{"role":5}]"#], "messages[0].role"),
        ("messages", &[r#"[{"role":"user"},{"role":"user","content":5}]"#], "messages[1].content"),
        ("messages", &[r#"[{"role":"user","content":["a"]}]"#, &text], "messages[0].content"),
        ("tools", &["{}", "5"], "tools"),
        ("tools", &["[{},5]"], "tools[1]"),
        ("stream_options", &["[]", "true"], "stream_options"),
        ("stream_options", &[r#"{"include_usage":"yes"}"#], "stream_options.include_usage"),
    ];
    for (name, values, path) in bad {
        for value in *values {
            let mut members = vec![("model", "\"m\""), ("messages", r#"[{"role":"user"}]"#)];
            members.retain(|(other, _)| other != name);
            members.push((name, value));
            let members: Vec<_> =
                members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            let shown = value.get(..40).unwrap_or(value);
            let expected = (Code::InvalidValue, (*path).to_owned());
            assert_eq!(
                refused(Dialect::Chat, &format!("{{{}}}", members.join(","))),
                expected,
                "{name}: {shown}"
            );
        }
    }
}

#[test]
fn what_is_missing_is_named() {
    let rows = [
        (Dialect::Chat, r#"{"messages":[{"role":"user"}]}"#, "model"),
        (Dialect::Chat, r#"{"model":"m"}"#, "messages"),
        (Dialect::Chat, r#"{"model":"m","messages":[{"content":"a"}]}"#, "messages[0].role"),
        (Dialect::Messages, r#"{"model":"m","messages":[{"role":"user"}]}"#, "max_tokens"),
        (
            Dialect::Messages,
            r#"{"model":"m","max_tokens":null,"messages":[{"role":"user"}]}"#,
            "max_tokens",
        ),
        (Dialect::Embeddings, r#"{"model":"m"}"#, "input"),
        (Dialect::Moderations, "{}", "input"),
        (Dialect::Images, "{}", "prompt"),
        (Dialect::Speech, r#"{"input":"a"}"#, "model"),
        (Dialect::Responses, "{}", "model"),
    ];
    for (dialect, body, path) in rows {
        assert_eq!(refused(dialect, body), (Code::MissingParameter, path.to_owned()), "{body}");
    }
}

#[test]
fn prompts_are_counted_and_checked() {
    let many = format!(r#"{{"model":"m","prompt":[{}"a"]}}"#, "\"a\",".repeat(99_999));
    let rows = [
        (many.as_str(), "prompt"),
        (r#"{"model":"m","prompt":[]}"#, "prompt"),
        (r#"{"model":"m","prompt":5}"#, "prompt"),
        (r#"{"model":"m","prompt":[1,"a"]}"#, "prompt"),
        (r#"{"model":"m","prompt":["a",1]}"#, "prompt[1]"),
        (r#"{"model":"m","prompt":["a",[1.5]]}"#, "prompt[1]"),
        (r#"{"model":"m","prompt":"a","n":3,"best_of":2}"#, "best_of"),
        (r#"{"model":"m","prompt":"a","best_of":129}"#, "best_of"),
    ];
    for (body, path) in rows {
        let expected = (Code::InvalidValue, path.to_owned());
        assert_eq!(
            refused(Dialect::Completions, body),
            expected,
            "{}",
            &body[..body.len().min(60)]
        );
    }
}

#[test]
fn no_body_may_say_where_to_send_it() {
    for name in ["api_base", "base_url", "api_key", "extra_headers"] {
        let expected = (Code::UnsupportedParameter, name.to_owned());
        assert_eq!(refused(Dialect::Chat, &chat(&format!(r#","{name}":null"#))), expected);
        assert_eq!(refused(Dialect::Json, &format!(r#"{{"{name}":"x"}}"#)), expected);
    }
}

#[test]
fn only_json_objects_of_the_right_type_are_read() {
    for body in ["", "null", "[]", "\"x\"", "{", "{}{}", "\u{feff}{}"] {
        assert_eq!(refused(Dialect::Chat, body).0, Code::InvalidJson, "{body}");
    }
    let fine = Bytes::from(chat(""));
    for content_type in ["application/json", "Application/JSON ; charset=utf-8"] {
        assert!(read(Dialect::Chat, Some(content_type), fine.clone()).is_ok());
    }
    for content_type in [
        None,
        Some(""),
        Some("text/plain"),
        Some("application/jsonl"),
        Some("multipart/form-data; boundary=a"),
    ] {
        let refusal = read(Dialect::Chat, content_type, fine.clone()).expect_err("refused");
        assert_eq!(refusal.code, Code::UnsupportedMediaType, "{content_type:?}");
    }
}

#[test]
fn what_bytes_do_not_bound_is_told() {
    let part = |part: &str| {
        format!(
            r#"{{"model":"m","max_tokens":5,"messages":[{{"role":"user","content":[{{"type":"text","text":"data: http://"}},{part}]}}]}}"#
        )
    };
    let item = |item: &str| format!(r#"{{"model":"m","input":[{item}]}}"#);
    use Dialect::{Chat, Messages, Responses};
    let rows = [
        (Chat, part(r#"{"type":"text","text":"a"}"#), false, false),
        (
            Chat,
            part(r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,aa"}}"#),
            true,
            false,
        ),
        (
            Chat,
            part(r#"{"type":"image_url","image_url":{"url":"https://a/b.png","detail":"low"}}"#),
            false,
            true,
        ),
        (
            Chat,
            part(r#"{"type":"input_audio","input_audio":{"data":"aa","format":"wav"}}"#),
            true,
            false,
        ),
        (Chat, part(r#"{"type":"file","file":{"file_id":"file-1"}}"#), false, true),
        (
            Chat,
            part(r#"{"type":"file","file":{"filename":"a","file_data":"data:a;base64,aa"}}"#),
            true,
            false,
        ),
        (Chat, chat("").replace("\"hi\"", r#"null,"audio":{"id":"audio_1"}"#), false, true),
        (
            Messages,
            part(
                r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aa"}}"#,
            ),
            true,
            false,
        ),
        (
            Messages,
            part(r#"{"type":"image","source":{"type":"url","url":"https://a"}}"#),
            false,
            true,
        ),
        (
            Messages,
            part(r#"{"type":"document","source":{"type":"file","file_id":"f"}}"#),
            false,
            true,
        ),
        (
            Messages,
            part(
                r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"aa"}}"#,
            ),
            false,
            false,
        ),
        (
            Messages,
            part(
                r#"{"type":"tool_result","tool_use_id":"t","content":[{"type":"image","source":{"type":"base64","data":"aa"}}]}"#,
            ),
            true,
            false,
        ),
        (
            Messages,
            part(
                r#"{"type":"tool_use","id":"t","name":"n","input":{"url":"https://a","data":"x"}}"#,
            ),
            false,
            false,
        ),
        (
            Responses,
            item(
                r#"{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,a"}]}"#,
            ),
            true,
            false,
        ),
        (
            Responses,
            item(r#"{"role":"user","content":[{"type":"input_image","file_id":"f"}]}"#),
            false,
            true,
        ),
        (Responses, item(r#"{"type":"item_reference","id":"msg_1"}"#), false, true),
        (
            Responses,
            item(r#"{"type":"function_call_output","call_id":"c","output":"https://a"}"#),
            false,
            false,
        ),
        (Responses, with(Responses, r#","previous_response_id":"resp_1""#), false, true),
        (Responses, with(Responses, r#","conversation":{"id":"conv_1"}"#), false, true),
        (Responses, with(Responses, r#","prompt":{"id":"pmpt_1"}"#), false, true),
        (Responses, with(Responses, r#","previous_response_id":null"#), false, false),
    ];
    for (dialect, body, media, elsewhere) in rows {
        let ask = asked(dialect, &body).ask;
        assert_eq!((ask.media, ask.input_elsewhere), (media, elsewhere), "{body}");
    }
}

#[test]
fn what_makes_the_cost_unbounded_is_named() {
    use Dialect::{Chat, Messages, Responses};
    let rows = [
        (
            Chat,
            r#","tools":[{"type":"function","function":{"name":"f","parameters":{"type":"web_search"}}}]"#,
            None,
        ),
        (Chat, r#","web_search_options":{}"#, Some("web_search_options")),
        (Chat, r#","service_tier":"default","modalities":["text"],"prediction":null"#, None),
        (Chat, r#","service_tier":"auto""#, Some("service_tier")),
        (Chat, r#","service_tier":"priority""#, Some("service_tier")),
        (Chat, r#","modalities":["text","audio"]"#, Some("modalities")),
        (Chat, r#","prediction":{"type":"content","content":"a"}"#, Some("prediction")),
        (
            Responses,
            r#","tools":[{"type":"function","name":"f"},{"type":"custom","name":"g"}]"#,
            None,
        ),
        (
            Responses,
            r#","tools":[{"type":"function"},{"type":"web_search_preview_2025_03_11"}]"#,
            Some("tools"),
        ),
        (Responses, r#","tools":[{"type":"mcp","server_url":"https://a"}]"#, Some("tools")),
        (Responses, r#","tools":[{"type":"never heard of"}]"#, Some("tools")),
        (Responses, r#","background":true"#, Some("background")),
        (Responses, r#","background":false"#, None),
        (
            Messages,
            r#","tools":[{"name":"f","input_schema":{}},{"type":"bash_20250124","name":"bash"}]"#,
            None,
        ),
        (
            Messages,
            r#","tools":[{"type":"web_search_20250305","name":"web_search"}]"#,
            Some("tools"),
        ),
        (Messages, r#","tools":[{"type":"code_execution_20250522","name":"x"}]"#, Some("tools")),
        (Messages, r#","mcp_servers":[{"type":"url","url":"https://a"}]"#, Some("mcp_servers")),
        (Messages, r#","service_tier":"standard_only""#, None),
    ];
    for (dialect, more, unbounded) in rows {
        assert_eq!(asked(dialect, &with(dialect, more)).ask.unbounded, unbounded, "{more}");
    }
}

#[test]
fn only_what_must_change_changes() {
    use Dialect::{Chat, Completions, Messages, Responses};
    let model = Rewrite { model: Some("a\"b"), ..Rewrite::default() };
    let usage = Rewrite { inject_usage: true, ..Rewrite::default() };
    let cap = Rewrite { output_cap: Some(40), ..Rewrite::default() };
    let named = Rewrite { cap_name: Some("max_tokens"), ..cap };
    let streamed = r#"{ "stream" : true , "model":"m","messages":[{"role":"user"}]"#;
    let rows = [
        (
            Chat,
            r#"{"model" : "m" ,"messages":[{"role":"user"}]}"#.to_owned(),
            model,
            r#"{"model" : "a\"b" ,"messages":[{"role":"user"}]}"#.to_owned(),
        ),
        (
            Chat,
            format!("{streamed} }}"),
            usage,
            format!(r#"{streamed} ,"stream_options":{{"include_usage":true}}}}"#),
        ),
        (
            Chat,
            format!(r#"{streamed},"stream_options":null}}"#),
            usage,
            format!(r#"{streamed},"stream_options":{{"include_usage":true}}}}"#),
        ),
        (
            Chat,
            format!(r#"{streamed},"stream_options":{{ }}}}"#),
            usage,
            format!(r#"{streamed},"stream_options":{{"include_usage":true }}}}"#),
        ),
        (
            Chat,
            format!(r#"{streamed},"stream_options":{{"x":1}}}}"#),
            usage,
            format!(r#"{streamed},"stream_options":{{"include_usage":true,"x":1}}}}"#),
        ),
        (
            Chat,
            format!(r#"{streamed},"stream_options":{{"include_usage":false}}}}"#),
            usage,
            format!(r#"{streamed},"stream_options":{{"include_usage":true}}}}"#),
        ),
        (Chat, chat(""), cap, chat(r#","max_completion_tokens":40"#)),
        (Chat, chat(""), named, chat(r#","max_tokens":40"#)),
        (Chat, chat(r#","max_tokens":null"#), named, chat(r#","max_tokens":40"#)),
        (
            Chat,
            chat(r#","max_tokens":50,"max_completion_tokens":30"#),
            cap,
            chat(r#","max_tokens":40,"max_completion_tokens":30"#),
        ),
        (
            Chat,
            chat(r#","max_completion_tokens":30"#),
            named,
            chat(r#","max_completion_tokens":30,"max_tokens":30"#),
        ),
        (Completions, with(Completions, ""), cap, with(Completions, r#","max_tokens":40"#)),
        (
            Responses,
            with(Responses, r#","max_output_tokens":41"#),
            cap,
            with(Responses, r#","max_output_tokens":40"#),
        ),
        (Messages, chat(r#","max_tokens":4096"#), cap, chat(r#","max_tokens":40"#)),
        (
            Dialect::Moderations,
            r#"{"input":"a"}"#.to_owned(),
            model,
            r#"{"input":"a","model":"a\"b"}"#.to_owned(),
        ),
    ];
    for (dialect, body, rewrite, expected) in rows {
        let request = asked(dialect, &body);
        let upstream = request.upstream_body(&rewrite);
        assert_eq!(String::from_utf8_lossy(&upstream), expected, "{body}");
        let again = asked(dialect, &expected);
        assert_eq!(again.upstream_body(&rewrite), upstream, "a second time changes nothing");
    }
}

#[test]
fn a_body_that_needs_no_change_is_not_copied() {
    let rows = [
        (Dialect::Chat, chat(r#","max_tokens":40"#)),
        (
            Dialect::Chat,
            chat(r#","max_tokens":40,"stream":true,"stream_options":{"include_usage":true}"#),
        ),
        (Dialect::Messages, chat(r#","max_tokens":40,"stream":true"#)),
        (Dialect::Raw, "x".to_owned()),
    ];
    for (dialect, body) in rows {
        let request = asked(dialect, &body);
        let rewrite = Rewrite {
            model: Some("m"),
            inject_usage: true,
            output_cap: Some(40),
            ..Rewrite::default()
        };
        assert_eq!(request.upstream_body(&rewrite).as_ptr(), request.body.as_ptr(), "{body}");
    }
}

proptest! {
    #[test]
    fn a_changed_body_is_sound_json_and_says_what_it_must(
        more in prop::collection::vec(prop::sample::select(vec![
            r#""stream":true"#, r#""stream_options":null"#, r#""stream_options":{ "a" : [ ] }"#,
            r#""stream_options":{"include_usage":null}"#, r#""max_tokens":5"#, r#""max_tokens":null"#,
            r#""max_completion_tokens":7000"#, r#""x":{"model":"y","stream":false}"#, r#""n": 2 "#,
        ]), 0..6),
        model: String,
        most in 1..10_000_u64,
    ) {
        let body = chat(&format!(" ,{}", more.join(" , "))).replace(" ,}", "}");
        let Ok(request) = read(Dialect::Chat, JSON, Bytes::from(body)) else { return Ok(()) };
        let rewrite = Rewrite { model: Some(&model), inject_usage: true, output_cap: Some(most), ..Rewrite::default() };
        let upstream = request.upstream_body(&rewrite);
        let document = Document::read(&upstream).expect("sound JSON");
        let name = document.get("model").and_then(|name| name.as_str());
        prop_assert_eq!(name.as_deref(), Some(model.as_str()));
        let cap = |name| document.get(name).and_then(|cap| cap.as_u64());
        let caps = [cap("max_tokens"), cap("max_completion_tokens")];
        prop_assert!(caps.iter().flatten().count() > 0 && caps.iter().flatten().all(|cap| *cap <= most));
        if request.ask.stream {
            let asks = document.get("stream_options").and_then(|options| options.get("include_usage"));
            prop_assert_eq!(asks.and_then(|asks| asks.as_bool()), Some(true));
        }
    }

    #[test]
    fn no_body_breaks_the_reader(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for dialect in [Dialect::Chat, Dialect::Json, Dialect::Responses] {
            let _ = read(dialect, JSON, Bytes::from(body.clone()));
        }
        let _ = read(Dialect::ImageEdits, Some("multipart/form-data; boundary=a"), Bytes::from(body));
    }
}
