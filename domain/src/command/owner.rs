//! What an administrator can do to projects, teams, users and the instance.

use super::{Actor, LimitChange, RulesChange, put};
use crate::id::{LimitId, TeamId};
use crate::plan::Plan;
use crate::refusal::{Code, Refusal};
use crate::scope::{Owner, Scope};
use crate::time::Timestamp;

/// A project, team or user to be made.
#[derive(Clone, Debug)]
pub struct NewOwner {
    /// What it is, and its id.
    pub scope: Scope,
    /// A label for people; for a user, the name it has in the systems around us.
    pub name: String,
    /// The team of a user.
    pub team: Option<TeamId>,
    /// How much may be used below it.
    pub limits: LimitChange,
    /// What may be used below it.
    pub rules: RulesChange,
    /// The plan of a project; what new ones have, where it is not said.
    pub plan: Option<Plan>,
}

impl NewOwner {
    /// The record. `fresh` and the ids after it name its limits.
    ///
    /// # Errors
    /// The actor may not, or its limits make no sense.
    pub fn make(self, actor: Actor, fresh: LimitId, now: Timestamp) -> Result<Owner, Refusal> {
        actor.operates()?;
        let mut owner = Owner::new(self.scope, self.name, now);
        owner.team = self.team;
        put(&mut owner.plan, self.plan.map(Some));
        owner.limits = self.limits.apply(&[], fresh)?;
        self.rules.apply(&mut owner.rules);
        Ok(owner)
    }
}

/// What is to be different about a project, a team, a user or the instance. `None` leaves as it is.
#[derive(Clone, Debug, Default)]
pub struct OwnerChange {
    /// Another label.
    pub name: Option<String>,
    /// Another team for a user, or none.
    pub team: Option<Option<TeamId>>,
    /// Other limits.
    pub limits: LimitChange,
    /// Other rules.
    pub rules: RulesChange,
    /// Another plan for a project.
    pub plan: Option<Plan>,
    /// The revision it was meant for; `None` for whichever there is.
    pub expected: Option<u64>,
}

impl OwnerChange {
    /// Changes `owner`. `fresh` and the ids after it name limits that start anew.
    ///
    /// # Errors
    /// The actor may not, or the change contradicts what is there; then nothing was changed.
    pub fn apply(
        self,
        actor: Actor,
        owner: &mut Owner,
        fresh: LimitId,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        actor.operates()?;
        let limits = self.limits.apply(&owner.limits, fresh)?;
        owner.limits = limits;
        self.rules.apply(&mut owner.rules);
        put(&mut owner.name, self.name);
        put(&mut owner.team, self.team);
        put(&mut owner.plan, self.plan.map(Some));
        owner.updated_at = now;
        owner.revision = owner.revision.saturating_add(1);
        Ok(())
    }
}

impl Actor {
    /// Whether this actor may see and change what stands above keys, and what was charged.
    ///
    /// # Errors
    /// Only the operator may.
    pub fn operates(self) -> Result<(), Refusal> {
        match self {
            Self::Operator | Self::Dashboard => Ok(()),
            Self::Manager(_) | Self::Holder(_) | Self::Anybody => {
                Err(Refusal::new(Code::WrongKeyType, "Only the master key opens this route."))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Slot, SlotChange};
    use crate::id::KeyId;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    fn new() -> NewOwner {
        let rpm = SlotChange { slot: Slot::RequestsPerMinute, amount: Some(Some(7)), window: None };
        NewOwner {
            scope: Scope::Team(TeamId::new(NOW, 1)),
            name: "search".to_owned(),
            team: None,
            limits: LimitChange { all: None, slots: vec![rpm] },
            rules: RulesChange::default(),
            plan: None,
        }
    }

    #[test]
    fn only_the_operator_manages_owners() {
        let id = KeyId::new(NOW, 1);
        let fresh = LimitId::new(NOW, 1);
        let made = new().make(Actor::Operator, fresh, NOW).unwrap();
        assert_eq!((made.limits.len(), made.revision), (1, 1));
        for actor in [Actor::Manager(id), Actor::Holder(id), Actor::Anybody] {
            let no = new().make(actor, fresh, NOW).map(|_| ()).map_err(|no| no.code);
            assert_eq!(no, Err(Code::WrongKeyType), "{actor:?}");
            let mut owner = made.clone();
            let change = OwnerChange { name: Some("other".to_owned()), ..OwnerChange::default() };
            assert!(change.apply(actor, &mut owner, fresh, NOW).is_err(), "{actor:?}");
            assert_eq!(owner, made);
        }
    }
}
