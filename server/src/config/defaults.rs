//! Limits for everything of a kind, as the settings file writes them: the same members as the admin
//! API has, in `[defaults.key]` and its like. When such a limit applies is `domain`'s to say.

use std::collections::BTreeMap;

use domain::id::{LimitId, Ulid};
use domain::scope::default_id;
use domain::{Defaults, Limit, Timestamp};

use crate::config::BadSetting;
use crate::surface::fields::Fields;
use crate::surface::limits;

/// Windows that start again every so often begin at 2000-01-01T00:00Z, so that every process and
/// every start agrees.
const ANCHOR: Timestamp = Timestamp::from_seconds(946_684_800);

/// What `[defaults.…]` says; `team_share` in percent.
///
/// # Errors
/// A table that is of no kind, or a member that makes no sense, named.
pub(super) fn resolve(
    mut tables: BTreeMap<String, toml::Table>,
    team_share: u8,
) -> Result<Defaults, BadSetting> {
    let mut of = |kind| tables.remove(kind).map_or(Ok(Vec::new()), |table| limits_of(kind, table));
    let defaults = Defaults {
        instance: of("instance")?,
        project: of("project")?,
        team: of("team")?,
        user: of("user")?,
        key: of("key")?,
        team_share,
    };
    match tables.into_keys().next() {
        None => Ok(defaults),
        Some(kind) => Err(BadSetting(format!(
            "There are no defaults of a '{kind}': only of instance, project, team, user and key."
        ))),
    }
}

fn limits_of(kind: &str, table: toml::Table) -> Result<Vec<Limit>, BadSetting> {
    let bad = |why: String| BadSetting(format!("In [defaults.{kind}]: {why}"));
    let body = as_json(toml::Value::Table(table)).map_err(bad)?.to_string();
    let read = || {
        let mut fields = Fields::read(body.as_bytes())?;
        let change = limits::read(&mut fields, ANCHOR)?;
        fields.end()?;
        change.apply(&[], LimitId::from_ulid(Ulid::from_bits(0)))
    };
    let limits = read().map_err(|no| bad(no.message))?;
    Ok(limits.iter().map(|limit| Limit { id: default_id(kind, limit), ..*limit }).collect())
}

/// The same in JSON. What would pass through a float is refused.
fn as_json(value: toml::Value) -> Result<serde_json::Value, String> {
    Ok(match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Boolean(switch) => switch.into(),
        toml::Value::Array(list) => {
            list.into_iter().map(as_json).collect::<Result<Vec<_>, _>>()?.into()
        }
        toml::Value::Table(table) => {
            let member = |(name, value)| Ok((name, as_json(value)?));
            let members: Result<serde_json::Map<_, _>, String> =
                table.into_iter().map(member).collect();
            members?.into()
        }
        toml::Value::Float(number) => {
            return Err(format!("write {number} in quotes, so that no digit of it is lost."));
        }
        toml::Value::Datetime(moment) => return Err(format!("{moment} is no limit.")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Money, Unit};

    fn read(text: &str) -> Result<Defaults, String> {
        resolve(toml::from_str(text).unwrap(), 80).map_err(|bad| bad.0)
    }

    #[test]
    fn the_members_are_those_of_the_api() {
        let text = r#"
            [key]
            rpm = 60
            limit = "12.5"
            limit_reset = "monthly"
            recurring_limit = { amount = 3, every = 6, unit = "hour" }
            [instance]
            limits = [{ unit = "in_flight", amount = 100 }]
        "#;
        let defaults = read(text).unwrap();
        assert_eq!(defaults.key.len(), 3);
        assert_eq!(defaults.key[1].amount, Money::parse_dollars("12.5").unwrap().nanos());
        assert_eq!(defaults.instance[0].unit, Unit::InFlight);
        assert_eq!(defaults.team_share, 80);
        // The same every time, and no two alike.
        assert_eq!(read(text).unwrap(), defaults);
        let mut ids: Vec<_> = defaults.key.iter().map(|limit| limit.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 3);
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_table() {
        for (text, told) in [
            ("[keys]\nrpm = 1", "'keys'"),
            ("[key]\nrpm = -1", "[defaults.key]: 'rpm' must be"),
            ("[key]\nlimit = 0.5", "write 0.5 in quotes"),
            ("[user]\nlimit_reset = \"daily\"", "[defaults.user]: limit_reset"),
            ("[team]\nrmp = 1", "'rmp'"),
            ("[team]\nlimit = 1979-05-27", "is no limit"),
            ("[project]\nallowed_models = []", "'allowed_models'"),
        ] {
            let why = read(text).unwrap_err();
            assert!(why.contains(told), "{text}: {why}");
        }
    }
}
