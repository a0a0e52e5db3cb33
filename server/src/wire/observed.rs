//! What an answer tells about itself: usage, the model that served it, whether it came to its end.
//! Read from a whole body, or event by event. The answer is never changed by what is seen here.

#[cfg(test)]
mod tests;

use domain::usage::{Class, Usage};

use super::json::{Document, Kind, Value};
use super::read::Dialect;
use super::usage::{self, MessagesUsage};

/// What was seen of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, in any mix")]
pub struct Observed {
    /// What the provider says was used, in classes that do not overlap. Of several reports the
    /// last counts; `None` where there was none, or where the last cannot be true.
    pub usage: Option<Usage>,
    /// Whether the usage is the last word. Some providers tell it as they go: what a stream that broke
    /// off had told is then less than what it used.
    pub usage_is_final: bool,
    /// The model that served it, in the provider's words.
    pub served_model: Option<String>,
    /// The tier it was served at.
    pub service_tier: Option<String>,
    /// Whether it came to its end: a stream's terminal event, or a whole body.
    pub ended: bool,
    /// Whether the provider tells of an error in it.
    pub failed: bool,
    /// Bytes of text, reasoning and tool arguments that were seen, as JSON writes them. An upper
    /// bound of the visible text's bytes (escapes are longer than what they mean), a wide one for a
    /// whole body, where the wrapping counts too; what a provider thinks but does not show is not
    /// in it.
    pub output_bytes: u64,
    /// Whether a body that must be JSON is not.
    pub invalid: bool,
}

/// Reads a whole body that was not streamed.
pub fn read_answer(dialect: Dialect, body: &[u8]) -> Observed {
    let mut observed = Observed { ended: true, ..Observed::default() };
    if matches!(dialect, Dialect::Speech | Dialect::Raw) {
        return observed;
    }
    let Some(answer) = Document::read_answer(body) else {
        // A transcript may be wanted as plain text or subtitles.
        let may_be_text = dialect == Dialect::Transcriptions;
        return Observed { ended: may_be_text, invalid: !may_be_text, ..observed };
    };
    if dialect == Dialect::CountTokens {
        // Counting is free.
        observed.usage = Some(Usage::NONE);
    }
    for member in &answer.members {
        let value = member.value;
        match member.name.as_ref() {
            "usage" if dialect != Dialect::CountTokens && value.kind() == Kind::Object => {
                observed.usage = usage::read(dialect, value);
                observed.tier(value.get("service_tier"));
                observed.speed(value.get("speed"));
            }
            "model" => observed.model(Some(value)),
            "service_tier" => observed.tier(Some(value)),
            "error" => observed.failed |= !value.is_null(),
            "choices" | "content" | "output" => {
                observed.output_bytes += u64::try_from(value.bytes().len()).unwrap_or(u64::MAX);
            }
            _ => {}
        }
    }
    if observed.usage.is_none() && answer.get("usage").is_none_or(|usage| usage.is_null()) {
        observed.usage = without_usage(dialect, &answer);
    }
    if let Some(usage) = &mut observed.usage {
        usage[Class::ToolCalls] += hosted_calls(answer.get("output"));
    }
    observed
}

/// Pictures and minutes are counted where no tokens are.
fn without_usage(dialect: Dialect, answer: &Document<'_>) -> Option<Usage> {
    match dialect {
        Dialect::Images | Dialect::ImageEdits => {
            let pictures = answer.get("data")?.items().count();
            Some(Usage::NONE.with(Class::Images, u64::try_from(pictures).ok()?))
        }
        Dialect::Transcriptions => usage::duration(answer.get("duration")?),
        Dialect::Chat => usage::read(dialect, answer.get("x_groq")?.get("usage")?),
        Dialect::Completions
        | Dialect::Embeddings
        | Dialect::Responses
        | Dialect::Moderations
        | Dialect::Speech
        | Dialect::Messages
        | Dialect::CountTokens
        | Dialect::Json
        | Dialect::Raw => None,
    }
}

/// The calls of hosted tools among a response's items, which its usage does not count.
fn hosted_calls(output: Option<Value<'_>>) -> u64 {
    let Some(output) = output else { return 0 };
    let hosted = |item: &Value<'_>| {
        let kind = item.get("type").map_or(&[][..], |kind| kind.inner());
        matches!(kind, b"web_search_call" | b"file_search_call")
    };
    u64::try_from(output.items().filter(hosted).count()).unwrap_or(u64::MAX)
}

impl Observed {
    fn model(&mut self, value: Option<Value<'_>>) {
        let name = value.and_then(|value| value.as_str()).filter(|name| !name.is_empty());
        if let (None, Some(name)) = (&self.served_model, name) {
            self.served_model = Some(name.into_owned());
        }
    }

    /// Anthropic's fast mode is priced as a tier of its own: it says more than the tier does.
    fn speed(&mut self, value: Option<Value<'_>>) {
        let speed = value.and_then(|value| value.as_str());
        if let Some(speed) = speed.filter(|speed| speed != "standard") {
            self.service_tier = Some(speed.into_owned());
        }
    }

    fn tier(&mut self, value: Option<Value<'_>>) {
        if let Some(tier) = value.and_then(|value| value.as_str()) {
            self.service_tier = Some(tier.into_owned());
        }
    }
}

/// Reads a stream's events.
#[derive(Clone, Debug)]
pub(super) struct EventReader {
    dialect: Dialect,
    messages: MessagesUsage,
    pub(super) observed: Observed,
}

impl EventReader {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, messages: MessagesUsage::default(), observed: Observed::default() }
    }

    /// Reads one event's data. `true` where the event is there for its usage alone.
    pub(super) fn read(&mut self, data: &[u8]) -> bool {
        if data == b"[DONE]" {
            self.observed.ended = true;
            return false;
        }
        let Some(event) = Document::read_answer(data) else { return false };
        let kind = event.get("type").map_or(&[][..], |kind| kind.inner());
        match self.dialect {
            Dialect::Responses => self.response(kind, &event),
            Dialect::Messages => self.message(kind, &event),
            Dialect::Chat
            | Dialect::Completions
            | Dialect::Embeddings
            | Dialect::Moderations
            | Dialect::Images
            | Dialect::ImageEdits
            | Dialect::Speech
            | Dialect::Transcriptions
            | Dialect::CountTokens
            | Dialect::Json
            | Dialect::Raw => return self.chunk(kind, &event),
        }
        false
    }

    fn chunk(&mut self, kind: &[u8], event: &Document<'_>) -> bool {
        let observed = &mut self.observed;
        observed.model(event.get("model"));
        observed.tier(event.get("service_tier"));
        let error = event.get("error").is_some_and(|error| !error.is_null());
        observed.failed |= error || kind == b"error";
        let done: [&[u8]; 4] = [
            b"image_generation.completed",
            b"image_edit.completed",
            b"transcript.text.done",
            b"speech.audio.done",
        ];
        observed.ended |= done.contains(&kind);
        let groq = || event.get("x_groq")?.get("usage");
        let usage = event.get("usage").filter(|usage| !usage.is_null()).or_else(groq);
        let Some(usage) = usage.filter(|usage| usage.kind() == Kind::Object) else { return false };
        observed.usage = usage::read(self.dialect, usage);
        let choices = event.get("choices").filter(|choices| choices.kind() == Kind::Array);
        let alone = choices.is_some_and(|choices| choices.items().next().is_none());
        let finished =
            |choice: Value<'_>| choice.get("finish_reason").is_some_and(|reason| !reason.is_null());
        let last = choices.is_some_and(|choices| choices.items().any(finished));
        observed.usage_is_final = alone || last;
        alone
    }

    fn response(&mut self, kind: &[u8], event: &Document<'_>) {
        let observed = &mut self.observed;
        observed.failed |= matches!(kind, b"response.failed" | b"error");
        observed.ended |= matches!(
            kind,
            b"response.completed"
                | b"response.failed"
                | b"response.incomplete"
                | b"response.cancelled"
        );
        let Some(response) = event.get("response") else { return };
        observed.model(response.get("model"));
        observed.tier(response.get("service_tier"));
        if let Some(usage) = response.get("usage").filter(|usage| usage.kind() == Kind::Object) {
            observed.usage = usage::read(self.dialect, usage);
            observed.usage_is_final = observed.ended;
            if let Some(usage) = &mut observed.usage {
                usage[Class::ToolCalls] += hosted_calls(response.get("output"));
            }
        }
    }

    fn message(&mut self, kind: &[u8], event: &Document<'_>) {
        self.observed.ended |= kind == b"message_stop";
        self.observed.failed |= kind == b"error";
        let message = event.get("message");
        let of_message = |name| message.and_then(|message| message.get(name));
        self.observed.model(of_message("model"));
        let usage = event.get("usage").or_else(|| of_message("usage"));
        if let Some(usage) = usage.filter(|usage| usage.kind() == Kind::Object) {
            self.observed.tier(usage.get("service_tier"));
            self.observed.speed(usage.get("speed"));
            self.messages.add(usage);
            self.observed.usage = self.messages.usage();
            self.observed.usage_is_final = kind == b"message_delta";
        }
    }
}
