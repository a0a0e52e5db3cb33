//! The figures: every sample is kept, the median is shown.

use std::fmt;

use serde::Serialize;

use super::subject::Role;

/// Which way is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Larger is better.
    More,
    /// Smaller is better.
    Less,
}

/// Everything that was measured.
#[derive(Debug, Default, Serialize)]
pub struct Book {
    rows: Vec<Row>,
    /// Requests that went wrong in any run: the figures mean little unless it is zero.
    pub errors: u64,
}

/// One measurement.
#[derive(Debug, Serialize)]
struct Row {
    title: String,
    unit: &'static str,
    better: Better,
    direct: Samples,
    bare: Samples,
    weir: Samples,
}

/// What one subject came to, round by round.
#[derive(Debug, Default, Serialize)]
struct Samples {
    median: Option<f64>,
    all: Vec<f64>,
}

impl Samples {
    fn add(&mut self, value: f64) {
        self.all.push(value);
        let mut sorted = self.all.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        self.median = if sorted.len() % 2 == 1 {
            sorted.get(middle).copied()
        } else {
            sorted.get(middle - 1).zip(sorted.get(middle)).map(|(a, b)| f64::midpoint(*a, *b))
        };
    }
}

impl Book {
    /// Adds a sample; rows stand in the order of their first one.
    pub fn add(&mut self, title: &str, unit: &'static str, better: Better, role: Role, value: f64) {
        let at = self.rows.iter().position(|row| row.title == title).unwrap_or_else(|| {
            self.rows.push(Row {
                title: title.to_owned(),
                unit,
                better,
                direct: Samples::default(),
                bare: Samples::default(),
                weir: Samples::default(),
            });
            self.rows.len() - 1
        });
        let row = &mut self.rows[at];
        match role {
            Role::Direct => row.direct.add(value),
            Role::Bare => row.bare.add(value),
            Role::Weir => row.weir.add(value),
        }
    }
}

impl fmt::Display for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = ["median", "", "direct", "bare proxy", "Weir", "Weir : bare"].map(str::to_owned);
        let lines = std::iter::once(line).chain(self.rows.iter().map(cells));
        for [title, unit, direct, bare, weir, ratio] in lines {
            writeln!(f, "{title:<52}{unit:>4} {direct:>10} {bare:>10} {weir:>10} {ratio:>12}")?;
        }
        if self.errors > 0 {
            writeln!(f, "{} requests went wrong: the figures do not count.", self.errors)?;
        }
        Ok(())
    }
}

fn cells(row: &Row) -> [String; 6] {
    let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), digits);
    // A ratio of differences, or of next to nothing, says nothing.
    let ratio = row.bare.median.zip(row.weir.median).filter(|(bare, _)| *bare > 0.0);
    let ratio = ratio.filter(|_| !row.title.starts_with("added"));
    [
        row.title.clone(),
        row.unit.to_owned(),
        shown(row.direct.median),
        shown(row.bare.median),
        shown(row.weir.median),
        ratio.map_or_else(String::new, |(bare, weir)| format!("{:.2}", weir / bare)),
    ]
}

/// As many digits as mean something.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_shown_and_compared() {
        let mut book = Book::default();
        for (bare, weir) in [(100.0, 80.0), (300.0, 90.0), (200.0, 100.0)] {
            book.add("requests/s", "1/s", Better::More, Role::Bare, bare);
            book.add("requests/s", "1/s", Better::More, Role::Weir, weir);
        }
        let text = book.to_string();
        let cells: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(cells, ["requests/s", "1/s", "–", "200", "90.0", "0.45"]);
    }
}
