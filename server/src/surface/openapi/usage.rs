//! What the pages of usage promise.

use domain::Code;
use serde_json::{Value, json};

use super::Operation;
use super::members::{key_id, span};
use super::shape::{Members, count, dollars, id, string, text, whole, words};
use crate::surface::usage::{Calls, Reconciled, Sums};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/usage", "usage", "What was used, and what it cost, in sums")
            .about("Sums go by whole UTC hours.")
            .query(
                Members::default()
                    .optional("group_by", groups(), "A list of `key`, `model`, `provider`, `hour` and `day`, separated by commas.")
                    .optional("key", key_id(), "Only of this key.")
                    .optional("model", string(), "Only of this model.")
                    .optional("provider", string(), "Only of this provider.")
                    .optional("limit", whole(1, 10_000), "At most so many sums."),
            )
            .query(span())
            .answers::<Sums<'_>>(200, "One sum for every combination, and all together."),
        Operation::get("/api/v1/usage/calls", "list_calls", "Single calls, newest first")
            .query(
                Members::default()
                    .optional("key", key_id(), "Only of this key.")
                    .optional("request_id", id("req"), "Only of this request.")
                    .optional("evidence", words(&["reported", "counted", "estimated"]), "Only those that are known so.")
                    .optional("limit", whole(1, 1_000), "At most so many."),
            )
            .query(span())
            .answers::<Calls<'_>>(200, "Calls, with what each cost and how we know.")
            .refuses(&[Code::NotFound]),
        Operation::post("/api/v1/usage/calls/{attempt}/reconcile", "reconcile_call", "Correct what a call was charged")
            .about("Of an `estimated` call, down to the truth. `cost` or `tokens` or both.")
            .takes(
                Members::default()
                    .optional("cost", dollars(), "What it truly cost.")
                    .optional("tokens", count(), "How many tokens it truly used.")
                    .required("evidence", text(500), "How you know."),
                json!({"cost": "0.0012", "evidence": "the provider's log of the day"}),
            )
            .answers::<Reconciled<'_>>(200, "The call, and all corrections of it.")
            .refuses(&[Code::Conflict]),
    ]
}

/// Names of groups, separated by commas.
fn groups() -> Value {
    let one = "(key|model|provider|hour|day)";
    json!({"type": "string", "pattern": format!("^{one}(,{one})*$"), "examples": ["model,day"]})
}
