//! The journal's thread: takes what has gathered, writes it at once, adds it to the sums.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use domain::Timestamp;
use parking_lot::MutexGuard;

use super::recover::{Live, month_end, open_live, widened};
use super::segment::{Position, Segment};
use super::{BROKEN, DiskAct, Durability, FULL, GOOD, Order, Queue, Setting, Shared};
use crate::fault::{Fault, is_full};
use crate::sums::keeper::{Reply, Work};
use crate::sums::{Deltas, Fold};

/// How long rows may gather before they are written.
const LINGER: Duration = Duration::from_millis(1);
/// How long those who wait for the disk wait for others, where there are many.
const COMPANY: Duration = Duration::from_micros(150);
/// So many at once are many.
const CROWD: usize = 4;
/// This many bytes are written without waiting for more.
const PLENTY: usize = 256 << 10;
/// How long to wait before a full disk is tried again.
const FULL_PAUSE: Duration = Duration::from_millis(100);
/// How long sums may wait for their database while nothing else happens.
const SUMS_PAUSE: Duration = Duration::from_secs(1);
/// While rows keep coming, so many entries or writes are a second at most.
const SUMS_ENTRIES: u64 = 40_000;
const SUMS_WRITES: u32 = 800;

pub(super) struct Writer {
    shared: Arc<Shared>,
    setting: Setting,
    live: Live,
    hand: Hand,
    deltas: Deltas,
    sealed: Vec<Segment>,
    sums: mpsc::Sender<Work>,
    sums_busy: Arc<AtomicBool>,
    writes: u32,
    /// Rows came at the last turn.
    warm: bool,
    /// Many waited for the last write.
    crowd: bool,
}

/// A batch on its way to the disk.
#[derive(Default)]
struct Hand {
    bytes: Vec<u8>,
    written: usize,
    folds: Vec<Fold>,
    waiters: Vec<Reply<()>>,
}

impl Hand {
    /// Takes what has gathered, and leaves its own empty room for more.
    fn pick_up(&mut self, queue: &mut Queue) {
        mem::swap(&mut queue.bytes, &mut self.bytes);
        mem::swap(&mut queue.folds, &mut self.folds);
        self.waiters.append(&mut queue.waiters);
        queue.in_hand = self.bytes.len();
    }
}

/// Waits for more, at most so long; who is in a hurry cuts it short.
fn linger(shared: &Shared, queue: &mut MutexGuard<'_, Queue>, longest: Duration) {
    queue.lingers = true;
    shared.wake.wait_for(queue, longest);
    queue.lingers = false;
}

/// How trying to write ended.
enum Tried {
    Written,
    Full,
    Broken(String),
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        setting: Setting,
        live: Live,
        sums: mpsc::Sender<Work>,
        sums_busy: Arc<AtomicBool>,
    ) -> Self {
        let hand = Hand::default();
        let deltas = Deltas::default();
        let sealed = Vec::new();
        Self {
            shared,
            setting,
            live,
            hand,
            deltas,
            sealed,
            sums,
            sums_busy,
            writes: 0,
            warm: false,
            crowd: false,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let retry = !self.hand.bytes.is_empty();
            let orders = self.gather(retry);
            let mut fault = self.write();
            if retry && fault.is_none() {
                // There is room again. Orders are about what was given meanwhile, too.
                self.hand.pick_up(&mut self.shared.queue.lock());
                fault = self.write();
            }
            let mut close = false;
            for order in orders {
                close |= matches!(order, Order::Close);
                self.obey(order, fault.as_ref());
            }
            if close {
                return;
            }
            self.writes += 1;
            let due = self.deltas.entries() >= SUMS_ENTRIES || self.writes >= SUMS_WRITES;
            if due && !self.sums_busy.load(Ordering::Acquire) {
                self.hand_over();
            }
        }
    }

    /// Waits until there is something to do and takes it.
    fn gather(&mut self, retry: bool) -> Vec<Order> {
        let shared = Arc::clone(&self.shared);
        let mut queue = shared.queue.lock();
        let idle = |queue: &Queue| queue.bytes.is_empty() && queue.orders.is_empty();
        let mut lingered = retry;
        if retry && queue.orders.is_empty() {
            linger(&shared, &mut queue, FULL_PAUSE);
        } else if idle(&queue) {
            // Where rows came a moment ago more are likely, and need not wake anybody.
            if mem::take(&mut self.warm) {
                linger(&shared, &mut queue, LINGER);
                lingered = true;
            }
            if idle(&queue) {
                queue.asleep = true;
                if self.deltas.entries() == 0 {
                    shared.wake.wait(&mut queue);
                } else if shared.wake.wait_for(&mut queue, SUMS_PAUSE).timed_out() {
                    self.writes = SUMS_WRITES;
                }
                queue.asleep = false;
                lingered = false;
            }
        }
        let few = !queue.bytes.is_empty() && queue.bytes.len() < PLENTY;
        // Whoever waits for the disk does not wait for company, unless there is a crowd of them: then a
        // moment's wait is a write, and waking two threads, saved for many.
        if !lingered && few && queue.orders.is_empty() {
            if queue.waiters.is_empty() {
                linger(&shared, &mut queue, LINGER);
            } else if self.crowd {
                shared.wake.wait_for(&mut queue, COMPANY);
            }
        }
        self.crowd = queue.waiters.len() >= CROWD;
        self.warm = !queue.bytes.is_empty();
        if !retry {
            self.hand.pick_up(&mut queue);
        }
        mem::take(&mut queue.orders)
    }

    /// Writes the batch in hand, or says why not.
    fn write(&mut self) -> Option<Fault> {
        if self.shared.state.load(Ordering::Acquire) == BROKEN {
            self.disappoint(&self.shared.why_broken());
            return Some(self.shared.why_broken());
        }
        if self.hand.bytes.is_empty() {
            return None;
        }
        match self.try_write() {
            Tried::Written => {
                self.shared.state.store(GOOD, Ordering::Release);
                for waiter in self.hand.waiters.drain(..) {
                    let _ = waiter.send(Ok(()));
                }
                for fold in self.hand.folds.drain(..) {
                    self.live.end.seq += 1;
                    if let Some(at) = fold.at() {
                        self.live.times = Some(widened(self.live.times, at));
                    }
                    self.deltas.fold(fold);
                }
                self.hand.bytes.clear();
                self.hand.bytes.shrink_to(4 * PLENTY);
                self.hand.folds.shrink_to(PLENTY / 64);
                self.hand.written = 0;
                self.shared.queue.lock().in_hand = 0;
                None
            }
            Tried::Full => {
                self.shared.state.store(FULL, Ordering::Release);
                self.disappoint(&Fault::LedgerFull);
                Some(Fault::LedgerFull)
            }
            Tried::Broken(why) => {
                *self.shared.broken.lock() = Some(why.into());
                self.shared.state.store(BROKEN, Ordering::Release);
                self.disappoint(&self.shared.why_broken());
                Some(self.shared.why_broken())
            }
        }
    }

    /// Nobody waits for a disk that fails, neither who gave what is in hand nor who came since: what
    /// they gave is written when there is room, together with what they said then.
    fn disappoint(&mut self, fault: &Fault) {
        let since = mem::take(&mut self.shared.queue.lock().waiters);
        for waiter in self.hand.waiters.drain(..).chain(since) {
            let _ = waiter.send(Err(fault.clone()));
        }
    }

    fn try_write(&mut self) -> Tried {
        let latest = self.hand.folds.iter().filter_map(Fold::at).max();
        let month_over = latest.is_some_and(|latest| latest >= self.live.month_end);
        let started = self.hand.written > 0;
        let full = self.live.end.offset >= self.setting.segment_bytes;
        if !started && (full || month_over) && self.live.end.offset > 0 {
            match self.roll(latest) {
                Tried::Written => {}
                failed => return failed,
            }
        }
        if let Err(error) = self.append() {
            return if is_full(&error) {
                Tried::Full
            } else {
                Tried::Broken(format!("writing a segment failed: {error}"))
            };
        }
        match self.setting.durability {
            Durability::Process => Tried::Written,
            Durability::Power => self.sync(),
        }
    }

    /// Writes the rest of the batch, and remembers how far it came.
    fn append(&mut self) -> io::Result<()> {
        while self.hand.written < self.hand.bytes.len() {
            let allowed = self.probe(DiskAct::Write)?;
            let rest = &self.hand.bytes[self.hand.written..];
            match (&self.live.file).write(&rest[..rest.len().min(allowed)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    self.hand.written += bytes;
                    self.live.end.offset += u64::try_from(bytes).unwrap_or(0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// After a sync that failed nobody knows what the disk has, and asking again proves nothing.
    fn sync(&self) -> Tried {
        match self.probe(DiskAct::Sync).and_then(|_| self.live.file.sync_data()) {
            Ok(()) => Tried::Written,
            Err(error) => Tried::Broken(format!("syncing a segment failed: {error}")),
        }
    }

    fn probe(&self, act: DiskAct) -> io::Result<usize> {
        self.setting.probe.as_ref().map_or(Ok(usize::MAX), |probe| probe(act))
    }

    /// Closes the segment and begins the next.
    fn roll(&mut self, latest: Option<Timestamp>) -> Tried {
        match self.sync() {
            Tried::Written => {}
            failed => return failed,
        }
        let first = self.live.end.seq;
        let file: File = match open_live(&self.setting.dir, first) {
            Ok(file) => file,
            Err(Fault::Disk { source, .. }) if is_full(&source) => return Tried::Full,
            Err(fault) => return Tried::Broken(fault.to_string()),
        };
        let old = Segment { first: self.live.end.segment, times: self.live.times };
        let mut segments = self.shared.segments.lock();
        if let Some(last) = segments.last_mut() {
            *last = old;
        }
        segments.push(Segment { first, times: None });
        self.sealed.push(old);
        self.live = Live {
            file,
            end: Position { segment: first, offset: 0, seq: first },
            times: None,
            month_end: latest.map_or(self.live.month_end, month_end),
        };
        Tried::Written
    }

    fn hand_over(&mut self) {
        self.writes = 0;
        // Sums may reach to the end of a batch, never into one that is half on the disk.
        if self.deltas.entries() == 0 || self.hand.written > 0 {
            return;
        }
        self.sums_busy.store(true, Ordering::Release);
        let deltas = mem::take(&mut self.deltas);
        let sealed = mem::take(&mut self.sealed);
        // The other thread ends after this one.
        let _ = self.sums.send(Work::Deltas(Box::new(deltas), self.live.end, sealed));
    }

    fn obey(&mut self, order: Order, fault: Option<&Fault>) {
        let failed = fault.cloned();
        match (order, failed) {
            (Order::Drain(reply), failed) => {
                let _ = reply.send(failed.map_or(Ok(()), Err));
            }
            (Order::Flush(reply), None) => {
                self.hand_over();
                let _ = self.sums.send(Work::Flush(reply));
            }
            (Order::Spent(keys, reply), None) => {
                self.hand_over();
                let _ = self.sums.send(Work::Spent(keys, reply));
            }
            (Order::Balances(questions, reply), None) => {
                self.hand_over();
                let _ = self.sums.send(Work::Balances(questions, reply));
            }
            (Order::Balances(_, reply), Some(fault)) => {
                let _ = reply.send(Err(fault));
            }
            (Order::Flush(reply), Some(fault)) => {
                let _ = reply.send(Err(fault));
            }
            (Order::Spent(_, reply), Some(fault)) => {
                let _ = reply.send(Err(fault));
            }
            (Order::Close, _) => {
                self.hand_over();
                let _ = self.sums.send(Work::Close);
            }
        }
    }
}
