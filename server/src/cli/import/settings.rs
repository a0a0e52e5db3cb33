//! A settings file that is put together: providers, aliases and prices, as `weir.toml` has them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

/// One table `[providers.…]`.
#[derive(Default)]
pub(super) struct Provider {
    pub(super) base_url: Option<String>,
    pub(super) kind: Option<&'static str>,
    pub(super) catalogue: Option<&'static str>,
    pub(super) api_keys: BTreeSet<String>,
    pub(super) models: BTreeSet<String>,
    /// The variable that would bring it without a table.
    pub(super) usual: &'static str,
}

#[derive(Default)]
pub(super) struct Settings {
    pub(super) providers: BTreeMap<String, Provider>,
    pub(super) aliases: BTreeMap<String, String>,
    pub(super) prices: BTreeMap<(String, String), BTreeMap<&'static str, String>>,
    pub(super) default_provider: Option<String>,
}

impl Settings {
    /// As a settings file.
    pub(super) fn written(&self) -> String {
        let mut text = String::new();
        if let Some(provider) = &self.default_provider {
            let _ = writeln!(text, "default_provider = {}\n", quoted(provider));
        }
        for (name, table) in &self.providers {
            let table = table.written(name);
            if !table.is_empty() {
                let _ = writeln!(text, "{table}");
            }
        }
        if !self.aliases.is_empty() {
            text.push_str("[aliases]\n");
            for (alias, place) in &self.aliases {
                let _ = writeln!(text, "{} = {}", quoted(alias), quoted(place));
            }
            text.push('\n');
        }
        for ((provider, model), price) in &self.prices {
            let (provider, model) = (quoted(provider), quoted(model));
            let _ = writeln!(text, "[[prices]]\nprovider = {provider}\nmodel = {model}");
            let costs = price.iter().filter(|(name, _)| !name.ends_with("_tokens"));
            if costs.clone().all(|(_, cost)| cost == "0") {
                text.push_str("free = true\n");
            } else {
                for (name, cost) in costs {
                    let _ = writeln!(text, "{name} = {}", quoted(cost));
                }
            }
            for (name, count) in price.iter().filter(|(name, _)| name.ends_with("_tokens")) {
                let _ = writeln!(text, "{name} = {count}");
            }
            text.push('\n');
        }
        if text.is_empty() {
            return text;
        }
        format!(
            "# Made from LiteLLM's configuration by `weir import litellm`.\n\n{}\n",
            text.trim_end()
        )
    }
}

impl Provider {
    /// Its table; nothing where its variable brings it.
    fn written(&self, name: &str) -> String {
        let usual = format!("${{{}}}", self.usual);
        if self.base_url.is_none() && self.api_keys.iter().all(|key| *key == usual) {
            return String::new();
        }
        let mut text = format!("[providers.{name}]\n");
        if let Some(kind) = self.kind {
            let _ = writeln!(text, "kind = {}", quoted(kind));
        }
        if let Some(url) = &self.base_url {
            let _ = writeln!(text, "base_url = {}", quoted(url));
        }
        if let Some(catalogue) = self.catalogue {
            let _ = writeln!(text, "catalogue = {}", quoted(catalogue));
        }
        for (member, list) in [("api_keys", &self.api_keys), ("models", &self.models)] {
            if !list.is_empty() {
                let list: Vec<_> = list.iter().map(|one| quoted(one)).collect();
                let _ = writeln!(text, "{member} = [{}]", list.join(", "));
            }
        }
        text
    }
}

/// A text as TOML has it, which takes what JSON writes.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
