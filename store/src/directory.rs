//! Live keys in memory, by digest, and their owners. A change is in here before whoever made it is answered, and a
//! look-up that read the old record meanwhile cannot bring it back.

pub(crate) mod owners;

use std::collections::HashMap;
use std::sync::Arc;

use domain::{Digest, Key};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tokio::sync::oneshot;

use crate::fault::Fault;

use owners::Owners;

/// What memory knows about a digest.
#[derive(Clone, Debug)]
pub enum Found {
    /// The key it belongs to, alive or not.
    Key(Arc<Key>),
    /// It belongs to no key.
    Nobody,
    /// Memory does not know: look it up.
    Ask,
}

/// Digests of no key that are remembered, so that the same wrong secret costs one read.
const STRANGERS: usize = 16_384;
const GATES: usize = 64;

type Waiter = oneshot::Sender<Result<Option<Arc<Key>>, Fault>>;

/// The cache, and the gates that changes and look-ups pass.
pub(crate) struct Directory {
    keys: Cache<Digest, Arc<Key>>,
    strangers: Cache<Digest, ()>,
    gates: Vec<Mutex<Gate>>,
    pub(crate) owners: Owners,
}

#[derive(Default)]
struct Gate {
    /// Grows with every change of a digest behind this gate.
    generation: u64,
    /// Who waits for which digest. The first one's read answers everyone.
    flights: HashMap<Digest, Vec<Waiter>>,
}

/// What a look-up is to do.
pub(crate) enum Boarded {
    /// Read the record, then land.
    Pilot,
    /// Wait for the one who does.
    Passenger,
}

impl Directory {
    pub(crate) fn new(cached_keys: usize, owners: Owners) -> Self {
        Self {
            keys: Cache::new(cached_keys.max(1)),
            strangers: Cache::new(STRANGERS),
            gates: std::iter::repeat_with(Mutex::default).take(GATES).collect(),
            owners,
        }
    }

    pub(crate) fn find(&self, digest: &Digest) -> Found {
        match self.keys.get(digest) {
            Some(key) => Found::Key(key),
            None if self.strangers.get(digest).is_some() => Found::Nobody,
            None => Found::Ask,
        }
    }

    fn gate(&self, digest: &Digest) -> &Mutex<Gate> {
        &self.gates[usize::from(digest.bytes()[0]) % GATES]
    }

    /// Joins the look-up of `digest`, or begins it.
    pub(crate) fn board(&self, digest: &Digest, waiter: Waiter) -> Boarded {
        let mut gate = self.gate(digest).lock();
        let waiting = gate.flights.entry(*digest).or_default();
        waiting.push(waiter);
        if waiting.len() == 1 { Boarded::Pilot } else { Boarded::Passenger }
    }

    /// Reads the record with `read`, until no change came between reading and remembering, and
    /// answers everyone who waits.
    pub(crate) fn fly(
        &self,
        digest: &Digest,
        mut read: impl FnMut() -> Result<Option<Key>, Fault>,
    ) {
        loop {
            let generation = self.gate(digest).lock().generation;
            let answer = read().map(|key| key.map(Arc::new));
            let mut gate = self.gate(digest).lock();
            if gate.generation != generation {
                continue;
            }
            match &answer {
                Ok(Some(key)) => self.keys.insert(*digest, Arc::clone(key)),
                Ok(None) => self.strangers.insert(*digest, ()),
                Err(_) => {}
            }
            // Under the same lock: whoever comes after a change must not board this flight.
            let waiting = gate.flights.remove(digest).unwrap_or_default();
            drop(gate);
            for waiter in waiting {
                let _ = waiter.send(answer.clone());
            }
            return;
        }
    }

    /// Nobody will fly: those who wait are told.
    pub(crate) fn cancel(&self, digest: &Digest, fault: &Fault) {
        let waiting = self.gate(digest).lock().flights.remove(digest).unwrap_or_default();
        for waiter in waiting {
            let _ = waiter.send(Err(fault.clone()));
        }
    }

    /// Makes a committed change known. Called by the one thread that commits, in that order.
    pub(crate) fn publish(&self, before: Option<&Key>, after: &Arc<Key>) {
        let gone = before.into_iter().flat_map(|key| &key.secrets).map(|secret| secret.digest);
        for digest in gone.filter(|gone| after.secrets.iter().all(|kept| kept.digest != *gone)) {
            let mut gate = self.gate(&digest).lock();
            gate.generation += 1;
            self.keys.remove(&digest);
        }
        for secret in &after.secrets {
            let mut gate = self.gate(&secret.digest).lock();
            gate.generation += 1;
            self.strangers.remove(&secret.digest);
            self.keys.insert(secret.digest, Arc::clone(after));
        }
    }

    /// Makes known that digests that were nobody's may be somebody's now.
    pub(crate) fn forget_strangers(&self) {
        for gate in &self.gates {
            gate.lock().generation += 1;
        }
        self.strangers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        KeyId, KeyKind, KeyState, Owner, ProjectId, Rules, Scope, SecretRecord, Timestamp, secret,
    };

    fn directory() -> Directory {
        let owner = |scope| Owner::new(scope, "", Timestamp::default());
        let always = [Scope::Instance, Scope::Project(ProjectId::DEFAULT)].map(owner);
        Directory::new(10, Owners::new(10, always))
    }

    fn key(revision: u64, digest: Digest) -> Key {
        let at = Timestamp::from_seconds(0);
        let mask = secret::Secret::new("test".to_owned()).mask();
        Key {
            id: KeyId::new(at, 1),
            kind: KeyKind::Regular,
            name: String::new(),
            maker: None,
            project: ProjectId::DEFAULT,
            user: None,
            team: None,
            secrets: vec![SecretRecord { digest, mask, created_at: at, ends_at: None }],
            listed: false,
            metadata: std::collections::BTreeMap::new(),
            rules: Rules::default(),
            limits: Vec::new(),
            state: KeyState::Active,
            expires_at: None,
            created_at: at,
            updated_at: at,
            revision,
        }
    }

    #[test]
    fn a_read_that_a_change_overtook_is_not_remembered() {
        let directory = directory();
        let digest = Digest::of(b"secret");
        let (old, new) = (key(1, digest), Arc::new(key(2, digest)));
        let (sender, mut answer) = oneshot::channel();
        assert!(matches!(directory.board(&digest, sender), Boarded::Pilot));
        let mut reads = 0;
        directory.fly(&digest, || {
            reads += 1;
            if reads == 1 {
                // The record was read; then, before it is remembered, the change comes.
                directory.publish(Some(&old), &new);
                return Ok(Some(old.clone()));
            }
            Ok(Some(Key::clone(&new)))
        });
        assert_eq!(reads, 2);
        let answer = answer.try_recv().unwrap().unwrap().unwrap();
        assert_eq!(answer.revision, 2);
        let Found::Key(found) = directory.find(&digest) else { panic!("not found") };
        assert_eq!(found.revision, 2);
    }

    #[test]
    fn a_secret_that_was_taken_away_is_not_found_again() {
        let directory = directory();
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let before = key(1, old);
        directory.publish(None, &Arc::new(before.clone()));
        let after = Arc::new(key(2, new));
        directory.publish(Some(&before), &after);
        assert!(matches!(directory.find(&old), Found::Ask));
        assert!(matches!(directory.find(&new), Found::Key(_)));
    }
}
