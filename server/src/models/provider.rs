//! A provider that can be called, and our credentials for it, ready to be sent. What is learned
//! about them in use (whose turn it is, which one rests) outlives a change of what is configured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use domain::catalog::{Catalog, Mode, Model};
use domain::{Pattern, Prices, Rates, Secret};
use http::{HeaderName, HeaderValue};

use crate::providers::{OnHangup, ProviderSettings, Speaks};
use crate::relay::{Api, Relay};
use crate::wire::{self, Dialect};

/// A provider that can be called.
#[derive(Debug)]
pub struct Provider {
    pub name: Arc<str>,
    pub speaks: Speaks,
    pub base_url: String,
    pub on_hangup: OnHangup,
    /// Whether its host's addresses are looked at before it is called.
    pub guarded: bool,
    stream_options: bool,
    pub(super) models: Vec<Pattern>,
    pub(super) catalogue: String,
    /// Where the catalogue has its models: under its catalogue's name, or apart.
    pub(super) shelf: String,
    pub(super) free: bool,
    credentials: Vec<Arc<Credential>>,
    turn: Arc<AtomicUsize>,
}

/// Our secret for a provider, ready to be sent. `Debug` shows its name only.
pub struct Credential {
    pub name: Arc<str>,
    pub header: Option<(HeaderName, HeaderValue)>,
    rests_until: Arc<AtomicU64>,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({})", self.name)
    }
}

impl Credential {
    fn new(
        speaks: Speaks,
        (name, secret): (&str, Option<&Secret>),
        before: Option<&Provider>,
    ) -> Arc<Self> {
        let header = secret.map(Secret::expose).and_then(|secret| {
            let (name, text) = match speaks {
                Speaks::OpenAi | Speaks::Demo => ("authorization", format!("Bearer {secret}")),
                Speaks::Anthropic => ("x-api-key", secret.to_owned()),
            };
            // A secret that no header can carry leaves the header out, and the provider says so.
            let mut value = HeaderValue::from_str(&text).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::from_static(name), value))
        });
        // Another secret under the same name has not been refused yet.
        let same = before
            .and_then(|provider| provider.credential(name))
            .filter(|credential| credential.header == header);
        let rests_until = same.map(|same| Arc::clone(&same.rests_until)).unwrap_or_default();
        Arc::new(Self { name: name.into(), header, rests_until })
    }

    /// It is not used before this moment of the monotonic clock, in microseconds.
    pub fn rest_until(&self, micros: u64) {
        self.rests_until.store(micros, Ordering::Relaxed);
    }

    /// How many microseconds it still rests at `monotonic`; `None` where it does not.
    pub fn rests_for(&self, monotonic: u64) -> Option<u64> {
        self.rests_until.load(Ordering::Relaxed).checked_sub(monotonic).filter(|rest| *rest > 0)
    }
}

impl Provider {
    /// From its settings, with `added` credentials of the store, those that can be used; where there
    /// are others, it is not called without one. Takes over what was learned `before`.
    pub(super) fn new(
        settings: &ProviderSettings,
        added: Option<&[(String, Secret)]>,
        shelf: String,
        before: Option<&Self>,
    ) -> Self {
        let speaks = settings.speaks;
        let own = settings.credentials.iter();
        let own = own.map(|credential| (credential.name.as_str(), Some(&credential.secret)));
        let added_ones = added.unwrap_or_default().iter();
        let added_ones = added_ones.map(|(name, secret)| (name.as_str(), Some(secret)));
        let mut named: Vec<_> = own.chain(added_ones).collect();
        if named.is_empty() && added.is_none() {
            named.push(("none", None));
        }
        let credentials = named.into_iter().map(|named| Credential::new(speaks, named, before));
        Self {
            name: settings.name.as_str().into(),
            speaks,
            base_url: settings.base_url.clone(),
            on_hangup: settings.on_hangup,
            guarded: settings.guarded,
            stream_options: settings.stream_options,
            models: settings.models.clone(),
            catalogue: settings.catalogue.clone(),
            shelf,
            free: settings.free,
            credentials: credentials.collect(),
            turn: before.map(|provider| Arc::clone(&provider.turn)).unwrap_or_default(),
        }
    }

    /// The credentials to try at `monotonic` microseconds, the one whose turn it is first.
    pub fn credentials(&self, monotonic: u64) -> smallvec::SmallVec<[Arc<Credential>; 2]> {
        let count = self.credentials.len();
        let first = if count < 2 { 0 } else { self.turn.fetch_add(1, Ordering::Relaxed) % count };
        let in_turn = self.credentials[first..].iter().chain(&self.credentials[..first]);
        let awake = |credential: &&Arc<Credential>| credential.rests_for(monotonic).is_none();
        let rested: smallvec::SmallVec<[_; 2]> = in_turn.clone().filter(awake).cloned().collect();
        // A provider whose credentials all rest is not given up: one of them may be right again.
        if rested.is_empty() { in_turn.cloned().collect() } else { rested }
    }

    /// The credential of this name, where it is in use.
    pub fn credential(&self, name: &str) -> Option<&Arc<Credential>> {
        self.credentials.iter().find(|credential| *credential.name == *name)
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

    pub(super) fn serves(&self, relay: Relay) -> bool {
        match self.speaks {
            Speaks::OpenAi => relay.api == Api::OpenAi,
            Speaks::Anthropic => relay.api == Api::Anthropic,
            Speaks::Demo => relay.dialect == Dialect::Chat,
        }
    }

    /// A model of this provider as the catalogue knows it, or as free as the operator declared it.
    pub(super) fn known(&self, catalog: &Catalog, name: &str) -> Option<Arc<Model>> {
        let model = catalog.model(&self.shelf, name).cloned();
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
