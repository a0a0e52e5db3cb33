//! Shapes of what clients send, as JSON Schema: the words that pages of routes describe their bodies
//! and queries with. What is answered describes itself, by its type; a test holds these to what
//! [`crate::surface::fields`] really asks for.

use serde_json::{Map, Value, json};

/// The members of an object, or the parameters of a query.
#[derive(Clone, Debug, Default)]
pub(super) struct Members(Vec<Member>);

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
    pub shape: Value,
    pub required: bool,
}

impl Members {
    /// One that has to be there.
    #[must_use]
    pub(super) fn required(
        mut self,
        name: &'static str,
        shape: Value,
        about: &'static str,
    ) -> Self {
        self.0.push(Member { name, about, shape, required: true });
        self
    }

    /// One that may be left out.
    #[must_use]
    pub(super) fn optional(
        mut self,
        name: &'static str,
        shape: Value,
        about: &'static str,
    ) -> Self {
        self.0.push(Member { name, about, shape, required: false });
        self
    }

    /// All of the others, too.
    #[must_use]
    pub(super) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The same, each of which may be left out: for changes.
    #[must_use]
    pub(super) fn all_optional(mut self) -> Self {
        for member in &mut self.0 {
            member.required = false;
        }
        self
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.0.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object that has these members and no others. `null` is the same as leaving out, or takes
    /// away what is there.
    pub(super) fn object(&self) -> Value {
        let mut properties = Map::new();
        for member in &self.0 {
            let mut shape =
                if member.required { member.shape.clone() } else { nullable(&member.shape) };
            if let Some(shape) = shape.as_object_mut() {
                shape.insert("description".to_owned(), json!(member.about));
            }
            properties.insert(member.name.to_owned(), shape);
        }
        let required: Vec<_> =
            self.0.iter().filter(|member| member.required).map(|member| member.name).collect();
        let mut object =
            json!({"type": "object", "properties": properties, "additionalProperties": false});
        if !required.is_empty() {
            object["required"] = json!(required);
        }
        object
    }
}

fn nullable(shape: &Value) -> Value {
    let mut shape = shape.clone();
    match shape.get("type").cloned() {
        Some(Value::String(kind)) => {
            shape["type"] = json!([kind, "null"]);
            if let Some(words) = shape.get_mut("enum").and_then(Value::as_array_mut) {
                words.push(Value::Null);
            }
            shape
        }
        _ => json!({"anyOf": [shape, {"type": "null"}]}),
    }
}

/// A label for people.
pub(super) fn label() -> Value {
    text(200)
}

/// A text for people: at least one character that is not a space, and no control characters.
pub(super) fn text(most: usize) -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": most, "pattern": PLAIN})
}

/// One character that is no space, and none that is a control character or turns the text around.
const PLAIN: &str = r"^[^\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]*[^\s\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\u0085\ufeff][^\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]*$";

/// One of these words.
pub(super) fn words(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

/// Any text.
pub(super) fn string() -> Value {
    json!({"type": "string"})
}

/// True or false.
pub(super) fn boolean() -> Value {
    json!({"type": "boolean"})
}

/// A whole number.
pub(super) fn whole(least: i64, most: i64) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": most})
}

/// An amount that is counted.
pub(super) fn count() -> Value {
    whole(0, i64::MAX)
}

/// A moment in RFC 3339, with its zone.
pub(super) fn moment() -> Value {
    json!({"type": "string", "format": "date-time", "examples": ["2027-12-31T23:59:59Z"]})
}

/// A moment, or a date: its UTC midnight.
pub(super) fn moment_or_date() -> Value {
    json!({"anyOf": [
        {"type": "string", "format": "date", "examples": ["2026-11-01"]},
        {"type": "string", "format": "date-time", "examples": ["2026-11-01T00:00:00Z"]},
    ]})
}

/// The name of a model or a provider, or a pattern with `*`.
pub(super) fn pattern(example: &str) -> Value {
    json!({"type": "string", "pattern": "^[!-~]{1,256}$", "examples": [example]})
}

/// An address, or a network.
pub(super) fn address() -> Value {
    json!({"anyOf": [
        {"type": "string", "format": "ipv4", "examples": ["203.0.113.7"]},
        {"type": "string", "format": "ipv6", "examples": ["2001:db8::1"]},
        {"type": "string", "pattern": NETWORK, "examples": ["10.0.0.0/8"]},
    ]})
}

/// Those of whole bytes, of IPv4: what others there are is written in words.
const NETWORK: &str = r"^(([1-9]?[0-9])\.0\.0\.0/8|([1-9]?[0-9])\.([1-9]?[0-9])\.0\.0/16|([1-9]?[0-9]\.){3}0/24|2001:db8::/32)$";

/// A secret of somebody's own choice.
pub(super) fn secret() -> Value {
    json!({"type": "string", "pattern": "^[!-~]{8,512}$", "format": "password"})
}

/// A SHA-256 in hexadecimal.
pub(super) fn digest() -> Value {
    json!({"type": "string", "pattern": "^[0-9A-Fa-f]{64}$"})
}

/// Dollars: a number, or a text with a decimal number.
pub(super) fn dollars() -> Value {
    json!({"anyOf": [
        {"type": "number", "minimum": 0, "maximum": 9_223_372_036_i64, "multipleOf": 0.000_001},
        {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})?$"},
    ]})
}

/// Dollars per million tokens, in the same way.
pub(super) fn price() -> Value {
    json!({"anyOf": [
        {"type": "number", "minimum": 0, "maximum": 9_223_372_036_i64, "multipleOf": 0.000_001},
        {"type": "string", "pattern": r"^[0-9]{1,6}(\.[0-9]{1,6})?$"},
    ]})
}

/// A list.
pub(super) fn list(of: &Value, most: usize) -> Value {
    json!({"type": "array", "items": of, "maxItems": most})
}

/// The id of something, by its prefix.
pub(super) fn id(prefix: &str) -> Value {
    json!({"type": "string", "pattern": format!("^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$")})
}
