//! The price catalogue that is built in, and an operator's own prices as they are written in a
//! configuration. What prices mean is `domain`'s; where the catalogue comes from, `tools/prices`'.

use domain::money::NotMoney;
use domain::{Catalog, Class, Model, Override, Price, Prices, Rates};
use serde::Deserialize;

/// One model per line, below a line about the whole. Every line begins with its provider.
const CATALOGUE: &str = include_str!("../../prices/catalogue.jsonl");

/// The built-in models of these providers. The lines of others are not read, so that starting
/// stays quick.
///
/// # Errors
/// The built-in catalogue is damaged, which a build's tests rule out.
pub fn embedded(providers: &[&str]) -> Result<Catalog, PriceFault> {
    parse(CATALOGUE, |provider| providers.contains(&provider))
}

/// The providers that the built-in catalogue knows, in its order.
pub fn embedded_providers() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    CATALOGUE.lines().filter_map(provider).filter(move |provider| {
        let another = *provider != last;
        last = provider;
        another
    })
}

fn parse(text: &str, wanted: impl Fn(&str) -> bool) -> Result<Catalog, PriceFault> {
    let mut lines = (1..).zip(text.lines());
    let damaged = |line| move |source| PriceFault::Damaged { line, source };
    let (line, head) = lines.next().unwrap_or((1, ""));
    let head: Head = serde_json::from_str(head).map_err(damaged(line))?;
    let models = lines
        .filter(|(_, text)| provider(text).is_none_or(&wanted))
        .map(|(line, text)| serde_json::from_str(text).map_err(damaged(line)))
        .collect::<Result<Vec<Model>, _>>()?;
    Ok(Catalog::new(models, head.version))
}

fn provider(line: &str) -> Option<&str> {
    Some(line.strip_prefix(r#"{"provider":""#)?.split_once('"')?.0)
}

#[derive(Deserialize)]
struct Head {
    version: String,
}

/// An operator's price for one model: decimal dollars, per million tokens where nothing else is
/// said. A class without a price borrows as [`Rates::price`] says, or has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OverrideSetting {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The model's name, known to the catalogue or not.
    pub model: String,
    /// Costs nothing at all. Excludes every price.
    pub free: bool,
    /// Text of the prompt.
    pub input: Option<String>,
    /// Text of the answer.
    pub output: Option<String>,
    /// Prompt read from the cache.
    pub cache_read: Option<String>,
    /// Prompt written to the cache.
    pub cache_write: Option<String>,
    /// Prompt written to the cache for an hour.
    pub cache_write_hour: Option<String>,
    /// Hidden reasoning.
    pub reasoning: Option<String>,
    /// Sound in the prompt.
    pub audio_input: Option<String>,
    /// Sound in the answer.
    pub audio_output: Option<String>,
    /// Pictures in the prompt, counted in tokens.
    pub image_input: Option<String>,
    /// Pictures in the answer, counted in tokens.
    pub image_output: Option<String>,
    /// A million characters to be spoken.
    pub characters: Option<String>,
    /// One picture.
    pub per_image: Option<String>,
    /// One minute of sound.
    pub per_audio_minute: Option<String>,
    /// One call of a tool that the provider runs.
    pub per_tool_call: Option<String>,
    /// One call of the model.
    pub per_request: Option<String>,
    /// The longest prompt, in tokens; the catalogue's where absent.
    pub context_tokens: Option<u64>,
    /// The longest answer, in tokens; the catalogue's where absent.
    pub max_output_tokens: Option<u64>,
}

impl OverrideSetting {
    /// What it says, in the units the catalogue counts in.
    ///
    /// # Errors
    /// A price is no decimal number of dollars or finer than the unit, there is none, or there is
    /// one on a model that is free.
    pub fn read(&self) -> Result<Override, PriceFault> {
        Ok(Override {
            provider: self.provider.clone(),
            name: self.model.clone(),
            prices: Prices::flat(self.all_rates()?),
            context_tokens: self.context_tokens,
            max_output_tokens: self.max_output_tokens,
        })
    }

    /// The rates in it.
    ///
    /// # Errors
    /// As [`OverrideSetting::read`].
    pub fn all_rates(&self) -> Result<Rates, PriceFault> {
        let rates = self.rates()?;
        let model = || self.label();
        match (self.free, rates == Rates::UNKNOWN) {
            (true, true) => Ok(Rates::free()),
            (false, false) => Ok(rates),
            (true, false) => Err(PriceFault::FreeAndPriced { model: model() }),
            (false, true) => Err(PriceFault::NoPrice { model: model() }),
        }
    }

    fn rates(&self) -> Result<Rates, PriceFault> {
        let mut rates = Rates::UNKNOWN;
        for (class, field, text) in [
            (Class::Input, "input", self.input.as_ref()),
            (Class::Output, "output", self.output.as_ref()),
            (Class::CacheRead, "cache_read", self.cache_read.as_ref()),
            (Class::CacheWrite, "cache_write", self.cache_write.as_ref()),
            (Class::CacheWriteHour, "cache_write_hour", self.cache_write_hour.as_ref()),
            (Class::Reasoning, "reasoning", self.reasoning.as_ref()),
            (Class::AudioInput, "audio_input", self.audio_input.as_ref()),
            (Class::AudioOutput, "audio_output", self.audio_output.as_ref()),
            (Class::ImageInput, "image_input", self.image_input.as_ref()),
            (Class::ImageOutput, "image_output", self.image_output.as_ref()),
            (Class::Characters, "characters", self.characters.as_ref()),
        ] {
            if let Some(price) = self.price(field, text, Price::parse_dollars_per_million)? {
                rates = rates.with(class, price);
            }
        }
        let per_unit = Price::parse_dollars_per_unit;
        if let Some(price) = self.price("per_image", self.per_image.as_ref(), per_unit)? {
            rates = rates.with(Class::Images, price);
        }
        if let Some(price) = self.price("per_tool_call", self.per_tool_call.as_ref(), per_unit)? {
            rates = rates.with(Class::ToolCalls, price);
        }
        if let Some(price) =
            self.price("per_audio_minute", self.per_audio_minute.as_ref(), per_unit)?
        {
            // A millisecond is the unit; what does not divide evenly is rounded up.
            let price = Price::from_picos(price.picos().div_ceil(60_000));
            rates = rates.with(Class::AudioMillis, price);
        }
        rates.per_request = self.price("per_request", self.per_request.as_ref(), per_unit)?;
        Ok(rates)
    }

    fn price(
        &self,
        field: &'static str,
        text: Option<&String>,
        read: impl Fn(&str) -> Result<Price, NotMoney>,
    ) -> Result<Option<Price>, PriceFault> {
        let bad = |reason| PriceFault::NotAPrice { model: self.label(), field, reason };
        text.map(|text| read(text)).transpose().map_err(bad)
    }

    fn label(&self) -> String {
        format!("{}/{}", self.provider, self.model)
    }
}

/// Why prices could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PriceFault {
    /// A line of the built-in catalogue is no model.
    #[error("line {line} of the built-in price catalogue is damaged")]
    Damaged {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An operator's price is no price.
    #[error("the price {field} of {model} {}", told(*.reason))]
    NotAPrice {
        /// Provider and model.
        model: String,
        /// The price's name in the configuration.
        field: &'static str,
        /// What is wrong with it.
        reason: NotMoney,
    },
    /// A model is said to be free and has a price.
    #[error("{model} is said to be free and has a price")]
    FreeAndPriced {
        /// Provider and model.
        model: String,
    },
    /// An override says nothing about a price.
    #[error("{model} has no price: give it one, or say that it is free")]
    NoPrice {
        /// Provider and model.
        model: String,
    },
}

fn told(reason: NotMoney) -> &'static str {
    match reason {
        NotMoney::Malformed => "is not a decimal number of dollars",
        NotMoney::TooFine => "is finer than a millionth of a millionth of a dollar per unit",
        NotMoney::TooLarge => "is too large",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::pricing::cost;
    use domain::{Day, Mode, Timestamp, Usage};
    use sha2::Digest as _;
    use std::collections::BTreeSet;

    fn everything() -> Catalog {
        parse(CATALOGUE, |_| true).expect("the built-in catalogue parses")
    }

    fn noon() -> Timestamp {
        Day::parse("2026-11-21").expect("a day").start().plus_seconds(43_200)
    }

    #[test]
    fn the_built_in_catalogue_parses_and_no_model_is_there_twice() {
        let catalog = everything();
        assert_eq!(catalog.models().count() + 1, CATALOGUE.lines().count());
        assert!(catalog.models().count() > 2_000);
        let mut seen = BTreeSet::new();
        for model in catalog.models() {
            let label = format!("{}/{}", model.provider, model.name);
            let found = catalog.model(&model.provider, &model.name);
            assert!(found.is_some_and(|found| found.name == model.name), "{label}");
            assert!(seen.insert(label.to_lowercase()), "{label} is there twice");
            assert!(
                model.prices.is_empty() || model.prices.at(noon(), 1, None).is_some(),
                "{label}"
            );
        }
        let body = CATALOGUE.split_once('\n').map(|(_, body)| body).unwrap_or_default();
        let hash = data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(body));
        assert_eq!(hash.get(..12), Some(catalog.version()), "edited by hand");
    }

    #[test]
    fn only_the_wanted_providers_are_read() {
        let catalog = embedded(&["openai", "anthropic", "nobody"]).expect("it parses");
        let providers: BTreeSet<_> = catalog.models().map(|m| m.provider.as_str()).collect();
        assert_eq!(providers.into_iter().collect::<Vec<_>>(), ["anthropic", "openai"]);
        assert_eq!(catalog.of("openai").count(), everything().of("openai").count());
        assert_eq!(embedded(&[]).expect("it parses").models().count(), 0);
        let providers: Vec<_> = embedded_providers().collect();
        assert!(providers.is_sorted() && providers.contains(&"google"), "{providers:?}");
    }

    #[test]
    fn well_known_prices_are_the_published_ones() {
        let catalog = everything();
        let million = 1_000_000;
        for (provider, name, tier, usage, dollars) in [
            ("openai", "gpt-4o", None, [(Class::Input, million), (Class::Output, million)], "12.5"),
            (
                "openai",
                "gpt-4o-2024-08-06",
                Some("priority"),
                [(Class::CacheRead, million), (Class::Output, million)],
                "19.125",
            ),
            (
                "anthropic",
                "claude-sonnet-4-20250514",
                None,
                [(Class::Input, 100_000), (Class::Output, 100_000)],
                "1.8",
            ),
            (
                "anthropic",
                "claude-sonnet-4-5-20250929",
                None,
                [(Class::CacheWriteHour, 100_000), (Class::CacheRead, 100_000)],
                "0.63",
            ),
            (
                "anthropic",
                "claude-sonnet-4-6",
                Some("batch"),
                [(Class::Input, 10_000), (Class::Reasoning, 10_000)],
                "0.09",
            ),
            (
                "google",
                "gemini-2.5-pro",
                None,
                [(Class::Input, 200_000), (Class::Output, 1_000)],
                "0.26",
            ),
            (
                "google",
                "gemini-2.5-pro",
                None,
                [(Class::Input, 100_001), (Class::AudioInput, 100_000)],
                "0.5000025",
            ),
            ("openai", "text-embedding-3-small", None, [(Class::Input, million); 2], "0.02"),
            (
                "openai",
                "gpt-image-1",
                None,
                [(Class::Input, 100), (Class::ImageOutput, 4_160)],
                "0.1669",
            ),
            ("openai", "whisper-1", None, [(Class::AudioMillis, 60_000); 2], "0.006"),
            ("cohere", "rerank-v3.5", None, [(Class::Input, 0); 2], "0.002"),
        ] {
            let model = catalog.model(provider, name).expect(name);
            let usage = usage.into_iter().fold(Usage::NONE, |usage, (c, n)| usage.with(c, n));
            let rates = model.prices.at(noon(), usage.input_tokens(), tier).expect(name);
            let money = cost(rates, &usage).map(|money| money.to_string());
            assert_eq!(money, Ok(dollars.to_owned()), "{provider}/{name}");
        }
        let model = catalog.model("openai", "gpt-4o").expect("a model");
        assert_eq!(
            (model.mode, model.context_tokens, model.max_output_tokens),
            (Mode::Chat, Some(128_000), Some(16_384))
        );
        assert_eq!(catalog.model("openai", "gpt-image-1").map(|m| m.mode), Some(Mode::Image));
    }

    fn setting(text: &str) -> Result<Override, PriceFault> {
        let setting: OverrideSetting = serde_json::from_str(text).expect("a setting");
        setting.read()
    }

    #[test]
    fn an_operators_prices_are_read_exactly() {
        let own = setting(
            r#"{"provider":"openai","model":"gpt-4o","input":"2.0","output":"8",
                "cache_read":"0.075","per_image":"0.04","per_audio_minute":"0.006","per_request":"0.001"}"#,
        );
        let catalog = everything().with_overrides([own.expect("prices")]);
        let model = catalog.model("openai", "gpt-4o").expect("a model");
        let rates = model.prices.at(noon(), 1, Some("priority")).expect("rates");
        for (class, picos) in [
            (Class::Input, Some(2_000_000)),
            (Class::Output, Some(8_000_000)),
            (Class::CacheRead, Some(75_000)),
            (Class::Images, Some(40_000_000_000)),
            (Class::AudioMillis, Some(100_000)),
            (Class::AudioInput, None),
        ] {
            assert_eq!(rates.price(class).map(Price::picos), picos, "{}", class.name());
        }
        assert_eq!(rates.per_request, Some(Price::from_picos(1_000_000_000)));
        assert_eq!(model.max_output_tokens, Some(16_384));
        let free = setting(r#"{"provider":"local","model":"llama","free":true}"#).expect("free");
        assert!(free.prices.is_free(noon()));
    }

    #[test]
    fn what_is_no_price_is_said_to_be_none() {
        for (text, message) in [
            (
                r#"{"provider":"p","model":"m","input":"two"}"#,
                "the price input of p/m is not a decimal number of dollars",
            ),
            (
                r#"{"provider":"p","model":"m","input":"-1"}"#,
                "the price input of p/m is not a decimal number of dollars",
            ),
            (
                r#"{"provider":"p","model":"m","input":"1","free":true}"#,
                "p/m is said to be free and has a price",
            ),
            (
                r#"{"provider":"p","model":"m"}"#,
                "p/m has no price: give it one, or say that it is free",
            ),
        ] {
            let fault = setting(text).expect_err(text);
            assert_eq!(fault.to_string(), message);
        }
    }
}
