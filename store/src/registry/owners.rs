//! Records of the instance, projects, teams and users. How many users a team has is counted here,
//! in the transaction that adds or moves one.

use domain::id::Ulid;
use domain::{KeyId, Owner, ProjectId, Scope, TeamId, Timestamp, UserId};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::database::int;
use crate::directory::owners::Owners;
use crate::fault::Fault;

use super::audit::{self, Act, Shown};
use super::{NotChanged, begin, is_at, record_text, taken};

/// Which owners, and which page of them.
#[derive(Clone, Debug)]
pub struct OwnerQuery {
    /// Their kind, as [`Scope::kind`] names it: `project`, `team` or `user`.
    pub kind: &'static str,
    /// Only users of this team.
    pub team: Option<TeamId>,
    /// Only those with this name; among users that is one at most.
    pub name: Option<String>,
    /// Only those made before this one: the last one of the page before.
    pub after: Option<Scope>,
    /// At most so many; never more than [`OwnerQuery::MOST`].
    pub page_size: usize,
}

impl OwnerQuery {
    /// The most owners a page has: a thousand, and one that tells whether there is another page.
    pub const MOST: usize = 1_001;
}

/// The two that always exist, the instance and the default project: read, or written as nobody
/// has changed them yet.
pub(crate) fn found(connection: &Connection) -> Result<[Owner; 2], Fault> {
    let one = |scope, name| {
        if let Some(owner) = read(connection, scope)? {
            return Ok(owner);
        }
        let owner = Owner::new(scope, name, Timestamp::default());
        insert_record(connection, &owner).map(|()| owner)
    };
    Ok([one(Scope::Instance, "instance")?, one(Scope::Project(ProjectId::DEFAULT), "default")?])
}

const fn id(scope: Scope) -> Ulid {
    match scope {
        Scope::Instance => Ulid::from_bits(0),
        Scope::Project(id) => ProjectId::ulid(id),
        Scope::Team(id) => TeamId::ulid(id),
        Scope::User(id) => UserId::ulid(id),
        Scope::Key(id) => KeyId::ulid(id),
    }
}

/// `owner` with what only the registry says about it: a team's members; and no team but a user's,
/// no plan but a project's.
fn kept(owner: Owner, members: u32) -> Owner {
    let team = owner.team.filter(|_| matches!(owner.scope, Scope::User(_)));
    let plan = owner.plan.filter(|_| matches!(owner.scope, Scope::Project(_)));
    Owner { members, team, plan, ..owner }
}

/// Writes a new owner and one audit row.
pub(crate) fn insert(
    connection: &mut Connection,
    owners: &Owners,
    owner: Owner,
    act: &Act,
) -> Result<(), Fault> {
    if matches!(owner.scope, Scope::Key(_)) {
        return Err(Fault::NoSuchOwner(owner.scope));
    }
    let owner = kept(owner, 0);
    let transaction = begin(connection)?;
    insert_record(&transaction, &owner)?;
    let team = owner.team.map(|team| count(&transaction, team, 1)).transpose()?;
    audit::write(&transaction, act, None, Some(Shown::owner(&owner)?))?;
    transaction.commit().map_err(Fault::database("committing"))?;
    owners.publish([owner].into_iter().chain(team));
    Ok(())
}

fn insert_record(connection: &Connection, owner: &Owner) -> Result<(), Fault> {
    super::note_rolling(connection, &owner.limits)?;
    let record = serde_json::to_string(owner)?;
    connection
        .prepare_cached(
            "INSERT INTO owner (kind, id, name, team, revision, updated_at, record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                owner.scope.kind(),
                id(owner.scope).bytes(),
                owner.name,
                owner.team.map(|team| team.ulid().bytes()),
                int(owner.revision),
                owner.updated_at.micros(),
                record,
            ])
        })
        .map(|_| ())
        .map_err(|error| taken(error, "inserting an owner"))
}

/// Reads an owner, lets `change` change it, writes it back, all in one transaction. What it is,
/// its members, its revision and the time of the change are not `change`'s to set.
pub(crate) fn update<E>(
    connection: &mut Connection,
    owners: &Owners,
    scope: Scope,
    expected: Option<u64>,
    change: impl FnOnce(&mut Owner) -> Result<(), E>,
    act: &Act,
) -> Result<(Owner, Owner), NotChanged<E>> {
    let transaction = begin(connection)?;
    let before = read(&transaction, scope)?.ok_or(Fault::NotFound)?;
    is_at(expected, before.revision)?;
    let mut after = before.clone();
    change(&mut after).map_err(NotChanged::Refused)?;
    after.scope = before.scope;
    after.revision = before.revision.saturating_add(1);
    after.updated_at = act.at;
    let after = kept(after, before.members);
    update_record(&transaction, &after)?;
    let mut changed = vec![after.clone()];
    if before.team != after.team {
        for (team, more) in [(before.team, -1), (after.team, 1)] {
            changed.extend(team.map(|team| count(&transaction, team, more)).transpose()?);
        }
    }
    audit::write(&transaction, act, Some(Shown::owner(&before)?), Some(Shown::owner(&after)?))?;
    transaction.commit().map_err(Fault::database("committing"))?;
    owners.publish(changed);
    Ok((before, after))
}

/// Adds `more` to the members of `team`, and gives the team as it is then.
fn count(connection: &Connection, team: TeamId, more: i32) -> Result<Owner, Fault> {
    let scope = Scope::Team(team);
    let mut owner = read(connection, scope)?.ok_or(Fault::NoSuchOwner(scope))?;
    owner.members = owner.members.saturating_add_signed(more);
    update_record(connection, &owner)?;
    Ok(owner)
}

fn update_record(connection: &Connection, owner: &Owner) -> Result<(), Fault> {
    super::note_rolling(connection, &owner.limits)?;
    let record = serde_json::to_string(owner)?;
    connection
        .prepare_cached(
            "UPDATE owner SET name = ?3, team = ?4, revision = ?5, updated_at = ?6, record = ?7
             WHERE kind = ?1 AND id = ?2",
        )
        .and_then(|mut update| {
            update.execute(params![
                owner.scope.kind(),
                id(owner.scope).bytes(),
                owner.name,
                owner.team.map(|team| team.ulid().bytes()),
                int(owner.revision),
                owner.updated_at.micros(),
                record,
            ])
        })
        .map(|_| ())
        .map_err(|error| taken(error, "updating an owner"))
}

/// Says no where `scope` has no record.
pub(crate) fn must_exist(connection: &Connection, scope: Scope) -> Result<(), Fault> {
    let exists = connection
        .prepare_cached("SELECT 1 FROM owner WHERE kind = ?1 AND id = ?2")
        .and_then(|mut select| select.exists(params![scope.kind(), id(scope).bytes()]))
        .map_err(Fault::database("looking for an owner"))?;
    if exists { Ok(()) } else { Err(Fault::NoSuchOwner(scope)) }
}

/// The owner with this id.
pub(crate) fn read(connection: &Connection, scope: Scope) -> Result<Option<Owner>, Fault> {
    let record = connection
        .prepare_cached("SELECT record FROM owner WHERE kind = ?1 AND id = ?2")
        .and_then(|mut select| {
            select.query_row(params![scope.kind(), id(scope).bytes()], record_text).optional()
        })
        .map_err(Fault::database("reading an owner"))?;
    Ok(record.map(|record| serde_json::from_str(&record)).transpose()?)
}

/// Owners, newest first.
pub(crate) fn page(connection: &Connection, query: &OwnerQuery) -> Result<Vec<Owner>, Fault> {
    let blob = |id: Ulid| Value::Blob(id.bytes().to_vec());
    let mut condition = "kind = ?".to_owned();
    let mut values = vec![Value::Text(query.kind.to_owned())];
    for (part, value) in [
        (" AND team = ?", query.team.map(|team| blob(team.ulid()))),
        (" AND name = ?", query.name.clone().map(Value::Text)),
        (" AND id < ?", query.after.map(|after| blob(id(after)))),
    ] {
        if let Some(value) = value {
            condition.push_str(part);
            values.push(value);
        }
    }
    let size = query.page_size.min(OwnerQuery::MOST);
    values.push(Value::Integer(i64::try_from(size).unwrap_or(i64::MAX)));
    // A name leaves fewer to look at than a team does.
    let index = if query.name.is_some() { "INDEXED BY owner_name" } else { "" };
    let sql =
        format!("SELECT record FROM owner {index} WHERE {condition} ORDER BY id DESC LIMIT ?");
    let read = || -> rusqlite::Result<Vec<String>> {
        connection
            .prepare_cached(&sql)?
            .query_map(rusqlite::params_from_iter(values), record_text)?
            .collect()
    };
    let records = read().map_err(Fault::database("listing owners"))?;
    records.iter().map(|record| Ok(serde_json::from_str(record)?)).collect()
}

/// The teams of users, as far as they have one, in their order.
pub(crate) fn teams(
    connection: &Connection,
    users: &[UserId],
) -> Result<Vec<Option<TeamId>>, Fault> {
    let team = |user: &UserId| -> rusqlite::Result<Option<TeamId>> {
        let bytes: Option<Option<[u8; 16]>> = connection
            .prepare_cached("SELECT team FROM owner WHERE kind = 'user' AND id = ?1")?
            .query_row([user.ulid().bytes()], |row| row.get(0))
            .optional()?;
        Ok(bytes.flatten().map(|bytes| TeamId::from_ulid(Ulid::from_bytes(bytes))))
    };
    let teams: rusqlite::Result<_> = users.iter().map(team).collect();
    teams.map_err(Fault::database("reading users' teams"))
}
