//! What became of administrative requests that may be sent again: the first answer, sealed by
//! whoever asked, or at least that the act was done. What is in an answer is not known here.

use domain::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::fault::Fault;

/// A keyed hash: of who asks and the name they gave the request, or of the request itself.
pub type Tag = [u8; 32];

/// A first answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstAnswer {
    /// What was asked.
    pub request: Tag,
    /// The answer, unreadable here.
    pub sealed: Vec<u8>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// Nothing: nobody asked, or nothing was done.
    Nothing,
    /// It was answered.
    Answered(FirstAnswer),
    /// It was done, and no answer was kept.
    Done {
        /// What was done.
        action: String,
        /// To what.
        subject: String,
    },
}

/// What became of the request `once` after `since`.
pub(crate) fn find(
    connection: &Connection,
    once: &Tag,
    since: Timestamp,
) -> Result<Earlier, Fault> {
    let answer = connection
        .prepare_cached("SELECT request, sealed FROM answer WHERE once = ?1 AND at > ?2")
        .and_then(|mut select| {
            let read = |row: &rusqlite::Row<'_>| {
                Ok(FirstAnswer { request: row.get(0)?, sealed: row.get(1)? })
            };
            select.query_row(params![once, since.micros()], read).optional()
        })
        .map_err(Fault::database("reading a first answer"))?;
    if let Some(answer) = answer {
        return Ok(Earlier::Answered(answer));
    }
    let done = connection
        .prepare_cached(
            "SELECT action, subject FROM audit WHERE once = ?1 AND at > ?2 ORDER BY id LIMIT 1",
        )
        .and_then(|mut select| {
            let read = |row: &rusqlite::Row<'_>| {
                Ok(Earlier::Done { action: row.get(0)?, subject: row.get(1)? })
            };
            select.query_row(params![once, since.micros()], read).optional()
        })
        .map_err(Fault::database("looking for an act"))?;
    Ok(done.unwrap_or(Earlier::Nothing))
}

/// Keeps the answer to `once`, given at `at`, and forgets those from `since` or before.
pub(crate) fn keep(
    connection: &Connection,
    once: &Tag,
    at: Timestamp,
    answer: &FirstAnswer,
    since: Timestamp,
) -> Result<(), Fault> {
    forget(connection, since)?;
    connection
        .execute(
            "INSERT OR REPLACE INTO answer (once, at, request, sealed) VALUES (?1, ?2, ?3, ?4)",
            params![once, at.micros(), answer.request, answer.sealed],
        )
        .map(|_| ())
        .map_err(Fault::database("keeping an answer"))
}

/// Forgets the answers from `since` or before.
pub(crate) fn forget(connection: &Connection, since: Timestamp) -> Result<(), Fault> {
    connection
        .execute("DELETE FROM answer WHERE at <= ?1", [since.micros()])
        .map(|_| ())
        .map_err(Fault::database("forgetting answers"))
}
