//! Projects, teams, users and the instance, for the operator: under `/api/v1`, and teams and users
//! under `/internal` as well. What may be done is decided in `admin`.

use domain::command::{Actor, NewOwner, OwnerChange};
use domain::{Code, Owner, Plan, Plans, Refusal, Scope};
use futures_util::FutureExt as _;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use store::OwnerQuery;

use crate::admin::{Desk, OwnerKind, Standing, no_such};
use crate::call::{Answer, Call};
use crate::failure::{Failure, rfc3339};
use crate::surface::Reply;
use crate::surface::fields::Fields;
use crate::surface::limits::{self, LimitsView};
use crate::surface::page::{Page, Wanted};
use crate::surface::query::Query;
use crate::surface::reply::json;
use crate::surface::revision::{expected, tagged};
use crate::surface::rules::{self, RulesView};

/// An owner as this surface shows it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "owner")]
pub struct OwnerView<'a> {
    id: String,
    #[serde(flatten)]
    about: About<'a>,
    #[serde(flatten)]
    limits: LimitsView,
    #[serde(flatten)]
    rules: RulesView<'a>,
    revision: u64,
    created_at: String,
    updated_at: String,
}

/// What only one kind of owner has.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "owner_kind")]
#[serde(untagged)]
pub enum About<'a> {
    Instance {},
    Project {
        name: &'a str,
        plan: &'static str,
        /// How many keys it may have; null where there is no bound.
        key_allowance: Option<u32>,
        /// How many it has that count: regular ones that are not revoked.
        keys_used: u64,
    },
    Team {
        name: &'a str,
        members: u32,
    },
    User {
        external_id: &'a str,
        team_id: Option<String>,
    },
}

impl<'a> About<'a> {
    fn of(owner: &'a Owner, keys_used: u64, plans: &Plans) -> Self {
        let name = &owner.name;
        match owner.scope {
            Scope::Instance | Scope::Key(_) => Self::Instance {},
            Scope::Project(_) => {
                let plan = owner.plan();
                let key_allowance = plans.keys(plan);
                Self::Project { name, plan: plan.name(), key_allowance, keys_used }
            }
            Scope::Team(_) => Self::Team { name, members: owner.members },
            Scope::User(_) => {
                Self::User { external_id: name, team_id: owner.team.map(|team| team.to_string()) }
            }
        }
    }
}

/// A plan by its name; none for the one that has a number of its own.
const PLANS: [(&str, Option<Plan>); 4] = [
    ("free", Some(Plan::Free)),
    ("pro", Some(Plan::Pro)),
    ("enterprise", Some(Plan::Enterprise)),
    ("custom", None),
];

/// Reads `plan` and `key_allowance`: a number of its own makes the plan `custom`.
fn plan(fields: &mut Fields) -> Result<Option<Plan>, Refusal> {
    let plan = fields.word("plan", &PLANS)?;
    let keys = fields.sent("key_allowance", |fields, name| fields.number(name, 0, u32::MAX))?;
    match (plan, keys) {
        (None, None) => Ok(None),
        (None | Some(None), Some(keys)) => Ok(Some(Plan::Custom { keys })),
        (Some(None), None) => Err(Refusal::new(
            Code::MissingParameter,
            "The plan 'custom' needs a key_allowance: a number, or null for no bound.",
        )
        .about("key_allowance")),
        (Some(plan), None) => Ok(plan),
        (Some(Some(_)), Some(_)) => {
            Err(fields.invalid("key_allowance", "left out: only the plan 'custom' has its own"))
        }
    }
}

/// What the surface calls an owner's name.
fn name_of(kind: OwnerKind) -> &'static str {
    match kind {
        OwnerKind::Project | OwnerKind::Team => "name",
        OwnerKind::User => "external_id",
    }
}

fn team<T>(fields: &mut Fields, name: &str) -> Result<Option<T>, Refusal>
where
    T: std::str::FromStr,
{
    fields.form(name, "the id of a team", |text| text.parse().ok())
}

/// `POST /api/v1/projects`, `/teams`, `/users`
pub fn create(desk: &Desk, actor: Actor, mut call: Call, kind: OwnerKind) -> Reply<'_> {
    async move {
        let fields = Fields::of(desk, &mut call).await?;
        make(desk, actor, &call, kind, fields).await
    }
    .boxed()
}

/// Makes what `fields` say.
pub async fn make(
    desk: &Desk,
    actor: Actor,
    call: &Call,
    kind: OwnerKind,
    mut fields: Fields,
) -> Result<Answer, Failure> {
    let name = fields.required(name_of(kind), Fields::label)?;
    let team = if kind == OwnerKind::User { team(&mut fields, "team_id")? } else { None };
    let new = NewOwner {
        scope: desk.new_scope(kind, call.at),
        name,
        team,
        limits: limits::read(&mut fields, call.at)?,
        rules: rules::read(&mut fields)?,
        plan: if kind == OwnerKind::Project { plan(&mut fields)? } else { None },
    };
    let force = fields.boolean("force")?.unwrap_or(false);
    fields.end()?;
    let owner = desk.create_owner(actor, new, force, call.at).await?;
    shown(desk, &owner, StatusCode::CREATED, call).await
}

/// `GET /api/v1/projects`, `/teams`, `/users`
pub fn list(desk: &Desk, actor: Actor, call: Call, kind: OwnerKind) -> Reply<'_> {
    async move {
        let mut query = Query::read(call.head.uri.query())?;
        let page = Wanted::read(&mut query, &call, &desk.list_secret)?;
        let name = query.text(name_of(kind));
        let team = match kind {
            OwnerKind::User => query.parsed("team_id", "the id of a team")?,
            OwnerKind::Project | OwnerKind::Team => None,
        };
        query.end()?;
        let wanted = OwnerQuery {
            kind: kind.name(),
            team,
            name,
            after: page.after.map(|ulid| kind.scope(ulid)),
            page_size: page.ask(),
        };
        let mut owners = desk.owners(actor, wanted).await?;
        let next_page_token = page.cut(&mut owners, &desk.list_secret, |owner| owner.scope.ulid());
        let data = views(desk, &owners, &call).await?;
        Ok(json(StatusCode::OK, &Page { data, next_page_token }))
    }
    .boxed()
}

/// `GET /api/v1/projects/{id}`, `/teams/{id}`, `/users/{id}`
pub fn show(desk: &Desk, actor: Actor, call: Call, kind: OwnerKind) -> Reply<'_> {
    async move { one(desk, actor, &call, scope(&call, kind)?).await }.boxed()
}

/// `GET /api/v1/instance`
pub fn instance(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move { one(desk, actor, &call, Scope::Instance).await }.boxed()
}

/// `PATCH /api/v1/projects/{id}`, `/teams/{id}`, `/users/{id}`
pub fn update(desk: &Desk, actor: Actor, mut call: Call, kind: OwnerKind) -> Reply<'_> {
    async move {
        let scope = scope(&call, kind)?;
        let mut fields = Fields::of(desk, &mut call).await?;
        let mut change =
            OwnerChange { name: fields.label(name_of(kind))?, ..OwnerChange::default() };
        if kind == OwnerKind::User {
            change.team = fields.sent("team_id", team)?;
        }
        if kind == OwnerKind::Project {
            change.plan = plan(&mut fields)?;
        }
        changed(desk, actor, &call, scope, change, fields).await
    }
    .boxed()
}

/// `PATCH /api/v1/instance`
pub fn update_instance(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let fields = Fields::of(desk, &mut call).await?;
        changed(desk, actor, &call, Scope::Instance, OwnerChange::default(), fields).await
    }
    .boxed()
}

async fn changed(
    desk: &Desk,
    actor: Actor,
    call: &Call,
    scope: Scope,
    mut change: OwnerChange,
    mut fields: Fields,
) -> Result<Answer, Failure> {
    change.limits = limits::read(&mut fields, call.at)?;
    change.rules = rules::read(&mut fields)?;
    change.expected = expected(call, &mut fields)?;
    let force = fields.boolean("force")?.unwrap_or(false);
    fields.end()?;
    let owner = desk.update_owner(actor, scope, change, force, call.at).await?;
    shown(desk, &owner, StatusCode::OK, call).await
}

/// The owner in the path.
pub fn scope(call: &Call, kind: OwnerKind) -> Result<Scope, Refusal> {
    let text = call.parameter.as_deref().unwrap_or_default();
    kind.parse(text).ok_or_else(|| no_such(kind.name()))
}

async fn one(desk: &Desk, actor: Actor, call: &Call, scope: Scope) -> Result<Answer, Failure> {
    let owner = desk.owner(actor, scope).await?;
    shown(desk, &owner, StatusCode::OK, call).await
}

async fn shown(
    desk: &Desk,
    owner: &Owner,
    status: StatusCode,
    call: &Call,
) -> Result<Answer, Failure> {
    let views = views(desk, std::slice::from_ref(owner), call).await?;
    Ok(tagged(status, &views.first(), owner.revision))
}

async fn views<'a>(
    desk: &Desk,
    owners: &'a [Owner],
    call: &Call,
) -> Result<Vec<OwnerView<'a>>, Failure> {
    let limits = owners.iter().map(|owner| (owner.scope, owner.limits.as_slice()));
    let standings = desk.standings_of(limits, call.at).await?;
    let used = desk.keys_used(owners).await?;
    let view = |((owner, standings), used): ((&'a Owner, Vec<Standing>), u64)| OwnerView {
        id: owner.scope.to_string(),
        about: About::of(owner, used, &desk.gate.plans),
        limits: LimitsView::new(&standings),
        rules: (&owner.rules).into(),
        revision: owner.revision,
        created_at: rfc3339(owner.created_at),
        updated_at: rfc3339(owner.updated_at),
    };
    Ok(owners.iter().zip(standings).zip(used).map(view).collect())
}
