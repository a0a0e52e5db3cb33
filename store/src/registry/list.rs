//! Lists of keys: newest first, a page at a time, found by an index that also answers the filter.

use domain::{Key, KeyId};
use rusqlite::{Connection, types::Value};

use crate::fault::Fault;

/// Which keys, and which page of them.
#[derive(Clone, Debug, Default)]
pub struct KeyQuery {
    /// Only those this management key made.
    pub maker: Option<KeyId>,
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
        let id = |id: KeyId| Value::Blob(id.ulid().bytes().to_vec());
        if let Some(maker) = self.maker {
            parts.push("maker = ?");
            values.push(id(maker));
        }
        if let Some(after) = self.after {
            parts.push("id < ?");
            values.push(id(after));
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

    /// The index that has every column of the condition.
    const fn index(&self) -> &'static str {
        if self.maker.is_some() { "key_maker" } else { "key_list" }
    }
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
    let index = match (&all.name_contains, all.maker) {
        (None, None) => "key_state",
        _ => all.index(),
    };
    let sql = format!("SELECT count(*) FROM key INDEXED BY {index} WHERE {condition}");
    connection
        .prepare_cached(&sql)
        .and_then(|mut count| {
            count.query_row(rusqlite::params_from_iter(values), |row| row.get::<_, i64>(0))
        })
        .map(crate::database::uint)
        .map_err(Fault::database("counting keys"))
}
