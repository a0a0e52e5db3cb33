//! Credentials: our secrets for providers, added and changed by the operator. A secret is sealed here
//! as soon as it comes, and only a call opens it.

use domain::command::{Actor, CredentialChange, SupplyChange};
use domain::supply::{CredentialRecord, Stamp};
use domain::{Code, CredentialId, Refusal, Secret, Supply, Timestamp};

use super::supply::Said;
use super::{Desk, no_such};
use crate::failure::Failure;
use crate::models::{Credential, Models};
use crate::providers::ProviderSettings;
use crate::vault::Vault;

/// A credential without its secret.
pub struct ListedCredential {
    pub id: String,
    pub provider: String,
    pub label: Option<String>,
    pub hint: String,
    pub from: Said,
    pub health: Health,
    pub stamp: Option<Stamp>,
}

/// Whether a credential is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Active,
    /// Its provider refused it: not before this moment, unless all others rest too.
    Resting(Timestamp),
    Disabled,
    /// It was sealed with a key that is not here.
    Unreadable,
}

impl Desk {
    /// Adds a credential. Its secret is in no answer.
    ///
    /// # Errors
    /// The actor may not, there is no such provider, or no header can carry the secret.
    pub async fn add_credential(
        &self,
        actor: Actor,
        provider: &str,
        (label, secret): (Option<String>, Secret),
        now: Timestamp,
    ) -> Result<ListedCredential, Failure> {
        // There must be one, before a key is made to seal its secrets with.
        self.provider(actor, provider).await?;
        let id = self.gate.ids.credential(now);
        let (sealed, hint) = self.seal(id, &secret).await?;
        let provider = provider.to_owned();
        let stamp = Stamp::default();
        let credential =
            CredentialRecord { id, provider, label, hint, disabled: false, sealed, stamp };
        self.change_supply(actor, SupplyChange::AddCredential(credential), now).await?;
        self.credential(id).await
    }

    /// Changes a credential.
    ///
    /// # Errors
    /// The actor may not, there is none, or no header can carry the new secret.
    pub async fn update_credential(
        &self,
        actor: Actor,
        id: CredentialId,
        mut change: CredentialChange,
        secret: Option<Secret>,
        now: Timestamp,
    ) -> Result<ListedCredential, Failure> {
        actor.operates()?;
        self.credential(id).await?;
        if let Some(secret) = secret {
            change.secret = Some(self.seal(id, &secret).await?);
        }
        self.change_supply(actor, SupplyChange::ChangeCredential(id, change), now).await?;
        self.credential(id).await
    }

    /// Takes a credential away.
    ///
    /// # Errors
    /// The actor may not, or there is none.
    pub async fn remove_credential(
        &self,
        actor: Actor,
        id: CredentialId,
        now: Timestamp,
    ) -> Result<(), Failure> {
        self.change_supply(actor, SupplyChange::RemoveCredential(id), now).await
    }

    /// Seals a secret, with a key that is made where there is none yet; and the end of it.
    async fn seal(&self, id: CredentialId, secret: &Secret) -> Result<(Vec<u8>, String), Failure> {
        const BYTES_MAX: usize = 8_192;
        let text = secret.expose();
        if !(1..=BYTES_MAX).contains(&text.len())
            || !text.bytes().all(|byte| byte.is_ascii_graphic())
        {
            let message = "A provider's secret is 1 to 8192 visible ASCII characters.";
            return Err(Refusal::new(Code::InvalidValue, message).about("secret").into());
        }
        let _alone = self.sources.changing.lock().await;
        if self.sources.vault.lock().is_empty() {
            let key = Vault::make_key(&*self.entropy);
            let kept = Secret::new(key.expose().to_owned());
            self.gate.store.keep_credential_key(kept).await?;
            self.sources.vault.lock().add(&key).map_err(|_| Failure::internal("no key"))?;
        }
        let sealed = self.sources.vault.lock().seal(id, secret, &*self.entropy);
        let sealed = sealed.ok_or_else(|| Failure::internal("a secret could not be sealed"))?;
        Ok((sealed, secret.mask().hint().to_owned()))
    }

    async fn credential(&self, id: CredentialId) -> Result<ListedCredential, Failure> {
        let supply = self.gate.store.supply().await?;
        let found = supply.credential(id).ok_or_else(|| no_such("credential"))?;
        Ok(self.listed(found, &self.gate.models.load()))
    }

    pub(super) fn credentials_of(
        &self,
        supply: &Supply,
        models: &Models,
        provider: &ProviderSettings,
    ) -> Vec<ListedCredential> {
        let own = provider.credentials.iter().map(|credential| {
            let used = models.provider(&provider.name).and_then(|p| p.credential(&credential.name));
            ListedCredential {
                id: credential.name.clone(),
                provider: provider.name.clone(),
                label: None,
                hint: credential.secret.mask().hint().to_owned(),
                from: Said::Settings,
                health: used.map_or(Health::Active, |used| self.health(used)),
                stamp: None,
            }
        });
        let added = supply.credentials().filter(|one| one.provider == provider.name);
        own.chain(added.map(|credential| self.listed(credential, models))).collect()
    }

    fn listed(&self, credential: &CredentialRecord, models: &Models) -> ListedCredential {
        let id = credential.id.to_string();
        let used = models.provider(&credential.provider).and_then(|p| p.credential(&id));
        let health = if credential.disabled {
            Health::Disabled
        } else if self.sources.vault.lock().open(credential).is_none() {
            Health::Unreadable
        } else {
            used.map_or(Health::Active, |used| self.health(used))
        };
        ListedCredential {
            id,
            provider: credential.provider.clone(),
            label: credential.label.clone(),
            hint: credential.hint.clone(),
            from: Said::Store,
            health,
            stamp: Some(credential.stamp),
        }
    }

    fn health(&self, credential: &Credential) -> Health {
        let now = self.gate.moment();
        credential.rests_for(now.monotonic).map_or(Health::Active, |micros| {
            let micros = i64::try_from(micros).unwrap_or(i64::MAX);
            Health::Resting(Timestamp::from_micros(now.wall.micros().saturating_add(micros)))
        })
    }
}
