//! Refusals, in the words and the envelope of the API that was called.

use http::HeaderMap;
use serde_json::{Value, json};

use super::words;

/// Whose API a request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's.
    OpenAi,
    /// Anthropic's.
    Anthropic,
}

impl Dialect {
    /// Anthropic's own paths, and the ones both have when its version header is there.
    pub fn of(path: &str, headers: &HeaderMap) -> Self {
        let own = path == "/messages" || path.starts_with("/messages/") || path == "/complete";
        let versioned = path.starts_with("/models") || path.starts_with("/files");
        if own || (versioned && headers.contains_key("anthropic-version")) {
            Self::Anthropic
        } else {
            Self::OpenAi
        }
    }
}

/// An error as the provider words it.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// The envelope's `type`; `None` takes the usual one for the status.
    pub kind: Option<&'static str>,
    /// For people.
    pub message: String,
    /// The parameter it is about (OpenAI).
    pub param: Option<&'static str>,
    /// OpenAI's `code`.
    pub code: Option<&'static str>,
}

impl Refusal {
    /// An error of the usual type for its status.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, kind: None, message: message.into(), param: None, code: None }
    }

    /// The same, about a parameter.
    #[must_use]
    pub fn about(self, param: &'static str) -> Self {
        Self { param: Some(param), ..self }
    }

    /// The same, with a code.
    #[must_use]
    pub fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// The error the provider would give for a scripted status.
    pub fn scripted(status: u16) -> Self {
        let (message, code) = match status {
            401 => ("Incorrect API key provided: sk-fa***.", Some("invalid_api_key")),
            402 | 429 => ("Rate limit reached for requests.", Some("rate_limit_exceeded")),
            403 => ("Your account is not allowed to do this.", Some("unsupported_country")),
            404 => ("The model does not exist or you do not have access.", Some("model_not_found")),
            500.. => ("The server had an error while processing your request. Sorry!", None),
            _ => ("The request is invalid.", None),
        };
        Self { code, ..Self::new(status, message) }
    }

    /// The body of the answer.
    pub fn body(&self, dialect: Dialect) -> Value {
        match dialect {
            Dialect::OpenAi => json!({"error": {
                "message": self.message,
                "type": self.kind.unwrap_or(match self.status {
                    429 => "requests",
                    500.. => "server_error",
                    _ => "invalid_request_error",
                }),
                "param": self.param,
                "code": self.code,
            }}),
            Dialect::Anthropic => json!({
                "type": "error",
                "error": {
                    "type": self.kind.unwrap_or(match self.status {
                        401 => "authentication_error",
                        402 => "billing_error",
                        403 => "permission_error",
                        404 => "not_found_error",
                        413 => "request_too_large",
                        429 => "rate_limit_error",
                        504 => "timeout_error",
                        529 => "overloaded_error",
                        500.. => "api_error",
                        _ => "invalid_request_error",
                    }),
                    "message": self.message,
                },
                "request_id": words::id("req_", 24),
            }),
        }
    }
}
