//! What the hot paths cost: `weigh <new dir>`. Recording rows with one and two threads, finding
//! keys, holding and settling.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a tool for people")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ledger::{Fit, Now};
use domain::{
    Class, Digest, Ending, Evidence, HoldId, Key, KeyId, KeyKind, KeyState, Limit, LimitId, Money,
    Price, ProjectId, RequestId, Row, Rules, Scope, ScopedLimit, Secret, SecretRecord, Timestamp,
    Usage, Want, Window,
};
use store::{Act, Durability, Fault, Options, Store};

const NOW: Timestamp = Timestamp::from_seconds(1_795_262_400);
const ROWS: u64 = 1_000_000;
const KEYS: u64 = 1_000;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let dir = std::env::args().nth(1).ok_or("usage: weigh <new dir>")?;
    std::fs::create_dir(&dir)?;
    let dir = Path::new(&dir);
    for (name, durability) in [("process", Durability::Process), ("power", Durability::Power)] {
        for threads in [1, 2] {
            record(&dir.join(format!("{name}-{threads}")), durability, threads)?;
        }
    }
    paced(&dir.join("paced"))?;
    find_and_hold(&dir.join("find"))
}

fn id(number: u64) -> KeyId {
    KeyId::new(NOW, u128::from(number))
}

fn row(number: u64, names: &[Arc<str>; 5]) -> Row {
    let [route, model, provider, credential, prices] = names.clone();
    Row {
        attempt: HoldId::new(NOW, u128::from(number) * 0x9e37_79b9_7f4a_7c15),
        request: RequestId::new(NOW, u128::from(number) * 0x9e37_79b9_7f4a_7c15),
        key: id(number % KEYS),
        route,
        model_asked: Arc::clone(&model),
        model_used: model,
        provider,
        credential,
        usage: Usage::NONE.with(Class::Input, 812).with(Class::Output, 230),
        evidence: Evidence::Reported,
        cost: Some(Money::from_nanos(4_330_000)),
        held: Money::from_nanos(9_000_000),
        tokens: 1_042,
        price_version: prices,
        rates: vec![
            (Class::Input, Price::from_picos(2_500_000)),
            (Class::Output, Price::from_picos(10_000_000)),
        ],
        stream: true,
        status: 200,
        ending: Ending::Complete,
        began_at: NOW.plus_seconds(i64::try_from(number / 10_000).unwrap_or(0)),
        ours_micros: 140,
        first_byte_micros: Some(420_000),
        total_micros: 2_310_000,
    }
}

fn names() -> [Arc<str>; 5] {
    ["chat/completions", "gpt-4o-2024-11-20", "openai", "main", "2026-11-01"].map(Arc::from)
}

fn store(dir: &Path, durability: Durability) -> Result<Store, Fault> {
    Store::open(dir, Options { durability, ..Options::default() }, NOW)
}

/// Threads record as fast as they can, waiting where the store says it is full.
fn record(dir: &Path, durability: Durability, threads: u64) -> Outcome {
    let store = store(dir, durability)?;
    let (begun, cpu) = (Instant::now(), cpu_time()?);
    let mut spent = Duration::ZERO;
    std::thread::scope(|scope| -> Outcome {
        let run = |thread: u64| {
            let store = &store;
            move || -> Result<Duration, Fault> {
                let names = names();
                let mut inside = Duration::ZERO;
                for block in 0..ROWS / threads / 1_000 {
                    let first = (thread << 32) + block * 1_000;
                    let rows: Vec<_> = (first..first + 1_000).map(|n| row(n, &names)).collect();
                    let begun = Instant::now();
                    let mut refused = 0;
                    for row in rows {
                        match store.record(&row) {
                            Ok(()) => {}
                            Err(Fault::LedgerFull) => refused += 1,
                            Err(fault) => return Err(fault),
                        }
                    }
                    inside += begun.elapsed();
                    // Faster than the disk: what was refused comes again, untimed.
                    for number in first..first + refused {
                        while matches!(store.record(&row(number, &names)), Err(Fault::LedgerFull)) {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                    }
                }
                Ok(inside)
            }
        };
        let all: Vec<_> = (0..threads).map(|thread| scope.spawn(run(thread))).collect();
        for one in all {
            spent += one.join().map_err(|_| "a thread panicked")??;
        }
        Ok(())
    })?;
    runtime()?.block_on(store.flush())?;
    let (elapsed, cpu) = (begun.elapsed(), cpu_time()?.saturating_sub(cpu));
    println!(
        "record, {durability:?}, {threads} threads: {} ns per record(), {} ns CPU per row in all, \
         {:.0} rows/s until they are in the sums, {} bytes per row",
        spent.as_nanos() / u128::from(ROWS),
        cpu.as_nanos() / u128::from(ROWS),
        f64::from(u32::try_from(ROWS)?) / elapsed.as_secs_f64(),
        bytes_in(&dir.join("ledger"))? / ROWS,
    );
    store.close()?;
    drop(store);
    let begun = Instant::now();
    let again = self::store(dir, durability)?;
    println!("  opening it again: {:.1?}, {:?}", begun.elapsed(), again.recovery());
    Ok(())
}

/// Rows come at a steady pace, as from a busy server.
fn paced(dir: &Path) -> Outcome {
    const RATE: u64 = 20_000;
    const SECONDS: u64 = 5;
    let store = store(dir, Durability::Process)?;
    let names = names();
    let begun = Instant::now();
    let mut inside = Duration::ZERO;
    for tick in 0..SECONDS * 1_000 {
        let due = begun + Duration::from_millis(tick);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let first = tick * (RATE / 1_000);
        let rows: Vec<_> = (first..first + RATE / 1_000).map(|n| row(n, &names)).collect();
        let begun = Instant::now();
        for row in rows {
            store.record(&row)?;
        }
        inside += begun.elapsed();
    }
    let per_row = |time: Duration| time.as_nanos() / u128::from(RATE * SECONDS);
    println!("paced at {RATE} rows/s: {} ns per record()", per_row(inside));
    for name in ["journal", "sums"] {
        println!("  thread {name}: {} ns CPU per row", per_row(thread_time(name)?));
    }
    store.close()?;
    Ok(())
}

fn find_and_hold(dir: &Path) -> Outcome {
    let store = store(dir, Durability::Process)?;
    let runtime = runtime()?;
    let keys: Vec<_> = (0..KEYS).map(key).collect();
    let digests: Vec<Digest> = keys.iter().map(|key| key.secrets[0].digest).collect();
    let limited = Key {
        limits: vec![Limit::money(LimitId::new(NOW, 1), Money::MAX, Window::Lifetime)],
        ..keys[0].clone()
    };
    let free = keys[1].clone();
    let subject = String::new();
    let actor = "weigh".to_owned();
    let act = Act { at: NOW, actor, action: "key.import", subject, once: None };
    runtime.block_on(store.import_keys(keys, act))?;
    for digest in &digests {
        runtime.block_on(store.look_up(*digest))?;
    }
    let each = |what: &str, one: &mut dyn FnMut(usize)| {
        let begun = Instant::now();
        (0..1_000_000).for_each(one);
        println!("{what}: {} ns", begun.elapsed().as_nanos() / 1_000_000);
    };
    each("find, known", &mut |turn| drop(store.find(&digests[turn * 7_919 % digests.len()])));
    let stranger = Digest::of(b"stranger");
    runtime.block_on(store.look_up(stranger))?;
    each("find, nobody", &mut |_| drop(store.find(&stranger)));
    runtime.block_on(async {
        for (what, key) in [("without limits", &free), ("with a limit", &limited)] {
            let begun = Instant::now();
            let scope = Scope::Key(key.id);
            let limits: Vec<_> =
                key.limits.iter().map(|limit| ScopedLimit { scope, limit: *limit }).collect();
            let want = Want::call(Money::from_nanos(1), 0);
            let now = Now { wall: NOW, monotonic: 0 };
            for number in 0..1_000_000_u32 {
                let id = HoldId::new(NOW, u128::from(number));
                if let Ok(held) = store.reserve(id, &limits, want, Fit::All, now).await {
                    store.release(held);
                }
            }
            println!("reserve and release {what}: {} ns", begun.elapsed().as_nanos() / 1_000_000);
        }
    });
    store.close()?;
    Ok(())
}

fn key(number: u64) -> Key {
    let secret = Secret::new(format!("sk-weigh-{number}"));
    let record = SecretRecord::new(&secret, NOW);
    Key {
        id: id(number),
        kind: KeyKind::Regular,
        name: format!("weigh {number}"),
        maker: None,
        project: ProjectId::DEFAULT,
        user: None,
        team: None,
        secrets: vec![record],
        listed: false,
        metadata: std::collections::BTreeMap::new(),
        rules: Rules::default(),
        limits: Vec::new(),
        state: KeyState::Active,
        expires_at: None,
        created_at: NOW,
        updated_at: NOW,
        revision: 1,
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().build()
}

/// This process's time on a processor, all threads, from the kernel's account in ticks of 10 ms.
fn cpu_time() -> Outcome<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

/// The time threads of this name had a processor.
fn thread_time(name: &str) -> Outcome<Duration> {
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim() == name {
            let schedule = std::fs::read_to_string(task.join("schedstat"))?;
            sum += schedule.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
    }
    Ok(Duration::from_nanos(sum))
}

fn bytes_in(dir: &Path) -> std::io::Result<u64> {
    std::fs::read_dir(dir)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}
