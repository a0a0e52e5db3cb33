//! The models that are known: what names mean them, their limits and their prices. The catalogue
//! prices and bounds; whether a call may go to a model is decided elsewhere.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::day::Day;
use crate::prices::Prices;

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Conversations.
    Chat,
    /// Plain text, continued.
    Completion,
    /// Conversations, over the responses API only.
    Responses,
    /// Text to vectors.
    Embedding,
    /// Pictures.
    Image,
    /// Text to sound.
    Speech,
    /// Sound to text.
    Transcription,
    /// Judging text.
    Moderation,
    /// Sorting documents by how well they fit a query.
    Rerank,
    /// Sound both ways, over a socket.
    Realtime,
    /// Whatever else a catalogue names.
    #[serde(other)]
    Other,
}

/// One model of one provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The provider's name in the configuration: `openai`.
    pub provider: String,
    /// The name its provider knows it by.
    pub name: String,
    /// What it is for.
    pub mode: Mode,
    /// The longest prompt, in tokens.
    pub context_tokens: Option<u64>,
    /// The longest answer, in tokens.
    pub max_output_tokens: Option<u64>,
    /// When its provider means to stop serving it, or did.
    pub deprecated_on: Option<Day>,
    /// Other names for it, in lower case.
    #[serde(default)]
    pub also: Vec<String>,
    /// Shapes of further names for it: any of the lists, all globs of a list.
    #[serde(default, rename = "match")]
    pub shapes: Vec<Vec<String>>,
    /// Where its prices were read: `genai-prices`, `litellm`, `operator`.
    pub source: String,
    /// What it costs; empty where nobody published that.
    #[serde(default)]
    pub prices: Prices,
}

/// An operator's word on a model, which counts for more than the catalogue's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The model's name, known to the catalogue or not.
    pub name: String,
    /// What it costs, instead of all the catalogue says.
    pub prices: Prices,
    /// The longest prompt; the catalogue's where absent.
    pub context_tokens: Option<u64>,
    /// The longest answer; the catalogue's where absent.
    pub max_output_tokens: Option<u64>,
}

/// Models by provider and name. Never changes: a refreshed catalogue is a new one.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    shelves: BTreeMap<String, Shelf>,
    version: String,
}

/// One provider's models, in the order they came.
#[derive(Clone, Debug, Default)]
struct Shelf {
    models: Vec<Model>,
    by_name: BTreeMap<String, usize>,
    shaped: Vec<usize>,
}

/// No model has a longer name; matching a longer one would only cost time.
const NAME_BYTES_MAX: usize = 256;

impl Catalog {
    /// A catalogue of these models. Of two with one name the later counts; of two whose shapes
    /// fit a name, the earlier. `version` names this very content.
    pub fn new(models: impl IntoIterator<Item = Model>, version: impl Into<String>) -> Self {
        let mut catalog = Self { shelves: BTreeMap::new(), version: version.into() };
        for model in models {
            catalog.shelves.entry(model.provider.clone()).or_default().add(model);
        }
        catalog
    }

    /// The same with an operator's overrides. One for a model's own name counts for all its
    /// names; one for another of its names counts for that name only.
    #[must_use]
    pub fn with_overrides(mut self, overrides: impl IntoIterator<Item = Override>) -> Self {
        for own in overrides {
            let known = self.model(&own.provider, &own.name);
            let model = Model {
                mode: known.map_or(Mode::Chat, |model| model.mode),
                context_tokens: own.context_tokens.or(known.and_then(|m| m.context_tokens)),
                max_output_tokens: own
                    .max_output_tokens
                    .or(known.and_then(|m| m.max_output_tokens)),
                deprecated_on: known.and_then(|model| model.deprecated_on),
                also: Vec::new(),
                shapes: Vec::new(),
                source: "operator".to_owned(),
                prices: own.prices,
                provider: own.provider,
                name: own.name,
            };
            self.shelves.entry(model.provider.clone()).or_default().replace(model);
        }
        self
    }

    /// The same with a second shelf: what `provider` has, under the name `copy`, so that each can
    /// be priced apart.
    #[must_use]
    pub fn with_copy(mut self, provider: &str, copy: &str) -> Self {
        let mut copied = self.shelves.get(provider).cloned().unwrap_or_default();
        for model in &mut copied.models {
            copy.clone_into(&mut model.provider);
        }
        self.shelves.insert(copy.to_owned(), copied);
        self
    }

    /// The model that `name` means to `provider`: by its own name, by another name it has, by
    /// shape. Upper and lower case are the same.
    pub fn model(&self, provider: &str, name: &str) -> Option<&Model> {
        self.shelves.get(provider)?.model(name)
    }

    /// What `name` means to each provider that knows it.
    pub fn by_name<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Model> {
        self.shelves.values().filter_map(move |shelf| shelf.model(name))
    }

    /// A provider's models.
    pub fn of(&self, provider: &str) -> impl Iterator<Item = &Model> {
        self.shelves.get(provider).into_iter().flat_map(|shelf| &shelf.models)
    }

    /// All models, provider by provider.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.shelves.values().flat_map(|shelf| &shelf.models)
    }

    /// Which content this is, before overrides.
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl Shelf {
    fn add(&mut self, model: Model) {
        let place = self.models.len();
        for other in &model.also {
            self.by_name.entry(other.to_lowercase()).or_insert(place);
        }
        if !model.shapes.is_empty() {
            self.shaped.push(place);
        }
        self.by_name.insert(model.name.to_lowercase(), place);
        self.models.push(model);
    }

    /// Like `add`, but a model of that very name gives up its place and its other names.
    fn replace(&mut self, model: Model) {
        let same = |known: &&mut Model| known.name.eq_ignore_ascii_case(&model.name);
        match self.models.iter_mut().find(same) {
            Some(known) => {
                let (also, shapes) = (known.also.clone(), known.shapes.clone());
                *known = Model { also, shapes, ..model };
            }
            None => self.add(model),
        }
    }

    fn model(&self, name: &str) -> Option<&Model> {
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let name = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(name)
        };
        self.named(&name).or_else(|| self.named(&with_dashed_date(&name)?))
    }

    fn named(&self, name: &str) -> Option<&Model> {
        if let Some(place) = self.by_name.get(name) {
            return self.models.get(*place);
        }
        let mut shaped = self.shaped.iter().filter_map(|place| self.models.get(*place));
        shaped.find(|model| {
            model.shapes.iter().any(|globs| globs.iter().all(|glob| fits(glob, name)))
        })
    }
}

/// `-20251211` at the end of a word is how some write `-2025-12-11`.
fn with_dashed_date(name: &str) -> Option<String> {
    name.match_indices('-').find_map(|(at, _)| {
        let (head, tail) = (name.get(..at)?, name.get(at.checked_add(1)?..)?);
        let (year, month) = (tail.get(..4)?, tail.get(4..6)?);
        let (day, rest) = (tail.get(6..8)?, tail.get(8..)?);
        let date = format!("{year}-{month}-{day}");
        let ends = rest.is_empty() || rest.starts_with(['-', ':']);
        (ends && Day::parse(&date).is_some()).then(|| format!("{head}-{date}{rest}"))
    })
}

/// Whether a whole name has a shape: `*` is any run, `#` a digit, a leading `!` negates.
fn fits(glob: &str, name: &str) -> bool {
    fn run(glob: &[u8], name: &[u8]) -> bool {
        match glob.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len())
                .any(|skipped| name.get(skipped..).is_some_and(|tail| run(rest, tail))),
            Some((wanted, rest)) => name.split_first().is_some_and(|(byte, tail)| {
                (wanted == byte || *wanted == b'#' && byte.is_ascii_digit()) && run(rest, tail)
            }),
        }
    }
    match glob.strip_prefix('!') {
        Some(glob) => !run(glob.as_bytes(), name.as_bytes()),
        None => run(glob.as_bytes(), name.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Price;
    use crate::prices::Rates;
    use crate::time::Timestamp;
    use crate::usage::Class;

    fn model(line: &str) -> Model {
        serde_json::from_str(line).expect("a model")
    }

    fn catalog() -> Catalog {
        let lines = [
            r#"{"provider":"google","name":"gemini-2.5-pro","mode":"chat","source":"t",
                "match":[["gemini-2.5-pro*","!*-tts","!*-tts-*"]]}"#,
            r#"{"provider":"google","name":"gemini-2.5-pro-tts","mode":"speech","source":"t"}"#,
            r#"{"provider":"openai","name":"gpt-4o","mode":"chat","source":"t",
                "context_tokens":128000,"max_output_tokens":16384,
                "also":["gpt-4o-2024-08-06"],
                "prices":[{"rates":{"input":2500000,"output":10000000}}]}"#,
            r#"{"provider":"openai","name":"gpt-4o-audio","mode":"chat","source":"t",
                "match":[["gpt-4o-audio*"]]}"#,
            r#"{"provider":"openai","name":"gpt-5.6","mode":"video","source":"t",
                "match":[["gpt-5.6-####-##-##"]],"deprecated_on":"2027-02-26"}"#,
            r#"{"provider":"bedrock","name":"claude","mode":"chat","source":"t",
                "match":[["*us.claude*"],["claude*"]]}"#,
            r#"{"provider":"azure","name":"GPT-4o","mode":"chat","source":"t"}"#,
        ];
        Catalog::new(lines.map(model), "abc")
    }

    #[test]
    fn a_name_means_a_model_by_itself_by_alias_and_by_shape() {
        let catalog = catalog();
        for (provider, name, found) in [
            ("openai", "gpt-4o", Some("gpt-4o")),
            ("openai", "GPT-4o", Some("gpt-4o")),
            ("azure", "gpt-4o", Some("GPT-4o")),
            ("openai", "gpt-4o-2024-08-06", Some("gpt-4o")),
            ("openai", "gpt-4o-20240806", Some("gpt-4o")),
            ("openai", "gpt-4o-2024-11-20", None),
            ("openai", "gpt-4o-audio-preview", Some("gpt-4o-audio")),
            ("openai", "gpt-5.6-2026-09-01", Some("gpt-5.6")),
            ("openai", "gpt-5.6-20260901", Some("gpt-5.6")),
            ("openai", "gpt-5.6-2026-09-01x", None),
            ("openai", "gpt-5.6-20261301", None),
            ("google", "gemini-2.5-pro-preview", Some("gemini-2.5-pro")),
            ("google", "gemini-2.5-pro-tts", Some("gemini-2.5-pro-tts")),
            ("google", "gemini-2.5-pro-preview-tts", None),
            ("bedrock", "eu.us.claude-x", Some("claude")),
            ("bedrock", "claude", Some("claude")),
            ("bedrock", "my-claude", None),
            ("nobody", "gpt-4o", None),
            ("openai", "", None),
        ] {
            let model = catalog.model(provider, name).map(|model| model.name.as_str());
            assert_eq!(model, found, "{provider}/{name}");
        }
        let long = "claude".repeat(100);
        assert_eq!(catalog.model("bedrock", &long), None);
    }

    #[test]
    fn a_bare_name_is_looked_up_everywhere() {
        let catalog = catalog();
        let providers: Vec<_> = catalog.by_name("gpt-4o").map(|m| m.provider.as_str()).collect();
        assert_eq!(providers, ["azure", "openai"]);
        assert_eq!(catalog.of("openai").count(), 3);
        assert_eq!((catalog.models().count(), catalog.version()), (7, "abc"));
        let model = catalog.model("openai", "gpt-5.6").expect("a model");
        assert_eq!((model.mode, model.deprecated_on), (Mode::Other, Day::parse("2027-02-26")));
    }

    #[test]
    fn an_override_wins_for_its_name_and_inherits_the_limits() {
        let own = |name: &str, picos| Override {
            provider: "openai".to_owned(),
            name: name.to_owned(),
            prices: Prices::flat(Rates::UNKNOWN.with(Class::Input, Price::from_picos(picos))),
            context_tokens: None,
            max_output_tokens: Some(7),
        };
        let overrides =
            [own("gpt-4o-2024-08-06", 1), own("GPT-4o", 2), own("new", 3), own("gpt-4o-audio", 4)];
        let catalog = catalog().with_overrides(overrides);
        for (name, picos, context) in [
            ("gpt-4o-2024-08-06", 1, Some(128_000)),
            ("gpt-4o", 2, Some(128_000)),
            ("gpt-4o-audio", 4, None),
            ("gpt-4o-audio-preview", 4, None),
            ("new", 3, None),
        ] {
            let model = catalog.model("openai", name).expect(name);
            let rates = model.prices.at(Timestamp::default(), 1, None).expect(name);
            assert_eq!(rates.price(Class::Input).map(Price::picos), Some(picos), "{name}");
            assert_eq!((model.context_tokens, model.max_output_tokens), (context, Some(7)));
            assert_eq!(model.source, "operator");
        }
        assert_eq!(catalog.of("openai").count(), 5);
    }

    #[test]
    fn a_copy_is_priced_apart() {
        let own = Override {
            provider: "mine/".to_owned(),
            name: "gpt-4o".to_owned(),
            prices: Prices::flat(Rates::free()),
            context_tokens: None,
            max_output_tokens: None,
        };
        let catalog = catalog().with_copy("openai", "mine/").with_overrides([own]);
        let is_free = |provider| {
            catalog.model(provider, "gpt-4o").map(|m| m.prices.is_free(Timestamp::default()))
        };
        assert_eq!((is_free("mine/"), is_free("openai")), (Some(true), Some(false)));
        assert_eq!(catalog.of("mine/").count(), catalog.of("openai").count());
    }
}
