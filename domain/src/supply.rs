//! What an operator added to what can be called, beside the settings: providers, credentials,
//! prices and aliases, as records. What may be done to them is `command`'s to say; how a secret is
//! sealed is not known here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::Override;
use crate::id::CredentialId;
use crate::prices::{Prices, Rates};
use crate::rule::Pattern;
use crate::time::Timestamp;

/// When a record was made and changed, and how often. The store's to set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// Grows with every change, from 1.
    pub revision: u64,
}

/// The API a provider has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// OpenAI's, or something compatible with (part of) it.
    OpenAi,
    /// Anthropic's.
    Anthropic,
}

/// What is done with a stream whose client has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnHangup {
    /// The provider bills the rest all the same: read on, for its usage.
    Drain,
    /// The provider stops billing when the connection closes.
    Cancel,
}

/// A provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderRecord {
    /// What names in calls and rules call it.
    pub name: String,
    /// The API it has.
    pub kind: ProviderKind,
    /// Everything before `/chat/completions` or `/v1/messages`.
    pub base_url: String,
    /// Patterns of model names that go to it by themselves.
    pub models: Vec<Pattern>,
    /// Whose prices its models have: a provider of the catalogue.
    pub catalogue: String,
    /// Its models cost nothing.
    pub free: bool,
    /// After a client hangs up.
    pub on_hangup: OnHangup,
    /// Whether it accepts `stream_options`.
    pub stream_options: bool,
    /// When, and how often.
    #[serde(flatten)]
    pub stamp: Stamp,
}

/// One of our secrets for a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRecord {
    /// Its name; rows of the ledger have it.
    pub id: CredentialId,
    /// Whose it is: a provider of the settings or one of these records.
    pub provider: String,
    /// For people.
    pub label: Option<String>,
    /// The end of the secret, as lists show it.
    pub hint: String,
    /// Not used until it is switched on again.
    pub disabled: bool,
    /// The secret, sealed. No JSON has it.
    #[serde(skip)]
    pub sealed: Vec<u8>,
    /// When, and how often.
    #[serde(flatten)]
    pub stamp: Stamp,
}

/// What a model of a provider costs, instead of what the catalogue says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceRecord {
    /// A provider of the settings or one of these records.
    pub provider: String,
    /// The model's name, known to the catalogue or not.
    pub model: String,
    /// What it costs.
    pub rates: Rates,
    /// The longest prompt; the catalogue's where absent.
    pub context_tokens: Option<u64>,
    /// The longest answer; the catalogue's where absent.
    pub max_output_tokens: Option<u64>,
    /// When, and how often.
    #[serde(flatten)]
    pub stamp: Stamp,
}

impl PriceRecord {
    /// The same as the catalogue takes it.
    pub fn to_override(&self) -> Override {
        Override {
            provider: self.provider.clone(),
            name: self.model.clone(),
            prices: Prices::flat(self.rates),
            context_tokens: self.context_tokens,
            max_output_tokens: self.max_output_tokens,
        }
    }
}

/// Another name for a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasRecord {
    /// The name.
    pub name: String,
    /// The model it stands for; never another alias.
    pub model: String,
    /// When, and how often.
    #[serde(flatten)]
    pub stamp: Stamp,
}

/// One record of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Item {
    /// A provider.
    Provider(ProviderRecord),
    /// A credential.
    Credential(CredentialRecord),
    /// A price.
    Price(Box<PriceRecord>),
    /// An alias.
    Alias(AliasRecord),
}

/// Where a record stands among the others: there is one of a kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The provider of this name.
    Provider(String),
    /// The credential of this id.
    Credential(CredentialId),
    /// The price of a provider's model. Upper and lower case of a model are the same.
    Price(String, String),
    /// The alias of this name.
    Alias(String),
}

impl Place {
    /// The price of a provider's model.
    pub fn price(provider: &str, model: &str) -> Self {
        Self::Price(provider.to_owned(), model.to_lowercase())
    }

    /// The kind, in one word.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Provider(_) => "provider",
            Self::Credential(_) => "credential",
            Self::Price(..) => "price",
            Self::Alias(_) => "alias",
        }
    }

    /// The name within the kind, as the audit trail writes it.
    pub fn name(&self) -> String {
        match self {
            Self::Provider(name) | Self::Alias(name) => name.clone(),
            Self::Credential(id) => id.to_string(),
            Self::Price(provider, model) => format!("{provider}/{model}"),
        }
    }
}

impl Item {
    /// Where it stands.
    pub fn place(&self) -> Place {
        match self {
            Self::Provider(provider) => Place::Provider(provider.name.clone()),
            Self::Credential(credential) => Place::Credential(credential.id),
            Self::Price(price) => Place::price(&price.provider, &price.model),
            Self::Alias(alias) => Place::Alias(alias.name.clone()),
        }
    }

    /// When it was made and changed.
    pub const fn stamp(&self) -> Stamp {
        match self {
            Self::Provider(provider) => provider.stamp,
            Self::Credential(credential) => credential.stamp,
            Self::Price(price) => price.stamp,
            Self::Alias(alias) => alias.stamp,
        }
    }

    /// The same, made and changed at other times.
    #[must_use]
    pub fn stamped(mut self, stamp: Stamp) -> Self {
        match &mut self {
            Self::Provider(provider) => provider.stamp = stamp,
            Self::Credential(credential) => credential.stamp = stamp,
            Self::Price(price) => price.stamp = stamp,
            Self::Alias(alias) => alias.stamp = stamp,
        }
        self
    }
}

/// All records. There are few of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supply(BTreeMap<Place, Item>);

impl FromIterator<Item> for Supply {
    fn from_iter<I: IntoIterator<Item = Item>>(items: I) -> Self {
        Self(items.into_iter().map(|item| (item.place(), item)).collect())
    }
}

impl Supply {
    /// Every record with its place.
    pub fn items(&self) -> impl Iterator<Item = (&Place, &Item)> {
        self.0.iter()
    }

    /// The record at `place`.
    pub fn get(&self, place: &Place) -> Option<&Item> {
        self.0.get(place)
    }

    /// Whether there is a record at `place`.
    pub fn has(&self, place: &Place) -> bool {
        self.0.contains_key(place)
    }

    /// Puts a record where it belongs, instead of what was there.
    pub fn put(&mut self, item: Item) {
        self.0.insert(item.place(), item);
    }

    /// Takes the record at `place` away; whether there was one.
    pub fn take(&mut self, place: &Place) -> bool {
        self.0.remove(place).is_some()
    }

    /// Keeps the records that `keep` says so of.
    pub fn retain(&mut self, keep: impl Fn(&Item) -> bool) {
        self.0.retain(|_, item| keep(item));
    }

    /// The providers, by name.
    pub fn providers(&self) -> impl Iterator<Item = &ProviderRecord> {
        self.0.values().filter_map(|item| match item {
            Item::Provider(provider) => Some(provider),
            Item::Credential(_) | Item::Price(_) | Item::Alias(_) => None,
        })
    }

    /// The credentials, the oldest first.
    pub fn credentials(&self) -> impl Iterator<Item = &CredentialRecord> {
        self.0.values().filter_map(|item| match item {
            Item::Credential(credential) => Some(credential),
            Item::Provider(_) | Item::Price(_) | Item::Alias(_) => None,
        })
    }

    /// The prices, by provider and model.
    pub fn prices(&self) -> impl Iterator<Item = &PriceRecord> {
        self.0.values().filter_map(|item| match item {
            Item::Price(price) => Some(&**price),
            Item::Provider(_) | Item::Credential(_) | Item::Alias(_) => None,
        })
    }

    /// The aliases, by name.
    pub fn aliases(&self) -> impl Iterator<Item = &AliasRecord> {
        self.0.values().filter_map(|item| match item {
            Item::Alias(alias) => Some(alias),
            Item::Provider(_) | Item::Credential(_) | Item::Price(_) => None,
        })
    }

    /// The credential of this id.
    pub fn credential(&self, id: CredentialId) -> Option<&CredentialRecord> {
        self.credentials().find(|credential| credential.id == id)
    }
}
