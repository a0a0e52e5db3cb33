//! The provider's own record of what it was asked and what it gave: the truth that every money
//! test compares the gateway with. One JSON line when a request has been read, one when it ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Nowhere, and none are made: for the benchmark.
    Nowhere,
    /// Kept in memory only, to be asked for over HTTP.
    Memory,
    /// Kept in memory and appended to a file.
    File(PathBuf),
}

impl FromStr for Target {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "none" => Self::Nowhere,
            "memory" => Self::Memory,
            path => Self::File(path.into()),
        })
    }
}

/// The lines so far. `line` and `seq` only ever grow, also across a reset.
#[derive(Debug)]
pub struct Log {
    fsync: bool,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    lines: Vec<String>,
    forgotten: u64,
    last_seq: u64,
    file: Option<File>,
}

impl Log {
    /// Opens the log; `None` where nothing is to be recorded.
    pub fn open(target: &Target, fsync: bool) -> io::Result<Option<Arc<Self>>> {
        let file = match target {
            Target::Nowhere => return Ok(None),
            Target::Memory => None,
            Target::File(path) => Some(OpenOptions::new().create(true).append(true).open(path)?),
        };
        let pages = Mutex::new(Pages { file, ..Pages::default() });
        Ok(Some(Arc::new(Self { fsync, pages })))
    }

    /// Records that a request has been read, and returns what will record its end.
    pub fn begin(self: &Arc<Self>, mut record: Map<String, Value>) -> Entry {
        let mut pages = self.pages();
        pages.last_seq += 1;
        record.insert("seq".to_owned(), pages.last_seq.into());
        self.append(&mut pages, "start", &mut record);
        drop(pages);
        Entry { log: Some(Arc::clone(self)), record, outcome: Outcome::default() }
    }

    /// The lines after line number `after`, as a JSON array.
    pub fn after(&self, after: u64) -> String {
        let pages = self.pages();
        let skip = usize::try_from(after.saturating_sub(pages.forgotten)).unwrap_or(usize::MAX);
        let lines = pages.lines.get(skip..).unwrap_or_default();
        format!("[{}]", lines.join(","))
    }

    /// Forgets every line and empties the file.
    pub fn reset(&self) -> io::Result<()> {
        let mut pages = self.pages();
        pages.forgotten += pages.lines.len() as u64;
        pages.lines.clear();
        pages.file.as_ref().map_or(Ok(()), |file| file.set_len(0))
    }

    fn append(&self, pages: &mut Pages, event: &str, record: &mut Map<String, Value>) {
        let number = pages.forgotten + pages.lines.len() as u64 + 1;
        record.insert("event".to_owned(), event.into());
        record.insert("line".to_owned(), number.into());
        record.insert("at_ms".to_owned(), super::words::unix_ms().into());
        let line = Value::Object(record.clone()).to_string();
        if let Some(file) = &mut pages.file {
            // A log that misses lines would acquit the gateway: better no provider at all.
            file.write_all(format!("{line}\n").as_bytes()).expect("the log takes the line");
            if self.fsync {
                file.sync_data().expect("the log reaches the disk");
            }
        }
        pages.lines.push(line);
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a request went, as far as it has gone.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The status that was answered; 0 while none was.
    pub status: u16,
    /// What the prompt was counted as.
    pub prompt_tokens: u64,
    /// Tokens handed to the socket.
    pub output_tokens_sent: u64,
    /// Tokens generated, which a provider charges for: more than sent once the client has gone.
    pub output_tokens_generated: u64,
    /// The last usage object handed to the socket.
    pub usage_reported: Option<Arc<Value>>,
    /// How often usage was reported.
    pub usage_reports: u64,
    /// Whether the whole answer was handed over.
    pub finished: bool,
    /// Whether the client went away before the answer was complete.
    pub client_gone: bool,
}

/// A request that has begun. Dropping it records its end, whatever ended it.
#[derive(Debug)]
pub struct Entry {
    log: Option<Arc<Log>>,
    record: Map<String, Value>,
    /// What the end line will say.
    pub outcome: Outcome,
}

impl Entry {
    /// An entry that records nothing.
    pub fn silent() -> Self {
        Self { log: None, record: Map::new(), outcome: Outcome::default() }
    }

    /// Records the end now: before the last bytes leave, so that whoever has read the whole
    /// answer also finds it in the log.
    pub fn end(&mut self) {
        let Some(log) = self.log.take() else { return };
        let outcome = std::mem::take(&mut self.outcome);
        let mut set = |name: &str, value: Value| self.record.insert(name.to_owned(), value);
        set("status", outcome.status.into());
        set("prompt_tokens", outcome.prompt_tokens.into());
        set("output_tokens_sent", outcome.output_tokens_sent.into());
        set("output_tokens_generated", outcome.output_tokens_generated.into());
        set("usage_reported", outcome.usage_reported.as_deref().cloned().unwrap_or_default());
        set("usage_reports", outcome.usage_reports.into());
        set("finished", outcome.finished.into());
        set("client_gone", outcome.client_gone.into());
        log.append(&mut log.pages(), "end", &mut self.record);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.log.is_some() {
            self.outcome.client_gone = !self.outcome.finished;
            self.end();
        }
    }
}
