//! The desk where everything is done that is no call to a model. Who acts is found out here, once;
//! each act is authorized, applied, written down and published in one place, whichever surface or
//! command line asked for it. How a surface words its JSON is not known here.

mod correction;
mod credentials;
mod effective;
mod explain;
mod idempotency;
mod owners;
mod prices;
mod providers;
mod supply;
mod trail;
mod usage;

use std::sync::Arc;

use domain::command::{Actor, Home, KeyChange, NewKey, Place, RulesChange, revoke};
use domain::key::{Key, KeyKind, KeyState, SecretRecord};
use domain::secret::{self, Digest, Kind, Mask};
use domain::{Code, Entropy, KeyId, Pattern, Refusal, Rules, Scope, Secret, Timestamp};
use store::{Act, By, KeyQuery, NotChanged};

use crate::call::Call;
use crate::failure::Failure;
use crate::gate::Gate;
use crate::relay::Guard;
use crate::sources::Sources;

pub use correction::Truth;
pub use credentials::{Health, ListedCredential};
pub use effective::{Effective, Found, From, Layer, Standing};
pub use explain::{Explanation, Question, Verdict};
pub use idempotency::{Answering, Running};
pub use owners::{OwnerKind, no_such};
pub use prices::{ListedAlias, ListedPrice, PriceQuery};
pub use providers::ListedProvider;
pub use supply::Said;
pub use usage::{Leaders, Leading};

/// The largest body that is read here.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// What every act needs.
pub struct Desk {
    pub gate: Arc<Gate>,
    pub entropy: Arc<dyn Entropy>,
    /// Signs the marks that lists hand out to go on from.
    pub list_secret: Secret,
    /// What the models in force are put together from.
    pub sources: Arc<Sources>,
    /// Held while a charge is corrected, so that no two corrections give back the same money.
    pub correcting: tokio::sync::Mutex<()>,
    /// Requests that may be sent again, while they are answered.
    pub running: Running,
}

/// What is said about a new key beside the key itself.
pub struct Making {
    /// What its secret looks like, where it is made here.
    pub look: Kind,
    /// The secret that somebody chose instead.
    pub secret: Option<Chosen>,
    /// Whether it begins switched off.
    pub disabled: bool,
    /// Whether it is only to be told what would become of it: nothing is written.
    pub dry_run: bool,
    /// Where it is to be put.
    pub place: Place,
    /// Whether its rules may name what nobody knows.
    pub force: bool,
}

/// A secret that somebody chose, or as much of it as they know.
pub enum Chosen {
    Secret(Secret),
    /// Of a key that moves here from where only digests are kept.
    Digest(Digest),
}

impl Desk {
    /// Who is behind `call`, on a route guarded by `guard`.
    ///
    /// # Errors
    /// Nobody we know, or somebody who may not.
    pub async fn actor(&self, guard: Guard, call: &Call) -> Result<Actor, Failure> {
        if guard == Guard::Open {
            return Ok(Actor::Anybody);
        }
        let secret = call.secret()?;
        let is_master = secret.as_ref().is_some_and(|secret| self.gate.is_master(&secret.digest()));
        if is_master && matches!(guard, Guard::Manager | Guard::Master | Guard::Internal) {
            return Ok(Actor::Operator);
        }
        if guard == Guard::Internal && secret.is_some() {
            // Whatever it opens elsewhere: nothing here.
            Actor::Anybody.operates()?;
        }
        let caller = self.gate.identify(guard, call, call.at).await?;
        let id = caller.key().id;
        Ok(if guard == Guard::Manager { Actor::Manager(id) } else { Actor::Holder(id) })
    }

    /// Makes a key. The secret is in the answer and nowhere else; there is none where only its digest
    /// was told, or nothing was made.
    ///
    /// # Errors
    /// The actor may not, the key makes no sense, or somebody else has the wanted secret.
    pub async fn create(
        &self,
        actor: Actor,
        mut new: NewKey,
        making: Making,
        now: Timestamp,
    ) -> Result<(Key, Option<Secret>), Failure> {
        let (secret, record) = match making.secret {
            Some(chosen) => own_choice(actor, chosen, now)?,
            None => opened_by(making.look.mint(&*self.entropy), now),
        };
        if !making.force {
            self.check_names(&new.rules)?;
        }
        new.home = self.home(actor, making.place).await?;
        let digest = record.digest;
        let fresh = self.gate.ids.limit(now);
        let mut key = new.make(actor, self.gate.ids.key(now), fresh, record, now)?;
        if making.disabled {
            key.state = KeyState::Disabled { at: now };
        }
        if making.dry_run {
            return match self.gate.store.look_up(digest).await? {
                Some(_) => Err(taken().into()),
                None => Ok((key, None)),
            };
        }
        let act = act(actor, "key.create", &key.id, now);
        match self.gate.store.insert_key(key.clone(), act).await {
            Ok(()) => Ok((key, secret)),
            Err(store::Fault::Taken) => Err(taken().into()),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Where a key is put that `actor` makes. What it is put into must exist.
    async fn home(&self, actor: Actor, place: Place) -> Result<Home, Failure> {
        let maker = match actor {
            Actor::Manager(id) => self.gate.store.key(id).await?.map(|key| Home::of(&key)),
            Actor::Operator | Actor::Holder(_) | Actor::Anybody => None,
        };
        if let Some(project) = place.project {
            self.referred(Scope::Project(project), "project_id").await?;
        }
        if let Some(team) = place.team {
            self.referred(Scope::Team(team), "team_id").await?;
        }
        let users_team = match place.user {
            Some(user) => self.referred(Scope::User(user), "user_id").await?.team,
            None => None,
        };
        Ok(place.resolve(maker.unwrap_or_default(), users_team)?)
    }

    /// The key `id`, as far as `actor` may know of it.
    ///
    /// # Errors
    /// There is none, or it is not theirs: both look the same.
    pub async fn key(&self, actor: Actor, id: KeyId) -> Result<Key, Failure> {
        let key = self.gate.store.key(id).await?;
        key.filter(|key| actor.owns(key) || actor == Actor::Holder(id))
            .ok_or_else(|| no_such_key().into())
    }

    /// Changes the key `id`. With `force`, its rules may name what nobody knows.
    ///
    /// # Errors
    /// It is not theirs, or the change makes no sense.
    pub async fn update(
        &self,
        actor: Actor,
        id: KeyId,
        change: KeyChange,
        force: bool,
        now: Timestamp,
    ) -> Result<Key, Failure> {
        self.key(actor, id).await?;
        if !force {
            self.check_changed_names(&change.rules)?;
        }
        let limit = self.gate.ids.limit(now);
        let apply = move |key: &mut Key| change.apply(key, limit, now);
        self.change(id, apply, act(actor, "key.update", &id, now)).await
    }

    /// Ends the key `id` for good: when this returns, it opens nothing any more.
    ///
    /// # Errors
    /// It is not theirs.
    pub async fn revoke(&self, actor: Actor, id: KeyId, now: Timestamp) -> Result<Key, Failure> {
        self.key(actor, id).await?;
        let apply = move |key: &mut Key| {
            revoke(key, now);
            Ok(())
        };
        self.change(id, apply, act(actor, "key.revoke", &id, now)).await
    }

    fn check_changed_names(&self, change: &RulesChange) -> Result<(), Refusal> {
        let mut rules = Rules::default();
        change.clone().apply(&mut rules);
        self.check_names(&rules)
    }

    /// A rule that names nothing is a rule with a mistake in it: it is told when it is written.
    fn check_names(&self, rules: &Rules) -> Result<(), Refusal> {
        let known = self.gate.models.load();
        let models =
            [("allowed_models", &rules.allowed_models), ("denied_models", &rules.denied_models)];
        for (list, patterns) in models {
            let unknown = |name: &Pattern| !known.knows_model(name.as_str());
            refuse_first(list, "model", patterns, unknown)?;
        }
        let providers = [
            ("allowed_providers", &rules.allowed_providers),
            ("denied_providers", &rules.denied_providers),
        ];
        for (list, patterns) in providers {
            let unknown = |name: &Pattern| !known.knows_provider(name.as_str());
            refuse_first(list, "provider", patterns, unknown)?;
        }
        Ok(())
    }

    async fn change(
        &self,
        id: KeyId,
        apply: impl FnOnce(&mut Key) -> Result<(), Refusal> + Send + 'static,
        act: Act,
    ) -> Result<Key, Failure> {
        let changed = self.gate.store.update_key(id, None, apply, act).await;
        changed.map(|(_, after)| after).map_err(|no| not_changed(no, no_such_key()))
    }

    /// A page of the keys `actor` may see.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn keys(&self, actor: Actor, mut query: KeyQuery) -> Result<Vec<Key>, Failure> {
        if let Actor::Manager(id) = actor {
            query.maker = Some(id);
        }
        Ok(self.gate.store.keys(query).await?)
    }
}

fn refuse_first(
    list: &str,
    what: &str,
    patterns: &[Pattern],
    unknown: impl Fn(&Pattern) -> bool,
) -> Result<(), Refusal> {
    let Some(at) = patterns.iter().position(unknown) else { return Ok(()) };
    let name: String = patterns[at].as_str().chars().take(64).collect();
    let message = format!(
        "'{name}' is no {what} that is known or configured here. A pattern with * is taken as it is, and so is everything with \"force\": true."
    );
    Err(Refusal::new(Code::InvalidRule, message).about(format!("{list}[{at}]")))
}

/// A secret that somebody chose instead of having it made: the operator only, when keys move here
/// from elsewhere.
fn own_choice(
    actor: Actor,
    chosen: Chosen,
    now: Timestamp,
) -> Result<(Option<Secret>, SecretRecord), Refusal> {
    const LEAST_BYTES: usize = 8;
    const MOST_BYTES: usize = 512;
    let member = match chosen {
        Chosen::Secret(_) => "secret",
        Chosen::Digest(_) => "secret_sha256",
    };
    let no = |message: &str| Err(Refusal::new(Code::InvalidValue, message).about(member));
    if actor != Actor::Operator {
        return no("Only the master key may choose a key's secret; leave it out to have one made.");
    }
    let secret = match chosen {
        Chosen::Secret(secret) => secret,
        Chosen::Digest(digest) => {
            let mask = Mask::of_nothing_known();
            return Ok((None, SecretRecord { digest, mask, created_at: now }));
        }
    };
    let text = secret.expose();
    if !(LEAST_BYTES..=MOST_BYTES).contains(&text.len())
        || !text.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return no("A secret is 8 to 512 visible ASCII characters.");
    }
    if secret::is_mistyped(text) {
        return no(
            "This looks like a secret made by Weir, with a mistake in it: its checksum is wrong.",
        );
    }
    Ok(opened_by(secret, now))
}

/// A secret, and what is kept of it.
fn opened_by(secret: Secret, now: Timestamp) -> (Option<Secret>, SecretRecord) {
    let record = SecretRecord { digest: secret.digest(), mask: secret.mask(), created_at: now };
    (Some(secret), record)
}

fn taken() -> Refusal {
    Refusal::new(Code::Conflict, "A key with this secret exists already.").about("secret")
}

fn act(actor: Actor, action: &'static str, subject: &impl ToString, at: Timestamp) -> Act {
    let once = idempotency::current();
    Act { at, actor: actor.name(), action, subject: subject.to_string(), once }
}

/// Who makes several acts of one request.
fn by(actor: Actor, at: Timestamp) -> By {
    By { actor: actor.name(), at, once: idempotency::current() }
}

/// Why nothing was changed; `missing` where there is nothing to change.
fn not_changed(no: NotChanged<Refusal>, missing: Refusal) -> Failure {
    match no {
        NotChanged::Refused(refusal) => refusal.into(),
        NotChanged::Fault(store::Fault::NotFound) => missing.into(),
        NotChanged::Fault(fault) => fault.into(),
    }
}

fn no_such_key() -> Refusal {
    Refusal::new(Code::NotFound, "There is no such key.")
}

/// What a kind of key's secret looks like when the keys API makes it.
pub fn look_of(kind: KeyKind) -> Kind {
    match kind {
        KeyKind::Regular => Kind::Live,
        KeyKind::Management => Kind::Management,
    }
}
