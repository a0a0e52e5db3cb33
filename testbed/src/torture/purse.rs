//! The keys that calls are made with, and the limits they run into: their own, and those of the user
//! and the team above them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::check::Snapshot;
use crate::dice::Dice;
use crate::scene::{NAMES, Scene};

/// How many are made before a round: some run out in it.
const READY: usize = 8;

/// After so many refusals a key counts as spent.
const REFUSALS: usize = 40;

/// A key, and how far it has been used.
#[derive(Debug)]
pub struct Purse {
    /// What calls are marked with.
    pub number: usize,
    /// What names it in URLs.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// The most it may spend, in nano-dollars.
    pub money: Option<i64>,
    /// The most tokens it may use in a day.
    pub tokens: Option<i64>,
    /// The family whose limits apply as well.
    pub family: Option<Arc<Family>>,
    /// Names of calls that were given out.
    pub names: AtomicUsize,
    refusals: AtomicUsize,
    spent: AtomicBool,
    /// The UTC day it was made on.
    pub day: u64,
}

/// A user in a team, each with a limit on money.
#[derive(Debug)]
pub struct Family {
    /// The team: where it is asked about, and its limit.
    pub team: (String, i64),
    /// The user, likewise.
    pub user: (String, i64),
}

impl Purse {
    /// The number of its next call, while there are names left.
    pub fn next_call(&self) -> Option<usize> {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        (number < NAMES).then_some(number)
    }

    /// A call was refused for want of money or tokens.
    pub fn refused(&self) {
        if self.refusals.fetch_add(1, Ordering::Relaxed) > REFUSALS {
            self.spent.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it is used up.
    pub fn is_spent(&self) -> bool {
        // Some names are left for what is asked at the end.
        self.spent.load(Ordering::Relaxed) || self.names.load(Ordering::Relaxed) > NAMES - 200
    }
}

/// All keys of a chapter.
#[derive(Debug)]
pub struct Purses {
    chapter: usize,
    made: usize,
    families: Option<bool>,
    last_family: Option<Arc<Family>>,
    /// In the order they were made.
    pub all: Vec<Arc<Purse>>,
    /// Those that were drained to the end.
    pub drained: usize,
    /// What the last comparison came to.
    pub seen: Snapshot,
}

impl Purses {
    /// None yet.
    pub fn new(chapter: usize) -> Self {
        Self {
            chapter,
            made: 0,
            families: None,
            last_family: None,
            all: Vec::new(),
            drained: 0,
            seen: Snapshot::default(),
        }
    }

    /// Makes as many keys as a round needs.
    pub fn fill(&mut self, scene: &Scene, dice: &mut Dice) -> anyhow::Result<()> {
        while self.all.iter().filter(|purse| !purse.is_spent()).count() < READY {
            let purse = self.make(scene, dice).context("making a key")?;
            self.all.push(Arc::new(purse));
        }
        Ok(())
    }

    /// Those that calls are made with now, the oldest first; and those that come after them.
    pub fn active(&self) -> Vec<Arc<Purse>> {
        self.all.iter().filter(|purse| !purse.is_spent()).cloned().collect()
    }

    /// Counts every key as spent.
    pub fn retire_all(&self) {
        for purse in &self.all {
            purse.spent.store(true, Ordering::Relaxed);
        }
    }

    fn make(&mut self, scene: &Scene, dice: &mut Dice) -> anyhow::Result<Purse> {
        self.made += 1;
        let number = self.chapter * 100_000 + self.made;
        let mut body = json!({"name": format!("k{number}")});
        let amount = i64::try_from(dice.between(3_000_000, 60_000_000))?;
        let (mut money, mut tokens, mut family) = (None, None, None);
        match self.made % 4 {
            0 => {
                tokens = Some(i64::try_from(dice.between(5_000, 60_000))?);
                body["daily_token_limit"] = json!(tokens);
            }
            1 => {
                family = self.family(scene, dice)?;
                money = Some(amount);
            }
            2 => {
                money = Some(amount);
                body["max_parallel"] = json!(dice.between(3, 40));
            }
            _ => money = Some(amount),
        }
        if let Some(money) = money {
            body["limit"] = json!(in_dollars(money));
        }
        if let Some(family) = &family {
            let user = family.user.0.rsplit('/').next();
            body["user_id"] = json!(user);
        }
        let made = scene.ask("POST", "/api/v1/keys", &body.to_string())?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("a key is a text");
        Ok(Purse {
            number,
            id: text(&made["data"]["hash"])?,
            secret: text(&made["key"])?,
            money,
            tokens,
            family,
            names: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            spent: AtomicBool::new(false),
            day: today(),
        })
    }

    /// A user and a team for a few keys, where there are such things.
    fn family(&mut self, scene: &Scene, dice: &mut Dice) -> anyhow::Result<Option<Arc<Family>>> {
        if self.families == Some(false) {
            return Ok(None);
        }
        if let Some(family) = self.last_family.take() {
            if dice.chance(60) {
                self.last_family = Some(Arc::clone(&family));
            }
            return Ok(Some(family));
        }
        let least = i64::try_from(dice.between(10_000_000, 80_000_000))?;
        let team_limit = least + i64::try_from(dice.between(0, 20_000_000))?;
        let number = self.made;
        let body = json!({"name": format!("team {}-{number}", self.chapter), "limit": in_dollars(team_limit)});
        let (status, team) = scene.administer("POST", "/api/v1/teams", &body.to_string())?;
        self.families = Some(status == 201);
        if status != 201 {
            anyhow::ensure!(status == 404, "a team: {status} {team}");
            return Ok(None);
        }
        let team_id = id_of(&team)?;
        let body = json!({
            "external_id": format!("user {}-{number}", self.chapter),
            "team_id": team_id,
            "limit": in_dollars(least),
        });
        let user = id_of(&scene.ask("POST", "/api/v1/users", &body.to_string())?)?;
        let family = Arc::new(Family {
            team: (format!("/api/v1/teams/{team_id}"), team_limit),
            user: (format!("/api/v1/users/{user}"), least),
        });
        self.last_family = Some(Arc::clone(&family));
        Ok(Some(family))
    }
}

/// The id of what was made, wherever the answer has it.
fn id_of(made: &Value) -> anyhow::Result<String> {
    let id = made["id"].as_str().or(made["data"]["id"].as_str());
    id.map(str::to_owned).with_context(|| format!("no id in {made}"))
}

/// Nano-dollars as decimal text.
pub fn in_dollars(nanos: i64) -> String {
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// The day of the UTC calendar: daily limits start again with it.
pub fn today() -> u64 {
    crate::fake_provider::words::unix_seconds() / 86_400
}
