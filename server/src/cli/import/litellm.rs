//! LiteLLM's proxy configuration: its models become providers, aliases and prices of our settings file,
//! its budget a limit of the instance. Its virtual keys are read in `virtual_keys`.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};

use super::decimal::shifted;
use super::plan::{Kind, Plan, Thing, dollars};
use super::settings::Settings;
use super::yaml;
use crate::cli::json::Json;

/// Providers by LiteLLM's name for them, ours, and the variable that brings one by itself.
const PROVIDERS: [(&str, &str, &str); 13] = [
    ("openai", "openai", "OPENAI_API_KEY"),
    ("text-completion-openai", "openai", "OPENAI_API_KEY"),
    ("anthropic", "anthropic", "ANTHROPIC_API_KEY"),
    ("gemini", "gemini", "GEMINI_API_KEY"),
    ("deepseek", "deepseek", "DEEPSEEK_API_KEY"),
    ("mistral", "mistral", "MISTRAL_API_KEY"),
    ("groq", "groq", "GROQ_API_KEY"),
    ("xai", "xai", "XAI_API_KEY"),
    ("openrouter", "openrouter", "OPENROUTER_API_KEY"),
    ("together_ai", "together", "TOGETHER_API_KEY"),
    ("fireworks_ai", "fireworks", "FIREWORKS_API_KEY"),
    ("ollama", "ollama", ""),
    ("ollama_chat", "ollama", ""),
];

/// LiteLLM's names for servers of one's own that speak OpenAI's dialect.
const COMPATIBLE: [&str; 8] = [
    "hosted_vllm",
    "vllm",
    "lm_studio",
    "llamafile",
    "openai_like",
    "custom_openai",
    "litellm_proxy",
    "xinference",
];

/// Where a bare name goes.
const BARE: [(&str, &str); 9] = [
    ("gpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("text-embedding-", "openai"),
    ("dall-e-", "openai"),
    ("whisper-", "openai"),
    ("tts-", "openai"),
    ("claude-", "anthropic"),
];

/// What a deployment's parameters say that is taken over.
const TAKEN: [&str; 11] = [
    "model",
    "api_base",
    "base_url",
    "api_key",
    "custom_llm_provider",
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost",
    "max_input_tokens",
    "max_output_tokens",
];

/// Names of models as clients know them, and where each leads: `provider/model`.
pub(super) type Names = BTreeMap<String, Vec<String>>;

/// Reads the configuration.
///
/// # Errors
/// It is no YAML, or not LiteLLM's.
pub(super) fn plan(text: &str) -> anyhow::Result<(Plan, Names)> {
    let file = Json::read(&yaml::to_json(text)?)?;
    if !file.is_object()
        || file.at("model_list").is_nothing() && file.at("litellm_settings").is_nothing()
    {
        bail!("this is no configuration of LiteLLM's: it has no 'model_list'");
    }
    let mut plan = Plan::default();
    let mut settings = Settings::default();
    let mut names = Names::new();
    for (at, entry) in file.at("model_list").items().iter().enumerate() {
        let name = entry.at("model_name").text();
        let name = name.with_context(|| format!("model_list[{at}] has no model_name"))?;
        if let Err(why) = deployment(&mut plan, &mut settings, &mut names, at, &name, entry) {
            plan.leave(&format!("model {name}"), &format!("{why:#}"));
        }
    }
    for (alias, target) in file.at("router_settings.model_group_alias").members() {
        let target =
            target.text().filter(|_| target.is_text()).or_else(|| target.at("model").text());
        let target = target.unwrap_or_default();
        match names.get(&target).and_then(|places| places.first()).cloned() {
            Some(place) => {
                settings.aliases.insert(alias.clone(), place.clone());
                names.insert(alias, vec![place]);
            }
            None => plan.leave(
                "router_settings",
                &format!("alias {alias} of {target}, which is no model here"),
            ),
        }
    }
    if let Err(why) = budget(&mut plan, &file) {
        plan.things.push(Thing {
            kind: Kind::Cannot("instance", why),
            name: "litellm_settings.max_budget".to_owned(),
            body: Map::new(),
            about: String::new(),
        });
    }
    leave_the_rest(&mut plan, &file);
    let written = settings.written();
    plan.settings = (!written.is_empty()).then_some(written);
    Ok((plan, names))
}

/// One way to a model.
fn deployment(
    plan: &mut Plan,
    settings: &mut Settings,
    names: &mut Names,
    at: usize,
    name: &str,
    entry: &Json,
) -> anyhow::Result<()> {
    let said = |member: &str| entry.at(&format!("litellm_params.{member}"));
    let full = said("model").text().context("it has no litellm_params.model")?;
    let base = said("api_base").text().or_else(|| said("base_url").text());
    if let Some(name) = base.as_deref().and_then(|base| base.strip_prefix("os.environ/")) {
        bail!("its address is in the variable {name}; write it out");
    }
    let (prefix, model) = prefix(&full, said("custom_llm_provider").text())?;
    let provider = provider(settings, &prefix, base)?;
    let place = format!("{provider}/{model}");
    let api_key = said("api_key");
    if let (Some(key), Some(table)) = (api_key.text(), settings.providers.get_mut(&provider)) {
        let name = if let Some(name) = key.strip_prefix("os.environ/") {
            name.to_owned()
        } else {
            let name = format!("{}_KEY_{}", provider.replace('-', "_").to_uppercase(), at + 1);
            plan.leave(
                &format!("model {}", name_of(entry)),
                &format!("its api_key; set {name} to it"),
            );
            name
        };
        table.api_keys.insert(format!("${{{name}}}"));
    }
    let places = names.entry(name.to_owned()).or_default();
    if let Some(first) = places.first().filter(|first| **first != place) {
        plan.left.push(format!("model {name}: {place}, one more place beside {first}"));
    } else if name == "*" {
        settings.default_provider = Some(provider.clone());
    } else if name.contains('*') || full.contains('*') {
        if name != full && name != model {
            plan.left.push(format!("model {name}: a pattern that stands for another, {full}"));
        } else if let Some(table) =
            settings.providers.get_mut(&provider).filter(|table| table.usual.is_empty())
        {
            table.models.insert(model.clone());
        }
    } else if name == model {
        // A bare name finds a provider everybody knows by itself.
        if let Some(table) =
            settings.providers.get_mut(&provider).filter(|table| table.base_url.is_some())
        {
            table.models.insert(model.clone());
        }
    } else if name != place {
        settings.aliases.insert(name.to_owned(), place.clone());
    }
    if !places.contains(&place) {
        places.push(place);
    }
    price(plan, settings, &provider, &model, entry);
    for (member, value) in entry.at("litellm_params").members() {
        if !TAKEN.contains(&member.as_str()) && !value.is_empty() {
            plan.leave(&format!("model {name}"), &format!("litellm_params.{member}"));
        }
    }
    Ok(())
}

fn name_of(entry: &Json) -> String {
    entry.at("model_name").text().unwrap_or_default()
}

/// LiteLLM's name for the provider, and the model's own.
fn prefix(full: &str, said: Option<String>) -> anyhow::Result<(String, String)> {
    let known = |name: &str| {
        PROVIDERS.iter().any(|(theirs, ..)| *theirs == name)
            || COMPATIBLE.contains(&name)
            || name == "azure"
    };
    if let Some((prefix, model)) = full.split_once('/').filter(|(prefix, _)| known(prefix)) {
        return Ok((prefix.to_owned(), model.to_owned()));
    }
    if let Some(said) = said.filter(|said| known(said)) {
        return Ok((said, full.to_owned()));
    }
    if full == "*" {
        return Ok(("openai".to_owned(), full.to_owned()));
    }
    let bare = BARE.iter().find(|(start, _)| full.starts_with(start) && !full.contains('/'));
    match bare {
        Some((_, provider)) => Ok(((*provider).to_owned(), full.to_owned())),
        None => bail!(
            "'{full}' is of a provider that speaks neither OpenAI's dialect nor Anthropic's, as far as is known here"
        ),
    }
}

/// Our name of the provider, with its table.
fn provider(settings: &mut Settings, prefix: &str, base: Option<String>) -> anyhow::Result<String> {
    let known = PROVIDERS.iter().find(|(theirs, ..)| *theirs == prefix);
    let (name, usual) = match (known, &base) {
        (Some((_, ours, usual)), None) => ((*ours).to_owned(), *usual),
        // Its address is a variable's value or a place of its own: it gets a name of its own.
        (_, Some(base)) => {
            let short = prefix.trim_start_matches("hosted_");
            let host = base.split("://").last().unwrap_or(base);
            (word(&format!("{short}-{}", host.split('/').next().unwrap_or(host))), "")
        }
        (None, None) => bail!("it has no api_base"),
    };
    let table = settings.providers.entry(name.clone()).or_default();
    table.usual = usual;
    table.kind = (prefix == "anthropic" && base.is_some()).then_some("anthropic");
    table.catalogue = match known {
        Some((_, ours, _)) if base.is_some() => Some(ours),
        _ => (prefix == "azure").then_some("azure"),
    };
    table.base_url = base.map(|base| match prefix {
        "azure" => format!("{}/openai/v1", base.trim_end_matches('/')),
        _ => base.trim_end_matches('/').to_owned(),
    });
    Ok(name)
}

/// A word that may name something: letters, digits and dashes.
fn word(text: &str) -> String {
    let dashed: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect();
    let parts: Vec<_> = dashed.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

/// What the configuration says of a model's price.
fn price(plan: &mut Plan, settings: &mut Settings, provider: &str, model: &str, entry: &Json) {
    const PER_TOKEN: [(&str, &str); 4] = [
        ("input_cost_per_token", "input"),
        ("output_cost_per_token", "output"),
        ("cache_read_input_token_cost", "cache_read"),
        ("cache_creation_input_token_cost", "cache_write"),
    ];
    let said = |member: &str| {
        let own = entry.at(&format!("litellm_params.{member}"));
        if own.is_nothing() { entry.at(&format!("model_info.{member}")) } else { own }
    };
    let mut price = BTreeMap::new();
    for (theirs, ours) in PER_TOKEN {
        let Some(text) = said(theirs).text() else { continue };
        match shifted(&text, 6) {
            Some(million) => drop(price.insert(ours, million)),
            None => plan.leave(
                &format!("model {}", name_of(entry)),
                &format!("{theirs}, which is no price"),
            ),
        }
    }
    if price.is_empty() {
        return;
    }
    for (theirs, ours) in
        [("max_input_tokens", "context_tokens"), ("max_output_tokens", "max_output_tokens")]
    {
        if let Some(count) = said(theirs).text().filter(|text| text.parse::<u32>().is_ok()) {
            price.insert(ours, count);
        }
    }
    settings.prices.insert((provider.to_owned(), model.to_owned()), price);
}

/// The budget of everything.
fn budget(plan: &mut Plan, file: &Json) -> Result<(), String> {
    let most = file.at("litellm_settings.max_budget");
    if most.is_nothing() {
        return Ok(());
    }
    let duration = file.at("litellm_settings.budget_duration").text();
    let amount = dollars(&most).ok_or_else(|| format!("{:.40} is no amount", most.written()))?;
    let body = limited(amount, duration.as_deref())?;
    let about = super::plan::summary(&body);
    let name = "everything".to_owned();
    plan.things.push(Thing { kind: Kind::Instance, name, body, about });
    Ok(())
}

/// A budget as the members of a limit.
pub(super) fn limited(amount: Value, duration: Option<&str>) -> Result<Map<String, Value>, String> {
    let mut body = Map::new();
    let duration =
        duration.map(str::trim).filter(|text| !matches!(*text, "" | "none" | "None" | "null"));
    let Some(duration) = duration else {
        body.insert("limit".to_owned(), amount);
        return Ok(body);
    };
    let reset = match duration {
        "1d" | "24h" | "daily" => "daily",
        "7d" | "1w" | "weekly" => "weekly",
        "30d" | "1mo" | "monthly" => "monthly",
        _ => "",
    };
    if !reset.is_empty() {
        body.insert("limit".to_owned(), amount);
        body.insert("limit_reset".to_owned(), reset.into());
        return Ok(body);
    }
    let end = duration.find(|c: char| !c.is_ascii_digit()).unwrap_or(duration.len());
    let (count, unit) = duration.split_at(end);
    let unit = match unit {
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        _ => {
            return Err(format!("its budget_duration '{duration:.20}' is none that is known here"));
        }
    };
    let every: u32 =
        count.parse().map_err(|_| format!("its budget_duration '{duration:.20}' has no number"))?;
    let mut limit = Map::new();
    limit.insert("amount".to_owned(), amount);
    limit.insert("every".to_owned(), every.into());
    limit.insert("unit".to_owned(), unit.into());
    body.insert("recurring_limit".to_owned(), Value::Object(limit));
    Ok(body)
}

/// Tells what else the configuration says.
fn leave_the_rest(plan: &mut Plan, file: &Json) {
    let master = file.at("general_settings.master_key").text();
    match master.as_deref().map(|key| key.strip_prefix("os.environ/")) {
        Some(Some(name)) => plan.leave(
            "general_settings",
            &format!("master_key; set PROXY_MASTER_KEY to what {name} is"),
        ),
        Some(None) => plan.leave(
            "general_settings",
            "master_key; set PROXY_MASTER_KEY to it, or to a better one",
        ),
        None => {}
    }
    let taken = ["master_key", "max_budget", "budget_duration", "model_group_alias"];
    for (section, value) in file.members() {
        if section == "model_list" || value.is_empty() {
            continue;
        }
        if !value.is_object() {
            plan.left.push(section);
            continue;
        }
        for (member, value) in value.members() {
            if !taken.contains(&member.as_str()) && !value.is_empty() {
                plan.leave(&section, &member);
            }
        }
    }
}
