//! `weir import`: takes keys and settings over from another gateway. It shows what it would do, and
//! does it with `--apply`; what is there already is left alone, so that doing it twice does nothing
//! more. What each format says is read below `import`; what can be made, the API says.

mod act;
mod bridge;
mod decimal;
mod listed;
mod litellm;
mod plan;
mod settings;
mod virtual_keys;
mod yaml;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use super::send::talk;
use super::table;
use super::verb::reaching;
use super::view::lines;
use act::{Import, Outcome, new_file};
use plan::Plan;

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

impl Import {
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
