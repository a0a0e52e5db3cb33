//! An option of the command line, and the member of the API that it becomes. Whether a value makes sense is for the API to say.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, ArgMatches};
use serde_json::{Map, Value, json};

/// How an option's text becomes a member; `none` becomes null, or an empty list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word without a name before it, that must be there.
    Word,
    Text,
    Number,
    /// Separated by commas.
    List,
    /// An option without a value: true.
    Yes,
    /// `10 per 6 hours`.
    Recurring,
    /// `3`, or `3/15` for input and output.
    Price,
    /// A prompt, as the one message of a chat.
    Message,
    /// Read from standard input, or from a variable; never an argument, which others can see.
    Secret,
    /// The same, where it must be there.
    NeededSecret,
}

/// One option.
pub(super) struct Flag {
    name: &'static str,
    pub(super) member: &'static str,
    kind: Kind,
    value: &'static str,
    help: &'static str,
}

pub(super) const fn flag(
    name: &'static str,
    member: &'static str,
    kind: Kind,
    value: &'static str,
    help: &'static str,
) -> Flag {
    Flag { name, member, kind, value, help }
}

impl Flag {
    pub(super) fn args(&self) -> Vec<Arg> {
        let arg = Arg::new(self.name).help(self.help).value_name(self.value);
        match self.kind {
            Kind::Word => vec![arg.required(true)],
            Kind::Yes => {
                vec![Arg::new(self.name).long(self.name).help(self.help).action(ArgAction::SetTrue)]
            }
            Kind::List => {
                vec![arg.long(self.name).value_delimiter(',').action(ArgAction::Append)]
            }
            Kind::Text | Kind::Number | Kind::Recurring | Kind::Price | Kind::Message => {
                vec![arg.long(self.name).allow_hyphen_values(true)]
            }
            Kind::Secret | Kind::NeededSecret => vec![
                Arg::new("secret-stdin")
                    .long("secret-stdin")
                    .action(ArgAction::SetTrue)
                    .help(self.help),
                Arg::new("secret-env")
                    .long("secret-env")
                    .value_name("VARIABLE")
                    .conflicts_with("secret-stdin")
                    .help("Read the secret from this variable of the environment"),
            ],
        }
    }

    /// The member's value, where something was said.
    pub(super) fn read(
        &self,
        matches: &ArgMatches,
        env: &HashMap<String, String>,
    ) -> anyhow::Result<Option<Value>> {
        match self.kind {
            Kind::Yes => return Ok(matches.get_flag(self.name).then_some(Value::Bool(true))),
            Kind::List => {
                let names = matches.get_many::<String>(self.name);
                let list = names.map(|names| names.filter(|name| *name != "none").collect());
                return Ok(list.map(|names: Vec<_>| json!(names)));
            }
            Kind::Secret | Kind::NeededSecret => {
                return Ok(secret(self.kind, matches, env)?.map(Value::String));
            }
            Kind::Word
            | Kind::Text
            | Kind::Number
            | Kind::Recurring
            | Kind::Price
            | Kind::Message => {}
        }
        let Some(text) = matches.get_one::<String>(self.name) else { return Ok(None) };
        if text == "none" && self.kind != Kind::Word {
            return Ok(Some(Value::Null));
        }
        Ok(Some(match self.kind {
            // What is no number goes as it is: the API says what is wrong with it.
            Kind::Number => {
                text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
            }
            Kind::Recurring => recurring(text)?,
            Kind::Price => match text.split_once('/') {
                Some((input, output)) => json!({"input": input.trim(), "output": output.trim()}),
                None => json!(text),
            },
            Kind::Message => json!([{ "role": "user", "content": text }]),
            Kind::Word
            | Kind::Text
            | Kind::Yes
            | Kind::List
            | Kind::Secret
            | Kind::NeededSecret => json!(text),
        }))
    }
}

/// What the options say, as members.
pub(super) fn members(
    flags: &[&[Flag]],
    matches: &ArgMatches,
    env: &HashMap<String, String>,
) -> anyhow::Result<Map<String, Value>> {
    let mut body = Map::new();
    for flag in flags.iter().copied().flatten() {
        if let Some(value) = flag.read(matches, env)? {
            body.insert(flag.member.to_owned(), value);
        }
    }
    Ok(body)
}

/// `10 per 6 hours`, `10 per month`.
fn recurring(text: &str) -> anyhow::Result<Value> {
    let words: Vec<_> = text.split_whitespace().collect();
    let (amount, every, unit) = match words.as_slice() {
        [amount, "per", unit] => (amount, "1", unit),
        [amount, "per", every, unit] => (amount, *every, unit),
        _ => bail!("'{text}' is no recurring limit; say, for example, \"10 per 6 hours\""),
    };
    let every: u32 = every.parse().with_context(|| format!("'{every}' is no whole number"))?;
    let amount = amount.trim_start_matches('$');
    Ok(json!({"amount": amount, "every": every, "unit": unit.trim_end_matches('s')}))
}

fn secret(
    kind: Kind,
    matches: &ArgMatches,
    env: &HashMap<String, String>,
) -> anyhow::Result<Option<String>> {
    if let Some(name) = matches.get_one::<String>("secret-env") {
        let secret = env.get(name).with_context(|| format!("{name} is not set"))?;
        return Ok(Some(secret.clone()));
    }
    if kind == Kind::Secret && !matches.get_flag("secret-stdin") {
        return Ok(None);
    }
    let mut text = String::new();
    std::io::stdin().read_line(&mut text).context("the secret could not be read")?;
    let secret = text.trim();
    if secret.is_empty() {
        bail!("there is no secret on standard input");
    }
    Ok(Some(secret.to_owned()))
}
