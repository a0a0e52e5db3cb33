//! `weir usage …` and `weir audit`: what was used, and what was done.

use super::said::{PAGE, SPAN};
use crate::cli::flag::{Flag, Kind, flag};
use crate::cli::verb::Show::{Rows, Words};
use crate::cli::verb::{Noun, Verb};
use crate::cli::view::{Column, column, moment, money, number, plain};
use crate::cli::words;

const CALLS: &[Column] = &[
    column("began", "began_at", moment),
    column("key", "key", plain),
    column("model", "model", plain),
    column("provider", "provider", plain),
    number("status", "status", plain),
    number("input", "input_tokens", plain),
    number("output", "output_tokens", plain),
    number("cost", "cost", money),
    column("evidence", "evidence", plain),
    column("ending", "ending", plain),
    column("request", "request_id", plain),
];

const ACTS: &[Column] = &[
    number("number", "id", plain),
    column("at", "at", moment),
    column("who", "actor", plain),
    column("did", "action", plain),
    column("to", "subject", plain),
];

const GROUPS: &[Flag] = &[
    flag(
        "by",
        "group_by",
        Kind::Text,
        "GROUPS",
        "key, user, team, project, model, provider, hour, day, or several separated by commas [default: model]",
    ),
    flag("model", "model", Kind::Text, "MODEL", "Of this model only"),
    flag("provider", "provider", Kind::Text, "PROVIDER", "Of this provider only"),
];

const OF_KEY: &[Flag] = &[flag("key", "key", Kind::Text, "KEY", "Of this key only")];

const MOST: &[Flag] = &[flag("most", "limit", Kind::Text, "N", "At most so many rows")];

const BOARD: &[Flag] = &[
    flag(
        "of",
        "of",
        Kind::Text,
        "WHAT",
        "users, teams, projects, keys, models or providers [default: users]",
    ),
    flag("by", "by", Kind::Text, "WHAT", "cost, tokens or requests [default: cost]"),
    flag(
        "period",
        "period",
        Kind::Text,
        "PERIOD",
        "The present day, week or month, or all [default: month]",
    ),
];

const EVIDENCE: &[Flag] = &[
    flag("evidence", "evidence", Kind::Text, "WHICH", "Only reported, counted or estimated ones"),
    flag("request", "request_id", Kind::Text, "ID", "Of this request only"),
];

pub(super) const USAGE: Noun = Noun {
    name: "usage",
    about: "What was used and what it cost",
    verbs: &[
        Verb::get("", "Sums", "/api/v1/usage", Words(words::sums))
            .with(&[GROUPS, SPAN, OF_KEY, MOST])
            .fixed(r#"{"group_by": "model"}"#),
        Verb::get("calls", "Single calls, the newest first", "/api/v1/usage/calls", Rows(CALLS))
            .with(&[SPAN, OF_KEY, EVIDENCE, MOST]),
        Verb::get(
            "leaderboard",
            "Who used the most",
            "/api/v1/usage/leaderboard",
            Words(words::leaders),
        )
        .with(&[BOARD, MOST]),
    ],
};

pub(super) const AUDIT: Noun = Noun {
    name: "audit",
    about: "Who did what, the newest first",
    verbs: &[Verb::get("", "Who did what", "/api/v1/audit", Rows(ACTS)).with(&[
        &[
            flag("actor", "actor", Kind::Text, "WHO", "Done by operator, dashboard or this key"),
            flag("action", "action", Kind::Text, "WHAT", "Such as key.create"),
            flag("subject", "subject", Kind::Text, "ID", "Done to this"),
        ],
        SPAN,
        PAGE,
    ])],
};
