//! A hold with someone answerable for closing it. However a call ends, its reservation is closed
//! exactly once, with what is known by then, and one ledger row says so. What is known is read by
//! `wire`; what it costs is computed by `domain`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use domain::key::Key;
use domain::ledger::Rates;
use domain::{
    Class, Ending, Evidence, KeyId, Money, Price, RequestId, Row, Timestamp, Unit, Usage, pricing,
};

use http::Method;
use store::{Fault, Held};

use crate::call::Call;
use crate::fit::{Fitted, Length};
use crate::gate::Gate;
use crate::models::Route;
use crate::relay::{Metering, Relay};
use crate::wire::{self, Observed};

/// What a provider asks for a call, and whether its answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bill {
    /// Nothing: there is no row.
    None,
    /// Something that no answer tells: the row's cost is not known.
    Untold,
    /// What was used is in the answer.
    Told,
}

/// What a call's ledger row says, as far as it is known before a provider is called.
#[derive(Debug)]
pub struct Facts {
    request: RequestId,
    key: KeyId,
    route: &'static str,
    asked: String,
    stream: bool,
    body_bytes: u64,
    characters: u64,
    media: bool,
    bill: Bill,
    began_at: Timestamp,
    began_micros: u64,
}

impl Facts {
    pub fn new(
        call: &Call,
        key: &Key,
        relay: Relay,
        request: &wire::Request,
        now: Timestamp,
    ) -> Self {
        Self {
            request: call.id,
            key: key.id,
            route: relay.path.trim_start_matches('/'),
            asked: request.ask.model.clone(),
            stream: request.ask.stream,
            body_bytes: request.ask.body_bytes,
            characters: request.characters,
            media: request.ask.media,
            bill: match relay.metering {
                Metering::Usage => Bill::Told,
                Metering::Unmetered if *call.method() == Method::POST => Bill::Untold,
                // Looking at something stored, or deleting it, starts nothing that costs.
                Metering::Unmetered | Metering::Free => Bill::None,
            },
            began_at: now,
            began_micros: call.began_micros,
        }
    }
}

/// What a call is held to, under limits that may refuse it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bound {
    /// The most it can cost, where a limit on money applies.
    money: Option<Money>,
    /// The same, wherever it is known.
    worst: Option<Money>,
    /// The most tokens it can use, where a limit on money or tokens applies.
    tokens: Option<i64>,
    /// The maximum of output tokens that the provider is told.
    cap: Option<u64>,
    /// The same, where the client set a larger one, or none and the model can give more.
    clamped: Option<u64>,
}

impl Bound {
    /// What was held, as the provider and the client are told.
    pub fn of(fitted: &Fitted<Held>, length: Length) -> Self {
        let needs = fitted.ceiling.needs();
        if !needs.bound() {
            return Self::default();
        }
        let want = fitted.found.want();
        Self {
            money: Some(want.money).filter(|_| needs.money),
            // Without a limit on money, nothing may also mean that there is no price.
            worst: Some(want.money).filter(|most| needs.money || *most > Money::ZERO),
            tokens: Some(want.tokens),
            cap: fitted.cap(),
            clamped: fitted.clamped(length),
        }
    }
}

/// A hold, the routes it was made for, and how far the call has come.
#[must_use = "a reservation that is dropped is closed as abandoned"]
pub struct Reservation {
    gate: Arc<Gate>,
    facts: Facts,
    routes: Vec<Arc<Route>>,
    bound: Bound,
    rates: Rates,
    hold: Option<Held>,
    sent: Option<Sent>,
    /// Whether an attempt was closed already, so that there was a request, whatever comes.
    was_sent: bool,
}

/// What is known once a provider was called.
#[derive(Clone)]
struct Sent {
    credential: Arc<str>,
    at_micros: u64,
    status: u16,
    first_byte_micros: Option<u64>,
}

/// How an attempt came out, as its row says it.
struct Outcome {
    usage: Usage,
    evidence: Evidence,
    cost: Option<Money>,
    tokens: i64,
    rates: Vec<(Class, Price)>,
    ending: Ending,
}

impl Outcome {
    fn nothing(ending: Ending) -> Self {
        let (usage, evidence, cost) = (Usage::NONE, Evidence::Reported, Some(Money::ZERO));
        Self { usage, evidence, cost, tokens: 0, rates: Vec::new(), ending }
    }

    /// What stands where nobody lives to tell more: all that is held.
    fn unknown(bound: Bound) -> Self {
        Self {
            usage: Usage::NONE,
            evidence: Evidence::Estimated,
            cost: bound.worst,
            tokens: bound.tokens.unwrap_or(0),
            rates: Vec::new(),
            ending: Ending::Killed,
        }
    }
}

/// What a call was closed with.
#[derive(Clone, Copy, Debug)]
pub struct Closed {
    /// What it cost; `None` where the model has no price.
    pub cost: Option<Money>,
}

impl Reservation {
    pub fn new(
        gate: Arc<Gate>,
        facts: Facts,
        routes: Vec<Arc<Route>>,
        hold: Held,
        bound: Bound,
    ) -> Self {
        let (rates, hold) = (hold.rates(), Some(hold));
        Self { gate, facts, routes, bound, rates, hold, sent: None, was_sent: false }
    }

    /// The route that is taken.
    pub fn route(&self) -> &Arc<Route> {
        &self.routes[0]
    }

    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// The client's request.
    pub fn request(&self) -> RequestId {
        self.facts.request
    }

    /// Whether reading an answer to its end can tell what it cost.
    pub fn is_told_by_the_answer(&self) -> bool {
        self.facts.bill == Bill::Told
    }

    /// Whether it is held to a bound, on money or tokens: then nothing about it is guessed.
    pub fn is_bound(&self) -> bool {
        self.bound.tokens.is_some()
    }

    /// Whether money is held.
    pub fn holds_money(&self) -> bool {
        self.bound.money.is_some()
    }

    /// The maximum of output tokens that was held.
    pub fn cap(&self) -> Option<u64> {
        self.bound.cap
    }

    /// The same, where the client is to be told that its answer may be shorter than it asked for.
    pub fn clamped(&self) -> Option<u64> {
        self.bound.clamped
    }

    /// How the caller's rates stood right after it was admitted.
    pub fn rates(&self) -> Rates {
        self.rates
    }

    /// A provider is called with this credential now: written down before it is, so that what may be
    /// used is charged even if nobody lives to tell.
    ///
    /// # Errors
    /// It cannot be written: the provider may not be called.
    pub async fn begin(&mut self, credential: &Arc<str>) -> Result<(), Fault> {
        let mut sent = Sent {
            credential: Arc::clone(credential),
            at_micros: self.gate.clock.monotonic_micros(),
            status: 0,
            first_byte_micros: None,
        };
        let gate = Arc::clone(&self.gate);
        let is_billed = self.facts.bill != Bill::None;
        // What costs nothing is written down where its request counts.
        let counts = |hold: &&Held| is_billed || hold.counts(Unit::Requests);
        if let Some(hold) = self.hold.as_ref().filter(counts) {
            let outcome = if is_billed {
                Outcome::unknown(self.bound)
            } else {
                Outcome::nothing(Ending::Killed)
            };
            let row = self.row(hold, sent.clone(), outcome);
            // What is held stays here: should nobody wait for this any more, it is released.
            if let Some(hold) = &mut self.hold {
                gate.store.begin(hold, &row).await?;
            }
            sent.at_micros = gate.clock.monotonic_micros();
        }
        self.sent = Some(sent);
        Ok(())
    }

    /// The provider's answer has begun.
    pub fn answered(&mut self, status: u16) {
        let now = self.gate.clock.monotonic_micros();
        if let Some(sent) = &mut self.sent {
            sent.status = status;
            sent.first_byte_micros = Some(now.saturating_sub(self.facts.began_micros));
        }
    }

    /// The provider refused the credential, and another is tried: that attempt has its own row, and
    /// what is held passes on to the next.
    ///
    /// # Errors
    /// The row cannot be written: there may be no next attempt.
    pub fn pass_on(&mut self) -> Result<(), Fault> {
        self.was_sent = true;
        let Some(sent) = self.sent.take().filter(|_| self.facts.bill != Bill::None) else {
            return Ok(());
        };
        let Some(hold) = self.hold.take() else { return Ok(()) };
        let row = self.row(&hold, sent, Outcome::nothing(Ending::ProviderError));
        let next = self.gate.ids.hold(self.facts.began_at);
        self.hold = Some(self.gate.store.pass_on(hold, &row, next)?);
        Ok(())
    }

    /// What was thought sent never left: nothing is owed for it.
    pub fn unsent(&mut self) {
        self.sent = None;
    }

    /// The call is over.
    pub fn close(mut self, observed: &Observed, ending: Ending) -> Closed {
        self.end(observed, ending)
    }

    /// The same for who cannot give the reservation away; what comes after it changes nothing.
    pub fn end(&mut self, observed: &Observed, ending: Ending) -> Closed {
        let (Some(hold), Some(sent)) = (self.hold.take(), self.sent.take()) else {
            return Closed { cost: Some(Money::ZERO) };
        };
        if self.facts.bill == Bill::None {
            self.gate.store.finish(hold);
            return Closed { cost: Some(Money::ZERO) };
        }
        let answered_well = (200..300).contains(&sent.status);
        let never_answered = sent.status == 0 && ending != Ending::ProviderError;
        let owed = answered_well || never_answered;
        let told = self.facts.bill == Bill::Told || !owed;
        let (usage, mut evidence) = if told {
            self.used(observed, ending, owed)
        } else {
            (Usage::NONE, Evidence::Estimated)
        };
        let route = &self.routes[0];
        let (mut cost, rates) =
            price(route, &usage, observed.service_tier.as_deref(), self.facts.began_at);
        // Pictures and sound that nobody counted have a cost that nobody knows, and so has what no
        // answer tells.
        if !told || (self.facts.media && evidence != Evidence::Reported) {
            cost = None;
        }
        // Without the provider's word, what was held is what limits count; and without a price for
        // what it reported, too, where money is held.
        let used = i64::try_from(usage.tokens()).unwrap_or(i64::MAX);
        let held_tokens = self.bound.tokens.filter(|_| evidence != Evidence::Reported);
        let held_money = self.bound.money.filter(|_| held_tokens.is_some() || cost.is_none());
        if held_tokens.is_some() || held_money.is_some() {
            evidence = Evidence::Estimated;
        }
        let tokens = held_tokens.unwrap_or(used);
        cost = held_money.or(cost);
        let row = self.row(&hold, sent, Outcome { usage, evidence, cost, tokens, rates, ending });
        self.tell_overrun(&row);
        if let Err(fault) = self.gate.store.settle(hold, &row) {
            tracing::error!(request = %self.facts.request, %fault, "a ledger row could not be written");
        }
        Closed { cost }
    }

    /// More was used than the provider was asked for: the row says so, and so does the log.
    fn tell_overrun(&self, row: &Row) {
        let tokens = self.bound.tokens.map_or(0, |most| row.tokens.saturating_sub(most)).max(0);
        let money = row.overrun();
        if money > Money::ZERO || tokens > 0 {
            let since_start = self.gate.overruns.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            tracing::error!(
                request = %self.facts.request, provider = %row.provider, %money, tokens, since_start,
                "a provider reported more than the most the call could use"
            );
        }
    }

    fn row(&self, hold: &Held, sent: Sent, outcome: Outcome) -> Row {
        let now = self.gate.clock.monotonic_micros();
        let route = &self.routes[0];
        let Outcome { usage, evidence, cost, tokens, rates, ending } = outcome;
        Row {
            attempt: hold.id(),
            request: self.facts.request,
            key: self.facts.key,
            route: Arc::from(self.facts.route),
            model_asked: if *self.facts.asked == *route.model {
                Arc::clone(&route.model)
            } else {
                Arc::from(self.facts.asked.as_str())
            },
            model_used: Arc::clone(&route.model),
            provider: Arc::clone(&route.provider.name),
            credential: sent.credential,
            usage,
            evidence,
            cost,
            held: self.bound.money.unwrap_or_default(),
            tokens,
            price_version: Arc::clone(&route.price_version),
            rates,
            stream: self.facts.stream,
            status: sent.status,
            ending,
            began_at: self.facts.began_at,
            ours_micros: sent.at_micros.saturating_sub(self.facts.began_micros),
            first_byte_micros: sent.first_byte_micros,
            total_micros: now.saturating_sub(self.facts.began_micros),
        }
    }

    /// What was used, by the best evidence there is.
    fn used(&self, observed: &Observed, ending: Ending, owed: bool) -> (Usage, Evidence) {
        let whole = observed.ended || observed.usage_is_final;
        // Nothing is made of nothing: a report without a prompt is none.
        let told = observed.usage.filter(|usage| !owed || is_believable(usage));
        if let Some(usage) = told.filter(|_| whole || !owed) {
            return (usage, Evidence::Reported);
        }
        if !owed {
            return (Usage::NONE, Evidence::Reported);
        }
        let counted = self.count(observed);
        if let Some(told) = told {
            // A stream that broke off had told less than it used.
            let most = |usage: Usage, class| usage.with(class, told[class].max(counted[class]));
            return (most(told, Class::Output), Evidence::Estimated);
        }
        let evidence = if ending == Ending::Complete && whole {
            Evidence::Counted
        } else {
            Evidence::Estimated
        };
        (counted, evidence)
    }

    /// English has about four bytes to a token; both counts are rounded up. Pictures and sound have
    /// no such measure, and are not counted as text.
    fn count(&self, observed: &Observed) -> Usage {
        if self.facts.characters > 0 {
            return Usage::NONE.with(Class::Characters, self.facts.characters);
        }
        let input = if self.facts.media { 0 } else { self.facts.body_bytes.div_ceil(4) };
        Usage::NONE.with(Class::Input, input).with(Class::Output, observed.output_bytes.div_ceil(4))
    }
}

/// Whether a report can be true: something was used, and tokens came of a prompt.
fn is_believable(usage: &Usage) -> bool {
    let other = usage.used().any(|(class, _)| !class.is_tokens());
    other || usage.input_tokens() > 0
}

/// The cost of `usage` on `route`, and the rates it was computed with.
fn price(
    route: &Route,
    usage: &Usage,
    tier: Option<&str>,
    at: Timestamp,
) -> (Option<Money>, Vec<(Class, Price)>) {
    if *usage == Usage::NONE {
        return (Some(Money::ZERO), Vec::new());
    }
    let Some(rates) =
        route.priced.as_ref().and_then(|model| model.prices.at(at, usage.input_tokens(), tier))
    else {
        return (None, Vec::new());
    };
    let used = usage.used().filter_map(|(class, _)| Some((class, rates.price(class)?))).collect();
    (pricing::cost(rates, usage).ok(), used)
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.sent.is_some() {
            self.end(&Observed::default(), Ending::Stopped);
        } else if let Some(hold) = self.hold.take() {
            if self.was_sent {
                self.gate.store.finish(hold);
            } else {
                self.gate.store.release(hold);
            }
        }
    }
}
