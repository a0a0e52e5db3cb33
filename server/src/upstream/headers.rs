//! Which headers pass, by name; all others stay behind. A client's secret, cookies and addresses
//! never reach a provider, and a provider's cookies, limits and server names never reach a client.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// From the client to the provider.
const TO_PROVIDER: &[&str] = &[
    "accept",
    "content-type",
    "openai-beta",
    "anthropic-version",
    "anthropic-beta",
    "idempotency-key",
    "range",
];

/// From the provider to the client. `retry-after` is passed on with the refusal it belongs to.
const TO_CLIENT: &[&str] = &[
    "content-type",
    "content-disposition",
    "content-range",
    "accept-ranges",
    "openai-model",
    "openai-processing-ms",
    "openai-version",
];

/// The provider's own names for its request, told to the client under a name that is not ours.
const REQUEST_IDS: &[&str] = &["x-request-id", "request-id"];

pub fn for_provider(from: &HeaderMap) -> HeaderMap {
    let mut to = HeaderMap::with_capacity(8);
    for name in TO_PROVIDER {
        for value in from.get_all(*name) {
            to.append(HeaderName::from_static(name), value.clone());
        }
    }
    // Bytes are passed on and read on the way: they must not be packed.
    to.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    to.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("weir/", env!("CARGO_PKG_VERSION"))),
    );
    to
}

pub fn for_client(from: &HeaderMap) -> HeaderMap {
    let mut to = HeaderMap::with_capacity(8);
    for name in TO_CLIENT {
        if let Some(value) = from.get(*name) {
            to.insert(HeaderName::from_static(name), value.clone());
        }
    }
    if let Some(value) = REQUEST_IDS.iter().find_map(|name| from.get(*name)) {
        to.insert("x-upstream-request-id", value.clone());
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_on_the_list_stays_behind() {
        let mut from = HeaderMap::new();
        for name in [
            "authorization",
            "x-api-key",
            "cookie",
            "x-forwarded-for",
            "host",
            "x-portkey-custom-host",
            "set-cookie",
            "openai-organization",
        ] {
            from.insert(HeaderName::from_static(name), HeaderValue::from_static("canary"));
        }
        from.insert("x-request-id", HeaderValue::from_static("theirs"));
        assert!(for_provider(&from).values().all(|value| value != "canary"));
        let to = for_client(&from);
        assert!(to.values().all(|value| value != "canary"));
        assert_eq!(to.get("x-upstream-request-id").unwrap(), "theirs");
        assert!(to.get("x-request-id").is_none());
    }
}
