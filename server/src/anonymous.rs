//! The key that calls without a secret run under, where the operator allows them: one visible record
//! like any other, so that its usage is counted and its rules and limits can be set.

use std::sync::Arc;

use domain::command::{Actor, NewKey};
use domain::id::Ulid;
use domain::key::{Key, KeyKind, SecretRecord};
use domain::{KeyId, Rules, Secret, Timestamp};
use store::{Act, Fault, Store};

use crate::ids::Ids;

/// Its name, for people.
const NAME: &str = "anonymous";
/// Its id is the same everywhere, so that it is found without a secret.
const ID: KeyId = KeyId::from_ulid(Ulid::from_bits(1));

/// The record, made where it does not exist yet.
///
/// # Errors
/// The store cannot be used.
pub async fn key(store: &Store, ids: &Ids, now: Timestamp) -> Result<Arc<Key>, Fault> {
    if let Some(key) = store.key(ID).await? {
        return Ok(Arc::new(key));
    }
    // Nothing that can be sent in a header has this digest's text.
    let unsayable = Secret::new("\0anonymous".to_owned());
    let record =
        SecretRecord { digest: unsayable.digest(), mask: unsayable.mask(), created_at: now };
    let new = NewKey {
        kind: KeyKind::Regular,
        name: NAME.to_owned(),
        rules: Rules::default(),
        allowance: None,
        expires_at: None,
    };
    let key = new
        .make(Actor::Operator, ID, ids.limit(now), record, now)
        .expect("the operator may make a regular key without rules, limits or an end");
    let act = Act {
        at: now,
        actor: Actor::Operator.name(),
        action: "key.create",
        subject: ID.to_string(),
    };
    store.insert_key(key.clone(), act).await?;
    Ok(Arc::new(key))
}
