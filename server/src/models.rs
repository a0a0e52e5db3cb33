//! From a model's name to the routes that lead to it. The catalogue prices and bounds; it does not
//! gate: what is configured can be called. Rules are applied to what comes out of here.

mod provider;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use domain::catalog::{Catalog, Model};
use domain::{Code, Digest, Override, Place, Refusal, Supply};
use parking_lot::RwLock;

use crate::config::BadSetting;
use crate::prices::{self, PriceFault};
use crate::providers::{self, ProviderSettings, Speaks};
use crate::relay::Relay;
use crate::sources::Configured;
use crate::upstream::demo;
use crate::vault::Vault;

pub use provider::{Credential, Provider};

/// One way to a model.
#[derive(Debug)]
pub struct Route {
    pub provider: Arc<Provider>,
    /// The model's name at the provider; empty on routes that name none.
    pub model: Arc<str>,
    /// What else the catalogue calls it.
    pub also: Vec<String>,
    /// What the catalogue or the operator says about it; `None` where nobody knows its price.
    pub priced: Option<Arc<Model>>,
    /// Which prices these are.
    pub price_version: Arc<str>,
}

/// All providers and names. Never changes: what is configured anew is a new one, and calls in flight
/// keep the one they began with.
pub struct Models {
    providers: Vec<Arc<Provider>>,
    catalog: Catalog,
    aliases: HashMap<String, String>,
    default_provider: Option<Arc<Provider>>,
    pub price_version: Arc<str>,
    /// Names that were resolved before.
    resolved: RwLock<HashMap<String, Arc<[Arc<Route>]>>>,
}

/// Names remembered; beyond it each is resolved anew.
const RESOLVED_MAX: usize = 10_000;

impl Models {
    /// From the settings and what the store holds beside them, with credentials that `vault` opens.
    /// Takes over what was learned about credentials `before`. What the store holds and the settings
    /// contradict is left out; `sources` tells what.
    ///
    /// # Errors
    /// A price or an alias in the settings that makes no sense.
    pub fn build(
        configured: &Configured,
        supply: &Supply,
        vault: &Vault,
        before: Option<&Self>,
    ) -> Result<Self, BadSetting> {
        let bad_price = |fault: PriceFault| BadSetting(format!("In the settings, {fault}."));
        let all = configured.with(supply);
        let sections: Vec<_> = all.iter().map(|provider| provider.catalogue.as_str()).collect();
        let mut catalog =
            prices::embedded(&sections).map_err(bad_price)?.with_overrides(demo::models());
        let overrides = overrides(configured, supply, &all)?;
        let own: HashSet<_> = overrides.iter().map(|own| own.provider.clone()).collect();
        for provider in all.iter().filter(|provider| own.contains(&provider.name)) {
            catalog = catalog.with_copy(&provider.catalogue, &own_shelf(&provider.name));
        }
        let version = version(catalog.version(), &overrides, &all);
        let catalog = catalog.with_overrides(overrides.into_iter().map(|own| {
            let provider = own_shelf(&own.provider);
            Override { provider, ..own }
        }));
        let provider = |settings: &ProviderSettings| {
            let shelf = if own.contains(&settings.name) {
                own_shelf(&settings.name)
            } else {
                settings.catalogue.clone()
            };
            let before = before.and_then(|before| before.provider(&settings.name));
            let added = vault.opened(supply, &settings.name);
            Arc::new(Provider::new(settings, added.as_deref(), shelf, before.map(Arc::as_ref)))
        };
        let providers: Vec<_> = all.iter().map(|settings| provider(settings)).collect();
        let default_provider = configured.default_provider.as_deref();
        let default_provider =
            providers.iter().find(|provider| Some(&*provider.name) == default_provider).cloned();
        let added = supply.aliases().map(|alias| (alias.name.clone(), alias.model.clone()));
        let models = Self {
            providers,
            catalog,
            aliases: added.chain(configured.aliases.iter().cloned()).collect(),
            default_provider,
            price_version: version.into(),
            resolved: RwLock::new(HashMap::new()),
        };
        let in_settings = |alias: &&(String, String)| models.is_dangling(&alias.0);
        match configured.aliases.iter().find(in_settings) {
            None => Ok(models),
            Some((alias, target)) => Err(BadSetting(format!(
                "The alias '{alias}' stands for '{target}', and no configured provider has that."
            ))),
        }
    }

    /// Whether an alias stands for nothing that can be called, or for another alias.
    pub fn is_dangling(&self, alias: &str) -> bool {
        self.alias(alias).is_some_and(|target| {
            self.aliases.contains_key(target) || self.resolve(alias).is_empty()
        })
    }

    /// The provider of this name.
    pub fn provider(&self, name: &str) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| *provider.name == *name)
    }

    /// The models of a provider that the catalogue lists, as calls to it are priced.
    pub fn priced(&self, provider: &Provider) -> impl Iterator<Item = Model> {
        self.catalog.of(&provider.shelf).map(|model| {
            let known = provider.known(&self.catalog, &model.name);
            known.map_or_else(|| model.clone(), Arc::unwrap_or_clone)
        })
    }

    /// What an operator's alias stands for.
    pub fn alias(&self, name: &str) -> Option<&str> {
        self.aliases.get(name).map(String::as_str)
    }

    /// Whether a rule may name this model: it is an alias, a pattern, priced, in the catalogue of some
    /// provider, or at a configured one whose models nobody has listed.
    pub fn knows_model(&self, name: &str) -> bool {
        let known = |route: &Arc<Route>| {
            let provider = &route.provider;
            name.starts_with(&format!("{}/", provider.name))
                || self.catalog.model(&provider.shelf, &route.model).is_some()
                || self.catalog.of(&provider.catalogue).next().is_none()
        };
        if name.contains('*') || self.alias(name).is_some() || self.resolve(name).iter().any(known)
        {
            return true;
        }
        let bare = name.split_once('/').map_or(name, |(_, model)| model);
        let all: Vec<_> = prices::embedded_providers().collect();
        prices::embedded(&all).is_ok_and(|catalog| {
            catalog.by_name(name).next().is_some() || catalog.by_name(bare).next().is_some()
        })
    }

    /// Whether a rule may name this provider: it is configured, everybody knows it, or it is a
    /// pattern.
    pub fn knows_provider(&self, name: &str) -> bool {
        name.contains('*')
            || self.provider(name).is_some()
            || providers::is_known(name)
            || prices::embedded_providers().any(|known| known == name)
    }

    /// The configured providers.
    pub fn providers(&self) -> &[Arc<Provider>] {
        &self.providers
    }

    /// The routes a call may take: to the model `name`, or, where the dialect names none, to the
    /// provider such calls go to.
    ///
    /// # Errors
    /// No provider has the model; one has it but speaks another dialect; none is configured.
    pub fn routes(&self, relay: Relay, name: &str) -> Result<Vec<Arc<Route>>, Refusal> {
        if name.is_empty() {
            return self.nameless(relay);
        }
        let routes = self.resolve(name);
        let fitting: Vec<_> =
            routes.iter().filter(|route| route.provider.serves(relay)).cloned().collect();
        match (fitting.is_empty(), routes.first()) {
            (false, _) => Ok(fitting),
            (true, None) => Err(not_found(name)),
            (true, Some(route)) => {
                let (provider, other) = (&route.provider.name, other_dialect(&route.provider));
                let message = format!(
                    "This model is served by '{provider}', which cannot be called in this dialect here. {other}"
                );
                Err(Refusal::new(Code::InvalidValue, message).about("model"))
            }
        }
    }

    fn nameless(&self, relay: Relay) -> Result<Vec<Arc<Route>>, Refusal> {
        let default = self.default_provider.iter();
        let named = self.providers.iter().filter(|provider| &*provider.name == "openai");
        let candidates = default.chain(named).chain(&self.providers);
        let mut routes: Vec<Arc<Route>> = Vec::new();
        for provider in candidates.filter(|provider| provider.serves(relay)) {
            if !routes.iter().any(|route| Arc::ptr_eq(&route.provider, provider)) {
                let provider = Arc::clone(provider);
                let (model, also, priced) = (Arc::from(""), Vec::new(), None);
                let price_version = Arc::clone(&self.price_version);
                routes.push(Arc::new(Route { provider, model, also, priced, price_version }));
            }
        }
        if routes.is_empty() {
            return Err(Refusal::new(
                Code::NoProvider,
                "No provider is configured here that has this route.",
            ));
        }
        Ok(routes)
    }

    fn resolve(&self, name: &str) -> Arc<[Arc<Route>]> {
        if let Some(routes) = self.resolved.read().get(name) {
            return Arc::clone(routes);
        }
        let routes: Arc<[_]> = self.search(self.alias(name).unwrap_or(name)).into();
        let mut resolved = self.resolved.write();
        if !routes.is_empty() && resolved.len() < RESOLVED_MAX {
            resolved.insert(name.to_owned(), Arc::clone(&routes));
        }
        routes
    }

    fn search(&self, name: &str) -> Vec<Arc<Route>> {
        if let Some((provider, model)) = name.split_once('/')
            && let Some(provider) = self.provider(provider)
            && !model.is_empty()
        {
            return vec![self.route(provider, model)];
        }
        // The demo's names are too plain to stand alone: they need `demo/` before them.
        let listed = |provider: &&Arc<Provider>| {
            provider.speaks != Speaks::Demo && self.catalog.model(&provider.shelf, name).is_some()
        };
        let patterned =
            |provider: &&Arc<Provider>| provider.models.iter().any(|pattern| pattern.fits(name));
        let own: Vec<_> = self.providers.iter().filter(patterned).collect();
        let others = self.providers.iter().filter(listed).filter(|provider| !patterned(provider));
        let mut routes: Vec<_> =
            own.into_iter().chain(others).map(|provider| self.route(provider, name)).collect();
        if routes.is_empty() {
            routes
                .extend(self.default_provider.as_ref().map(|provider| self.route(provider, name)));
        }
        routes
    }

    fn route(&self, provider: &Arc<Provider>, model: &str) -> Arc<Route> {
        let priced = provider.known(&self.catalog, model);
        let known = self.catalog.model(&provider.shelf, model);
        let also = known.map(|known| {
            let names = known.also.iter().chain([&known.name]);
            names.filter(|name| *name != model).cloned().collect()
        });
        Arc::new(Route {
            provider: Arc::clone(provider),
            model: Arc::from(model),
            also: also.unwrap_or_default(),
            priced,
            price_version: Arc::clone(&self.price_version),
        })
    }

    /// The routes that a name leads to, in any dialect.
    pub fn named(&self, name: &str) -> Arc<[Arc<Route>]> {
        self.resolve(name)
    }

    /// Every name that can be called, with where it leads: aliases first, then each provider's
    /// models. A name that several providers have is listed bare once, then with the provider's.
    pub fn listed(&self) -> Vec<(String, Arc<Route>)> {
        let mut seen = std::collections::HashSet::new();
        let mut listed = Vec::new();
        let mut aliases: Vec<_> = self.aliases.keys().collect();
        aliases.sort();
        for alias in aliases {
            if let Some(route) = self.resolve(alias).first() {
                seen.insert(alias.clone());
                listed.push((alias.clone(), Arc::clone(route)));
            }
        }
        for provider in &self.providers {
            for model in self.catalog.of(&provider.shelf) {
                let bare = self.resolve(&model.name);
                let leads_here =
                    bare.first().is_some_and(|route| Arc::ptr_eq(&route.provider, provider));
                let name = if leads_here && seen.insert(model.name.clone()) {
                    model.name.clone()
                } else {
                    format!("{}/{}", provider.name, model.name)
                };
                listed.push((name, self.route(provider, &model.name)));
            }
        }
        listed
    }
}

/// The store's prices and those of the settings, under their providers' own names. What the settings
/// say counts.
fn overrides(
    configured: &Configured,
    supply: &Supply,
    all: &[Arc<ProviderSettings>],
) -> Result<Vec<Override>, BadSetting> {
    let exists = |name: &str| all.iter().any(|provider| provider.name == name);
    let added = supply.prices().filter(|price| {
        exists(&price.provider) && !configured.has(&Place::price(&price.provider, &price.model))
    });
    let mut overrides: Vec<_> = added.map(domain::supply::PriceRecord::to_override).collect();
    for price in &configured.prices {
        if !configured.providers.iter().any(|provider| provider.name == price.provider) {
            return Err(BadSetting(format!(
                "A price names the provider '{}', and none is configured with that name.",
                price.provider
            )));
        }
        let own = price.read();
        overrides.push(own.map_err(|fault| BadSetting(format!("In the settings, {fault}.")))?);
    }
    Ok(overrides)
}

/// Where a provider's models stand that are priced apart: under a name that no catalogue has.
fn own_shelf(provider: &str) -> String {
    format!("{provider}/")
}

/// Names these very prices: the catalogue's version, and a digest of what the operator says instead.
fn version(catalogue: &str, overrides: &[Override], all: &[Arc<ProviderSettings>]) -> String {
    let free = all.iter().filter(|provider| provider.free).map(|provider| &provider.name);
    let free: Vec<_> = free.collect();
    if overrides.is_empty() && free.is_empty() {
        return catalogue.to_owned();
    }
    let digest = Digest::of(format!("{overrides:?}{free:?}").as_bytes());
    let [first, second, third, fourth, ..] = digest.bytes();
    format!("{catalogue}+{}", HEXLOWER.encode(&[*first, *second, *third, *fourth]))
}

fn not_found(name: &str) -> Refusal {
    let name: String = name.chars().take(48).collect();
    Refusal::new(
        Code::ModelNotFound,
        format!("The model '{name}' does not exist here or you do not have access to it. GET /v1/models lists what you may call."),
    )
    .about("model")
}

fn other_dialect(provider: &Provider) -> &'static str {
    match provider.speaks {
        Speaks::OpenAi => "Use the OpenAI routes, such as POST /v1/chat/completions.",
        Speaks::Anthropic => "Use POST /v1/messages.",
        Speaks::Demo => "Use POST /v1/chat/completions.",
    }
}
