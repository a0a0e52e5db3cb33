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

use domain::Timestamp;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::fault::Fault;
use crate::sums::Fold;
use crate::sums::keeper::{Keeper, Question, Reply, Spent};

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
    /// Bytes of a last row that was never written to its end, and were cut off.
    pub bytes_cut: u64,
    /// Bytes that the sums knew of but the journal had lost, as happens at a power cut without
    /// [`Durability::Power`]. The sums were kept.
    pub bytes_lost: u64,
}

/// How the journal is kept.
pub(crate) struct Setting {
    pub(crate) dir: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) segment_bytes: u64,
    pub(crate) probe: Option<DiskProbe>,
}

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
    orders: Vec<Order>,
    /// The number of the next row.
    seq: u64,
    /// Bytes the writer has taken and not yet written.
    in_hand: usize,
    /// The writer sleeps until it is woken.
    asleep: bool,
    closed: bool,
}

enum Order {
    /// Write everything.
    Drain(Reply<()>),
    /// And carry it into the sums.
    Flush(Reply<()>),
    /// And sum up a key.
    Spent(Question, Reply<Spent>),
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
    ) -> Result<(Self, Recovery), Fault> {
        let found = recover::recover(&setting, &mut keeper, now)?;
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { seq: found.end.seq, ..Queue::default() }),
            wake: Condvar::new(),
            state: AtomicU8::new(GOOD),
            broken: Mutex::new(None),
            segments: Mutex::new(found.segments),
        });
        let (sender, work) = mpsc::channel();
        let busy = keeper.busy();
        let writer = Writer::new(Arc::clone(&shared), setting, found.live, sender, busy);
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
        Ok((Self { shared, threads: Mutex::new(threads) }, found.report))
    }

    /// Appends a row, and tells its number.
    pub(crate) fn push(&self, frame: &[u8], fold: Fold) -> Result<u64, Fault> {
        let mut queue = self.shared.queue.lock();
        if queue.closed {
            return Err(Fault::Closed);
        }
        if self.shared.state.load(Ordering::Acquire) == BROKEN {
            drop(queue);
            return Err(self.shared.why_broken());
        }
        if queue.bytes.len() + queue.in_hand + frame.len() > WAITING_MAX {
            return Err(Fault::LedgerFull);
        }
        queue.bytes.extend_from_slice(frame);
        queue.folds.push(fold);
        let seq = queue.seq;
        queue.seq += 1;
        let wake = mem::take(&mut queue.asleep);
        drop(queue);
        if wake {
            self.shared.wake.notify_one();
        }
        Ok(seq)
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

    /// What a key spent, exactly up to a row's number.
    pub(crate) async fn spent(&self, question: Question) -> Result<Spent, Fault> {
        self.order(|reply| Order::Spent(question, reply)).await
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
