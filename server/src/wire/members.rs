//! The members of a JSON body, one by one: what each means for the call's size and cost, and where
//! the few that may have to be changed stand. Members nobody here knows pass.

use domain::ask::Ask;
use domain::refusal::{Code, Refusal};

use super::checks::{biases, boolean, integer, invalid, missing, model, number, stops};
use super::content;
use super::hosted;
use super::json::{Document, Kind, Member, Value};
use super::read::Dialect;
use super::splice::{Cap, Marks, UsageMark};

/// The most tokens anyone may ask for in one answer: no model gives a thousandth of it.
const CAP_MAX: u64 = 1_000_000_000;

/// The most answers one request may want.
const ANSWERS_MAX: u64 = 128;

/// What has been read of a body so far.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) dialect: Dialect,
    pub(super) ask: Ask,
    pub(super) usage_asked: bool,
    pub(super) characters: u64,
    /// The form of the answer that an upload asks for.
    pub(super) response_format: Option<String>,
    pub(super) marks: Marks,
    best_of: Option<u64>,
    prompts: u64,
    /// Whether the member was there that holds the input.
    input: bool,
}

impl Reading {
    pub(super) fn new(dialect: Dialect, body_bytes: usize) -> Self {
        let ask = Ask {
            model: String::new(),
            stream: false,
            output_cap: None,
            output_floor: 0,
            answers: 1,
            body_bytes: u64::try_from(body_bytes).unwrap_or(u64::MAX),
            input_elsewhere: false,
            media: false,
            unbounded: None,
        };
        let marks = Marks::default();
        Self {
            dialect,
            ask,
            usage_asked: false,
            characters: 0,
            response_format: None,
            marks,
            best_of: None,
            prompts: 1,
            input: false,
        }
    }

    /// Reads a whole body.
    pub(super) fn document(&mut self, body: &[u8]) -> Result<(), Refusal> {
        let document = Document::read(body)?;
        if document.root.kind() != Kind::Object {
            return Err(Refusal::new(Code::InvalidJson, "The body must be a JSON object."));
        }
        self.marks.end = document.root.span().end.saturating_sub(1);
        for member in &document.members {
            self.member(member)?;
        }
        self.complete()
    }

    fn member(&mut self, member: &Member<'_>) -> Result<(), Refusal> {
        let value = member.value;
        match member.name.as_ref() {
            "model" => {
                self.ask.model = model(value)?;
                self.marks.model = Some(value.span());
                Ok(())
            }
            "stream" => {
                self.ask.stream = boolean(value, "stream")?;
                Ok(())
            }
            name @ ("api_base" | "base_url" | "api_key" | "extra_headers") => {
                let message = format!("`{name}` cannot be set by a request.");
                Err(Refusal::new(Code::UnsupportedParameter, message).about(name))
            }
            // Of any other body no more is known than this.
            _ if self.dialect == Dialect::Json => Ok(()),
            name => self.of_dialect(name, value),
        }
    }

    fn of_dialect(&mut self, name: &str, value: Value<'_>) -> Result<(), Refusal> {
        let dialect = self.dialect;
        match name {
            "n" => self.ask.answers = integer(value, "n", 1, ANSWERS_MAX)?.unwrap_or(1),
            "best_of" => self.best_of = integer(value, "best_of", 1, ANSWERS_MAX)?,
            "temperature" => number(value, "temperature", 0.0, 2.0)?,
            "top_p" => number(value, "top_p", 0.0, 1.0)?,
            "stop" => stops(value, "stop")?,
            "logit_bias" => biases(value)?,
            "max_tokens" => self.cap(value, "max_tokens")?,
            "max_completion_tokens" => self.cap(value, "max_completion_tokens")?,
            "max_output_tokens" => self.cap(value, "max_output_tokens")?,
            "stream_options" if dialect.has_usage_option() => self.stream_options(value)?,
            "previous_response_id" | "conversation" if dialect == Dialect::Responses => {
                self.ask.input_elsewhere |= !value.is_null();
            }
            // A stored prompt may bring tools that are billed by the call.
            "prompt" if dialect == Dialect::Responses && !value.is_null() => {
                self.ask.input_elsewhere = true;
                self.ask.unbounded = self.ask.unbounded.or(Some("prompt"));
            }
            "prompt" if dialect == Dialect::Responses => {}
            // Anthropic: an answer's maximum must be larger than what it may think.
            "thinking" if dialect == Dialect::Messages => {
                if let Some(budget) = value.get("budget_tokens") {
                    let budget = integer(budget, "thinking.budget_tokens", 0, CAP_MAX)?;
                    self.ask.output_floor = budget.map_or(0, |budget| budget + 1);
                }
            }
            "cached_content" => self.ask.input_elsewhere |= !value.is_null(),
            "messages" | "input" | "prompt" | "system" | "image" | "images" | "mask" => {
                self.input(name, value)?;
            }
            _ => {
                if name == "service_tier" {
                    self.marks.tier = Some(value.span());
                }
                let found = hosted::unbounded(dialect, name, value)?;
                self.ask.unbounded = self.ask.unbounded.or(found);
            }
        }
        Ok(())
    }

    fn cap(&mut self, value: Value<'_>, name: &'static str) -> Result<(), Refusal> {
        let cap = integer(value, name, 1, CAP_MAX)?;
        // What is there and null is marked too: where a cap is needed it goes in its place, since
        // a name must not be twice in what we send.
        self.marks.caps.push(Cap { name, span: value.span(), value: cap });
        // A cap that the dialect does not know bounds nothing.
        if self.dialect.caps().contains(&name) {
            self.ask.output_cap = self.ask.output_cap.max(cap);
        }
        Ok(())
    }

    fn stream_options(&mut self, value: Value<'_>) -> Result<(), Refusal> {
        let wrong = || invalid("stream_options", "`stream_options` must be an object.");
        match value.kind() {
            Kind::Null => self.marks.usage = UsageMark::Options(value.span()),
            Kind::Object => {
                let within = value.span().start + 1;
                let lone = value.members().next().is_none();
                self.marks.usage = UsageMark::Member { at: within, lone };
                if let Some(include) = value.get("include_usage") {
                    self.usage_asked = boolean(include, "stream_options.include_usage")?;
                    self.marks.usage = UsageMark::Value(include.span());
                }
            }
            Kind::Bool | Kind::Number | Kind::String | Kind::Array => return Err(wrong()),
        }
        Ok(())
    }

    fn input(&mut self, name: &str, value: Value<'_>) -> Result<(), Refusal> {
        use Dialect::{
            Chat, Completions, CountTokens, Embeddings, Images, Messages, Moderations, Responses,
            Speech,
        };
        match (self.dialect, name) {
            (Chat | Messages | CountTokens, "messages") => {
                content::messages(&mut self.ask, value)?;
            }
            (Messages | CountTokens, "system") => {
                let wrong =
                    |_| invalid("system", "`system` must be a string or an array of parts.");
                return content::content(&mut self.ask, value).map_err(wrong);
            }
            (Responses, "input") => return content::items(&mut self.ask, value),
            (Completions, "prompt") if value.is_null() => {}
            (Completions, "prompt") => {
                self.prompts = content::prompts(&mut self.ask, value, "prompt")?;
            }
            (Embeddings | Moderations, "input") => {
                content::prompts(&mut self.ask, value, "input")?;
            }
            (Speech, "input") => {
                let text = value.as_str();
                let text = text.ok_or_else(|| invalid("input", "`input` must be a string."))?;
                self.characters = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
            }
            (Images, "prompt") => {
                if value.kind() != Kind::String {
                    return Err(invalid("prompt", "`prompt` must be a string."));
                }
            }
            (Images, "image" | "images" | "mask") if !value.is_null() => {
                self.ask.media = true;
                content::search(&mut self.ask, value);
                return Ok(());
            }
            _ => return Ok(()),
        }
        self.input = true;
        Ok(())
    }

    /// What can only be said when every member was seen.
    fn complete(&mut self) -> Result<(), Refusal> {
        if self.ask.model.is_empty() && self.dialect.needs_model() {
            return Err(missing("model"));
        }
        if let Some(input) = self.dialect.input().filter(|_| !self.input) {
            return Err(missing(input));
        }
        if self.dialect == Dialect::Messages && self.ask.output_cap.is_none() {
            return Err(missing("max_tokens"));
        }
        if let Some(best_of) = self.best_of {
            if best_of < self.ask.answers {
                return Err(invalid("best_of", "`best_of` must not be less than `n`."));
            }
            self.ask.answers = best_of;
        }
        self.ask.answers = self.ask.answers.saturating_mul(self.prompts);
        Ok(())
    }
}
