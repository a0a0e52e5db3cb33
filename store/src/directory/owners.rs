//! Owners in memory. A change is in here before whoever made it is answered, and a read that a
//! change overtook is not remembered. What stands above a key is put together from here.

use std::sync::Arc;

use domain::{Key, Lineage, Owner, ProjectId, Scope};
use parking_lot::{Mutex, RwLock};
use quick_cache::sync::Cache;

use crate::fault::Fault;

pub(crate) struct Owners {
    /// Above every call, and never pushed out.
    instance: RwLock<Arc<Owner>>,
    /// Above most of them.
    default_project: RwLock<Arc<Owner>>,
    others: Cache<Scope, Arc<Owner>>,
    /// Grows with every change of any owner: there are few.
    generation: Mutex<u64>,
}

impl Owners {
    pub(crate) fn new(cached_owners: usize, [instance, default_project]: [Owner; 2]) -> Self {
        Self {
            instance: RwLock::new(Arc::new(instance)),
            default_project: RwLock::new(Arc::new(default_project)),
            others: Cache::new(cached_owners.max(1)),
            generation: Mutex::default(),
        }
    }

    /// The key with everything above it, where all of that is in here. Never waits.
    pub(crate) fn lineage(&self, key: &Arc<Key>) -> Option<Lineage> {
        trace(key, |scope| self.find(scope).ok_or(())).ok()
    }

    /// The key with everything above it; `read` gives the records that are not in here.
    pub(crate) fn look_up(
        &self,
        key: &Arc<Key>,
        read: impl Fn(Scope) -> Result<Option<Owner>, Fault>,
    ) -> Result<Lineage, Fault> {
        trace(key, |scope| match self.find(scope) {
            Some(owner) => Ok(owner),
            None => self.load(scope, &read),
        })
    }

    fn find(&self, scope: Scope) -> Option<Arc<Owner>> {
        match scope {
            Scope::Instance => Some(Arc::clone(&self.instance.read())),
            Scope::Project(ProjectId::DEFAULT) => Some(Arc::clone(&self.default_project.read())),
            Scope::Project(_) | Scope::Team(_) | Scope::User(_) | Scope::Key(_) => {
                self.others.get(&scope)
            }
        }
    }

    /// Reads the record with `read`, until no change came between reading and remembering.
    fn load(
        &self,
        scope: Scope,
        read: impl Fn(Scope) -> Result<Option<Owner>, Fault>,
    ) -> Result<Arc<Owner>, Fault> {
        loop {
            let generation = *self.generation.lock();
            let owner = Arc::new(read(scope)?.ok_or(Fault::NoSuchOwner(scope))?);
            let now = self.generation.lock();
            if *now == generation {
                self.others.insert(scope, Arc::clone(&owner));
                return Ok(owner);
            }
        }
    }

    /// Makes committed changes known. Called by the one thread that commits, in that order.
    pub(crate) fn publish(&self, changed: impl IntoIterator<Item = Owner>) {
        let mut generation = self.generation.lock();
        *generation += 1;
        for owner in changed {
            match owner.scope {
                Scope::Instance => *self.instance.write() = Arc::new(owner),
                Scope::Project(ProjectId::DEFAULT) => {
                    *self.default_project.write() = Arc::new(owner);
                }
                Scope::Project(_) | Scope::Team(_) | Scope::User(_) | Scope::Key(_) => {
                    self.others.insert(owner.scope, Arc::new(owner));
                }
            }
        }
    }
}

/// Puts together what stands above `key`: all of it, or the first failure.
fn trace<E>(
    key: &Arc<Key>,
    mut owner: impl FnMut(Scope) -> Result<Arc<Owner>, E>,
) -> Result<Lineage, E> {
    let user = key.user.map(|user| owner(Scope::User(user))).transpose()?;
    // A user's key has the user's team, or none where the user has none.
    let team = user.as_ref().map_or(key.team, |user| user.team);
    Ok(Lineage {
        instance: owner(Scope::Instance)?,
        project: owner(Scope::Project(key.project))?,
        team: team.map(|team| owner(Scope::Team(team))).transpose()?,
        user,
        key: Arc::clone(key),
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use domain::{KeyId, KeyKind, KeyState, Rules, TeamId, Timestamp, UserId};

    use super::*;

    const AT: Timestamp = Timestamp::from_seconds(0);

    fn owners() -> Owners {
        let always = [Scope::Instance, Scope::Project(ProjectId::DEFAULT)];
        Owners::new(10, always.map(|scope| Owner::new(scope, "", AT)))
    }

    fn key(user: Option<UserId>, team: Option<TeamId>) -> Arc<Key> {
        Arc::new(Key {
            id: KeyId::new(AT, 1),
            kind: KeyKind::Regular,
            name: String::new(),
            maker: None,
            project: ProjectId::DEFAULT,
            user,
            team,
            secrets: Vec::new(),
            listed: false,
            metadata: std::collections::BTreeMap::new(),
            rules: Rules::default(),
            limits: Vec::new(),
            state: KeyState::Active,
            expires_at: None,
            created_at: AT,
            updated_at: AT,
            revision: 1,
        })
    }

    #[test]
    fn a_read_that_a_change_overtook_is_not_remembered() {
        let owners = owners();
        let user = UserId::new(AT, 1);
        let key = key(Some(user), None);
        let old = Owner::new(Scope::User(user), "", AT);
        let new = Owner { revision: 2, ..old.clone() };
        assert!(owners.lineage(&key).is_none());
        let reads = Cell::new(0);
        let read = |_| {
            reads.set(reads.get() + 1);
            if reads.get() == 1 {
                // The record was read; then, before it is remembered, the change comes.
                owners.publish([new.clone()]);
                return Ok(Some(old.clone()));
            }
            Ok(Some(new.clone()))
        };
        assert_eq!(owners.look_up(&key, read).unwrap().user.unwrap().revision, 2);
        assert_eq!(reads.get(), 2);
        assert_eq!(owners.lineage(&key).unwrap().user.unwrap().revision, 2);
    }

    #[test]
    fn a_missing_record_is_a_fault_and_never_a_shorter_lineage() {
        let owners = owners();
        let (user, team) = (UserId::new(AT, 1), TeamId::new(AT, 2));
        for key in [key(Some(user), None), key(None, Some(team))] {
            let looked_up = owners.look_up(&key, |_| Ok(None));
            assert!(matches!(looked_up, Err(Fault::NoSuchOwner(_))));
            assert!(owners.lineage(&key).is_none());
        }
        let member = Owner { team: Some(team), ..Owner::new(Scope::User(user), "", AT) };
        owners.publish([member]);
        assert!(owners.lineage(&key(Some(user), None)).is_none());
        assert!(owners.lineage(&key(None, None)).is_some());
    }

    #[test]
    fn a_users_key_has_the_users_team() {
        let owners = owners();
        let (user, loner) = (UserId::new(AT, 1), UserId::new(AT, 2));
        let (theirs, own) = (TeamId::new(AT, 3), TeamId::new(AT, 4));
        owners.publish([
            Owner { team: Some(theirs), ..Owner::new(Scope::User(user), "", AT) },
            Owner::new(Scope::User(loner), "", AT),
            Owner::new(Scope::Team(theirs), "", AT),
            Owner::new(Scope::Team(own), "", AT),
        ]);
        for (user, team, wanted) in [
            (None, None, None),
            (None, Some(own), Some(own)),
            (Some(user), None, Some(theirs)),
            (Some(user), Some(own), Some(theirs)),
            (Some(loner), Some(own), None),
        ] {
            let lineage = owners.lineage(&key(user, team)).unwrap();
            assert_eq!(lineage.user.map(|user| user.scope), user.map(Scope::User));
            assert_eq!(lineage.team.map(|team| team.scope), wanted.map(Scope::Team));
        }
    }
}
