//! How one limit stands: what counts against it now, and what will leave it when.
//!
//! A rolling window keeps when each amount leaves it. Requests leave exactly a window after they
//! were admitted; where that would be too many moments to remember, and for tokens, a moment is
//! rounded up to a six-hundredth of the window. So never more than the limit is admitted in any
//! window, wherever it begins; a bucket that refills, or two weighted counters, admit nearly twice
//! as much.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::hold::{Part, Turn, Used};
use crate::limit::{Enforcement, Limit, Unit};
use crate::time::{MICROS_PER_SECOND, Timestamp};
use crate::window::{Span, Window};

/// The moment of a decision, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For windows of the calendar.
    pub wall: Timestamp,
    /// Microseconds of a clock that never goes back, for rolling windows.
    pub monotonic: u64,
}

impl Now {
    fn steady(self) -> i64 {
        i64::try_from(self.monotonic).unwrap_or(i64::MAX)
    }
}

/// What was counted before the ledger was first asked about a limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The newest turn that something counted in, by its beginning, and how much.
    pub turn: Option<(Timestamp, i64)>,
    /// For rolling windows: how many microseconds ago, oldest first, and how much.
    pub recent: Vec<(u64, i64)>,
}

/// Up to so many requests a rolling window remembers each one's moment.
const EXACT_MOST: i64 = 10_000;
/// Beyond that, and for tokens, so many moments per window.
const SLOTS: i64 = 600;

/// Numbers of one limit.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    count: Count,
    /// What calls usually use, where the limit asks for it.
    usual: Option<Box<Usual>>,
}

#[derive(Clone, Debug)]
enum Count {
    /// In turns that begin at fixed moments.
    Turn { span: Span, spent: i64, held: i64 },
    /// In the last so many seconds.
    Rolling(Rolling),
    /// Now.
    Gauge { held: i64 },
}

/// How one limit stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The window's turn the numbers are about.
    pub span: Span,
    /// Settled in this turn: nano-dollars, tokens or requests.
    pub spent: i64,
    /// Held by calls that were admitted in this turn and are still open.
    pub held: i64,
}

impl Balance {
    /// What counts against the limit.
    pub const fn taken(&self) -> i64 {
        self.spent.saturating_add(self.held)
    }
}

impl Tally {
    pub(super) fn new(limit: &Limit, loaded: &Loaded, now: Now) -> Self {
        let count = match (limit.unit, limit.window) {
            (Unit::InFlight, _) => Count::Gauge { held: 0 },
            (_, Window::Rolling { .. }) => Count::Rolling(Rolling::new(limit, &loaded.recent, now)),
            (_, window) => {
                let span = window.span(now.wall);
                match loaded.turn {
                    // A clock that went back reopens no window.
                    Some((start, spent)) if start >= span.start => {
                        Count::Turn { span: window.span(start), spent: spent.max(0), held: 0 }
                    }
                    _ => Count::Turn { span, spent: 0, held: 0 },
                }
            }
        };
        Self { count, usual: expects(limit).then(Box::default) }
    }

    /// Brings it to `now`: a turn that is over makes room for the next.
    pub(super) fn advance(&mut self, limit: &Limit, now: Now) {
        match &mut self.count {
            Count::Turn { span, spent, held } => {
                if span.end.is_some_and(|end| now.wall >= end) {
                    *span = limit.window.span(now.wall);
                    (*spent, *held) = (0, 0);
                }
            }
            Count::Rolling(rolling) => rolling.advance(now.steady()),
            Count::Gauge { .. } => {}
        }
        if self.usual.is_none() && expects(limit) {
            self.usual = Some(Box::default());
        }
    }

    pub(super) fn balance(&self, limit: &Limit, now: Now) -> Balance {
        match &self.count {
            Count::Turn { span, spent, held } => {
                Balance { span: *span, spent: *spent, held: *held }
            }
            Count::Rolling(rolling) => {
                let held = rolling.held;
                let spent = rolling.sum.saturating_sub(held);
                Balance { span: limit.window.span(now.wall), spent, held }
            }
            Count::Gauge { held } => {
                Balance { span: Window::Lifetime.span(now.wall), spent: 0, held: *held }
            }
        }
    }

    /// How much of `wanted` is set aside.
    pub(super) fn amount(&self, limit: &Limit, wanted: i64) -> i64 {
        let wanted = wanted.max(0);
        match &self.usual {
            Some(usual) if expects(limit) => usual.of(wanted),
            _ => wanted,
        }
    }

    /// Sets `amount` aside; tells where, and how much of it: a sum that reached the largest number
    /// takes no more, so that closing takes back what was added.
    pub(super) fn hold(&mut self, limit: &Limit, amount: i64, now: Now) -> (Turn, i64) {
        match &mut self.count {
            Count::Turn { span, held, .. } => (Turn::Began(span.start.micros()), add(held, amount)),
            Count::Rolling(rolling) => {
                let at = leaves(limit, now.steady());
                (Turn::Leaves(at), rolling.add(at, amount, limit.unit != Unit::Requests))
            }
            Count::Gauge { held } => (Turn::Began(0), add(held, amount)),
        }
    }

    /// Closes what `part` holds; `None` where the call was never made.
    pub(super) fn close(&mut self, part: &Part, used: Option<&Used>) {
        let counted = used.map_or(0, |used| part.settled(used)).max(0);
        match (&mut self.count, part.turn) {
            // It counts in the turn it was admitted in. A turn that is over is nobody's business.
            (Count::Turn { span, spent, held }, Turn::Began(start))
                if span.start.micros() == start =>
            {
                *held = held.saturating_sub(part.amount);
                *spent = spent.saturating_add(counted);
            }
            (Count::Rolling(rolling), Turn::Leaves(at)) => rolling.close(at, part, counted),
            (Count::Gauge { held }, _) => *held = held.saturating_sub(part.amount),
            (Count::Turn { .. } | Count::Rolling(_), _) => {}
        }
        // A call that came to nothing says nothing about those that do not.
        if let (Some(usual), Some(_), 1..) = (&mut self.usual, used, counted) {
            usual.learn(counted);
        }
    }

    /// Takes `amount` back from what was settled in a turn, if that is still open.
    pub(super) fn refund(&mut self, start: i64, amount: i64) {
        if let Count::Turn { span, spent, .. } = &mut self.count
            && span.start.micros() == start
        {
            *spent = spent.saturating_sub(amount).max(0);
        }
    }

    /// Microseconds until `excess` less is counted, if nothing else happens; `None` where waiting
    /// does not help, or nobody knows how long.
    pub(super) fn wait(&self, excess: i64, now: Now) -> Option<u64> {
        match &self.count {
            Count::Turn { span, .. } => span.end.map(|end| end.since(now.wall)),
            Count::Rolling(rolling) => rolling.wait(excess, now.steady()),
            Count::Gauge { .. } => None,
        }
    }

    /// Whether nothing would be lost by forgetting it: it can be loaded again as it is.
    pub(super) fn is_idle(&self, now: Now) -> bool {
        match &self.count {
            Count::Turn { held, .. } | Count::Gauge { held } => *held == 0,
            Count::Rolling(rolling) => rolling.is_over(now.steady()),
        }
    }
}

/// Amounts by the moment they leave. The newest lies apart, with the moment the oldest leaves: most
/// decisions need no more than these, and a queue elsewhere in memory is slow to look at.
#[derive(Clone, Debug)]
struct Rolling {
    newest: Option<Leaving>,
    /// All others, oldest first.
    earlier: VecDeque<Leaving>,
    /// When the first of them leaves.
    oldest: i64,
    sum: i64,
    /// Of the sum, what is held by calls that are still open.
    held: i64,
}

#[derive(Clone, Copy, Debug)]
struct Leaving {
    at: i64,
    amount: i64,
    /// Of the amount, what is held.
    held: i64,
}

impl Leaving {
    /// Adds what leaves at the same moment.
    fn join(&mut self, other: Self) {
        self.amount = self.amount.saturating_add(other.amount);
        self.held = self.held.saturating_add(other.held);
    }
}

impl Rolling {
    fn new(limit: &Limit, recent: &[(u64, i64)], now: Now) -> Self {
        let (newest, earlier) = (None, VecDeque::new());
        let mut rolling = Self { newest, earlier, oldest: i64::MAX, sum: 0, held: 0 };
        for (ago, amount) in recent {
            let ago = i64::try_from(*ago).unwrap_or(i64::MAX);
            let at = leaves(limit, now.steady().saturating_sub(ago));
            rolling.add(at, (*amount).max(0), false);
        }
        rolling.advance(now.steady());
        rolling
    }

    fn advance(&mut self, now: i64) {
        if self.oldest <= now {
            while let Some(first) = self.earlier.front().copied().filter(|first| first.at <= now) {
                self.forget(first);
                self.earlier.pop_front();
            }
            self.look_at_the_oldest();
        }
        if let Some(newest) = self.newest.filter(|newest| newest.at <= now) {
            self.forget(newest);
            self.newest = None;
        }
    }

    fn forget(&mut self, leaving: Leaving) {
        self.sum = self.sum.saturating_sub(leaving.amount);
        self.held = self.held.saturating_sub(leaving.held);
    }

    fn look_at_the_oldest(&mut self) {
        self.oldest = self.earlier.front().map_or(i64::MAX, |first| first.at);
    }

    /// Counts up to `amount` until `at`; tells how much of it.
    fn add(&mut self, at: i64, amount: i64, is_held: bool) -> i64 {
        let amount = add(&mut self.sum, amount);
        let held = if is_held { amount } else { 0 };
        self.held = self.held.saturating_add(held);
        let new = Leaving { at, amount, held };
        match &mut self.newest {
            Some(newest) if newest.at == at => newest.join(new),
            Some(newest) if newest.at > at => self.add_earlier(new),
            newest => {
                if let Some(before) = newest.replace(new) {
                    self.oldest = self.oldest.min(before.at);
                    self.earlier.push_back(before);
                }
            }
        }
        amount
    }

    /// Where a limit's amount was lowered to one whose requests leave at their exact moments, those
    /// before leave up to a slot later.
    fn add_earlier(&mut self, new: Leaving) {
        let later = self.earlier.iter().rev().take_while(|leaving| leaving.at > new.at).count();
        let place = self.earlier.len().saturating_sub(later);
        let before = place.checked_sub(1).and_then(|before| self.earlier.get_mut(before));
        match before.filter(|before| before.at == new.at) {
            Some(same) => same.join(new),
            None => self.earlier.insert(place, new),
        }
        self.look_at_the_oldest();
    }

    fn close(&mut self, at: i64, part: &Part, counted: i64) {
        let is_request = part.unit == Unit::Requests;
        if is_request && counted == part.amount {
            return;
        }
        let is_newest = self.newest.is_some_and(|newest| newest.at == at);
        let place = if is_newest { None } else { self.place(at) };
        let leaving = match place {
            Some(place) => self.earlier.get_mut(place),
            None => self.newest.as_mut().filter(|_| is_newest),
        };
        // What has left the window is nobody's business.
        let Some(leaving) = leaving else { return };
        let held = if is_request { 0 } else { part.amount };
        self.sum = self.sum.saturating_sub(part.amount);
        self.held = self.held.saturating_sub(held);
        leaving.amount = leaving.amount.saturating_sub(part.amount);
        leaving.held = leaving.held.saturating_sub(held);
        leaving.amount = leaving.amount.saturating_add(add(&mut self.sum, counted));
        // No request of this moment counts any more: were it kept, requests that are never sent
        // would be remembered without end.
        if is_request && leaving.amount == 0 {
            match place {
                Some(place) => drop(self.earlier.remove(place)),
                None => self.newest = self.earlier.pop_back(),
            }
            self.look_at_the_oldest();
        }
    }

    /// Where the amounts are that leave at `at`. Most calls are short: it is looked for from the
    /// newest back, in steps that double, and then between the last two steps.
    fn place(&self, at: i64) -> Option<usize> {
        let mut end = self.earlier.len();
        let mut step: usize = 1;
        loop {
            let start = end.saturating_sub(step);
            let first = self.earlier.get(start)?;
            if first.at <= at || start == 0 {
                let (mut low, mut high) = (start, end);
                while low < high {
                    let middle = low.midpoint(high);
                    match self.earlier.get(middle)?.at.cmp(&at) {
                        Ordering::Equal => return Some(middle),
                        Ordering::Less => low = middle.saturating_add(1),
                        Ordering::Greater => high = middle,
                    }
                }
                return None;
            }
            end = start;
            step = step.saturating_mul(2);
        }
    }

    fn wait(&self, excess: i64, now: i64) -> Option<u64> {
        let mut freed: i64 = 0;
        for leaving in self.earlier.iter().chain(&self.newest) {
            freed = freed.saturating_add(leaving.amount);
            if freed >= excess {
                return u64::try_from(leaving.at.saturating_sub(now)).ok();
            }
        }
        None
    }

    fn is_over(&self, now: i64) -> bool {
        self.newest.is_none_or(|last| last.at <= now)
    }
}

/// Adds what fits of `amount` to a sum that is never negative; tells how much that is.
fn add(sum: &mut i64, amount: i64) -> i64 {
    let amount = amount.min(i64::MAX.saturating_sub(*sum));
    *sum = sum.saturating_add(amount);
    amount
}

/// Whether what calls usually use is held. A call in flight is always one.
fn expects(limit: &Limit) -> bool {
    limit.enforcement == Enforcement::Expected && limit.unit != Unit::InFlight
}

/// When what is admitted at `now` leaves the window again.
fn leaves(limit: &Limit, now: i64) -> i64 {
    let Window::Rolling { seconds } = limit.window else { return now };
    let width = i64::from(seconds).saturating_mul(MICROS_PER_SECOND);
    let exact = limit.unit == Unit::Requests && limit.amount <= EXACT_MOST;
    let step = if exact { 1 } else { width.div_euclid(SLOTS).max(1) };
    let slot = now.saturating_add(step).saturating_sub(1).div_euclid(step);
    slot.saturating_mul(step).saturating_add(width)
}

/// What calls under a limit used of late.
#[derive(Clone, Debug, Default)]
struct Usual {
    latest: VecDeque<i64>,
}

impl Usual {
    /// Calls that are remembered.
    const MOST: usize = 64;
    /// Before so many are known, the whole of what is wanted is held.
    const LEAST: usize = 20;

    fn learn(&mut self, used: i64) {
        if self.latest.len() == Self::MOST {
            self.latest.pop_front();
        }
        self.latest.push_back(used);
    }

    /// What 95 of 100 calls do not exceed, and never more than is wanted.
    fn of(&self, wanted: i64) -> i64 {
        if self.latest.len() < Self::LEAST {
            return wanted;
        }
        let mut sorted: Vec<i64> = self.latest.iter().copied().collect();
        sorted.sort_unstable();
        let place = sorted.len().saturating_mul(95).div_ceil(100).saturating_sub(1);
        sorted.get(place).copied().unwrap_or(wanted).min(wanted)
    }
}
