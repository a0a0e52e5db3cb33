//! A hold with someone answerable for closing it. However a call ends, its reservation is closed
//! exactly once, with what is known by then, and one ledger row says so. What is known is read by
//! `wire`; what it costs is computed by `domain`.

use std::sync::Arc;

use domain::key::Key;
use domain::{
    Class, Ending, Evidence, HoldId, KeyId, Money, Price, RequestId, Row, Timestamp, Usage, pricing,
};

use http::Method;
use store::Held;

use crate::call::Call;
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
    attempt: HoldId,
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
        attempt: HoldId,
        call: &Call,
        key: &Key,
        relay: Relay,
        request: &wire::Request,
        now: Timestamp,
    ) -> Self {
        Self {
            attempt,
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

/// A hold, the routes it was made for, and how far the call has come.
#[must_use = "a reservation that is dropped is closed as abandoned"]
pub struct Reservation {
    gate: Arc<Gate>,
    facts: Facts,
    routes: Vec<Arc<Route>>,
    hold: Option<Held>,
    sent: Option<Sent>,
}

/// What is known once a provider was called.
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
    rates: Vec<(Class, Price)>,
    ending: Ending,
}

impl Outcome {
    fn nothing(ending: Ending) -> Self {
        let (usage, evidence) = (Usage::NONE, Evidence::Reported);
        Self { usage, evidence, cost: Some(Money::ZERO), rates: Vec::new(), ending }
    }
}

/// What a call was closed with.
#[derive(Clone, Copy, Debug)]
pub struct Closed {
    /// What it cost; `None` where the model has no price.
    pub cost: Option<Money>,
}

impl Reservation {
    pub fn new(gate: Arc<Gate>, facts: Facts, routes: Vec<Arc<Route>>, hold: Held) -> Self {
        Self { gate, facts, routes, hold: Some(hold), sent: None }
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

    /// Whether money is held.
    pub fn holds_money(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.amount() > Money::ZERO)
    }

    /// A provider is called with this credential now.
    pub fn sending(&mut self, credential: &Arc<str>) {
        let at_micros = self.gate.clock.monotonic_micros();
        self.sent = Some(Sent {
            credential: Arc::clone(credential),
            at_micros,
            status: 0,
            first_byte_micros: None,
        });
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
    /// what is held stays held.
    pub fn refused(&mut self) {
        let Some(sent) = self.sent.take().filter(|_| self.facts.bill != Bill::None) else { return };
        let attempt = self.gate.ids.hold(self.facts.began_at);
        let row = self.row(attempt, sent, Outcome::nothing(Ending::ProviderError));
        if let Err(fault) = self.gate.store.record(row) {
            tracing::error!(request = %self.facts.request, %fault, "a ledger row could not be written");
        }
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
            self.gate.store.release(hold);
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
        // Without the provider's word, or without a price for what it reported, a call under a money
        // limit is charged what was held for it.
        let most = hold.amount();
        if most > Money::ZERO && (evidence != Evidence::Reported || cost.is_none()) {
            cost = Some(most);
            evidence = Evidence::Estimated;
        }
        if most > Money::ZERO && cost > Some(most) {
            tracing::warn!(request = %self.facts.request, %most, "a provider reported more than the most the call could use");
        }
        let attempt = self.facts.attempt;
        let row = self.row(attempt, sent, Outcome { usage, evidence, cost, rates, ending });
        if let Err(fault) = self.gate.store.settle(hold, row) {
            tracing::error!(request = %self.facts.request, %fault, "a ledger row could not be written");
        }
        Closed { cost }
    }

    fn row(&self, attempt: HoldId, sent: Sent, outcome: Outcome) -> Row {
        let now = self.gate.clock.monotonic_micros();
        let route = &self.routes[0];
        let Outcome { usage, evidence, cost, rates, ending } = outcome;
        Row {
            attempt,
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
            price_version: Arc::clone(&self.gate.models.price_version),
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
            self.gate.store.release(hold);
        }
    }
}
