//! Records of what calls can go to beside the settings. All of them are read and compared at a
//! change: what is different is written, each with its audit row, in one transaction.

use domain::supply::{CredentialRecord, Stamp};
use domain::{Item, Place, Supply};
use rusqlite::{Connection, params};

use crate::database::int;
use crate::fault::Fault;

use super::audit::{self, By, Shown};
use super::{NotChanged, begin, taken};

/// A record as it is kept: its kind, its JSON, what is sealed.
type Parts = (String, String, Option<Vec<u8>>);

/// All records.
pub(crate) fn read(connection: &Connection) -> Result<Supply, Fault> {
    let read = || -> rusqlite::Result<Vec<Parts>> {
        connection
            .prepare_cached("SELECT kind, record, sealed FROM supply")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect()
    };
    let rows = read().map_err(Fault::database("reading the supply"))?;
    rows.into_iter().filter_map(|(kind, record, sealed)| item(&kind, &record, sealed)).collect()
}

/// `None` for a kind that this version does not know.
fn item(kind: &str, record: &str, sealed: Option<Vec<u8>>) -> Option<Result<Item, Fault>> {
    let item = match kind {
        "provider" => serde_json::from_str(record).map(Item::Provider),
        "credential" => serde_json::from_str(record).map(|mut credential| {
            let CredentialRecord { sealed: place, .. } = &mut credential;
            *place = sealed.unwrap_or_default();
            Item::Credential(credential)
        }),
        "price" => serde_json::from_str(record).map(Item::Price),
        "alias" => serde_json::from_str(record).map(Item::Alias),
        _ => return None,
    };
    Some(item.map_err(Fault::from))
}

/// Lets `change` change all of it, and writes what is different.
pub(crate) fn update<T, E>(
    connection: &mut Connection,
    change: impl FnOnce(&mut Supply) -> Result<T, E>,
    by: &By,
) -> Result<T, NotChanged<E>> {
    let transaction = begin(connection)?;
    let before = read(&transaction)?;
    let mut after = before.clone();
    let given = change(&mut after).map_err(NotChanged::Refused)?;
    let (at, act) = (by.at, |place: &Place, action| by.act(action, place.name()));
    for (place, old) in before.items().filter(|(place, _)| !after.has(place)) {
        remove(&transaction, place)?;
        let [.., action] = actions(place);
        audit::write(&transaction, &act(place, action), Some(Shown::item(old)?), None)?;
    }
    for (place, new) in after.items() {
        let old = before.get(place);
        let stamp = old.map_or(Stamp { created_at: at, ..Stamp::default() }, Item::stamp);
        // What `change` wrote there does not count.
        if old.is_some_and(|old| *old == new.clone().stamped(stamp)) {
            continue;
        }
        let revision = stamp.revision.saturating_add(1);
        let new = new.clone().stamped(Stamp { revision, updated_at: at, ..stamp });
        write(&transaction, place, &new)?;
        let [created, updated, _] = actions(place);
        let action = if old.is_some() { updated } else { created };
        let old = old.map(Shown::item).transpose()?;
        audit::write(&transaction, &act(place, action), old, Some(Shown::item(&new)?))?;
    }
    transaction.commit().map_err(Fault::database("committing"))?;
    Ok(given)
}

/// What is written down when a record is made, changed, and taken away.
const fn actions(place: &Place) -> [&'static str; 3] {
    match place {
        Place::Provider(_) => ["provider.create", "provider.update", "provider.delete"],
        Place::Credential(_) => ["credential.create", "credential.update", "credential.delete"],
        Place::Price(..) => ["price.create", "price.update", "price.delete"],
        Place::Alias(_) => ["alias.create", "alias.update", "alias.delete"],
    }
}

fn remove(connection: &Connection, place: &Place) -> Result<(), Fault> {
    connection
        .prepare_cached("DELETE FROM supply WHERE kind = ?1 AND name = ?2")
        .and_then(|mut delete| delete.execute(params![place.kind(), place.name()]))
        .map(|_| ())
        .map_err(Fault::database("deleting from the supply"))
}

fn write(connection: &Connection, place: &Place, item: &Item) -> Result<(), Fault> {
    let sealed = match item {
        Item::Credential(credential) => Some(&credential.sealed),
        Item::Provider(_) | Item::Price(_) | Item::Alias(_) => None,
    };
    let (record, stamp) = (serde_json::to_string(item)?, item.stamp());
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO supply (kind, name, revision, updated_at, record, sealed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                place.kind(),
                place.name(),
                int(stamp.revision),
                stamp.updated_at.micros(),
                record,
                sealed,
            ])
        })
        .map(|_| ())
        .map_err(|error| taken(error, "writing to the supply"))
}
