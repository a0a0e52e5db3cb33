//! The operator's file as text: what its members say, and how it is written again. Members that
//! nobody here knows stay as they were, byte for byte. Nothing is read from a disk here, and what a
//! line means for a key is `merge`'s business.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use domain::{Digest, KeyId, Mask, Secret};
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::sessions::is_hash;

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
    members: Members,
    /// Its keys, in their order.
    pub lines: Vec<Line>,
    /// The dashboard's password, plain or as a hash.
    pub password: Option<Secret>,
    /// For providers reached with a browser's session.
    pub browser: Arc<Browser>,
    /// Whether calls without a secret are served.
    pub anonymous: bool,
    /// The writing of ours that the text was made from.
    pub revision: Option<u64>,
    /// The keys that have counters, where there are counters at all.
    pub counted: Option<Vec<String>>,
}

/// One of `api_keys`.
#[derive(Debug)]
pub struct Line {
    pub digest: Digest,
    pub mask: Mask,
    pub name: Option<String>,
    pub rpm: Rpm,
    pub created: Option<i64>,
    rest: Members,
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
struct Members(Vec<(String, Box<RawValue>)>);

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
    fn get(&self, name: &str) -> Option<&RawValue> {
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
        let counted =
            members.read::<BTreeMap<String, Box<RawValue>>>("usage_stats", "an object")?;
        Ok(Self {
            lines: lines(&members)?,
            password,
            browser: Arc::new(browser(&members)?),
            anonymous,
            revision: members.read(REVISION, "a whole number")?,
            counted: counted.map(|counted| counted.into_keys().collect()),
            members,
        })
    }

    /// The text of the file with these lines, counters and password instead of its own.
    pub fn write(&self, new: &Writing<'_>) -> String {
        let mut names: Vec<&str> = self.members.0.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["password", "api_keys", "usage_stats", REVISION] {
            let wanted = match name {
                "password" => new.password.is_some(),
                "usage_stats" => !new.counts.is_empty(),
                _ => true,
            };
            if wanted && !names.contains(&name) {
                names.push(name);
            }
        }
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        // A map of texts and numbers into memory: nothing can fail.
        let written = Whole { document: self, new, names: &names }.serialize(&mut serializer);
        debug_assert!(written.is_ok(), "texts and numbers are always written");
        text.push(b'\n');
        String::from_utf8(text).unwrap_or_default()
    }

    /// The line with this secret.
    pub fn line(&self, digest: &Digest) -> Option<&Line> {
        self.lines.iter().find(|line| line.digest == *digest)
    }
}

/// Tells which writing of ours a text was made from: an editor's old buffer is told from a deletion.
const REVISION: &str = "weir_revision";

fn lines(members: &Members) -> Result<Vec<Line>, Mistake> {
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
    Ok(lines)
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

const DIGEST: &str = "sha256:";
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

/// What is to stand in the file instead of what stands there.
#[derive(Debug)]
pub struct Writing<'a> {
    pub lines: &'a [WrittenLine],
    pub counts: &'a BTreeMap<KeyId, Count>,
    pub password: Option<&'a str>,
    pub revision: u64,
}

/// A key's line as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenLine {
    pub digest: Digest,
    pub name: String,
    pub rpm: Option<i64>,
    pub created: i64,
}

/// How often a key was used, since its counter was last cleared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub total: u64,
    pub models: BTreeMap<String, u64>,
}

struct Whole<'a> {
    document: &'a Document,
    new: &'a Writing<'a>,
    names: &'a [&'a str],
}

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { document, new, names } = self;
        let mut map = serializer.serialize_map(Some(names.len()))?;
        for name in *names {
            match (*name, new.password) {
                ("api_keys", _) => {
                    let line = |line| OneLine { line, document };
                    map.serialize_entry(name, &new.lines.iter().map(line).collect::<Vec<_>>())?;
                }
                ("usage_stats", _) => map.serialize_entry(name, &Counts(new.counts))?,
                ("password", Some(password)) => map.serialize_entry(name, password)?,
                (REVISION, _) => map.serialize_entry(name, &new.revision)?,
                _ => map.serialize_entry(name, &document.members.get(name))?,
            }
        }
        map.end()
    }
}

struct OneLine<'a> {
    line: &'a WrittenLine,
    document: &'a Document,
}

impl Serialize for OneLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { line, document } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &line.name)?;
        let digest = HEXLOWER.encode(line.digest.bytes());
        map.serialize_entry("key", &format!("{DIGEST}{digest}"))?;
        map.serialize_entry("rpm", &line.rpm)?;
        map.serialize_entry("created", &line.created)?;
        let rest = document.line(&line.digest).map(|old| old.rest.0.as_slice());
        for (name, value) in rest.unwrap_or_default() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

struct Counts<'a>(&'a BTreeMap<KeyId, Count>);

impl Serialize for Counts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(id, count)| (id.to_string(), count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_knows_stays_as_it_was() {
        let text = br#"{"zeta": 1e400x, "api_keys": []}"#;
        assert!(Document::read(text).is_err());
        let text = br#"{"zeta": 100000000000000000000.10, "password": "p", "api_keys": [{"key": "sk-1", "note": {"b":1,"a":2}}], "alpha": [ 1,2 ]}"#;
        let document = Document::read(text).unwrap();
        let line = WrittenLine {
            digest: document.lines[0].digest,
            name: "n".to_owned(),
            rpm: Some(60),
            created: 5,
        };
        let counts = BTreeMap::new();
        let new = Writing { lines: &[line], counts: &counts, password: None, revision: 3 };
        let written = document.write(&new);
        assert!(written.contains("\"zeta\": 100000000000000000000.10,"), "{written}");
        assert!(written.contains("\"note\": {\"b\":1,\"a\":2}"), "{written}");
        assert!(written.contains("[ 1,2 ]") && !written.contains("sk-1"), "{written}");
        let again = Document::read(written.as_bytes()).unwrap();
        assert_eq!(again.revision, Some(3));
        assert_eq!(again.lines[0].digest, document.lines[0].digest);
        assert_eq!(again.write(&new), written);
    }

    #[test]
    fn a_mistake_has_its_place_and_shows_no_secret() {
        for (text, place) in [
            ("", "line 1, column 0"),
            ("{\n  \"api_keys\": [\n  }", "line 3, column 3"),
            ("[]", "line 1, column 0"),
            (r#"{"password": 5}"#, "password"),
            (r#"{"password": ""}"#, "password"),
            (r#"{"api_keys": {}}"#, "api_keys"),
            (r#"{"api_keys": [5]}"#, "api_keys[0]"),
            (r#"{"api_keys": ["ok", {"name": "x"}]}"#, "api_keys[1].key"),
            (r#"{"api_keys": [{"key": "a b"}]}"#, "api_keys[0].key"),
            (r#"{"api_keys": [{"key": "sk-secret", "rpm": "60"}]}"#, "api_keys[0].rpm"),
            (r#"{"api_keys": [{"key": "sk-secret", "rpm": -1}]}"#, "api_keys[0].rpm"),
            (r#"{"api_keys": [{"key": "sk-secret", "rpm": 1.5}]}"#, "api_keys[0].rpm"),
            (
                r#"{"api_keys": [{"key": "sk-secret", "created": 1717200000000}]}"#,
                "api_keys[0].created",
            ),
            (r#"{"api_keys": ["sha256:12"]}"#, "api_keys[0]"),
            (r#"{"api_keys": ["sk-secret", "sk-secret"]}"#, "api_keys[1]"),
            (r#"{"auth_tokens": "base64-x"}"#, "auth_tokens"),
            (r#"{"auth_tokens": ["base64-x", ""]}"#, "auth_tokens[1]"),
            (r#"{"cf_clearance": ["x"]}"#, "cf_clearance"),
            (r#"{"allow_unauthenticated": "yes"}"#, "allow_unauthenticated"),
            (r#"{"usage_stats": []}"#, "usage_stats"),
        ] {
            let found = Document::read(text.as_bytes()).err();
            let found = found.unwrap_or_else(|| panic!("{text} was read"));
            assert!(found.place.starts_with(place), "{text}: {found}");
            assert!(!found.to_string().contains("secret"), "{text}: {found}");
        }
    }

    #[test]
    fn a_bare_text_and_a_digest_are_keys_too() {
        let digest = HEXLOWER.encode(Digest::of(b"lmb-yourKeyHere").bytes());
        let text = format!(r#"{{"api_keys": ["x", {{"key": "sha256:{digest}", "rpm": null}}]}}"#);
        let document = Document::read(text.as_bytes()).unwrap();
        assert_eq!(document.lines[0].digest, Digest::of(b"x"));
        assert_eq!(document.lines[0].rpm, Rpm::Absent);
        assert_eq!(document.lines[1].digest, Digest::of(b"lmb-yourKeyHere"));
        assert_eq!(document.lines[1].rpm, Rpm::Unlimited);
    }
}
