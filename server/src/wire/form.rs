//! What the fields of an upload's form mean: pictures to be changed, speech to be written down. The
//! files themselves are not looked at.

mod multipart;
#[cfg(test)]
mod tests;

use domain::refusal::{Code, Refusal};

use super::checks::{invalid, missing, model_name};
use super::members::Reading;
use super::read::Dialect;
use multipart::{Part, boundary, parts};

/// How many pictures one request may want.
const ANSWERS_MAX: u64 = 128;

/// The fields that are read here, so that each may be there once.
const FIELDS: [&str; 5] = ["model", "stream", "n", "response_format", "service_tier"];

impl Reading {
    /// Reads a whole form.
    pub(super) fn form(&mut self, body: &[u8], content_type: &str) -> Result<(), Refusal> {
        let parts = parts(body, boundary(content_type)?)?;
        let mut seen = [false; FIELDS.len()];
        for part in &parts {
            // Names that some parser might take for the field are not risked.
            let plain = part.name.trim().trim_end_matches("[]").to_ascii_lowercase();
            let known = FIELDS.iter().zip(&mut seen).find(|(field, _)| **field == plain);
            let Some((field, seen)) = known else {
                self.other(part)?;
                continue;
            };
            if part.name != *field || part.is_file {
                return Err(invalid(*field, &format!("`{field}` must be a plain field.")));
            }
            if std::mem::replace(seen, true) {
                let message = format!("The form has the field `{field}` twice.");
                return Err(Refusal::new(Code::DuplicateJsonKey, message).about(*field));
            }
            let text = body.get(part.span.clone()).and_then(|text| std::str::from_utf8(text).ok());
            let wrong = || invalid(*field, &format!("`{field}` must be text."));
            self.field(field, part, text.ok_or_else(wrong)?)?;
        }
        if self.ask.model.is_empty() && self.dialect.needs_model() {
            return Err(missing("model"));
        }
        let file = if self.dialect == Dialect::Transcriptions { "file" } else { "image" };
        if self.ask.media { Ok(()) } else { Err(missing(file)) }
    }

    fn field(&mut self, field: &str, part: &Part<'_>, text: &str) -> Result<(), Refusal> {
        match field {
            "model" => {
                self.ask.model = model_name(text)?;
                self.marks.model = Some(part.span.clone());
            }
            "stream" => {
                self.ask.stream = match text {
                    "true" | "True" | "1" => true,
                    "false" | "False" | "0" | "" => false,
                    _ => return Err(invalid("stream", "`stream` must be true or false.")),
                };
            }
            "n" => {
                let number = text.parse().ok().filter(|n| (1..=ANSWERS_MAX).contains(n));
                let plain = text.bytes().all(|byte| byte.is_ascii_digit());
                let wrong = || invalid("n", "`n` must be an integer between 1 and 128.");
                self.ask.answers = number.filter(|_| plain).ok_or_else(wrong)?;
            }
            "response_format" => {
                let wrong =
                    || invalid("response_format", "`response_format` must be a short word.");
                let word = text.len() <= 64 && !text.chars().any(char::is_control);
                self.response_format = Some(word.then(|| text.to_owned()).ok_or_else(wrong)?);
            }
            _ => {
                if !["default", "standard"].contains(&text) {
                    self.ask.unbounded = Some("service_tier");
                }
            }
        }
        Ok(())
    }

    fn other(&mut self, part: &Part<'_>) -> Result<(), Refusal> {
        let name = part.name;
        if let "api_base" | "base_url" | "api_key" | "extra_headers" = name {
            let message = format!("`{name}` cannot be set by a request.");
            return Err(Refusal::new(Code::UnsupportedParameter, message).about(name));
        }
        let holds_media = matches!(name, "file" | "image" | "image[]" | "mask");
        self.ask.media |= part.is_file || holds_media;
        // Some providers fetch the recording themselves.
        self.ask.input_elsewhere |= !part.is_file && matches!(name, "url" | "file_url" | "file_id");
        self.ask.media |= self.ask.input_elsewhere;
        Ok(())
    }
}
