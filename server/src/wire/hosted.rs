//! What makes a call's cost unbounded: tools that the provider runs and bills by the call, work in
//! the background, tiers with prices of their own. Tools are known by a list of the harmless ones,
//! so that a tool nobody here has heard of counts as dear.

use domain::refusal::Refusal;

use super::checks::invalid;
use super::json::{Kind, Opened, Value};
use super::read::Dialect;

/// The tools that the client runs itself, in OpenAI's APIs.
const CLIENT_TOOLS: [&str; 4] = ["function", "custom", "local_shell", "apply_patch"];

/// The beginnings of the names of tools that the client runs itself, in Anthropic's API, and of
/// those that cost nothing but their tokens.
const CLIENT_TOOL_FAMILIES: [&str; 5] =
    ["bash_", "text_editor_", "computer_", "memory_", "tool_search_tool_"];

/// The member that makes the cost unbounded, if this is one.
pub(super) fn unbounded(
    dialect: Dialect,
    name: &str,
    value: Value<'_>,
) -> Result<Option<&'static str>, Refusal> {
    if value.is_null() {
        return Ok(None);
    }
    let found = match name {
        "tools" => return tools(dialect, value),
        "web_search_options" => Some("web_search_options"),
        "search_parameters" => Some("search_parameters"),
        "plugins" => Some("plugins"),
        // Members that only some providers know: stored context, edits of the context, other models.
        "extra_body" => Some("extra_body"),
        "context_management" => Some("context_management"),
        "models" => Some("models"),
        "fallbacks" => Some("fallbacks"),
        "preset" => Some("preset"),
        "route" => Some("route"),
        "prediction" => Some("prediction"),
        "mcp_servers" => value.items().next().map(|_| "mcp_servers"),
        "background" => (value.as_bool() != Some(false)).then_some("background"),
        "service_tier" => {
            let plain = ["default", "standard", "standard_only"];
            let tier = value.as_str().unwrap_or_default();
            (!plain.contains(&tier.as_ref())).then_some("service_tier")
        }
        // Anthropic's fast mode and its choice of a region cost more than the plain price.
        "speed" => (value.as_str().as_deref() != Some("standard")).then_some("speed"),
        "inference_geo" => (value.as_str().as_deref() != Some("global")).then_some("inference_geo"),
        "modalities" => {
            let audio = value.items().any(|item| item.as_str().is_some_and(|it| it == "audio"));
            audio.then_some("modalities")
        }
        _ => None,
    };
    Ok(found)
}

fn tools(dialect: Dialect, tools: Value<'_>) -> Result<Option<&'static str>, Refusal> {
    if tools.kind() != Kind::Array {
        return Err(invalid("tools", "`tools` must be an array."));
    }
    let mut items = tools.items();
    for index in 0_usize.. {
        let mut tool = match items.open() {
            None => break,
            Some(Opened::Object(tool)) => tool,
            Some(Opened::Other) => {
                return Err(invalid(format!("tools[{index}]"), "A tool must be an object."));
            }
        };
        let (mut kind, mut named) = (None, false);
        for member in tool.by_ref() {
            match member.name.as_ref() {
                "type" => kind = Some(member.value),
                "name" | "function" => named = true,
                _ => {}
            }
        }
        if !run_by_client(dialect, kind, named) {
            return Ok(Some("tools"));
        }
        items.close(tool);
    }
    Ok(None)
}

/// A tool without a type is the client's own where it has a name, as in Anthropic's API.
fn run_by_client(dialect: Dialect, kind: Option<Value<'_>>, named: bool) -> bool {
    let Some(kind) = kind.filter(|kind| !kind.is_null()) else { return named };
    let Some(kind) = kind.as_str() else { return false };
    if CLIENT_TOOLS.contains(&kind.as_ref()) {
        return true;
    }
    matches!(dialect, Dialect::Messages | Dialect::CountTokens)
        && CLIENT_TOOL_FAMILIES.iter().any(|family| kind.starts_with(family))
}
