//! The ledger on this machine: `domain`'s state machine in memory, under one lock, opened from what
//! the journal comes to, and kept true by the journal.
//!
//! Three orders make it exact. A hold is in the journal before a provider is called, so that a crash
//! charges it. A row is in the journal before its hold is closed in memory, so that whoever loads a
//! limit afterwards finds it. A limit that is loaded while memory forgets or corrects something is
//! loaded again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::ledger::{Balance, Fit, Loaded, NotHeld, Now, Rates, Room, Short};
use domain::{
    Correction, Hold, HoldId, Ledger, LimitId, Money, Part, Row, Scope, ScopedLimit, Timestamp,
    Unit, Used, Want, Window,
};
use parking_lot::Mutex;

use crate::fault::Fault;
use crate::journal::frame::{Corrected, EntryRef, Frame, Seeded};
use crate::journal::{Journal, Recent};
use crate::sums::Fold;
use crate::sums::keeper::{Known, Question};

/// What is set aside for one attempt. Settle it with the attempt's row, or release it.
#[must_use = "a hold that is dropped stays held: settle or release it"]
#[derive(Debug)]
pub struct Held {
    hold: Hold,
    /// It was written down: a restart would charge it.
    begun: bool,
}

impl Held {
    /// Its name, which is also its row's.
    pub const fn id(&self) -> HoldId {
        self.hold.id()
    }

    /// The most the call can use.
    pub const fn want(&self) -> Want {
        self.hold.want()
    }

    /// The rates, as they stood right after it was admitted.
    pub const fn rates(&self) -> Rates {
        self.hold.rates()
    }

    /// Whether it is held on a limit that counts `unit`.
    pub fn counts(&self, unit: Unit) -> bool {
        self.hold.counts(unit)
    }
}

/// Why nothing was held.
#[derive(Clone, Debug)]
pub enum NotReserved {
    /// It does not fit.
    Short(Box<Short>),
    /// The ledger could not be asked.
    Fault(Fault),
}

impl From<Fault> for NotReserved {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Beyond so many scopes, those that nothing happens on are forgotten.
const SCOPES_MOST: usize = 2_000_000;

/// All balances.
pub(crate) struct Balances {
    ledger: Mutex<Ledger>,
    /// Grows when memory forgets or corrects something: what was loaded before is loaded again.
    generation: AtomicU64,
    recent: Mutex<RecentAmounts>,
}

/// What counted in rolling windows when the last process ended.
struct RecentAmounts {
    amounts: HashMap<(Scope, LimitId), Vec<(Timestamp, i64)>>,
    /// From here on they count nowhere.
    until: Timestamp,
}

impl Balances {
    pub(crate) fn new(recent: Vec<Recent>, until: Timestamp) -> Self {
        let mut amounts: HashMap<_, Vec<_>> = HashMap::new();
        for Recent { scope, limit, at, amount } in recent {
            amounts.entry((scope, limit)).or_default().push((at, amount));
        }
        Self {
            ledger: Mutex::default(),
            generation: AtomicU64::new(0),
            recent: Mutex::new(RecentAmounts { amounts, until }),
        }
    }

    pub(crate) async fn reserve(
        &self,
        journal: &Journal,
        id: HoldId,
        limits: &[ScopedLimit],
        (want, fit): (Want, Fit),
        now: Now,
    ) -> Result<Held, NotReserved> {
        journal.check()?;
        loop {
            let answer = self.ledger.lock().reserve(id, limits, want, fit, now);
            match answer {
                Ok(hold) => return Ok(Held { hold, begun: false }),
                Err(NotHeld::Short(short)) => return Err(NotReserved::Short(short)),
                Err(NotHeld::Unopened) => self.open(journal, limits, now).await?,
            }
        }
    }

    /// Opens those of `limits` that are not open yet.
    async fn open(&self, journal: &Journal, limits: &[ScopedLimit], now: Now) -> Result<(), Fault> {
        loop {
            let missing = {
                let mut ledger = self.ledger.lock();
                let scopes = ledger.len();
                if scopes > SCOPES_MOST {
                    ledger.forget_idle(now);
                    // Where all of them are busy, nobody has to load anything again.
                    if ledger.len() < scopes {
                        self.generation.fetch_add(1, Ordering::AcqRel);
                    }
                }
                ledger.missing(limits)
            };
            if missing.is_empty() {
                return Ok(());
            }
            let generation = self.generation.load(Ordering::Acquire);
            let durable: Vec<_> =
                missing.iter().filter(|scoped| scoped.limit.is_durable()).copied().collect();
            let questions = durable.iter().map(|scoped| question(scoped, now)).collect();
            let known =
                if durable.is_empty() { Vec::new() } else { journal.balances(questions).await? };
            let mut ledger = self.ledger.lock();
            if self.generation.load(Ordering::Acquire) != generation {
                continue;
            }
            let known: HashMap<_, _> =
                durable.iter().map(|scoped| (scoped.scope, scoped.limit.id)).zip(known).collect();
            for scoped in ledger.missing(&missing) {
                let loaded = match known.get(&(scoped.scope, scoped.limit.id)) {
                    Some(known) => turn(journal, &scoped, known, now)?,
                    None => Loaded { turn: None, recent: self.recent(&scoped, now) },
                };
                ledger.open(&scoped, &loaded, now);
            }
        }
    }

    /// What counted in a rolling window when the last process ended: how long ago, and how much.
    fn recent(&self, scoped: &ScopedLimit, now: Now) -> Vec<(u64, i64)> {
        let mut recent = self.recent.lock();
        if now.wall >= recent.until {
            recent.amounts.clear();
        }
        let amounts = recent.amounts.remove(&(scoped.scope, scoped.limit.id)).unwrap_or_default();
        amounts.into_iter().map(|(at, amount)| (now.wall.since(at), amount)).collect()
    }

    /// Writes down what is about to be called; waits for that where it must survive a crash.
    pub(crate) async fn begin(
        &self,
        journal: &Journal,
        held: &mut Held,
        row: &Row,
    ) -> Result<(), Fault> {
        let written = {
            let frame = Frame::of(EntryRef::Began(row, held.hold.parts()))?;
            let fold = Fold::began(row, frame.payload());
            if held.hold.is_durable() {
                Some(journal.push_through(frame.bytes(), fold)?)
            } else {
                journal.push(frame.bytes(), fold)?;
                None
            }
        };
        // Before the wait: who stops waiting, or is told that the disk is full, has to close it.
        held.begun = true;
        match written {
            Some(written) => written.await.unwrap_or(Err(Fault::Closed)),
            None => Ok(()),
        }
    }

    /// Records `row`, and closes `held` with what it says.
    pub(crate) fn settle(&self, journal: &Journal, held: Held, row: &Row) -> Result<(), Fault> {
        let parts = held.hold.parts();
        let began = if held.begun || parts.is_empty() {
            Ok(())
        } else {
            // Only what began says where a row counts, when the journal is read again.
            push_began(journal, row, parts)
        };
        let written = began.and_then(|()| push_row(journal, row, parts));
        if written.is_err() && held.begun {
            self.charge(held);
        } else {
            self.ledger.lock().settle(held.hold, row.used());
        }
        written
    }

    /// Closes `held` as the next start will, where nothing better can be written any more.
    fn charge(&self, held: Held) {
        let Want { money, tokens, .. } = held.hold.want();
        self.ledger.lock().settle(held.hold, Used { money, tokens });
    }

    /// Closes `held` with nothing used: nothing was sent.
    pub(crate) fn release(&self, journal: &Journal, held: Held) {
        if held.begun && push_released(journal, held.hold.id()).is_err() {
            self.charge(held);
        } else {
            self.ledger.lock().release(held.hold);
        }
    }

    /// Closes `held` for a call that was made, cost nothing, and has no row.
    pub(crate) fn finish(&self, journal: &Journal, held: Held) {
        if held.begun {
            let attempt = held.hold.id();
            let fold = Fold::finished(attempt, held.hold.parts());
            let frame = Frame::of(EntryRef::Finished(attempt));
            if frame.and_then(|frame| journal.push(frame.bytes(), fold)).is_err() {
                return self.charge(held);
            }
        }
        self.ledger.lock().settle(held.hold, Used::default());
    }

    /// Records the row of an attempt that came to nothing, and passes what is held on to the next.
    pub(crate) fn pass_on(
        &self,
        journal: &Journal,
        held: Held,
        row: &Row,
        id: HoldId,
    ) -> Result<Held, Fault> {
        // The limits count the request once, with the attempt that comes last.
        let written = if held.begun {
            push_passed_on(journal, held.hold.id(), row)
        } else {
            push_row(journal, row, &[])
        };
        if let Err(fault) = written {
            if held.begun {
                self.charge(held);
            } else {
                self.ledger.lock().release(held.hold);
            }
            return Err(fault);
        }
        Ok(Held { hold: held.hold.renamed(id), begun: false })
    }

    /// How each of `limits` stands.
    pub(crate) async fn balances(
        &self,
        journal: &Journal,
        limits: &[ScopedLimit],
        now: Now,
    ) -> Result<Vec<Balance>, Fault> {
        loop {
            self.open(journal, limits, now).await?;
            let mut ledger = self.ledger.lock();
            let all: Option<Vec<_>> =
                limits.iter().map(|scoped| ledger.balance(scoped, now)).collect();
            if let Some(all) = all {
                return Ok(all);
            }
        }
    }

    /// What a call would be told at `now`, without holding anything.
    pub(crate) async fn probe(
        &self,
        journal: &Journal,
        limits: &[ScopedLimit],
        (want, fit): (Want, Fit),
        now: Now,
    ) -> Result<Room, NotReserved> {
        loop {
            self.open(journal, limits, now).await?;
            match self.ledger.lock().probe(limits, want, fit, now) {
                Ok(room) => return Ok(room),
                Err(NotHeld::Short(short)) => return Err(NotReserved::Short(short)),
                Err(NotHeld::Unopened) => {}
            }
        }
    }

    /// Records a correction of `row`, which was held in `parts`.
    pub(crate) fn correct(
        &self,
        journal: &Journal,
        correction: Correction,
        row: Row,
        parts: Vec<Part>,
    ) -> Result<(), Fault> {
        let too_much = Used { money: correction.money, tokens: correction.tokens };
        let corrected = Corrected { correction, row, parts };
        let frame = Frame::of(EntryRef::Corrected(&corrected))?;
        let mut ledger = self.ledger.lock();
        // Under the lock, and told to whoever is loading a limit: it counts exactly once.
        journal.push(frame.bytes(), Fold::corrected(&corrected))?;
        self.generation.fetch_add(1, Ordering::AcqRel);
        ledger.refund(&corrected.parts, too_much);
        Ok(())
    }
}

/// Records a row that counts in `parts`.
pub(crate) fn push_row(journal: &Journal, row: &Row, parts: &[Part]) -> Result<(), Fault> {
    let frame = Frame::of(EntryRef::Row(row))?;
    journal.push(frame.bytes(), Fold::row(row, parts))
}

fn push_began(journal: &Journal, row: &Row, parts: &[Part]) -> Result<(), Fault> {
    let frame = Frame::of(EntryRef::Began(row, parts))?;
    journal.push(frame.bytes(), Fold::began(row, frame.payload()))
}

/// Records a row that counts nowhere, and that nothing is held for it any more.
fn push_passed_on(journal: &Journal, attempt: HoldId, row: &Row) -> Result<(), Fault> {
    let released = Frame::of(EntryRef::Released(attempt))?;
    let frame = Frame::of(EntryRef::Row(row))?;
    let folds = [Fold::released(attempt), Fold::row(row, &[])];
    journal.push_both([released.bytes(), frame.bytes()], folds)
}

fn push_released(journal: &Journal, attempt: HoldId) -> Result<(), Fault> {
    let frame = Frame::of(EntryRef::Released(attempt))?;
    journal.push(frame.bytes(), Fold::released(attempt))
}

/// A limit on a key's money that starts with the key's life, or with a day of the UTC calendar,
/// counts what the key spent in that turn before there was such a limit.
fn question(scoped: &ScopedLimit, now: Now) -> Question {
    let window = scoped.limit.window;
    let before = match (scoped.scope, scoped.limit.unit) {
        (Scope::Key(key), Unit::Money) if counts_the_past(window) => {
            let span = window.span(now.wall);
            Some((key, span.start, span.end))
        }
        _ => None,
    };
    Question { scope: scoped.scope, limit: scoped.limit.id, before }
}

fn counts_the_past(window: Window) -> bool {
    match window {
        Window::Lifetime => true,
        Window::Calendar { zone, .. } => zone == domain::Zone::UTC,
        Window::Anchored { .. } | Window::Rolling { .. } => false,
    }
}

fn turn(journal: &Journal, scoped: &ScopedLimit, known: &Known, now: Now) -> Result<Loaded, Fault> {
    let recent = Vec::new();
    // Even of nothing: what calls cost that are in flight, and were admitted before there was this
    // limit, is not what was spent before it.
    let Some(amount) = known.before.map(Money::nanos) else {
        return Ok(Loaded { turn: known.turn, recent });
    };
    let start = scoped.limit.window.span(now.wall).start;
    let (scope, limit) = (scoped.scope, scoped.limit.id);
    let seeded = Seeded { scope, limit, turn: start.micros(), amount };
    let frame = Frame::of(EntryRef::Seeded(seeded))?;
    journal.push(frame.bytes(), Fold::seeded(seeded))?;
    Ok(Loaded { turn: Some((start, amount)), recent })
}
