//! When requests are sent: as answers come, or by the clock.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::spawn_local;

use super::Run;
use super::connection::Connection;
use super::report::{Report, Tally};

/// How long a run may take beyond its length before what is still open counts as an error.
const PATIENCE: Duration = Duration::from_secs(30);

/// Each of `connections` asks again as soon as it has been answered.
pub async fn closed(run: &Run, connections: usize) -> io::Result<Report> {
    let run = Rc::new(run.clone());
    let counting = Instant::now() + run.warmup;
    let end = counting + run.length;
    let tasks: Vec<_> = (0..connections)
        .map(|_| {
            let run = Rc::clone(&run);
            spawn_local(async move {
                let mut connection = Connection::new(run.address);
                let mut tally = Tally::default();
                loop {
                    let started = Instant::now();
                    if started >= end {
                        return tally;
                    }
                    let answer = connection.exchange(&run.request, run.ending).await;
                    let now = Instant::now();
                    tally.count(&answer, (now >= counting && now < end).then(|| now - started));
                    if answer.is_err() {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
            })
        })
        .collect();
    let mut whole = Tally::default();
    for task in tasks {
        let joined = tokio::time::timeout(run.warmup + run.length + PATIENCE, task).await;
        whole.add(joined.map_err(io::Error::from)?.map_err(io::Error::other)?);
    }
    Ok(whole.report(run.length))
}

/// `rate` requests a second, evenly spaced.
pub async fn open(run: &Run, rate: f64) -> io::Result<Report> {
    let (due, mut dues) = mpsc::unbounded_channel();
    let began = Instant::now();
    let counting = began + run.warmup;
    let end = counting + run.length;
    // A thread that sleeps is far more exact than the runtime's timer of one millisecond.
    let clock = thread::spawn(move || {
        let gap = Duration::from_secs_f64(1.0 / rate);
        let mut next = began;
        while next < end {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            if due.send(next).is_err() {
                return;
            }
            next += gap;
        }
    });
    let run = Rc::new(run.clone());
    let tally = Rc::new(RefCell::new(Tally::default()));
    let idle: Rc<RefCell<Vec<Connection>>> = Rc::default();
    let mut tasks = tokio::task::JoinSet::new();
    while let Some(due) = dues.recv().await {
        let (run, tally, idle) = (Rc::clone(&run), Rc::clone(&tally), Rc::clone(&idle));
        tasks.spawn_local(async move {
            let waiting = idle.borrow_mut().pop();
            let mut connection = waiting.unwrap_or_else(|| Connection::new(run.address));
            let answer = connection.exchange(&run.request, run.ending).await;
            let latency = (due >= counting).then(|| due.elapsed());
            tally.borrow_mut().count(&answer, latency);
            idle.borrow_mut().push(connection);
        });
        while tasks.try_join_next().is_some() {}
    }
    let rest = async { while tasks.join_next().await.is_some() {} };
    tokio::time::timeout(PATIENCE, rest).await?;
    clock.join().map_err(|_| io::Error::other("the clock thread panicked"))?;
    let report = tally.borrow().report(run.length);
    Ok(report)
}
