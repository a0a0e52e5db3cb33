//! The limits and the rules of one thing by themselves, to be read and replaced whole: below keys,
//! projects, teams, users and the instance alike.

use domain::command::{Actor, KeyChange, OwnerChange};
use domain::{Limit, Refusal, Rules, Scope};
use futures_util::FutureExt as _;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::admin::{Desk, OwnerKind, no_such};
use crate::call::{Answer, Call};
use crate::failure::Failure;
use crate::surface::Reply;
use crate::surface::fields::Fields;
use crate::surface::limits::{self, LimitsView};
use crate::surface::revision::{expected, tagged};
use crate::surface::rules::{self, RulesView};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}_by_themselves")]
pub struct Part<T> {
    #[serde(flatten)]
    part: T,
    /// Of the whole record.
    revision: u64,
}

/// What limits and rules hang on.
struct Bearer {
    scope: Scope,
    limits: Vec<Limit>,
    rules: Rules,
    revision: u64,
}

/// `GET /api/v1/keys/{hash}/limits`, and below everything else that has limits.
pub fn limits(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let bearer = find(desk, actor, scope(&call)?).await?;
        shown_limits(desk, &bearer, &call).await
    }
    .boxed()
}

/// `PUT …/limits`: these and no others.
pub fn put_limits(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let scope = scope(&call)?;
        let mut fields = Fields::of(desk, &mut call).await?;
        let limits = limits::read(&mut fields, call.at)?.in_full();
        let expected = expected(&call, &mut fields)?;
        fields.end()?;
        let change = KeyChange { limits, expected, ..KeyChange::default() };
        let bearer = put(desk, actor, scope, change, false, &call).await?;
        shown_limits(desk, &bearer, &call).await
    }
    .boxed()
}

/// `GET /api/v1/keys/{hash}/rules`, and below everything else that has rules.
pub fn rules(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let bearer = find(desk, actor, scope(&call)?).await?;
        Ok(shown_rules(&bearer))
    }
    .boxed()
}

/// `PUT …/rules`: these and no others.
pub fn put_rules(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let scope = scope(&call)?;
        let mut fields = Fields::of(desk, &mut call).await?;
        let rules = rules::read(&mut fields)?.in_full();
        let force = fields.boolean("force")?.unwrap_or(false);
        let expected = expected(&call, &mut fields)?;
        fields.end()?;
        let change = KeyChange { rules, expected, ..KeyChange::default() };
        let bearer = put(desk, actor, scope, change, force, &call).await?;
        Ok(shown_rules(&bearer))
    }
    .boxed()
}

async fn shown_limits(desk: &Desk, bearer: &Bearer, call: &Call) -> Result<Answer, Failure> {
    let standings = desk.standings(bearer.scope, &bearer.limits, call.at).await?;
    let part = LimitsView::new(&standings);
    let revision = bearer.revision;
    Ok(tagged(StatusCode::OK, &Part { part, revision }, revision))
}

fn shown_rules(bearer: &Bearer) -> Answer {
    let revision = bearer.revision;
    tagged(StatusCode::OK, &Part { part: RulesView::from(&bearer.rules), revision }, revision)
}

/// What the path names: `/api/v1/{kind}/{id}/…`, or `/api/v1/instance/…`.
fn scope(call: &Call) -> Result<Scope, Refusal> {
    let kind = call.head.uri.path().split('/').nth(3).unwrap_or_default();
    let id = call.parameter.as_deref().unwrap_or_default();
    let (kind, scope) = match kind {
        "instance" => ("instance", Some(Scope::Instance)),
        "projects" => ("project", OwnerKind::Project.parse(id)),
        "teams" => ("team", OwnerKind::Team.parse(id)),
        "users" => ("user", OwnerKind::User.parse(id)),
        _ => ("key", id.parse().ok().map(Scope::Key)),
    };
    scope.ok_or_else(|| no_such(kind))
}

async fn find(desk: &Desk, actor: Actor, scope: Scope) -> Result<Bearer, Failure> {
    Ok(match scope {
        Scope::Key(id) => desk.key(actor, id).await?.into(),
        Scope::Instance | Scope::Project(_) | Scope::Team(_) | Scope::User(_) => {
            desk.owner(actor, scope).await?.into()
        }
    })
}

async fn put(
    desk: &Desk,
    actor: Actor,
    scope: Scope,
    change: KeyChange,
    force: bool,
    call: &Call,
) -> Result<Bearer, Failure> {
    Ok(match scope {
        Scope::Key(id) => desk.update(actor, id, change, force, call.at).await?.into(),
        Scope::Instance | Scope::Project(_) | Scope::Team(_) | Scope::User(_) => {
            let KeyChange { limits, rules, expected, .. } = change;
            let change = OwnerChange { limits, rules, expected, ..OwnerChange::default() };
            desk.update_owner(actor, scope, change, force, call.at).await?.into()
        }
    })
}

impl From<domain::Key> for Bearer {
    fn from(key: domain::Key) -> Self {
        let domain::Key { id, limits, rules, revision, .. } = key;
        Self { scope: Scope::Key(id), limits, rules, revision }
    }
}

impl From<domain::Owner> for Bearer {
    fn from(owner: domain::Owner) -> Self {
        let domain::Owner { scope, limits, rules, revision, .. } = owner;
        Self { scope, limits, rules, revision }
    }
}
