//! What applies to something, wherever it was set: every limit with how it stands, and every layer of
//! rules. Which ones those are is found in `admin`.

use domain::command::Actor;
use domain::{KeyId, Scope, Window};
use futures_util::FutureExt as _;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::admin::{Desk, Effective, Found, From, Layer, OwnerKind};
use crate::call::{Answer, Call};
use crate::failure::{Failure, rfc3339};
use crate::surface::Reply;
use crate::surface::limits::{Amount, LimitView};
use crate::surface::reply::json;
use crate::surface::rules::RulesView;
use crate::surface::{keys, owners};

/// What applies, as JSON.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "effective")]
pub struct EffectiveView<'a> {
    /// The widest scope first.
    limits: Vec<FoundView<'a>>,
    /// The widest scope first; all must agree.
    rules: Vec<LayerView<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "applying_limit")]
pub struct FoundView<'a> {
    limit_id: String,
    scope: &'static str,
    scope_id: String,
    scope_name: &'a str,
    from: &'static str,
    #[serde(flatten)]
    limit: LimitView,
    spent: Amount,
    held: Amount,
    available: Amount,
    resets_at: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "applying_rules")]
pub struct LayerView<'a> {
    scope: &'static str,
    scope_id: String,
    scope_name: &'a str,
    #[serde(flatten)]
    rules: RulesView<'a>,
}

/// `GET /api/v1/keys/{hash}/effective`
pub fn of_key(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move { on_key(desk, actor, keys::key_id(&call)?, &call).await }.boxed()
}

/// `GET /api/v1/key/effective`: what a key may know about itself.
pub fn own(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move { on_key(desk, actor, keys::holder(actor)?, &call).await }.boxed()
}

/// `GET /api/v1/projects/{id}/effective`, `/teams/{id}/effective`, `/users/{id}/effective`
pub fn of_owner(desk: &Desk, actor: Actor, call: Call, kind: OwnerKind) -> Reply<'_> {
    async move { on_owner(desk, actor, owners::scope(&call, kind)?, &call).await }.boxed()
}

/// `GET /api/v1/instance/effective`
pub fn of_instance(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move { on_owner(desk, actor, Scope::Instance, &call).await }.boxed()
}

async fn on_key(desk: &Desk, actor: Actor, id: KeyId, call: &Call) -> Result<Answer, Failure> {
    Ok(answer(&desk.effective_on_key(actor, id, call.at).await?))
}

async fn on_owner(desk: &Desk, actor: Actor, scope: Scope, call: &Call) -> Result<Answer, Failure> {
    Ok(answer(&desk.effective_on_owner(actor, scope, call.at).await?))
}

fn answer(effective: &Effective) -> Answer {
    json(StatusCode::OK, &EffectiveView::from(effective))
}

impl<'a> std::convert::From<&'a Effective> for EffectiveView<'a> {
    fn from(effective: &'a Effective) -> Self {
        Self {
            limits: effective.limits.iter().map(found_view).collect(),
            rules: effective.layers.iter().map(layer_view).collect(),
        }
    }
}

fn found_view(found: &Found) -> FoundView<'_> {
    let Found { scope, name, from, standing } = found;
    let limit = &standing.limit;
    // The turns of a rolling window have no end: something leaves it all the time.
    let resets_at = match limit.window {
        Window::Rolling { .. } => None,
        Window::Lifetime | Window::Calendar { .. } | Window::Anchored { .. } => standing.span.end,
    };
    FoundView {
        limit_id: limit.id.to_string(),
        scope: scope.kind(),
        scope_id: scope.to_string(),
        scope_name: name,
        from: from_name(*from),
        limit: limit.into(),
        spent: Amount(limit.unit, standing.spent),
        held: Amount(limit.unit, standing.held),
        available: Amount(limit.unit, standing.available()),
        resets_at: resets_at.map(rfc3339),
    }
}

fn from_name(from: From) -> &'static str {
    match from {
        From::Own => "own",
        From::Default => "default",
        From::TeamShare => "team_share",
    }
}

fn layer_view(layer: &Layer) -> LayerView<'_> {
    LayerView {
        scope: layer.scope.kind(),
        scope_id: layer.scope.to_string(),
        scope_name: &layer.name,
        rules: (&layer.rules).into(),
    }
}
