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
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::rule::Rules;
use crate::secret::Digest;
use crate::time::Timestamp;
use crate::window::Window;

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
    /// How many keys a project may have; `None` for everything else.
    pub plan: Option<Plan>,
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
        let plan = match scope {
            // Where keys belong that nobody put anywhere: no plan stands in their way.
            Scope::Project(ProjectId::DEFAULT) => Some(Plan::Enterprise),
            Scope::Project(_) => Some(Plan::Free),
            Scope::Instance | Scope::Team(_) | Scope::User(_) | Scope::Key(_) => None,
        };
        Self {
            scope,
            name: name.into(),
            team: None,
            plan,
            members: 0,
            rules: Rules::default(),
            limits: Vec::new(),
            created_at: now,
            updated_at: now,
            revision: 1,
        }
    }
}

impl Owner {
    /// How many keys a project may have. One from before there were plans may have any number.
    pub fn plan(&self) -> Plan {
        self.plan.unwrap_or(Plan::Enterprise)
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
    /// The longest rolling window among them, in seconds.
    pub fn longest_rolling(&self) -> u32 {
        let all = [&self.instance, &self.project, &self.team, &self.user, &self.key];
        let seconds = |limit: &Limit| match limit.window {
            Window::Rolling { seconds } => seconds,
            Window::Lifetime | Window::Calendar { .. } | Window::Anchored { .. } => 0,
        };
        all.into_iter().flatten().map(seconds).max().unwrap_or(0)
    }

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
pub type AllLimits = SmallVec<[ScopedLimit; 4]>;

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
    /// Whoever sent the secret with this digest says who they are at `now`, on a route for keys of
    /// `kind`.
    ///
    /// # Errors
    /// The key is not alive, or not of that kind, or another secret took this one's place.
    pub fn identify(
        self,
        secret: &Digest,
        kind: KeyKind,
        now: Timestamp,
    ) -> Result<Caller, Refusal> {
        let key = Arc::clone(&self.key);
        let caller = self.identify_itself(kind, now)?;
        key.open(secret, now)?;
        Ok(caller)
    }

    /// The same for a key that is asked about without a secret.
    ///
    /// # Errors
    /// The key is not alive, or not of that kind.
    pub fn identify_itself(self, kind: KeyKind, now: Timestamp) -> Result<Caller, Refusal> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyState;
    use crate::limit::Enforcement;
    use crate::window::{Period, Window};

    const NOW: Timestamp = Timestamp::from_seconds(1_000);
    const MINUTE: Window = Window::Rolling { seconds: 60 };
    const DAY: Window = Window::utc(Period::Day);

    fn limit(number: u128, unit: Unit, amount: i64, window: Window) -> Limit {
        let id = LimitId::new(NOW, number);
        Limit { id, unit, amount, window, enforcement: Enforcement::Hard }
    }

    fn owner(scope: Scope, members: u32, limits: &[Limit]) -> Arc<Owner> {
        Arc::new(Owner { members, limits: limits.to_vec(), ..Owner::new(scope, "o", NOW) })
    }

    /// A key of a user in a team of `members`, with limits of the team, the user and the key.
    fn lineage(members: u32, team: &[Limit], user: &[Limit], own: &[Limit]) -> Lineage {
        let (team_id, user_id) = (TeamId::new(NOW, 1), UserId::new(NOW, 2));
        let key = Key {
            id: KeyId::new(NOW, 3),
            kind: KeyKind::Regular,
            name: "k".to_owned(),
            maker: None,
            project: ProjectId::DEFAULT,
            user: Some(user_id),
            team: None,
            secrets: Vec::new(),
            listed: false,
            metadata: std::collections::BTreeMap::new(),
            rules: Rules::default(),
            limits: own.to_vec(),
            state: KeyState::Active,
            expires_at: None,
            created_at: NOW,
            updated_at: NOW,
            revision: 1,
        };
        Lineage {
            instance: owner(Scope::Instance, 0, &[]),
            project: owner(Scope::Project(ProjectId::DEFAULT), 0, &[]),
            team: Some(owner(Scope::Team(team_id), members, team)),
            user: Some(owner(Scope::User(user_id), 0, user)),
            key: Arc::new(key),
        }
    }

    fn of(lineage: &Lineage, defaults: &Defaults, kind: &str) -> Vec<Limit> {
        let all = lineage.limits(defaults);
        let own = all.iter().filter(|scoped| scoped.scope.kind() == kind);
        own.map(|scoped| scoped.limit).collect()
    }

    #[test]
    fn a_user_may_take_a_share_of_the_teams_tokens() {
        let tpm = limit(1, Unit::Tokens, 1_001, MINUTE);
        let daily = limit(2, Unit::Tokens, 50, DAY);
        let team =
            [tpm, limit(3, Unit::Money, 70, DAY), limit(4, Unit::Requests, 9, MINUTE), daily];
        let defaults = Defaults { team_share: 80, ..Defaults::default() };
        let shared = [Limit { amount: 800, ..tpm }, Limit { amount: 40, ..daily }];
        assert_eq!(of(&lineage(2, &team, &[], &[]), &defaults, "user"), shared);
        assert_eq!(of(&lineage(40, &team, &[], &[]), &defaults, "user"), shared);
        assert_eq!(of(&lineage(2, &team, &[], &[]), &defaults, "team"), team);
        // Alone, all of it is theirs; and where a share is the whole, it says nothing.
        assert_eq!(of(&lineage(1, &team, &[], &[]), &defaults, "user"), []);
        let all = Defaults { team_share: 100, ..Defaults::default() };
        assert_eq!(of(&lineage(2, &team, &[], &[]), &all, "user"), []);
        // The user's own limits stay beside it, side by side.
        let own = limit(5, Unit::Tokens, 900, MINUTE);
        let both = [own, shared[0], shared[1]];
        assert_eq!(of(&lineage(2, &team, &[own], &[]), &defaults, "user"), both);
        // So it is with limits that the team has by default, and with the largest.
        let largest = Limit { amount: i64::MAX, ..tpm };
        let defaults = Defaults { team: vec![largest], team_share: 80, ..Defaults::default() };
        let part = Limit { amount: i64::MAX / 100 * 80 + 5, ..tpm };
        assert_eq!(of(&lineage(2, &[], &[], &[]), &defaults, "user"), [part]);
    }

    #[test]
    fn an_own_limit_replaces_the_default_of_its_unit_and_window() {
        let tpm = |number, amount| limit(number, Unit::Tokens, amount, MINUTE);
        let rpm = |number, amount| limit(number, Unit::Requests, amount, MINUTE);
        let daily = limit(3, Unit::Tokens, 7, DAY);
        let parallel = limit(4, Unit::InFlight, 5, Window::Lifetime);
        let key = vec![tpm(1, 100), rpm(2, 10), daily, parallel];
        let defaults = Defaults { key, user: vec![rpm(8, 3)], ..Defaults::default() };
        assert_eq!(of(&lineage(0, &[], &[], &[]), &defaults, "key"), defaults.key);
        let own = [tpm(9, 1_000)];
        let limits = [own[0], rpm(2, 10), daily, parallel];
        assert_eq!(of(&lineage(0, &[], &[], &own), &defaults, "key"), limits);
        // Calls in flight have no window that could differ.
        let own = [limit(9, Unit::InFlight, 50, DAY), tpm(10, 0)];
        let limits = [own[0], own[1], rpm(2, 10), daily];
        assert_eq!(of(&lineage(0, &[], &[], &own), &defaults, "key"), limits);
        // What the key has of its own takes nothing from the user.
        assert_eq!(of(&lineage(0, &[], &[], &[rpm(9, 1)]), &defaults, "user"), [rpm(8, 3)]);
    }

    #[test]
    fn the_limits_of_one_scope_stand_side_by_side() {
        let team = [limit(1, Unit::Tokens, 10, MINUTE)];
        let one = |number| vec![limit(number, Unit::Requests, 5, MINUTE)];
        let defaults = Defaults {
            instance: one(2),
            project: one(3),
            team: one(4),
            user: one(5),
            key: one(6),
            team_share: 50,
        };
        let all = lineage(2, &team, &team, &team).limits(&defaults);
        let kinds: Vec<&str> = all.iter().map(|scoped| scoped.scope.kind()).collect();
        let expected =
            ["instance", "project", "team", "team", "user", "user", "user", "key", "key"];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn a_default_has_the_same_name_as_long_as_it_counts_the_same() {
        let tpm = limit(1, Unit::Tokens, 10, MINUTE);
        let id = default_id("key", &tpm);
        assert_eq!(default_id("key", &Limit { amount: 99, ..tpm }), id);
        assert_ne!(default_id("user", &tpm), id);
        assert_ne!(default_id("key", &Limit { window: DAY, ..tpm }), id);
        assert_ne!(default_id("key", &Limit { unit: Unit::Requests, ..tpm }), id);
    }
}
