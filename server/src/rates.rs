//! What a client is told of its rates, in the headers that official clients read. How a rate stands
//! is the ledger's to say.

use domain::ledger::{Rate, Rates};
use domain::refusal::LimitReached;
use domain::{Unit, Window};
use http::{HeaderMap, HeaderName, HeaderValue};

const REQUESTS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

/// Tells the rates of a call that was admitted.
pub fn tell(headers: &mut HeaderMap, rates: Rates) {
    put(headers, REQUESTS, rates.requests);
    put(headers, TOKENS, rates.tokens);
}

/// Tells the rate that refused a call, where it was one.
pub fn tell_reached(headers: &mut HeaderMap, reached: &LimitReached, after_ms: Option<u64>) {
    let limit = &reached.scoped.limit;
    let names = match limit.unit {
        Unit::Requests => REQUESTS,
        Unit::Tokens => TOKENS,
        Unit::Money | Unit::InFlight => return,
    };
    let full_after = match limit.window {
        Window::Rolling { seconds } => u64::from(seconds).saturating_mul(1_000_000),
        Window::Lifetime => u64::MAX,
        Window::Calendar { .. } | Window::Anchored { .. } => {
            after_ms.map_or(u64::MAX, |millis| millis.saturating_mul(1_000))
        }
    };
    let taken = reached.spent.saturating_add(reached.held);
    let left = limit.amount.saturating_sub(taken).max(0);
    put(headers, names, Some(Rate { amount: limit.amount, left, full_after }));
}

fn put(headers: &mut HeaderMap, names: [HeaderName; 3], rate: Option<Rate>) {
    let Some(Rate { amount, left, full_after }) = rate else { return };
    let [limit, remaining, reset] = names;
    headers.insert(limit, HeaderValue::from(amount));
    headers.insert(remaining, HeaderValue::from(left));
    // A limit that never starts again has no such moment.
    let reset_after = (full_after != u64::MAX).then(|| HeaderValue::try_from(span(full_after)));
    if let Some(Ok(value)) = reset_after {
        headers.insert(reset, value);
    }
}

/// A span of time as OpenAI writes it: `20ms`, `1s`, `6m0s`, `1h0m0s`. Rounded up.
fn span(micros: u64) -> String {
    let millis = micros.div_ceil(1_000);
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let seconds = millis.div_ceil(1_000);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_openai_writes_them() {
        for (micros, text) in [
            (0, "0ms"),
            (20_000, "20ms"),
            (999_001, "1s"),
            (1_000_000, "1s"),
            (1_000_001, "2s"),
            (60_000_000, "1m0s"),
            (360_000_000, "6m0s"),
            (86_400_000_000, "24h0m0s"),
        ] {
            assert_eq!(span(micros), text, "{micros}");
        }
    }
}
