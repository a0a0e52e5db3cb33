//! How a no and a breakage leave: status, headers and body, in the caller's dialect. The public half
//! is all a client sees; the private half goes to the log, once, with the request's id.

use std::error::Error;
use std::fmt::Write as _;

use domain::refusal::{Code, LimitReached, Refusal, Retry};
use domain::{Limit, Money, Period, RequestId, Timestamp, Unit, Window};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::call::{Answer, OutBody};
use crate::rates;

/// Why a request was not served.
#[derive(Debug)]
pub enum Failure {
    /// A fact about the caller.
    Refused(Refusal),
    /// A fact about a provider or about us.
    Broke(Fault),
    /// The path exists, this method does not; the methods that do.
    Method(String),
}

/// A breakage: what a client may know, and what only the log may.
#[derive(Debug)]
pub struct Fault {
    /// The public half.
    pub code: Code,
    /// A sentence for the client.
    pub public: String,
    /// The private half. Has no `Display` on purpose.
    pub private: Box<dyn Error + Send + Sync>,
    /// What a provider asked us to wait, passed on.
    pub retry_after: Option<HeaderValue>,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<store::Fault> for Failure {
    fn from(fault: store::Fault) -> Self {
        if let store::Fault::Stale { .. } = fault {
            // Nothing broke: somebody else was quicker.
            let message = "Somebody changed it since you read it: read it again, and decide anew.";
            return Self::Refused(Refusal::new(Code::StaleRevision, message));
        }
        Self::Broke(Fault {
            code: Code::LedgerUnavailable,
            public: "The store cannot be used at the moment, so nothing may be changed or spent. Whoever operates this gateway finds the reason in its log.".to_owned(),
            private: Box::new(fault),
            retry_after: None,
        })
    }
}

impl Failure {
    /// A breakage of ours that no client can mend.
    pub fn internal(private: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Broke(Fault {
            code: Code::Internal,
            public: "Something broke on the gateway's side. Whoever operates it finds the reason in its log.".to_owned(),
            private: private.into(),
            retry_after: None,
        })
    }

    /// The row of the table it belongs to.
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::Broke(fault) => fault.code,
            Self::Method(_) => Code::MethodNotAllowed,
        }
    }

    /// Whether sending the same again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Refused(refusal) => refusal.retry,
            Self::Broke(_) | Self::Method(_) => self.code().retry(),
        }
    }

    /// The sentence a client sees, at most 300 bytes.
    pub fn message(&self) -> String {
        const BYTES_MAX: usize = 300;
        let mut message = match self {
            Self::Refused(refusal) => refusal.message.clone(),
            Self::Broke(fault) => fault.public.clone(),
            Self::Method(methods) => {
                format!("This URL does not have that method. It has: {methods}.")
            }
        };
        let end = message.floor_char_boundary(BYTES_MAX);
        message.truncate(end);
        message
    }
}

/// The dialect errors are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    OpenAi,
    Anthropic,
    /// The dashboard's forms: as OpenAI's, and the sentence once more as `detail`.
    Form,
}

impl Envelope {
    /// The one errors of a path are written in.
    pub fn of(path: &str) -> Self {
        const FORMS: [&str; 6] = [
            "/login",
            "/logout",
            "/logout-everywhere",
            "/create-key",
            "/update-key",
            "/delete-key",
        ];
        if FORMS.contains(&path) {
            return Self::Form;
        }
        let rest = path.strip_prefix("/api").unwrap_or(path);
        match rest.strip_prefix("/v1/messages") {
            Some(after) if after.is_empty() || after.starts_with('/') => Self::Anthropic,
            _ => Self::OpenAi,
        }
    }

    /// The body that says `failure`.
    pub fn body(self, failure: &Failure, request: RequestId) -> String {
        let code = failure.code();
        let message = failure.message();
        match self {
            Self::OpenAi | Self::Form => {
                let param = match failure {
                    Failure::Refused(refusal) => refusal.param.as_deref(),
                    Failure::Broke(_) | Failure::Method(_) => None,
                };
                let error = json!({
                    "message": message, "type": code.kind().name(), "code": code.name(), "param": param,
                });
                let error = with_more(error, failure);
                if self == Self::Form {
                    return json!({ "error": error, "detail": message }).to_string();
                }
                json!({ "error": error }).to_string()
            }
            Self::Anthropic => {
                let error = json!({ "type": anthropic_type(code), "message": message, "code": code.name() });
                let error = with_more(error, failure);
                json!({ "type": "error", "error": error, "request_id": request.to_string() })
                    .to_string()
            }
        }
    }

    /// The whole answer that says `failure`.
    pub fn answer(self, failure: &Failure, request: RequestId) -> Answer {
        let code = failure.code();
        let mut answer = Response::new(OutBody::full(self.body(failure, request)));
        *answer.status_mut() =
            StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if code == Code::InvalidFraming {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if code.status() == 401 {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if failure.retry() == Retry::Never {
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        match failure {
            Failure::Method(methods) => {
                if let Ok(value) = HeaderValue::from_str(methods) {
                    headers.insert(header::ALLOW, value);
                }
            }
            Failure::Broke(Fault { retry_after: Some(value), .. }) => {
                headers.insert(header::RETRY_AFTER, value.clone());
            }
            Failure::Broke(fault) if fault.code.status() == 503 => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Failure::Refused(refusal) => tell_limit(headers, refusal),
            Failure::Broke(_) => {}
        }
        answer
    }

    /// An error that comes after a stream has begun: one event, and no proper end after it.
    pub fn event(self, failure: &Failure, request: RequestId) -> String {
        let body = self.body(failure, request);
        match self {
            Self::OpenAi | Self::Form => format!("data: {body}\n\n"),
            Self::Anthropic => format!("event: error\ndata: {body}\n\n"),
        }
    }
}

/// The same error with what else there is to know: the limit that refused, or the members there are.
fn with_more(mut error: Value, failure: &Failure) -> Value {
    if let (Failure::Refused(refusal), Some(members)) = (failure, error.as_object_mut()) {
        if let Some(limit) = &refusal.limit {
            members.extend(reached(limit));
        }
        if !refusal.known.is_empty() {
            members.insert("known".to_owned(), json!(refusal.known));
        }
    }
    error
}

/// The limit that refused a call, as members of the error. Money is decimal text.
fn reached(limit: &LimitReached) -> [(String, Value); 10] {
    let Limit { id, unit, amount, window, .. } = limit.scoped.limit;
    let shown = |amount: i64| match unit {
        Unit::Money => json!(Money::from_nanos(amount).to_string()),
        Unit::Tokens | Unit::Requests | Unit::InFlight => json!(amount),
    };
    [
        ("limit_id", json!(id.to_string())),
        ("scope", json!(limit.scoped.scope.kind())),
        ("scope_id", json!(limit.scoped.scope.to_string())),
        ("unit", json!(unit.name())),
        ("window", json!(window_name(unit, window))),
        ("amount", shown(amount)),
        ("spent", shown(limit.spent)),
        ("held", shown(limit.held)),
        ("wanted", shown(limit.wanted)),
        ("resets_at", json!(limit.resets_at.map(rfc3339))),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

/// What a window is called; `null` for calls in flight, which have none.
fn window_name(unit: Unit, window: Window) -> Option<String> {
    let name = match window {
        _ if unit == Unit::InFlight => return None,
        Window::Lifetime => "lifetime".to_owned(),
        Window::Calendar { period: Period::Day, .. } => "day".to_owned(),
        Window::Calendar { period: Period::Week, .. } => "week".to_owned(),
        Window::Calendar { period: Period::Month, .. } => "month".to_owned(),
        Window::Anchored { every, .. } => every.to_string(),
        Window::Rolling { seconds } => format!("{seconds}s"),
    };
    Some(name)
}

/// When the same request can pass, and how the rate stands that refused it.
fn tell_limit(headers: &mut HeaderMap, refusal: &Refusal) {
    if let Some(millis) = refusal.retry_after_ms {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(millis.div_ceil(1_000)));
        headers.insert("retry-after-ms", HeaderValue::from(millis));
    }
    if let Some(limit) = &refusal.limit {
        rates::tell_reached(headers, limit, refusal.retry_after_ms);
    }
}

/// Anthropic's names, by status: <https://docs.anthropic.com/en/api/errors>.
fn anthropic_type(code: Code) -> &'static str {
    match code.status() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        504 => "timeout_error",
        500 | 502 => "api_error",
        _ => "invalid_request_error",
    }
}

/// Writes a fault's private half to the log, once.
pub fn log(failure: &Failure, request: RequestId) {
    let Failure::Broke(fault) = failure else { return };
    let mut reason = fault.private.to_string();
    let mut source = fault.private.source();
    while let Some(cause) = source {
        let _ = write!(reason, ": {cause}");
        source = cause.source();
    }
    tracing::warn!(%request, code = fault.code.name(), %reason, "request failed");
}

/// A moment as JSON shows it: RFC 3339 in UTC, to the second.
pub fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.seconds())
        .map_or_else(|_| at.seconds().to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anthropic_errors_are_for_anthropic_paths() {
        for (path, expected) in [
            ("/v1/messages", Envelope::Anthropic),
            ("/api/v1/messages/count_tokens", Envelope::Anthropic),
            ("/v1/messagesx", Envelope::OpenAi),
            ("/v1/chat/completions", Envelope::OpenAi),
        ] {
            assert_eq!(Envelope::of(path), expected, "{path}");
        }
    }
}
