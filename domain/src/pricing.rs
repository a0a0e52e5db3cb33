//! What a call did cost, and the most it can cost. Whole numbers, rounded up once. Where prices
//! come from, and which model a name means, is not decided here.

use crate::money::{Charge, Money, Price};
use crate::prices::{Offer, Prices, Rates};
use crate::time::Timestamp;
use crate::usage::{Class, Usage};

/// Why a usage has no cost. Never a reason to charge nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpriced {
    /// Units of this class were used and nobody published what they cost.
    Class(Class),
    /// The amount does not fit [`Money`].
    TooLarge,
}

/// What `usage` costs at `rates`. A class without a rate is priced as [`Rates::price`] says; the
/// price of a call is charged even where it used nothing.
///
/// # Errors
/// A class that was used has no price, or the amount is too large.
pub fn cost(rates: &Rates, usage: &Usage) -> Result<Money, Unpriced> {
    let mut charge = per_request(rates);
    for (class, units) in usage.used() {
        let price = rates.price(class).ok_or(Unpriced::Class(class))?;
        charge = charge.plus(price, billed(rates, class, units));
    }
    charge.round_up().ok_or(Unpriced::TooLarge)
}

/// What is known about a call before it is made. Every usage within it is *consistent* with it.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    input_tokens: u64,
    output_tokens: u64,
    most: Usage,
    tier: Option<&'a str>,
}

impl<'a> Bounds<'a> {
    /// At most so many tokens of all input and of all output classes, in any mixture and in any
    /// service tier, and nothing that is not measured in tokens.
    pub fn new(input_tokens: u64, output_tokens: u64) -> Self {
        let tokens = Class::ALL.into_iter().filter(|class| class.is_tokens());
        let most = tokens.fold(Usage::NONE, |most, class| most.with(class, u64::MAX));
        Self { input_tokens, output_tokens, most, tier: None }
    }

    /// The same with at most `units` of `class`: pictures asked for, or 0 where a prompt holds no
    /// audio.
    #[must_use]
    pub fn at_most(mut self, class: Class, units: u64) -> Self {
        self.most[class] = units;
        self
    }

    /// The same, billed in this service tier or the standard one and in no other.
    #[must_use]
    pub fn in_tier(mut self, tier: &'a str) -> Self {
        self.tier = Some(tier);
        self
    }
}

/// An amount that no consistent usage exceeds when it is priced with `prices` at `when`; `None`
/// where part of it may have no price. A usage that holds a class without a price has no cost,
/// so the bound says nothing about it.
pub fn ceiling(prices: &Prices, when: Timestamp, bounds: &Bounds<'_>) -> Option<Money> {
    let mut highest = None;
    for offer in prices.offers(when) {
        let tier = offer.tier.as_deref();
        if tier.is_some() && bounds.tier.is_some() && tier != bounds.tier {
            continue;
        }
        highest = highest.max(Some(dearest(offer, bounds)?));
    }
    highest
}

/// The dearest consistent usage in any step that its prompt could reach.
fn dearest(offer: &Offer, bounds: &Bounds<'_>) -> Option<Money> {
    let mut highest = None;
    let mut reached = true;
    for (rates, longest) in offer.rungs() {
        if reached {
            let input_tokens = bounds.input_tokens.min(longest);
            let charge = per_request(rates);
            let charge = tokens(charge, rates, bounds, input_tokens, Class::is_input)?;
            let charge =
                tokens(charge, rates, bounds, bounds.output_tokens, |class| !class.is_input())?;
            highest = highest.max(Some(units(charge, rates, bounds)?.round_up()?));
        }
        reached = bounds.input_tokens > longest;
    }
    highest
}

/// Adds `total` tokens of one direction, the dearest classes first.
fn tokens(
    mut charge: Charge,
    rates: &Rates,
    bounds: &Bounds<'_>,
    total: u64,
    direction: impl Fn(Class) -> bool,
) -> Option<Charge> {
    let mut priced: Vec<(Price, u64)> = Class::ALL
        .into_iter()
        .filter(|class| class.is_tokens() && direction(*class) && bounds.most[*class] > 0)
        .filter_map(|class| Some((rates.price(class)?, bounds.most[class])))
        .collect();
    if priced.is_empty() {
        return (total == 0).then_some(charge);
    }
    priced.sort_unstable_by(|one, other| other.cmp(one));
    let mut left = total;
    for (price, most) in priced {
        charge = charge.plus(price, left.min(most));
        left = left.saturating_sub(most);
    }
    Some(charge)
}

/// Adds what is not measured in tokens.
fn units(charge: Charge, rates: &Rates, bounds: &Bounds<'_>) -> Option<Charge> {
    let others = bounds.most.used().filter(|(class, _)| !class.is_tokens());
    others.map(|(class, most)| Some((rates.price(class)?, billed(rates, class, most)))).try_fold(
        charge,
        |charge, priced: Option<(Price, u64)>| {
            let (price, most) = priced?;
            Some(charge.plus(price, most))
        },
    )
}

fn per_request(rates: &Rates) -> Charge {
    rates.per_request.map_or(Charge::ZERO, |price| Charge::ZERO.plus(price, 1))
}

/// Units that are billed where `units` were used.
fn billed(rates: &Rates, class: Class, units: u64) -> u64 {
    let least = if class == Class::AudioMillis { rates.least_audio_millis } else { None };
    units.max(least.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::day::Day;
    use crate::prices::Step;
    use proptest::prelude::*;

    fn sonnet() -> Rates {
        [
            (Class::Input, 3_000_000),
            (Class::CacheRead, 300_000),
            (Class::CacheWrite, 3_750_000),
            (Class::CacheWriteHour, 6_000_000),
            (Class::Output, 15_000_000),
            (Class::ToolCalls, 10_000_000_000),
        ]
        .into_iter()
        .fold(Rates::UNKNOWN, |rates, (class, picos)| rates.with(class, Price::from_picos(picos)))
    }

    #[test]
    fn a_cost_is_the_sum_of_its_classes_rounded_up_once() {
        for (usage, money) in [
            (Usage::NONE, "0"),
            (Usage::NONE.with(Class::Input, 1_000_000), "3"),
            (Usage::NONE.with(Class::CacheRead, 1), "0.0000003"),
            (Usage::NONE.with(Class::Input, 10).with(Class::Output, 20), "0.00033"),
            (Usage::NONE.with(Class::Reasoning, 2), "0.00003"),
            (Usage::NONE.with(Class::ToolCalls, 3), "0.03"),
        ] {
            assert_eq!(cost(&sonnet(), &usage).map(|cost| cost.to_string()), Ok(money.to_owned()));
        }
        let penny = Rates::UNKNOWN
            .with(Class::Input, Price::from_picos(1))
            .with(Class::Output, Price::from_picos(1));
        let usage = Usage::NONE.with(Class::Input, 1).with(Class::Output, 1);
        assert_eq!(cost(&penny, &usage), Ok(Money::from_nanos(1)));
    }

    #[test]
    fn what_nobody_priced_has_no_cost() {
        let usage = Usage::NONE.with(Class::Input, 1).with(Class::AudioInput, 1);
        assert_eq!(cost(&sonnet(), &usage), Err(Unpriced::Class(Class::AudioInput)));
        assert_eq!(
            cost(&Rates::UNKNOWN, &Usage::NONE.with(Class::Input, 1)),
            Err(Unpriced::Class(Class::Input))
        );
        let dear = Rates::UNKNOWN.with(Class::Input, Price::from_picos(u64::MAX));
        assert_eq!(cost(&dear, &Usage::NONE.with(Class::Input, u64::MAX)), Err(Unpriced::TooLarge));
    }

    #[test]
    fn a_call_may_have_a_price_and_audio_a_least_length() {
        let rates = Rates {
            per_request: Some(Price::from_picos(5_000_000)),
            least_audio_millis: Some(10_000),
            ..Rates::UNKNOWN.with(Class::AudioMillis, Price::from_picos(1_000))
        };
        for (millis, nanos) in [(0, 5_000), (1, 15_000), (10_000, 15_000), (10_001, 15_001)] {
            let usage = Usage::NONE.with(Class::AudioMillis, millis);
            assert_eq!(cost(&rates, &usage), Ok(Money::from_nanos(nanos)), "{millis}");
        }
    }

    #[test]
    fn a_ceiling_takes_the_dearest_mixture_that_is_possible() {
        let priority = Offer {
            tier: Some("priority".to_owned()),
            rates: sonnet().with(Class::Output, Price::from_picos(30_000_000)),
            ..Offer::default()
        };
        let long = Step {
            input_tokens: 200,
            rates: sonnet().with(Class::CacheWriteHour, Price::from_picos(12_000_000)),
        };
        let standard = Offer { rates: sonnet(), over: vec![long], ..Offer::default() };
        let prices = Prices::new(vec![standard, priority]);
        let plain = |input, output| Bounds::new(input, output).in_tier("default");
        for (bounds, nanos) in [
            (plain(200, 0), Some(1_200_000)),
            (plain(201, 0), Some(2_412_000)),
            (plain(0, 100), Some(1_500_000)),
            (Bounds::new(0, 100), Some(3_000_000)),
            (plain(0, 100).in_tier("priority"), Some(3_000_000)),
            (plain(200, 0).at_most(Class::CacheWriteHour, 0), Some(750_000)),
            (plain(200, 0).at_most(Class::CacheWriteHour, 100), Some(975_000)),
            (plain(0, 0).at_most(Class::ToolCalls, 2), Some(20_000_000)),
            (plain(0, 0).at_most(Class::Images, 1), None),
        ] {
            let most = ceiling(&prices, Timestamp::default(), &bounds);
            assert_eq!(most.map(Money::nanos), nanos, "{bounds:?}");
        }
        assert_eq!(ceiling(&Prices::default(), Timestamp::default(), &Bounds::new(0, 0)), None);
        let embedding = Prices::flat(Rates::UNKNOWN.with(Class::Input, Price::from_picos(20_000)));
        let most = |output| ceiling(&embedding, Timestamp::default(), &Bounds::new(100, output));
        assert_eq!((most(0), most(1)), (Some(Money::from_nanos(2_000)), None));
    }

    fn any_rates() -> impl Strategy<Value = Rates> {
        let price = || proptest::option::weighted(0.95, 0..20_000_000_u64);
        (proptest::collection::vec(price(), Class::ALL.len()), price(), 0..20_000_u64).prop_map(
            |(prices, per_request, least)| {
                let own = Rates {
                    per_request: per_request.map(Price::from_picos),
                    least_audio_millis: Some(least),
                    ..Rates::UNKNOWN
                };
                Class::ALL.into_iter().zip(prices).fold(own, |rates, (class, price)| match price {
                    Some(picos) => rates.with(class, Price::from_picos(picos)),
                    None => rates,
                })
            },
        )
    }

    fn any_offer() -> impl Strategy<Value = Offer> {
        let tier = proptest::option::of(prop_oneof![Just("priority"), Just("flex")]);
        let from = prop_oneof![Just(None), Just(Day::parse("2026-11-21"))];
        let minutes = proptest::option::weighted(0.3, (0..1_440_u16, 0..1_440_u16));
        let steps = proptest::collection::btree_map(0..3_000_u64, any_rates(), 0..3);
        (tier, from, minutes, any_rates(), steps).prop_map(|(tier, from, minutes, rates, steps)| {
            Offer {
                tier: tier.map(str::to_owned),
                from,
                minutes,
                rates,
                over: steps
                    .into_iter()
                    .map(|(input_tokens, rates)| Step { input_tokens, rates })
                    .collect(),
            }
        })
    }

    proptest! {
        #[test]
        fn no_consistent_usage_costs_more_than_its_ceiling(
            offers in proptest::collection::vec(any_offer(), 1..5),
            used in proptest::collection::vec(
                proptest::option::weighted(0.4, 0..1_500_u64), Class::ALL.len(),
            ),
            (more_input, more_output) in (0..2_000_u64, 0..2_000_u64),
            capped: bool,
            seconds in -100_000..100_000_i64,
            tier in proptest::sample::select(
                vec![None, Some("default"), Some("flex"), Some("priority")],
            ),
        ) {
            let when = Day::parse("2026-11-21").expect("a day").start().plus_seconds(seconds);
            let usage = Class::ALL.into_iter().zip(used).fold(Usage::NONE, |usage, (class, units)| {
                usage.with(class, units.unwrap_or(0))
            });
            let mut bounds =
                Bounds::new(usage.input_tokens() + more_input, usage.output_tokens() + more_output);
            for class in Class::ALL {
                if capped || !class.is_tokens() {
                    bounds = bounds.at_most(class, usage[class]);
                }
            }
            let prices = Prices::new(offers);
            let narrow = tier.map_or(bounds, |tier| bounds.in_tier(tier));
            let rates = prices.at(when, usage.input_tokens(), tier);
            if let Some(Ok(cost)) = rates.map(|rates| cost(rates, &usage)) {
                for bounds in [bounds, narrow] {
                    if let Some(most) = ceiling(&prices, when, &bounds) {
                        prop_assert!(most >= cost, "{most} < {cost}");
                    }
                }
            }
        }
    }
}
