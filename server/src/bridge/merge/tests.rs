//! Edits by hand and commands, in every order that matters.

use domain::command::{Actor, Home, NewKey};
use domain::{KeyKind, LimitId, Rules, Secret, SecretRecord, Timestamp};
use std::collections::BTreeMap;

use super::*;
use crate::bridge::per_minute;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

fn key(name: &str, rpm: i64) -> Key {
    let secret = Secret::new(format!("sk-{name}"));
    let record = SecretRecord::new(&secret, NOW);
    let new = NewKey {
        kind: KeyKind::Regular,
        name: name.to_owned(),
        home: Home::default(),
        rules: Rules::default(),
        limits: per_minute(Some(rpm)),
        expires_at: None,
        metadata: BTreeMap::new(),
    };
    let random = name.bytes().fold(7, |sum, byte| sum * 31 + u128::from(byte));
    let (id, limit) = (KeyId::new(NOW, random), LimitId::new(NOW, random));
    let mut key = new.make(Actor::Operator, id, limit, record, NOW).unwrap();
    key.listed = true;
    key
}

/// A file made from writing `revision`, with these names and rates.
fn file(revision: u64, lines: &[(&str, i64)]) -> Document {
    let lines: Vec<_> = lines
        .iter()
        .map(|(name, rpm)| {
            format!(r#"{{"name":"{name}","key":"sk-{name}","rpm":{rpm},"created":1700000000}}"#)
        })
        .collect();
    let text = format!(r#"{{"weir_revision":{revision},"api_keys":[{}]}}"#, lines.join(","));
    Document::read(text.as_bytes()).unwrap()
}

fn names(outcome: &Outcome) -> Vec<(&str, Option<i64>)> {
    outcome.lines.iter().map(|line| (line.name.as_str(), line.rpm)).collect()
}

/// What both sides agreed on after `keys` were written.
fn agreed(keys: &[Key]) -> Base {
    let outcome = Base::default().outcome(&Document::default(), keys);
    assert_eq!(outcome.base.revision, 1);
    outcome.base
}

#[test]
fn what_nobody_touched_is_no_edit_and_is_not_written() {
    let keys = [key("a", 1), key("b", 2)];
    let base = agreed(&keys);
    let document = file(1, &[("a", 1), ("b", 2)]);
    assert_eq!(base.edits(&document, &keys), []);
    let outcome = base.outcome(&document, &keys);
    assert!(outcome.is_written);
    assert_eq!(outcome.base, base);
}

#[test]
fn an_edit_is_what_is_different_from_the_writing_it_was_made_from() {
    let keys = [key("a", 1), key("b", 2)];
    let base = agreed(&keys);
    let document = file(1, &[("a", 9), ("c", 3)]);
    assert_eq!(
        base.edits(&document, &keys),
        [
            Edit::Changed { key: keys[0].id, name: None, rpm: Some(Some(9)) },
            Edit::Added { at: 1 },
            Edit::Removed { key: keys[1].id, digest: keys[1].secrets[0].digest },
        ]
    );
}

#[test]
fn an_old_text_neither_removes_nor_changes_what_it_had_not_seen() {
    let base = agreed(&[key("a", 1)]);
    // Commands: a has another rate, b is new. Both are written.
    let keys = [key("a", 5), key("b", 2)];
    let outcome = base.outcome(&file(1, &[("a", 1)]), &keys);
    assert!(!outcome.is_written);
    assert_eq!((outcome.base.revision, names(&outcome)), (2, vec![("a", Some(5)), ("b", Some(2))]));
    // The old text comes back, with a line of its own.
    let old = file(1, &[("a", 1), ("c", 3)]);
    assert_eq!(outcome.base.edits(&old, &keys), [Edit::Added { at: 1 }]);
    // Made from the new writing, the same text is another edit.
    let new = file(2, &[("a", 1), ("c", 3)]);
    let edits = outcome.base.edits(&new, &keys);
    assert_eq!(edits.len(), 3, "{edits:?}");
}

#[test]
fn a_line_that_a_command_ended_does_not_come_back_with_an_old_text() {
    let base = agreed(&[key("a", 1), key("b", 2)]);
    let keys = [key("a", 1)];
    let ended = base.outcome(&file(1, &[("a", 1), ("b", 2)]), &keys).base;
    assert_eq!(ended.edits(&file(1, &[("a", 1), ("b", 2)]), &keys), []);
    // Whoever had seen it gone, and wrote it again, meant it.
    assert_eq!(ended.edits(&file(2, &[("a", 1), ("b", 2)]), &keys), [Edit::Added { at: 1 }]);
}

#[test]
fn the_hand_goes_first_where_both_changed_the_same() {
    let base = agreed(&[key("a", 1)]);
    let keys = [key("a", 5)];
    let edits = base.edits(&file(1, &[("a", 7)]), &keys);
    assert_eq!(edits, [Edit::Changed { key: keys[0].id, name: None, rpm: Some(Some(7)) }]);
}

#[test]
fn an_edit_of_an_edit_is_an_edit_although_nothing_was_written_between() {
    let base = agreed(&[key("a", 1)]);
    // Added by hand and taken; the file says everything, so it is not written.
    let keys = [key("a", 1), key("b", 2)];
    let outcome = base.outcome(&file(1, &[("a", 1), ("b", 2)]), &keys);
    assert!(outcome.is_written);
    let edits = outcome.base.edits(&file(1, &[("a", 1)]), &keys);
    let (key, digest) = (keys[1].id, keys[1].secrets[0].digest);
    assert_eq!(edits, [Edit::Removed { key, digest }]);
}
