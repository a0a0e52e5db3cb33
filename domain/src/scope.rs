//! What stands above a call: the instance, the key's project, its user, the user's team, the key
//! itself. Limits and rules can hang on each of them; every one must agree, so a layer can only
//! narrow. What a limit or a rule says is not decided here.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::id::{KeyId, LimitId, ProjectId, TeamId, Ulid, UserId};
use crate::key::{Key, KeyKind};
use crate::limit::{Limit, Unit};
use crate::refusal::Refusal;
use crate::rule::Rules;
use crate::time::Timestamp;

/// Something that limits and rules can hang on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All of this installation.
    Instance,
    /// A project: keys belong to one.
    Project(ProjectId),
    /// A team: users belong to one.
    Team(TeamId),
    /// A user, with all of their keys.
    User(UserId),
    /// One key.
    Key(KeyId),
}

impl Scope {
    /// What it is, as JSON and messages say it.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Project(_) => "project",
            Self::Team(_) => "team",
            Self::User(_) => "user",
            Self::Key(_) => "key",
        }
    }

    /// Its number, without its kind; 0 for the instance.
    pub const fn ulid(self) -> Ulid {
        match self {
            Self::Instance => Ulid::from_bits(0),
            Self::Project(id) => id.ulid(),
            Self::Team(id) => id.ulid(),
            Self::User(id) => id.ulid(),
            Self::Key(id) => id.ulid(),
        }
    }
}

/// The id, or `instance`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance => f.write_str("instance"),
            Self::Project(id) => id.fmt(f),
            Self::Team(id) => id.fmt(f),
            Self::User(id) => id.fmt(f),
            Self::Key(id) => id.fmt(f),
        }
    }
}

/// A project, team, user or the instance: the record that carries limits and rules for what is
/// below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// What it is, and which one. Never a key.
    pub scope: Scope,
    /// A label for people; for a user, the name it has in the systems around us.
    pub name: String,
    /// The team of a user.
    pub team: Option<TeamId>,
    /// How many users a team has; 0 for everything else. Kept by the store.
    pub members: u32,
    /// What may be used below it.
    pub rules: Rules,
    /// How much may be used below it.
    pub limits: Vec<Limit>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Grows by one with every change.
    pub revision: u64,
}

impl Owner {
    /// One that nobody has changed yet.
    pub fn new(scope: Scope, name: impl Into<String>, now: Timestamp) -> Self {
        Self {
            scope,
            name: name.into(),
            team: None,
            members: 0,
            rules: Rules::default(),
            limits: Vec::new(),
            created_at: now,
            updated_at: now,
            revision: 1,
        }
    }
}

/// Limits that hang on every scope of a kind, unless it has its own of the same unit and window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// On the instance itself.
    pub instance: Vec<Limit>,
    /// On every project.
    pub project: Vec<Limit>,
    /// On every team.
    pub team: Vec<Limit>,
    /// On every user.
    pub user: Vec<Limit>,
    /// On every key.
    pub key: Vec<Limit>,
    /// The most one user of a team of two or more may take of the team's token limits, in percent.
    pub team_share: u8,
}

impl Defaults {
    /// All of them, each with the kind of scope it hangs on.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &Limit)> {
        let Self { instance, project, team, user, key, .. } = self;
        let kinds = ["instance", "project", "team", "user", "key"];
        let lists = kinds.into_iter().zip([instance, project, team, user, key]);
        lists.flat_map(|(kind, list)| list.iter().map(move |limit| (kind, limit)))
    }

    /// Those on every scope of this one's kind.
    pub const fn of(&self, scope: Scope) -> &Vec<Limit> {
        match scope {
            Scope::Instance => &self.instance,
            Scope::Project(_) => &self.project,
            Scope::Team(_) => &self.team,
            Scope::User(_) => &self.user,
            Scope::Key(_) => &self.key,
        }
    }
}

/// A limit, and what it hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopedLimit {
    /// What it hangs on.
    pub scope: Scope,
    /// The limit.
    pub limit: Limit,
}

/// All limits that apply to a call, those of one scope side by side.
pub type AllLimits = SmallVec<[ScopedLimit; 8]>;

/// A key and everything above it, as it stood when it was asked.
#[derive(Clone, Debug)]
pub struct Lineage {
    /// The installation.
    pub instance: Arc<Owner>,
    /// The key's project.
    pub project: Arc<Owner>,
    /// The team of the key, or of its user.
    pub team: Option<Arc<Owner>>,
    /// The key's user.
    pub user: Option<Arc<Owner>>,
    /// The key.
    pub key: Arc<Key>,
}

impl Lineage {
    /// The key says who it is at `now`, on a route for keys of `kind`.
    ///
    /// # Errors
    /// It is not alive, or not of that kind.
    pub fn identify(self, kind: KeyKind, now: Timestamp) -> Result<Caller, Refusal> {
        self.key.identify(kind, now)?;
        Ok(Caller { lineage: self })
    }

    /// The owners, the widest first.
    pub fn owners(&self) -> impl Iterator<Item = &Arc<Owner>> {
        [&self.instance, &self.project].into_iter().chain(&self.team).chain(&self.user)
    }

    /// The rules that all must agree, the widest first.
    pub fn rules(&self) -> impl Iterator<Item = (Scope, &Rules)> {
        let key = (Scope::Key(self.key.id), &self.key.rules);
        self.owners().map(|owner| (owner.scope, &owner.rules)).chain([key])
    }

    /// Whether no rule narrows the models.
    pub fn any_model(&self) -> bool {
        self.rules().all(|(_, rules)| rules.any_model())
    }

    /// Every limit that applies: each scope's own, the defaults it does not replace, and the user's
    /// share of their team's tokens.
    pub fn limits(&self, defaults: &Defaults) -> AllLimits {
        let mut all = limits_below(self.owners().map(AsRef::as_ref), defaults);
        collect(&mut all, Scope::Key(self.key.id), &self.key.limits, defaults);
        all
    }
}

/// Proof that a live key of the right kind is calling, with everything above it.
#[must_use]
#[derive(Debug)]
pub struct Caller {
    lineage: Lineage,
}

impl Caller {
    /// The key, as it was when it was asked.
    pub fn key(&self) -> &Key {
        &self.lineage.key
    }

    /// The rules that all must agree, the widest first.
    pub fn rules(&self) -> impl Iterator<Item = (Scope, &Rules)> {
        self.lineage.rules()
    }

    /// The key and everything above it.
    pub const fn lineage(&self) -> &Lineage {
        &self.lineage
    }
}

/// Every limit that applies below all of `owners`, the widest first: each one's own, the defaults
/// it does not replace, and a user's share of their team's tokens.
pub fn limits_below<'a>(owners: impl Iterator<Item = &'a Owner>, defaults: &Defaults) -> AllLimits {
    let mut all = AllLimits::new();
    let mut team = None;
    for owner in owners {
        collect(&mut all, owner.scope, &owner.limits, defaults);
        match (owner.scope, team) {
            (Scope::Team(_), _) => team = Some(owner),
            (Scope::User(_), Some(team)) => all.extend(shares(owner.scope, team, defaults)),
            (Scope::Instance | Scope::Project(_) | Scope::User(_) | Scope::Key(_), _) => {}
        }
    }
    all
}

/// The limits of one scope: its own, and the defaults it does not replace.
pub fn collect(all: &mut AllLimits, scope: Scope, own: &[Limit], defaults: &Defaults) {
    let replaced = |default: &&Limit| own.iter().any(|limit| limit.is_like(default));
    let inherited = defaults.of(scope).iter().filter(|default| !replaced(default));
    all.extend(own.iter().chain(inherited).map(|limit| ScopedLimit { scope, limit: *limit }));
}

/// In a team of two or more, what one of them may take of each of the team's token limits.
fn shares<'a>(
    user: Scope,
    team: &'a Owner,
    defaults: &'a Defaults,
) -> impl Iterator<Item = ScopedLimit> + 'a {
    let mut limits = AllLimits::new();
    if team.members >= 2 && defaults.team_share < 100 {
        collect(&mut limits, team.scope, &team.limits, defaults);
    }
    let tokens = limits.into_iter().filter(|scoped| scoped.limit.unit == Unit::Tokens);
    tokens.map(move |scoped| {
        let part = i128::from(scoped.limit.amount).saturating_mul(defaults.team_share.into());
        let amount = i64::try_from(part.div_euclid(100)).unwrap_or(i64::MAX);
        // The same name as the team's limit: it hangs on another scope, so the two never mix.
        ScopedLimit { scope: user, limit: Limit { amount, ..scoped.limit } }
    })
}

/// The id of a default: the same in every run, as long as what it counts is the same.
pub fn default_id(scope_kind: &str, limit: &Limit) -> LimitId {
    let mut text = format!("{scope_kind}/{}/{:?}", limit.unit.name(), limit.window);
    let mut bits: u128 = 0;
    for round in ["a", "b", "c"] {
        text.push_str(round);
        bits = (bits << 32) | u128::from(crc32fast::hash(text.as_bytes()));
    }
    LimitId::new(Timestamp::default(), bits)
}
