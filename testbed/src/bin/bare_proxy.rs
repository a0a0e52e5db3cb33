//! `bare-proxy`: the do-nothing proxy as a process of its own.

use std::net::SocketAddr;

use clap::Parser;
use http::Uri;
use testbed::bare_proxy::{Options, run};

/// Pass requests on to one upstream and do nothing else.
#[derive(Debug, Parser)]
struct Cli {
    /// Where to listen; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// What to pass requests on to, as `http://HOST:PORT`.
    #[arg(long)]
    upstream: Uri,
    /// How many threads serve.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

#[expect(clippy::print_stdout, reason = "whoever starts it reads the address from there")]
fn main() -> anyhow::Result<()> {
    let Cli { listen, upstream, threads } = Cli::parse();
    run(&Options { listen, upstream, threads }, |address| {
        println!("listening on http://{address}");
    })?;
    Ok(())
}
