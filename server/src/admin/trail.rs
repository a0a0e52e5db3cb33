//! Who did what: the audit trail, for the operator.

use domain::command::Actor;
use store::{AuditQuery, AuditRow};

use super::Desk;
use crate::failure::Failure;

impl Desk {
    /// A page of administrative acts, newest first.
    ///
    /// # Errors
    /// The actor may not know.
    pub async fn trail(&self, actor: Actor, query: AuditQuery) -> Result<Vec<AuditRow>, Failure> {
        actor.operates()?;
        Ok(self.gate.store.audit(query).await?)
    }
}
