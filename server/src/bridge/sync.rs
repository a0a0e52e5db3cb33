//! Making the operator's file and the store the same: read, take what was edited, write what is
//! different, and begin again where the file was edited meanwhile.

use std::sync::Arc;

use domain::Key;
use domain::key::KeyKind;

use crate::keyless;
use crate::sessions::Password;

use super::disk::{self, NotReplaced, Stamp, Version};
use super::file::{Document, Mistake};
use super::writing::Writing;
use super::{Bridge, Force, NotSame, Status, Turn};

/// What is wanted beside taking what was edited.
#[derive(Default)]
pub struct Want {
    /// The file is to exist afterwards.
    pub make: bool,
    pub password: Option<String>,
    pub counts: bool,
}

/// The file as it was taken.
struct Taken {
    bytes: Option<Vec<u8>>,
    document: Document,
    /// The keys that have lines by now.
    keys: Vec<Key>,
}

/// Why the file was not written.
enum NotPut {
    /// It is not what was taken.
    Changed,
    NotSame(NotSame),
}

impl From<store::Fault> for NotPut {
    fn from(fault: store::Fault) -> Self {
        Self::NotSame(NotSame::Store(fault))
    }
}

impl From<NotReplaced> for NotPut {
    fn from(no: NotReplaced) -> Self {
        match no {
            NotReplaced::Changed => Self::Changed,
            NotReplaced::Io(error) => Self::NotSame(NotSame::Disk(error)),
        }
    }
}

/// The note of what both sides last agreed on.
pub const BASE: &str = "bridge_base";

impl Bridge {
    /// Makes both sides the same: what was edited by hand is done to the keys, and what is different
    /// then is written.
    pub(super) async fn sync(&self, want: Want) -> Result<(), NotSame> {
        const TRIES: usize = 50;
        let mut turn = self.turn.lock().await;
        for _ in 0..TRIES {
            let taken = self.take(&turn).await?;
            if taken.bytes.is_none() && !want.make {
                return Ok(());
            }
            if want.counts {
                self.count(&mut turn.counters, &taken.keys).await?;
            }
            match self.put(&mut turn, taken, &want).await {
                Ok(()) => return Ok(()),
                Err(NotPut::Changed) => {}
                Err(NotPut::NotSame(no)) => return Err(no),
            }
        }
        Err(NotSame::Restless)
    }

    /// Reads the file, and does to the keys what was done to it.
    async fn take(&self, turn: &Turn) -> Result<Taken, NotSame> {
        // Before the bytes: a version that comes meanwhile is told from this one.
        let stamp = Stamp::at(&self.path);
        let (version, document) = match self.document().await {
            Err(NotSame::Mistake(mistake)) => {
                self.blame(mistake.clone(), stamp);
                return Err(NotSame::Mistake(mistake));
            }
            document => document?,
        };
        let mut keys = self.keys_with_lines().await?;
        // Without a file nobody edited anything.
        if version.is_some() {
            let edits = turn.base.edits(&document, &keys);
            if !edits.is_empty() {
                for edit in edits {
                    self.apply(edit, &document).await?;
                }
                keys = self.keys_with_lines().await?;
            }
        }
        self.enforce(&document, version.as_ref(), &keys).await?;
        // Taken, whether or not it can be written.
        *self.seen.lock() = version.as_ref().map(|version| version.stamp);
        Ok(Taken { bytes: version.map(|version| version.bytes), document, keys })
    }

    /// Listed keys with the secrets that open them: each has a line. One that was rotated has none.
    async fn keys_with_lines(&self) -> Result<Vec<Key>, store::Fault> {
        let now = self.clock.now();
        let mut keys = self.store.listed_keys().await?;
        for key in &mut keys {
            key.secrets.retain(|secret| secret.is_live(now));
        }
        Ok(keys)
    }

    /// Writes the file, where it does not say everything yet.
    async fn put(&self, turn: &mut Turn, taken: Taken, want: &Want) -> Result<(), NotPut> {
        let Taken { bytes, document, keys } = taken;
        let outcome = turn.base.outcome(&document, &keys);
        if outcome.base != turn.base {
            // Before the file: a line that is in the base and not in the file yet is younger than
            // the file, but one in the file only would be somebody's edit.
            let text = serde_json::to_string(&outcome.base).map_err(store::Fault::from)?;
            self.store.set_meta(BASE, text).await?;
            turn.base = outcome.base;
        }
        let has_counts = !want.counts || turn.counters.are_in(&document);
        if outcome.is_written && bytes.is_some() && has_counts && want.password.is_none() {
            return Ok(());
        }
        let hash = match (&want.password, self.force.load().password.plain()) {
            (Some(hash), _) => Some(hash.clone()),
            (None, Some(plain)) => self.sessions.hash(plain).await,
            (None, None) => None,
        };
        let new = Writing {
            lines: &outcome.lines,
            counts: turn.counters.shown(),
            password: hash.as_deref(),
            revision: turn.base.revision,
        };
        let stamp = self.replace(bytes, document.write(&new).into_bytes()).await?;
        *self.seen.lock() = Some(stamp);
        self.told.lock().clear();
        self.note_written(hash).await?;
        Ok(turn.counters.note_told(&self.store).await?)
    }

    pub(super) async fn read(&self) -> Result<Option<Version>, NotSame> {
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
    async fn document(&self) -> Result<(Option<Version>, Document), NotSame> {
        let version = match self.read().await {
            Err(NotSame::Disk(error)) => {
                let (place, why) = ("the file".to_owned(), format!("it cannot be read: {error}"));
                return Err(NotSame::Mistake(Mistake { place, why }));
            }
            read => read?,
        };
        let Some(found) = &version else { return Ok((None, Document::default())) };
        let document = Document::read(&found.bytes).map_err(NotSame::Mistake)?;
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
        Ok((version, document))
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
}

/// Runs what waits for the disk where that disturbs nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NotSame> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| NotSame::Disk(std::io::Error::other(error)))
}
