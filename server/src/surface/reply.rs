//! Answers in JSON. Money leaves as a plain decimal number, exactly as it is kept.

use std::borrow::Cow;

use domain::Money;
use http::{HeaderValue, Response, StatusCode, header};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::call::{Answer, OutBody};

/// An answer with `body` as JSON.
pub fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    // Our own types serialize: they have no maps with odd keys and nothing that can fail.
    let text = serde_json::to_string(body).unwrap_or_else(|_| "null".to_owned());
    let mut answer = Response::new(OutBody::full(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Dollars as a JSON number, without a float on the way.
#[derive(Clone, Copy, Debug)]
pub struct Dollars(pub Money);

impl Serialize for Dollars {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number =
            RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?;
        number.serialize(serializer)
    }
}

impl JsonSchema for Dollars {
    fn schema_name() -> Cow<'static, str> {
        "dollars".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number", "description": "Dollars."})
    }
}

/// How many, by name: the shape of answers that are maps.
pub fn counts_by_name(about: &str) -> Schema {
    json_schema!({
        "type": "object",
        "description": about,
        "additionalProperties": {"type": "integer", "minimum": 0},
    })
}
