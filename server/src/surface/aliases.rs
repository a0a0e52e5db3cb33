//! Aliases: other names for models. What may be done with them is decided in `admin`.

use domain::command::Actor;
use futures_util::FutureExt as _;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::admin::{Desk, ListedAlias};
use crate::call::Call;
use crate::failure::rfc3339;
use crate::surface::Reply;
use crate::surface::fields::Fields;
use crate::surface::page::Page;
use crate::surface::providers::{Removed, name};
use crate::surface::query::Query;
use crate::surface::reply::json;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "alias")]
pub struct AliasView {
    name: String,
    model: String,
    from: &'static str,
    revision: Option<u64>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

fn view(alias: ListedAlias) -> AliasView {
    AliasView {
        name: alias.name,
        model: alias.model,
        from: alias.from.name(),
        revision: alias.stamp.map(|stamp| stamp.revision),
        created_at: alias.stamp.map(|stamp| rfc3339(stamp.created_at)),
        updated_at: alias.stamp.map(|stamp| rfc3339(stamp.updated_at)),
    }
}

/// `GET /api/v1/aliases`
pub fn list(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        Query::read(call.head.uri.query())?.end()?;
        let data: Vec<_> = desk.aliases(actor).await?.into_iter().map(view).collect();
        Ok(json(StatusCode::OK, &Page { data, next_page_token: None }))
    }
    .boxed()
}

/// `GET /api/v1/aliases/{name}`
pub fn show(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move { Ok(json(StatusCode::OK, &view(desk.alias(actor, name(&call)).await?))) }.boxed()
}

/// `PUT /api/v1/aliases/{name}`
pub fn set(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        let mut fields = Fields::of(desk, &mut call).await?;
        let model = fields.required("model", |fields, name| fields.text(name, 256))?;
        fields.end()?;
        let set = desk.set_alias(actor, name(&call).to_owned(), model, call.at).await?;
        Ok(json(StatusCode::OK, &view(set)))
    }
    .boxed()
}

/// `DELETE /api/v1/aliases/{name}`
pub fn unset(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        desk.remove_alias(actor, name(&call), call.at).await?;
        Ok(json(StatusCode::OK, &Removed { deleted: true, name: name(&call) }))
    }
    .boxed()
}
