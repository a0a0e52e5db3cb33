//! Finding single rows: segments are read from the newest back, within a budget of bytes.

use std::collections::VecDeque;
use std::path::Path;

use domain::{Correction, Evidence, HoldId, KeyId, Part, RequestId, Row, Timestamp};

use super::frame::{self, Entry, Prefix};
use super::segment::{Frames, Next, Segment};
use crate::fault::Fault;

/// Which rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowQuery {
    /// Only of this key.
    pub key: Option<KeyId>,
    /// Only of this request.
    pub request: Option<RequestId>,
    /// Only those whose usage is known in this way.
    pub evidence: Option<Evidence>,
    /// Only those that began at this moment or later.
    pub from: Option<Timestamp>,
    /// Only those that began before this moment.
    pub until: Option<Timestamp>,
    /// At most this many; never more than [`RowQuery::MOST`].
    pub most: usize,
}

impl RowQuery {
    /// The most rows one answer has.
    pub const MOST: usize = 1_000;

    /// Whether a row may be wanted, judged by the ids it begins with.
    fn may_want(&self, (_, _, request, key): Prefix) -> bool {
        self.key.is_none_or(|wanted| wanted.ulid().bits() == key)
            && self.request.is_none_or(|wanted| wanted.ulid().bits() == request)
    }

    fn wants(&self, row: &Row) -> bool {
        self.evidence.is_none_or(|wanted| row.evidence == wanted)
            && self.from.is_none_or(|from| row.began_at >= from)
            && self.until.is_none_or(|until| row.began_at < until)
    }

    /// Whether a segment with rows of these times may have one that is wanted.
    fn may_be_in(&self, segment: Segment) -> bool {
        segment.times.is_none_or(|(first, last)| {
            self.from.is_none_or(|from| last >= from)
                && self.until.is_none_or(|until| first < until)
        })
    }
}

/// Rows that were found.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Newest first, in the order they were recorded.
    pub rows: Vec<Row>,
    /// Whether older segments were left unread, because the budget was used up.
    pub cut_short: bool,
}

/// How many bytes one search may read.
const BUDGET: u64 = 256 << 20;

pub(crate) fn search(dir: &Path, segments: &[Segment], query: &RowQuery) -> Result<Rows, Fault> {
    let most = query.most.min(RowQuery::MOST);
    let mut found = Rows::default();
    let mut budget = BUDGET;
    for (place, segment) in segments.iter().rev().enumerate() {
        if found.rows.len() >= most {
            break;
        }
        if !query.may_be_in(*segment) {
            continue;
        }
        let mut frames = Frames::open(dir, segment.first, 0)?;
        if frames.length() > budget {
            found.cut_short = true;
            break;
        }
        budget -= frames.length();
        // Read from the front, but only the last ones are wanted.
        let wanted = most - found.rows.len();
        let mut last = VecDeque::with_capacity(wanted);
        loop {
            match frames.next()? {
                Next::Frame(_, payload) => {
                    if let Some(row) = wanted_row(payload, query) {
                        if last.len() == wanted {
                            last.pop_front();
                        }
                        last.push_back(row);
                    }
                }
                // The segment that is being written may end anywhere.
                Next::Bad if place == 0 => break,
                Next::Bad => return Err(frames.corrupt("bytes that are no row in a full segment")),
                Next::End => break,
            }
        }
        found.rows.extend(last.into_iter().rev());
    }
    Ok(found)
}

fn wanted_row(payload: &[u8], query: &RowQuery) -> Option<Row> {
    // Its variant is its first byte.
    if payload.first() != Some(&frame::ROW) {
        return None;
    }
    let (prefix, _) = postcard::take_from_bytes::<Prefix>(payload).ok()?;
    if !query.may_want(prefix) {
        return None;
    }
    match frame::decode(payload)? {
        Entry::Row(row) => Some(*row).filter(|row| query.wants(row)),
        _ => None,
    }
}

/// Everything the journal says about one attempt.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) row: Option<Row>,
    /// Where it was held.
    pub(crate) parts: Vec<Part>,
    pub(crate) corrections: Vec<Correction>,
}

/// Reads every segment since the attempt began: what was corrected may have been much later, or,
/// where the clock was set back, seem earlier.
pub(crate) fn history(dir: &Path, segments: &[Segment], attempt: HoldId) -> Result<History, Fault> {
    let mut history = History::default();
    let began = attempt.ulid().made_at();
    let query = RowQuery { from: Some(began), ..RowQuery::default() };
    let since = segments.iter().enumerate().skip_while(|(_, segment)| !query.may_be_in(**segment));
    for (place, segment) in since {
        let mut frames = Frames::open(dir, segment.first, 0)?;
        loop {
            match frames.next()? {
                Next::Frame(_, payload) => history.read(payload, attempt),
                Next::Bad if place + 1 == segments.len() => break,
                Next::Bad => {
                    return Err(frames.corrupt("bytes that are no entry in a full segment"));
                }
                Next::End => break,
            }
        }
    }
    Ok(history)
}

impl History {
    fn read(&mut self, payload: &[u8], attempt: HoldId) {
        let Some(variant) = payload.first() else { return };
        if matches!(*variant, frame::ROW | frame::BEGAN) {
            let prefix = postcard::take_from_bytes::<Prefix>(payload);
            if !prefix.is_ok_and(|((_, other, ..), _)| other == attempt.ulid().bits()) {
                return;
            }
        }
        match frame::decode(payload) {
            Some(Entry::Row(row)) => self.row = Some(*row),
            Some(Entry::Began(began)) => self.parts = began.parts,
            Some(Entry::Corrected(corrected)) if corrected.correction.attempt == attempt => {
                self.corrections.push(corrected.correction);
            }
            Some(Entry::Released(other)) if other == attempt => self.parts.clear(),
            _ => {}
        }
    }
}
