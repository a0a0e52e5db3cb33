//! The benchmark: Weir beside a do-nothing proxy in front of the same fake provider, in turns,
//! so that whatever else the machine does meets both alike.

pub mod measure;
pub mod subject;
pub mod table;

use std::path::PathBuf;
use std::time::Duration;

use self::measure::Bench;
use self::subject::Stage;
use self::table::Book;

/// What to measure, with what, for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The `weir` program; without it a second bare proxy takes its part.
    pub weir: Option<PathBuf>,
    /// Whether Weir's key has neither limits nor rules.
    pub plain_key: bool,
    /// The directory with `fake-provider` and `bare-proxy`.
    pub programs: PathBuf,
    /// A data directory with very many keys, to be measured as well.
    pub many_keys: Option<PathBuf>,
    /// Threads of the fake provider and of the bare proxy.
    pub threads: usize,
    /// How often each measurement is taken.
    pub rounds: usize,
    /// How long each takes.
    pub length: Duration,
    /// How often each program is started.
    pub starts: usize,
}

/// Takes every measurement.
pub fn run(plan: &Plan) -> anyhow::Result<Book> {
    let stage = Stage::set(plan)?;
    let mut bench = Bench::new(plan, &stage);
    bench.starts()?;
    bench.memory("memory at rest, 1 key")?;
    bench.throughput()?;
    bench.latency(200.0)?;
    bench.latency(1_000.0)?;
    bench.streams(0)?;
    bench.streams(10)?;
    bench.memory("memory after load, 1 key")?;
    if let Some(data) = &plan.many_keys {
        bench.many_keys(data)?;
    }
    Ok(bench.book)
}
