//! What the internal API promises.

use domain::Code;
use serde_json::json;

use super::Operation;
use super::keys::{changed_key, new_key, rotation};
use super::members::page;
use super::owners::internal as owners;
use super::shape::{Members, id};
use super::usage::{leaderboard, sums};
use crate::surface::internal::{Deleted, Listed, Made, Whole};
use crate::surface::page::Page;

pub(super) fn operations() -> Vec<Operation> {
    let mut operations = owners();
    operations.extend([
        Operation::get("/internal/api-keys", "internal_list_keys", "List keys")
            .about("Newest first, without revoked ones; never a secret.")
            .query(page())
            .query(
                Members::default()
                    .optional("user_id", id("user"), "Only those of this user.")
                    .optional("team_id", id("team"), "Only those of this team and its users."),
            )
            .answers::<Page<Listed<'_>>>(200, "A page of keys."),
        Operation::post("/internal/api-keys", "internal_create_key", "Make a key")
            .about("The secret is in this answer and never again. Members may stand in the query string, too.")
            .takes(new_key(), json!({"name": "laptop-dev"}))
            .answers::<Made<'_>>(201, "The key, and its secret in `key`.")
            .refuses(&[Code::InvalidRule, Code::Conflict, Code::SecretRevoked, Code::KeyLimitReached]),
        Operation::get("/internal/api-keys/{id}", "internal_get_key", "Look at a key")
            .answers::<Whole<'_>>(200, "The key."),
        Operation::patch("/internal/api-keys/{id}", "internal_update_key", "Change a key")
            .about("What is not sent stays, `null` clears; in force for the next request.")
            .takes(changed_key(), json!({"disabled": true}))
            .answers::<Whole<'_>>(200, "The key as it is now.")
            .for_one_revision()
            .refuses(&[Code::InvalidRule, Code::Conflict]),
        Operation::post("/internal/api-keys/{id}/rotate", "internal_rotate_key", "Give a key another secret")
            .about("The new secret is in this answer and never again. The old ones end.")
            .may_take(rotation(), json!({"grace_seconds": 3_600}))
            .answers::<Made<'_>>(200, "The key, and its new secret in `key`.")
            .for_one_revision()
            .refuses(&[Code::Conflict]),
        Operation::delete("/internal/api-keys/{id}", "internal_revoke_key", "Revoke a key")
            .about("For good: from the answer on it opens nothing. A second time changes nothing.")
            .may_take(Members::default(), json!({}))
            .answers::<Deleted>(200, "It is revoked.")
            .for_one_revision(),
        sums("/internal/usage", "internal_usage"),
        leaderboard("/internal/usage/leaderboard", "internal_leaderboard"),
    ]);
    operations
}
