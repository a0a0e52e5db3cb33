//! Calls to models in the document: made from the rows of the table alone. What their bodies mean is
//! written in the references of whoever made the dialect.

use std::collections::BTreeMap;

use domain::Code;
use http::Method;
use serde_json::{Map, Value, json};

use super::{path_parameters, refusals, request_id, security};
use crate::relay::{Api, Guard, Metering};
use crate::surface::{Endpoint, INFERENCE, Serve};
use crate::wire::Dialect;

/// Adds every inference route, under `/v1`; a second server says that `/api/v1` is the same.
pub(super) fn describe(paths: &mut BTreeMap<String, Map<String, Value>>) {
    for row in INFERENCE {
        let path = format!("/v1{}", row.path.replace("{*", "{"));
        let item = paths.entry(path.clone()).or_default();
        item.insert("servers".to_owned(), json!([{"url": "/"}, {"url": "/api"}]));
        for method in row.methods {
            item.insert(method.as_str().to_lowercase(), one(row, method, &path));
        }
    }
}

/// The ways a call to a model can be refused, or fail.
const REFUSALS: &[Code] = &[
    Code::InvalidJson,
    Code::DuplicateJsonKey,
    Code::InvalidValue,
    Code::MissingParameter,
    Code::UnsupportedParameter,
    Code::ConflictingCredentials,
    Code::RequestExceedsLimit,
    Code::MissingApiKey,
    Code::InvalidApiKey,
    Code::KeyDisabled,
    Code::KeyExpired,
    Code::KeyRevoked,
    Code::InsufficientQuota,
    Code::WrongKeyType,
    Code::ModelNotAllowed,
    Code::ProviderNotAllowed,
    Code::PriceNotAllowed,
    Code::AddressNotAllowed,
    Code::ModelUnpriced,
    Code::Unmeterable,
    Code::RouteDisabled,
    Code::ModelNotFound,
    Code::NotFound,
    Code::MethodNotAllowed,
    Code::RequestTimeout,
    Code::RequestTooLarge,
    Code::UnsupportedMediaType,
    Code::UnsupportedEncoding,
    Code::RateLimitExceeded,
    Code::ConcurrencyLimitExceeded,
    Code::UpstreamRateLimited,
    Code::Internal,
    Code::UpstreamFailed,
    Code::UpstreamCredentialRejected,
    Code::UpstreamInvalidResponse,
    Code::LedgerUnavailable,
    Code::NoProvider,
    Code::UpstreamTimeout,
];

fn one(row: &Endpoint, method: &Method, path: &str) -> Value {
    let (api, dialect, metering) = match row.serve {
        Serve::Relay(relay) => (relay.api, relay.dialect, Some(relay.metering)),
        Serve::Models | Serve::Model | Serve::Desk(_) => (Api::OpenAi, Dialect::Json, None),
    };
    let error = match api {
        Api::OpenAi => "error",
        Api::Anthropic => "anthropic_error",
    };
    let source = match api {
        Api::OpenAi => "OpenAI's API reference says what it takes and answers.",
        Api::Anthropic => "Anthropic's API reference says what it takes and answers.",
    };
    let metered = match metering {
        Some(Metering::Usage) => "Priced by the usage in the answer.",
        Some(Metering::Free) => "Costs nothing.",
        Some(Metering::Unmetered) => {
            "No answer tells what it costs: refused to a key with a money limit, or with rules about models."
        }
        None => "Answered here: what the calling key may use.",
    };
    let whole = json!({
        "description": "What the provider answered.",
        "headers": request_id(),
        "content": content(dialect),
    });
    let mut responses = Map::from_iter([("200".to_owned(), whole)]);
    responses.extend(refusals(REFUSALS, error));
    // A provider's own no is passed on as it wrote it.
    responses.insert(
        "4XX".to_owned(),
        json!({"description": "What the provider found wrong with the request, as it wrote it, with `x-weir-error-from: provider`."}),
    );
    let guard = if row.guard == Guard::Master {
        "With the master key, where it is switched on."
    } else {
        "With a regular key."
    };
    let mut described = json!({
        "operationId": name(method, path),
        "tags": ["models"],
        "summary": format!("{method} {}", path.trim_start_matches("/v1/")),
        "description": format!("{source} {metered} {guard}"),
        "responses": responses,
        "security": security(row.guard),
    });
    let parameters = path_parameters(path);
    if !parameters.is_empty() {
        described["parameters"] = json!(parameters);
    }
    if *method == Method::POST {
        described["requestBody"] = body(dialect);
    }
    described
}

fn content(dialect: Dialect) -> Value {
    match dialect {
        Dialect::Speech | Dialect::Raw => json!({"*/*": {}}),
        Dialect::Chat | Dialect::Completions | Dialect::Responses | Dialect::Messages => json!({
            "application/json": {"schema": {"type": "object"}},
            "text/event-stream": {"schema": {"type": "string"}},
        }),
        _ => json!({"application/json": {"schema": {"type": "object"}}}),
    }
}

fn body(dialect: Dialect) -> Value {
    let (required, example): (&[&str], Value) = match dialect {
        Dialect::Chat => (
            &["model", "messages"],
            json!({"model": "demo/echo", "messages": [{"role": "user", "content": "Hello"}]}),
        ),
        Dialect::Messages => (
            &["model", "messages", "max_tokens"],
            json!({"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}),
        ),
        Dialect::Completions => {
            (&["model", "prompt"], json!({"model": "gpt-3.5-turbo-instruct", "prompt": "Hello"}))
        }
        Dialect::Embeddings => {
            (&["model", "input"], json!({"model": "text-embedding-3-small", "input": "Hello"}))
        }
        Dialect::Responses => (&["model", "input"], json!({"model": "gpt-4o", "input": "Hello"})),
        Dialect::Speech => (
            &["model", "input", "voice"],
            json!({"model": "tts-1", "input": "Hello", "voice": "alloy"}),
        ),
        Dialect::Transcriptions | Dialect::ImageEdits | Dialect::Raw => {
            return json!({"content": {"multipart/form-data": {"schema": {"type": "object"}}, "application/json": {"schema": {"type": "object"}}}});
        }
        Dialect::Moderations | Dialect::Images | Dialect::CountTokens | Dialect::Json => {
            (&[], json!({}))
        }
    };
    let properties: Map<String, Value> = required
        .iter()
        .map(|name| {
            let shape = match *name {
                "model" | "voice" => json!({"type": "string"}),
                "messages" => json!({"type": "array", "minItems": 1, "items": {"type": "object"}}),
                "max_tokens" => json!({"type": "integer", "minimum": 1}),
                _ => json!({}),
            };
            ((*name).to_owned(), shape)
        })
        .collect();
    let schema = json!({"type": "object", "required": required, "properties": properties});
    let mut content = json!({"application/json": {"schema": schema}});
    if !required.is_empty() {
        content["application/json"]["example"] = example;
    }
    json!({"required": !required.is_empty(), "content": content})
}

/// `post_chat_completions`, `get_responses_id`.
fn name(method: &Method, path: &str) -> String {
    let words = path.trim_start_matches("/v1/").replace(['/', '-'], "_").replace(['{', '}'], "");
    format!("{}_{words}", method.as_str().to_lowercase())
}
