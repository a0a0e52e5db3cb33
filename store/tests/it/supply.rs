//! What is remembered of providers, credentials, prices and aliases.

use std::convert::Infallible;

use domain::supply::{
    AliasRecord, CredentialRecord, Item, OnHangup, Place, ProviderKind, ProviderRecord, Stamp,
    Supply,
};
use domain::{CredentialId, Secret};
use store::{AuditQuery, By, NotChanged};

use crate::world::{NOON, directory, open, trail, wait};

fn provider(name: &str) -> Item {
    Item::Provider(ProviderRecord {
        name: name.to_owned(),
        kind: ProviderKind::Anthropic,
        base_url: "https://mine.example".to_owned(),
        models: Vec::new(),
        catalogue: "anthropic".to_owned(),
        free: false,
        on_hangup: OnHangup::Cancel,
        stream_options: true,
        stamp: Stamp::default(),
    })
}

fn credential() -> Item {
    Item::Credential(CredentialRecord {
        id: CredentialId::new(NOON, 1),
        provider: "mine".to_owned(),
        label: Some("first".to_owned()),
        hint: "...4567".to_owned(),
        disabled: false,
        sealed: b"sealed bytes".to_vec(),
        stamp: Stamp::default(),
    })
}

fn alias(model: &str) -> Item {
    let name = "fast".to_owned();
    Item::Alias(AliasRecord { name, model: model.to_owned(), stamp: Stamp::default() })
}

fn put(store: &store::Store, items: Vec<Item>) {
    let change = move |supply: &mut Supply| {
        for item in items {
            supply.put(item);
        }
        Ok::<_, Infallible>(())
    };
    wait(store.update_supply(change, operator())).unwrap();
}

#[test]
fn what_is_different_is_written_with_its_audit_row_and_nothing_else_is() {
    let dir = directory();
    let store = open(dir.path());
    put(&store, vec![provider("mine"), credential(), alias("mine/a")]);
    put(&store, vec![provider("mine"), alias("mine/b")]);
    let actions: Vec<_> = trail(&store).into_iter().map(|row| row.action).collect();
    assert_eq!(actions, ["alias.update", "alias.create", "credential.create", "provider.create"]);
    drop(store);
    let store = open(dir.path());
    let supply = wait(store.supply()).unwrap();
    let stamp = Stamp { created_at: NOON, updated_at: NOON, revision: 2 };
    let found = supply.get(&Place::Alias("fast".to_owned()));
    assert_eq!(found, Some(&alias("mine/b").stamped(stamp)));
    let first = Stamp { revision: 1, ..stamp };
    let id = CredentialId::new(NOON, 1);
    assert_eq!(supply.get(&Place::Credential(id)), Some(&credential().stamped(first)));
    let rows = trail(&store);
    assert!(rows.iter().all(|row| !format!("{row:?}").contains("sealed")), "{rows:?}");
    assert!(rows[0].before.as_deref().unwrap().contains("mine/a"));
}

#[test]
fn a_change_that_says_no_changes_nothing() {
    let dir = directory();
    let store = open(dir.path());
    let change = |supply: &mut Supply| {
        supply.put(provider("mine"));
        Err::<(), _>("no")
    };
    let no = wait(store.update_supply(change, operator())).unwrap_err();
    assert!(matches!(no, NotChanged::Refused("no")));
    assert_eq!(wait(store.supply()).unwrap(), Supply::default());
    assert!(trail(&store).is_empty());
}

#[test]
fn the_trail_is_searched_and_paged() {
    let dir = directory();
    let store = open(dir.path());
    put(&store, vec![provider("mine"), provider("other"), alias("mine/a")]);
    let found = |query: AuditQuery| {
        let query = AuditQuery { page_size: 10, ..query };
        let rows = wait(store.audit(query)).unwrap();
        rows.into_iter().map(|row| row.subject).collect::<Vec<_>>()
    };
    let text = |text: &str| Some(text.to_owned());
    let all = AuditQuery::default();
    assert_eq!(found(all.clone()), ["fast", "other", "mine"]);
    assert_eq!(found(AuditQuery { subject: text("mine"), ..all.clone() }), ["mine"]);
    assert_eq!(
        found(AuditQuery { action: text("provider.create"), ..all.clone() }),
        ["other", "mine"]
    );
    assert!(found(AuditQuery { actor: text("nobody"), ..all.clone() }).is_empty());
    assert!(found(AuditQuery { until: Some(NOON), ..all.clone() }).is_empty());
    assert_eq!(found(AuditQuery { from: Some(NOON), ..all.clone() }).len(), 3);
    let newest = trail(&store)[0].id;
    assert_eq!(found(AuditQuery { before: Some(newest), ..all }), ["other", "mine"]);
}

#[test]
fn a_credential_key_is_kept_once_and_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = directory();
    let store = open(dir.path());
    assert!(store.credential_key().unwrap().is_none());
    wait(store.keep_credential_key(Secret::new("one".to_owned()))).unwrap();
    assert!(wait(store.keep_credential_key(Secret::new("two".to_owned()))).is_err());
    assert_eq!(store.credential_key().unwrap().unwrap().expose(), "one");
    let mode = dir.path().join("credential.key").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

fn operator() -> By {
    By { actor: "operator".to_owned(), at: NOON, once: None }
}
