//! How the operator's file is written again. Members that nobody here knows stay as they were, byte
//! for byte; of secrets only digests are written.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use domain::{Digest, KeyId};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};

use super::file::Document;

/// What a secret's digest is written behind.
pub const DIGEST: &str = "sha256:";
/// Tells which writing of ours a text was made from: an editor's old buffer is told from a deletion.
pub const REVISION: &str = "weir_revision";

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

impl Document {
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
