//! What an administrator can do to keys, as data, and who may. Every surface and the command line
//! come down to these; a behaviour cannot exist on one of them alone.

mod ceiling;
mod home;
mod key;
mod owner;
mod supply;

use crate::id::{KeyId, LimitId, Ulid};
use crate::key::Key;
use crate::limit::{Enforcement, Limit, Unit};
use crate::refusal::{Code, Refusal};
use crate::rule::{MaxPrice, Network, Pattern, Rules, Tier};
use crate::window::{Period, Window};
use crate::zone::Zone;

pub use ceiling::Ceiling;
pub use home::{Home, Place};
pub use key::{KeyChange, NewKey, Rotation, revoke, unlist};
pub use owner::{NewOwner, OwnerChange};
pub use supply::{CredentialChange, ProviderChange, SupplyChange};

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The holder of the master key, or of the data directory.
    Operator,
    /// The operator, logged in with the password.
    Dashboard,
    /// A management key: acts on the keys it made.
    Manager(KeyId),
    /// A key, looking at itself.
    Holder(KeyId),
    /// Somebody unknown, on a route that tells nothing of value.
    Anybody,
}

impl Actor {
    /// As the audit log writes it.
    pub fn name(self) -> String {
        match self {
            Self::Operator => "operator".to_owned(),
            Self::Dashboard => "dashboard".to_owned(),
            Self::Manager(id) | Self::Holder(id) => id.to_string(),
            Self::Anybody => "anybody".to_owned(),
        }
    }

    /// Whether this actor may see and change `key`. What it may not touch does not exist for it.
    pub fn owns(self, key: &Key) -> bool {
        match self {
            Self::Operator | Self::Dashboard => true,
            Self::Manager(id) => key.maker == Some(id),
            Self::Holder(_) | Self::Anybody => false,
        }
    }
}

/// A limit as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// What it counts.
    pub unit: Unit,
    /// At most this much per turn of the window, in the unit.
    pub amount: i64,
    /// When it starts again.
    pub window: Window,
    /// How strictly it is kept.
    pub enforcement: Enforcement,
}

impl Allowance {
    /// A hard one.
    pub const fn hard(unit: Unit, amount: i64, window: Window) -> Self {
        Self { unit, amount, window, enforcement: Enforcement::Hard }
    }

    const fn named(self, id: LimitId) -> Limit {
        let Self { unit, amount, window, enforcement } = self;
        Limit { id, unit, amount, window, enforcement }
    }
}

/// A limit that surfaces know by a name of its own. A scope has at most one in each slot that was
/// set by that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Money for ever, or per calendar day, week or month.
    Spending,
    /// Money per so many hours, days, weeks or months.
    Recurring,
    /// Requests in any 60 seconds.
    RequestsPerMinute,
    /// Tokens in any 60 seconds.
    TokensPerMinute,
    /// Tokens per calendar day.
    TokensPerDay,
    /// Calls in flight.
    Parallel,
}

impl Slot {
    /// Whether `limit` is one this slot names. What is not hard, or follows another clock than UTC,
    /// has no short name: nobody is to take it for what it is not.
    pub fn has(self, limit: &Limit) -> bool {
        let is_plain = match limit.window {
            Window::Calendar { zone, .. } => zone == Zone::UTC,
            Window::Lifetime | Window::Anchored { .. } | Window::Rolling { .. } => true,
        };
        let is_hard = limit.enforcement == Enforcement::Hard;
        is_plain
            && is_hard
            && matches!(
                (self, limit.unit, limit.window),
                (Self::Spending, Unit::Money, Window::Lifetime | Window::Calendar { .. })
                    | (Self::Recurring, Unit::Money, Window::Anchored { .. })
                    | (Self::RequestsPerMinute, Unit::Requests, Window::Rolling { seconds: 60 })
                    | (Self::TokensPerMinute, Unit::Tokens, Window::Rolling { seconds: 60 })
                    | (
                        Self::TokensPerDay,
                        Unit::Tokens,
                        Window::Calendar { period: Period::Day, .. }
                    )
                    | (Self::Parallel, Unit::InFlight, _)
            )
    }

    /// The slot that `limit` is in, where it has a short name.
    pub fn of(limit: &Limit) -> Option<Self> {
        Self::ALL.into_iter().find(|slot| slot.has(limit))
    }

    const ALL: [Self; 6] = [
        Self::Spending,
        Self::Recurring,
        Self::RequestsPerMinute,
        Self::TokensPerMinute,
        Self::TokensPerDay,
        Self::Parallel,
    ];

    /// What it counts.
    pub const fn unit(self) -> Unit {
        match self {
            Self::Spending | Self::Recurring => Unit::Money,
            Self::RequestsPerMinute => Unit::Requests,
            Self::TokensPerMinute | Self::TokensPerDay => Unit::Tokens,
            Self::Parallel => Unit::InFlight,
        }
    }

    /// Its window, where nobody says another.
    const fn window(self) -> Window {
        match self {
            Self::Spending | Self::Recurring | Self::Parallel => Window::Lifetime,
            Self::RequestsPerMinute | Self::TokensPerMinute => Window::Rolling { seconds: 60 },
            Self::TokensPerDay => Window::utc(Period::Day),
        }
    }
}

/// What is to be different about the limits of a scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitChange {
    /// These and no others.
    pub all: Option<Vec<Allowance>>,
    /// Single ones, by the names surfaces have for them.
    pub slots: Vec<SlotChange>,
}

/// What is to be different about the limit in one slot. `None` leaves as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotChange {
    /// Which.
    pub slot: Slot,
    /// Another amount, or no limit at all.
    pub amount: Option<Option<i64>>,
    /// Another window.
    pub window: Option<Window>,
}

impl LimitChange {
    /// Whether it changes nothing.
    pub const fn is_empty(&self) -> bool {
        self.all.is_none() && self.slots.is_empty()
    }

    /// The same, with nothing left of what it does not say.
    #[must_use]
    pub fn in_full(mut self) -> Self {
        self.all.get_or_insert_default();
        self
    }

    /// The limits after the change, where `old` are those before it. Another amount goes on with
    /// the window as it stands; another unit or window is another limit, and starts anew. `fresh`
    /// and the ids after it name limits that are new.
    ///
    /// # Errors
    /// A window for a limit that does not exist, or two limits that count the same.
    pub fn apply(self, old: &[Limit], fresh: LimitId) -> Result<Vec<Limit>, Refusal> {
        let mut fresh = Fresh(fresh);
        // What is given in full needs no short names; those that are null only say so.
        let in_full = self.all.as_ref().is_some_and(|all| !all.is_empty());
        if in_full && self.slots.iter().any(SlotChange::sets) {
            let message = "Limits are given in full, in limits, or by their short names: one of them is enough.";
            return Err(Refusal::new(Code::InvalidValue, message).about("limits"));
        }
        let slots = if in_full { Vec::new() } else { self.slots };
        let mut limits: Vec<Limit> = match self.all {
            None => old.to_vec(),
            Some(all) => all.into_iter().map(|one| one.like_one_of(old, &mut fresh)).collect(),
        };
        for change in slots {
            let at = limits.iter().position(|limit| change.slot.has(limit));
            let before = at.map(|at| limits.remove(at));
            match change.apply(before, old, &mut fresh)? {
                Some(after) => limits.insert(at.unwrap_or(limits.len()).min(limits.len()), after),
                None if change.amount == Some(None) => {
                    limits.retain(|limit| !change.slot.has(limit));
                }
                None => {}
            }
        }
        check(&limits)?;
        Ok(limits)
    }
}

impl Allowance {
    /// The limit it makes; the old one with another amount, where there was one like it.
    fn like_one_of(self, old: &[Limit], fresh: &mut Fresh) -> Limit {
        let same = |limit: &&Limit| limit.unit == self.unit && limit.window.is_like(self.window);
        match old.iter().find(same) {
            Some(limit) => Limit { window: limit.window, ..self.named(limit.id) },
            None => self.named(fresh.next()),
        }
    }
}

impl SlotChange {
    /// Whether it asks for a limit, or for another window of one.
    fn sets(&self) -> bool {
        matches!(self.amount, Some(Some(_)))
            || self.window.is_some_and(|window| window != self.slot.window())
    }

    fn apply(
        self,
        before: Option<Limit>,
        old: &[Limit],
        fresh: &mut Fresh,
    ) -> Result<Option<Limit>, Refusal> {
        let amount = match (self.amount, before) {
            (Some(None), _) if self.window.is_none_or(|window| window == self.slot.window()) => {
                return Ok(None);
            }
            (Some(Some(amount)), _) => amount,
            (None, Some(limit)) => limit.amount,
            (None, None) if self.window.is_none_or(|window| window == self.slot.window()) => {
                return Ok(None);
            }
            (Some(None), _) | (None, None) => return Err(no_such_limit()),
        };
        let unit = self.slot.unit();
        let window = match (self.window, before.map(|limit| limit.window)) {
            // Names of slots know no zone: another was set with care, and stays.
            (
                Some(Window::Calendar { period, zone: Zone::UTC }),
                Some(old @ Window::Calendar { period: same, .. }),
            ) if period == same => old,
            (Some(window), _) | (None, Some(window)) => window,
            (None, None) => self.slot.window(),
        };
        let enforcement = before.map_or(Enforcement::Hard, |limit| limit.enforcement);
        let wanted = Allowance { unit, amount, window, enforcement };
        Ok(Some(wanted.like_one_of(old, fresh)))
    }
}

fn no_such_limit() -> Refusal {
    Refusal::new(
        Code::Conflict,
        "limit_reset says when a limit starts again, and there is none: send limit too.",
    )
    .about("limit_reset")
}

/// Names for new limits.
struct Fresh(LimitId);

impl Fresh {
    fn next(&mut self) -> LimitId {
        let next = self.0;
        self.0 = LimitId::from_ulid(Ulid::from_bits(next.ulid().bits().wrapping_add(1)));
        next
    }
}

/// The most limits one scope may have.
const LIMITS_MAX: usize = 16;

fn check(limits: &[Limit]) -> Result<(), Refusal> {
    let no = |message: String| Err(Refusal::new(Code::InvalidValue, message).about("limits"));
    if limits.len() > LIMITS_MAX {
        return no(format!("There may be at most {LIMITS_MAX} limits on one thing."));
    }
    for (place, limit) in limits.iter().enumerate() {
        if limit.unit == Unit::Money && matches!(limit.window, Window::Rolling { .. }) {
            // What must survive everything counts in turns that begin at a known moment.
            return no("A limit on money counts for ever, per calendar day, week or month, or per so many hours or more; not per rolling seconds.".to_owned());
        }
        if limits.iter().take(place).any(|other| other.is_like(limit)) {
            return no(format!(
                "Two limits count {} per the same window: one of them is enough.",
                limit.unit.name()
            ));
        }
    }
    Ok(())
}

/// What is to be different about rules. `None` leaves as it is; an empty list takes the rule away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RulesChange {
    /// Other models.
    pub allowed_models: Option<Vec<Pattern>>,
    /// Other models to deny.
    pub denied_models: Option<Vec<Pattern>>,
    /// Other providers.
    pub allowed_providers: Option<Vec<Pattern>>,
    /// Other providers to deny.
    pub denied_providers: Option<Vec<Pattern>>,
    /// Other tiers.
    pub allowed_pricing: Option<Vec<Tier>>,
    /// Other tiers to deny.
    pub denied_pricing: Option<Vec<Tier>>,
    /// Other highest prices.
    pub max_price: Option<MaxPrice>,
    /// Other addresses.
    pub allowed_addresses: Option<Vec<Network>>,
    /// Other addresses to deny.
    pub denied_addresses: Option<Vec<Network>>,
}

impl RulesChange {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The same, with nothing left of what it does not say.
    #[must_use]
    pub fn in_full(self) -> Self {
        let mut rules = Rules::default();
        self.apply(&mut rules);
        Self {
            allowed_models: Some(rules.allowed_models),
            denied_models: Some(rules.denied_models),
            allowed_providers: Some(rules.allowed_providers),
            denied_providers: Some(rules.denied_providers),
            allowed_pricing: Some(rules.allowed_pricing),
            denied_pricing: Some(rules.denied_pricing),
            max_price: Some(rules.max_price),
            allowed_addresses: Some(rules.allowed_addresses),
            denied_addresses: Some(rules.denied_addresses),
        }
    }

    /// Changes `rules`.
    pub fn apply(self, rules: &mut Rules) {
        put(&mut rules.allowed_models, self.allowed_models);
        put(&mut rules.denied_models, self.denied_models);
        put(&mut rules.allowed_providers, self.allowed_providers);
        put(&mut rules.denied_providers, self.denied_providers);
        put(&mut rules.allowed_pricing, self.allowed_pricing);
        put(&mut rules.denied_pricing, self.denied_pricing);
        put(&mut rules.max_price, self.max_price);
        put(&mut rules.allowed_addresses, self.allowed_addresses);
        put(&mut rules.denied_addresses, self.denied_addresses);
    }
}

fn put<T>(place: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *place = new;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Money;
    use crate::time::Timestamp;
    use crate::window::{Every, Step};
    use crate::zone::Zone;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    fn set(slot: Slot, amount: Option<i64>, window: Option<Window>) -> LimitChange {
        let change = SlotChange { slot, amount: Some(amount), window };
        LimitChange { all: None, slots: vec![change] }
    }

    #[test]
    fn another_amount_keeps_the_limit_and_another_window_makes_a_new_one() {
        let dollars = |n: i64| Money::from_nanos(n * 1_000_000_000).nanos();
        let fresh = LimitId::new(NOW, 100);
        let monthly = Some(Window::utc(Period::Month));
        let limits = set(Slot::Spending, Some(dollars(5)), monthly).apply(&[], fresh).unwrap();
        assert_eq!(limits[0].id, fresh);
        let later = LimitId::new(NOW, 200);
        let more = set(Slot::Spending, Some(dollars(9)), None).apply(&limits, later).unwrap();
        assert_eq!((more[0].id, more[0].amount), (fresh, dollars(9)));
        let same = set(Slot::Spending, Some(dollars(9)), monthly).apply(&more, later).unwrap();
        assert_eq!(same, more);
        let daily = Some(Window::utc(Period::Day));
        let daily = set(Slot::Spending, Some(dollars(9)), daily).apply(&more, later).unwrap();
        assert_eq!((daily[0].id, daily[0].amount), (later, dollars(9)));
        let rpm = set(Slot::RequestsPerMinute, Some(3), None).apply(&daily, later).unwrap();
        assert_eq!(rpm.len(), 2);
        let none = set(Slot::Spending, None, None).apply(&rpm, later).unwrap();
        assert_eq!(none, rpm[1..]);
    }

    #[test]
    fn the_same_recurring_limit_goes_on_and_another_starts_now() {
        let every = |amount, at| Window::Anchored {
            anchor: Timestamp::from_seconds(at),
            every: Every::new(amount, Step::Day).unwrap(),
            zone: Zone::UTC,
        };
        let (first, second) = (LimitId::new(NOW, 100), LimitId::new(NOW, 200));
        let set = |window| set(Slot::Recurring, Some(10), Some(window));
        let old = set(every(1, 0)).apply(&[], first).unwrap();
        assert_eq!(set(every(1, 77)).apply(&old, second).unwrap(), old);
        let other = set(every(2, 77)).apply(&old, second).unwrap();
        assert_eq!((other[0].id, other[0].window), (second, every(2, 77)));
    }

    #[test]
    fn two_limits_that_count_the_same_are_one_too_many() {
        let tokens = Allowance::hard(Unit::Tokens, 5, Window::Rolling { seconds: 60 });
        let twice = LimitChange { all: Some(vec![tokens, tokens]), slots: Vec::new() };
        assert!(twice.apply(&[], LimitId::new(NOW, 1)).is_err());
        let reset_alone = LimitChange {
            all: None,
            slots: vec![SlotChange {
                slot: Slot::Spending,
                amount: None,
                window: Some(Window::utc(Period::Day)),
            }],
        };
        assert!(reset_alone.apply(&[], LimitId::new(NOW, 1)).is_err());
    }
}
