//! Who did what to which record: one row per act, in the transaction that did it. No digest of a
//! secret stands in it, only what a list shows of one.

use domain::{Correction, Key, Mask, Owner, Timestamp};
use rusqlite::{Connection, params};
use serde::Serialize;

use crate::fault::Fault;

use super::once::Tag;

/// An administrative act, as the audit trail keeps it.
#[derive(Clone, Debug)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// Who: the master key, a management key's id, the dashboard.
    pub actor: String,
    /// What was done: `key.create`.
    pub action: &'static str,
    /// To what: the key's or the owner's id.
    pub subject: String,
    /// The request it is done for, where that may be sent again.
    pub once: Option<Tag>,
}

/// An act that was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Grows with every act.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// The record before, as JSON.
    pub before: Option<String>,
    /// The record after, as JSON.
    pub after: Option<String>,
}

/// A record as the trail may show it, in JSON.
pub(crate) struct Shown(String);

#[derive(Serialize)]
struct Masked<'a> {
    #[serde(flatten)]
    key: &'a Key,
    masks: Vec<&'a Mask>,
}

impl Shown {
    /// What was done to a row of the ledger.
    pub(crate) fn correction(correction: &Correction) -> Result<Self, Fault> {
        Ok(Self(serde_json::to_string(correction)?))
    }

    pub(crate) fn key(key: &Key) -> Result<Self, Fault> {
        let bare = Key { secrets: Vec::new(), ..key.clone() };
        let masks = key.secrets.iter().map(|secret| &secret.mask).collect();
        Ok(Self(serde_json::to_string(&Masked { key: &bare, masks })?))
    }

    pub(crate) fn owner(owner: &Owner) -> Result<Self, Fault> {
        Ok(Self(serde_json::to_string(owner)?))
    }
}

/// Writes an act down, with the record before and after it.
pub(crate) fn write(
    connection: &Connection,
    act: &Act,
    before: Option<Shown>,
    after: Option<Shown>,
) -> Result<(), Fault> {
    let (before, after) = (before.map(|shown| shown.0), after.map(|shown| shown.0));
    connection
        .prepare_cached(
            "INSERT INTO audit (at, actor, action, subject, before, after, once)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut insert| {
            let at = act.at.micros();
            let Act { actor, action, subject, once, .. } = act;
            insert.execute(params![at, actor, action, subject, before, after, once])
        })
        .map(|_| ())
        .map_err(Fault::database("writing the audit row"))
}

/// Acts, newest first, that are older than the one numbered `before`.
pub(crate) fn read(
    connection: &Connection,
    before: Option<i64>,
    most: usize,
) -> Result<Vec<AuditRow>, Fault> {
    let most = i64::try_from(most.min(1_000)).unwrap_or(0);
    let read = || -> rusqlite::Result<Vec<_>> {
        connection
            .prepare_cached(
                "SELECT id, at, actor, action, subject, before, after FROM audit
                 WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
            )?
            .query_map(params![before.unwrap_or(i64::MAX), most], |row| {
                Ok(AuditRow {
                    id: row.get(0)?,
                    at: Timestamp::from_micros(row.get(1)?),
                    actor: row.get(2)?,
                    action: row.get(3)?,
                    subject: row.get(4)?,
                    before: row.get(5)?,
                    after: row.get(6)?,
                })
            })?
            .collect()
    };
    read().map_err(Fault::database("reading the audit trail"))
}
