//! `weir provider …`, `weir credential …`, `weir price …` and `weir audit`: what calls can go to, and
//! who changed what. Each command line is one request to the admin API.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use http::Method;
use serde_json::{Map, Value, json};

use super::administer::common;
use super::send::{Asked, send};
use super::table;

/// The columns that lists show.
const PROVIDERS: &[&str] = &["name", "kind", "base_url", "credentials", "free", "from", "problem"];
const CREDENTIALS: &[&str] = &["id", "label", "hint", "status", "resting_until", "from"];
const PRICES: &[&str] =
    &["provider", "model", "input", "output", "cache_read", "free", "context_tokens", "from"];
const ACTS: &[&str] = &["at", "actor", "action", "subject"];

pub(super) fn commands() -> Vec<Command> {
    vec![provider_command(), credential_command(), price_command(), audit_command()]
}

fn named(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).required(true).value_name(value).help(help)
}

fn flag(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn provider_command() -> Command {
    Command::new("provider")
        .about("Add, show and remove providers")
        .subcommand_required(true)
        .subcommands([
            common(Command::new("list").about("List all providers")),
            common(
                Command::new("add").about("Add a provider; in force for the next call").args([
                    named("name", "NAME", "Its name; one that everybody knows needs nothing else"),
                    flag("base-url", "URL", "Everything before /chat/completions or /v1/messages"),
                    flag("kind", "KIND", "openai (or compatible) or anthropic"),
                    flag("models", "NAMES", "Patterns of model names that go to it by themselves")
                        .value_delimiter(',')
                        .action(ArgAction::Append),
                    flag("catalogue", "NAME", "Whose prices its models have"),
                    Arg::new("free")
                        .long("free")
                        .action(ArgAction::SetTrue)
                        .help("Its models cost nothing"),
                ]),
            ),
            common(
                Command::new("remove")
                    .about("Remove a provider, with its credentials and prices")
                    .arg(named("name", "NAME", "Its name")),
            ),
        ])
}

fn credential_command() -> Command {
    let provider = || named("provider", "PROVIDER", "Whose it is");
    Command::new("credential")
        .about("Add, show and remove our secrets for providers")
        .subcommand_required(true)
        .subcommands([
            common(Command::new("list").about("List a provider's credentials").arg(provider())),
            common(
                Command::new("add")
                    .about("Add a credential; its secret is read from standard input")
                    .args([provider(), flag("label", "TEXT", "A label for people")]),
            ),
            common(
                Command::new("remove")
                    .about("Remove a credential")
                    .arg(named("id", "ID", "Its id")),
            ),
        ])
}

fn price_command() -> Command {
    let model = || named("model", "PROVIDER/MODEL", "The model, behind its provider's name");
    Command::new("price")
        .about("Show what models cost, and say otherwise")
        .subcommand_required(true)
        .subcommands([
            common(Command::new("list").about("List what models cost").args([
                flag("provider", "NAME", "Of this provider only"),
                flag("search", "TEXT", "Of models with this in their names only"),
            ])),
            common(
                Command::new("set")
                    .about("Say what a model costs, in dollars per million tokens")
                    .args([
                        model(),
                        flag("input", "DOLLARS", "The prompt"),
                        flag("output", "DOLLARS", "The answer"),
                        flag("cache-read", "DOLLARS", "Prompt read from the cache"),
                        flag("cache-write", "DOLLARS", "Prompt written to the cache"),
                        Arg::new("free")
                            .long("free")
                            .action(ArgAction::SetTrue)
                            .help("It costs nothing"),
                    ]),
            ),
            common(
                Command::new("reset")
                    .about("Let a model cost what the catalogue says again")
                    .arg(model()),
            ),
        ])
}

fn audit_command() -> Command {
    common(Command::new("audit").about("Who did what, the newest first").args([
        flag("actor", "WHO", "By operator, or this management key, only"),
        flag("action", "NAME", "Acts of this name only, such as key.create"),
        flag("subject", "ID", "What was done to this only"),
        flag("from", "MOMENT", "Not before this moment or date"),
        flag("until", "MOMENT", "Before this moment or date"),
        flag("page-size", "N", "How many").default_value("100"),
    ]))
}

/// Sends what the command line says, and prints the answer.
pub(super) fn run(
    noun: &str,
    verb: &str,
    matches: &ArgMatches,
    env: HashMap<String, String>,
) -> anyhow::Result<()> {
    let (asked, columns) = asked(noun, verb, matches)?;
    let answer = send(asked, matches, env)?;
    let text =
        if matches.get_flag("json") { format!("{answer}\n") } else { shown(&answer, columns)? };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

fn asked(
    noun: &str,
    verb: &str,
    matches: &ArgMatches,
) -> anyhow::Result<(Asked, &'static [&'static str])> {
    let ask = |method, path: String, body: Option<Map<String, Value>>| Asked {
        method,
        path,
        body: body.map(|body| Value::Object(body).to_string()),
    };
    Ok(match (noun, verb) {
        ("provider", "list") => (ask(Method::GET, "/api/v1/providers".to_owned(), None), PROVIDERS),
        ("provider", "add") => {
            let mut body = texts(matches, &["name", "base-url", "kind", "catalogue"], &["free"]);
            if let Some(models) = matches.get_many::<String>("models") {
                body.insert("models".to_owned(), json!(models.collect::<Vec<_>>()));
            }
            (ask(Method::POST, "/api/v1/providers".to_owned(), Some(body)), PROVIDERS)
        }
        ("provider", _) => {
            let path = format!("/api/v1/providers/{}", word(matches, "name")?);
            (ask(Method::DELETE, path, None), &[])
        }
        ("credential", "remove") => {
            let path = format!("/api/v1/credentials/{}", word(matches, "id")?);
            (ask(Method::DELETE, path, None), &[])
        }
        ("credential", verb) => {
            let path = format!("/api/v1/providers/{}/credentials", word(matches, "provider")?);
            if verb == "list" {
                return Ok((ask(Method::GET, path, None), CREDENTIALS));
            }
            let mut secret = String::new();
            std::io::stdin().read_line(&mut secret).context("the secret could not be read")?;
            let mut body = texts(matches, &["label"], &[]);
            body.insert("secret".to_owned(), json!(secret.trim()));
            (ask(Method::POST, path, Some(body)), CREDENTIALS)
        }
        ("price", "list") => {
            let path = query("/api/v1/prices?page_size=999", matches, &["provider", "search"]);
            (ask(Method::GET, path, None), PRICES)
        }
        ("price", verb) => {
            let path = format!("/api/v1/prices/{}", word(matches, "model")?);
            if verb == "reset" {
                return Ok((ask(Method::DELETE, path, None), &[]));
            }
            let body = texts(matches, &["input", "output", "cache-read", "cache-write"], &["free"]);
            (ask(Method::PUT, path, Some(body)), PRICES)
        }
        _ => {
            let size = matches.get_one::<String>("page-size").map_or("100", String::as_str);
            let flags = ["actor", "action", "subject", "from", "until"];
            let path = query(&format!("/api/v1/audit?page_size={size}"), matches, &flags);
            (ask(Method::GET, path, None), ACTS)
        }
    })
}

/// The members that flags give, those of `switches` where they are on.
fn texts(matches: &ArgMatches, flags: &[&str], switches: &[&str]) -> Map<String, Value> {
    let given = flags
        .iter()
        .filter_map(|flag| Some((flag.replace('-', "_"), json!(matches.get_one::<String>(flag)?))));
    let on = switches.iter().filter(|switch| matches.get_flag(switch));
    given.chain(on.map(|switch| ((*switch).to_owned(), json!(true)))).collect()
}

/// A name as a path can have it: what would mean something else in a URL is refused here.
fn word<'a>(matches: &'a ArgMatches, name: &str) -> anyhow::Result<&'a str> {
    let text = matches.get_one::<String>(name).map_or("", String::as_str);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~:/@".contains(&byte);
    if text.is_empty() || !text.bytes().all(plain) {
        bail!("'{text}' is no {name} that can be named here");
    }
    Ok(text)
}

fn query(path: &str, matches: &ArgMatches, flags: &[&str]) -> String {
    let mut path = path.to_owned();
    for flag in flags {
        if let Some(text) = matches.get_one::<String>(flag) {
            let _ = write!(path, "&{flag}=");
            for byte in text.bytes() {
                if byte.is_ascii_alphanumeric() || b"-_.~:/@".contains(&byte) {
                    path.push(char::from(byte));
                } else {
                    let _ = write!(path, "%{byte:02x}");
                }
            }
        }
    }
    path
}

/// A list as a table of these columns; one thing as a list of one. Nothing to show: it was done.
fn shown(answer: &str, columns: &[&str]) -> anyhow::Result<String> {
    let answer: Value = serde_json::from_str(answer).context("the answer is not as expected")?;
    if columns.is_empty() {
        return Ok("Done.\n".to_owned());
    }
    let one = [answer.clone()];
    let rows = answer["data"].as_array().map_or(&one[..], Vec::as_slice);
    let heads: Vec<_> = columns.iter().map(|name| name.replace('_', " ")).collect();
    let mut table = table(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    for row in rows {
        table.add_row(columns.iter().map(|name| cell(&row[*name])));
    }
    let more = if answer["next_page_token"].is_string() { "There are more.\n" } else { "" };
    Ok(format!("{table}\n{more}"))
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
