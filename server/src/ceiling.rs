//! The most a call can cost and use, computed before it is made: what is held under limits on money
//! and tokens. What has no bound is refused here. How much of it fits is `fit`'s to find; what the
//! call did cost, `reservation`'s to say.

use std::sync::Arc;

use domain::ask::Ask;
use domain::refusal::{Code, Refusal};
use domain::{
    Bounds, Class, Mode, Model, Money, Rates, ScopedLimit, Timestamp, Unit, Want, pricing,
};

use crate::models::Route;
use crate::relay::Metering;
use crate::wire::Dialect;

/// What limits have to know of a call before it is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// A limit on money may refuse it.
    pub money: bool,
    /// A limit on tokens may refuse it.
    pub tokens: bool,
    /// Some limit counts money or tokens, and refuses nothing.
    pub observed: bool,
}

impl Needs {
    /// What `limits` have to know.
    pub fn of(limits: &[ScopedLimit]) -> Self {
        let mut needs = Self::default();
        for ScopedLimit { limit, .. } in limits {
            match (limit.unit, limit.refuses()) {
                (Unit::Money, true) => needs.money = true,
                (Unit::Tokens, true) => needs.tokens = true,
                (Unit::Money | Unit::Tokens, false) => needs.observed = true,
                (Unit::Requests | Unit::InFlight, _) => {}
            }
        }
        needs
    }

    /// Whether a call must have a bound.
    pub fn bound(self) -> bool {
        self.money || self.tokens
    }
}

/// What bounds a call, whatever it asks for.
#[derive(Clone, Copy, Debug)]
pub struct Size<'a> {
    pub ask: &'a Ask,
    pub dialect: Dialect,
    pub metering: Metering,
    /// Characters of text to be spoken.
    pub characters: u64,
    /// A request with beta features may have a longer context and longer answers than the catalogue
    /// knows: only its bytes and its own maximum bound it.
    pub has_betas: bool,
}

/// The most a call can cost and use on each route it may take, by how long its answers may be.
#[derive(Clone, Debug)]
pub struct Ceiling {
    tops: Vec<Top>,
    answers: u64,
    needs: Needs,
    when: Timestamp,
}

/// The same on one route.
#[derive(Clone, Debug)]
struct Top {
    route: Arc<Route>,
    input: u64,
    /// The longest that one answer can be; `None` where nobody knows.
    longest: Option<u64>,
    /// Whether the provider knows that bound itself, so that it need not be told.
    is_natural: bool,
    /// Whether all of the input is text in the body.
    is_text: bool,
    /// What is billed by the piece and not by tokens.
    pieces: Option<(Class, u64)>,
    is_free: bool,
    /// The service tier it is kept to, where one can be asked for.
    tier: Option<&'static str>,
}

impl Ceiling {
    /// The ceiling of a call at `when`; `None` where it costs and uses nothing that `limits` count.
    ///
    /// # Errors
    /// A limit may refuse it, and on no route is there a bound: the first route's reason.
    pub fn of(
        routes: &[Arc<Route>],
        size: Size<'_>,
        limits: &[ScopedLimit],
        when: Timestamp,
    ) -> Result<Option<Self>, Refusal> {
        let needs = Needs::of(limits);
        let is_owed = |route: &Arc<Route>| !is_free(route, when);
        let costs_nothing = !needs.tokens && !routes.iter().any(is_owed);
        if needs == Needs::default() || size.metering == Metering::Free || costs_nothing {
            return Ok(None);
        }
        let mut tops = Vec::with_capacity(routes.len());
        let mut first_no = None;
        for route in routes {
            match Top::of(route, size, needs, when) {
                Ok(top) => tops.push(top),
                Err(no) => first_no = first_no.or(Some(no)),
            }
        }
        match first_no {
            // What is only counted and told needs no bound.
            Some(_) if tops.is_empty() && !needs.bound() => Ok(None),
            Some(no) if tops.is_empty() => Err(no),
            _ => Ok(Some(Self { tops, answers: size.ask.answers, needs, when })),
        }
    }

    /// What limits have to know.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// The routes that have a bound; never empty.
    pub fn routes(&self) -> Vec<Arc<Route>> {
        self.tops.iter().map(|top| Arc::clone(&top.route)).collect()
    }

    /// The longest that one answer can be on any route; `None` where nobody knows.
    pub fn longest(&self) -> Option<u64> {
        self.tops.iter().map(|top| top.longest).try_fold(0, |most, one| Some(most.max(one?)))
    }

    /// The most the call can cost and use with answers of at most `output` tokens each; `None` where
    /// it cannot be computed.
    pub fn want(&self, output: u64) -> Option<Want> {
        let mut want = Want::call(Money::ZERO, 0);
        for top in &self.tops {
            let one = self.want_on(top, output)?;
            want.money = want.money.max(one.money);
            want.tokens = want.tokens.max(one.tokens);
        }
        Some(want)
    }

    fn want_on(&self, top: &Top, output: u64) -> Option<Want> {
        let money = match top.money(output, self.answers, self.when) {
            Some(money) => money,
            None if self.needs.money => return None,
            None => Money::ZERO,
        };
        Some(Want::call(money, top.tokens(output, self.answers)))
    }

    /// Holds the input to a closer bound, where `count` knows how many tokens the text of a body is
    /// for the model of a route. Gives whether anything became less.
    pub fn tighten(&mut self, count: impl Fn(&Route) -> Option<u64>) -> bool {
        let mut less = false;
        for top in self.tops.iter_mut().filter(|top| top.is_text) {
            if let Some(tokens) = count(&top.route).filter(|tokens| *tokens < top.input) {
                (top.input, less) = (tokens, true);
            }
        }
        less
    }

    /// Leaves the routes away on which not even answers of `output` tokens pass `fits`, where there
    /// is another.
    pub fn keep(&mut self, output: u64, fits: impl Fn(&Want) -> bool) {
        let passes = |top: &Top| self.want_on(top, output).is_some_and(|want| fits(&want));
        let passing: Vec<bool> = self.tops.iter().map(passes).collect();
        if passing.contains(&true) {
            let mut passing = passing.into_iter();
            self.tops.retain(|_| passing.next().unwrap_or(true));
        }
    }

    /// The maximum to be sent on the first route, where answers of `output` tokens were held.
    pub fn cap(&self, output: u64) -> Option<u64> {
        let top = self.tops.first().filter(|top| top.longest != Some(0) && top.pieces.is_none())?;
        let bound = top.longest.unwrap_or(u64::MAX);
        (output < bound || !top.is_natural).then_some(output.min(bound))
    }
}

impl Top {
    fn of(
        route: &Arc<Route>,
        size: Size<'_>,
        needs: Needs,
        when: Timestamp,
    ) -> Result<Self, Refusal> {
        let is_free = is_free(route, when);
        let unpriced = needs.money && route.priced.is_none();
        let top = match size.dialect {
            Dialect::Chat
            | Dialect::Completions
            | Dialect::Embeddings
            | Dialect::Responses
            | Dialect::Messages => {
                if let Some(path) = size.ask.unbounded.filter(|_| needs.tokens || !is_free) {
                    return Err(dear_feature(path));
                }
                if unpriced {
                    return Err(no_price());
                }
                Self::of_tokens(route, size, needs, when)?
            }
            Dialect::Speech | Dialect::Images | Dialect::ImageEdits => {
                if unpriced {
                    return Err(no_price());
                }
                Self::of_pieces(route, size, when)?
            }
            Dialect::Moderations
            | Dialect::Transcriptions
            | Dialect::CountTokens
            | Dialect::Json
            | Dialect::Raw => return Err(known_after()),
        };
        let top = Self { is_free, ..top };
        let output = top.longest.unwrap_or(1);
        if needs.money && top.money(output, size.ask.answers, when).is_none() {
            return Err(unbounded("what it may cost cannot be computed in advance"));
        }
        Ok(top)
    }

    fn of_tokens(
        route: &Arc<Route>,
        size: Size<'_>,
        needs: Needs,
        when: Timestamp,
    ) -> Result<Self, Refusal> {
        let Size { ask, dialect, has_betas, .. } = size;
        let model = route.priced.as_deref();
        let is_free = is_free(route, when);
        let window = model.and_then(|model| model.context_tokens);
        let name = model.map_or(&*route.model, |model| &model.name);
        if !is_free && searches(name) {
            return Err(unbounded("this model searches by itself, at a price of its own"));
        }
        let is_text = !ask.input_elsewhere && !ask.media;
        if !is_text && !is_free && model.is_some_and(|model| is_priced_by_time(model, when)) {
            return Err(unbounded("its audio is priced by time, which nobody knows in advance"));
        }
        if !is_text && !is_free && has_betas {
            return Err(unbounded(
                "its input is not all text in the body, and beta features may lengthen the context",
            ));
        }
        if !is_text && !is_free && dialect == Dialect::Embeddings {
            return Err(unbounded("its inputs are not all text in the body"));
        }
        let written = ask.body_bytes.saturating_add(unwritten(dialect, route));
        let input = match (is_text, window) {
            // Each of several inputs has a window of its own; bytes bound them all together.
            (true, Some(window)) if dialect != Dialect::Embeddings && !has_betas => {
                written.min(window.saturating_mul(ask.answers))
            }
            (true, _) => written,
            (false, Some(window)) => window.saturating_mul(ask.answers),
            (false, None) => {
                return Err(unbounded(
                    "its input is not in the body, and the model's context window is unknown",
                ));
            }
        };
        let published = published(route, size);
        let longest = match (ask.output_cap, published.or(window.filter(|_| !has_betas))) {
            _ if dialect == Dialect::Embeddings => Some(0),
            (Some(cap), Some(most)) => Some(cap.min(most)),
            (Some(cap), None) => Some(cap),
            (None, Some(most)) => Some(most),
            (None, None) if needs.money && !is_free => {
                return Err(unbounded(
                    "it sets no maximum of output tokens (max_tokens), and the model's own is unknown",
                ));
            }
            (None, None) => None,
        };
        // No answer is longer than the window, and a provider that was told of so many would refuse.
        let fills_the_window = |most: u64| window.is_some_and(|window| most >= window);
        let is_natural = ask.output_cap.is_none() && published.is_none_or(fills_the_window);
        // In any service tier, for the provider's account may have another than the plain one, unless
        // the plain one is asked for.
        let tier = route.provider.pins_tier(dialect).then_some("default");
        let route = Arc::clone(route);
        Ok(Self { route, input, longest, is_natural, is_text, pieces: None, is_free, tier })
    }

    /// Pictures and speech that are billed by the picture and by the character, and by nothing else.
    fn of_pieces(route: &Arc<Route>, size: Size<'_>, when: Timestamp) -> Result<Self, Refusal> {
        let (class, units) = match size.dialect {
            Dialect::Speech => (Class::Characters, size.characters),
            _ => (Class::Images, size.ask.answers),
        };
        let model = route.priced.as_deref().ok_or_else(known_after)?;
        let is_free = model.prices.is_free(when);
        let by_piece = |rates: &Rates| {
            rates.price(class).is_some()
                && !Class::ALL.iter().any(|other| *other != class && rates.price(*other).is_some())
        };
        let mut rates = model.prices.offers(when).map(|offer| &offer.rates).peekable();
        if !is_free && (rates.peek().is_none() || !rates.all(by_piece)) {
            return Err(known_after());
        }
        if let Some(path) = size.ask.unbounded.filter(|_| !is_free) {
            return Err(dear_feature(path));
        }
        Ok(Self {
            route: Arc::clone(route),
            input: 0,
            longest: Some(0),
            is_natural: true,
            is_text: false,
            pieces: Some((class, units)),
            is_free,
            tier: None,
        })
    }

    fn money(&self, output: u64, answers: u64, when: Timestamp) -> Option<Money> {
        if self.is_free {
            return Some(Money::ZERO);
        }
        let bounds = if let Some((class, units)) = self.pieces {
            Bounds::new(0, 0).at_most(class, units)
        } else {
            let output = self.output(output).saturating_mul(answers);
            Bounds::new(self.input, output).at_most(Class::ToolCalls, 0)
        };
        let bounds = self.tier.map_or(bounds, |tier| bounds.in_tier(tier));
        pricing::ceiling(&self.route.priced.as_ref()?.prices, when, &bounds)
    }

    fn tokens(&self, output: u64, answers: u64) -> i64 {
        if self.pieces.is_some() {
            return 0;
        }
        let output = self.output(output).saturating_mul(answers);
        i64::try_from(self.input.saturating_add(output)).unwrap_or(i64::MAX)
    }

    fn output(&self, output: u64) -> u64 {
        self.longest.map_or(output, |longest| output.min(longest))
    }
}

/// The longest answer by its maker's word, or what a request without a maximum gets.
fn published(route: &Route, size: Size<'_>) -> Option<u64> {
    // OpenAI's legacy completions are short where nobody asks for more; they are not made longer.
    const COMPLETION: u64 = 16;
    let is_short = size.dialect == Dialect::Completions && size.ask.output_cap.is_none();
    if is_short && route.provider.has_models_of("openai") {
        return Some(COMPLETION);
    }
    let model = route.priced.as_deref().filter(|_| !size.has_betas);
    model.and_then(|model| model.max_output_tokens)
}

/// Whether some call on this route could pass under a money limit: what `GET models` shows to a key
/// that has one.
pub fn is_bounded(route: &Route, now: Timestamp) -> bool {
    let Some(model) = &route.priced else { return false };
    let by_class = |class| model.prices.offers(now).any(|offer| offer.rates.price(class).is_some());
    let is_unbounded = match model.mode {
        Mode::Image => !by_class(Class::Images),
        Mode::Speech => !by_class(Class::Characters),
        Mode::Transcription | Mode::Realtime => true,
        Mode::Chat
        | Mode::Completion
        | Mode::Responses
        | Mode::Embedding
        | Mode::Moderation
        | Mode::Rerank
        | Mode::Other => searches(&model.name),
    };
    !is_unbounded || is_free(route, now)
}

/// Input tokens that a provider adds to what the client wrote. Anthropic puts prompts of its own
/// before the tools of a request, of some 500 tokens for most:
/// <https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview#pricing>. OpenAI adds a
/// few to each message, fewer than the bytes around it; the templates of open models add more.
fn unwritten(dialect: Dialect, route: &Route) -> u64 {
    match dialect {
        Dialect::Messages => 1_000,
        Dialect::Chat | Dialect::Responses if !route.provider.has_models_of("openai") => 256,
        _ => 0,
    }
}

/// Models whose every call may search the web, billed by the search.
fn searches(name: &str) -> bool {
    ["search", "sonar", "deep-research"].iter().any(|word| name.contains(word))
}

fn is_priced_by_time(model: &Model, now: Timestamp) -> bool {
    model.prices.offers(now).any(|offer| offer.rates.audio_millis.is_some())
}

fn is_free(route: &Route, now: Timestamp) -> bool {
    route.priced.as_ref().is_some_and(|model| model.prices.is_free(now))
}

fn no_price() -> Refusal {
    Refusal::new(
        Code::ModelUnpriced,
        "This model has no known price, and a limit on money applies. Whoever operates this gateway can price the model, or declare it free.",
    )
    .about("model")
}

fn dear_feature(path: &str) -> Refusal {
    unbounded("it uses a feature whose cost nothing bounds").about(path)
}

fn known_after() -> Refusal {
    unbounded("what such a call uses is known only after it")
}

fn unbounded(why: &str) -> Refusal {
    Refusal::new(
        Code::Unmeterable,
        format!("A limit on money or tokens applies, and this call was refused because {why}."),
    )
}
