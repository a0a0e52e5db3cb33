//! The life of one call to a model, top to bottom. Each step consumes the proof of the step before
//! it, so none can be skipped or reordered; everything that can say no says it here, before the
//! first byte goes to a provider. Not here: how bytes travel (`upstream`, `meter`), what is
//! administered (`admin`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::key::{Caller, Key, KeyKind};
use domain::refusal::{Code, Refusal};
use domain::rule::{self, Permit, Target};
use domain::secret::is_mistyped;
use domain::{Clock, Digest, Money, Timestamp};
use store::{Found, NotReserved, Store};
use tokio_util::task::TaskTracker;

use crate::call::{Answer, Call, no_such_key};
use crate::ceiling;
use crate::config::WireLimits;
use crate::exchange;
use crate::failure::Failure;
use crate::ids::Ids;
use crate::models::{Models, Route};
use crate::relay::{Guard, Metering, Relay};
use crate::reservation::{Facts, Reservation};
use crate::upstream::Upstream;
use crate::wire;

/// What every call is judged and kept with. One for the whole process.
pub struct Gate {
    pub clock: Arc<dyn Clock>,
    pub store: Arc<Store>,
    pub models: Models,
    pub wire: WireLimits,
    pub ids: Ids,
    /// Work that outlives its client; a stop waits for it.
    pub tasks: TaskTracker,
    /// The digest of the master key.
    pub master: Digest,
    /// The digest that finds the key of calls without a secret, where they are allowed.
    pub anonymous: Option<Digest>,
    /// The record that the master key's own calls to the provider's organization administration run
    /// under, where the operator switched that on.
    pub operator: Option<Arc<Key>>,
    /// Whether keys may use what the provider stores for its account.
    pub stored_objects: bool,
    /// Answers that are read on for their usage although their client has gone.
    pub drains: AtomicUsize,
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
    let now = call.at; // the only look at the clock: every decision below is about this instant

    // Who is calling? The secret is hashed here and goes no further.
    let caller = gate.identify(guard, &call, now).await?; // 401 403

    // Is there such a route here? What a provider stores is not told apart by key.
    refuse_stored(gate, relay)?; // 403

    // What do they want? Read once; the body stays as the client wrote it.
    let body = call.body(gate.wire.body_bytes_max, gate.wire.body_timeout).await?; // 408 413 415
    let request = wire::read(relay.dialect_of(&body), call.content_type(), body)?; // 400 415

    // May they have it? Rules narrow the routes; a refusal names the rule that emptied them.
    let routes = gate.models.routes(relay, &request.ask.model)?; // 400 404 503
    let permit = rule::admit(caller, routes, Route::target, |name| gate.models.alias(name))?; // 403 404
    refuse_unmeterable(&permit, relay.metering)?; // 403
    refuse_detours(&permit, &request)?; // 403

    // Can they pay? What the call may cost at most is held on every limit at once, or on none.
    let reservation = gate.reserve(permit, &call, relay, &request, now).await?; // 402 403 503

    // Serve, and stream. From here the exchange owns the reservation: whoever ends it — provider,
    // client, timeout — settles it with what was truly used.
    exchange::run(gate, upstream, relay, call, request, reservation).await // 429 502 504
}

impl Gate {
    /// Counts one answer that is read on without a client, until the count is dropped; `None` when
    /// there are too many already.
    pub fn drain(self: &Arc<Self>) -> Option<Draining> {
        let before = self.drains.fetch_add(1, Ordering::Relaxed);
        let draining = Draining(Arc::clone(self));
        (before < DRAINS_MAX).then_some(draining)
    }

    /// The key behind the secret that `call` carries, alive and of the kind `guard` asks for.
    ///
    /// # Errors
    /// There is no such key, it is not alive, or it is of the wrong kind.
    pub async fn identify(
        &self,
        guard: Guard,
        call: &Call,
        now: Timestamp,
    ) -> Result<Caller, Failure> {
        let Some(secret) = call.secret()? else {
            let anonymous = self.anonymous.filter(|_| guard == Guard::Caller);
            let key = self.key_with(anonymous.ok_or_else(no_secret)?).await?;
            return Ok(key.identify(KeyKind::Regular, now)?);
        };
        let digest = secret.digest();
        if self.is_master(&digest) {
            return match &self.operator {
                Some(key) if guard == Guard::Master => {
                    Ok(Arc::clone(key).identify(KeyKind::Regular, now)?)
                }
                _ => Err(master_calls_no_model(guard).into()),
            };
        }
        if is_mistyped(secret.expose()) {
            return Err(no_such_key().into());
        }
        let key = self.key_with(digest).await?;
        match guard {
            Guard::Caller | Guard::Open => Ok(key.identify(KeyKind::Regular, now)?),
            Guard::Manager => Ok(key.identify(KeyKind::Management, now)?),
            Guard::Holder => {
                let kind = key.kind;
                Ok(key.identify(kind, now)?)
            }
            Guard::Master => {
                let kind = key.kind;
                let _known = key.identify(kind, now)?;
                Err(Refusal::new(Code::WrongKeyType, "Only the master key opens this route.")
                    .into())
            }
        }
    }

    /// Whether this is the master key's digest. Compared in constant time.
    pub fn is_master(&self, digest: &Digest) -> bool {
        use subtle::ConstantTimeEq as _;
        self.master.bytes().ct_eq(digest.bytes()).into()
    }

    async fn key_with(&self, digest: Digest) -> Result<Arc<Key>, Failure> {
        let key = match self.store.find(&digest) {
            Found::Key(key) => Some(key),
            Found::Nobody => None,
            Found::Ask => self.store.look_up(digest).await?,
        };
        key.ok_or_else(|| no_such_key().into())
    }

    async fn reserve(
        self: &Arc<Self>,
        permit: Permit<Arc<Route>>,
        call: &Call,
        relay: Relay,
        request: &wire::Request,
        now: Timestamp,
    ) -> Result<Reservation, Failure> {
        let (caller, routes) = permit.into_parts();
        let key = caller.key();
        let amount = if key.has_money_limit() {
            ceiling::of(&routes, request, relay, call.has_betas(), now)?
        } else {
            Money::ZERO
        };
        let attempt = self.ids.hold(now);
        let hold = match self.store.reserve(key, attempt, amount, now).await {
            Ok(hold) => hold,
            Err(NotReserved::Refused(no)) => return Err(no.into()),
            // The ledger cannot be asked: nothing is admitted on a guess.
            Err(NotReserved::Fault(fault)) => return Err(fault.into()),
        };
        let facts = Facts::new(attempt, call, key, relay, request, now);
        Ok(Reservation::new(Arc::clone(self), facts, routes, hold))
    }
}

/// One answer that is read on without a client.
pub struct Draining(Arc<Gate>);

impl Drop for Draining {
    fn drop(&mut self) {
        self.0.drains.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A route that does not show its model, or what it costs, passes neither rules about models nor a
/// limit on money.
fn refuse_unmeterable(permit: &Permit<Arc<Route>>, metering: Metering) -> Result<(), Refusal> {
    let key = permit.caller().key();
    if metering != Metering::Unmetered || (!key.has_money_limit() && key.rules.any_model()) {
        return Ok(());
    }
    Err(Refusal::new(
        Code::Unmeterable,
        "What this route costs, and with which model, cannot be seen: it is refused to a key that has a money limit or rules about models.",
    ))
}

/// Some providers send a call on to other models that its body names: rules cannot see through that.
fn refuse_detours(permit: &Permit<Arc<Route>>, request: &wire::Request) -> Result<(), Refusal> {
    const DETOURS: [&str; 5] = ["models", "fallbacks", "preset", "route", "extra_body"];
    match request.ask.unbounded {
        Some(path) if DETOURS.contains(&path) && !permit.caller().key().rules.any_model() => {
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
    /// Where the route leads, as rules judge it.
    pub fn target(route: &Arc<Self>) -> Target<'_> {
        Target { provider: &route.provider.name, model: &route.model, also: &route.also }
    }
}
