//! How much of a call fits under its limits: what is held is the most it can use, and where that is
//! too much, its answers' maximum is lowered to what there is room for. What bounds a call is
//! `ceiling`'s to compute; whether it fits, the ledger's to say.

use domain::ledger::{Fit, Now, Room, Short};
use domain::{HoldId, Lineage, Money, Scope, ScopedLimit, Unit, Want};
use store::{Held, NotReserved, Store};

use crate::ceiling::Ceiling;
use crate::tokenizer::Vocabulary;
use crate::wire;

/// How long answers may be, where nobody knows the longest: more than any model gives.
const LONGEST: u64 = 1 << 32;

/// How often it is tried again when others took meanwhile what was left.
const TRIES: usize = 8;

/// Beyond this, counting a body's tokens takes longer than it is worth.
const COUNTED_BYTES_MAX: u64 = 2 << 20;

/// How long each of a call's answers is to be, in tokens.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// The maximum the client set.
    pub asked: Option<u64>,
    /// A maximum is not lowered below this.
    pub floor: u64,
}

/// A maximum for each answer, and how it is to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Tokens of output.
    pub output: u64,
    /// Into all of what is left, or half of it.
    pub fit: Fit,
}

/// As much of a call as fits.
pub struct Fitted<T> {
    /// What the ledger gave for it.
    pub found: T,
    /// What it was computed with: the routes left in it are those that fit.
    pub ceiling: Ceiling,
    /// The maximum of each answer.
    pub output: u64,
}

impl<T> Fitted<T> {
    /// What is held.
    pub fn want(&self) -> Want {
        self.ceiling.want(self.output).unwrap_or_default()
    }

    /// The maximum that the provider is told, where it is told one.
    pub fn cap(&self) -> Option<u64> {
        self.ceiling.cap(self.output)
    }

    /// The same, where the client set a larger one, or none and the model can give more.
    pub fn clamped(&self, length: Length) -> Option<u64> {
        let larger = length.asked.or_else(|| self.ceiling.longest());
        self.cap().filter(|cap| larger.is_none_or(|larger| *cap < larger))
    }
}

impl Choice {
    /// What is tried first: all that the client asked for, or else all that the model can give, as
    /// long as it leaves room for others.
    pub fn first(ceiling: &Ceiling, length: Length) -> Self {
        let longest = ceiling.longest();
        let is_set = length.asked.is_some() || longest == Some(0);
        let fit = if is_set { Fit::All } else { Fit::Half };
        Self { output: longest.unwrap_or(LONGEST), fit }
    }

    /// The least that is worth a call.
    pub fn least(ceiling: &Ceiling, length: Length) -> Self {
        let most = Self::first(ceiling, length).output;
        Self { output: length.floor.min(most), fit: Fit::All }
    }

    /// The most that fits where `room` is left; `None` where not even the least does.
    pub fn within(ceiling: &Ceiling, length: Length, room: Room) -> Option<Self> {
        let (first, least) = (Self::first(ceiling, length), Self::least(ceiling, length));
        let fits =
            |output, fit| ceiling.want(output).is_some_and(|want| is_within(&want, room, fit));
        let largest = largest(least.output, first.output, |output| fits(output, first.fit));
        match largest {
            Some(output) => Some(Self { output, fit: first.fit }),
            None => fits(least.output, least.fit).then_some(least),
        }
    }
}

/// Holds as much of the call as fits on every one of `limits`, or nothing.
///
/// # Errors
/// Not even the least of it fits, or the ledger could not be asked.
pub async fn reserve(
    store: &Store,
    (id, limits): (HoldId, &[ScopedLimit]),
    ceiling: Ceiling,
    length: Length,
    request: &wire::Request,
    now: Now,
) -> Result<Fitted<Held>, NotReserved> {
    search(&Holding { store, id, limits, now }, ceiling, length, Some(request)).await
}

/// What [`reserve`] would find, and what would be left beside it, without holding anything. Without
/// the request, its text is not counted.
///
/// # Errors
/// As `reserve` has them.
pub async fn probe(
    store: &Store,
    limits: &[ScopedLimit],
    ceiling: Ceiling,
    length: Length,
    request: Option<&wire::Request>,
    now: Now,
) -> Result<Fitted<Room>, NotReserved> {
    search(&Looking { store, limits, now }, ceiling, length, request).await
}

/// The ledger's answer to what a call wants of it.
trait Ledger {
    type Found;

    fn ask(
        &self,
        want: Want,
        fit: Fit,
    ) -> impl Future<Output = Result<Self::Found, NotReserved>> + Send;
}

/// Holds what is asked for.
struct Holding<'a> {
    store: &'a Store,
    id: HoldId,
    limits: &'a [ScopedLimit],
    now: Now,
}

impl Ledger for Holding<'_> {
    type Found = Held;

    async fn ask(&self, want: Want, fit: Fit) -> Result<Held, NotReserved> {
        self.store.reserve(self.id, self.limits, want, fit, self.now).await
    }
}

/// Tells what would be left.
struct Looking<'a> {
    store: &'a Store,
    limits: &'a [ScopedLimit],
    now: Now,
}

impl Ledger for Looking<'_> {
    type Found = Room;

    async fn ask(&self, want: Want, fit: Fit) -> Result<Room, NotReserved> {
        self.store.probe(self.limits, want, fit, self.now).await
    }
}

/// Asks for all of a call first, then for as much of it as the ledger says there is room for.
async fn search<L: Ledger>(
    ledger: &L,
    mut ceiling: Ceiling,
    length: Length,
    request: Option<&wire::Request>,
) -> Result<Fitted<L::Found>, NotReserved> {
    let mut choice = Choice::first(&ceiling, length);
    let mut uncounted = request;
    for _ in 0..TRIES {
        let short = match ledger.ask(want(&ceiling, choice), choice.fit).await {
            Ok(found) => return Ok(Fitted { found, ceiling, output: choice.output }),
            Err(NotReserved::Short(short)) => short,
            Err(fault @ NotReserved::Fault(_)) => return Err(fault),
        };
        if !matches!(short.scoped.limit.unit, Unit::Money | Unit::Tokens) {
            return Err(NotReserved::Short(short));
        }
        if is_worth_counting(&ceiling, length, &short)
            && let Some(request) = uncounted.take()
        {
            count(&mut ceiling, request).await;
        }
        let next = Choice::within(&ceiling, length, short.room).or_else(|| {
            let least = Choice::least(&ceiling, length).output;
            ceiling.keep(least, |want| is_within(want, short.room, Fit::All));
            Choice::within(&ceiling, length, short.room)
        });
        match next {
            Some(next) => choice = next,
            None => break,
        }
    }
    // What is said of a call that does not fit is about the least of it that would be of use.
    let least = Choice::least(&ceiling, length);
    let found = ledger.ask(want(&ceiling, least), least.fit).await?;
    Ok(Fitted { found, ceiling, output: least.output })
}

/// Who a limit's scope is, in a refusal's sentence.
pub fn whose(lineage: &Lineage, scope: Scope) -> String {
    let named = |kind: &str, owner: Option<&std::sync::Arc<domain::Owner>>| {
        let name: String =
            owner.map(|owner| owner.name.chars().take(24).collect()).unwrap_or_default();
        format!("the {kind} '{name}'")
    };
    match scope {
        Scope::Instance => "this gateway".to_owned(),
        Scope::Project(_) => named("project", Some(&lineage.project)),
        Scope::Team(_) => named("team", lineage.team.as_ref()),
        Scope::User(_) => named("user", lineage.user.as_ref()),
        Scope::Key(_) => "this key".to_owned(),
    }
}

fn want(ceiling: &Ceiling, choice: Choice) -> Want {
    let too_much = Want::call(Money::from_nanos(i64::MAX), i64::MAX);
    ceiling.want(choice.output).unwrap_or(too_much)
}

/// Whether `want` fits, by the ledger's own rule: even a call that uses nothing needs something left.
fn is_within(want: &Want, room: Room, fit: Fit) -> bool {
    let given = |left: i64| if fit == Fit::Half { left.div_euclid(2) } else { left };
    room.money.is_none_or(|left| want.money.nanos().max(1) <= given(left.nanos()))
        && room.tokens.is_none_or(|left| want.tokens.max(1) <= given(left))
}

/// The largest of `least..=most` that `fits`, where everything below one that fits does too.
fn largest(least: u64, most: u64, fits: impl Fn(u64) -> bool) -> Option<u64> {
    if fits(most) {
        return Some(most);
    }
    let (mut good, mut bad) = (least, most);
    if least >= most || !fits(least) {
        return None;
    }
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if fits(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Some(good)
}

/// Where nothing is left, no count of tokens helps, unless it tells a call that is too large for
/// ever from one that has to wait.
fn is_worth_counting(ceiling: &Ceiling, length: Length, short: &Short) -> bool {
    let least = want(ceiling, Choice::least(ceiling, length));
    let is_empty = short.room.money.is_some_and(|left| left <= Money::ZERO)
        || short.room.tokens.is_some_and(|left| left <= 0);
    !is_empty || least.of(short.scoped.limit.unit) > short.scoped.limit.amount
}

/// Bounds the input by its tokens, where the vocabulary of a route's model is public.
async fn count(ceiling: &mut Ceiling, request: &wire::Request) {
    if request.ask.body_bytes > COUNTED_BYTES_MAX {
        return;
    }
    for vocabulary in [Vocabulary::O200k, Vocabulary::Cl100k] {
        let is_its = |route: &crate::models::Route| Vocabulary::of(route) == Some(vocabulary);
        if !ceiling.routes().iter().any(|route| is_its(route)) {
            continue;
        }
        let request = request.clone();
        // Off the thread that serves: a long text takes a while, and so does the first one.
        let counted = tokio::task::spawn_blocking(move || {
            request.tokens_at_most(|text| vocabulary.count(text))
        });
        if let Ok(tokens) = counted.await {
            ceiling.tighten(|route| is_its(route).then_some(tokens));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_that_fits_is_found() {
        for (least, most, limit, found) in [
            (256, 16_384, 20_000, Some(16_384)),
            (256, 16_384, 1_000, Some(1_000)),
            (256, 16_384, 256, Some(256)),
            (256, 16_384, 255, None),
            (7, 7, 7, Some(7)),
            (7, 7, 6, None),
            (0, 0, 0, Some(0)),
            (256, LONGEST, 300, Some(300)),
        ] {
            assert_eq!(largest(least, most, |output| output <= limit), found, "{most} {limit}");
        }
    }
}
