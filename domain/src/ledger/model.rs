//! What the ledger has to say, worked out from a list of everything that happened. Nothing is kept
//! up to date: every answer looks through the whole list again. Slow, and plain enough to be read
//! beside the definitions. Not part of the product.

use std::collections::HashMap;

use super::{Balance, Fit, Loaded, Now, Room, Short, Used, Want};
use crate::id::LimitId;
use crate::limit::{Enforcement, Limit, Unit};
use crate::money::Money;
use crate::scope::{Scope, ScopedLimit};
use crate::time::Timestamp;
use crate::window::{Span, Window};

/// One amount that was set aside under one limit.
#[derive(Clone, Debug)]
struct Event {
    call: usize,
    /// When its turn of the calendar began.
    start: Timestamp,
    /// When it was admitted, and when it leaves a rolling window: microseconds.
    admitted: i64,
    leaves: i64,
    /// What was set aside, then what was used.
    amount: i64,
    open: bool,
}

/// All that happened under one limit.
#[derive(Clone, Debug, Default)]
struct History {
    events: Vec<Event>,
    /// What the wall clock said when somebody asked.
    asked: Vec<Timestamp>,
    /// What calls that were settled used.
    used: Vec<i64>,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    histories: HashMap<(Scope, LimitId), History>,
    calls: usize,
}

fn micros(now: Now) -> i64 {
    i64::try_from(now.monotonic).unwrap()
}

/// Up to 10 000 requests leave exactly a window after they were admitted; everything else leaves
/// at the end of its slot, a six-hundredth of the window.
fn leaves(limit: &Limit, admitted: i64) -> i64 {
    let Window::Rolling { seconds } = limit.window else { return 0 };
    let width = i64::from(seconds) * 1_000_000;
    let slot = width / 600;
    let late = admitted.rem_euclid(slot);
    let exact = limit.unit == Unit::Requests && limit.amount <= 10_000;
    if exact || late == 0 { admitted + width } else { admitted - late + slot + width }
}

fn rolls(limit: &Limit) -> bool {
    limit.unit != Unit::InFlight && matches!(limit.window, Window::Rolling { .. })
}

/// How much must be left: at least 1, and twice as much where others are to fit beside it.
fn needed(limit: &Limit, wanted: i64, fit: Fit) -> i64 {
    let halves = fit == Fit::Half && matches!(limit.unit, Unit::Money | Unit::Tokens);
    wanted.max(1) * if halves { 2 } else { 1 }
}

impl History {
    /// A turn ends when its end was seen on the clock, and never begins again.
    fn span(&self, limit: &Limit, now: Now) -> Span {
        match limit.window {
            _ if limit.unit == Unit::InFlight => Window::Lifetime.span(now.wall),
            Window::Rolling { .. } => limit.window.span(now.wall),
            window => window.span(*self.asked.iter().max().unwrap()),
        }
    }

    /// What counts at a moment of the monotonic clock, and is held or spent.
    fn balance(&self, limit: &Limit, span: Span, at: i64) -> Balance {
        let mut balance = Balance { span, spent: 0, held: 0 };
        for event in &self.events {
            let counts = match limit.unit {
                Unit::InFlight => event.open,
                _ if rolls(limit) => event.leaves > at,
                _ => event.start == span.start,
            };
            // A request of a rolling window has happened once it is admitted.
            let held = event.open && !(rolls(limit) && limit.unit == Unit::Requests);
            match (counts, held) {
                (false, _) => {}
                (true, true) => balance.held += event.amount,
                (true, false) => balance.spent += event.amount,
            }
        }
        balance
    }

    /// Of the latest 64 calls, from 20 known on, the least that 95 of 100 do not exceed.
    fn wanted(&self, limit: &Limit, want: i64) -> i64 {
        let latest: Vec<i64> = self.used.iter().rev().take(64).copied().collect();
        if limit.enforcement != Enforcement::Expected
            || limit.unit == Unit::InFlight
            || latest.len() < 20
        {
            return want;
        }
        let covers = |most: i64| {
            let within = latest.iter().filter(|used| **used <= most).count();
            within * 100 >= latest.len() * 95
        };
        latest.iter().copied().filter(|most| covers(*most)).min().unwrap().min(want)
    }

    /// How long until that much is left, if nothing else happens.
    fn after(&self, limit: &Limit, needed: i64, now: Now) -> Option<u64> {
        let span = self.span(limit, now);
        let fits = |at: i64| self.balance(limit, span, at).taken() + needed <= limit.amount;
        if limit.unit == Unit::InFlight {
            None
        } else if rolls(limit) {
            let moments = self.events.iter().map(|event| event.leaves);
            let first = moments.filter(|at| *at > micros(now) && fits(*at)).min();
            first.map(|at| u64::try_from(at - micros(now)).unwrap())
        } else {
            let helps = needed <= limit.amount || limit.unit == Unit::Money;
            span.end.filter(|_| helps).map(|end| end.since(now.wall))
        }
    }
}

impl Model {
    fn of(&mut self, scoped: &ScopedLimit) -> &mut History {
        self.histories.entry((scoped.scope, scoped.limit.id)).or_default()
    }

    pub(super) fn balance(&mut self, scoped: &ScopedLimit, now: Now) -> Balance {
        let history = self.of(scoped);
        history.asked.push(now.wall);
        history.balance(&scoped.limit, history.span(&scoped.limit, now), micros(now))
    }

    /// The number of the call that was admitted, or why none was.
    pub(super) fn reserve(
        &mut self,
        limits: &[ScopedLimit],
        want: Want,
        fit: Fit,
        now: Now,
    ) -> Result<usize, Box<Short>> {
        let mut room = Room::default();
        let mut shorts = Vec::new();
        for scoped in limits {
            let (limit, balance) = (scoped.limit, self.balance(scoped, now));
            let history = self.of(scoped);
            let wanted = history.wanted(&limit, want.of(limit.unit));
            let left = (limit.amount - balance.taken()).max(0);
            if limit.enforcement == Enforcement::Observe {
                continue;
            }
            if limit.unit == Unit::Money {
                let left = Money::from_nanos(left);
                room.money = Some(room.money.unwrap_or(left).min(left));
            }
            if limit.unit == Unit::Tokens {
                room.tokens = Some(room.tokens.unwrap_or(left).min(left));
            }
            let needed = needed(&limit, wanted, fit);
            if balance.taken() + needed > limit.amount {
                let after = history.after(&limit, needed, now);
                shorts.push(Short { scoped: *scoped, balance, wanted, after, room });
            }
        }
        // Money before all else, then what never helps, then what takes longest; the first of equals.
        let rank = |short: &Short| {
            let money = short.scoped.limit.unit == Unit::Money;
            (money, short.after.is_none(), short.after)
        };
        if let Some(short) = shorts.iter().rev().max_by_key(|short| rank(short)) {
            let never = shorts.iter().any(|short| short.after.is_none());
            let longest = shorts.iter().filter_map(|short| short.after).max();
            let after = longest.filter(|_| !never);
            return Err(Box::new(Short { after, room, ..short.clone() }));
        }
        self.calls += 1;
        let call = self.calls;
        for ScopedLimit { scope, limit } in limits {
            let history = self.histories.get_mut(&(*scope, limit.id)).unwrap();
            history.events.push(Event {
                call,
                start: history.span(limit, now).start,
                admitted: micros(now),
                leaves: leaves(limit, micros(now)),
                amount: history.wanted(limit, want.of(limit.unit)),
                open: true,
            });
        }
        Ok(call)
    }

    /// The call used this; or nothing, and was never made.
    pub(super) fn close(&mut self, limits: &[ScopedLimit], call: usize, used: Option<Used>) {
        for scoped in limits {
            let history = self.of(scoped);
            let event = history.events.iter_mut().find(|event| event.call == call).unwrap();
            event.open = false;
            event.amount = match (used, scoped.limit.unit) {
                (None, _) | (_, Unit::InFlight) => 0,
                (Some(used), Unit::Money) => used.money.nanos(),
                (Some(used), Unit::Tokens) => used.tokens,
                (Some(_), Unit::Requests) => event.amount,
            };
            if used.is_some() {
                // A call that came to nothing says nothing about those that do not.
                history.used.extend((event.amount > 0).then_some(event.amount));
            }
        }
    }

    /// Some of what the call was charged is given back; not in rolling windows.
    pub(super) fn refund(&mut self, limits: &[ScopedLimit], call: usize, too_much: Used) {
        for scoped in limits.iter().filter(|scoped| !rolls(&scoped.limit)) {
            let events = &mut self.of(scoped).events;
            let event = events.iter_mut().find(|event| event.call == call).unwrap();
            event.amount -= match scoped.limit.unit {
                Unit::Money => too_much.money.nanos(),
                Unit::Tokens => too_much.tokens,
                Unit::Requests | Unit::InFlight => 0,
            };
        }
    }

    /// The process dies: what is open counts as it was held, nothing is in flight any more, and
    /// the monotonic clock begins again, `back` microseconds earlier.
    pub(super) fn crash(&mut self, back: i64) {
        for event in self.histories.values_mut().flat_map(|history| &mut history.events) {
            event.open = false;
            event.admitted -= back;
        }
    }

    /// What a new ledger has to be told about a limit.
    pub(super) fn load(&mut self, scoped: &ScopedLimit, now: Now) -> Loaded {
        let limit = scoped.limit;
        let history = self.of(scoped);
        let mut turn = None;
        let mut recent = Vec::new();
        for event in history.events.iter_mut().filter(|event| event.amount > 0) {
            turn = turn.max(Some(event.start));
            event.leaves = leaves(&limit, event.admitted);
            recent.push((u64::try_from(micros(now) - event.admitted).unwrap(), event.amount));
        }
        history.asked = [now.wall].into_iter().chain(turn).collect();
        history.used.clear();
        let turns = history.events.iter().filter(|event| Some(event.start) == turn);
        let spent = turns.map(|event| event.amount).sum();
        Loaded { turn: turn.map(|start| (start, spent)), recent }
    }
}
