//! `explain`: what would become of a call, which rules spoke and what is left of every limit, before
//! it is made. What is true is found in `admin`.

use bytes::Bytes;
use domain::command::Actor;
use domain::rule::Spoken;
use domain::{KeyId, Refusal, Timestamp, Want};
use futures_util::FutureExt as _;
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::admin::{Desk, Explanation, Question, Verdict};
use crate::call::{Answer, Call};
use crate::failure::{Envelope, Failure, rfc3339};
use crate::models::Route;
use crate::relay::Relay;
use crate::surface::effective::EffectiveView;
use crate::surface::fields::{Fields, invalid};
use crate::surface::reply::{Dollars, json};
use crate::surface::{Reply, Serve, find, keys};
use crate::wire::{self, Dialect};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "explanation")]
pub struct ExplanationView<'a> {
    allowed: bool,
    /// What the caller would be told, as the error would say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    refusal: Option<serde_json::Value>,
    /// When the call would succeed, if nothing else happened until then.
    succeeds_at: Option<String>,
    /// The maximum of output tokens that would be sent.
    max_tokens: Option<u64>,
    clamped: bool,
    /// The most it could use: what would be held.
    wanted: Option<WantView>,
    address_rules: Vec<SpokenView<'a>>,
    routes: Vec<RouteView<'a>>,
    #[serde(flatten)]
    effective: EffectiveView<'a>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "wanted")]
pub struct WantView {
    cost: Dollars,
    tokens: i64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "explained_route")]
pub struct RouteView<'a> {
    provider: &'a str,
    model: &'a str,
    allowed: bool,
    rules: Vec<SpokenView<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "explained_rule")]
pub struct SpokenView<'a> {
    scope: &'static str,
    scope_id: String,
    rule: &'static str,
    entry: Option<&'a str>,
    allows: bool,
}

/// `POST /api/v1/keys/{hash}/explain`
pub fn of_key(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let id = keys::key_id(&call)?;
        explain(desk, actor, id, call).await
    }
    .boxed()
}

/// `POST /api/v1/key/explain`: the same for a key itself.
pub fn own(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let id = keys::holder(actor)?;
        explain(desk, actor, id, call).await
    }
    .boxed()
}

async fn explain(desk: &Desk, actor: Actor, id: KeyId, mut call: Call) -> Result<Answer, Failure> {
    let question = read(Fields::of(desk, &mut call).await?)?;
    if question.at.is_some_and(|at| at < call.at) {
        return Err(invalid("at", "now or later: what was is in the usage").into());
    }
    let explanation = desk.explain(actor, id, question, call.at).await?;
    Ok(json(StatusCode::OK, &view(&explanation, &call)))
}

fn read(mut fields: Fields) -> Result<Question, Refusal> {
    let model = fields.required("model", |fields, name| fields.text(name, 256))?;
    let max_tokens = fields.number::<i64>("max_tokens", 1, i64::MAX)?;
    let input_tokens = fields.number::<i64>("input_tokens", 0, i64::from(i32::MAX))?;
    let messages = fields.raw("messages");
    let at = fields.moment("at")?;
    let address = match fields.text("ip", 64)? {
        None => None,
        Some(text) => {
            Some(text.parse().map_err(|_| fields.invalid("ip", "an IPv4 or IPv6 address"))?)
        }
    };
    if input_tokens.is_some() && messages.is_some() {
        return Err(fields.invalid("input_tokens", "left out where messages are sent"));
    }
    fields.end()?;
    let has_text = messages.is_some();
    let mut request = wire::read(
        Dialect::Chat,
        Some("application/json"),
        chat(&model, max_tokens, messages.as_deref())?,
    )?;
    if let Some(tokens) = input_tokens {
        request.ask.body_bytes = tokens.unsigned_abs();
    }
    Ok(Question { relays: relays(), request, has_text, at, address })
}

/// The body of such a call.
fn chat(
    model: &str,
    max_tokens: Option<i64>,
    messages: Option<&RawValue>,
) -> Result<Bytes, Refusal> {
    #[derive(Serialize)]
    struct Chat<'a> {
        model: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        max_tokens: Option<i64>,
        messages: &'a RawValue,
    }
    let nothing = RawValue::from_string(r#"[{"role":"user","content":""}]"#.to_owned());
    let unfit = |_| Refusal::new(domain::Code::InvalidValue, "These are no messages.");
    let nothing = nothing.map_err(unfit)?;
    let messages = messages.unwrap_or(&nothing);
    serde_json::to_vec(&Chat { model, max_tokens, messages }).map(Bytes::from).map_err(unfit)
}

/// Chat completions, and messages for models that only speak so.
fn relays() -> Vec<Relay> {
    let relay = |path: &str| match find(path)?.row(&Method::POST).ok()?.serve {
        Serve::Relay(relay) => Some(relay),
        Serve::Models | Serve::Model | Serve::Desk(_) => None,
    };
    ["/v1/chat/completions", "/v1/messages"].into_iter().filter_map(relay).collect()
}

fn view<'a>(explanation: &'a Explanation, call: &Call) -> ExplanationView<'a> {
    let (allowed, refusal, succeeds_at, max_tokens, clamped) = match &explanation.verdict {
        Verdict::Allowed { output_tokens, clamped } => (true, None, None, *output_tokens, *clamped),
        Verdict::Denied { refusal, succeeds_at } => {
            let failure = Failure::Refused(refusal.clone());
            let said = Envelope::OpenAi.body(&failure, call.id);
            let mut said: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
            let mut said = said["error"].take();
            said["status"] = json!(refusal.code.status());
            (false, Some(said), *succeeds_at, None, false)
        }
    };
    ExplanationView {
        allowed,
        refusal,
        succeeds_at: succeeds_at.map(rfc3339_up),
        max_tokens,
        clamped,
        wanted: explanation.want.map(want_view),
        address_rules: explanation.address.iter().map(spoken_view).collect(),
        routes: explanation.routes.iter().map(|(route, said)| route_view(route, said)).collect(),
        effective: (&explanation.effective).into(),
    }
}

/// Rounded up to a second: at that moment the call does succeed.
fn rfc3339_up(at: Timestamp) -> String {
    rfc3339(Timestamp::from_micros(at.micros().saturating_add(999_999)))
}

fn want_view(want: Want) -> WantView {
    WantView { cost: Dollars(want.money), tokens: want.tokens }
}

fn route_view<'a>(route: &'a Route, said: &'a [Spoken]) -> RouteView<'a> {
    RouteView {
        provider: &route.provider.name,
        model: &route.model,
        allowed: said.iter().all(|spoken| spoken.allows),
        rules: said.iter().map(spoken_view).collect(),
    }
}

fn spoken_view(spoken: &Spoken) -> SpokenView<'_> {
    SpokenView {
        scope: spoken.scope.kind(),
        scope_id: spoken.scope.to_string(),
        rule: spoken.rule,
        entry: spoken.entry.as_deref(),
        allows: spoken.allows,
    }
}
