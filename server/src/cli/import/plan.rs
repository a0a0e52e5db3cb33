//! What an import would do, thing by thing, before anybody is asked whether it can be done.

use serde_json::{Map, Value, json};

use super::decimal::shifted;
use crate::cli::json::Json;
use crate::cli::view::step;

/// All that a file asks for.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) things: Vec<Thing>,
    /// What is not taken over, line by line.
    pub(super) left: Vec<String>,
    /// What belongs into the settings file.
    pub(super) settings: Option<String>,
}

/// One thing to make.
pub(super) struct Thing {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// The body of the request that makes it.
    pub(super) body: Map<String, Value>,
    /// In few words.
    pub(super) about: String,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Team,
    /// And the name of their team.
    User(Option<String>),
    Key(Key),
    /// The limit of everything.
    Instance,
    /// Why it cannot be made.
    Cannot(&'static str, String),
}

/// What there is to know of a key beside its body.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Key {
    /// It gets a new secret, so that only its name tells whether it exists already.
    pub(super) is_new: bool,
    /// The names of its user and its team.
    pub(super) user: Option<String>,
    pub(super) team: Option<String>,
}

impl Kind {
    /// What people call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::User(_) => "user",
            Self::Key(_) => "key",
            Self::Instance => "instance",
            Self::Cannot(name, _) => name,
        }
    }
}

impl Plan {
    /// A key that cannot be taken over.
    pub(super) fn cannot(&mut self, name: impl Into<String>, why: impl Into<String>) {
        self.things.push(Thing {
            kind: Kind::Cannot("key", why.into()),
            name: name.into(),
            body: Map::new(),
            about: String::new(),
        });
    }

    /// A key to make of `body`.
    pub(super) fn key(&mut self, key: Key, body: Map<String, Value>, more: &str) {
        let name = body.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let about = [summary(&body), more.to_owned()];
        let about: Vec<_> = about.into_iter().filter(|part| !part.is_empty()).collect();
        let about = about.join(", ");
        self.things.push(Thing { kind: Kind::Key(key), name, body, about });
    }

    /// Tells what a key has spent elsewhere, where it has.
    pub(super) fn leave_spent(&mut self, key: &str, spent: &Json) {
        if let Some(Value::String(spent)) = dollars(spent).filter(|_| !spent.is_empty()) {
            let what = format!("${spent} spent there, which counts against no limit here");
            self.leave(&format!("key {key}"), &what);
        }
    }

    /// Tells that `what` of `whose` is not taken over.
    pub(super) fn leave(&mut self, whose: &str, what: &str) {
        self.left.push(format!("{whose}: {what}"));
    }
}

/// The members of `body` that people want to see, in few words.
pub(super) fn summary(body: &Map<String, Value>) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut parts = Vec::new();
    if let Some(limit) = body.get("limit") {
        let reset = body.get("limit_reset").map(|reset| format!(" {}", text(reset)));
        parts.push(format!("${}{}", text(limit), reset.unwrap_or_default()));
    }
    if let Some(limit) = body.get("recurring_limit") {
        let of = |name: &str| limit.get(name).map(text).unwrap_or_default();
        parts.push(format!("${} per {}", of("amount"), step(&of("every"), &of("unit"))));
    }
    if let Some(limits) = body.get("limits").and_then(Value::as_array) {
        parts.push(format!("{} limits", limits.len()));
    }
    for (name, unit) in [
        ("rpm", "requests/min"),
        ("tpm_limit", "tokens/min"),
        ("daily_token_limit", "tokens/day"),
        ("max_parallel", "in flight"),
    ] {
        if let Some(count) = body.get(name) {
            parts.push(format!("{} {unit}", text(count)));
        }
    }
    for (name, word) in [("allowed_models", "models"), ("allowed_providers", "providers")] {
        if let Some(names) = body.get(name).and_then(Value::as_array) {
            let names: Vec<_> = names.iter().map(text).collect();
            parts.push(format!("{word} {}", names.join(" ")));
        }
    }
    if body.get("disabled") == Some(&Value::Bool(true)) {
        parts.push("disabled".to_owned());
    }
    parts.join(", ")
}

/// A number as it is written: never through a float.
pub(super) fn number(value: &Json) -> Value {
    let text = value.text().unwrap_or_default();
    text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
}

/// Dollars, as decimal text.
pub(super) fn dollars(value: &Json) -> Option<Value> {
    Some(json!(shifted(&value.text()?, 0)?))
}

/// A moment of which some programs do not write that it is UTC.
pub(super) fn moment(text: &str) -> String {
    let text = text.trim().replacen(' ', "T", 1);
    let clock = text.split_once('T').map_or("", |(_, clock)| clock);
    match (clock.is_empty(), clock.contains(['Z', 'z', '+', '-'])) {
        (true, _) => format!("{text}T00:00:00Z"),
        (false, true) => text,
        (false, false) => format!("{text}Z"),
    }
}
