//! What was used and what it cost: sums by key, owner, model, provider, hour or day, and single calls. The
//! numbers are the ledger's; this page words them.

use std::borrow::Cow;

use domain::command::Actor;
use domain::{Class, Code, Correction, Evidence, HoldId, KeyId, Refusal, Row};
use futures_util::FutureExt as _;
use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::ser::SerializeMap as _;
use store::{Group, Order, RowQuery, Sum, UsageQuery, UsageSum};

use crate::admin::{Desk, Truth, no_such};
use crate::call::{Answer, Call};
use crate::failure::{Failure, rfc3339};
use crate::surface::fields::{Fields, invalid};
use crate::surface::keys::KeyWords;
use crate::surface::query::Query;
use crate::surface::reply::{Dollars, counts_by_name, json};
use crate::surface::{Reply, keys};

const GROUPS: [(&str, Group); 9] = [
    ("key", Group::Key),
    ("api_key", Group::Key),
    ("user", Group::User),
    ("team", Group::Team),
    ("project", Group::Project),
    ("model", Group::Model),
    ("provider", Group::Provider),
    ("hour", Group::Hour),
    ("day", Group::Day),
];

/// Units by class; classes that were not used are left out.
struct Units<'a>(&'a domain::Usage);

impl JsonSchema for Units<'_> {
    fn schema_name() -> Cow<'static, str> {
        "units".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        counts_by_name("How much of each class was used; classes that were not are left out.")
    }
}

impl Serialize for Units<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (class, units) in self.0.used() {
            map.serialize_entry(class.name(), &units)?;
        }
        map.end()
    }
}

/// Whose keys a sum is about.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Whose {
    /// Of keys that belong to none: null.
    Nobody,
    Of(String),
}

impl Whose {
    fn new(id: Option<impl ToString>) -> Self {
        id.map_or(Self::Nobody, |id| Self::Of(id.to_string()))
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "usage_sum")]
pub struct SumView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Left out where sums are not told apart by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Whose>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<Whose>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<Whose>,
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

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "usage")]
pub struct Sums<'a> {
    data: Vec<SumView<'a>>,
    /// Of everything asked about, shown above or not.
    totals: SumView<'a>,
    /// Whether there are more groups than `limit`.
    cut_short: bool,
}

/// `GET /api/v1/usage?group_by=model,day&from=…&until=…&key=…&user_id=…&model=…&provider=…`
pub fn sums(desk: &Desk, actor: Actor, call: Call, words: KeyWords) -> Reply<'_> {
    async move {
        let mut query = Query::read(call.head.uri.query())?;
        let key = query.parsed(words.filter, "the id of a key")?;
        summed(desk, actor, query, key, words).await
    }
    .boxed()
}

/// `GET /api/v1/keys/{hash}/usage`: the same of one key.
pub fn of_key(desk: &Desk, actor: Actor, call: Call) -> Reply<'_> {
    async move {
        let key = desk.key(actor, keys::key_id(&call)?).await?;
        let query = Query::read(call.head.uri.query())?;
        summed(desk, actor, query, Some(key.id), keys::WORDS).await
    }
    .boxed()
}

async fn summed(
    desk: &Desk,
    actor: Actor,
    mut query: Query,
    key: Option<KeyId>,
    words: KeyWords,
) -> Result<Answer, Failure> {
    let group = match query.text("group_by") {
        None => Vec::new(),
        Some(names) => names.split(',').map(group_of).collect::<Result<_, _>>()?,
    };
    let wanted = UsageQuery {
        from: query.moment("from")?,
        until: query.moment("until")?,
        key,
        maker: None,
        user: query.parsed("user_id", "the id of a user")?,
        team: query.parsed("team_id", "the id of a team")?,
        project: query.parsed("project_id", "the id of a project")?,
        model: query.text("model"),
        provider: query.text("provider"),
        group: group.clone(),
        owned: false,
        order: Order::Newest,
        most: query.number("limit", 1, 10_000)?.unwrap_or(1_000) as usize,
    };
    query.end()?;
    let report = desk.usage(actor, wanted).await?;
    let data = report.sums.iter().map(|sum| group_view(sum, &group, words)).collect();
    let totals = sum_view(&report.total);
    Ok(json(StatusCode::OK, &Sums { data, totals, cut_short: report.cut_short }))
}

fn group_of(name: &str) -> Result<Group, Refusal> {
    let found = GROUPS.iter().find(|(known, _)| *known == name);
    found.map(|(_, group)| *group).ok_or_else(|| {
        invalid("group_by", "a list of key, user, team, project, model, provider, hour and day")
    })
}

pub fn group_view<'a>(group: &'a UsageSum, by: &[Group], words: KeyWords) -> SumView<'a> {
    let [user, team, project] =
        [Group::User, Group::Team, Group::Project].map(|one| by.contains(&one));
    SumView {
        from: group.start.map(rfc3339),
        key: group.key.map(words.shown),
        user: user.then(|| Whose::new(group.user)),
        team: team.then(|| Whose::new(group.team)),
        project: project.then(|| Whose::new(group.project)),
        model: group.model.as_deref(),
        provider: group.provider.as_deref(),
        ..sum_view(&group.sum)
    }
}

/// A sum of everything.
pub fn sum_view(sum: &Sum) -> SumView<'_> {
    SumView {
        from: None,
        key: None,
        user: None,
        team: None,
        project: None,
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

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "call")]
pub struct CallView<'a> {
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

impl JsonSchema for Rates<'_> {
    fn schema_name() -> Cow<'static, str> {
        "rates".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        counts_by_name("Pico-dollars per unit of the classes that were used.")
    }
}

impl Serialize for Rates<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(class, price)| (class.name(), price.picos())))
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "calls")]
pub struct Calls<'a> {
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

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "reconciled_call")]
pub struct Reconciled<'a> {
    data: CallView<'a>,
    /// What was given back, the oldest first.
    corrections: Vec<CorrectionView<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "correction")]
pub struct CorrectionView<'a> {
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
