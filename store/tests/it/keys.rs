//! Records, lists, the audit trail, and the directory's promise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use domain::{Key, KeyKind, KeyState, ProjectId, SecretRecord, Status, Timestamp};
use store::{Fault, Found, KeyOrder, KeyQuery, NotChanged, Options, Store};

use crate::world::*;

type Never = std::convert::Infallible;

#[test]
fn reopening_keeps_everything() {
    let dir = directory();
    let store = open(dir.path());
    let mut wanted = key(1);
    wanted.limits = vec![limit(1, 5, domain::Window::Lifetime)];
    wanted.maker = Some(key_id(7));
    wait(store.insert_key(wanted.clone(), act("key.create"))).unwrap();
    wait(store.set_meta("master", "digest".to_owned())).unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(wait(store.key(wanted.id)).unwrap(), Some(wanted.clone()));
    assert_eq!(wait(store.look_up(digest(1))).unwrap().as_deref(), Some(&wanted));
    assert_eq!(wait(store.meta("master")).unwrap().as_deref(), Some("digest"));
    assert_eq!(wait(store.meta("other")).unwrap(), None);
    assert_eq!(trail(&store).len(), 1);
}

#[test]
fn a_digest_or_an_id_belongs_to_one_key() {
    let dir = directory();
    let store = open(dir.path());
    wait(store.insert_key(key(1), act("key.create"))).unwrap();
    let mut same_secret = key(2);
    same_secret.secrets = key(1).secrets;
    for second in [key(1), same_secret] {
        let fault = wait(store.insert_key(second, act("key.create"))).unwrap_err();
        assert!(matches!(fault, Fault::Taken), "{fault}");
    }
    // Neither a half of it nor an audit row is left behind.
    assert_eq!(wait(store.key(key_id(2))).unwrap(), None);
    assert_eq!(trail(&store).len(), 1);
}

#[test]
fn a_change_is_one_transaction_and_one_audit_row_without_digests() {
    let dir = directory();
    let store = open(dir.path());
    wait(store.insert_key(key(1), act("key.create"))).unwrap();
    let rename = |key: &mut domain::Key| {
        key.name = "renamed".to_owned();
        Ok::<_, &str>(())
    };
    let (before, after) =
        wait(store.update_key(key_id(1), Some(1), rename, act("key.update"))).unwrap();
    assert_eq!((before.revision, after.revision), (1, 2));
    assert_eq!((before.name.as_str(), after.name.as_str()), ("key 1", "renamed"));
    let stale = wait(store.update_key(key_id(1), Some(1), rename, act("key.update")));
    assert!(matches!(stale, Err(NotChanged::Fault(Fault::Stale { expected: 1, found: 2 }))));
    let no = |_: &mut domain::Key| Err("no");
    let refused = wait(store.update_key(key_id(1), None, no, act("key.update")));
    assert!(matches!(refused, Err(NotChanged::Refused("no"))));
    let unknown = wait(store.update_key(key_id(2), None, rename, act("key.update")));
    assert!(matches!(unknown, Err(NotChanged::Fault(Fault::NotFound))));
    let trail = crate::world::trail(&store);
    assert_eq!(trail.len(), 2);
    assert_eq!(trail[0].action, "key.update");
    let shown = format!("{trail:?}");
    assert!(shown.contains("renamed") && shown.contains("cdef") && !shown.contains("digest"));
}

#[test]
fn a_change_that_panics_changes_nothing_and_breaks_nothing() {
    let dir = directory();
    let store = open(dir.path());
    wait(store.insert_key(key(1), act("key.create"))).unwrap();
    let panics = |_: &mut domain::Key| -> Result<(), Never> { panic!("in a test") };
    assert!(wait(store.update_key(key_id(1), None, panics, act("key.update"))).is_err());
    assert_eq!(wait(store.key(key_id(1))).unwrap(), Some(key(1)));
    wait(store.insert_key(key(2), act("key.create"))).unwrap();
}

#[test]
fn what_was_nobodys_is_somebodys_once_it_is_inserted() {
    let dir = directory();
    let store = open(dir.path());
    assert!(matches!(store.find(&digest(1)), Found::Ask));
    assert!(wait(store.look_up(digest(1))).unwrap().is_none());
    assert!(matches!(store.find(&digest(1)), Found::Nobody));
    wait(store.insert_key(key(1), act("key.create"))).unwrap();
    assert!(matches!(store.find(&digest(1)), Found::Key(_)));
    assert!(wait(store.look_up(digest(2))).unwrap().is_none());
    wait(store.import_keys(vec![key(2), key(3)], act("key.import"))).unwrap();
    assert!(wait(store.look_up(digest(2))).unwrap().is_some());
}

#[test]
fn a_rotated_secret_opens_nothing_as_soon_as_the_change_is_answered() {
    let dir = directory();
    let store = open(dir.path());
    wait(store.insert_key(key(1), act("key.create"))).unwrap();
    let rotate = |key: &mut domain::Key| {
        let old = key.secrets.remove(0);
        key.secrets.push(SecretRecord { digest: digest(100), ..old });
        Ok::<_, Never>(())
    };
    wait(store.update_key(key_id(1), None, rotate, act("key.rotate"))).unwrap();
    assert!(!matches!(store.find(&digest(1)), Found::Key(_)));
    assert!(wait(store.look_up(digest(1))).unwrap().is_none());
    assert!(wait(store.look_up(digest(100))).unwrap().is_some());
}

/// Readers hammer a key whose cache is too small to keep it, while it is changed again and again:
/// nobody who asks after a change was answered sees what was before it.
#[test]
fn no_reader_brings_back_an_old_record() {
    const CHANGES: u64 = 150;
    let dir = directory();
    let options = Options { cached_keys: 1, ..Options::default() };
    let store = Arc::new(Store::open(dir.path(), options, NOON).unwrap());
    let keys = (1..=8).map(key).collect();
    wait(store.import_keys(keys, act("key.import"))).unwrap();
    let acknowledged = AtomicU64::new(1);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..3_u64 {
            let (store, acknowledged, done) = (&store, &acknowledged, &done);
            scope.spawn(move || {
                let mut number = reader;
                while !done.load(Ordering::Acquire) {
                    number += 1;
                    // The others push the key out of the cache.
                    wait(store.look_up(digest(2 + number % 7))).unwrap();
                    let least = acknowledged.load(Ordering::Acquire);
                    let found = match store.find(&digest(1)) {
                        Found::Key(key) => key,
                        Found::Nobody => panic!("the key is gone"),
                        Found::Ask => wait(store.look_up(digest(1))).unwrap().unwrap(),
                    };
                    assert!(found.revision >= least, "{} < {least}", found.revision);
                }
            });
        }
        for _ in 0..CHANGES {
            let change = |key: &mut domain::Key| {
                key.state = KeyState::Disabled { at: NOON };
                Ok::<_, Never>(())
            };
            let (_, after) =
                wait(store.update_key(key_id(1), None, change, act("key.disable"))).unwrap();
            acknowledged.store(after.revision, Ordering::Release);
        }
        done.store(true, Ordering::Release);
    });
}

#[test]
fn many_look_ups_of_one_digest_are_all_answered() {
    let dir = directory();
    let store = open(dir.path());
    wait(store.import_keys(vec![key(1), key(2)], act("key.import"))).unwrap();
    let all = async {
        let one = || store.look_up(digest(1));
        tokio::join!(one(), one(), one(), store.look_up(digest(9)), one())
    };
    let (a, b, c, nobody, d) = wait(all);
    for found in [a, b, c, d] {
        assert_eq!(found.unwrap().unwrap().id, key_id(1));
    }
    assert!(nobody.unwrap().is_none());
}

#[test]
fn lists_are_paged_newest_first_among_twenty_thousand() {
    let dir = directory();
    let store = open(dir.path());
    let keys = (0..20_000_u64).map(|number| {
        let mut key = key(number);
        key.maker = number.is_multiple_of(100).then(|| key_id(77_777));
        key.kind = KeyKind::Regular;
        match number % 10 {
            1 => key.state = KeyState::Disabled { at: NOON },
            2 => key.state = KeyState::Revoked { at: NOON },
            _ => {}
        }
        if number == 4_003 {
            "100%_\\".clone_into(&mut key.name);
        }
        key
    });
    wait(store.import_keys(keys.collect(), act("key.import"))).unwrap();
    let query = KeyQuery { page_size: 7, ..KeyQuery::default() };
    let count = |query: &KeyQuery| wait(store.count_keys(query.clone())).unwrap();
    assert_eq!(count(&query), 16_000);
    let everything = KeyQuery { include_disabled: true, include_revoked: true, ..query.clone() };
    assert_eq!(count(&everything), 20_000);
    assert_eq!(count(&KeyQuery { include_revoked: true, ..query.clone() }), 18_000);

    let mut seen = Vec::new();
    let mut page = KeyQuery { page_size: 999, ..query.clone() };
    loop {
        let keys = wait(store.keys(page.clone())).unwrap();
        let Some(last) = keys.last() else { break };
        page.after = Some(last.into());
        seen.extend(keys.into_iter().map(|key| key.id));
    }
    assert_eq!(seen.len(), 16_000);
    assert!(seen.is_sorted_by(|a, b| a > b));

    let made = KeyQuery { maker: Some(key_id(77_777)), ..query.clone() };
    assert_eq!(count(&made), 200);
    let first = wait(store.keys(made.clone())).unwrap();
    assert_eq!(first.iter().map(|key| key.id).next(), Some(key_id(19_900)));
    let second = wait(store.keys(KeyQuery { offset: 7, ..made })).unwrap();
    assert_eq!(second[0].id, key_id(19_200));

    for (text, names) in [("100%", 1), ("%_\\", 1), ("KEY 1999", 9), ("_", 1), ("none", 0)] {
        let named = KeyQuery { name_contains: Some(text.to_owned()), ..query.clone() };
        assert_eq!(count(&named), names, "{text}");
    }
}

/// Lists that fetch what is asked for and sort it, and lists that walk an index: both say what a look
/// at all keys says.
#[test]
#[expect(clippy::too_many_lines, reason = "one table of questions, one model to answer them")]
fn every_list_in_every_order_is_what_a_look_at_all_keys_gives() {
    let dir = directory();
    let store = open(dir.path());
    let make = |number: u64| {
        let mut key = key(number);
        key.maker = Some(key_id(if number.is_multiple_of(5) { 99_002 + number } else { 99_001 }));
        key.kind = if number.is_multiple_of(50) { KeyKind::Management } else { KeyKind::Regular };
        // Many share a name and an end.
        key.name = format!("name {}", number * 7_919 % 1_000);
        let end = i64::try_from(number * 31 % 500).unwrap();
        key.expires_at = (!number.is_multiple_of(4)).then(|| NOON.plus_seconds(end));
        match number % 10 {
            1 => key.state = KeyState::Disabled { at: NOON },
            2 => key.state = KeyState::Revoked { at: NOON },
            _ => {}
        }
        key
    };
    let keys: Vec<_> = (0..14_000).map(make).collect();
    wait(store.import_keys(keys.clone(), act("key.import"))).unwrap();
    let at = NOON.plus_seconds(250);
    let any = KeyQuery { page_size: 70, include_disabled: true, ..KeyQuery::default() };
    let named = |text: &str| KeyQuery { name_contains: Some(text.to_owned()), ..any.clone() };
    let maker = |number| KeyQuery { maker: Some(key_id(number)), ..any.clone() };
    let kind = |kind| KeyQuery { kind: Some(kind), ..any.clone() };
    let status = |status| KeyQuery { status: Some((status, at)), ..any.clone() };
    let queries = [
        any.clone(),
        KeyQuery { include_revoked: true, include_disabled: false, ..any.clone() },
        named("name 77"),
        named("NAME"),
        named("7"),
        named("nobody"),
        maker(99_001),
        maker(99_007),
        KeyQuery { maker: Some(key_id(99_001)), ..named("ame 1") },
        KeyQuery { project: Some(ProjectId::DEFAULT), ..kind(KeyKind::Regular) },
        kind(KeyKind::Management),
        status(Status::Active),
        status(Status::Expired),
        status(Status::Disabled),
        status(Status::Revoked),
        KeyQuery { kind: Some(KeyKind::Management), ..status(Status::Expired) },
    ];
    for query in queries {
        let wanted = |key: &&Key| {
            let state = match query.status {
                Some((status, at)) => key.status(at) == status,
                None => match key.state {
                    KeyState::Active => true,
                    KeyState::Disabled { .. } => query.include_disabled,
                    KeyState::Revoked { .. } => query.include_revoked,
                },
            };
            let name = query.name_contains.as_deref().unwrap_or_default().to_lowercase();
            state
                && key.name.contains(&name)
                && query.maker.is_none_or(|maker| key.maker == Some(maker))
                && query.kind.is_none_or(|kind| key.kind == kind)
        };
        let mut expected: Vec<_> = keys.iter().filter(wanted).collect();
        assert_eq!(wait(store.count_keys(query.clone())).unwrap(), expected.len() as u64);
        for order in [KeyOrder::Made, KeyOrder::Name, KeyOrder::End] {
            let end = |key: &Key| key.expires_at.map_or(i64::MAX, Timestamp::micros);
            match order {
                KeyOrder::Made => expected.sort_by_key(|key| key.id),
                KeyOrder::Name => expected.sort_by_key(|key| (key.name.clone(), key.id)),
                KeyOrder::End => expected.sort_by_key(|key| (end(key), key.id)),
            }
            for ascending in [true, false] {
                let mut page = KeyQuery { order, ascending, ..query.clone() };
                let mut found = Vec::new();
                for _ in 0..4 {
                    let keys = wait(store.keys(page.clone())).unwrap();
                    let Some(last) = keys.last() else { break };
                    page.after = Some(last.into());
                    found.extend(keys.into_iter().map(|key| key.id));
                }
                let expected = expected.iter().map(|key| key.id);
                let expected: Vec<_> =
                    if ascending { expected.collect() } else { expected.rev().collect() };
                assert_eq!(found.len(), expected.len().min(4 * 70), "{page:?}");
                assert!(expected.starts_with(&found), "{page:?}");
            }
        }
    }
}
