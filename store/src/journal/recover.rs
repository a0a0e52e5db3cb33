//! What happens to the journal at start: an unfinished last row is cut off, rows the sums have not
//! seen are added to them, and the newest segment is opened for more.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use domain::ledger::Turn;
use domain::{Began, HoldId, Part, Timestamp, Used, Window, window::Period};

use super::frame::{self, Entry};
use super::segment::{self, Frames, Next, Position, Segment};
use super::{Recent, Recovery, Setting};
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
    pub(super) segments: Vec<Segment>,
    pub(super) report: Recovery,
    /// Attempts that nobody closed.
    pub(super) killed: Vec<Began>,
    pub(super) recent: Vec<Recent>,
}

pub(super) fn recover(
    setting: &Setting,
    keeper: &mut Keeper,
    now: Timestamp,
) -> Result<(Found, Live), Fault> {
    let dir = &setting.dir;
    let mut numbers = segment::list(dir)?;
    let applied = keeper.position();
    let mut sealed = keeper.sealed()?;
    let since = now.plus_seconds(i64::from(setting.lookback_seconds).saturating_neg());
    let mut replay = Replay::new(dir, applied, since, keeper.open_holds()?)?;
    let mut end = applied;
    let mut times = None;
    let last = numbers.last().copied();
    // Older ones were read through before the sums went past them. After one that matters all do:
    // they may close what it opened.
    let stale = |number: &u64| {
        let recent = sealed.get(number).is_some_and(|(_, latest)| *latest >= since);
        !recent && *number < applied.segment && Some(*number) != last
    };
    let mut full = Vec::new();
    for number in numbers.iter().copied().skip_while(stale) {
        if number > applied.segment && number != end.seq {
            let what = "the segment before it is missing or short";
            return Err(Fault::Corrupt { file: segment::path(dir, number), offset: 0, what });
        }
        (end, times) = replay.segment(number, Some(number) == last)?;
        if Some(number) != last {
            full.push(Segment { first: number, times });
        }
    }
    sealed.extend(full.iter().filter_map(|segment| Some((segment.first, segment.times?))));
    if last.is_none_or(|last| last < applied.segment) {
        // The newest segment itself is gone. Its number is not used again.
        replay.report.bytes_lost += applied.offset;
        end = Position { segment: applied.seq, offset: 0, seq: applied.seq };
        times = None;
        numbers.push(end.segment);
    }
    let Replay { deltas, mut report, open, tracked, .. } = replay;
    report.calls_charged = u64::try_from(open.len()).unwrap_or(u64::MAX);
    if end != applied || last.is_none() {
        // What the last process did not live to write down: when they were.
        keeper.take(deltas, end, full)?;
    }
    let segments = numbers
        .iter()
        .map(|first| Segment { first: *first, times: sealed.get(first).copied() })
        .collect();
    let month_end = month_end(times.map_or(now, |(first, _)| first));
    let live = Live { file: open_live(dir, end.segment)?, end, times, month_end };
    let mut killed: Vec<Began> = open.into_values().collect();
    killed.sort_unstable_by_key(|began| began.row.attempt);
    Ok((Found { segments, report, killed, recent: recent(tracked) }, live))
}

/// The journal being read again.
struct Replay<'a> {
    dir: &'a Path,
    applied: Position,
    /// What began earlier counts in no rolling window any more.
    since: Timestamp,
    deltas: Deltas,
    report: Recovery,
    open: HashMap<HoldId, Began>,
    tracked: HashMap<HoldId, Tracked>,
}

/// An attempt that may still count in rolling windows.
struct Tracked {
    at: Timestamp,
    parts: Vec<Part>,
    /// `None` while it is open: then what is held counts.
    used: Option<Used>,
}

impl<'a> Replay<'a> {
    fn new(
        dir: &'a Path,
        applied: Position,
        since: Timestamp,
        open_holds: Vec<Vec<u8>>,
    ) -> Result<Self, Fault> {
        let mut open = HashMap::new();
        for entry in open_holds {
            let Some(Entry::Began(began)) = frame::decode(&entry) else {
                let what = "an open hold cannot be read";
                return Err(Fault::Corrupt { file: dir.to_owned(), offset: 0, what });
            };
            open.insert(began.row.attempt, *began);
        }
        let (deltas, report, tracked) = (Deltas::default(), Recovery::default(), HashMap::new());
        Ok(Self { dir, applied, since, deltas, report, open, tracked })
    }

    /// Reads one segment through: its end, and the times its rows began.
    fn segment(
        &mut self,
        number: u64,
        is_last: bool,
    ) -> Result<(Position, Option<(Timestamp, Timestamp)>), Fault> {
        // The newest one is checked from its beginning: what a power cut left may be anywhere in it.
        let known = if number == self.applied.segment { self.applied.offset } else { 0 };
        let mut frames = Frames::open(self.dir, number, 0)?;
        let mut seq = number;
        let mut times = None;
        loop {
            match frames.next()? {
                Next::Frame(at, payload) => {
                    let Some(entry) = frame::decode(payload) else {
                        return Err(frames.corrupt("an entry cannot be read"));
                    };
                    seq += 1;
                    self.track(&entry);
                    let payload = if matches!(entry, Entry::Began(_)) { payload } else { &[] };
                    let is_new = at >= known && number >= self.applied.segment;
                    let payload = payload.to_vec();
                    let moment = if is_new { self.fold(entry, &payload) } else { moment(&entry) };
                    times = moment.map(|moment| widened(times, moment)).or(times);
                }
                Next::End => break,
                Next::Bad if is_last => {
                    let offset = frames.offset();
                    self.report.bytes_cut = frames.cut_tail()?;
                    let end = Position { segment: number, offset, seq };
                    self.report.bytes_lost += known.saturating_sub(offset);
                    return Ok((end, times));
                }
                Next::Bad => {
                    return Err(frames.corrupt("bytes that are no entry in a full segment"));
                }
            }
        }
        self.report.bytes_lost += known.saturating_sub(frames.length());
        Ok((Position { segment: number, offset: frames.offset(), seq }, times))
    }

    /// Adds an entry that the sums have not seen; tells when it was.
    fn fold(&mut self, entry: Entry, payload: &[u8]) -> Option<Timestamp> {
        let fold = match entry {
            Entry::Row(row) => {
                self.report.rows_replayed += 1;
                Fold::row(&row, &self.close(row.attempt))
            }
            Entry::Began(began) => {
                let fold = Fold::began(&began.row, payload);
                self.open.insert(began.row.attempt, *began);
                fold
            }
            Entry::Released(attempt) => {
                self.open.remove(&attempt);
                Fold::released(attempt)
            }
            Entry::Finished(attempt) => Fold::finished(attempt, &self.close(attempt)),
            Entry::Corrected(corrected) => Fold::corrected(&corrected),
            Entry::Seeded(seeded) => Fold::seeded(seeded),
        };
        let at = fold.at();
        self.deltas.fold(fold);
        at
    }

    fn close(&mut self, attempt: HoldId) -> Vec<Part> {
        self.open.remove(&attempt).map(|began| began.parts).unwrap_or_default()
    }

    fn track(&mut self, entry: &Entry) {
        match entry {
            Entry::Began(began) if began.row.began_at >= self.since => {
                let rolls = |part: &&Part| matches!(part.turn, Turn::Leaves(_));
                let parts: Vec<_> = began.parts.iter().filter(rolls).copied().collect();
                if !parts.is_empty() {
                    let tracked = Tracked { at: began.row.began_at, parts, used: None };
                    self.tracked.insert(began.row.attempt, tracked);
                }
            }
            Entry::Row(row) => {
                if let Some(tracked) = self.tracked.get_mut(&row.attempt) {
                    tracked.used = Some(row.used());
                }
            }
            Entry::Finished(attempt) => {
                if let Some(tracked) = self.tracked.get_mut(attempt) {
                    tracked.used = Some(Used::default());
                }
            }
            Entry::Released(attempt) => {
                self.tracked.remove(attempt);
            }
            Entry::Began(_) | Entry::Corrected(_) | Entry::Seeded(_) => {}
        }
    }
}

/// What still counts in rolling windows, oldest first.
fn recent(tracked: HashMap<HoldId, Tracked>) -> Vec<Recent> {
    let mut recent = Vec::new();
    for Tracked { at, parts, used } in tracked.into_values() {
        recent.extend(parts.iter().map(|part| {
            let amount = used.map_or(part.amount, |used| part.settled(&used));
            Recent { scope: part.scope, limit: part.limit, at, amount }
        }));
    }
    recent.sort_unstable_by_key(|recent| recent.at);
    recent
}

fn moment(entry: &Entry) -> Option<Timestamp> {
    match entry {
        Entry::Row(row) => Some(row.began_at),
        Entry::Began(began) => Some(began.row.began_at),
        Entry::Corrected(corrected) => Some(corrected.correction.at),
        Entry::Released(_) | Entry::Finished(_) | Entry::Seeded(_) => None,
    }
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
