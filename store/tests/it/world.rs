//! Values that tests are made of, and the store they put them in.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use domain::Want;
use domain::ledger::{Fit, Now};
use domain::{
    Class, Digest, Ending, Evidence, HoldId, Key, KeyId, KeyKind, KeyState, Limit, LimitId, Money,
    ProjectId, RequestId, Row, Rules, Scope, ScopedLimit, Secret, SecretRecord, Timestamp, Usage,
    Window,
};
use store::{Act, AuditQuery, AuditRow, Group, Held, NotReserved, Options, Store, Sum, UsageQuery};

/// 2026-11-21T12:00:00Z
pub(crate) const NOON: Timestamp = Timestamp::from_seconds(1_795_262_400);

/// A new directory that is removed with the value: in memory where that is possible, so that a
/// thousand openings do not wait for a disk.
pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(crate) fn open(dir: &Path) -> Store {
    Store::open(dir, Options::default(), NOON).unwrap()
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Every administrative act, the newest first.
pub(crate) fn trail(store: &Store) -> Vec<AuditRow> {
    let query = AuditQuery { page_size: AuditQuery::MOST, ..AuditQuery::default() };
    wait(store.audit(query)).unwrap()
}

pub(crate) fn key_id(number: u64) -> KeyId {
    KeyId::new(NOON.plus_seconds(i64::try_from(number).unwrap()), u128::from(number))
}

pub(crate) fn digest(number: u64) -> Digest {
    Digest::of(&number.to_be_bytes())
}

pub(crate) fn key(number: u64) -> Key {
    let mask = Secret::new("sk-0123456789abcdef".to_owned()).mask();
    Key {
        id: key_id(number),
        kind: KeyKind::Regular,
        name: format!("key {number}"),
        maker: None,
        project: ProjectId::DEFAULT,
        user: None,
        team: None,
        secrets: vec![SecretRecord {
            digest: digest(number),
            mask,
            created_at: NOON,
            ends_at: None,
        }],
        listed: false,
        metadata: std::collections::BTreeMap::new(),
        rules: Rules::default(),
        limits: Vec::new(),
        state: KeyState::Active,
        expires_at: None,
        created_at: NOON,
        updated_at: NOON,
        revision: 1,
    }
}

pub(crate) fn limit(number: u128, dollars: i64, window: Window) -> Limit {
    let id = LimitId::new(NOON, number);
    Limit::money(id, Money::from_nanos(dollars * 1_000_000_000), window)
}

/// The limits of a key, as they apply to its calls.
pub(crate) fn on(key: &Key) -> Vec<ScopedLimit> {
    let scope = Scope::Key(key.id);
    key.limits.iter().map(|limit| ScopedLimit { scope, limit: *limit }).collect()
}

/// Both clocks at `at`: they run together here.
pub(crate) fn now(at: Timestamp) -> Now {
    Now { wall: at, monotonic: u64::try_from(at.micros()).unwrap() }
}

/// Holds money for one call of `key`.
pub(crate) async fn reserve(
    store: &Store,
    key: &Key,
    id: HoldId,
    amount: Money,
    at: Timestamp,
) -> Result<Held, NotReserved> {
    store.reserve(id, &on(key), Want::call(amount, 0), Fit::All, now(at)).await
}

pub(crate) fn act(action: &'static str) -> Act {
    let (actor, subject) = ("test".to_owned(), "key".to_owned());
    Act { at: NOON, actor, action, subject, once: None }
}

pub(crate) fn hold_id(number: u64) -> HoldId {
    HoldId::new(NOON, u128::from(number))
}

pub(crate) fn row(number: u64, key: KeyId, began_at: Timestamp) -> Row {
    let models: [Arc<str>; 2] = ["gpt-4o".into(), "claude-sonnet-4".into()];
    let provider: Arc<str> = ["openai", "anthropic"][usize::try_from(number % 2).unwrap()].into();
    let model = Arc::clone(&models[usize::try_from(number % 2).unwrap()]);
    Row {
        attempt: HoldId::new(began_at, u128::from(number)),
        request: RequestId::new(began_at, u128::from(number)),
        key,
        route: "chat/completions".into(),
        model_asked: Arc::clone(&model),
        model_used: model,
        credential: "main".into(),
        provider,
        usage: Usage::NONE.with(Class::Input, number % 700).with(Class::Output, number % 90),
        evidence: if number.is_multiple_of(5) { Evidence::Estimated } else { Evidence::Reported },
        cost: (!number.is_multiple_of(7))
            .then(|| Money::from_nanos(1_000 + i64::try_from(number).unwrap())),
        held: Money::ZERO,
        tokens: i64::try_from(number % 700 + number % 90).unwrap(),
        price_version: "2026-11-01".into(),
        rates: Vec::new(),
        stream: number.is_multiple_of(2),
        status: 200,
        ending: if number.is_multiple_of(11) { Ending::ClientGone } else { Ending::Complete },
        began_at,
        ours_micros: 120,
        first_byte_micros: Some(300_000),
        total_micros: 1_200_000 + number,
    }
}

/// Sums by hour, key, model and provider, computed from the rows themselves.
pub(crate) type Sums = BTreeMap<(i64, KeyId, String, String), Sum>;

pub(crate) fn sums_of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Sums {
    let mut sums = Sums::new();
    for row in rows {
        let hour = row.began_at.hour().seconds();
        let about = (hour, row.key, row.model_used.to_string(), row.provider.to_string());
        sums.entry(about).or_default().add(&Sum::of(row));
    }
    sums
}

/// The store's own sums.
pub(crate) fn sums_in(store: &Store) -> Sums {
    let group = vec![Group::Key, Group::Hour, Group::Model, Group::Provider];
    let query = UsageQuery { group, most: UsageQuery::MOST, ..UsageQuery::default() };
    let report = wait(store.usage(query)).unwrap();
    let mut total = Sum::default();
    let mut sums = Sums::new();
    for one in report.sums {
        total.add(&one.sum);
        let hour = one.start.unwrap().seconds();
        sums.insert((hour, one.key.unwrap(), one.model.unwrap(), one.provider.unwrap()), one.sum);
    }
    assert_eq!(total, report.total);
    sums
}

/// A copy of a data directory as a process that is killed now would leave it.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Numbers that look like chance and are the same every time.
pub(crate) fn chance(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15);
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}
