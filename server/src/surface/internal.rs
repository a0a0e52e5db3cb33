//! The internal API: teams, users and keys for programs around Weir, with the master key. This page
//! knows the surface's words (`ak_…`, `key_prefix`, members in the query string); what may be done
//! is decided in `admin`.

use std::collections::BTreeMap;

use domain::command::Actor;
use domain::key::{Key, KeyKind, KeyState};
use domain::secret::Kind;
use domain::{KeyId, Secret, Timestamp};
use futures_util::FutureExt as _;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use store::KeyQuery;

use crate::admin::{Desk, OwnerKind};
use crate::call::{Answer, Call};
use crate::failure::{Failure, rfc3339};
use crate::surface::fields::Fields;
use crate::surface::keys::{KeyWords, key_id, read_change, read_new, read_rotation};
use crate::surface::limits::LimitsView;
use crate::surface::page::{Page, Wanted};
use crate::surface::query::Query;
use crate::surface::reply::json;
use crate::surface::revision::{expected, tagged};
use crate::surface::rules::RulesView;
use crate::surface::{Reply, owners};

/// A key's id as this surface writes it. Both ways are understood everywhere.
pub fn shown(id: KeyId) -> String {
    format!("ak_{}", id.ulid())
}

/// What keys are called in questions about usage.
pub const KEYS: KeyWords = KeyWords { shown, filter: "api_key_id" };

/// What is answered when a key is made: exactly this, and the secret never again.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "internal_key_made")]
pub struct Made<'a> {
    id: String,
    name: &'a str,
    key: &'a str,
    key_prefix: &'a str,
    user_id: Option<String>,
    created_at: String,
}

impl<'a> Made<'a> {
    fn new(key: &'a Key, secret: &'a Secret) -> Self {
        Self {
            id: shown(key.id),
            name: &key.name,
            key: secret.expose(),
            key_prefix: prefix(key),
            user_id: key.user.map(|user| user.to_string()),
            created_at: rfc3339(key.created_at),
        }
    }
}

/// A key in a list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "internal_key_listed")]
pub struct Listed<'a> {
    id: String,
    name: &'a str,
    /// How its newest secret begins.
    key_prefix: &'a str,
    user_id: Option<String>,
    status: &'static str,
    disabled: bool,
    created_at: String,
    expires_at: Option<String>,
    last_used_at: Option<String>,
}

impl<'a> Listed<'a> {
    fn new(key: &'a Key, last_used: Option<Timestamp>, now: Timestamp) -> Self {
        Self {
            id: shown(key.id),
            name: &key.name,
            key_prefix: prefix(key),
            user_id: key.user.map(|user| user.to_string()),
            status: key.status(now).name(),
            disabled: matches!(key.state, KeyState::Disabled { .. }),
            created_at: rfc3339(key.created_at),
            expires_at: key.expires_at.map(rfc3339),
            last_used_at: last_used.map(rfc3339),
        }
    }
}

fn prefix(key: &Key) -> &str {
    key.secrets.last().map_or("", |secret| secret.mask.first())
}

/// One key, with what it may use, and how much.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "internal_key")]
pub struct Whole<'a> {
    #[serde(flatten)]
    listed: Listed<'a>,
    /// Its own team, or its user's.
    team_id: Option<String>,
    project_id: String,
    #[serde(flatten)]
    limits: LimitsView,
    #[serde(flatten)]
    rules: RulesView<'a>,
    metadata: &'a BTreeMap<String, String>,
    revision: u64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "internal_key_deleted")]
pub struct Deleted {
    deleted: bool,
    id: String,
}

/// `POST /internal/teams`, `/internal/users`
pub fn create_owner(desk: &Desk, actor: Actor, mut call: Call, kind: OwnerKind) -> Reply<'_> {
    async move {
        let fields = Fields::of_body_or_query(desk, &mut call).await?;
        owners::make(desk, actor, &call, kind, fields).await
    }
    .boxed()
}

/// `POST /internal/api-keys`
pub fn create_key(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let fields = Fields::of_body_or_query(desk, &mut call).await?;
        let (new, making) = read_new(fields, (KeyKind::Regular, Kind::Internal), call.at)?;
        let (key, secret) = desk.create(actor, new, making, call.at).await?;
        let secret =
            secret.ok_or_else(|| Failure::internal("a key was made without its secret"))?;
        Ok(json(StatusCode::CREATED, &Made::new(&key, &secret)))
    }
    .boxed()
}

/// `GET /internal/api-keys`
pub fn list_keys(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let mut query = Query::read(call.head.uri.query())?;
        let page = Wanted::read(&mut query, &call, &desk.list_secret)?;
        let wanted = KeyQuery {
            user: query.parsed("user_id", "the id of a user")?,
            team: query.parsed("team_id", "the id of a team")?,
            after: page.after.map(|id| KeyId::from_ulid(id).into()),
            page_size: page.ask(),
            include_disabled: true,
            ..KeyQuery::default()
        };
        query.end()?;
        let mut keys = desk.keys(actor, wanted).await?;
        let next_page_token = page.cut(&mut keys, &desk.list_secret, |key| key.id.ulid());
        let used = desk.last_used(&keys).await?;
        let listed = |key| Listed::new(key, used.get(&key.id).copied(), call.at);
        let data = keys.iter().map(listed).collect();
        Ok(json(StatusCode::OK, &Page { data, next_page_token }))
    }
    .boxed()
}

/// `GET /internal/api-keys/{id}`
pub fn show_key(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let key = desk.key(actor, key_id(&call)?).await?;
        whole(desk, &key, call.at).await
    }
    .boxed()
}

/// `PATCH /internal/api-keys/{id}`
pub fn update_key(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let id = key_id(&call)?;
        let mut fields = Fields::of(desk, &mut call).await?;
        let expected = expected(&call, &mut fields)?;
        let (change, force) = read_change(fields, expected, call.at)?;
        let key = desk.update(actor, id, change, force, call.at).await?;
        whole(desk, &key, call.at).await
    }
    .boxed()
}

/// `POST /internal/api-keys/{id}/rotate`: the same shape as when it was made.
pub fn rotate_key(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let id = key_id(&call)?;
        let rotating = read_rotation(desk, &mut call, Some(Kind::Internal)).await?;
        let (key, secret) = desk.rotate(actor, id, rotating, call.at).await?;
        Ok(json(StatusCode::OK, &Made::new(&key, &secret)))
    }
    .boxed()
}

/// `DELETE /internal/api-keys/{id}`
pub fn revoke_key(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let mut fields = Fields::of_any(desk, &mut call).await?;
        let expected = expected(&call, &mut fields)?;
        fields.end()?;
        let key = desk.revoke(actor, key_id(&call)?, expected, call.at).await?;
        Ok(json(StatusCode::OK, &Deleted { deleted: true, id: shown(key.id) }))
    }
    .boxed()
}

async fn whole(desk: &Desk, key: &Key, now: Timestamp) -> Result<Answer, Failure> {
    let mut about = desk.about(std::slice::from_ref(key), now).await?;
    let about = about.pop().ok_or_else(|| Failure::internal("nothing is known of a key"))?;
    let whole = Whole {
        listed: Listed::new(key, about.last_used, now),
        team_id: about.team.map(|team| team.to_string()),
        project_id: key.project.to_string(),
        limits: LimitsView::new(&about.standings),
        rules: (&key.rules).into(),
        metadata: &key.metadata,
        revision: key.revision,
    };
    Ok(tagged(StatusCode::OK, &whole, key.revision))
}
