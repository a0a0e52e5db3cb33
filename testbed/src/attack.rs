//! Attack your own budget: as many clients as the machine takes spend one key at once, by every
//! trick a client has, against any OpenAI-compatible gateway. What the provider is owed in the end
//! must not be more than the key's limit, and nearly all of it must have been there to spend.

pub mod storm;
pub mod table;
pub mod tricks;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, ensure};
use http::Uri;
use serde_json::Value;

use self::storm::Storm;
use self::table::Table;
use crate::audit::{Auditor, Price, nanos, nanos_of};
use crate::caller::{Caller, Leave};
use crate::dice::Dice;

/// The most clients at once: more say nothing new, and starve the machine they share.
const CLIENTS_MOST: usize = 1_000;

/// The gateway, and the key that is spent.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it is.
    pub address: SocketAddr,
    /// What its URLs begin with: `/v1`.
    pub base: String,
    /// The key's secret.
    pub secret: String,
    /// The model that is asked.
    pub model: String,
    /// The longest answer that the model gives by itself, in tokens.
    pub longest: u64,
}

impl Target {
    /// By its URL, up to and with `/v1`.
    pub fn new(url: &str, secret: String, model: String, longest: u64) -> anyhow::Result<Self> {
        let url: Uri = url.parse().context("no URL")?;
        ensure!(url.scheme_str() == Some("http"), "only http:// is spoken here");
        let host = url.host().context("the URL needs a host")?;
        let port = url.port_u16().unwrap_or(80);
        let mut found = (host.trim_matches(['[', ']']), port).to_socket_addrs()?;
        let address = found.next().context("the host has no address")?;
        let base = url.path().trim_end_matches('/').to_owned();
        Ok(Self { address, base, secret, model, longest })
    }
}

/// What is attacked, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The gateway and the key.
    pub target: Target,
    /// The most the key may spend, in nano-dollars.
    pub limit: i64,
    /// What the model's tokens cost.
    pub price: Price,
    /// The log of the fake provider behind the gateway, where there is one.
    pub log: Option<PathBuf>,
    /// How many clients ask at once.
    pub clients: usize,
    /// How many calls a client makes while none is refused for want of money.
    pub each: usize,
    /// Whether providers and clients only do what is counted to the last token: then what is spent
    /// comes to the limit, but for less than the smallest call.
    pub honest: bool,
    /// Decides every throw.
    pub seed: u64,
    /// How long nothing has to happen until all counts as settled, without a log.
    pub settle: Duration,
}

/// Attacks; gives what came of it.
pub fn run(plan: &Plan) -> anyhow::Result<Table> {
    ensure!(plan.clients <= CLIENTS_MOST, "more than {CLIENTS_MOST} clients say nothing new");
    enough_files(plan.clients)?;
    let mut auditor = plan.log.clone().map(Auditor::new);
    if let Some(auditor) = &mut auditor {
        auditor.read()?;
    }
    let before = auditor.as_ref().map_or((0, 0), |log| (log.began, log.total(plan.price)));
    let started = Instant::now();
    let dice = Dice::new(plan.seed);
    let mut table = Table::new(plan.limit);
    // Until a whole wave finds nothing more to spend.
    for wave in 0..100 {
        let tally = Storm { plan, dice: dice.apart(wave) }.go()?;
        let admitted = tally.admitted();
        table.add(tally, plan.price);
        settle(plan, auditor.as_mut())?;
        if admitted == 0 {
            break;
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(drain(plan, &mut table))?;
    settle(plan, auditor.as_mut())?;
    if let Some(auditor) = &auditor {
        table.seen = Some(auditor.began - before.0);
        table.spent = Some(nanos(auditor.total(plan.price) - before.1));
    }
    table.seconds = started.elapsed().as_secs_f64();
    Ok(table)
}

/// Weir and the provider behind it inherit this process's limit on open files.
fn enough_files(clients: usize) -> anyhow::Result<()> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3)?.parse::<usize>().ok());
    let needed = 2 * clients + 200;
    ensure!(
        soft.is_none_or(|soft| soft >= needed),
        "{clients} clients need {needed} open files: `ulimit -n {needed}` first, or take fewer with --clients"
    );
    Ok(())
}

/// Waits until nothing happens any more.
fn settle(plan: &Plan, auditor: Option<&mut Auditor>) -> anyhow::Result<()> {
    let Some(auditor) = auditor else {
        thread::sleep(plan.settle);
        return Ok(());
    };
    let mut still = 0;
    for _ in 0..6_000 {
        let lines = auditor.read()?;
        still = if lines == 0 && auditor.open() == 0 { still + 1 } else { 0 };
        if still >= 20 {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    anyhow::bail!("{} calls are still open at the provider", auditor.open())
}

/// One client alone spends what is left, by calls that become smaller and smaller.
async fn drain(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let mut caller = Caller::new(plan.target.address);
    let mut size = plan.target.longest;
    let mut last = Value::Null;
    for _ in 0..3_000 {
        let body = tricks::smallest(&plan.target.model, size);
        table.smallest = nanos(plan.price.of(body.len() as u64, 1));
        let path = format!("{}/chat/completions", plan.target.base);
        let answer = caller.post(&path, &plan.target.secret, body, Leave::Never).await;
        table.count_one(&answer, plan.price);
        if answer.status == 200 {
            continue;
        }
        last = answer.json()["error"].take();
        if size == 1 {
            break;
        }
        size = (size / 4).max(1);
    }
    table.held = nanos_of(&last["held"]);
    last["message"].as_str().unwrap_or("nothing").clone_into(&mut table.last_word);
    Ok(())
}
