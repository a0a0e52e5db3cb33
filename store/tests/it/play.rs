//! Random histories of calls against a store, and beside it the plainest account of what they come
//! to: a list of attempts that is added up anew for every question.

use std::path::{Path, PathBuf};

use domain::ledger::Fit;
use domain::{
    Correction, Ending, Evidence, KeyId, Limit, LimitId, Money, Period, Row, Scope, ScopedLimit,
    TeamId, Timestamp, Unit, UserId, Want, Window,
};
use store::{Held, NotReserved, Options, Store};

use crate::books::{self, Books};
use crate::world::*;

/// One step of a history, with two numbers that say which and how much.
pub(crate) type Step = (u8, u64, u64);

struct Attempt {
    /// What stands if nobody writes a better row.
    row: Row,
    want: Want,
    parts: Vec<Part>,
    key: usize,
    held: Option<Held>,
    begun: bool,
    end: Option<End>,
    corrected: (i64, i64),
}

/// What it is held on, and when it was admitted there.
struct Part {
    scoped: ScopedLimit,
    at: Timestamp,
}

enum End {
    /// It counts this much of money and tokens.
    Used(i64, i64),
    /// It counts nowhere.
    Nothing,
}

impl Attempt {
    fn amount(&self, unit: Unit) -> i64 {
        match (unit, &self.end) {
            (_, Some(End::Nothing)) | (Unit::InFlight, Some(_)) => 0,
            (Unit::Money, Some(End::Used(money, _))) => *money,
            (Unit::Tokens, Some(End::Used(_, tokens))) => *tokens,
            (_, _) => self.want.of(unit),
        }
    }
}

pub(crate) struct Play {
    root: tempfile::TempDir,
    place: PathBuf,
    turn: u64,
    options: Options,
    store: Option<Store>,
    at: Timestamp,
    keys: [KeyId; 2],
    limits: [Vec<ScopedLimit>; 2],
    attempts: Vec<Attempt>,
    rows: Vec<Row>,
    sums: Sums,
    /// What was spent before a limit was first asked about, and the turn it counts in.
    seeds: Vec<(LimitId, Timestamp, i64)>,
    numbers: u64,
}

const TEAM: Scope = Scope::Team(TeamId::from_ulid(domain::id::Ulid::from_bits(1)));
const USER: Scope = Scope::User(UserId::from_ulid(domain::id::Ulid::from_bits(2)));

fn some(scope: Scope, number: u128, unit: Unit, amount: i64, window: Window) -> ScopedLimit {
    let money = Limit::money(LimitId::new(NOON, number), Money::from_nanos(amount), window);
    ScopedLimit { scope, limit: Limit { unit, ..money } }
}

const MINUTE: Window = Window::Rolling { seconds: 60 };

impl Play {
    pub(crate) fn new(segment_bytes: u64) -> Self {
        let (day, month) = (Window::utc(Period::Day), Window::utc(Period::Month));
        let above = [
            some(TEAM, 1, Unit::Tokens, 2_000_000, Window::Lifetime),
            some(TEAM, 2, Unit::InFlight, 7, Window::Lifetime),
            some(USER, 3, Unit::Money, 60_000, month),
            some(USER, 4, Unit::Requests, 40, day),
        ];
        let keys = [key_id(1), key_id(2)];
        let of = |key: usize, own: &[ScopedLimit]| {
            let mine = own.iter().map(|one| ScopedLimit { scope: Scope::Key(keys[key]), ..*one });
            above.iter().copied().chain(mine).collect()
        };
        let first = [
            some(TEAM, 5, Unit::Money, 90_000, Window::Lifetime),
            some(TEAM, 6, Unit::Money, 30_000, day),
            some(TEAM, 7, Unit::Requests, 12, MINUTE),
            some(TEAM, 8, Unit::Tokens, 12_000, MINUTE),
        ];
        let second = [
            some(TEAM, 9, Unit::Money, 50_000, month),
            some(TEAM, 10, Unit::InFlight, 4, Window::Lifetime),
            some(TEAM, 11, Unit::Tokens, 20_000, MINUTE),
        ];
        let root = directory();
        let place = root.path().join("0");
        let options = Options { segment_bytes, ..Options::default() };
        let store = Store::open(&place, options.clone(), NOON).unwrap();
        let limits = [of(0, &first), of(1, &second)];
        let (attempts, rows, seeds) = (Vec::new(), Vec::new(), Vec::new());
        let (store, sums, at) = (Some(store), Sums::new(), NOON);
        let (turn, numbers) = (0, 100);
        Self {
            root,
            place,
            turn,
            options,
            store,
            at,
            keys,
            limits,
            attempts,
            rows,
            sums,
            seeds,
            numbers,
        }
    }

    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    /// Every limit, once.
    pub(crate) fn all_limits(&self) -> Vec<ScopedLimit> {
        let mut all = self.limits[0].clone();
        all.extend(self.limits[1].iter().filter(|one| matches!(one.scope, Scope::Key(_))));
        all
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(crate) fn step(&mut self, (what, a, b): Step) {
        match what % 32 {
            0..=6 => self.reserve(a, b),
            7..=11 => self.begin(a, b),
            12..=16 => self.settle(a, b),
            17 | 18 => self.release(a),
            19 => self.finish(a),
            20 => self.pass_on(a),
            21 => self.correct(a, b),
            22 => self.change_amount(a, b),
            23 => self.replace_limit(a),
            24..=27 => self.tick(a, b),
            28 => {
                wait(self.store().flush()).unwrap();
                self.keep_sums();
            }
            29 => self.end(None),
            _ => self.end(Some(a)),
        }
        if self.store.is_some() {
            self.stands();
        }
    }

    fn pick(&self, a: u64, fits: impl Fn(&Attempt) -> bool) -> Option<usize> {
        let all: Vec<_> =
            self.attempts.iter().enumerate().filter(|(_, one)| fits(one)).map(|(n, _)| n).collect();
        let count = u64::try_from(all.len()).unwrap();
        (count > 0).then(|| all[usize::try_from(a % count).unwrap()])
    }

    fn bound(&mut self, key: usize, want: Want) -> Row {
        let number = self.number();
        Row {
            cost: Some(want.money),
            held: want.money,
            tokens: want.tokens,
            evidence: Evidence::Estimated,
            ending: Ending::Killed,
            ..row(number, self.keys[key], self.at)
        }
    }

    fn reserve(&mut self, a: u64, b: u64) {
        let key = usize::try_from(a % 2).unwrap();
        let money = Money::from_nanos(i64::try_from(1 + b % 9_000).unwrap());
        let want = Want::call(money, i64::try_from(1 + a % 3_000).unwrap());
        let row = self.bound(key, want);
        let limits = self.limits[key].clone();
        self.seed(&limits);
        let fits = limits.iter().all(|scoped| {
            let (spent, held) = self.stand(scoped);
            spent + held + want.of(scoped.limit.unit) <= scoped.limit.amount
        });
        let future = self.store().reserve(row.attempt, &limits, want, Fit::All, now(self.at));
        let held = match wait(future) {
            Ok(held) => Some(held),
            Err(NotReserved::Short(_)) => None,
            Err(NotReserved::Fault(fault)) => panic!("{fault}"),
        };
        assert_eq!(held.is_some(), fits, "a call was judged wrongly");
        if held.is_some() {
            let at = self.at;
            let parts = limits.into_iter().map(|scoped| Part { scoped, at }).collect();
            let (begun, end, corrected) = (false, None, (0, 0));
            self.attempts.push(Attempt { row, want, parts, key, held, begun, end, corrected });
        }
    }

    fn begin(&mut self, a: u64, b: u64) {
        let Some(place) = self.pick(a, |one| one.held.is_some() && !one.begun) else { return };
        let mut held = self.attempts[place].held.take().unwrap();
        let row = self.attempts[place].row.clone();
        if b.is_multiple_of(4) {
            // Who waits goes away: before anything happened, or once it was asked for.
            let store = self.store();
            wait(async {
                let begin = std::pin::pin!(store.begin(&mut held, &row));
                if b.is_multiple_of(8) {
                    tokio::select! { biased; _ = begin => {} () = std::future::ready(()) => {} }
                }
            });
            self.store().release(held);
            self.attempts[place].end = Some(End::Nothing);
        } else {
            wait(self.store().begin(&mut held, &row)).unwrap();
            self.attempts[place].held = Some(held);
            self.attempts[place].begun = true;
        }
    }

    fn record(&mut self, row: Row) {
        for (about, sum) in sums_of([&row]) {
            self.sums.entry(about).or_default().add(&sum);
        }
        self.rows.push(row);
    }

    fn settle(&mut self, a: u64, b: u64) {
        let Some(place) = self.pick(a, |one| one.held.is_some()) else { return };
        let held = self.attempts[place].held.take().unwrap();
        let one = &mut self.attempts[place];
        let part = |whole: i64| whole * i64::try_from(b % 13).unwrap() / 10;
        // A provider may report more than was held.
        let (money, tokens) = (part(one.want.money.nanos()), part(one.want.tokens));
        let (evidence, ending) = (Evidence::Reported, Ending::Complete);
        let cost = Some(Money::from_nanos(money));
        let row = Row { cost, tokens, evidence, ending, ..one.row.clone() };
        one.end = Some(End::Used(money, tokens));
        one.begun = true;
        one.row = row.clone();
        self.store().settle(held, &row).unwrap();
        self.record(row);
    }

    fn release(&mut self, a: u64) {
        let Some(place) = self.pick(a, |one| one.held.is_some()) else { return };
        let held = self.attempts[place].held.take().unwrap();
        self.attempts[place].end = Some(End::Nothing);
        self.store().release(held);
    }

    fn finish(&mut self, a: u64) {
        let Some(place) = self.pick(a, |one| one.held.is_some() && one.begun) else { return };
        let held = self.attempts[place].held.take().unwrap();
        self.attempts[place].end = Some(End::Used(0, 0));
        self.store().finish(held);
    }

    fn pass_on(&mut self, a: u64) {
        let Some(place) = self.pick(a, |one| one.held.is_some()) else { return };
        let (key, want) = (self.attempts[place].key, self.attempts[place].want);
        let next = self.bound(key, want);
        let one = &mut self.attempts[place];
        let held = one.held.take().unwrap();
        let cost = Some(Money::ZERO);
        let row = Row { cost, tokens: 0, ending: Ending::ProviderError, ..one.row.clone() };
        one.row = next;
        one.begun = false;
        let id = one.row.attempt;
        let held = self.store().pass_on(held, &row, id).unwrap();
        assert_eq!(held.id(), id);
        self.attempts[place].held = Some(held);
        self.record(row);
    }

    fn correct(&mut self, a: u64, b: u64) {
        let left = |one: &Attempt| match one.end {
            Some(End::Used(money, tokens)) => (money - one.corrected.0, tokens - one.corrected.1),
            Some(End::Nothing) | None => (0, 0),
        };
        let Some(place) = self.pick(a, |one| left(one).0 > 0) else { return };
        let one = &mut self.attempts[place];
        let part = |whole: i64| whole * i64::try_from(1 + b % 4).unwrap() / 4;
        let (money, tokens) = (part(left(one).0), part(left(one).1));
        one.corrected = (one.corrected.0 + money, one.corrected.1 + tokens);
        let correction = Correction {
            attempt: one.row.attempt,
            key: one.row.key,
            money: Money::from_nanos(money),
            tokens,
            evidence: "their records".into(),
            actor: "test".into(),
            at: self.at,
        };
        let row = one.row.clone();
        wait(self.store().correct(correction.clone(), act("row.correct"))).unwrap();
        books::less(&mut self.sums, &row, correction.money);
        let (found, corrections) = wait(self.store().attempt(row.attempt)).unwrap().unwrap();
        assert_eq!((found, corrections.last()), (row, Some(&correction)));
    }

    fn limit(&mut self, a: u64) -> (usize, usize) {
        let key = usize::try_from(a % 2).unwrap();
        let count = u64::try_from(self.limits[key].len()).unwrap();
        (key, usize::try_from(a / 2 % count).unwrap())
    }

    /// In every list it is in.
    fn set(&mut self, old: ScopedLimit, new: ScopedLimit) {
        for one in self.limits.iter_mut().flatten().filter(|one| **one == old) {
            *one = new;
        }
    }

    fn change_amount(&mut self, a: u64, b: u64) {
        let (key, place) = self.limit(a);
        let old = self.limits[key][place];
        let amount = old.limit.amount * i64::try_from(5 + b % 15).unwrap() / 10;
        self.set(old, ScopedLimit { limit: Limit { amount: amount.max(3), ..old.limit }, ..old });
    }

    /// Another limit takes its place: what it counts begins anew, or with what was spent before.
    fn replace_limit(&mut self, a: u64) {
        let (key, place) = self.limit(a);
        let old = self.limits[key][place];
        let id = LimitId::new(self.at, self.number().into());
        self.set(old, ScopedLimit { limit: Limit { id, ..old.limit }, ..old });
    }

    fn tick(&mut self, a: u64, b: u64) {
        // To a tenth of a second: that is how finely tokens of the last minute are told apart.
        let tenths = match a % 16 {
            0..=8 => b % 300,
            9..=13 => b % 1_200,
            14 => b % 864_000,
            _ => b % 26_784_000,
        };
        let micros = self.at.micros() + i64::try_from(tenths).unwrap() * 100_000;
        self.at = Timestamp::from_micros(micros);
    }

    fn sums_dir(&self) -> PathBuf {
        self.root.path().join("sums")
    }

    /// Keeps the sums as they are now, for a kill to go back to.
    fn keep_sums(&self) {
        let _ = std::fs::remove_dir_all(self.sums_dir());
        std::fs::create_dir(self.sums_dir()).unwrap();
        for file in ["sums.db", "sums.db-wal"] {
            let _ = std::fs::copy(self.place.join(file), self.sums_dir().join(file));
        }
    }

    /// The process ends, by itself or killed, and another one begins.
    fn end(&mut self, killed: Option<u64>) {
        // What is written survives; that it is waited for makes the history a plain one.
        wait(self.store().rows(store::RowQuery::default())).unwrap();
        if let Some(how) = killed {
            self.turn += 1;
            let next = self.root.path().join(self.turn.to_string());
            let sums = self.sums_dir();
            let sums = (!how.is_multiple_of(3) && sums.exists()).then_some(sums.as_path());
            books::leave(&self.place, sums, &next);
            self.place = next;
        }
        for one in &mut self.attempts {
            one.held = None;
        }
        drop(self.store.take());
        self.store = Some(Store::open(&self.place, self.options.clone(), self.at).unwrap());
        let mut charged = Vec::new();
        for one in self.attempts.iter_mut().filter(|one| one.end.is_none()) {
            let Want { money, tokens, .. } = one.want;
            one.end = Some(if one.begun { End::Used(money.nanos(), tokens) } else { End::Nothing });
            charged.extend(one.begun.then(|| one.row.clone()));
        }
        let count = u64::try_from(charged.len()).unwrap();
        assert_eq!(self.store().recovery().calls_charged, count);
        charged.sort_by_key(|row| row.attempt);
        for row in charged {
            self.record(row);
        }
        // The journal knows when an attempt began, not when its request was admitted.
        for one in &mut self.attempts {
            let rolls = |part: &&mut Part| !part.scoped.limit.is_durable();
            for part in one.parts.iter_mut().filter(rolls) {
                part.at = one.row.began_at;
            }
        }
        let mut books = Books::of_dir(&self.place);
        books.kill();
        self.rows_are_those_of(&books);
        // Each was asked about after every step.
        let mut limits = self.all_limits();
        limits.retain(|scoped| books.counted.contains_key(&(scoped.scope, scoped.limit.id)));
        books.agree(self.store(), &self.place, &limits, self.at);
    }

    #[track_caller]
    fn rows_are_those_of(&self, books: &Books) {
        assert_eq!(books.sums, self.sums);
        assert_eq!(books.rows, self.rows);
    }

    /// A key's money limit that nobody asked about yet begins with what was spent before.
    fn seed(&mut self, limits: &[ScopedLimit]) {
        for scoped in limits.iter().filter(|scoped| books::seeds(scoped)) {
            let Scope::Key(key) = scoped.scope else { continue };
            if self.seeds.iter().any(|(limit, ..)| *limit == scoped.limit.id) {
                continue;
            }
            let start = scoped.limit.window.span(self.at).start;
            let mine = self
                .sums
                .iter()
                .filter(|((hour, of, ..), _)| *of == key && *hour >= start.seconds());
            let amount = mine.map(|(_, sum)| sum.cost.nanos()).sum();
            self.seeds.push((scoped.limit.id, start, amount));
        }
    }

    /// What is spent and held of a limit, added up from the beginning.
    fn stand(&self, scoped: &ScopedLimit) -> (i64, i64) {
        let Limit { id, unit, window, .. } = scoped.limit;
        let start = window.span(self.at).start;
        let seeds = self.seeds.iter().filter(|(limit, turn, _)| (*limit, *turn) == (id, start));
        let (mut spent, mut held) = (seeds.map(|(.., amount)| *amount).sum(), 0);
        for one in &self.attempts {
            let Some(part) = one.parts.iter().find(|part| part.scoped.limit.id == id) else {
                continue;
            };
            let amount = one.amount(unit);
            let (counts, back) = match (unit, window) {
                (Unit::InFlight, _) => (true, 0),
                (_, Window::Rolling { seconds }) => {
                    (self.at < part.at.plus_seconds(seconds.into()), 0)
                }
                (Unit::Money, _) => (window.span(part.at).start == start, one.corrected.0),
                (Unit::Tokens, _) => (window.span(part.at).start == start, one.corrected.1),
                (Unit::Requests, _) => (window.span(part.at).start == start, 0),
            };
            let settles = matches!((unit, window), (Unit::Requests, Window::Rolling { .. }));
            match (counts, settles || one.end.is_some()) {
                (false, _) => {}
                (true, true) => spent += amount - back,
                (true, false) => held += amount,
            }
        }
        (spent, held)
    }

    /// Every limit stands as it should, now.
    #[track_caller]
    pub(crate) fn stands(&mut self) {
        let limits = self.all_limits();
        self.seed(&limits);
        let balances = wait(self.store().balances(&limits, now(self.at))).unwrap();
        for (scoped, balance) in limits.iter().zip(balances) {
            assert_eq!((balance.spent, balance.held), self.stand(scoped), "{scoped:?}");
        }
    }

    /// Everything in flight comes to its end; then memory, tables, rows, journal and account agree.
    pub(crate) fn close_all(&mut self) {
        let mut number = 0;
        while self.pick(0, |one| one.held.is_some()).is_some() {
            number += 1;
            if number % 2 == 0 { self.settle(0, number) } else { self.release(0) }
        }
        self.stands();
        let limits = self.all_limits();
        for scoped in &limits {
            assert_eq!(self.stand(scoped).1, 0);
        }
        wait(self.store().flush()).unwrap();
        let mut books = Books::of_dir(&self.place);
        self.rows_are_those_of(&books);
        books.agree(self.store.as_ref().unwrap(), &self.place, &limits, self.at);
    }
}
