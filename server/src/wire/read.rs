//! The way in: a body of some dialect becomes a [`Request`], or a refusal that names the member at
//! fault. What the request may cost, and whether it may be made, is decided elsewhere.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use domain::ask::Ask;
use domain::refusal::{Code, Refusal};

use super::members::Reading;
use super::splice::Marks;

/// The wire format of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's legacy completions.
    Completions,
    /// OpenAI's embeddings.
    Embeddings,
    /// OpenAI's responses.
    Responses,
    /// OpenAI's moderations.
    Moderations,
    /// OpenAI's picture generation.
    Images,
    /// OpenAI's picture edits and variations, a multipart form.
    ImageEdits,
    /// OpenAI's speech from text.
    Speech,
    /// OpenAI's transcriptions and translations, a multipart form.
    Transcriptions,
    /// Anthropic's messages.
    Messages,
    /// Anthropic's count of a prompt's tokens.
    CountTokens,
    /// Any other JSON object; it may name a model.
    Json,
    /// A body that is not looked at.
    Raw,
}

impl Dialect {
    /// Whether a streamed answer's usage is optional.
    pub(super) fn has_usage_option(self) -> bool {
        matches!(self, Self::Chat | Self::Completions)
    }

    pub(super) fn is_multipart(self) -> bool {
        matches!(self, Self::ImageEdits | Self::Transcriptions)
    }

    pub(super) fn needs_model(self) -> bool {
        match self {
            Self::Chat
            | Self::Completions
            | Self::Embeddings
            | Self::Responses
            | Self::Speech
            | Self::Transcriptions
            | Self::Messages
            | Self::CountTokens => true,
            Self::Moderations | Self::Images | Self::ImageEdits | Self::Json | Self::Raw => false,
        }
    }

    /// The member that a body cannot do without, beside the model.
    pub(super) fn input(self) -> Option<&'static str> {
        match self {
            Self::Chat | Self::Messages | Self::CountTokens => Some("messages"),
            Self::Embeddings | Self::Moderations | Self::Speech => Some("input"),
            Self::Images => Some("prompt"),
            Self::Completions
            | Self::Responses
            | Self::ImageEdits
            | Self::Transcriptions
            | Self::Json
            | Self::Raw => None,
        }
    }
}

/// A request that was read, with its body.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it wants. The model is empty where the body names none.
    pub ask: Ask,
    /// Whether the client itself asked for the usage of a streamed answer.
    pub usage_asked: bool,
    /// Characters of text to be spoken; 0 in other dialects.
    pub characters: u64,
    /// The form of the answer that a multipart body asks for.
    pub response_format: Option<String>,
    pub(super) dialect: Dialect,
    pub(super) body: Bytes,
    pub(super) marks: Marks,
}

impl Request {
    /// How the body was read.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }
}

/// Reads a body.
pub fn read(dialect: Dialect, content_type: Option<&str>, body: Bytes) -> Result<Request, Refusal> {
    let mut reading = Reading::new(dialect, body.len());
    match dialect {
        Dialect::Raw => {}
        Dialect::ImageEdits | Dialect::Transcriptions => {
            media_type(content_type, "multipart/form-data")?;
            reading.form(&body, content_type.unwrap_or_default())?;
        }
        Dialect::Chat
        | Dialect::Completions
        | Dialect::Embeddings
        | Dialect::Responses
        | Dialect::Moderations
        | Dialect::Images
        | Dialect::Speech
        | Dialect::Messages
        | Dialect::CountTokens
        | Dialect::Json => {
            media_type(content_type, "application/json")?;
            reading.document(&body)?;
        }
    }
    let Reading { ask, usage_asked, characters, response_format, marks, .. } = reading;
    Ok(Request { ask, usage_asked, characters, response_format, dialect, body, marks })
}

/// Checks the type of the body, whatever its parameters.
fn media_type(content_type: Option<&str>, wanted: &str) -> Result<(), Refusal> {
    let given = content_type.and_then(|given| given.split(';').next()).unwrap_or_default();
    if given.trim().eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(Refusal::new(
        Code::UnsupportedMediaType,
        format!("The body of this route must be sent as content-type {wanted}."),
    ))
}
