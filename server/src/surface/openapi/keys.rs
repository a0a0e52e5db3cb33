//! What the keys API promises.

use domain::Code;
use serde_json::json;

use super::Operation;
use super::members::{key_id, limits, metadata, parts, rules};
use super::shape::{
    Members, boolean, digest, id, label, list, moment, secret, string, text, whole, words,
};
use super::usage::sums;
use crate::surface::effective::EffectiveView;
use crate::surface::explain::ExplanationView;
use crate::surface::keys::list::Listed;
use crate::surface::keys::{Deleted, LookedUp, One};

pub(super) fn operations() -> Vec<Operation> {
    let chat = json!({"model": "gpt-4o", "max_tokens": 200, "input_tokens": 1_000});
    let mut operations = vec![
        Operation::get("/api/v1/keys", "list_keys", "List keys")
            .about("Without revoked ones, newest first.")
            .query(wanted())
            .answers::<Listed<'_>>(200, "A page of keys."),
        Operation::post("/api/v1/keys", "create_key", "Make a key")
            .about("The secret is in this answer and never again.")
            .takes(new_key().and(kind()).and(moving()), json!({"name": "production-backend", "limit": 150, "limit_reset": "monthly", "rpm": 60}))
            .answers::<One<'_>>(201, "The key, and its secret in `key`, unless only its digest was sent.")
            .answers::<One<'_>>(200, "What a `dry_run` would have made.")
            .refuses(&[Code::InvalidRule, Code::Conflict, Code::SecretRevoked, Code::KeyLimitReached, Code::ExceedsCeiling]),
        Operation::post("/api/v1/keys/lookup", "look_up_key", "Whose is this secret?")
            .about("To end a secret that somebody found: also those of keys that have ended.")
            .takes(
                Members::default().required("secret", string(), "The secret."),
                json!({"secret": "sk-found-on-the-street"}),
            )
            .answers::<LookedUp<'_>>(200, "The key that has it, or had it.")
            .refuses(&[Code::NotFound]),
        Operation::get("/api/v1/keys/{id}", "get_key", "Look at a key")
            .answers::<One<'_>>(200, "The key."),
        Operation::patch("/api/v1/keys/{id}", "update_key", "Change a key")
            .about("What is not sent stays, `null` clears; in force for the next request.")
            .takes(changed_key(), json!({"disabled": true}))
            .answers::<One<'_>>(200, "The key as it is now.")
            .for_one_revision()
            .refuses(&[Code::InvalidRule, Code::Conflict, Code::ExceedsCeiling]),
        Operation::post("/api/v1/keys/{id}/rotate", "rotate_key", "Give a key another secret")
            .about("The new secret is in this answer and never again. The old ones end.")
            .may_take(rotation(), json!({"grace_seconds": 3_600}))
            .answers::<One<'_>>(200, "The key, and its new secret in `key`.")
            .for_one_revision()
            .refuses(&[Code::Conflict]),
        sums("/api/v1/keys/{id}/usage", "usage_of_key"),
        Operation::delete("/api/v1/keys/{id}", "revoke_key", "Revoke a key")
            .about("For good: from the answer on it opens nothing.")
            .may_take(Members::default(), json!({}))
            .answers::<Deleted>(200, "It is revoked.")
            .for_one_revision(),
        Operation::get("/api/v1/keys/{id}/effective", "effective_on_key", "What applies to a key")
            .answers::<EffectiveView<'_>>(200, "Limits and rules, the widest scope first."),
        Operation::post("/api/v1/keys/{id}/explain", "explain_key", "What would become of a call")
            .about("Nothing is held, and no provider is asked.")
            .takes(question(), chat.clone())
            .answers::<ExplanationView<'_>>(200, "Whether it would be served, and why.")
            .refuses(&[Code::ModelNotFound, Code::NoProvider]),
        Operation::get("/api/v1/key", "get_own_key", "The key about itself")
            .answers::<One<'_>>(200, "The key."),
        Operation::get("/api/v1/key/effective", "effective_on_own_key", "What applies to the key itself")
            .answers::<EffectiveView<'_>>(200, "Limits and rules, the widest scope first."),
        Operation::post("/api/v1/key/explain", "explain_own_key", "What would become of a call of its own")
            .about("Nothing is held, and no provider is asked.")
            .takes(question(), chat)
            .answers::<ExplanationView<'_>>(200, "Whether it would be served, and why.")
            .refuses(&[Code::ModelNotFound, Code::NoProvider]),
    ];
    operations.extend(parts(["/api/v1/keys/{id}/limits", "/api/v1/keys/{id}/rules"], "key"));
    operations
}

pub(super) fn new_key() -> Members {
    Members::default()
        .required("name", label(), "A label for people.")
        .optional(
            "project_id",
            id("proj"),
            "The project it belongs to; the default one where nothing is said.",
        )
        .optional("user_id", id("user"), "The user it belongs to.")
        .optional("team_id", id("team"), "The team it belongs to, where it has no user.")
        .optional("expires_at", moment(), "From then on it opens nothing.")
        .optional("secret", secret(), "A secret of your own choice; with the master key only.")
        .and(limits())
        .and(rules())
        .and(metadata())
}

pub(super) fn rotation() -> Members {
    let grace = "For so long the old ones go on; 0 where nothing is said.";
    Members::default().optional("grace_seconds", whole(0, 2_592_000), grace).optional(
        "secret",
        secret(),
        "A secret of your own choice; with the master key only.",
    )
}

fn wanted() -> Members {
    const SORTS: [&str; 6] =
        ["-created_at", "created_at", "name", "-name", "expires_at", "-expires_at"];
    Members::default()
        .optional("page_size", whole(1, 1_000), "How many; 100 where nothing is said.")
        .optional("page_token", string(), "The `next_page_token` of the page before.")
        .optional(
            "offset",
            whole(0, i64::from(u32::MAX)),
            "Leaves out so many; a token is quicker.",
        )
        .optional("search", text(200), "Only those with this in their name.")
        .optional(
            "status",
            words(&["active", "disabled", "expired", "revoked"]),
            "Only those that are so.",
        )
        .optional("key_type", words(&["regular", "management"]), "Only those of this kind.")
        .optional("project_id", id("proj"), "Only those of this project.")
        .optional("user_id", id("user"), "Only those of this user.")
        .optional("team_id", id("team"), "Only those of this team and its users.")
        .optional("created_by", key_id(), "Only those that this management key made.")
        .optional("include_disabled", boolean(), "Whether disabled ones are shown: `true`.")
        .optional("include_revoked", boolean(), "Whether revoked ones are shown: `false`.")
        .optional("include_total", boolean(), "Whether all of them are counted: `false`.")
        .optional("sort", words(&SORTS), "In which order; `-` for the last first.")
}

/// What keys need that move here from elsewhere.
fn moving() -> Members {
    Members::default()
        .optional("secret_sha256", digest(), "The SHA-256 of its secret, in hexadecimal, where only that is known; with the master key only.")
        .optional("disabled", boolean(), "Whether it begins switched off.")
        .optional("dry_run", boolean(), "Whether nothing is to be made, only checked: then the answer is 200.")
}

fn kind() -> Members {
    let kinds = words(&["regular", "management"]);
    Members::default().optional(
        "key_type",
        kinds,
        "What it is for; `regular` where nothing is said.",
    )
}

pub(super) fn changed_key() -> Members {
    Members::default()
        .optional("name", label(), "A label for people.")
        .optional("disabled", boolean(), "Whether it is switched off.")
        .optional("expires_at", moment(), "From then on it opens nothing.")
        .and(limits())
        .and(rules())
        .and(metadata())
}

fn question() -> Members {
    let message = Members::default()
        .required("role", words(&["system", "user", "assistant"]), "Whose.")
        .required("content", string(), "What.")
        .object();
    Members::default()
        .required("model", text(256), "The model it would ask for.")
        .optional("max_tokens", whole(1, i64::MAX), "The maximum it would set.")
        .optional("input_tokens", whole(0, i64::from(i32::MAX)), "How many tokens its prompt has.")
        .optional("messages", list(&message, 100_000), "The prompt itself, as a chat has it.")
        .optional("at", moment(), "When; now, where nothing is said.")
        .optional("ip", text(64), "From where.")
}
