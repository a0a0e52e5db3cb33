//! What is changed on the way to a provider, byte for byte, and that nothing else is.

use proptest::prelude::*;

use super::*;
use crate::wire::json::Document;
use crate::wire::read;

const JSON: Option<&str> = Some("application/json");

fn asked(dialect: Dialect, body: &str) -> Request {
    read(dialect, JSON, Bytes::copy_from_slice(body.as_bytes()))
        .unwrap_or_else(|refusal| panic!("{body}: {refusal:?}"))
}

/// A chat's body with more members.
fn chat(more: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{more}}}"#)
}

const MODEL: Rewrite<'_> = Rewrite {
    model: Some("a\"b"),
    inject_usage: false,
    output_cap: None,
    cap_name: None,
    pin_tier: false,
};
const USAGE: Rewrite<'_> =
    Rewrite { model: None, inject_usage: true, output_cap: None, cap_name: None, pin_tier: false };
const CAP: Rewrite<'_> = Rewrite {
    model: None,
    inject_usage: false,
    output_cap: Some(40),
    cap_name: None,
    pin_tier: false,
};
const NAMED: Rewrite<'_> = Rewrite {
    model: None,
    inject_usage: false,
    output_cap: Some(40),
    cap_name: Some("max_tokens"),
    pin_tier: false,
};

/// The members behind the input, what is to be changed, and the members afterwards.
#[rustfmt::skip]
const CHANGES: &[(Dialect, &str, Rewrite<'_>, &str)] = &[
    (Dialect::Chat, r#","stream" : true "#, USAGE, r#","stream" : true ,"stream_options":{"include_usage":true}"#),
    (Dialect::Chat, r#","stream":true,"stream_options":null"#, USAGE, r#","stream":true,"stream_options":{"include_usage":true}"#),
    (Dialect::Chat, r#","stream_options":{ },"stream":true"#, USAGE, r#","stream_options":{"include_usage":true },"stream":true"#),
    (Dialect::Chat, r#","stream":true,"stream_options":{"x":1}"#, USAGE, r#","stream":true,"stream_options":{"include_usage":true,"x":1}"#),
    (Dialect::Chat, r#","stream":true,"stream_options":{"include_usage":false}"#, USAGE, r#","stream":true,"stream_options":{"include_usage":true}"#),
    (Dialect::Chat, r#","stream":false"#, USAGE, r#","stream":false"#),
    (Dialect::Chat, "", CAP, r#","max_completion_tokens":40"#),
    (Dialect::Chat, "", NAMED, r#","max_tokens":40"#),
    (Dialect::Chat, r#","max_tokens":null"#, NAMED, r#","max_tokens":40"#),
    (Dialect::Chat, r#","max_tokens":50,"max_completion_tokens":30"#, CAP, r#","max_tokens":40,"max_completion_tokens":30"#),
    (Dialect::Chat, r#","max_completion_tokens":30"#, NAMED, r#","max_completion_tokens":30,"max_tokens":30"#),
    (Dialect::Chat, r#","max_completion_tokens":90"#, NAMED, r#","max_completion_tokens":40,"max_tokens":40"#),
    (Dialect::Completions, "", CAP, r#","max_tokens":40"#),
    (Dialect::Responses, r#","max_output_tokens":41"#, CAP, r#","max_output_tokens":40"#),
    (Dialect::Messages, r#","max_tokens":4096"#, CAP, r#","max_tokens":40"#),
    (Dialect::Messages, r#","max_tokens":39,"stream":true"#, USAGE, r#","max_tokens":39,"stream":true"#),
];

fn with(dialect: Dialect, more: &str) -> String {
    match dialect {
        Dialect::Completions => format!(r#"{{"model":"m","prompt":"hi"{more}}}"#),
        Dialect::Responses => format!(r#"{{"model":"m","input":"hi"{more}}}"#),
        _ => chat(more),
    }
}

#[test]
fn only_what_must_change_changes() {
    let rows = CHANGES.iter().map(|(dialect, before, rewrite, after)| {
        (*dialect, with(*dialect, before), *rewrite, with(*dialect, after))
    });
    let spaced = r#"{ "messages":[{"role":"user"}], "model" : "m" }"#;
    let odd = [
        (Dialect::Chat, spaced.to_owned(), MODEL, spaced.replace(r#""m""#, r#""a\"b""#)),
        (
            Dialect::Moderations,
            r#"{"input":"a"}"#.to_owned(),
            MODEL,
            r#"{"input":"a","model":"a\"b"}"#.to_owned(),
        ),
    ];
    for (dialect, body, rewrite, expected) in rows.chain(odd) {
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
}

#[test]
fn the_plain_tier_is_asked_for_where_nobody_asked_for_one() {
    const PINNED: Rewrite<'_> = Rewrite {
        model: None,
        inject_usage: false,
        output_cap: None,
        cap_name: None,
        pin_tier: true,
    };
    for (given, sent) in [
        (r#"{"model":"m","input":"x"}"#, r#"{"model":"m","input":"x","service_tier":"default"}"#),
        (
            r#"{"service_tier":null,"model":"m","input":"x"}"#,
            r#"{"service_tier":"default","model":"m","input":"x"}"#,
        ),
        (
            r#"{"model":"m","input":"x","service_tier":"default"}"#,
            r#"{"model":"m","input":"x","service_tier":"default"}"#,
        ),
    ] {
        let body = bytes::Bytes::from_static(given.as_bytes());
        let request = read(Dialect::Responses, Some("application/json"), body).unwrap();
        assert_eq!(request.upstream_body(&PINNED), sent);
    }
}
