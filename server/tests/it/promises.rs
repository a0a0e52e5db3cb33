//! Every answer that any test gets is held against the OpenAPI document: its status is one that the
//! route promises, its body has the promised shape, its refusal is one of those the route names.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use http::Method;
use jsonschema::Validator;
use serde_json::{Value, json};
use server::surface::openapi;

use crate::world::Reply;

/// Fails where the answer is not what the document says.
pub(crate) fn hold(method: &Method, path: &str, reply: &Reply) {
    let Some((template, item)) = route(path).filter(|_| !reply.is_no_url()) else { return };
    let Some(operation) = item.get(method.as_str().to_lowercase()) else {
        assert!([404, 405].contains(&reply.status), "{method} {path}: {}", reply.status);
        return;
    };
    // What providers answer is theirs.
    if operation["tags"][0] == "models" {
        return;
    }
    let what = format!("{method} {template} answered {}: {:.2000}", reply.status, reply.text);
    let promised = &operation["responses"][reply.status.to_string()];
    assert!(!promised.is_null(), "no such status is promised. {what}");
    if reply.status >= 400 && !reply.code().is_empty() {
        let codes = promised["description"].as_str().unwrap();
        assert!(codes.contains(&format!("`{}`", reply.code())), "no such code is promised. {what}");
    }
    if reply.status == 303 {
        return;
    }
    let kind = reply.header("content-type").split(';').next().unwrap();
    let content = &promised["content"][kind];
    assert!(!content.is_null(), "'{kind}' is not promised. {what}");
    if kind == "application/json" && operation["operationId"] != "openapi" {
        let value = reply.json();
        let key = format!("{method} {template} {}", reply.status);
        check(key, &content["schema"], &value, &what);
    }
}

/// The path of the document that this one is of: the one with the fewest open places.
fn route(path: &str) -> Option<(&'static str, &'static Value)> {
    let paths = openapi::value()["paths"].as_object().unwrap();
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let mut places = template.split('/');
        let fit = parts.iter().all(|part| {
            places.next().is_some_and(|place| place.starts_with('{') || place == *part)
        });
        fit && places.next().is_none()
    };
    let fitting = paths.iter().filter(|(template, _)| fits(template));
    let best = fitting.min_by_key(|(template, _)| template.matches('{').count())?;
    Some((best.0.as_str(), best.1))
}

fn check(key: String, schema: &Value, value: &Value, what: &str) {
    static VALIDATORS: LazyLock<Mutex<HashMap<String, &'static Validator>>> =
        LazyLock::new(Mutex::default);
    let validator = *VALIDATORS
        .lock()
        .unwrap()
        .entry(key)
        .or_insert_with(|| Box::leak(Box::new(validator(schema))));
    if let Some(fault) = validator.iter_errors(value).next() {
        panic!("{fault} at '{}'. {what}", fault.instance_path());
    }
}

fn validator(schema: &Value) -> Validator {
    let mut whole = schema.clone();
    whole["components"] = json!({"schemas": openapi::value()["components"]["schemas"]});
    jsonschema::draft202012::new(&whole).unwrap()
}
