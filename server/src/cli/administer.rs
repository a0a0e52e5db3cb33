//! `weir key …` and `weir usage`: each command line as one request to the admin API, and its answer
//! for people or, with `--json`, for scripts. What may be done is decided by the API.

use std::collections::HashMap;
use std::io::Write as _;

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use domain::KeyId;
use http::Method;
use serde_json::{Map, Value, json};

use super::send::{Asked, send};
use super::show;

/// What `weir` can administer.
pub(super) fn commands() -> Vec<Command> {
    vec![key_command(), usage_command()]
}

fn key_command() -> Command {
    let id = || {
        Arg::new("id").required(true).value_name("KEY").help("The key's id (its hash in the API)")
    };
    Command::new("key").about("Make, show and end keys").subcommand_required(true).subcommands([
        common(
            Command::new("create").about("Make a key; its secret is shown once").args([
                Arg::new("name").required(true).help("A label for people"),
                Arg::new("management")
                    .long("management")
                    .action(ArgAction::SetTrue)
                    .help("A key that manages keys and calls no model"),
                Arg::new("limit").long("limit").value_name("DOLLARS").help("The most it may spend"),
                Arg::new("limit-reset")
                    .long("limit-reset")
                    .value_name("PERIOD")
                    .help("daily, weekly or monthly; without it the limit is for ever"),
                Arg::new("expires-at")
                    .long("expires-at")
                    .value_name("MOMENT")
                    .help("Its end, such as 2027-12-31T23:59:59Z"),
                list_arg(
                    "allowed-models",
                    "Only these models (names, provider/model, or * patterns), separated by commas",
                ),
                list_arg("denied-models", "None of these models"),
                list_arg("allowed-providers", "Only these providers"),
                list_arg("denied-providers", "None of these providers"),
                Arg::new("secret-from-stdin")
                    .long("secret-from-stdin")
                    .action(ArgAction::SetTrue)
                    .help("Read the secret from standard input instead of having one made"),
            ]),
        ),
        common(
            Command::new("list").about("List keys, the newest first").arg(
                Arg::new("page-size")
                    .long("page-size")
                    .value_name("N")
                    .default_value("100")
                    .help("How many"),
            ),
        ),
        common(Command::new("show").about("Show a key").arg(id())),
        common(
            Command::new("update").about("Change a key; in force for its next call").args([
                id(),
                Arg::new("name").long("name").help("Another label"),
                Arg::new("limit")
                    .allow_hyphen_values(true)
                    .long("limit")
                    .value_name("DOLLARS")
                    .help("The most it may spend, or none for any amount"),
                Arg::new("limit-reset")
                    .long("limit-reset")
                    .value_name("PERIOD")
                    .help("daily, weekly, monthly, or none for never"),
                list_arg("allowed-models", "Only these models, or none for no rule"),
                list_arg("allowed-providers", "Only these providers, or none for no rule"),
            ]),
        ),
        common(
            Command::new("disable")
                .about("Switch a key off; it can be switched on again")
                .arg(id()),
        ),
        common(Command::new("enable").about("Switch a key on").arg(id())),
        common(Command::new("revoke").about("End a key for good").arg(id())),
    ])
}

fn usage_command() -> Command {
    common(
        Command::new("usage").about("What was used and what it cost").args([
            Arg::new("by")
                .long("by")
                .value_name("GROUPS")
                .default_value("model")
                .help("key, model, provider, hour, day, or several separated by commas"),
            Arg::new("from")
                .long("from")
                .value_name("MOMENT")
                .help("Not before this moment or date"),
            Arg::new("until").long("until").value_name("MOMENT").help("Before this moment or date"),
            Arg::new("key").long("key").value_name("KEY").help("Of this key only"),
            Arg::new("most").long("most").value_name("N").help("At most so many rows"),
            Arg::new("calls")
                .long("calls")
                .action(ArgAction::SetTrue)
                .help("Single calls instead of sums, the newest first"),
        ]),
    )
}

fn list_arg(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("NAMES")
        .value_delimiter(',')
        .action(ArgAction::Append)
        .help(help)
}

fn common(command: Command) -> Command {
    command.args(super::setting_args(|name| matches!(name, "data" | "listen"))).args([
        Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print the API's own JSON"),
        Arg::new("server")
            .long("server")
            .value_name("URL")
            .env("WEIR_SERVER")
            .help("A running Weir elsewhere; needs PROXY_MASTER_KEY"),
    ])
}

pub(super) fn run(
    noun: &str,
    matches: &ArgMatches,
    env: HashMap<String, String>,
) -> anyhow::Result<()> {
    let (verb, matches) = match matches.subcommand() {
        Some((verb, matches)) => (verb, matches),
        None => ("", matches),
    };
    let asked = asked(noun, verb, matches)?;
    let answer = send(asked, matches, env)?;
    let mut out = std::io::stdout().lock();
    if matches.get_flag("json") {
        writeln!(out, "{answer}")?;
        return Ok(());
    }
    let text = match (noun, verb) {
        ("key", "create") => show::new_key(&answer)?,
        ("key", "list") => show::keys(&answer)?,
        ("key", "revoke") => show::revoked(&answer)?,
        ("key", _) => show::key(&answer)?,
        _ if matches.get_flag("calls") => show::calls(&answer)?,
        _ => show::usage(&answer)?,
    };
    write!(out, "{text}")?;
    Ok(())
}

fn asked(noun: &str, verb: &str, matches: &ArgMatches) -> anyhow::Result<Asked> {
    let one = |method, body| -> anyhow::Result<Asked> {
        let id = matches.get_one::<String>("id").map_or("", String::as_str);
        if id.parse::<KeyId>().is_err() {
            bail!("'{id}' is no key's id; `weir key list` shows them");
        }
        Ok(Asked { method, path: format!("/api/v1/keys/{id}"), body })
    };
    Ok(match (noun, verb) {
        ("key", "create") => Asked {
            method: Method::POST,
            path: "/api/v1/keys".to_owned(),
            body: Some(new_key(matches)?),
        },
        ("key", "list") => {
            let size = matches.get_one::<String>("page-size").map_or("100", String::as_str);
            Asked {
                method: Method::GET,
                path: format!("/api/v1/keys?page_size={size}"),
                body: None,
            }
        }
        ("key", "show") => one(Method::GET, None)?,
        ("key", "update") => one(Method::PATCH, Some(changed_key(matches)))?,
        ("key", "disable") => one(Method::PATCH, Some(json!({"disabled": true})))?,
        ("key", "enable") => one(Method::PATCH, Some(json!({"disabled": false})))?,
        ("key", "revoke") => one(Method::DELETE, None)?,
        ("usage", _) => Asked { method: Method::GET, path: usage_path(matches), body: None },
        (noun, verb) => bail!("there is no command '{noun} {verb}'"),
    })
}

fn new_key(matches: &ArgMatches) -> anyhow::Result<Value> {
    let mut body = Map::new();
    for (flag, name) in [
        ("name", "name"),
        ("limit", "limit"),
        ("limit-reset", "limit_reset"),
        ("expires-at", "expires_at"),
    ] {
        if let Some(text) = matches.get_one::<String>(flag) {
            body.insert(name.to_owned(), json!(text));
        }
    }
    for (flag, name) in [
        ("allowed-models", "allowed_models"),
        ("denied-models", "denied_models"),
        ("allowed-providers", "allowed_providers"),
        ("denied-providers", "denied_providers"),
    ] {
        if let Some(names) = matches.get_many::<String>(flag) {
            body.insert(name.to_owned(), json!(names.collect::<Vec<_>>()));
        }
    }
    if matches.get_flag("management") {
        body.insert("key_type".to_owned(), json!("management"));
    }
    if matches.get_flag("secret-from-stdin") {
        let mut text = String::new();
        std::io::stdin().read_line(&mut text).context("the secret could not be read")?;
        body.insert("secret".to_owned(), json!(text.trim()));
    }
    Ok(Value::Object(body))
}

/// What `weir key update` changes; `none` clears.
fn changed_key(matches: &ArgMatches) -> Value {
    let mut body = Map::new();
    for (flag, name) in [("name", "name"), ("limit", "limit"), ("limit-reset", "limit_reset")] {
        if let Some(text) = matches.get_one::<String>(flag) {
            let clears = text == "none" && flag != "name";
            body.insert(name.to_owned(), if clears { Value::Null } else { json!(text) });
        }
    }
    for (flag, name) in
        [("allowed-models", "allowed_models"), ("allowed-providers", "allowed_providers")]
    {
        if let Some(names) = matches.get_many::<String>(flag) {
            let names: Vec<_> = names.filter(|name| *name != "none").collect();
            body.insert(name.to_owned(), json!(names));
        }
    }
    Value::Object(body)
}

fn usage_path(matches: &ArgMatches) -> String {
    let calls = matches.get_flag("calls");
    let mut parameters = Vec::new();
    for (flag, name) in [
        ("from", "from"),
        ("until", "until"),
        ("key", "key"),
        ("most", "limit"),
        ("by", "group_by"),
    ] {
        if let Some(text) = matches.get_one::<String>(flag).filter(|_| !(calls && flag == "by")) {
            let text: String = text
                .replace('%', "%25")
                .replace('&', "%26")
                .replace('+', "%2B")
                .replace('#', "%23")
                .replace(' ', "%20");
            parameters.push(format!("{name}={text}"));
        }
    }
    format!("/api/v1/usage{}?{}", if calls { "/calls" } else { "" }, parameters.join("&"))
}
