//! The measurements, each taken from all three in turn, round by round.

use std::path::Path;
use std::time::Duration;

use super::Plan;
use super::subject::{Role, Stage, Subject};
use super::table::{Better, Book};
use crate::load::{Arrival, Ask, Report, Run};

/// Long enough for pools to fill and caches to warm.
const WARMUP: Duration = Duration::from_millis(500);

/// A paced stream takes a second: some have to begin and end while it counts.
const LEAST_STREAMING: Duration = Duration::from_secs(3);

/// Connections of the throughput runs.
const CONNECTIONS: usize = 64;

/// Streams at once.
const STREAMS: usize = 50;

/// Chunks of a stream.
const CHUNKS: u64 = 100;

/// The measurements taken so far.
#[derive(Debug)]
pub struct Bench<'a> {
    plan: &'a Plan,
    stage: &'a Stage,
    /// What they came to.
    pub book: Book,
}

impl<'a> Bench<'a> {
    /// Nothing measured yet.
    pub fn new(plan: &'a Plan, stage: &'a Stage) -> Self {
        Self { plan, stage, book: Book::default() }
    }

    /// Requests a second, and processor time per request, with all connections busy.
    pub fn throughput(&mut self) -> anyhow::Result<()> {
        for round in 1..=self.plan.rounds {
            for subject in self.stage.subjects() {
                let arrival = Arrival::Closed { connections: CONNECTIONS };
                let (report, cpu) = self.run(subject, &Ask::default(), arrival, round)?;
                let role = subject.role;
                let title = format!("requests/s, {CONNECTIONS} connections");
                self.book.add(&title, "1/s", Better::More, role, report.rps);
                let title = "processor time per request";
                self.book.add(title, "µs", Better::Less, role, cpu);
                let title = format!("p50, {CONNECTIONS} connections");
                let p50 = in_ms(report.latency_us.p50);
                self.book.add(&title, "ms", Better::Less, role, p50);
                let p99 = in_ms(report.latency_us.p99);
                let title = format!("p99, {CONNECTIONS} connections");
                self.book.add(&title, "ms", Better::Less, role, p99);
            }
        }
        Ok(())
    }

    /// Latency with requests coming by the clock, and what each proxy adds to it.
    pub fn latency(&mut self, rate: f64) -> anyhow::Result<()> {
        for round in 1..=self.plan.rounds {
            let mut direct = None;
            for subject in self.stage.subjects() {
                let arrival = Arrival::Open { rate };
                let (report, _) = self.run(subject, &Ask::default(), arrival, round)?;
                let quantiles = report.latency_us;
                let (p50, p99) = (in_ms(quantiles.p50), in_ms(quantiles.p99));
                let (role, book) = (subject.role, &mut self.book);
                book.add(&format!("p50 at {rate} requests/s"), "ms", Better::Less, role, p50);
                book.add(&format!("p99 at {rate} requests/s"), "ms", Better::Less, role, p99);
                // The direct run of the same round is the nearest in time.
                let (p50_direct, p99_direct) = *direct.get_or_insert((p50, p99));
                if role != Role::Direct {
                    let title = format!("added p50 at {rate} requests/s");
                    book.add(&title, "ms", Better::Less, role, p50 - p50_direct);
                    let title = format!("added p99 at {rate} requests/s");
                    book.add(&title, "ms", Better::Less, role, p99 - p99_direct);
                }
            }
        }
        Ok(())
    }

    /// Streams with `gap_ms` between chunks, and processor time per stream.
    pub fn streams(&mut self, gap_ms: u64) -> anyhow::Result<()> {
        let ask = Ask::chunks(CHUNKS, gap_ms);
        let pace = match gap_ms {
            0 => "at once".to_owned(),
            gap => format!("at {}/s", 1_000 / gap),
        };
        for round in 1..=self.plan.rounds {
            for subject in self.stage.subjects() {
                let arrival = Arrival::Closed { connections: STREAMS };
                let (report, cpu) = self.run(subject, &ask, arrival, round)?;
                let (role, book) = (subject.role, &mut self.book);
                if gap_ms == 0 {
                    let title = format!("streams/s, {STREAMS} at a time, {CHUNKS} chunks {pace}");
                    book.add(&title, "1/s", Better::More, role, report.rps);
                } else {
                    let title = format!("p50 of a stream, {CHUNKS} chunks {pace}");
                    let p50 = in_ms(report.latency_us.p50);
                    book.add(&title, "ms", Better::Less, role, p50);
                }
                let title = format!("processor time per stream, {CHUNKS} chunks {pace}");
                book.add(&title, "µs", Better::Less, role, cpu);
            }
        }
        Ok(())
    }

    /// Memory as it is now.
    pub fn memory(&mut self, title: &str) -> anyhow::Result<()> {
        for subject in self.stage.subjects() {
            let resident = in_mib(subject.process.resident()?);
            self.book.add(title, "MiB", Better::Less, subject.role, resident);
        }
        Ok(())
    }

    /// From starting a program until it is ready, on an empty and on a used data directory.
    pub fn starts(&mut self) -> anyhow::Result<()> {
        for round in 1..=self.plan.starts {
            for role in [Role::Bare, Role::Weir] {
                progress(&format!("start {round} of {}: {role:?}", self.plan.starts));
                let data = self.stage.fresh_data()?;
                for title in ["start to ready, no data", "start to ready, 1 key"] {
                    let process = self.stage.launch(role, &data)?;
                    let ready = process.ready_after.as_secs_f64() * 1_000.0;
                    self.book.add(title, "ms", Better::Less, role, ready);
                    drop(process);
                    if title == "start to ready, no data" {
                        // Leaves a key behind for the second start.
                        drop(self.stage.start(role, &data)?);
                    }
                }
            }
        }
        Ok(())
    }

    /// Weir alone, on a data directory with very many keys.
    pub fn many_keys(&mut self, data: &Path) -> anyhow::Result<()> {
        progress("start with many keys");
        let weir = self.stage.start(Role::Weir, data)?;
        let ready = weir.process.ready_after.as_secs_f64() * 1_000.0;
        let at_rest = in_mib(weir.process.resident()?);
        let book = &mut self.book;
        book.add("start to ready, many keys", "ms", Better::Less, Role::Weir, ready);
        book.add("memory at rest, many keys", "MiB", Better::Less, Role::Weir, at_rest);
        for round in 1..=self.plan.rounds {
            let arrival = Arrival::Closed { connections: CONNECTIONS };
            let (report, cpu) = self.run(&weir, &Ask::default(), arrival, round)?;
            let book = &mut self.book;
            book.add("requests/s, many keys", "1/s", Better::More, Role::Weir, report.rps);
            let title = "processor time per request, many keys";
            book.add(title, "µs", Better::Less, Role::Weir, cpu);
        }
        let loaded = in_mib(weir.process.resident()?);
        self.book.add("memory after load, many keys", "MiB", Better::Less, Role::Weir, loaded);
        Ok(())
    }

    /// One run: its report, and the microseconds of processor time each exchange cost the subject.
    fn run(
        &mut self,
        subject: &Subject,
        ask: &Ask,
        arrival: Arrival,
        round: usize,
    ) -> anyhow::Result<(Report, f64)> {
        let least = if ask.stream { LEAST_STREAMING } else { Duration::ZERO };
        let run = Run {
            address: subject.target.address()?,
            request: subject.target.request(ask),
            ending: ask.ending(),
            arrival,
            warmup: WARMUP,
            length: self.plan.length.max(least),
        };
        let before = subject.process.cpu()?;
        let report = run.go()?;
        let used = subject.process.cpu()?.saturating_sub(before);
        let kind = if ask.stream { "streams" } else { "requests" };
        let role = subject.role;
        progress(&format!("{kind}, {arrival:?}, round {round}: {role:?}: {report}"));
        self.book.errors += report.errors;
        #[expect(clippy::cast_precision_loss, reason = "a run has few enough requests")]
        let cost = used.as_secs_f64() * 1e6 / report.exchanges.max(1) as f64;
        Ok((report, cost))
    }
}

fn in_ms(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "no process has that much memory")]
fn in_mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

#[expect(clippy::print_stderr, reason = "three minutes of silence look like a hang")]
fn progress(what: &str) {
    eprintln!("{what}");
}
