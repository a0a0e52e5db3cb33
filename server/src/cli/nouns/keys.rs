//! `weir key …`

use super::said::{LIMITS, NEW_NAME, OTHER_NAME, PAGE, RULES};
use crate::cli::flag::{Flag, Kind, flag};
use crate::cli::verb::Show::{Facts, Rows, Words};
use crate::cli::verb::{Noun, Verb};
use crate::cli::view::{
    Column, column, limit, moment, money, number, plain, price, recurring, rule,
};
use crate::cli::words;

const KEYS: &[Column] = &[
    column("id", "hash", plain),
    column("name", "name", plain),
    column("type", "key_type", plain),
    column("secret", "label", plain),
    column("status", "status", plain),
    column("limit", "limit", limit),
    number("spent", "usage", money),
    column("models", "models", rule),
    column("providers", "providers", rule),
];

const KEY: &[Column] = &[
    column("id", "hash", plain),
    column("name", "name", plain),
    column("type", "key_type", plain),
    column("secret", "label", plain),
    column("status", "status", plain),
    column("spent", "usage", money),
    column("limit", "limit", limit),
    column("left", "limit_remaining", money),
    column("recurring limit", "recurring_limit", recurring),
    column("requests per minute", "rpm", plain),
    column("tokens per minute", "tpm_limit", plain),
    column("tokens per day", "daily_token_limit", plain),
    column("calls in flight", "max_parallel", plain),
    column("models", "models", rule),
    column("providers", "providers", rule),
    column("pricing", "pricing", rule),
    column("dearest price", "max_price", price),
    column("addresses", "addresses", rule),
    column("project", "project_id", plain),
    column("user", "user_id", plain),
    column("team", "team_id", plain),
    column("created", "created_at", moment),
    column("updated", "updated_at", moment),
    column("last used", "last_used_at", moment),
    column("expires", "expires_at", moment),
    column("revision", "revision", plain),
];

const PARTS: &[Column] = &[
    column("limit", "limit", limit),
    column("left", "limit_remaining", money),
    column("recurring limit", "recurring_limit", recurring),
    column("requests per minute", "rpm", plain),
    column("tokens per minute", "tpm_limit", plain),
    column("tokens per day", "daily_token_limit", plain),
    column("calls in flight", "max_parallel", plain),
    column("models", "models", rule),
    column("providers", "providers", rule),
    column("pricing", "pricing", rule),
    column("dearest price", "max_price", price),
    column("addresses", "addresses", rule),
    column("revision", "revision", plain),
];

const NEW_KEY: &[Flag] = &[
    flag(
        "type",
        "key_type",
        Kind::Text,
        "TYPE",
        "regular, or management: manages keys, calls no model",
    ),
    flag(
        "secret",
        "secret",
        Kind::Secret,
        "",
        "Read the secret from standard input instead of having one made",
    ),
    flag(
        "secret-sha256",
        "secret_sha256",
        Kind::Text,
        "HEX",
        "The digest of a secret of which only that is known",
    ),
    flag("disabled", "disabled", Kind::Yes, "", "It begins switched off"),
    flag("dry-run", "dry_run", Kind::Yes, "", "Only check whether it could be made"),
];

const HOME: &[Flag] = &[
    flag("project", "project_id", Kind::Text, "ID", "The project it belongs to"),
    flag("user", "user_id", Kind::Text, "ID", "The user whose key it is"),
    flag("team", "team_id", Kind::Text, "ID", "The team it belongs to, where it is no user's"),
];

const END: &[Flag] = &[flag(
    "expires",
    "expires_at",
    Kind::Text,
    "MOMENT",
    "Its end, such as 2027-12-31T23:59:59Z, or none",
)];

const QUESTION: &[Flag] = &[
    flag("model", "model", Kind::Word, "MODEL", "The model to be called"),
    flag(
        "max-tokens",
        "max_tokens",
        Kind::Number,
        "N",
        "The maximum of output tokens the call would set",
    ),
    flag("input-tokens", "input_tokens", Kind::Number, "N", "How many tokens the prompt has"),
    flag("message", "messages", Kind::Message, "TEXT", "The prompt itself, instead of its tokens"),
    flag(
        "at",
        "at",
        Kind::Text,
        "MOMENT",
        "When, such as 2026-12-01T00:00:00Z; now, where it is left out",
    ),
    flag("ip", "ip", Kind::Text, "ADDRESS", "Where the call would come from"),
];

const KEY_LIST: &[Flag] = &[
    flag("search", "search", Kind::Text, "TEXT", "Only names with this in them"),
    flag(
        "sort",
        "sort",
        Kind::Text,
        "ORDER",
        "name, created_at or expires_at; -name and so on for the other way round",
    ),
    flag(
        "status",
        "status",
        Kind::Text,
        "STATUS",
        "Only active, disabled, expired or revoked ones",
    ),
    flag("include-revoked", "include_revoked", Kind::Yes, "", "Show revoked ones, too"),
    flag("type", "key_type", Kind::Text, "TYPE", "Only regular ones, or management keys"),
    flag("project", "project_id", Kind::Text, "ID", "Only those of this project"),
    flag("user", "user_id", Kind::Text, "ID", "Only those of this user"),
    flag("team", "team_id", Kind::Text, "ID", "Only those of this team"),
];

const ROTATE: &[Flag] = &[
    flag(
        "grace-seconds",
        "grace_seconds",
        Kind::Number,
        "N",
        "For so long the old secret goes on [default: 0]",
    ),
    flag(
        "secret",
        "secret",
        Kind::Secret,
        "",
        "Read the new secret from standard input instead of having one made",
    ),
];

pub(super) const FOUND_SECRET: &[Flag] = &[flag(
    "secret",
    "secret",
    Kind::NeededSecret,
    "",
    "Read the secret from standard input, as is done where nothing is said",
)];

pub(super) const NOUN: Noun = Noun {
    name: "key",
    about: "Make, show, change and end keys",
    verbs: &[
        Verb::post("create", "Make a key; its secret is shown once", "/api/v1/keys", Facts(KEY))
            .with(&[NEW_NAME, NEW_KEY, HOME, END, LIMITS, RULES]),
        Verb::get("list", "List keys, the newest first", "/api/v1/keys", Rows(KEYS))
            .with(&[KEY_LIST, PAGE])
            .fixed(r#"{"page_size": "100"}"#),
        Verb::get("show", "Show a key", "/api/v1/keys/{id}", Facts(KEY)),
        Verb::patch(
            "update",
            "Change a key; in force for its next call",
            "/api/v1/keys/{id}",
            Facts(KEY),
        )
        .with(&[OTHER_NAME, END, LIMITS, RULES]),
        Verb::patch(
            "disable",
            "Switch a key off; it can be switched on again",
            "/api/v1/keys/{id}",
            Facts(KEY),
        )
        .fixed(r#"{"disabled": true}"#),
        Verb::patch("enable", "Switch a key on", "/api/v1/keys/{id}", Facts(KEY))
            .fixed(r#"{"disabled": false}"#),
        Verb::delete("delete", "End a key for good", "/api/v1/keys/{id}", Words(words::deleted)),
        Verb::post(
            "rotate",
            "Give a key another secret, shown once",
            "/api/v1/keys/{id}/rotate",
            Facts(KEY),
        )
        .with(&[ROTATE]),
        Verb::post("lookup", "Tell whose key a secret opens", "/api/v1/keys/lookup", Facts(KEY))
            .with(&[FOUND_SECRET]),
        Verb::get("limits", "Show a key's own limits", "/api/v1/keys/{id}/limits", Facts(PARTS)),
        Verb::put(
            "set-limits",
            "Give a key these limits and no others",
            "/api/v1/keys/{id}/limits",
            Facts(PARTS),
        )
        .with(&[LIMITS]),
        Verb::get("rules", "Show a key's own rules", "/api/v1/keys/{id}/rules", Facts(PARTS)),
        Verb::put(
            "set-rules",
            "Give a key these rules and no others",
            "/api/v1/keys/{id}/rules",
            Facts(PARTS),
        )
        .with(&[RULES]),
        Verb::get(
            "effective",
            "Show every limit and rule that applies to a key",
            "/api/v1/keys/{id}/effective",
            Words(words::effective),
        ),
        Verb::post(
            "explain",
            "Tell whether a key may make a call, and why",
            "/api/v1/keys/{id}/explain",
            Words(words::explained),
        )
        .with(&[QUESTION]),
    ],
};
