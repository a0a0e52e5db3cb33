//! What an edit of the operator's file means for the keys, and what the file is to say then. Both
//! sides may have changed since they were last the same: every line is held against what it said in
//! the writing that the edit was made from. Pure: nothing is read, written or made here.

use std::collections::HashMap;

use domain::command::Slot;
use domain::{Digest, Key, KeyId};
use serde::{Deserialize, Serialize};

use super::file::{Document, Line, Rpm};
use super::writing::WrittenLine;

/// Both sides as they last agreed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Grows with every writing of ours that changes lines.
    pub revision: u64,
    known: Vec<Known>,
}

/// A line, and its past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    digest: Digest,
    key: KeyId,
    /// The first writing that had it.
    since: u64,
    /// The first writing that had it no more, where a command ended it.
    gone: Option<u64>,
    /// What it said, the oldest first.
    said: Vec<Said>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    revision: u64,
    name: String,
    rpm: Option<i64>,
}

/// As much of a line's past as is remembered, and so many lines that are gone.
const PAST: usize = 16;
const GONE: usize = 256;

/// What somebody did to a line by hand.
#[derive(Debug, PartialEq, Eq)]
pub enum Edit {
    /// Wrote the line at this place.
    Added { at: usize },
    /// Wrote something else into it.
    Changed { key: KeyId, name: Option<String>, rpm: Option<Option<i64>> },
    /// Took it out.
    Removed { key: KeyId, digest: Digest },
}

/// What the file is to say.
#[derive(Debug)]
pub struct Outcome {
    pub lines: Vec<WrittenLine>,
    pub base: Base,
    /// Whether the file says it already.
    pub is_written: bool,
}

impl Base {
    /// The writing of ours that `document` was made from.
    fn origin(&self, document: &Document) -> u64 {
        document.revision.map_or(self.revision, |revision| revision.min(self.revision))
    }

    /// What was done by hand: `keys` are those that have lines by now.
    pub fn edits(&self, document: &Document, keys: &[Key]) -> Vec<Edit> {
        let origin = self.origin(document);
        let owners = Owners::of(keys);
        let places: HashMap<_, _> = self.known.iter().map(|known| (known.digest, known)).collect();
        let mut edits = Vec::new();
        for (at, line) in document.lines.iter().enumerate() {
            let key = owners.of_line(&line.digest);
            let known = places.get(&line.digest).copied();
            match (key, known) {
                (Some(key), _) => edits.extend(changed(key, line, known, origin)),
                // A command ended it, and whoever wrote this text had not seen that.
                (None, Some(known)) if known.gone.is_some_and(|gone| gone > origin) => {}
                (None, _) => edits.push(Edit::Added { at }),
            }
        }
        for known in self.known.iter().filter(|known| known.gone.is_none()) {
            let has_key = owners.of_line(&known.digest).is_some();
            // What was written later than this text was made from was not taken out of it.
            if has_key && known.since <= origin && document.line(&known.digest).is_none() {
                edits.push(Edit::Removed { key: known.key, digest: known.digest });
            }
        }
        edits
    }

    /// What the file is to say, where `keys` are those that have lines after every edit was done.
    pub fn outcome(&self, document: &Document, keys: &[Key]) -> Outcome {
        let origin = self.origin(document);
        let owners = Owners::of(keys);
        let mut lines = Vec::new();
        for line in &document.lines {
            if let Some(key) = owners.of_line(&line.digest) {
                lines.extend(written(key, &line.digest, line.created));
            }
        }
        for key in keys {
            for secret in &key.secrets {
                if document.line(&secret.digest).is_none() {
                    lines.extend(written(key, &secret.digest, None));
                }
            }
        }
        let is_made_from_latest =
            document.revision.is_none_or(|revision| revision == self.revision);
        let is_written = is_made_from_latest
            && lines.len() == document.lines.len()
            && lines.iter().zip(&document.lines).all(|(wanted, line)| says(line, wanted));
        let revision = if is_written {
            self.revision
        } else {
            document.revision.unwrap_or(0).max(self.revision).saturating_add(1)
        };
        let mut base = Self { revision, known: self.known.clone() };
        let places: HashMap<_, _> =
            base.known.iter().enumerate().map(|(at, known)| (known.digest, at)).collect();
        for wanted in &lines {
            let line = document.line(&wanted.digest);
            let by_hand = |same: bool| if same { origin } else { revision };
            let (since, said_at) =
                (by_hand(line.is_some()), by_hand(line.is_some_and(|line| says(line, wanted))));
            if let Some(key) = owners.of_line(&wanted.digest) {
                let at = places.get(&wanted.digest).copied();
                base.note((wanted, key.id), at, since, said_at);
            }
        }
        for known in base.known.iter_mut().filter(|known| known.gone.is_none()) {
            if owners.of_line(&known.digest).is_none() {
                known.gone = Some(revision);
            }
        }
        base.forget();
        Outcome { lines, base, is_written }
    }

    /// Notes what the line at place `at` says since a writing.
    fn note(
        &mut self,
        (wanted, key): (&WrittenLine, KeyId),
        at: Option<usize>,
        since: u64,
        revision: u64,
    ) {
        let said = Said { revision, name: wanted.name.clone(), rpm: wanted.rpm };
        let Some(known) = at.and_then(|at| self.known.get_mut(at)) else {
            let (digest, gone) = (wanted.digest, None);
            self.known.push(Known { digest, key, since, gone, said: vec![said] });
            return;
        };
        if known.gone.is_some() || known.key != key {
            *known = Known { key, since, gone: None, said: vec![said], ..*known };
            return;
        }
        let last = known.said.last();
        if last.is_none_or(|last| last.name != said.name || last.rpm != said.rpm) {
            known.said.push(said);
            let old = known.said.len().saturating_sub(PAST);
            known.said.drain(..old);
        }
    }

    /// Forgets the lines that have been gone for longest.
    fn forget(&mut self) {
        let gone = self.known.iter().filter(|known| known.gone.is_some()).count();
        for _ in GONE..gone {
            let oldest = self.known.iter().filter_map(|known| known.gone).min();
            if let Some(at) = self.known.iter().position(|known| known.gone == oldest) {
                self.known.remove(at);
            }
        }
    }
}

/// The keys that have lines, by their secrets.
struct Owners<'a>(HashMap<Digest, &'a Key>);

impl<'a> Owners<'a> {
    fn of(keys: &'a [Key]) -> Self {
        let secrets = |key: &'a Key| key.secrets.iter().map(move |secret| (secret.digest, key));
        Self(keys.iter().flat_map(secrets).collect())
    }

    fn of_line(&self, digest: &Digest) -> Option<&'a Key> {
        self.0.get(digest).copied()
    }
}

/// The key's requests per minute, as a line can say them.
pub fn rpm(key: &Key) -> Option<i64> {
    let limit = key.limits.iter().find(|limit| Slot::RequestsPerMinute.has(limit));
    limit.map(|limit| limit.amount)
}

fn written(key: &Key, digest: &Digest, created: Option<i64>) -> Option<WrittenLine> {
    let secret = key.secrets.iter().find(|secret| secret.digest == *digest)?;
    let created = created.unwrap_or(secret.created_at.seconds());
    Some(WrittenLine { digest: *digest, name: key.name.clone(), rpm: rpm(key), created })
}

fn says(line: &Line, wanted: &WrittenLine) -> bool {
    line.digest == wanted.digest
        && line.name.as_ref() == Some(&wanted.name)
        && line.rpm.said() == Some(wanted.rpm)
        && line.created == Some(wanted.created)
}

/// What a line says by hand that its key does not.
fn changed(key: &Key, line: &Line, known: Option<&Known>, origin: u64) -> Option<Edit> {
    let then = known.and_then(|known| {
        known.said.iter().rev().find(|said| said.revision <= origin).or(known.said.first())
    });
    let name = line
        .name
        .clone()
        .filter(|name| *name != key.name && then.is_none_or(|then| then.name != *name));
    let said = match line.rpm {
        // To take the number away is to ask for what a new key gets; a key that came here with its
        // own keeps that.
        Rpm::Absent => then.map(|_| line.rpm.for_new()),
        Rpm::Unlimited | Rpm::Of(_) => line.rpm.said(),
    };
    let rpm = said.filter(|said| *said != rpm(key) && then.is_none_or(|then| then.rpm != *said));
    (name.is_some() || rpm.is_some()).then_some(Edit::Changed { key: key.id, name, rpm })
}

#[cfg(test)]
mod tests;
