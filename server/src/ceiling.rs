//! The most a call may cost, computed before it is made, for what is held under a money limit. What
//! has no bound is refused here. What the call did cost is `reservation`'s to say.

use std::sync::Arc;

use domain::refusal::{Code, Refusal};
use domain::{Bounds, Class, Mode, Model, Money, Timestamp, pricing};

use crate::models::Route;
use crate::relay::{Metering, Relay};
use crate::wire::{self, Dialect};

/// The most the call may cost over every route it may take.
///
/// A request with beta features may have a longer context and longer answers than the catalogue
/// knows: only its bytes and its own maximum bound it.
///
/// # Errors
/// Nothing bounds it, or a route's model has no price.
pub fn of(
    routes: &[Arc<Route>],
    request: &wire::Request,
    relay: Relay,
    has_betas: bool,
    now: Timestamp,
) -> Result<Money, Refusal> {
    let ask = &request.ask;
    if relay.metering == Metering::Free {
        return Ok(Money::ZERO);
    }
    if routes.iter().all(|route| is_free(route, now)) {
        return Ok(Money::ZERO);
    }
    if !matches!(
        relay.dialect,
        Dialect::Chat
            | Dialect::Completions
            | Dialect::Embeddings
            | Dialect::Responses
            | Dialect::Messages
    ) {
        return Err(unbounded("what such a call costs is known only after it"));
    }
    if let Some(path) = ask.unbounded {
        return Err(unbounded("it uses a feature whose cost nothing bounds").about(path));
    }
    let mut dearest = Money::ZERO;
    for route in routes {
        let Some(model) = &route.priced else {
            return Err(Refusal::new(
                Code::ModelUnpriced,
                "This model has no known price, and the key has a money limit. Whoever operates this gateway can price the model, or declare it free.",
            )
            .about("model"));
        };
        let window = model.context_tokens;
        if searches(&model.name) {
            return Err(unbounded("this model searches by itself, at a price of its own"));
        }
        if (ask.media || ask.input_elsewhere) && is_priced_by_time(model, now) {
            return Err(unbounded("its audio is priced by time, which nobody knows in advance"));
        }
        let written = ask.body_bytes.saturating_add(unwritten(relay.dialect));
        let input = match (ask.input_elsewhere || ask.media, window) {
            // Each of several inputs has a window of its own; bytes bound them all together.
            (false, Some(window)) if relay.dialect != Dialect::Embeddings && !has_betas => {
                written.min(window.saturating_mul(ask.answers))
            }
            (false, _) => written,
            (true, Some(window)) => window.saturating_mul(ask.answers),
            (true, None) => {
                return Err(unbounded(
                    "its input is not in the body, and the model's context window is unknown",
                ));
            }
        };
        let output = match (ask.output_cap, model.max_output_tokens.or(window)) {
            _ if relay.dialect == Dialect::Embeddings => 0,
            (Some(cap), Some(most)) if !has_betas => cap.min(most),
            (Some(cap), _) => cap,
            (None, Some(most)) if !has_betas => most,
            (None, _) => {
                return Err(unbounded(
                    "it sets no maximum of output tokens (max_tokens), and the model's own is unknown",
                ));
            }
        };
        let output = output.saturating_mul(ask.answers);
        // In any service tier, for the provider's account may have another than the plain one, unless
        // the plain one is asked for.
        let bounds = Bounds::new(input, output).at_most(Class::ToolCalls, 0);
        let pinned = route.provider.pins_tier(relay.dialect);
        let bounds = if pinned { bounds.in_tier("default") } else { bounds };
        let most = pricing::ceiling(&model.prices, now, &bounds)
            .ok_or_else(|| unbounded("what it may cost cannot be computed in advance"))?;
        dearest = dearest.max(most);
    }
    Ok(dearest)
}

/// Whether some call on this route could pass under a money limit: what `GET models` shows to a key
/// that has one.
pub fn is_bounded(route: &Route, now: Timestamp) -> bool {
    let Some(model) = &route.priced else { return false };
    let by_piece = match model.mode {
        Mode::Image | Mode::Speech | Mode::Transcription | Mode::Realtime => true,
        Mode::Chat
        | Mode::Completion
        | Mode::Responses
        | Mode::Embedding
        | Mode::Moderation
        | Mode::Rerank
        | Mode::Other => searches(&model.name),
    };
    !by_piece || is_free(route, now)
}

/// Input tokens that a provider adds to what the client wrote. Anthropic puts a prompt of its own,
/// of up to some 500 tokens, before the tools of a request:
/// <https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview#pricing>.
fn unwritten(dialect: Dialect) -> u64 {
    if dialect == Dialect::Messages { 1_000 } else { 0 }
}

/// Models whose every call may search the web, billed by the search.
fn searches(name: &str) -> bool {
    ["search", "sonar", "deep-research"].iter().any(|word| name.contains(word))
}

fn is_priced_by_time(model: &Model, now: Timestamp) -> bool {
    model.prices.offers(now).any(|offer| offer.rates.audio_millis.is_some())
}

fn is_free(route: &Route, now: Timestamp) -> bool {
    route.priced.as_ref().is_some_and(|model| model.prices.is_free(now))
}

fn unbounded(why: &str) -> Refusal {
    Refusal::new(
        Code::Unmeterable,
        format!("This key has a money limit, and this call was refused because {why}."),
    )
}
