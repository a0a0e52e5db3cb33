//! What an administrator can do to a key: make it, change it, give it another secret, end it.

use std::collections::BTreeMap;

use super::{Actor, Home, LimitChange, RulesChange, put};
use crate::id::{KeyId, LimitId};
use crate::key::{Key, KeyKind, KeyState, SecretRecord, Status};
use crate::refusal::{Code, Refusal};
use crate::rule::Rules;
use crate::secret::Digest;
use crate::time::Timestamp;

/// A key to be made. What stands on a management key binds each key it makes: see [`super::Ceiling`].
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What it is for.
    pub kind: KeyKind,
    /// A label for people.
    pub name: String,
    /// Where it belongs.
    pub home: Home,
    /// What it may use.
    pub rules: Rules,
    /// How much it may use.
    pub limits: LimitChange,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// What its maker wants to know of it.
    pub metadata: BTreeMap<String, String>,
}

impl NewKey {
    /// The record, opened by `secret`. `fresh` and the ids after it name its limits.
    ///
    /// # Errors
    /// The actor may not make such a key, or such a key makes no sense.
    pub fn make(
        self,
        actor: Actor,
        id: KeyId,
        fresh: LimitId,
        secret: SecretRecord,
        now: Timestamp,
    ) -> Result<Key, Refusal> {
        let maker = match (actor, self.kind) {
            (Actor::Operator | Actor::Dashboard, _) => None,
            (Actor::Manager(id), KeyKind::Regular) => Some(id),
            (Actor::Manager(_), KeyKind::Management) => {
                return Err(Refusal::new(
                    Code::WrongKeyType,
                    "Only the master key makes management keys.",
                )
                .about("key_type"));
            }
            (Actor::Holder(_) | Actor::Anybody, _) => {
                return Err(Refusal::new(Code::WrongKeyType, "A regular key manages nothing."));
            }
        };
        let limits = self.limits.apply(&[], fresh)?;
        in_the_future(self.expires_at, now)?;
        Ok(Key {
            id,
            kind: self.kind,
            name: self.name,
            maker,
            project: self.home.project,
            user: self.home.user,
            team: self.home.team,
            secrets: vec![secret],
            listed: false,
            metadata: self.metadata,
            rules: self.rules,
            limits,
            state: KeyState::Active,
            expires_at: self.expires_at,
            created_at: now,
            updated_at: now,
            revision: 1,
        })
    }
}

/// What is to be different about a key. `None` leaves as it is.
#[derive(Clone, Debug, Default)]
pub struct KeyChange {
    /// Another label.
    pub name: Option<String>,
    /// Switched off or on.
    pub disabled: Option<bool>,
    /// Another end, or none.
    pub expires_at: Option<Option<Timestamp>>,
    /// Other limits.
    pub limits: LimitChange,
    /// Other rules.
    pub rules: RulesChange,
    /// All that is to be known of it from now on.
    pub metadata: Option<BTreeMap<String, String>>,
    /// The revision it was meant for; `None` for whichever there is.
    pub expected: Option<u64>,
}

impl KeyChange {
    /// Changes `key`. `fresh` and the ids after it name limits that start anew.
    ///
    /// # Errors
    /// The key is revoked, or the change contradicts what is there; then nothing was changed.
    pub fn apply(self, key: &mut Key, fresh: LimitId, now: Timestamp) -> Result<(), Refusal> {
        if matches!(key.state, KeyState::Revoked { .. }) {
            return Err(gone());
        }
        let limits = self.limits.apply(&key.limits, fresh)?;
        in_the_future(self.expires_at.flatten(), now)?;
        key.limits = limits;
        self.rules.apply(&mut key.rules);
        put(&mut key.name, self.name);
        put(&mut key.metadata, self.metadata);
        put(&mut key.expires_at, self.expires_at);
        match (self.disabled, key.state) {
            (Some(true), KeyState::Active) => key.state = KeyState::Disabled { at: now },
            (Some(false), KeyState::Disabled { .. }) => key.state = KeyState::Active,
            (Some(_) | None, _) => {}
        }
        touch(key, now);
        Ok(())
    }
}

fn in_the_future(expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
    if expires_at.is_some_and(|end| end <= now) {
        return Err(
            Refusal::new(Code::InvalidValue, "expires_at is in the past.").about("expires_at")
        );
    }
    Ok(())
}

/// A new secret for a key, and what becomes of those it had.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The new one.
    pub secret: SecretRecord,
    /// For so long the others still open the key; 0 ends them at once.
    pub grace_seconds: u32,
}

impl Rotation {
    /// The longest that old secrets may go on: 30 days.
    pub const GRACE_SECONDS_MAX: u32 = 2_592_000;
    /// The most secrets that may open one key at a time.
    pub const LIVE_MAX: usize = 5;
    /// The most that are remembered of those that have ended: whoever sends one is told so.
    const ENDED_MAX: usize = 50;

    /// Changes `key`. A secret that was to end sooner does.
    ///
    /// # Errors
    /// The key is revoked or expired, has too many secrets already, or had this one before.
    pub fn apply(self, key: &mut Key, now: Timestamp) -> Result<(), Refusal> {
        match key.status(now) {
            Status::Active | Status::Disabled => {}
            Status::Revoked => return Err(gone()),
            Status::Expired => {
                return Err(conflict("This key has expired: give it another expires_at first."));
            }
        }
        if key.secrets.iter().any(|old| old.digest == self.secret.digest) {
            return Err(conflict("A key with this secret exists already.").about("secret"));
        }
        let end = now.plus_seconds(self.grace_seconds.into());
        for old in &mut key.secrets {
            old.ends_at = Some(old.ends_at.map_or(end, |sooner| sooner.min(end)));
        }
        if key.live_secrets(now).count() >= Self::LIVE_MAX {
            return Err(conflict(
                "Five secrets open this key already, and more are no safer: wait until one has ended, or rotate with grace_seconds 0.",
            ));
        }
        let ended = key.secrets.len().saturating_sub(key.live_secrets(now).count());
        let mut too_many = ended.saturating_sub(Self::ENDED_MAX);
        key.secrets.retain(|old| {
            let goes = too_many > 0 && !old.is_live(now);
            too_many = too_many.saturating_sub(usize::from(goes));
            !goes
        });
        key.secrets.push(self.secret);
        touch(key, now);
        Ok(())
    }
}

/// Ends `key` for good. A key that has ended stays as it is.
pub fn revoke(key: &mut Key, now: Timestamp) {
    if !matches!(key.state, KeyState::Revoked { .. }) {
        key.state = KeyState::Revoked { at: now };
        key.listed = false;
        touch(key, now);
    }
}

/// Takes the secret `digest` from `key`, whose line in the operator's file is gone; ends the key
/// with its last live secret. It stays listed: a line with the same secret is no stranger.
pub fn unlist(key: &mut Key, digest: Digest, now: Timestamp) {
    if key.live_secrets(now).any(|secret| secret.digest != digest) {
        key.secrets.retain(|secret| secret.digest != digest);
        touch(key, now);
        return;
    }
    revoke(key, now);
    key.listed = true;
}

fn touch(key: &mut Key, now: Timestamp) {
    key.updated_at = now;
    key.revision = key.revision.saturating_add(1);
}

fn gone() -> Refusal {
    conflict("This key has been revoked for good; it cannot be changed.")
}

fn conflict(message: &str) -> Refusal {
    Refusal::new(Code::Conflict, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    fn make(actor: Actor, new: NewKey) -> Result<Key, Refusal> {
        let secret = Secret::new("sk-test".to_owned());
        let record = SecretRecord::new(&secret, NOW);
        new.make(actor, KeyId::new(NOW, 1), LimitId::new(NOW, 1), record, NOW)
    }

    fn new(kind: KeyKind) -> NewKey {
        NewKey {
            kind,
            name: "k".to_owned(),
            home: Home::default(),
            rules: Rules::default(),
            limits: LimitChange::default(),
            expires_at: None,
            metadata: BTreeMap::new(),
        }
    }

    #[test]
    fn who_may_make_what() {
        let manager = KeyId::new(NOW, 9);
        for (actor, kind, maker) in [
            (Actor::Operator, KeyKind::Regular, Some(None)),
            (Actor::Operator, KeyKind::Management, Some(None)),
            (Actor::Manager(manager), KeyKind::Regular, Some(Some(manager))),
            (Actor::Manager(manager), KeyKind::Management, None),
            (Actor::Holder(manager), KeyKind::Regular, None),
            (Actor::Anybody, KeyKind::Regular, None),
        ] {
            assert_eq!(
                make(actor, new(kind)).ok().map(|key| key.maker),
                maker,
                "{actor:?} {kind:?}"
            );
        }
    }

    #[test]
    fn a_revoked_key_is_never_changed_again() {
        let mut key = make(Actor::Operator, new(KeyKind::Regular)).unwrap();
        revoke(&mut key, NOW);
        let before = key.clone();
        let change = KeyChange { disabled: Some(false), ..KeyChange::default() };
        assert_eq!(
            change.apply(&mut key, LimitId::new(NOW, 2), NOW).map_err(|no| no.code),
            Err(Code::Conflict)
        );
        revoke(&mut key, NOW);
        assert_eq!(key, before);
    }

    #[test]
    fn a_rotated_secret_ends_at_the_exact_moment_and_the_new_one_does_not() {
        let mut key = make(Actor::Operator, new(KeyKind::Regular)).unwrap();
        let secret = |number: u32| Secret::new(format!("sk-{number}"));
        let rotate = |key: &mut Key, number, grace_seconds, at| {
            let secret = SecretRecord::new(&secret(number), at);
            Rotation { secret, grace_seconds }.apply(key, at).map_err(|no| no.code)
        };
        let opens = |key: &Key, number: u32, seconds| {
            key.open(&secret(number).digest(), Timestamp::from_seconds(seconds)).is_ok()
        };
        rotate(&mut key, 1, 60, NOW).unwrap();
        let old = key.secrets[0].digest;
        assert!(key.open(&old, Timestamp::from_seconds(1_059)).is_ok());
        let ended = key.open(&old, Timestamp::from_seconds(1_060)).map_err(|no| no.code);
        assert_eq!(ended, Err(Code::KeyRevoked));
        assert!(opens(&key, 1, 1_000_000));
        // A longer grace does not prolong what was to end sooner.
        rotate(&mut key, 2, 600, NOW).unwrap();
        assert_eq!(key.secrets[0].ends_at, Some(Timestamp::from_seconds(1_060)));
        rotate(&mut key, 3, 600, NOW).unwrap();
        rotate(&mut key, 4, 600, NOW).unwrap();
        assert_eq!(rotate(&mut key, 5, 600, NOW), Err(Code::Conflict));
        assert_eq!(rotate(&mut key, 4, 0, NOW), Err(Code::Conflict));
    }

    #[test]
    fn only_so_many_ended_secrets_are_remembered_and_the_live_ones_always() {
        let mut key = make(Actor::Operator, new(KeyKind::Regular)).unwrap();
        for number in 0..80 {
            let secret = SecretRecord::new(&Secret::new(format!("sk-{number}")), NOW);
            Rotation { secret, grace_seconds: 0 }.apply(&mut key, NOW).unwrap();
        }
        assert_eq!(key.live_secrets(NOW).count(), 1);
        assert_eq!(key.secrets.len(), Rotation::ENDED_MAX + 1);
        assert!(key.open(&Secret::new("sk-79".to_owned()).digest(), NOW).is_ok());
    }
}
