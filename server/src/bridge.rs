//! The operator's own file, `config.json`: keys, the password, what providers reached with a
//! browser's session need. The file and the store are kept the same: an edit by hand becomes an
//! administrative act, and a command on a key that has a line becomes a writing. What the text says
//! is read in `file`, what an edit means in `merge`, and the disk is touched in `disk`.

pub mod counters;
pub mod disk;
pub mod file;
pub mod merge;
pub mod watch;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use domain::command::{
    Actor, Home, KeyChange, LimitChange, NewKey, Slot, SlotChange, revoke, unlist,
};
use domain::key::{Key, KeyKind, KeyState, SecretRecord};
use domain::{Clock, Code, Digest, Entropy, KeyId, Refusal, Rules, Timestamp};
use parking_lot::Mutex;
use store::{Act, NotChanged, Store};
use tokio_util::task::TaskTracker;

use crate::failure::{Failure, Fault};
use crate::ids::Ids;
use crate::keyless;
use crate::sessions::{Password, Sessions};

use counters::Counters;
use disk::{NotReplaced, Stamp, Version};
use file::{Document, Line, Writing};
use merge::{Base, Edit};

pub use file::{Browser, Count, DEFAULT_RPM, Mistake};
pub use merge::rpm;
pub use watch::Watch;

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

/// What is wanted beside taking what was edited.
#[derive(Default)]
struct Want {
    /// The file is to exist afterwards.
    make: bool,
    password: Option<String>,
    counts: bool,
}

/// Why the file and the store are not the same.
#[derive(Debug)]
pub enum NotSame {
    /// The file has a mistake: the operator is to mend it.
    Mistake(Mistake),
    Store(store::Fault),
    Disk(std::io::Error),
    /// It was edited again and again while it was to be written.
    Restless,
}

impl From<store::Fault> for NotSame {
    fn from(fault: store::Fault) -> Self {
        Self::Store(fault)
    }
}

impl From<NotSame> for Failure {
    fn from(no: NotSame) -> Self {
        let disk = |private: Box<dyn std::error::Error + Send + Sync>| {
            Self::Broke(Fault {
                code: Code::LedgerUnavailable,
                public: "The operator's file (config.json) cannot be written at the moment. Whoever operates this gateway finds the reason in its log.".to_owned(),
                private,
                retry_after: None,
            })
        };
        match no {
            NotSame::Mistake(mistake) => Refusal::new(
                Code::Conflict,
                format!("The operator's file (config.json) has a mistake, and is not written until it is mended: {mistake}."),
            )
            .into(),
            NotSame::Store(fault) => fault.into(),
            NotSame::Disk(error) => disk(Box::new(error)),
            NotSame::Restless => disk("the file does not come to rest".into()),
        }
    }
}

/// In the audit trail, whoever edits the file.
const BY_HAND: &str = "config.json";
const BASE: &str = "bridge_base";

impl Bridge {
    /// Reads the file as it is, and makes the store the same.
    ///
    /// # Errors
    /// The store cannot be used. A file that has a mistake is told in the log.
    pub async fn open(parts: Parts) -> Result<Arc<Self>, store::Fault> {
        let Parts { path, store, entropy, clock, sessions, master, tasks, control } = parts;
        let base = store.meta(BASE).await?;
        let base = base.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
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

    /// Says in the log what stands in the way, once for every version of the file.
    fn tell(&self, no: &NotSame) {
        let file = self.path.display();
        match no {
            // Told when it was found.
            NotSame::Mistake(_) => {}
            NotSame::Store(fault) => {
                tracing::warn!(%file, %fault, "the keys of the file cannot be stored")
            }
            NotSame::Disk(error) => {
                tracing::warn!(%file, %error, "the file cannot be read or written")
            }
            NotSame::Restless => tracing::warn!(%file, "the file changes too often to be written"),
        }
    }

    /// Makes both sides the same: what was edited by hand is done to the keys, and what is different
    /// then is written.
    async fn sync(&self, want: Want) -> Result<(), NotSame> {
        const TRIES: usize = 50;
        let mut turn = self.turn.lock().await;
        for _ in 0..TRIES {
            let version = self.read().await?;
            let stamp = version.as_ref().map(|version| version.stamp);
            let bytes = version.as_ref().map(|version| version.bytes.clone());
            let document = match self.document(version.as_ref()).await {
                Ok(document) => document,
                Err(NotSame::Mistake(mistake)) => {
                    self.blame(mistake.clone(), stamp);
                    return Err(NotSame::Mistake(mistake));
                }
                Err(no) => return Err(no),
            };
            let mut keys = self.store.listed_keys().await?;
            // Without a file nobody edited anything.
            let edits =
                if bytes.is_some() { turn.base.edits(&document, &keys) } else { Vec::new() };
            if !edits.is_empty() {
                for edit in edits {
                    self.apply(edit, &document).await?;
                }
                keys = self.store.listed_keys().await?;
            }
            self.enforce(&document, version.as_ref(), &keys).await?;
            if bytes.is_none() && !want.make {
                *self.seen.lock() = None;
                return Ok(());
            }
            let has_counted = want.counts && self.count(&mut turn.counters, &keys).await?;
            let outcome = turn.base.outcome(&document, &keys);
            if outcome.base != turn.base {
                // Before the file: a line that is in the base and not in the file yet is younger than
                // the file, but one in the file only would be somebody's edit.
                let text = serde_json::to_string(&outcome.base).map_err(store::Fault::from)?;
                self.store.set_meta(BASE, text).await?;
                turn.base = outcome.base;
            }
            if outcome.is_written && bytes.is_some() && !has_counted && want.password.is_none() {
                *self.seen.lock() = stamp;
                return Ok(());
            }
            turn.counters.keep(&self.store, &keys).await?;
            let hidden = match &want.password {
                Some(hash) => Some(hash.clone()),
                None => match self.force.load().password.plain() {
                    Some(plain) => self.sessions.hash(plain).await,
                    None => None,
                },
            };
            let new = Writing {
                lines: &outcome.lines,
                counts: turn.counters.shown(),
                password: hidden.as_deref(),
                revision: turn.base.revision,
            };
            let text = document.write(&new).into_bytes();
            match self.replace(bytes, text).await {
                Ok(stamp) => {
                    *self.seen.lock() = Some(stamp);
                    self.note_written(hidden).await?;
                    return Ok(());
                }
                Err(NotReplaced::Changed) => {}
                Err(NotReplaced::Io(error)) => return Err(NotSame::Disk(error)),
            }
        }
        Err(NotSame::Restless)
    }

    async fn read(&self) -> Result<Option<Version>, NotSame> {
        let path = self.path.clone();
        blocking(move || disk::read(&path)).await.and_then(|read| read.map_err(NotSame::Disk))
    }

    async fn replace(
        &self,
        expected: Option<Vec<u8>>,
        text: Vec<u8>,
    ) -> Result<Stamp, NotReplaced> {
        let path = self.path.clone();
        blocking(move || disk::replace(&path, expected.as_deref(), &text))
            .await
            .unwrap_or_else(|_| Err(NotReplaced::Io(std::io::Error::other("the writing was lost"))))
    }

    /// The file, read, and every line of it held against the keys there are.
    async fn document(&self, version: Option<&Version>) -> Result<Document, NotSame> {
        let Some(version) = version else { return Ok(Document::default()) };
        let document = Document::read(&version.bytes).map_err(NotSame::Mistake)?;
        for (at, line) in document.lines.iter().enumerate() {
            let mistake = |why: &str| {
                let place = format!("api_keys[{at}].key");
                NotSame::Mistake(Mistake { place, why: why.to_owned() })
            };
            if line.digest == self.master {
                return Err(mistake("this is the master key, which calls no model"));
            }
            let key = self.store.look_up(line.digest).await?;
            if key.is_some_and(|key| key.kind == KeyKind::Management) {
                return Err(mistake("this is a management key's, which calls no model"));
            }
        }
        Ok(document)
    }

    /// The latest version has a mistake: the last good one stays in force.
    fn blame(&self, mistake: Mistake, stamp: Option<Stamp>) {
        let mut seen = self.seen.lock();
        let is_new = *seen != stamp || self.force.load().status.mistake.is_none();
        *seen = stamp;
        if !is_new {
            return;
        }
        let file = self.path.display();
        tracing::error!(%file, %mistake, "the file has a mistake: what it said before stays in force");
        let old = self.force.load_full();
        let now = self.clock.now();
        let status = Status { exists: true, mistake: Some((mistake, now)), ..old.status.clone() };
        let password = match &old.password {
            // Nobody knows what it was to be: the default would be a guess.
            Password::Default if old.status.taken_at.is_none() => Password::Unknown,
            known => known.clone(),
        };
        self.force.store(Arc::new(Force {
            password,
            anonymous: old.anonymous,
            browser: Arc::clone(&old.browser),
            digests: old.digests.clone(),
            status,
        }));
    }

    /// What the file says is in force from now on.
    async fn enforce(
        &self,
        document: &Document,
        version: Option<&Version>,
        keys: &[Key],
    ) -> Result<(), NotSame> {
        let old = self.force.load_full();
        let is_open = version.is_some_and(|version| version.is_open);
        if is_open && !old.status.is_open {
            let file = self.path.display();
            tracing::warn!(%file, "others than its owner may read the file: chmod 600");
        }
        if version.is_none() && old.status.exists {
            let file = self.path.display();
            tracing::warn!(%file, "the file is gone: its keys stay as they are");
        }
        let now = self.clock.now();
        let anonymous = match document.anonymous {
            true if old.anonymous.is_some() => old.anonymous,
            true => Some(keyless::anonymous(&self.store, now).await?),
            false => None,
        };
        let password = match (version, &document.password) {
            // A file that is gone says nothing about the password either.
            (None, _) if old.status.taken_at.is_some() => old.password.clone(),
            (_, None) => Password::Default,
            (_, Some(text)) => Password::of(text.expose()),
        };
        let status = Status {
            exists: version.is_some(),
            taken_at: Some(now),
            keys: keys.len(),
            mistake: None,
            is_open,
        };
        self.sessions.hold_to(&password, false).await?;
        let digests = keys.iter().flat_map(|key| &key.secrets).map(|secret| secret.digest);
        self.force.store(Arc::new(Force {
            password,
            anonymous,
            browser: Arc::clone(&document.browser),
            digests: digests.collect(),
            status,
        }));
        Ok(())
    }

    async fn note_written(&self, hash: Option<String>) -> Result<(), store::Fault> {
        let old = self.force.load_full();
        let password = hash.map_or_else(|| old.password.clone(), |hash| Password::of(&hash));
        // Whoever changed the password ends the sessions that are to end.
        self.sessions.hold_to(&password, true).await?;
        let status = Status { exists: true, is_open: false, ..old.status.clone() };
        self.force.store(Arc::new(Force {
            password,
            anonymous: old.anonymous,
            browser: Arc::clone(&old.browser),
            digests: old.digests.clone(),
            status,
        }));
        Ok(())
    }

    /// Does to the keys what was done to the file.
    async fn apply(&self, edit: Edit, document: &Document) -> Result<(), NotSame> {
        let now = self.clock.now();
        match edit {
            Edit::Added { at } => match document.lines.get(at) {
                Some(line) => self.add(line, at, now).await,
                None => Ok(()),
            },
            Edit::Changed { key, name, rpm } => {
                let change = KeyChange {
                    name,
                    limits: rpm.map(per_minute).unwrap_or_default(),
                    ..KeyChange::default()
                };
                let limit = self.ids.limit(now);
                let apply = move |key: &mut Key| change.apply(key, limit, now);
                self.change(key, apply, act("key.update", key, now)).await
            }
            Edit::Removed { key, digest } => {
                let apply = move |key: &mut Key| {
                    unlist(key, digest, now);
                    Ok(())
                };
                self.change(key, apply, act("key.revoke", key, now)).await
            }
        }
    }

    /// A line that was written by hand: a new key, or one there is that has a line from now on.
    async fn add(&self, line: &Line, at: usize, now: Timestamp) -> Result<(), NotSame> {
        let digest = line.digest;
        if let Some(key) = self.store.look_up(digest).await? {
            let is_revoked = matches!(key.state, KeyState::Revoked { .. });
            if is_revoked && !key.listed {
                let key = key.id;
                tracing::warn!(%key, place = at, "a line of the file has a secret that was revoked for good: it is taken out");
                return Ok(());
            }
            if !is_revoked {
                return self.adopt(&key, line, now).await;
            }
            // Its line was taken out by hand, and is there again: another key has the secret now.
            let apply = move |key: &mut Key| {
                key.secrets.retain(|secret| secret.digest != digest);
                Ok(())
            };
            self.change(key.id, apply, act("key.update", key.id, now)).await?;
        }
        let created = line.created.map_or(now, |seconds| Timestamp::from_seconds(seconds).min(now));
        let new = NewKey {
            kind: KeyKind::Regular,
            name: line.name.clone().unwrap_or_else(|| format!("key {}", at.saturating_add(1))),
            home: Home::default(),
            rules: Rules::default(),
            limits: line.rpm.for_new().map(Some).map(per_minute).unwrap_or_default(),
            expires_at: None,
        };
        let record = SecretRecord { digest, mask: line.mask.clone(), created_at: created };
        let (id, limit) = (self.ids.key(now), self.ids.limit(now));
        let mut key = match new.make(Actor::Operator, id, limit, record, now) {
            Ok(key) => key,
            Err(no) => return Err(refused(&no, at)),
        };
        key.created_at = created;
        key.listed = true;
        Ok(self.store.insert_key(key, act("key.create", id, now)).await?)
    }

    async fn adopt(&self, key: &Key, line: &Line, now: Timestamp) -> Result<(), NotSame> {
        let change = KeyChange {
            name: line.name.clone(),
            limits: line.rpm.said().map(per_minute).unwrap_or_default(),
            ..KeyChange::default()
        };
        let limit = self.ids.limit(now);
        let apply = move |key: &mut Key| {
            change.apply(key, limit, now)?;
            key.listed = true;
            Ok(())
        };
        self.change(key.id, apply, act("key.update", key.id, now)).await
    }

    async fn change(
        &self,
        id: KeyId,
        apply: impl FnOnce(&mut Key) -> Result<(), Refusal> + Send + 'static,
        act: Act,
    ) -> Result<(), NotSame> {
        match self.store.update_key(id, None, apply, act).await {
            // Somebody ended it meanwhile: the next look at both sides finds out.
            Ok(_) | Err(NotChanged::Fault(store::Fault::NotFound) | NotChanged::Refused(_)) => {
                Ok(())
            }
            Err(NotChanged::Fault(fault)) => Err(fault.into()),
        }
    }

    /// Gives up a key whose line could not be written.
    pub async fn give_up(&self, id: KeyId, now: Timestamp) -> Result<(), NotSame> {
        let apply = move |key: &mut Key| {
            revoke(key, now);
            Ok(())
        };
        self.change(id, apply, act("key.revoke", id, now)).await
    }
}

fn refused(no: &Refusal, at: usize) -> NotSame {
    NotSame::Mistake(Mistake { place: format!("api_keys[{at}]"), why: no.message.clone() })
}

/// So many requests per minute, or as many as there are.
pub fn per_minute(rpm: Option<i64>) -> LimitChange {
    let change = SlotChange { slot: Slot::RequestsPerMinute, amount: Some(rpm), window: None };
    LimitChange { all: None, slots: vec![change] }
}

fn act(action: &'static str, key: KeyId, at: Timestamp) -> Act {
    Act { at, actor: BY_HAND.to_owned(), action, subject: key.to_string() }
}

/// Runs what waits for the disk where that disturbs nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NotSame> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| NotSame::Disk(std::io::Error::other(error)))
}
