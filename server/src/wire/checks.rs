//! Checks of single values, and the refusals they end in. What a member is for is decided where it
//! is read; here is only what it may look like.

use domain::refusal::{Code, Refusal};

use super::json::{Kind, Value};

/// How long a model's name may be: the longest in use are cloud resource names.
const MODEL_BYTES_MAX: usize = 512;

/// A value that is wrong, with the sentence that says how.
pub(super) fn invalid(param: impl Into<String>, message: &str) -> Refusal {
    Refusal::new(Code::InvalidValue, message).about(param)
}

/// A member that is not there.
pub(super) fn missing(param: &str) -> Refusal {
    Refusal::new(Code::MissingParameter, format!("You must provide the parameter `{param}`."))
        .about(param)
}

/// An integer between two bounds. `null` is the same as nothing.
pub(super) fn integer(
    value: Value<'_>,
    param: &str,
    least: u64,
    most: u64,
) -> Result<Option<u64>, Refusal> {
    if value.is_null() {
        return Ok(None);
    }
    match value.as_u64() {
        Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
        _ => Err(invalid(
            param,
            &format!("`{param}` must be an integer between {least} and {most}."),
        )),
    }
}

/// A number between two bounds.
pub(super) fn number(value: Value<'_>, param: &str, least: f64, most: f64) -> Result<(), Refusal> {
    match value.as_f64() {
        Some(number) if (least..=most).contains(&number) => Ok(()),
        _ => {
            Err(invalid(param, &format!("`{param}` must be a number between {least} and {most}.")))
        }
    }
}

/// `true` or `false`. `null` is the same as nothing.
pub(super) fn boolean(value: Value<'_>, param: &str) -> Result<bool, Refusal> {
    match value.as_bool() {
        Some(truth) => Ok(truth),
        None if value.is_null() => Ok(false),
        None => Err(invalid(param, &format!("`{param}` must be true or false."))),
    }
}

/// An array that is not empty and not too long; its length.
pub(super) fn list(value: Value<'_>, param: &str, most: usize) -> Result<usize, Refusal> {
    if value.kind() != Kind::Array {
        return Err(invalid(param, &format!("`{param}` must be an array.")));
    }
    let length = value.items().count();
    if length == 0 || length > most {
        return Err(invalid(
            param,
            &format!("`{param}` must have between 1 and {most} items; it has {length}."),
        ));
    }
    Ok(length)
}

/// A model's name in a JSON body.
pub(super) fn model(value: Value<'_>) -> Result<String, Refusal> {
    let name = value.as_str().ok_or_else(|| invalid("model", "`model` must be a string."))?;
    model_name(&name)
}

/// A model's name, wherever it stood.
pub(super) fn model_name(name: &str) -> Result<String, Refusal> {
    if name.is_empty() {
        return Err(invalid("model", "`model` must not be empty."));
    }
    if name.len() > MODEL_BYTES_MAX {
        return Err(invalid("model", "`model` must not be longer than 512 bytes."));
    }
    if name.chars().any(char::is_control) {
        return Err(invalid("model", "`model` must not contain control characters."));
    }
    Ok(name.to_owned())
}

/// Up to 64 strings, or one.
pub(super) fn stops(value: Value<'_>, param: &str) -> Result<(), Refusal> {
    let fine = match value.kind() {
        Kind::Null | Kind::String => true,
        Kind::Array => {
            value.items().count() <= 64 && value.items().all(|item| item.kind() == Kind::String)
        }
        Kind::Bool | Kind::Number | Kind::Object => false,
    };
    if fine {
        return Ok(());
    }
    Err(invalid(param, &format!("`{param}` must be a string or an array of at most 64 strings.")))
}

/// Biases by token, each between -100 and 100.
pub(super) fn biases(value: Value<'_>) -> Result<(), Refusal> {
    let fine = match value.kind() {
        Kind::Null => true,
        Kind::Object => {
            value.members().count() <= 2048
                && value.members().all(|member| {
                    member.value.as_f64().is_some_and(|bias| (-100.0..=100.0).contains(&bias))
                })
        }
        Kind::Bool | Kind::Number | Kind::String | Kind::Array => false,
    };
    if fine {
        return Ok(());
    }
    Err(invalid(
        "logit_bias",
        "`logit_bias` must be an object of at most 2048 numbers between -100 and 100.",
    ))
}
