//! What a management key may give: no key it makes may do more than the limits and rules that stand
//! on the management key itself say. They bind each of its keys, not all of them together; for that
//! there are projects, teams and users.

use super::{Allowance, LimitChange, NewKey, Slot};
use crate::id::{LimitId, Ulid};
use crate::key::Key;
use crate::limit::{Enforcement, Limit};
use crate::refusal::{Code, Refusal};
use crate::rule::{MaxPrice, Network, Pattern, Rules};
use crate::time::Timestamp;
use crate::window::Window;

/// The most a key may do that somebody makes.
pub struct Ceiling<'a, E> {
    maker: &'a Key,
    /// What an operator's alias stands for.
    expand: E,
}

impl<'a, 'e, E: Fn(&str) -> Option<&'e str>> Ceiling<'a, E> {
    /// That of the management key `maker`. `expand` gives what an alias stands for.
    pub const fn of(maker: &'a Key, expand: E) -> Self {
        Self { maker, expand }
    }

    /// `new` with what is not said about it taken from its maker. `fresh` and the ids after it are
    /// only passed through.
    ///
    /// # Errors
    /// It would exceed the ceiling, or its limits make no sense.
    pub fn complete(
        &self,
        mut new: NewKey,
        fresh: LimitId,
        now: Timestamp,
    ) -> Result<NewKey, Refusal> {
        let inherited: Vec<_> = self.maker.limits.iter().map(|limit| anew(limit, now)).collect();
        let limits = new.limits.apply(&inherited, fresh)?;
        complete(&mut new.rules, &self.maker.rules);
        self.check(&limits, &new.rules)?;
        let all = limits.iter().map(Allowance::of).collect();
        new.limits = LimitChange { all: Some(all), slots: Vec::new() };
        Ok(new)
    }

    /// Whether a key with these limits and rules stays below it.
    ///
    /// # Errors
    /// The first member that does not.
    pub fn check(&self, limits: &[Limit], rules: &Rules) -> Result<(), Refusal> {
        for most in &self.maker.limits {
            let stays = limits.iter().any(|limit| {
                limit.is_like(most)
                    && limit.amount <= most.amount
                    && strictness(limit.enforcement) >= strictness(most.enforcement)
            });
            if !stays {
                let found = limits.iter().find(|limit| limit.is_like(most));
                return Err(exceeds(member(found.unwrap_or(most))));
            }
        }
        self.check_rules(rules).map_err(exceeds)
    }

    /// The name of the first rule that is wider.
    fn check_rules(&self, rules: &Rules) -> Result<(), &'static str> {
        let most = &self.maker.rules;
        let within = |name, stays: bool| if stays { Ok(()) } else { Err(name) };
        let allowed = |most: &[Pattern], own: &[Pattern]| {
            most.is_empty() || (!own.is_empty() && own.iter().all(|one| self.covered(most, one)))
        };
        let denied =
            |most: &[Pattern], own: &[Pattern]| most.iter().all(|one| self.covered(own, one));
        within("allowed_models", allowed(&most.allowed_models, &rules.allowed_models))?;
        within("denied_models", denied(&most.denied_models, &rules.denied_models))?;
        within("allowed_providers", allowed(&most.allowed_providers, &rules.allowed_providers))?;
        within("denied_providers", denied(&most.denied_providers, &rules.denied_providers))?;
        let (tiers, own) = (&most.allowed_pricing, &rules.allowed_pricing);
        let stays =
            tiers.is_empty() || (!own.is_empty() && own.iter().all(|tier| tiers.contains(tier)));
        within("allowed_pricing", stays)?;
        let stays = most.denied_pricing.iter().all(|tier| rules.denied_pricing.contains(tier));
        within("denied_pricing", stays)?;
        within("max_price", is_below(rules.max_price, most.max_price))?;
        let (places, own) = (&most.allowed_addresses, &rules.allowed_addresses);
        let stays =
            places.is_empty() || (!own.is_empty() && own.iter().all(|one| lies_in(places, *one)));
        within("allowed_addresses", stays)?;
        let own = &rules.denied_addresses;
        within("denied_addresses", most.denied_addresses.iter().all(|one| lies_in(own, *one)))
    }

    /// Whether everything that `one` fits is fitted by the list. The stars of `one` are met by stars
    /// only, so that a pattern is covered by a wider one; an alias, as what it stands for too.
    fn covered(&self, list: &[Pattern], one: &Pattern) -> bool {
        let fits = |text: &str| list.iter().any(|wider| wider.fits(text));
        list.contains(one) || (fits(one.as_str()) && (self.expand)(one.as_str()).is_none_or(fits))
    }
}

impl Allowance {
    const fn of(limit: &Limit) -> Self {
        let Limit { unit, amount, window, enforcement, .. } = *limit;
        Self { unit, amount, window, enforcement }
    }
}

/// The same for another key, from now on. Its id is nobody's: it is given one when the key is made.
fn anew(limit: &Limit, now: Timestamp) -> Limit {
    let window = match limit.window {
        Window::Anchored { every, zone, .. } => Window::Anchored { anchor: now, every, zone },
        same @ (Window::Lifetime | Window::Calendar { .. } | Window::Rolling { .. }) => same,
    };
    Limit { id: LimitId::from_ulid(Ulid::from_bits(0)), window, ..*limit }
}

/// Takes from `most` what `rules` do not say.
fn complete(rules: &mut Rules, most: &Rules) {
    fn take<T: Clone>(own: &mut Vec<T>, most: &[T]) {
        if own.is_empty() {
            *own = most.to_vec();
        }
    }
    take(&mut rules.allowed_models, &most.allowed_models);
    take(&mut rules.denied_models, &most.denied_models);
    take(&mut rules.allowed_providers, &most.allowed_providers);
    take(&mut rules.denied_providers, &most.denied_providers);
    take(&mut rules.allowed_pricing, &most.allowed_pricing);
    take(&mut rules.denied_pricing, &most.denied_pricing);
    take(&mut rules.allowed_addresses, &most.allowed_addresses);
    take(&mut rules.denied_addresses, &most.denied_addresses);
    rules.max_price.input = rules.max_price.input.or(most.max_price.input);
    rules.max_price.output = rules.max_price.output.or(most.max_price.output);
}

const fn strictness(enforcement: Enforcement) -> u8 {
    match enforcement {
        Enforcement::Observe => 0,
        Enforcement::Expected => 1,
        Enforcement::Hard => 2,
    }
}

fn is_below(own: MaxPrice, most: MaxPrice) -> bool {
    [(own.input, most.input), (own.output, most.output)]
        .into_iter()
        .all(|(own, most)| most.is_none_or(|most| own.is_some_and(|own| own <= most)))
}

fn lies_in(list: &[Network], one: Network) -> bool {
    list.iter().any(|wider| wider.covers(one))
}

/// What the limit is called where it is written.
fn member(limit: &Limit) -> &'static str {
    match Slot::of(limit) {
        Some(Slot::Spending) => "limit",
        Some(Slot::Recurring) => "recurring_limit",
        Some(Slot::RequestsPerMinute) => "rpm",
        Some(Slot::TokensPerMinute) => "tpm_limit",
        Some(Slot::TokensPerDay) => "daily_token_limit",
        Some(Slot::Parallel) => "max_parallel",
        None => "limits",
    }
}

fn exceeds(member: &'static str) -> Refusal {
    let message = format!(
        "'{member}' exceeds what the management key's own {member} says, and no key it makes may do that. Whoever holds the master key can raise it there."
    );
    Refusal::new(Code::ExceedsCeiling, message).about(member)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::command::{Actor, Home, SlotChange};
    use crate::id::KeyId;
    use crate::key::{KeyKind, SecretRecord};
    use crate::rule::Tier;
    use crate::secret::Secret;
    use crate::window::Period;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    fn key(kind: KeyKind, limits: LimitChange, rules: Rules) -> NewKey {
        let (name, home) = ("k".to_owned(), Home::default());
        let (expires_at, metadata) = (None, BTreeMap::new());
        NewKey { kind, name, home, rules, limits, expires_at, metadata }
    }

    fn patterns(names: &str) -> Vec<Pattern> {
        names.split_whitespace().map(|name| Pattern::new(name).unwrap()).collect()
    }

    fn networks(names: &str) -> Vec<Network> {
        names.split_whitespace().map(|name| Network::parse(name).unwrap()).collect()
    }

    fn slot(slot: Slot, amount: Option<i64>, window: Option<Window>) -> LimitChange {
        let change = SlotChange { slot, amount: Some(amount), window };
        LimitChange { all: None, slots: vec![change] }
    }

    fn maker(limits: LimitChange, rules: Rules) -> Key {
        let record = SecretRecord::new(&Secret::new("sk-maker".to_owned()), NOW);
        key(KeyKind::Management, limits, rules)
            .make(Actor::Operator, KeyId::new(NOW, 1), LimitId::new(NOW, 1), record, NOW)
            .unwrap()
    }

    fn outcome(maker: &Key, new: NewKey) -> Result<NewKey, String> {
        let ceiling = Ceiling::of(maker, |name: &str| (name == "fast").then_some("openai/mini"));
        ceiling.complete(new, LimitId::new(NOW, 9), NOW).map_err(|no| no.param.unwrap())
    }

    #[test]
    fn what_is_not_said_is_taken_from_the_maker_and_nothing_exceeds_it() {
        let monthly = Some(Window::utc(Period::Month));
        let maker = maker(slot(Slot::Spending, Some(150), monthly), Rules::default());
        let tried = |limits| outcome(&maker, key(KeyKind::Regular, limits, Rules::default()));
        let amount = |limits| tried(limits).map(|new| new.limits.all.unwrap()[0].amount);
        assert_eq!(amount(LimitChange::default()), Ok(150));
        assert_eq!(amount(slot(Slot::Spending, Some(100), None)), Ok(100));
        assert_eq!(amount(slot(Slot::Spending, Some(150), monthly)), Ok(150));
        let no = Err("limit".to_owned());
        assert_eq!(amount(slot(Slot::Spending, Some(151), None)), no);
        assert_eq!(amount(slot(Slot::Spending, None, None)), no);
        // Less a day may be more a month.
        assert_eq!(amount(slot(Slot::Spending, Some(9), Some(Window::utc(Period::Day)))), no);
        let observed = LimitChange {
            all: Some(vec![Allowance {
                unit: crate::limit::Unit::Money,
                amount: 5,
                window: Window::utc(Period::Month),
                enforcement: Enforcement::Observe,
            }]),
            slots: Vec::new(),
        };
        assert_eq!(amount(observed), Err("limits".to_owned()));
        let more = tried(slot(Slot::RequestsPerMinute, Some(9), None)).unwrap();
        assert_eq!(more.limits.all.unwrap().len(), 2);
    }

    #[test]
    fn lists_of_what_is_allowed_only_shrink_and_those_of_what_is_denied_only_grow() {
        let most = Rules {
            allowed_models: patterns("gpt-* openai/mini"),
            denied_models: patterns("gpt-5*"),
            allowed_pricing: vec![Tier::Paid],
            allowed_addresses: networks("10.0.0.0/8"),
            ..Rules::default()
        };
        let maker = maker(LimitChange::default(), most.clone());
        let tried = |rules| {
            let new = key(KeyKind::Regular, LimitChange::default(), rules);
            outcome(&maker, new).map(|new| new.rules)
        };
        assert_eq!(tried(Rules::default()), Ok(most));
        let allowed = |names| Rules { allowed_models: patterns(names), ..Rules::default() };
        for (names, stays) in [
            ("gpt-4o", true),
            ("gpt-4*", true),
            ("gpt-*", true),
            ("openai/mini", true),
            ("*", false),
            ("gp*", false),
            ("gpt-4o claude-3", false),
            // An alias is no way around: it stands for openai/mini, but is not itself allowed.
            ("fast", false),
        ] {
            assert_eq!(tried(allowed(names)).is_ok(), stays, "{names}");
        }
        let denied = |names| Rules { denied_models: patterns(names), ..Rules::default() };
        for (names, stays) in [("gpt-5*", true), ("gpt-*", true), ("gpt-5", false), ("x", false)] {
            assert_eq!(tried(denied(names)).is_ok(), stays, "{names}");
        }
        let from = |names| Rules { allowed_addresses: networks(names), ..Rules::default() };
        for (names, stays) in [("10.1.0.0/16", true), ("10.0.0.0/7", false), ("::/0", false)] {
            assert_eq!(tried(from(names)).is_ok(), stays, "{names}");
        }
        let free = Rules { allowed_pricing: vec![Tier::Free], ..Rules::default() };
        assert_eq!(tried(free), Err("allowed_pricing".to_owned()));
    }
}
