//! What an administrator can do to keys, as data, and who may. Every surface and the command line
//! come down to these; a behaviour cannot exist on one of them alone.

use crate::id::{KeyId, LimitId};
use crate::key::{Key, KeyKind, KeyState, SecretRecord};
use crate::limit::Limit;
use crate::money::Money;
use crate::refusal::{Code, Refusal};
use crate::rule::Rules;
use crate::time::Timestamp;
use crate::window::Window;

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The holder of the master key, or of the data directory.
    Operator,
    /// A management key: acts on the keys it made.
    Manager(KeyId),
    /// A key, looking at itself.
    Holder(KeyId),
    /// Somebody unknown, on a route that tells nothing of value.
    Anybody,
}

impl Actor {
    /// As the audit log writes it.
    pub fn name(self) -> String {
        match self {
            Self::Operator => "operator".to_owned(),
            Self::Manager(id) | Self::Holder(id) => id.to_string(),
            Self::Anybody => "anybody".to_owned(),
        }
    }

    /// Whether this actor may see and change `key`. What it may not touch does not exist for it.
    pub fn owns(self, key: &Key) -> bool {
        match self {
            Self::Operator => true,
            Self::Manager(id) => key.maker == Some(id),
            Self::Holder(_) | Self::Anybody => false,
        }
    }
}

/// Money a key may spend, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// At most this much per turn of the window.
    pub amount: Money,
    /// When it starts again.
    pub window: Window,
}

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What it is for.
    pub kind: KeyKind,
    /// A label for people.
    pub name: String,
    /// What it may use.
    pub rules: Rules,
    /// How much it may spend; `None` for any amount.
    pub allowance: Option<Allowance>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

impl NewKey {
    /// The record, opened by `secret`. `limit` names its limit, where it has one.
    ///
    /// # Errors
    /// The actor may not make such a key, or such a key makes no sense.
    pub fn make(
        self,
        actor: Actor,
        id: KeyId,
        limit: LimitId,
        secret: SecretRecord,
        now: Timestamp,
    ) -> Result<Key, Refusal> {
        let maker = match (actor, self.kind) {
            (Actor::Operator, _) => None,
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
        if self.kind == KeyKind::Management
            && (self.rules != Rules::default() || self.allowance.is_some())
        {
            return Err(Refusal::new(
                Code::InvalidValue,
                "A management key calls no model: it has neither rules nor a spending limit. Give them to the keys it makes.",
            )
            .about("key_type"));
        }
        if self.expires_at.is_some_and(|end| end <= now) {
            return Err(
                Refusal::new(Code::InvalidValue, "expires_at is in the past.").about("expires_at")
            );
        }
        let limits = self.allowance.map(|allowance| Limit {
            id: limit,
            amount: allowance.amount,
            window: allowance.window,
        });
        Ok(Key {
            id,
            kind: self.kind,
            name: self.name,
            maker,
            user: None,
            secrets: vec![secret],
            rules: self.rules,
            limits: limits.into_iter().collect(),
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
    /// Another allowance, or none at all.
    pub amount: Option<Option<Money>>,
    /// Another window for the allowance.
    pub window: Option<Window>,
    /// Other models; empty for all.
    pub allowed_models: Option<Vec<crate::rule::Pattern>>,
    /// Other providers; empty for all.
    pub allowed_providers: Option<Vec<crate::rule::Pattern>>,
}

impl KeyChange {
    /// Changes `key`. `limit` names a limit that starts anew.
    ///
    /// # Errors
    /// The key is revoked, or the change contradicts what is there; then nothing was changed.
    pub fn apply(self, key: &mut Key, limit: LimitId, now: Timestamp) -> Result<(), Refusal> {
        if matches!(key.state, KeyState::Revoked { .. }) {
            return Err(gone());
        }
        let limits = self.limits(key, limit)?;
        if key.kind == KeyKind::Management
            && (!limits.is_empty()
                || self.allowed_models.is_some()
                || self.allowed_providers.is_some())
        {
            return Err(Refusal::new(
                Code::InvalidValue,
                "A management key calls no model: it has neither rules nor a spending limit.",
            ));
        }
        key.limits = limits;
        if let Some(name) = self.name {
            key.name = name;
        }
        match (self.disabled, key.state) {
            (Some(true), KeyState::Active) => key.state = KeyState::Disabled { at: now },
            (Some(false), KeyState::Disabled { .. }) => key.state = KeyState::Active,
            (Some(_) | None, _) => {}
        }
        if let Some(models) = self.allowed_models {
            key.rules.allowed_models = models;
        }
        if let Some(providers) = self.allowed_providers {
            key.rules.allowed_providers = providers;
        }
        touch(key, now);
        Ok(())
    }

    /// The limits after the change. Another amount goes on with the window as it stands; another
    /// window is another limit, and starts with what was spent in its own turn.
    fn limits(&self, key: &Key, fresh: LimitId) -> Result<Vec<Limit>, Refusal> {
        let old = key.limits.first().copied();
        let amount = match self.amount {
            Some(amount) => amount,
            None => old.map(|limit| limit.amount),
        };
        let Some(amount) = amount else {
            return match (self.window, old) {
                (Some(Window::Calendar { .. }), None) => Err(Refusal::new(
                    Code::InvalidValue,
                    "limit_reset says when a limit starts again, and this key has none: send limit too.",
                )
                .about("limit_reset")),
                _ => Ok(Vec::new()),
            };
        };
        let window = self.window.or(old.map(|limit| limit.window)).unwrap_or(Window::Lifetime);
        let id = old.filter(|limit| limit.window == window).map_or(fresh, |limit| limit.id);
        Ok(vec![Limit { id, amount, window }])
    }
}

/// Ends `key` for good. A key that has ended stays as it is.
pub fn revoke(key: &mut Key, now: Timestamp) {
    if !matches!(key.state, KeyState::Revoked { .. }) {
        key.state = KeyState::Revoked { at: now };
        touch(key, now);
    }
}

fn touch(key: &mut Key, now: Timestamp) {
    key.updated_at = now;
    key.revision = key.revision.saturating_add(1);
}

fn gone() -> Refusal {
    Refusal::new(Code::Conflict, "This key has been revoked for good; it cannot be changed.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::window::Period;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    fn make(actor: Actor, new: NewKey) -> Result<Key, Refusal> {
        let secret = Secret::new("sk-test".to_owned());
        let record = SecretRecord { digest: secret.digest(), mask: secret.mask(), created_at: NOW };
        new.make(actor, KeyId::new(NOW, 1), LimitId::new(NOW, 1), record, NOW)
    }

    fn new(kind: KeyKind) -> NewKey {
        NewKey {
            kind,
            name: "k".to_owned(),
            rules: Rules::default(),
            allowance: None,
            expires_at: None,
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
    fn another_amount_keeps_the_limit_and_another_window_makes_a_new_one() {
        let dollars = |n: i64| Money::from_nanos(n * 1_000_000_000);
        let allowance = Some(Allowance { amount: dollars(5), window: Window::utc(Period::Month) });
        let mut key = make(Actor::Operator, NewKey { allowance, ..new(KeyKind::Regular) }).unwrap();
        let (old, fresh) = (key.limits[0].id, LimitId::new(NOW, 2));
        let more = KeyChange { amount: Some(Some(dollars(9))), ..KeyChange::default() };
        more.apply(&mut key, fresh, NOW).unwrap();
        assert_eq!((key.limits[0].id, key.limits[0].amount, key.revision), (old, dollars(9), 2));
        let daily = KeyChange { window: Some(Window::utc(Period::Day)), ..KeyChange::default() };
        daily.apply(&mut key, fresh, NOW).unwrap();
        assert_eq!((key.limits[0].id, key.limits[0].amount), (fresh, dollars(9)));
        let none = KeyChange { amount: Some(None), ..KeyChange::default() };
        none.apply(&mut key, fresh, NOW).unwrap();
        assert!(key.limits.is_empty());
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
}
