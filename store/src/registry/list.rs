//! Lists of keys, a page at a time. Where few keys are asked for, they are fetched and sorted; where
//! they are many, an index that has the order is walked until the page is full. Both take about as
//! long whether there are a thousand keys or a million.

use domain::id::Ulid;
use domain::{Key, KeyId, KeyKind, ProjectId, Status, TeamId, Timestamp, UserId};
use rusqlite::{Connection, types::Value};

use crate::fault::Fault;

/// Which keys, in which order, and which page of them.
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
    /// Only those of this kind.
    pub kind: Option<KeyKind>,
    /// Only those that are this at that moment, whatever the next two say.
    pub status: Option<(Status, Timestamp)>,
    /// Revoked ones too.
    pub include_revoked: bool,
    /// Disabled ones too.
    pub include_disabled: bool,
    /// Only those whose name has this in it; ASCII letters match in either case.
    pub name_contains: Option<String>,
    /// By what they are sorted.
    pub order: KeyOrder,
    /// The first first, instead of the last: the oldest, the letter A, the soonest.
    pub ascending: bool,
    /// Only those that come behind this place: that of the last one of the page before.
    pub after: Option<KeyPlace>,
    /// Leave out so many. Prefer `after`: this costs what it leaves out.
    pub offset: usize,
    /// At most so many; never more than [`KeyQuery::MOST`].
    pub page_size: usize,
}

/// By what a list of keys is sorted. Those that are alike in it stand in the order they were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyOrder {
    /// When they were made.
    #[default]
    Made,
    /// Their names, by the bytes of UTF-8.
    Name,
    /// When they expire; what never does comes behind everything else.
    End,
}

/// A key's place in a list, in whichever order. It stays where it was when the key is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlace {
    /// The key.
    pub id: KeyId,
    /// Its name then.
    pub name: String,
    /// When it was to expire.
    pub expires_at: Option<Timestamp>,
}

/// In lists by when keys were made, where the id says it all.
impl From<KeyId> for KeyPlace {
    fn from(id: KeyId) -> Self {
        Self { id, name: String::new(), expires_at: None }
    }
}

impl From<&Key> for KeyPlace {
    fn from(key: &Key) -> Self {
        Self { id: key.id, name: key.name.clone(), expires_at: key.expires_at }
    }
}

/// When a key expires, as a number that is always there.
const ENDS: &str = "coalesce(key.expires_at, 9223372036854775807)";

// SQLite takes an index of some rows only where its own condition stands in the query.
const DISABLED: &str = "key.state = 1 AND key.state <> 0";
const REVOKED: &str = "key.state = 2 AND key.state <> 0";

/// As many keys are fetched and sorted without a thought.
const FEW: i64 = 10_000;

/// A part of a condition, and its values.
type Part = (String, Vec<Value>);

/// Where a list is read from.
struct Source {
    /// What stands behind FROM.
    table: &'static str,
    /// What leaves the keys that are in it; always part of the whole condition too, but for a
    /// search.
    part: Part,
}

impl Source {
    fn new(table: &'static str, part: impl Into<String>, values: Vec<Value>) -> Self {
        Self { table, part: (part.into(), values) }
    }
}

impl KeyQuery {
    /// The most keys a page has: a thousand, and one that tells whether there is another page.
    pub const MOST: usize = 1_001;

    /// What every key of the list is, on whichever page.
    fn parts(&self) -> Vec<Part> {
        let mut parts = vec![("1".to_owned(), Vec::new())];
        for (part, id) in [
            ("key.maker = ?", self.maker.map(KeyId::ulid)),
            ("key.project = ?", self.project.map(ProjectId::ulid)),
            ("key.user = ?", self.user.map(UserId::ulid)),
        ] {
            parts.extend(id.map(|id| (part.to_owned(), vec![blob(id)])));
        }
        parts.extend(self.team.map(of_team));
        parts.extend(self.kind.map(of_kind));
        parts.extend(self.states());
        if let Some(text) = &self.name_contains {
            let pattern = Value::Text(format!("%{}%", escaped(text)));
            parts.push((r"key.name LIKE ? ESCAPE '\'".to_owned(), vec![pattern]));
        }
        parts
    }

    fn states(&self) -> Option<Part> {
        let plain = |text: &str| Some((text.to_owned(), Vec::new()));
        let Some((status, at)) = self.status else {
            return match (self.include_disabled, self.include_revoked) {
                (true, true) => None,
                (true, false) => plain("key.state IN (0, 1)"),
                (false, true) => plain("key.state IN (0, 2)"),
                (false, false) => plain("key.state = 0"),
            };
        };
        let at = vec![Value::Integer(at.micros())];
        match status {
            Status::Active => Some((format!("key.state = 0 AND {ENDS} > ?"), at)),
            Status::Expired => Some((format!("key.state = 0 AND {ENDS} <= ?"), at)),
            Status::Disabled => plain(DISABLED),
            Status::Revoked => plain(REVOKED),
        }
    }

    /// What comes behind the page before.
    fn behind(&self) -> Option<Part> {
        let KeyPlace { id, name, expires_at } = self.after.as_ref()?;
        let sign = if self.ascending { ">" } else { "<" };
        let id = blob(id.ulid());
        Some(match self.order {
            KeyOrder::Made => (format!("key.id {sign} ?"), vec![id]),
            KeyOrder::Name => {
                let name = Value::Text(name.clone());
                (format!("(key.name, key.id) {sign} (?, ?)"), vec![name, id])
            }
            KeyOrder::End => {
                let end = Value::Integer(expires_at.map_or(i64::MAX, Timestamp::micros));
                (format!("({ENDS}, key.id) {sign} (?, ?)"), vec![end, id])
            }
        })
    }

    fn sorting(&self) -> String {
        let way = if self.ascending { "ASC" } else { "DESC" };
        match self.order {
            KeyOrder::Made => format!("key.id {way}"),
            KeyOrder::Name => format!("key.name {way}, key.id {way}"),
            KeyOrder::End => format!("{ENDS} {way}, key.id {way}"),
        }
    }

    /// What may leave few keys, the likeliest first.
    fn narrow(&self) -> Vec<Source> {
        let of = |table, part: &str, id: Ulid| Source::new(table, part, vec![blob(id)]);
        let mut sources = Vec::new();
        let user = self.user.map(UserId::ulid);
        sources.extend(user.map(|id| of("key INDEXED BY key_user", "key.user = ?", id)));
        sources.extend(self.team.map(|team| {
            let (part, values) = of_team(team);
            Source::new("key INDEXED BY key_list", part, values)
        }));
        sources.extend(self.off().map(|part| Source::new("key INDEXED BY key_off", part, vec![])));
        if let Some((Status::Expired, at)) = self.status {
            let (part, at) = (format!("{ENDS} <= ?"), vec![Value::Integer(at.micros())]);
            sources.push(Source::new("key INDEXED BY key_ends", part, at));
        }
        if self.kind == Some(KeyKind::Management) {
            let (part, values) = of_kind(KeyKind::Management);
            sources.push(Source::new("key INDEXED BY key_manages", part, values));
        }
        let maker = self.maker.map(KeyId::ulid);
        sources.extend(maker.map(|id| of("key INDEXED BY key_maker", "key.maker = ?", id)));
        // Names are indexed by three characters each.
        if let Some(text) = self.name_contains.as_ref().filter(|text| text.chars().count() >= 3) {
            let phrase = Value::Text(format!("\"{}\"", text.replace('"', "\"\"")));
            let table = "key_search CROSS JOIN key ON key.rowid = key_search.rowid";
            sources.push(Source::new(table, "key_search MATCH ?", vec![phrase]));
        }
        let project = self.project.map(ProjectId::ulid);
        sources.extend(project.map(|id| of("key INDEXED BY key_project", "key.project = ?", id)));
        sources
    }

    /// The state that is not the usual one, where only such keys are asked for.
    const fn off(&self) -> Option<&'static str> {
        match self.status {
            Some((Status::Disabled, _)) => Some(DISABLED),
            Some((Status::Revoked, _)) => Some(REVOKED),
            Some((Status::Active | Status::Expired, _)) | None => None,
        }
    }

    /// What has the order, to be walked through.
    const fn walk(&self) -> &'static str {
        match self.order {
            KeyOrder::Name => "key INDEXED BY key_name",
            KeyOrder::End => "key INDEXED BY key_ends",
            KeyOrder::Made if self.user.is_some() => "key INDEXED BY key_user",
            // The condition gives the ids, and this one finds each.
            KeyOrder::Made if self.team.is_some() => "key INDEXED BY key_list",
            KeyOrder::Made if self.maker.is_some() => "key INDEXED BY key_maker",
            KeyOrder::Made if self.off().is_some() => "key INDEXED BY key_off",
            KeyOrder::Made if self.project.is_some() => "key INDEXED BY key_project",
            KeyOrder::Made => "key INDEXED BY key_list",
        }
    }

    /// What to read the list from.
    fn source(&self, connection: &Connection) -> Result<Source, Fault> {
        for source in self.narrow() {
            let (part, values) = &source.part;
            let sql = format!(
                "SELECT count(*) FROM (SELECT 1 FROM {} WHERE {part} LIMIT {FEW})",
                source.table
            );
            if number(connection, &sql, values.clone(), "looking at keys")? < FEW {
                return Ok(source);
            }
        }
        Ok(Source::new(self.walk(), "1", Vec::new()))
    }

    /// Whether nothing but the state is asked for.
    const fn is_by_state(&self) -> bool {
        self.maker.is_none()
            && self.project.is_none()
            && self.user.is_none()
            && self.team.is_none()
            && self.kind.is_none()
            && self.status.is_none()
            && self.name_contains.is_none()
    }
}

fn of_team(team: TeamId) -> Part {
    let part = "key.id IN (SELECT id FROM key WHERE team = ? AND user IS NULL
                UNION ALL
                SELECT key.id FROM owner JOIN key ON key.user = owner.id
                WHERE owner.team = ?)";
    (part.to_owned(), vec![blob(team.ulid()), blob(team.ulid())])
}

/// The name stands in the text, for an index of some kinds only to be found.
fn of_kind(kind: KeyKind) -> Part {
    (format!("key.kind = '{}'", kind.name()), Vec::new())
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

/// The parts as one condition.
fn all(parts: Vec<Part>) -> Part {
    let mut values = Vec::new();
    let mut texts = Vec::with_capacity(parts.len());
    for (text, more) in parts {
        texts.push(text);
        values.extend(more);
    }
    (texts.join(" AND "), values)
}

fn number(
    connection: &Connection,
    sql: &str,
    values: Vec<Value>,
    doing: &'static str,
) -> Result<i64, Fault> {
    connection
        .prepare_cached(sql)
        .and_then(|mut select| {
            select.query_row(rusqlite::params_from_iter(values), |row| row.get::<_, i64>(0))
        })
        .map_err(Fault::database(doing))
}

pub(crate) fn page(connection: &Connection, query: &KeyQuery) -> Result<Vec<Key>, Fault> {
    let Source { table, part } = query.source(connection)?;
    let mut parts = vec![part];
    parts.extend(query.parts());
    parts.extend(query.behind());
    let (condition, mut values) = all(parts);
    let size = |number: usize| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    values.push(size(query.page_size.min(KeyQuery::MOST)));
    values.push(size(query.offset));
    let sorting = query.sorting();
    // Records are fetched for the page alone, not for what is skipped or filtered out.
    let sql = format!(
        "SELECT record FROM key WHERE id IN (
           SELECT key.id FROM {table} WHERE {condition} ORDER BY {sorting} LIMIT ? OFFSET ?
         ) ORDER BY {sorting}"
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
    let Source { table, part } = if query.is_by_state() {
        Source::new("key INDEXED BY key_state", "1", Vec::new())
    } else {
        query.source(connection)?
    };
    let mut parts = vec![part];
    parts.extend(query.parts());
    let (condition, values) = all(parts);
    let sql = format!("SELECT count(*) FROM {table} WHERE {condition}");
    number(connection, &sql, values, "counting keys").map(crate::database::uint)
}

/// How many keys count against the plan of each of `projects`: regular ones that are not revoked.
pub(crate) fn counted(connection: &Connection, projects: &[ProjectId]) -> Result<Vec<u64>, Fault> {
    let sql = "SELECT count(*) FROM key INDEXED BY key_counted
               WHERE project = ? AND kind = 'regular' AND state < 2";
    let count = |project: &ProjectId| {
        let values = vec![blob(project.ulid())];
        number(connection, sql, values, "counting keys").map(crate::database::uint)
    };
    projects.iter().map(count).collect()
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
