//! What happens to the journal at start: an unfinished last row is cut off, rows the sums have not
//! seen are added to them, and the newest segment is opened for more.

use std::fs::File;
use std::path::Path;

use domain::{Timestamp, Window, window::Period};

use super::frame;
use super::segment::{self, Frames, Next, Position, Segment};
use super::{Recovery, Setting};
use crate::fault::Fault;
use crate::home::{own_file, sync_dir};
use crate::sums::keeper::Keeper;
use crate::sums::{Deltas, Fold};

/// The segment that rows are appended to.
pub(super) struct Live {
    pub(super) file: File,
    pub(super) end: Position,
    /// The earliest and latest beginning of its rows.
    pub(super) times: Option<(Timestamp, Timestamp)>,
    /// Rows that began from here on go into another segment.
    pub(super) month_end: Timestamp,
}

pub(super) struct Found {
    pub(super) live: Live,
    pub(super) end: Position,
    pub(super) segments: Vec<Segment>,
    pub(super) report: Recovery,
}

pub(super) fn recover(
    setting: &Setting,
    keeper: &mut Keeper,
    now: Timestamp,
) -> Result<Found, Fault> {
    let dir = &setting.dir;
    let mut numbers = segment::list(dir)?;
    let applied = keeper.position();
    let mut report = Recovery::default();
    let mut deltas = Deltas::default();
    let mut end = applied;
    let mut times = None;
    let last = numbers.last().copied();
    // Older ones were read through before the sums went past them.
    let fresh = |number: &u64| *number >= applied.segment || Some(*number) == last;
    for number in numbers.iter().copied().filter(fresh) {
        if number > applied.segment && number != end.seq {
            let what = "the segment before it is missing or short";
            return Err(Fault::Corrupt { file: segment::path(dir, number), offset: 0, what });
        }
        let is_last = Some(number) == last;
        (end, times) = replay(dir, number, applied, is_last, &mut deltas, &mut report)?;
    }
    if last.is_none_or(|last| last < applied.segment) {
        // The newest segment itself is gone. Its number is not used again.
        report.bytes_lost += applied.offset;
        end = Position { segment: applied.seq, offset: 0, seq: applied.seq };
        times = None;
        numbers.push(end.segment);
    }
    if end != applied || last.is_none() {
        keeper.take(deltas, end, Vec::new())?;
    }
    let sealed = keeper.sealed()?;
    let segments = numbers
        .iter()
        .map(|first| Segment { first: *first, times: sealed.get(first).copied() })
        .collect();
    let month_end = month_end(times.map_or(now, |(first, _)| first));
    let live = Live { file: open_live(dir, end.segment)?, end, times, month_end };
    Ok(Found { live, end, segments, report })
}

/// Reads one segment through: its end, and the times its rows began.
fn replay(
    dir: &Path,
    number: u64,
    applied: Position,
    is_last: bool,
    deltas: &mut Deltas,
    report: &mut Recovery,
) -> Result<(Position, Option<(Timestamp, Timestamp)>), Fault> {
    // The newest one is checked from its beginning: what a power cut left may be anywhere in it.
    let known = if number == applied.segment { applied.offset } else { 0 };
    let mut frames = Frames::open(dir, number, 0)?;
    let mut seq = number;
    let mut times = None;
    loop {
        match frames.next()? {
            Next::Frame(at, payload) => {
                let Some(row) = frame::decode(payload) else {
                    return Err(frames.corrupt("a row cannot be read"));
                };
                seq += 1;
                times = Some(widened(times, row.began_at));
                if at >= known && number >= applied.segment {
                    deltas.fold(Fold::of(row));
                    report.rows_replayed += 1;
                }
            }
            Next::End => break,
            Next::Bad if is_last => {
                let offset = frames.offset();
                report.bytes_cut = frames.cut_tail()?;
                let end = Position { segment: number, offset, seq };
                report.bytes_lost += known.saturating_sub(offset);
                return Ok((end, times));
            }
            Next::Bad => return Err(frames.corrupt("bytes that are no row in a full segment")),
        }
    }
    report.bytes_lost += known.saturating_sub(frames.length());
    Ok((Position { segment: number, offset: frames.offset(), seq }, times))
}

pub(super) fn widened(
    times: Option<(Timestamp, Timestamp)>,
    at: Timestamp,
) -> (Timestamp, Timestamp) {
    times.map_or((at, at), |(first, last)| (first.min(at), last.max(at)))
}

/// When the UTC month of `at` is over.
pub(super) fn month_end(at: Timestamp) -> Timestamp {
    Window::utc(Period::Month).span(at).end.unwrap_or(at)
}

/// Opens, and where it is missing makes, the segment that rows are appended to.
pub(super) fn open_live(dir: &Path, first: u64) -> Result<File, Fault> {
    let path = segment::path(dir, first);
    let file = own_file()
        .append(true)
        .create(true)
        .open(&path)
        .map_err(|error| Fault::disk("opening", &path, error))?;
    sync_dir(dir).map_err(|error| Fault::disk("syncing", dir, error))?;
    Ok(file)
}
