//! Providers' own numbers, taken apart into classes that do not overlap. A number that cannot be
//! (negative, a float, a string, beyond 2³¹, a part larger than its whole) makes the report as good
//! as none: nothing is guessed here.

use domain::usage::{Class, Usage};
use smallvec::SmallVec;

use super::json::{Kind, Value};
use super::read::Dialect;

/// More tokens than any call can use.
const COUNT_MAX: u64 = 1 << 31;

/// A report that cannot be true.
#[derive(Clone, Copy, Debug)]
struct Absurd;

/// The members of one object of a report, so that it is gone through once.
#[derive(Default)]
struct Report<'a>(SmallVec<[(&'a [u8], Value<'a>); 12]>);

impl<'a> Report<'a> {
    fn new(object: Value<'a>) -> Self {
        Self(object.raw_members().collect())
    }

    fn get(&self, name: &str) -> Option<Value<'a>> {
        let found = self.0.iter().rev().find(|(raw, _)| *raw == name.as_bytes());
        found.map(|(_, value)| *value).filter(|value| !value.is_null())
    }

    /// The report inside this one; an empty one where there is none.
    fn inside(&self, name: &str) -> Self {
        self.get(name).map(Self::new).unwrap_or_default()
    }
}

/// A count, where it is there and not null.
fn count(of: &Report<'_>, name: &str) -> Result<Option<u64>, Absurd> {
    match of.get(name) {
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(count) if count <= COUNT_MAX => Ok(Some(count)),
            _ => Err(Absurd),
        },
    }
}

fn part(of: &Report<'_>, name: &str) -> Result<u64, Absurd> {
    count(of, name).map(Option::unwrap_or_default)
}

/// What is left of a whole without its parts.
fn rest(whole: u64, parts: &[u64]) -> Result<u64, Absurd> {
    parts.iter().try_fold(whole, |rest, part| rest.checked_sub(*part)).ok_or(Absurd)
}

/// What a provider reports in one object; Anthropic's streams, which report in several, are read
/// by [`MessagesUsage`].
pub(super) fn read(dialect: Dialect, usage: Value<'_>) -> Option<Usage> {
    let report = &Report::new(usage);
    let read = match dialect {
        Dialect::Messages => {
            let mut messages = MessagesUsage::default();
            messages.add(usage);
            return messages.usage();
        }
        Dialect::Images | Dialect::ImageEdits => pictures(report),
        Dialect::Transcriptions if report.get("type").is_some() => transcription(report),
        Dialect::Speech => speech(report),
        Dialect::Chat
        | Dialect::Completions
        | Dialect::Embeddings
        | Dialect::Responses
        | Dialect::Moderations
        | Dialect::Transcriptions
        | Dialect::CountTokens
        | Dialect::Json
        | Dialect::Raw => {
            if report.get("input_tokens").is_some() {
                response(report)
            } else {
                completion(dialect, report)
            }
        }
    };
    read.ok()
}

/// OpenAI's `prompt_tokens` and `completion_tokens`, and what others made of them.
fn completion(dialect: Dialect, usage: &Report<'_>) -> Result<Usage, Absurd> {
    let of_prompt = &usage.inside("prompt_tokens_details");
    let of_answer = &usage.inside("completion_tokens_details");
    let total = count(usage, "total_tokens")?;
    let prompt = match count(usage, "prompt_tokens")? {
        Some(prompt) => prompt,
        // Several makers of embeddings report nothing but the total.
        None if dialect == Dialect::Embeddings => total.ok_or(Absurd)?,
        None => return Err(Absurd),
    };
    let answer = part(usage, "completion_tokens")?;
    let reasoning = part(of_answer, "reasoning_tokens")?;
    let seconds = match usage.get("prompt_audio_seconds").and_then(|seconds| seconds.as_u64()) {
        Some(seconds) if seconds <= COUNT_MAX => seconds,
        _ => 0,
    };
    let answer = match total {
        // Mistral's total has tokens of audio that it bills by the second.
        Some(_) if seconds > 0 => answer,
        // xAI counts reasoning beside the completion, Gemini its thoughts nowhere but in the total.
        Some(total) if total > prompt + answer => total - prompt,
        Some(total) if total < prompt + answer => return Err(Absurd),
        Some(_) | None => answer,
    };
    let cached = match count(of_prompt, "cached_tokens")? {
        Some(cached) => cached,
        // DeepSeek; Moonshot.
        None => match count(usage, "prompt_cache_hit_tokens")? {
            Some(hit) => hit,
            None => part(usage, "cached_tokens")?,
        },
    };
    let written = part(of_prompt, "cache_write_tokens")?;
    let heard = part(of_prompt, "audio_tokens")?;
    let (spoken, drawn) = (part(of_answer, "audio_tokens")?, part(of_answer, "image_tokens")?);
    let searches = part(&usage.inside("server_tool_use"), "web_search_requests")?;
    let searches = searches + part(usage, "num_sources_used")?;
    Ok(Usage::NONE
        .with(Class::Input, rest(prompt, &[cached, written, heard])?)
        .with(Class::CacheRead, cached)
        .with(Class::CacheWrite, written)
        .with(Class::AudioInput, heard)
        .with(Class::Output, rest(answer, &[reasoning, spoken, drawn])?)
        .with(Class::Reasoning, reasoning)
        .with(Class::AudioOutput, spoken)
        .with(Class::ImageOutput, drawn)
        .with(Class::AudioMillis, seconds * 1000)
        .with(Class::ToolCalls, searches))
}

/// The `input_tokens` and `output_tokens` of OpenAI's responses.
fn response(usage: &Report<'_>) -> Result<Usage, Absurd> {
    let of_input = &usage.inside("input_tokens_details");
    let of_output = &usage.inside("output_tokens_details");
    let input = count(usage, "input_tokens")?.ok_or(Absurd)?;
    let mut output = part(usage, "output_tokens")?;
    if let Some(total) = count(usage, "total_tokens")? {
        output = output.max(rest(total, &[input])?);
        rest(total, &[input, output])?;
    }
    let cached = part(of_input, "cached_tokens")?;
    let written = part(of_input, "cache_write_tokens")?;
    let reasoning = part(of_output, "reasoning_tokens")?;
    Ok(Usage::NONE
        .with(Class::Input, rest(input, &[cached, written])?)
        .with(Class::CacheRead, cached)
        .with(Class::CacheWrite, written)
        .with(Class::Output, rest(output, &[reasoning])?)
        .with(Class::Reasoning, reasoning))
}

fn pictures(usage: &Report<'_>) -> Result<Usage, Absurd> {
    let of_input = &usage.inside("input_tokens_details");
    let of_output = &usage.inside("output_tokens_details");
    let input = count(usage, "input_tokens")?.ok_or(Absurd)?;
    let output = part(usage, "output_tokens")?;
    let (seen, cached) = (part(of_input, "image_tokens")?, part(of_input, "cached_tokens")?);
    let text = part(of_output, "text_tokens")?;
    Ok(Usage::NONE
        .with(Class::Input, rest(input, &[seen, cached])?)
        .with(Class::ImageInput, seen)
        .with(Class::CacheRead, cached)
        .with(Class::Output, text)
        .with(Class::ImageOutput, rest(output, &[text])?))
}

fn transcription(usage: &Report<'_>) -> Result<Usage, Absurd> {
    if usage.get("type").is_some_and(|kind| kind.inner() == b"duration") {
        let seconds = usage.get("seconds").ok_or(Absurd)?;
        return duration(seconds).ok_or(Absurd);
    }
    let of_input = &usage.inside("input_token_details");
    let input = count(usage, "input_tokens")?.ok_or(Absurd)?;
    let heard = part(of_input, "audio_tokens")?;
    Ok(Usage::NONE
        .with(Class::Input, rest(input, &[heard])?)
        .with(Class::AudioInput, heard)
        .with(Class::Output, part(usage, "output_tokens")?))
}

fn speech(usage: &Report<'_>) -> Result<Usage, Absurd> {
    Ok(Usage::NONE
        .with(Class::Input, count(usage, "input_tokens")?.ok_or(Absurd)?)
        .with(Class::AudioOutput, part(usage, "output_tokens")?))
}

/// Seconds of audio, a decimal number, as milliseconds rounded up.
pub(super) fn duration(seconds: Value<'_>) -> Option<Usage> {
    let text = std::str::from_utf8(seconds.bytes()).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if seconds.kind() != Kind::Number || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole: u64 = whole.parse().ok().filter(|whole| *whole <= COUNT_MAX)?;
    let (first, more) = fraction.split_at(fraction.len().min(3));
    let first: u64 = format!("{first:0<3}").parse().ok()?;
    let up = u64::from(more.bytes().any(|digit| digit != b'0'));
    Some(Usage::NONE.with(Class::AudioMillis, whole * 1000 + first + up))
}

/// What Anthropic has reported so far: input when a message starts, output as it goes on, each
/// number counting from the beginning, so that the last of each is the one that counts.
#[derive(Clone, Debug, Default)]
pub(super) struct MessagesUsage {
    input: Option<u64>,
    cache_read: u64,
    cache_write: u64,
    cache_write_hour: u64,
    output: u64,
    searches: u64,
    /// Once a report could not be true, what it left behind is not to be trusted either.
    absurd: bool,
}

impl MessagesUsage {
    /// Takes in one more report.
    pub(super) fn add(&mut self, usage: Value<'_>) {
        self.absurd |= self.take(usage).is_err();
    }

    fn take(&mut self, usage: Value<'_>) -> Result<(), Absurd> {
        let usage = &Report::new(usage);
        let (written, tools) = (&usage.inside("cache_creation"), &usage.inside("server_tool_use"));
        self.input = count(usage, "input_tokens")?.or(self.input);
        for (place, of, name) in [
            (&mut self.cache_read, usage, "cache_read_input_tokens"),
            (&mut self.cache_write, usage, "cache_creation_input_tokens"),
            (&mut self.cache_write_hour, written, "ephemeral_1h_input_tokens"),
            (&mut self.output, usage, "output_tokens"),
            (&mut self.searches, tools, "web_search_requests"),
        ] {
            *place = count(of, name)?.unwrap_or(*place);
        }
        let minutes = count(written, "ephemeral_5m_input_tokens")?;
        if minutes.is_some_and(|minutes| minutes + self.cache_write_hour > self.cache_write) {
            return Err(Absurd);
        }
        Ok(())
    }

    /// All of it by class, once the input was reported.
    pub(super) fn usage(&self) -> Option<Usage> {
        if self.absurd {
            return None;
        }
        let minutes = rest(self.cache_write, &[self.cache_write_hour]).ok()?;
        Some(
            Usage::NONE
                .with(Class::Input, self.input?)
                .with(Class::CacheRead, self.cache_read)
                .with(Class::CacheWrite, minutes)
                .with(Class::CacheWriteHour, self.cache_write_hour)
                .with(Class::Output, self.output)
                .with(Class::ToolCalls, self.searches),
        )
    }
}
