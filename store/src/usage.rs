//! Questions about usage, answered from the hourly sums. Whose a key is, is asked of the records as
//! they are now.

use std::collections::HashMap;
use std::fmt::Write as _;

use domain::id::Ulid;
use domain::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR};
use domain::{Class, KeyId, Money, ProjectId, TeamId, Timestamp, Usage, UserId};
use rusqlite::{Connection, OptionalExtension as _, types::Value};

use crate::database::uint;
use crate::fault::Fault;
use crate::sums::Sum;

/// What sums are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// The key.
    Key,
    /// The model, as it was sent to the provider.
    Model,
    /// The provider.
    Provider,
    /// The user whose key it is.
    User,
    /// The key's team, or its user's.
    Team,
    /// The key's project.
    Project,
    /// The UTC hour.
    Hour,
    /// The UTC day.
    Day,
}

/// What sums come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest hours or days, and of these the dearest.
    #[default]
    Newest,
    /// The dearest.
    Cost,
    /// Those of the most tokens.
    Tokens,
    /// Those of the most calls.
    Calls,
}

/// Which rows, and how they are told apart.
#[derive(Clone, Debug, Default)]
pub struct UsageQuery {
    /// From the UTC hour this moment lies in.
    pub from: Option<Timestamp>,
    /// Only hours that begin before this moment.
    pub until: Option<Timestamp>,
    /// Only of this key.
    pub key: Option<KeyId>,
    /// Only of keys that this management key made.
    pub maker: Option<KeyId>,
    /// Only of this user's keys.
    pub user: Option<UserId>,
    /// Only of this team's keys, and those of its users.
    pub team: Option<TeamId>,
    /// Only of this project's keys.
    pub project: Option<ProjectId>,
    /// Only of this model.
    pub model: Option<String>,
    /// Only of this provider.
    pub provider: Option<String>,
    /// One sum for every combination of these; none: no sums, only the total.
    pub group: Vec<Group>,
    /// No sum of what belongs to no user, team or project, where sums are told apart by that.
    pub owned: bool,
    /// Which sums come first.
    pub order: Order,
    /// At most so many sums; never more than [`UsageQuery::MOST`].
    pub most: usize,
}

impl UsageQuery {
    /// The most sums one answer has.
    pub const MOST: usize = 10_000;
}

/// A sum, and what it is about. A member is set where the question was grouped by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageSum {
    /// The key.
    pub key: Option<KeyId>,
    /// The model.
    pub model: Option<String>,
    /// The provider.
    pub provider: Option<String>,
    /// The user; `None` too where the key is no user's.
    pub user: Option<UserId>,
    /// The team; `None` too where the key is no team's.
    pub team: Option<TeamId>,
    /// The project.
    pub project: Option<ProjectId>,
    /// The beginning of the hour or day.
    pub start: Option<Timestamp>,
    /// What it comes to.
    pub sum: Sum,
}

/// Sums, newest and dearest first, and the total of everything asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageReport {
    /// One for every combination, as far as they were wanted.
    pub sums: Vec<UsageSum>,
    /// Of all rows, on this page or not.
    pub total: Sum,
    /// Whether there are more sums.
    pub cut_short: bool,
}

const SUM_COLUMNS: [&str; 6] = ["calls", "unpriced", "failed", "cost", "estimated", "micros"];

pub(crate) fn report(connection: &Connection, query: &UsageQuery) -> Result<UsageReport, Fault> {
    read(connection, query).map_err(Fault::database("reading usage"))
}

fn read(connection: &Connection, query: &UsageQuery) -> rusqlite::Result<UsageReport> {
    let mut report = UsageReport::default();
    // Both statements see the same moment.
    let transaction = connection.unchecked_transaction()?;
    let (condition, values) = condition(query);
    let sums = sum_columns();
    let from = source(query);
    let total = format!("SELECT {sums} FROM {from} WHERE {condition}");
    report.total = transaction
        .prepare_cached(&total)?
        .query_row(rusqlite::params_from_iter(&values), |row| sum(row, 0))?;
    if query.group.is_empty() {
        return Ok(report);
    }
    let most = query.most.min(UsageQuery::MOST);
    let (columns, groups) = group_columns(&query.group);
    let sql = format!(
        "SELECT {columns}, {sums} FROM {from} WHERE {condition}
         GROUP BY {groups} ORDER BY {}, 1, 2, 3, 5, 6, 7 LIMIT {}",
        order(query.order),
        most + 1
    );
    report.sums = transaction
        .prepare_cached(&sql)?
        .query_map(rusqlite::params_from_iter(&values), |row| {
            Ok(UsageSum {
                key: id(row, 0)?.map(KeyId::from_ulid),
                model: row.get(1)?,
                provider: row.get(2)?,
                start: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_seconds),
                user: id(row, 4)?.map(UserId::from_ulid),
                team: id(row, 5)?.map(TeamId::from_ulid),
                project: id(row, 6)?.map(ProjectId::from_ulid),
                sum: sum(row, 7)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    report.cut_short = report.sums.len() > most;
    report.sums.truncate(most);
    Ok(report)
}

/// When the newest call of each of `keys` began, of those that have called.
pub(crate) fn last_used(
    connection: &Connection,
    keys: &[KeyId],
) -> Result<HashMap<KeyId, Timestamp>, Fault> {
    let read = || -> rusqlite::Result<_> {
        let mut select =
            connection.prepare_cached("SELECT at FROM sums.key_used WHERE key = ?1")?;
        let mut found = HashMap::new();
        for key in keys {
            let at = select.query_row([key.ulid().bytes()], |row| row.get(0)).optional()?;
            found.extend(at.map(|at| (*key, Timestamp::from_micros(at))));
        }
        Ok(found)
    };
    read().map_err(Fault::database("reading when keys were used"))
}

fn id(row: &rusqlite::Row<'_>, place: usize) -> rusqlite::Result<Option<Ulid>> {
    Ok(row.get::<_, Option<[u8; 16]>>(place)?.map(Ulid::from_bytes))
}

/// The sums, with whose they are where that is asked.
fn source(query: &UsageQuery) -> &'static str {
    let by_owner = |group: &Group| matches!(group, Group::User | Group::Team | Group::Project);
    let filtered = query.user.is_some() || query.team.is_some() || query.project.is_some();
    if filtered || query.group.iter().any(by_owner) {
        "sums.usage_hour AS u LEFT JOIN main.key AS k ON k.id = u.key
         LEFT JOIN main.owner AS o ON o.kind = 'user' AND o.id = k.user"
    } else {
        "sums.usage_hour AS u"
    }
}

/// The team of the key `k`, whose user is `o`.
const TEAM: &str = "coalesce(o.team, k.team)";

fn order(order: Order) -> String {
    let (newest, cost) = ("4 DESC", "sum(u.cost) DESC");
    match order {
        Order::Newest => format!("{newest}, {cost}"),
        Order::Cost => cost.to_owned(),
        Order::Tokens => {
            let tokens = Class::ALL.into_iter().filter(|class| class.is_tokens());
            let sums: Vec<_> = tokens.map(|class| format!("sum(u.{})", class.name())).collect();
            format!("{} DESC, {cost}", sums.join(" + "))
        }
        Order::Calls => format!("sum(u.calls) DESC, {cost}"),
    }
}

/// Key, model, provider, start, user, team and project, each as itself or as nothing; and what to
/// group by.
fn group_columns(group: &[Group]) -> (String, String) {
    let name = |column: &str| format!("(SELECT text FROM sums.name WHERE id = u.{column})");
    let day =
        format!("u.hour - ((u.hour % {SECONDS_PER_DAY}) + {SECONDS_PER_DAY}) % {SECONDS_PER_DAY}");
    let mut shown: [String; 7] = std::array::from_fn(|_| "NULL".to_owned());
    let mut groups = Vec::new();
    for one in group {
        let (place, column, by) = match one {
            Group::Key => (0, "u.key".to_owned(), "u.key"),
            Group::Model => (1, name("model"), "u.model"),
            Group::Provider => (2, name("provider"), "u.provider"),
            Group::User => (4, "k.user".to_owned(), "k.user"),
            Group::Team => (5, TEAM.to_owned(), TEAM),
            Group::Project => (6, "k.project".to_owned(), "k.project"),
            Group::Hour => (3, "u.hour".to_owned(), "u.hour"),
            Group::Day => (3, day.clone(), day.as_str()),
        };
        shown[place] = column;
        groups.push(by.to_owned());
    }
    (shown.join(", "), groups.join(", "))
}

fn condition(query: &UsageQuery) -> (String, Vec<Value>) {
    let mut sql = "1".to_owned();
    let mut values = Vec::new();
    let mut add = |part: &str, value: Value| {
        let _ = write!(sql, " AND {part}");
        values.push(value);
    };
    for (part, id) in [
        ("u.key = ?", query.key.map(KeyId::ulid)),
        ("u.key IN (SELECT id FROM main.key WHERE maker = ?)", query.maker.map(KeyId::ulid)),
        ("k.user = ?", query.user.map(UserId::ulid)),
        (&*format!("{TEAM} = ?"), query.team.map(TeamId::ulid)),
        ("k.project = ?", query.project.map(ProjectId::ulid)),
    ] {
        if let Some(id) = id {
            add(part, Value::Blob(id.bytes().to_vec()));
        }
    }
    if let Some(from) = query.from {
        add("u.hour >= ?", Value::Integer(from.hour().seconds()));
    }
    if let Some(until) = query.until {
        // Hours that begin before a moment inside one include that one.
        let hours = until.plus_seconds(SECONDS_PER_HOUR).micros().saturating_sub(1);
        let end = Timestamp::from_micros(hours).hour().seconds();
        add("u.hour < ?", Value::Integer(end));
    }
    for (column, name) in [("model", &query.model), ("provider", &query.provider)] {
        if let Some(name) = name {
            let part = format!("u.{column} = (SELECT id FROM sums.name WHERE text = ?)");
            add(&part, Value::Text(name.clone()));
        }
    }
    for group in query.group.iter().filter(|_| query.owned) {
        let column = match group {
            Group::User => "k.user",
            Group::Team => TEAM,
            Group::Project => "k.project",
            Group::Key | Group::Model | Group::Provider | Group::Hour | Group::Day => continue,
        };
        let _ = write!(sql, " AND {column} IS NOT NULL");
    }
    (sql, values)
}

fn sum_columns() -> String {
    let columns = SUM_COLUMNS.into_iter().chain(Class::ALL.map(Class::name));
    let sums: Vec<_> = columns.map(|name| format!("coalesce(sum(u.{name}), 0)")).collect();
    sums.join(", ")
}

fn sum(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Sum> {
    let number = |place: usize| row.get::<_, i64>(first + place);
    let mut usage = Usage::NONE;
    for (place, class) in (SUM_COLUMNS.len()..).zip(Class::ALL) {
        usage[class] = uint(number(place)?);
    }
    Ok(Sum {
        calls: uint(number(0)?),
        unpriced: uint(number(1)?),
        failed: uint(number(2)?),
        cost: Money::from_nanos(number(3)?),
        estimated: Money::from_nanos(number(4)?),
        total_micros: uint(number(5)?),
        usage,
    })
}
