//! Answers of the admin API, looked into without losing a digit: a number stays the text it was
//! written as. How they are laid out for people is `view`'s business.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::value::RawValue;

/// A value of an answer, or the absence of one.
#[derive(Clone, Default)]
pub(super) struct Json(Option<Box<RawValue>>);

impl Json {
    /// Reads a whole answer.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let value = serde_json::from_str(text).context("the answer is no JSON")?;
        Ok(Self(Some(value)))
    }

    /// An object of these members.
    pub(super) fn of(members: &[(&str, &Self)]) -> Self {
        let members: BTreeMap<_, _> =
            members.iter().filter_map(|(name, value)| Some((*name, value.0.as_ref()?))).collect();
        Self(serde_json::value::to_raw_value(&members).ok())
    }

    fn written(&self) -> &str {
        self.0.as_ref().map_or("null", |value| value.get())
    }

    /// What stands at `path`, such as `window.zone`; nothing where there is no such member.
    pub(super) fn at(&self, path: &str) -> Self {
        let mut here = self.clone();
        for name in path.split('.').filter(|name| !name.is_empty()) {
            let members: Option<BTreeMap<String, Box<RawValue>>> =
                serde_json::from_str(here.written()).ok();
            here = Self(members.and_then(|mut members| members.remove(name)));
        }
        here
    }

    /// The values of a list; none where it is no list.
    pub(super) fn items(&self) -> Vec<Self> {
        let items: Vec<Box<RawValue>> = serde_json::from_str(self.written()).unwrap_or_default();
        items.into_iter().map(|item| Self(Some(item))).collect()
    }

    /// Whether there is nothing, or null.
    pub(super) fn is_nothing(&self) -> bool {
        self.written() == "null"
    }

    pub(super) fn is_true(&self) -> bool {
        self.written() == "true"
    }

    /// A text without its quotes, anything else as it is written; `None` for nothing.
    pub(super) fn text(&self) -> Option<String> {
        if self.is_nothing() {
            return None;
        }
        Some(serde_json::from_str(self.written()).unwrap_or_else(|_| self.written().to_owned()))
    }

    /// The texts of a list.
    pub(super) fn texts(&self) -> Vec<String> {
        self.items().iter().filter_map(Self::text).collect()
    }
}
