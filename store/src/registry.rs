//! Records: keys and their owners, what calls can go to, notes about the instance, and the audit trail. Changes are made by one thread,
//! each in a transaction with its audit row, and are in the directory before they are answered.

pub(crate) mod audit;
pub(crate) mod list;
pub(crate) mod once;
pub(crate) mod owners;
pub(crate) mod supply;

use std::collections::HashSet;
use std::sync::Arc;

use domain::{Digest, Key, KeyId, KeyState, Limit, Scope, Timestamp, Window};
use rusqlite::{
    Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior, params,
};

use crate::database::int;
use crate::directory::Directory;
use crate::fault::Fault;

use audit::Shown;

pub use audit::{Act, AuditQuery, AuditRow, By};
pub use list::{KeyOrder, KeyPlace, KeyQuery};
pub use once::{Earlier, FirstAnswer, Tag};
pub use owners::OwnerQuery;

/// The schema's history. Steps that were shipped never change.
pub(crate) const STEPS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("idempotency.sql"),
    include_str!("supply.sql"),
    include_str!("lists.sql"),
    include_str!("listed.sql"),
];

/// Why a record was not changed.
#[derive(Clone, Debug)]
pub enum NotChanged<E> {
    /// The change itself said no.
    Refused(E),
    /// It could not be done.
    Fault(Fault),
}

impl<E> From<Fault> for NotChanged<E> {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Writes new keys and one audit row, all or nothing: where a project would then have more that
/// count than `most`, nothing.
pub(crate) fn insert(
    connection: &mut Connection,
    directory: &Directory,
    keys: Vec<Key>,
    most: Option<u64>,
    act: &Act,
) -> Result<(), Fault> {
    let transaction = begin(connection)?;
    for scope in keys.iter().flat_map(homes).collect::<HashSet<_>>() {
        owners::must_exist(&transaction, scope)?;
    }
    for key in &keys {
        insert_record(&transaction, key)?;
    }
    if let Some(most) = most {
        let projects: HashSet<_> = keys.iter().map(|key| key.project).collect();
        let projects: Vec<_> = projects.into_iter().collect();
        if list::counted(&transaction, &projects)?.into_iter().any(|found| found > most) {
            return Err(Fault::NoRoom { most });
        }
    }
    let after = if let [key] = keys.as_slice() { Some(Shown::key(key)?) } else { None };
    audit::write(&transaction, act, None, after)?;
    transaction.commit().map_err(Fault::database("committing"))?;
    if keys.len() == 1 {
        for key in keys {
            directory.publish(None, &Arc::new(key));
        }
    } else {
        // An import would only push out keys that are in use.
        directory.forget_strangers();
    }
    Ok(())
}

fn begin(connection: &mut Connection) -> Result<Transaction<'_>, Fault> {
    connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(Fault::database("beginning"))
}

/// What a key names as standing above it.
fn homes(key: &Key) -> impl Iterator<Item = Scope> {
    let (user, team) = (key.user.map(Scope::User), key.team.map(Scope::Team));
    [Scope::Project(key.project)].into_iter().chain(user).chain(team)
}

fn insert_record(connection: &Connection, key: &Key) -> Result<(), Fault> {
    note_rolling(connection, &key.limits)?;
    let record = serde_json::to_string(key)?;
    connection
        .prepare_cached(
            "INSERT INTO key (id, name, kind, maker, project, user, team, state, created_at,
                              expires_at, updated_at, revision, record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                key.id.ulid().bytes(),
                key.name,
                key.kind.name(),
                key.maker.map(|maker| maker.ulid().bytes()),
                key.project.ulid().bytes(),
                key.user.map(|user| user.ulid().bytes()),
                key.team.map(|team| team.ulid().bytes()),
                state(key),
                key.created_at.micros(),
                key.expires_at.map(Timestamp::micros),
                key.updated_at.micros(),
                int(key.revision),
                record,
            ])
        })
        .map_err(|error| taken(error, "inserting a key"))?;
    key.secrets.iter().try_for_each(|secret| insert_secret(connection, &secret.digest, key.id))
}

fn insert_secret(connection: &Connection, digest: &Digest, key: KeyId) -> Result<(), Fault> {
    connection
        .prepare_cached("INSERT INTO secret (digest, key) VALUES (?1, ?2)")
        .and_then(|mut insert| insert.execute(params![digest.bytes(), key.ulid().bytes()]))
        .map(|_| ())
        .map_err(|error| taken(error, "inserting a secret"))
}

fn taken(error: rusqlite::Error, doing: &'static str) -> Fault {
    if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) {
        return Fault::Taken;
    }
    Fault::database(doing)(error)
}

/// Reads a key, lets `change` change it, writes it back, all in one transaction. Its id, its
/// revision and the time of the change are not `change`'s to set.
pub(crate) fn update<E>(
    connection: &mut Connection,
    directory: &Directory,
    id: KeyId,
    expected: Option<u64>,
    change: impl FnOnce(&mut Key) -> Result<(), E>,
    act: &Act,
) -> Result<(Key, Key), NotChanged<E>> {
    let transaction = begin(connection)?;
    let before = read(&transaction, id)?.ok_or(Fault::NotFound)?;
    is_at(expected, before.revision)?;
    let mut after = before.clone();
    change(&mut after).map_err(NotChanged::Refused)?;
    after.id = before.id;
    after.revision = before.revision.saturating_add(1);
    after.updated_at = act.at;
    // Only what is new is looked at: whatever became of an owner, its keys can be revoked.
    for scope in homes(&after).filter(|scope| homes(&before).all(|old| old != *scope)) {
        owners::must_exist(&transaction, scope)?;
    }
    update_record(&transaction, &before, &after)?;
    audit::write(&transaction, act, Some(Shown::key(&before)?), Some(Shown::key(&after)?))?;
    transaction.commit().map_err(Fault::database("committing"))?;
    directory.publish(Some(&before), &Arc::new(after.clone()));
    Ok((before, after))
}

fn is_at(expected: Option<u64>, found: u64) -> Result<(), Fault> {
    match expected {
        Some(expected) if expected != found => Err(Fault::Stale { expected, found }),
        Some(_) | None => Ok(()),
    }
}

fn update_record(connection: &Connection, before: &Key, after: &Key) -> Result<(), Fault> {
    note_rolling(connection, &after.limits)?;
    let record = serde_json::to_string(after)?;
    connection
        .prepare_cached(
            "UPDATE key SET name = ?2, kind = ?3, maker = ?4, project = ?5, user = ?6, team = ?7,
                            state = ?8, expires_at = ?9, updated_at = ?10, revision = ?11,
                            record = ?12
             WHERE id = ?1",
        )
        .and_then(|mut update| {
            update.execute(params![
                after.id.ulid().bytes(),
                after.name,
                after.kind.name(),
                after.maker.map(|maker| maker.ulid().bytes()),
                after.project.ulid().bytes(),
                after.user.map(|user| user.ulid().bytes()),
                after.team.map(|team| team.ulid().bytes()),
                state(after),
                after.expires_at.map(Timestamp::micros),
                after.updated_at.micros(),
                int(after.revision),
                record,
            ])
        })
        .map_err(Fault::database("updating a key"))?;
    let has = |key: &Key, digest| key.secrets.iter().any(|secret| secret.digest == digest);
    for secret in before.secrets.iter().filter(|secret| !has(after, secret.digest)) {
        connection
            .execute("DELETE FROM secret WHERE digest = ?1", [secret.digest.bytes()])
            .map_err(Fault::database("deleting a secret"))?;
    }
    for secret in after.secrets.iter().filter(|secret| !has(before, secret.digest)) {
        insert_secret(connection, &secret.digest, after.id)?;
    }
    Ok(())
}

fn state(key: &Key) -> i64 {
    match key.state {
        KeyState::Active => 0,
        KeyState::Disabled { .. } => 1,
        KeyState::Revoked { .. } => 2,
    }
}

/// The key with this id.
pub(crate) fn read(connection: &Connection, id: KeyId) -> Result<Option<Key>, Fault> {
    let record = connection
        .prepare_cached("SELECT record FROM key WHERE id = ?1")
        .and_then(|mut select| select.query_row([id.ulid().bytes()], record_text).optional());
    parsed(record)
}

/// The key that has a secret with this digest.
pub(crate) fn read_by_digest(
    connection: &Connection,
    digest: &Digest,
) -> Result<Option<Key>, Fault> {
    let record = connection
        .prepare_cached(
            "SELECT key.record FROM secret JOIN key ON key.id = secret.key WHERE secret.digest = ?1",
        )
        .and_then(|mut select| select.query_row([digest.bytes()], record_text).optional());
    parsed(record)
}

fn record_text(row: &rusqlite::Row<'_>) -> rusqlite::Result<String> {
    row.get(0)
}

fn parsed(record: rusqlite::Result<Option<String>>) -> Result<Option<Key>, Fault> {
    let record = record.map_err(Fault::database("reading a key"))?;
    Ok(record.map(|record| serde_json::from_str(&record)).transpose()?)
}

const LONGEST_ROLLING: &str = "longest_rolling_seconds";

/// The longest rolling window that any limit ever had: so far back the journal is read at a start.
pub(crate) fn longest_rolling(connection: &Connection) -> Result<u32, Fault> {
    let text = meta(connection, LONGEST_ROLLING)?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Remembers how long the rolling windows of `limits` are. Part of writing the record that has them.
fn note_rolling(connection: &Connection, limits: &[Limit]) -> Result<(), Fault> {
    let seconds = |limit: &Limit| match limit.window {
        Window::Rolling { seconds } => seconds,
        _ => 0,
    };
    let longest = limits.iter().map(seconds).max().unwrap_or(0);
    // Every start reads so far back, whatever is written here.
    if longest > USUAL_ROLLING && longest > longest_rolling(connection)? {
        set_meta(connection, LONGEST_ROLLING, &longest.to_string())?;
    }
    Ok(())
}

/// The seconds of `rpm` and `tpm`.
pub(crate) const USUAL_ROLLING: u32 = 60;

pub(crate) fn meta(connection: &Connection, name: &str) -> Result<Option<String>, Fault> {
    connection
        .query_row("SELECT value FROM meta WHERE name = ?1", [name], record_text)
        .optional()
        .map_err(Fault::database("reading a note"))
}

pub(crate) fn set_meta(connection: &Connection, name: &str, value: &str) -> Result<(), Fault> {
    connection
        .execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)", [name, value])
        .map(|_| ())
        .map_err(Fault::database("writing a note"))
}
