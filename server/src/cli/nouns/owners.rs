//! `weir project …`, `weir team …`, `weir user …` and `weir instance …`

use super::said::{LIMITS, NEW_NAME, OTHER_NAME, PAGE, RULES};
use crate::cli::flag::{Flag, Kind, flag};
use crate::cli::verb::Show::{Facts, Rows, Words};
use crate::cli::verb::{Noun, Verb};
use crate::cli::view::{
    Column, column, limit, moment, money, number, plain, price, recurring, rule,
};
use crate::cli::words;

const OWNERS: &[Column] = &[
    column("id", "id", plain),
    column("name", "name", plain),
    column("limit", "limit", limit),
    number("rpm", "rpm", plain),
    number("tokens/min", "tpm_limit", plain),
    number("tokens/day", "daily_token_limit", plain),
    column("models", "models", rule),
    column("created", "created_at", moment),
];

const USERS: &[Column] = &[
    column("id", "id", plain),
    column("name", "external_id", plain),
    column("team", "team_id", plain),
    column("limit", "limit", limit),
    number("rpm", "rpm", plain),
    number("tokens/min", "tpm_limit", plain),
    number("tokens/day", "daily_token_limit", plain),
    column("created", "created_at", moment),
];

const OWNER: &[Column] = &[
    column("id", "id", plain),
    column("name", "name", plain),
    column("name", "external_id", plain),
    column("team", "team_id", plain),
    column("members", "members", plain),
    column("plan", "plan", plain),
    column("keys", "keys_used", plain),
    column("keys at most", "key_allowance", plain),
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
    column("created", "created_at", moment),
    column("updated", "updated_at", moment),
    column("revision", "revision", plain),
];

const NEW_USER: &[Flag] =
    &[flag("name", "external_id", Kind::Word, "NAME", "The user's name in the systems around")];

const OTHER_USER: &[Flag] =
    &[flag("name", "external_id", Kind::Text, "NAME", "Another name in the systems around")];

const TEAM_OF_USER: &[Flag] =
    &[flag("team", "team_id", Kind::Text, "ID", "The team the user belongs to, or none")];

const PLAN: &[Flag] = &[
    flag("plan", "plan", Kind::Text, "PLAN", "free, pro, enterprise or custom"),
    flag(
        "key-allowance",
        "key_allowance",
        Kind::Number,
        "N",
        "How many keys a custom plan allows, or none",
    ),
];

pub(super) const PROJECT: Noun = Noun {
    name: "project",
    about: "Make, show and change projects",
    verbs: &[
        Verb::post("create", "Make a project", "/api/v1/projects", Facts(OWNER))
            .with(&[NEW_NAME, PLAN, LIMITS, RULES]),
        Verb::get("list", "List projects, the newest first", "/api/v1/projects", Rows(OWNERS))
            .with(&[PAGE]),
        Verb::get("show", "Show a project", "/api/v1/projects/{id}", Facts(OWNER)),
        Verb::patch(
            "update",
            "Change a project; in force for the next call",
            "/api/v1/projects/{id}",
            Facts(OWNER),
        )
        .with(&[OTHER_NAME, PLAN, LIMITS, RULES]),
        Verb::get(
            "effective",
            "Show every limit and rule that applies to a project",
            "/api/v1/projects/{id}/effective",
            Words(words::effective),
        ),
    ],
};

pub(super) const TEAM: Noun = Noun {
    name: "team",
    about: "Make, show and change teams",
    verbs: &[
        Verb::post("create", "Make a team", "/api/v1/teams", Facts(OWNER))
            .with(&[NEW_NAME, LIMITS, RULES]),
        Verb::get("list", "List teams, the newest first", "/api/v1/teams", Rows(OWNERS))
            .with(&[PAGE]),
        Verb::get("show", "Show a team", "/api/v1/teams/{id}", Facts(OWNER)),
        Verb::patch(
            "update",
            "Change a team; in force for the next call",
            "/api/v1/teams/{id}",
            Facts(OWNER),
        )
        .with(&[OTHER_NAME, LIMITS, RULES]),
        Verb::get(
            "effective",
            "Show every limit and rule that applies to a team",
            "/api/v1/teams/{id}/effective",
            Words(words::effective),
        ),
    ],
};

pub(super) const USER: Noun = Noun {
    name: "user",
    about: "Make, show and change users",
    verbs: &[
        Verb::post("create", "Make a user", "/api/v1/users", Facts(OWNER)).with(&[
            NEW_USER,
            TEAM_OF_USER,
            LIMITS,
            RULES,
        ]),
        Verb::get("list", "List users, the newest first", "/api/v1/users", Rows(USERS))
            .with(&[&[flag("team", "team_id", Kind::Text, "ID", "Only those of this team")], PAGE]),
        Verb::get("show", "Show a user", "/api/v1/users/{id}", Facts(OWNER)),
        Verb::patch(
            "update",
            "Change a user; in force for the next call",
            "/api/v1/users/{id}",
            Facts(OWNER),
        )
        .with(&[OTHER_USER, TEAM_OF_USER, LIMITS, RULES]),
        Verb::get(
            "effective",
            "Show every limit and rule that applies to a user",
            "/api/v1/users/{id}/effective",
            Words(words::effective),
        ),
    ],
};

pub(super) const INSTANCE: Noun = Noun {
    name: "instance",
    about: "Show and change what applies to everything",
    verbs: &[
        Verb::get("show", "Show it", "/api/v1/instance", Facts(OWNER)),
        Verb::patch(
            "update",
            "Change it; in force for the next call",
            "/api/v1/instance",
            Facts(OWNER),
        )
        .with(&[LIMITS, RULES]),
        Verb::get(
            "effective",
            "Show every limit and rule, defaults among them",
            "/api/v1/instance/effective",
            Words(words::effective),
        ),
    ],
};
