//! `GET /v1/models` and `/v1/models/{id}`: what the calling key may use, with what it costs. The
//! answer has the members of OpenAI's list and of Anthropic's, so that either's client reads it.
//! Calls to models are not here: they go through `gate`.

use std::sync::Arc;

use domain::catalog::Model;
use domain::rule;
use domain::{Caller, Code, Price, Refusal, Timestamp};
use http::StatusCode;
use serde::Serialize;

use crate::call::Answer;
use crate::ceiling::{self, Needs};
use crate::failure::rfc3339;
use crate::gate::Gate;
use crate::models::{Models, Route};
use crate::surface::reply::json;

#[derive(Serialize)]
struct ModelView<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    owned_by: &'a str,
    // Anthropic's members.
    r#type: &'static str,
    display_name: &'a str,
    created_at: String,
    // Ours.
    provider: &'a str,
    context_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    /// Dollars per million tokens, as decimal text; absent where nobody knows a price.
    pricing: Option<Pricing>,
}

#[derive(Serialize)]
struct Pricing {
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_read: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write: Option<String>,
}

#[derive(Serialize)]
struct ModelList<'a> {
    object: &'static str,
    data: Vec<ModelView<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

/// `GET /v1/models`
pub fn models(gate: &Gate, caller: &Caller, at: Timestamp) -> Answer {
    let listed = allowed(gate, caller, at);
    let data: Vec<_> = listed.iter().map(|(name, route)| view(name, route, at)).collect();
    let list = ModelList {
        object: "list",
        first_id: listed.first().map(|(name, _)| name.as_str()),
        last_id: listed.last().map(|(name, _)| name.as_str()),
        data,
        has_more: false,
    };
    json(StatusCode::OK, &list)
}

/// `GET /v1/models/{id}`
///
/// # Errors
/// There is no such model, or the key may not use it: both look the same.
pub fn model(gate: &Gate, caller: &Caller, name: &str, at: Timestamp) -> Result<Answer, Refusal> {
    let models = gate.models.load();
    let routes = models.named(name);
    let mut usable = routes.iter().filter(|route| may_use(gate, &models, caller, route, at));
    match usable.next() {
        Some(route) => Ok(json(StatusCode::OK, &view(name, route, at))),
        None => Err(Refusal::new(
            Code::ModelNotFound,
            "There is no such model here, or you do not have access to it.",
        )
        .about("model")),
    }
}

fn allowed(gate: &Gate, caller: &Caller, at: Timestamp) -> Vec<(String, Arc<Route>)> {
    let models = gate.models.load();
    let mut listed = models.listed();
    listed.retain(|(_, route)| may_use(gate, &models, caller, route, at));
    listed
}

fn may_use(
    gate: &Gate,
    models: &Models,
    caller: &Caller,
    route: &Arc<Route>,
    at: Timestamp,
) -> bool {
    if Needs::of(&gate.limits(caller)).money && !ceiling::is_bounded(route, at) {
        return false;
    }
    rule::judge(caller.rules(), route.target(at), |name| models.alias(name)).is_ok()
}

fn view<'a>(name: &'a str, route: &'a Route, at: Timestamp) -> ModelView<'a> {
    let model = route.priced.as_deref();
    ModelView {
        id: name,
        object: "model",
        created: 0,
        owned_by: &route.provider.name,
        r#type: "model",
        display_name: name,
        created_at: rfc3339(Timestamp::from_seconds(0)),
        provider: &route.provider.name,
        context_tokens: model.and_then(|model| model.context_tokens),
        max_output_tokens: model.and_then(|model| model.max_output_tokens),
        pricing: model.and_then(|model| pricing(model, at)),
    }
}

fn pricing(model: &Model, at: Timestamp) -> Option<Pricing> {
    let rates = model.prices.at(at, 0, None)?;
    Some(Pricing {
        input: rates.input.map(per_million),
        output: rates.output.map(per_million),
        cache_read: rates.cache_read.map(per_million),
        cache_write: rates.cache_write.map(per_million),
    })
}

/// Pico-dollars per token are millionths of a dollar per million tokens.
pub fn per_million(price: Price) -> String {
    let picos = price.picos();
    let text = format!("{}.{:06}", picos / 1_000_000, picos % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
