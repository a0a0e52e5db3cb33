//! What a model costs, and when: rates per class of usage, by service tier, date, time of day and
//! length of the prompt. What a call costs with them is [`crate::pricing`]'s to say.

use serde::{Deserialize, Serialize};

use crate::day::Day;
use crate::money::Price;
use crate::time::{SECONDS_PER_DAY, Timestamp};
use crate::usage::Class;

/// Prices per unit, by class. An absent price is unknown, never zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// [`Class::Input`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Price>,
    /// [`Class::CacheRead`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Price>,
    /// [`Class::CacheWrite`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<Price>,
    /// [`Class::CacheWriteHour`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_hour: Option<Price>,
    /// [`Class::Output`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Price>,
    /// [`Class::Reasoning`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Price>,
    /// [`Class::AudioInput`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_input: Option<Price>,
    /// [`Class::AudioOutput`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_output: Option<Price>,
    /// [`Class::ImageInput`]; video is counted there too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_input: Option<Price>,
    /// [`Class::ImageOutput`]; video is counted there too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_output: Option<Price>,
    /// [`Class::Images`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<Price>,
    /// [`Class::AudioMillis`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_millis: Option<Price>,
    /// [`Class::Characters`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub characters: Option<Price>,
    /// [`Class::ToolCalls`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Price>,
    /// Charged once for every call that was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_request: Option<Price>,
    /// Audio shorter than this is billed as this long, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least_audio_millis: Option<u64>,
}

impl Rates {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        input: None,
        cache_read: None,
        cache_write: None,
        cache_write_hour: None,
        output: None,
        reasoning: None,
        audio_input: None,
        audio_output: None,
        image_input: None,
        image_output: None,
        images: None,
        audio_millis: None,
        characters: None,
        tool_calls: None,
        per_request: None,
        least_audio_millis: None,
    };

    /// Every class costs nothing, because somebody said so.
    pub fn free() -> Self {
        Class::ALL.into_iter().fold(Self::UNKNOWN, |rates, class| rates.with(class, Price::ZERO))
    }

    /// The same with `price` for `class`.
    #[must_use]
    pub fn with(mut self, class: Class, price: Price) -> Self {
        *self.slot(class) = Some(price);
        self
    }

    /// What a unit of `class` costs; `None` where nobody published it. The cache is priced like
    /// the prompt, an hour's cache like the shorter one, and reasoning like the answer where they
    /// have no price of their own. Sound and pictures never borrow the price of text.
    pub fn price(&self, class: Class) -> Option<Price> {
        match class {
            Class::Input => self.input,
            Class::CacheRead => self.cache_read.or(self.input),
            Class::CacheWrite => self.cache_write.or(self.input),
            Class::CacheWriteHour => self.cache_write_hour.or(self.cache_write).or(self.input),
            Class::Output => self.output,
            Class::Reasoning => self.reasoning.or(self.output),
            Class::AudioInput => self.audio_input,
            Class::AudioOutput => self.audio_output,
            Class::ImageInput => self.image_input,
            Class::ImageOutput => self.image_output,
            Class::Images => self.images,
            Class::AudioMillis => self.audio_millis,
            Class::Characters => self.characters,
            Class::ToolCalls => self.tool_calls,
        }
    }

    /// Whether something is priced and nothing costs anything.
    pub fn is_free(&self) -> bool {
        let mut prices = Class::ALL
            .into_iter()
            .filter_map(|class| self.price(class))
            .chain(self.per_request)
            .peekable();
        prices.peek().is_some() && prices.all(|price| price == Price::ZERO)
    }

    fn slot(&mut self, class: Class) -> &mut Option<Price> {
        match class {
            Class::Input => &mut self.input,
            Class::CacheRead => &mut self.cache_read,
            Class::CacheWrite => &mut self.cache_write,
            Class::CacheWriteHour => &mut self.cache_write_hour,
            Class::Output => &mut self.output,
            Class::Reasoning => &mut self.reasoning,
            Class::AudioInput => &mut self.audio_input,
            Class::AudioOutput => &mut self.audio_output,
            Class::ImageInput => &mut self.image_input,
            Class::ImageOutput => &mut self.image_output,
            Class::Images => &mut self.images,
            Class::AudioMillis => &mut self.audio_millis,
            Class::Characters => &mut self.characters,
            Class::ToolCalls => &mut self.tool_calls,
        }
    }
}

/// The rates of a whole call whose prompt has more than `input_tokens` tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The step is taken above this many tokens of every input class together.
    pub input_tokens: u64,
    /// What holds above it, for all of the call and not only for what is above.
    pub rates: Rates,
}

/// Rates with the conditions they hold under.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Offer {
    /// The service tier (`priority`, `flex`, `batch`, `fast`) as a response names it; `None` is
    /// the standard one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Holds from the start of this day on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Day>,
    /// Holds from the first up to the second minute of every UTC day; over midnight where the
    /// second is the smaller one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<(u16, u16)>,
    /// What holds below the first step.
    pub rates: Rates,
    /// Steps in ascending order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub over: Vec<Step>,
}

impl Offer {
    /// The rates of a call with a prompt of this many tokens.
    pub fn rates(&self, input_tokens: u64) -> &Rates {
        self.over
            .iter()
            .rev()
            .find(|step| input_tokens > step.input_tokens)
            .map_or(&self.rates, |step| &step.rates)
    }

    /// The rates in ascending order, each with the longest prompt it is for.
    pub(crate) fn rungs(&self) -> impl Iterator<Item = (&Rates, u64)> {
        let starts = self.over.iter().map(|step| step.input_tokens).chain([u64::MAX]);
        std::iter::once(&self.rates).chain(self.over.iter().map(|step| &step.rates)).zip(starts)
    }

    fn holds(&self, when: Timestamp) -> bool {
        let minute = when.seconds().rem_euclid(SECONDS_PER_DAY).div_euclid(60);
        self.from.is_none_or(|day| day.start() <= when)
            && self.minutes.is_none_or(|(start, end)| {
                let (start, end) = (i64::from(start), i64::from(end));
                if end < start {
                    minute >= start || minute < end
                } else {
                    minute >= start && minute < end
                }
            })
    }
}

/// All offers for a model. Of those that hold, the last one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prices(Vec<Offer>);

impl Prices {
    /// Offers in ascending order of precedence.
    pub const fn new(offers: Vec<Offer>) -> Self {
        Self(offers)
    }

    /// The same rates always and for everyone.
    pub fn flat(rates: Rates) -> Self {
        Self(vec![Offer { rates, ..Offer::default() }])
    }

    /// Whether one set of rates holds always and for everyone.
    pub fn is_flat(&self) -> bool {
        match self.0.as_slice() {
            [only] => only.tier.is_none() && only.minutes.is_none() && only.over.is_empty(),
            [] => true,
            _ => false,
        }
    }

    /// Whether nothing is known.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rates for a call made at `when` with a prompt of `input_tokens` tokens of all input
    /// classes, billed in `tier`. A tier without a price of its own is billed at the standard one.
    pub fn at(&self, when: Timestamp, input_tokens: u64, tier: Option<&str>) -> Option<&Rates> {
        self.offer(when, tier).map(|offer| offer.rates(input_tokens))
    }

    /// The offer that counts at `when` in `tier`.
    pub fn offer(&self, when: Timestamp, tier: Option<&str>) -> Option<&Offer> {
        let last = |tier: Option<&str>| {
            self.0.iter().rev().find(|offer| offer.tier.as_deref() == tier && offer.holds(when))
        };
        tier.and_then(|tier| last(Some(tier))).or_else(|| last(None))
    }

    /// The offers that count at `when`, one for each tier that has one.
    pub fn offers(&self, when: Timestamp) -> impl Iterator<Item = &Offer> {
        let mut seen = Vec::new();
        self.0.iter().rev().filter(move |offer| {
            let counts = offer.holds(when) && !seen.contains(&offer.tier.as_deref());
            if counts {
                seen.push(offer.tier.as_deref());
            }
            counts
        })
    }

    /// Whether a call at `when` costs nothing, whatever it uses.
    pub fn is_free(&self, when: Timestamp) -> bool {
        self.offer(when, None).is_some_and(|offer| offer.rungs().all(|(rates, _)| rates.is_free()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dollars(input: u64) -> Rates {
        Rates::UNKNOWN.with(Class::Input, Price::from_picos(input * 1_000_000))
    }

    fn moment(day: &str, hour: i64, minute: i64) -> Timestamp {
        Day::parse(day).expect("a day").start().plus_seconds(hour * 3_600 + minute * 60)
    }

    #[test]
    fn a_step_is_for_the_whole_call_and_taken_above_it() {
        let prices = Prices::new(vec![Offer {
            rates: dollars(1),
            over: vec![
                Step { input_tokens: 200_000, rates: dollars(2) },
                Step { input_tokens: 500_000, rates: dollars(4) },
            ],
            ..Offer::default()
        }]);
        for (tokens, price) in
            [(0, 1), (200_000, 1), (200_001, 2), (500_000, 2), (500_001, 4), (u64::MAX, 4)]
        {
            let rates = prices.at(Timestamp::default(), tokens, None);
            assert_eq!(rates, Some(&dollars(price)), "{tokens}");
        }
    }

    #[test]
    fn the_last_offer_that_holds_counts() {
        let prices = Prices::new(vec![
            Offer { rates: dollars(1), ..Offer::default() },
            Offer { from: Day::parse("2026-10-14"), rates: dollars(2), ..Offer::default() },
            Offer { minutes: Some((60, 240)), rates: dollars(3), ..Offer::default() },
            Offer { minutes: Some((1_410, 30)), rates: dollars(4), ..Offer::default() },
            Offer {
                tier: Some("priority".to_owned()),
                from: Day::parse("2026-10-14"),
                rates: dollars(9),
                ..Offer::default()
            },
        ]);
        for (day, hour, minute, tier, price) in [
            ("2026-10-13", 12, 0, None, 1),
            ("2026-10-14", 12, 0, None, 2),
            ("2026-10-14", 0, 59, None, 2),
            ("2026-10-14", 1, 0, None, 3),
            ("2026-10-14", 3, 59, None, 3),
            ("2026-10-14", 4, 0, None, 2),
            ("2026-10-13", 23, 29, None, 1),
            ("2026-10-13", 23, 30, None, 4),
            ("2026-10-14", 0, 29, None, 4),
            ("2026-10-14", 0, 30, None, 2),
            ("2026-10-13", 12, 0, Some("priority"), 1),
            ("2026-10-14", 2, 0, Some("priority"), 9),
            ("2026-10-14", 12, 0, Some("default"), 2),
        ] {
            let rates = prices.at(moment(day, hour, minute), 1, tier);
            assert_eq!(rates, Some(&dollars(price)), "{day} {hour}:{minute} {tier:?}");
        }
        let midnight = moment("2026-10-14", 0, 0);
        assert_eq!(prices.at(midnight.plus_seconds(-1), 1, None), Some(&dollars(4)));
        let tiers: Vec<_> = prices.offers(midnight).map(|offer| offer.rates).collect();
        assert_eq!(tiers, [dollars(9), dollars(4)]);
    }

    #[test]
    fn nothing_is_free_unless_it_was_said() {
        let now = Timestamp::default();
        assert!(Prices::flat(Rates::free()).is_free(now));
        assert!(!Prices::flat(Rates::UNKNOWN).is_free(now));
        assert!(!Prices::default().is_free(now));
        let fee = Rates { per_request: Some(Price::from_picos(1)), ..Rates::free() };
        assert!(!Prices::flat(fee).is_free(now));
    }

    #[test]
    fn a_rate_that_is_missing_is_borrowed_only_within_text() {
        let text = Rates::UNKNOWN
            .with(Class::Input, Price::from_picos(2))
            .with(Class::Output, Price::from_picos(3));
        for (class, picos) in [
            (Class::CacheRead, Some(2)),
            (Class::CacheWrite, Some(2)),
            (Class::CacheWriteHour, Some(2)),
            (Class::Reasoning, Some(3)),
            (Class::AudioInput, None),
            (Class::AudioOutput, None),
            (Class::ImageInput, None),
            (Class::ImageOutput, None),
            (Class::Images, None),
            (Class::ToolCalls, None),
        ] {
            assert_eq!(text.price(class).map(Price::picos), picos, "{}", class.name());
        }
        let cached = text.with(Class::CacheWrite, Price::from_picos(7));
        assert_eq!(cached.price(Class::CacheWriteHour), Some(Price::from_picos(7)));
    }
}
