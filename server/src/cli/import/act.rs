//! Making what a plan asks for, thing by thing, or only asking the API whether it could be made.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::plan::{Key, Kind, Thing};
use crate::cli::json::Json;
use crate::cli::send::{Answered, Api, Asked};
use crate::cli::verb::encoded;

/// What became of a thing, or would.
pub(super) enum Outcome {
    Make,
    Exists,
    Cannot(String),
}

/// An import on its way.
pub(super) struct Import {
    pub(super) apply: bool,
    pub(super) force: bool,
    /// Names of keys that are there, where they were asked for.
    pub(super) names: Option<BTreeSet<String>>,
    /// Names of new keys and their secrets.
    pub(super) secrets: Vec<(String, String)>,
    /// Where those go.
    pub(super) file: Option<File>,
    /// Of as many things as were looked at.
    pub(super) outcomes: Vec<Outcome>,
}

impl Import {
    pub(super) fn count(&self, of: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| of(outcome)).count()
    }

    /// Writes the settings file, where one is wanted.
    pub(super) fn settings(&self, text: &str, path: &str) -> anyhow::Result<Outcome> {
        match std::fs::read_to_string(path) {
            Ok(there) if there == text => Ok(Outcome::Exists),
            Ok(_) => {
                Ok(Outcome::Cannot(format!("there is another {path}; put them together by hand")))
            }
            Err(_) if !self.apply => Ok(Outcome::Make),
            Err(_) => {
                new_file(path)?.write_all(text.as_bytes())?;
                Ok(Outcome::Make)
            }
        }
    }

    pub(super) fn thing(&mut self, api: &Api, thing: &Thing) -> anyhow::Result<Outcome> {
        match &thing.kind {
            Kind::Cannot(_, why) => Ok(Outcome::Cannot(why.clone())),
            Kind::Team => self.owner(api, "teams", "name", thing, None),
            Kind::User(team) => self.owner(api, "users", "external_id", thing, team.as_deref()),
            Kind::Instance => self.instance(api, thing),
            Kind::Key(key) => self.key(api, thing, key),
        }
    }

    fn owner(
        &self,
        api: &Api,
        list: &str,
        member: &str,
        thing: &Thing,
        team: Option<&str>,
    ) -> anyhow::Result<Outcome> {
        if id_of(api, list, member, &thing.name)?.is_some() {
            return Ok(Outcome::Exists);
        }
        if !self.apply {
            return Ok(Outcome::Make);
        }
        let mut body = thing.body.clone();
        if let Some(team) = team {
            body.insert("team_id".to_owned(), json!(id_of(api, "teams", "name", team)?));
        }
        let body = Some(Value::Object(body).to_string());
        let path = format!("/api/v1/{list}");
        Ok(outcome(&api.try_ask(Asked { method: Method::POST, path, body })?))
    }

    fn instance(&self, api: &Api, thing: &Thing) -> anyhow::Result<Outcome> {
        let path = "/api/v1/instance";
        let there = Json::read(&api.ask(Asked::get(path))?)?;
        let set = ["limit", "recurring_limit"].map(|name| there.at(name));
        if set.iter().any(|limit| !limit.is_nothing()) {
            let said = |name: &str| thing.body.get(name).and_then(Value::as_str).map(str::to_owned);
            let is_same = there.at("limit").text() == said("limit")
                && there.at("limit_reset").text() == said("limit_reset")
                && thing.body.get("recurring_limit").is_none_or(|limit| {
                    let member = |name: &str| {
                        limit.get(name).map(|value| match value.as_str() {
                            Some(text) => text.to_owned(),
                            None => value.to_string(),
                        })
                    };
                    let at = there.at("recurring_limit");
                    ["amount", "every", "unit"]
                        .iter()
                        .all(|name| at.at(name).text() == member(name))
                });
            let other = || Outcome::Cannot("it has another limit already".to_owned());
            return Ok(if is_same { Outcome::Exists } else { other() });
        }
        if !self.apply {
            return Ok(Outcome::Make);
        }
        let body = Some(Value::Object(thing.body.clone()).to_string());
        let asked = Asked { method: Method::PATCH, path: path.to_owned(), body };
        Ok(outcome(&api.try_ask(asked)?))
    }

    fn key(&mut self, api: &Api, thing: &Thing, key: &Key) -> anyhow::Result<Outcome> {
        if key.is_new {
            if self.names.is_none() {
                self.names = Some(names(api)?);
            }
            if self.names.as_ref().is_some_and(|names| names.contains(&thing.name)) {
                return Ok(Outcome::Exists);
            }
        }
        let mut body = thing.body.clone();
        if self.force {
            body.insert("force".to_owned(), Value::Bool(true));
        }
        if !self.apply {
            body.insert("dry_run".to_owned(), Value::Bool(true));
        }
        // Before anything is made, they need not be there.
        let homes = [
            ("user_id", "users", "external_id", &key.user),
            ("team_id", "teams", "name", &key.team),
        ];
        for (member, list, named, name) in homes {
            if let Some(name) = name.as_ref().filter(|_| self.apply) {
                let Some(id) = id_of(api, list, named, name)? else {
                    return Ok(Outcome::Cannot(format!("there is no {name:.60} among the {list}")));
                };
                body.insert(member.to_owned(), json!(id));
            }
        }
        let body = Some(Value::Object(body).to_string());
        let path = "/api/v1/keys".to_owned();
        let answered = api.try_ask(Asked { method: Method::POST, path, body })?;
        if key.is_new && answered.status == StatusCode::CREATED {
            let secret = Json::read(&answered.text)?.at("key").text().unwrap_or_default();
            match &mut self.file {
                Some(file) => writeln!(file, "{}\t{secret}", thing.name)?,
                None => self.secrets.push((thing.name.clone(), secret)),
            }
        }
        Ok(outcome(&answered))
    }
}

/// A file that was not there, for nobody else's eyes.
pub(super) fn new_file(path: &str) -> anyhow::Result<File> {
    let options = OpenOptions::new().write(true).create_new(true).mode(0o600).to_owned();
    options.open(Path::new(path)).with_context(|| format!("{path} cannot be made"))
}

fn outcome(answered: &Answered) -> Outcome {
    match answered.status {
        status if status.is_success() => Outcome::Make,
        // The secret, or a user's name, is somebody's already.
        StatusCode::CONFLICT if answered.code().as_deref() == Some("conflict") => Outcome::Exists,
        _ => Outcome::Cannot(answered.refusal()),
    }
}

/// The id of what has this very name.
fn id_of(api: &Api, list: &str, member: &str, name: &str) -> anyhow::Result<Option<String>> {
    let answer = api.ask(Asked::get(format!("/api/v1/{list}?{member}={}", encoded(name))))?;
    let list = Json::read(&answer)?.at("data").items();
    let found = list.iter().find(|thing| thing.at(member).text().as_deref() == Some(name));
    Ok(found.and_then(|thing| thing.at("id").text()))
}

/// The names of all keys, ended ones among them: what somebody ended here is not made again.
fn names(api: &Api) -> anyhow::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut path = "/api/v1/keys?include_revoked=true&page_size=100".to_owned();
    loop {
        let page = Json::read(&api.ask(Asked::get(path))?)?;
        names.extend(page.at("data").items().iter().filter_map(|key| key.at("name").text()));
        let Some(token) = page.at("next_page_token").text() else { return Ok(names) };
        path = format!(
            "/api/v1/keys?include_revoked=true&page_size=100&page_token={}",
            encoded(&token)
        );
    }
}
