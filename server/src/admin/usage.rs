//! Questions about what was used: who may know what, and who leads. The numbers are the ledger's.

use std::collections::HashMap;

use domain::command::Actor;
use domain::{Key, KeyId, Period, Scope, Timestamp, Window};
use store::{Group, Order, UsageQuery, UsageReport, UsageSum};

use super::Desk;
use crate::failure::Failure;

/// Who used the most.
#[derive(Clone, Copy, Debug)]
pub struct Leading {
    /// Of what.
    pub of: Group,
    /// Of which measure.
    pub by: Order,
    /// In the present turn of this period, in UTC; `None` for ever.
    pub period: Option<Period>,
    /// How many at most.
    pub most: usize,
}

/// Who leads.
pub struct Leaders {
    /// Since when.
    pub from: Option<Timestamp>,
    /// The sums, the greatest first, and the total of everybody's.
    pub report: UsageReport,
    /// What people call them, in the same order.
    pub names: Vec<Option<String>>,
}

impl Desk {
    /// Sums, as far as `actor` may know: of the keys that a management key made, or of all.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn usage(&self, actor: Actor, mut query: UsageQuery) -> Result<UsageReport, Failure> {
        if let Actor::Manager(id) = actor {
            query.maker = Some(id);
        }
        Ok(self.gate.store.usage(query).await?)
    }

    /// Who used the most, as far as `actor` may know. Keys of no user are nobody's among users.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn leaders(
        &self,
        actor: Actor,
        leading: Leading,
        now: Timestamp,
    ) -> Result<Leaders, Failure> {
        let from = leading.period.map(|period| Window::utc(period).span(now).start);
        let query = UsageQuery {
            from,
            group: vec![leading.of],
            owned: true,
            order: leading.by,
            most: leading.most,
            ..UsageQuery::default()
        };
        let report = self.usage(actor, query).await?;
        let mut names = Vec::with_capacity(report.sums.len());
        for sum in &report.sums {
            names.push(self.name_of(actor, sum).await?);
        }
        Ok(Leaders { from, report, names })
    }

    async fn name_of(&self, actor: Actor, sum: &UsageSum) -> Result<Option<String>, Failure> {
        if let Some(key) = sum.key {
            return Ok(self.gate.store.key(key).await?.map(|key| key.name));
        }
        let scope = sum.user.map(Scope::User).or(sum.team.map(Scope::Team));
        match scope.or(sum.project.map(Scope::Project)) {
            // What stands above keys, only the operator knows.
            Some(scope) if actor == Actor::Operator => {
                Ok(self.gate.store.owner(scope).await?.map(|owner| owner.name))
            }
            Some(_) => Ok(None),
            None => Ok(sum.model.clone().or_else(|| sum.provider.clone())),
        }
    }

    /// When the newest calls of `keys` began, of those that have called.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn last_used(&self, keys: &[Key]) -> Result<HashMap<KeyId, Timestamp>, Failure> {
        let keys = keys.iter().map(|key| key.id).collect();
        Ok(self.gate.store.last_used(keys).await?)
    }
}
