//! A streamed answer on its way to the client: frames go through as they came, and what they tell
//! is noted on the way. Only an event that the client did not ask for is taken out, and only for
//! that is anything held back.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;

use super::json::string_length;
use super::observed::{EventReader, Observed};
use super::read::Dialect;
use super::sse::{self, Boundaries};

/// The longest event that is looked at. A longer one passes unseen.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// How many events are read for the model's name before it is given up.
const MODEL_EVENTS_MAX: u8 = 4;

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(r#""usage""#));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(r#""error""#));
static STOP: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("message_stop"));
static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(r#""delta""#));
static TEXT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(r#""text""#));

/// Reads a streamed answer while it passes.
#[derive(Debug)]
pub struct StreamReader {
    dialect: Dialect,
    strip_usage: bool,
    boundaries: Boundaries,
    events: EventReader,
    events_seen: u8,
    /// The beginning of an event whose end has not come. Where usage is stripped it was not
    /// forwarded either.
    carry: Vec<u8>,
    /// Whether the event that is open has grown too long.
    overlong: bool,
    /// Whether the last event was taken out.
    stripped: bool,
}

impl StreamReader {
    /// A reader for one answer. With `strip_usage` the event that only tells the usage is taken
    /// out: it is there because we asked for it.
    pub fn new(dialect: Dialect, strip_usage: bool) -> Self {
        Self {
            dialect,
            strip_usage: strip_usage && dialect.has_usage_option(),
            boundaries: Boundaries::new(),
            events: EventReader::new(dialect),
            events_seen: 0,
            carry: Vec::new(),
            overlong: false,
            stripped: false,
        }
    }

    /// What was seen so far.
    pub fn observed(&self) -> &Observed {
        &self.events.observed
    }

    /// Takes a frame, and gives what is to be forwarded now: the same frame, without a copy, where
    /// nothing is taken out or held back.
    pub fn push(&mut self, frame: Bytes) -> Bytes {
        let mut out = Outgoing::new();
        let mut at = 0;
        if self.carry.is_empty() && !self.overlong && self.boundaries.rest_of_end(&frame) {
            at = 1;
            if self.stripped {
                out.skip(&frame, 0, 1);
            }
        }
        while let Some(rest) = frame.get(at..) {
            let Some(length) = self.boundaries.end(rest) else { break };
            let end = at + length;
            let event = rest.get(..length).unwrap_or_default();
            self.stripped = if std::mem::take(&mut self.overlong) {
                false
            } else if self.carry.is_empty() {
                self.event(event)
            } else {
                self.carried(event, &mut out)
            };
            if self.stripped {
                out.skip(&frame, at, end);
            }
            at = end;
        }
        let tail = frame.get(at..).unwrap_or_default();
        if !tail.is_empty() {
            self.carry(tail, &mut out);
        }
        if self.strip_usage && !self.overlong {
            return out.finish(frame, at);
        }
        let end = frame.len();
        out.finish(frame, end)
    }

    /// What was held back, when the stream has ended.
    pub fn finish(&mut self) -> Bytes {
        let last = std::mem::take(&mut self.carry);
        if last.is_empty() || self.event(&last) || !self.strip_usage {
            return Bytes::new();
        }
        Bytes::from(last)
    }

    /// Reads an event that began in an earlier frame. Whether it is taken out.
    fn carried(&mut self, end: &[u8], out: &mut Outgoing) -> bool {
        let mut event = std::mem::take(&mut self.carry);
        event.extend_from_slice(end);
        let stripped = self.event(&event);
        if self.strip_usage && !stripped {
            out.before(event.get(..event.len() - end.len()).unwrap_or_default());
        }
        event.clear();
        self.carry = event;
        stripped
    }

    /// Keeps the beginning of an event, unless it has become too long to be looked at.
    fn carry(&mut self, tail: &[u8], out: &mut Outgoing) {
        if self.overlong {
            return;
        }
        if self.carry.len() + tail.len() <= EVENT_BYTES_MAX {
            self.carry.extend_from_slice(tail);
            return;
        }
        self.overlong = true;
        let held = std::mem::take(&mut self.carry);
        if self.strip_usage {
            out.before(&held);
        }
    }

    /// Looks at a whole event. Whether it is taken out.
    fn event(&mut self, event: &[u8]) -> bool {
        if event.len() > EVENT_BYTES_MAX {
            return false;
        }
        self.events.observed.output_bytes += self.text_bytes(event.trim_ascii_end());
        if !self.is_telling(event) {
            return false;
        }
        let data = sse::data(event);
        if data.is_empty() {
            return false;
        }
        self.events_seen = self.events_seen.saturating_add(1);
        self.events.read(&data) && self.strip_usage
    }

    /// Whether the event may tell something, so that it is worth to be read.
    fn is_telling(&self, event: &[u8]) -> bool {
        let nameless = self.events.observed.served_model.is_none();
        if nameless && self.events_seen < MODEL_EVENTS_MAX {
            return true;
        }
        match self.dialect {
            Dialect::Chat | Dialect::Completions => {
                event.trim_ascii_end().ends_with(b"[DONE]")
                    || tells_usage(event)
                    || finds(&ERROR, event)
            }
            // An event that is named as a piece of the answer holds nothing else.
            Dialect::Messages | Dialect::Responses if is_piece(sse::name(event)) => false,
            Dialect::Messages => {
                finds(&USAGE, event) || finds(&ERROR, event) || finds(&STOP, event)
            }
            // The events that end a response all have these members, be they null.
            Dialect::Responses => finds(&USAGE, event) || finds(&ERROR, event),
            Dialect::Embeddings
            | Dialect::Moderations
            | Dialect::Images
            | Dialect::ImageEdits
            | Dialect::Speech
            | Dialect::Transcriptions
            | Dialect::CountTokens
            | Dialect::Json
            | Dialect::Raw => true,
        }
    }

    fn text_bytes(&self, event: &[u8]) -> u64 {
        let name: &Finder<'_> = match self.dialect {
            Dialect::Chat | Dialect::Responses | Dialect::Messages => &DELTA,
            Dialect::Completions => &TEXT,
            Dialect::Embeddings
            | Dialect::Moderations
            | Dialect::Images
            | Dialect::ImageEdits
            | Dialect::Speech
            | Dialect::Transcriptions
            | Dialect::CountTokens
            | Dialect::Json
            | Dialect::Raw => return 0,
        };
        let (mut bytes, mut at) = (0, 0);
        while let Some(found) = event.get(at..).and_then(|rest| name.find(rest)) {
            at += found + name.needle().len();
            let (text, length) = spoken(event.get(at..).unwrap_or_default());
            bytes += text;
            at += length;
        }
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

fn is_piece(name: &[u8]) -> bool {
    name == b"content_block_delta" || name.ends_with(b".delta")
}

fn finds(finder: &Finder<'_>, event: &[u8]) -> bool {
    finder.find(event).is_some()
}

/// Whether there is usage that is not null, as it is in every chunk but the last.
fn tells_usage(event: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = event.get(at..).and_then(|rest| USAGE.find(rest)) {
        at += found + USAGE.needle().len();
        let rest = event.get(at..).unwrap_or_default();
        let mut rest = rest.iter().filter(|byte| !matches!(byte, b' ' | b'\t' | b':'));
        if rest.next() != Some(&b'n') {
            return true;
        }
    }
    false
}

/// The length of all texts in the value behind a member's name, and the length of what was looked
/// at. Nobody checked what is read here: it is measured, and nothing is decided by it.
fn spoken(after_name: &[u8]) -> (usize, usize) {
    let (mut text, mut at, mut depth) = (0, 0, 0_usize);
    let mut counts = true;
    while let Some(byte) = after_name.get(at) {
        match byte {
            b'"' => {
                let rest = after_name.get(at..).unwrap_or_default();
                let length = string_length(rest);
                let inside = rest.get(1..length - 1).unwrap_or_default();
                at += length;
                if depth > 0 && after_name.get(at) == Some(&b':') {
                    counts = !matches!(inside, b"role" | b"type" | b"id");
                } else if counts {
                    text += inside.len();
                }
            }
            b'{' | b'[' => (at, depth) = (at + 1, depth + 1),
            b'}' | b']' => (at, depth) = (at + 1, depth.saturating_sub(1)),
            b',' if depth == 0 => break,
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            break;
        }
    }
    (text, at)
}

/// What is forwarded of one frame: runs of it, and what an earlier frame held back before them.
struct Outgoing {
    /// What stands before the current run.
    pieces: Vec<u8>,
    /// Where the run begins that is still open.
    from: usize,
}

impl Outgoing {
    fn new() -> Self {
        Self { pieces: Vec::new(), from: 0 }
    }

    /// Puts what was held back before everything else of this frame.
    fn before(&mut self, held: &[u8]) {
        self.pieces.extend_from_slice(held);
    }

    /// Leaves out a range of the frame.
    fn skip(&mut self, frame: &Bytes, start: usize, end: usize) {
        self.pieces.extend_from_slice(frame.get(self.from..start).unwrap_or_default());
        self.from = end;
    }

    fn finish(mut self, frame: Bytes, end: usize) -> Bytes {
        let run = self.from..end.max(self.from);
        if self.pieces.is_empty() {
            return if run == (0..frame.len()) { frame } else { frame.slice(run) };
        }
        self.pieces.extend_from_slice(frame.get(run).unwrap_or_default());
        Bytes::from(self.pieces)
    }
}
