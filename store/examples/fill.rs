//! Makes many keys in a data directory: `fill <dir> <keys>`. The secret of key number `n` is
//! `sk-fill-<n>`, so that a load generator can be any of them. With 0 keys it only asks questions.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a tool for people")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::{
    Key, KeyId, KeyKind, KeyState, ProjectId, Rules, Secret, SecretRecord, Status, Timestamp,
};
use store::{Act, KeyOrder, KeyQuery, Options, Store};

const BATCH: u64 = 20_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(dir), Some(keys)) = (args.next(), args.next()) else {
        return Err("usage: fill <dir> <keys>".into());
    };
    let keys: u64 = keys.parse()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
    let now = Timestamp::from_micros(i64::try_from(now)?);
    let store = Store::open(dir.as_ref(), Options::default(), now)?;
    let begun = Instant::now();
    for first in (0..keys).step_by(usize::try_from(BATCH)?) {
        let batch = (first..keys.min(first + BATCH)).map(|number| key(number, now)).collect();
        let (actor, subject) = ("fill".to_owned(), format!("keys from {first}"));
        store
            .import_keys(batch, Act { at: now, actor, action: "key.import", subject, once: None })
            .await?;
    }
    println!("{keys} keys in {:.1} s", begun.elapsed().as_secs_f64());
    for (what, query) in questions(now) {
        let page = store.keys(query.clone()).await?;
        let next = KeyQuery { after: page.last().map(Into::into), ..query.clone() };
        // The best of a few: what it costs where nothing else keeps the machine busy.
        let mut best = [Duration::MAX; 3];
        for _ in 0..7 {
            let begun = Instant::now();
            store.keys(query.clone()).await?;
            best[0] = best[0].min(begun.elapsed());
            let begun = Instant::now();
            store.keys(next.clone()).await?;
            best[1] = best[1].min(begun.elapsed());
        }
        let begun = Instant::now();
        let all = store.count_keys(query).await?;
        best[2] = best[2].min(begun.elapsed());
        let [listed, next, counted] = best;
        println!(
            "{what:<36} {:>4} in {listed:>9.1?}; next {next:>9.1?}; {all:>7} counted in {counted:.1?}",
            page.len()
        );
    }
    let all = store.count_keys(KeyQuery::default()).await?.max(1);
    let begun = Instant::now();
    for number in 0..1_000 {
        let secret = Secret::new(format!("sk-fill-{}", number * 7_919 % all));
        assert!(store.look_up(secret.digest()).await?.is_some(), "a key is missing");
    }
    println!("look_up: {:.1?} each", begun.elapsed() / 1_000);
    println!("{}", resident()?);
    store.close()?;
    Ok(())
}

/// Pages of a hundred: every order, and filters and searches that leave many, few or none.
fn questions(now: Timestamp) -> Vec<(String, KeyQuery)> {
    let any = KeyQuery { page_size: 100, include_disabled: true, ..KeyQuery::default() };
    let named = |text: String| KeyQuery { name_contains: Some(text), ..any.clone() };
    let filters = [
        ("all", any.clone()),
        ("some names", named("fill 50000".to_owned())),
        ("many names", named("fill 7".to_owned())),
        ("every name", named("ill".to_owned())),
        ("no name", named("no such".to_owned())),
        ("two letters nowhere", named("zq".to_owned())),
        ("a large project", KeyQuery { project: Some(ProjectId::DEFAULT), ..any.clone() }),
        ("a maker of ten", KeyQuery { maker: Some(maker(now, 1)), ..any.clone() }),
        ("a maker of half", KeyQuery { maker: Some(maker(now, 0)), ..any.clone() }),
        (
            "that maker's many names",
            KeyQuery { maker: Some(maker(now, 0)), ..named("fill 7".to_owned()) },
        ),
        ("management keys", KeyQuery { kind: Some(KeyKind::Management), ..any.clone() }),
        ("active", KeyQuery { status: Some((Status::Active, now)), ..any.clone() }),
        ("expired", KeyQuery { status: Some((Status::Expired, now)), ..any.clone() }),
        ("disabled", KeyQuery { status: Some((Status::Disabled, now)), ..any.clone() }),
        ("revoked", KeyQuery { status: Some((Status::Revoked, now)), ..any }),
    ];
    let orders = [
        ("newest", KeyOrder::Made, false),
        ("oldest", KeyOrder::Made, true),
        ("name", KeyOrder::Name, true),
        ("name, last", KeyOrder::Name, false),
        ("end", KeyOrder::End, true),
        ("end, last", KeyOrder::End, false),
    ];
    let ask = |(what, query): (&str, KeyQuery)| {
        orders.map(|(way, order, ascending)| {
            (format!("{what}, by {way}"), KeyQuery { order, ascending, ..query.clone() })
        })
    };
    filters.into_iter().flat_map(ask).collect()
}

/// The first made half of all keys, the others ten each.
fn maker(now: Timestamp, number: u64) -> KeyId {
    KeyId::new(now, u128::from(u64::MAX - number))
}

fn key(number: u64, now: Timestamp) -> Key {
    let secret = Secret::new(format!("sk-fill-{number}"));
    let record = SecretRecord::new(&secret, now);
    let state = match number % 100 {
        97 => KeyState::Disabled { at: now },
        98 => KeyState::Revoked { at: now },
        _ => KeyState::Active,
    };
    Key {
        id: KeyId::new(now, u128::from(number)),
        kind: if number % 1_000 == 999 { KeyKind::Management } else { KeyKind::Regular },
        name: format!("fill {number}"),
        maker: Some(maker(now, if number.is_multiple_of(2) { 0 } else { 1 + number / 20 })),
        project: ProjectId::DEFAULT,
        user: None,
        team: None,
        secrets: vec![record],
        listed: false,
        metadata: std::collections::BTreeMap::new(),
        rules: Rules::default(),
        limits: Vec::new(),
        state,
        expires_at: (number % 10 == 4)
            .then(|| now.plus_seconds(i64::try_from(number).unwrap_or(0) - 50_000)),
        created_at: now,
        updated_at: now,
        revision: 1,
    }
}

/// The line of the kernel's account that tells the memory in use.
fn resident() -> std::io::Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    Ok(status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default().to_owned())
}
