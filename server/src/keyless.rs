//! The records of calls that come without a key's secret: anonymous ones, where the operator allows
//! them, and the operator's own. No secret opens either record.

use domain::command::{Actor, Home, LimitChange, NewKey};
use domain::id::{LimitId, Ulid};
use domain::key::{Key, KeyKind, SecretRecord};
use domain::{Digest, KeyId, Rules, Secret, Timestamp};
use std::collections::BTreeMap;
use store::{Act, Fault, Store};

/// Their ids are the same everywhere, so that they are found without a secret.
const ANONYMOUS: KeyId = KeyId::from_ulid(Ulid::from_bits(1));
const OPERATOR: KeyId = KeyId::from_ulid(Ulid::from_bits(2));

/// The key of anonymous calls: a visible record like any other, so that its usage is counted and its
/// rules and limits can be set. Made where it does not exist yet; found by the digest given back.
///
/// # Errors
/// The store cannot be used.
pub async fn anonymous(store: &Store, now: Timestamp) -> Result<Digest, Fault> {
    let digest = unsayable("anonymous").digest();
    if store.key(ANONYMOUS).await?.is_some() {
        return Ok(digest);
    }
    let key = record(ANONYMOUS, "anonymous", now);
    let act = Act {
        at: now,
        actor: Actor::Operator.name(),
        action: "key.create",
        subject: ANONYMOUS.to_string(),
        once: None,
    };
    store.insert_key(key, act).await?;
    Ok(digest)
}

/// The record of the operator's own calls. It is in no list: such calls call no model.
pub fn operator(now: Timestamp) -> Key {
    record(OPERATOR, "operator", now)
}

/// Whether the key with this id is opened by no secret that anybody could send.
pub fn is_keyless(id: KeyId) -> bool {
    [ANONYMOUS, OPERATOR].contains(&id)
}

fn record(id: KeyId, name: &str, now: Timestamp) -> Key {
    let secret = unsayable(name);
    let secret = SecretRecord::new(&secret, now);
    let new = NewKey {
        kind: KeyKind::Regular,
        name: name.to_owned(),
        home: Home::default(),
        rules: Rules::default(),
        limits: LimitChange::default(),
        expires_at: None,
        metadata: BTreeMap::new(),
    };
    new.make(Actor::Operator, id, LimitId::from_ulid(id.ulid()), secret, now)
        .expect("the operator may make a regular key without rules, limits or an end")
}

/// A secret that nobody can send: no HTTP header carries it.
fn unsayable(name: &str) -> Secret {
    Secret::new(format!("\0{name}"))
}
