//! What the settings mean: parsed, checked, complete. Where a value was written, and which of
//! several writings counts, is `raw`'s business; nothing here reads a file or the environment.

mod defaults;
pub mod raw;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use domain::rule::Network;
use domain::{Defaults, Plans, Secret};
use store::Durability;

use crate::config::raw::{Raw, Setting};
use crate::prices::OverrideSetting;
use crate::providers::{self, ProviderSettings};
use crate::vault::{NotAKey, Vault};

/// Everything an operator can set, resolved.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own, in any mix")]
pub struct Config {
    pub listen: SocketAddr,
    pub data: PathBuf,
    /// The operator's own file of keys.
    pub bridge_file: PathBuf,
    pub durability: Durability,
    pub threads: usize,
    pub log: String,
    pub log_json: bool,
    pub master_key: Option<Secret>,
    pub default_provider: Option<String>,
    /// Seals credentials that are added over the admin API.
    pub encryption_key: Option<Secret>,
    /// Whether providers that are added over the admin API may be on this machine or in private
    /// networks.
    pub private_destinations: bool,
    /// Whether the demo is there only while no other provider is.
    pub demo_steps_aside: bool,
    pub allow_unauthenticated: bool,
    pub organization_routes: bool,
    pub stored_objects: bool,
    /// Limits for everything of a kind.
    pub defaults: Defaults,
    /// How many keys projects may have.
    pub plans: Plans,
    pub floor_tokens: u64,
    pub trusted_proxies: Vec<Network>,
    pub cached_keys: usize,
    pub limits: WireLimits,
    pub providers: Vec<ProviderSettings>,
    pub aliases: Vec<(String, String)>,
    pub prices: Vec<OverrideSetting>,
}

/// How much and how long we wait for on the wire.
#[derive(Clone, Copy, Debug)]
pub struct WireLimits {
    pub body_bytes_max: usize,
    pub answer_bytes_max: usize,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub stall_timeout: Duration,
    pub connect_timeout: Duration,
    pub first_byte_timeout: Duration,
    pub silence_timeout: Duration,
    pub drain_timeout: Duration,
    pub stop_timeout: Duration,
}

/// One setting that cannot be used, as a sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadSetting(pub String);

/// Every setting but the tables of defaults, providers, aliases and prices. The order is that of
/// `config.example.toml` and of `weir config check`.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "listen",
        env: "WEIR_LISTEN",
        default: "127.0.0.1:8000",
        doc: "Address and port to listen on.",
    },
    Setting {
        name: "data",
        env: "WEIR_DATA",
        default: "./data",
        doc: "Directory of the embedded store. One process at a time.",
    },
    Setting {
        name: "bridge-file",
        env: "WEIR_BRIDGE_FILE",
        default: "",
        doc: "The operator's file of keys, password and browser sessions; left out: config.json beside the data directory. Used where it exists; made when something is to be kept in it.",
    },
    Setting {
        name: "durability",
        env: "WEIR_DURABILITY",
        default: "process",
        doc: "What a ledger row survives once written: 'process' (kill -9) or 'power' (power loss; an fsync per batch).",
    },
    Setting {
        name: "threads",
        env: "WEIR_THREADS",
        default: "0",
        doc: "Threads that serve calls; 0 means one per core.",
    },
    Setting {
        name: "log",
        env: "WEIR_LOG",
        default: "info",
        doc: "What to log: error, warn, info, debug, or a filter like 'server=debug'.",
    },
    Setting {
        name: "log-format",
        env: "WEIR_LOG_FORMAT",
        default: "text",
        doc: "How to log: 'text' for people, 'json' for collectors.",
    },
    Setting {
        name: "master-key-file",
        env: "WEIR_MASTER_KEY_FILE",
        default: "",
        doc: "File with the master key. The variable PROXY_MASTER_KEY goes before it. With neither, one is made at the first start.",
    },
    Setting {
        name: "demo",
        env: "WEIR_DEMO",
        default: "auto",
        doc: "The built-in demo provider: 'auto' (only while no other is configured), 'on' or 'off'.",
    },
    Setting {
        name: "default-provider",
        env: "WEIR_DEFAULT_PROVIDER",
        default: "",
        doc: "Provider for model names that no catalogue and no pattern knows.",
    },
    Setting {
        name: "encryption-key-file",
        env: "WEIR_ENCRYPTION_KEY_FILE",
        default: "",
        doc: "File with the key that credentials added over the admin API are sealed with: 32 bytes in hexadecimal or base64. The variable WEIR_ENCRYPTION_KEY goes before it. With neither, one is made in credential.key of the data directory.",
    },
    Setting {
        name: "allow-private-destinations",
        env: "WEIR_ALLOW_PRIVATE_DESTINATIONS",
        default: "false",
        doc: "Let providers that are added over the admin API be on this machine or in private networks. Those in this file may be anywhere.",
    },
    Setting {
        name: "allow-unauthenticated",
        env: "WEIR_ALLOW_UNAUTHENTICATED",
        default: "false",
        doc: "Serve calls without a secret, under the key named 'anonymous'.",
    },
    Setting {
        name: "organization-routes",
        env: "WEIR_ORGANIZATION_ROUTES",
        default: "false",
        doc: "Pass the provider's organization administration (/v1/organization/*) through, for the master key only.",
    },
    Setting {
        name: "stored-objects",
        env: "WEIR_STORED_OBJECTS",
        default: "shared",
        doc: "Routes to things that a provider stores for its account (files, batches, assistants, stored responses): 'shared' by all keys, or 'off'.",
    },
    Setting {
        name: "team-share",
        env: "WEIR_TEAM_SHARE",
        default: "80",
        doc: "The most that one user of a team of two or more may take of each of the team's token limits, in percent (1 to 100).",
    },
    Setting {
        name: "free-keys",
        env: "WEIR_FREE_KEYS",
        default: "5",
        doc: "Keys that a project of the plan 'free' may have, or 'unlimited'.",
    },
    Setting {
        name: "pro-keys",
        env: "WEIR_PRO_KEYS",
        default: "50",
        doc: "Keys that a project of the plan 'pro' may have, or 'unlimited'.",
    },
    Setting {
        name: "enterprise-keys",
        env: "WEIR_ENTERPRISE_KEYS",
        default: "unlimited",
        doc: "Keys that a project of the plan 'enterprise' may have, or 'unlimited'.",
    },
    Setting {
        name: "floor-tokens",
        env: "WEIR_FLOOR_TOKENS",
        default: "256",
        doc: "Output tokens that a limit must leave room for: below it a call is refused, above it its maximum is lowered to what fits.",
    },
    Setting {
        name: "trusted-proxies",
        env: "WEIR_TRUSTED_PROXIES",
        default: "",
        doc: "Addresses and networks, separated by commas, of proxies whose X-Forwarded-For is believed; none: nobody's.",
    },
    Setting {
        name: "cached-keys",
        env: "WEIR_CACHED_KEYS",
        default: "100000",
        doc: "Keys kept in memory; the others are looked up when they call.",
    },
    Setting {
        name: "body-bytes-max",
        env: "WEIR_BODY_BYTES_MAX",
        default: "33554432",
        doc: "Largest request body, in bytes.",
    },
    Setting {
        name: "answer-bytes-max",
        env: "WEIR_ANSWER_BYTES_MAX",
        default: "67108864",
        doc: "Largest answer of a provider that is not streamed, in bytes.",
    },
    Setting {
        name: "header-timeout",
        env: "WEIR_HEADER_TIMEOUT",
        default: "30",
        doc: "Seconds a client may take to send its request's head.",
    },
    Setting {
        name: "body-timeout",
        env: "WEIR_BODY_TIMEOUT",
        default: "60",
        doc: "Seconds a request's body may stall.",
    },
    Setting {
        name: "stall-timeout",
        env: "WEIR_STALL_TIMEOUT",
        default: "300",
        doc: "Seconds a client may leave its answer unread before it counts as gone.",
    },
    Setting {
        name: "connect-timeout",
        env: "WEIR_CONNECT_TIMEOUT",
        default: "5",
        doc: "Seconds to reach a provider.",
    },
    Setting {
        name: "first-byte-timeout",
        env: "WEIR_FIRST_BYTE_TIMEOUT",
        default: "600",
        doc: "Seconds until a provider's answer begins.",
    },
    Setting {
        name: "silence-timeout",
        env: "WEIR_SILENCE_TIMEOUT",
        default: "300",
        doc: "Seconds between two parts of a provider's answer.",
    },
    Setting {
        name: "drain-timeout",
        env: "WEIR_DRAIN_TIMEOUT",
        default: "60",
        doc: "Seconds a provider's answer is still read for its usage after the client has gone.",
    },
    Setting {
        name: "stop-timeout",
        env: "WEIR_STOP_TIMEOUT",
        default: "30",
        doc: "Seconds that calls in flight may take to end when Weir is told to stop.",
    },
];

impl Config {
    /// Resolves what was written.
    ///
    /// # Errors
    /// The first setting that makes no sense, named, with where it was written.
    pub fn resolve(raw: &mut Raw) -> Result<Self, BadSetting> {
        let demo = match raw.text("demo") {
            "auto" => None,
            "on" => Some(true),
            "off" => Some(false),
            _ => return Err(bad(raw, "demo", "'auto', 'on' or 'off'")),
        };
        let providers = providers::configured(raw, demo)?;
        let default_provider = nonempty(raw.text("default-provider"));
        if let Some(name) = &default_provider
            && !providers.iter().any(|provider| provider.name == *name)
        {
            return Err(bad(raw, "default-provider", "the name of a configured provider"));
        }
        Ok(Self {
            listen: raw
                .text("listen")
                .parse()
                .map_err(|_| bad(raw, "listen", "an address like 127.0.0.1:8000"))?,
            data: PathBuf::from(raw.text("data")),
            bridge_file: bridge_file(raw),
            durability: match raw.text("durability") {
                "process" => Durability::Process,
                "power" => Durability::Power,
                _ => return Err(bad(raw, "durability", "'process' or 'power'")),
            },
            threads: number(raw, "threads")?,
            log: log_filter(raw)?,
            log_json: match raw.text("log-format") {
                "text" => false,
                "json" => true,
                _ => return Err(bad(raw, "log-format", "'text' or 'json'")),
            },
            master_key: master_key(raw)?,
            default_provider,
            encryption_key: encryption_key(raw)?,
            private_destinations: boolean(raw, "allow-private-destinations")?,
            demo_steps_aside: demo.is_none(),
            allow_unauthenticated: boolean(raw, "allow-unauthenticated")?,
            organization_routes: boolean(raw, "organization-routes")?,
            stored_objects: match raw.text("stored-objects") {
                "shared" => true,
                "off" => false,
                _ => return Err(bad(raw, "stored-objects", "'shared' or 'off'")),
            },
            defaults: defaults::resolve(std::mem::take(&mut raw.defaults), team_share(raw)?)?,
            plans: Plans {
                free: bound(raw, "free-keys")?,
                pro: bound(raw, "pro-keys")?,
                enterprise: bound(raw, "enterprise-keys")?,
            },
            floor_tokens: match number(raw, "floor-tokens")? {
                0 => return Err(bad(raw, "floor-tokens", "at least 1")),
                tokens => tokens,
            },
            trusted_proxies: networks(raw, "trusted-proxies")?,
            cached_keys: number(raw, "cached-keys")?,
            limits: wire_limits(raw)?,
            providers,
            aliases: raw.aliases.clone(),
            prices: std::mem::take(&mut raw.prices),
        })
    }
}

fn wire_limits(raw: &Raw) -> Result<WireLimits, BadSetting> {
    let seconds = |name| Ok(Duration::from_secs(number(raw, name)?));
    Ok(WireLimits {
        body_bytes_max: number(raw, "body-bytes-max")?,
        answer_bytes_max: number(raw, "answer-bytes-max")?,
        header_timeout: seconds("header-timeout")?,
        body_timeout: seconds("body-timeout")?,
        stall_timeout: seconds("stall-timeout")?,
        connect_timeout: seconds("connect-timeout")?,
        first_byte_timeout: seconds("first-byte-timeout")?,
        silence_timeout: seconds("silence-timeout")?,
        drain_timeout: seconds("drain-timeout")?,
        stop_timeout: seconds("stop-timeout")?,
    })
}

fn bridge_file(raw: &Raw) -> PathBuf {
    match raw.text("bridge-file") {
        "" => PathBuf::from(raw.text("data")).with_file_name("config.json"),
        path => PathBuf::from(path),
    }
}

fn team_share(raw: &Raw) -> Result<u8, BadSetting> {
    let share = number(raw, "team-share").ok().filter(|percent| (1..=100).contains(percent));
    share.ok_or_else(|| bad(raw, "team-share", "a whole number from 1 to 100"))
}

fn encryption_key(raw: &mut Raw) -> Result<Option<Secret>, BadSetting> {
    let Some((secret, source)) = raw.encryption_key.take() else { return Ok(None) };
    match Vault::default().add(&secret) {
        Ok(()) => Ok(Some(secret)),
        Err(NotAKey) => Err(BadSetting(format!(
            "The encryption key ({source}) is not 32 bytes in hexadecimal or base64. Make one with 'openssl rand -hex 32', or leave it out to have one made."
        ))),
    }
}

/// A level, or a filter that names places; a mistyped level would silence the log.
fn log_filter(raw: &Raw) -> Result<String, BadSetting> {
    let text = raw.text("log");
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let is_filter = text.contains('=') && tracing_subscriber::EnvFilter::try_new(text).is_ok();
    if levels.contains(&text) || is_filter {
        return Ok(text.to_owned());
    }
    Err(bad(raw, "log", "error, warn, info, debug, or a filter like 'server=debug'"))
}

/// A master key that anybody could guess is refused at the start, not when it is abused.
fn master_key(raw: &mut Raw) -> Result<Option<Secret>, BadSetting> {
    const LEAST_BYTES: usize = 16;
    const PLACEHOLDERS: [&str; 6] =
        ["change-me", "changeme", "change_me", "your-master-key", "placeholder", "xxxxxxxx"];
    let Some((secret, source)) = raw.master_key.take() else { return Ok(None) };
    let text = secret.expose();
    let lower = text.to_ascii_lowercase();
    let wrong = if text.len() < LEAST_BYTES {
        format!("is shorter than {LEAST_BYTES} characters")
    } else if PLACEHOLDERS.iter().any(|placeholder| lower.contains(placeholder)) {
        "is a placeholder".to_owned()
    } else if text.bytes().any(|byte| !byte.is_ascii_graphic()) {
        "has characters that no HTTP header can carry".to_owned()
    } else {
        return Ok(Some(secret));
    };
    Err(BadSetting(format!(
        "The master key ({source}) {wrong}. Set it to a long random string, or leave it out to have one made."
    )))
}

fn bad(raw: &Raw, name: &str, wanted: &str) -> BadSetting {
    let value = raw.value(name);
    BadSetting(format!(
        "Setting '{name}' is '{}' ({}); it must be {wanted}.",
        value.text, value.source
    ))
}

fn number<T: FromStr>(raw: &Raw, name: &str) -> Result<T, BadSetting> {
    raw.text(name).replace('_', "").parse().map_err(|_| bad(raw, name, "a whole number"))
}

/// A number, or none.
fn bound(raw: &Raw, name: &str) -> Result<Option<u32>, BadSetting> {
    if raw.text(name) == "unlimited" {
        return Ok(None);
    }
    number(raw, name).map(Some).map_err(|_| bad(raw, name, "a whole number, or 'unlimited'"))
}

fn boolean(raw: &Raw, name: &str) -> Result<bool, BadSetting> {
    match raw.text(name) {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(bad(raw, name, "'true' or 'false'")),
    }
}

fn networks(raw: &Raw, name: &str) -> Result<Vec<Network>, BadSetting> {
    let parts = raw.text(name).split(',').map(str::trim).filter(|part| !part.is_empty());
    let read = |part| {
        let bad = |why| BadSetting(format!("Setting '{name}' has '{part}'. {why}"));
        Network::parse(part).map_err(bad)
    };
    parts.map(read).collect()
}

fn nonempty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
