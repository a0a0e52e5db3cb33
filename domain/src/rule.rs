//! What may be used: which models and providers, at what price, from which addresses. Rules hang on
//! a key and on what stands above it; every layer must agree, so a layer can only narrow. Within a
//! layer deny wins, several allows of one type are a union, the types must all agree, and no rule
//! allows everything. Rules judge what would really be called (provider and the provider's own
//! model name), never only what the client wrote.

mod network;
mod pattern;
mod price;
mod sentence;

use core::net::IpAddr;
use std::{fmt, iter};

use serde::{Deserialize, Serialize};

use crate::money::Price;
use crate::refusal::{Code, Refusal};
use crate::scope::{Caller, Scope};

pub use network::{Network, NotANetwork};
pub use pattern::Pattern;
pub use price::{MaxPrice, PriceTag, Tier};

/// All rules of one layer. A list that is empty is no rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// Only these models.
    pub allowed_models: Vec<Pattern>,
    /// None of these models.
    pub denied_models: Vec<Pattern>,
    /// Only these providers.
    pub allowed_providers: Vec<Pattern>,
    /// None of these providers.
    pub denied_providers: Vec<Pattern>,
    /// Only models that cost this.
    pub allowed_pricing: Vec<Tier>,
    /// No models that cost this.
    pub denied_pricing: Vec<Tier>,
    /// Only models whose tokens cost no more.
    pub max_price: MaxPrice,
    /// Only from these addresses.
    pub allowed_addresses: Vec<Network>,
    /// From none of these addresses.
    pub denied_addresses: Vec<Network>,
}

/// Where a call would go: a configured provider, and the model's name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The provider's configured name.
    pub provider: &'a str,
    /// The model's name at that provider; empty where a call names none.
    pub model: &'a str,
    /// What else the catalogue calls it. Who denies a model denies it under every name.
    pub also: &'a [String],
    /// What it costs at that provider now. Asked for only where [`Rules::asks_price`].
    pub price: PriceTag,
}

/// One rule's say, as an administrator is told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// What the rule hangs on.
    pub scope: Scope,
    /// The rule's name in a record: `denied_models`, `max_price.input`.
    pub rule: &'static str,
    /// The entry that was met, as it would be written; `None` where an allow has none that fits.
    /// Of a price, dollars per million tokens.
    pub entry: Option<String>,
    /// Whether it lets the call pass.
    pub allows: bool,
}

impl Rules {
    /// Whether there is no rule at all.
    pub fn is_empty(&self) -> bool {
        self.any_model() && self.any_provider() && self.any_address()
    }

    /// Whether no rule narrows the models, by name or by price.
    pub fn any_model(&self) -> bool {
        self.allowed_models.is_empty() && self.denied_models.is_empty() && !self.asks_price()
    }

    /// Whether some rule has to know what a model costs.
    pub fn asks_price(&self) -> bool {
        !self.allowed_pricing.is_empty()
            || !self.denied_pricing.is_empty()
            || !self.max_price.is_empty()
    }

    fn any_provider(&self) -> bool {
        self.allowed_providers.is_empty() && self.denied_providers.is_empty()
    }

    fn any_address(&self) -> bool {
        self.allowed_addresses.is_empty() && self.denied_addresses.is_empty()
    }

    /// What each rule says about `target`. A rule that there is not says nothing, nor does a deny
    /// that fits nothing.
    fn about<'a, 'e>(
        &'a self,
        target: &'a Target<'a>,
        expand: &impl Fn(&str) -> Option<&'e str>,
    ) -> impl Iterator<Item = Word<'a>> {
        let Target { provider, model, price, .. } = *target;
        let topic = Topic::Provider(provider);
        let hit = |list: &'a [Pattern]| list.iter().find(|pattern| pattern.fits(provider));
        let providers = [
            denial("denied_providers", topic, hit(&self.denied_providers)),
            allowance(
                "allowed_providers",
                topic,
                &self.allowed_providers,
                hit(&self.allowed_providers),
            ),
        ];
        // A call without a model is none of theirs: it is bound by its provider and its price.
        let models = if model.is_empty() { None } else { Some(self.about_model(target, expand)) };
        let topic = Topic::Tier(target);
        let hit = |list: &'a [Tier]| list.iter().find(|tier| **tier == price.tier());
        let MaxPrice { input, output } = self.max_price;
        let prices = [
            denial("denied_pricing", topic, hit(&self.denied_pricing)),
            allowance("allowed_pricing", topic, &self.allowed_pricing, hit(&self.allowed_pricing)),
            at_most("max_price.input", Topic::Input(target), input, price.input()),
            at_most("max_price.output", Topic::Output(target), output, price.output()),
        ];
        let models = models.into_iter().flatten();
        providers.into_iter().chain(models).chain(prices).flatten()
    }

    fn about_model<'a, 'e>(
        &'a self,
        target: &'a Target<'a>,
        expand: &impl Fn(&str) -> Option<&'e str>,
    ) -> [Option<Word<'a>>; 2] {
        let Target { provider, model, also, .. } = *target;
        let topic = Topic::Model(model);
        let names = || iter::once(model);
        let all_names = names().chain(also.iter().map(String::as_str));
        let denied = naming(&self.denied_models, provider, all_names, expand);
        let allowed = naming(&self.allowed_models, provider, names(), expand);
        [
            denial("denied_models", topic, denied),
            allowance("allowed_models", topic, &self.allowed_models, allowed),
        ]
    }

    /// What each rule says about a call from `address`.
    fn about_address(&self, address: IpAddr) -> impl Iterator<Item = Word<'_>> {
        let topic = Topic::Address(address);
        let hit = |list| <[Network]>::iter(list).find(|network| network.contains(address));
        let words = [
            denial("denied_addresses", topic, hit(&self.denied_addresses)),
            allowance(
                "allowed_addresses",
                topic,
                &self.allowed_addresses,
                hit(&self.allowed_addresses),
            ),
        ];
        words.into_iter().flatten()
    }
}

/// One rule's say, before it is known whether anybody wants to read it.
#[derive(Clone, Copy)]
struct Word<'a> {
    rule: &'static str,
    topic: Topic<'a>,
    entry: Option<Entry<'a>>,
    allows: bool,
}

/// What a rule speaks about.
#[derive(Clone, Copy)]
enum Topic<'a> {
    Provider(&'a str),
    Model(&'a str),
    Tier(&'a Target<'a>),
    Input(&'a Target<'a>),
    Output(&'a Target<'a>),
    Address(IpAddr),
}

/// One entry of a rule.
#[derive(Clone, Copy)]
enum Entry<'a> {
    Pattern(&'a Pattern),
    Tier(Tier),
    Price(Price),
    Network(Network),
}

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(pattern) => f.write_str(pattern.as_str()),
            Self::Tier(tier) => f.write_str(tier.name()),
            Self::Price(price) => price::per_million(*price).fmt(f),
            Self::Network(network) => network.fmt(f),
        }
    }
}

impl<'a> From<&'a Pattern> for Entry<'a> {
    fn from(pattern: &'a Pattern) -> Self {
        Self::Pattern(pattern)
    }
}

impl From<&Tier> for Entry<'_> {
    fn from(tier: &Tier) -> Self {
        Self::Tier(*tier)
    }
}

impl From<&Network> for Entry<'_> {
    fn from(network: &Network) -> Self {
        Self::Network(*network)
    }
}

fn denial<'a>(
    rule: &'static str,
    topic: Topic<'a>,
    hit: Option<impl Into<Entry<'a>>>,
) -> Option<Word<'a>> {
    hit.map(|entry| Word { rule, topic, entry: Some(entry.into()), allows: false })
}

fn allowance<'a, T>(
    rule: &'static str,
    topic: Topic<'a>,
    list: &[T],
    hit: Option<impl Into<Entry<'a>>>,
) -> Option<Word<'a>> {
    let entry = hit.map(Into::into);
    (!list.is_empty()).then(|| Word { rule, topic, entry, allows: entry.is_some() })
}

/// A price that is not known is above every other.
fn at_most<'a>(
    rule: &'static str,
    topic: Topic<'a>,
    most: Option<Price>,
    price: Option<Price>,
) -> Option<Word<'a>> {
    let most = most?;
    let allows = price.is_some_and(|price| price <= most);
    Some(Word { rule, topic, entry: Some(Entry::Price(most)), allows })
}

/// The first of `list` that means one of `names`: itself or as an alias, with the provider before
/// the name or without.
fn naming<'a, 'n, 'e>(
    list: &'a [Pattern],
    provider: &str,
    mut names: impl Iterator<Item = &'n str>,
    expand: &impl Fn(&str) -> Option<&'e str>,
) -> Option<&'a Pattern> {
    if list.is_empty() {
        return None;
    }
    let mut full = format!("{provider}/");
    let start = full.len();
    names.find_map(|name| {
        full.truncate(start);
        full.push_str(name);
        let fits = |text: &str| pattern::fits(text, name) || pattern::fits(text, &full);
        list.iter().find(|pattern| {
            let text = pattern.as_str();
            fits(text) || expand(text).is_some_and(fits)
        })
    })
}

/// Judges one target by all layers. `expand` gives what an operator's alias stands for, since a
/// rule may name an alias.
///
/// # Errors
/// The refusal of the first layer that denies: it names the rule and what the rule hangs on.
pub fn judge<'r, 'e>(
    layers: impl IntoIterator<Item = (Scope, &'r Rules)>,
    target: Target<'_>,
    expand: impl Fn(&str) -> Option<&'e str>,
) -> Result<(), Refusal> {
    for (scope, rules) in layers {
        if !rules.is_empty() {
            pass(scope, rules.about(&target, &expand))?;
        }
    }
    Ok(())
}

/// Judges the address that a call comes from by all layers.
///
/// # Errors
/// The refusal of the first layer that denies: it names the rule and what the rule hangs on.
pub fn judge_address<'r>(
    layers: impl IntoIterator<Item = (Scope, &'r Rules)>,
    address: IpAddr,
) -> Result<(), Refusal> {
    for (scope, rules) in layers {
        if !rules.any_address() {
            pass(scope, rules.about_address(address))?;
        }
    }
    Ok(())
}

fn pass<'a>(scope: Scope, mut words: impl Iterator<Item = Word<'a>>) -> Result<(), Refusal> {
    match words.find(|word| !word.allows) {
        Some(word) => Err(sentence::refused(scope, &word)),
        None => Ok(()),
    }
}

/// All that the rules of all layers say about a target. [`judge`] lets it pass exactly when each of
/// them does.
pub fn explain<'r, 'e>(
    layers: impl IntoIterator<Item = (Scope, &'r Rules)>,
    target: Target<'_>,
    expand: impl Fn(&str) -> Option<&'e str>,
) -> Vec<Spoken> {
    let mut said = Vec::new();
    for (scope, rules) in layers {
        said.extend(rules.about(&target, &expand).map(|word| word.spoken(scope)));
    }
    said
}

/// All that the rules of all layers say about the address that a call comes from.
/// [`judge_address`] lets it pass exactly when each of them does.
pub fn explain_address<'r>(
    layers: impl IntoIterator<Item = (Scope, &'r Rules)>,
    address: IpAddr,
) -> Vec<Spoken> {
    let mut said = Vec::new();
    for (scope, rules) in layers {
        said.extend(rules.about_address(address).map(|word| word.spoken(scope)));
    }
    said
}

impl Word<'_> {
    fn spoken(self, scope: Scope) -> Spoken {
        let entry = self.entry.map(|entry| entry.to_string());
        Spoken { scope, rule: self.rule, entry, allows: self.allows }
    }
}

/// Proof that the rules above the caller were asked about where the call goes.
#[must_use]
#[derive(Debug)]
pub struct Permit<R> {
    caller: Caller,
    routes: Vec<R>,
}

impl<R> Permit<R> {
    /// Who is calling.
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The routes the call may take, in order; never empty.
    pub fn routes(&self) -> &[R] {
        &self.routes
    }

    /// Takes it apart.
    pub fn into_parts(self) -> (Caller, Vec<R>) {
        (self.caller, self.routes)
    }
}

/// Keeps the routes that the rules of all the caller's layers allow. `target` is not asked where
/// there are no rules.
///
/// # Errors
/// The refusal of the first route when none is left; [`Code::ModelNotFound`] when there was none.
pub fn admit<'e, R>(
    caller: Caller,
    mut routes: Vec<R>,
    target: impl Fn(&R) -> Target<'_>,
    expand: impl Fn(&str) -> Option<&'e str>,
) -> Result<Permit<R>, Refusal> {
    let mut first_no = None;
    if caller.rules().any(|(_, rules)| !rules.is_empty()) {
        routes.retain(|route| {
            let no = judge(caller.rules(), target(route), &expand).err();
            let allowed = no.is_none();
            first_no = first_no.take().or(no);
            allowed
        });
    }
    match (routes.is_empty(), first_no) {
        (false, _) => Ok(Permit { caller, routes }),
        (true, Some(no)) => Err(no),
        (true, None) => Err(Refusal::new(Code::ModelNotFound, "No provider here has this model.")),
    }
}

#[cfg(test)]
mod tests;
