//! The audit trail: who did what to which record, and what it was before and after.

use domain::command::Actor;
use domain::id::Ulid;
use futures_util::FutureExt as _;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use store::{AuditQuery, AuditRow};

use crate::admin::Desk;
use crate::call::Call;
use crate::failure::{Failure, rfc3339};
use crate::surface::Reply;
use crate::surface::page::{Page, Wanted};
use crate::surface::query::Query;
use crate::surface::reply::json;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "act")]
pub struct ActView {
    id: i64,
    at: String,
    actor: String,
    action: String,
    subject: String,
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    before: Option<Box<RawValue>>,
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    after: Option<Box<RawValue>>,
}

fn view(row: AuditRow) -> Result<ActView, Failure> {
    let object = |text: Option<String>| text.map(RawValue::from_string).transpose();
    let (before, after) = (object(row.before), object(row.after));
    Ok(ActView {
        id: row.id,
        at: rfc3339(row.at),
        actor: row.actor,
        action: row.action,
        subject: row.subject,
        before: before.map_err(Failure::internal)?,
        after: after.map_err(Failure::internal)?,
    })
}

/// A row's number as pages mark it.
fn marked(row: &AuditRow) -> Ulid {
    Ulid::from_bits(u128::try_from(row.id).unwrap_or(0))
}

/// `GET /api/v1/audit`
pub fn list(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let mut query = Query::read(call.head.uri.query())?;
        let page = Wanted::read(&mut query, &call, &desk.list_secret)?;
        let wanted = AuditQuery {
            actor: query.text("actor"),
            action: query.text("action"),
            subject: query.text("subject"),
            from: query.moment("from")?,
            until: query.moment("until")?,
            before: page.after.map(|mark| i64::try_from(mark.bits()).unwrap_or(0)),
            page_size: page.ask(),
        };
        query.end()?;
        let mut rows = desk.trail(actor, wanted).await?;
        let next_page_token = page.cut(&mut rows, &desk.list_secret, marked);
        let data = rows.into_iter().map(view).collect::<Result<Vec<_>, _>>()?;
        Ok(json(StatusCode::OK, &Page { data, next_page_token }))
    }
    .boxed()
}
