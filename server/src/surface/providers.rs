//! Providers, for the operator. What may be done with them is decided in `admin`.

use domain::Refusal;
use domain::command::{Actor, ProviderChange};
use domain::refusal::Code;
use domain::supply::{OnHangup, ProviderKind};
use domain::{Pattern, Timestamp};
use futures_util::FutureExt as _;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::admin::{Desk, Health, ListedProvider};
use crate::call::Call;
use crate::failure::rfc3339;
use crate::providers::Speaks;
use crate::surface::Reply;
use crate::surface::fields::Fields;
use crate::surface::page::Page;
use crate::surface::query::Query;
use crate::surface::reply::json;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "provider")]
pub struct ProviderView {
    name: String,
    kind: &'static str,
    base_url: String,
    #[schemars(with = "Vec<String>")]
    models: Vec<Pattern>,
    catalogue: String,
    free: bool,
    #[schemars(with = "String")]
    on_hangup: OnHangup,
    stream_options: bool,
    from: &'static str,
    /// How many credentials it has, whether they are used or not.
    credentials: usize,
    resting: Vec<Resting>,
    /// Why it is not called, where it is not.
    problem: Option<String>,
    revision: Option<u64>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

/// Something with a name that is gone.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "removed")]
pub struct Removed<'a> {
    pub deleted: bool,
    pub name: &'a str,
}

/// A credential that its provider refused.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "resting_credential")]
pub struct Resting {
    credential: String,
    until: String,
}

fn view(provider: ListedProvider) -> ProviderView {
    let resting = provider.credentials.iter().filter_map(|credential| match credential.health {
        Health::Resting(until) => {
            Some(Resting { credential: credential.id.clone(), until: rfc3339(until) })
        }
        Health::Active | Health::Disabled | Health::Unreadable => None,
    });
    let settings = &provider.settings;
    let moment = |at: fn(&domain::supply::Stamp) -> Timestamp| {
        provider.stamp.as_ref().map(|stamp| rfc3339(at(stamp)))
    };
    ProviderView {
        name: settings.name.clone(),
        kind: match settings.speaks {
            Speaks::OpenAi => "openai",
            Speaks::Anthropic => "anthropic",
            Speaks::Demo => "demo",
        },
        base_url: settings.base_url.clone(),
        models: settings.models.clone(),
        catalogue: settings.catalogue.clone(),
        free: settings.free,
        on_hangup: settings.on_hangup,
        stream_options: settings.stream_options,
        from: provider.from.name(),
        credentials: provider.credentials.len(),
        resting: resting.collect(),
        revision: provider.stamp.map(|stamp| stamp.revision),
        created_at: moment(|stamp| stamp.created_at),
        updated_at: moment(|stamp| stamp.updated_at),
        problem: provider.sidelined,
    }
}

fn read(fields: &mut Fields) -> Result<ProviderChange, Refusal> {
    let kinds = [("openai", ProviderKind::OpenAi), ("anthropic", ProviderKind::Anthropic)];
    let hangups = [("drain", OnHangup::Drain), ("cancel", OnHangup::Cancel)];
    let pattern = |text: &str| {
        Pattern::new(text)
            .ok_or_else(|| "it is no name: 1 to 256 characters without spaces.".to_owned())
    };
    let models = fields.sent("models", |fields, name| {
        fields.entries(name, "a list of names, with * for any run of characters", pattern)
    });
    Ok(ProviderChange {
        kind: fields.word("kind", &kinds)?,
        base_url: fields.text("base_url", 1_024)?,
        models: models
            .map_err(|no| Refusal { code: Code::InvalidValue, ..no })?
            .map(Option::unwrap_or_default),
        catalogue: fields.label("catalogue")?,
        free: fields.boolean("free")?,
        on_hangup: fields.word("on_hangup", &hangups)?,
        stream_options: fields.boolean("stream_options")?,
    })
}

/// The provider in the path.
pub fn name(call: &Call) -> &str {
    call.parameter.as_deref().unwrap_or_default()
}

/// `GET /api/v1/providers`
pub fn list(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        Query::read(call.head.uri.query())?.end()?;
        let data: Vec<_> = desk.providers(actor).await?.into_iter().map(view).collect();
        Ok(json(StatusCode::OK, &Page { data, next_page_token: None }))
    }
    .boxed()
}

/// `POST /api/v1/providers`
pub fn create(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let mut fields = Fields::of(desk, &mut call).await?;
        let name = fields.required("name", Fields::label)?;
        let said = read(&mut fields)?;
        fields.end()?;
        let made = desk.add_provider(actor, name, said, call.at).await?;
        Ok(json(StatusCode::CREATED, &view(made)))
    }
    .boxed()
}

/// `GET /api/v1/providers/{name}`
pub fn show(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move { Ok(json(StatusCode::OK, &view(desk.provider(actor, name(&call)).await?))) }.boxed()
}

/// `PATCH /api/v1/providers/{name}`
pub fn update(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let mut fields = Fields::of(desk, &mut call).await?;
        let change = read(&mut fields)?;
        fields.end()?;
        let changed = desk.update_provider(actor, name(&call), change, call.at).await?;
        Ok(json(StatusCode::OK, &view(changed)))
    }
    .boxed()
}

/// `DELETE /api/v1/providers/{name}`
pub fn remove(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        desk.remove_provider(actor, name(&call), call.at).await?;
        Ok(json(StatusCode::OK, &Removed { deleted: true, name: name(&call) }))
    }
    .boxed()
}
