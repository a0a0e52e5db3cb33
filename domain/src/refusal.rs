//! Every "no" and every failure a client can see, in one table: its code, its HTTP status, its
//! kind, whether sending the same again can help. How it looks in a dialect is not decided here.

use crate::scope::ScopedLimit;
use crate::time::Timestamp;

/// What went wrong, in the words the field uses for the error's `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request is at fault.
    InvalidRequest,
    /// We do not know who is calling.
    Authentication,
    /// We know who is calling, and they may not.
    Permission,
    /// Too much, too fast.
    RateLimit,
    /// The money is gone.
    InsufficientQuota,
    /// The provider is at fault.
    Upstream,
    /// We cannot serve now.
    Unavailable,
    /// We are at fault.
    Internal,
}

impl Kind {
    /// The error's `type` in OpenAI's envelope.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request_error",
            Self::Authentication => "authentication_error",
            Self::Permission => "permission_error",
            Self::RateLimit => "rate_limit_error",
            Self::InsufficientQuota => "insufficient_quota",
            Self::Upstream => "upstream_error",
            Self::Unavailable => "unavailable_error",
            Self::Internal => "internal_error",
        }
    }
}

/// Whether a client's automatic retry can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same request will be refused again: official SDKs are told not to repeat it.
    Never,
    /// It may pass later.
    Later,
}

macro_rules! codes {
    ($(#[doc = $about:literal] $name:ident = $text:literal, $status:literal, $kind:ident, $retry:ident;)*) => {
        /// Why a client did not get what it asked for. Codes are part of the public API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $about] $name,)*
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What it means, in a sentence.
            pub fn about(self) -> &'static str {
                match self { $(Self::$name => $about.trim_ascii(),)* }
            }

            /// The error's `code` in JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status it is answered with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The error's kind.
            pub const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }

            /// Whether repeating the request can help.
            pub const fn retry(self) -> Retry {
                match self { $(Self::$name => Retry::$retry,)* }
            }
        }
    };
}

codes! {
    /// The body is not one JSON document in UTF-8.
    InvalidJson = "invalid_json", 400, InvalidRequest, Never;
    /// An object names a member twice; parsers disagree which one counts.
    DuplicateJsonKey = "duplicate_json_key", 400, InvalidRequest, Never;
    /// A value is of the wrong type or out of range.
    InvalidValue = "invalid_value", 400, InvalidRequest, Never;
    /// Something required is missing.
    MissingParameter = "missing_required_parameter", 400, InvalidRequest, Never;
    /// A parameter that no client may set.
    UnsupportedParameter = "unsupported_parameter", 400, InvalidRequest, Never;
    /// A parameter nobody knows.
    UnknownParameter = "unknown_parameter", 400, InvalidRequest, Never;
    /// Two different secrets in one request.
    ConflictingCredentials = "conflicting_credentials", 400, InvalidRequest, Never;
    /// Where the body ends could be read in more than one way.
    InvalidFraming = "invalid_framing", 400, InvalidRequest, Never;
    /// An upgrade to another protocol.
    InvalidUpgrade = "invalid_upgrade", 400, InvalidRequest, Never;
    /// A rule that makes no sense or names nothing that exists.
    InvalidRule = "invalid_rule", 400, InvalidRequest, Never;
    /// A provider's address that nobody may send a secret to.
    DestinationNotAllowed = "destination_not_allowed", 400, InvalidRequest, Never;
    /// One call alone may use more than a limit allows at all.
    RequestExceedsLimit = "request_exceeds_limit", 400, InvalidRequest, Never;
    /// An `Idempotency-Key` that stands for another request.
    IdempotencyKeyReused = "idempotency_key_reused", 400, InvalidRequest, Never;
    /// No secret was sent.
    MissingApiKey = "missing_api_key", 401, Authentication, Never;
    /// No key has this secret.
    InvalidApiKey = "invalid_api_key", 401, Authentication, Never;
    /// Not the password.
    WrongPassword = "wrong_password", 401, Authentication, Never;
    /// Nobody is logged in with this cookie any more.
    SessionEnded = "session_ended", 401, Authentication, Never;
    /// The key is switched off.
    KeyDisabled = "key_disabled", 401, Authentication, Never;
    /// The key's time is over.
    KeyExpired = "key_expired", 401, Authentication, Never;
    /// The key is gone for good.
    KeyRevoked = "key_revoked", 401, Authentication, Never;
    /// A money limit is reached.
    InsufficientQuota = "insufficient_quota", 402, InsufficientQuota, Never;
    /// A management key on an inference route, or a regular key on a management route.
    WrongKeyType = "wrong_key_type", 403, Permission, Never;
    /// A rule of the key excludes the model.
    ModelNotAllowed = "model_not_allowed", 403, Permission, Never;
    /// A rule of the key excludes the provider.
    ProviderNotAllowed = "provider_not_allowed", 403, Permission, Never;
    /// A rule excludes what the model costs, or that nobody knows what it costs.
    PriceNotAllowed = "price_not_allowed", 403, Permission, Never;
    /// A rule excludes the address that the call comes from.
    AddressNotAllowed = "address_not_allowed", 403, Permission, Never;
    /// The model has no price, and the key has a money limit.
    ModelUnpriced = "model_unpriced", 403, Permission, Never;
    /// What the call may cost has no bound, and the key has a money limit or rules.
    Unmeterable = "unbounded_feature_for_hard_limit", 403, Permission, Never;
    /// More than whoever makes the key may give.
    ExceedsCeiling = "exceeds_ceiling", 403, Permission, Never;
    /// A route that the operator has not switched on.
    RouteDisabled = "route_disabled", 403, Permission, Never;
    /// Another site's page sent it with this site's cookie.
    CrossOrigin = "cross_origin", 403, Permission, Never;
    /// No provider here has this model.
    ModelNotFound = "model_not_found", 404, InvalidRequest, Never;
    /// No such thing, or not yours.
    NotFound = "not_found", 404, InvalidRequest, Never;
    /// No such URL.
    UnknownUrl = "unknown_url", 404, InvalidRequest, Never;
    /// The URL exists, the method does not.
    MethodNotAllowed = "method_not_allowed", 405, InvalidRequest, Never;
    /// The request took too long to arrive.
    RequestTimeout = "request_timeout", 408, InvalidRequest, Later;
    /// The change contradicts what is there.
    Conflict = "conflict", 409, InvalidRequest, Never;
    /// The first request with this `Idempotency-Key` has no answer yet.
    IdempotencyInProgress = "idempotency_in_progress", 409, InvalidRequest, Later;
    /// The first request with this `Idempotency-Key` was done, and its answer is gone.
    IdempotencyAnswerLost = "idempotency_answer_lost", 409, InvalidRequest, Never;
    /// A key that was ended for good had this secret.
    SecretRevoked = "secret_revoked", 409, InvalidRequest, Never;
    /// The project has as many keys as its plan allows.
    KeyLimitReached = "key_limit_reached", 409, InvalidRequest, Never;
    /// Somebody else changed it since it was read.
    StaleRevision = "stale_revision", 412, InvalidRequest, Never;
    /// The body is larger than allowed.
    RequestTooLarge = "request_too_large", 413, InvalidRequest, Never;
    /// The body is not of the type this route takes.
    UnsupportedMediaType = "unsupported_media_type", 415, InvalidRequest, Never;
    /// The body is encoded in a way nobody here can undo.
    UnsupportedEncoding = "unsupported_encoding", 415, InvalidRequest, Never;
    /// A limit on requests or tokens is reached.
    RateLimitExceeded = "rate_limit_exceeded", 429, RateLimit, Later;
    /// A limit on calls in flight is reached.
    ConcurrencyLimitExceeded = "concurrency_limit_exceeded", 429, RateLimit, Later;
    /// Too many wrong passwords.
    TooManyAttempts = "too_many_attempts", 429, RateLimit, Later;
    /// The provider's own rate limit.
    UpstreamRateLimited = "upstream_rate_limited", 429, RateLimit, Later;
    /// Something broke on our side.
    Internal = "internal_error", 500, Internal, Later;
    /// The provider could not be reached or answered with a failure of its own.
    UpstreamFailed = "upstream_failed", 502, Upstream, Later;
    /// The provider refused our credential.
    UpstreamCredentialRejected = "upstream_credential_rejected", 502, Upstream, Never;
    /// The provider's answer was not what its API promises.
    UpstreamInvalidResponse = "upstream_invalid_response", 502, Upstream, Later;
    /// No provider is configured that could serve this.
    NoProvider = "no_provider", 503, Unavailable, Later;
    /// The ledger cannot be written, so nothing may be spent.
    LedgerUnavailable = "ledger_unavailable", 503, Unavailable, Later;
    /// The provider did not answer in time.
    UpstreamTimeout = "upstream_timeout", 504, Upstream, Later;
}

/// A no to the caller: a value, not an error of ours. The message is a full sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The row of the table.
    pub code: Code,
    /// What, whose, until when, and who can change it. Never a secret.
    pub message: String,
    /// The member of the request at fault, as a path: `messages[2].role`.
    pub param: Option<String>,
    /// What could have been sent instead of a member that nobody knows.
    pub known: Vec<String>,
    /// The limit that refused, where one did.
    pub limit: Option<Box<LimitReached>>,
    /// When the same request can pass, in milliseconds from now, where that is known.
    pub retry_after_ms: Option<u64>,
    /// Whether a client's automatic retry can help.
    pub retry: Retry,
}

/// The limit that refused a call, as it stood then. Amounts are in the limit's unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitReached {
    /// Which limit, and what it hangs on.
    pub scoped: ScopedLimit,
    /// How much of it was spent.
    pub spent: i64,
    /// How much of it calls in flight held.
    pub held: i64,
    /// How much the refused call would have held.
    pub wanted: i64,
    /// When its window ends; `None` for one that lasts for ever, or rolls.
    pub resets_at: Option<Timestamp>,
}

impl Refusal {
    /// A refusal with its sentence.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let (message, retry) = (message.into(), code.retry());
        Self {
            code,
            message,
            param: None,
            known: Vec::new(),
            limit: None,
            retry_after_ms: None,
            retry,
        }
    }

    /// The same, naming the member of the request at fault.
    #[must_use]
    pub fn about(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_statuses_fit_the_kind() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            let fits = match code.kind() {
                Kind::InvalidRequest => {
                    [400, 404, 405, 408, 409, 412, 413, 415].contains(&code.status())
                }
                Kind::Authentication => code.status() == 401,
                Kind::Permission => code.status() == 403,
                Kind::RateLimit => code.status() == 429,
                Kind::InsufficientQuota => code.status() == 402,
                Kind::Upstream => [502, 504].contains(&code.status()),
                Kind::Unavailable => code.status() == 503,
                Kind::Internal => code.status() == 500,
            };
            assert!(fits, "{}", code.name());
        }
    }
}
