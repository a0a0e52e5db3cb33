//! A value that fits a simple JSON schema: for structured answers and for tool arguments.

use serde_json::{Map, Value, json};

/// The smallest sensible value that fits `schema`; unknown shapes get a string.
pub fn instance(schema: &Value, words: &[String]) -> Value {
    fit(schema, schema, words, 0)
}

fn fit(schema: &Value, root: &Value, words: &[String], depth: usize) -> Value {
    let word = || words.get(depth % words.len().max(1)).map_or("ok", |word| word.trim());
    if depth > 16 {
        return Value::Null;
    }
    if let Some(path) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(path.trim_start_matches('#')).unwrap_or(&Value::Null);
        return fit(target, root, words, depth + 1);
    }
    if let Some(value) = schema.get("const").or_else(|| schema.pointer("/enum/0")) {
        return value.clone();
    }
    for several in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema.get(several).and_then(|list| list.get(0)) {
            return fit(first, root, words, depth + 1);
        }
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        Some(kind) => kind.as_str(),
        None if schema.get("properties").is_some() => Some("object"),
        None => None,
    };
    match kind {
        Some("object") => object(schema, root, words, depth),
        Some("array") => {
            let item = fit(schema.get("items").unwrap_or(&Value::Null), root, words, depth + 1);
            let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).max(1);
            (0..least).map(|_| item.clone()).collect()
        }
        Some("integer") => schema.get("minimum").cloned().unwrap_or_else(|| json!(7)),
        Some("number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(7.5)),
        Some("boolean") => Value::Bool(true),
        Some("null") => Value::Null,
        _ => {
            let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or(0);
            let mut text = word().to_owned();
            while (text.chars().count() as u64) < least {
                text.push('x');
            }
            text.into()
        }
    }
}

fn object(schema: &Value, root: &Value, words: &[String], depth: usize) -> Value {
    let mut object = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object);
    for (at, (name, property)) in properties.into_iter().flatten().enumerate() {
        let rest = words.get(at..).filter(|rest| !rest.is_empty()).unwrap_or(words);
        object.insert(name.clone(), fit(property, root, rest, depth + 1));
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fits_its_schema() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["c", "f"]},
                "days": {"type": ["integer", "null"]},
                "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}},
            },
            "$defs": {"tag": {"type": "object", "properties": {"on": {"type": "boolean"}}}},
        });
        let words = vec!["Oslo".to_owned()];
        let expected = json!({"city": "Oslo", "unit": "c", "days": 7, "tags": [{"on": true}]});
        assert_eq!(instance(&schema, &words), expected);
    }
}
