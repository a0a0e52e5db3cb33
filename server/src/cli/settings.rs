//! `weir config check` and `weir config example`: what every setting is, and where it is from.
//! Secrets are named, never shown.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;

use clap::ArgMatches;

use domain::Supply;

use super::table;
use crate::config::{Config, SETTINGS};
use crate::models::Models;
use crate::sources::Configured;
use crate::surface::windows::View;
use crate::vault::Vault;

pub(super) fn run(matches: &ArgMatches, env: HashMap<String, String>) -> anyhow::Result<()> {
    let text = match matches.subcommand() {
        Some(("check", matches)) => check(matches, env)?,
        _ => example(),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn check(matches: &ArgMatches, env: HashMap<String, String>) -> anyhow::Result<String> {
    let mut raw = super::raw(matches, env)?;
    let master = raw.master_key.as_ref().map(|(_, source)| source.to_string());
    let encryption = raw.encryption_key.as_ref().map(|(_, source)| source.to_string());
    let mut config = Config::resolve(&mut raw)?;
    let mut settings = table(&["setting", "value", "from"]);
    let file =
        raw.file.as_ref().map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    settings.add_row(["settings file", file.as_str(), ""]);
    for setting in SETTINGS {
        let written = raw.value(setting.name);
        settings.add_row([setting.name, written.text.as_str(), &written.source.to_string()]);
    }
    let master = master.unwrap_or_else(|| "made at the first start".to_owned());
    settings.add_row(["master key", "(not shown)", &master]);
    let encryption = encryption.unwrap_or_else(|| "made when it is needed".to_owned());
    settings.add_row(["encryption key", "(not shown)", &encryption]);
    let mut providers =
        table(&["provider", "speaks", "base URL", "credentials", "after a hang-up", "from"]);
    for provider in &config.providers {
        let credentials = provider.credentials.iter().map(|credential| credential.name.as_str());
        providers.add_row([
            provider.name.as_str(),
            &format!("{:?}", provider.speaks).to_lowercase(),
            &provider.base_url,
            &credentials.collect::<Vec<_>>().join(", "),
            &format!("{:?}", provider.on_hangup).to_lowercase(),
            &provider.source,
        ]);
    }
    let mut defaults = table(&["every", "at most", "per", "kept"]);
    for (kind, limit) in config.defaults.all() {
        let window = serde_json::to_string(&View::from(limit.window))?;
        let amount = limit.shown(limit.amount);
        defaults.add_row([kind, amount.as_str(), &window, limit.enforcement.name()]);
    }
    let has_defaults = config.defaults.all().next().is_some();
    let defaults = if has_defaults { format!("{defaults}\n\n") } else { String::new() };
    let mut aliases = table(&["alias", "stands for"]);
    for (alias, target) in &config.aliases {
        aliases.add_row([alias, target]);
    }
    let aliases = if config.aliases.is_empty() { String::new() } else { format!("{aliases}\n\n") };
    // What a start would refuse is refused here.
    let configured = Configured::take(&mut config);
    Models::build(&configured, &Supply::default(), &Vault::default(), None)?;
    Ok(format!("{settings}\n\n{providers}\n\n{defaults}{aliases}Everything can be used.\n"))
}

/// The text of `config.example.toml`.
fn example() -> String {
    let mut text = String::from(
        "# Every setting of Weir with its default. Written by `weir config example`; copy it to weir.toml.\n\
         # A flag (--listen) goes before an environment variable, a variable before this file.\n",
    );
    for setting in SETTINGS {
        let name = setting.name.replace('-', "_");
        let bare =
            setting.default.parse::<u64>().is_ok() || matches!(setting.default, "true" | "false");
        let value =
            if bare { setting.default.to_owned() } else { format!("\"{}\"", setting.default) };
        let _ = write!(
            text,
            "\n# {} [--{}, {}]\n{name} = {value}\n",
            setting.doc, setting.name, setting.env
        );
    }
    text.push_str(TABLES);
    text
}

const TABLES: &str = r#"
# Limits on everything of a kind: instance, project, team, user, key. One that is set on a thing itself
# goes before a default of the same unit and window. Members as in the admin API; fractions in quotes.
#
# [defaults.key]
# rpm = 60                       # requests in any 60 seconds
# tpm_limit = 100000             # tokens in any 60 seconds
# daily_token_limit = 5000000    # tokens per UTC day
# max_parallel = 20              # calls in flight
# limit = "25.50"                # dollars ...
# limit_reset = "monthly"        # ... per day, week or month; left out: for ever
#
# [defaults.team]
# limits = [
#   { unit = "tokens", amount = 2000000, window = { kind = "calendar", period = "day", zone = "Europe/Berlin" } },
#   { unit = "money", amount = 500, window = { kind = "every", amount = 2, unit = "week" }, enforcement = "observe" },
# ]

# Providers. Those that everybody knows need no entry: OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY,
# DEEPSEEK_API_KEY, MISTRAL_API_KEY, GROQ_API_KEY, XAI_API_KEY, OPENROUTER_API_KEY, TOGETHER_API_KEY,
# FIREWORKS_API_KEY and OLLAMA_HOST bring them; OPENAI_BASE_URL and its like move them elsewhere.
# Several secrets in one variable are separated by commas.
#
# [providers.openai]
# api_keys = ["${OPENAI_KEY_A}", "file:/run/secrets/openai-b"]  # used in turn
#
# [providers.my-vllm]            # anything OpenAI-compatible: vLLM, llama.cpp, LM Studio, Azure's v1 endpoint
# kind = "openai"                # or "anthropic"
# base_url = "http://10.0.0.5:8080/v1"
# api_key = "${VLLM_KEY}"
# models = ["llama-*", "qwen*"]  # names that go here without 'my-vllm/' before them
# catalogue = "openai"           # whose prices its models have; left out: none, unless priced below
# free = false                   # true: its models cost nothing
# on_hangup = "drain"            # after a client hangs up: "drain" (read on for the usage) or "cancel"
# stream_options = true          # whether it accepts stream_options.include_usage

# Other names for models.
#
# [aliases]
# fast = "openai/gpt-4o-mini"

# Prices, in dollars per million tokens as decimal text. They go before the catalogue's.
#
# [[prices]]
# provider = "my-vllm"
# model = "llama-3.3-70b"
# input = "0.20"
# output = "0.60"
# context_tokens = 131072
# max_output_tokens = 8192
"#;
