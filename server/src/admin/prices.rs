//! What models cost, and what other names they have: an operator's word goes before the catalogue's.

use std::sync::Arc;

use domain::command::{Actor, SupplyChange};
use domain::supply::{AliasRecord, PriceRecord, Stamp};
use domain::{Model, Place, Supply, Timestamp};

use super::supply::Said;
use super::{Desk, no_such};
use crate::failure::Failure;

/// What a model costs, and who said so.
pub struct ListedPrice {
    pub provider: Arc<str>,
    pub model: Model,
    pub from: Said,
}

/// Another name for a model, and who gave it.
pub struct ListedAlias {
    pub name: String,
    pub model: String,
    pub from: Said,
    pub stamp: Option<Stamp>,
}

/// Which prices.
#[derive(Clone, Debug, Default)]
pub struct PriceQuery {
    /// Only this provider's.
    pub provider: Option<String>,
    /// Only this model's.
    pub model: Option<String>,
    /// Only of models with this in their names.
    pub search: Option<String>,
}

impl Desk {
    /// What the models that are listed cost, by provider and name; and which prices these are.
    ///
    /// # Errors
    /// The actor may not know.
    pub async fn prices(
        &self,
        actor: Actor,
        query: &PriceQuery,
    ) -> Result<(Vec<ListedPrice>, Arc<str>), Failure> {
        actor.operates()?;
        let supply = self.gate.store.supply().await?;
        let models = self.gate.models.load();
        let same = |wanted: &Option<String>, name: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        let search = query.search.as_ref().map(|text| text.to_lowercase());
        let mut listed = Vec::new();
        for provider in models.providers().iter().filter(|one| same(&query.provider, &one.name)) {
            for model in models.priced(provider) {
                let fits =
                    search.as_ref().is_none_or(|text| model.name.to_lowercase().contains(text));
                if fits && same(&query.model, &model.name) {
                    let from = self.who_priced(&supply, &provider.name, &model);
                    listed.push(ListedPrice { provider: Arc::clone(&provider.name), model, from });
                }
            }
        }
        listed.sort_by(|a, b| (&a.provider, &a.model.name).cmp(&(&b.provider, &b.model.name)));
        Ok((listed, Arc::clone(&models.price_version)))
    }

    /// Says what a model costs from now on.
    ///
    /// # Errors
    /// The actor may not, there is no such provider, or the settings say what it costs.
    pub async fn set_price(
        &self,
        actor: Actor,
        price: PriceRecord,
        now: Timestamp,
    ) -> Result<ListedPrice, Failure> {
        let query = PriceQuery {
            provider: Some(price.provider.clone()),
            model: Some(price.model.clone()),
            search: None,
        };
        self.change_supply(actor, SupplyChange::SetPrice(Box::new(price)), now).await?;
        let (found, _) = self.prices(actor, &query).await?;
        let gone = || Failure::internal("a price that was set is not listed");
        found.into_iter().next().ok_or_else(gone)
    }

    /// Lets a model cost what the catalogue says again.
    ///
    /// # Errors
    /// The actor may not, or nothing else was said here.
    pub async fn remove_price(
        &self,
        actor: Actor,
        provider: &str,
        model: &str,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let place = Place::price(provider, model);
        self.change_supply(actor, SupplyChange::RemovePrice(place), now).await
    }

    /// All aliases, by name.
    ///
    /// # Errors
    /// The actor may not know.
    pub async fn aliases(&self, actor: Actor) -> Result<Vec<ListedAlias>, Failure> {
        actor.operates()?;
        let supply = self.gate.store.supply().await?;
        let configured = &self.sources.configured;
        let own = configured.aliases.iter().map(|(name, model)| ListedAlias {
            name: name.clone(),
            model: model.clone(),
            from: Said::Settings,
            stamp: None,
        });
        let hidden = |alias: &&AliasRecord| configured.has(&Place::Alias(alias.name.clone()));
        let added = supply.aliases().filter(|alias| !hidden(alias)).map(|alias| ListedAlias {
            name: alias.name.clone(),
            model: alias.model.clone(),
            from: Said::Store,
            stamp: Some(alias.stamp),
        });
        let mut all: Vec<_> = own.chain(added).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The alias of this name.
    ///
    /// # Errors
    /// The actor may not know, or there is none.
    pub async fn alias(&self, actor: Actor, name: &str) -> Result<ListedAlias, Failure> {
        let found = self.aliases(actor).await?.into_iter().find(|alias| alias.name == name);
        found.ok_or_else(|| no_such("alias").into())
    }

    /// Says what a name stands for from now on.
    ///
    /// # Errors
    /// The actor may not, the settings say what it stands for, or no provider has that model.
    pub async fn set_alias(
        &self,
        actor: Actor,
        name: String,
        model: String,
        now: Timestamp,
    ) -> Result<ListedAlias, Failure> {
        let alias = AliasRecord { name: name.clone(), model, stamp: Stamp::default() };
        self.change_supply(actor, SupplyChange::SetAlias(alias), now).await?;
        self.alias(actor, &name).await
    }

    /// Lets a name stand for nothing else any more.
    ///
    /// # Errors
    /// The actor may not, or there is no such alias here.
    pub async fn remove_alias(
        &self,
        actor: Actor,
        name: &str,
        now: Timestamp,
    ) -> Result<(), Failure> {
        self.change_supply(actor, SupplyChange::RemoveAlias(name.to_owned()), now).await
    }

    fn who_priced(&self, supply: &Supply, provider: &str, model: &Model) -> Said {
        let configured = &self.sources.configured;
        let place = Place::price(provider, &model.name);
        let free_in_settings = configured.provider(provider).map(|provider| provider.free);
        let free_in_store = supply.providers().find(|one| one.name == provider).map(|one| one.free);
        if configured.has(&place) || free_in_settings == Some(true) {
            Said::Settings
        } else if supply.has(&place)
            || free_in_store.filter(|_| free_in_settings.is_none()) == Some(true)
        {
            Said::Store
        } else {
            Said::Catalogue
        }
    }
}
