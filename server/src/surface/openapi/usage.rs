//! What the pages of usage promise.

use domain::Code;
use serde_json::{Value, json};

use super::Operation;
use super::members::{key_id, span};
use super::shape::{Members, count, dollars, id, string, text, whole, words};
use crate::surface::leaderboard::Board;
use crate::surface::usage::{Calls, Reconciled, Sums};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        sums("/api/v1/usage", "usage"),
        leaderboard("/api/v1/usage/leaderboard", "leaderboard"),
        Operation::get("/api/v1/usage/calls", "list_calls", "Single calls, newest first")
            .query(
                Members::default()
                    .optional("key", key_id(), "Only of this key.")
                    .optional("request_id", id("req"), "Only of this request.")
                    .optional(
                        "evidence",
                        words(&["reported", "counted", "estimated"]),
                        "Only those that are known so.",
                    )
                    .optional("limit", whole(1, 1_000), "At most so many."),
            )
            .query(span())
            .answers::<Calls<'_>>(200, "Calls, with what each cost and how we know.")
            .refuses(&[Code::NotFound]),
        Operation::post(
            "/api/v1/usage/calls/{attempt}/reconcile",
            "reconcile_call",
            "Correct what a call was charged",
        )
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

/// Sums, on whichever surface.
pub(super) fn sums(path: &'static str, name: &'static str) -> Operation {
    let (key, keys) = if path.starts_with("/internal") {
        ("api_key_id", json!({"anyOf": [id("ak"), key_id()]}))
    } else {
        ("key", key_id())
    };
    Operation::get(path, name, "What was used, and what it cost, in sums")
        .about("Sums go by whole UTC hours.")
        .query(
            Members::default()
                .optional("group_by", groups(), "A list of `key`, `user`, `team`, `project`, `model`, `provider`, `hour` and `day`, separated by commas.")
                .optional(key, keys, "Only of this key.")
                .optional("user_id", id("user"), "Only of this user's keys.")
                .optional("team_id", id("team"), "Only of this team's keys, and its users'.")
                .optional("project_id", id("proj"), "Only of this project's keys.")
                .optional("model", string(), "Only of this model.")
                .optional("provider", string(), "Only of this provider.")
                .optional("limit", whole(1, 10_000), "At most so many sums."),
        )
        .query(span())
        .answers::<Sums<'_>>(200, "One sum for every combination, and all together.")
}

/// Names of groups, separated by commas.
fn groups() -> Value {
    let one = "(key|user|team|project|model|provider|hour|day)";
    json!({"type": "string", "pattern": format!("^{one}(,{one})*$"), "examples": ["model,day"]})
}

/// Who used most, on whichever surface.
pub(super) fn leaderboard(path: &'static str, name: &'static str) -> Operation {
    let of = words(&["users", "teams", "projects", "keys", "models", "providers"]);
    Operation::get(path, name, "Who used most")
        .query(
            Members::default()
                .optional("of", of, "Whom to compare: `users`.")
                .optional("by", words(&["cost", "tokens", "requests"]), "By what: `cost`.")
                .optional(
                    "period",
                    words(&["day", "week", "month", "all"]),
                    "Since when, in UTC: `month`.",
                )
                .optional("limit", whole(1, 100), "At most so many; 20 where nothing is said."),
        )
        .answers::<Board<'_>>(200, "The first places, and all together.")
}
