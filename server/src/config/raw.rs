//! What was written, and where: flags, environment, file, defaults, in that order of precedence.
//! This is the only place that reads the environment and the settings file; what a value means is
//! decided in `config`.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use domain::Secret;
use serde::Deserialize;

use crate::config::{BadSetting, SETTINGS};
use crate::prices::OverrideSetting;

/// One setting: a name (its flag is `--name`), its variable, its default, what it does.
#[derive(Debug)]
pub struct Setting {
    pub name: &'static str,
    pub env: &'static str,
    pub default: &'static str,
    pub doc: &'static str,
}

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Flag(String),
    Env(String),
    File(PathBuf),
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag --{flag}"),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value as text, and where it is from.
#[derive(Clone, Debug)]
pub struct Written {
    pub text: String,
    pub source: Source,
}

/// Everything that was written.
#[derive(Debug)]
pub struct Raw {
    values: BTreeMap<&'static str, Written>,
    env: HashMap<String, String>,
    pub file: Option<PathBuf>,
    pub master_key: Option<(Secret, Source)>,
    pub encryption_key: Option<(Secret, Source)>,
    /// `[defaults.KIND]` of the settings file, by kind.
    pub defaults: BTreeMap<String, toml::Table>,
    pub providers: BTreeMap<String, ProviderTable>,
    pub aliases: Vec<(String, String)>,
    pub prices: Vec<OverrideSetting>,
}

/// `[providers.NAME]` of the settings file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderTable {
    /// `openai` (anything OpenAI-compatible) or `anthropic`; a known provider's name brings its own.
    pub kind: Option<String>,
    /// Where it answers: everything before `/chat/completions` or `/v1/messages`.
    pub base_url: Option<String>,
    /// Its secret: a literal, `${VARIABLE}` or `file:PATH`.
    pub api_key: Option<String>,
    /// Several secrets, used in turn.
    pub api_keys: Vec<String>,
    /// Patterns of model names that belong to it.
    pub models: Vec<String>,
    /// Whose prices and limits its models have: a provider of the catalogue.
    pub catalogue: Option<String>,
    /// Its models cost nothing.
    pub free: Option<bool>,
    /// After a client hangs up: `drain` or `cancel`.
    pub on_hangup: Option<String>,
    /// Whether it accepts `stream_options`.
    pub stream_options: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    defaults: BTreeMap<String, toml::Table>,
    providers: BTreeMap<String, ProviderTable>,
    aliases: BTreeMap<String, String>,
    prices: Vec<OverrideSetting>,
    #[serde(flatten)]
    settings: BTreeMap<String, toml::Value>,
}

impl Raw {
    /// Collects what was written. `flags` are the values given on the command line, by name;
    /// `config` is the settings file that was asked for; without one, `weir.toml` is read where it
    /// exists.
    ///
    /// # Errors
    /// The settings file is missing, unreadable, or says something no setting knows.
    pub fn collect(
        flags: &HashMap<String, String>,
        config: Option<&Path>,
        env: HashMap<String, String>,
    ) -> Result<Self, BadSetting> {
        let asked =
            config.map(Path::to_owned).or_else(|| env.get("WEIR_CONFIG").map(PathBuf::from));
        let path = match asked {
            Some(path) => Some(path),
            None => Some(PathBuf::from("weir.toml")).filter(|path| path.exists()),
        };
        let mut file = path.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let mut values = BTreeMap::new();
        for setting in SETTINGS {
            let name = setting.name;
            let written_in_file = file.settings.remove(&name.replace('-', "_"));
            let (text, source) = if let Some(text) = flags.get(name) {
                (text.clone(), Source::Flag(name.to_owned()))
            } else if let Some(text) = env.get(setting.env).filter(|text| !text.is_empty()) {
                (text.clone(), Source::Env(setting.env.to_owned()))
            } else if let (Some(value), Some(path)) = (written_in_file, &path) {
                (scalar(name, &value, path)?, Source::File(path.clone()))
            } else {
                (setting.default.to_owned(), Source::Default)
            };
            values.insert(name, Written { text, source });
        }
        if let (Some((name, _)), Some(path)) = (file.settings.first_key_value(), &path) {
            return Err(BadSetting(format!(
                "{} has a setting '{name}' that does not exist. `weir config example` prints every setting.",
                path.display()
            )));
        }
        let mut raw = Self {
            values,
            env,
            file: path,
            master_key: None,
            encryption_key: None,
            defaults: file.defaults,
            providers: file.providers,
            aliases: file.aliases.into_iter().collect(),
            prices: file.prices,
        };
        raw.master_key = raw.find_key("PROXY_MASTER_KEY", "master-key-file", "The master key")?;
        raw.encryption_key =
            raw.find_key("WEIR_ENCRYPTION_KEY", "encryption-key-file", "The encryption key")?;
        Ok(raw)
    }

    /// The value of the setting `name`, which must be in [`SETTINGS`].
    pub fn value(&self, name: &str) -> &Written {
        self.values.get(name).expect("every setting of the table was collected")
    }

    /// Its text.
    pub fn text(&self, name: &str) -> &str {
        &self.value(name).text
    }

    /// An environment variable that is set and not empty.
    pub fn env(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|text| !text.trim().is_empty())
    }

    /// A secret as the file may write it: a literal, `${VARIABLE}`, or `file:PATH`.
    ///
    /// # Errors
    /// The variable is not set, or the file cannot be read.
    pub fn secret(&self, text: &str, what: &str) -> Result<Secret, BadSetting> {
        if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
            let value = self.env(name).ok_or_else(|| {
                BadSetting(format!("{what} is taken from the variable {name}, which is not set."))
            })?;
            return Ok(Secret::new(value.trim().to_owned()));
        }
        if let Some(path) = text.strip_prefix("file:") {
            return secret_file(Path::new(path), what);
        }
        Ok(Secret::new(text.trim().to_owned()))
    }

    /// A secret that stands in a variable, or in the file that a setting names.
    fn find_key(
        &self,
        variable: &str,
        setting: &str,
        what: &str,
    ) -> Result<Option<(Secret, Source)>, BadSetting> {
        if let Some(text) = self.env(variable) {
            let secret = Secret::new(text.trim().to_owned());
            return Ok(Some((secret, Source::Env(variable.to_owned()))));
        }
        let file = self.value(setting);
        if file.text.is_empty() {
            return Ok(None);
        }
        let secret = secret_file(Path::new(&file.text), what)?;
        Ok(Some((secret, file.source.clone())))
    }
}

fn secret_file(path: &Path, what: &str) -> Result<Secret, BadSetting> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Secret::new(text.trim().to_owned())),
        Err(error) => {
            Err(BadSetting(format!("{what} cannot be read from {}: {error}.", path.display())))
        }
    }
}

fn read_file(path: &Path) -> Result<File, BadSetting> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        BadSetting(format!("The settings file {} cannot be read: {error}.", path.display()))
    })?;
    toml::from_str(&text).map_err(|error| {
        // The parser's own text shows the offending line, which may hold a secret: only its first
        // sentence and the line's number are repeated.
        let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
        BadSetting(format!(
            "The settings file {} is broken in line {line}: {}.",
            path.display(),
            error.message().lines().next().unwrap_or("not TOML")
        ))
    })
}

fn scalar(name: &str, value: &toml::Value, path: &Path) -> Result<String, BadSetting> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(switch) => Ok(switch.to_string()),
        toml::Value::Float(_)
        | toml::Value::Datetime(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => Err(BadSetting(format!(
            "Setting '{name}' in {} must be a text, a whole number or true/false.",
            path.display()
        ))),
    }
}
