//! `weir import`: takes keys and settings over from another gateway. It shows what it would do, and
//! does it with `--apply`; what is there already is left alone, so that doing it twice does nothing
//! more. What each format says is read below `import`; what can be made, the API says.

mod bridge;
mod decimal;
mod listed;
mod litellm;
mod plan;
mod virtual_keys;
mod yaml;

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::json::Json;
use super::send::{Answered, Api, Asked, talk};
use super::table;
use super::verb::{encoded, reaching};
use super::view::lines;
use plan::{Key, Kind, Plan, Thing};

pub(super) fn command() -> Command {
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    let file = |help: &'static str| Arg::new("file").required(true).value_name("FILE").help(help);
    let path = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("FILE").help(help)
    };
    let kind = |name: &'static str, about: &'static str| {
        reaching(Command::new(name).about(about).args([
            switch("apply", "Do it, instead of showing what would be done"),
            switch("force", "Take names in rules as they are, known or not"),
        ]))
    };
    Command::new("import")
        .about("Take keys and settings over from another gateway")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            kind("bridge", "The keys of a bridge's config.json, with their secrets")
                .arg(file("The config.json")),
            kind("keys", "The list of a keys API (OpenRouter's and its like), with new secrets")
                .arg(file("The answer of its GET /keys"))
                .arg(path("secrets", "Write the new secrets to this new file instead of printing them")),
            kind("litellm", "LiteLLM's configuration, and its virtual keys").args([
                file("The config.yaml"),
                path("keys", "What its /key/list?return_full_object=true answers, or rows of LiteLLM_VerificationToken as JSON"),
                path("write", "Write the settings to this new file instead of printing them"),
            ]),
        ])
}

/// What became of a thing, or would.
enum Outcome {
    Make,
    Exists,
    Cannot(String),
}

pub(super) fn run(matches: &ArgMatches, env: HashMap<String, String>) -> anyhow::Result<()> {
    let (kind, matches) = matches.subcommand().context("nothing was asked for")?;
    let given = |name: &str| matches.try_get_one::<String>(name).ok().flatten();
    let text = read(given("file").context("there is no file")?)?;
    let plan = match kind {
        "bridge" => bridge::plan(&text)?,
        "keys" => listed::plan(&text)?,
        _ => {
            let (mut plan, names) = litellm::plan(&text)?;
            if let Some(keys) = given("keys") {
                virtual_keys::add(&mut plan, &read(keys)?, &names)?;
            }
            plan
        }
    };
    let mut import = Import {
        apply: matches.get_flag("apply"),
        force: matches.get_flag("force"),
        names: None,
        secrets: Vec::new(),
        file: None,
        outcomes: Vec::new(),
    };
    if let Some(path) = given("secrets").filter(|_| import.apply) {
        import.file = Some(new_file(path)?);
    }
    let path = given("write").map(String::as_str);
    let wanted = plan.settings.as_deref().zip(path);
    let written = wanted.map(|(text, path)| import.settings(text, path)).transpose()?;
    let done = if plan.things.is_empty() {
        Ok(())
    } else {
        talk(matches, env, |api| {
            plan.things.iter().try_for_each(|thing| {
                let outcome = import.thing(api, thing)?;
                import.outcomes.push(outcome);
                Ok(())
            })
        })
    };
    // Whatever broke: what was made is told, and its secrets are not lost.
    let text = if matches.get_flag("json") {
        format!("{}\n", import.as_json(&plan, written.as_ref()))
    } else {
        import.as_text(&plan, path.zip(written.as_ref()))
    };
    write!(std::io::stdout().lock(), "{text}")?;
    done?;
    let failed = import.count(|outcome| matches!(outcome, Outcome::Cannot(_)));
    if import.apply && failed > 0 {
        bail!("{failed} of {} could not be made", import.outcomes.len());
    }
    Ok(())
}

fn read(path: &str) -> anyhow::Result<String> {
    let size = std::fs::metadata(path).with_context(|| format!("{path} cannot be read"))?.len();
    if size > yaml::BYTES_MAX as u64 {
        bail!("{path} is larger than {} MB", yaml::BYTES_MAX >> 20);
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("{path} cannot be read"))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

/// A file that was not there, for nobody else's eyes.
fn new_file(path: &str) -> anyhow::Result<File> {
    let options = OpenOptions::new().write(true).create_new(true).mode(0o600).to_owned();
    options.open(Path::new(path)).with_context(|| format!("{path} cannot be made"))
}

/// An import on its way.
struct Import {
    apply: bool,
    force: bool,
    /// Names of keys that are there, where they were asked for.
    names: Option<BTreeSet<String>>,
    /// Names of new keys and their secrets.
    secrets: Vec<(String, String)>,
    /// Where those go.
    file: Option<File>,
    /// Of as many things as were looked at.
    outcomes: Vec<Outcome>,
}

impl Import {
    fn count(&self, of: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| of(outcome)).count()
    }

    /// Writes the settings file, where one is wanted.
    fn settings(&self, text: &str, path: &str) -> anyhow::Result<Outcome> {
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

    fn thing(&mut self, api: &Api, thing: &Thing) -> anyhow::Result<Outcome> {
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

    fn word(&self, outcome: &Outcome) -> &'static str {
        match (outcome, self.apply) {
            (Outcome::Make, false) => "create",
            (Outcome::Make, true) => "made",
            (Outcome::Exists, _) => "exists already",
            (Outcome::Cannot(_), _) => "cannot",
        }
    }

    /// For people; `written` is the settings file that was wanted, and what became of it.
    fn as_text(&self, plan: &Plan, written: Option<(&str, &Outcome)>) -> String {
        let mut rows = table(&["what", "name", "", "about"]);
        let mut count = 0;
        if let Some((path, outcome)) = written {
            rows.add_row(["settings", path, self.word(outcome), why(outcome, "")]);
            count += 1;
        }
        for (thing, outcome) in plan.things.iter().zip(&self.outcomes) {
            let (what, name) = (thing.kind.name(), thing.name.as_str());
            rows.add_row([what, name, self.word(outcome), why(outcome, &thing.about)]);
            count += 1;
        }
        let mut text = String::new();
        if count > 0 {
            text.push_str(&lines(&rows, 0));
        }
        if !plan.left.is_empty() {
            text.push_str("\nNot taken over:\n");
            for line in &plan.left {
                let _ = writeln!(text, "  {line}");
            }
        }
        if let (Some(settings), None) = (&plan.settings, written) {
            let _ = write!(text, "\nFor the settings file (--write FILE writes it):\n\n{settings}");
        }
        if !self.secrets.is_empty() {
            text.push_str("\nThe new secrets, shown this once:\n\n");
            for (name, secret) in &self.secrets {
                let _ = writeln!(text, "{name}\t{secret}");
            }
        }
        let of = |word: &str| {
            let outcomes = self.outcomes.iter().chain(written.map(|(_, outcome)| outcome));
            outcomes.filter(|outcome| self.word(outcome) == word).count()
        };
        let (exist, cannot) = (of("exists already"), of("cannot"));
        let _ = if self.apply {
            let made = of("made");
            writeln!(text, "\n{made} made, {exist} existed already, {cannot} could not be made.")
        } else {
            let create = of("create");
            writeln!(
                text,
                "\n{create} to create, {exist} exist already, {cannot} cannot be made. Nothing was changed; --apply does it."
            )
        };
        text
    }

    fn as_json(&self, plan: &Plan, written: Option<&Outcome>) -> Value {
        let things: Vec<_> = plan
            .things
            .iter()
            .zip(&self.outcomes)
            .map(|(thing, outcome)| {
                json!({"what": thing.kind.name(), "name": thing.name, "outcome": self.word(outcome), "about": why(outcome, &thing.about)})
            })
            .collect();
        let secrets: Vec<_> = self
            .secrets
            .iter()
            .map(|(name, secret)| json!({"name": name, "secret": secret}))
            .collect();
        json!({
            "things": things,
            "not_taken_over": plan.left,
            "settings": plan.settings,
            "settings_file": written.map(|outcome| self.word(outcome)),
            "secrets": secrets,
        })
    }
}

/// Why it cannot be, or what it is about.
fn why<'a>(outcome: &'a Outcome, about: &'a str) -> &'a str {
    match outcome {
        Outcome::Cannot(why) => why,
        Outcome::Make | Outcome::Exists => about,
    }
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

/// The names of all keys.
fn names(api: &Api) -> anyhow::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut path = "/api/v1/keys?page_size=100".to_owned();
    loop {
        let page = Json::read(&api.ask(Asked::get(path))?)?;
        names.extend(page.at("data").items().iter().filter_map(|key| key.at("name").text()));
        let Some(token) = page.at("next_page_token").text() else { return Ok(names) };
        path = format!("/api/v1/keys?page_size=100&page_token={}", encoded(&token));
    }
}
