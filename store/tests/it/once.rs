//! Requests that may be sent again: what is known of one is its answer, or at least its act.

use domain::time::SECONDS_PER_DAY;
use store::{Act, Earlier, FirstAnswer, Tag};

use crate::world::*;

const ONE: Tag = [1; 32];
const OTHER: Tag = [2; 32];

fn answer(byte: u8) -> FirstAnswer {
    FirstAnswer { request: [byte; 32], sealed: vec![byte; 100] }
}

#[test]
fn an_act_is_known_before_its_answer_and_after_an_end() {
    let dir = directory();
    let store = open(dir.path());
    let since = NOON.plus_seconds(-SECONDS_PER_DAY);
    assert_eq!(wait(store.earlier(ONE, since)).unwrap(), Earlier::Nothing);
    let done = Act { once: Some(ONE), ..act("key.create") };
    wait(store.insert_key(key(1), done.clone())).unwrap();
    let known = Earlier::Done { action: "key.create".to_owned(), subject: "key".to_owned() };
    assert_eq!(wait(store.earlier(ONE, since)).unwrap(), known);
    assert_eq!(wait(store.earlier(OTHER, since)).unwrap(), Earlier::Nothing);
    drop(store);
    let store = open(dir.path());
    assert_eq!(wait(store.earlier(ONE, since)).unwrap(), known);
    // A day later nobody asks for it any more.
    assert_eq!(wait(store.earlier(ONE, NOON)).unwrap(), Earlier::Nothing);
    // What was not done, because it could not be, is not known as done.
    let twice = Act { once: Some(OTHER), ..act("key.create") };
    wait(store.insert_key(key(1), twice)).unwrap_err();
    assert_eq!(wait(store.earlier(OTHER, since)).unwrap(), Earlier::Nothing);
}

#[test]
fn answers_are_kept_until_they_are_too_old() {
    let dir = directory();
    let store = open(dir.path());
    let (early, late) = (NOON, NOON.plus_seconds(100));
    let keep = |once, at, byte, since| {
        wait(store.keep_answer(once, at, answer(byte), since)).unwrap();
    };
    let earlier = |once, since| wait(store.earlier(once, since)).unwrap();
    let before = NOON.plus_seconds(-1);
    keep(ONE, early, 1, before);
    assert_eq!(earlier(ONE, before), Earlier::Answered(answer(1)));
    assert_eq!(earlier(ONE, early), Earlier::Nothing);
    keep(OTHER, late, 2, before);
    assert_eq!(earlier(ONE, before), Earlier::Answered(answer(1)));
    keep(ONE, late, 3, before);
    assert_eq!(earlier(ONE, early), Earlier::Answered(answer(3)));
    keep([3; 32], late.plus_seconds(1), 4, late);
    for gone in [ONE, OTHER] {
        assert_eq!(earlier(gone, before), Earlier::Nothing);
    }
}
