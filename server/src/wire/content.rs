//! What a request's messages and input are made of: whether all of it is in the body, and whether
//! some of it is no text. Errs to the side of "not bounded by its bytes": a part of a kind nobody
//! here knows is searched for addresses and file ids.

use domain::ask::Ask;
use domain::refusal::Refusal;

use super::checks::{invalid, list, missing};
use super::json::{Kind, Members, Opened, Value, string_length};

/// The roles of every API; which of them a model takes is its provider's business.
const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];

/// How many messages one request may have.
const MESSAGES_MAX: usize = 99_999;

/// How long one text may be, which is about a million tokens.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// How many prompts one request may have.
const PROMPTS_MAX: usize = 2048;

/// The messages of a chat, in either API's shape.
pub(super) fn messages(ask: &mut Ask, messages: Value<'_>) -> Result<(), Refusal> {
    if messages.kind() != Kind::Array {
        return Err(invalid("messages", "`messages` must be an array."));
    }
    let mut items = messages.items();
    let mut count = 0;
    while let Some(item) = items.open() {
        if count == MESSAGES_MAX {
            return Err(invalid("messages", "`messages` must have fewer than 100000 items."));
        }
        let Opened::Object(mut message) = item else {
            return Err(invalid(format!("messages[{count}]"), "A message must be an object."));
        };
        self::message(ask, &mut message, count)?;
        items.close(message);
        count += 1;
    }
    if count == 0 {
        return Err(invalid("messages", "`messages` must not be empty."));
    }
    Ok(())
}

fn message(ask: &mut Ask, message: &mut Members<'_>, index: usize) -> Result<(), Refusal> {
    let mut role = false;
    for member in message {
        match member.name.as_ref() {
            "role" => {
                self::role(member.value, || format!("messages[{index}].role"))?;
                role = true;
            }
            "content" => {
                let path = || format!("messages[{index}].content");
                if longest(member.value) > TEXT_BYTES_MAX {
                    return Err(invalid(path(), "A text must not be longer than 4 MiB."));
                }
                content(ask, member.value).map_err(|bad| invalid(path(), bad.0))?;
            }
            // An earlier spoken answer, kept by the provider under its id.
            "audio" => ask.input_elsewhere |= !member.value.is_null(),
            _ => {}
        }
    }
    if role { Ok(()) } else { Err(missing(&format!("messages[{index}].role"))) }
}

fn role(role: Value<'_>, path: impl Fn() -> String) -> Result<(), Refusal> {
    if role.as_str().is_some_and(|role| ROLES.contains(&role.as_ref())) {
        return Ok(());
    }
    Err(invalid(
        path(),
        "`role` must be one of system, developer, user, assistant, tool, function.",
    ))
}

/// The length of the longest text of a message, as it is written.
fn longest(content: Value<'_>) -> usize {
    if content.bytes().len() <= TEXT_BYTES_MAX {
        return content.bytes().len();
    }
    match content.kind() {
        Kind::String => content.inner().len(),
        Kind::Array => {
            let texts = content.items().filter_map(|part| part.get("text"));
            texts.map(|text| text.inner().len()).max().unwrap_or(0)
        }
        Kind::Null | Kind::Bool | Kind::Number | Kind::Object => 0,
    }
}

/// Why content is not what it must be.
pub(super) struct BadContent(&'static str);

/// A message's content: a text, or parts.
pub(super) fn content(ask: &mut Ask, content: Value<'_>) -> Result<(), BadContent> {
    match content.kind() {
        Kind::Null | Kind::String => Ok(()),
        Kind::Array => {
            for part in content.items() {
                if part.kind() != Kind::Object {
                    return Err(BadContent("Every part of `content` must be an object."));
                }
                self::part(ask, part);
            }
            Ok(())
        }
        Kind::Bool | Kind::Number | Kind::Object => {
            Err(BadContent("`content` must be a string or an array of parts."))
        }
    }
}

/// The input of the Responses API: a text, or items.
pub(super) fn items(ask: &mut Ask, input: Value<'_>) -> Result<(), Refusal> {
    match input.kind() {
        Kind::Null | Kind::String => return Ok(()),
        Kind::Array => {}
        Kind::Bool | Kind::Number | Kind::Object => {
            return Err(invalid("input", "`input` must be a string or an array."));
        }
    }
    for (index, item) in input.items().enumerate() {
        if index == MESSAGES_MAX {
            return Err(invalid("input", "`input` must have fewer than 100000 items."));
        }
        if item.kind() != Kind::Object {
            return Err(invalid(
                format!("input[{index}]"),
                "An item of `input` must be an object.",
            ));
        }
        self::item(ask, item, index)?;
    }
    Ok(())
}

fn item(ask: &mut Ask, item: Value<'_>, index: usize) -> Result<(), Refusal> {
    let (mut kind, mut role, mut inside) = (None, None, None);
    for member in item.members() {
        match member.name.as_ref() {
            "type" => kind = member.value.as_str(),
            "role" => role = Some(member.value),
            "content" => inside = Some(member.value),
            _ => {}
        }
    }
    if kind.is_some_and(|kind| kind != "message") {
        part(ask, item);
        return Ok(());
    }
    // Without a type it is a message, or the id of something that the provider stores: OpenAI's
    // reference to an item need not say that it is one.
    ask.input_elsewhere |= role.is_none() || inside.is_none();
    if let Some(role) = role {
        self::role(role, || format!("input[{index}].role"))?;
    }
    if let Some(inside) = inside {
        let path = || format!("input[{index}].content");
        content(ask, inside).map_err(|bad| invalid(path(), bad.0))?;
    }
    Ok(())
}

/// One part of a message, or one item of a conversation.
fn part(ask: &mut Ask, part: Value<'_>) {
    let kind = part.get("type").and_then(|kind| kind.as_str());
    match kind.as_deref().unwrap_or_default() {
        // Text, whatever it is about: its bytes bound it.
        "text"
        | "input_text"
        | "output_text"
        | "refusal"
        | "thinking"
        | "redacted_thinking"
        | "tool_use"
        | "server_tool_use"
        | "function_call"
        | "custom_tool_call"
        | "local_shell_call"
        | "local_shell_call_output"
        | "tool_reference" => {}
        "tool_result" | "function_call_output" | "custom_tool_call_output" => {
            let inside = |name| part.get(name);
            inside("content").into_iter().chain(inside("output")).for_each(|it| search(ask, it));
        }
        // What the provider remembers of it is there only where it is not here.
        "reasoning" => {
            let is_here = part.get("encrypted_content").is_some_and(|it| !it.is_null());
            ask.input_elsewhere |= !is_here && part.get("id").is_some();
        }
        "item_reference" | "container_upload" => ask.input_elsewhere = true,
        _ => search(ask, part),
    }
}

/// Looks for whatever is not text in a value of unknown shape. One pass over its tokens, however
/// deep it is nested.
pub(super) fn search(ask: &mut Ask, value: Value<'_>) {
    let bytes = value.bytes();
    let (mut at, mut depth) = (0, 0_usize);
    let mut name: &[u8] = &[];
    // The object that is known to be text, and so is passed over to its end.
    let mut text_at = None;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let rest = bytes.get(at..).unwrap_or_default();
                let length = string_length(rest);
                let inside = rest.get(1..length - 1).unwrap_or_default();
                at += length;
                if is_name(bytes.get(at..).unwrap_or_default()) {
                    name = inside;
                } else if name == b"type" && inside == b"text" {
                    text_at = text_at.or(Some(depth));
                } else if text_at.is_none() {
                    string(ask, name, inside);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                text_at = text_at.filter(|open| *open != depth);
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
        at += 1;
    }
}

/// Whether what stands before `rest` is a member's name.
fn is_name(rest: &[u8]) -> bool {
    rest.trim_ascii_start().first() == Some(&b':')
}

/// A string that may be a picture, or the address of one.
fn string(ask: &mut Ask, name: &[u8], text: &[u8]) {
    let start = text.get(..5).unwrap_or_default();
    match name {
        _ if start.eq_ignore_ascii_case(b"data:") => ask.media = true,
        b"data" | b"file_data" | b"b64_json" | b"result" | b"audio" | b"input_audio" | b"video" => {
            ask.media = true;
        }
        b"file_id" | b"container_id" | b"image" => ask.input_elsewhere = true,
        name if name.ends_with(b"url") || name.ends_with(b"uri") => ask.input_elsewhere = true,
        // A name that is written in a way to hide what it is.
        name if name.contains(&b'\\') => ask.input_elsewhere = true,
        _ => {}
    }
}

/// How many prompts a completion or an embedding is to be made of: a text, an array of token
/// numbers, or an array of either.
pub(super) fn prompts(ask: &mut Ask, value: Value<'_>, param: &str) -> Result<u64, Refusal> {
    match value.kind() {
        Kind::String => return Ok(1),
        Kind::Array => {}
        Kind::Null | Kind::Bool | Kind::Number | Kind::Object => {
            return Err(invalid(param, &format!("`{param}` must be a string or an array.")));
        }
    }
    let first = value.items().next().map(|item| item.kind());
    if first == Some(Kind::Number) {
        return token_numbers(value, param.to_owned()).map(|()| 1);
    }
    let count = list(value, param, PROMPTS_MAX)?;
    for (index, item) in value.items().enumerate() {
        match item.kind() {
            Kind::String => {}
            Kind::Array => token_numbers(item, format!("{param}[{index}]"))?,
            Kind::Object => search(ask, item),
            Kind::Null | Kind::Bool | Kind::Number => {
                return Err(invalid(
                    format!("{param}[{index}]"),
                    "A prompt must be a string or an array of token numbers.",
                ));
            }
        }
    }
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}

fn token_numbers(value: Value<'_>, path: String) -> Result<(), Refusal> {
    let most = u64::from(u32::MAX);
    if value.items().all(|token| token.as_u64().is_some_and(|number| number <= most)) {
        return Ok(());
    }
    Err(invalid(path, "An array of token numbers must hold integers only."))
}
