//! Limits as JSON writes them, alike on keys, projects, teams, users and the instance, and as
//! defaults in the settings: members with names of their own (`rpm`, `limit`), and the full form
//! (`limits`). What a limit does is not known here.

use std::borrow::Cow;

use domain::command::{Allowance, LimitChange, Slot, SlotChange};
use domain::{Enforcement, Limit, Money, Period, Refusal, Timestamp, Unit, Window};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::admin::Standing;
use crate::failure::rfc3339;
use crate::surface::fields::Fields;
use crate::surface::reply::Dollars;
use crate::surface::windows;

/// Whole numbers, by the slot they fill.
const COUNTS: [(&str, Slot); 4] = [
    ("rpm", Slot::RequestsPerMinute),
    ("tpm_limit", Slot::TokensPerMinute),
    ("daily_token_limit", Slot::TokensPerDay),
    ("max_parallel", Slot::Parallel),
];

/// The first three are how they are shown.
const RESETS: [(&str, Period); 6] = [
    ("daily", Period::Day),
    ("weekly", Period::Week),
    ("monthly", Period::Month),
    ("day", Period::Day),
    ("week", Period::Week),
    ("month", Period::Month),
];

const UNITS: [(&str, Unit); 4] = [
    ("money", Unit::Money),
    ("tokens", Unit::Tokens),
    ("requests", Unit::Requests),
    ("in_flight", Unit::InFlight),
];

const ENFORCEMENTS: [(&str, Enforcement); 3] = [
    ("hard", Enforcement::Hard),
    ("expected", Enforcement::Expected),
    ("observe", Enforcement::Observe),
];

/// Reads the members about limits. What is not sent stays as it is; `null` takes a limit away.
/// Windows that start again every so often begin at `anchor`.
///
/// # Errors
/// The first member that makes no sense.
pub fn read(fields: &mut Fields, anchor: Timestamp) -> Result<LimitChange, Refusal> {
    let mut slots = Vec::new();
    for (name, slot) in COUNTS {
        // Nobody sends more a minute, or at a time, than a number of 32 bits can say.
        let most = match slot.unit() {
            Unit::Requests | Unit::InFlight => i64::from(u32::MAX),
            Unit::Tokens | Unit::Money => i64::MAX,
        };
        let amount = fields.sent(name, |fields, name| match most {
            i64::MAX => fields.whole(name),
            _ => fields.number(name, 0, most),
        })?;
        if let Some(amount) = amount {
            slots.push(SlotChange { slot, amount: Some(amount), window: None });
        }
    }
    let amount = fields.sent("limit", Fields::money)?;
    let reset = fields.sent("limit_reset", |fields, name| fields.word(name, &RESETS))?;
    if amount.is_some() || reset.is_some() {
        slots.push(SlotChange {
            slot: Slot::Spending,
            amount: amount.map(|amount| amount.map(Money::nanos)),
            window: reset.map(|period| period.map_or(Window::Lifetime, Window::utc)),
        });
    }
    if let Some(recurring) = fields.sent("recurring_limit", Fields::object)? {
        slots.push(read_recurring(recurring, anchor)?);
    }
    let all = match fields.sent("limits", Fields::objects)? {
        None => None,
        Some(list) => {
            let read = |fields| read_one(fields, anchor);
            Some(list.unwrap_or_default().into_iter().map(read).collect::<Result<_, _>>()?)
        }
    };
    Ok(LimitChange { all, slots })
}

fn read_recurring(sent: Option<Fields>, anchor: Timestamp) -> Result<SlotChange, Refusal> {
    let slot = Slot::Recurring;
    let Some(mut fields) = sent else {
        return Ok(SlotChange { slot, amount: Some(None), window: None });
    };
    let amount = fields.required("amount", Fields::money)?;
    let every = windows::every(&mut fields, "every")?;
    let zone = windows::zone(&mut fields)?;
    fields.end()?;
    let window = Window::Anchored { anchor, every, zone };
    Ok(SlotChange { slot, amount: Some(Some(amount.nanos())), window: Some(window) })
}

fn read_one(mut fields: Fields, anchor: Timestamp) -> Result<Allowance, Refusal> {
    let unit = fields.required("unit", |fields, name| fields.word(name, &UNITS))?;
    let amount = match unit {
        Unit::Money => fields.required("amount", Fields::money)?.nanos(),
        Unit::Tokens | Unit::Requests | Unit::InFlight => {
            fields.required("amount", Fields::whole)?
        }
    };
    let window = match (fields.object("window")?, unit) {
        (Some(window), _) => windows::read(window, anchor)?,
        (None, Unit::InFlight) => Window::Lifetime,
        (None, _) => fields
            .required("window", Fields::object)
            .and_then(|window| windows::read(window, anchor))?,
    };
    if unit == Unit::InFlight && window != Window::Lifetime {
        return Err(fields.invalid("window", "left out: calls in flight have none"));
    }
    let enforcement = fields.word("enforcement", &ENFORCEMENTS)?.unwrap_or_default();
    fields.end()?;
    Ok(Allowance { unit, amount, window, enforcement })
}

/// The limits of one thing, under all the names they have. What can be sent can be read again.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "limits")]
pub struct LimitsView {
    limit: Option<Dollars>,
    limit_remaining: Option<Dollars>,
    limit_reset: Option<&'static str>,
    recurring_limit: Option<RecurringView>,
    rpm: Option<i64>,
    tpm_limit: Option<i64>,
    daily_token_limit: Option<i64>,
    max_parallel: Option<i64>,
    limits: Vec<LimitView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "recurring_limit")]
pub struct RecurringView {
    amount: Dollars,
    every: u16,
    unit: &'static str,
    zone: String,
    spent: Dollars,
    remaining: Dollars,
    period_started_at: String,
    resets_at: Option<String>,
}

/// One limit, in full.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "limit")]
pub struct LimitView {
    unit: &'static str,
    amount: Amount,
    window: windows::View,
    enforcement: &'static str,
}

impl From<&Limit> for LimitView {
    fn from(limit: &Limit) -> Self {
        Self {
            unit: limit.unit.name(),
            amount: Amount(limit.unit, limit.amount),
            window: limit.window.into(),
            enforcement: limit.enforcement.name(),
        }
    }
}

/// So much of a unit: dollars for money, a whole number for everything else.
#[derive(Clone, Copy)]
pub struct Amount(pub Unit, pub i64);

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "amount".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number", "description": "Dollars, or a whole number of what is counted."})
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Unit::Money => Dollars(Money::from_nanos(self.1)).serialize(serializer),
            Unit::Tokens | Unit::Requests | Unit::InFlight => serializer.serialize_i64(self.1),
        }
    }
}

impl LimitsView {
    /// Of limits that all hang on one thing.
    pub fn new(standings: &[Standing]) -> Self {
        let in_slot = |slot: Slot| standings.iter().find(|standing| slot.has(&standing.limit));
        let count = |slot| in_slot(slot).map(|standing| standing.limit.amount);
        let dollars = |nanos| Dollars(Money::from_nanos(nanos));
        let spending = in_slot(Slot::Spending);
        Self {
            limit: spending.map(|standing| dollars(standing.limit.amount)),
            limit_remaining: spending.map(|standing| dollars(standing.available())),
            limit_reset: spending.and_then(|standing| reset_name(standing.limit.window)),
            recurring_limit: in_slot(Slot::Recurring).and_then(recurring),
            rpm: count(Slot::RequestsPerMinute),
            tpm_limit: count(Slot::TokensPerMinute),
            daily_token_limit: count(Slot::TokensPerDay),
            max_parallel: count(Slot::Parallel),
            limits: standings.iter().map(|standing| LimitView::from(&standing.limit)).collect(),
        }
    }
}

fn recurring(standing: &Standing) -> Option<RecurringView> {
    let Window::Anchored { every, zone, .. } = standing.limit.window else { return None };
    let dollars = |nanos| Dollars(Money::from_nanos(nanos));
    Some(RecurringView {
        amount: dollars(standing.limit.amount),
        every: every.amount(),
        unit: windows::step_name(every),
        zone: zone.to_string(),
        spent: dollars(standing.spent),
        remaining: dollars(standing.available()),
        period_started_at: rfc3339(standing.span.start),
        resets_at: standing.span.end.map(rfc3339),
    })
}

fn reset_name(window: Window) -> Option<&'static str> {
    let Window::Calendar { period, .. } = window else { return None };
    RESETS.iter().find(|(_, known)| *known == period).map(|(name, _)| *name)
}
