//! Which models and providers a key may use. Deny wins; several allows of one type are a union;
//! the types must all agree; no rule allows everything. Rules judge what would really be called
//! (provider and the provider's own model name), never only what the client wrote.

use serde::{Deserialize, Serialize};

use crate::refusal::{Code, Refusal};
use crate::scope::Caller;

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
        let mut parts = self.0.split('*');
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
}

/// All rules of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// Only these models; empty means all.
    pub allowed_models: Vec<Pattern>,
    /// None of these models.
    pub denied_models: Vec<Pattern>,
    /// Only these providers; empty means all.
    pub allowed_providers: Vec<Pattern>,
    /// None of these providers.
    pub denied_providers: Vec<Pattern>,
}

/// Where a call would go: a configured provider, and the model's name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The provider's configured name.
    pub provider: &'a str,
    /// The model's name at that provider; empty where a call names none.
    pub model: &'a str,
    /// What else the catalogue calls it. Who denies a model denies it under every name.
    pub also: &'a [String],
}

impl Rules {
    /// Whether no rule narrows the models.
    pub fn any_model(&self) -> bool {
        self.allowed_models.is_empty() && self.denied_models.is_empty()
    }

    /// Judges one target. `expand` gives what an operator's alias stands for, since a rule may
    /// name an alias.
    ///
    /// # Errors
    /// The refusal that names the rule.
    pub fn judge<'a>(
        &self,
        target: Target<'_>,
        expand: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<(), Refusal> {
        let Target { provider, model, also } = target;
        let names_provider = |pattern: &&Pattern| pattern.fits(provider);
        if let Some(pattern) = self.denied_providers.iter().find(names_provider) {
            return Err(refused(
                Code::ProviderNotAllowed,
                provider,
                "denied_providers",
                Some(pattern),
            ));
        }
        if !self.allowed_providers.is_empty()
            && !self.allowed_providers.iter().any(|p| names_provider(&p))
        {
            return Err(refused(Code::ProviderNotAllowed, provider, "allowed_providers", None));
        }
        if self.any_model() || model.is_empty() {
            return Ok(());
        }
        let full = format!("{provider}/{model}");
        let fits = |pattern: &str| {
            Pattern::new(pattern).is_some_and(|pattern| pattern.fits(model) || pattern.fits(&full))
        };
        let names_model = |pattern: &&Pattern| {
            fits(pattern.as_str()) || expand(pattern.as_str()).is_some_and(fits)
        };
        let denies =
            |pattern: &&Pattern| names_model(pattern) || also.iter().any(|name| pattern.fits(name));
        if let Some(pattern) = self.denied_models.iter().find(denies) {
            return Err(refused(Code::ModelNotAllowed, model, "denied_models", Some(pattern)));
        }
        if !self.allowed_models.is_empty() && !self.allowed_models.iter().any(|p| names_model(&p)) {
            return Err(refused(Code::ModelNotAllowed, model, "allowed_models", None));
        }
        Ok(())
    }
}

fn refused(code: Code, name: &str, rule: &'static str, pattern: Option<&Pattern>) -> Refusal {
    let what = if code == Code::ModelNotAllowed { "model" } else { "provider" };
    let name: String = name.chars().take(64).collect();
    let message = match pattern {
        Some(pattern) => {
            let pattern: String = pattern.as_str().chars().take(64).collect();
            format!(
                "This key may not use {what} '{name}': its rule {rule} has '{pattern}'. Whoever administers the key can change that."
            )
        }
        None => format!(
            "This key may not use {what} '{name}': it is not in the key's {rule}. Whoever administers the key can change that."
        ),
    };
    Refusal::new(code, message).about("model")
}

/// Proof that the rules of the caller's key were asked about where the call goes.
#[must_use]
#[derive(Debug)]
pub struct Permit<R> {
    caller: Caller,
    routes: Vec<R>,
}

impl<R> Permit<R> {
    /// Who is calling.
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The routes the call may take, in order; never empty.
    pub fn routes(&self) -> &[R] {
        &self.routes
    }

    /// Takes it apart.
    pub fn into_parts(self) -> (Caller, Vec<R>) {
        (self.caller, self.routes)
    }
}

/// Keeps the routes the caller's rules allow.
///
/// # Errors
/// The refusal of the first route when none is left; [`Code::ModelNotFound`] when there was none.
pub fn admit<'a, R>(
    caller: Caller,
    routes: Vec<R>,
    target: impl Fn(&R) -> Target<'_>,
    expand: impl Fn(&str) -> Option<&'a str>,
) -> Result<Permit<R>, Refusal> {
    let mut first_no = None;
    let mut kept = Vec::with_capacity(routes.len());
    for route in routes {
        match caller.key().rules.judge(target(&route), &expand) {
            Ok(()) => kept.push(route),
            Err(no) => first_no = first_no.or(Some(no)),
        }
    }
    match (kept.is_empty(), first_no) {
        (false, _) => Ok(Permit { caller, routes: kept }),
        (true, Some(no)) => Err(no),
        (true, None) => Err(Refusal::new(Code::ModelNotFound, "No provider here has this model.")),
    }
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

    fn rules(allowed: &[&str], denied: &[&str]) -> Rules {
        let list = |names: &[&str]| names.iter().filter_map(|n| Pattern::new(n)).collect();
        Rules { allowed_models: list(allowed), denied_models: list(denied), ..Rules::default() }
    }

    #[test]
    fn deny_wins_and_an_alias_stands_for_its_target() {
        let also = ["gpt-4o-2024-11-20".to_owned()];
        let target = Target { provider: "openai", model: "gpt-4o", also: &also };
        let expand = |name: &str| (name == "fast").then_some("openai/gpt-4o");
        for (allowed, denied, code) in [
            (&[][..], &[][..], None),
            (&["gpt-4o"], &[], None),
            (&["openai/gpt-4o"], &[], None),
            (&["fast"], &[], None),
            (&["gpt-4"], &[], Some(Code::ModelNotAllowed)),
            (&["gpt-4o"], &["openai/*"], Some(Code::ModelNotAllowed)),
            (&["gpt-4o"], &["fast"], Some(Code::ModelNotAllowed)),
            (&[], &["gpt-4o-2024-11-20"], Some(Code::ModelNotAllowed)),
            (&["gpt-4o-2024-11-20"], &[], Some(Code::ModelNotAllowed)),
        ] {
            let verdict = rules(allowed, denied).judge(target, expand);
            assert_eq!(verdict.err().map(|no| no.code), code, "{allowed:?} {denied:?}");
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

        #[test]
        fn the_order_of_rules_never_matters(mut names in prop::collection::vec("[ab*]{1,3}", 0..5), model in "[ab]{1,3}") {
            let target = Target { provider: "p", model: &model, also: &[] };
            let code = |names: &[String]| {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                let (allowed, denied) = names.split_at(names.len() / 2);
                (rules(&names, &[]).judge(target, |_| None).err().map(|no| no.code),
                 rules(allowed, denied).judge(target, |_| None).err().map(|no| no.code))
            };
            let before = code(&names).0;
            names.reverse();
            prop_assert_eq!(before, code(&names).0);
        }
    }
}
