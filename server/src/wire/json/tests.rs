//! The scanner against tables of what is and is not JSON, and against `serde_json`.

use domain::refusal::Code;
use proptest::prelude::*;

use super::scan::DEPTH_MAX;
use super::{Document, Kind, Value, quoted};

fn refused(body: impl AsRef<[u8]>) -> (Code, Option<String>) {
    match Document::read(body.as_ref()) {
        Ok(_) => panic!("was read: {}", String::from_utf8_lossy(body.as_ref())),
        Err(refusal) => (refusal.code, refusal.param),
    }
}

#[test]
fn what_is_not_one_document_of_text_is_refused() {
    let bodies: &[&[u8]] = &[
        b"",
        b" ",
        b"{",
        b"[",
        b"\"",
        b"{\"a\":1,}",
        b"[1,]",
        b"[,1]",
        b"{,}",
        b"{} {}",
        b"1 2",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{a:1}",
        b"{'a':1}",
        b"nul",
        b"True",
        b"// c\n1",
        b"[1 2]",
        b"\xef\xbb\xbf{}",
        b"{\0}",
        b"\"\x01\"",
        b"\"\n\"",
        b"\"\xff\"",
        b"\"\xc0\xaf\"",
        b"\"\xed\xa0\x80\"",
        b"\"\\ud800\"",
        b"\"\\udc00\"",
        b"\"\\ud800\\u0041\"",
        b"\"\\ud800x\"",
        b"\"\\ude00\\ud800\"",
        b"\"\\udc00\\udc00\"",
        b"\"\\x41\"",
        b"\"\\u12g4\"",
        b"\"\\u12",
        b"01",
        b"-",
        b"+1",
        b".5",
        b"1.",
        b"1e",
        b"1e+",
        b"-01",
        b"0x1",
        b"1_000",
        b"{\0\"\0a\0\"\0}\0",
        b"]",
        b"}",
        b"[}",
    ];
    for body in bodies {
        assert_eq!(refused(body).0, Code::InvalidJson, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn numbers_that_no_double_holds_are_refused_with_their_path() {
    let huge = format!("[{}]", "9".repeat(400));
    let rows: &[(&str, Option<&str>)] = &[
        ("NaN", None),
        ("[Infinity]", Some("[0]")),
        (r#"{"a":{"b":[1,-Infinity]}}"#, Some("a.b[1]")),
        (r#"{"temperature":1e400}"#, Some("temperature")),
        (r#"{"temperature":-1E+400}"#, Some("temperature")),
        (&huge, Some("[0]")),
    ];
    for (body, path) in rows {
        assert_eq!(refused(body), (Code::InvalidValue, path.map(str::to_owned)), "{body}");
    }
    assert!(Document::read(b"[1e-400, 1e308, 0.1]").is_ok());
}

#[test]
fn a_name_used_twice_is_refused_at_any_depth_however_it_is_written() {
    let rows = [
        (r#"{"model":1,"model":1}"#, "model"),
        (r#"{"model":1,"mod\u0065l":1}"#, "model"),
        (r#"{"mod\u0065l":1,"\u006dodel":1}"#, "model"),
        (r#"{"a":[{},{"b":{"\ud83d\ude00":1,"😀":2}}]}"#, "a[1].b.😀"),
        (r#"{"":1,"":2}"#, ""),
    ];
    for (body, path) in rows {
        assert_eq!(refused(body), (Code::DuplicateJsonKey, Some(path.to_owned())), "{body}");
    }
    assert!(Document::read(br#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}"#).is_ok());
    assert!(Document::read(br#"{"a":1,"A":1,"a ":1}"#).is_ok());
}

#[test]
fn a_hundred_thousand_members_are_no_trouble() {
    let mut body = String::from("{");
    for member in 0..100_000 {
        body.extend(["\"m", &member.to_string(), "\":{\"x\":1},"]);
    }
    let fine = format!("{body}\"last\":1}}");
    assert_eq!(Document::read(fine.as_bytes()).expect("read").members.len(), 100_001);
    let twice = format!("{body}\"m4\\u0032\":1}}");
    assert_eq!(refused(twice), (Code::DuplicateJsonKey, Some("m42".to_owned())));
}

#[test]
fn nesting_ends_at_its_limit() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Document::read(nested(DEPTH_MAX).as_bytes()).is_ok());
    assert_eq!(refused(nested(DEPTH_MAX + 1)).0, Code::InvalidJson);
    assert_eq!(refused("[".repeat(1_000_000)).0, Code::InvalidJson);
}

#[test]
fn a_path_repeats_little_of_what_the_caller_wrote() {
    let name = "n\\n".repeat(500);
    let (_, path) = refused(format!("{{\"{name}\":{{\"a\":1,\"a\":2}}}}"));
    let path = path.expect("a path");
    assert!(path.len() <= 64 && path.starts_with("n?n?"), "{path}");
}

#[test]
fn only_what_is_written_as_an_integer_is_one() {
    let body = br#"[0, 5, 18446744073709551615, 18446744073709551616, -1, 1.0, 1e3, "5", -0]"#;
    let document = Document::read(body).expect("read");
    let numbers: Vec<_> = document.root.items().map(|item| item.as_u64()).collect();
    let most = Some(u64::MAX);
    assert_eq!(numbers, [Some(0), Some(5), most, None, None, None, None, None, None]);
}

#[test]
fn a_providers_answer_may_hold_what_a_request_may_not() {
    let answer = b"{\"text\":\"half \\ud83d and \xff\",\"a\":1,\"a\":2}";
    let document = Document::read_answer(answer).expect("grammar only");
    let text = document.get("text").and_then(|text| text.as_str());
    assert_eq!(text.as_deref(), Some("half \u{fffd} and \u{fffd}"));
    assert_eq!(document.get("a").and_then(|value| value.as_u64()), Some(2));
}

/// Compares a view with what `serde_json` made of the same bytes.
fn same(view: Value<'_>, value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => view.kind() == Kind::Null,
        serde_json::Value::Bool(truth) => view.as_bool() == Some(*truth),
        // `serde_json` is content with the last digit but one.
        serde_json::Value::Number(number) => {
            view.as_f64().zip(number.as_f64()).is_some_and(|(ours, theirs)| {
                (ours - theirs).abs() <= ours.abs() * 1e-14 + f64::MIN_POSITIVE
            })
        }
        serde_json::Value::String(text) => view.as_str().as_deref() == Some(text),
        serde_json::Value::Array(items) => {
            view.items().count() == items.len()
                && view.items().zip(items).all(|(view, item)| same(view, item))
        }
        serde_json::Value::Object(members) => {
            view.members().count() == members.len()
                && members
                    .iter()
                    .all(|(name, value)| view.get(name).is_some_and(|member| same(member, value)))
        }
    }
}

fn any_value() -> impl Strategy<Value = serde_json::Value> {
    let text = prop_oneof![any::<String>(), "[a-z\"\\\\\n\u{1}é😀]{0,80}"];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        text.clone().prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 64, 24, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..24).prop_map(Into::into),
            prop::collection::hash_map(text.clone(), inner, 0..24)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_serde_writes_is_read_the_same(value in any_value(), pretty: bool) {
        let body = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
        let body = body.expect("a value can be written");
        let document = Document::read(&body).expect("a document");
        prop_assert!(same(document.root, &value));
        for member in &document.members {
            prop_assert_eq!(&body[member.value.span()], member.value.bytes());
        }
    }

    #[test]
    fn both_agree_on_damaged_documents(
        value in any_value(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        let mut body = serde_json::to_vec(&value).expect("a value can be written");
        for (place, byte, how) in cuts {
            let at = place.index(body.len());
            match how {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ if body.len() > 1 => { body.remove(at); }
                _ => {}
            }
        }
        agree(&body)?;
    }

    #[test]
    fn both_agree_on_soup(body in r#"[\[\]{}:,"\\ue0-9.+\-ntrfalsud8cE \n]{0,24}"#) {
        agree(body.as_bytes())?;
    }

    #[test]
    fn what_is_quoted_is_read_back(text: String) {
        let body = quoted(&text);
        let document = Document::read(body.as_bytes()).expect("a string");
        let read = document.root.as_str();
        prop_assert_eq!(read.as_deref(), Some(text.as_str()));
    }
}

/// `serde_json` keeps the last of two equal names, where we refuse; on all else both must agree.
fn agree(body: &[u8]) -> Result<(), TestCaseError> {
    let theirs = serde_json::from_slice::<serde_json::Value>(body);
    match (Document::read(body), theirs) {
        (Ok(document), Ok(value)) => prop_assert!(same(document.root, &value)),
        (Err(refusal), Ok(_)) => prop_assert_eq!(refusal.code, Code::DuplicateJsonKey),
        (Ok(_), Err(error)) => prop_assert!(false, "only they refuse: {error}"),
        (Err(_), Err(_)) => {}
    }
    Ok(())
}
