//! Who can be asked for a model: the providers everybody knows, as data, and those the operator
//! configured. How bytes reach them is `upstream`'s business; what their models cost, `prices`'.

mod added;
mod known;

use domain::{Pattern, Secret};

use crate::config::BadSetting;
use crate::config::raw::{ProviderTable, Raw};
use known::{KNOWN, Known};

pub use added::{check, make, settings};
pub use domain::supply::OnHangup;

/// The wire format a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// OpenAI's API, or something compatible with (part of) it.
    OpenAi,
    /// Anthropic's Messages API.
    Anthropic,
    /// Ours: no network, answers made on the spot.
    Demo,
}

/// A provider's secret, under a name that may be shown.
#[derive(Debug)]
pub struct CredentialSettings {
    pub name: String,
    pub secret: Secret,
}

/// One provider, resolved.
#[derive(Debug)]
pub struct ProviderSettings {
    pub name: String,
    pub speaks: Speaks,
    pub base_url: String,
    pub credentials: Vec<CredentialSettings>,
    pub models: Vec<Pattern>,
    pub catalogue: String,
    pub free: bool,
    pub on_hangup: OnHangup,
    pub stream_options: bool,
    /// Whether it may be outside only, and its host's addresses are looked at.
    pub guarded: bool,
    /// A model to try first, where one is known.
    pub example: Option<String>,
    /// Where it was configured, for `weir config check`.
    pub source: String,
}

/// The name of the built-in provider.
pub const DEMO: &str = "demo";

/// Whether everybody knows a provider of this name.
pub fn is_known(name: &str) -> bool {
    name == DEMO || KNOWN.iter().any(|known| known.name == name)
}

/// Whether a provider may be called so.
fn is_name(name: &str) -> bool {
    let sane = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(sane) && name != DEMO
}

/// All providers that are configured, the environment's first, in the order of the table, then the
/// file's own. `demo` asks for the built-in one; `None` means: only where there is no other.
///
/// # Errors
/// A provider that cannot be used, named.
pub fn configured(raw: &Raw, demo: Option<bool>) -> Result<Vec<ProviderSettings>, BadSetting> {
    let mut providers = Vec::new();
    for known in KNOWN {
        let table = raw.providers.get(known.name);
        if let Some(provider) = from_known(raw, known, table)? {
            providers.push(provider);
        }
    }
    for (name, table) in &raw.providers {
        if KNOWN.iter().all(|known| known.name != name) {
            providers.push(from_table(raw, name, table)?);
        }
    }
    if demo.unwrap_or(providers.is_empty()) {
        providers.push(ProviderSettings {
            name: DEMO.to_owned(),
            speaks: Speaks::Demo,
            base_url: String::new(),
            credentials: Vec::new(),
            models: vec![],
            catalogue: DEMO.to_owned(),
            free: false,
            on_hangup: OnHangup::Cancel,
            stream_options: true,
            guarded: false,
            example: Some("demo/story".to_owned()),
            source: "built in".to_owned(),
        });
    }
    Ok(providers)
}

fn from_known(
    raw: &Raw,
    known: &Known,
    table: Option<&ProviderTable>,
) -> Result<Option<ProviderSettings>, BadSetting> {
    let secrets = raw.env(known.key_env);
    let is_ollama = known.key_env.is_empty();
    let host = is_ollama.then(|| raw.env(known.url_env)).flatten();
    let (credentials, source) = match (table, secrets, host) {
        (Some(table), ..) if has_secrets(table) || is_ollama => {
            (table_credentials(raw, known.name, table)?, file_source(raw))
        }
        (_, Some(secrets), _) => {
            let secrets = secrets.split(',').map(str::trim).filter(|secret| !secret.is_empty());
            let secrets = secrets.map(|secret| Secret::new(secret.to_owned()));
            (
                number_credentials(known.name, secrets.collect()),
                format!("environment {}", known.key_env),
            )
        }
        (_, None, Some(_)) => (Vec::new(), format!("environment {}", known.url_env)),
        (Some(_), None, None) => {
            return Err(BadSetting(format!(
                "Provider '{0}' is in the settings file without a secret. Give it api_key = \"${{{1}}}\" and set {1}.",
                known.name, known.key_env
            )));
        }
        (None, None, None) => {
            return match raw.env(known.url_env) {
                Some(_) if !is_ollama => Err(BadSetting(format!(
                    "{} moves the provider '{}' elsewhere, but {} is not set.",
                    known.url_env, known.name, known.key_env
                ))),
                _ => Ok(None),
            };
        }
    };
    let table = table.cloned().unwrap_or_default();
    // What the environment says goes before what the file says, as for every setting.
    let base_url = raw.env(known.url_env).or(table.base_url.as_deref()).unwrap_or(known.base_url);
    let base_url = if is_ollama { ollama_url(base_url) } else { base_url.to_owned() };
    let models = if table.models.is_empty() {
        known.models.iter().filter_map(|text| Pattern::new(text)).collect()
    } else {
        patterns(known.name, &table.models)?
    };
    Ok(Some(ProviderSettings {
        name: known.name.to_owned(),
        speaks: speaks(known.name, table.kind.as_deref(), known.speaks)?,
        base_url: checked_url(known.name, &base_url)?,
        credentials,
        models,
        catalogue: table.catalogue.unwrap_or_else(|| known.catalogue.to_owned()),
        free: table.free.unwrap_or(false),
        on_hangup: on_hangup(known.name, table.on_hangup.as_deref(), known.on_hangup)?,
        stream_options: table.stream_options.unwrap_or(true),
        guarded: false,
        example: Some(known.example).filter(|example| !example.is_empty()).map(str::to_owned),
        source,
    }))
}

fn from_table(
    raw: &Raw,
    name: &str,
    table: &ProviderTable,
) -> Result<ProviderSettings, BadSetting> {
    if !is_name(name) {
        return Err(BadSetting(format!(
            "Provider name '{name}' cannot be used: lower-case letters, digits, '-' and '_' make a name, and 'demo' is taken."
        )));
    }
    let speaks = speaks(name, table.kind.as_deref(), Speaks::OpenAi)?;
    let Some(base_url) = &table.base_url else {
        return Err(BadSetting(format!(
            "Provider '{name}' has no base_url, and is none that Weir knows."
        )));
    };
    Ok(ProviderSettings {
        name: name.to_owned(),
        speaks,
        base_url: checked_url(name, base_url)?,
        credentials: table_credentials(raw, name, table)?,
        models: patterns(name, &table.models)?,
        catalogue: table.catalogue.clone().unwrap_or_else(|| name.to_owned()),
        free: table.free.unwrap_or(false),
        on_hangup: on_hangup(name, table.on_hangup.as_deref(), OnHangup::Drain)?,
        stream_options: table.stream_options.unwrap_or(true),
        guarded: false,
        example: None,
        source: file_source(raw),
    })
}

fn has_secrets(table: &ProviderTable) -> bool {
    table.api_key.is_some() || !table.api_keys.is_empty()
}

fn table_credentials(
    raw: &Raw,
    name: &str,
    table: &ProviderTable,
) -> Result<Vec<CredentialSettings>, BadSetting> {
    let what = format!("The secret of provider '{name}'");
    let texts = table.api_key.iter().chain(&table.api_keys);
    let secrets = texts.map(|text| raw.secret(text, &what)).collect::<Result<Vec<_>, _>>()?;
    if secrets.iter().any(|secret| secret.expose().is_empty()) {
        return Err(BadSetting(format!("{what} is empty.")));
    }
    Ok(number_credentials(name, secrets))
}

fn number_credentials(provider: &str, secrets: Vec<Secret>) -> Vec<CredentialSettings> {
    let numbered = secrets.into_iter().enumerate();
    numbered
        .map(|(at, secret)| CredentialSettings { name: format!("{provider}#{}", at + 1), secret })
        .collect()
}

fn file_source(raw: &Raw) -> String {
    raw.file.as_ref().map_or_else(|| "file".to_owned(), |path| format!("file {}", path.display()))
}

fn patterns(name: &str, texts: &[String]) -> Result<Vec<Pattern>, BadSetting> {
    texts
        .iter()
        .map(|text| {
            Pattern::new(text).ok_or_else(|| {
                BadSetting(format!(
                    "Provider '{name}' has a model pattern that cannot be used: '{text}'."
                ))
            })
        })
        .collect()
}

fn speaks(name: &str, text: Option<&str>, default: Speaks) -> Result<Speaks, BadSetting> {
    match text {
        None => Ok(default),
        Some("openai") => Ok(Speaks::OpenAi),
        Some("anthropic") => Ok(Speaks::Anthropic),
        Some(other) => Err(BadSetting(format!(
            "Provider '{name}' has kind '{other}'; it must be 'openai' or 'anthropic'."
        ))),
    }
}

fn on_hangup(name: &str, text: Option<&str>, default: OnHangup) -> Result<OnHangup, BadSetting> {
    match text {
        None => Ok(default),
        Some("drain") => Ok(OnHangup::Drain),
        Some("cancel") => Ok(OnHangup::Cancel),
        Some(other) => Err(BadSetting(format!(
            "Provider '{name}' has on_hangup '{other}'; it must be 'drain' or 'cancel'."
        ))),
    }
}

fn checked_url(name: &str, url: &str) -> Result<String, BadSetting> {
    let wrong = |why: &str| {
        Err(BadSetting(format!(
            "Provider '{name}' has a base_url that {why}: it must look like https://host/v1."
        )))
    };
    let Ok(parsed) = url.parse::<http::Uri>() else { return wrong("is no URL") };
    if !matches!(parsed.scheme_str(), Some("http" | "https")) {
        return wrong("is neither http nor https");
    }
    match parsed.authority() {
        Some(authority) if authority.as_str().contains('@') => wrong("carries a user name"),
        Some(_) if parsed.query().is_some() => wrong("carries a query"),
        Some(_) => Ok(url.trim_end_matches('/').to_owned()),
        None => wrong("names no host"),
    }
}

/// `OLLAMA_HOST` as Ollama reads it: a scheme and a port may be missing, and an address to listen on
/// everywhere is reached on this machine.
fn ollama_url(host: &str) -> String {
    let (scheme, rest) = host.split_once("://").unwrap_or(("http", host));
    let rest = rest.trim_end_matches('/').trim_end_matches("/v1");
    let rest = rest.replace("0.0.0.0", "127.0.0.1");
    let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let port = if has_port { "" } else { ":11434" };
    format!("{scheme}://{rest}{port}/v1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ollama_hosts_are_read_as_ollama_reads_them() {
        for (host, url) in [
            ("http://127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
            ("0.0.0.0", "http://127.0.0.1:11434/v1"),
            ("gpu.lan:9999", "http://gpu.lan:9999/v1"),
            ("https://gpu.lan/", "https://gpu.lan:11434/v1"),
        ] {
            assert_eq!(ollama_url(host), url);
        }
    }

    #[test]
    fn urls_that_could_send_a_secret_elsewhere_are_refused() {
        for url in
            ["", "ftp://x/v1", "https://user@host/v1", "https://host/v1?x=1", "host/v1", "/v1"]
        {
            assert!(checked_url("p", url).is_err(), "{url}");
        }
        assert_eq!(checked_url("p", "https://host/v1/").unwrap(), "https://host/v1");
    }
}
