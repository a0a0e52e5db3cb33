//! What models cost, and an administrator's word on it. Prices are dollars as decimal text: no digit
//! passes through a float. What may be done is decided in `admin`.

use domain::command::Actor;
use domain::id::Ulid;
use domain::supply::{PriceRecord, Stamp};
use domain::{Code, Digest, Mode, Price, Rates, Refusal, Timestamp};
use futures_util::FutureExt as _;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::admin::{Desk, ListedPrice, PriceQuery};
use crate::call::Call;
use crate::prices::{OverrideSetting, PriceFault};
use crate::surface::Reply;
use crate::surface::fields::{Fields, invalid};
use crate::surface::inference::per_million;
use crate::surface::page::Wanted;
use crate::surface::query::Query;
use crate::surface::reply::json;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "price")]
pub struct PriceView {
    provider: String,
    model: String,
    #[schemars(with = "String")]
    mode: Mode,
    free: bool,
    #[serde(flatten)]
    rates: Option<RatesView>,
    /// Whether other prices hold for long prompts, other service tiers or at other times.
    varies: bool,
    context_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    from: &'static str,
}

/// Per million tokens or characters, and per piece. What has no price of its own is left out.
#[derive(Serialize, Default, JsonSchema)]
#[schemars(rename = "prices_per_unit")]
pub struct RatesView {
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_read: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_hour: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    characters: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_audio_minute: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_tool_call: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_request: Option<String>,
}

impl RatesView {
    fn of(rates: &Rates) -> Self {
        if rates.is_free() {
            return Self::default();
        }
        let million = |price: Option<Price>| price.map(per_million);
        let piece = |price: Option<Price>, units| price.map(|price| dollars(price, units));
        Self {
            input: million(rates.input),
            output: million(rates.output),
            cache_read: million(rates.cache_read),
            cache_write: million(rates.cache_write),
            cache_write_hour: million(rates.cache_write_hour),
            reasoning: million(rates.reasoning),
            audio_input: million(rates.audio_input),
            audio_output: million(rates.audio_output),
            image_input: million(rates.image_input),
            image_output: million(rates.image_output),
            characters: million(rates.characters),
            per_image: piece(rates.images, 1),
            per_audio_minute: piece(rates.audio_millis, 60_000),
            per_tool_call: piece(rates.tool_calls, 1),
            per_request: piece(rates.per_request, 1),
        }
    }
}

/// What so many units cost.
fn dollars(price: Price, units: u128) -> String {
    const PICOS: u128 = 1_000_000_000_000;
    let picos = u128::from(price.picos()) * units;
    let text = format!("{}.{:012}", picos / PICOS, picos % PICOS);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn view(price: &ListedPrice, at: Timestamp) -> PriceView {
    let model = &price.model;
    let rates = model.prices.at(at, 0, None);
    PriceView {
        provider: price.provider.to_string(),
        model: model.name.clone(),
        mode: model.mode,
        free: rates.is_some_and(Rates::is_free),
        varies: !model.prices.is_flat(),
        rates: rates.map(RatesView::of),
        context_tokens: model.context_tokens,
        max_output_tokens: model.max_output_tokens,
        from: price.from.name(),
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "prices")]
pub struct Prices {
    data: Vec<PriceView>,
    next_page_token: Option<String>,
    /// Names these very prices; rows of the ledger have it.
    price_version: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "removed_price")]
pub struct Removed<'a> {
    deleted: bool,
    provider: &'a str,
    model: &'a str,
}

/// A model's place in the list, as pages mark it.
fn marked(price: &ListedPrice) -> Ulid {
    let digest = Digest::of(format!("{}/{}", price.provider, price.model.name).as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.bytes()[..16]);
    Ulid::from_bytes(bytes)
}

/// `GET /api/v1/prices`
pub fn list(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let mut query = Query::read(call.head.uri.query())?;
        let page = Wanted::read(&mut query, &call, &desk.list_secret)?;
        let wanted = PriceQuery {
            provider: query.text("provider"),
            model: query.text("model"),
            search: query.text("search"),
        };
        query.end()?;
        let (mut found, version) = desk.prices(actor, &wanted).await?;
        if let Some(after) = page.after {
            let last = found.iter().position(|price| marked(price) == after);
            let last = last.ok_or_else(|| {
                invalid("page_token", "the next_page_token of another page of this list")
            })?;
            found.drain(..=last);
        }
        let next_page_token = page.cut(&mut found, &desk.list_secret, marked);
        let data = found.iter().map(|price| view(price, call.at)).collect();
        let price_version = version.to_string();
        Ok(json(StatusCode::OK, &Prices { data, next_page_token, price_version }))
    }
    .boxed()
}

/// The provider and the model in the path.
fn place(call: &Call) -> Result<(&str, &str), Refusal> {
    let path = call.parameter.as_deref().unwrap_or_default();
    path.split_once('/').ok_or_else(|| {
        let message = "A price is named by its provider and model: /api/v1/prices/openai/gpt-4o.";
        Refusal::new(Code::NotFound, message)
    })
}

fn read(mut fields: Fields, provider: &str, model: &str) -> Result<PriceRecord, Refusal> {
    let said = OverrideSetting {
        provider: provider.to_owned(),
        model: model.to_owned(),
        free: fields.boolean("free")?.unwrap_or(false),
        input: fields.decimal("input"),
        output: fields.decimal("output"),
        cache_read: fields.decimal("cache_read"),
        cache_write: fields.decimal("cache_write"),
        cache_write_hour: fields.decimal("cache_write_hour"),
        reasoning: fields.decimal("reasoning"),
        audio_input: fields.decimal("audio_input"),
        audio_output: fields.decimal("audio_output"),
        image_input: fields.decimal("image_input"),
        image_output: fields.decimal("image_output"),
        characters: fields.decimal("characters"),
        per_image: fields.decimal("per_image"),
        per_audio_minute: fields.decimal("per_audio_minute"),
        per_tool_call: fields.decimal("per_tool_call"),
        per_request: fields.decimal("per_request"),
        context_tokens: fields.number("context_tokens", 1, i64::MAX)?.map(i64::unsigned_abs),
        max_output_tokens: fields.number("max_output_tokens", 1, i64::MAX)?.map(i64::unsigned_abs),
    };
    fields.end()?;
    let rates = said.all_rates().map_err(|fault| {
        let refusal = Refusal::new(Code::InvalidValue, format!("{}.", capital(&fault.to_string())));
        match fault {
            PriceFault::NotAPrice { field, .. } => refusal.about(field),
            PriceFault::FreeAndPriced { .. }
            | PriceFault::NoPrice { .. }
            | PriceFault::Damaged { .. } => refusal,
        }
    })?;
    Ok(PriceRecord {
        provider: said.provider,
        model: said.model,
        rates,
        context_tokens: said.context_tokens,
        max_output_tokens: said.max_output_tokens,
        stamp: Stamp::default(),
    })
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        format!("{}{}", first.to_ascii_uppercase(), letters.as_str())
    })
}

/// `PUT /api/v1/prices/{provider}/{model}`
pub fn set(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let (provider, model) = place(&call)?;
        let (provider, model) = (provider.to_owned(), model.to_owned());
        let fields = Fields::of(desk, &mut call).await?;
        let price = read(fields, &provider, &model)?;
        let set = desk.set_price(actor, price, call.at).await?;
        Ok(json(StatusCode::OK, &view(&set, call.at)))
    }
    .boxed()
}

/// `DELETE /api/v1/prices/{provider}/{model}`
pub fn unset(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let (provider, model) = place(&call)?;
        desk.remove_price(actor, provider, model, call.at).await?;
        Ok(json(StatusCode::OK, &Removed { deleted: true, provider, model }))
    }
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Class;

    #[test]
    fn prices_are_shown_as_they_are_written() {
        let minute = Price::from_picos(100_000);
        assert_eq!(dollars(minute, 60_000), "0.006");
        assert_eq!(dollars(Price::from_picos(40_000_000_000), 1), "0.04");
        assert_eq!(dollars(Price::from_picos(1), 1), "0.000000000001");
        let rates = Rates::UNKNOWN.with(Class::Input, Price::from_picos(2_500_000));
        assert_eq!(RatesView::of(&rates).input.as_deref(), Some("2.5"));
    }
}
