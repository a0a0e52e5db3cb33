//! Clients that ask all the time, on a thread of their own, until they are told to stop.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::anyhow;
use serde_json::Value;
use tokio::task::LocalSet;

use super::purse::Purse;
use super::question::Question;
use crate::audit::nanos_of;
use crate::caller::{Answer, Caller, End};
use crate::dice::Dice;

/// How many keys are called with at once.
const ACTIVE: usize = 4;

/// What the clients were told.
#[derive(Debug, Default)]
pub struct Tally {
    /// Calls by status; 0 is no answer.
    pub statuses: BTreeMap<u16, usize>,
    /// What they must never be told.
    pub wrong: Vec<String>,
}

/// Load on Weir.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    /// How many clients have gone away in the middle.
    pub left: Arc<AtomicUsize>,
    thread: JoinHandle<std::io::Result<Tally>>,
}

impl Load {
    /// Starts so many clients.
    pub fn start(
        address: SocketAddr,
        purses: Vec<Arc<Purse>>,
        clients: usize,
        dice: &Dice,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let left = Arc::new(AtomicUsize::new(0));
        let shared = Client { address, purses, stop: Arc::clone(&stop), left: Arc::clone(&left) };
        let dice = dice.clone();
        let thread = thread::spawn(move || run(&shared, clients, &dice));
        Self { stop, left, thread }
    }

    /// Lets every client end what it does, and begin nothing more.
    pub fn halt(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until all have ended.
    pub fn wait(&self) {
        while !self.thread.is_finished() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends it; gives what the clients were told.
    pub fn stop(self) -> anyhow::Result<Tally> {
        self.halt();
        Ok(self.thread.join().map_err(|_| anyhow!("the load panicked"))??)
    }
}

#[derive(Debug, Clone)]
struct Client {
    address: SocketAddr,
    purses: Vec<Arc<Purse>>,
    stop: Arc<AtomicBool>,
    left: Arc<AtomicUsize>,
}

fn run(shared: &Client, clients: usize, dice: &Dice) -> std::io::Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    let tasks: Vec<_> = (0..clients)
        .map(|number| {
            let dice = dice.apart(number as u64);
            local.spawn_local(shared.clone().ask(dice))
        })
        .collect();
    local.block_on(&runtime, async {
        let mut whole = Tally::default();
        for task in tasks {
            let one = task.await.map_err(std::io::Error::other)?;
            for (status, count) in one.statuses {
                *whole.statuses.entry(status).or_default() += count;
            }
            whole.wrong.extend(one.wrong);
        }
        Ok(whole)
    })
}

impl Client {
    async fn ask(self, mut dice: Dice) -> Tally {
        let mut tally = Tally::default();
        let mut caller = Caller::new(self.address);
        while !self.stop.load(Ordering::Relaxed) {
            let fresh: Vec<_> =
                self.purses.iter().filter(|purse| !purse.is_spent()).take(ACTIVE).collect();
            // With all of it spent, refusals are asked for.
            let some = if fresh.is_empty() { self.purses.iter().take(1).collect() } else { fresh };
            let purse = dice.pick(&some);
            let Some(number) = purse.next_call() else { break };
            let question = Question::throw(purse, number, &mut dice);
            let answer =
                caller.post(question.path, &purse.secret, question.body, question.leave).await;
            *tally.statuses.entry(answer.status).or_default() += 1;
            match answer.end {
                End::Left => drop(self.left.fetch_add(1, Ordering::Relaxed)),
                End::Broken(_) => tokio::time::sleep(Duration::from_millis(2)).await,
                End::Stuck => tally.wrong.push("nothing for a minute".to_owned()),
                End::Whole => judge(purse, &answer, &mut tally.wrong),
            }
        }
        tally
    }
}

/// A whole answer is one of those that may be; a refusal for want of money is true by its own
/// numbers.
fn judge(purse: &Purse, answer: &Answer, wrong: &mut Vec<String>) {
    let said = || String::from_utf8_lossy(&answer.body).into_owned();
    let error = &answer.json()["error"];
    match answer.status {
        200 | 400 | 502 | 504 => {}
        402 | 429 => {
            if error["unit"] == "money" || error["unit"] == "tokens" {
                purse.refused();
            }
            if !is_short(error) {
                wrong.push(format!("{}: {}", answer.status, said()));
            }
        }
        status => wrong.push(format!("{status}: {}", said())),
    }
}

/// Whether a refusal's own numbers leave no room for what was wanted.
pub fn is_short(error: &Value) -> bool {
    if error["code"] == "upstream_rate_limited" {
        return true;
    }
    let number = |name: &str| match error["unit"].as_str() {
        Some("money") | None => nanos_of(&error[name]),
        Some(_) => error[name].as_i64(),
    };
    // Anthropic's errors have no such members.
    let Some(amount) = number("amount") else { return error["type"].is_string() };
    let (spent, held, wanted) = (number("spent"), number("held"), number("wanted"));
    let taken = spent.zip(held).map(|(spent, held)| spent + held);
    taken.zip(wanted).is_some_and(|(taken, wanted)| taken + wanted.max(1) > amount)
}
