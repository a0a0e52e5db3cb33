//! Prices as rules see them: what a model costs at most now, in two numbers. What a call costs is
//! [`crate::pricing`]'s to say.

use serde::{Deserialize, Serialize};

use crate::money::{Charge, Money, Price};
use crate::prices::{Offer, Prices, Rates};
use crate::time::Timestamp;
use crate::usage::Class;

/// What rules about pricing tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// It is known that nothing is charged.
    Free,
    /// Something is charged, or nobody knows that nothing is.
    Paid,
}

impl Tier {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Paid => "paid",
        }
    }
}

/// The most that a token may cost; `None` is no rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MaxPrice {
    /// Of the prompt.
    pub input: Option<Price>,
    /// Of the answer.
    pub output: Option<Price>,
}

impl MaxPrice {
    /// Whether it is no rule.
    pub const fn is_empty(&self) -> bool {
        self.input.is_none() && self.output.is_none()
    }
}

/// What a model costs at most, in any service tier and with a prompt of any length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceTag {
    /// Nobody published a price per token, or the call names no model.
    Unknown,
    /// Nothing, because somebody said so.
    Free,
    /// So much per token. One of the two is known.
    Paid {
        /// For the prompt.
        input: Option<Price>,
        /// For the answer; `None` where a model has no answer that is measured in tokens.
        output: Option<Price>,
    },
}

impl PriceTag {
    /// The dearest of `prices` at `when`. Text counts; where a direction has no price for text, its
    /// pictures and sound do. The cache's prices are not looked at.
    pub fn of(prices: &Prices, when: Timestamp) -> Self {
        let rates = || {
            let rungs = prices.offers(when).flat_map(Offer::rungs);
            rungs.map(|(rates, _)| rates)
        };
        // A free standard tier beside one that costs is not free: the client chooses the tier.
        if prices.is_free(when) && rates().all(Rates::is_free) {
            return Self::Free;
        }
        let dearest = |classes: &[Class]| {
            rates().flat_map(|rates| classes.iter().map(|c| rates.price(*c))).max()
        };
        let direction = |text: &[Class], other: &[Class]| {
            dearest(text).flatten().or_else(|| dearest(other).flatten())
        };
        let input = direction(&[Class::Input], &[Class::AudioInput, Class::ImageInput]);
        let output = direction(
            &[Class::Output, Class::Reasoning],
            &[Class::AudioOutput, Class::ImageOutput],
        );
        match (input, output) {
            (None, None) => Self::Unknown,
            (input, output) => Self::Paid { input, output },
        }
    }

    /// What rules about pricing see. What nobody knows is not free.
    pub const fn tier(self) -> Tier {
        match self {
            Self::Free => Tier::Free,
            Self::Unknown | Self::Paid { .. } => Tier::Paid,
        }
    }

    /// The most for a token of the prompt; `None` where that is not known.
    pub(super) const fn input(self) -> Option<Price> {
        match self {
            Self::Unknown => None,
            Self::Free => Some(Price::ZERO),
            Self::Paid { input, .. } => input,
        }
    }

    /// The most for a token of the answer; `None` where that is not known. A model that has a price
    /// for its prompt alone (an embedding) has no answer to pay for.
    pub(super) fn output(self) -> Option<Price> {
        match self {
            Self::Unknown => None,
            Self::Free => Some(Price::ZERO),
            Self::Paid { output, .. } => Some(output.unwrap_or(Price::ZERO)),
        }
    }
}

/// What a million tokens cost at `price`, as price lists print it.
pub(super) fn per_million(price: Price) -> Money {
    // A price has no more than six decimals in this unit, so nothing is rounded.
    Charge::ZERO.plus(price, 1_000_000).round_up().unwrap_or(Money::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prices::Step;

    fn rates(classes: &[(Class, u64)]) -> Rates {
        classes.iter().fold(Rates::UNKNOWN, |rates, (class, picos)| {
            rates.with(*class, Price::from_picos(*picos))
        })
    }

    fn paid(input: Option<u64>, output: Option<u64>) -> PriceTag {
        let price = |picos: Option<u64>| picos.map(Price::from_picos);
        PriceTag::Paid { input: price(input), output: price(output) }
    }

    #[test]
    fn a_tag_is_the_dearest_price_that_could_be_charged() {
        use Class::{AudioOutput, CacheWrite, ImageOutput, Images, Input, Output, Reasoning};
        let flat = |classes: &[(Class, u64)]| Prices::flat(rates(classes));
        let text = || rates(&[(Input, 2), (Output, 3)]);
        let priority =
            |rates| Offer { tier: Some("priority".to_owned()), rates, ..Offer::default() };
        let standard = |rates| Offer { rates, ..Offer::default() };
        let stepped = |rates, step| Offer {
            rates,
            over: vec![Step { input_tokens: 10, rates: step }],
            ..Offer::default()
        };
        let nightly =
            Offer { minutes: Some((60, 120)), rates: rates(&[(Input, 9)]), ..Offer::default() };
        let free = || rates(&[(Input, 0), (Output, 0)]);
        for (prices, tag) in [
            (Prices::default(), PriceTag::Unknown),
            (Prices::flat(Rates::UNKNOWN), PriceTag::Unknown),
            (flat(&[(Images, 40)]), PriceTag::Unknown),
            (Prices::new(vec![nightly.clone()]), PriceTag::Unknown),
            (Prices::flat(Rates::free()), PriceTag::Free),
            (Prices::flat(free()), PriceTag::Free),
            (flat(&[(Input, 0), (Output, 0), (Images, 1)]), paid(Some(0), Some(0))),
            (Prices::flat(text()), paid(Some(2), Some(3))),
            (flat(&[(Input, 2)]), paid(Some(2), None)),
            (flat(&[(Output, 2)]), paid(None, Some(2))),
            (flat(&[(Input, 2), (Output, 3), (Reasoning, 5)]), paid(Some(2), Some(5))),
            (flat(&[(Input, 2), (Output, 3), (Reasoning, 1)]), paid(Some(2), Some(3))),
            (flat(&[(Input, 2), (CacheWrite, 4)]), paid(Some(2), None)),
            (flat(&[(Input, 2), (Output, 3), (AudioOutput, 80)]), paid(Some(2), Some(3))),
            (flat(&[(Input, 2), (ImageOutput, 40)]), paid(Some(2), Some(40))),
            (
                Prices::new(vec![stepped(text(), rates(&[(Input, 4), (Output, 1)]))]),
                paid(Some(4), Some(3)),
            ),
            (
                Prices::new(vec![standard(text()), priority(rates(&[(Input, 1), (Output, 9)]))]),
                paid(Some(2), Some(9)),
            ),
            // Only the last offer of a tier counts.
            (
                Prices::new(vec![standard(rates(&[(Input, 8)])), standard(text())]),
                paid(Some(2), Some(3)),
            ),
            (Prices::new(vec![standard(text()), nightly]), paid(Some(2), Some(3))),
            (Prices::new(vec![standard(free()), priority(text())]), paid(Some(2), Some(3))),
            (Prices::new(vec![priority(free())]), paid(Some(0), Some(0))),
            (Prices::new(vec![stepped(free(), text())]), paid(Some(2), Some(3))),
        ] {
            assert_eq!(PriceTag::of(&prices, Timestamp::default()), tag, "{prices:?}");
        }
    }

    #[test]
    fn a_price_is_shown_as_price_lists_print_it() {
        for text in ["0", "2.5", "0.075", "0.000001", "10", "600"] {
            let price = Price::parse_dollars_per_million(text).unwrap();
            assert_eq!(per_million(price).to_string(), text);
        }
        assert_eq!(per_million(Price::from_picos(u64::MAX)), Money::MAX);
    }
}
