//! `weir reconcile`: the calls whose cost nobody could tell, and their correction down to what the
//! provider's own records say. One request to the admin API for each.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use clap::{Arg, ArgMatches, Command, value_parser};
use domain::HoldId;
use http::Method;
use serde_json::value::{RawValue, to_raw_value};

use super::json::Json;
use super::send::{Asked, send, talk};
use super::verb::reaching;
use super::words;

type Members = BTreeMap<String, Box<RawValue>>;

pub(super) fn command() -> Command {
    let about = "List calls that are charged by estimate, or correct what they were charged";
    reaching(
        Command::new("reconcile").about(about).args([
            Arg::new("attempt")
                .value_name("CALL")
                .conflicts_with("file")
                .help("The call's id; without one and without --file, the calls are listed"),
            Arg::new("cost").long("cost").value_name("DOLLARS").help("What it truly cost"),
            Arg::new("tokens")
                .long("tokens")
                .value_name("N")
                .value_parser(value_parser!(i64))
                .help("How many tokens it truly used"),
            Arg::new("evidence")
                .long("evidence")
                .value_name("TEXT")
                .help("Where that is written, such as the provider's invoice or log entry"),
            Arg::new("file").long("file").value_name("FILE").help(
                "Many at once: a line of JSON for each, {\"attempt\": …, \"cost\": …, \"tokens\": …, \"evidence\": …}",
            ),
            Arg::new("most")
                .long("most")
                .value_name("N")
                .value_parser(value_parser!(u32))
                .default_value("100")
                .help("List at most so many"),
        ]),
    )
}

pub(super) fn run(matches: &ArgMatches, env: HashMap<String, String>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let as_json = matches.get_flag("json");
    let asked = match (matches.get_one::<String>("attempt"), matches.get_one::<String>("file")) {
        (Some(attempt), _) => vec![one(attempt, matches)?],
        (None, Some(file)) => from_file(Path::new(file), matches)?,
        (None, None) => {
            let most = matches.get_one::<u32>("most").copied().unwrap_or(100);
            let path = format!("/api/v1/usage/calls?evidence=estimated&limit={most}");
            let answer = send(Asked::get(path), matches, env)?;
            let text = if as_json {
                format!("{answer}\n")
            } else {
                words::estimated(&Json::read(&answer)?)
            };
            write!(out, "{text}")?;
            return Ok(());
        }
    };
    let count = asked.len();
    let mut failed: usize = 0;
    let answers: Vec<_> =
        talk(matches, env, |api| Ok(asked.into_iter().map(|one| api.ask(one)).collect()))?;
    for (at, answer) in (1..).zip(answers) {
        match answer {
            Ok(answer) if as_json => writeln!(out, "{answer}")?,
            Ok(answer) => write!(out, "{}", words::reconciled(&Json::read(&answer)?))?,
            Err(error) if count == 1 => return Err(error),
            Err(error) => {
                failed += 1;
                writeln!(std::io::stderr(), "weir: correction {at}: {error:#}")?;
            }
        }
    }
    if failed > 0 {
        bail!("{failed} of {count} corrections were not made");
    }
    Ok(())
}

fn one(attempt: &str, matches: &ArgMatches) -> anyhow::Result<Asked> {
    let mut members = Members::new();
    if let Some(cost) = matches.get_one::<String>("cost") {
        members.insert("cost".to_owned(), to_raw_value(cost)?);
    }
    if let Some(tokens) = matches.get_one::<i64>("tokens") {
        members.insert("tokens".to_owned(), to_raw_value(tokens)?);
    }
    asked(attempt, members, matches)
}

/// A line for each correction; numbers stay as they are written, digit by digit.
fn from_file(path: &Path, matches: &ArgMatches) -> anyhow::Result<Vec<Asked>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let mut all = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let read = || -> anyhow::Result<Asked> {
            let mut members: Members = serde_json::from_str(line)?;
            let attempt = members.remove("attempt").context("it names no attempt")?;
            let attempt: String = serde_json::from_str(attempt.get())?;
            asked(&attempt, members, matches)
        };
        all.push(read().with_context(|| format!("line {number} of {}", path.display()))?);
    }
    Ok(all)
}

fn asked(attempt: &str, mut members: Members, matches: &ArgMatches) -> anyhow::Result<Asked> {
    if attempt.parse::<HoldId>().is_err() {
        bail!("'{attempt}' is no call's id; `weir reconcile` lists them");
    }
    if let Some(evidence) = matches.get_one::<String>("evidence")
        && !members.contains_key("evidence")
    {
        members.insert("evidence".to_owned(), to_raw_value(evidence)?);
    }
    Ok(Asked {
        method: Method::POST,
        path: format!("/api/v1/usage/calls/{attempt}/reconcile"),
        body: Some(serde_json::to_string(&members)?),
    })
}
