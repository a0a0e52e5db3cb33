//! A change of what can be called, made while calls go on: tried out before it is written, and in
//! force for the next call once it is.

use std::sync::Arc;

use domain::command::{Actor, SupplyChange};
use domain::{Code, Item, Place, Refusal, Supply, Timestamp};

use super::{Desk, by, no_such, not_changed};
use crate::failure::Failure;
use crate::models::Models;
use crate::providers;

/// Who said something about what can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The price catalogue that is built in.
    Catalogue,
    /// `weir.toml` or the environment.
    Settings,
    /// An administrator, over the admin API.
    Store,
}

impl Said {
    /// As JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Catalogue => "catalogue",
            Self::Settings => "settings",
            Self::Store => "store",
        }
    }
}

impl Desk {
    /// Makes a change and puts it in force. What could not be put together is not written.
    pub(super) async fn change_supply(
        &self,
        actor: Actor,
        change: SupplyChange,
        now: Timestamp,
    ) -> Result<(), Failure> {
        actor.operates()?;
        let _alone = self.sources.changing.lock().await;
        let (gate, sources) = (Arc::clone(&self.gate), Arc::clone(&self.sources));
        let apply = move |supply: &mut Supply| {
            let touched = place_of(&change);
            let priced = match &change {
                SupplyChange::SetPrice(price) => Some(price.provider.clone()),
                _ => None,
            };
            change.apply(actor, supply, |place| sources.configured.has(place))?;
            if let Some(Item::Provider(provider)) = touched.as_ref().and_then(|at| supply.get(at)) {
                let private = sources.configured.private_destinations;
                let checked = providers::check(provider.clone(), private)?;
                supply.put(Item::Provider(checked));
            }
            let before = gate.models.load_full();
            let vault = sources.vault.lock();
            let models = Models::build(&sources.configured, supply, &vault, Some(&before))
                .map_err(|bad| Refusal::new(Code::Conflict, bad.0))?;
            if priced.is_some_and(|name| models.providers().iter().all(|one| *one.name != *name)) {
                let message = "Its provider is not called now: say what it costs once it is.";
                return Err(Refusal::new(Code::Conflict, message));
            }
            still_mean_something(supply, &models, &before, touched.as_ref())?;
            Ok::<_, Refusal>(models)
        };
        let changed = self.gate.store.update_supply(apply, by(actor, now)).await;
        let models = changed.map_err(|no| not_changed(no, no_such("record")))?;
        self.gate.models.store(Arc::new(models));
        Ok(())
    }
}

/// The record that a change makes or changes, where it is one that can be wrong by itself.
fn place_of(change: &SupplyChange) -> Option<Place> {
    match change {
        SupplyChange::AddProvider(provider) => Some(Place::Provider(provider.name.clone())),
        SupplyChange::ChangeProvider(name, _) => Some(Place::Provider(name.clone())),
        SupplyChange::SetAlias(alias) => Some(Place::Alias(alias.name.clone())),
        SupplyChange::RemoveProvider(_)
        | SupplyChange::AddCredential(_)
        | SupplyChange::ChangeCredential(..)
        | SupplyChange::RemoveCredential(_)
        | SupplyChange::SetPrice(_)
        | SupplyChange::RemovePrice(_)
        | SupplyChange::RemoveAlias(_) => None,
    }
}

/// No alias may lose what it stands for by a change, nor begin without.
fn still_mean_something(
    supply: &Supply,
    models: &Models,
    before: &Models,
    touched: Option<&Place>,
) -> Result<(), Refusal> {
    for alias in supply.aliases().filter(|alias| models.is_dangling(&alias.name)) {
        let (name, model) = (&alias.name, &alias.model);
        if touched == Some(&Place::Alias(name.clone())) {
            let message = format!(
                "'{model}' is no model of a provider here. An alias stands for a model, not for another alias."
            );
            return Err(Refusal::new(Code::ModelNotFound, message).about("model"));
        }
        if !before.is_dangling(name) {
            let message = format!(
                "The alias '{name}' stands for '{model}' and would stand for nothing: change it first."
            );
            return Err(Refusal::new(Code::Conflict, message));
        }
    }
    Ok(())
}
