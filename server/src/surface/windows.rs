//! Windows as JSON writes them: `{"kind": "calendar", "period": "day", "zone": "Europe/Berlin"}`.
//! When one starts again is `domain`'s to say.

use domain::window::Step;
use domain::{Every, Period, Refusal, Timestamp, Window, Zone};
use schemars::JsonSchema;
use serde::Serialize;

use crate::surface::fields::Fields;

const PERIODS: [(&str, Period); 3] =
    [("day", Period::Day), ("week", Period::Week), ("month", Period::Month)];

const STEPS: [(&str, Step); 4] =
    [("hour", Step::Hour), ("day", Step::Day), ("week", Step::Week), ("month", Step::Month)];

#[derive(Clone, Copy)]
enum Kind {
    Lifetime,
    Calendar,
    Every,
    Rolling,
}

const KINDS: [(&str, Kind); 4] = [
    ("lifetime", Kind::Lifetime),
    ("calendar", Kind::Calendar),
    ("every", Kind::Every),
    ("rolling", Kind::Rolling),
];

/// Reads a window. One that starts again every so often begins at `anchor`.
pub fn read(mut fields: Fields, anchor: Timestamp) -> Result<Window, Refusal> {
    const SECONDS_MAX: u32 = 3_600;
    let window = match fields.required("kind", |fields, name| fields.word(name, &KINDS))? {
        Kind::Lifetime => Window::Lifetime,
        Kind::Calendar => {
            let period = fields.required("period", |fields, name| fields.word(name, &PERIODS))?;
            Window::Calendar { period, zone: zone(&mut fields)? }
        }
        Kind::Every => {
            let every = every(&mut fields, "amount")?;
            Window::Anchored { anchor, every, zone: zone(&mut fields)? }
        }
        Kind::Rolling => {
            let seconds =
                fields.required("seconds", |fields, name| fields.number(name, 1, SECONDS_MAX))?;
            Window::Rolling { seconds }
        }
    };
    fields.end()?;
    Ok(window)
}

/// How long a turn is: so many (the member `count`) of the member `unit`.
pub fn every(fields: &mut Fields, count: &str) -> Result<Every, Refusal> {
    let amount = fields.required(count, |fields, name| fields.number(name, 1, u16::MAX))?;
    let unit = fields.required("unit", |fields, name| fields.word(name, &STEPS))?;
    Every::new(amount, unit).map_err(|_| {
        fields.invalid(count, "1 to 8784 hours, 1 to 366 days, 1 to 52 weeks or 1 to 12 months")
    })
}

/// Whose midnight: UTC where nothing is said.
pub fn zone(fields: &mut Fields) -> Result<Zone, Refusal> {
    let wanted = "the name of a time zone, such as Europe/Berlin or UTC";
    let zone = fields.form("zone", wanted, |text| Zone::parse(text).ok())?;
    Ok(zone.unwrap_or(Zone::UTC))
}

/// A window as it is shown, and as it can be sent again.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "window")]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum View {
    Lifetime,
    Calendar { period: &'static str, zone: String },
    Every { amount: u16, unit: &'static str, zone: String },
    Rolling { seconds: u32 },
}

impl From<Window> for View {
    fn from(window: Window) -> Self {
        match window {
            Window::Lifetime => Self::Lifetime,
            Window::Calendar { period, zone } => {
                Self::Calendar { period: name(&PERIODS, period), zone: zone.to_string() }
            }
            Window::Anchored { every, zone, .. } => Self::Every {
                amount: every.amount(),
                unit: step_name(every),
                zone: zone.to_string(),
            },
            Window::Rolling { seconds } => Self::Rolling { seconds },
        }
    }
}

/// What a turn is counted in.
pub fn step_name(every: Every) -> &'static str {
    name(&STEPS, every.unit())
}

fn name<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name)
}
