//! What a request wants, free of any dialect: enough to route, bound and price it. The body itself
//! stays with the dialect that read it.

/// One request for a model's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The model's name as the client wrote it.
    pub model: String,
    /// Whether the answer is to come as a stream.
    pub stream: bool,
    /// The most output tokens one answer may have, where the client said: the largest of the
    /// caps it set, since dialects disagree which one counts.
    pub output_cap: Option<u64>,
    /// The least that maximum may be lowered to, for the provider to take it.
    pub output_floor: u64,
    /// How many answers are wanted: `n` or `best_of`, times the number of prompts.
    pub answers: u64,
    /// Bytes of the body. A token of text covers at least one byte, so this bounds the text input.
    pub body_bytes: u64,
    /// Whether part of the input is not in the body (a stored conversation, a file's id, a picture's
    /// URL), so that only the model's context window bounds it.
    pub input_elsewhere: bool,
    /// Pictures or audio in the body, whose tokens bytes do not bound.
    pub media: bool,
    /// The path of the member that makes the cost unbounded (a hosted tool billed by the call,
    /// work in the background), where there is one.
    pub unbounded: Option<&'static str>,
}
