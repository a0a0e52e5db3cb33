//! Questions about usage, answered from the hourly sums.

use std::fmt::Write as _;

use domain::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR};
use domain::{Class, KeyId, Money, Timestamp, Usage};
use rusqlite::{Connection, types::Value};

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
    /// The UTC hour.
    Hour,
    /// The UTC day.
    Day,
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
    /// Only of this model.
    pub model: Option<String>,
    /// Only of this provider.
    pub provider: Option<String>,
    /// One sum for every combination of these; none: no sums, only the total.
    pub group: Vec<Group>,
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
    let total = format!("SELECT {sums} FROM sums.usage_hour AS u WHERE {condition}");
    report.total = transaction
        .prepare_cached(&total)?
        .query_row(rusqlite::params_from_iter(&values), |row| sum(row, 0))?;
    if query.group.is_empty() {
        return Ok(report);
    }
    let most = query.most.min(UsageQuery::MOST);
    let (columns, groups) = group_columns(&query.group);
    let sql = format!(
        "SELECT {columns}, {sums} FROM sums.usage_hour AS u WHERE {condition}
         GROUP BY {groups} ORDER BY 4 DESC, sum(cost) DESC, 1, 2, 3 LIMIT {}",
        most + 1
    );
    report.sums = transaction
        .prepare_cached(&sql)?
        .query_map(rusqlite::params_from_iter(&values), |row| {
            Ok(UsageSum {
                key: row.get::<_, Option<[u8; 16]>>(0)?.map(key_id),
                model: row.get(1)?,
                provider: row.get(2)?,
                start: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_seconds),
                sum: sum(row, 4)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    report.cut_short = report.sums.len() > most;
    report.sums.truncate(most);
    Ok(report)
}

fn key_id(bytes: [u8; 16]) -> KeyId {
    KeyId::from_ulid(domain::id::Ulid::from_bytes(bytes))
}

/// Key, model, provider and start, each as itself or as nothing; and what to group by.
fn group_columns(group: &[Group]) -> (String, String) {
    let name = |column: &str| format!("(SELECT text FROM sums.name WHERE id = u.{column})");
    let day =
        format!("u.hour - ((u.hour % {SECONDS_PER_DAY}) + {SECONDS_PER_DAY}) % {SECONDS_PER_DAY}");
    let mut shown = ["NULL".to_owned(), "NULL".to_owned(), "NULL".to_owned(), "NULL".to_owned()];
    let mut groups = Vec::new();
    for one in group {
        let (place, column, by) = match one {
            Group::Key => (0, "u.key".to_owned(), "u.key"),
            Group::Model => (1, name("model"), "u.model"),
            Group::Provider => (2, name("provider"), "u.provider"),
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
    let id = |key: KeyId| Value::Blob(key.ulid().bytes().to_vec());
    if let Some(key) = query.key {
        add("u.key = ?", id(key));
    }
    if let Some(maker) = query.maker {
        add("u.key IN (SELECT id FROM main.key WHERE maker = ?)", id(maker));
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
