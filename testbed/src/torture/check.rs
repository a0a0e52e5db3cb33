//! The comparison: Weir's rows beside the provider's books, and what is left beside both.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::load::{Tally, is_short};
use super::purse::{Family, Purse, Purses, today};
use super::question::smallest;
use crate::audit::{Price, Seen, dollars, nanos, nanos_of};
use crate::caller::{Caller, Leave};
use crate::scene::{Scene, is_anthropic};

/// One answer has no more rows than this.
const ROWS_MOST: usize = 1_000;

/// What was done and compared.
#[derive(Debug, Default, Clone)]
pub struct Figures {
    /// `kill -9`.
    pub kills: usize,
    /// The same, while it was starting.
    pub starts_killed: usize,
    /// Ends it was asked for.
    pub stops: usize,
    /// Comparisons with nothing killed before.
    pub quiet: usize,
    /// Moments in which it was held still.
    pub freezes: usize,
    statuses: BTreeMap<u16, usize>,
    calls: usize,
    killed: usize,
    never_called: usize,
    drained: usize,
    seen_nanos: i64,
    booked_nanos: i64,
}

impl Figures {
    /// Adds what clients were told.
    pub fn add(&mut self, tally: &Tally) {
        for (status, count) in &tally.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
    }

    /// Calls that the provider saw and that were compared.
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// Keys that were used to the last nano-dollar that a call fits into.
    pub fn drained(&self) -> usize {
        self.drained
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills, {} in a start, {} stops, {} quiet, {} freezes; asked {:?}; {} calls seen, {} charged as killed \
             ({} of them never called); {} keys drained; spent {} by the provider, {} by the ledger",
            self.kills,
            self.starts_killed,
            self.stops,
            self.quiet,
            self.freezes,
            self.statuses,
            self.calls,
            self.killed,
            self.never_called,
            self.drained,
            dollars(self.seen_nanos),
            dollars(self.booked_nanos),
        )
    }
}

/// What one key comes to.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    calls: usize,
    killed: usize,
    never_called: usize,
    /// By the provider, in pico-dollars and tokens.
    seen: u64,
    seen_tokens: u64,
    /// By the ledger, in nano-dollars and tokens.
    booked: i64,
    booked_tokens: i64,
}

/// Compares again and again until it fits: what is alive may still be writing.
pub fn eventually(
    scene: &mut Scene,
    purses: &mut Purses,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    for _ in 0..200 {
        if all(scene, purses, figures).is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(25));
    }
    all(scene, purses, figures)
}

/// Compares everything of a chapter.
pub fn all(scene: &mut Scene, purses: &mut Purses, figures: &mut Figures) -> anyhow::Result<()> {
    scene.auditor.read()?;
    let mut seen: HashMap<&str, Vec<&Seen>> = HashMap::new();
    for call in scene.auditor.calls() {
        let key = call.marker.split_once('.').map_or("", |(key, _)| key);
        seen.entry(key).or_default().push(call);
    }
    let none = Vec::new();
    let mut families: Vec<(Arc<Family>, Sum)> = Vec::new();
    let mut whole = Sum::default();
    for purse in &purses.all {
        let calls = seen.get(purse.number.to_string().as_str()).unwrap_or(&none);
        let about = || format!("key {} ({}), limit {:?}", purse.number, purse.id, purse.money);
        let sum = compare(scene, purse, calls).with_context(about)?;
        stands(scene, purse, sum).with_context(about)?;
        whole.add(sum);
        if let Some(family) = &purse.family {
            match families.iter_mut().find(|(known, _)| Arc::ptr_eq(known, family)) {
                Some((_, known)) => known.add(sum),
                None => families.push((Arc::clone(family), sum)),
            }
        }
    }
    for (family, sum) in families {
        for (path, limit) in [&family.team, &family.user] {
            holds(scene, path, *limit, sum).with_context(|| path.clone())?;
        }
    }
    figures.see(whole, purses);
    Ok(())
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.killed += other.killed;
        self.never_called += other.never_called;
        self.seen += other.seen;
        self.seen_tokens += other.seen_tokens;
        self.booked += other.booked;
        self.booked_tokens += other.booked_tokens;
    }
}

impl Figures {
    /// A chapter's sums replace what was known of it before.
    fn see(&mut self, sum: Sum, purses: &mut Purses) {
        let before = std::mem::replace(&mut purses.seen, Snapshot(sum)).0;
        self.calls = self.calls + sum.calls - before.calls;
        self.killed = self.killed + sum.killed - before.killed;
        self.never_called = self.never_called + sum.never_called - before.never_called;
        self.seen_nanos += nanos(sum.seen) - nanos(before.seen);
        self.booked_nanos += sum.booked - before.booked;
    }
}

/// What was compared last.
#[derive(Debug, Default)]
pub struct Snapshot(Sum);

/// One key's rows and the calls that the provider saw of it: one row for each, and no other.
fn compare(scene: &Scene, purse: &Purse, calls: &[&Seen]) -> anyhow::Result<Sum> {
    let path = format!("/api/v1/usage/calls?key={}&limit={ROWS_MOST}", purse.id);
    let answer = scene.ask("GET", &path, "")?;
    let list = answer["data"].as_array().context("rows are a list")?;
    ensure!(list.len() < ROWS_MOST && answer["cut_short"] == false, "too many rows to compare");
    let mut rows: HashMap<String, &Value> = HashMap::new();
    let mut sum = Sum { calls: calls.len(), ..Sum::default() };
    for row in list {
        let name = row["model"].as_str().unwrap_or_default();
        let twice = rows.insert(format!("{}.{name}", purse.number), row);
        if let Some(first) = twice {
            bail!("two rows for one call: {first} and {row}");
        }
        // Where no money was held, nobody knows what a call cost that was killed.
        let unknown = row["ending"] == "killed" && purse.money.is_none();
        let cost = nanos_of(&row["cost"]).or(unknown.then_some(0));
        sum.booked += cost.with_context(|| format!("no cost: {row}"))?;
        sum.booked_tokens += row["tokens"].as_i64().unwrap_or(0);
        sum.killed += usize::from(row["ending"] == "killed");
    }
    for call in calls {
        let Some(row) = rows.remove(&call.marker) else {
            bail!("no row for a call that the provider saw: {call:?}");
        };
        agree(scene.price(), purse, call, row).with_context(|| format!("{call:?} and {row}"))?;
        sum.seen += call.picos(scene.price());
        sum.seen_tokens += call.tokens();
    }
    // What is left was never seen: it was written down, and the kill came before the call.
    for row in rows.values() {
        ensure!(row["ending"] == "killed", "a row for a call that never was: {row}");
    }
    sum.never_called = rows.len();
    Ok(sum)
}

/// A row says what the provider reported, or no less than what it made.
fn agree(price: Price, purse: &Purse, call: &Seen, row: &Value) -> anyhow::Result<()> {
    let cost = nanos_of(&row["cost"]).unwrap_or(-1);
    let owed = nanos(call.picos(price));
    let tokens = i64::try_from(call.tokens())?;
    if row["evidence"] == "reported" {
        ensure!(cost == owed, "it says {cost}, and {owed} is owed");
    } else if purse.money.is_some() {
        ensure!(cost >= owed, "it says {cost}, and {owed} is owed");
    }
    if let Some(counted) = row["tokens"].as_i64().filter(|_| purse.tokens.is_some()) {
        ensure!(counted >= tokens, "it counts {counted} tokens, and {tokens} were made");
    }
    Ok(())
}

/// How a key's limits stand.
fn stands(scene: &Scene, purse: &Purse, sum: Sum) -> anyhow::Result<()> {
    let path = format!("/api/v1/keys/{}", purse.id);
    if let Some(limit) = purse.money {
        holds(scene, &path, limit, sum)?;
    } else {
        let usage = nanos_of(&scene.ask("GET", &path, "")?["data"]["usage"]);
        ensure!(usage == Some(sum.booked), "usage is {usage:?}, and the rows say {}", sum.booked);
    }
    if let Some(limit) = purse.tokens.filter(|_| purse.day == today()) {
        let used = i64::try_from(sum.seen_tokens)?;
        ensure!(used <= limit, "{used} tokens were used of {limit}");
    }
    let (status, effective) = scene.administer("GET", &format!("{path}/effective"), "")?;
    if status == 404 {
        return Ok(());
    }
    ensure!(status == 200, "effective: {status} {effective}");
    let limits = effective["limits"].as_array().context("limits are a list")?;
    for limit in limits {
        let held = limit["held"].as_f64();
        ensure!(held == Some(0.0), "something is held: {limit}");
        if limit["unit"] == "tokens" && purse.tokens.is_some() && purse.day == today() {
            let spent = limit["spent"].as_i64();
            ensure!(
                spent == Some(sum.booked_tokens),
                "{spent:?} tokens are counted, and the rows say {}",
                sum.booked_tokens
            );
        }
    }
    Ok(())
}

/// What may be spent is not exceeded, and what is left is what the rows leave.
fn holds(scene: &Scene, path: &str, limit: i64, sum: Sum) -> anyhow::Result<()> {
    let spent = nanos(sum.seen);
    ensure!(spent <= limit, "the provider is owed {spent}, and the limit is {limit}");
    let answer = scene.ask("GET", path, "")?;
    let about = if answer["data"].is_object() { &answer["data"] } else { &answer };
    let left = nanos_of(&about["limit_remaining"]);
    let expected = limit - sum.booked;
    ensure!(left == Some(expected), "{left:?} is left, and the rows leave {expected} of {limit}");
    Ok(())
}

/// Uses up what is left of spent keys, by the smallest calls there are: none may be refused while it
/// fits.
pub fn drain(scene: &mut Scene, purses: &mut Purses, figures: &mut Figures) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // In the order they were made, up to the first that is still in use.
    while let Some(purse) = purses.all.get(purses.drained).filter(|purse| purse.is_spent()) {
        let purse = Arc::clone(purse);
        let end = runtime.block_on(to_the_end(scene, &purse));
        end.with_context(|| format!("key {} ({})", purse.number, purse.id))?;
        purses.drained += 1;
        figures.drained += 1;
    }
    Ok(())
}

async fn to_the_end(scene: &Scene, purse: &Purse) -> anyhow::Result<()> {
    let mut caller = Caller::new(scene.address());
    for _ in 0..60 {
        let Some(mut number) = purse.next_call() else { return Ok(()) };
        while is_anthropic(number) {
            let Some(next) = purse.next_call() else { return Ok(()) };
            number = next;
        }
        let body = smallest(purse, number);
        let bytes = u64::try_from(body.len())?;
        let path = "/v1/chat/completions";
        let answer = caller.post(path, &purse.secret, body, Leave::Never).await;
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.status == 200 {
            continue;
        }
        let error = &answer.json()["error"];
        ensure!(matches!(answer.status, 402 | 429), "{}: {said}", answer.status);
        ensure!(is_short(error), "refused while it fits: {said}");
        let (held, most) = if error["unit"] == "tokens" {
            (error["held"].as_i64(), i64::try_from(bytes + 1)?)
        } else {
            (nanos_of(&error["held"]), nanos(scene.price().of(bytes, 1)))
        };
        let wanted = if error["unit"] == "tokens" {
            error["wanted"].as_i64()
        } else {
            nanos_of(&error["wanted"])
        };
        ensure!(held == Some(0), "nothing runs, and something is held: {said}");
        ensure!(wanted.is_some_and(|wanted| wanted <= most), "it wants more than {most}: {said}");
        return Ok(());
    }
    // Much is left: it ran out of names first.
    Ok(())
}
