//! Who did what to which record: one row per act, in the transaction that did it. No digest of a
//! secret stands in it, only what a list shows of one.

use domain::{Correction, Item, Key, Mask, Owner, Timestamp};
use rusqlite::{Connection, params, types::Value};
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

/// Who changes many records at once, each an act of its own.
#[derive(Clone, Debug)]
pub struct By {
    /// Who.
    pub actor: String,
    /// When.
    pub at: Timestamp,
    /// The request that may be sent again.
    pub once: Option<Tag>,
}

impl By {
    /// One of the acts.
    pub(crate) fn act(&self, action: &'static str, subject: String) -> Act {
        Act { at: self.at, actor: self.actor.clone(), action, subject, once: self.once }
    }
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

    /// A provider, a credential without its secret, a price or an alias.
    pub(crate) fn item(item: &Item) -> Result<Self, Fault> {
        Ok(Self(serde_json::to_string(item)?))
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

/// Which acts, and which page of them.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Only this actor's.
    pub actor: Option<String>,
    /// Only acts of this name.
    pub action: Option<String>,
    /// Only those done to this.
    pub subject: Option<String>,
    /// Only from this moment on.
    pub from: Option<Timestamp>,
    /// Only before this moment.
    pub until: Option<Timestamp>,
    /// Only older ones than the one of this number: the last one of the page before.
    pub before: Option<i64>,
    /// At most so many; never more than [`AuditQuery::MOST`].
    pub page_size: usize,
}

impl AuditQuery {
    /// The most acts a page has.
    pub const MOST: usize = 1_000;
}

/// Acts, newest first.
pub(crate) fn read(connection: &Connection, query: &AuditQuery) -> Result<Vec<AuditRow>, Fault> {
    let mut condition = "1".to_owned();
    let mut values = Vec::new();
    let text = |text: &Option<String>| text.clone().map(Value::Text);
    let moment = |at: Option<Timestamp>| at.map(|at| Value::Integer(at.micros()));
    for (part, value) in [
        (" AND subject = ?", text(&query.subject)),
        (" AND actor = ?", text(&query.actor)),
        (" AND action = ?", text(&query.action)),
        (" AND at >= ?", moment(query.from)),
        (" AND at < ?", moment(query.until)),
        (" AND id < ?", query.before.map(Value::Integer)),
    ] {
        if let Some(value) = value {
            condition.push_str(part);
            values.push(value);
        }
    }
    let most = query.page_size.min(AuditQuery::MOST);
    values.push(Value::Integer(i64::try_from(most).unwrap_or(0)));
    let sql = format!(
        "SELECT id, at, actor, action, subject, before, after FROM audit
         WHERE {condition} ORDER BY id DESC LIMIT ?"
    );
    let read = || -> rusqlite::Result<Vec<_>> {
        connection
            .prepare_cached(&sql)?
            .query_map(rusqlite::params_from_iter(values), |row| {
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
