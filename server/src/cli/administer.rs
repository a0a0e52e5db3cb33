//! `weir key …` and `weir usage`: tables for people, `--json` for scripts. Each command is one request
//! to the admin API; what may be done is decided there.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::{Arg, ArgAction, ArgMatches, Command};
use comfy_table::Table;
use domain::Secret;
use domain::secret::Kind;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Map, Value, json};

use super::table;
use crate::app::{App, Start, StartFault};
use crate::config::Config;
use crate::machine::{MachineClock, MachineEntropy};

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
    command.args(super::setting_args()).args([
        Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print the API's own JSON"),
        Arg::new("server")
            .long("server")
            .value_name("URL")
            .env("WEIR_SERVER")
            .help("A running Weir elsewhere; needs PROXY_MASTER_KEY"),
    ])
}

/// One request to the admin API.
struct Asked {
    method: Method,
    path: String,
    body: Option<Value>,
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
    let answer: Value = serde_json::from_str(&answer).context("the answer is not JSON")?;
    write!(out, "{}", shown(noun, verb, matches, &answer))?;
    Ok(())
}

fn asked(noun: &str, verb: &str, matches: &ArgMatches) -> anyhow::Result<Asked> {
    let one = |method, body| {
        let id = matches.get_one::<String>("id").map_or("", String::as_str);
        Asked { method, path: format!("/api/v1/keys/{id}"), body }
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
        ("key", "show") => one(Method::GET, None),
        ("key", "disable") => one(Method::PATCH, Some(json!({"disabled": true}))),
        ("key", "enable") => one(Method::PATCH, Some(json!({"disabled": false}))),
        ("key", "revoke") => one(Method::DELETE, None),
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

fn usage_path(matches: &ArgMatches) -> String {
    let calls = matches.get_flag("calls");
    let mut parameters = Vec::new();
    for (flag, name) in [("from", "from"), ("until", "until"), ("key", "key"), ("by", "group_by")] {
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

/// Sends one request: to the server that was named, to the one that runs on the data directory, or
/// to one that is started on it for this moment, on a port and with a master key that nobody knows.
fn send(
    asked: Asked,
    matches: &ArgMatches,
    env: HashMap<String, String>,
) -> anyhow::Result<String> {
    let mut raw = super::raw(matches, env)?;
    let mut config = Config::resolve(&mut raw)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let given = config.master_key.take();
    if let Some(url) = matches.get_one::<String>("server") {
        return runtime.block_on(request(url, given.as_ref(), asked));
    }
    let running = format!("http://{}", config.listen);
    let secret = Kind::Master.mint(&MachineEntropy);
    config.master_key = Some(Secret::new(secret.expose().to_owned()));
    config.listen = ([127, 0, 0, 1], 0).into();
    config.threads = 1;
    let started = App::start(Start {
        config,
        clock: Arc::new(MachineClock::new()),
        entropy: Arc::new(MachineEntropy),
        demo_pace: Duration::ZERO,
    });
    match started {
        Ok(app) => {
            let url = format!("http://{}", app.address());
            let answer = runtime.block_on(request(&url, Some(&secret), asked));
            // The connection must be gone before the server stops, or it waits for it.
            drop(runtime);
            app.stop();
            answer
        }
        Err(StartFault::Store(store::Fault::InUse(_))) => {
            runtime.block_on(request(&running, given.as_ref(), asked))
        }
        Err(fault) => Err(fault.into()),
    }
}

async fn request(url: &str, master: Option<&Secret>, asked: Asked) -> anyhow::Result<String> {
    let Some(master) = master else {
        bail!(
            "a Weir is running at {url}, and speaking to it needs the master key: set PROXY_MASTER_KEY"
        );
    };
    let body = asked.body.map_or_else(String::new, |body| body.to_string());
    let request = Request::builder()
        .method(asked.method)
        .uri(format!("{}{}", url.trim_end_matches('/'), asked.path))
        .header("authorization", format!("Bearer {}", master.expose()))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .context("this makes no request that HTTP can carry")?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer =
        client.request(request).await.with_context(|| format!("no Weir answers at {url}"))?;
    let status = answer.status();
    let body = answer.into_body().collect().await.context("the answer broke off")?.to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    if !status.is_success() {
        let error: Value = serde_json::from_str(&text).unwrap_or_default();
        match error["error"]["message"].as_str() {
            Some(message) => bail!("{message}"),
            None => bail!("the server answered {status}"),
        }
    }
    Ok(text)
}

fn shown(noun: &str, verb: &str, matches: &ArgMatches, answer: &Value) -> String {
    match (noun, verb) {
        ("key", "create") => format!(
            "{}\n\nThe secret, shown this once:\n\n{}\n",
            key_table(std::slice::from_ref(&answer["data"])),
            text(&answer["key"])
        ),
        ("key", "list") => {
            let keys = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
            let more = if answer["next_page_token"].is_null() {
                ""
            } else {
                "There are more: ask for a larger --page-size.\n"
            };
            format!("{}\n{more}", key_table(keys))
        }
        ("key", "revoke") => {
            format!("Revoked {}. It opens nothing any more.\n", text(&answer["hash"]))
        }
        ("key", _) => format!("{}\n", key_table(std::slice::from_ref(&answer["data"]))),
        _ if matches.get_flag("calls") => calls_table(answer),
        _ => usage_table(answer),
    }
}

fn key_table(keys: &[Value]) -> Table {
    let mut table = table(&[
        "id",
        "name",
        "type",
        "secret",
        "status",
        "limit",
        "spent",
        "models",
        "providers",
        "expires",
    ]);
    for key in keys {
        let limit = match (&key["limit"], key["limit_reset"].as_str()) {
            (Value::Null, _) => "none".to_owned(),
            (amount, None) => format!("${amount}"),
            (amount, Some(reset)) => format!("${amount} {reset}"),
        };
        table.add_row([
            text(&key["hash"]),
            text(&key["name"]),
            text(&key["key_type"]),
            text(&key["label"]),
            text(&key["status"]),
            limit,
            format!("${}", key["usage"]),
            names(&key["allowed_models"], &key["denied_models"]),
            names(&key["allowed_providers"], &key["denied_providers"]),
            text(&key["expires_at"]),
        ]);
    }
    table
}

fn names(allowed: &Value, denied: &Value) -> String {
    let list = |value: &Value| {
        let names = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        names.collect::<Vec<_>>().join(", ")
    };
    match (list(allowed), list(denied)) {
        (allowed, denied) if denied.is_empty() => {
            if allowed.is_empty() {
                "all".to_owned()
            } else {
                allowed
            }
        }
        (allowed, denied) if allowed.is_empty() => format!("all but {denied}"),
        (allowed, denied) => format!("{allowed}, but not {denied}"),
    }
}

fn usage_table(answer: &Value) -> String {
    let mut table = table(&[
        "from",
        "key",
        "model",
        "provider",
        "calls",
        "failed",
        "input tokens",
        "output tokens",
        "cost",
    ]);
    let rows = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (row, total) in rows.iter().map(|row| (row, false)).chain([(&answer["totals"], true)]) {
        let first = if total { "total".to_owned() } else { text(&row["from"]) };
        let cells = [first, text(&row["key"]), text(&row["model"]), text(&row["provider"])];
        let numbers = ["calls", "failed_calls", "input_tokens", "output_tokens"]
            .map(|name| row[name].to_string());
        table.add_row(cells.into_iter().chain(numbers).chain([format!("${}", row["cost"])]));
    }
    let unpriced = answer["totals"]["unpriced_calls"].as_u64().unwrap_or(0);
    let note = if unpriced > 0 {
        format!("{unpriced} calls were of models without a known price; their cost is in no sum.\n")
    } else {
        String::new()
    };
    format!("{table}\n{note}")
}

fn calls_table(answer: &Value) -> String {
    let mut table = table(&[
        "began", "request", "model", "provider", "input", "output", "cost", "evidence", "ending",
    ]);
    for row in answer["data"].as_array().into_iter().flatten() {
        let cost =
            if row["cost"].is_null() { "unknown".to_owned() } else { format!("${}", row["cost"]) };
        table.add_row([
            text(&row["began_at"]),
            text(&row["request_id"]),
            text(&row["model"]),
            text(&row["provider"]),
            row["input_tokens"].to_string(),
            row["output_tokens"].to_string(),
            cost,
            text(&row["evidence"]),
            text(&row["ending"]),
        ]);
    }
    format!("{table}\n")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
