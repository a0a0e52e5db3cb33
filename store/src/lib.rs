//! Weir remembers in this room: who has which key, what was spent, who changed what.
//!
//! Law: decides nothing, knows no HTTP, reads no clock. On this machine that is a directory with
//! two databases and a journal: `weir.db` holds records, `ledger/` holds one row per attempt and
//! is the truth about money, `sums.db` holds hourly sums of those rows and can be made again.

#![warn(missing_docs)]

mod database;
mod desk;
mod directory;
mod fault;
mod home;
mod journal;
mod ledger;
mod registry;
mod sums;
mod usage;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::ledger::{Balance, Fit, Now, Room, Want};
use domain::{
    Correction, Digest, HoldId, Key, KeyId, Lineage, Money, Owner, ProjectId, Row, Scope,
    ScopedLimit, Secret, Supply, TeamId, Timestamp, UserId,
};
use tokio::sync::oneshot;

use database::Commits;
use desk::Desk;
use directory::owners::Owners;
use directory::{Boarded, Directory};
use home::Home;
use journal::search::History;
use journal::{Journal, Recovered, Setting};
use ledger::Balances;
use registry::audit::Shown;
use sums::keeper::Keeper;

pub use directory::Found;
pub use fault::Fault;
pub use journal::search::{RowQuery, Rows};
pub use journal::{DiskAct, DiskProbe, Durability, Health, Recovery};
pub use ledger::{Held, NotReserved};

pub use registry::{
    Act, AuditQuery, AuditRow, By, Earlier, FirstAnswer, KeyOrder, KeyPlace, KeyQuery, NotChanged,
    OwnerQuery, Tag,
};
pub use sums::Sum;
pub use usage::{Group, Order, UsageQuery, UsageReport, UsageSum};

/// The sums' history.
const SUMS_STEPS: &[&str] = &[include_str!("sums.sql"), include_str!("last_used.sql")];

/// How a store is kept.
#[derive(Clone)]
pub struct Options {
    /// When a ledger row counts as written.
    pub durability: Durability,
    /// How many keys are kept in memory.
    pub cached_keys: usize,
    /// How many projects, teams and users are kept in memory.
    pub cached_owners: usize,
    /// How large a journal segment grows before the next one is begun.
    pub segment_bytes: u64,
    /// The longest rolling window that any limit outside of the store has, in seconds; those in it
    /// are known.
    pub lookback_seconds: u32,
    /// Stands before the disk, in tests.
    pub probe: Option<DiskProbe>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            cached_keys: 100_000,
            cached_owners: 10_000,
            segment_bytes: 64 << 20,
            lookback_seconds: registry::USUAL_ROLLING,
            probe: None,
        }
    }
}

/// Everything that is remembered, in one data directory that no other process has open.
pub struct Store {
    directory: Arc<Directory>,
    journal: Journal,
    balances: Balances,
    /// The one connection that changes records.
    writer: Desk,
    /// Reads that a call waits for.
    quick: Desk,
    /// Reads that may take their time.
    slow: Desk,
    ledger_dir: PathBuf,
    recovery: Recovery,
    home: Arc<Home>,
}

impl Store {
    /// Opens the data directory, making it where its parent exists.
    ///
    /// Blocks while rows that the sums have not seen are read.
    pub fn open(dir: &Path, options: Options, now: Timestamp) -> Result<Self, Fault> {
        let home = Home::open(dir)?;
        let (records, sums) = (home.records(), home.sums());
        let writer = database::writer(&records, Commits::Synced, registry::STEPS)?;
        let owners = Owners::new(options.cached_owners, registry::owners::found(&writer)?);
        let lookback_seconds = options.lookback_seconds.max(registry::longest_rolling(&writer)?);
        let keeper = Keeper::new(database::writer(&sums, Commits::Lazy, SUMS_STEPS)?)?;
        let setting = Setting {
            dir: home.ledger(),
            durability: options.durability,
            segment_bytes: options.segment_bytes,
            lookback_seconds,
            probe: options.probe,
        };
        let until = now.plus_seconds(lookback_seconds.into());
        let (journal, Recovered { report, killed, recent }) = Journal::open(setting, keeper, now)?;
        // Calls that were in flight when the last process ended are charged what was held for them.
        for began in killed {
            ledger::push_row(&journal, &began.row, &began.parts)?;
        }
        Ok(Self {
            directory: Arc::new(Directory::new(options.cached_keys, owners)),
            journal,
            balances: Balances::new(recent, until),
            writer: Desk::start("records", writer)?,
            quick: Desk::start("look-ups", database::reader(&records, &sums)?)?,
            slow: Desk::start("lists", database::reader(&records, &sums)?)?,
            ledger_dir: home.ledger(),
            recovery: report,
            home: Arc::new(home),
        })
    }

    /// What opening found in the journal, for the log.
    pub const fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// Writes what was given and ends the threads; from here on everything answers
    /// [`Fault::Closed`]. A second time does nothing. Blocks.
    pub fn close(&self) -> Result<(), Fault> {
        let closed = self.journal.close();
        for desk in [&self.writer, &self.quick, &self.slow] {
            desk.close();
        }
        closed
    }

    // ── the directory ──

    /// What memory knows about a digest. Never waits.
    pub fn find(&self, digest: &Digest) -> Found {
        self.directory.find(digest)
    }

    /// The key with this digest, read where memory does not know. However many ask for one digest
    /// at a time, it is read once.
    pub async fn look_up(&self, digest: Digest) -> Result<Option<Arc<Key>>, Fault> {
        match self.directory.find(&digest) {
            Found::Key(key) => return Ok(Some(key)),
            Found::Nobody => return Ok(None),
            Found::Ask => {}
        }
        let (waiter, answer) = oneshot::channel();
        if let Boarded::Pilot = self.directory.board(&digest, waiter) {
            let directory = Arc::clone(&self.directory);
            let posted = self.quick.post(move |connection| {
                directory.fly(&digest, || registry::read_by_digest(connection, &digest));
            });
            if let Err(fault) = posted {
                self.directory.cancel(&digest, &fault);
            }
        }
        answer.await.unwrap_or(Err(Fault::Closed))
    }

    // ── the registry ──

    /// Writes a new key. [`Fault::Taken`] where its id or one of its digests exists,
    /// [`Fault::NoSuchOwner`] where its project, user or team does not.
    pub async fn insert_key(&self, key: Key, act: Act) -> Result<(), Fault> {
        self.import_keys(vec![key], act).await
    }

    /// The same, where the key's project has fewer than `most` keys that count: regular ones that
    /// are not revoked. [`Fault::NoRoom`] where it has not, however many are written at a time.
    pub async fn insert_key_within(&self, most: u64, key: Key, act: Act) -> Result<(), Fault> {
        let directory = Arc::clone(&self.directory);
        let insert = move |connection: &mut _| {
            registry::insert(connection, &directory, vec![key], Some(most), &act)
        };
        self.writer.ask(insert).await
    }

    /// Writes many new keys and one audit row, all or nothing.
    pub async fn import_keys(&self, keys: Vec<Key>, act: Act) -> Result<(), Fault> {
        let directory = Arc::clone(&self.directory);
        self.writer
            .ask(move |connection| registry::insert(connection, &directory, keys, None, &act))
            .await
    }

    /// Reads a key, lets `change` change it, and writes it back, while nobody else does. Gives the
    /// key before and after. Revoking, disabling and rotating are changes like any other.
    ///
    /// The change is made even when nobody waits for this any more.
    pub async fn update_key<E: Send + 'static>(
        &self,
        id: KeyId,
        expected_revision: Option<u64>,
        change: impl FnOnce(&mut Key) -> Result<(), E> + Send + 'static,
        act: Act,
    ) -> Result<(Key, Key), NotChanged<E>> {
        let directory = Arc::clone(&self.directory);
        self.writer
            .ask(move |connection| {
                registry::update(connection, &directory, id, expected_revision, change, &act)
            })
            .await
    }

    /// The key with this id.
    pub async fn key(&self, id: KeyId) -> Result<Option<Key>, Fault> {
        self.quick.ask(move |connection| registry::read(connection, id)).await
    }

    /// A page of keys.
    pub async fn keys(&self, query: KeyQuery) -> Result<Vec<Key>, Fault> {
        self.slow.ask(move |connection| registry::list::page(connection, &query)).await
    }

    /// How many keys all pages together have.
    pub async fn count_keys(&self, query: KeyQuery) -> Result<u64, Fault> {
        self.slow.ask(move |connection| registry::list::count(connection, &query)).await
    }

    /// How many keys count against the plan of each of `projects`.
    pub async fn count_project_keys(&self, projects: Vec<ProjectId>) -> Result<Vec<u64>, Fault> {
        self.slow.ask(move |connection| registry::list::counted(connection, &projects)).await
    }

    /// Every key that the operator's file has a line for and that is not revoked, the oldest first.
    pub async fn listed_keys(&self) -> Result<Vec<Key>, Fault> {
        self.quick.ask(|connection| registry::list::listed(connection)).await
    }

    /// A note about the instance.
    pub async fn meta(&self, name: &'static str) -> Result<Option<String>, Fault> {
        self.quick.ask(move |connection| registry::meta(connection, name)).await
    }

    /// Writes a note about the instance.
    pub async fn set_meta(&self, name: &'static str, value: String) -> Result<(), Fault> {
        self.writer.ask(move |connection| registry::set_meta(connection, name, &value)).await
    }

    /// A page of administrative acts, newest first.
    pub async fn audit(&self, query: AuditQuery) -> Result<Vec<AuditRow>, Fault> {
        self.slow.ask(move |connection| registry::audit::read(connection, &query)).await
    }

    // ── the supply: providers, credentials, prices, aliases ──

    /// All of it.
    pub async fn supply(&self) -> Result<Supply, Fault> {
        self.quick.ask(|connection| registry::supply::read(connection)).await
    }

    /// Reads the supply, lets `change` change it, and writes what is different, while nobody else
    /// does; an audit row for every record that is. Times and revisions are not `change`'s to set.
    /// Gives what `change` gave.
    ///
    /// The change is made even when nobody waits for this any more.
    pub async fn update_supply<T: Send + 'static, E: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Supply) -> Result<T, E> + Send + 'static,
        by: By,
    ) -> Result<T, NotChanged<E>> {
        self.writer.ask(move |connection| registry::supply::update(connection, change, &by)).await
    }

    /// The key that credentials are sealed with, where one was made here. It stands in a file of its
    /// own, so that a copy of the database alone opens nothing.
    pub fn credential_key(&self) -> Result<Option<Secret>, Fault> {
        self.home.credential_key()
    }

    /// Keeps a key to seal credentials with. There must be none.
    pub async fn keep_credential_key(&self, key: Secret) -> Result<(), Fault> {
        let file = self.home.clone();
        self.writer.ask(move |_| file.keep_credential_key(&key)).await
    }

    /// What became of the request `once` after `since`. Whatever was handed in before is done before.
    pub async fn earlier(&self, once: Tag, since: Timestamp) -> Result<Earlier, Fault> {
        self.writer.ask(move |connection| registry::once::find(connection, &once, since)).await
    }

    /// Keeps the first answer to `once`, given at `at`, and forgets those from `since` or before.
    pub async fn keep_answer(
        &self,
        once: Tag,
        at: Timestamp,
        answer: FirstAnswer,
        since: Timestamp,
    ) -> Result<(), Fault> {
        self.writer
            .ask(move |connection| registry::once::keep(connection, &once, at, &answer, since))
            .await
    }

    /// Forgets the first answers from `since` or before.
    pub async fn forget_answers(&self, since: Timestamp) -> Result<(), Fault> {
        self.writer.ask(move |connection| registry::once::forget(connection, since)).await
    }

    /// Writes an act down that changed no record of ours.
    pub async fn note(&self, act: Act) -> Result<(), Fault> {
        self.writer
            .ask(move |connection| registry::audit::write(connection, &act, None, None))
            .await
    }

    // ── owners: projects, teams, users, the instance ──

    /// The key with everything above it, where memory has all of it. Never waits.
    pub fn lineage(&self, key: &Arc<Key>) -> Option<Lineage> {
        self.directory.owners.lineage(key)
    }

    /// The key with everything above it, read where memory does not know. All of it, or a fault:
    /// [`Fault::NoSuchOwner`] where a record is missing.
    pub async fn look_up_lineage(&self, key: Arc<Key>) -> Result<Lineage, Fault> {
        if let Some(lineage) = self.lineage(&key) {
            return Ok(lineage);
        }
        let directory = Arc::clone(&self.directory);
        self.quick
            .ask(move |connection| {
                let read = |scope| registry::owners::read(connection, scope);
                directory.owners.look_up(&key, read)
            })
            .await
    }

    /// Writes a new owner. [`Fault::Taken`] where its id, or for a user its name, exists,
    /// [`Fault::NoSuchOwner`] where its team does not. A team starts without members, whatever the
    /// record says.
    pub async fn insert_owner(&self, owner: Owner, act: Act) -> Result<(), Fault> {
        let directory = Arc::clone(&self.directory);
        self.writer
            .ask(move |connection| {
                registry::owners::insert(connection, &directory.owners, owner, &act)
            })
            .await
    }

    /// Reads an owner, lets `change` change it, and writes it back, while nobody else does. Gives
    /// the owner before and after. The instance and the default project always exist. A user who
    /// gets another team is counted there from now on.
    ///
    /// The change is made even when nobody waits for this any more.
    pub async fn update_owner<E: Send + 'static>(
        &self,
        scope: Scope,
        expected_revision: Option<u64>,
        change: impl FnOnce(&mut Owner) -> Result<(), E> + Send + 'static,
        act: Act,
    ) -> Result<(Owner, Owner), NotChanged<E>> {
        let directory = Arc::clone(&self.directory);
        self.writer
            .ask(move |connection| {
                let owners = &directory.owners;
                registry::owners::update(connection, owners, scope, expected_revision, change, &act)
            })
            .await
    }

    /// The owner with this id.
    pub async fn owner(&self, scope: Scope) -> Result<Option<Owner>, Fault> {
        self.quick.ask(move |connection| registry::owners::read(connection, scope)).await
    }

    /// A page of owners of one kind, newest first.
    pub async fn owners(&self, query: OwnerQuery) -> Result<Vec<Owner>, Fault> {
        self.slow.ask(move |connection| registry::owners::page(connection, &query)).await
    }

    /// The team of each of `users`, where they have one.
    pub async fn teams_of(&self, users: Vec<UserId>) -> Result<Vec<Option<TeamId>>, Fault> {
        self.slow.ask(move |connection| registry::owners::teams(connection, &users)).await
    }

    // ── the ledger ──

    /// Sets what `want` says aside on every one of `limits`, or on none. Waits only where a limit
    /// is asked about for the first time. Nothing is held while the ledger cannot be written.
    pub async fn reserve(
        &self,
        id: HoldId,
        limits: &[ScopedLimit],
        want: Want,
        fit: Fit,
        now: Now,
    ) -> Result<Held, NotReserved> {
        self.balances.reserve(&self.journal, id, limits, (want, fit), now).await
    }

    /// Writes down what is about to happen: `row` is what stands if nobody writes a better one. To
    /// be called before a provider is. Waits until it is written where some limit that `held` is
    /// held on must survive a crash.
    ///
    /// # Errors
    /// It cannot be written, and no provider may be called; `held` is still to be released.
    pub async fn begin(&self, held: &mut Held, row: &Row) -> Result<(), Fault> {
        self.balances.begin(&self.journal, held, row).await
    }

    /// Closes `held` with what `row` says, and records the row. Never waits for the disk.
    pub fn settle(&self, held: Held, row: &Row) -> Result<(), Fault> {
        self.balances.settle(&self.journal, held, row)
    }

    /// Closes `held` with nothing used and nothing recorded: nothing was sent.
    pub fn release(&self, held: Held) {
        self.balances.release(&self.journal, held);
    }

    /// Closes `held` for a call that was made, cost nothing, and has no row: its request counts.
    pub fn finish(&self, held: Held) {
        self.balances.finish(&self.journal, held);
    }

    /// Records `row`, of the attempt that `held` was begun for and that came to nothing, and passes
    /// what is held on to the next attempt at the same request, `id`. That is to be begun in turn.
    ///
    /// # Errors
    /// The row cannot be recorded; what is held is given back.
    pub fn pass_on(&self, held: Held, row: &Row, id: HoldId) -> Result<Held, Fault> {
        self.balances.pass_on(&self.journal, held, row, id)
    }

    /// Records a row that nothing was held for.
    pub fn record(&self, row: &Row) -> Result<(), Fault> {
        ledger::push_row(&self.journal, row, &[])
    }

    /// How each of `limits` stands, in their order.
    pub async fn balances(&self, limits: &[ScopedLimit], now: Now) -> Result<Vec<Balance>, Fault> {
        self.balances.balances(&self.journal, limits, now).await
    }

    /// What [`Self::reserve`] would say at `now`, which may lie ahead. Nothing is held.
    pub async fn probe(
        &self,
        limits: &[ScopedLimit],
        want: Want,
        fit: Fit,
        now: Now,
    ) -> Result<Room, NotReserved> {
        self.balances.probe(&self.journal, limits, (want, fit), now).await
    }

    /// The row of an attempt, with the corrections made to it since.
    pub async fn attempt(&self, attempt: HoldId) -> Result<Option<(Row, Vec<Correction>)>, Fault> {
        let History { row, corrections, .. } = self.history(attempt).await?;
        Ok(row.map(|row| (row, corrections)))
    }

    /// Gives back what an attempt was charged too much: a correction is recorded, the sums and those
    /// of its windows that are still open follow. One audit row.
    pub async fn correct(&self, correction: Correction, act: Act) -> Result<(), Fault> {
        let History { row, parts, .. } = self.history(correction.attempt).await?;
        let row = row.ok_or(Fault::NotFound)?;
        let said = Shown::correction(&correction)?;
        self.writer
            .ask(move |connection| registry::audit::write(connection, &act, None, Some(said)))
            .await?;
        self.balances.correct(&self.journal, correction, row, parts)?;
        self.journal.flush().await
    }

    async fn history(&self, attempt: HoldId) -> Result<History, Fault> {
        self.journal.drain().await?;
        let (dir, segments) = (self.ledger_dir.clone(), self.journal.segments());
        self.slow.ask(move |_| journal::search::history(&dir, &segments, attempt)).await
    }

    /// Whether the ledger can be written.
    pub fn health(&self) -> Health {
        self.journal.health()
    }

    /// Waits until every row given so far is written, and counted in the sums.
    pub async fn flush(&self) -> Result<(), Fault> {
        self.journal.flush().await
    }

    /// What each of `keys` spent since the UTC hour of its moment, every row given so far included.
    pub async fn spent(
        &self,
        keys: impl IntoIterator<Item = (KeyId, Timestamp)>,
    ) -> Result<Vec<Money>, Fault> {
        let keys = keys.into_iter().map(|(key, since)| (key, since, None)).collect();
        self.journal.spent(keys).await
    }

    /// When the newest call of each of `keys` began, of those that have called; every row given so
    /// far included.
    pub async fn last_used(&self, keys: Vec<KeyId>) -> Result<HashMap<KeyId, Timestamp>, Fault> {
        self.journal.flush().await?;
        self.slow.ask(move |connection| usage::last_used(connection, &keys)).await
    }

    /// Sums of usage, every row given so far included.
    pub async fn usage(&self, query: UsageQuery) -> Result<UsageReport, Fault> {
        self.journal.flush().await?;
        self.slow.ask(move |connection| usage::report(connection, &query)).await
    }

    /// Single rows, newest first, every row given so far included.
    pub async fn rows(&self, query: RowQuery) -> Result<Rows, Fault> {
        self.journal.drain().await?;
        let (dir, segments) = (self.ledger_dir.clone(), self.journal.segments());
        self.slow.ask(move |_| journal::search::search(&dir, &segments, &query)).await
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.close();
    }
}
