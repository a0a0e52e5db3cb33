//! What a command is: one request to the admin API, and its answer for people or, with `--json`, for
//! scripts. Which commands there are is the table in `nouns`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Context as _;
use clap::{Arg, ArgAction, ArgMatches, Command};
use http::Method;
use serde_json::{Map, Value};

use super::flag::{Flag, members};
use super::json::Json;
use super::send::{Asked, send};
use super::view::{Column, facts, rows};

/// What is administered, and how.
pub(super) struct Noun {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) verbs: &'static [Verb],
}

/// One command; one without a name is what its noun does by itself. `{id}` and its like in the path are words that must be there; options become
/// parameters of a GET and members of everything else.
pub(super) struct Verb {
    name: &'static str,
    about: &'static str,
    method: &'static Method,
    path: &'static str,
    flags: &'static [&'static [Flag]],
    /// Members that are always sent, as JSON.
    fixed: &'static str,
    show: Show,
}

/// How an answer is shown.
pub(super) enum Show {
    /// Its `data`, as rows.
    Rows(&'static [Column]),
    /// Its `data` or itself, line by line, and a secret that was just made.
    Facts(&'static [Column]),
    /// In words of its own.
    Words(fn(&Json) -> String),
}

impl Verb {
    const fn new(
        name: &'static str,
        about: &'static str,
        method: &'static Method,
        path: &'static str,
        show: Show,
    ) -> Self {
        Self { name, about, method, path, flags: &[], fixed: "{}", show }
    }

    pub(super) const fn get(
        name: &'static str,
        about: &'static str,
        path: &'static str,
        show: Show,
    ) -> Self {
        Self::new(name, about, &Method::GET, path, show)
    }

    pub(super) const fn post(
        name: &'static str,
        about: &'static str,
        path: &'static str,
        show: Show,
    ) -> Self {
        Self::new(name, about, &Method::POST, path, show)
    }

    pub(super) const fn patch(
        name: &'static str,
        about: &'static str,
        path: &'static str,
        show: Show,
    ) -> Self {
        Self::new(name, about, &Method::PATCH, path, show)
    }

    pub(super) const fn put(
        name: &'static str,
        about: &'static str,
        path: &'static str,
        show: Show,
    ) -> Self {
        Self::new(name, about, &Method::PUT, path, show)
    }

    pub(super) const fn delete(
        name: &'static str,
        about: &'static str,
        path: &'static str,
        show: Show,
    ) -> Self {
        Self::new(name, about, &Method::DELETE, path, show)
    }

    pub(super) const fn with(mut self, flags: &'static [&'static [Flag]]) -> Self {
        self.flags = flags;
        self
    }

    pub(super) const fn fixed(mut self, fixed: &'static str) -> Self {
        self.fixed = fixed;
        self
    }

    /// The words of its path: `id` of `/api/v1/keys/{id}`.
    fn words(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('{').skip(1).filter_map(|rest| rest.split('}').next())
    }

    fn command(&self, name: &'static str) -> Command {
        let word = |name: &'static str| Arg::new(name).required(true);
        reaching(
            Command::new(name)
                .about(self.about)
                .args(self.words().map(word))
                .args(self.flags.iter().copied().flatten().flat_map(Flag::args)),
        )
    }

    fn asked(&self, matches: &ArgMatches, env: &HashMap<String, String>) -> anyhow::Result<Asked> {
        let mut path = self.path.to_owned();
        for name in self.words() {
            let word = matches.get_one::<String>(name).map_or("", String::as_str);
            // A model's name may have slashes, which the route knows of.
            let word =
                if name == "model" { encoded(word).replace("%2F", "/") } else { encoded(word) };
            path = path.replace(&format!("{{{name}}}"), &word);
        }
        let mut said: Map<String, Value> = serde_json::from_str(self.fixed)?;
        said.extend(members(self.flags, matches, env)?);
        let method = self.method.clone();
        if *self.method == Method::POST
            || *self.method == Method::PATCH
            || *self.method == Method::PUT
        {
            return Ok(Asked { method, path, body: Some(Value::Object(said).to_string()) });
        }
        let mut mark = '?';
        for (name, value) in said {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = write!(path, "{mark}{name}={}", encoded(&text));
            mark = '&';
        }
        Ok(Asked { method, path, body: None })
    }

    fn shown(&self, answer: &Json) -> String {
        match &self.show {
            Show::Words(words) => words(answer),
            Show::Rows(columns) => {
                let mut text = rows(&answer.at("data").items(), columns);
                if let Some(token) = answer.at("next_page_token").text() {
                    let _ = write!(
                        text,
                        "\nThere are more: ask for a larger --page-size, or --page-token {token}\n"
                    );
                }
                text
            }
            Show::Facts(columns) => {
                let data = answer.at("data");
                let mut text = facts(if data.is_nothing() { answer } else { &data }, columns);
                if let Some(secret) = answer.at("key").text() {
                    let _ = write!(text, "\nThe secret, shown this once:\n\n{secret}\n");
                }
                text
            }
        }
    }

    fn run(&self, matches: &ArgMatches, env: HashMap<String, String>) -> anyhow::Result<()> {
        let answer = send(self.asked(matches, &env)?, matches, env)?;
        let mut out = std::io::stdout().lock();
        if matches.get_flag("json") {
            writeln!(out, "{answer}")?;
        } else {
            write!(out, "{}", self.shown(&Json::read(&answer)?))?;
        }
        Ok(())
    }
}

impl Noun {
    pub(super) fn command(&self) -> Command {
        let named = self.verbs.iter().filter(|verb| !verb.name.is_empty());
        let named: Vec<_> = named.map(|verb| verb.command(verb.name)).collect();
        let command = match self.by_itself() {
            Some(verb) => verb.command(self.name).args_conflicts_with_subcommands(true),
            None => Command::new(self.name).subcommand_required(true).arg_required_else_help(true),
        };
        command.about(self.about).subcommands(named)
    }

    fn by_itself(&self) -> Option<&Verb> {
        self.verbs.iter().find(|verb| verb.name.is_empty())
    }

    pub(super) fn run(
        &self,
        matches: &ArgMatches,
        env: HashMap<String, String>,
    ) -> anyhow::Result<()> {
        let (verb, matches) = match matches.subcommand() {
            Some((name, matches)) => (self.verbs.iter().find(|verb| verb.name == name), matches),
            None => (self.by_itself(), matches),
        };
        verb.context("there is no such command")?.run(matches, env)
    }
}

/// `command` with what says which Weir is meant and how its answer is wanted.
pub(super) fn reaching(command: Command) -> Command {
    command.args(super::setting_args(|name| matches!(name, "data" | "listen"))).args([
        Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print the API's own JSON"),
        Arg::new("server")
            .long("server")
            .value_name("URL")
            .env("WEIR_SERVER")
            .help("A running Weir elsewhere; needs PROXY_MASTER_KEY"),
    ])
}

/// `text` as it may stand in a URL.
pub(super) fn encoded(text: &str) -> String {
    let mut url = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}
