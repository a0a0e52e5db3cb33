//! What is done to keys when somebody edited the operator's file by hand: the same commands as on
//! every surface, written down as done by the file.

use domain::command::{
    Actor, Home, KeyChange, LimitChange, NewKey, Slot, SlotChange, revoke, unlist,
};
use domain::key::{Key, KeyKind, KeyState, SecretRecord};
use domain::{KeyId, Refusal, Rules, Timestamp};
use std::collections::BTreeMap;
use store::{Act, NotChanged};

use super::file::{Document, Line, Mistake};
use super::merge::Edit;
use super::{Bridge, NotSame};

/// In the audit trail, whoever edits the file.
const BY_HAND: &str = "config.json";
impl Bridge {
    /// Does to the keys what was done to the file.
    pub(super) async fn apply(&self, edit: Edit, document: &Document) -> Result<(), NotSame> {
        let now = self.clock.now();
        match edit {
            Edit::Added { at } => match document.lines.get(at) {
                Some(line) => self.add(line, at, now).await,
                None => Ok(()),
            },
            Edit::Changed { key, name, rpm } => {
                let change = KeyChange {
                    name,
                    limits: rpm.map(per_minute).unwrap_or_default(),
                    ..KeyChange::default()
                };
                let limit = self.ids.limit(now);
                let apply = move |key: &mut Key| change.apply(key, limit, now);
                self.change(key, apply, act("key.update", key, now)).await
            }
            Edit::Removed { key, digest } => {
                let apply = move |key: &mut Key| {
                    unlist(key, digest, now);
                    Ok(())
                };
                self.change(key, apply, act("key.revoke", key, now)).await
            }
        }
    }

    /// A line that was written by hand: a new key, or one there is that has a line from now on.
    async fn add(&self, line: &Line, at: usize, now: Timestamp) -> Result<(), NotSame> {
        let digest = line.digest;
        if let Some(key) = self.store.look_up(digest).await? {
            let is_over = |secret: &SecretRecord| secret.digest == digest && !secret.is_live(now);
            if key.secrets.iter().any(is_over) {
                // It was rotated: its line says nothing about the key any more, and leaves the file.
                return Ok(());
            }
            let is_revoked = matches!(key.state, KeyState::Revoked { .. });
            if is_revoked && !key.listed {
                let key = key.id;
                tracing::warn!(%key, place = at, "a line of the file has a secret that was revoked for good: it is taken out");
                return Ok(());
            }
            if !is_revoked {
                return self.adopt(&key, line, now).await;
            }
            // Its line was taken out by hand, and is there again: another key has the secret now.
            let apply = move |key: &mut Key| {
                key.secrets.retain(|secret| secret.digest != digest);
                Ok(())
            };
            self.change(key.id, apply, act("key.update", key.id, now)).await?;
        }
        let created = line.created.map_or(now, |seconds| Timestamp::from_seconds(seconds).min(now));
        let new = NewKey {
            kind: KeyKind::Regular,
            name: line.name.clone().unwrap_or_else(|| format!("key {}", at.saturating_add(1))),
            home: Home::default(),
            rules: Rules::default(),
            limits: line.rpm.for_new().map(Some).map(per_minute).unwrap_or_default(),
            expires_at: None,
            metadata: BTreeMap::new(),
        };
        let record =
            SecretRecord { digest, mask: line.mask.clone(), created_at: created, ends_at: None };
        let (id, limit) = (self.ids.key(now), self.ids.limit(now));
        let mut key = match new.make(Actor::Operator, id, limit, record, now) {
            Ok(key) => key,
            Err(no) => return Err(refused(&no, at)),
        };
        key.created_at = created;
        key.listed = true;
        Ok(self.store.insert_key(key, act("key.create", id, now)).await?)
    }

    async fn adopt(&self, key: &Key, line: &Line, now: Timestamp) -> Result<(), NotSame> {
        let change = KeyChange {
            name: line.name.clone(),
            limits: line.rpm.said().map(per_minute).unwrap_or_default(),
            ..KeyChange::default()
        };
        let limit = self.ids.limit(now);
        let apply = move |key: &mut Key| {
            change.apply(key, limit, now)?;
            key.listed = true;
            Ok(())
        };
        self.change(key.id, apply, act("key.update", key.id, now)).await
    }

    async fn change(
        &self,
        id: KeyId,
        apply: impl FnOnce(&mut Key) -> Result<(), Refusal> + Send + 'static,
        act: Act,
    ) -> Result<(), NotSame> {
        match self.store.update_key(id, None, apply, act).await {
            // Somebody ended it meanwhile: the next look at both sides finds out.
            Ok(_) | Err(NotChanged::Fault(store::Fault::NotFound) | NotChanged::Refused(_)) => {
                Ok(())
            }
            Err(NotChanged::Fault(fault)) => Err(fault.into()),
        }
    }

    /// Gives up a key whose line could not be written.
    pub async fn give_up(&self, id: KeyId, now: Timestamp) -> Result<(), NotSame> {
        let apply = move |key: &mut Key| {
            revoke(key, now);
            Ok(())
        };
        self.change(id, apply, act("key.revoke", id, now)).await
    }
}

fn refused(no: &Refusal, at: usize) -> NotSame {
    NotSame::Mistake(Mistake { place: format!("api_keys[{at}]"), why: no.message.clone() })
}

/// So many requests per minute, or as many as there are.
pub fn per_minute(rpm: Option<i64>) -> LimitChange {
    let change = SlotChange { slot: Slot::RequestsPerMinute, amount: Some(rpm), window: None };
    LimitChange { all: None, slots: vec![change] }
}

fn act(action: &'static str, key: KeyId, at: Timestamp) -> Act {
    Act { at, actor: BY_HAND.to_owned(), action, subject: key.to_string(), once: None }
}
