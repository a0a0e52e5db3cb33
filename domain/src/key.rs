//! The key: the record behind the secrets a client may send. What it may use stands in its rules,
//! how much in its limits; whether it is alive is a question about a moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{KeyId, ProjectId, TeamId, UserId};
use crate::limit::Limit;
use crate::refusal::{Code, Refusal};
use crate::rule::Rules;
use crate::secret::{Digest, Mask, Secret};
use crate::time::Timestamp;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// Calls models; manages nothing.
    Regular,
    /// Makes and manages regular keys; calls no model.
    Management,
}

impl KeyKind {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Regular => "regular",
            Self::Management => "management",
        }
    }
}

/// A key's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Never changes.
    pub id: KeyId,
    /// What it is for.
    pub kind: KeyKind,
    /// A label for people.
    pub name: String,
    /// The management key that made it; `None` when the operator did.
    pub maker: Option<KeyId>,
    /// The project it belongs to.
    pub project: ProjectId,
    /// Whose it is, where it belongs to a person.
    pub user: Option<UserId>,
    /// Its team, where it belongs to one and to no person; a user's key has the user's team.
    pub team: Option<TeamId>,
    /// The secrets that open it.
    pub secrets: Vec<SecretRecord>,
    /// Whether the operator's file of keys has a line for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub listed: bool,
    /// What whoever made it wants to know of it: names and texts, nothing here reads them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// What it may use.
    pub rules: Rules,
    /// How much it may spend.
    pub limits: Vec<Limit>,
    /// What an administrator made of it.
    pub state: KeyState,
    /// From this moment on it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Grows by one with every change.
    pub revision: u64,
}

/// One of a key's secrets, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRecord {
    /// SHA-256 of the secret.
    pub digest: Digest,
    /// What a list shows of it.
    pub mask: Mask,
    /// When it was made.
    pub created_at: Timestamp,
    /// From this moment on it opens nothing: another took its place.
    pub ends_at: Option<Timestamp>,
}

impl SecretRecord {
    /// What is kept of a secret that has no end yet.
    pub fn new(secret: &Secret, now: Timestamp) -> Self {
        Self { digest: secret.digest(), mask: secret.mask(), created_at: now, ends_at: None }
    }

    /// What is kept of a secret that nobody here has seen.
    pub fn unseen(digest: Digest, now: Timestamp) -> Self {
        Self { digest, mask: Mask::of_nothing_known(), created_at: now, ends_at: None }
    }

    /// Whether it still opens its key at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ends_at.is_none_or(|end| now < end)
    }
}

/// What an administrator made of a key. Expiry is not a state: it is a fact of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum KeyState {
    /// Nothing stands against it.
    Active,
    /// Switched off, and can be switched on again.
    Disabled {
        /// Since when.
        at: Timestamp,
    },
    /// Gone for good.
    Revoked {
        /// Since when.
        at: Timestamp,
    },
}

/// What a key is at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It works.
    Active,
    /// It is switched off.
    Disabled,
    /// Its time is over.
    Expired,
    /// It is gone for good.
    Revoked,
}

impl Status {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl Key {
    /// What the key is at `now`. What an administrator did speaks before time does.
    pub fn status(&self, now: Timestamp) -> Status {
        match self.state {
            KeyState::Revoked { .. } => Status::Revoked,
            KeyState::Disabled { .. } => Status::Disabled,
            KeyState::Active if self.expires_at.is_some_and(|end| now >= end) => Status::Expired,
            KeyState::Active => Status::Active,
        }
    }

    /// The secrets that open it at `now`, as far as it is alive; the newest last.
    pub fn live_secrets(&self, now: Timestamp) -> impl Iterator<Item = &SecretRecord> {
        self.secrets.iter().filter(move |secret| secret.is_live(now))
    }

    /// Whether the secret with this digest still opens it at `now`.
    ///
    /// # Errors
    /// Another took its place.
    pub fn open(&self, digest: &Digest, now: Timestamp) -> Result<(), Refusal> {
        if self.live_secrets(now).any(|secret| secret.digest == *digest) {
            return Ok(());
        }
        Err(Refusal::new(
            Code::KeyRevoked,
            "Incorrect API key provided: this secret was rotated, and another has taken its place. Whoever administers the key can give you that one.",
        ))
    }

    /// Whether the key is alive at `now`, on a route for keys of `kind`.
    ///
    /// # Errors
    /// It is not alive, or not of that kind.
    pub fn identify(&self, kind: KeyKind, now: Timestamp) -> Result<(), Refusal> {
        let no = |code, message| Err(Refusal::new(code, message));
        match (self.status(now), self.kind == kind) {
            (Status::Active, true) => Ok(()),
            (Status::Active, false) => no(
                Code::WrongKeyType,
                match self.kind {
                    KeyKind::Management => {
                        "A management key manages keys and calls no model. Use a regular key here."
                    }
                    KeyKind::Regular => {
                        "A regular key manages nothing. Use a management key or the master key here."
                    }
                },
            ),
            (Status::Disabled, _) => no(
                Code::KeyDisabled,
                "Incorrect API key provided: this key is disabled. Whoever administers it can enable it again.",
            ),
            (Status::Expired, _) => no(
                Code::KeyExpired,
                "Incorrect API key provided: this key has expired. Whoever administers it can give you another.",
            ),
            (Status::Revoked, _) => no(
                Code::KeyRevoked,
                "Incorrect API key provided: this key has been revoked for good. Whoever administers it can give you another.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(state: KeyState, expires_at: Option<i64>) -> Key {
        Key {
            id: KeyId::new(Timestamp::from_seconds(0), 1),
            kind: KeyKind::Regular,
            name: "test".to_owned(),
            maker: None,
            project: ProjectId::DEFAULT,
            user: None,
            team: None,
            secrets: Vec::new(),
            listed: false,
            metadata: BTreeMap::new(),
            rules: Rules::default(),
            limits: Vec::new(),
            state,
            expires_at: expires_at.map(Timestamp::from_seconds),
            created_at: Timestamp::from_seconds(0),
            updated_at: Timestamp::from_seconds(0),
            revision: 1,
        }
    }

    #[test]
    fn status_is_a_question_about_a_moment() {
        let at = Timestamp::from_seconds(5);
        for (state, expires_at, now, status) in [
            (KeyState::Active, None, 10, Status::Active),
            (KeyState::Active, Some(11), 10, Status::Active),
            (KeyState::Active, Some(10), 10, Status::Expired),
            (KeyState::Disabled { at }, Some(10), 20, Status::Disabled),
            (KeyState::Revoked { at }, None, 10, Status::Revoked),
        ] {
            assert_eq!(key(state, expires_at).status(Timestamp::from_seconds(now)), status);
        }
    }

    #[test]
    fn only_a_live_key_of_the_right_kind_is_a_caller() {
        let now = Timestamp::from_seconds(10);
        let code = |state, kind| key(state, None).identify(kind, now).err().map(|no| no.code);
        assert_eq!(code(KeyState::Active, KeyKind::Regular), None);
        assert_eq!(code(KeyState::Active, KeyKind::Management), Some(Code::WrongKeyType));
        let revoked = KeyState::Revoked { at: now };
        assert_eq!(code(revoked, KeyKind::Regular), Some(Code::KeyRevoked));
        assert_eq!(code(revoked, KeyKind::Management), Some(Code::KeyRevoked));
    }
}
