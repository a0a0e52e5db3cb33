//! What was used and what it cost: sums by key, model, provider, hour or day, and single calls. The
//! numbers are the ledger's; this page words them.

use domain::command::Actor;
use domain::{Class, Code, Correction, Evidence, HoldId, KeyId, Refusal, Row};
use futures_util::FutureExt as _;
use http::StatusCode;
use serde::Serialize;
use serde::ser::SerializeMap as _;
use store::{Group, RowQuery, Sum, UsageQuery, UsageSum};

use crate::admin::{Desk, Truth, no_such};
use crate::call::Call;
use crate::failure::rfc3339;
use crate::surface::Reply;
use crate::surface::fields::{Fields, Query, invalid};
use crate::surface::reply::{Dollars, json};

const GROUPS: [(&str, Group); 5] = [
    ("key", Group::Key),
    ("model", Group::Model),
    ("provider", Group::Provider),
    ("hour", Group::Hour),
    ("day", Group::Day),
];

/// Units by class; classes that were not used are left out.
struct Units<'a>(&'a domain::Usage);

impl Serialize for Units<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (class, units) in self.0.used() {
            map.serialize_entry(class.name(), &units)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct SumView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    calls: u64,
    /// Calls that did not come to their end.
    failed_calls: u64,
    /// Calls of models without a price: their cost is not known, and not in `cost`.
    unpriced_calls: u64,
    input_tokens: u64,
    output_tokens: u64,
    units: Units<'a>,
    /// Dollars.
    cost: Dollars,
    /// Dollars of it that are estimated, because a provider did not say.
    cost_estimated: Dollars,
}

#[derive(Serialize)]
struct Sums<'a> {
    data: Vec<SumView<'a>>,
    /// Of everything asked about, shown above or not.
    totals: SumView<'a>,
    /// Whether there are more groups than `limit`.
    cut_short: bool,
}

/// `GET /api/v1/usage?group_by=model,day&from=…&until=…&key=…&model=…&provider=…`
pub fn sums(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let mut query = Query::read(call.head.uri.query())?;
        let group = match query.text("group_by") {
            None => Vec::new(),
            Some(names) => names.split(',').map(group_of).collect::<Result<_, _>>()?,
        };
        let wanted = UsageQuery {
            from: query.moment("from")?,
            until: query.moment("until")?,
            key: query.parsed::<KeyId>("key", "the hash of a key")?,
            maker: maker(actor),
            model: query.text("model"),
            provider: query.text("provider"),
            group,
            most: query.number("limit", 1, 10_000)?.unwrap_or(1_000) as usize,
        };
        query.end()?;
        let report = desk.gate.store.usage(wanted).await?;
        let data = report.sums.iter().map(group_view).collect();
        Ok(json(
            StatusCode::OK,
            &Sums { data, totals: sum_view(&report.total), cut_short: report.cut_short },
        ))
    }
    .boxed()
}

fn group_of(name: &str) -> Result<Group, Refusal> {
    let found = GROUPS.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, group)| *group)
        .ok_or_else(|| invalid("group_by", "a list of key, model, provider, hour and day"))
}

fn maker(actor: Actor) -> Option<KeyId> {
    match actor {
        Actor::Manager(id) => Some(id),
        Actor::Operator | Actor::Dashboard | Actor::Holder(_) | Actor::Anybody => None,
    }
}

fn group_view(group: &UsageSum) -> SumView<'_> {
    SumView {
        from: group.start.map(rfc3339),
        key: group.key.map(|key| key.to_string()),
        model: group.model.as_deref(),
        provider: group.provider.as_deref(),
        ..sum_view(&group.sum)
    }
}

fn sum_view(sum: &Sum) -> SumView<'_> {
    SumView {
        from: None,
        key: None,
        model: None,
        provider: None,
        calls: sum.calls,
        failed_calls: sum.failed,
        unpriced_calls: sum.unpriced,
        input_tokens: sum.usage.input_tokens(),
        output_tokens: sum.usage.output_tokens(),
        units: Units(&sum.usage),
        cost: Dollars(sum.cost),
        cost_estimated: Dollars(sum.estimated),
    }
}

#[derive(Serialize)]
struct CallView<'a> {
    id: String,
    request_id: String,
    key: String,
    route: &'a str,
    model: &'a str,
    model_used: &'a str,
    provider: &'a str,
    credential: &'a str,
    stream: bool,
    status: u16,
    ending: &'static str,
    evidence: &'static str,
    input_tokens: u64,
    output_tokens: u64,
    units: Units<'a>,
    /// Dollars; null where the model has no price.
    cost: Option<Dollars>,
    /// Dollars that were held before the call; 0 where no limit on money applied.
    held: Dollars,
    /// Tokens that limits counted.
    tokens: i64,
    /// Dollars it cost beyond what was held.
    overrun: Dollars,
    price_version: &'a str,
    /// Pico-dollars per unit of the classes that were used.
    rates: Rates<'a>,
    began_at: String,
    gateway_micros: u64,
    first_byte_micros: Option<u64>,
    total_micros: u64,
}

struct Rates<'a>(&'a [(Class, domain::Price)]);

impl Serialize for Rates<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(class, price)| (class.name(), price.picos())))
    }
}

#[derive(Serialize)]
struct Calls<'a> {
    data: Vec<CallView<'a>>,
    /// Whether older rows were left unread.
    cut_short: bool,
}

const EVIDENCE: [Evidence; 3] = [Evidence::Reported, Evidence::Counted, Evidence::Estimated];

fn evidence(query: &mut Query) -> Result<Option<Evidence>, Refusal> {
    let Some(text) = query.text("evidence") else { return Ok(None) };
    let found = EVIDENCE.into_iter().find(|evidence| evidence.name() == text);
    found.map(Some).ok_or_else(|| invalid("evidence", "reported, counted or estimated"))
}

/// `GET /api/v1/usage/calls?key=…&request_id=…&evidence=…&from=…&until=…&limit=…`, the newest first.
pub fn calls(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let mut query = Query::read(call.head.uri.query())?;
        let wanted = RowQuery {
            key: query.parsed::<KeyId>("key", "the hash of a key")?,
            request: query.parsed("request_id", "the x-request-id of an answer")?,
            evidence: evidence(&mut query)?,
            from: query.moment("from")?,
            until: query.moment("until")?,
            most: query.number("limit", 1, 1_000)?.unwrap_or(100) as usize,
        };
        query.end()?;
        let wanted = match (actor, wanted.key) {
            (Actor::Operator | Actor::Dashboard, _) => wanted,
            // A management key sees the calls of one of its own keys at a time.
            (_, Some(id)) => {
                desk.key(actor, id).await?;
                wanted
            }
            (_, None) => {
                return Err(
                    invalid("key", "sent, when a management key asks for single calls").into()
                );
            }
        };
        let found = desk.gate.store.rows(wanted).await?;
        let data = found.rows.iter().map(call_view).collect();
        Ok(json(StatusCode::OK, &Calls { data, cut_short: found.cut_short }))
    }
    .boxed()
}

fn call_view(row: &Row) -> CallView<'_> {
    CallView {
        id: row.attempt.to_string(),
        request_id: row.request.to_string(),
        key: row.key.to_string(),
        route: &row.route,
        model: &row.model_asked,
        model_used: &row.model_used,
        provider: &row.provider,
        credential: &row.credential,
        stream: row.stream,
        status: row.status,
        ending: row.ending.name(),
        evidence: row.evidence.name(),
        input_tokens: row.usage.input_tokens(),
        output_tokens: row.usage.output_tokens(),
        units: Units(&row.usage),
        cost: row.cost.map(Dollars),
        held: Dollars(row.held),
        tokens: row.tokens,
        overrun: Dollars(row.overrun()),
        price_version: &row.price_version,
        rates: Rates(&row.rates),
        began_at: rfc3339(row.began_at),
        gateway_micros: row.ours_micros,
        first_byte_micros: row.first_byte_micros,
        total_micros: row.total_micros,
    }
}

#[derive(Serialize)]
struct Reconciled<'a> {
    data: CallView<'a>,
    /// What was given back, the oldest first.
    corrections: Vec<CorrectionView<'a>>,
}

#[derive(Serialize)]
struct CorrectionView<'a> {
    /// Dollars less.
    money: Dollars,
    /// Tokens less.
    tokens: i64,
    evidence: &'a str,
    actor: &'a str,
    at: String,
}

/// `POST /api/v1/usage/calls/{attempt}/reconcile`
pub fn reconcile(desk: &Desk, actor: Actor, mut call: Call) -> Reply<'_> {
    async move {
        const EVIDENCE_CHARS_MAX: usize = 500;
        let text = call.parameter.as_deref().unwrap_or_default();
        let attempt: HoldId = text.parse().map_err(|_| no_such("call"))?;
        let mut fields = Fields::of(desk, &mut call).await?;
        let (cost, tokens) = (fields.money("cost")?, fields.whole("tokens")?);
        let evidence =
            fields.required("evidence", |fields, name| fields.text(name, EVIDENCE_CHARS_MAX))?;
        fields.end()?;
        if cost.is_none() && tokens.is_none() {
            let message = "Say what the call truly cost, or how many tokens it used, or both.";
            return Err(Refusal::new(Code::MissingParameter, message).about("cost").into());
        }
        let truth = Truth { cost, tokens, evidence };
        let (row, corrections) = desk.reconcile(actor, attempt, truth, call.at).await?;
        let corrections = corrections.iter().map(correction_view).collect();
        Ok(json(StatusCode::OK, &Reconciled { data: call_view(&row), corrections }))
    }
    .boxed()
}

fn correction_view(correction: &Correction) -> CorrectionView<'_> {
    CorrectionView {
        money: Dollars(correction.money),
        tokens: correction.tokens,
        evidence: &correction.evidence,
        actor: &correction.actor,
        at: rfc3339(correction.at),
    }
}
