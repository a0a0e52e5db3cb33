//! `bench`: what `make bench` runs.

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs, thread};

use anyhow::{Context, ensure};
use clap::Parser;
use serde_json::json;
use testbed::bench::{Plan, run};

/// Measure Weir beside a do-nothing proxy in front of the same fake provider.
#[derive(Debug, Parser)]
struct Cli {
    /// The `weir` program; without it a second bare proxy takes its part.
    #[arg(long)]
    weir: Option<PathBuf>,
    /// Give Weir a key without limits and rules, instead of one with all of them.
    #[arg(long)]
    plain_key: bool,
    /// One short round: to see that everything works, not to learn how fast.
    #[arg(long)]
    quick: bool,
    /// How often each measurement is taken.
    #[arg(long)]
    rounds: Option<usize>,
    /// How many seconds each takes.
    #[arg(long)]
    seconds: Option<f64>,
    /// Measure with very many keys, too: those in the data directory given with `--data`.
    #[arg(long, requires = "data", requires = "weir")]
    million: bool,
    /// A data directory of Weir's that already holds the keys for `--million`.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Threads of the fake provider and the bare proxy; as many as there are processors if not
    /// given.
    #[arg(long)]
    threads: Option<usize>,
    /// Write all samples to this file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let this = env::current_exe()?;
    let processors = thread::available_parallelism()?.get();
    let (rounds, seconds, starts) = if cli.quick { (1, 0.5, 1) } else { (3, 3.0, 5) };
    let plan = Plan {
        weir: cli.weir,
        plain_key: cli.plain_key,
        programs: this.parent().context("a program lies in a directory")?.to_owned(),
        many_keys: cli.data.filter(|_| cli.million),
        threads: cli.threads.unwrap_or(processors),
        rounds: cli.rounds.unwrap_or(rounds).max(1),
        length: Duration::from_secs_f64(cli.seconds.unwrap_or(seconds)),
        starts,
    };
    let book = run(&plan)?;
    let machine = machine(processors);
    println!("{machine}");
    if plan.weir.is_none() {
        println!("Without --weir: the column `Weir` is a second bare proxy.");
    }
    print!("{book}");
    if let Some(path) = cli.json {
        let all = json!({
            "machine": machine,
            "rounds": plan.rounds,
            "seconds": plan.length.as_secs_f64(),
            "figures": book,
        });
        fs::write(path, format!("{all:#}\n"))?;
    }
    ensure!(book.errors == 0, "{} requests went wrong", book.errors);
    Ok(())
}

/// One line about where the figures come from.
fn machine(processors: usize) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{processors} processors, {}, Linux {}", model.unwrap_or("unknown"), kernel.trim())
}
