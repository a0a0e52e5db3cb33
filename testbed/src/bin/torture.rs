//! `torture`: what `make torture` runs.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use testbed::fake_provider::words::unix_ms;
use testbed::torture::{Plan, run};

/// Kill Weir under load, start it again, and hold its ledger against the provider's own books.
#[derive(Debug, Parser)]
struct Cli {
    /// The `weir` program; the one beside this if not given.
    #[arg(long)]
    weir: Option<PathBuf>,
    /// How often Weir is ended.
    #[arg(long, default_value_t = 200)]
    rounds: usize,
    /// After how many rounds it begins anew, on an empty data directory.
    #[arg(long, default_value_t = 20)]
    chapter: usize,
    /// The longest a round of load lasts, in milliseconds.
    #[arg(long, default_value_t = 3_000)]
    longest_ms: u64,
    /// How many clients ask at once.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Let the provider's log reach the disk before a call goes on.
    #[arg(long)]
    fsync: bool,
    /// Decides every throw; another each time if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Say after every round how it stands.
    #[arg(long)]
    verbose: bool,
}

#[expect(clippy::print_stderr, reason = "what went wrong is told in full, and without a backtrace")]
fn main() -> ExitCode {
    match torture(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn torture(cli: Cli) -> anyhow::Result<()> {
    let this = env::current_exe()?;
    let programs = this.parent().context("a program lies in a directory")?.to_owned();
    let plan = Plan {
        weir: cli.weir.unwrap_or_else(|| programs.join("weir")),
        programs,
        rounds: cli.rounds,
        chapter: cli.chapter.max(1),
        seed: cli.seed.unwrap_or_else(unix_ms),
        longest: Duration::from_millis(cli.longest_ms),
        clients: cli.clients,
        fsync: cli.fsync,
    };
    let again = format!(
        "--seed {} --rounds {} --chapter {} --longest-ms {} --clients {}",
        plan.seed, plan.rounds, plan.chapter, cli.longest_ms, plan.clients
    );
    println!("torture {again}");
    let started = Instant::now();
    let mut told = |line: &str| {
        if cli.verbose || !line.starts_with("round ") {
            println!("{line}");
        }
    };
    let figures = run(&plan, &mut told).with_context(|| format!("VIOLATION, with {again}"))?;
    println!("{figures}");
    println!(
        "{} rounds in {:.0} s: every comparison held",
        plan.rounds,
        started.elapsed().as_secs_f64()
    );
    Ok(())
}
