//! Lists of keys: newest first, a page at a time, found by an index that also answers the filter.

use domain::id::Ulid;
use domain::{Key, KeyId, ProjectId, TeamId, UserId};
use rusqlite::{Connection, types::Value};

use crate::fault::Fault;

/// Which keys, and which page of them.
#[derive(Clone, Debug, Default)]
pub struct KeyQuery {
    /// Only those this management key made.
    pub maker: Option<KeyId>,
    /// Only those of this project.
    pub project: Option<ProjectId>,
    /// Only those of this user.
    pub user: Option<UserId>,
    /// Only those of this team: its own, and those of its users.
    pub team: Option<TeamId>,
    /// Revoked ones too.
    pub include_revoked: bool,
    /// Disabled ones too.
    pub include_disabled: bool,
    /// Only those whose name has this in it; ASCII letters match in either case.
    pub name_contains: Option<String>,
    /// Only those made before this one: the last one of the page before.
    pub after: Option<KeyId>,
    /// Leave out so many. Prefer `after`: this costs what it leaves out.
    pub offset: usize,
    /// At most so many; never more than [`KeyQuery::MOST`].
    pub page_size: usize,
}

impl KeyQuery {
    /// The most keys a page has.
    pub const MOST: usize = 1_000;

    /// The condition and its values.
    fn condition(&self) -> (String, Vec<Value>) {
        let mut parts = vec!["1"];
        let mut values = Vec::new();
        for (part, id) in [
            ("maker = ?", self.maker.map(KeyId::ulid)),
            ("project = ?", self.project.map(ProjectId::ulid)),
            ("user = ?", self.user.map(UserId::ulid)),
            ("id < ?", self.after.map(KeyId::ulid)),
        ] {
            if let Some(id) = id {
                parts.push(part);
                values.push(blob(id));
            }
        }
        if let Some(team) = self.team {
            parts.push(
                "id IN (SELECT id FROM key WHERE team = ? AND user IS NULL
                        UNION ALL
                        SELECT key.id FROM owner JOIN key ON key.user = owner.id
                        WHERE owner.team = ?)",
            );
            values.extend([blob(team.ulid()), blob(team.ulid())]);
        }
        match (self.include_disabled, self.include_revoked) {
            (true, true) => {}
            (true, false) => parts.push("state IN (0, 1)"),
            (false, true) => parts.push("state IN (0, 2)"),
            (false, false) => parts.push("state = 0"),
        }
        if let Some(text) = &self.name_contains {
            parts.push(r"name LIKE ? ESCAPE '\'");
            values.push(Value::Text(format!("%{}%", escaped(text))));
        }
        (parts.join(" AND "), values)
    }

    /// The index that leaves the fewest keys to look at.
    const fn index(&self) -> &'static str {
        if self.user.is_some() {
            "key_user"
        } else if self.team.is_some() {
            // The condition gives the ids, and this one finds each.
            "key_list"
        } else if self.maker.is_some() {
            "key_maker"
        } else if self.project.is_some() {
            "key_project"
        } else {
            "key_list"
        }
    }

    /// Whether nothing but the state is asked for.
    const fn is_by_state(&self) -> bool {
        self.maker.is_none()
            && self.project.is_none()
            && self.user.is_none()
            && self.team.is_none()
            && self.name_contains.is_none()
    }
}

fn blob(id: Ulid) -> Value {
    Value::Blob(id.bytes().to_vec())
}

/// `text` without its wildcards' meaning.
fn escaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            plain.push('\\');
        }
        plain.push(character);
    }
    plain
}

pub(crate) fn page(connection: &Connection, query: &KeyQuery) -> Result<Vec<Key>, Fault> {
    let (condition, mut values) = query.condition();
    let size = |number: usize| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    values.push(size(query.page_size.min(KeyQuery::MOST)));
    values.push(size(query.offset));
    let index = query.index();
    // Records are fetched for the page alone, not for what is skipped or filtered out.
    let sql = format!(
        "SELECT record FROM key WHERE id IN (
           SELECT id FROM key INDEXED BY {index} WHERE {condition} ORDER BY id DESC LIMIT ? OFFSET ?
         ) ORDER BY id DESC"
    );
    let read = || -> rusqlite::Result<Vec<String>> {
        connection
            .prepare_cached(&sql)?
            .query_map(rusqlite::params_from_iter(values), |row| row.get(0))?
            .collect()
    };
    let records = read().map_err(Fault::database("listing keys"))?;
    records.iter().map(|record| Ok(serde_json::from_str(record)?)).collect()
}

/// How many keys there are, on all pages.
pub(crate) fn count(connection: &Connection, query: &KeyQuery) -> Result<u64, Fault> {
    let all = KeyQuery { after: None, ..query.clone() };
    let (condition, values) = all.condition();
    let index = if all.is_by_state() { "key_state" } else { all.index() };
    let sql = format!("SELECT count(*) FROM key INDEXED BY {index} WHERE {condition}");
    connection
        .prepare_cached(&sql)
        .and_then(|mut count| {
            count.query_row(rusqlite::params_from_iter(values), |row| row.get::<_, i64>(0))
        })
        .map(crate::database::uint)
        .map_err(Fault::database("counting keys"))
}

/// Every key that the operator's file has a line for and that is not revoked, the oldest first.
pub(crate) fn listed(connection: &Connection) -> Result<Vec<Key>, Fault> {
    let read = || -> rusqlite::Result<Vec<String>> {
        connection
            .prepare_cached(
                "SELECT record FROM key INDEXED BY key_listed
                 WHERE json_extract(record, '$.listed') = 1 AND state < 2 ORDER BY id",
            )?
            .query_map([], |row| row.get(0))?
            .collect()
    };
    let records = read().map_err(Fault::database("listing keys"))?;
    records.iter().map(|record| Ok(serde_json::from_str(record)?)).collect()
}
