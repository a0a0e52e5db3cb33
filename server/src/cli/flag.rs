//! What can be said about a thing on the command line, and the member of the API that each option
//! becomes. Whether a value makes sense is for the API to say.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, ArgMatches};
use serde_json::{Map, Value, json};

/// How an option's text becomes a member; `none` becomes null, or an empty list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word without a name before it, that must be there.
    Word,
    Text,
    Number,
    /// Separated by commas.
    List,
    /// An option without a value: true.
    Yes,
    /// `10 per 6 hours`.
    Recurring,
    /// `3`, or `3/15` for input and output.
    Price,
    /// A prompt, as the one message of a chat.
    Message,
    /// Read from standard input, or from a variable; never an argument, which others can see.
    Secret,
    /// The same, where it must be there.
    NeededSecret,
}

/// One option.
pub(super) struct Flag {
    name: &'static str,
    pub(super) member: &'static str,
    kind: Kind,
    value: &'static str,
    help: &'static str,
}

pub(super) const fn flag(
    name: &'static str,
    member: &'static str,
    kind: Kind,
    value: &'static str,
    help: &'static str,
) -> Flag {
    Flag { name, member, kind, value, help }
}

impl Flag {
    pub(super) fn args(&self) -> Vec<Arg> {
        let arg = Arg::new(self.name).help(self.help).value_name(self.value);
        match self.kind {
            Kind::Word => vec![arg.required(true)],
            Kind::Yes => {
                vec![Arg::new(self.name).long(self.name).help(self.help).action(ArgAction::SetTrue)]
            }
            Kind::List => {
                vec![arg.long(self.name).value_delimiter(',').action(ArgAction::Append)]
            }
            Kind::Text | Kind::Number | Kind::Recurring | Kind::Price | Kind::Message => {
                vec![arg.long(self.name).allow_hyphen_values(true)]
            }
            Kind::Secret | Kind::NeededSecret => vec![
                Arg::new("secret-stdin")
                    .long("secret-stdin")
                    .action(ArgAction::SetTrue)
                    .help(self.help),
                Arg::new("secret-env")
                    .long("secret-env")
                    .value_name("VARIABLE")
                    .conflicts_with("secret-stdin")
                    .help("Read the secret from this variable of the environment"),
            ],
        }
    }

    /// The member's value, where something was said.
    pub(super) fn read(
        &self,
        matches: &ArgMatches,
        env: &HashMap<String, String>,
    ) -> anyhow::Result<Option<Value>> {
        match self.kind {
            Kind::Yes => return Ok(matches.get_flag(self.name).then_some(Value::Bool(true))),
            Kind::List => {
                let names = matches.get_many::<String>(self.name);
                let list = names.map(|names| names.filter(|name| *name != "none").collect());
                return Ok(list.map(|names: Vec<_>| json!(names)));
            }
            Kind::Secret | Kind::NeededSecret => {
                return Ok(secret(self.kind, matches, env)?.map(Value::String));
            }
            Kind::Word
            | Kind::Text
            | Kind::Number
            | Kind::Recurring
            | Kind::Price
            | Kind::Message => {}
        }
        let Some(text) = matches.get_one::<String>(self.name) else { return Ok(None) };
        if text == "none" && self.kind != Kind::Word {
            return Ok(Some(Value::Null));
        }
        Ok(Some(match self.kind {
            // What is no number goes as it is: the API says what is wrong with it.
            Kind::Number => {
                text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
            }
            Kind::Recurring => recurring(text)?,
            Kind::Price => match text.split_once('/') {
                Some((input, output)) => json!({"input": input.trim(), "output": output.trim()}),
                None => json!(text),
            },
            Kind::Message => json!([{ "role": "user", "content": text }]),
            Kind::Word
            | Kind::Text
            | Kind::Yes
            | Kind::List
            | Kind::Secret
            | Kind::NeededSecret => json!(text),
        }))
    }
}

/// What the options say, as members.
pub(super) fn members(
    flags: &[&[Flag]],
    matches: &ArgMatches,
    env: &HashMap<String, String>,
) -> anyhow::Result<Map<String, Value>> {
    let mut body = Map::new();
    for flag in flags.iter().copied().flatten() {
        if let Some(value) = flag.read(matches, env)? {
            body.insert(flag.member.to_owned(), value);
        }
    }
    Ok(body)
}

/// `10 per 6 hours`, `10 per month`.
fn recurring(text: &str) -> anyhow::Result<Value> {
    let words: Vec<_> = text.split_whitespace().collect();
    let (amount, every, unit) = match words.as_slice() {
        [amount, "per", unit] => (amount, "1", unit),
        [amount, "per", every, unit] => (amount, *every, unit),
        _ => bail!("'{text}' is no recurring limit; say, for example, \"10 per 6 hours\""),
    };
    let every: u32 = every.parse().with_context(|| format!("'{every}' is no whole number"))?;
    let amount = amount.trim_start_matches('$');
    Ok(json!({"amount": amount, "every": every, "unit": unit.trim_end_matches('s')}))
}

fn secret(
    kind: Kind,
    matches: &ArgMatches,
    env: &HashMap<String, String>,
) -> anyhow::Result<Option<String>> {
    if let Some(name) = matches.get_one::<String>("secret-env") {
        let secret = env.get(name).with_context(|| format!("{name} is not set"))?;
        return Ok(Some(secret.clone()));
    }
    if kind == Kind::Secret && !matches.get_flag("secret-stdin") {
        return Ok(None);
    }
    let mut text = String::new();
    std::io::stdin().read_line(&mut text).context("the secret could not be read")?;
    let secret = text.trim();
    if secret.is_empty() {
        bail!("there is no secret on standard input");
    }
    Ok(Some(secret.to_owned()))
}

pub(super) const NEW_NAME: &[Flag] =
    &[flag("name", "name", Kind::Word, "NAME", "A label for people")];
pub(super) const OTHER_NAME: &[Flag] =
    &[flag("name", "name", Kind::Text, "NAME", "Another label for people")];
pub(super) const NEW_USER: &[Flag] =
    &[flag("name", "external_id", Kind::Word, "NAME", "The user's name in the systems around")];
pub(super) const OTHER_USER: &[Flag] =
    &[flag("name", "external_id", Kind::Text, "NAME", "Another name in the systems around")];
pub(super) const TEAM_OF_USER: &[Flag] =
    &[flag("team", "team_id", Kind::Text, "ID", "The team the user belongs to, or none")];
pub(super) const NEW_KEY: &[Flag] = &[
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
];
pub(super) const HOME: &[Flag] = &[
    flag("project", "project_id", Kind::Text, "ID", "The project it belongs to"),
    flag("user", "user_id", Kind::Text, "ID", "The user whose key it is"),
    flag("team", "team_id", Kind::Text, "ID", "The team it belongs to, where it is no user's"),
];
pub(super) const END: &[Flag] = &[flag(
    "expires",
    "expires_at",
    Kind::Text,
    "MOMENT",
    "Its end, such as 2027-12-31T23:59:59Z, or none",
)];
pub(super) const LIMITS: &[Flag] = &[
    flag("limit", "limit", Kind::Text, "DOLLARS", "The most it may spend, or none for any amount"),
    flag(
        "limit-reset",
        "limit_reset",
        Kind::Text,
        "PERIOD",
        "daily, weekly or monthly; none: the limit is for ever",
    ),
    flag(
        "recurring",
        "recurring_limit",
        Kind::Recurring,
        "LIMIT",
        "Dollars again and again, such as \"10 per 6 hours\", or none",
    ),
    flag("rpm", "rpm", Kind::Number, "N", "Requests in any 60 seconds, or none"),
    flag("tpm", "tpm_limit", Kind::Number, "N", "Tokens in any 60 seconds, or none"),
    flag("daily-tokens", "daily_token_limit", Kind::Number, "N", "Tokens per UTC day, or none"),
    flag("parallel", "max_parallel", Kind::Number, "N", "Calls in flight, or none"),
];
pub(super) const RULES: &[Flag] = &[
    flag(
        "allow-model",
        "allowed_models",
        Kind::List,
        "NAMES",
        "Only these models (names, provider/model, or * patterns), separated by commas; none for no rule",
    ),
    flag("deny-model", "denied_models", Kind::List, "NAMES", "None of these models"),
    flag("allow-provider", "allowed_providers", Kind::List, "NAMES", "Only these providers"),
    flag("deny-provider", "denied_providers", Kind::List, "NAMES", "None of these providers"),
    flag("allow-pricing", "allowed_pricing", Kind::List, "NAMES", "Only free or paid models"),
    flag("deny-pricing", "denied_pricing", Kind::List, "NAMES", "No free or no paid models"),
    flag(
        "allow-address",
        "allowed_addresses",
        Kind::List,
        "NAMES",
        "Only from these addresses and networks",
    ),
    flag(
        "deny-address",
        "denied_addresses",
        Kind::List,
        "NAMES",
        "From none of these addresses and networks",
    ),
    flag(
        "max-price",
        "max_price",
        Kind::Price,
        "DOLLARS",
        "The most a million tokens may cost (3, or 3/15 for input and output), or none",
    ),
    flag("force", "force", Kind::Yes, "", "Take names in rules as they are, known or not"),
];
pub(super) const PAGE: &[Flag] = &[
    flag("page-size", "page_size", Kind::Text, "N", "How many [default: 100]"),
    flag("page-token", "page_token", Kind::Text, "TOKEN", "Go on where the last page ended"),
];
pub(super) const QUESTION: &[Flag] = &[
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
pub(super) const SPAN: &[Flag] = &[
    flag("from", "from", Kind::Text, "MOMENT", "Not before this moment or date"),
    flag("until", "until", Kind::Text, "MOMENT", "Before this moment or date"),
];
pub(super) const OF_KEY: &[Flag] = &[flag("key", "key", Kind::Text, "KEY", "Of this key only")];
pub(super) const MOST: &[Flag] = &[flag("most", "limit", Kind::Text, "N", "At most so many rows")];
pub(super) const GROUPS: &[Flag] = &[
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
