//! The operator's file as text: what its members say. Nothing is read from a disk here, and what a
//! line means for a key is `merge`'s business.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use domain::{Digest, Mask, Secret};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::sessions::is_hash;

use super::writing::{Count, DIGEST, REVISION};

/// Requests per minute of a line that says nothing about them.
pub const DEFAULT_RPM: i64 = 60;

/// What is wrong with the file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// `line 3, column 7` or `api_keys[2].rpm`.
    pub place: String,
    /// A clause, without a secret.
    pub why: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

/// The file, read.
#[derive(Debug, Default)]
pub struct Document {
    pub(super) members: Members,
    /// Its keys, in their order.
    pub lines: Vec<Line>,
    places: HashMap<Digest, usize>,
    /// The dashboard's password, plain or as a hash.
    pub password: Option<Secret>,
    /// For providers reached with a browser's session.
    pub browser: Arc<Browser>,
    /// Whether calls without a secret are served.
    pub anonymous: bool,
    /// The writing of ours that the text was made from.
    pub revision: Option<u64>,
    /// Its counters by key, where it has any; one that is not of ours counts nothing.
    pub counted: Option<BTreeMap<String, Count>>,
}

/// One of `api_keys`.
#[derive(Debug)]
pub struct Line {
    pub digest: Digest,
    pub mask: Mask,
    pub name: Option<String>,
    pub rpm: Rpm,
    pub created: Option<i64>,
    pub(super) rest: Members,
}

/// What a line says about requests per minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rpm {
    /// Nothing.
    Absent,
    /// There is no such limit.
    Unlimited,
    /// At most so many.
    Of(i64),
}

impl Rpm {
    /// The limit that a new key gets.
    pub const fn for_new(self) -> Option<i64> {
        match self {
            Self::Absent => Some(DEFAULT_RPM),
            Self::Unlimited => None,
            Self::Of(rpm) => Some(rpm),
        }
    }

    /// The limit it asks for, where it asks for any.
    pub const fn said(self) -> Option<Option<i64>> {
        match self {
            Self::Absent => None,
            Self::Unlimited => Some(None),
            Self::Of(rpm) => Some(Some(rpm)),
        }
    }
}

/// What is sent to providers that are reached with a browser's session, as the operator gave it.
#[derive(Debug, Default)]
pub struct Browser {
    pub auth_tokens: Vec<Secret>,
    pub cf_clearance: Option<Secret>,
    pub user_agent: Option<String>,
}

/// The members of an object, in their order, as they were written.
#[derive(Debug, Default)]
pub struct Members(pub(super) Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, _>()? {
                    if members.iter().any(|(other, _)| *other == name) {
                        let shown: String = name.chars().take(40).collect();
                        let twice = format!("the member '{shown}' comes twice");
                        return Err(serde::de::Error::custom(twice));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl Members {
    pub(super) fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    /// The member as a `T`; `null` counts as absent.
    fn read<T: serde::de::DeserializeOwned>(
        &self,
        name: &str,
        wanted: &str,
    ) -> Result<Option<T>, Mistake> {
        let Some(value) = self.get(name) else { return Ok(None) };
        typed(value, name, wanted)
    }
}

fn typed<T: serde::de::DeserializeOwned>(
    value: &RawValue,
    place: &str,
    wanted: &str,
) -> Result<Option<T>, Mistake> {
    let no = |_| mistake(place, format!("it must be {wanted}"));
    serde_json::from_str::<Option<T>>(value.get()).map_err(no)
}

fn mistake(place: impl Into<String>, why: impl Into<String>) -> Mistake {
    Mistake { place: place.into(), why: why.into() }
}

impl Document {
    /// Reads the whole file.
    ///
    /// # Errors
    /// The first thing in it that cannot be used.
    pub fn read(bytes: &[u8]) -> Result<Self, Mistake> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| mistake(format!("byte {}", error.valid_up_to()), "it is not UTF-8"))?;
        let text = text.trim_start_matches('\u{feff}');
        let members: Members = serde_json::from_str(text).map_err(|error| {
            // The parser's own words may repeat a value, which may be a secret.
            let why = match error.classify() {
                serde_json::error::Category::Eof => "the file ends too early",
                serde_json::error::Category::Data => {
                    "a member comes twice, or it is no JSON object"
                }
                serde_json::error::Category::Syntax | serde_json::error::Category::Io => {
                    "this is not JSON"
                }
            };
            mistake(format!("line {}, column {}", error.line(), error.column()), why)
        })?;
        let password = members.read::<String>("password", "a text")?.map(Secret::new);
        if password.as_ref().is_some_and(|password| password.expose().is_empty()) {
            return Err(mistake("password", "it must not be empty"));
        }
        if password.as_ref().is_some_and(|password| is_hash(password.expose()).is_none()) {
            return Err(mistake(
                "password",
                "this is a broken hash; a plain password is taken, too",
            ));
        }
        let anonymous = members.read("allow_unauthenticated", "true or false")?.unwrap_or(false);
        let (lines, places) = lines(&members)?;
        let counted =
            members.read::<BTreeMap<String, Box<RawValue>>>("usage_stats", "an object")?;
        Ok(Self {
            lines,
            places,
            password,
            browser: Arc::new(browser(&members)?),
            anonymous,
            revision: members.read(REVISION, "a whole number")?,
            counted: counted.map(|counted| counted.into_iter().map(count).collect()),
            members,
        })
    }

    /// The line with this secret.
    pub fn line(&self, digest: &Digest) -> Option<&Line> {
        self.places.get(digest).and_then(|at| self.lines.get(*at))
    }
}

fn count((key, value): (String, Box<RawValue>)) -> (String, Count) {
    (key, serde_json::from_str(value.get()).unwrap_or_default())
}

/// The lines, and where each secret stands.
fn lines(members: &Members) -> Result<(Vec<Line>, HashMap<Digest, usize>), Mistake> {
    let list = members.read::<Vec<Box<RawValue>>>("api_keys", "a list of keys")?;
    let mut lines: Vec<Line> = Vec::new();
    let mut places = HashMap::new();
    for (at, value) in list.unwrap_or_default().iter().enumerate() {
        let line = Line::read(value, &format!("api_keys[{at}]"))?;
        if let Some(first) = places.insert(line.digest, at) {
            let why = format!("it has the same key as api_keys[{first}]");
            return Err(mistake(format!("api_keys[{at}]"), why));
        }
        lines.push(line);
    }
    Ok((lines, places))
}

impl Line {
    fn read(value: &RawValue, place: &str) -> Result<Self, Mistake> {
        if let Ok(secret) = serde_json::from_str::<String>(value.get()) {
            return Self::new(&Secret::new(secret), place, Members::default());
        }
        let mut members: Members = serde_json::from_str(value.get())
            .map_err(|_| mistake(place, "it must be an object or a text, no member twice"))?;
        let inner = |name: &str| format!("{place}.{name}");
        let secret = match members.take("key") {
            Some(value) => typed::<String>(&value, &inner("key"), "a text")?,
            None => None,
        };
        let secret = secret.map(Secret::new);
        let secret = secret.ok_or_else(|| mistake(inner("key"), "it is missing"))?;
        let name = match members.take("name") {
            Some(value) => typed::<String>(&value, &inner("name"), "a text")?,
            None => None,
        };
        let name = name.filter(|name| !name.trim().is_empty());
        if name.as_ref().is_some_and(|name| !is_label(name)) {
            return Err(mistake(inner("name"), "it must be a text of 1 to 200 characters"));
        }
        let rpm = match members.take("rpm") {
            None => Rpm::Absent,
            Some(value) => typed::<u32>(&value, &inner("rpm"), "a whole number from 0")?
                .map_or(Rpm::Unlimited, |rpm| Rpm::Of(rpm.into())),
        };
        let created = match members.take("created") {
            Some(value) => typed::<i64>(&value, &inner("created"), "Unix seconds")?,
            None => None,
        };
        if created.is_some_and(|seconds| !(0..=LAST_SECOND).contains(&seconds)) {
            return Err(mistake(inner("created"), "it must be Unix seconds"));
        }
        Ok(Self { name, rpm, created, ..Self::new(&secret, &inner("key"), members)? })
    }

    fn new(secret: &Secret, place: &str, rest: Members) -> Result<Self, Mistake> {
        const MOST_BYTES: usize = 512;
        let text = secret.expose();
        let sane = (1..=MOST_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !sane {
            let why = format!("it must be 1 to {MOST_BYTES} visible ASCII characters");
            return Err(mistake(place, why));
        }
        let (digest, mask) = match text.strip_prefix(DIGEST) {
            Some(hex) => {
                let digest = Digest::from_hex(hex)
                    .ok_or_else(|| mistake(place, "after sha256: come 64 hexadecimal digits"))?;
                (digest, Secret::new(String::new()).mask())
            }
            None => (secret.digest(), secret.mask()),
        };
        let (name, rpm, created) = (None, Rpm::Absent, None);
        Ok(Self { digest, mask, name, rpm, created, rest })
    }
}

/// The end of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

fn is_label(name: &str) -> bool {
    let unfit =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    name.chars().count() <= 200 && !name.chars().any(unfit)
}

fn browser(members: &Members) -> Result<Browser, Mistake> {
    const MOST_BYTES: usize = 16 << 10;
    let sane = |place: &str, text: &str| {
        let sane = text.len() <= MOST_BYTES && !text.chars().any(char::is_control);
        sane.then_some(()).ok_or_else(|| {
            mistake(
                place,
                format!("it must be at most {MOST_BYTES} bytes without control characters"),
            )
        })
    };
    let tokens = members.read::<Vec<String>>("auth_tokens", "a list of texts")?.unwrap_or_default();
    for (at, token) in tokens.iter().enumerate() {
        let place = format!("auth_tokens[{at}]");
        sane(&place, token)?;
        if token.trim().is_empty() {
            return Err(mistake(place, "it is empty"));
        }
    }
    let text = |name: &str| {
        let text = members.read::<String>(name, "a text")?.filter(|text| !text.is_empty());
        text.as_deref().map_or(Ok(()), |text| sane(name, text))?;
        Ok(text)
    };
    Ok(Browser {
        auth_tokens: tokens.into_iter().map(Secret::new).collect(),
        cf_clearance: text("cf_clearance")?.map(Secret::new),
        user_agent: text("user_agent")?,
    })
}

#[cfg(test)]
mod tests;
