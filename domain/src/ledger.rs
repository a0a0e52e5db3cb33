//! The ledger's state machine: what a call can use is held before it and settled after it, on every
//! limit at once or on none. Deterministic: what happened before, the arguments and `now` decide.
//! Which limits apply is `scope`'s to say; where numbers are kept, and what survives a crash, is the
//! store's.

mod hold;
mod place;
mod tally;

use std::collections::HashMap;

use crate::id::{HoldId, LimitId, Ulid};
use crate::limit::{Limit, Unit};
use crate::money::Money;
use crate::refusal::{Code, LimitReached, Refusal, Retry};
use crate::scope::{Scope, ScopedLimit};
use crate::window::Window;

pub use hold::{Hold, Part, Rate, Rates, Turn, Used, Want};
pub use tally::{Balance, Loaded, Now};

use place::ByScope;
use tally::Tally;

/// How every limit stands that was ever asked about.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: HashMap<Scope, Account, ByScope>,
    /// The newest reading of the monotonic clock it was told.
    newest: u64,
}

/// The limits of one scope. There are few: they are looked through.
#[derive(Debug, Default)]
struct Account {
    tallies: Vec<(LimitId, Tally)>,
    /// Open holds that have a part here.
    holds: u32,
}

impl Account {
    fn has(&self, limit: LimitId) -> bool {
        self.tallies.iter().any(|(id, _)| *id == limit)
    }

    fn tally(&mut self, limit: LimitId) -> Option<&mut Tally> {
        self.tallies.iter_mut().find(|(id, _)| *id == limit).map(|(_, tally)| tally)
    }
}

/// Why nothing was held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotHeld {
    /// Some limit has to be opened first: see [`Ledger::missing`].
    Unopened,
    /// It does not fit.
    Short(Box<Short>),
}

/// A limit that a call does not fit, as it stood then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    /// The limit that keeps the call waiting longest.
    pub scoped: ScopedLimit,
    /// How it stands.
    pub balance: Balance,
    /// How much of it the call wanted.
    pub wanted: i64,
    /// Microseconds until a lone call like this would fit all limits; `None` where waiting does
    /// not help, or nobody knows how long.
    pub after: Option<u64>,
    /// What all limits together have left.
    pub room: Room,
}

/// What is left for one call: the least over all limits. `None` where nothing limits it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Of money.
    pub money: Option<Money>,
    /// Of tokens.
    pub tokens: Option<i64>,
}

impl Room {
    fn narrow(&mut self, unit: Unit, left: i64) {
        let left = left.max(0);
        match unit {
            Unit::Money => {
                let left = Money::from_nanos(left);
                self.money = Some(self.money.map_or(left, |other| other.min(left)));
            }
            Unit::Tokens => self.tokens = Some(self.tokens.map_or(left, |other| other.min(left))),
            Unit::Requests | Unit::InFlight => {}
        }
    }
}

/// How a call is to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Into what is left.
    All,
    /// Into half of what is left of money and tokens, so that others fit beside it.
    Half,
}

impl Ledger {
    /// The limits among `limits` that were never opened.
    pub fn missing(&self, limits: &[ScopedLimit]) -> Vec<ScopedLimit> {
        let unopened = |scoped: &&ScopedLimit| !self.are_open(std::slice::from_ref(scoped));
        limits.iter().filter(unopened).copied().collect()
    }

    /// Tells what counted against a limit before it was first asked about. A limit that is open
    /// already stays as it is: these numbers are newer.
    pub fn open(&mut self, scoped: &ScopedLimit, loaded: &Loaded, now: Now) {
        let now = self.in_order(now);
        let account = self.accounts.entry(scoped.scope).or_default();
        if account.tally(scoped.limit.id).is_none() {
            let tally = Tally::new(&scoped.limit, loaded, now);
            account.tallies.reserve_exact(1);
            account.tallies.push((scoped.limit.id, tally));
        }
    }

    /// Sets what `want` says aside on every one of `limits`, or on none.
    ///
    /// # Errors
    /// A limit it does not fit, or one that was never opened; then nothing has changed.
    pub fn reserve(
        &mut self,
        id: HoldId,
        limits: &[ScopedLimit],
        want: Want,
        fit: Fit,
        now: Now,
    ) -> Result<Hold, NotHeld> {
        // Where there are many accounts, none of these is in the processor's cache. Looking at all of
        // them first, with little to do for each, lets it fetch them at the same time.
        if limits.chunk_by(same_scope).any(|group| !self.are_open(group)) {
            return Err(NotHeld::Unopened);
        }
        let now = self.in_order(now);
        let mut shortest: Option<Short> = None;
        let mut longest = Some(0);
        let mut room = Room::default();
        let mut rates = Rates::default();
        for group in limits.chunk_by(same_scope) {
            let account = self.account(group).ok_or(NotHeld::Unopened)?;
            for scoped in group {
                let limit = &scoped.limit;
                let tally = account.tally(limit.id).ok_or(NotHeld::Unopened)?;
                tally.advance(limit, now);
                let balance = tally.balance(limit, now);
                let wanted = tally.amount(limit, want.of(limit.unit));
                note(&mut rates, limit, &balance, wanted, now);
                if !limit.refuses() {
                    continue;
                }
                let left = limit.amount.saturating_sub(balance.taken());
                room.narrow(limit.unit, left);
                let needed = needed(wanted, limit.unit, fit);
                let excess = needed.saturating_sub(left);
                if excess > 0 {
                    let after = if needed > limit.amount && limit.unit != Unit::Money {
                        None
                    } else {
                        tally.wait(excess, now)
                    };
                    longest = longest.zip(after).map(|(longest, after)| after.max(longest));
                    let short = Short { scoped: *scoped, balance, wanted, after, room };
                    let longer = shortest.as_ref().is_none_or(|other| waits_longer(&short, other));
                    shortest = if longer { Some(short) } else { shortest };
                }
            }
        }
        if let Some(short) = shortest {
            return Err(NotHeld::Short(Box::new(Short { room, after: longest, ..short })));
        }
        let mut parts = Vec::with_capacity(limits.len());
        for group in limits.chunk_by(same_scope) {
            let Some(account) = self.account(group) else { continue };
            account.holds = account.holds.saturating_add(1);
            for scoped in group {
                let Some(tally) = account.tally(scoped.limit.id) else { continue };
                let amount = tally.amount(&scoped.limit, want.of(scoped.limit.unit));
                let (turn, amount) = tally.hold(&scoped.limit, amount, now);
                let ScopedLimit { scope, limit: Limit { id: limit, unit, .. } } = *scoped;
                parts.push(Part { scope, limit, unit, turn, amount });
            }
        }
        Ok(Hold { id, want, parts, rates })
    }

    /// What [`Self::reserve`] would say at `now`, which may be later than anything that happened.
    /// Nothing changes.
    ///
    /// # Errors
    /// As `reserve` has them.
    pub fn probe(
        &self,
        limits: &[ScopedLimit],
        want: Want,
        fit: Fit,
        now: Now,
    ) -> Result<Room, NotHeld> {
        let mut copy = Self::default();
        for scoped in limits {
            let account = self.accounts.get(&scoped.scope).ok_or(NotHeld::Unopened)?;
            let same = |(id, _): &&(LimitId, Tally)| *id == scoped.limit.id;
            let tally = account.tallies.iter().find(same).ok_or(NotHeld::Unopened)?;
            copy.accounts.entry(scoped.scope).or_default().tallies.push(tally.clone());
        }
        let hold = copy.reserve(HoldId::from_ulid(Ulid::from_bits(0)), limits, want, fit, now)?;
        copy.release(hold);
        let mut room = Room::default();
        for scoped in limits.iter().filter(|scoped| scoped.limit.refuses()) {
            if let Some(balance) = copy.balance(scoped, now) {
                let left = scoped.limit.amount.saturating_sub(balance.taken());
                room.narrow(scoped.limit.unit, left);
            }
        }
        Ok(room)
    }

    /// The account of limits that hang on the same scope.
    fn account(&mut self, group: &[ScopedLimit]) -> Option<&mut Account> {
        self.accounts.get_mut(&group.first()?.scope)
    }

    /// Whether limits that hang on the same scope are all open.
    fn are_open(&self, group: &[ScopedLimit]) -> bool {
        let account = group.first().and_then(|first| self.accounts.get(&first.scope));
        account.is_some_and(|account| group.iter().all(|scoped| account.has(scoped.limit.id)))
    }

    /// Closes `hold` with what the call really used, in the turns it was admitted in. More than was
    /// held is booked all the same: the ledger tells the truth, and the limit refuses from then on.
    pub fn settle(&mut self, hold: Hold, used: Used) {
        let Hold { parts, .. } = hold;
        self.close(&parts, Some(&used));
    }

    /// Closes `hold` with nothing used: the call was never made.
    pub fn release(&mut self, hold: Hold) {
        let Hold { parts, .. } = hold;
        self.close(&parts, None);
    }

    fn close(&mut self, parts: &[Part], used: Option<&Used>) {
        for group in parts.chunk_by(|one, next| one.scope == next.scope) {
            let first = group.first();
            let account = first.and_then(|first| self.accounts.get_mut(&first.scope));
            let Some(account) = account else { continue };
            account.holds = account.holds.saturating_sub(1);
            for part in group {
                if let Some(tally) = account.tally(part.limit) {
                    tally.close(part, used);
                }
            }
        }
    }

    /// Takes back what an attempt was charged too much, in those of its turns that are still open.
    pub fn refund(&mut self, parts: &[Part], too_much: Used) {
        for part in parts {
            let amount = match part.unit {
                Unit::Money => too_much.money.nanos(),
                Unit::Tokens => too_much.tokens,
                Unit::Requests | Unit::InFlight => 0,
            };
            let account = self.accounts.get_mut(&part.scope);
            if let (Turn::Began(start), Some(account)) = (part.turn, account)
                && let Some(tally) = account.tally(part.limit)
            {
                tally.refund(start, amount);
            }
        }
    }

    /// How a limit stands; `None` where it was never opened.
    pub fn balance(&mut self, scoped: &ScopedLimit, now: Now) -> Option<Balance> {
        let now = self.in_order(now);
        let tally = self.accounts.get_mut(&scoped.scope)?.tally(scoped.limit.id)?;
        tally.advance(&scoped.limit, now);
        Some(tally.balance(&scoped.limit, now))
    }

    /// Decisions follow each other, even where a thread read the clock and then waited for its
    /// turn: what already left a rolling window is not missed by one that comes late.
    fn in_order(&mut self, now: Now) -> Now {
        self.newest = self.newest.max(now.monotonic);
        Now { monotonic: self.newest, ..now }
    }

    /// How many scopes it keeps numbers of.
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether it keeps none.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Forgets every scope that can be opened again as it is: nothing is held, and nothing counts
    /// in a rolling window. What calls usually use is learned again: until then, all they want is held.
    pub fn forget_idle(&mut self, now: Now) {
        self.accounts.retain(|_, account| {
            account.holds > 0 || account.tallies.iter().any(|(_, tally)| !tally.is_idle(now))
        });
    }
}

fn same_scope(one: &ScopedLimit, next: &ScopedLimit) -> bool {
    one.scope == next.scope
}

/// How much has to be left for a call that wants this much. Even one that uses nothing needs a
/// limit that is not exhausted.
fn needed(wanted: i64, unit: Unit, fit: Fit) -> i64 {
    let wanted = wanted.max(1);
    match (fit, unit) {
        (Fit::Half, Unit::Money | Unit::Tokens) => wanted.saturating_mul(2),
        (Fit::All | Fit::Half, _) => wanted,
    }
}

/// Whether `one` keeps a call waiting longer than `other`: for ever is longest, and then money is,
/// since no waiting client should be told of a minute when its money is gone.
fn waits_longer(one: &Short, other: &Short) -> bool {
    let rank = |short: &Short| {
        let is_money = short.scoped.limit.unit == Unit::Money;
        (is_money, short.after.is_none(), short.after.unwrap_or(0))
    };
    rank(one) > rank(other)
}

/// Remembers the rate that has least left.
fn note(rates: &mut Rates, limit: &Limit, balance: &Balance, wanted: i64, now: Now) {
    let rate = match limit.unit {
        Unit::Requests => &mut rates.requests,
        Unit::Tokens => &mut rates.tokens,
        Unit::Money | Unit::InFlight => return,
    };
    let left = limit.amount.saturating_sub(balance.taken()).saturating_sub(wanted).max(0);
    if limit.refuses() && rate.is_none_or(|other| left < other.left) {
        let full_after = match (limit.window, balance.span.end) {
            // What is admitted now is the last to leave.
            (Window::Rolling { seconds }, _) => u64::from(seconds).saturating_mul(1_000_000),
            (_, Some(end)) => end.since(now.wall),
            (_, None) => u64::MAX,
        };
        *rate = Some(Rate { amount: limit.amount, left, full_after });
    }
}

impl Short {
    /// The no to the caller. `whose` says in words what the limit hangs on: "this key", "the team
    /// 'search'".
    pub fn refusal(&self, whose: &str) -> Refusal {
        let limit = &self.scoped.limit;
        let (code, message) = self.sentence(whose);
        // Where even all of it is too little, no new turn helps.
        let helps = limit.amount > 0 && code != Code::RequestExceedsLimit;
        let in_flight = match (limit.unit, self.balance.held) {
            (Unit::InFlight | Unit::Requests, _) | (_, ..=0) => String::new(),
            (_, held) => format!(" Calls in flight hold {}.", limit.shown(held)),
        };
        let until = match (self.balance.span.end, limit.unit) {
            _ if !helps => String::new(),
            (Some(end), _) => format!(" It starts again at {end}."),
            (None, Unit::Money) if in_flight.is_empty() => " It does not start again.".to_owned(),
            (None, _) => String::new(),
        };
        let message =
            format!("{message}{in_flight}{until} Whoever administers it can raise the limit.");
        let mut refusal = Refusal::new(code, capital(&message));
        let rolling = matches!(limit.window, Window::Rolling { .. });
        if limit.unit == Unit::InFlight && limit.amount > 0 {
            // Nobody knows when a call ends; a second is what clients wait anyway.
            refusal.retry_after_ms = Some(1_000);
        } else if code == Code::RateLimitExceeded {
            refusal.retry_after_ms = self.after.map(|micros| micros.div_ceil(1_000).max(1));
            if !rolling || refusal.retry_after_ms.is_none() {
                refusal.retry = Retry::Never;
            }
        } else {
            refusal.retry = Retry::Never;
        }
        refusal.param = match (limit.unit, rolling) {
            (Unit::Requests, true) => Some("rpm".to_owned()),
            (Unit::Tokens, true) => Some("tpm".to_owned()),
            _ => None,
        };
        refusal.limit = Some(Box::new(LimitReached {
            scoped: self.scoped,
            spent: self.balance.spent,
            held: self.balance.held,
            wanted: self.wanted,
            resets_at: self.balance.span.end.filter(|_| helps),
        }));
        refusal
    }

    /// What it comes to, and the first sentence about it.
    fn sentence(&self, whose: &str) -> (Code, String) {
        let limit = &self.scoped.limit;
        let never = self.wanted.max(1) > limit.amount;
        let left = limit.amount.saturating_sub(self.balance.taken()).max(0);
        let allows = limit.allows();
        match limit.unit {
            Unit::Money => (
                Code::InsufficientQuota,
                format!(
                    "You exceeded your current quota: {whose} may spend {allows}, has {} left, and this call may cost up to {}.",
                    limit.shown(left),
                    limit.shown(self.wanted)
                ),
            ),
            Unit::Tokens if never && limit.amount > 0 => (
                Code::RequestExceedsLimit,
                format!(
                    "This call may use up to {}, and {whose} may use no more than {allows}. A smaller max_tokens or a shorter prompt fits.",
                    limit.shown(self.wanted)
                ),
            ),
            Unit::Tokens => (
                Code::RateLimitExceeded,
                format!(
                    "Rate limit reached: {whose} may use {allows}, has {left} left, and this call may use up to {}.",
                    self.wanted
                ),
            ),
            Unit::Requests => (
                Code::RateLimitExceeded,
                format!("Rate limit reached: {whose} may make {allows}, and has made as many."),
            ),
            Unit::InFlight => (
                Code::ConcurrencyLimitExceeded,
                format!("{whose} may have {allows}, and has as many."),
            ),
        }
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
