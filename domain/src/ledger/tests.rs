//! What the ledger promises: one small test for each promise, and random histories held against
//! the model.

use proptest::prelude::*;
use proptest::sample::Index;

use super::model::Model;
use super::*;
use crate::id::{KeyId, ProjectId, TeamId, UserId};
use crate::limit::Enforcement;
use crate::time::Timestamp;
use crate::window::Period;

/// Half an hour before a day and a month end.
const START: Timestamp = Timestamp::from_seconds(1_788_219_000);
const HOUR: i64 = 3_600_000_000;
const MINUTE: Window = Window::Rolling { seconds: 60 };
const DAY: Window = Window::utc(Period::Day);

fn at(micros: u64) -> Now {
    let wall = Timestamp::from_micros(START.micros().saturating_add_unsigned(micros));
    Now { wall, monotonic: micros }
}

fn hold_id(number: usize) -> HoldId {
    HoldId::new(START, number as u128)
}

fn key(number: u128) -> Scope {
    Scope::Key(KeyId::new(START, number))
}

/// A hard limit on the only key there is.
fn limit(unit: Unit, amount: i64, window: Window) -> ScopedLimit {
    let id = LimitId::new(START, unit as u128);
    let limit = Limit { id, unit, amount, window, enforcement: Enforcement::Hard };
    ScopedLimit { scope: key(1), limit }
}

fn money(nanos: i64) -> Want {
    Want::call(Money::from_nanos(nanos), 0)
}

fn tokens(tokens: i64) -> Want {
    Want::call(Money::ZERO, tokens)
}

fn used(money: i64, tokens: i64) -> Used {
    Used { money: Money::from_nanos(money), tokens }
}

/// Opens what has to be opened, and tries to hold.
fn call(
    ledger: &mut Ledger,
    limits: &[ScopedLimit],
    want: Want,
    now: Now,
) -> Result<Hold, Box<Short>> {
    for scoped in ledger.missing(limits) {
        ledger.open(&scoped, &Loaded::default(), now);
    }
    ledger.reserve(hold_id(0), limits, want, Fit::All, now).map_err(|no| match no {
        NotHeld::Short(short) => short,
        NotHeld::Unopened => unreachable!("it was opened"),
    })
}

fn taken(ledger: &mut Ledger, scoped: &ScopedLimit, now: Now) -> (i64, i64) {
    let balance = ledger.balance(scoped, now).unwrap();
    (balance.spent, balance.held)
}

// ── random histories ──

/// What can happen. Indices choose among the keys, the open calls, the closed calls, the limits.
#[derive(Clone, Copy, Debug)]
enum Step {
    Call {
        key: usize,
        want: Want,
        fit: Fit,
    },
    /// A call that is settled at once.
    Done {
        key: usize,
        want: Want,
        percent: i64,
    },
    Settle {
        call: Index,
        percent: i64,
    },
    Release {
        call: Index,
    },
    Refund {
        call: Index,
        percent: i64,
    },
    Amount {
        limit: Index,
        amount: i64,
    },
    Wait {
        micros: u64,
    },
    Clock {
        hours: i64,
    },
    Forget,
    Crash {
        back: i64,
    },
}

fn want() -> impl Strategy<Value = Want> {
    let requests = prop_oneof![8 => Just(1), 1 => Just(0), 2 => Just(2_500_i64)];
    (0..20_i64, 0..20_i64, requests).prop_map(|(money, tokens, requests)| Want {
        money: Money::from_nanos(money),
        tokens,
        requests,
        in_flight: 1,
    })
}

/// Percent of what was held: a provider may report more than it was allowed to use.
fn percent() -> impl Strategy<Value = i64> {
    prop_oneof![3 => 0..100_i64, 2 => Just(100), 1 => 101..300_i64]
}

fn wait() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..3_u64,
        1..250_000_u64,
        999_998..1_000_003_u64,
        59_850_000..60_150_000_u64,
        1..60_000_000_u64,
        Just(3_600_000_000_u64),
        1..(40 * 86_400_000_000_u64),
    ]
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![0..4_i64, 4..40_i64, 40..400_i64, 9_995..10_005_i64, 10_000..30_000_i64]
}

fn step() -> impl Strategy<Value = Step> {
    let fit = prop_oneof![4 => Just(Fit::All), 1 => Just(Fit::Half)];
    prop_oneof![
        40 => (0..4_usize, want(), fit).prop_map(|(key, want, fit)| Step::Call { key, want, fit }),
        40 => (0..4_usize, want(), percent())
            .prop_map(|(key, want, percent)| Step::Done { key, want, percent }),
        24 => (any::<Index>(), percent()).prop_map(|(call, percent)| Step::Settle { call, percent }),
        8 => any::<Index>().prop_map(|call| Step::Release { call }),
        6 => (any::<Index>(), 0..100_i64)
            .prop_map(|(call, percent)| Step::Refund { call, percent }),
        8 => (any::<Index>(), amount()).prop_map(|(limit, amount)| Step::Amount { limit, amount }),
        20 => wait().prop_map(|micros| Step::Wait { micros }),
        4 => prop_oneof![Just(-1_i64), Just(1_i64)].prop_map(|hours| Step::Clock { hours }),
        2 => Just(Step::Forget),
        1 => (0..100_000_000_i64).prop_map(|back| Step::Crash { back }),
    ]
}

fn any_limit() -> impl Strategy<Value = (Unit, Window, Enforcement, i64)> {
    let unit = prop_oneof![
        Just(Unit::Money),
        Just(Unit::Tokens),
        Just(Unit::Requests),
        Just(Unit::InFlight)
    ];
    let window = prop_oneof![
        1 => Just(Window::Lifetime),
        1 => Just(DAY),
        1 => Just(Window::utc(Period::Week)),
        1 => Just(Window::utc(Period::Month)),
        3 => Just(MINUTE),
        1 => prop_oneof![Just(1_u32), Just(7), Just(3_600)]
            .prop_map(|seconds| Window::Rolling { seconds }),
    ];
    let enforcement = prop_oneof![
        5 => Just(Enforcement::Hard),
        1 => Just(Enforcement::Observe),
        2 => Just(Enforcement::Expected)
    ];
    (unit, window, enforcement, amount())
}

/// Up to three limits on each of nine scopes.
fn tree() -> impl Strategy<Value = Vec<Vec<(Unit, Window, Enforcement, i64)>>> {
    prop::collection::vec(prop::collection::vec(any_limit(), 0..3), 9)
}

/// The scopes of the tree, and which of them stand above each of four keys.
fn scopes() -> Vec<Scope> {
    vec![
        Scope::Instance,
        Scope::Project(ProjectId::new(START, 1)),
        Scope::Project(ProjectId::new(START, 2)),
        Scope::Team(TeamId::new(START, 1)),
        Scope::User(UserId::new(START, 1)),
        Scope::User(UserId::new(START, 2)),
        key(1),
        key(2),
        key(3),
    ]
}
const ABOVE: [&[usize]; 4] = [&[0, 1, 3, 4, 6], &[0, 1, 3, 5, 7], &[0, 2, 5, 8], &[0, 2, 3]];

/// A call that both admitted.
struct Open {
    hold: Hold,
    call: usize,
    limits: Vec<ScopedLimit>,
}

/// A call that was settled.
struct Closed {
    parts: Vec<Part>,
    call: usize,
    limits: Vec<ScopedLimit>,
    used: Used,
}

/// The ledger and the model, side by side.
struct Both {
    ledger: Ledger,
    model: Model,
    limits: Vec<ScopedLimit>,
    open: Vec<Open>,
    closed: Vec<Closed>,
    now: Now,
}

impl Both {
    fn new(tree: &[Vec<(Unit, Window, Enforcement, i64)>]) -> Self {
        let mut limits = Vec::new();
        for (scope, own) in scopes().into_iter().zip(tree) {
            for (unit, window, enforcement, amount) in own {
                let id = LimitId::new(START, limits.len() as u128);
                let limit = Limit {
                    id,
                    unit: *unit,
                    amount: *amount,
                    window: *window,
                    enforcement: *enforcement,
                };
                limits.push(ScopedLimit { scope, limit });
            }
        }
        let (ledger, model) = (Ledger::default(), Model::default());
        // Late enough for the clock to begin again earlier.
        let now = Now { monotonic: 1 << 50, ..at(0) };
        Self { ledger, model, limits, open: Vec::new(), closed: Vec::new(), now }
    }

    fn above(&self, key: usize) -> Vec<ScopedLimit> {
        let scopes = scopes();
        let is_above =
            |scoped: &&ScopedLimit| ABOVE[key].iter().any(|at| scopes[*at] == scoped.scope);
        self.limits.iter().filter(is_above).copied().collect()
    }

    fn load(&mut self, limits: &[ScopedLimit]) {
        for scoped in self.ledger.missing(limits) {
            let loaded = self.model.load(&scoped, self.now);
            self.ledger.open(&scoped, &loaded, self.now);
        }
    }

    fn call(&mut self, key: usize, want: Want, fit: Fit) -> bool {
        let limits = self.above(key);
        self.load(&limits);
        let expected = self.model.reserve(&limits, want, fit, self.now);
        match (self.ledger.reserve(hold_id(0), &limits, want, fit, self.now), expected) {
            (Ok(hold), Ok(call)) => {
                for scoped in &limits {
                    let balance = self.ledger.balance(scoped, self.now).unwrap();
                    let hard = scoped.limit.enforcement == Enforcement::Hard;
                    assert!(!hard || balance.taken() <= scoped.limit.amount, "{scoped:?}");
                }
                self.open.push(Open { hold, call, limits });
                true
            }
            (Err(NotHeld::Short(short)), Err(expected)) => {
                assert_eq!(short, expected);
                false
            }
            (ledger, model) => panic!("the ledger says {ledger:?}, the model {model:?}"),
        }
    }

    fn settle(&mut self, place: usize, percent: i64) {
        let Open { hold, call, limits } = self.open.remove(place);
        let want = hold.want();
        let used = used(want.money.nanos() * percent / 100, want.tokens * percent / 100);
        let parts = hold.parts().to_vec();
        self.ledger.settle(hold, used);
        self.model.close(&limits, call, Some(used));
        self.closed.push(Closed { parts, call, limits, used });
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Call { key, want, fit } => {
                self.call(key, want, fit);
            }
            Step::Done { key, want, percent } => {
                if self.call(key, want, Fit::All) {
                    self.settle(self.open.len() - 1, percent);
                }
            }
            Step::Settle { call, percent } if !self.open.is_empty() => {
                self.settle(call.index(self.open.len()), percent);
            }
            Step::Release { call } if !self.open.is_empty() => {
                let Open { hold, call, limits } = self.open.remove(call.index(self.open.len()));
                self.ledger.release(hold);
                self.model.close(&limits, call, None);
            }
            Step::Refund { call, percent } if !self.closed.is_empty() => {
                let place = call.index(self.closed.len());
                let Closed { parts, call, limits, used: was } = self.closed.remove(place);
                let less = used(was.money.nanos() * percent / 100, was.tokens * percent / 100);
                self.ledger.refund(&parts, less);
                self.model.refund(&limits, call, less);
            }
            Step::Amount { limit, amount } if !self.limits.is_empty() => {
                let place = limit.index(self.limits.len());
                self.limits[place].limit.amount = amount;
            }
            Step::Wait { micros } => {
                self.now.monotonic += micros;
                self.now.wall =
                    Timestamp::from_micros(self.now.wall.micros().saturating_add_unsigned(micros));
            }
            Step::Clock { hours } => {
                self.now.wall = Timestamp::from_micros(self.now.wall.micros() + hours * HOUR);
            }
            Step::Forget => self.ledger.forget_idle(self.now),
            Step::Crash { back } => {
                self.ledger = Ledger::default();
                self.open.clear();
                self.model.crash(back);
                self.now.monotonic = self.now.monotonic.checked_add_signed(-back).unwrap();
            }
            Step::Settle { .. }
            | Step::Release { .. }
            | Step::Refund { .. }
            | Step::Amount { .. } => {}
        }
    }

    /// Every balance is the same, of what is open or can be opened.
    fn look(&mut self) {
        let limits = self.limits.clone();
        self.load(&limits);
        for scoped in &limits {
            let model = self.model.balance(scoped, self.now);
            assert_eq!(self.ledger.balance(scoped, self.now), Some(model), "{scoped:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_happens_the_ledger_says_what_the_model_says(
        tree in tree(),
        steps in prop::collection::vec((step(), prop::bool::weighted(0.2)), 1..400),
    ) {
        let mut both = Both::new(&tree);
        for (step, look) in steps {
            both.step(step);
            if look {
                both.look();
            }
        }
        while !both.open.is_empty() {
            both.settle(0, 100);
        }
        both.look();
        for scoped in &both.limits {
            prop_assert_eq!(both.ledger.balance(scoped, both.now).unwrap().held, 0);
        }
    }
}

// ── never over, never falsely over ──

#[test]
fn never_over() {
    let (mut ledger, budget) = (Ledger::default(), [limit(Unit::Money, 10, Window::Lifetime)]);
    let first = call(&mut ledger, &budget, money(6), at(0)).unwrap();
    let second = call(&mut ledger, &budget, money(4), at(1)).unwrap();
    let short = call(&mut ledger, &budget, money(1), at(2)).unwrap_err();
    assert_eq!((short.balance.held, short.wanted, short.after), (10, 1, None));
    ledger.settle(first, used(5, 0));
    ledger.settle(second, used(4, 0));
    assert!(call(&mut ledger, &budget, money(2), at(3)).is_err());
    let last = call(&mut ledger, &budget, money(1), at(3)).unwrap();
    // A provider reports more than it was allowed to use: it is booked, and then nothing fits.
    ledger.settle(last, used(3, 0));
    assert_eq!(taken(&mut ledger, &budget[0], at(4)), (12, 0));
    assert!(call(&mut ledger, &budget, money(0), at(4)).is_err());
}

#[test]
fn refused_only_where_it_really_does_not_fit() {
    for unit in [Unit::Money, Unit::Tokens, Unit::Requests, Unit::InFlight] {
        for window in [Window::Lifetime, DAY, MINUTE] {
            for amount in 0..4 {
                let (mut ledger, own) = (Ledger::default(), [limit(unit, amount, window)]);
                let one = Want::call(Money::from_nanos(1), 1);
                let admitted = (0..6).filter(|_| call(&mut ledger, &own, one, at(0)).is_ok());
                assert_eq!(admitted.count(), usize::try_from(amount).unwrap(), "{own:?}");
            }
        }
    }
}

#[test]
fn nothing_wanted_still_needs_something_left() {
    let (mut ledger, budget) = (Ledger::default(), [limit(Unit::Money, 1, DAY)]);
    let free = call(&mut ledger, &budget, money(0), at(0)).unwrap();
    ledger.settle(free, used(0, 0));
    let hold = call(&mut ledger, &budget, money(1), at(0)).unwrap();
    assert!(call(&mut ledger, &budget, money(0), at(0)).is_err());
    ledger.release(hold);
    assert!(call(&mut ledger, &budget, money(0), at(0)).is_ok());
}

#[test]
fn zero_blocks() {
    for unit in [Unit::Money, Unit::Tokens, Unit::Requests, Unit::InFlight] {
        for window in [Window::Lifetime, DAY, MINUTE] {
            for enforcement in [Enforcement::Hard, Enforcement::Expected] {
                let mut own = limit(unit, 0, window);
                own.limit.enforcement = enforcement;
                let want = Want { requests: 0, in_flight: 0, ..tokens(0) };
                assert!(call(&mut Ledger::default(), &[own], want, at(0)).is_err(), "{own:?}");
            }
        }
    }
}

#[test]
fn nothing_open_holds_nothing() {
    let units = [Unit::Money, Unit::Tokens, Unit::Requests, Unit::InFlight];
    for window in [Window::Lifetime, DAY, MINUTE] {
        let limits = units.map(|unit| limit(unit, 100, window));
        let mut ledger = Ledger::default();
        let want = Want::call(Money::from_nanos(9), 9);
        let holds: Vec<Hold> =
            (0..4).map(|now| call(&mut ledger, &limits, want, at(now)).unwrap()).collect();
        for (place, hold) in holds.into_iter().enumerate() {
            if place % 2 == 0 { ledger.release(hold) } else { ledger.settle(hold, used(1, 2)) }
        }
        let spent = limits.map(|limit| taken(&mut ledger, &limit, at(9)));
        assert_eq!(spent, [(2, 0), (4, 0), (2, 0), (0, 0)], "{window:?}");
    }
}

#[test]
fn a_refused_call_changes_nothing() {
    let mut above = limit(Unit::Tokens, 100, MINUTE);
    above.scope = Scope::Instance;
    let requests = limit(Unit::Requests, 100, MINUTE);
    let limits = [above, requests, limit(Unit::Money, 10, DAY), limit(Unit::InFlight, 9, DAY)];
    let mut ledger = Ledger::default();
    let want = Want::call(Money::from_nanos(7), 30);
    let _hold = call(&mut ledger, &limits, want, at(0)).unwrap();
    let before = limits.map(|limit| ledger.balance(&limit, at(5)));
    for now in 1..5 {
        call(&mut ledger, &limits, want, at(now)).unwrap_err();
    }
    assert_eq!(limits.map(|limit| ledger.balance(&limit, at(5))), before);
    // Nor does one for which a limit was never opened.
    let mut other = limit(Unit::Tokens, 5, DAY);
    other.scope = key(2);
    let more = [above, other];
    let refused = ledger.reserve(hold_id(1), &more, tokens(1), Fit::All, at(5));
    assert_eq!(refused, Err(NotHeld::Unopened));
    assert_eq!(ledger.missing(&more), [other]);
    assert_eq!(limits.map(|limit| ledger.balance(&limit, at(5))), before);
}

#[test]
fn a_lowered_amount_admits_nothing_more_and_a_raised_one_at_once() {
    for window in [Window::Lifetime, DAY, MINUTE] {
        let mut own = [limit(Unit::Tokens, 10, window)];
        let mut ledger = Ledger::default();
        let hold = call(&mut ledger, &own, tokens(8), at(0)).unwrap();
        own[0].limit.amount = 5;
        let short = call(&mut ledger, &own, tokens(1), at(1)).unwrap_err();
        assert_eq!((short.balance.held, short.room.tokens), (8, Some(0)));
        ledger.settle(hold, used(0, 8));
        assert!(call(&mut ledger, &own, tokens(1), at(2)).is_err());
        own[0].limit.amount = 9;
        assert!(call(&mut ledger, &own, tokens(1), at(3)).is_ok());
    }
}

proptest! {
    #[test]
    fn what_the_keys_spent_is_what_their_project_spent(
        calls in prop::collection::vec((1..4_u128, 0..50_i64, 0..70_i64), 1..60),
    ) {
        let mut ledger = Ledger::default();
        let below = |number| ScopedLimit { scope: key(number), ..limit(Unit::Money, 150, DAY) };
        let project = Scope::Project(ProjectId::DEFAULT);
        let above = ScopedLimit { scope: project, ..limit(Unit::Money, 300, DAY) };
        for (number, want, cost) in calls {
            let limits = [above, below(number)];
            if let Ok(hold) = call(&mut ledger, &limits, money(want), at(0)) {
                ledger.settle(hold, used(cost, 0));
            }
        }
        let mut sum = 0;
        for number in 1..4 {
            sum += ledger.balance(&below(number), at(0)).map_or(0, |balance| balance.spent);
        }
        let above = ledger.balance(&above, at(0)).map_or(0, |balance| balance.spent);
        prop_assert_eq!(sum, above);
    }
}

// ── rolling windows ──

#[test]
fn requests_leave_exactly_a_window_later() {
    let (mut ledger, rpm) = (Ledger::default(), [limit(Unit::Requests, 2, MINUTE)]);
    for now in [0, 10] {
        let hold = call(&mut ledger, &rpm, tokens(0), at(now)).unwrap();
        ledger.settle(hold, used(0, 0));
    }
    for (now, admitted) in [
        (11, false),
        (59_999_999, false),
        (60_000_000, true),
        (60_000_001, false),
        (60_000_009, false),
        (60_000_010, true),
        (60_000_010, false),
    ] {
        assert_eq!(call(&mut ledger, &rpm, tokens(0), at(now)).is_ok(), admitted, "{now}");
    }
}

#[test]
fn a_burst_over_the_border_of_a_minute_is_no_two_minutes_worth() {
    let (mut ledger, rpm) = (Ledger::default(), [limit(Unit::Requests, 10, MINUTE)]);
    let mut burst = |now: u64| {
        let admitted = (0..20).filter(|_| call(&mut ledger, &rpm, tokens(0), at(now)).is_ok());
        admitted.count()
    };
    assert_eq!(burst(59_999_000), 10);
    assert_eq!(burst(60_001_000), 0);
    assert_eq!(burst(119_998_999), 0);
    assert_eq!(burst(119_999_000), 10);
}

#[test]
fn a_refused_request_does_not_count_and_a_failed_one_does() {
    let (mut ledger, rpm) = (Ledger::default(), [limit(Unit::Requests, 2, MINUTE)]);
    let never_sent = call(&mut ledger, &rpm, tokens(0), at(0)).unwrap();
    ledger.release(never_sent);
    let failed = call(&mut ledger, &rpm, tokens(0), at(0)).unwrap();
    ledger.settle(failed, Used::default());
    let last = call(&mut ledger, &rpm, tokens(0), at(30_000_000)).unwrap();
    for now in 0..50 {
        call(&mut ledger, &rpm, tokens(0), at(30_000_001 + now * 10_000)).unwrap_err();
    }
    assert!(call(&mut ledger, &rpm, tokens(0), at(60_000_000)).is_ok());
    ledger.settle(last, Used::default());
}

#[test]
fn requests_that_are_never_sent_are_not_remembered() {
    let (mut ledger, rpm) = (Ledger::default(), [limit(Unit::Requests, 2, MINUTE)]);
    for now in 0..1_000 {
        let hold = call(&mut ledger, &rpm, tokens(0), at(now)).unwrap();
        ledger.release(hold);
    }
    ledger.forget_idle(at(1_000));
    assert!(ledger.is_empty());
}

/// The most that `admitted` has in any minute: one that begins between two has no more than the
/// one that begins with the later of them.
fn most_in_a_minute(admitted: &[(u64, i64)]) -> i64 {
    let from = |start: u64| {
        let within = admitted.iter().filter(|(at, _)| (start..start + 60_000_000).contains(at));
        within.map(|(_, amount)| amount).sum()
    };
    admitted.iter().map(|(start, _)| from(*start)).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_minute_wherever_it_begins_has_more_than_the_limit(
        unit in prop_oneof![Just(Unit::Requests), Just(Unit::Tokens)],
        amount in 1..30_i64,
        calls in prop::collection::vec((0..4_000_000_u64, 1..10_i64), 1..300),
    ) {
        let (mut ledger, rate) = (Ledger::default(), [limit(unit, amount, MINUTE)]);
        let (mut now, mut admitted) = (0, Vec::new());
        for (pause, size) in calls {
            now += pause;
            match call(&mut ledger, &rate, tokens(size), at(now)) {
                Ok(hold) => {
                    let counted = if unit == Unit::Requests { 1 } else { size };
                    admitted.push((now, counted));
                    ledger.settle(hold, used(0, size));
                }
                // No slot is longer than a tenth of a second: had it been that much earlier, it
                // would not have fit either.
                Err(short) => {
                    let slot = if unit == Unit::Requests { 0 } else { 100_000 };
                    let recent = admitted.iter().filter(|(at, _)| at + 60_000_000 + slot > now);
                    let sum: i64 = recent.map(|(_, amount)| amount).sum();
                    prop_assert!(sum + short.wanted > amount);
                }
            }
        }
        prop_assert!(most_in_a_minute(&admitted) <= amount);
    }
}

#[test]
fn many_requests_are_kept_in_slots_and_never_over() {
    let (mut ledger, rpm) = (Ledger::default(), [limit(Unit::Requests, 20_000, MINUTE)]);
    let want = Want { requests: 100, ..tokens(0) };
    let mut admitted = Vec::new();
    for now in (0..150_000_000).step_by(77_777) {
        if let Ok(hold) = call(&mut ledger, &rpm, want, at(now)) {
            admitted.push((now, 100));
            ledger.settle(hold, Used::default());
        }
    }
    assert_eq!(most_in_a_minute(&admitted), 20_000);
    // It was full after 200 calls. The first left at 60 s, the second at the end of its slot.
    let again: Vec<u64> = admitted.iter().map(|(at, _)| *at).skip(200).collect();
    assert_eq!(again[0], 60_000_000_u64.div_ceil(77_777) * 77_777);
    assert_eq!(again[1], 60_100_000_u64.div_ceil(77_777) * 77_777);
}

#[test]
fn tokens_leave_at_the_end_of_their_slot() {
    let (mut ledger, tpm) = (Ledger::default(), [limit(Unit::Tokens, 10, MINUTE)]);
    let first = call(&mut ledger, &tpm, tokens(4), at(100_001)).unwrap();
    let second = call(&mut ledger, &tpm, tokens(4), at(199_999)).unwrap();
    ledger.settle(second, used(0, 1));
    assert_eq!(taken(&mut ledger, &tpm[0], at(200_000)), (1, 4));
    ledger.settle(first, used(0, 9));
    assert_eq!(taken(&mut ledger, &tpm[0], at(60_199_999)), (10, 0));
    assert_eq!(taken(&mut ledger, &tpm[0], at(60_200_000)), (0, 0));
}

#[test]
fn a_call_that_outlives_the_window_gives_nothing_back_later() {
    let (mut ledger, tpm) = (Ledger::default(), [limit(Unit::Tokens, 10, MINUTE)]);
    let long = call(&mut ledger, &tpm, tokens(10), at(0)).unwrap();
    let next = call(&mut ledger, &tpm, tokens(10), at(60_000_000)).unwrap();
    ledger.settle(long, used(0, 3));
    assert_eq!(taken(&mut ledger, &tpm[0], at(60_000_001)), (0, 10));
    ledger.settle(next, used(0, 10));
    assert_eq!(taken(&mut ledger, &tpm[0], at(60_000_002)), (10, 0));
}

#[test]
fn an_amount_across_the_border_of_exact_moments_loses_no_request() {
    let mut rpm = [limit(Unit::Requests, 10_001, MINUTE)];
    let mut ledger = Ledger::default();
    let slotted = call(&mut ledger, &rpm, tokens(0), at(1)).unwrap();
    rpm[0].limit.amount = 3;
    let exact = call(&mut ledger, &rpm, tokens(0), at(2)).unwrap();
    let last = call(&mut ledger, &rpm, tokens(0), at(3)).unwrap();
    ledger.release(last);
    // The second leaves first, exactly; the first at the end of the slot it was admitted in.
    for (now, spent) in [(4, 2), (60_000_001, 2), (60_000_002, 1), (60_099_999, 1), (60_100_000, 0)]
    {
        assert_eq!(taken(&mut ledger, &rpm[0], at(now)), (spent, 0), "{now}");
    }
    ledger.settle(slotted, Used::default());
    ledger.settle(exact, Used::default());
}

#[test]
fn a_late_reading_of_the_clock_counts_as_the_newest() {
    let (mut ledger, rpm) = (Ledger::default(), [limit(Unit::Requests, 1, MINUTE)]);
    let first = call(&mut ledger, &rpm, tokens(0), at(0)).unwrap();
    let second = call(&mut ledger, &rpm, tokens(0), at(60_000_000)).unwrap();
    // Read before the first had left, decided after it had.
    let short = call(&mut ledger, &rpm, tokens(0), at(59_999_999)).unwrap_err();
    assert_eq!(short.after, Some(60_000_000));
    ledger.settle(first, Used::default());
    ledger.settle(second, Used::default());
}

// ── waiting ──

proptest! {
    #[test]
    fn retry_after_is_exact(
        amounts in prop::collection::vec((0..2_usize, 0..3_usize, 5..30_i64), 1..4),
        calls in prop::collection::vec((0..20_000_000_u64, 1..5_i64, 0..8_i64), 1..40),
        fit in prop_oneof![Just(Fit::All), Just(Fit::Half)],
    ) {
        let units = [Unit::Tokens, Unit::Requests];
        let windows = [MINUTE, DAY, Window::Rolling { seconds: 7 }];
        let limits: Vec<ScopedLimit> = (1..).zip(amounts).map(|(number, (unit, window, amount))| {
            ScopedLimit { scope: key(number), ..limit(units[unit], amount, windows[window]) }
        }).collect();
        let mut ledger = Ledger::default();
        let mut now = 0;
        for (pause, size, really) in calls {
            now += pause;
            if let Ok(hold) = call(&mut ledger, &limits, tokens(size), at(now)) {
                ledger.settle(hold, used(0, really));
            }
        }
        let mut ask = |now| ledger.reserve(hold_id(0), &limits, tokens(2), fit, at(now));
        if let Err(NotHeld::Short(short)) = ask(now) {
            let after = short.after.unwrap();
            prop_assert!(matches!(ask(now + after - 1), Err(NotHeld::Short(_))));
            prop_assert!(ask(now + after).is_ok());
        }
    }
}

#[test]
fn waiting_does_not_help_what_never_fits_or_never_starts_again() {
    let cases = [
        (limit(Unit::Tokens, 5, MINUTE), tokens(6)),
        (limit(Unit::Tokens, 5, DAY), tokens(6)),
        (limit(Unit::Requests, 0, MINUTE), tokens(0)),
        (limit(Unit::Money, 5, Window::Lifetime), money(6)),
        (limit(Unit::InFlight, 0, MINUTE), money(6)),
    ];
    for (own, want) in cases {
        let short = call(&mut Ledger::default(), &[own], want, at(0)).unwrap_err();
        assert_eq!(short.after, None, "{own:?}");
    }
}

#[test]
fn money_is_named_first_and_the_wait_is_for_all_limits() {
    let month = Window::utc(Period::Month);
    let tokens_a_month = limit(Unit::Tokens, 5, month);
    let limits = [limit(Unit::Requests, 1, MINUTE), limit(Unit::Money, 5, DAY), tokens_a_month];
    let mut ledger = Ledger::default();
    let now = at(3_600_000_000);
    let hold = call(&mut ledger, &limits, Want::call(Money::from_nanos(5), 5), now).unwrap();
    let short = call(&mut ledger, &limits, Want::call(Money::from_nanos(1), 1), now).unwrap_err();
    assert_eq!(short.scoped, limits[1]);
    assert_eq!(short.after, month.span(now.wall).end.map(|end| end.since(now.wall)));
    assert_eq!(short.room, Room { money: Some(Money::ZERO), tokens: Some(0) });
    ledger.settle(hold, used(5, 5));
}

#[test]
fn half_leaves_as_much_for_others() {
    let limits = [limit(Unit::Money, 10, DAY), limit(Unit::Tokens, 100, MINUTE)];
    let mut ledger = Ledger::default();
    for scoped in &limits {
        ledger.open(scoped, &Loaded::default(), at(0));
    }
    let mut half = |nanos, tokens| {
        let want = Want::call(Money::from_nanos(nanos), tokens);
        ledger.reserve(hold_id(0), &limits, want, Fit::Half, at(0))
    };
    assert!(half(6, 10).is_err());
    assert!(half(5, 51).is_err());
    let _first = half(5, 50).unwrap();
    assert!(half(3, 0).is_err());
    let _second = half(2, 25).unwrap();
    // Requests and calls in flight cannot be halved.
    let one = [limit(Unit::Requests, 1, MINUTE), limit(Unit::InFlight, 1, MINUTE)];
    for scoped in &one {
        ledger.open(scoped, &Loaded::default(), at(0));
    }
    assert!(ledger.reserve(hold_id(0), &one, tokens(0), Fit::Half, at(0)).is_ok());
}

// ── turns ──

#[test]
fn a_call_counts_in_the_turn_it_was_admitted_in() {
    let (mut ledger, daily) = (Ledger::default(), [limit(Unit::Money, 10, DAY)]);
    let (before, after) = (at(0), at(3_600_000_000));
    let old = call(&mut ledger, &daily, money(10), before).unwrap();
    let new = call(&mut ledger, &daily, money(6), after).unwrap();
    ledger.settle(old, used(10, 0));
    assert_eq!(taken(&mut ledger, &daily[0], after), (0, 6));
    ledger.settle(new, used(6, 0));
    assert_eq!(taken(&mut ledger, &daily[0], after), (6, 0));
}

#[test]
fn a_clock_that_is_moved_changes_no_rate_and_reopens_no_turn() {
    let limits = [limit(Unit::Requests, 1, MINUTE), limit(Unit::Money, 10, DAY)];
    let mut ledger = Ledger::default();
    let moved = |monotonic: u64, hours: i64| {
        let wall = at(monotonic).wall.micros() + hours * HOUR;
        Now { wall: Timestamp::from_micros(wall), monotonic }
    };
    let first = call(&mut ledger, &limits, money(10), at(0)).unwrap();
    ledger.settle(first, used(10, 0));
    for hours in [-1, 1] {
        let rate = &limits[..1];
        assert!(call(&mut ledger, rate, money(1), moved(59_999_999, hours)).is_err());
        assert_eq!(taken(&mut ledger, &limits[0], moved(59_999_999, hours)), (1, 0));
    }
    // An hour ahead it is tomorrow; set back, tomorrow goes on, and yesterday stays closed.
    let budget = &limits[1..];
    let tomorrow = call(&mut ledger, budget, money(9), moved(70_000_000, 1)).unwrap();
    assert!(call(&mut ledger, budget, money(2), moved(70_000_001, 0)).is_err());
    assert!(call(&mut ledger, budget, money(2), moved(70_000_002, -1)).is_err());
    ledger.settle(tomorrow, used(9, 0));
    assert_eq!(taken(&mut ledger, &budget[0], moved(70_000_003, 0)), (9, 0));
    // So it does where the ledger is opened anew, with the clock still set back.
    let loaded = Loaded { turn: Some((DAY.span(moved(0, 1).wall).start, 9)), recent: Vec::new() };
    let mut ledger = Ledger::default();
    ledger.open(&budget[0], &loaded, at(0));
    assert_eq!(taken(&mut ledger, &budget[0], at(0)), (9, 0));
    assert_eq!(taken(&mut ledger, &budget[0], at(0)), (9, 0));
    assert_eq!(taken(&mut ledger, &budget[0], moved(1, 25)), (0, 0));
}

#[test]
fn what_counted_before_counts_still() {
    let mut ledger = Ledger::default();
    let (daily, tpm) = (limit(Unit::Money, 10, DAY), limit(Unit::Tokens, 10, MINUTE));
    let today = DAY.span(at(0).wall).start;
    let recent = vec![(61_000_000, 5), (59_000_000, 3), (0, 4)];
    let now = at(100_000_000);
    for scoped in [daily, tpm] {
        let loaded = Loaded { turn: Some((today, 7)), recent: recent.clone() };
        ledger.open(&scoped, &loaded, now);
        // What is open already knows better.
        ledger.open(&scoped, &Loaded::default(), now);
    }
    assert_eq!(taken(&mut ledger, &daily, now), (7, 0));
    assert_eq!(taken(&mut ledger, &tpm, now), (7, 0));
    let yesterday = Loaded { turn: Some((today.plus_seconds(-86_400), 7)), recent: Vec::new() };
    let mut ledger = Ledger::default();
    ledger.open(&daily, &yesterday, now);
    assert_eq!(taken(&mut ledger, &daily, now), (0, 0));
}

#[test]
fn a_refund_reaches_open_turns_only() {
    let limits = [limit(Unit::Money, 10, DAY), limit(Unit::Tokens, 10, Window::Lifetime)];
    let mut ledger = Ledger::default();
    let hold = call(&mut ledger, &limits, Want::call(Money::from_nanos(8), 8), at(0)).unwrap();
    let parts = hold.parts().to_vec();
    ledger.settle(hold, used(8, 8));
    ledger.refund(&parts, used(3, 2));
    assert_eq!(limits.map(|limit| taken(&mut ledger, &limit, at(1))), [(5, 0), (6, 0)]);
    let tomorrow = at(3_600_000_000);
    let next = call(&mut ledger, &limits, Want::call(Money::from_nanos(4), 0), tomorrow).unwrap();
    ledger.settle(next, used(4, 0));
    ledger.refund(&parts, used(1, 1));
    assert_eq!(limits.map(|limit| taken(&mut ledger, &limit, tomorrow)), [(4, 0), (5, 0)]);
    // More than was charged gives nobody credit.
    ledger.refund(&parts, used(0, 50));
    assert_eq!(taken(&mut ledger, &limits[1], tomorrow), (0, 0));
}

// ── kinds of limits ──

#[test]
fn what_is_observed_is_counted_and_never_refused() {
    for unit in [Unit::Money, Unit::Tokens, Unit::Requests, Unit::InFlight] {
        let mut own = limit(unit, 1, Window::Lifetime);
        own.limit.enforcement = Enforcement::Observe;
        let mut ledger = Ledger::default();
        let want = Want::call(Money::from_nanos(5), 5);
        let holds: Vec<Hold> =
            (0..3).map(|now| call(&mut ledger, &[own], want, at(now)).unwrap()).collect();
        assert_eq!(holds[0].rates(), Rates::default());
        let each = want.of(unit);
        assert_eq!(taken(&mut ledger, &own, at(3)), (0, 3 * each));
    }
}

#[test]
fn what_is_expected_holds_what_calls_usually_use() {
    let mut own = [limit(Unit::Tokens, 1_000_000, Window::Lifetime)];
    own[0].limit.enforcement = Enforcement::Expected;
    let mut ledger = Ledger::default();
    let mut held = |really: i64| {
        let hold = call(&mut ledger, &own, tokens(1_000), at(0)).unwrap();
        let amount = hold.parts()[0].amount;
        ledger.settle(hold, used(0, really));
        amount
    };
    for really in 1..=19 {
        assert_eq!(held(really), 1_000);
    }
    assert_eq!(held(20), 1_000);
    // 19 of 20 did not exceed 19; then 20 of 21 did not exceed 20.
    assert_eq!(held(500), 19);
    assert_eq!(held(500), 20);
    for _ in 0..64 {
        held(7);
    }
    assert_eq!(held(7), 7);
    for _ in 0..64 {
        held(5_000);
    }
    assert_eq!(held(5_000), 1_000, "never more than is wanted");
}

#[test]
fn a_call_in_flight_is_one_however_many_there_were() {
    let mut own = [limit(Unit::InFlight, 2, MINUTE)];
    own[0].limit.enforcement = Enforcement::Expected;
    let mut ledger = Ledger::default();
    for _ in 0..30 {
        let hold = call(&mut ledger, &own, tokens(0), at(0)).unwrap();
        ledger.settle(hold, Used::default());
    }
    let _two = [0, 0].map(|now| call(&mut ledger, &own, tokens(0), at(now)).unwrap());
    assert!(call(&mut ledger, &own, tokens(0), at(0)).is_err());
}

#[test]
fn the_rates_are_those_with_the_least_left() {
    let wide = ScopedLimit { scope: Scope::Instance, ..limit(Unit::Requests, 100, MINUTE) };
    let limits = [wide, limit(Unit::Requests, 10, MINUTE), limit(Unit::Tokens, 50, DAY)];
    let mut ledger = Ledger::default();
    let hold = call(&mut ledger, &limits, tokens(20), at(0)).unwrap();
    let midnight = DAY.span(START).end.unwrap().since(START);
    let requests = Rate { amount: 10, left: 9, full_after: 60_000_000 };
    let tokens = Rate { amount: 50, left: 30, full_after: midnight };
    assert_eq!(hold.rates(), Rates { requests: Some(requests), tokens: Some(tokens) });
}

#[test]
fn forgetting_what_is_idle_loses_nothing() {
    let limits = [limit(Unit::Money, 10, DAY), limit(Unit::Tokens, 10, MINUTE)];
    let mut ledger = Ledger::default();
    let hold = call(&mut ledger, &limits, Want::call(Money::from_nanos(4), 4), at(0)).unwrap();
    ledger.forget_idle(at(70_000_000));
    assert_eq!(ledger.len(), 1, "a call is open");
    ledger.settle(hold, used(3, 3));
    ledger.forget_idle(at(60_000_000 - 1));
    assert_eq!(ledger.len(), 1, "tokens still count");
    ledger.forget_idle(at(60_000_000));
    assert!(ledger.is_empty());
    assert_eq!(ledger.balance(&limits[0], at(0)), None);
    assert_eq!(ledger.missing(&limits), limits);
    // A call that outlived the window of its tokens holds money still.
    let budget = &limits[..1];
    let hold = call(&mut ledger, budget, money(4), at(0)).unwrap();
    ledger.forget_idle(at(86_400_000_000));
    assert_eq!(ledger.len(), 1);
    ledger.release(hold);
    ledger.forget_idle(at(86_400_000_000));
    assert!(ledger.is_empty());
}

#[test]
fn the_largest_numbers_break_nothing() {
    let most = i64::MAX;
    for unit in [Unit::Money, Unit::Tokens, Unit::Requests, Unit::InFlight] {
        for window in [Window::Lifetime, DAY, MINUTE] {
            for enforcement in [Enforcement::Hard, Enforcement::Observe, Enforcement::Expected] {
                let mut own = limit(unit, most, window);
                own.limit.enforcement = enforcement;
                let want =
                    Want { money: Money::MAX, tokens: most, requests: most, in_flight: most };
                let mut ledger = Ledger::default();
                let first = call(&mut ledger, &[own], want, at(0)).unwrap();
                let second = call(&mut ledger, &[own], want, at(1));
                ledger.settle(first, used(most, most));
                if let Ok(second) = second {
                    ledger.settle(second, used(most, most));
                }
                let balance = ledger.balance(&own, at(2)).unwrap();
                let spent = if unit == Unit::InFlight { 0 } else { most };
                assert_eq!((balance.spent, balance.held), (spent, 0), "{own:?}");
                // Nothing is owed when it has left the window.
                if window == MINUTE && unit != Unit::InFlight {
                    assert_eq!(taken(&mut ledger, &own, at(120_000_000)), (0, 0), "{own:?}");
                }
                own.limit.amount = i64::MIN;
                let refused = call(&mut ledger, &[own], want, at(3)).is_err();
                assert_eq!(refused, enforcement != Enforcement::Observe);
                let end = Now { wall: Timestamp::from_micros(most), monotonic: u64::MAX };
                drop(call(&mut ledger, &[own], want, end));
            }
        }
    }
}

// ── the no to the caller ──

#[test]
fn a_refusal_says_what_whose_until_when_and_who_can_change_it() {
    use Unit::{InFlight, Money, Requests, Tokens};
    const DOLLARS: i64 = 1_000_000_000;
    let cases = [
        (limit(Money, 5 * DOLLARS, Window::Lifetime), "insufficient_quota Never None None"),
        (limit(Money, 2 * DOLLARS, DAY), "insufficient_quota Never None None"),
        (limit(Tokens, 5, MINUTE), "rate_limit_exceeded Later Some(60000) Some(\"tpm\")"),
        (limit(Tokens, 5, DAY), "rate_limit_exceeded Never Some(1800000) None"),
        (limit(Tokens, 2, MINUTE), "request_exceeds_limit Never None Some(\"tpm\")"),
        (limit(Tokens, 0, MINUTE), "rate_limit_exceeded Never None Some(\"tpm\")"),
        (limit(Requests, 1, MINUTE), "rate_limit_exceeded Later Some(60000) Some(\"rpm\")"),
        (limit(Requests, 1, DAY), "rate_limit_exceeded Never Some(1800000) None"),
        (limit(Requests, 0, MINUTE), "rate_limit_exceeded Never None Some(\"rpm\")"),
        (limit(InFlight, 1, MINUTE), "concurrency_limit_exceeded Later Some(1000) None"),
        (limit(InFlight, 0, DAY), "concurrency_limit_exceeded Never None None"),
    ];
    let sentences = [
        "You exceeded your current quota: this key may spend 5 USD, has 2 USD left, and this call may cost up to 3 USD. Calls in flight hold 3 USD.",
        "You exceeded your current quota: this key may spend 2 USD a day, has 2 USD left, and this call may cost up to 3 USD. It starts again at 2026-09-01T00:00:00Z.",
        "Rate limit reached: this key may use 5 tokens in any 60 seconds, has 2 left, and this call may use up to 3. Calls in flight hold 3 tokens.",
        "Rate limit reached: this key may use 5 tokens a day, has 2 left, and this call may use up to 3. Calls in flight hold 3 tokens. It starts again at 2026-09-01T00:00:00Z.",
        "This call may use up to 3 tokens, and this key may use no more than 2 tokens in any 60 seconds. A smaller max_tokens or a shorter prompt fits.",
        "Rate limit reached: this key may use 0 tokens in any 60 seconds, has 0 left, and this call may use up to 3.",
        "Rate limit reached: this key may make 1 request in any 60 seconds, and has made as many.",
        "Rate limit reached: this key may make 1 request a day, and has made as many. It starts again at 2026-09-01T00:00:00Z.",
        "Rate limit reached: this key may make 0 requests in any 60 seconds, and has made as many.",
        "This key may have 1 call at a time, and has as many.",
        "This key may have 0 calls at a time, and has as many.",
    ];
    for ((own, fields), sentence) in cases.into_iter().zip(sentences) {
        let mut ledger = Ledger::default();
        let want = Want::call(crate::Money::from_nanos(3 * DOLLARS), 3);
        let first = call(&mut ledger, &[own], want, at(0));
        let short = first.and_then(|_hold| call(&mut ledger, &[own], want, at(0))).unwrap_err();
        let Refusal { code, message, param, known, limit, retry_after_ms, retry } =
            short.refusal("this key");
        assert!(known.is_empty());
        assert_eq!(format!("{} {retry:?} {retry_after_ms:?} {param:?}", code.name()), fields);
        assert_eq!(message, format!("{sentence} Whoever administers it can raise the limit."));
        let LimitReached { scoped, spent, held, wanted, resets_at } = *limit.unwrap();
        assert_eq!((scoped, wanted), (own, short.wanted));
        assert_eq!((spent, held), (short.balance.spent, short.balance.held));
        assert_eq!(resets_at, short.balance.span.end);
    }
}

#[test]
fn what_is_left_is_never_less_than_nothing() {
    let (mut ledger, budget) = (Ledger::default(), [limit(Unit::Tokens, 10, MINUTE)]);
    let hold = call(&mut ledger, &budget, tokens(5), at(0)).unwrap();
    ledger.settle(hold, used(0, 70));
    let short = call(&mut ledger, &budget, tokens(1), at(1_500)).unwrap_err();
    let refusal = short.refusal("the team 'search'");
    assert!(
        refusal
            .message
            .contains("the team 'search' may use 10 tokens in any 60 seconds, has 0 left")
    );
    // Rounded up, so that whoever waits that long is admitted.
    assert_eq!((short.after, refusal.retry_after_ms), (Some(59_998_500), Some(59_999)));
}
