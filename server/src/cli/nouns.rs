//! Every command that administers something: a row for each, beside the columns it shows. A new route
//! of the admin API is one more row.

use super::flag::{
    END, Flag, GROUPS, HOME, Kind, LIMITS, MOST, NEW_KEY, NEW_NAME, NEW_USER, OF_KEY, OTHER_NAME,
    OTHER_USER, PAGE, QUESTION, RULES, SPAN, TEAM_OF_USER, flag,
};
use super::verb::Show::{Facts, Rows, Words};
use super::verb::{Noun, Verb};
use super::view::{
    Column, column, limit, moment, money, names, number, plain, price, recurring, rule, yes,
};
use super::words;

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

const FOUND_SECRET: &[Flag] = &[flag(
    "secret",
    "secret",
    Kind::NeededSecret,
    "",
    "Read the secret from standard input, as is done where nothing is said",
)];

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

const KEY_NOUN: Noun = Noun {
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

const PROJECT: Noun = Noun {
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

const TEAM: Noun = Noun {
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

const USER: Noun = Noun {
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

const INSTANCE: Noun = Noun {
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

const USAGE: Noun = Noun {
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

const AUDIT: Noun = Noun {
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

const ACTS: &[Column] = &[
    number("number", "id", plain),
    column("at", "at", moment),
    column("who", "actor", plain),
    column("did", "action", plain),
    column("to", "subject", plain),
];

const PROVIDERS: &[Column] = &[
    column("name", "name", plain),
    column("speaks", "kind", plain),
    column("base URL", "base_url", plain),
    column("models", "models", names),
    number("credentials", "credentials", plain),
    column("from", "from", plain),
    column("problem", "problem", plain),
];

const PROVIDER_FACTS: &[Column] = &[
    column("name", "name", plain),
    column("speaks", "kind", plain),
    column("base URL", "base_url", plain),
    column("models", "models", names),
    column("prices of", "catalogue", plain),
    column("free", "free", yes),
    column("after a hang-up", "on_hangup", plain),
    column("credentials", "credentials", plain),
    column("from", "from", plain),
    column("problem", "problem", plain),
    column("created", "created_at", moment),
    column("updated", "updated_at", moment),
];

const PROVIDER_FLAGS: &[Flag] = &[
    flag("kind", "kind", Kind::Text, "KIND", "openai (or compatible) or anthropic"),
    flag(
        "base-url",
        "base_url",
        Kind::Text,
        "URL",
        "Everything before /chat/completions or /v1/messages",
    ),
    flag(
        "models",
        "models",
        Kind::List,
        "NAMES",
        "Patterns of model names that go to it by themselves",
    ),
    flag("catalogue", "catalogue", Kind::Text, "NAME", "Whose prices its models have"),
    flag("on-hangup", "on_hangup", Kind::Text, "WHAT", "After a client hangs up: drain or cancel"),
    flag("free", "free", Kind::Yes, "", "Its models cost nothing"),
];

const NEW_PROVIDER: &[Flag] = &[flag(
    "name",
    "name",
    Kind::Word,
    "NAME",
    "Its name; one that everybody knows needs nothing else",
)];

const PROVIDER: Noun = Noun {
    name: "provider",
    about: "Add, show, change and remove providers",
    verbs: &[
        Verb::get("list", "List all providers", "/api/v1/providers", Rows(PROVIDERS)),
        Verb::post(
            "add",
            "Add a provider; in force for the next call",
            "/api/v1/providers",
            Facts(PROVIDER_FACTS),
        )
        .with(&[NEW_PROVIDER, PROVIDER_FLAGS]),
        Verb::get("show", "Show a provider", "/api/v1/providers/{name}", Facts(PROVIDER_FACTS)),
        Verb::patch(
            "update",
            "Change a provider; in force for the next call",
            "/api/v1/providers/{name}",
            Facts(PROVIDER_FACTS),
        )
        .with(&[PROVIDER_FLAGS]),
        Verb::delete(
            "remove",
            "Remove a provider, with its credentials and prices",
            "/api/v1/providers/{name}",
            Words(words::deleted),
        ),
    ],
};

const CREDENTIALS: &[Column] = &[
    column("id", "id", plain),
    column("provider", "provider", plain),
    column("label", "label", plain),
    column("secret", "hint", plain),
    column("status", "status", plain),
    column("rests until", "resting_until", moment),
    column("from", "from", plain),
    column("created", "created_at", moment),
];

const CREDENTIAL: Noun = Noun {
    name: "credential",
    about: "Add, show, change and remove our secrets for providers",
    verbs: &[
        Verb::get(
            "list",
            "List a provider's credentials",
            "/api/v1/providers/{provider}/credentials",
            Rows(CREDENTIALS),
        ),
        Verb::post(
            "create",
            "Add a credential",
            "/api/v1/providers/{provider}/credentials",
            Facts(CREDENTIALS),
        )
        .with(&[FOUND_SECRET, LABEL]),
        Verb::patch(
            "update",
            "Change a credential",
            "/api/v1/credentials/{id}",
            Facts(CREDENTIALS),
        )
        .with(&[
            &[flag(
                "secret",
                "secret",
                Kind::Secret,
                "",
                "Read another secret from standard input",
            )],
            LABEL,
        ]),
        Verb::patch(
            "disable",
            "Use a credential no more",
            "/api/v1/credentials/{id}",
            Facts(CREDENTIALS),
        )
        .fixed(r#"{"disabled": true}"#),
        Verb::patch(
            "enable",
            "Use a credential again",
            "/api/v1/credentials/{id}",
            Facts(CREDENTIALS),
        )
        .fixed(r#"{"disabled": false}"#),
        Verb::delete(
            "delete",
            "Remove a credential",
            "/api/v1/credentials/{id}",
            Words(words::deleted),
        ),
    ],
};

const LABEL: &[Flag] = &[flag("label", "label", Kind::Text, "TEXT", "A label for people, or none")];

const PRICES: &[Column] = &[
    column("provider", "provider", plain),
    column("model", "model", plain),
    number("input", "input", money),
    number("output", "output", money),
    column("free", "free", yes),
    column("varies", "varies", yes),
    number("context", "context_tokens", plain),
    column("from", "from", plain),
];

const PRICE_FLAGS: &[Flag] = &[
    flag("input", "input", Kind::Text, "DOLLARS", "Per million tokens of input"),
    flag("output", "output", Kind::Text, "DOLLARS", "Per million tokens of output"),
    flag(
        "cache-read",
        "cache_read",
        Kind::Text,
        "DOLLARS",
        "Per million tokens read from the cache",
    ),
    flag(
        "cache-write",
        "cache_write",
        Kind::Text,
        "DOLLARS",
        "Per million tokens written to the cache",
    ),
    flag("context-tokens", "context_tokens", Kind::Number, "N", "The most it reads"),
    flag("max-output-tokens", "max_output_tokens", Kind::Number, "N", "The most it writes"),
    flag("free", "free", Kind::Yes, "", "It costs nothing"),
];

const PRICE: Noun = Noun {
    name: "price",
    about: "Show prices, per million tokens, and set them",
    verbs: &[
        Verb::get("list", "List prices", "/api/v1/prices", Rows(PRICES)).with(&[
            &[
                flag("provider", "provider", Kind::Text, "NAME", "Of this provider only"),
                flag("model", "model", Kind::Text, "NAME", "Of this model only"),
                flag("search", "search", Kind::Text, "TEXT", "Only names with this in them"),
            ],
            PAGE,
        ]),
        Verb::put(
            "set",
            "Say what a model (PROVIDER/MODEL) costs",
            "/api/v1/prices/{model}",
            Facts(PRICES),
        )
        .with(&[PRICE_FLAGS]),
        Verb::delete(
            "reset",
            "Let a model cost what the catalogue says again",
            "/api/v1/prices/{model}",
            Words(words::deleted),
        ),
    ],
};

const ALIASES: &[Column] = &[
    column("alias", "name", plain),
    column("stands for", "model", plain),
    column("from", "from", plain),
    column("updated", "updated_at", moment),
];

const ALIAS: Noun = Noun {
    name: "alias",
    about: "Other names for models",
    verbs: &[
        Verb::get("list", "List aliases", "/api/v1/aliases", Rows(ALIASES)),
        Verb::get("show", "Show an alias", "/api/v1/aliases/{name}", Facts(ALIASES)),
        Verb::put("set", "Have a name stand for a model", "/api/v1/aliases/{name}", Facts(ALIASES))
            .with(&[&[flag("target", "model", Kind::Word, "MODEL", "Such as openai/gpt-4o-mini")]]),
        Verb::delete("remove", "Take a name away", "/api/v1/aliases/{name}", Words(words::deleted)),
    ],
};

/// All of them.
pub(super) const NOUNS: &[&Noun] = &[
    &KEY_NOUN,
    &PROJECT,
    &TEAM,
    &USER,
    &INSTANCE,
    &USAGE,
    &AUDIT,
    &PROVIDER,
    &CREDENTIAL,
    &PRICE,
    &ALIAS,
];
