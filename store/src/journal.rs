//! The ledger's journal: rows are appended to segment files by one thread, many at a time. Giving
//! it a row is a copy into memory under a short lock; no system call is made for a single row.

pub(crate) mod frame;
mod recover;
pub(crate) mod search;
pub(crate) mod segment;
mod writer;

use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use domain::{Began, LimitId, Money, Scope, Timestamp};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::fault::Fault;
use crate::sums::Fold;
use crate::sums::keeper::{Keeper, Known, Question, Reply, Spending};

use recover::Found;
use segment::Segment;
use writer::Writer;

/// When a row counts as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When the operating system has it: it survives the end of the process, however it ends.
    #[default]
    Process,
    /// When the disk has it: it survives a power cut.
    Power,
}

/// Whether the ledger can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Good,
    /// The disk is full; it can again as soon as there is room.
    Full,
    /// It cannot, and will not before a restart.
    Broken(Arc<str>),
}

/// What the journal is about to do to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskAct {
    /// Write rows, or the rest of them.
    Write,
    /// Make what was written survive a power cut.
    Sync,
}

/// Asked before every [`DiskAct`]: how many bytes may be written at once, or the error that stands
/// in for the disk's own.
pub type DiskProbe = Arc<dyn Fn(DiskAct) -> io::Result<usize> + Send + Sync>;

/// What opening the journal found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Rows that were in the journal but not yet in the sums.
    pub rows_replayed: u64,
    /// Calls that were in flight when the last process ended: each is charged what was held for it.
    pub calls_charged: u64,
    /// Bytes of a last row that was never written to its end, and were cut off.
    pub bytes_cut: u64,
    /// Bytes that the sums knew of but the journal had lost, as happens at a power cut without
    /// [`Durability::Power`]. The sums were kept.
    pub bytes_lost: u64,
}

/// What opening the journal found, for the ledger.
pub(crate) struct Recovered {
    pub(crate) report: Recovery,
    /// Attempts that nobody closed.
    pub(crate) killed: Vec<Began>,
    /// What still counts in rolling windows.
    pub(crate) recent: Vec<Recent>,
}

/// An amount that may still count in a rolling window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recent {
    pub(crate) scope: Scope,
    pub(crate) limit: LimitId,
    pub(crate) at: Timestamp,
    pub(crate) amount: i64,
}

/// How the journal is kept.
pub(crate) struct Setting {
    pub(crate) dir: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) segment_bytes: u64,
    /// The longest rolling window there is.
    pub(crate) lookback_seconds: u32,
    pub(crate) probe: Option<DiskProbe>,
}

/// Tells when an entry is written, or why it is not.
pub(crate) type Written = oneshot::Receiver<Result<(), Fault>>;

/// Rows that may wait for a full disk, in bytes.
const WAITING_MAX: usize = 64 << 20;

/// The way to the journal's threads.
pub(crate) struct Journal {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    state: AtomicU8,
    broken: Mutex<Option<Arc<str>>>,
    segments: Mutex<Vec<Segment>>,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    folds: Vec<Fold>,
    /// Those who wait until what they gave is written.
    waiters: Vec<Reply<()>>,
    orders: Vec<Order>,
    /// Bytes the writer has taken and not yet written.
    in_hand: usize,
    /// The writer sleeps until it is woken.
    asleep: bool,
    /// It waits a moment for more.
    lingers: bool,
    closed: bool,
}

enum Order {
    /// Write everything.
    Drain(Reply<()>),
    /// And carry it into the sums.
    Flush(Reply<()>),
    /// And sum up keys.
    Spent(Vec<Spending>, Reply<Vec<Money>>),
    /// And tell what counts against limits.
    Balances(Vec<Question>, Reply<Vec<Known>>),
    /// And finish.
    Close,
}

const GOOD: u8 = 0;
const FULL: u8 = 1;
const BROKEN: u8 = 2;

impl Journal {
    /// Recovers the journal in `setting.dir` and starts its threads.
    pub(crate) fn open(
        setting: Setting,
        mut keeper: Keeper,
        now: Timestamp,
    ) -> Result<(Self, Recovered), Fault> {
        let (found, live) = recover::recover(&setting, &mut keeper, now)?;
        let Found { segments, report, killed, recent } = found;
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::default()),
            wake: Condvar::new(),
            state: AtomicU8::new(GOOD),
            broken: Mutex::new(None),
            segments: Mutex::new(segments),
        });
        let (sender, work) = mpsc::channel();
        let busy = keeper.busy();
        let writer = Writer::new(Arc::clone(&shared), setting, live, sender, busy);
        let fault = |error| Fault::disk("starting a thread for", "the journal".as_ref(), error);
        let threads = vec![
            thread::Builder::new()
                .name("journal".to_owned())
                .spawn(move || writer.run())
                .map_err(fault)?,
            thread::Builder::new()
                .name("sums".to_owned())
                .spawn(move || keeper.run(&work))
                .map_err(fault)?,
        ];
        Ok((Self { shared, threads: Mutex::new(threads) }, Recovered { report, killed, recent }))
    }

    /// Appends an entry.
    pub(crate) fn push(&self, frame: &[u8], fold: Fold) -> Result<(), Fault> {
        self.append(frame, [fold], None)
    }

    /// Appends two entries, both or neither.
    pub(crate) fn push_both(&self, frames: [&[u8]; 2], folds: [Fold; 2]) -> Result<(), Fault> {
        self.append(&frames.concat(), folds, None)
    }

    /// Appends an entry, and tells when it is written.
    pub(crate) fn push_through(&self, frame: &[u8], fold: Fold) -> Result<Written, Fault> {
        let (waiter, written) = oneshot::channel();
        self.append(frame, [fold], Some(waiter))?;
        Ok(written)
    }

    /// Appends whole frames, with a fold for each.
    fn append(
        &self,
        frames: &[u8],
        folds: impl IntoIterator<Item = Fold>,
        waiter: Option<Reply<()>>,
    ) -> Result<(), Fault> {
        let mut queue = self.shared.queue.lock();
        if queue.closed {
            return Err(Fault::Closed);
        }
        if self.shared.state.load(Ordering::Acquire) == BROKEN {
            drop(queue);
            return Err(self.shared.why_broken());
        }
        if queue.bytes.len() + queue.in_hand + frames.len() > WAITING_MAX {
            return Err(Fault::LedgerFull);
        }
        queue.bytes.extend_from_slice(frames);
        queue.folds.extend(folds);
        let in_a_hurry = waiter.is_some() && mem::take(&mut queue.lingers);
        queue.waiters.extend(waiter);
        let wake = mem::take(&mut queue.asleep) || in_a_hurry;
        drop(queue);
        if wake {
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    pub(crate) fn health(&self) -> Health {
        match self.shared.state.load(Ordering::Acquire) {
            GOOD => Health::Good,
            FULL => Health::Full,
            _ => Health::Broken(self.shared.broken.lock().clone().unwrap_or_default()),
        }
    }

    /// The fault that keeps rows from being written, where there is one.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        match self.shared.state.load(Ordering::Acquire) {
            GOOD => Ok(()),
            FULL => Err(Fault::LedgerFull),
            _ => Err(self.shared.why_broken()),
        }
    }

    /// Waits until the rows given so far are in the segments.
    pub(crate) async fn drain(&self) -> Result<(), Fault> {
        self.order(Order::Drain).await
    }

    /// Waits until the rows given so far are in the sums.
    pub(crate) async fn flush(&self) -> Result<(), Fault> {
        self.order(Order::Flush).await
    }

    /// What each of `keys` spent, everything given so far included.
    pub(crate) async fn spent(&self, keys: Vec<Spending>) -> Result<Vec<Money>, Fault> {
        self.order(|reply| Order::Spent(keys, reply)).await
    }

    /// What counts against limits, everything given so far included.
    pub(crate) async fn balances(&self, questions: Vec<Question>) -> Result<Vec<Known>, Fault> {
        self.order(|reply| Order::Balances(questions, reply)).await
    }

    async fn order<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> Result<T, Fault> {
        let (reply, answer) = oneshot::channel();
        self.shared.give(order(reply))?;
        answer.await.unwrap_or(Err(Fault::Closed))
    }

    /// The segments there are, oldest first; the last one is being written.
    pub(crate) fn segments(&self) -> Vec<Segment> {
        self.shared.segments.lock().clone()
    }

    /// Writes what was given, ends the threads, and tells what could not be written.
    pub(crate) fn close(&self) -> Result<(), Fault> {
        let _ = self.shared.give(Order::Close);
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
        self.check()
    }
}

/// A store that could not be opened to its end leaves nothing behind that writes.
impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

impl Shared {
    fn give(&self, order: Order) -> Result<(), Fault> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(Fault::Closed);
        }
        queue.closed = matches!(order, Order::Close);
        queue.orders.push(order);
        queue.asleep = false;
        drop(queue);
        self.wake.notify_one();
        Ok(())
    }

    fn why_broken(&self) -> Fault {
        Fault::LedgerBroken(self.broken.lock().clone().unwrap_or_default())
    }
}
