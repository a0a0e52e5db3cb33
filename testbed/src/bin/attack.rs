//! `attack`: what `make attack` runs; `docs/attack.md` tells how to point it elsewhere.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use serde_json::json;
use testbed::attack::table::Table;
use testbed::attack::{Plan, Target, run};
use testbed::audit::{Price, dollars, nanos_of};
use testbed::fake_provider::words::unix_ms;
use testbed::scene::{LONGEST, Scene, Setting};

/// Spend one key from a thousand clients at once, and see whether its limit holds. Without --url,
/// Weir and a fake provider are started for it; nothing leaves this machine.
#[derive(Debug, Parser)]
struct Cli {
    /// The gateway's base URL, up to and with `/v1`.
    #[arg(long, requires = "key", requires = "model")]
    url: Option<String>,
    /// The secret of a key with a limit, that nobody else uses.
    #[arg(long)]
    key: Option<String>,
    /// The model to ask.
    #[arg(long)]
    model: Option<String>,
    /// What the key may spend, in dollars.
    #[arg(long, default_value = "5")]
    limit_usd: String,
    /// Dollars for a million tokens of prompt.
    #[arg(long, default_value = "5")]
    input_price: String,
    /// Dollars for a million tokens of answer.
    #[arg(long, default_value = "25")]
    output_price: String,
    /// The log of the fake provider behind the gateway; without it, the answers' own usage counts.
    #[arg(long)]
    auditor_log: Option<PathBuf>,
    /// How many clients ask at once; no more than a thousand.
    #[arg(long, default_value_t = 1_000)]
    clients: usize,
    /// How many calls each of them makes while its money is not refused.
    #[arg(long, default_value_t = 6)]
    each: usize,
    /// Only what is counted to the last token: no provider that lies or breaks off.
    #[arg(long)]
    honest: bool,
    /// The `weir` program; the one beside this if not given.
    #[arg(long, conflicts_with = "url")]
    weir: Option<PathBuf>,
    /// Decides every throw; another each time if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Seconds that nothing has to happen until all counts as settled, without a log.
    #[arg(long, default_value_t = 3)]
    settle: u64,
}

#[expect(clippy::print_stderr, reason = "what went wrong is told in full, and without a backtrace")]
fn main() -> ExitCode {
    match attack(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn attack(cli: &Cli) -> anyhow::Result<()> {
    let limit = nanos_of(&json!(cli.limit_usd)).context("--limit-usd is no amount")?;
    let price = Price::per_million(&cli.input_price, &cli.output_price)?;
    let seed = cli.seed.unwrap_or_else(unix_ms);
    let plan = |target: Target, log: Option<PathBuf>| Plan {
        target,
        limit,
        price,
        log,
        clients: cli.clients,
        each: cli.each,
        honest: cli.honest,
        seed,
        settle: Duration::from_secs(cli.settle),
    };
    println!("attack --seed {seed}: {} clients on {}", cli.clients, dollars(limit));
    let table = if let (Some(url), Some(key), Some(model)) = (&cli.url, &cli.key, &cli.model) {
        let target = Target::new(url, key.clone(), model.clone(), LONGEST)?;
        run(&plan(target, cli.auditor_log.clone()))?
    } else {
        on_weir(cli, &plan)?
    };
    print!("{table}");
    let faults = table.faults(cli.honest);
    if !faults.is_empty() {
        bail!("NOT HELD: {}", faults.join("; "));
    }
    println!("HELD: no more was spent than the limit, and no call was refused that fits");
    Ok(())
}

/// Starts Weir and a provider, makes a key, and attacks it.
fn on_weir(cli: &Cli, plan: &dyn Fn(Target, Option<PathBuf>) -> Plan) -> anyhow::Result<Table> {
    let this = env::current_exe()?;
    let programs = this.parent().context("a program lies in a directory")?;
    let weir = cli.weir.clone().unwrap_or_else(|| programs.join("weir"));
    let price = [cli.input_price.as_str(), &cli.output_price];
    // A long wait, so that a busy machine makes no provider too slow.
    let mut scene = Scene::set(&weir, programs, Setting { price, silence: 60, fsync: false })?;
    let weir = scene.start("data")?;
    let body = json!({"name": "attacked", "limit": cli.limit_usd}).to_string();
    let made = scene.ask("POST", "/api/v1/keys", &body)?;
    let secret = made["key"].as_str().context("a key has a secret")?.to_owned();
    let url = format!("http://{}/v1", scene.address());
    let target = Target::new(&url, secret, "books/m".to_owned(), LONGEST)?;
    let mut table = run(&plan(target, Some(scene.log())))?;
    let id = made["data"]["hash"].as_str().unwrap_or_default();
    let key = scene.ask("GET", &format!("/api/v1/keys/{id}"), "")?;
    table.left = nanos_of(&key["data"]["limit_remaining"]);
    ensure!(table.left.is_some() && table.held.is_some(), "Weir did not say: {key}");
    drop(weir);
    let wrong = scene.said_wrong()?;
    ensure!(wrong.is_empty(), "Weir said: {}", wrong.join("\n"));
    Ok(table)
}
