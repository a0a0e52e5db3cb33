//! The life of one call to a model, top to bottom. Each step consumes the proof of the step before
//! it, so none can be skipped or reordered; everything that can say no says it here, before the
//! first byte goes to a provider. Not here: how bytes travel (`upstream`, `meter`), what is
//! administered (`admin`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use domain::key::{Key, KeyKind};
use domain::ledger::{Fit, Now};
use domain::refusal::{Code, Refusal};
use domain::rule::{self, Network, Permit, PriceTag, Target};
use domain::scope::{AllLimits, Caller, Defaults, Lineage};
use domain::secret::is_mistyped;
use domain::{Clock, Digest, Money, Plans, ScopedLimit, Timestamp, Want};
use store::{Found, NotReserved, Store};
use tokio_util::task::TaskTracker;

use crate::bridge::Bridge;
use crate::call::{Answer, Call, no_such_key};
use crate::ceiling::{Ceiling, Needs, Size};
use crate::config::WireLimits;
use crate::exchange;
use crate::failure::Failure;
use crate::fit::{self, Length};
use crate::ids::Ids;
use crate::models::{Models, Route};
use crate::relay::{Guard, Metering, Relay};
use crate::reservation::{Bound, Facts, Reservation};
use crate::upstream::Upstream;
use crate::wire;

/// What every call is judged and kept with. One for the whole process.
pub struct Gate {
    pub clock: Arc<dyn Clock>,
    pub store: Arc<Store>,
    /// What can be called. Another takes its place when that changes; calls in flight keep theirs.
    pub models: ArcSwap<Models>,
    pub wire: WireLimits,
    pub ids: Ids,
    /// Work that outlives its client; a stop waits for it.
    pub tasks: TaskTracker,
    /// The digest of the master key.
    pub master: Digest,
    /// The operator's own file: its keys are asked about before they are trusted or refused.
    pub bridge: Arc<Bridge>,
    /// The digest that finds the key of calls without a secret, where the settings allow them.
    pub anonymous: Option<Digest>,
    /// The record that the master key's own calls to the provider's organization administration run
    /// under, where the operator switched that on.
    pub operator: Option<Arc<Key>>,
    /// Whether keys may use what the provider stores for its account.
    pub stored_objects: bool,
    /// Limits that hang on every scope of a kind.
    pub defaults: Defaults,
    /// How many keys projects may have.
    pub plans: Plans,
    /// Where requests come from that tell the address of who sent them.
    pub trusted_proxies: Vec<Network>,
    /// The least that a maximum of output tokens is lowered to.
    pub floor_tokens: u64,
    /// Answers that are read on for their usage although their client has gone.
    pub drains: AtomicUsize,
    /// Calls that used more than the most they could, by their provider's word, since the start.
    pub overruns: AtomicU64,
}

/// Beyond this many, an answer without a client is cancelled at once.
const DRAINS_MAX: usize = 256;

/// One call, from its head to its answer.
///
/// # Errors
/// The refusal or fault that ended it; nothing was sent to a provider unless a provider is at fault.
pub async fn serve(
    gate: &Arc<Gate>,
    upstream: &Arc<Upstream>,
    guard: Guard,
    relay: Relay,
    mut call: Call,
) -> Result<Answer, Failure> {
    // Who is calling, and from where? The secret is hashed here and goes no further.
    let caller = gate.identify(guard, &call, call.at).await?; // 401 403

    // Is there such a route here? What a provider stores is not told apart by key.
    refuse_stored(gate, relay)?; // 403

    // What do they want? Read once; the body stays as the client wrote it.
    let body = call.body(gate.wire.body_bytes_max, gate.wire.body_timeout).await?; // 408 413 415
    let request = wire::read(relay.dialect_of(&body), call.content_type(), body)?; // 400 415

    // The body may have taken its time: windows, prices and rows are about this instant.
    let now = gate.moment();

    // May they have it? Rules narrow the routes; a refusal names the rule that emptied them.
    let permit = gate.admit(caller, relay, &request.ask.model, now.wall)?; // 400 403 404 503
    let limits = gate.limits(permit.caller());
    refuse_unmeterable(&permit, relay.metering, &limits)?; // 403
    refuse_detours(&permit, &request)?; // 403

    // Can they pay? What the call can use at most is held on every limit at once, or on none; where it
    // is too much, its maximum is lowered to what fits.
    let asked = Asked { call: &call, relay, request: &request, now };
    let reservation = gate.reserve(permit, &limits, asked).await?; // 400 402 403 429 503

    // Serve, and stream. From here the exchange owns the reservation: it writes down what is about to
    // happen before a provider is called, and whoever ends it — provider, client, timeout — settles it
    // with what was truly used.
    exchange::run(gate, upstream, relay, call, request, reservation).await // 429 502 503 504
}

/// A request on its way to be reserved for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    call: &'a Call,
    relay: Relay,
    request: &'a wire::Request,
    now: Now,
}

impl Gate {
    /// Counts one answer that is read on without a client, until the count is dropped; `None` when
    /// there are too many already.
    pub fn drain(self: &Arc<Self>) -> Option<Draining> {
        let before = self.drains.fetch_add(1, Ordering::Relaxed);
        let draining = Draining(Arc::clone(self));
        (before < DRAINS_MAX).then_some(draining)
    }

    /// The key behind the secret that `call` carries, alive, of the kind `guard` asks for, and
    /// calling from where it may.
    ///
    /// # Errors
    /// There is no such key, it is not alive, of the wrong kind, or its address is not allowed.
    pub async fn identify(
        &self,
        guard: Guard,
        call: &Call,
        now: Timestamp,
    ) -> Result<Caller, Failure> {
        let caller = self.name(guard, call, now).await?;
        let address = call.address(&self.trusted_proxies);
        rule::judge_address(caller.rules(), address)?;
        Ok(caller)
    }

    async fn name(&self, guard: Guard, call: &Call, now: Timestamp) -> Result<Caller, Failure> {
        let Some(secret) = call.secret()? else {
            if guard != Guard::Caller {
                return Err(no_secret().into());
            }
            let digest = self.anonymous().await.ok_or_else(no_secret)?;
            let lineage = self.lineage(self.key_with(digest).await?).await?;
            return Ok(lineage.identify(&digest, KeyKind::Regular, now)?);
        };
        let digest = secret.digest();
        if self.is_master(&digest) {
            return match &self.operator {
                Some(key) if guard == Guard::Master => {
                    let lineage = self.lineage(Arc::clone(key)).await?;
                    Ok(lineage.identify_itself(KeyKind::Regular, now)?)
                }
                _ => Err(master_calls_no_model(guard).into()),
            };
        }
        // Nobody need look up what was mistyped; what stands in the operator's file was not.
        if is_mistyped(secret.expose()) && !self.bridge.has(&digest) {
            self.bridge.catch_up().await;
            if !self.bridge.has(&digest) {
                return Err(no_such_key().into());
            }
        }
        let lineage = self.lineage(self.key_with(digest).await?).await?;
        let own = lineage.key.kind;
        let kind = match guard {
            Guard::Caller | Guard::Open => KeyKind::Regular,
            Guard::Manager => KeyKind::Management,
            Guard::Holder | Guard::Master | Guard::Internal => own,
        };
        let caller = lineage.identify(&digest, kind, now)?;
        if matches!(guard, Guard::Master | Guard::Internal) {
            let message = "Only the master key opens this route.";
            return Err(Refusal::new(Code::WrongKeyType, message).into());
        }
        Ok(caller)
    }

    /// Every limit that applies to a caller.
    pub fn limits(&self, caller: &Caller) -> AllLimits {
        caller.lineage().limits(&self.defaults)
    }

    /// This moment, on both clocks.
    pub fn moment(&self) -> Now {
        Now { wall: self.clock.now(), monotonic: self.clock.monotonic_micros() }
    }

    /// Whether this is the master key's digest. Compared in constant time.
    pub fn is_master(&self, digest: &Digest) -> bool {
        use subtle::ConstantTimeEq as _;
        self.master.bytes().ct_eq(digest.bytes()).into()
    }

    /// The key with this digest. One that has a line in the operator's file, and one that nobody
    /// knows, is believed only as the file is now: an edit is in force for the next call.
    async fn key_with(&self, digest: Digest) -> Result<Arc<Key>, Failure> {
        let mut key = self.find(digest).await?;
        if key.as_ref().is_none_or(|key| key.listed) && self.bridge.is_stale() {
            self.bridge.catch_up().await;
            key = self.find(digest).await?;
        }
        let key = key.ok_or_else(no_such_key)?;
        if key.listed {
            self.bridge.note_use(key.id);
        }
        Ok(key)
    }

    async fn find(&self, digest: Digest) -> Result<Option<Arc<Key>>, store::Fault> {
        match self.store.find(&digest) {
            Found::Key(key) => Ok(Some(key)),
            Found::Nobody => Ok(None),
            Found::Ask => self.store.look_up(digest).await,
        }
    }

    /// The digest that finds the key of calls without a secret, where they are allowed.
    async fn anonymous(&self) -> Option<Digest> {
        if self.anonymous.is_some() {
            return self.anonymous;
        }
        self.bridge.catch_up().await;
        self.bridge.force().anonymous
    }

    fn admit(
        &self,
        caller: Caller,
        relay: Relay,
        model: &str,
        when: Timestamp,
    ) -> Result<Permit<Arc<Route>>, Refusal> {
        // Looked at once: names and rules are judged by the same models.
        let models = self.models.load();
        let routes = models.routes(relay, model)?;
        rule::admit(caller, routes, |route| route.target(when), |name| models.alias(name))
    }

    /// The key with everything above it.
    async fn lineage(&self, key: Arc<Key>) -> Result<Lineage, Failure> {
        match self.store.lineage(&key) {
            Some(lineage) => Ok(lineage),
            None => Ok(self.store.look_up_lineage(key).await?),
        }
    }

    async fn reserve(
        self: &Arc<Self>,
        permit: Permit<Arc<Route>>,
        limits: &[ScopedLimit],
        asked: Asked<'_>,
    ) -> Result<Reservation, Failure> {
        let (caller, routes) = permit.into_parts();
        let Asked { call, relay, request, now } = asked;
        let id = self.ids.hold(now.wall);
        let size = Size {
            ask: &request.ask,
            dialect: request.dialect(),
            metering: relay.metering,
            characters: request.characters,
            has_betas: call.has_betas(),
        };
        let reserved = match Ceiling::of(&routes, size, limits, now.wall)? {
            None => {
                let want = Want::call(Money::ZERO, 0);
                let held = self.store.reserve(id, limits, want, Fit::All, now).await;
                held.map(|held| (held, routes, Bound::default()))
            }
            Some(ceiling) => {
                let floor = self.floor_tokens.max(request.ask.output_floor);
                let length = Length { asked: request.ask.output_cap, floor };
                let fitted =
                    fit::reserve(&self.store, (id, limits), ceiling, length, request, now).await;
                fitted.map(|fitted| {
                    let (routes, bound) = (fitted.ceiling.routes(), Bound::of(&fitted, length));
                    (fitted.found, routes, bound)
                })
            }
        };
        let (held, routes, bound) = match reserved {
            Ok(reserved) => reserved,
            Err(NotReserved::Short(short)) => {
                let whose = fit::whose(caller.lineage(), short.scoped.scope);
                return Err(short.refusal(&whose).into());
            }
            // The ledger cannot be asked: nothing is admitted on a guess.
            Err(NotReserved::Fault(fault)) => return Err(fault.into()),
        };
        let facts = Facts::new(call, caller.key(), relay, request, now.wall);
        Ok(Reservation::new(Arc::clone(self), facts, routes, held, bound))
    }
}

/// One answer that is read on without a client.
pub struct Draining(Arc<Gate>);

impl Drop for Draining {
    fn drop(&mut self) {
        self.0.drains.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A route that does not show its model, or what it uses, passes neither rules about models nor a
/// limit on money or tokens.
fn refuse_unmeterable(
    permit: &Permit<Arc<Route>>,
    metering: Metering,
    limits: &[ScopedLimit],
) -> Result<(), Refusal> {
    let any_model = permit.caller().lineage().any_model();
    if metering != Metering::Unmetered || (!Needs::of(limits).bound() && any_model) {
        return Ok(());
    }
    Err(Refusal::new(
        Code::Unmeterable,
        "What this route uses, and with which model, cannot be seen: it is refused where a limit on money or tokens, or a rule about models, applies.",
    ))
}

/// Some providers send a call on to other models that its body names: rules cannot see through that.
fn refuse_detours(permit: &Permit<Arc<Route>>, request: &wire::Request) -> Result<(), Refusal> {
    const DETOURS: [&str; 5] = ["models", "fallbacks", "preset", "route", "extra_body"];
    match request.ask.unbounded {
        Some(path) if DETOURS.contains(&path) && !permit.caller().lineage().any_model() => {
            let message =
                "This key has rules about models, and this member may lead the call to others.";
            Err(Refusal::new(Code::ModelNotAllowed, message).about(path))
        }
        _ => Ok(()),
    }
}

fn no_secret() -> Refusal {
    Refusal::new(
        Code::MissingApiKey,
        "You didn't provide an API key. Send it as 'Authorization: Bearer <key>' (or in x-api-key).",
    )
}

fn refuse_stored(gate: &Gate, relay: Relay) -> Result<(), Refusal> {
    if gate.stored_objects || !relay.stored {
        return Ok(());
    }
    Err(Refusal::new(
        Code::RouteDisabled,
        "Whoever operates this gateway has switched off what providers store (stored_objects).",
    ))
}

fn master_calls_no_model(guard: Guard) -> Refusal {
    if guard == Guard::Master {
        return Refusal::new(
            Code::RouteDisabled,
            "Organization administration is not passed through. Whoever operates this gateway can switch it on with organization_routes.",
        );
    }
    Refusal::new(
        Code::WrongKeyType,
        "The master key administers; it calls no model. Make a key with POST /api/v1/keys, and call with that.",
    )
}

impl Route {
    /// Where the route leads, and what that costs at `when`, as rules judge it.
    pub fn target(&self, when: Timestamp) -> Target<'_> {
        let priced = self.priced.as_ref();
        let price = priced.map_or(PriceTag::Unknown, |model| PriceTag::of(&model.prices, when));
        Target { provider: &self.provider.name, model: &self.model, also: &self.also, price }
    }
}
