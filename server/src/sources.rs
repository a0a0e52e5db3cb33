//! What can be called, put together: what the settings say and what the store holds beside it. It is
//! put together at the start and after each administrative change; calls only ever see the result.

use std::sync::Arc;

use domain::supply::ProviderRecord;
use domain::{Place, Refusal, Supply};
use parking_lot::Mutex;

use crate::config::Config;
use crate::models::Models;
use crate::prices::OverrideSetting;
use crate::providers::{self, DEMO, ProviderSettings};
use crate::vault::Vault;

/// What the settings say. It goes before what the store holds.
#[derive(Debug, Default)]
pub struct Configured {
    pub providers: Vec<Arc<ProviderSettings>>,
    pub aliases: Vec<(String, String)>,
    pub prices: Vec<OverrideSetting>,
    pub default_provider: Option<String>,
    /// Whether the demo is there only while no other provider is.
    pub demo_steps_aside: bool,
    /// Whether providers of the store may be on this machine or in private networks.
    pub private_destinations: bool,
}

impl Configured {
    /// Takes it out of the settings.
    pub fn take(config: &mut Config) -> Self {
        Self {
            providers: config.providers.drain(..).map(Arc::new).collect(),
            aliases: std::mem::take(&mut config.aliases),
            prices: std::mem::take(&mut config.prices),
            default_provider: config.default_provider.take(),
            demo_steps_aside: config.demo_steps_aside,
            private_destinations: config.private_destinations,
        }
    }

    /// The provider of this name.
    pub fn provider(&self, name: &str) -> Option<&Arc<ProviderSettings>> {
        self.providers.iter().find(|provider| provider.name == name)
    }

    /// Whether the settings say something about `place`.
    pub fn has(&self, place: &Place) -> bool {
        match place {
            Place::Provider(name) => self.provider(name).is_some(),
            Place::Credential(_) => false,
            Place::Price(..) => self
                .prices
                .iter()
                .any(|price| Place::price(&price.provider, &price.model) == *place),
            Place::Alias(name) => self.aliases.iter().any(|(alias, _)| alias == name),
        }
    }

    /// Why a provider of the store is not called, where it is not.
    pub fn sidelined(&self, provider: &ProviderRecord) -> Option<String> {
        if self.provider(&provider.name).is_some() {
            return Some("The settings have a provider of this name, which goes first.".to_owned());
        }
        let checked = providers::check(provider.clone(), self.private_destinations);
        checked.err().map(|no: Refusal| no.message)
    }

    /// All providers that can be called: those of the settings in their order, then those of the
    /// store by name.
    pub fn with(&self, supply: &Supply) -> Vec<Arc<ProviderSettings>> {
        let added = supply.providers().filter(|provider| self.sidelined(provider).is_none());
        let added: Vec<_> = added.map(providers::settings).map(Arc::new).collect();
        let demo_goes = self.demo_steps_aside && !added.is_empty();
        let own = self.providers.iter().filter(|provider| !(demo_goes && provider.name == DEMO));
        own.cloned().chain(added).collect()
    }
}

/// Everything that is needed to put it together anew.
pub struct Sources {
    pub configured: Configured,
    pub vault: Mutex<Vault>,
    /// Held while something is changed and put in force, so that the last change is the one that
    /// counts.
    pub changing: tokio::sync::Mutex<()>,
}

/// Tells the log what the store holds and cannot be used, once, at the start.
pub fn tell(configured: &Configured, supply: &Supply, vault: &Vault, models: &Models) {
    for provider in supply.providers() {
        if let Some(why) = configured.sidelined(provider) {
            tracing::warn!(provider = %provider.name, %why, "a provider of the store is not used");
        }
    }
    let sealed = supply.credentials().filter(|credential| vault.open(credential).is_none());
    let count = sealed.count();
    if count > 0 {
        tracing::error!(
            count,
            "credentials cannot be read: they were sealed with another key than WEIR_ENCRYPTION_KEY or credential.key has. Start with that key, or give each its secret anew"
        );
    }
    for alias in supply.aliases().filter(|alias| models.is_dangling(&alias.name)) {
        tracing::warn!(alias = %alias.name, model = %alias.model, "an alias stands for nothing that can be called");
    }
}
