//! Rules as JSON writes them, alike on keys, projects, teams, users and the instance. What they let
//! pass is `domain`'s; whether the names in them mean anything is asked in `admin`.

use domain::command::RulesChange;
use domain::{MaxPrice, Money, Network, Pattern, Price, Refusal, Rules, Tier};
use schemars::JsonSchema;
use serde::Serialize;

use crate::surface::fields::Fields;
use crate::surface::reply::Dollars;

/// Reads the members about rules. What is not sent stays as it is; `null` takes a rule away.
///
/// # Errors
/// The first member that makes no sense.
pub fn read(fields: &mut Fields) -> Result<RulesChange, Refusal> {
    Ok(RulesChange {
        allowed_models: list(fields, "allowed_models", patterns)?,
        denied_models: list(fields, "denied_models", patterns)?,
        allowed_providers: list(fields, "allowed_providers", patterns)?,
        denied_providers: list(fields, "denied_providers", patterns)?,
        allowed_pricing: list(fields, "allowed_pricing", tiers)?,
        denied_pricing: list(fields, "denied_pricing", tiers)?,
        max_price: fields.sent("max_price", max_price)?.map(Option::unwrap_or_default),
        allowed_addresses: list(fields, "allowed_addresses", networks)?,
        denied_addresses: list(fields, "denied_addresses", networks)?,
    })
}

type Entries<T> = Result<Option<Vec<T>>, Refusal>;

fn list<T>(
    fields: &mut Fields,
    name: &str,
    read: impl FnOnce(&mut Fields, &str) -> Entries<T>,
) -> Entries<T> {
    Ok(fields.sent(name, read)?.map(Option::unwrap_or_default))
}

/// Names of models or providers, with `*` for any run of characters.
fn patterns(fields: &mut Fields, name: &str) -> Entries<Pattern> {
    fields.entries(name, "a list of names", |text| {
        Pattern::new(text)
            .ok_or_else(|| "it is no name: 1 to 256 characters without spaces.".to_owned())
    })
}

fn tiers(fields: &mut Fields, name: &str) -> Entries<Tier> {
    fields.entries(name, "a list of 'free' and 'paid'", |text| {
        let found = [Tier::Free, Tier::Paid].into_iter().find(|tier| tier.name() == text);
        found.ok_or_else(|| "it is neither 'free' nor 'paid'.".to_owned())
    })
}

fn networks(fields: &mut Fields, name: &str) -> Entries<Network> {
    fields.entries(name, "a list of addresses and networks", |text| {
        Network::parse(text).map_err(|why| why.to_string())
    })
}

/// One price for both directions, or an object with one for each.
fn max_price(fields: &mut Fields, name: &str) -> Result<Option<MaxPrice>, Refusal> {
    if !fields.is_object(name) {
        let both = |price| MaxPrice { input: Some(price), output: Some(price) };
        return Ok(fields.price(name)?.map(both));
    }
    let Some(mut members) = fields.object(name)? else { return Ok(None) };
    let max = MaxPrice { input: members.price("input")?, output: members.price("output")? };
    members.end()?;
    Ok(Some(max))
}

/// The rules of one thing; `null` where there is none. What can be sent can be read again.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "rules")]
pub struct RulesView<'a> {
    #[schemars(with = "Option<Vec<String>>")]
    allowed_providers: Option<&'a [Pattern]>,
    #[schemars(with = "Option<Vec<String>>")]
    denied_providers: Option<&'a [Pattern]>,
    #[schemars(with = "Option<Vec<String>>")]
    allowed_models: Option<&'a [Pattern]>,
    #[schemars(with = "Option<Vec<String>>")]
    denied_models: Option<&'a [Pattern]>,
    #[schemars(with = "Option<Vec<String>>")]
    allowed_pricing: Option<&'a [Tier]>,
    #[schemars(with = "Option<Vec<String>>")]
    denied_pricing: Option<&'a [Tier]>,
    max_price: Option<MaxPriceView>,
    #[schemars(with = "Option<Vec<String>>")]
    allowed_addresses: Option<&'a [Network]>,
    #[schemars(with = "Option<Vec<String>>")]
    denied_addresses: Option<&'a [Network]>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "max_price")]
pub struct MaxPriceView {
    input: Option<Dollars>,
    output: Option<Dollars>,
}

impl<'a> From<&'a Rules> for RulesView<'a> {
    fn from(rules: &'a Rules) -> Self {
        let MaxPrice { input, output } = rules.max_price;
        let max_price =
            MaxPriceView { input: input.map(per_million), output: output.map(per_million) };
        Self {
            allowed_providers: some(&rules.allowed_providers),
            denied_providers: some(&rules.denied_providers),
            allowed_models: some(&rules.allowed_models),
            denied_models: some(&rules.denied_models),
            allowed_pricing: some(&rules.allowed_pricing),
            denied_pricing: some(&rules.denied_pricing),
            max_price: (!rules.max_price.is_empty()).then_some(max_price),
            allowed_addresses: some(&rules.allowed_addresses),
            denied_addresses: some(&rules.denied_addresses),
        }
    }
}

fn some<T>(list: &[T]) -> Option<&[T]> {
    Some(list).filter(|list| !list.is_empty())
}

/// Dollars per million tokens: a pico-dollar per token is a thousand nano-dollars per million.
fn per_million(price: Price) -> Dollars {
    let nanos = i64::try_from(price.picos()).unwrap_or(i64::MAX).saturating_mul(1_000);
    Dollars(Money::from_nanos(nanos))
}
