//! The text of a request that reaches the model as it stands, so that it can be counted. Whatever
//! else is in a body is bounded by its bytes.

use super::json::{Document, Kind, Value};
use super::read::{Dialect, Request};

impl Request {
    /// At most so many tokens: those of the texts, by `count`, and one for each byte of everything
    /// else. What a provider puts between two messages or parts is less than the bytes of JSON
    /// around them. Where `count` does not know, bytes count.
    pub fn tokens_at_most(&self, count: impl Fn(&str) -> Option<u64>) -> u64 {
        let Some(document) = Document::read_answer(&self.body) else { return self.ask.body_bytes };
        let mut tokens = self.ask.body_bytes;
        let mut text = |value: Value<'_>| {
            let bytes = u64::try_from(value.inner().len()).unwrap_or(u64::MAX);
            let counted = value.as_str().and_then(|text| count(&text)).unwrap_or(bytes);
            tokens = tokens.saturating_sub(bytes.saturating_sub(counted));
        };
        for member in &document.members {
            match (self.dialect, member.name.as_ref()) {
                (Dialect::Chat, "messages") | (Dialect::Responses, "input") => {
                    if member.value.kind() == Kind::String {
                        text(member.value);
                    }
                    for message in member.value.items() {
                        message.get("content").into_iter().for_each(|it| content(it, &mut text));
                    }
                }
                (Dialect::Completions, "prompt")
                | (Dialect::Embeddings, "input")
                | (Dialect::Responses, "instructions") => strings(member.value, &mut text),
                _ => {}
            }
        }
        tokens
    }
}

fn strings<'a>(value: Value<'a>, text: &mut impl FnMut(Value<'a>)) {
    [value].into_iter().chain(value.items()).filter(|it| it.kind() == Kind::String).for_each(text);
}

/// A message's content: a text, or parts of which some are.
fn content<'a>(value: Value<'a>, text: &mut impl FnMut(Value<'a>)) {
    if value.kind() == Kind::String {
        return text(value);
    }
    for part in value.items() {
        let kind = part.get("type").and_then(|kind| kind.as_str());
        let is_text = matches!(kind.as_deref(), Some("text" | "input_text" | "output_text"));
        if let Some(inside) = part.get("text").filter(|it| is_text && it.kind() == Kind::String) {
            text(inside);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::read;

    #[test]
    fn only_texts_are_counted_and_everything_else_is_its_bytes() {
        let of = |dialect, body: &str| {
            let request =
                read(dialect, Some("application/json"), Bytes::from(body.to_owned())).unwrap();
            // Ten bytes to a token.
            let tokens = request.tokens_at_most(|text| u64::try_from(text.len().div_ceil(10)).ok());
            i64::try_from(body.len()).unwrap() - i64::try_from(tokens).unwrap()
        };
        let ten = "0123456789";
        for (dialect, body, saved) in [
            (Dialect::Chat, r#"{"model":"m","messages":[{"role":"user","content":"TEN"}]}"#, 9),
            (
                Dialect::Chat,
                r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"TENTEN"}]}]}"#,
                18,
            ),
            (
                Dialect::Chat,
                r#"{"model":"m","messages":[{"role":"user","content":"\u0041TEN"}],"user":"TEN"}"#,
                14,
            ),
            (
                Dialect::Chat,
                r#"{"model":"m","messages":[{"role":"tool","name":"TEN","content":null}]}"#,
                0,
            ),
            (Dialect::Completions, r#"{"model":"m","prompt":["TEN","TEN"]}"#, 18),
            (Dialect::Completions, r#"{"model":"m","prompt":[1,2,3]}"#, 0),
            (Dialect::Embeddings, r#"{"model":"m","input":"TEN"}"#, 9),
            (Dialect::Responses, r#"{"model":"m","instructions":"TEN","input":"TEN"}"#, 18),
            (
                Dialect::Messages,
                r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"TEN"}]}"#,
                0,
            ),
        ] {
            assert_eq!(of(dialect, &body.replace("TEN", ten)), saved, "{body}");
        }
    }
}
