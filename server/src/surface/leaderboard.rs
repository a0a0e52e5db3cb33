//! Who used the most: users, teams, keys, models. The numbers are the ledger's; this page words them.

use domain::command::Actor;
use domain::{Period, Refusal};
use futures_util::FutureExt as _;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use store::{Group, Order};

use crate::admin::{Desk, Leading};
use crate::call::Call;
use crate::failure::rfc3339;
use crate::surface::Reply;
use crate::surface::fields::invalid;
use crate::surface::keys::KeyWords;
use crate::surface::query::Query;
use crate::surface::reply::json;
use crate::surface::usage::{SumView, group_view, sum_view};

const OF: [(&str, Group); 6] = [
    ("users", Group::User),
    ("teams", Group::Team),
    ("projects", Group::Project),
    ("keys", Group::Key),
    ("models", Group::Model),
    ("providers", Group::Provider),
];

const BY: [(&str, Order); 3] =
    [("cost", Order::Cost), ("tokens", Order::Tokens), ("requests", Order::Calls)];

const PERIODS: [(&str, Option<Period>); 4] = [
    ("day", Some(Period::Day)),
    ("week", Some(Period::Week)),
    ("month", Some(Period::Month)),
    ("all", None),
];

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "leaderboard")]
pub struct Board<'a> {
    of: &'static str,
    by: &'static str,
    period: &'static str,
    /// When the period began; null for ever.
    from: Option<String>,
    data: Vec<Place<'a>>,
    /// Of all of them, shown above or not.
    totals: SumView<'a>,
    cut_short: bool,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "leaderboard_place")]
pub struct Place<'a> {
    rank: usize,
    /// What people call it.
    name: Option<&'a str>,
    #[serde(flatten)]
    sum: SumView<'a>,
}

/// `GET /api/v1/usage/leaderboard?of=users&period=month&by=cost&limit=20`
pub fn show(desk: &Desk, actor: Actor, call: Call, words: KeyWords) -> Reply<'_> {
    async move {
        let mut query = Query::read(call.head.uri.query())?;
        let (of, group) = word(&mut query, "of", &OF, 0)?;
        let (by, order) = word(&mut query, "by", &BY, 0)?;
        let (period, turn) = word(&mut query, "period", &PERIODS, 2)?;
        let most = query.number("limit", 1, 100)?.unwrap_or(20) as usize;
        query.end()?;
        let leading = Leading { of: group, by: order, period: turn, most };
        let leaders = desk.leaders(actor, leading, call.at).await?;
        let report = &leaders.report;
        let places = report.sums.iter().zip(&leaders.names);
        let data = (1..)
            .zip(places)
            .map(|(rank, (sum, name))| Place {
                rank,
                name: name.as_deref(),
                sum: group_view(sum, &[group], words),
            })
            .collect();
        let board = Board {
            of,
            by,
            period,
            from: leaders.from.map(rfc3339),
            data,
            totals: sum_view(&report.total),
            cut_short: report.cut_short,
        };
        Ok(json(StatusCode::OK, &board))
    }
    .boxed()
}

/// One of `words`, or the one at `usual` where nothing is said.
fn word<T: Copy>(
    query: &mut Query,
    name: &str,
    words: &[(&'static str, T)],
    usual: usize,
) -> Result<(&'static str, T), Refusal> {
    let said = query.said(name);
    let found = match &said {
        None => words.get(usual),
        Some(text) => words.iter().find(|(word, _)| word == text),
    };
    found.copied().ok_or_else(|| {
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        invalid(name, &format!("one of {}", known.join(", ")))
    })
}
