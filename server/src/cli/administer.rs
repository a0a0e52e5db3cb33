//! `weir key …`, `weir usage` and their like: each command line as one request to the admin API, and its answer
//! for people or, with `--json`, for scripts. What may be done is decided by the API.

use std::collections::HashMap;
use std::io::Write as _;

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use domain::id::Ulid;
use domain::{KeyId, ProjectId, TeamId, UserId};
use http::Method;
use serde_json::{Map, Value, json};

use super::send::{Asked, send};
use super::show;
use super::{explain, reconcile, supply};

/// What `weir` can administer.
pub(super) fn commands() -> Vec<Command> {
    let mut commands = vec![
        key_command(),
        owner_command("project", "Make, show and change projects", "A label for people"),
        owner_command("team", "Make, show and change teams", "A label for people"),
        owner_command("user", "Make, show and change users", "Its name in the systems around"),
        usage_command(),
        explain::command(),
        reconcile::command(),
    ];
    commands.extend(supply::commands());
    commands
}

fn key_command() -> Command {
    let id = || {
        Arg::new("id").required(true).value_name("KEY").help("The key's id (its hash in the API)")
    };
    Command::new("key").about("Make, show and end keys").subcommand_required(true).subcommands([
        common(
            Command::new("create")
                .about("Make a key; its secret is shown once")
                .args([
                    Arg::new("name").required(true).help("A label for people"),
                    Arg::new("management")
                        .long("management")
                        .action(ArgAction::SetTrue)
                        .help("A key that manages keys and calls no model"),
                    text_arg("project", "ID", "The project it belongs to"),
                    text_arg("user", "ID", "The user whose key it is"),
                    text_arg("team", "ID", "The team it belongs to, where it is no user's"),
                    Arg::new("secret-from-stdin")
                        .long("secret-from-stdin")
                        .action(ArgAction::SetTrue)
                        .help("Read the secret from standard input instead of having one made"),
                ])
                .args(end_arg())
                .args(limit_args())
                .args(rule_args()),
        ),
        common(Command::new("list").about("List keys, the newest first").arg(page_size())),
        common(Command::new("show").about("Show a key").arg(id())),
        common(
            Command::new("update")
                .about("Change a key; in force for its next call")
                .args([id(), Arg::new("name").long("name").help("Another label")])
                .args(end_arg())
                .args(limit_args())
                .args(rule_args()),
        ),
        common(
            Command::new("disable")
                .about("Switch a key off; it can be switched on again")
                .arg(id()),
        ),
        common(Command::new("enable").about("Switch a key on").arg(id())),
        common(
            Command::new("rotate")
                .about("Give a key another secret, shown once; the old ones end")
                .arg(id())
                .arg(
                    text_arg(
                        "grace-seconds",
                        "N",
                        "For so long the old secrets still open the key",
                    )
                    .default_value("0"),
                ),
        ),
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
                .help("key, user, team, project, model, provider, hour, day, or several separated by commas"),
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

/// `weir team …` and its like.
fn owner_command(noun: &'static str, about: &'static str, name: &'static str) -> Command {
    let id = || Arg::new("id").required(true).value_name("ID").help("Its id");
    let team = || {
        let team = text_arg("team", "ID", "The team the user belongs to, or none");
        (noun == "user").then_some(team)
    };
    Command::new(noun).about(about).subcommand_required(true).subcommands([
        common(
            Command::new("create")
                .about("Make one")
                .arg(Arg::new("name").required(true).help(name))
                .args(team())
                .args(limit_args())
                .args(rule_args()),
        ),
        common(Command::new("list").about("List them, the newest first").arg(page_size())),
        common(Command::new("show").about("Show one").arg(id())),
        common(
            Command::new("update")
                .about("Change one; in force for the next call")
                .arg(id())
                .arg(text_arg("name", "TEXT", name))
                .args(team())
                .args(limit_args())
                .args(rule_args()),
        ),
    ])
}

fn page_size() -> Arg {
    Arg::new("page-size").long("page-size").value_name("N").default_value("100").help("How many")
}

/// Members that are a text, and the flags for them.
const TEXTS: [(&str, &str, &str, &str); 3] = [
    ("limit", "limit", "DOLLARS", "The most it may spend, or none for any amount"),
    (
        "limit-reset",
        "limit_reset",
        "PERIOD",
        "daily, weekly or monthly; none: the limit is for ever",
    ),
    ("expires-at", "expires_at", "MOMENT", "Its end, such as 2027-12-31T23:59:59Z, or none"),
];

/// Members that are a whole number.
const COUNTS: [(&str, &str, &str); 4] = [
    ("rpm", "rpm", "Requests in any 60 seconds, or none"),
    ("tpm-limit", "tpm_limit", "Tokens in any 60 seconds, or none"),
    ("daily-token-limit", "daily_token_limit", "Tokens per UTC day, or none"),
    ("max-parallel", "max_parallel", "Calls in flight, or none"),
];

/// Members that are a list.
const LISTS: [(&str, &str, &str); 8] = [
    (
        "allowed-models",
        "allowed_models",
        "Only these models (names, provider/model, or * patterns), separated by commas; none for no rule",
    ),
    ("denied-models", "denied_models", "None of these models"),
    ("allowed-providers", "allowed_providers", "Only these providers"),
    ("denied-providers", "denied_providers", "None of these providers"),
    ("allowed-pricing", "allowed_pricing", "Only free or paid models"),
    ("denied-pricing", "denied_pricing", "No free or no paid models"),
    ("allowed-addresses", "allowed_addresses", "Only from these addresses and networks"),
    ("denied-addresses", "denied_addresses", "From none of these addresses and networks"),
];

fn text_arg(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).allow_hyphen_values(true).help(help)
}

fn end_arg() -> Option<Arg> {
    TEXTS.last().map(|(flag, _, value, help)| text_arg(flag, value, help))
}

fn limit_args() -> Vec<Arg> {
    let texts = TEXTS.iter().take(2).map(|(flag, _, value, help)| text_arg(flag, value, help));
    let counts = COUNTS.iter().map(|(flag, _, help)| text_arg(flag, "N", help));
    texts.chain(counts).collect()
}

fn rule_args() -> Vec<Arg> {
    let lists = LISTS.iter().map(|(flag, _, help)| list_arg(flag, help));
    let price = text_arg("max-price", "DOLLARS", "The most a million tokens may cost, or none");
    let force = Arg::new("force")
        .long("force")
        .action(ArgAction::SetTrue)
        .help("Take names in rules as they are, known or not");
    lists.chain([price, force]).collect()
}

fn list_arg(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("NAMES")
        .value_delimiter(',')
        .action(ArgAction::Append)
        .help(help)
}

pub(super) fn common(command: Command) -> Command {
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
    if noun == "explain" {
        return explain::run(matches, env);
    }
    if noun == "reconcile" {
        return reconcile::run(matches, env);
    }
    if matches!(noun, "provider" | "credential" | "price" | "audit") {
        return supply::run(noun, verb, matches, env);
    }
    let asked = asked(noun, verb, matches)?;
    let answer = send(asked, matches, env)?;
    let mut out = std::io::stdout().lock();
    if matches.get_flag("json") {
        writeln!(out, "{answer}")?;
        return Ok(());
    }
    let text = match (noun, verb) {
        ("key", "create" | "rotate") => show::new_key(&answer)?,
        ("key", "list") => show::keys(&answer)?,
        ("key", "revoke") => show::revoked(&answer)?,
        ("key", _) => show::key(&answer)?,
        ("project" | "team" | "user", "list") => show::owners(&answer)?,
        ("project" | "team" | "user", _) => show::owner(&answer)?,
        _ if matches.get_flag("calls") => show::calls(&answer)?,
        _ => show::usage(&answer)?,
    };
    write!(out, "{text}")?;
    Ok(())
}

fn asked(noun: &str, verb: &str, matches: &ArgMatches) -> anyhow::Result<Asked> {
    let (path, prefix) = match noun {
        "key" => ("/api/v1/keys", KeyId::PREFIX),
        "project" => ("/api/v1/projects", ProjectId::PREFIX),
        "team" => ("/api/v1/teams", TeamId::PREFIX),
        "user" => ("/api/v1/users", UserId::PREFIX),
        _ => return Ok(Asked { method: Method::GET, path: usage_path(matches), body: None }),
    };
    let one_at = |tail: &str, method, body: Option<Value>| -> anyhow::Result<Asked> {
        let id = matches.get_one::<String>("id").map_or("", String::as_str);
        let ulid = id.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
        if ulid.and_then(Ulid::parse).is_none() {
            bail!("'{id}' is no {noun}'s id; `weir {noun} list` shows them");
        }
        let body = body.map(|body| body.to_string());
        Ok(Asked { method, path: format!("{path}/{id}{tail}"), body })
    };
    let one = |method, body| one_at("", method, body);
    Ok(match verb {
        "create" => Asked {
            method: Method::POST,
            path: path.to_owned(),
            body: Some(new(noun, matches)?.to_string()),
        },
        "list" => {
            let size = matches.get_one::<String>("page-size").map_or("100", String::as_str);
            Asked { method: Method::GET, path: format!("{path}?page_size={size}"), body: None }
        }
        "show" => one(Method::GET, None)?,
        "update" => one(Method::PATCH, Some(Value::Object(members(noun, matches))))?,
        "disable" => one(Method::PATCH, Some(json!({"disabled": true})))?,
        "enable" => one(Method::PATCH, Some(json!({"disabled": false})))?,
        "rotate" => {
            let grace = matches.get_one::<String>("grace-seconds").map_or("0", String::as_str);
            one_at("/rotate", Method::POST, Some(json!({"grace_seconds": number(grace)})))?
        }
        "revoke" => one(Method::DELETE, None)?,
        verb => bail!("there is no command '{noun} {verb}'"),
    })
}

fn new(noun: &str, matches: &ArgMatches) -> anyhow::Result<Value> {
    let mut body = members(noun, matches);
    if noun != "key" {
        return Ok(Value::Object(body));
    }
    for (flag, name) in [("project", "project_id"), ("user", "user_id"), ("team", "team_id")] {
        if let Some(id) = matches.get_one::<String>(flag) {
            body.insert(name.to_owned(), json!(id));
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

/// What the flags say; `none` clears.
fn members(noun: &str, matches: &ArgMatches) -> Map<String, Value> {
    let mut body = Map::new();
    let given = |flag: &str| matches.try_get_one::<String>(flag).ok().flatten();
    if let Some(name) = given("name") {
        let member = if noun == "user" { "external_id" } else { "name" };
        body.insert(member.to_owned(), json!(name));
    }
    let teams = [("team", "team_id"), ("max-price", "max_price")];
    let texts = TEXTS.iter().map(|(flag, name, ..)| (*flag, *name));
    for (flag, name) in texts.chain(teams) {
        let belongs = flag != "team" || noun == "user";
        if let Some(text) = given(flag).filter(|_| belongs) {
            let value = if text == "none" { Value::Null } else { json!(text) };
            body.insert(name.to_owned(), value);
        }
    }
    for (flag, name, _) in COUNTS {
        if let Some(text) = given(flag) {
            let value = if text == "none" { Value::Null } else { number(text) };
            body.insert(name.to_owned(), value);
        }
    }
    for (flag, name, _) in LISTS {
        if let Some(names) = matches.try_get_many::<String>(flag).ok().flatten() {
            let names: Vec<_> = names.filter(|name| *name != "none").collect();
            body.insert(name.to_owned(), json!(names));
        }
    }
    if matches.get_flag("force") {
        body.insert("force".to_owned(), json!(true));
    }
    body
}

/// What is no number goes as it is: the API says what is wrong with it.
fn number(text: &str) -> Value {
    text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
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
