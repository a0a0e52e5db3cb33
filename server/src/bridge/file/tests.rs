//! What the file may say, and what is a mistake.

use super::*;
use crate::bridge::writing::{Writing, WrittenLine};
use data_encoding::HEXLOWER;

#[test]
fn what_nobody_knows_stays_as_it_was() {
    let text = br#"{"zeta": 1e400x, "api_keys": []}"#;
    assert!(Document::read(text).is_err());
    let text = br#"{"zeta": 100000000000000000000.10, "password": "p", "api_keys": [{"key": "sk-1", "note": {"b":1,"a":2}}], "alpha": [ 1,2 ]}"#;
    let document = Document::read(text).unwrap();
    let line = WrittenLine {
        digest: document.lines[0].digest,
        name: "n".to_owned(),
        rpm: Some(60),
        created: 5,
    };
    let counts = BTreeMap::new();
    let new = Writing { lines: &[line], counts: &counts, password: None, revision: 3 };
    let written = document.write(&new);
    assert!(written.contains("\"zeta\": 100000000000000000000.10,"), "{written}");
    assert!(written.contains("\"note\": {\"b\":1,\"a\":2}"), "{written}");
    assert!(written.contains("[ 1,2 ]") && !written.contains("sk-1"), "{written}");
    let again = Document::read(written.as_bytes()).unwrap();
    assert_eq!(again.revision, Some(3));
    assert_eq!(again.lines[0].digest, document.lines[0].digest);
    assert_eq!(again.write(&new), written);
}

#[test]
fn a_mistake_has_its_place_and_shows_no_secret() {
    for (text, place) in [
        ("", "line 1, column 0"),
        ("{\n  \"api_keys\": [\n  }", "line 3, column 3"),
        ("[]", "line 1, column 0"),
        (r#"{"password": 5}"#, "password"),
        (r#"{"password": ""}"#, "password"),
        (r#"{"api_keys": {}}"#, "api_keys"),
        (r#"{"api_keys": [5]}"#, "api_keys[0]"),
        (r#"{"api_keys": ["ok", {"name": "x"}]}"#, "api_keys[1].key"),
        (r#"{"api_keys": [{"key": "a b"}]}"#, "api_keys[0].key"),
        (r#"{"api_keys": [{"key": "sk-secret", "rpm": "60"}]}"#, "api_keys[0].rpm"),
        (r#"{"api_keys": [{"key": "sk-secret", "rpm": -1}]}"#, "api_keys[0].rpm"),
        (r#"{"api_keys": [{"key": "sk-secret", "rpm": 1.5}]}"#, "api_keys[0].rpm"),
        (
            r#"{"api_keys": [{"key": "sk-secret", "created": 1717200000000}]}"#,
            "api_keys[0].created",
        ),
        (r#"{"api_keys": ["sha256:12"]}"#, "api_keys[0]"),
        (r#"{"api_keys": ["sk-secret", "sk-secret"]}"#, "api_keys[1]"),
        (r#"{"auth_tokens": "base64-x"}"#, "auth_tokens"),
        (r#"{"auth_tokens": ["base64-x", ""]}"#, "auth_tokens[1]"),
        (r#"{"cf_clearance": ["x"]}"#, "cf_clearance"),
        (r#"{"allow_unauthenticated": "yes"}"#, "allow_unauthenticated"),
        (r#"{"usage_stats": []}"#, "usage_stats"),
    ] {
        let found = Document::read(text.as_bytes()).err();
        let found = found.unwrap_or_else(|| panic!("{text} was read"));
        assert!(found.place.starts_with(place), "{text}: {found}");
        assert!(!found.to_string().contains("secret"), "{text}: {found}");
    }
}

#[test]
fn a_bare_text_and_a_digest_are_keys_too() {
    let digest = HEXLOWER.encode(Digest::of(b"lmb-yourKeyHere").bytes());
    let text = format!(r#"{{"api_keys": ["x", {{"key": "sha256:{digest}", "rpm": null}}]}}"#);
    let document = Document::read(text.as_bytes()).unwrap();
    assert_eq!(document.lines[0].digest, Digest::of(b"x"));
    assert_eq!(document.lines[0].rpm, Rpm::Absent);
    assert_eq!(document.lines[1].digest, Digest::of(b"lmb-yourKeyHere"));
    assert_eq!(document.lines[1].rpm, Rpm::Unlimited);
}
