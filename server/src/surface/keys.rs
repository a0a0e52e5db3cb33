//! The keys API: `/api/v1/keys` for whoever administers keys, `/api/v1/key` for a key's holder. This
//! page knows the surface's words (`hash`, `limit_reset`); what may be done is decided in `admin`.

use domain::command::{Actor, Home, KeyChange, LimitChange, NewKey, RulesChange, Slot, SlotChange};
use domain::key::{Key, KeyKind, KeyState};
use domain::window::{Period, Window};
use domain::{Code, KeyId, Money, Pattern, Refusal, Rules, Unit};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::StatusCode;
use serde::Serialize;
use store::KeyQuery;

use crate::admin::{Desk, look_of};
use crate::call::{Answer, Call};
use crate::failure::{Failure, rfc3339};
use crate::surface::fields::{Fields, Query, invalid};
use crate::surface::mark;
use crate::surface::reply::{Dollars, json};

/// The largest body an administrative route reads.
const BODY_BYTES_MAX: usize = 1 << 20;

type Reply<'a> = BoxFuture<'a, Result<Answer, Failure>>;

/// A key as this surface shows it.
#[derive(Serialize)]
struct KeyView<'a> {
    /// Names the key in URLs; never changes, and is no secret.
    hash: KeyIdText,
    name: &'a str,
    key_type: &'static str,
    /// The secret's first and last characters.
    label: &'a str,
    status: &'static str,
    disabled: bool,
    limit: Option<Dollars>,
    limit_remaining: Option<Dollars>,
    limit_reset: Option<&'static str>,
    allowed_providers: Option<&'a [Pattern]>,
    allowed_models: Option<&'a [Pattern]>,
    denied_providers: Option<&'a [Pattern]>,
    denied_models: Option<&'a [Pattern]>,
    /// Spent since the key was made, in dollars.
    usage: Dollars,
    created_at: String,
    updated_at: String,
    expires_at: Option<String>,
}

#[derive(Serialize)]
#[serde(transparent)]
struct KeyIdText(String);

#[derive(Serialize)]
struct One<'a> {
    data: KeyView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

#[derive(Serialize)]
struct Deleted {
    deleted: bool,
    hash: KeyIdText,
}

#[derive(Serialize)]
struct Page<'a> {
    data: Vec<KeyView<'a>>,
    next_page_token: Option<String>,
}

/// `POST /api/v1/keys`
pub fn create(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let body = call.body(BODY_BYTES_MAX, desk.gate.wire.body_timeout).await?;
        let mut fields = Fields::read(&body)?;
        let kinds = [("regular", KeyKind::Regular), ("management", KeyKind::Management)];
        let kind = fields.word("key_type", &kinds)?.unwrap_or(KeyKind::Regular);
        let name = fields.label("name")?;
        let amount = fields.money("limit")?;
        let reset = fields.word("limit_reset", &RESETS)?;
        if amount.is_none() && reset.is_some() {
            return Err(invalid("limit_reset", "sent together with limit").into());
        }
        let slots = slots(&mut fields, amount.map(Some), reset)?;
        let rules = Rules {
            allowed_models: fields.patterns("allowed_models")?.unwrap_or_default(),
            denied_models: fields.patterns("denied_models")?.unwrap_or_default(),
            allowed_providers: fields.patterns("allowed_providers")?.unwrap_or_default(),
            denied_providers: fields.patterns("denied_providers")?.unwrap_or_default(),
            ..Rules::default()
        };
        let expires_at = fields.moment("expires_at")?;
        let secret = fields.secret("secret")?;
        fields.end()?;
        let name = name.ok_or_else(|| {
            Refusal::new(Code::MissingParameter, "A key needs a name.").about("name")
        })?;
        let limits = LimitChange { all: None, slots };
        let home = Home::default();
        let new = NewKey { kind, name, home, rules, limits, expires_at };
        let (key, secret) = desk.create(actor, new, look_of(kind), secret, call.at).await?;
        let data = view(desk, &key, &call).await?;
        Ok(json(StatusCode::CREATED, &One { data, key: Some(secret.expose()) }))
    }
    .boxed()
}

/// `GET /api/v1/keys`
pub fn list(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let mut query = Query::read(call.head.uri.query())?;
        let page_size = query.number("page_size", 1, 999)?.unwrap_or(100) as usize;
        let offset = query.number("offset", 0, u32::MAX)?.unwrap_or(0) as usize;
        let include_disabled = query.boolean("include_disabled")?.unwrap_or(true);
        let after = match query.text("page_token") {
            None => None,
            Some(token) => Some(mark::read(&desk.list_secret, &token).ok_or_else(|| {
                invalid("page_token", "the next_page_token of another page of this list")
            })?),
        };
        query.end()?;
        let wanted = KeyQuery {
            after: after.map(KeyId::from_ulid),
            offset,
            // One more than asked for tells whether there is another page.
            page_size: page_size + 1,
            include_disabled,
            ..KeyQuery::default()
        };
        let mut keys = desk.keys(actor, wanted).await?;
        let more = keys.len() > page_size;
        keys.truncate(page_size);
        let next =
            keys.last().filter(|_| more).map(|key| mark::make(&desk.list_secret, key.id.ulid()));
        let mut data = Vec::with_capacity(keys.len());
        for key in &keys {
            data.push(view(desk, key, &call).await?);
        }
        Ok(json(StatusCode::OK, &Page { data, next_page_token: next }))
    }
    .boxed()
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
        let body = call.body(BODY_BYTES_MAX, desk.gate.wire.body_timeout).await?;
        let mut fields = Fields::read(&body)?;
        // `null` clears what can be cleared.
        let clears_limit = fields.has("limit");
        let clears_reset = fields.has("limit_reset");
        let (clears_models, clears_providers) =
            (fields.has("allowed_models"), fields.has("allowed_providers"));
        let amount = Some(fields.money("limit")?).filter(|_| clears_limit);
        let window =
            fields.word("limit_reset", &RESETS)?.or(clears_reset.then_some(Window::Lifetime));
        let slots = slots(&mut fields, amount, window)?;
        let change = KeyChange {
            name: fields.label("name")?,
            disabled: fields.boolean("disabled")?,
            limits: LimitChange { all: None, slots },
            rules: RulesChange {
                allowed_models: fields.patterns("allowed_models")?.or(clears_models.then(Vec::new)),
                allowed_providers: fields
                    .patterns("allowed_providers")?
                    .or(clears_providers.then(Vec::new)),
                ..RulesChange::default()
            },
        };
        fields.end()?;
        let key = desk.update(actor, id, change, call.at).await?;
        one(desk, &key, &call).await
    }
    .boxed()
}

/// `DELETE /api/v1/keys/{hash}`
pub fn revoke(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let key = desk.revoke(actor, key_id(&call)?, call.at).await?;
        Ok(json(StatusCode::OK, &Deleted { deleted: true, hash: KeyIdText(key.id.to_string()) }))
    }
    .boxed()
}

/// `GET /api/v1/key`: what a key may know about itself.
pub fn own(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let Actor::Holder(id) = actor else {
            return Err(Refusal::new(
                Code::WrongKeyType,
                "This route tells a key about itself: call it with a key.",
            )
            .into());
        };
        let key = desk.key(actor, id).await?;
        one(desk, &key, &call).await
    }
    .boxed()
}

const RESETS: [(&str, Window); 3] = [
    ("daily", Window::utc(Period::Day)),
    ("weekly", Window::utc(Period::Week)),
    ("monthly", Window::utc(Period::Month)),
];

/// The limits that have names of their own.
fn slots(
    fields: &mut Fields,
    amount: Option<Option<Money>>,
    window: Option<Window>,
) -> Result<Vec<SlotChange>, Refusal> {
    let mut slots = Vec::new();
    if amount.is_some() || window.is_some() {
        let amount = amount.map(|amount| amount.map(Money::nanos));
        slots.push(SlotChange { slot: Slot::Spending, amount, window });
    }
    for (name, slot) in [
        ("rpm", Slot::RequestsPerMinute),
        ("tpm_limit", Slot::TokensPerMinute),
        ("daily_token_limit", Slot::TokensPerDay),
        ("max_parallel", Slot::Parallel),
    ] {
        if let Some(amount) = fields.number(name)? {
            slots.push(SlotChange { slot, amount: Some(Some(amount)), window: None });
        }
    }
    Ok(slots)
}

fn reset_name(window: Window) -> Option<&'static str> {
    RESETS.iter().find(|(_, known)| *known == window).map(|(name, _)| *name)
}

fn key_id(call: &Call) -> Result<KeyId, Refusal> {
    let text = call.parameter.as_deref().unwrap_or_default();
    text.parse().map_err(|_| Refusal::new(Code::NotFound, "There is no such key."))
}

async fn one(desk: &Desk, key: &Key, call: &Call) -> Result<Answer, Failure> {
    let data = view(desk, key, call).await?;
    Ok(json(StatusCode::OK, &One { data, key: None }))
}

async fn view<'a>(desk: &Desk, key: &'a Key, call: &Call) -> Result<KeyView<'a>, Failure> {
    let usage = desk.gate.store.spent(key.id, key.created_at).await?;
    let limit = key.limits.iter().find(|limit| limit.unit == Unit::Money);
    let remaining = match limit {
        None => None,
        Some(limit) => {
            let span = limit.window.span(call.at);
            let spent = desk.gate.store.spent(key.id, span.start).await?;
            Some(Money::from_nanos(limit.amount).saturating_sub(spent).max(Money::ZERO))
        }
    };
    let some = |list: &'a Vec<Pattern>| Some(list.as_slice()).filter(|list| !list.is_empty());
    Ok(KeyView {
        hash: KeyIdText(key.id.to_string()),
        name: &key.name,
        key_type: key.kind.name(),
        label: key.secrets.last().map_or("", |secret| secret.mask.as_str()),
        status: key.status(call.at).name(),
        disabled: matches!(key.state, KeyState::Disabled { .. }),
        limit: limit.map(|limit| Dollars(Money::from_nanos(limit.amount))),
        limit_remaining: remaining.map(Dollars),
        limit_reset: limit.and_then(|limit| reset_name(limit.window)),
        allowed_providers: some(&key.rules.allowed_providers),
        allowed_models: some(&key.rules.allowed_models),
        denied_providers: some(&key.rules.denied_providers),
        denied_models: some(&key.rules.denied_models),
        usage: Dollars(usage),
        created_at: rfc3339(key.created_at),
        updated_at: rfc3339(key.updated_at),
        expires_at: key.expires_at.map(rfc3339),
    })
}
