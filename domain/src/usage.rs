//! What a call used, in classes that do not overlap, and how we know. Reading a provider's own
//! numbers into these classes is the dialects' work, not this room's.

use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

/// One class of units. No unit is counted in two classes: a provider that reports cached tokens
/// inside its input, or reasoning inside its output, is taken apart before it comes here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Text tokens of the prompt that no cache served.
    Input,
    /// Prompt tokens read from the provider's cache.
    CacheRead,
    /// Prompt tokens written to a cache that lives for minutes (Anthropic: 5 minutes).
    CacheWrite,
    /// Prompt tokens written to a cache that lives for an hour (Anthropic).
    CacheWriteHour,
    /// Text tokens of the answer.
    Output,
    /// Output tokens spent on reasoning that is not (fully) shown.
    Reasoning,
    /// Audio tokens of the prompt.
    AudioInput,
    /// Audio tokens of the answer.
    AudioOutput,
    /// Image tokens of the prompt, where the provider counts them apart.
    ImageInput,
    /// Image tokens of the answer, where the provider counts them apart.
    ImageOutput,
    /// Pictures made, where they are priced by the piece.
    Images,
    /// Milliseconds of audio, where it is priced by time.
    AudioMillis,
    /// Characters, where speech is priced by them.
    Characters,
    /// Calls of tools that the provider runs and bills by the call (web search).
    ToolCalls,
}

impl Class {
    /// Every class, in the order they are stored and shown.
    pub const ALL: [Self; 14] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheWrite,
        Self::CacheWriteHour,
        Self::Output,
        Self::Reasoning,
        Self::AudioInput,
        Self::AudioOutput,
        Self::ImageInput,
        Self::ImageOutput,
        Self::Images,
        Self::AudioMillis,
        Self::Characters,
        Self::ToolCalls,
    ];

    /// Its name in JSON and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheWrite => "cache_write",
            Self::CacheWriteHour => "cache_write_hour",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::AudioInput => "audio_input",
            Self::AudioOutput => "audio_output",
            Self::ImageInput => "image_input",
            Self::ImageOutput => "image_output",
            Self::Images => "images",
            Self::AudioMillis => "audio_millis",
            Self::Characters => "characters",
            Self::ToolCalls => "tool_calls",
        }
    }

    /// Whether its units are tokens, so that they count against a limit on tokens.
    pub const fn is_tokens(self) -> bool {
        match self {
            Self::Input
            | Self::CacheRead
            | Self::CacheWrite
            | Self::CacheWriteHour
            | Self::Output
            | Self::Reasoning
            | Self::AudioInput
            | Self::AudioOutput
            | Self::ImageInput
            | Self::ImageOutput => true,
            Self::Images | Self::AudioMillis | Self::Characters | Self::ToolCalls => false,
        }
    }

    /// Whether its units are part of the prompt, which decides the price tier of a long context.
    pub const fn is_input(self) -> bool {
        match self {
            Self::Input
            | Self::CacheRead
            | Self::CacheWrite
            | Self::CacheWriteHour
            | Self::AudioInput
            | Self::ImageInput => true,
            Self::Output
            | Self::Reasoning
            | Self::AudioOutput
            | Self::ImageOutput
            | Self::Images
            | Self::AudioMillis
            | Self::Characters
            | Self::ToolCalls => false,
        }
    }

    #[expect(clippy::as_conversions, reason = "a fieldless enum's own number")]
    const fn slot(self) -> usize {
        self as usize
    }
}

/// Units used, by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usage([u64; Class::ALL.len()]);

impl Usage {
    /// Nothing used.
    pub const NONE: Self = Self([0; Class::ALL.len()]);

    /// The classes that were used, with their units.
    pub fn used(&self) -> impl Iterator<Item = (Class, u64)> + '_ {
        Class::ALL.into_iter().map(|class| (class, self[class])).filter(|(_, units)| *units > 0)
    }

    /// The same with `units` in `class`.
    #[must_use]
    pub fn with(mut self, class: Class, units: u64) -> Self {
        self[class] = units;
        self
    }

    /// All tokens, of every class that is measured in tokens.
    pub fn tokens(&self) -> u64 {
        self.sum(Class::is_tokens)
    }

    /// All tokens of the prompt.
    pub fn input_tokens(&self) -> u64 {
        self.sum(Class::is_input)
    }

    /// All tokens of the answer.
    pub fn output_tokens(&self) -> u64 {
        self.sum(|class| class.is_tokens() && !class.is_input())
    }

    fn sum(&self, wanted: impl Fn(Class) -> bool) -> u64 {
        self.used()
            .filter(|(class, _)| wanted(*class))
            .fold(0, |sum: u64, (_, units)| sum.saturating_add(units))
    }
}

impl Index<Class> for Usage {
    type Output = u64;

    #[expect(clippy::indexing_slicing, reason = "the array has one slot for every class")]
    fn index(&self, class: Class) -> &u64 {
        &self.0[class.slot()]
    }
}

impl IndexMut<Class> for Usage {
    #[expect(clippy::indexing_slicing, reason = "the array has one slot for every class")]
    fn index_mut(&mut self, class: Class) -> &mut u64 {
        &mut self.0[class.slot()]
    }
}

/// How we know what a call used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The provider said so.
    Reported,
    /// We counted what went in and came out.
    Counted,
    /// Neither was possible: the bound that was held.
    Estimated,
}

impl Evidence {
    /// Its name in JSON and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Counted => "counted",
            Self::Estimated => "estimated",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_slot_of_its_own() {
        let mut usage = Usage::NONE;
        for (position, class) in (1..).zip(Class::ALL) {
            assert_eq!(usage[class], 0, "{}", class.name());
            usage[class] = position;
        }
        assert_eq!(usage.used().count(), Class::ALL.len());
    }

    #[test]
    fn tokens_are_input_and_output_and_nothing_else() {
        let usage = Usage::NONE
            .with(Class::Input, 1)
            .with(Class::CacheRead, 2)
            .with(Class::Reasoning, 4)
            .with(Class::Images, 8)
            .with(Class::ToolCalls, 16);
        assert_eq!((usage.input_tokens(), usage.output_tokens(), usage.tokens()), (3, 4, 7));
    }
}
