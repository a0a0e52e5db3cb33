//! Every kind of body, good and bad, and what it is understood as or refused with.

use proptest::prelude::*;

use super::*;

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
        output_floor: 0,
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
        ("tools", &["[{\"name\":\"f\"},5]"], "tools[1]"),
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

/// Parts of a message, or items of a response's input: whether they are media, and whether they
/// are elsewhere.
#[rustfmt::skip]
const PARTS: &[(Dialect, &str, bool, bool)] = &[
    (Dialect::Chat, r#"{"type":"text","text":"a"}"#, false, false),
    (Dialect::Chat, r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,a"}}"#, true, false),
    (Dialect::Chat, r#"{"type":"image_url","image_url":{"url":"https://a/b","detail":"low"}}"#, false, true),
    (Dialect::Chat, r#"{"type":"input_audio","input_audio":{"data":"aa","format":"wav"}}"#, true, false),
    (Dialect::Chat, r#"{"type":"file","file":{"file_id":"file-1"}}"#, false, true),
    (Dialect::Chat, r#"{"type":"file","file":{"filename":"a","file_data":"data:a;base64,a"}}"#, true, false),
    (Dialect::Messages, r#"{"type":"image","source":{"type":"base64","data":"aa"}}"#, true, false),
    (Dialect::Messages, r#"{"type":"image","source":{"type":"url","url":"https://a"}}"#, false, true),
    (Dialect::Messages, r#"{"type":"document","source":{"type":"file","file_id":"f"}}"#, false, true),
    (Dialect::Messages, r#"{"type":"document","source":{"type":"text","data":"aa"}}"#, false, false),
    (Dialect::Messages, r#"{"type":"tool_result","content":[{"type":"image","source":{"type":"base64","data":"a"}}]}"#, true, false),
    (Dialect::Messages, r#"{"type":"tool_result","content":[{"type":"text","text":"data:","x":[{"url":"a"}]}]}"#, false, false),
    (Dialect::Messages, r#"{"type":"tool_result","content":[[{"type" : "text"}],{"url" : "a"}]}"#, false, true),
    (Dialect::Messages, r#"{"type":"never heard of","u\u0072l":"a"}"#, false, true),
    (Dialect::Messages, r#"{"type":"tool_use","input":{"url":"https://a","data":"x"}}"#, false, false),
    (Dialect::Responses, r#"{"role":"user","content":[{"type":"input_image","image_url":"data:a;base64,a"}]}"#, true, false),
    (Dialect::Responses, r#"{"role":"user","content":[{"type":"input_image","file_id":"f"}]}"#, false, true),
    (Dialect::Responses, r#"{"type":"item_reference","id":"msg_1"}"#, false, true),
    (Dialect::Responses, r#"{"type":"function_call_output","output":"https://a"}"#, false, false),
];

#[test]
fn what_bytes_do_not_bound_is_told() {
    for (dialect, part, media, elsewhere) in PARTS {
        let body = match dialect {
            Dialect::Responses => format!(r#"{{"model":"m","input":[{part}]}}"#),
            _ => with(*dialect, "").replace(
                r#""hi""#,
                &format!(r#"[{{"type":"text","text":"data: http://"}},{part}]"#),
            ),
        };
        let ask = asked(*dialect, &body).ask;
        assert_eq!((ask.media, ask.input_elsewhere), (*media, *elsewhere), "{body}");
    }
    for (more, elsewhere) in [
        (r#","previous_response_id":"resp_1""#, true),
        (r#","conversation":{"id":"conv_1"}"#, true),
        (r#","prompt":{"id":"pmpt_1"}"#, true),
        (r#","previous_response_id":null"#, false),
    ] {
        let ask = asked(Dialect::Responses, &with(Dialect::Responses, more)).ask;
        assert_eq!(ask.input_elsewhere, elsewhere, "{more}");
    }
    let spoken = chat("").replace(r#""hi""#, r#"null,"audio":{"id":"audio_1"}"#);
    assert!(asked(Dialect::Chat, &spoken).ask.input_elsewhere);
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

proptest! {
    #[test]
    fn no_body_breaks_the_reader(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for dialect in [Dialect::Chat, Dialect::Json, Dialect::Responses] {
            let _ = read(dialect, JSON, Bytes::from(body.clone()));
        }
        let _ = read(Dialect::ImageEdits, Some("multipart/form-data; boundary=a"), Bytes::from(body));
    }
}
