//! What an administrator can do to providers, credentials, prices and aliases.

use super::{Actor, put};
use crate::id::CredentialId;
use crate::refusal::{Code, Refusal};
use crate::rule::Pattern;
use crate::supply::{
    AliasRecord, CredentialRecord, Item, OnHangup, Place, PriceRecord, ProviderKind,
    ProviderRecord, Supply,
};

/// One change.
#[derive(Clone, Debug)]
pub enum SupplyChange {
    /// Another provider.
    AddProvider(ProviderRecord),
    /// A provider is different.
    ChangeProvider(String, ProviderChange),
    /// A provider is no more; nor are its credentials and prices.
    RemoveProvider(String),
    /// Another credential.
    AddCredential(CredentialRecord),
    /// A credential is different.
    ChangeCredential(CredentialId, CredentialChange),
    /// A credential is no more.
    RemoveCredential(CredentialId),
    /// What a model costs from now on.
    SetPrice(Box<PriceRecord>),
    /// A model costs what the catalogue says again.
    RemovePrice(Place),
    /// What a name stands for from now on.
    SetAlias(AliasRecord),
    /// A name stands for nothing else any more.
    RemoveAlias(String),
}

/// What is to be different about a provider. `None` leaves as it is.
#[derive(Clone, Debug, Default)]
pub struct ProviderChange {
    /// Another API.
    pub kind: Option<ProviderKind>,
    /// Another place.
    pub base_url: Option<String>,
    /// Other names that go to it.
    pub models: Option<Vec<Pattern>>,
    /// Other prices.
    pub catalogue: Option<String>,
    /// Free or not.
    pub free: Option<bool>,
    /// After a client hangs up.
    pub on_hangup: Option<OnHangup>,
    /// Whether it accepts `stream_options`.
    pub stream_options: Option<bool>,
}

/// What is to be different about a credential. `None` leaves as it is.
#[derive(Clone, Debug, Default)]
pub struct CredentialChange {
    /// Another label, or none.
    pub label: Option<Option<String>>,
    /// Another secret, sealed, and the end of it.
    pub secret: Option<(Vec<u8>, String)>,
    /// Switched off or on.
    pub disabled: Option<bool>,
}

impl SupplyChange {
    /// Changes `supply`. `in_settings` says what stands in the settings, which goes first and is
    /// not to be changed here.
    ///
    /// # Errors
    /// The actor may not, there is no such thing, or there is one already; then nothing was changed.
    pub fn apply(
        self,
        actor: Actor,
        supply: &mut Supply,
        in_settings: impl Fn(&Place) -> bool,
    ) -> Result<(), Refusal> {
        actor.operates()?;
        let own = |place: &Place| {
            if in_settings(place) { Err(stands_in_settings(place)) } else { Ok(()) }
        };
        match self {
            Self::AddProvider(provider) => {
                let place = Place::Provider(provider.name.clone());
                own(&place)?;
                if supply.has(&place) {
                    let message = "There is a provider of this name already.";
                    return Err(Refusal::new(Code::Conflict, message).about("name"));
                }
                supply.put(Item::Provider(provider));
            }
            Self::ChangeProvider(name, change) => {
                let place = Place::Provider(name);
                own(&place)?;
                let Some(Item::Provider(provider)) = supply.get(&place) else {
                    return Err(nowhere(&place));
                };
                supply.put(Item::Provider(change.apply(provider.clone())));
            }
            Self::RemoveProvider(name) => {
                let place = Place::Provider(name.clone());
                own(&place)?;
                take(supply, &place)?;
                supply.retain(|item| match item {
                    Item::Credential(credential) => credential.provider != name,
                    Item::Price(price) => price.provider != name,
                    Item::Provider(_) | Item::Alias(_) => true,
                });
            }
            Self::AddCredential(credential) => {
                must_exist(supply, &in_settings, &credential.provider)?;
                supply.put(Item::Credential(credential));
            }
            Self::ChangeCredential(id, change) => {
                let credential = supply.credential(id).cloned();
                let credential = credential.ok_or_else(|| nowhere(&Place::Credential(id)))?;
                supply.put(Item::Credential(change.apply(credential)));
            }
            Self::RemoveCredential(id) => take(supply, &Place::Credential(id))?,
            Self::SetPrice(price) => {
                own(&Place::price(&price.provider, &price.model))?;
                must_exist(supply, &in_settings, &price.provider)?;
                supply.put(Item::Price(price));
            }
            Self::SetAlias(alias) => {
                own(&Place::Alias(alias.name.clone()))?;
                supply.put(Item::Alias(alias));
            }
            Self::RemovePrice(place) => {
                own(&place)?;
                take(supply, &place)?;
            }
            Self::RemoveAlias(name) => {
                let place = Place::Alias(name);
                own(&place)?;
                take(supply, &place)?;
            }
        }
        Ok(())
    }
}

impl ProviderChange {
    fn apply(self, mut provider: ProviderRecord) -> ProviderRecord {
        put(&mut provider.kind, self.kind);
        put(&mut provider.base_url, self.base_url);
        put(&mut provider.models, self.models);
        put(&mut provider.catalogue, self.catalogue);
        put(&mut provider.free, self.free);
        put(&mut provider.on_hangup, self.on_hangup);
        put(&mut provider.stream_options, self.stream_options);
        provider
    }
}

impl CredentialChange {
    fn apply(self, mut credential: CredentialRecord) -> CredentialRecord {
        put(&mut credential.label, self.label);
        put(&mut credential.disabled, self.disabled);
        if let Some((sealed, hint)) = self.secret {
            credential.sealed = sealed;
            credential.hint = hint;
        }
        credential
    }
}

fn take(supply: &mut Supply, place: &Place) -> Result<(), Refusal> {
    if supply.take(place) { Ok(()) } else { Err(nowhere(place)) }
}

fn must_exist(
    supply: &Supply,
    in_settings: impl Fn(&Place) -> bool,
    provider: &str,
) -> Result<(), Refusal> {
    let place = Place::Provider(provider.to_owned());
    if supply.has(&place) || in_settings(&place) { Ok(()) } else { Err(nowhere(&place)) }
}

fn stands_in_settings(place: &Place) -> Refusal {
    let message = format!(
        "This {} stands in the settings (weir.toml or the environment) and is changed there, not here.",
        place.kind()
    );
    Refusal::new(Code::Conflict, message)
}

fn nowhere(place: &Place) -> Refusal {
    let message = match place {
        Place::Price(..) => "No price of this model was set here.".to_owned(),
        Place::Provider(_) | Place::Credential(_) | Place::Alias(_) => {
            format!("There is no such {}.", place.kind())
        }
    };
    Refusal::new(Code::NotFound, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::KeyId;
    use crate::prices::Rates;
    use crate::supply::Stamp;
    use crate::time::Timestamp;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    fn provider(name: &str) -> ProviderRecord {
        ProviderRecord {
            name: name.to_owned(),
            kind: ProviderKind::OpenAi,
            base_url: "https://mine.example/v1".to_owned(),
            models: Vec::new(),
            catalogue: name.to_owned(),
            free: false,
            on_hangup: OnHangup::Drain,
            stream_options: true,
            stamp: Stamp::default(),
        }
    }

    fn credential(provider: &str) -> CredentialRecord {
        CredentialRecord {
            id: CredentialId::new(NOW, 1),
            provider: provider.to_owned(),
            label: None,
            hint: "...".to_owned(),
            disabled: false,
            sealed: vec![1],
            stamp: Stamp::default(),
        }
    }

    fn price(provider: &str) -> PriceRecord {
        PriceRecord {
            provider: provider.to_owned(),
            model: "M".to_owned(),
            rates: Rates::free(),
            context_tokens: None,
            max_output_tokens: None,
            stamp: Stamp::default(),
        }
    }

    fn in_settings(place: &Place) -> bool {
        *place == Place::Provider("openai".to_owned()) || *place == Place::price("openai", "gpt")
    }

    fn done(supply: &mut Supply, change: SupplyChange) -> Result<(), Code> {
        change.apply(Actor::Operator, supply, in_settings).map_err(|no| no.code)
    }

    #[test]
    fn what_goes_with_a_provider_goes_with_it() {
        let mut supply = Supply::default();
        assert_eq!(
            done(&mut supply, SupplyChange::AddCredential(credential("mine"))),
            Err(Code::NotFound)
        );
        for change in [
            SupplyChange::AddProvider(provider("mine")),
            SupplyChange::AddCredential(credential("mine")),
            SupplyChange::SetPrice(price("mine").into()),
            SupplyChange::SetPrice(price("openai").into()),
        ] {
            assert_eq!(done(&mut supply, change), Ok(()));
        }
        assert_eq!(
            done(&mut supply, SupplyChange::AddProvider(provider("mine"))),
            Err(Code::Conflict)
        );
        assert_eq!(done(&mut supply, SupplyChange::RemoveProvider("mine".to_owned())), Ok(()));
        assert_eq!(supply.items().count(), 1);
        assert_eq!(
            done(&mut supply, SupplyChange::RemovePrice(Place::price("openai", "m"))),
            Ok(())
        );
        assert_eq!(supply, Supply::default());
    }

    #[test]
    fn what_stands_in_the_settings_is_not_changed() {
        let mut supply = Supply::default();
        let mut priced = price("openai");
        priced.model = "GPT".to_owned();
        for change in [
            SupplyChange::AddProvider(provider("openai")),
            SupplyChange::ChangeProvider("openai".to_owned(), ProviderChange::default()),
            SupplyChange::RemoveProvider("openai".to_owned()),
            SupplyChange::SetPrice(priced.into()),
        ] {
            assert_eq!(done(&mut supply, change), Err(Code::Conflict));
        }
        assert_eq!(done(&mut supply, SupplyChange::AddCredential(credential("openai"))), Ok(()));
    }

    #[test]
    fn only_the_operator_changes_anything() {
        let id = KeyId::new(NOW, 1);
        for actor in [Actor::Manager(id), Actor::Holder(id), Actor::Anybody] {
            let mut supply = Supply::default();
            let change = SupplyChange::AddProvider(provider("mine"));
            let no = change.apply(actor, &mut supply, in_settings).map_err(|no| no.code);
            assert_eq!((no, supply), (Err(Code::WrongKeyType), Supply::default()), "{actor:?}");
        }
    }
}
