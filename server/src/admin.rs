//! The desk where everything is done that is no call to a model. Who acts is found out here, once;
//! each act is authorized, applied, written down and published in one place, whichever surface or
//! command line asked for it. How a surface words its JSON is not known here.

mod correction;
mod credentials;
mod effective;
mod explain;
mod idempotency;
mod keys;
mod listed;
mod owners;
mod prices;
mod providers;
mod supply;
mod trail;
mod usage;

use std::sync::Arc;

use domain::command::{Actor, RulesChange};
use domain::{Code, Entropy, Pattern, Refusal, Rules, Secret, Timestamp};
use store::{Act, By, NotChanged};

use crate::call::Call;
use crate::failure::Failure;
use crate::gate::Gate;
use crate::relay::Guard;
use crate::sessions::{Sessions, cookie_of, same_origin};
use crate::sources::Sources;

pub use correction::Truth;
pub use credentials::{Health, ListedCredential};
pub use effective::{Effective, Found, From, Layer, Standing};
pub use explain::{Explanation, Question, Verdict};
pub use idempotency::{Answering, Running};
pub use keys::{About, Chosen, Making, Rotating, look_of};
pub use owners::{OwnerKind, no_such};
pub use prices::{ListedAlias, ListedPrice, PriceQuery};
pub use providers::ListedProvider;
pub use supply::Said;
pub use usage::{Leaders, Leading};

/// The largest body that is read here.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// What every act needs.
pub struct Desk {
    pub gate: Arc<Gate>,
    pub entropy: Arc<dyn Entropy>,
    /// Signs the marks that lists hand out to go on from.
    pub list_secret: Secret,
    /// What the models in force are put together from.
    pub sources: Arc<Sources>,
    pub sessions: Arc<Sessions>,
    /// Whether others than this machine can reach us: then nobody logs in with the default password.
    pub is_exposed: bool,
    /// Held while a charge is corrected, so that no two corrections give back the same money.
    pub correcting: tokio::sync::Mutex<()>,
    /// Requests that may be sent again, while they are answered.
    pub running: Running,
}

impl Desk {
    /// Who is behind `call`, on a route guarded by `guard`.
    ///
    /// # Errors
    /// Nobody we know, or somebody who may not.
    pub async fn actor(&self, guard: Guard, call: &Call) -> Result<Actor, Failure> {
        if guard == Guard::Open {
            return Ok(Actor::Anybody);
        }
        let secret = call.secret()?;
        if secret.is_none()
            && matches!(guard, Guard::Manager | Guard::Master)
            && let Some(cookie) = cookie_of(&call.head.headers)
        {
            self.gate.bridge.catch_up().await;
            self.sessions.see(&cookie, call.at).await?;
            same_origin(call.method(), &call.head.headers, true)?;
            return Ok(Actor::Dashboard);
        }
        let is_master = secret.as_ref().is_some_and(|secret| self.gate.is_master(&secret.digest()));
        if is_master && matches!(guard, Guard::Manager | Guard::Master | Guard::Internal) {
            return Ok(Actor::Operator);
        }
        if guard == Guard::Internal && secret.is_some() {
            // Whatever it opens elsewhere: nothing here.
            Actor::Anybody.operates()?;
        }
        let caller = self.gate.identify(guard, call, call.at).await?;
        let id = caller.key().id;
        Ok(if guard == Guard::Manager { Actor::Manager(id) } else { Actor::Holder(id) })
    }

    fn check_changed_names(&self, change: &RulesChange) -> Result<(), Refusal> {
        let mut rules = Rules::default();
        change.clone().apply(&mut rules);
        self.check_names(&rules)
    }

    /// A rule that names nothing is a rule with a mistake in it: it is told when it is written.
    fn check_names(&self, rules: &Rules) -> Result<(), Refusal> {
        let known = self.gate.models.load();
        let models =
            [("allowed_models", &rules.allowed_models), ("denied_models", &rules.denied_models)];
        for (list, patterns) in models {
            let unknown = |name: &Pattern| !known.knows_model(name.as_str());
            refuse_first(list, "model", patterns, unknown)?;
        }
        let providers = [
            ("allowed_providers", &rules.allowed_providers),
            ("denied_providers", &rules.denied_providers),
        ];
        for (list, patterns) in providers {
            let unknown = |name: &Pattern| !known.knows_provider(name.as_str());
            refuse_first(list, "provider", patterns, unknown)?;
        }
        Ok(())
    }
}

fn refuse_first(
    list: &str,
    what: &str,
    patterns: &[Pattern],
    unknown: impl Fn(&Pattern) -> bool,
) -> Result<(), Refusal> {
    let Some(at) = patterns.iter().position(unknown) else { return Ok(()) };
    let name: String = patterns[at].as_str().chars().take(64).collect();
    let message = format!(
        "'{name}' is no {what} that is known or configured here. A pattern with * is taken as it is, and so is everything with \"force\": true."
    );
    Err(Refusal::new(Code::InvalidRule, message).about(format!("{list}[{at}]")))
}

fn act(actor: Actor, action: &'static str, subject: &impl ToString, at: Timestamp) -> Act {
    let once = idempotency::current();
    Act { at, actor: actor.name(), action, subject: subject.to_string(), once }
}

/// Who makes several acts of one request.
fn by(actor: Actor, at: Timestamp) -> By {
    By { actor: actor.name(), at, once: idempotency::current() }
}

/// Why nothing was changed; `missing` where there is nothing to change.
fn not_changed(no: NotChanged<Refusal>, missing: Refusal) -> Failure {
    match no {
        NotChanged::Refused(refusal) => refusal.into(),
        NotChanged::Fault(store::Fault::NotFound) => missing.into(),
        NotChanged::Fault(fault) => fault.into(),
    }
}
