//! Keys: made, found, changed, given other secrets and ended, by the operator or by the management
//! key that made them.

use std::sync::Arc;

use domain::command::{Actor, Ceiling, Home, KeyChange, NewKey, Place, Rotation, revoke};
use domain::key::{Key, KeyKind, KeyState, SecretRecord};
use domain::secret::{self, Digest, Kind};
use domain::{Code, KeyId, Money, Owner, Plan, Refusal, Scope, Secret, TeamId, Timestamp};
use store::{Act, Fault, KeyQuery};

use super::{Desk, Standing, act, not_changed};
use crate::failure::Failure;
use crate::keyless::is_keyless;

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

/// What is said about a new secret for a key.
pub struct Rotating {
    /// What the new secret looks like, where it is made here; as one of its kind where nothing is said.
    pub look: Option<Kind>,
    /// The secret that somebody chose.
    pub secret: Option<Secret>,
    /// For so long the old ones go on.
    pub grace_seconds: u32,
    /// The revision it is meant for.
    pub expected: Option<u64>,
}

/// What is known of a key beside its record.
pub struct About {
    /// Spent since it was made.
    pub spent: Money,
    /// How its own limits stand.
    pub standings: Vec<Standing>,
    /// Its own team, or its user's.
    pub team: Option<TeamId>,
    /// When its newest call began.
    pub last_used: Option<Timestamp>,
}

impl Desk {
    /// Makes a key. The secret is in the answer and nowhere else; there is none where only its digest
    /// was told, or nothing was made.
    ///
    /// # Errors
    /// The actor may not, the key makes no sense, its project has as many as it may, or somebody
    /// else has the wanted secret.
    pub async fn create(
        &self,
        actor: Actor,
        mut new: NewKey,
        making: Making,
        now: Timestamp,
    ) -> Result<(Key, Option<Secret>), Failure> {
        let (secret, record) = match making.secret {
            Some(Chosen::Digest(digest)) => (None, SecretRecord::unseen(own(actor, digest)?, now)),
            Some(Chosen::Secret(secret)) => opened_by(own_choice(actor, secret)?, now),
            None => opened_by(making.look.mint(&*self.entropy), now),
        };
        self.is_no_master_key(&record.digest)?;
        if !making.force {
            self.check_names(&new.rules)?;
        }
        let maker = self.maker(actor).await?;
        new.home = self.home(maker.as_ref(), making.place).await?;
        let ids = &self.gate.ids;
        if let Some(maker) = &maker {
            let models = self.gate.models.load();
            let ceiling = Ceiling::of(maker, |name| models.alias(name));
            new = ceiling.complete(new, ids.limit(now), now)?;
        }
        let digest = record.digest;
        let mut key = new.make(actor, ids.key(now), ids.limit(now), record, now)?;
        if making.disabled {
            key.state = KeyState::Disabled { at: now };
        }
        if making.dry_run {
            self.try_insert(&key, digest).await?;
            return Ok((key, None));
        }
        self.insert(key.clone(), act(actor, "key.create", &key.id, now)).await?;
        Ok((key, secret))
    }

    /// Writes a new key, where its project's plan has room for it.
    pub(super) async fn insert(&self, key: Key, act: Act) -> Result<(), Failure> {
        let store = &self.gate.store;
        let (project, most) = self.plan_of(&key).await?;
        let digest = key.secrets.first().map(|secret| secret.digest);
        let written = match most {
            Some(most) => store.insert_key_within(most.into(), key, act).await,
            None => store.insert_key(key, act).await,
        };
        match written {
            Err(Fault::Taken) => {
                let other = match digest {
                    Some(digest) => store.look_up(digest).await?,
                    None => None,
                };
                Err(other.as_deref().map_or_else(taken, taken_by).into())
            }
            Err(Fault::NoRoom { most }) => Err(no_room(project.as_ref(), most).into()),
            written => Ok(written?),
        }
    }

    /// Whether a new key could be written.
    async fn try_insert(&self, key: &Key, digest: Digest) -> Result<(), Failure> {
        if let Some(other) = self.gate.store.look_up(digest).await? {
            return Err(taken_by(&other).into());
        }
        let (project, Some(most)) = self.plan_of(key).await? else { return Ok(()) };
        let used = self.gate.store.count_project_keys(vec![key.project]).await?;
        if used.iter().any(|used| *used >= u64::from(most)) {
            return Err(no_room(project.as_ref(), most.into()).into());
        }
        Ok(())
    }

    /// The project of a key, and how many keys its plan allows, where it counts them.
    async fn plan_of(&self, key: &Key) -> Result<(Option<Owner>, Option<u32>), Failure> {
        let project = self.gate.store.owner(Scope::Project(key.project)).await?;
        let plan = project.as_ref().map_or(Plan::Enterprise, Owner::plan);
        let most = self.gate.plans.keys(plan).filter(|_| key.kind == KeyKind::Regular);
        Ok((project, most))
    }

    /// The management key that acts, where one does.
    async fn maker(&self, actor: Actor) -> Result<Option<Key>, Failure> {
        match actor {
            Actor::Manager(id) => Ok(self.gate.store.key(id).await?),
            Actor::Operator | Actor::Dashboard | Actor::Holder(_) | Actor::Anybody => Ok(None),
        }
    }

    /// Where a key is put. What the operator puts it into must exist; a management key learns of
    /// nothing outside of its own home whether it does.
    pub(super) async fn home(&self, maker: Option<&Key>, place: Place) -> Result<Home, Failure> {
        let mut users_team = None;
        if maker.is_some() {
            if let Some(user) = place.user {
                let user = self.gate.store.owner(Scope::User(user)).await?;
                users_team = user.and_then(|user| user.team);
            }
        } else {
            if let Some(project) = place.project {
                self.referred(Scope::Project(project), "project_id").await?;
            }
            if let Some(team) = place.team {
                self.referred(Scope::Team(team), "team_id").await?;
            }
            if let Some(user) = place.user {
                users_team = self.referred(Scope::User(user), "user_id").await?.team;
            }
        }
        Ok(place.resolve(maker.map(Home::of), users_team)?)
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

    /// The key that has this secret or had it, as far as `actor` may know of it, and what is kept of
    /// the secret.
    ///
    /// # Errors
    /// There is none, or it is not theirs: both look the same.
    pub async fn look_up(
        &self,
        actor: Actor,
        secret: &Secret,
    ) -> Result<(Arc<Key>, SecretRecord), Failure> {
        let digest = secret.digest();
        let key = self.gate.store.look_up(digest).await?;
        let key = key.filter(|key| actor.owns(key)).ok_or_else(no_such_key)?;
        let record = key.secrets.iter().find(|record| record.digest == digest).cloned();
        Ok((key, record.ok_or_else(no_such_key)?))
    }

    /// Changes the key `id`. With `force`, its rules may name what nobody knows.
    ///
    /// # Errors
    /// It is not theirs, somebody changed it first, or the change makes no sense.
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
        let widens = !(change.limits.is_empty() && change.rules.is_empty());
        let maker = if widens { self.maker(actor).await? } else { None };
        let gate = Arc::clone(&self.gate);
        let expected = change.expected;
        let apply = move |key: &mut Key| {
            change.apply(key, limit, now)?;
            let Some(maker) = &maker else { return Ok(()) };
            let models = gate.models.load();
            Ceiling::of(maker, |name| models.alias(name)).check(&key.limits, &key.rules)
        };
        self.change(id, expected, apply, act(actor, "key.update", &id, now)).await
    }

    /// Gives the key `id` a new secret, which is in the answer and nowhere else, and lets the old
    /// ones end.
    ///
    /// # Errors
    /// It is not theirs, has ended, has too many secrets, or somebody else has the wanted one.
    pub async fn rotate(
        &self,
        actor: Actor,
        id: KeyId,
        rotating: Rotating,
        now: Timestamp,
    ) -> Result<(Key, Secret), Failure> {
        let Rotating { look, secret, grace_seconds, expected } = rotating;
        let key = self.key(actor, id).await?;
        if is_keyless(id) {
            let message = "This key stands for calls without a secret: there is none to rotate.";
            return Err(Refusal::new(Code::Conflict, message).into());
        }
        let secret = match secret {
            Some(secret) => own_choice(actor, secret)?,
            None => look.unwrap_or_else(|| look_of(key.kind)).mint(&*self.entropy),
        };
        self.is_no_master_key(&secret.digest())?;
        let rotation = Rotation { secret: SecretRecord::new(&secret, now), grace_seconds };
        let apply = move |key: &mut Key| rotation.apply(key, now);
        let key = self.change(id, expected, apply, act(actor, "key.rotate", &id, now)).await?;
        Ok((key, secret))
    }

    /// What opens everything must open nothing by itself, once it is no longer the master key.
    fn is_no_master_key(&self, digest: &Digest) -> Result<(), Refusal> {
        if !self.gate.is_master(digest) {
            return Ok(());
        }
        let message = "This is the master key: it cannot be a key's secret as well.";
        Err(Refusal::new(Code::InvalidValue, message).about("secret"))
    }

    /// Ends the key `id` for good: when this returns, it opens nothing any more.
    ///
    /// # Errors
    /// It is not theirs, or somebody changed it first.
    pub async fn revoke(
        &self,
        actor: Actor,
        id: KeyId,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<Key, Failure> {
        self.key(actor, id).await?;
        if is_keyless(id) {
            let message = "This key stands for calls without a secret. Disable it, or do not allow such calls.";
            return Err(Refusal::new(Code::Conflict, message).into());
        }
        let apply = move |key: &mut Key| {
            revoke(key, now);
            Ok(())
        };
        self.change(id, expected, apply, act(actor, "key.revoke", &id, now)).await
    }

    async fn change(
        &self,
        id: KeyId,
        expected: Option<u64>,
        apply: impl FnOnce(&mut Key) -> Result<(), Refusal> + Send + 'static,
        act: Act,
    ) -> Result<Key, Failure> {
        match self.gate.store.update_key(id, expected, apply, act).await {
            Ok((before, after)) => {
                self.gate.bridge.follow(Some(&before), &after).await;
                Ok(after)
            }
            Err(store::NotChanged::Fault(Fault::Taken)) => Err(taken().into()),
            Err(no) => Err(not_changed(no, no_such_key())),
        }
    }

    /// A page of the keys `actor` may see.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn keys(&self, actor: Actor, query: KeyQuery) -> Result<Vec<Key>, Failure> {
        match visible(actor, query) {
            Some(query) => Ok(self.gate.store.keys(query).await?),
            None => Ok(Vec::new()),
        }
    }

    /// How many keys `actor` may see on all pages.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn count_keys(&self, actor: Actor, query: KeyQuery) -> Result<u64, Failure> {
        match visible(actor, query) {
            Some(query) => Ok(self.gate.store.count_keys(query).await?),
            None => Ok(0),
        }
    }

    /// What is known of each of `keys` beside its record: asked for all of them at once.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn about(&self, keys: &[Key], at: Timestamp) -> Result<Vec<About>, Failure> {
        let store = &self.gate.store;
        let spent = store.spent(keys.iter().map(|key| (key.id, key.created_at))).await?;
        let limits = keys.iter().map(|key| (Scope::Key(key.id), key.limits.as_slice()));
        let standings = self.standings_of(limits, at).await?;
        let users: Vec<_> = keys.iter().filter_map(|key| key.user).collect();
        let teams = if users.is_empty() { Vec::new() } else { store.teams_of(users).await? };
        let mut teams = teams.into_iter();
        let used = self.last_used(keys).await?;
        let about = |((key, spent), standings): ((&Key, Money), Vec<Standing>)| {
            let team = if key.user.is_some() { teams.next().flatten() } else { key.team };
            About { spent, standings, team, last_used: used.get(&key.id).copied() }
        };
        Ok(keys.iter().zip(spent).zip(standings).map(about).collect())
    }
}

/// The part of a list that `actor` may see; `None` where that is nothing.
fn visible(actor: Actor, query: KeyQuery) -> Option<KeyQuery> {
    match (actor, query.maker) {
        (Actor::Operator | Actor::Dashboard, _) => Some(query),
        (Actor::Manager(id), None) => Some(KeyQuery { maker: Some(id), ..query }),
        (Actor::Manager(id), Some(maker)) => (maker == id).then_some(query),
        (Actor::Holder(_) | Actor::Anybody, _) => None,
    }
}

/// A secret that somebody chose instead of having it made: the operator only, when keys move here
/// from elsewhere.
fn own_choice(actor: Actor, wanted: Secret) -> Result<Secret, Refusal> {
    const LEAST_BYTES: usize = 8;
    const MOST_BYTES: usize = 512;
    let no = |message: &str| Err(Refusal::new(Code::InvalidValue, message).about("secret"));
    let text = wanted.expose();
    if actor != Actor::Operator {
        return no("Only the master key may choose a key's secret; leave it out to have one made.");
    }
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
    Ok(wanted)
}

/// The digest of a secret that somebody chose, under the same rule.
fn own(actor: Actor, digest: Digest) -> Result<Digest, Refusal> {
    if actor == Actor::Operator {
        return Ok(digest);
    }
    let message = "Only the master key may choose a key's secret; leave it out to have one made.";
    Err(Refusal::new(Code::InvalidValue, message).about("secret_sha256"))
}

/// A secret, and what is kept of it.
fn opened_by(secret: Secret, now: Timestamp) -> (Option<Secret>, SecretRecord) {
    let record = SecretRecord::new(&secret, now);
    (Some(secret), record)
}

fn no_room(project: Option<&Owner>, most: u64) -> Refusal {
    let name = project.map_or("", |project| project.name.as_str());
    let plan = project.map_or(Plan::Enterprise, Owner::plan).name();
    let message = format!(
        "Project '{name:.60}' has the {most} keys that its plan ({plan}) allows. Delete keys that are not used; whoever holds the master key can give it another plan."
    );
    Refusal::new(Code::KeyLimitReached, message).about("project_id")
}

fn taken_by(other: &Key) -> Refusal {
    if !matches!(other.state, KeyState::Revoked { .. }) {
        return taken();
    }
    let message = "A key with this secret was revoked for good: the secret cannot come back.";
    Refusal::new(Code::SecretRevoked, message).about("secret")
}

fn taken() -> Refusal {
    Refusal::new(Code::Conflict, "A key with this secret exists already.").about("secret")
}

pub(super) fn no_such_key() -> Refusal {
    Refusal::new(Code::NotFound, "There is no such key.")
}

/// What a kind of key's secret looks like when the keys API makes it.
pub fn look_of(kind: KeyKind) -> Kind {
    match kind {
        KeyKind::Regular => Kind::Live,
        KeyKind::Management => Kind::Management,
    }
}
