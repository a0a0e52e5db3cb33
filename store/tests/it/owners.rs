//! The instance, projects, teams and users: their records, who counts as a member, and what stands
//! above a key right after a change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use domain::{Key, Lineage, Owner, ProjectId, Scope, TeamId, Timestamp, UserId, Window};
use store::{Fault, KeyQuery, NotChanged, Options, OwnerQuery, Store};

use crate::world::*;

type Never = std::convert::Infallible;

const DEFAULT: Scope = Scope::Project(ProjectId::DEFAULT);

fn at(number: u64) -> Timestamp {
    NOON.plus_seconds(i64::try_from(number).unwrap())
}

fn project_id(number: u64) -> ProjectId {
    ProjectId::new(at(number), u128::from(number))
}

fn team_id(number: u64) -> TeamId {
    TeamId::new(at(number), u128::from(number))
}

fn user_id(number: u64) -> UserId {
    UserId::new(at(number), u128::from(number))
}

fn project(number: u64) -> Owner {
    Owner::new(Scope::Project(project_id(number)), format!("project {number}"), NOON)
}

fn team(number: u64) -> Owner {
    Owner::new(Scope::Team(team_id(number)), format!("team {number}"), NOON)
}

fn user(number: u64, team: Option<u64>) -> Owner {
    let owner = Owner::new(Scope::User(user_id(number)), format!("user {number}"), NOON);
    Owner { team: team.map(team_id), ..owner }
}

fn insert(store: &Store, owner: Owner) {
    wait(store.insert_owner(owner, act("owner.create"))).unwrap();
}

fn refused(store: &Store, owner: Owner) -> Fault {
    wait(store.insert_owner(owner, act("owner.create"))).unwrap_err()
}

fn change(store: &Store, scope: Scope, change: impl FnOnce(&mut Owner) + Send + 'static) -> Owner {
    let change = |owner: &mut Owner| {
        change(owner);
        Ok::<_, Never>(())
    };
    wait(store.update_owner(scope, None, change, act("owner.update"))).unwrap().1
}

fn read(store: &Store, scope: Scope) -> Owner {
    wait(store.owner(scope)).unwrap().unwrap()
}

fn members(store: &Store, number: u64) -> u32 {
    read(store, Scope::Team(team_id(number))).members
}

/// From memory where it is there, as a call asks.
fn lineage(store: &Store, key: &Arc<Key>) -> Lineage {
    store.lineage(key).unwrap_or_else(|| wait(store.look_up_lineage(Arc::clone(key))).unwrap())
}

fn page(store: &Store, query: OwnerQuery) -> Vec<Scope> {
    wait(store.owners(query)).unwrap().iter().map(|owner| owner.scope).collect()
}

fn all(kind: &'static str) -> OwnerQuery {
    OwnerQuery { kind, team: None, name: None, after: None, page_size: 100 }
}

#[test]
fn the_instance_and_the_default_project_always_exist() {
    let dir = directory();
    let store = open(dir.path());
    let epoch = Timestamp::default();
    for (scope, name) in [(Scope::Instance, "instance"), (DEFAULT, "default")] {
        assert_eq!(read(&store, scope), Owner::new(scope, name, epoch));
        assert_eq!(page(&store, all(scope.kind())), [scope]);
        let fault = refused(&store, Owner::new(scope, "again", NOON));
        assert!(matches!(fault, Fault::Taken), "{fault}");
    }
    assert!(trail(&store).is_empty());
    let above = store.lineage(&Arc::new(key(1))).unwrap();
    assert_eq!((above.instance.revision, above.project.revision), (1, 1));
    assert!(above.team.is_none() && above.user.is_none());

    let changed = [Scope::Instance, DEFAULT].map(|scope| {
        change(&store, scope, |owner| owner.limits = vec![limit(1, 5, Window::Lifetime)])
    });
    let above = store.lineage(&Arc::new(key(1))).unwrap();
    assert_eq!([&*above.instance, &*above.project], [&changed[0], &changed[1]]);
    drop(store);
    let store = open(dir.path());
    let above = store.lineage(&Arc::new(key(1))).unwrap();
    assert_eq!([&*above.instance, &*above.project], [&changed[0], &changed[1]]);
    assert_eq!(trail(&store).len(), 2);
}

#[test]
fn reopening_keeps_owners_and_memory_learns_them_again() {
    let dir = directory();
    let store = open(dir.path());
    let limited = Owner { limits: vec![limit(1, 5, Window::Lifetime)], ..project(1) };
    for owner in [limited.clone(), team(1), user(1, Some(1))] {
        insert(&store, owner);
    }
    let mut key = key(1);
    (key.project, key.user) = (project_id(1), Some(user_id(1)));
    wait(store.insert_key(key.clone(), act("key.create"))).unwrap();
    drop(store);
    let store = open(dir.path());
    let key = wait(store.look_up(key.secrets[0].digest)).unwrap().unwrap();
    assert!(store.lineage(&key).is_none());
    let above = wait(store.look_up_lineage(Arc::clone(&key))).unwrap();
    assert_eq!(*above.project, limited);
    assert_eq!(above.user.as_deref(), Some(&user(1, Some(1))));
    assert_eq!(above.team.as_deref(), Some(&Owner { members: 1, ..team(1) }));
    assert_eq!(above.key, key);
    assert!(Arc::ptr_eq(&store.lineage(&key).unwrap().project, &above.project));
    assert_eq!(wait(store.owner(Scope::User(user_id(9)))).unwrap(), None);
}

#[test]
fn an_id_is_taken_once_and_a_name_once_among_users() {
    let dir = directory();
    let store = open(dir.path());
    for owner in [team(1), user(1, None), user(2, None), project(1)] {
        insert(&store, owner);
    }
    let named = |owner: Owner| Owner { name: "user 1".to_owned(), ..owner };
    for owner in [named(user(3, None)), user(1, None), team(1), project(1)] {
        let fault = refused(&store, owner);
        assert!(matches!(fault, Fault::Taken), "{fault}");
    }
    let rename = |owner: &mut Owner| {
        owner.name = "user 1".to_owned();
        Ok::<_, Never>(())
    };
    let second = Scope::User(user_id(2));
    let renamed = wait(store.update_owner(second, None, rename, act("owner.update")));
    assert!(matches!(renamed, Err(NotChanged::Fault(Fault::Taken))));
    // Teams and projects may be called alike.
    for owner in [named(team(3)), named(team(4)), named(project(5)), named(project(6))] {
        insert(&store, owner);
    }
    let unknown = refused(&store, user(7, Some(99)));
    assert!(matches!(unknown, Fault::NoSuchOwner(scope) if scope == Scope::Team(team_id(99))));
    let key = refused(&store, Owner::new(Scope::Key(key_id(1)), "key", NOON));
    assert!(matches!(key, Fault::NoSuchOwner(Scope::Key(_))));
    // Neither a half of it nor an audit row is left behind.
    assert_eq!(wait(store.owner(Scope::User(user_id(7)))).unwrap(), None);
    assert_eq!(read(&store, second), user(2, None));
    assert_eq!(trail(&store).len(), 8);
}

#[test]
fn a_change_is_one_transaction_and_one_audit_row() {
    let dir = directory();
    let store = open(dir.path());
    insert(&store, team(1));
    let scope = Scope::Team(team_id(1));
    let rename = |owner: &mut Owner| {
        owner.name = "renamed".to_owned();
        // What the registry keeps is not for a change to set.
        owner.scope = Scope::Instance;
        (owner.members, owner.revision, owner.team) = (7, 7, Some(team_id(1)));
        Ok::<_, &str>(())
    };
    let (before, after) =
        wait(store.update_owner(scope, Some(1), rename, act("team.update"))).unwrap();
    assert_eq!(before, team(1));
    assert_eq!(after, Owner { name: "renamed".to_owned(), revision: 2, ..team(1) });
    assert_eq!(read(&store, scope), after);
    let stale = wait(store.update_owner(scope, Some(1), rename, act("team.update")));
    assert!(matches!(stale, Err(NotChanged::Fault(Fault::Stale { expected: 1, found: 2 }))));
    let no = |_: &mut Owner| Err("no");
    let refused = wait(store.update_owner(scope, None, no, act("team.update")));
    assert!(matches!(refused, Err(NotChanged::Refused("no"))));
    let unknown = Scope::Team(team_id(2));
    let unknown = wait(store.update_owner(unknown, None, rename, act("team.update")));
    assert!(matches!(unknown, Err(NotChanged::Fault(Fault::NotFound))));
    let trail = crate::world::trail(&store);
    assert_eq!(trail.len(), 2);
    let parsed = |text: &Option<String>| serde_json::from_str(text.as_deref().unwrap()).ok();
    assert_eq!(trail[1].before, None);
    assert_eq!(parsed(&trail[1].after), Some(before.clone()));
    assert_eq!(trail[0].action, "team.update");
    assert_eq!((parsed(&trail[0].before), parsed(&trail[0].after)), (Some(before), Some(after)));
}

#[test]
fn a_team_counts_its_users_through_inserts_and_moves() {
    let dir = directory();
    let store = open(dir.path());
    insert(&store, Owner { members: 5, ..team(1) });
    insert(&store, team(2));
    assert_eq!(members(&store, 1), 0);
    for (number, team) in [(1, Some(1)), (2, Some(1)), (3, None)] {
        insert(&store, user(number, team));
    }
    let acts = trail(&store).len();
    assert_eq!((members(&store, 1), members(&store, 2)), (2, 0));
    let mut moves = 0;
    let mut put = |number: u64, team: Option<u64>| {
        moves += 1;
        let team = team.map(team_id);
        change(&store, Scope::User(user_id(number)), move |user| user.team = team);
        (members(&store, 1), members(&store, 2))
    };
    assert_eq!(put(1, Some(2)), (1, 1));
    assert_eq!(put(3, Some(2)), (1, 2));
    assert_eq!(put(3, Some(2)), (1, 2));
    assert_eq!(put(2, None), (0, 2));
    assert_eq!(put(2, None), (0, 2));
    let nowhere = |user: &mut Owner| {
        user.team = Some(team_id(99));
        Ok::<_, Never>(())
    };
    let scope = Scope::User(user_id(1));
    let lost = wait(store.update_owner(scope, None, nowhere, act("user.update")));
    assert!(matches!(lost, Err(NotChanged::Fault(Fault::NoSuchOwner(Scope::Team(_))))));
    assert_eq!((members(&store, 1), members(&store, 2)), (0, 2));
    // Counting is no change of the team, and a change of the team keeps the count.
    assert_eq!(read(&store, Scope::Team(team_id(2))).revision, 1);
    assert_eq!(trail(&store).len(), acts + moves);
    let renamed = change(&store, Scope::Team(team_id(2)), |team| team.name = "new".to_owned());
    assert_eq!((renamed.members, renamed.revision), (2, 2));
    drop(store);
    let store = open(dir.path());
    assert_eq!((members(&store, 1), members(&store, 2)), (0, 2));
}

#[test]
fn lists_are_of_one_kind_newest_first_and_in_pages() {
    let dir = directory();
    let store = open(dir.path());
    for number in 1..=3 {
        insert(&store, project(number));
        insert(&store, team(number));
    }
    for number in 1..=25 {
        insert(&store, user(number, (number % 5 > 0).then_some(number % 5 % 3 + 1)));
    }
    let teams: Vec<_> = (1..=3).rev().map(|number| Scope::Team(team_id(number))).collect();
    assert_eq!(page(&store, all("team")), teams);
    let projects = (1..=3).rev().map(|number| Scope::Project(project_id(number)));
    assert_eq!(page(&store, all("project")), projects.chain([DEFAULT]).collect::<Vec<_>>());

    let paged = |first: OwnerQuery| {
        let (mut seen, mut next) = (Vec::new(), first);
        loop {
            let page = page(&store, next.clone());
            assert!(page.len() <= next.page_size);
            next.after = page.last().copied();
            if page.is_empty() {
                return seen;
            }
            seen.extend(page);
        }
    };
    let users = |numbers: &dyn Fn(&u64) -> bool| -> Vec<_> {
        (1..=25).rev().filter(numbers).map(|number| Scope::User(user_id(number))).collect()
    };
    let four = OwnerQuery { page_size: 4, ..all("user") };
    assert_eq!(paged(four.clone()), users(&|_| true));
    let second = OwnerQuery { team: Some(team_id(2)), ..four.clone() };
    assert_eq!(paged(second.clone()), users(&|number| matches!(number % 5, 1 | 4)));
    assert!(page(&store, OwnerQuery { team: Some(team_id(9)), ..four.clone() }).is_empty());
    let named = |name: &str, query: &OwnerQuery| {
        page(&store, OwnerQuery { name: Some(name.to_owned()), ..query.clone() })
    };
    assert_eq!(named("user 7", &four), [Scope::User(user_id(7))]);
    assert_eq!(named("user 6", &second), [Scope::User(user_id(6))]);
    assert_eq!(named("user 7", &second), []);
    assert_eq!(named("user", &four), []);
    assert_eq!(named("team 2", &all("team")), [Scope::Team(team_id(2))]);
    assert_eq!(named("default", &all("project")), [DEFAULT]);
}

#[test]
fn a_key_belongs_to_owners_that_exist() {
    let dir = directory();
    let store = open(dir.path());
    for owner in [project(1), team(1), user(1, None)] {
        insert(&store, owner);
    }
    let acts = trail(&store).len();
    let in_project = |number| Key { project: project_id(number), ..key(1) };
    let of_user = |number| Key { user: Some(user_id(number)), ..key(1) };
    let of_team = |number| Key { team: Some(team_id(number)), ..key(1) };
    let both = Key { team: Some(team_id(9)), ..of_user(1) };
    for (wrong, missing) in [
        (in_project(9), Scope::Project(project_id(9))),
        (of_user(9), Scope::User(user_id(9))),
        (of_team(9), Scope::Team(team_id(9))),
        (both, Scope::Team(team_id(9))),
    ] {
        for keys in [vec![wrong.clone()], vec![key(2), wrong.clone(), key(3)]] {
            let fault = wait(store.import_keys(keys, act("key.import"))).unwrap_err();
            assert!(matches!(fault, Fault::NoSuchOwner(scope) if scope == missing), "{fault}");
        }
    }
    assert_eq!(wait(store.count_keys(KeyQuery::default())).unwrap(), 0);
    assert_eq!(trail(&store).len(), acts);
    let good = Key { project: project_id(1), ..of_user(1) };
    wait(store.insert_key(good, act("key.create"))).unwrap();
    let give = |key: &mut Key| {
        key.user = Some(user_id(9));
        Ok::<_, Never>(())
    };
    let given = wait(store.update_key(key_id(1), None, give, act("key.update")));
    assert!(matches!(given, Err(NotChanged::Fault(Fault::NoSuchOwner(Scope::User(_))))));
    let free = |key: &mut Key| {
        (key.project, key.user, key.team) = (ProjectId::DEFAULT, None, Some(team_id(1)));
        Ok::<_, Never>(())
    };
    wait(store.update_key(key_id(1), None, free, act("key.update"))).unwrap();
    let key = wait(store.look_up(digest(1))).unwrap().unwrap();
    let above = lineage(&store, &key);
    assert_eq!((above.project.scope, above.user), (DEFAULT, None));
    assert_eq!(above.team.unwrap().scope, Scope::Team(team_id(1)));
}

/// Somebody else's hand in the database: the key opens nothing, and can still be revoked.
#[test]
fn an_owner_whose_record_is_gone_lets_nobody_through() {
    let dir = directory();
    let store = open(dir.path());
    insert(&store, user(1, None));
    let owned = Key { user: Some(user_id(1)), ..key(1) };
    wait(store.insert_key(owned, act("key.create"))).unwrap();
    drop(store);
    let records = rusqlite::Connection::open(dir.path().join("weir.db")).unwrap();
    assert_eq!(records.execute("DELETE FROM owner WHERE kind = 'user'", []).unwrap(), 1);
    drop(records);
    let store = open(dir.path());
    let key = wait(store.look_up(digest(1))).unwrap().unwrap();
    for _ in 0..2 {
        assert!(store.lineage(&key).is_none());
        let looked_up = wait(store.look_up_lineage(Arc::clone(&key)));
        assert!(matches!(looked_up, Err(Fault::NoSuchOwner(Scope::User(_)))));
    }
    let revoke = |key: &mut Key| {
        domain::command::revoke(key, NOON);
        Ok::<_, Never>(())
    };
    wait(store.update_key(key_id(1), None, revoke, act("key.revoke"))).unwrap();
}

#[test]
fn keys_are_listed_by_project_user_and_team() {
    let dir = directory();
    let store = open(dir.path());
    for owner in [project(1), team(1), team(2), user(1, Some(1)), user(2, None)] {
        insert(&store, owner);
    }
    let home = |number, project: Option<u64>, user: Option<u64>, team: Option<u64>| Key {
        project: project.map_or(ProjectId::DEFAULT, project_id),
        user: user.map(user_id),
        team: team.map(team_id),
        maker: (number > 3).then(|| key_id(77)),
        ..key(number)
    };
    let keys = vec![
        home(1, None, None, None),
        home(2, Some(1), Some(1), None),
        home(3, Some(1), None, Some(1)),
        home(4, None, Some(2), None),
        home(5, Some(1), Some(1), Some(2)),
        home(6, None, None, Some(2)),
    ];
    wait(store.import_keys(keys, act("key.import"))).unwrap();
    let all = KeyQuery { page_size: 10, ..KeyQuery::default() };
    let found = |query: &KeyQuery| {
        let keys = wait(store.keys(query.clone())).unwrap();
        assert_eq!(
            wait(store.count_keys(query.clone())).unwrap(),
            u64::try_from(keys.len()).unwrap()
        );
        keys.iter().map(|key| key.name.clone()).collect::<Vec<_>>().join(", ")
    };
    let project = |id| KeyQuery { project: Some(id), ..all.clone() };
    let user = |number| KeyQuery { user: Some(user_id(number)), ..all.clone() };
    let team = |number| KeyQuery { team: Some(team_id(number)), ..all.clone() };
    assert_eq!(found(&project(project_id(1))), "key 5, key 3, key 2");
    assert_eq!(found(&project(ProjectId::DEFAULT)), "key 6, key 4, key 1");
    assert_eq!(found(&user(1)), "key 5, key 2");
    assert_eq!(found(&user(9)), "");
    // A user's key has the user's team, whatever stands on the key.
    assert_eq!(found(&team(1)), "key 5, key 3, key 2");
    assert_eq!(found(&team(2)), "key 6");
    let maker = Some(key_id(77));
    assert_eq!(found(&KeyQuery { maker, ..team(1) }), "key 5");
    assert_eq!(found(&KeyQuery { maker, ..project(project_id(1)) }), "key 5");
    assert_eq!(
        found(&KeyQuery { maker, user: Some(user_id(2)), ..project(ProjectId::DEFAULT) }),
        "key 4"
    );
    let named = Some("KEY 3".to_owned());
    assert_eq!(found(&KeyQuery { name_contains: named.clone(), ..team(1) }), "key 3");
    assert_eq!(found(&KeyQuery { name_contains: named, ..user(1) }), "");
    let after = Some((&key(5)).into());
    let older = wait(store.keys(KeyQuery { after, page_size: 1, ..team(1) })).unwrap();
    assert_eq!(older[0].id, key_id(3));
    let second = wait(store.keys(KeyQuery { offset: 1, page_size: 1, ..user(1) })).unwrap();
    assert_eq!(second[0].id, key_id(2));

    change(&store, Scope::User(user_id(1)), |user| user.team = Some(team_id(2)));
    assert_eq!(
        (found(&team(1)), found(&team(2))),
        ("key 3".to_owned(), "key 6, key 5, key 2".to_owned())
    );
}

/// What was changed is above the key in the very next lineage, memory or not.
#[test]
fn a_change_is_in_force_as_soon_as_it_is_answered() {
    let dir = directory();
    let store = open(dir.path());
    for owner in [project(1), team(1), team(2), user(1, Some(1)), user(2, Some(1))] {
        insert(&store, owner);
    }
    let mut key = key(1);
    (key.project, key.user) = (project_id(1), Some(user_id(1)));
    wait(store.insert_key(key.clone(), act("key.create"))).unwrap();
    let key = Arc::new(key);
    let above = || store.lineage(&key).unwrap();
    let before = above();
    assert_eq!(before.team.as_ref().unwrap().members, 2);
    for scope in [
        Scope::Instance,
        Scope::Project(project_id(1)),
        Scope::Team(team_id(1)),
        Scope::User(user_id(1)),
    ] {
        let after = change(&store, scope, |owner| {
            owner.limits = vec![limit(1, 5, Window::Lifetime)];
        });
        let now = above();
        assert_eq!(
            now.owners().find(|owner| owner.scope == scope).map(|owner| &**owner),
            Some(&after)
        );
    }
    change(&store, Scope::User(user_id(2)), |user| user.team = None);
    assert_eq!(above().team.unwrap().members, 1);
    change(&store, Scope::User(user_id(1)), |user| user.team = Some(team_id(2)));
    let team = above().team.unwrap();
    assert_eq!((team.scope, team.members), (Scope::Team(team_id(2)), 1));
    change(&store, Scope::User(user_id(1)), |user| user.team = None);
    assert!(above().team.is_none());
    // Who asked before a change keeps what stood then.
    assert_eq!(before.team.as_ref().unwrap().members, 2);
    assert!(before.instance.limits.is_empty());
}

/// Says that it is over, also when the test fails: who waits for that must not wait for ever.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Readers hammer a key whose owners hardly fit into memory, while its user goes from team to team:
/// nobody who asks after a change was answered sees what was before it.
#[test]
fn no_reader_brings_back_an_old_owner() {
    const CHANGES: u64 = 300;
    for cached_owners in [1, 100] {
        let dir = directory();
        let options = Options { cached_owners, ..Options::default() };
        let store = Store::open(dir.path(), options, NOON).unwrap();
        for owner in [team(0), team(1), user(1, Some(1)), user(2, Some(1)), project(1)] {
            insert(&store, owner);
        }
        let key_of =
            |number| Key { user: Some(user_id(number)), project: project_id(1), ..key(number) };
        let [mover, other] = [1, 2].map(|number| Arc::new(key_of(number)));
        // The user is in the team whose number is its revision, modulo 2.
        let (acknowledged, done) = (AtomicU64::new(1), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::Acquire) {
                        // The other one's owners push these out of memory.
                        lineage(&store, &other);
                        let least = acknowledged.load(Ordering::Acquire);
                        let above = lineage(&store, &mover);
                        let user = above.user.unwrap();
                        assert!(user.revision >= least, "{} < {least}", user.revision);
                        assert_eq!(user.team, Some(team_id(user.revision % 2)));
                        let team = above.team.unwrap();
                        assert_eq!(team.scope, Scope::Team(user.team.unwrap()));
                        // The team was changed each time just before the user came.
                        let changes = team.revision - 1;
                        assert!(changes >= user.revision / 2, "{changes}, {}", user.revision);
                    }
                });
            }
            let _end = End(&done);
            for revision in 2..2 + CHANGES {
                let to = team_id(revision % 2);
                change(&store, Scope::Team(to), |_| {});
                change(&store, Scope::User(user_id(1)), move |user| user.team = Some(to));
                acknowledged.store(revision, Ordering::Release);
                let team = lineage(&store, &mover).team.unwrap();
                let stays = u32::from(to == team_id(1));
                assert_eq!((team.scope, team.members), (Scope::Team(to), 1 + stays));
            }
        });
    }
}
