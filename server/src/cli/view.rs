//! How answers are laid out for people: rows under a head, or facts line by line. Money has its `$`,
//! moments are told in UTC, and `-` stands for nothing. What the columns are is said in `nouns`.

use comfy_table::{CellAlignment, Table};

use super::json::Json;
use super::table;

/// How a cell is worded: the row, and the member it is about.
pub(super) type Form = fn(&Json, &str) -> String;

/// One column of a table, or one line of facts.
#[derive(Clone, Copy)]
pub(super) struct Column {
    head: &'static str,
    member: &'static str,
    form: Form,
    is_number: bool,
}

pub(super) const fn column(head: &'static str, member: &'static str, form: Form) -> Column {
    Column { head, member, form, is_number: false }
}

pub(super) const fn number(head: &'static str, member: &'static str, form: Form) -> Column {
    Column { head, member, form, is_number: true }
}

impl Column {
    /// What it says of `row`.
    pub(super) fn says(&self, row: &Json) -> String {
        (self.form)(row, self.member)
    }
}

/// What a list shows for nothing.
pub(super) const NOTHING: &str = "-";

/// The member as it is.
pub(super) fn plain(row: &Json, member: &str) -> String {
    let text = row.at(member).text().filter(|text| !text.is_empty());
    text.unwrap_or_else(|| NOTHING.to_owned())
}

/// Dollars.
pub(super) fn money(row: &Json, member: &str) -> String {
    row.at(member).text().map_or_else(|| NOTHING.to_owned(), |amount| format!("${amount}"))
}

/// A moment, to the second.
pub(super) fn moment(row: &Json, member: &str) -> String {
    let text = plain(row, member);
    let Some(bare) = text.strip_suffix('Z') else { return text };
    // What was never made was always there.
    if bare == "1970-01-01T00:00:00" {
        return NOTHING.to_owned();
    }
    let second = bare.split('.').next().unwrap_or(bare);
    format!("{} UTC", second.replacen('T', " ", 1))
}

/// A list of names.
pub(super) fn names(row: &Json, member: &str) -> String {
    match row.at(member).texts() {
        texts if texts.is_empty() => NOTHING.to_owned(),
        texts => texts.join(", "),
    }
}

/// `yes`, or nothing.
pub(super) fn yes(row: &Json, member: &str) -> String {
    if row.at(member).is_true() { "yes".to_owned() } else { NOTHING.to_owned() }
}

/// What is allowed and denied of one kind: `member` is `models`, `providers` and so on.
pub(super) fn rule(row: &Json, member: &str) -> String {
    let allowed = row.at(&format!("allowed_{member}")).texts().join(", ");
    let denied = row.at(&format!("denied_{member}")).texts().join(", ");
    match (allowed.is_empty(), denied.is_empty()) {
        (true, true) => NOTHING.to_owned(),
        (false, true) => allowed,
        (true, false) => format!("all but {denied}"),
        (false, false) => format!("{allowed}, but not {denied}"),
    }
}

/// A spending limit and when it starts again.
pub(super) fn limit(row: &Json, member: &str) -> String {
    let amount = money(row, member);
    let reset = row.at(&format!("{member}_reset")).text();
    reset.map_or(amount.clone(), |reset| format!("{amount} {reset}"))
}

/// `$10 per 6 hours, $4 left`.
pub(super) fn recurring(row: &Json, member: &str) -> String {
    let limit = row.at(member);
    if limit.is_nothing() {
        return NOTHING.to_owned();
    }
    let amount = money(&limit, "amount");
    let step = step(&plain(&limit, "every"), &plain(&limit, "unit"));
    format!("{amount} per {step}, {} left", money(&limit, "remaining"))
}

/// `hour`, `6 hours`.
pub(super) fn step(count: &str, unit: &str) -> String {
    if count == "1" { unit.to_owned() } else { format!("{count} {unit}s") }
}

/// One price for everything, or one for input and one for output.
pub(super) fn price(row: &Json, member: &str) -> String {
    let price = row.at(member);
    let (input, output) = (price.at("input"), price.at("output"));
    if input.is_nothing() && output.is_nothing() {
        return money(row, member);
    }
    format!("{} / {}", money(&price, "input"), money(&price, "output"))
}

/// So much of a limit's unit.
pub(super) fn amount(row: &Json, member: &str) -> String {
    if row.at("unit").text().as_deref() == Some("money") {
        return money(row, member);
    }
    plain(row, member)
}

/// A window in few words: `day Europe/Berlin`, `60 seconds`.
pub(super) fn window(row: &Json, member: &str) -> String {
    let window = row.at(member);
    let zone = window.at("zone").text().filter(|zone| zone != "UTC").unwrap_or_default();
    let rhythm = match window.at("kind").text().as_deref() {
        Some("calendar") => plain(&window, "period"),
        Some("every") => step(&plain(&window, "amount"), &plain(&window, "unit")),
        Some("rolling") => step(&plain(&window, "seconds"), "second"),
        Some(other) => other.to_owned(),
        None => NOTHING.to_owned(),
    };
    format!("{rhythm} {zone}").trim_end().to_owned()
}

/// Rows under a head, each of them a value of `list`.
pub(super) fn rows(list: &[Json], columns: &[Column]) -> String {
    if list.is_empty() {
        return "None.\n".to_owned();
    }
    let heads: Vec<_> = columns.iter().map(|column| column.head).collect();
    let mut shown = table(&heads);
    for row in list {
        shown.add_row(columns.iter().map(|column| column.says(row)));
    }
    for (at, _) in columns.iter().enumerate().filter(|(_, column)| column.is_number) {
        if let Some(column) = shown.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    lines(&shown, 0)
}

/// A line for each fact that there is something to say about.
pub(super) fn facts(thing: &Json, columns: &[Column]) -> String {
    let mut shown = table(&["", ""]);
    for column in columns {
        let said = column.says(thing);
        if said != NOTHING {
            shown.add_row([column.head, &said]);
        }
    }
    // Facts need no head.
    lines(&shown, 2)
}

/// The table's lines from the `first`, without blanks before and after them.
pub(super) fn lines(table: &Table, first: usize) -> String {
    let text = table.to_string();
    let bare = |line: &str| line.chars().skip(1).collect::<String>().trim_end().to_owned();
    text.lines().skip(first).map(|line| bare(line) + "\n").collect()
}
