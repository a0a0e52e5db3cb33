//! `load`: put load on an OpenAI-shaped API and report how it held up.

use std::time::Duration;

use clap::Parser;
use http::Uri;
use testbed::load::{Arrival, Ask, Run, Target};

/// Put load on an OpenAI-shaped API over HTTP/1.1.
#[derive(Debug, Parser)]
struct Cli {
    /// The base URL, up to and with `/v1`.
    #[arg(long)]
    url: Uri,
    /// The secret to send as bearer.
    #[arg(long, default_value = "sk-fake")]
    secret: String,
    /// Connections that each ask again as soon as they have been answered.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Requests a second, by the clock, on as many connections as it takes.
    #[arg(long, conflicts_with = "connections")]
    rate: Option<f64>,
    /// How long to count.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// How long to go on before counting.
    #[arg(long, default_value_t = 1.0)]
    warmup: f64,
    /// Ask for a stream.
    #[arg(long)]
    stream: bool,
    /// Ask the fake provider for a stream of so many chunks.
    #[arg(long)]
    chunks: Option<u64>,
    /// Milliseconds between those chunks.
    #[arg(long, default_value_t = 0, requires = "chunks")]
    gap_ms: u64,
    /// The model to ask for.
    #[arg(long, default_value = "gpt-4o-mini")]
    model: String,
    /// The prompt to send.
    #[arg(long)]
    prompt: Option<String>,
    /// The most tokens to ask for.
    #[arg(long)]
    max_tokens: Option<u64>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

#[expect(clippy::print_stdout, reason = "the report is what it is for")]
fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let mut ask = cli.chunks.map_or_else(Ask::default, |count| Ask::chunks(count, cli.gap_ms));
    ask.stream |= cli.stream;
    ask.model = cli.model;
    ask.prompt = cli.prompt.unwrap_or(ask.prompt);
    ask.max_tokens = cli.max_tokens.unwrap_or(ask.max_tokens);
    let target = Target { base: cli.url, secret: cli.secret };
    let report = Run {
        address: target.address()?,
        request: target.request(&ask),
        ending: ask.ending(),
        arrival: match cli.rate {
            Some(rate) => Arrival::Open { rate },
            None => Arrival::Closed { connections: cli.connections },
        },
        warmup: Duration::from_secs_f64(cli.warmup),
        length: Duration::from_secs_f64(cli.seconds),
    }
    .go()?;
    if cli.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}
