//! What a provider is owed by its own log: the truth that a gateway's ledger is held against. Only
//! the log's lines are read; what the gateway says is not known here.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// Billionths of a dollar in one.
pub const NANOS: f64 = 1e9;

/// What a token costs, in pico-dollars; a dollar for a million tokens is a million of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// A token of the prompt.
    pub input: u64,
    /// A token of the answer.
    pub output: u64,
}

impl Price {
    /// From dollars for a million tokens, in decimal text.
    pub fn per_million(input: &str, output: &str) -> anyhow::Result<Self> {
        Ok(Self { input: picos(input)?, output: picos(output)? })
    }

    /// What so many tokens cost, in pico-dollars.
    pub fn of(self, input: u64, output: u64) -> u64 {
        self.input.saturating_mul(input).saturating_add(self.output.saturating_mul(output))
    }
}

fn picos(dollars: &str) -> anyhow::Result<u64> {
    let (whole, part) = dollars.split_once('.').unwrap_or((dollars, ""));
    ensure!(part.len() <= 6, "`{dollars}` has more than six decimals");
    let text = format!("{whole}{part:0<6}");
    text.parse().with_context(|| format!("`{dollars}` is no price"))
}

/// Pico-dollars as nano-dollars, rounded up: how one call is charged.
pub fn nanos(picos: u64) -> i64 {
    i64::try_from(picos.div_ceil(1_000)).unwrap_or(i64::MAX)
}

/// Nano-dollars as dollars, for people.
pub fn dollars(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    format!("{sign}${}.{:09}", size / 1_000_000_000, size % 1_000_000_000)
}

/// A JSON number of dollars, as nano-dollars.
pub fn nanos_of(value: &Value) -> Option<i64> {
    let dollars = match value {
        Value::String(text) => text.parse::<f64>().ok()?,
        number => number.as_f64()?,
    };
    // Amounts below a million dollars have fewer digits than a float keeps.
    #[expect(clippy::cast_possible_truncation, reason = "rounded, and far below 2^63")]
    Some((dollars * NANOS).round() as i64)
}

/// One call as the provider saw it.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// What stood between `[[` and `]]` in its body.
    pub marker: String,
    /// The status it answered; 0 while the call is open.
    pub status: u64,
    /// Tokens of the prompt that it charges for.
    pub prompt_tokens: u64,
    /// Tokens it made, sent or not: it charges for all of them.
    pub output_tokens: u64,
    /// Whether it is over.
    pub ended: bool,
}

impl Seen {
    /// What it costs, in pico-dollars.
    pub fn picos(&self, price: Price) -> u64 {
        price.of(self.prompt_tokens, self.output_tokens)
    }

    /// All its tokens.
    pub fn tokens(&self) -> u64 {
        self.prompt_tokens + self.output_tokens
    }
}

/// The log of a fake provider, read while it grows.
#[derive(Debug)]
pub struct Auditor {
    path: PathBuf,
    offset: u64,
    /// The beginning of a line whose end was not there yet.
    rest: Vec<u8>,
    calls: HashMap<u64, Seen>,
    /// Calls that began.
    pub began: usize,
    /// Calls that are over.
    pub ended: usize,
}

impl Auditor {
    /// Of the log in this file, from its beginning. A file that is not there is an empty one.
    pub fn new(path: PathBuf) -> Self {
        let calls = HashMap::new();
        Self { path, offset: 0, rest: Vec::new(), calls, began: 0, ended: 0 }
    }

    /// Reads what was written since; gives how many lines.
    pub fn read(&mut self) -> anyhow::Result<usize> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        file.seek(SeekFrom::Start(self.offset))?;
        let mut text = std::mem::take(&mut self.rest);
        let before = text.len();
        file.read_to_end(&mut text)?;
        self.offset += u64::try_from(text.len() - before)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.rest = text.split_off(whole);
        let mut lines = 0;
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line = serde_json::from_slice(line).context("the provider's log is no JSON")?;
            self.take(&line)?;
            lines += 1;
        }
        Ok(lines)
    }

    fn take(&mut self, line: &Value) -> anyhow::Result<()> {
        let number = |name: &str| line[name].as_u64().unwrap_or(0);
        let call = self.calls.entry(number("seq")).or_default();
        match line["event"].as_str() {
            Some("start") => {
                self.began += 1;
                marker(line["body"].as_str().unwrap_or_default()).clone_into(&mut call.marker);
            }
            Some("end") => {
                self.ended += 1;
                call.status = number("status");
                call.prompt_tokens = number("prompt_tokens");
                call.output_tokens = number("output_tokens_generated");
                call.ended = true;
            }
            other => anyhow::bail!("the provider's log has a line with the event {other:?}"),
        }
        Ok(())
    }

    /// Every call it has seen.
    pub fn calls(&self) -> impl Iterator<Item = &Seen> {
        self.calls.values()
    }

    /// Calls that are not over.
    pub fn open(&self) -> usize {
        self.began - self.ended
    }

    /// What all of them cost, in pico-dollars.
    pub fn total(&self, price: Price) -> u64 {
        self.calls().map(|call| call.picos(price)).sum()
    }
}

/// What stands between `[[` and `]]`.
fn marker(body: &str) -> &str {
    let inside = body.split_once("[[").and_then(|(_, rest)| rest.split_once("]]"));
    inside.map_or("", |(marker, _)| marker)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn prices_and_amounts_are_read_exactly() {
        let price = Price::per_million("2.50", "10").unwrap();
        assert_eq!(price, Price { input: 2_500_000, output: 10_000_000 });
        assert_eq!(nanos(price.of(3, 1)), 17_500);
        assert_eq!(nanos(1), 1);
        assert!(Price::per_million("0.0000001", "1").is_err());
        assert_eq!(nanos_of(&serde_json::json!(4.999_999_999)), Some(4_999_999_999));
        assert_eq!(nanos_of(&serde_json::json!("0.17")), Some(170_000_000));
        assert_eq!(dollars(-1_500_000_000), "-$1.500000000");
    }

    #[test]
    fn a_log_is_summed_while_it_grows_however_its_lines_are_cut() {
        let path = std::env::temp_dir().join(format!("audit-{}.jsonl", std::process::id()));
        let log = concat!(
            r#"{"event":"start","seq":1,"body":"{\"x\":\"[[k1.t-7]] hi\"}"}"#,
            "\n",
            r#"{"event":"start","seq":2,"body":null}"#,
            "\n",
            r#"{"event":"end","seq":1,"status":200,"prompt_tokens":10,"output_tokens_generated":3}"#,
            "\n",
        );
        let price = Price { input: 1_000, output: 10_000 };
        for cut in 0..log.len() {
            let mut file = File::create(&path).unwrap();
            let mut auditor = Auditor::new(path.clone());
            file.write_all(&log.as_bytes()[..cut]).unwrap();
            auditor.read().unwrap();
            file.write_all(&log.as_bytes()[cut..]).unwrap();
            auditor.read().unwrap();
            assert_eq!((auditor.began, auditor.ended, auditor.open()), (2, 1, 1));
            assert_eq!(auditor.total(price), 40_000);
            assert!(auditor.calls().any(|call| call.marker == "k1.t-7" && call.ended));
        }
        fs::remove_file(path).unwrap();
    }
}
