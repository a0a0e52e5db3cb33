//! What a supervisor asks: is it alive, is it ready. Both say as little as possible to strangers.

use domain::command::Actor;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use store::Health;

use crate::admin::Desk;
use crate::call::{Answer, Call};
use crate::failure::Failure;
use crate::surface::reply::json;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "state")]
pub struct State {
    status: &'static str,
}

/// `GET /healthz`: the process answers.
pub fn alive(_desk: &Desk, _actor: Actor, _call: Call) -> BoxFuture<'_, Result<Answer, Failure>> {
    async { Ok(json(StatusCode::OK, &State { status: "ok" })) }.boxed()
}

/// `GET /readyz`: calls would be served and written down.
pub fn ready(desk: &Desk, _actor: Actor, _call: Call) -> BoxFuture<'_, Result<Answer, Failure>> {
    async move {
        Ok(match desk.gate.store.health() {
            Health::Good => json(StatusCode::OK, &State { status: "ready" }),
            Health::Full | Health::Broken(_) => {
                json(StatusCode::SERVICE_UNAVAILABLE, &State { status: "unavailable" })
            }
        })
    }
    .boxed()
}
