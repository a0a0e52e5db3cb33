//! Credentials: our secrets for providers. A secret goes in and never comes out. What may be done
//! with them is decided in `admin`.

use domain::command::{Actor, CredentialChange};
use domain::{CredentialId, Refusal};
use futures_util::FutureExt as _;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::admin::{Desk, Health, ListedCredential, no_such};
use crate::call::Call;
use crate::failure::rfc3339;
use crate::surface::Reply;
use crate::surface::fields::Fields;
use crate::surface::page::Page;
use crate::surface::providers::name;
use crate::surface::query::Query;
use crate::surface::reply::json;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "credential")]
pub struct CredentialView {
    id: String,
    provider: String,
    label: Option<String>,
    hint: String,
    status: &'static str,
    resting_until: Option<String>,
    from: &'static str,
    revision: Option<u64>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "removed_credential")]
pub struct Removed {
    deleted: bool,
    id: String,
}

fn view(credential: ListedCredential) -> CredentialView {
    let (status, resting_until) = match credential.health {
        Health::Active => ("active", None),
        Health::Resting(until) => ("resting", Some(rfc3339(until))),
        Health::Disabled => ("disabled", None),
        Health::Unreadable => ("unreadable", None),
    };
    CredentialView {
        id: credential.id,
        provider: credential.provider,
        label: credential.label,
        hint: credential.hint,
        status,
        resting_until,
        from: credential.from.name(),
        revision: credential.stamp.map(|stamp| stamp.revision),
        created_at: credential.stamp.map(|stamp| rfc3339(stamp.created_at)),
        updated_at: credential.stamp.map(|stamp| rfc3339(stamp.updated_at)),
    }
}

/// The credential in the path.
fn id(call: &Call) -> Result<CredentialId, Refusal> {
    let text = call.parameter.as_deref().unwrap_or_default();
    text.parse().map_err(|_| no_such("credential"))
}

/// `GET /api/v1/providers/{name}/credentials`
pub fn list(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        Query::read(call.head.uri.query())?.end()?;
        let provider = desk.provider(actor, name(&call)).await?;
        let data: Vec<_> = provider.credentials.into_iter().map(view).collect();
        Ok(json(StatusCode::OK, &Page { data, next_page_token: None }))
    }
    .boxed()
}

/// `POST /api/v1/providers/{name}/credentials`
pub fn create(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let mut fields = Fields::of(desk, &mut call).await?;
        let secret = fields.required("secret", Fields::secret)?;
        let label = fields.label("label")?;
        fields.end()?;
        let made = desk.add_credential(actor, name(&call), (label, secret), call.at).await?;
        Ok(json(StatusCode::CREATED, &view(made)))
    }
    .boxed()
}

/// `PATCH /api/v1/credentials/{id}`
pub fn update(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let id = id(&call)?;
        let mut fields = Fields::of(desk, &mut call).await?;
        let secret = fields.secret("secret")?;
        let label = fields.sent("label", Fields::label)?;
        let disabled = fields.boolean("disabled")?;
        fields.end()?;
        let change = CredentialChange { label, disabled, secret: None };
        let changed = desk.update_credential(actor, id, change, secret, call.at).await?;
        Ok(json(StatusCode::OK, &view(changed)))
    }
    .boxed()
}

/// `DELETE /api/v1/credentials/{id}`
pub fn remove(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let id = id(&call)?;
        desk.remove_credential(actor, id, call.at).await?;
        Ok(json(StatusCode::OK, &Removed { deleted: true, id: id.to_string() }))
    }
    .boxed()
}
