//! Makes many keys in a data directory: `fill <dir> <keys>`. The secret of key number `n` is
//! `sk-fill-<n>`, so that a load generator can be any of them. With 0 keys it only asks questions.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a tool for people")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use domain::{Key, KeyId, KeyKind, KeyState, ProjectId, Rules, Secret, SecretRecord, Timestamp};
use store::{Act, KeyQuery, Options, Store};

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
    let query = KeyQuery { page_size: 50, ..KeyQuery::default() };
    for (what, query) in [
        ("first page", query.clone()),
        (
            "name, one hit",
            KeyQuery { name_contains: Some(format!("fill {}", keys / 2)), ..query.clone() },
        ),
        ("name, no hit", KeyQuery { name_contains: Some("no such".to_owned()), ..query.clone() }),
        ("a maker's", KeyQuery { maker: Some(KeyId::new(now, 0)), ..query.clone() }),
    ] {
        let begun = Instant::now();
        let found = store.keys(query.clone()).await?.len();
        let listed = begun.elapsed();
        let begun = Instant::now();
        let all = store.count_keys(query).await?;
        println!("{what}: {found} in {listed:.1?}; count {all} in {:.1?}", begun.elapsed());
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

fn key(number: u64, now: Timestamp) -> Key {
    let secret = Secret::new(format!("sk-fill-{number}"));
    let record = SecretRecord { digest: secret.digest(), mask: secret.mask(), created_at: now };
    Key {
        id: KeyId::new(now, u128::from(number)),
        kind: KeyKind::Regular,
        name: format!("fill {number}"),
        maker: None,
        project: ProjectId::DEFAULT,
        user: None,
        team: None,
        secrets: vec![record],
        rules: Rules::default(),
        limits: Vec::new(),
        state: KeyState::Active,
        expires_at: None,
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
