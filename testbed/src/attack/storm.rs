//! One wave: every client begins at the same moment and goes on until its money is refused.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::Plan;
use super::table::used;
use super::tricks::{Ask, Trick};
use crate::caller::{Answer, Caller, End, Leave};
use crate::dice::Dice;

/// How often a client asks again after a failure that may pass, as the official clients do.
const RETRIES: usize = 2;

/// What came of a wave.
#[derive(Debug, Default)]
pub struct Tally {
    /// Calls by status; 0 where none came.
    pub statuses: BTreeMap<u16, usize>,
    /// Calls by trick: made, and answered with 200.
    pub tricks: BTreeMap<Trick, (usize, usize)>,
    /// Calls whose client went away.
    pub left: usize,
    /// Calls whose connection failed.
    pub broken: usize,
    /// Tokens that the answers themselves reported, read and written.
    pub reported: (u64, u64),
}

impl Tally {
    /// Counts one call.
    pub fn count(&mut self, trick: Trick, answer: &Answer) {
        *self.statuses.entry(answer.status).or_default() += 1;
        let (made, admitted) = self.tricks.entry(trick).or_default();
        *made += 1;
        *admitted += usize::from(answer.status == 200);
        match answer.end {
            End::Whole => {}
            End::Left => self.left += 1,
            End::Broken(_) | End::Stuck => self.broken += 1,
        }
        let (read, written) = used(answer);
        self.reported = (self.reported.0 + read, self.reported.1 + written);
    }

    /// Adds another.
    pub fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (trick, (made, admitted)) in other.tricks {
            let sum = self.tricks.entry(trick).or_default();
            *sum = (sum.0 + made, sum.1 + admitted);
        }
        self.left += other.left;
        self.broken += other.broken;
        self.reported = (self.reported.0 + other.reported.0, self.reported.1 + other.reported.1);
    }

    /// Calls that were answered with 200.
    pub fn admitted(&self) -> usize {
        self.statuses.get(&200).copied().unwrap_or(0)
    }
}

/// A wave about to begin.
#[derive(Debug)]
pub struct Storm<'a> {
    /// What is attacked.
    pub plan: &'a Plan,
    /// Decides every throw.
    pub dice: Dice,
}

impl Storm<'_> {
    /// Does it.
    pub fn go(&self) -> anyhow::Result<Tally> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = LocalSet::new();
        let start = Rc::new(Barrier::new(self.plan.clients));
        let tasks: Vec<_> = (0..self.plan.clients)
            .map(|number| {
                let dice = self.dice.apart(number as u64);
                local.spawn_local(client(self.plan.clone(), dice, Rc::clone(&start)))
            })
            .collect();
        local.block_on(&runtime, async {
            let mut whole = Tally::default();
            for task in tasks {
                whole.add(task.await?);
            }
            Ok(whole)
        })
    }
}

async fn client(plan: Plan, mut dice: Dice, start: Rc<Barrier>) -> Tally {
    let mut tally = Tally::default();
    let mut caller = Caller::new(plan.target.address);
    start.wait().await;
    let mut refused = 0;
    for _ in 0..plan.each {
        let ask = Ask::throw(&plan.target, plan.honest, &mut dice);
        let answer = send(&plan, &mut caller, &ask, ask.leave, &mut tally).await;
        if ask.trick == Trick::AskedTwice {
            send(&plan, &mut caller, &ask, Leave::Never, &mut tally).await;
        }
        // Twice, for the first may have been too large where a smaller one fits.
        refused += usize::from(answer.status == 402);
        if refused >= 2 {
            break;
        }
    }
    tally
}

/// Sends a call, and again where that may help.
async fn send(
    plan: &Plan,
    caller: &mut Caller,
    ask: &Ask,
    leave: Leave,
    tally: &mut Tally,
) -> Answer {
    let path = format!("{}{}", plan.target.base, ask.path);
    let mut retries = 0;
    loop {
        let answer = caller.post(&path, &plan.target.secret, ask.body.clone(), leave).await;
        tally.count(ask.trick, &answer);
        let told_not_to =
            answer.headers.get("x-should-retry").is_some_and(|value| value == "false");
        let may_pass = matches!(answer.status, 408 | 409 | 429 | 500..);
        if !may_pass || told_not_to || retries == RETRIES {
            return answer;
        }
        retries += 1;
        sleep(Duration::from_millis(50)).await;
    }
}
