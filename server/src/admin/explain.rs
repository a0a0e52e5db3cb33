//! What would become of a call, told before it is made: the same rules, ceiling and ledger as in
//! `gate`, and nothing held. How the answer is worded is not known here.

use std::net::IpAddr;
use std::sync::Arc;

use domain::command::Actor;
use domain::key::KeyKind;
use domain::ledger::{Fit, Now, Short};
use domain::rule::{self, Spoken};
use domain::{KeyId, Lineage, Money, Refusal, Timestamp, Want};
use store::NotReserved;

use super::{Desk, Effective};
use crate::ceiling::{Ceiling, Size};
use crate::failure::Failure;
use crate::fit::{self, Length};
use crate::models::{Models, Route};
use crate::relay::Relay;
use crate::wire;

/// A call that somebody thinks of making.
pub struct Question {
    /// The routes it could go by, the first that its model's provider has is taken.
    pub relays: Vec<Relay>,
    pub request: wire::Request,
    /// Whether the request holds the text itself, so that its tokens can be counted.
    pub has_text: bool,
    /// When it would be made; now, where nobody says.
    pub at: Option<Timestamp>,
    /// From where it would come, where that is told.
    pub address: Option<IpAddr>,
}

/// What would become of it.
pub struct Explanation {
    pub verdict: Verdict,
    /// What rules said about where it comes from.
    pub address: Vec<Spoken>,
    /// What rules said about each place it could go to.
    pub routes: Vec<(Arc<Route>, Vec<Spoken>)>,
    /// Everything that applies, as it stands now.
    pub effective: Effective,
    /// The most it could use; `None` where no limit has to know.
    pub want: Option<Want>,
}

/// Whether it would be made.
pub enum Verdict {
    /// It would.
    Allowed {
        /// The maximum of output tokens the provider would be told, where it is told one.
        output_tokens: Option<u64>,
        /// Whether that is less than was asked for, or than the model can give.
        clamped: bool,
    },
    /// It would not.
    Denied {
        /// What the caller would be told.
        refusal: Refusal,
        /// When it would be made, if nothing else happened until then; `None` where waiting does not
        /// help.
        succeeds_at: Option<Timestamp>,
    },
}

/// How many limits in a row may each make a call wait.
const WAITS_MAX: usize = 12;

impl Desk {
    /// What would become of a call of the key `id`.
    ///
    /// # Errors
    /// There is no such key that `actor` may know of, or the store cannot be read. That the call
    /// would be refused is no error.
    pub async fn explain(
        &self,
        actor: Actor,
        id: KeyId,
        question: Question,
        asked_at: Timestamp,
    ) -> Result<Explanation, Failure> {
        let key = Arc::new(self.key(actor, id).await?);
        let lineage = self.gate.store.look_up_lineage(key).await?;
        let effective = self.effective_on_key(actor, id, asked_at).await?;
        let at = question.at.unwrap_or(asked_at);
        let models = self.gate.models.load_full();
        let expand = |name: &str| models.alias(name);
        let address = question.address;
        let mut explanation = Explanation {
            verdict: Verdict::Allowed { output_tokens: None, clamped: false },
            address: address
                .map(|address| rule::explain_address(lineage.rules(), address))
                .unwrap_or_default(),
            routes: Vec::new(),
            effective,
            want: None,
        };
        let routes = explained_routes(&models, &question);
        if let Ok(routes) = &routes {
            let spoken = |route: &Arc<Route>| {
                rule::explain(lineage.rules(), Route::target(route, at), expand)
            };
            explanation.routes =
                routes.iter().map(|route| (Arc::clone(route), spoken(route))).collect();
        }
        let allowed = judge(&models, &lineage, &explanation.routes, routes.err(), (address, at));
        let verdict = match allowed {
            Err(refusal) => (Verdict::Denied { refusal, succeeds_at: None }, None),
            Ok(routes) => self.fitting(&lineage, &routes, &question, at).await?,
        };
        (explanation.verdict, explanation.want) = verdict;
        Ok(explanation)
    }

    /// Whether it fits, and if not, when it would.
    async fn fitting(
        &self,
        lineage: &Lineage,
        routes: &[Arc<Route>],
        question: &Question,
        at: Timestamp,
    ) -> Result<(Verdict, Option<Want>), Failure> {
        let limits = &lineage.limits(&self.gate.defaults);
        let request = &question.request;
        let Some(relay) = question.relays.first() else {
            return Err(super::keys::no_such_key().into());
        };
        let size = Size {
            ask: &request.ask,
            dialect: request.dialect(),
            metering: relay.metering,
            characters: request.characters,
            has_betas: false,
        };
        let ceiling = match Ceiling::of(routes, size, limits, at) {
            Ok(ceiling) => ceiling,
            Err(refusal) => {
                return Ok((Verdict::Denied { refusal, succeeds_at: None }, None));
            }
        };
        let floor = self.gate.floor_tokens.max(request.ask.output_floor);
        let length = Length { asked: request.ask.output_cap, floor };
        let text = question.has_text.then_some(request);
        let present = self.gate.moment();
        let mut when = at;
        let mut first: Option<Box<Short>> = None;
        for _ in 0..WAITS_MAX {
            let ahead = when.since(present.wall);
            let now = Now { wall: when, monotonic: present.monotonic.saturating_add(ahead) };
            let answer = match &ceiling {
                None => {
                    let want = Want::call(Money::ZERO, 0);
                    let room = self.gate.store.probe(limits, want, Fit::All, now).await;
                    room.map(|_| (None, None, false))
                }
                Some(ceiling) => {
                    let ceiling = ceiling.clone();
                    let fitted =
                        fit::probe(&self.gate.store, limits, ceiling, length, text, now).await;
                    fitted.map(|fitted| {
                        let clamped = fitted.clamped(length).is_some();
                        (Some(fitted.want()), fitted.cap(), clamped)
                    })
                }
            };
            let short = match answer {
                Ok((want, output_tokens, clamped)) => {
                    let verdict = match first {
                        None => Verdict::Allowed { output_tokens, clamped },
                        Some(short) => denied(lineage, &short, Some(when)),
                    };
                    return Ok((verdict, want));
                }
                Err(NotReserved::Short(short)) => short,
                Err(NotReserved::Fault(fault)) => return Err(fault.into()),
            };
            let Some(after) = short.after else {
                return Ok((denied(lineage, first.as_ref().unwrap_or(&short), None), None));
            };
            when = Timestamp::from_micros(
                when.micros().saturating_add(i64::try_from(after.max(1)).unwrap_or(i64::MAX)),
            );
            first = first.or(Some(short));
        }
        let verdict = match first {
            Some(short) => denied(lineage, &short, None),
            None => Verdict::Allowed { output_tokens: None, clamped: false },
        };
        Ok((verdict, None))
    }
}

fn explained_routes(models: &Models, question: &Question) -> Result<Vec<Arc<Route>>, Refusal> {
    let name = &question.request.ask.model;
    let mut first_no = None;
    for relay in &question.relays {
        match models.routes(*relay, name) {
            Ok(routes) => return Ok(routes),
            Err(no) => first_no = first_no.or(Some(no)),
        }
    }
    Err(first_no.unwrap_or_else(super::keys::no_such_key))
}

/// The routes that remain, as the gate would find them.
fn judge(
    models: &Models,
    lineage: &Lineage,
    routes: &[(Arc<Route>, Vec<Spoken>)],
    nowhere: Option<Refusal>,
    (address, at): (Option<IpAddr>, Timestamp),
) -> Result<Vec<Arc<Route>>, Refusal> {
    let caller = lineage.clone().identify_itself(KeyKind::Regular, at)?;
    if let Some(address) = address {
        rule::judge_address(caller.rules(), address)?;
    }
    if let Some(no) = nowhere {
        return Err(no);
    }
    let routes = routes.iter().map(|(route, _)| Arc::clone(route)).collect();
    let expand = |name: &str| models.alias(name);
    let permit = rule::admit(caller, routes, |route| Route::target(route, at), expand)?;
    Ok(permit.into_parts().1)
}

fn denied(lineage: &Lineage, short: &Short, succeeds_at: Option<Timestamp>) -> Verdict {
    let refusal = short.refusal(&fit::whose(lineage, short.scoped.scope));
    Verdict::Denied { refusal, succeeds_at }
}
