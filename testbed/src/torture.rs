//! The kill loop: Weir under load is killed at any moment and started again, and after each time its
//! ledger is held against the provider's own books. Limits must hold, every call the provider saw
//! must have one row, nothing may stay held, and no money may be lost on the way.

pub mod check;
pub mod load;
pub mod purse;
pub mod question;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use self::check::Figures;
use self::load::Load;
use self::purse::Purses;
use crate::dice::Dice;
use crate::process::Process;
use crate::scene::{Scene, Setting};

/// Dollars for a million tokens, read and written.
const PRICE: [&str; 2] = ["1", "4"];

/// What to do, and how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The `weir` program.
    pub weir: PathBuf,
    /// The directory with `fake-provider`.
    pub programs: PathBuf,
    /// How often Weir is ended.
    pub rounds: usize,
    /// After how many rounds it begins anew, on an empty data directory.
    pub chapter: usize,
    /// What decides every throw.
    pub seed: u64,
    /// The longest a round lasts.
    pub longest: Duration,
    /// How many clients ask at once.
    pub clients: usize,
    /// Whether the provider's log has to reach the disk before a call goes on. It outlives Weir
    /// either way, and is slower so.
    pub fsync: bool,
}

/// How a round ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kill {
    /// After so long.
    After(Duration),
    /// When the provider has seen the first byte of this call of the round.
    AtCall(usize),
    /// When the provider is done with this many calls of the round: right after a last byte.
    AtEnd(usize),
    /// When this many clients have gone away in the round.
    AtLeave(usize),
    /// When all is quiet, and was found right.
    Quiet,
    /// Not killed: asked to stop, under load.
    Stop,
}

impl Kill {
    fn throw(dice: &mut Dice, longest: Duration) -> Self {
        let most = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        let number = |dice: &mut Dice| usize::try_from(dice.between(1, 80)).unwrap_or(1);
        match dice.between(1, 100) {
            ..=45 => Self::After(Duration::from_micros(dice.between(0, most))),
            46..=53 => Self::AtCall(1),
            54..=64 => Self::AtCall(number(dice)),
            65..=76 => Self::AtEnd(number(dice)),
            77..=86 => Self::AtLeave(number(dice).div_ceil(4)),
            87..=95 => Self::Quiet,
            _ => Self::Stop,
        }
    }
}

/// Kills and starts again as planned; gives what was compared.
pub fn run(plan: &Plan, told: &mut dyn FnMut(&str)) -> anyhow::Result<Figures> {
    // A short wait for a provider, so that waiting in vain is tried too.
    let setting = Setting { price: PRICE, silence: 2, fsync: plan.fsync };
    let mut scene = Scene::set(&plan.weir, &plan.programs, setting)?;
    let mut figures = Figures::default();
    let played = play(plan, &mut scene, &mut figures, told);
    if played.is_err() {
        scene.keep();
        told(&format!("everything is left in {}", scene.folder().display()));
    }
    played.map(|()| figures)
}

fn play(
    plan: &Plan,
    scene: &mut Scene,
    figures: &mut Figures,
    told: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    let dice = Dice::new(plan.seed);
    let mut round = 0;
    while round < plan.rounds {
        let chapter = round / plan.chapter;
        let data = format!("data-{chapter}");
        let mut purses = Purses::new(chapter);
        let mut weir = scene.start(&data)?;
        for _ in 0..plan.chapter.min(plan.rounds - round) {
            round += 1;
            let throws = dice.apart(round as u64);
            let mut one = Round { plan, scene, purses: &mut purses, figures, throws };
            weir = one.play(weir, &data).with_context(|| format!("round {round}"))?;
            told(&format!("round {round}: {figures}"));
        }
        purses.retire_all();
        check::all(scene, &mut purses, figures).context("at the end of a chapter")?;
        check::drain(scene, &mut purses, figures).context("at the end of a chapter")?;
        weir.kill()?;
    }
    Ok(())
}

struct Round<'a> {
    plan: &'a Plan,
    scene: &'a mut Scene,
    purses: &'a mut Purses,
    figures: &'a mut Figures,
    throws: Dice,
}

impl Round<'_> {
    /// Load, an end, a new start, and the comparison.
    fn play(&mut self, mut weir: Process, data: &str) -> anyhow::Result<Process> {
        let kill = Kill::throw(&mut self.throws, self.plan.longest);
        self.purses.fill(self.scene, &mut self.throws)?;
        let load = Load::start(
            self.scene.address(),
            self.purses.active(),
            self.plan.clients,
            &self.throws.apart(1),
        );
        let ended = self.end(&mut weir, kill, &load);
        let tally = load.stop()?;
        ended.with_context(|| format!("{kill:?}"))?;
        drop(weir);
        let wrong = self.scene.said_wrong()?;
        ensure!(wrong.is_empty(), "Weir said: {}", wrong.join("\n"));
        self.figures.add(&tally);
        ensure!(tally.wrong.is_empty(), "clients were told: {}", tally.wrong.join("\n"));
        if self.throws.chance(15) {
            // Killed while it puts things right, too.
            let after = Duration::from_micros(self.throws.between(0, 30_000));
            self.scene.start_and_kill(data, after)?;
            self.figures.starts_killed += 1;
        }
        let weir = self.scene.start(data)?;
        self.scene.quiet()?;
        check::all(self.scene, self.purses, self.figures).with_context(|| format!("{kill:?}"))?;
        check::drain(self.scene, self.purses, self.figures).with_context(|| format!("{kill:?}"))?;
        Ok(weir)
    }

    fn end(&mut self, weir: &mut Process, kill: Kill, load: &Load) -> anyhow::Result<()> {
        self.scene.auditor.read()?;
        let (began, ended) = (self.scene.auditor.began, self.scene.auditor.ended);
        // Mostly the time runs from the first call that goes through: before it there is little to lose.
        if !matches!(kill, Kill::AtCall(_)) && self.throws.chance(80) {
            self.first_call(began)?;
        }
        let started = Instant::now();
        let pause = self.throws.chance(25).then(|| self.plan.longest.mul_f64(0.3));
        let mut pause = pause.map(|at| at.min(Duration::from_millis(100)));
        let longest = match kill {
            Kill::After(time) => time,
            _ => self.plan.longest,
        };
        loop {
            self.scene.auditor.read()?;
            let auditor = &self.scene.auditor;
            let is_time = match kill {
                Kill::After(_) | Kill::Quiet | Kill::Stop => false,
                Kill::AtCall(count) => auditor.began - began >= count,
                Kill::AtEnd(count) => auditor.ended - ended >= count,
                Kill::AtLeave(count) => load.left.load(Ordering::Relaxed) >= count,
            };
            if is_time || started.elapsed() >= longest {
                break;
            }
            if pause.is_some_and(|at| started.elapsed() >= at) {
                pause = None;
                self.freeze(weir)?;
            }
            thread::sleep(Duration::from_micros(50));
        }
        if matches!(kill, Kill::Quiet | Kill::Stop) {
            // What was frozen can be killed, but neither answers nor stops.
            weir.signal("CONT")?;
        }
        match kill {
            Kill::Stop => {
                weir.signal("TERM")?;
                load.halt();
                let well = weir.ended(Duration::from_secs(40))?;
                ensure!(well, "it did not stop well");
                self.figures.stops += 1;
                return Ok(());
            }
            Kill::Quiet => {
                load.halt();
                load.wait();
                self.scene.quiet()?;
                check::eventually(self.scene, self.purses, self.figures)?;
                self.figures.quiet += 1;
            }
            Kill::After(_) | Kill::AtCall(_) | Kill::AtEnd(_) | Kill::AtLeave(_) => {}
        }
        weir.kill()?;
        self.figures.kills += 1;
        Ok(())
    }

    /// Waits until the provider has seen one more call than `began`, or has not for a while.
    fn first_call(&mut self, began: usize) -> anyhow::Result<()> {
        let started = Instant::now();
        while self.scene.auditor.began == began && started.elapsed() < Duration::from_secs(1) {
            self.scene.auditor.read()?;
            thread::sleep(Duration::from_micros(50));
        }
        Ok(())
    }

    /// Stops the process for a moment, as a busy machine or a debugger would.
    fn freeze(&mut self, weir: &Process) -> anyhow::Result<()> {
        weir.signal("STOP")?;
        thread::sleep(Duration::from_millis(self.throws.between(1, 60)));
        if self.throws.chance(70) {
            weir.signal("CONT")?;
        }
        self.figures.freezes += 1;
        Ok(())
    }
}
