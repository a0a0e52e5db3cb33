//! Providers: found and changed by the operator.

use std::sync::Arc;

use domain::Timestamp;
use domain::command::{Actor, ProviderChange, SupplyChange};
use domain::supply::Stamp;

use super::credentials::ListedCredential;
use super::supply::Said;
use super::{Desk, no_such};
use crate::failure::Failure;
use crate::providers::{self, ProviderSettings};

/// A provider with what is known about it.
pub struct ListedProvider {
    pub settings: Arc<ProviderSettings>,
    pub from: Said,
    pub credentials: Vec<ListedCredential>,
    /// Why it is not called, where it is not.
    pub sidelined: Option<String>,
    pub stamp: Option<Stamp>,
}

impl Desk {
    /// All providers: those of the settings, then those of the store.
    ///
    /// # Errors
    /// The actor may not know.
    pub async fn providers(&self, actor: Actor) -> Result<Vec<ListedProvider>, Failure> {
        actor.operates()?;
        let supply = self.gate.store.supply().await?;
        let models = self.gate.models.load();
        let configured = &self.sources.configured;
        let own = configured.providers.iter().map(|settings| ListedProvider {
            settings: Arc::clone(settings),
            from: Said::Settings,
            credentials: self.credentials_of(&supply, &models, settings),
            sidelined: models
                .provider(&settings.name)
                .is_none()
                .then(|| "The demo steps aside while there is another provider.".to_owned()),
            stamp: None,
        });
        let added = supply.providers().map(|provider| {
            let settings = Arc::new(providers::settings(provider));
            ListedProvider {
                credentials: self.credentials_of(&supply, &models, &settings),
                settings,
                from: Said::Store,
                sidelined: configured.sidelined(provider),
                stamp: Some(provider.stamp),
            }
        });
        // What stands in the settings hides what the store has under the same name.
        let visible = added.filter(|added| configured.provider(&added.settings.name).is_none());
        Ok(own.chain(visible).collect())
    }

    /// The provider of this name.
    ///
    /// # Errors
    /// The actor may not know, or there is none.
    pub async fn provider(&self, actor: Actor, name: &str) -> Result<ListedProvider, Failure> {
        let found = self.providers(actor).await?.into_iter();
        let found = found.into_iter().find(|provider| provider.settings.name == name);
        found.ok_or_else(|| no_such("provider").into())
    }

    /// Adds a provider.
    ///
    /// # Errors
    /// The actor may not, there is one of this name, or nobody may call where it is.
    pub async fn add_provider(
        &self,
        actor: Actor,
        name: String,
        said: ProviderChange,
        now: Timestamp,
    ) -> Result<ListedProvider, Failure> {
        actor.operates()?;
        let provider = providers::make(name.clone(), said)?;
        self.change_supply(actor, SupplyChange::AddProvider(provider), now).await?;
        self.provider(actor, &name).await
    }

    /// Changes a provider.
    ///
    /// # Errors
    /// The actor may not, it stands in the settings, or nobody may call where it would be.
    pub async fn update_provider(
        &self,
        actor: Actor,
        name: &str,
        change: ProviderChange,
        now: Timestamp,
    ) -> Result<ListedProvider, Failure> {
        actor.operates()?;
        let change = SupplyChange::ChangeProvider(name.to_owned(), change);
        self.change_supply(actor, change, now).await?;
        self.provider(actor, name).await
    }

    /// Takes a provider away, with its credentials and prices.
    ///
    /// # Errors
    /// The actor may not, it stands in the settings, or an alias would stand for nothing.
    pub async fn remove_provider(
        &self,
        actor: Actor,
        name: &str,
        now: Timestamp,
    ) -> Result<(), Failure> {
        self.change_supply(actor, SupplyChange::RemoveProvider(name.to_owned()), now).await
    }
}
