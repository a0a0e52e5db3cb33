//! `fake-provider`: the fake provider as a process of its own, which outlives what it audits.

use std::net::SocketAddr;

use clap::Parser;
use testbed::fake_provider::log::Target;
use testbed::fake_provider::{Accepted, Options, Server};

/// Speak the OpenAI and the Anthropic API, misbehave on request, and keep a log.
#[derive(Debug, Parser)]
struct Cli {
    /// Where to listen; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// A file to append the log to; `memory` keeps it only for `GET /__log`, `none` keeps none.
    #[arg(long, default_value = "memory")]
    log: Target,
    /// Write every line of the log through to the disk.
    #[arg(long)]
    fsync: bool,
    /// How many threads serve.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// A secret to accept, `SECRET` or `LABEL=SECRET`; may be repeated. Any, if none is given.
    #[arg(long = "secret")]
    secrets: Vec<Accepted>,
}

#[expect(clippy::print_stdout, reason = "whoever starts it reads the address from there")]
fn main() -> anyhow::Result<()> {
    let Cli { listen, log, fsync, threads, secrets } = Cli::parse();
    let server = Server::start(&Options { listen, log, fsync, threads, secrets })?;
    println!("listening on http://{}", server.address());
    server.join();
    Ok(())
}
