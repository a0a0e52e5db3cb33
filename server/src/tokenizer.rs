//! How many tokens a text is, for models whose vocabulary is public. Only what the maker's own
//! tokenizer says is said here; for every other model, bytes are the bound. The vocabularies are
//! unpacked when they are first asked for.

use crate::models::Route;

/// A public vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vocabulary {
    O200k,
    Cl100k,
}

/// Beginnings of model names, the longer ones first, as OpenAI's own list has them:
/// <https://github.com/openai/tiktoken/blob/main/tiktoken/model.py>.
const MODELS: &[(&str, Vocabulary)] = &[
    ("gpt-4o", Vocabulary::O200k),
    ("chatgpt-4o-", Vocabulary::O200k),
    ("gpt-4.1", Vocabulary::O200k),
    ("gpt-4.5-", Vocabulary::O200k),
    ("gpt-5-", Vocabulary::O200k),
    ("o1", Vocabulary::O200k),
    ("o3", Vocabulary::O200k),
    ("o4-mini", Vocabulary::O200k),
    ("gpt-4-", Vocabulary::Cl100k),
    ("gpt-3.5-turbo", Vocabulary::Cl100k),
    ("text-embedding-3-", Vocabulary::Cl100k),
    ("text-embedding-ada-002", Vocabulary::Cl100k),
    ("davinci-002", Vocabulary::Cl100k),
    ("babbage-002", Vocabulary::Cl100k),
];

impl Vocabulary {
    /// The one of the model a route leads to, where it is public and known to be this one.
    pub fn of(route: &Route) -> Option<Self> {
        if !route.provider.has_models_of("openai") {
            return None;
        }
        let model = route.model.strip_prefix("ft:").unwrap_or(&route.model);
        match model {
            "gpt-4" => Some(Self::Cl100k),
            "gpt-5" => Some(Self::O200k),
            _ => MODELS.iter().find(|(start, _)| model.starts_with(start)).map(|(_, own)| *own),
        }
    }

    /// The tokens of `text`; `None` where the vocabulary is not built in.
    pub fn count(self, text: &str) -> Option<u64> {
        let name = match self {
            Self::O200k => "o200k_base",
            Self::Cl100k => "cl100k_base",
        };
        u64::try_from(tiktoken::get_encoding(name)?.count(text)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_makers_own_tokenizer() {
        for (vocabulary, text, tokens) in [
            (Vocabulary::O200k, "", 0),
            (Vocabulary::O200k, "hello world", 2),
            (Vocabulary::Cl100k, "hello world", 2),
            (Vocabulary::Cl100k, "tiktoken is great!", 6),
            (Vocabulary::O200k, "お誕生日おめでとう", 8),
            (Vocabulary::Cl100k, "お誕生日おめでとう", 9),
        ] {
            assert_eq!(vocabulary.count(text), Some(tokens), "{vocabulary:?} {text}");
        }
    }
}
