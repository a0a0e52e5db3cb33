//! `weir provider …`, `weir credential …`, `weir price …` and `weir alias …`: where calls can go, and
//! what that costs.

use super::keys::FOUND_SECRET;
use super::said::PAGE;
use crate::cli::flag::{Flag, Kind, flag};
use crate::cli::verb::Show::{Facts, Rows, Words};
use crate::cli::verb::{Noun, Verb};
use crate::cli::view::{Column, column, moment, money, names, number, plain, yes};
use crate::cli::words;

const PROVIDERS: &[Column] = &[
    column("name", "name", plain),
    column("speaks", "kind", plain),
    column("base URL", "base_url", plain),
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

pub(super) const PROVIDER: Noun = Noun {
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

const LABEL: &[Flag] = &[flag("label", "label", Kind::Text, "TEXT", "A label for people, or none")];

pub(super) const CREDENTIAL: Noun = Noun {
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
            "add",
            "Add a credential; its secret is read from standard input",
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
            "remove",
            "Remove a credential",
            "/api/v1/credentials/{id}",
            Words(words::deleted),
        ),
    ],
};

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

pub(super) const PRICE: Noun = Noun {
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

pub(super) const ALIAS: Noun = Noun {
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
