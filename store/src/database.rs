//! Opening SQLite files: settings and migrations. What stands in them is not known here.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::fault::Fault;

/// Whether a commit reaches the disk before it returns.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Commits {
    /// Yes: for records, which nothing else remembers.
    Synced,
    /// At checkpoints: for what can be made again from the journal.
    Lazy,
}

/// Opens `file` for writing and brings its schema up to date.
pub(crate) fn writer(file: &Path, commits: Commits, steps: &[&str]) -> Result<Connection, Fault> {
    let doing = "opening";
    let mut connection = open(file).map_err(Fault::database(doing))?;
    let synchronous = match commits {
        Commits::Synced => "FULL",
        Commits::Lazy => "NORMAL",
    };
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};
             PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 16777216;"
        ))
        .map_err(Fault::database(doing))?;
    migrate(&mut connection, file, steps)?;
    Ok(connection)
}

/// Opens the two files for reading: records as `main`, sums as `sums`.
pub(crate) fn reader(records: &Path, sums: &Path) -> Result<Connection, Fault> {
    let connection = open(records).map_err(Fault::database("opening"))?;
    let sums = sums.to_string_lossy();
    connection
        .execute("ATTACH DATABASE ?1 AS sums", [sums.as_ref()])
        .and_then(|_| connection.execute_batch("PRAGMA query_only = ON;"))
        .map_err(Fault::database("opening"))?;
    Ok(connection)
}

fn open(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Runs the steps this file has not seen, each in a transaction with its number.
fn migrate(connection: &mut Connection, file: &Path, steps: &[&str]) -> Result<(), Fault> {
    let doing = "migrating";
    let found: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(Fault::database(doing))?;
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(Fault::Newer { file: file.to_owned(), found, known });
    }
    for (number, step) in (1_i64..).zip(steps).filter(|(number, _)| *number > found) {
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(Fault::database(doing))?;
        transaction
            .execute_batch(step)
            .and_then(|()| transaction.pragma_update(None, "user_version", number))
            .and_then(|()| transaction.commit())
            .map_err(Fault::database(doing))?;
    }
    Ok(())
}

/// `number` as SQLite keeps it. Nothing real comes near the end of its range.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that was stored by [`int`].
pub(crate) fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
