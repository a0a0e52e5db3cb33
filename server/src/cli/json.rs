//! JSON that is looked into without losing a digit: a number stays the text it was written as. Answers
//! of the admin API, and files that come from elsewhere.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::value::RawValue;

/// A value, or the absence of one.
#[derive(Clone, Default)]
pub(super) struct Json(Option<Box<RawValue>>);

impl Json {
    /// Reads one value.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        Ok(Self(Some(serde_json::from_str(text).context("this is no JSON")?)))
    }

    /// Reads values one after the other, as many as there are.
    pub(super) fn read_all(text: &str) -> anyhow::Result<Vec<Self>> {
        let values = serde_json::Deserializer::from_str(text).into_iter();
        values.map(|value| Ok(Self(Some(value.context("this is no JSON")?)))).collect()
    }

    /// An object of these members.
    pub(super) fn of(members: &[(&str, &Self)]) -> Self {
        let members: BTreeMap<_, _> =
            members.iter().filter_map(|(name, value)| Some((*name, value.0.as_ref()?))).collect();
        Self(serde_json::value::to_raw_value(&members).ok())
    }

    /// As it is written.
    pub(super) fn written(&self) -> &str {
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

    /// The members of an object, by name; none where it is no object.
    pub(super) fn members(&self) -> Vec<(String, Self)> {
        let members: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(self.written()).unwrap_or_default();
        members.into_iter().map(|(name, value)| (name, Self(Some(value)))).collect()
    }

    pub(super) fn is_object(&self) -> bool {
        self.written().starts_with('{')
    }

    pub(super) fn is_list(&self) -> bool {
        self.written().starts_with('[')
    }

    pub(super) fn is_text(&self) -> bool {
        self.written().starts_with('"')
    }

    /// Whether it says nothing: null, false, 0, or an empty text, list or object.
    pub(super) fn is_empty(&self) -> bool {
        let written = self.written();
        let bare: String = written.chars().filter(|c| !c.is_whitespace()).collect();
        matches!(bare.as_str(), "null" | "false" | "0" | "0.0" | "\"\"" | "[]" | "{}")
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
