//! The body as it goes to the provider: the client's bytes, with only what must change put in
//! their place. Nothing is written anew that could stay.

#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use super::json::quoted;
use super::read::{Dialect, Request};

/// What must change on the way to the provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rewrite<'a> {
    /// The model's name at the provider.
    pub model: Option<&'a str>,
    /// Whether a streamed answer must end with its usage, though the client did not ask for it.
    pub inject_usage: bool,
    /// The most output tokens that are paid for: larger caps are lowered to it, and where the
    /// client set none, it is set.
    pub output_cap: Option<u64>,
    /// Whether to ask for the plain service tier where the client asked for none: the provider would
    /// choose the account's own, which may be dearer.
    pub pin_tier: bool,
    /// The member that this provider reads the cap from, where it is not the dialect's own:
    /// several know only `max_tokens`. It is added where the client's cap has another name.
    pub cap_name: Option<&'static str>,
}

/// Where the members stand that may have to change.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    /// The model's value, with its quotes in JSON.
    pub(super) model: Option<Range<usize>>,
    /// Every cap, whether the dialect knows it or not, in the body's order.
    pub(super) caps: SmallVec<[Cap; 2]>,
    /// The service tier's value.
    pub(super) tier: Option<Range<usize>>,
    /// What is there of the wish for usage.
    pub(super) usage: UsageMark,
    /// The bracket that closes a JSON body.
    pub(super) end: usize,
}

/// A member that caps the answer.
#[derive(Clone, Debug)]
pub(super) struct Cap {
    pub(super) name: &'static str,
    pub(super) span: Range<usize>,
    /// `None` where it is null.
    pub(super) value: Option<u64>,
}

/// What is there of `stream_options.include_usage`, and so what is to be put where.
#[derive(Clone, Debug, Default)]
pub(super) enum UsageMark {
    /// No options at all.
    #[default]
    Nothing,
    /// Options that are null.
    Options(Range<usize>),
    /// Options without the member: where it goes, and whether it will be alone.
    Member { at: usize, lone: bool },
    /// The member's value.
    Value(Range<usize>),
}

const INCLUDE_USAGE: &str = r#""include_usage":true"#;

impl Request {
    /// The body for the provider; the very same bytes where nothing changes.
    pub fn upstream_body(&self, rewrite: &Rewrite<'_>) -> Bytes {
        let mut edits = Edits::default();
        if let Some(model) = rewrite.model {
            self.put_model(&mut edits, model);
        }
        if rewrite.inject_usage && self.ask.stream && !self.usage_asked {
            self.put_usage(&mut edits);
        }
        if let Some(cap) = rewrite.output_cap {
            self.put_cap(&mut edits, cap, rewrite.cap_name);
        }
        if rewrite.pin_tier && matches!(self.dialect, Dialect::Chat | Dialect::Responses) {
            match &self.marks.tier {
                None => edits.add(self.marks.end, r#","service_tier":"default""#.to_owned()),
                Some(null) if self.body[null.clone()] == *b"null" => {
                    edits.put(null.clone(), r#""default""#.to_owned());
                }
                // What is not plain was refused before.
                Some(_) => {}
            }
        }
        edits.apply(&self.body)
    }

    fn put_model(&self, edits: &mut Edits, model: &str) {
        if model == self.ask.model {
            return;
        }
        match &self.marks.model {
            Some(span) if self.dialect.is_multipart() => edits.put(span.clone(), model.to_owned()),
            Some(span) => edits.put(span.clone(), quoted(model)),
            // A model that the provider would have chosen is named, so that it is the priced one.
            None if self.dialect.input().is_some() => {
                edits.add(self.marks.end, format!(r#","model":{}"#, quoted(model)));
            }
            None => {}
        }
    }

    fn put_usage(&self, edits: &mut Edits) {
        if !self.dialect.has_usage_option() {
            return;
        }
        match &self.marks.usage {
            UsageMark::Nothing => {
                edits.add(self.marks.end, format!(r#","stream_options":{{{INCLUDE_USAGE}}}"#));
            }
            UsageMark::Options(span) => edits.put(span.clone(), format!("{{{INCLUDE_USAGE}}}")),
            UsageMark::Member { at, lone } => {
                let comma = if *lone { "" } else { "," };
                edits.add(*at, format!("{INCLUDE_USAGE}{comma}"));
            }
            UsageMark::Value(span) => edits.put(span.clone(), "true".to_owned()),
        }
    }

    fn put_cap(&self, edits: &mut Edits, most: u64, name: Option<&'static str>) {
        let Some(own) = self.dialect.caps().first().copied() else { return };
        for cap in &self.marks.caps {
            if cap.value.is_some_and(|value| value > most) {
                edits.put(cap.span.clone(), most.to_string());
            }
        }
        let missing = match name {
            Some(name) if !self.has_cap(name) => name,
            None if self.ask.output_cap.is_none() => own,
            _ => return,
        };
        let cap = self.ask.output_cap.unwrap_or(most).min(most);
        match self.marks.caps.iter().find(|other| other.name == missing) {
            Some(null) => edits.put(null.span.clone(), cap.to_string()),
            None => edits.add(self.marks.end, format!(r#","{missing}":{cap}"#)),
        }
    }

    fn has_cap(&self, name: &str) -> bool {
        self.marks.caps.iter().any(|cap| cap.name == name && cap.value.is_some())
    }
}

impl Dialect {
    /// The members that cap the answer in this dialect, the one to set first.
    pub(super) fn caps(self) -> &'static [&'static str] {
        match self {
            Self::Chat => &["max_completion_tokens", "max_tokens"],
            Self::Completions | Self::Messages => &["max_tokens"],
            Self::Responses => &["max_output_tokens"],
            Self::Embeddings
            | Self::Moderations
            | Self::Images
            | Self::ImageEdits
            | Self::Speech
            | Self::Transcriptions
            | Self::CountTokens
            | Self::Json
            | Self::Raw => &[],
        }
    }
}

/// Replacements in a body.
#[derive(Default)]
struct Edits(SmallVec<[(Range<usize>, String); 4]>);

impl Edits {
    fn put(&mut self, span: Range<usize>, text: String) {
        self.0.push((span, text));
    }

    fn add(&mut self, at: usize, text: String) {
        self.put(at..at, text);
    }

    fn apply(mut self, body: &Bytes) -> Bytes {
        if self.0.is_empty() {
            return body.clone();
        }
        self.0.sort_by_key(|(span, _)| span.start);
        let added: usize = self.0.iter().map(|(_, text)| text.len()).sum();
        let mut out = Vec::with_capacity(body.len() + added);
        let mut from = 0;
        for (span, text) in &self.0 {
            out.extend_from_slice(body.get(from..span.start).unwrap_or_default());
            out.extend_from_slice(text.as_bytes());
            from = span.end;
        }
        out.extend_from_slice(body.get(from..).unwrap_or_default());
        Bytes::from(out)
    }
}
