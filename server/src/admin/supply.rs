//! Providers, credentials, prices and aliases: found and changed by the operator while calls go on.
//! Each change is tried out before it is written, and in force for the next call once it is.

use std::sync::Arc;

use domain::command::{Actor, CredentialChange, ProviderChange, SupplyChange};
use domain::supply::{AliasRecord, CredentialRecord, PriceRecord, Stamp};
use domain::{Code, CredentialId, Item, Model, Place, Refusal, Secret, Supply, Timestamp};

use super::{Desk, no_such, not_changed};
use crate::failure::Failure;
use crate::models::{Credential, Models};
use crate::providers::{self, ProviderSettings};
use crate::vault::Vault;

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

/// A provider with what is known about it.
pub struct ListedProvider {
    pub settings: Arc<ProviderSettings>,
    pub from: Said,
    pub credentials: Vec<ListedCredential>,
    /// Why it is not called, where it is not.
    pub sidelined: Option<String>,
    pub stamp: Option<Stamp>,
}

/// A credential without its secret.
pub struct ListedCredential {
    pub id: String,
    pub provider: String,
    pub label: Option<String>,
    pub hint: String,
    pub from: Said,
    pub health: Health,
    pub stamp: Option<Stamp>,
}

/// Whether a credential is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Active,
    /// Its provider refused it: not before this moment, unless all others rest too.
    Resting(Timestamp),
    Disabled,
    /// It was sealed with a key that is not here.
    Unreadable,
}

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

    /// Adds a credential. Its secret is in no answer.
    ///
    /// # Errors
    /// The actor may not, there is no such provider, or no header can carry the secret.
    pub async fn add_credential(
        &self,
        actor: Actor,
        provider: &str,
        (label, secret): (Option<String>, Secret),
        now: Timestamp,
    ) -> Result<ListedCredential, Failure> {
        // There must be one, before a key is made to seal its secrets with.
        self.provider(actor, provider).await?;
        let id = self.gate.ids.credential(now);
        let (sealed, hint) = self.seal(id, &secret).await?;
        let provider = provider.to_owned();
        let stamp = Stamp::default();
        let credential =
            CredentialRecord { id, provider, label, hint, disabled: false, sealed, stamp };
        self.change_supply(actor, SupplyChange::AddCredential(credential), now).await?;
        self.credential(id).await
    }

    /// Changes a credential.
    ///
    /// # Errors
    /// The actor may not, there is none, or no header can carry the new secret.
    pub async fn update_credential(
        &self,
        actor: Actor,
        id: CredentialId,
        mut change: CredentialChange,
        secret: Option<Secret>,
        now: Timestamp,
    ) -> Result<ListedCredential, Failure> {
        actor.operates()?;
        self.credential(id).await?;
        if let Some(secret) = secret {
            change.secret = Some(self.seal(id, &secret).await?);
        }
        self.change_supply(actor, SupplyChange::ChangeCredential(id, change), now).await?;
        self.credential(id).await
    }

    /// Takes a credential away.
    ///
    /// # Errors
    /// The actor may not, or there is none.
    pub async fn remove_credential(
        &self,
        actor: Actor,
        id: CredentialId,
        now: Timestamp,
    ) -> Result<(), Failure> {
        self.change_supply(actor, SupplyChange::RemoveCredential(id), now).await
    }

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
        self.change_supply(actor, SupplyChange::SetPrice(price), now).await?;
        let (found, _) = self.prices(actor, &query).await?;
        let unused =
            || Refusal::new(Code::Conflict, "The price is kept, but its provider is not used now.");
        found.into_iter().next().ok_or_else(|| unused().into())
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

    /// Makes a change and puts it in force. What could not be put together is not written.
    async fn change_supply(
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
            still_mean_something(supply, &models, &before, touched.as_ref())?;
            Ok::<_, Refusal>(models)
        };
        let changed = self.gate.store.update_supply(apply, actor.name(), now).await;
        let models = changed.map_err(|no| not_changed(no, no_such("record")))?;
        self.gate.models.store(Arc::new(models));
        Ok(())
    }

    /// Seals a secret, with a key that is made where there is none yet; and the end of it.
    async fn seal(&self, id: CredentialId, secret: &Secret) -> Result<(Vec<u8>, String), Failure> {
        const BYTES_MAX: usize = 8_192;
        let text = secret.expose();
        if !(1..=BYTES_MAX).contains(&text.len())
            || !text.bytes().all(|byte| byte.is_ascii_graphic())
        {
            let message = "A provider's secret is 1 to 8192 visible ASCII characters.";
            return Err(Refusal::new(Code::InvalidValue, message).about("secret").into());
        }
        let _alone = self.sources.changing.lock().await;
        if self.sources.vault.lock().is_empty() {
            let key = Vault::make_key(&*self.entropy);
            let kept = Secret::new(key.expose().to_owned());
            self.gate.store.keep_credential_key(kept).await?;
            self.sources.vault.lock().add(&key).map_err(|_| Failure::internal("no key"))?;
        }
        let sealed = self.sources.vault.lock().seal(id, secret, &*self.entropy);
        let sealed = sealed.ok_or_else(|| Failure::internal("a secret could not be sealed"))?;
        Ok((sealed, secret.mask().hint().to_owned()))
    }

    async fn credential(&self, id: CredentialId) -> Result<ListedCredential, Failure> {
        let supply = self.gate.store.supply().await?;
        let found = supply.credential(id).ok_or_else(|| no_such("credential"))?;
        Ok(self.listed(found, &self.gate.models.load()))
    }

    fn credentials_of(
        &self,
        supply: &Supply,
        models: &Models,
        provider: &ProviderSettings,
    ) -> Vec<ListedCredential> {
        let own = provider.credentials.iter().map(|credential| {
            let used = models.provider(&provider.name).and_then(|p| p.credential(&credential.name));
            ListedCredential {
                id: credential.name.clone(),
                provider: provider.name.clone(),
                label: None,
                hint: credential.secret.mask().hint().to_owned(),
                from: Said::Settings,
                health: used.map_or(Health::Active, |used| self.health(used)),
                stamp: None,
            }
        });
        let added = supply.credentials().filter(|one| one.provider == provider.name);
        own.chain(added.map(|credential| self.listed(credential, models))).collect()
    }

    fn listed(&self, credential: &CredentialRecord, models: &Models) -> ListedCredential {
        let id = credential.id.to_string();
        let used = models.provider(&credential.provider).and_then(|p| p.credential(&id));
        let health = if credential.disabled {
            Health::Disabled
        } else if self.sources.vault.lock().open(credential).is_none() {
            Health::Unreadable
        } else {
            used.map_or(Health::Active, |used| self.health(used))
        };
        ListedCredential {
            id,
            provider: credential.provider.clone(),
            label: credential.label.clone(),
            hint: credential.hint.clone(),
            from: Said::Store,
            health,
            stamp: Some(credential.stamp),
        }
    }

    fn health(&self, credential: &Credential) -> Health {
        let now = self.gate.moment();
        credential.rests_for(now.monotonic).map_or(Health::Active, |micros| {
            let micros = i64::try_from(micros).unwrap_or(i64::MAX);
            Health::Resting(Timestamp::from_micros(now.wall.micros().saturating_add(micros)))
        })
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
            return Err(Refusal::new(Code::InvalidValue, message).about("model"));
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
