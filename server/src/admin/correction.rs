//! Giving back what an attempt was charged too much: where nobody could tell what it cost, the most
//! it could was charged, until somebody finds the truth in the provider's own records.

use domain::command::Actor;
use domain::{Code, Correction, Evidence, HoldId, Money, Refusal, Row, Timestamp};

use super::{Desk, act};
use crate::failure::Failure;

/// What an attempt truly used, as the provider's records tell it.
#[derive(Clone, Debug)]
pub struct Truth {
    /// What it cost.
    pub cost: Option<Money>,
    /// The tokens of its input and output.
    pub tokens: Option<i64>,
    /// Where that is written.
    pub evidence: String,
}

impl Desk {
    /// Corrects the charge of `attempt` down to what is true. Gives its row and all corrections to
    /// it. The same truth a second time changes nothing.
    ///
    /// # Errors
    /// The actor may not, there is no such attempt, its charge is no estimate, or the truth is more
    /// than what was charged.
    pub async fn reconcile(
        &self,
        actor: Actor,
        attempt: HoldId,
        truth: Truth,
        now: Timestamp,
    ) -> Result<(Row, Vec<Correction>), Failure> {
        actor.operates()?;
        let _alone = self.correcting.lock().await;
        let (row, before) = self.attempt(attempt).await?;
        let (money, tokens) = too_much(&row, &before, &truth)?;
        if money == Money::ZERO && tokens == 0 {
            return Ok((row, before));
        }
        let correction = Correction {
            attempt,
            key: row.key,
            money,
            tokens,
            evidence: truth.evidence.into(),
            actor: actor.name().into(),
            at: now,
        };
        self.gate.store.correct(correction, act(actor, "usage.reconcile", &attempt, now)).await?;
        self.attempt(attempt).await
    }

    async fn attempt(&self, id: HoldId) -> Result<(Row, Vec<Correction>), Failure> {
        self.gate.store.attempt(id).await?.ok_or_else(|| {
            Refusal::new(Code::NotFound, "There is no such call. Its id begins with att_.").into()
        })
    }
}

/// What is to be given back.
fn too_much(row: &Row, before: &[Correction], truth: &Truth) -> Result<(Money, i64), Refusal> {
    let conflict = |message: String| Refusal::new(Code::Conflict, message);
    if row.evidence != Evidence::Estimated {
        return Err(conflict(format!(
            "The charge of this call is no estimate (it is {}): there is nothing to correct.",
            row.evidence.name()
        )));
    }
    let charged = before
        .iter()
        .fold(row.cost.unwrap_or_default(), |left, one| left.saturating_sub(one.money));
    let counted = before.iter().fold(row.tokens, |left, one| left.saturating_sub(one.tokens));
    let money = charged.saturating_sub(truth.cost.unwrap_or(charged));
    if money < Money::ZERO {
        let message =
            format!("This call is charged {charged} USD now; a correction only ever gives back.");
        return Err(conflict(message).about("cost"));
    }
    let tokens = counted.saturating_sub(truth.tokens.unwrap_or(counted));
    if tokens < 0 {
        let message =
            format!("This call counts as {counted} tokens now; a correction only ever gives back.");
        return Err(conflict(message).about("tokens"));
    }
    Ok((money, tokens))
}
