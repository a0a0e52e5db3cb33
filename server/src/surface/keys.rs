//! The keys API: `/api/v1/keys` for whoever administers keys, `/api/v1/key` for a key's holder. This
//! page knows the surface's words (`hash`); what may be done is decided in `admin`.

pub mod list;

use std::collections::BTreeMap;

use domain::command::{Actor, Home, KeyChange, NewKey, Place, Rotation};
use domain::key::{Key, KeyKind, KeyState, SecretRecord};
use domain::secret::Kind;
use domain::{Code, Digest, KeyId, Refusal, Rules, Secret, Timestamp};
use futures_util::FutureExt as _;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::admin::{About, Chosen, Desk, Making, Rotating, look_of, no_such};
use crate::call::{Answer, Call};
use crate::failure::{Failure, rfc3339};
use crate::surface::Reply;
use crate::surface::fields::Fields;
use crate::surface::limits::{self, LimitsView};
use crate::surface::reply::{Dollars, json};
use crate::surface::revision::{expected, tagged};
use crate::surface::rules::{self, RulesView};

/// A surface's words for keys.
#[derive(Clone, Copy)]
pub struct KeyWords {
    /// How it writes a key's id.
    pub shown: fn(KeyId) -> String,
    /// What it calls one in a query.
    pub filter: &'static str,
}

/// What keys are called in questions about usage.
pub const WORDS: KeyWords = KeyWords { shown: |key| key.to_string(), filter: "key" };

const KINDS: [(&str, KeyKind); 2] =
    [("regular", KeyKind::Regular), ("management", KeyKind::Management)];

/// A key as this surface shows it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "key")]
pub struct KeyView<'a> {
    /// Names the key in URLs; never changes, and is no secret.
    hash: String,
    name: &'a str,
    key_type: &'static str,
    /// The secret's first and last characters.
    label: &'a str,
    status: &'static str,
    disabled: bool,
    project_id: String,
    user_id: Option<String>,
    /// Its own, or its user's.
    team_id: Option<String>,
    /// The management key that made it; null for the operator.
    created_by: Option<String>,
    #[serde(flatten)]
    limits: LimitsView,
    #[serde(flatten)]
    rules: RulesView<'a>,
    metadata: &'a BTreeMap<String, String>,
    /// Spent since the key was made, in dollars.
    usage: Dollars,
    /// Those that open it now, the newest last.
    secrets: Vec<SecretView<'a>>,
    revision: u64,
    created_at: String,
    updated_at: String,
    expires_at: Option<String>,
    /// When its newest call began.
    last_used_at: Option<String>,
}

/// A secret, without what it is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "secret_label")]
pub struct SecretView<'a> {
    /// Its first and last characters.
    label: &'a str,
    created_at: String,
    /// When it opens nothing any more; null where no other took its place.
    ends_at: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "key_answer")]
pub struct One<'a> {
    data: KeyView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "looked_up_key")]
pub struct LookedUp<'a> {
    data: KeyView<'a>,
    secret: SecretView<'a>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "deleted_key")]
pub struct Deleted {
    deleted: bool,
    hash: String,
}

/// `POST /api/v1/keys`
pub fn create(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let mut fields = Fields::of(desk, &mut call).await?;
        let kind = fields.word("key_type", &KINDS)?.unwrap_or(KeyKind::Regular);
        let digest = fields.form("secret_sha256", "64 hexadecimal digits", Digest::from_hex)?;
        if digest.is_some() && fields.says("secret") {
            let no = fields.invalid("secret_sha256", "left out where 'secret' is sent");
            return Err(no.into());
        }
        let disabled = fields.boolean("disabled")?.unwrap_or(false);
        let dry_run = fields.boolean("dry_run")?.unwrap_or(false);
        let (new, making) = read_new(fields, (kind, look_of(kind)), call.at)?;
        let secret = digest.map(Chosen::Digest).or(making.secret);
        let making = Making { secret, disabled, dry_run, ..making };
        let (key, secret) = desk.create(actor, new, making, call.at).await?;
        let status = if dry_run { StatusCode::OK } else { StatusCode::CREATED };
        shown(desk, &key, secret.as_ref(), status, &call).await
    }
    .boxed()
}

/// Reads what a key is to be, whichever surface makes it.
pub fn read_new(
    mut fields: Fields,
    (kind, look): (KeyKind, Kind),
    now: Timestamp,
) -> Result<(NewKey, Making), Refusal> {
    let name = fields.label("name")?;
    let limits = limits::read(&mut fields, now)?;
    let mut rules = Rules::default();
    rules::read(&mut fields)?.apply(&mut rules);
    let place = place(&mut fields)?;
    let expires_at = fields.moment("expires_at")?;
    let secret = fields.secret("secret")?.map(Chosen::Secret);
    let force = fields.boolean("force")?.unwrap_or(false);
    let metadata = fields.notes("metadata")?.unwrap_or_default();
    fields.end()?;
    let name = name
        .ok_or_else(|| Refusal::new(Code::MissingParameter, "A key needs a name.").about("name"))?;
    let home = Home::default();
    let new = NewKey { kind, name, home, rules, limits, expires_at, metadata };
    Ok((new, Making { look, secret, disabled: false, dry_run: false, place, force }))
}

/// Where a key is to belong.
pub fn place(fields: &mut Fields) -> Result<Place, Refusal> {
    Ok(Place {
        project: fields.form("project_id", "the id of a project", |text| text.parse().ok())?,
        user: fields.form("user_id", "the id of a user", |text| text.parse().ok())?,
        team: fields.form("team_id", "the id of a team", |text| text.parse().ok())?,
    })
}

/// `GET /api/v1/keys/{hash}`
pub fn show(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let key = desk.key(actor, key_id(&call)?).await?;
        one(desk, &key, &call).await
    }
    .boxed()
}

/// `PATCH /api/v1/keys/{hash}`
pub fn update(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let id = key_id(&call)?;
        let mut fields = Fields::of(desk, &mut call).await?;
        let expected = expected(&call, &mut fields)?;
        let (change, force) = read_change(fields, expected, call.at)?;
        let key = desk.update(actor, id, change, force, call.at).await?;
        one(desk, &key, &call).await
    }
    .boxed()
}

/// Reads what is to be different about a key, and whether its rules may name what nobody knows.
pub fn read_change(
    mut fields: Fields,
    expected: Option<u64>,
    now: Timestamp,
) -> Result<(KeyChange, bool), Refusal> {
    let change = KeyChange {
        name: fields.label("name")?,
        disabled: fields.boolean("disabled")?,
        expires_at: fields.sent("expires_at", Fields::moment)?,
        limits: limits::read(&mut fields, now)?,
        rules: rules::read(&mut fields)?,
        metadata: fields.sent("metadata", Fields::notes)?.map(Option::unwrap_or_default),
        expected,
    };
    let force = fields.boolean("force")?.unwrap_or(false);
    fields.end()?;
    Ok((change, force))
}

/// `DELETE /api/v1/keys/{hash}`
pub fn revoke(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let mut fields = Fields::of_any(desk, &mut call).await?;
        let expected = expected(&call, &mut fields)?;
        fields.end()?;
        let key = desk.revoke(actor, key_id(&call)?, expected, call.at).await?;
        Ok(json(StatusCode::OK, &Deleted { deleted: true, hash: key.id.to_string() }))
    }
    .boxed()
}

/// `POST /api/v1/keys/{hash}/rotate`
pub fn rotate(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let id = key_id(&call)?;
        let rotating = read_rotation(desk, &mut call, None).await?;
        let (key, secret) = desk.rotate(actor, id, rotating, call.at).await?;
        shown(desk, &key, Some(&secret), StatusCode::OK, &call).await
    }
    .boxed()
}

/// How a key is to be rotated. Without a body: at once, with a secret that is made here.
pub async fn read_rotation(
    desk: &Desk,
    call: &mut Call,
    look: Option<Kind>,
) -> Result<Rotating, Failure> {
    let mut fields = Fields::of_any(desk, call).await?;
    let grace = fields.number("grace_seconds", 0, Rotation::GRACE_SECONDS_MAX)?;
    let rotating = Rotating {
        look,
        secret: fields.secret("secret")?,
        grace_seconds: grace.unwrap_or(0),
        expected: expected(call, &mut fields)?,
    };
    fields.end()?;
    Ok(rotating)
}

/// `POST /api/v1/keys/lookup`: whose is a secret that somebody found somewhere?
pub fn look_up(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let mut fields = Fields::of(desk, &mut call).await?;
        let secret = fields.required("secret", Fields::secret)?;
        fields.end()?;
        let (key, record) = desk.look_up(actor, &secret).await?;
        let mut about = desk.about(std::slice::from_ref(&*key), call.at).await?;
        let about = about.pop().ok_or_else(|| Failure::internal("nothing is known of a key"))?;
        let data = KeyView::new(&key, &about, call.at);
        Ok(json(StatusCode::OK, &LookedUp { data, secret: (&record).into() }))
    }
    .boxed()
}

/// `GET /api/v1/key`: what a key may know about itself.
pub fn own(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let key = desk.key(actor, holder(actor)?).await?;
        one(desk, &key, &call).await
    }
    .boxed()
}

/// The key that looks at itself.
pub fn holder(actor: Actor) -> Result<KeyId, Refusal> {
    match actor {
        Actor::Holder(id) => Ok(id),
        Actor::Operator | Actor::Dashboard | Actor::Manager(_) | Actor::Anybody => {
            Err(Refusal::new(
                Code::WrongKeyType,
                "This route tells a key about itself: call it with a key.",
            ))
        }
    }
}

/// The key in the path.
pub fn key_id(call: &Call) -> Result<KeyId, Refusal> {
    let text = call.parameter.as_deref().unwrap_or_default();
    text.parse().map_err(|_| no_such("key"))
}

async fn one(desk: &Desk, key: &Key, call: &Call) -> Result<Answer, Failure> {
    shown(desk, key, None, StatusCode::OK, call).await
}

/// One key, with its secret where it has just been made.
async fn shown(
    desk: &Desk,
    key: &Key,
    secret: Option<&Secret>,
    status: StatusCode,
    call: &Call,
) -> Result<Answer, Failure> {
    let mut about = desk.about(std::slice::from_ref(key), call.at).await?;
    let about = about.pop().ok_or_else(|| Failure::internal("nothing is known of a key"))?;
    let data = KeyView::new(key, &about, call.at);
    let body = One { data, key: secret.map(Secret::expose) };
    Ok(tagged(status, &body, key.revision))
}

impl<'a> KeyView<'a> {
    fn new(key: &'a Key, about: &About, at: Timestamp) -> Self {
        Self {
            hash: key.id.to_string(),
            name: &key.name,
            key_type: key.kind.name(),
            label: key.secrets.last().map_or("", |secret| secret.mask.as_str()),
            status: key.status(at).name(),
            disabled: matches!(key.state, KeyState::Disabled { .. }),
            project_id: key.project.to_string(),
            user_id: key.user.map(|user| user.to_string()),
            team_id: about.team.map(|team| team.to_string()),
            created_by: key.maker.map(|maker| maker.to_string()),
            limits: LimitsView::new(&about.standings),
            rules: (&key.rules).into(),
            metadata: &key.metadata,
            usage: Dollars(about.spent),
            secrets: key.live_secrets(at).map(SecretView::from).collect(),
            revision: key.revision,
            created_at: rfc3339(key.created_at),
            updated_at: rfc3339(key.updated_at),
            expires_at: key.expires_at.map(rfc3339),
            last_used_at: about.last_used.map(rfc3339),
        }
    }
}

impl<'a> From<&'a SecretRecord> for SecretView<'a> {
    fn from(secret: &'a SecretRecord) -> Self {
        Self {
            label: secret.mask.as_str(),
            created_at: rfc3339(secret.created_at),
            ends_at: secret.ends_at.map(rfc3339),
        }
    }
}
