//! How limits stand, and which limits and rules apply to something: its own, those of everything
//! above it, and the defaults.

use std::sync::Arc;

use domain::command::Actor;
use domain::ledger::{Balance, Now};
use domain::scope::{AllLimits, limits_below};
use domain::{Defaults, KeyId, Limit, Owner, Rules, Scope, ScopedLimit, Span, Timestamp};

use super::Desk;
use crate::failure::Failure;

/// How one limit stands.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    pub limit: Limit,
    /// The turn of its window.
    pub span: Span,
    /// Settled in this turn, in the limit's unit.
    pub spent: i64,
    /// Held by calls that are not over.
    pub held: i64,
}

impl Standing {
    /// What is left, not below nothing.
    pub fn available(&self) -> i64 {
        self.limit.amount.saturating_sub(self.spent).saturating_sub(self.held).max(0)
    }
}

/// Why a limit applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// It was set on this scope.
    Own,
    /// It hangs on every scope of this kind that has none like it.
    Default,
    /// It is a user's share of what their team has.
    TeamShare,
}

/// A limit that applies.
pub struct Found {
    pub scope: Scope,
    /// What people call the scope.
    pub name: String,
    pub from: From,
    pub standing: Standing,
}

/// Rules that apply.
pub struct Layer {
    pub scope: Scope,
    /// What people call the scope.
    pub name: String,
    pub rules: Rules,
}

/// Everything that applies to one thing, the widest scope first.
pub struct Effective {
    pub limits: Vec<Found>,
    pub layers: Vec<Layer>,
}

impl Desk {
    /// How `own` stand, all of which hang on `scope`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn standings(
        &self,
        scope: Scope,
        own: &[Limit],
        at: Timestamp,
    ) -> Result<Vec<Standing>, Failure> {
        let scoped: Vec<_> = own.iter().map(|limit| ScopedLimit { scope, limit: *limit }).collect();
        self.balances(&scoped, at).await
    }

    /// How limits stand that hang on several scopes, those of each together.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn standings_of(
        &self,
        scopes: impl Iterator<Item = (Scope, &[Limit])> + Clone + Send,
        at: Timestamp,
    ) -> Result<Vec<Vec<Standing>>, Failure> {
        let on = |(scope, limits): (Scope, &[Limit])| -> Vec<_> {
            limits.iter().map(|limit| ScopedLimit { scope, limit: *limit }).collect()
        };
        let counts: Vec<_> = scopes.clone().map(|(_, limits)| limits.len()).collect();
        let all: Vec<_> = scopes.flat_map(on).collect();
        let mut standings = self.balances(&all, at).await?.into_iter();
        Ok(counts.into_iter().map(|count| standings.by_ref().take(count).collect()).collect())
    }

    async fn balances(
        &self,
        limits: &[ScopedLimit],
        at: Timestamp,
    ) -> Result<Vec<Standing>, Failure> {
        if limits.is_empty() {
            return Ok(Vec::new());
        }
        let now = Now { wall: at, monotonic: self.gate.clock.monotonic_micros() };
        let balances = self.gate.store.balances(limits, now).await?;
        let standing = |(scoped, balance): (&ScopedLimit, Balance)| Standing {
            limit: scoped.limit,
            span: balance.span,
            spent: balance.spent,
            held: balance.held,
        };
        Ok(limits.iter().zip(balances).map(standing).collect())
    }

    /// What applies to the key `id`.
    ///
    /// # Errors
    /// There is none that `actor` may know of.
    pub async fn effective_on_key(
        &self,
        actor: Actor,
        id: KeyId,
        at: Timestamp,
    ) -> Result<Effective, Failure> {
        let key = Arc::new(self.key(actor, id).await?);
        let lineage = self.gate.store.look_up_lineage(key).await?;
        let limits = lineage.limits(&self.gate.defaults);
        let mut layers: Vec<_> = lineage.owners().map(|owner| Own::of(owner)).collect();
        layers.push(Own {
            scope: Scope::Key(id),
            name: &lineage.key.name,
            rules: &lineage.key.rules,
            limits: &lineage.key.limits,
        });
        self.effective(&layers, &limits, at).await
    }

    /// What applies to the owner `scope`, and so to everything below it.
    ///
    /// # Errors
    /// The actor may not know, or there is none.
    pub async fn effective_on_owner(
        &self,
        actor: Actor,
        scope: Scope,
        at: Timestamp,
    ) -> Result<Effective, Failure> {
        let owner = self.owner(actor, scope).await?;
        let mut owners = Vec::new();
        if scope != Scope::Instance {
            owners.push(self.owner(actor, Scope::Instance).await?);
        }
        if let Some(team) = owner.team {
            owners.push(self.owner(actor, Scope::Team(team)).await?);
        }
        owners.push(owner);
        let limits = limits_below(owners.iter(), &self.gate.defaults);
        let layers: Vec<_> = owners.iter().map(Own::of).collect();
        self.effective(&layers, &limits, at).await
    }

    async fn effective(
        &self,
        layers: &[Own<'_>],
        limits: &AllLimits,
        at: Timestamp,
    ) -> Result<Effective, Failure> {
        let standings = self.balances(limits, at).await?;
        let found = |(scoped, standing): (&ScopedLimit, Standing)| {
            let layer = layers.iter().find(|layer| layer.scope == scoped.scope);
            let own = layer.map_or(&[][..], |layer| layer.limits);
            Found {
                scope: scoped.scope,
                name: layer.map_or_else(String::new, |layer| layer.name.to_owned()),
                from: origin(scoped, own, &self.gate.defaults),
                standing,
            }
        };
        let limits = limits.iter().zip(standings).map(found).collect();
        Ok(Effective { limits, layers: layers.iter().map(Own::layer).collect() })
    }
}

fn origin(scoped: &ScopedLimit, own: &[Limit], defaults: &Defaults) -> From {
    let among = |limits: &[Limit]| limits.iter().any(|limit| limit.id == scoped.limit.id);
    if among(own) {
        From::Own
    } else if among(defaults.of(scoped.scope)) {
        From::Default
    } else {
        From::TeamShare
    }
}

/// What hangs on one scope.
struct Own<'a> {
    scope: Scope,
    name: &'a str,
    rules: &'a Rules,
    limits: &'a [Limit],
}

impl<'a> Own<'a> {
    fn of(owner: &'a Owner) -> Self {
        Self { scope: owner.scope, name: &owner.name, rules: &owner.rules, limits: &owner.limits }
    }

    fn layer(&self) -> Layer {
        Layer { scope: self.scope, name: self.name.to_owned(), rules: self.rules.clone() }
    }
}
