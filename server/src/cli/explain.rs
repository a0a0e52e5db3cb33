//! `weir explain`: would this key's call be made, and if not, why, and when would it. One request to
//! the admin API.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;

use clap::{Arg, ArgMatches, Command, value_parser};
use http::Method;
use serde_json::{Map, Value, json};

use super::administer::common;
use super::send::{Asked, send};
use super::table;

pub(super) fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let number = |name, help| text(name, "N", help).value_parser(value_parser!(i64));
    common(
        Command::new("explain").about("Tell whether a key may make a call, and why").args([
            Arg::new("key").required(true).value_name("KEY").help("The key's id"),
            Arg::new("model").required(true).value_name("MODEL").help("The model to be called"),
            number("max-tokens", "The maximum of output tokens the call would set"),
            number("input-tokens", "How many tokens the prompt has"),
            text("message", "TEXT", "The prompt itself, instead of its tokens")
                .conflicts_with("input-tokens"),
            text("at", "MOMENT", "When, such as 2026-12-01T00:00:00Z; now, where it is left out"),
            text("ip", "ADDRESS", "Where the call would come from"),
        ]),
    )
}

pub(super) fn run(matches: &ArgMatches, env: HashMap<String, String>) -> anyhow::Result<()> {
    let word = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let mut members = Map::new();
    members.insert("model".to_owned(), word("model").into());
    for (flag, member) in [("max-tokens", "max_tokens"), ("input-tokens", "input_tokens")] {
        if let Some(number) = matches.get_one::<i64>(flag) {
            members.insert(member.to_owned(), (*number).into());
        }
    }
    for name in ["at", "ip"] {
        if let Some(text) = matches.get_one::<String>(name) {
            members.insert(name.to_owned(), text.as_str().into());
        }
    }
    if let Some(text) = matches.get_one::<String>("message") {
        members.insert("messages".to_owned(), json!([{ "role": "user", "content": text }]));
    }
    let path = format!("/api/v1/keys/{}/explain", word("key"));
    let body = Some(Value::Object(members).to_string());
    let answer = send(Asked { method: Method::POST, path, body }, matches, env)?;
    let mut out = std::io::stdout().lock();
    if matches.get_flag("json") {
        writeln!(out, "{answer}")?;
    } else {
        write!(out, "{}", shown(&serde_json::from_str(&answer)?))?;
    }
    Ok(())
}

fn shown(answer: &Value) -> String {
    let mut text = String::new();
    verdict(&mut text, answer);
    let mut rules = table(&["provider", "model", "whose rule", "rule", "entry", "says"]);
    let mut has_rules = false;
    let none = Vec::new();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for said in list(&answer["address_rules"]) {
        rules.add_row(rule("", "", &said));
        has_rules = true;
    }
    for route in answer["routes"].as_array().unwrap_or(&none) {
        for said in list(&route["rules"]) {
            rules.add_row(rule(&plain(&route["provider"]), &plain(&route["model"]), &said));
            has_rules = true;
        }
    }
    if has_rules {
        let _ = writeln!(text, "\n{rules}");
    }
    let limits = list(&answer["limits"]);
    if !limits.is_empty() {
        let head = ["whose", "counts", "amount", "per", "kept", "spent", "held", "left", "resets"];
        let mut shown = table(&head);
        for limit in limits {
            let name = plain(&limit["scope_name"]);
            shown.add_row([
                format!("{} {name}", plain(&limit["scope"])),
                plain(&limit["unit"]),
                plain(&limit["amount"]),
                window(&limit["window"]),
                plain(&limit["enforcement"]),
                plain(&limit["spent"]),
                plain(&limit["held"]),
                plain(&limit["available"]),
                plain(&limit["resets_at"]),
            ]);
        }
        let _ = writeln!(text, "\n{shown}");
    }
    text
}

fn verdict(text: &mut String, answer: &Value) {
    if answer["allowed"] == true {
        let _ = writeln!(text, "Allowed.");
        if let Some(most) = answer["max_tokens"].as_u64() {
            let why = if answer["clamped"] == true { ", lowered to what fits" } else { "" };
            let _ = writeln!(text, "The provider would be told a maximum of {most} tokens{why}.");
        }
    } else {
        let refusal = &answer["refusal"];
        let (status, code) = (plain(&refusal["status"]), plain(&refusal["code"]));
        let _ = writeln!(text, "Denied: {status} {code}\n{}", plain(&refusal["message"]));
        match answer["succeeds_at"].as_str() {
            Some(at) => {
                let _ = writeln!(text, "It would succeed at {at}, if nothing else happens.");
            }
            None => {
                let _ = writeln!(text, "Waiting does not help.");
            }
        }
    }
    if let Some(wanted) = answer["wanted"].as_object() {
        let (cost, tokens) = (plain(&wanted["cost"]), plain(&wanted["tokens"]));
        let _ = writeln!(text, "At most it costs {cost} USD and uses {tokens} tokens.");
    }
}

fn rule(provider: &str, model: &str, said: &Value) -> [String; 6] {
    let says = if said["allows"] == true { "yes" } else { "no" };
    [
        provider.to_owned(),
        model.to_owned(),
        plain(&said["scope"]),
        plain(&said["rule"]),
        plain(&said["entry"]),
        says.to_owned(),
    ]
}

/// A window in few words: `day Europe/Berlin`, `60 seconds`.
fn window(window: &Value) -> String {
    let zone = window["zone"].as_str().filter(|zone| *zone != "UTC").unwrap_or_default();
    let rhythm = match window["kind"].as_str() {
        Some("calendar") => plain(&window["period"]),
        Some("every") => format!("{} {}", plain(&window["amount"]), plain(&window["unit"])),
        Some("rolling") => format!("{} seconds", plain(&window["seconds"])),
        Some(other) => other.to_owned(),
        None => String::new(),
    };
    format!("{rhythm} {zone}").trim_end().to_owned()
}

/// A value without its quotes; nothing for null.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
