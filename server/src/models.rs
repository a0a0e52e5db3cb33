//! From a model's name to the routes that lead to it. The catalogue prices and bounds; it does not
//! gate: what is configured can be called. Rules are applied to what comes out of here.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use domain::catalog::{Catalog, Mode, Model};
use domain::{Code, Override, Pattern, Prices, Rates, Refusal};
use http::{HeaderName, HeaderValue};
use parking_lot::RwLock;

use crate::config::{BadSetting, Config};
use crate::prices::{self, PriceFault};
use crate::providers::{self, OnHangup, ProviderSettings, Speaks};
use crate::relay::{Api, Relay};
use crate::upstream::demo;
use crate::wire::{self, Dialect};

/// A provider that can be called.
#[derive(Debug)]
pub struct Provider {
    pub name: Arc<str>,
    pub speaks: Speaks,
    pub base_url: String,
    pub on_hangup: OnHangup,
    stream_options: bool,
    models: Vec<Pattern>,
    catalogue: String,
    free: bool,
    credentials: Vec<Arc<Credential>>,
    turn: AtomicUsize,
}

/// Our secret for a provider, ready to be sent. `Debug` shows its name only.
pub struct Credential {
    pub name: Arc<str>,
    pub header: Option<(HeaderName, HeaderValue)>,
    rests_until: AtomicU64,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({})", self.name)
    }
}

impl Credential {
    /// It is not used before this moment of the monotonic clock, in microseconds.
    pub fn rest_until(&self, micros: u64) {
        self.rests_until.store(micros, Ordering::Relaxed);
    }
}

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
}

/// All providers and names.
pub struct Models {
    providers: Vec<Arc<Provider>>,
    catalog: Catalog,
    aliases: HashMap<String, String>,
    default_provider: Option<Arc<Provider>>,
    pub price_version: Arc<str>,
    /// Names that were resolved before: what is configured does not change while we run.
    resolved: RwLock<HashMap<String, Arc<[Arc<Route>]>>>,
}

/// Names remembered; beyond it each is resolved anew.
const RESOLVED_MAX: usize = 10_000;

impl Provider {
    fn new(settings: ProviderSettings) -> Self {
        let credentials = settings.credentials.iter().map(|credential| {
            let secret = credential.secret.expose();
            let (name, text) = match settings.speaks {
                Speaks::OpenAi | Speaks::Demo => ("authorization", format!("Bearer {secret}")),
                Speaks::Anthropic => ("x-api-key", secret.to_owned()),
            };
            // A secret that no header can carry leaves the header out, and the provider says so.
            let value = HeaderValue::from_str(&text).ok().map(|mut value| {
                value.set_sensitive(true);
                (HeaderName::from_static(name), value)
            });
            Arc::new(Credential {
                name: credential.name.as_str().into(),
                header: value,
                rests_until: AtomicU64::new(0),
            })
        });
        let mut credentials: Vec<_> = credentials.collect();
        if credentials.is_empty() {
            credentials.push(Arc::new(Credential {
                name: "none".into(),
                header: None,
                rests_until: AtomicU64::new(0),
            }));
        }
        Self {
            name: settings.name.as_str().into(),
            speaks: settings.speaks,
            base_url: settings.base_url,
            on_hangup: settings.on_hangup,
            stream_options: settings.stream_options,
            models: settings.models,
            catalogue: settings.catalogue,
            free: settings.free,
            credentials,
            turn: AtomicUsize::new(0),
        }
    }

    /// The credentials to try at `monotonic` microseconds, the one whose turn it is first.
    pub fn credentials(&self, monotonic: u64) -> smallvec::SmallVec<[Arc<Credential>; 2]> {
        let count = self.credentials.len();
        let first = if count == 1 { 0 } else { self.turn.fetch_add(1, Ordering::Relaxed) % count };
        let in_turn = self.credentials[first..].iter().chain(&self.credentials[..first]);
        let awake = |credential: &&Arc<Credential>| {
            credential.rests_until.load(Ordering::Relaxed) <= monotonic
        };
        let rested: smallvec::SmallVec<[_; 2]> = in_turn.clone().filter(awake).cloned().collect();
        // A provider whose credentials all rest is not given up: one of them may be right again.
        if rested.is_empty() { in_turn.cloned().collect() } else { rested }
    }

    /// Whether usage has to be asked for on the client's behalf, and the extra chunk taken out.
    pub fn injects_usage(&self, request: &wire::Request) -> bool {
        self.stream_options && request.ask.stream && !request.usage_asked
    }

    /// The member this provider reads the maximum of a chat's output from, where it is not OpenAI's
    /// own newer one: compatible providers know `max_tokens`, and some know no other.
    pub fn cap_name(&self, dialect: Dialect) -> Option<&'static str> {
        (dialect == Dialect::Chat && self.catalogue != "openai").then_some("max_tokens")
    }

    /// Whether a call can be kept to the plain service tier by asking for it.
    pub fn pins_tier(&self, dialect: Dialect) -> bool {
        self.catalogue == "openai" && matches!(dialect, Dialect::Chat | Dialect::Responses)
    }

    /// Whether its models are those of a provider of the catalogue.
    pub fn has_models_of(&self, catalogue: &str) -> bool {
        self.catalogue == catalogue
    }

    fn serves(&self, relay: Relay) -> bool {
        match self.speaks {
            Speaks::OpenAi => relay.api == Api::OpenAi,
            Speaks::Anthropic => relay.api == Api::Anthropic,
            Speaks::Demo => relay.dialect == Dialect::Chat,
        }
    }

    /// A model of this provider as the catalogue knows it, or as free as the operator declared it.
    fn known(&self, catalog: &Catalog, name: &str) -> Option<Arc<Model>> {
        let model = catalog.model(&self.catalogue, name).cloned();
        let model = if self.free {
            let unlisted = || Model {
                provider: self.name.to_string(),
                name: name.to_owned(),
                mode: Mode::Other,
                context_tokens: None,
                max_output_tokens: None,
                deprecated_on: None,
                also: Vec::new(),
                shapes: Vec::new(),
                source: "operator".to_owned(),
                prices: Prices::default(),
            };
            Some(Model { prices: Prices::flat(Rates::free()), ..model.unwrap_or_else(unlisted) })
        } else {
            model
        };
        model.filter(|model| !model.prices.is_empty()).map(Arc::new)
    }
}

impl Models {
    /// From the settings: takes providers and aliases out of them.
    ///
    /// # Errors
    /// A price or an alias that makes no sense.
    pub fn build(config: &mut Config) -> Result<Self, BadSetting> {
        let bad_price = |fault: PriceFault| BadSetting(format!("In the settings, {fault}."));
        let sections: Vec<_> = config.providers.iter().map(|p| p.catalogue.as_str()).collect();
        let mut overrides = demo::models();
        for price in &config.prices {
            let Some(provider) = config.providers.iter().find(|p| p.name == price.provider) else {
                return Err(BadSetting(format!(
                    "A price names the provider '{}', and none is configured with that name.",
                    price.provider
                )));
            };
            let own = price.read().map_err(bad_price)?;
            overrides.push(Override { provider: provider.catalogue.clone(), ..own });
        }
        let catalog = prices::embedded(&sections).map_err(bad_price)?.with_overrides(overrides);
        let default = config.default_provider.clone();
        let aliases = std::mem::take(&mut config.aliases);
        let providers = std::mem::take(&mut config.providers);
        let models = Self::new(providers, catalog, aliases, default.as_deref());
        for (alias, target) in &models.aliases {
            if models.aliases.contains_key(target) || models.resolve(alias).is_empty() {
                return Err(BadSetting(format!(
                    "The alias '{alias}' stands for '{target}', and no configured provider has that."
                )));
            }
        }
        Ok(models)
    }

    fn new(
        providers: Vec<ProviderSettings>,
        catalog: Catalog,
        aliases: Vec<(String, String)>,
        default_provider: Option<&str>,
    ) -> Self {
        let providers: Vec<_> =
            providers.into_iter().map(|settings| Arc::new(Provider::new(settings))).collect();
        let default_provider =
            providers.iter().find(|p| Some(&*p.name) == default_provider).cloned();
        let price_version = Arc::from(catalog.version());
        Self {
            providers,
            catalog,
            aliases: aliases.into_iter().collect(),
            default_provider,
            price_version,
            resolved: RwLock::new(HashMap::new()),
        }
    }

    /// What an operator's alias stands for.
    pub fn alias(&self, name: &str) -> Option<&str> {
        self.aliases.get(name).map(String::as_str)
    }

    /// Whether a rule may name this model: it is an alias, a pattern, in the catalogue of some
    /// provider, or at a configured one whose models nobody has listed.
    pub fn knows_model(&self, name: &str) -> bool {
        let unlisted = |route: &Arc<Route>| {
            name.starts_with(&format!("{}/", route.provider.name))
                || self.catalog.of(&route.provider.catalogue).next().is_none()
        };
        if name.contains('*')
            || self.alias(name).is_some()
            || self.resolve(name).iter().any(unlisted)
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
            || self.providers.iter().any(|provider| *provider.name == *name)
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
                routes.push(Arc::new(Route { provider, model, also, priced }));
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
            && let Some(provider) = self.providers.iter().find(|p| *p.name == *provider)
            && !model.is_empty()
        {
            return vec![self.route(provider, model)];
        }
        // The demo's names are too plain to stand alone: they need `demo/` before them.
        let listed = |provider: &&Arc<Provider>| {
            provider.speaks != Speaks::Demo
                && self.catalog.model(&provider.catalogue, name).is_some()
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
        let known = self.catalog.model(&provider.catalogue, model);
        let also = known.map(|known| {
            let names = known.also.iter().chain([&known.name]);
            names.filter(|name| *name != model).cloned().collect()
        });
        Arc::new(Route {
            provider: Arc::clone(provider),
            model: Arc::from(model),
            also: also.unwrap_or_default(),
            priced,
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
            for model in self.catalog.of(&provider.catalogue) {
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
