//! What a run came to.

use std::fmt;
use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::connection::Answer;

/// Collects answers while a run goes on.
#[derive(Debug)]
pub struct Tally {
    latency: Histogram<u64>,
    first_byte: Histogram<u64>,
    exchanges: u64,
    errors: u64,
    first_error: Option<String>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { latency: empty(), first_byte: empty(), exchanges: 0, errors: 0, first_error: None }
    }
}

/// Up to ten minutes, in microseconds, to three digits.
fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are in order")
}

impl Tally {
    /// Counts one exchange. Its latency counts only if there is one: an exchange outside the time
    /// that is counted has none, but a failure is never left out.
    pub fn count(&mut self, answer: &io::Result<Answer>, latency: Option<Duration>) {
        let error = match answer {
            Ok(answer) if answer.status == 200 && answer.complete => {
                self.exchanges += 1;
                let Some(latency) = latency else { return };
                self.latency.saturating_record(micros(latency));
                self.first_byte.saturating_record(micros(answer.first_byte));
                return;
            }
            Ok(Answer { status: 200, .. }) => "an answer that did not end well".to_owned(),
            Ok(answer) => format!("status {}", answer.status),
            Err(error) => error.to_string(),
        };
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    /// Adds what another tally has counted.
    pub fn add(&mut self, other: Self) {
        self.latency.add(&other.latency).expect("both have the same bounds");
        self.first_byte.add(&other.first_byte).expect("both have the same bounds");
        self.exchanges += other.exchanges;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }

    /// The report of a run that counted for `length`.
    pub fn report(&self, length: Duration) -> Report {
        let (requests, seconds) = (self.latency.len(), length.as_secs_f64());
        Report {
            requests,
            exchanges: self.exchanges,
            errors: self.errors,
            first_error: self.first_error.clone(),
            seconds,
            #[expect(clippy::cast_precision_loss, reason = "a run has few enough requests")]
            rps: requests as f64 / seconds,
            latency_us: Quantiles::of(&self.latency),
            first_byte_us: Quantiles::of(&self.first_byte),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1)
}

/// A finished run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Requests that were answered well in the time that is counted.
    pub requests: u64,
    /// Requests that were answered well at any time of the run: what the proxy's work divides by.
    pub exchanges: u64,
    /// Requests that were not.
    pub errors: u64,
    /// What the first of them was.
    pub first_error: Option<String>,
    /// How long was counted.
    pub seconds: f64,
    /// Requests a second that were answered well.
    pub rps: f64,
    /// Microseconds to the end of the answer.
    pub latency_us: Quantiles,
    /// Microseconds to the head of the answer.
    pub first_byte_us: Quantiles,
}

/// Quantiles, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Quantiles {
    /// Half are below.
    pub p50: u64,
    /// Nine of ten are below.
    pub p90: u64,
    /// All but one in a hundred are below.
    pub p99: u64,
    /// None is above.
    pub max: u64,
}

impl Quantiles {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: histogram.max() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quantiles { p50, p90, p99, max } = self.latency_us;
        write!(
            f,
            "{} requests, {} errors, {:.0} rps, latency µs p50 {p50} p90 {p90} p99 {p99} max {max}",
            self.requests, self.errors, self.rps,
        )?;
        write!(f, ", first byte µs p50 {}", self.first_byte_us.p50)?;
        match &self.first_error {
            Some(error) => write!(f, " (first error: {error})"),
            None => Ok(()),
        }
    }
}
