//! Names with stars in them, and which names they fit. What a name means is not known here.

use serde::{Deserialize, Serialize};

/// A name to compare with, where `*` stands for any run of characters: `gpt-4o`, `openai/*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// The longest pattern there may be, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// Takes a pattern as somebody wrote it; `None` when it is empty, too long or not printable.
    pub fn new(text: &str) -> Option<Self> {
        let printable = !text.chars().any(|c| c.is_control() || c.is_whitespace());
        (!text.is_empty() && text.len() <= Self::MAX_BYTES && printable)
            .then(|| Self(text.to_owned()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it fits all of `name`. Linear in both, whatever the number of stars.
    pub fn fits(&self, name: &str) -> bool {
        fits(&self.0, name)
    }
}

/// [`Pattern::fits`] for a text that is none of somebody's patterns: what an alias stands for.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    let Some(mut rest) = rest.strip_suffix(last) else {
        return false;
    };
    // Each part between two stars may take its first fit: a later one cannot fit better.
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-4o*", "gpt-4o-mini", true),
            ("*", "", true),
            ("*", "anything", true),
            ("openai/*", "openai/gpt-4o", true),
            ("*-mini", "gpt-4o-mini", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*a", "a", false),
            ("a**a", "aa", true),
            ("*b*", "abc", true),
            ("*bb*", "abc", false),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().fits(name), fits, "{pattern} {name}");
        }
        for text in ["", "a b", "a\nb", "\u{0}"] {
            assert_eq!(Pattern::new(text), None);
        }
    }

    proptest! {
        /// The written definition, by trying every split.
        #[test]
        fn a_pattern_fits_what_the_definition_says(pattern in "[ab*]{1,6}", name in "[ab]{0,6}") {
            fn slow(pattern: &[u8], name: &[u8]) -> bool {
                match pattern.split_first() {
                    None => name.is_empty(),
                    Some((b'*', rest)) => (0..=name.len()).any(|skip| slow(rest, &name[skip..])),
                    Some((c, rest)) => name.first() == Some(c) && slow(rest, &name[1..]),
                }
            }
            let fits = Pattern::new(&pattern).unwrap().fits(&name);
            prop_assert_eq!(fits, slow(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
