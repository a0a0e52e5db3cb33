//! The ledger's state machine: money is held before a call and settled after it, on every limit at
//! once or on none. Deterministic: what happened before, the arguments and `now` decide. Where
//! balances are kept, and what survives a crash, is the store's business.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::day::Day;
use crate::id::{HoldId, LimitId};
use crate::limit::Limit;
use crate::money::Money;
use crate::refusal::{Code, LimitReached, Refusal};
use crate::time::Timestamp;
use crate::window::Span;

/// What was spent and is held of limits, each in its current window.
#[derive(Debug, Default)]
pub struct Ledger {
    balances: HashMap<LimitId, Balance>,
}

/// How one limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The window's turn the numbers are about.
    pub span: Span,
    /// Settled in this turn.
    pub spent: Money,
    /// Held by calls admitted in this turn that are still open.
    pub held: Money,
}

/// Money set aside for one call. It is closed exactly once, because closing takes it.
#[must_use = "a hold that is dropped stays held: settle or release it"]
#[derive(Debug, PartialEq, Eq)]
pub struct Hold {
    id: HoldId,
    amount: Money,
    parts: SmallVec<[(LimitId, Span); 2]>,
}

impl Hold {
    /// Its name, which is also its ledger row's.
    pub const fn id(&self) -> HoldId {
        self.id
    }

    /// How much is set aside on each limit.
    pub const fn amount(&self) -> Money {
        self.amount
    }
}

/// The ledger does not know how much of this limit was spent before it was first asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unopened(pub LimitId);

/// Why nothing was held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotHeld {
    /// Open this limit first, with what was spent of it.
    Unopened(Unopened),
    /// It does not fit.
    Refused(Refusal),
}

impl Ledger {
    /// Tells the ledger what was spent of `limit` in the turn `span` before it was ever asked.
    /// A limit it knows already stays as it is: the ledger's own numbers are newer.
    pub fn open(&mut self, limit: LimitId, span: Span, spent: Money) {
        self.balances.entry(limit).or_insert(Balance { span, spent, held: Money::ZERO });
    }

    /// Holds `amount` on every one of `limits`, or on none.
    ///
    /// # Errors
    /// The first limit it does not fit, or one that was never opened.
    pub fn reserve(
        &mut self,
        id: HoldId,
        limits: &[Limit],
        amount: Money,
        now: Timestamp,
    ) -> Result<Hold, NotHeld> {
        let mut parts = SmallVec::new();
        for limit in limits {
            let balance = self.balance(limit, now).map_err(NotHeld::Unopened)?;
            if !fits(balance, limit.amount, amount) {
                return Err(NotHeld::Refused(no_money(limit, balance, amount)));
            }
            parts.push((limit.id, balance.span));
        }
        for (limit, _) in &parts {
            if let Some(balance) = self.balances.get_mut(limit) {
                balance.held = balance.held.saturating_add(amount);
            }
        }
        Ok(Hold { id, amount, parts })
    }

    /// Closes `hold` with what the call really cost, in the turn it was admitted in. More than was
    /// held is booked all the same: the ledger tells the truth, and the limit refuses from then on.
    pub fn settle(&mut self, hold: Hold, actual: Money) {
        for (limit, span) in hold.parts {
            let Some(balance) = self.balances.get_mut(&limit) else { continue };
            if balance.span == span {
                balance.held = balance.held.saturating_sub(hold.amount);
                balance.spent = balance.spent.saturating_add(actual);
            }
        }
    }

    /// Closes `hold` with nothing spent.
    pub fn release(&mut self, hold: Hold) {
        self.settle(hold, Money::ZERO);
    }

    /// How `limit` stands at `now`.
    ///
    /// # Errors
    /// It was never opened.
    pub fn balance(&mut self, limit: &Limit, now: Timestamp) -> Result<Balance, Unopened> {
        let balance = self.balances.get_mut(&limit.id).ok_or(Unopened(limit.id))?;
        // A window that is over makes room for the next; a clock that went back reopens none.
        if balance.span.end.is_some_and(|end| now >= end) {
            let span = limit.window.span(now);
            *balance = Balance { span, spent: Money::ZERO, held: Money::ZERO };
        }
        Ok(*balance)
    }
}

fn fits(balance: Balance, allowed: Money, wanted: Money) -> bool {
    let taken = balance.spent.checked_add(balance.held);
    // A call that costs nothing still needs a limit that is not exhausted.
    let least = if wanted == Money::ZERO { Money::from_nanos(1) } else { wanted };
    taken.and_then(|taken| taken.checked_add(least)).is_some_and(|all| all <= allowed)
}

fn no_money(limit: &Limit, balance: Balance, wanted: Money) -> Refusal {
    let left = limit.amount.saturating_sub(balance.spent).saturating_sub(balance.held);
    let until = match balance.span.end {
        Some(end) => format!("It starts again on {} (UTC).", Day::of_moment(end)),
        None => "It does not start again.".to_owned(),
    };
    let mut refusal = Refusal::new(
        Code::InsufficientQuota,
        format!(
            "You exceeded your current quota: this key's limit of {} USD has {left} USD left, and this call may cost up to {wanted} USD. {until} A smaller max_tokens makes a call cheaper to admit; whoever administers the key can raise the limit.",
            limit.amount
        ),
    );
    refusal.limit = Some(Box::new(LimitReached {
        limit: limit.id,
        amount: limit.amount,
        spent: balance.spent,
        held: balance.held,
        wanted,
        resets_at: balance.span.end,
    }));
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::{Period, Window};
    use proptest::prelude::*;

    fn limit(number: u128, nanos: i64, window: Window) -> Limit {
        let id = LimitId::new(Timestamp::from_seconds(0), number);
        Limit { id, amount: Money::from_nanos(nanos), window }
    }

    fn id(number: u128) -> HoldId {
        HoldId::new(Timestamp::from_seconds(0), number)
    }

    fn opened(limits: &[Limit], now: Timestamp) -> Ledger {
        let mut ledger = Ledger::default();
        for limit in limits {
            ledger.open(limit.id, limit.window.span(now), Money::ZERO);
        }
        ledger
    }

    #[test]
    fn all_limits_hold_or_none_does() {
        let now = Timestamp::from_seconds(100);
        let limits = [limit(1, 100, Window::Lifetime), limit(2, 50, Window::Lifetime)];
        let mut ledger = opened(&limits, now);
        let refused = ledger.reserve(id(1), &limits, Money::from_nanos(60), now);
        let Err(NotHeld::Refused(refusal)) = refused else { panic!("{refused:?}") };
        assert_eq!(refusal.limit.unwrap().limit, limits[1].id);
        for limit in &limits {
            assert_eq!(ledger.balance(limit, now).unwrap().held, Money::ZERO);
        }
        let hold = ledger.reserve(id(2), &limits, Money::from_nanos(50), now).unwrap();
        ledger.settle(hold, Money::from_nanos(20));
        for limit in &limits {
            let balance = ledger.balance(limit, now).unwrap();
            assert_eq!((balance.spent.nanos(), balance.held.nanos()), (20, 0));
        }
    }

    #[test]
    fn a_hold_settles_in_the_turn_it_was_admitted_in() {
        let day = Window::utc(Period::Day);
        let limits = [limit(1, 100, day)];
        let evening = Timestamp::from_seconds(86_399);
        let mut ledger = opened(&limits, evening);
        let hold = ledger.reserve(id(1), &limits, Money::from_nanos(100), evening).unwrap();
        let morning = Timestamp::from_seconds(86_400);
        let next = ledger.reserve(id(2), &limits, Money::from_nanos(100), morning).unwrap();
        ledger.settle(hold, Money::from_nanos(90));
        assert_eq!(ledger.balance(&limits[0], morning).unwrap().held.nanos(), 100);
        ledger.release(next);
        let balance = ledger.balance(&limits[0], morning).unwrap();
        assert_eq!((balance.spent.nanos(), balance.held.nanos()), (0, 0));
    }

    #[test]
    fn nothing_left_refuses_even_what_is_free() {
        let now = Timestamp::from_seconds(0);
        let limits = [limit(1, 0, Window::Lifetime)];
        let mut ledger = opened(&limits, now);
        assert!(ledger.reserve(id(1), &limits, Money::ZERO, now).is_err());
    }

    #[test]
    fn a_limit_nobody_opened_is_not_taken_for_unspent() {
        let limits = [limit(1, 100, Window::Lifetime)];
        let refused =
            Ledger::default().reserve(id(1), &limits, Money::ZERO, Timestamp::from_seconds(0));
        assert_eq!(refused, Err(NotHeld::Unopened(Unopened(limits[0].id))));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Reserve(i64),
        Settle(usize, i64),
        Release(usize),
        Wait(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..120_i64).prop_map(Step::Reserve),
            (0..8_usize, 0..100_i64).prop_map(|(which, percent)| Step::Settle(which, percent)),
            (0..8_usize).prop_map(Step::Release),
            (0..50_000_u32).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// Against a list of everything that happened, from which each decision is made anew.
        #[test]
        fn decisions_and_balances_follow_the_written_definition(steps in prop::collection::vec(step(), 1..80)) {
            let limits = [limit(1, 300, Window::Lifetime), limit(2, 150, Window::utc(Period::Day))];
            let mut now = Timestamp::from_seconds(80_000);
            let mut ledger = opened(&limits, now);
            // (admitted at, amount, Some(actual) once closed)
            let mut history: Vec<(Timestamp, i64, Option<i64>)> = Vec::new();
            let mut open: Vec<(usize, Hold)> = Vec::new();
            for (number, step) in (0_u128..).zip(steps) {
                match step {
                    Step::Wait(seconds) => now = now.plus_seconds(i64::from(seconds)),
                    Step::Reserve(amount) => {
                        let fits = limits.iter().all(|limit| {
                            let span = limit.window.span(now);
                            let taken: i64 = history.iter().filter(|(at, ..)| *at >= span.start).map(|(_, amount, actual)| actual.unwrap_or(*amount)).sum();
                            taken + amount.max(1) <= limit.amount.nanos()
                        });
                        match ledger.reserve(id(number), &limits, Money::from_nanos(amount), now) {
                            Ok(hold) => {
                                prop_assert!(fits, "held what does not fit");
                                open.push((history.len(), hold));
                                history.push((now, amount, None));
                            }
                            Err(_) => prop_assert!(!fits, "refused what fits"),
                        }
                    }
                    Step::Settle(which, percent) if !open.is_empty() => {
                        let (place, hold) = open.remove(which % open.len());
                        let actual = hold.amount().nanos() * percent / 100;
                        ledger.settle(hold, Money::from_nanos(actual));
                        history[place].2 = Some(actual);
                    }
                    Step::Release(which) if !open.is_empty() => {
                        let (place, hold) = open.remove(which % open.len());
                        ledger.release(hold);
                        history[place].2 = Some(0);
                    }
                    Step::Settle(..) | Step::Release(_) => {}
                }
                for limit in &limits {
                    let span = limit.window.span(now);
                    let balance = ledger.balance(limit, now).unwrap();
                    let inside = || history.iter().filter(|(at, ..)| *at >= span.start);
                    let spent: i64 = inside().filter_map(|(_, _, actual)| *actual).sum();
                    let held: i64 = inside().filter(|(.., actual)| actual.is_none()).map(|(_, amount, _)| *amount).sum();
                    prop_assert_eq!((balance.spent.nanos(), balance.held.nanos()), (spent, held));
                    prop_assert!(spent + held <= limit.amount.nanos());
                }
            }
        }
    }
}
