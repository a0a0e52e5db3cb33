//! What came of it, and whether that is good.

use std::fmt;

use serde_json::Value;

use super::storm::Tally;
use super::tricks::Trick;
use crate::audit::{Price, dollars, nanos};
use crate::caller::{Answer, End};

/// Everything that was counted.
#[derive(Debug)]
pub struct Table {
    limit: i64,
    tally: Tally,
    reported: i64,
    /// Calls that reached the provider, by its own log.
    pub seen: Option<usize>,
    /// What the provider is owed, by its own log, in nano-dollars.
    pub spent: Option<i64>,
    /// What the gateway says is left, in nano-dollars.
    pub left: Option<i64>,
    /// What the gateway still holds when nothing happens any more.
    pub held: Option<i64>,
    /// The most that the smallest call can cost.
    pub smallest: i64,
    /// What the gateway said when the smallest call did not fit.
    pub last_word: String,
    /// How long it took.
    pub seconds: f64,
}

impl Table {
    /// Nothing yet.
    pub fn new(limit: i64) -> Self {
        Self {
            limit,
            tally: Tally::default(),
            reported: 0,
            seen: None,
            spent: None,
            left: None,
            held: None,
            smallest: 0,
            last_word: String::new(),
            seconds: 0.0,
        }
    }

    /// Adds a wave.
    pub fn add(&mut self, tally: Tally, price: Price) {
        self.tally.add(tally);
        let (read, written) = self.tally.reported;
        self.reported = nanos(price.of(read, written));
    }

    /// Adds one call of the client that comes last.
    pub fn count_one(&mut self, answer: &Answer, price: Price) {
        let mut tally = Tally::default();
        tally.count(Trick::Plain, answer);
        self.add(tally, price);
    }

    /// What was spent, by the best witness there is.
    pub fn total(&self) -> i64 {
        self.spent.unwrap_or(self.reported)
    }

    /// What is wrong; nothing, if all is well. `honest` says that nothing was guessed, so that the
    /// witness's own sum comes close to the limit.
    pub fn faults(&self, honest: bool) -> Vec<String> {
        let mut faults = Vec::new();
        if self.total() > self.limit {
            faults.push(format!("{} more than the limit", dollars(self.total() - self.limit)));
        }
        let left = if honest { Some(self.limit - self.total()) } else { self.left };
        if let Some(left) = left.filter(|left| *left >= self.smallest.max(1)) {
            faults.push(format!("{} could still have been spent", dollars(left)));
        }
        if self.held.is_some_and(|held| held != 0) {
            faults.push("something is held, and nothing runs".to_owned());
        }
        for status in [500, 503] {
            if let Some(count) = self.tally.statuses.get(&status) {
                faults.push(format!("{count} calls were answered with {status}"));
            }
        }
        faults
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: String| writeln!(f, "{name:<44} {value:>16}");
        let unknown = || "unknown".to_owned();
        let made: usize = self.tally.statuses.values().sum();
        line("calls made", made.to_string())?;
        for (status, count) in &self.tally.statuses {
            let what = match status {
                0 => "  no status: left before, or broken".to_owned(),
                200 => "  admitted (200)".to_owned(),
                status => format!("  refused or failed ({status})"),
            };
            line(&what, count.to_string())?;
        }
        line("clients that went away", self.tally.left.to_string())?;
        line("connections that broke", self.tally.broken.to_string())?;
        for (trick, (made, admitted)) in &self.tally.tricks {
            line(&format!("  {trick:?}: made / admitted"), format!("{made} / {admitted}"))?;
        }
        line("calls that reached the provider", self.seen.map_or_else(unknown, |n| n.to_string()))?;
        line("limit", dollars(self.limit))?;
        line("spent, by the provider's own log", self.spent.map_or_else(unknown, dollars))?;
        line("spent, by the usage that answers reported", dollars(self.reported))?;
        let over = (self.total() - self.limit).max(0);
        line("overshoot", dollars(over))?;
        #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
        let percent = over as f64 * 100.0 / self.limit.max(1) as f64;
        line("overshoot, of the limit", format!("{percent:.2} %"))?;
        line("left, by the gateway", self.left.map_or_else(unknown, dollars))?;
        line("most that the smallest call can cost", dollars(self.smallest))?;
        line("held, after all was idle", self.held.map_or_else(unknown, dollars))?;
        line("seconds", format!("{:.1}", self.seconds))?;
        writeln!(f, "its last word: {}", self.last_word)
    }
}

/// The tokens that a whole answer reports, read and written.
pub fn used(answer: &Answer) -> (u64, u64) {
    if answer.status != 200 || answer.end != End::Whole {
        return (0, 0);
    }
    let streamed = answer.body.starts_with(b"data:");
    let usage = if streamed { last_usage(&answer.body) } else { answer.json()["usage"].take() };
    let count = |name: &str| usage[name].as_u64().filter(|count| *count < 1 << 40).unwrap_or(0);
    (count("prompt_tokens"), count("completion_tokens"))
}

/// The usage of the last event that has one.
fn last_usage(body: &[u8]) -> Value {
    let text = String::from_utf8_lossy(body);
    let events = text.lines().rev().filter_map(|line| line.strip_prefix("data: "));
    let mut usages = events.filter_map(|event| {
        let mut event: Value = serde_json::from_str(event).ok()?;
        Some(event["usage"].take()).filter(Value::is_object)
    });
    usages.next().unwrap_or_default()
}
