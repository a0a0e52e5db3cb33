//! Providers that are added while Weir runs: what is left out about one, and where it may be. What
//! the operator writes into the settings is believed; what comes over the admin API is judged.

use domain::command::ProviderChange;
use domain::supply::{ProviderKind, ProviderRecord, Stamp};
use domain::{Code, Pattern, Refusal, destination};

use super::known::KNOWN;
use super::{OnHangup, ProviderSettings, Speaks};
use crate::prices;

/// A provider called `name`, as `said`. What is left out, one that everybody knows brings along.
///
/// # Errors
/// The name cannot be used, or it is not said where the provider is.
pub fn make(name: String, said: ProviderChange) -> Result<ProviderRecord, Refusal> {
    if !super::is_name(&name) {
        let message =
            "'name' must be 1 to 64 lower-case letters, digits, '-' and '_', and not 'demo'.";
        return Err(Refusal::new(Code::InvalidValue, message).about("name"));
    }
    let known = KNOWN.iter().find(|known| known.name == name);
    let its_url = known.filter(|known| !known.key_env.is_empty()).map(|known| known.base_url);
    let base_url = said.base_url.or_else(|| its_url.map(str::to_owned)).ok_or_else(|| {
        let message = "'base_url' is missing: where the provider answers, as https://host/v1.";
        Refusal::new(Code::MissingParameter, message).about("base_url")
    })?;
    let patterns = known.map(|known| known.models.iter().filter_map(|text| Pattern::new(text)));
    let its_kind = match known.map(|known| known.speaks) {
        Some(Speaks::Anthropic) => ProviderKind::Anthropic,
        Some(Speaks::OpenAi | Speaks::Demo) | None => ProviderKind::OpenAi,
    };
    let its_catalogue = known.map(|known| known.catalogue.to_owned());
    Ok(ProviderRecord {
        kind: said.kind.unwrap_or(its_kind),
        base_url,
        models: said.models.or_else(|| patterns.map(Iterator::collect)).unwrap_or_default(),
        catalogue: said.catalogue.or(its_catalogue).unwrap_or_else(|| name.clone()),
        free: said.free.unwrap_or(false),
        on_hangup: said
            .on_hangup
            .or_else(|| known.map(|known| known.on_hangup))
            .unwrap_or(OnHangup::Drain),
        stream_options: said.stream_options.unwrap_or(true),
        stamp: Stamp::default(),
        name,
    })
}

/// Whether a provider may be like this; its URL without a slash at the end. `private` allows this
/// machine and private networks.
///
/// # Errors
/// It is at no place that may be called, or has prices that nobody has.
pub fn check(mut provider: ProviderRecord, private: bool) -> Result<ProviderRecord, Refusal> {
    provider.base_url = checked_url(&provider.base_url, private)?;
    let catalogue = provider.catalogue.as_str();
    let has_prices = prices::embedded_providers().any(|known| known == catalogue);
    if !has_prices && catalogue != provider.name {
        let message = "'catalogue' must be a provider whose prices are built in, or be left out.";
        return Err(Refusal::new(Code::InvalidValue, message).about("catalogue"));
    }
    Ok(provider)
}

fn checked_url(url: &str, private: bool) -> Result<String, Refusal> {
    const BYTES_MAX: usize = 1_024;
    let no = |code, why: &str| {
        Err(Refusal::new(code, format!("base_url {why}: it must look like https://host/v1."))
            .about("base_url"))
    };
    let uri = url.parse::<http::Uri>();
    let (Ok(uri), true) = (uri, url.len() <= BYTES_MAX && !url.contains('#')) else {
        return no(Code::InvalidValue, "is no URL");
    };
    let Some(authority) = uri.authority() else {
        return no(Code::InvalidValue, "names no host");
    };
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return no(Code::InvalidValue, "is neither http nor https");
    }
    if uri.query().is_some() {
        return no(Code::InvalidValue, "carries a query");
    }
    if authority.as_str().contains('@') {
        return no(Code::DestinationNotAllowed, "carries a user name");
    }
    let (host, port) = (authority.host(), authority.port_u16());
    let plain = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    if authority.as_str() != plain || port == Some(0) {
        return no(Code::InvalidValue, "has a port that is none");
    }
    destination::judge(host, private)?;
    Ok(url.trim_end_matches('/').to_owned())
}

/// The same as the settings would say it; its credentials are kept elsewhere.
pub fn settings(provider: &ProviderRecord) -> ProviderSettings {
    ProviderSettings {
        name: provider.name.clone(),
        speaks: match provider.kind {
            ProviderKind::OpenAi => Speaks::OpenAi,
            ProviderKind::Anthropic => Speaks::Anthropic,
        },
        base_url: provider.base_url.clone(),
        credentials: Vec::new(),
        models: provider.models.clone(),
        catalogue: provider.catalogue.clone(),
        free: provider.free,
        on_hangup: provider.on_hangup,
        stream_options: provider.stream_options,
        guarded: true,
        example: None,
        source: "store".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::DEMO;

    #[test]
    fn a_provider_everybody_knows_needs_only_its_name() {
        let made = make("anthropic".to_owned(), ProviderChange::default()).unwrap();
        assert_eq!(made.kind, ProviderKind::Anthropic);
        assert_eq!(made.base_url, "https://api.anthropic.com");
        assert!(made.models.iter().any(|pattern| pattern.fits("claude-x")));
        assert_eq!(check(made.clone(), false), Ok(made));
        for name in ["mine", "ollama"] {
            let no = make(name.to_owned(), ProviderChange::default()).map_err(|no| no.code);
            assert_eq!(no, Err(Code::MissingParameter), "{name}");
        }
        for name in ["", DEMO, "Mine", "a/b", "a b", "*"] {
            let no = make(name.to_owned(), ProviderChange::default()).map_err(|no| no.code);
            assert_eq!(no, Err(Code::InvalidValue), "{name}");
        }
    }

    #[test]
    fn a_url_is_a_scheme_a_host_and_a_path() {
        for (url, code) in [
            ("", Code::InvalidValue),
            ("mine.example/v1", Code::InvalidValue),
            ("ftp://mine.example", Code::InvalidValue),
            ("https://mine.example/v1?x=1", Code::InvalidValue),
            ("https://mine.example/v1#x", Code::InvalidValue),
            ("https://mine.example:99999/v1", Code::InvalidValue),
            ("https://mine.example:/v1", Code::InvalidValue),
            ("https://mine.example\\@evil.example/", Code::InvalidValue),
            ("https://user@mine.example/v1", Code::DestinationNotAllowed),
            ("https://user:pass@mine.example/v1", Code::DestinationNotAllowed),
            ("http://127.0.0.1:8080/v1", Code::DestinationNotAllowed),
        ] {
            assert_eq!(checked_url(url, false).map_err(|no| no.code), Err(code), "{url}");
        }
        assert_eq!(
            checked_url("https://mine.example/v1/", false).unwrap(),
            "https://mine.example/v1"
        );
        assert!(checked_url("http://[::1]:8080/v1", true).is_ok());
    }
}
