//! The operator's own file, `config.json`: keys, the password, what providers reached with a
//! browser's session need. The file and the store are kept the same: an edit by hand becomes an
//! administrative act, and a command on a key that has a line becomes a writing. What the text says
//! is read in `file`, what an edit means in `merge`, and the disk is touched in `disk`.

pub mod by_hand;
pub mod counters;
pub mod disk;
pub mod file;
pub mod merge;
pub mod not_same;
pub mod sync;
pub mod watch;
pub mod writing;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use domain::{Clock, Digest, Entropy, Key, KeyId, Timestamp};
use parking_lot::Mutex;
use store::Store;
use tokio_util::task::TaskTracker;

use crate::ids::Ids;
use crate::sessions::{Password, Sessions};

use counters::Counters;
use disk::Stamp;
use merge::Base;
use sync::{BASE, Want};

pub use by_hand::per_minute;
pub use file::{Browser, DEFAULT_RPM, Mistake};
pub use merge::rpm;
pub use not_same::NotSame;
pub use watch::Watch;
pub use writing::Count;

/// Keeps the file and the store the same.
pub struct Bridge {
    path: PathBuf,
    store: Arc<Store>,
    ids: Ids,
    clock: Arc<dyn Clock>,
    sessions: Arc<Sessions>,
    master: Digest,
    tasks: TaskTracker,
    control: tokio::runtime::Handle,
    /// One reading or writing at a time.
    turn: tokio::sync::Mutex<Turn>,
    /// The version of the file that was last looked at.
    seen: Mutex<Option<Stamp>>,
    force: ArcSwap<Force>,
    /// What was last said in the log.
    told: Mutex<String>,
    /// Listed keys that were used lately, and when, by the running clock.
    used: Mutex<HashMap<KeyId, u64>>,
}

/// What a bridge is built from.
pub struct Parts {
    pub path: PathBuf,
    pub store: Arc<Store>,
    pub entropy: Arc<dyn Entropy>,
    pub clock: Arc<dyn Clock>,
    pub sessions: Arc<Sessions>,
    pub master: Digest,
    pub tasks: TaskTracker,
    pub control: tokio::runtime::Handle,
}

struct Turn {
    base: Base,
    counters: Counters,
}

/// What the file says, as far as it is in force: the last good reading.
#[derive(Default)]
pub struct Force {
    pub password: Password,
    /// Finds the key of calls without a secret, where the file allows them.
    pub anonymous: Option<Digest>,
    pub browser: Arc<Browser>,
    /// Its secrets.
    digests: HashSet<Digest>,
    pub status: Status,
}

/// How the file stands.
#[derive(Clone, Default)]
pub struct Status {
    pub exists: bool,
    /// When it was last read and taken.
    pub taken_at: Option<Timestamp>,
    pub keys: usize,
    /// Why its latest version is not in force.
    pub mistake: Option<(Mistake, Timestamp)>,
    /// Others than its owner may read it.
    pub is_open: bool,
}

impl Bridge {
    /// Reads the file as it is, and makes the store the same.
    ///
    /// # Errors
    /// The store cannot be used. A file that has a mistake is told in the log.
    pub async fn open(parts: Parts) -> Result<Arc<Self>, store::Fault> {
        let Parts { path, store, entropy, clock, sessions, master, tasks, control } = parts;
        let base = store.meta(BASE).await?;
        // One that cannot be read must not pass for none: a line taken out by hand would come back.
        let base = base.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default();
        let counters = Counters::open(&store).await?;
        let bridge = Arc::new(Self {
            path,
            store,
            ids: Ids::new(&*entropy),
            clock,
            sessions,
            master,
            tasks,
            control,
            turn: tokio::sync::Mutex::new(Turn { base, counters }),
            seen: Mutex::new(None),
            force: ArcSwap::default(),
            told: Mutex::default(),
            used: Mutex::new(HashMap::new()),
        });
        {
            let mut turn = bridge.turn.lock().await;
            bridge.clear_counters(&mut turn).await?;
        }
        match bridge.sync(Want { counts: true, ..Want::default() }).await {
            Err(NotSame::Store(fault)) => Err(fault),
            Err(no) => {
                bridge.tell(&no);
                Ok(bridge)
            }
            Ok(()) => Ok(bridge),
        }
    }

    /// What the file says, as far as it is in force.
    pub fn force(&self) -> Arc<Force> {
        self.force.load_full()
    }

    /// Where the file is.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Whether the file is not the version that was last looked at. One system call.
    pub fn is_stale(&self) -> bool {
        Stamp::at(&self.path) != *self.seen.lock()
    }

    /// Whether this secret stands in the file, whatever it looks like.
    pub fn has(&self, digest: &Digest) -> bool {
        self.force.load().digests.contains(digest)
    }

    /// Notes that a listed key is used: its counter is to follow.
    pub fn note_use(&self, key: KeyId) {
        self.used.lock().insert(key, self.clock.monotonic_micros());
    }

    /// Takes the file as it is now, where it was edited.
    pub async fn catch_up(self: &Arc<Self>) {
        if !self.is_stale() {
            return;
        }
        let bridge = Arc::clone(self);
        let work = async move {
            // Somebody else may have taken it while this one waited.
            if bridge.is_stale()
                && let Err(no) = bridge.sync(Want::default()).await
            {
                bridge.tell(&no);
            }
        };
        let _ = self.tasks.spawn_on(work, &self.control).await;
    }

    /// Writes the file after a command changed `key`, where it has a line, or had one.
    pub async fn follow(&self, before: Option<&Key>, after: &Key) {
        if (before.is_some_and(|key| key.listed) || after.listed)
            && let Err(no) = self.sync(Want::default()).await
        {
            // The command is done; the file follows as soon as it can.
            self.tell(&no);
        }
    }

    /// Writes the file, making it where there is none.
    ///
    /// # Errors
    /// It has a mistake, or cannot be written.
    pub async fn write(&self) -> Result<(), NotSame> {
        self.sync(Want { make: true, ..Want::default() }).await
    }

    /// Writes another password's hash into the file.
    ///
    /// # Errors
    /// It has a mistake, or cannot be written.
    pub async fn write_password(&self, hash: String) -> Result<(), NotSame> {
        self.sync(Want { make: true, password: Some(hash), ..Want::default() }).await
    }

    /// Brings the counters of the file up to date.
    pub async fn write_counts(&self) {
        if !self.force.load().status.exists || self.used.lock().is_empty() {
            return;
        }
        if let Err(no) = self.sync(Want { counts: true, ..Want::default() }).await {
            self.tell(&no);
        }
    }

    /// Says in the log what stands in the way, once.
    fn tell(&self, no: &NotSame) {
        let why = match no {
            // Told when it was found.
            NotSame::Mistake(_) => return,
            NotSame::Store(fault) => format!("its keys cannot be stored: {fault}"),
            NotSame::Disk(error) => format!("it cannot be written: {error}"),
            NotSame::Restless => "it changes too often to be written".to_owned(),
        };
        let mut told = self.told.lock();
        if *told != why {
            tracing::warn!(file = %self.path.display(), %why, "the operator's file and the keys differ");
            *told = why;
        }
    }
}
