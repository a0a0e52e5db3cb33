//! Projects, teams, users and the instance: made, found and changed by the operator.

use domain::command::{Actor, NewOwner, OwnerChange};
use domain::id::Ulid;
use domain::{Code, Owner, ProjectId, Refusal, Scope, TeamId, Timestamp, UserId};
use store::{Fault, OwnerQuery};

use super::{Desk, act, not_changed};
use crate::failure::Failure;

/// What there can be many of above a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerKind {
    Project,
    Team,
    User,
}

impl OwnerKind {
    /// As scopes name it.
    pub fn name(self) -> &'static str {
        self.scope(Ulid::from_bits(0)).kind()
    }

    /// The one of this kind with this number.
    pub fn scope(self, ulid: Ulid) -> Scope {
        match self {
            Self::Project => Scope::Project(ProjectId::from_ulid(ulid)),
            Self::Team => Scope::Team(TeamId::from_ulid(ulid)),
            Self::User => Scope::User(UserId::from_ulid(ulid)),
        }
    }

    /// The one with this id.
    pub fn parse(self, id: &str) -> Option<Scope> {
        match self {
            Self::Project => id.parse().ok().map(Scope::Project),
            Self::Team => id.parse().ok().map(Scope::Team),
            Self::User => id.parse().ok().map(Scope::User),
        }
    }
}

impl Desk {
    /// A name for a new owner.
    pub fn new_scope(&self, kind: OwnerKind, now: Timestamp) -> Scope {
        match kind {
            OwnerKind::Project => Scope::Project(self.gate.ids.project(now)),
            OwnerKind::Team => Scope::Team(self.gate.ids.team(now)),
            OwnerKind::User => Scope::User(self.gate.ids.user(now)),
        }
    }

    /// Makes a project, a team or a user. With `force`, its rules may name what nobody knows.
    ///
    /// # Errors
    /// The actor may not, its members make no sense, or there is a user of this name.
    pub async fn create_owner(
        &self,
        actor: Actor,
        new: NewOwner,
        force: bool,
        now: Timestamp,
    ) -> Result<Owner, Failure> {
        actor.operates()?;
        if !force {
            self.check_changed_names(&new.rules)?;
        }
        if let Some(team) = new.team {
            self.referred(Scope::Team(team), "team_id").await?;
        }
        let owner = new.make(actor, self.gate.ids.limit(now), now)?;
        let action = match owner.scope {
            Scope::Project(_) => "project.create",
            Scope::Team(_) => "team.create",
            Scope::User(_) => "user.create",
            Scope::Instance | Scope::Key(_) => {
                return Err(Failure::internal("an owner that nobody can make"));
            }
        };
        let act = act(actor, action, &owner.scope, now);
        match self.gate.store.insert_owner(owner.clone(), act).await {
            Ok(()) => Ok(owner),
            Err(Fault::Taken) => Err(taken().into()),
            Err(fault) => Err(fault.into()),
        }
    }

    /// The owner `scope`.
    ///
    /// # Errors
    /// The actor may not know, or there is none.
    pub async fn owner(&self, actor: Actor, scope: Scope) -> Result<Owner, Failure> {
        actor.operates()?;
        self.gate.store.owner(scope).await?.ok_or_else(|| no_such(scope.kind()).into())
    }

    /// How many keys count against the plan of each of `owners`; 0 for what is no project.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn keys_used(&self, owners: &[Owner]) -> Result<Vec<u64>, Failure> {
        let project = |owner: &Owner| match owner.scope {
            Scope::Project(id) => Some(id),
            Scope::Instance | Scope::Team(_) | Scope::User(_) | Scope::Key(_) => None,
        };
        let projects: Vec<_> = owners.iter().filter_map(project).collect();
        if projects.is_empty() {
            return Ok(vec![0; owners.len()]);
        }
        let mut counts = self.gate.store.count_project_keys(projects).await?.into_iter();
        let used = |owner| project(owner).and_then(|_| counts.next()).unwrap_or(0);
        Ok(owners.iter().map(used).collect())
    }

    /// A page of owners.
    ///
    /// # Errors
    /// The actor may not know.
    pub async fn owners(&self, actor: Actor, query: OwnerQuery) -> Result<Vec<Owner>, Failure> {
        actor.operates()?;
        Ok(self.gate.store.owners(query).await?)
    }

    /// Changes the owner `scope`. With `force`, its rules may name what nobody knows.
    ///
    /// # Errors
    /// The actor may not, there is none, or the change makes no sense.
    pub async fn update_owner(
        &self,
        actor: Actor,
        scope: Scope,
        change: OwnerChange,
        force: bool,
        now: Timestamp,
    ) -> Result<Owner, Failure> {
        self.owner(actor, scope).await?;
        if !force {
            self.check_changed_names(&change.rules)?;
        }
        if let Some(Some(team)) = change.team {
            self.referred(Scope::Team(team), "team_id").await?;
        }
        let action = match scope {
            Scope::Instance => "instance.update",
            Scope::Project(_) => "project.update",
            Scope::Team(_) => "team.update",
            Scope::User(_) => "user.update",
            Scope::Key(_) => return Err(Failure::internal("a key is no owner")),
        };
        let expected = change.expected;
        let fresh = self.gate.ids.limit(now);
        let apply = move |owner: &mut Owner| change.apply(actor, owner, fresh, now);
        let act = act(actor, action, &scope, now);
        match self.gate.store.update_owner(scope, expected, apply, act).await {
            Ok((_, after)) => Ok(after),
            Err(store::NotChanged::Fault(Fault::Taken)) => Err(taken().into()),
            Err(no) => Err(not_changed(no, no_such(scope.kind()))),
        }
    }

    /// The owner that the member `name` of a body refers to.
    pub(super) async fn referred(&self, scope: Scope, name: &str) -> Result<Owner, Failure> {
        self.gate.store.owner(scope).await?.ok_or_else(|| {
            let message = format!("There is no such {}.", scope.kind());
            Refusal::new(Code::NotFound, message).about(name).into()
        })
    }
}

fn taken() -> Refusal {
    Refusal::new(Code::Conflict, "There is a user with this external_id already.")
        .about("external_id")
}

/// What a wrong id is answered with.
pub fn no_such(kind: &str) -> Refusal {
    Refusal::new(Code::NotFound, format!("There is no such {kind}."))
}
