//! What a rule's no says: what was wanted, which rule stands against it, whose it is, and who can
//! change that. Entries of a rule are told only where they were met.

use super::price::{PriceTag, per_million};
use super::{Target, Topic, Word};
use crate::money::Price;
use crate::refusal::{Code, Refusal};
use crate::scope::Scope;

/// The refusal of a rule of `scope`.
pub(super) fn refused(scope: Scope, word: &Word<'_>) -> Refusal {
    let rule = whose(scope, word.rule);
    let (wanted, why) = (wanted(word.topic), why(word, &rule));
    let message = format!("This key may not {wanted}: {why}. {}", who(scope));
    let refusal = Refusal::new(word.topic.code(), message);
    match word.topic {
        Topic::Address(_) => refusal,
        Topic::Provider(_)
        | Topic::Model(_)
        | Topic::Tier(_)
        | Topic::Input(_)
        | Topic::Output(_) => refusal.about("model"),
    }
}

impl Topic<'_> {
    const fn code(self) -> Code {
        match self {
            Self::Provider(_) => Code::ProviderNotAllowed,
            Self::Model(_) => Code::ModelNotAllowed,
            Self::Tier(_) | Self::Input(_) | Self::Output(_) => Code::PriceNotAllowed,
            Self::Address(_) => Code::AddressNotAllowed,
        }
    }
}

fn wanted(topic: Topic<'_>) -> String {
    match topic {
        Topic::Provider(name) => format!("use provider '{}'", short(name)),
        Topic::Model(name) => format!("use model '{}'", short(name)),
        Topic::Tier(target) | Topic::Input(target) | Topic::Output(target) => {
            if target.model.is_empty() {
                format!("use provider '{}' without a model", short(target.provider))
            } else {
                format!("use model '{}'", short(target.model))
            }
        }
        Topic::Address(address) => format!("be used from {}", address.to_canonical()),
    }
}

fn why(word: &Word<'_>, rule: &str) -> String {
    let entry = word.entry.map(|entry| short(&entry.to_string()));
    let has = |missing: &str| match &entry {
        Some(entry) => format!("{rule} has '{entry}'"),
        None => format!("{rule} has no '{}'", short(missing)),
    };
    let at_most = |target: &Target<'_>, price: Option<Price>, what: &str| {
        let (provider, most) = (short(target.provider), entry.as_deref().unwrap_or_default());
        match price {
            Some(price) => {
                let price = per_million(price);
                format!(
                    "at '{provider}' a million {what} tokens cost up to {price} dollars, and {rule} is {most}"
                )
            }
            None => format!(
                "what {what} tokens cost at '{provider}' is not known, and {rule} is {most} dollars for a million"
            ),
        }
    };
    match word.topic {
        Topic::Provider(name) | Topic::Model(name) => has(name),
        Topic::Address(address) => has(&address.to_canonical().to_string()),
        Topic::Input(target) => at_most(target, target.price.input(), "input"),
        Topic::Output(target) => at_most(target, target.price.output(), "output"),
        Topic::Tier(target) => {
            let costs = match target.price {
                PriceTag::Unknown => "has no price that is known, which counts as paid",
                PriceTag::Free => "is free",
                PriceTag::Paid { .. } => "is paid",
            };
            let has = has(target.price.tier().name());
            format!("at '{}' it {costs}, and {has}", short(target.provider))
        }
    }
}

fn whose(scope: Scope, rule: &str) -> String {
    match scope {
        Scope::Key(_) => format!("this key's rule {rule}"),
        Scope::Project(_) | Scope::Team(_) | Scope::User(_) => {
            format!("the rule {rule} of this key's {}", scope.kind())
        }
        Scope::Instance => format!("the rule {rule} of this gateway"),
    }
}

fn who(scope: Scope) -> String {
    match scope {
        Scope::Key(_) | Scope::Project(_) | Scope::Team(_) | Scope::User(_) => {
            format!("Whoever administers the {} can change that.", scope.kind())
        }
        Scope::Instance => "Whoever operates this gateway can change that.".to_owned(),
    }
}

/// As much of a name as a sentence can hold.
fn short(name: &str) -> String {
    name.chars().take(64).collect()
}
