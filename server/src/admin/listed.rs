//! Keys that have a line in the operator's file, made and ended by command, and the password that
//! stands in it. The file is written before anything is answered.

use domain::command::{Actor, NewKey, Place};
use domain::key::{Key, SecretRecord};
use domain::secret::Kind;
use domain::{Code, Digest, KeyId, Refusal, Secret, Timestamp};
use std::net::IpAddr;

use super::keys::no_such_key;
use super::{Desk, act};
use crate::bridge::Mistake;
use crate::failure::Failure;
use crate::sessions::{DEFAULT, Password, is_hash};

impl Desk {
    /// Makes a key with a line in the operator's file. The secret is in the answer and nowhere else.
    ///
    /// # Errors
    /// The actor may not, the key makes no sense, or the file cannot be written: then there is no key.
    pub async fn create_listed(
        &self,
        actor: Actor,
        new: NewKey,
        (place, force): (Place, bool),
        now: Timestamp,
    ) -> Result<(Key, Secret), Failure> {
        actor.operates()?;
        let Self { gate, .. } = self;
        gate.bridge.catch_up().await;
        self.is_sound()?;
        if !force {
            self.check_names(&new.rules)?;
        }
        let home = self.home(None, place).await?;
        let secret = Kind::Plain.mint(&*self.entropy);
        let record = SecretRecord::new(&secret, now);
        let (id, limit) = (gate.ids.key(now), gate.ids.limit(now));
        let mut key = NewKey { home, ..new }.make(actor, id, limit, record, now)?;
        key.listed = true;
        self.insert(key.clone(), act(actor, "key.create", &id, now)).await?;
        if let Err(no) = gate.bridge.write().await {
            // Nobody has seen the secret; what is not in the file is not to work.
            gate.bridge.give_up(id, now).await?;
            return Err(no.into());
        }
        Ok((key, secret))
    }

    /// The key that `named` means: the name of a listed key that no other has, an id, a secret, or
    /// the digest of one as the file has it.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub async fn named(&self, actor: Actor, named: &str) -> Result<Key, Failure> {
        actor.operates()?;
        self.gate.bridge.catch_up().await;
        if let Some(key) = self.with_name(named).await? {
            return Ok(key);
        }
        if let Ok(id) = named.parse::<KeyId>() {
            return self.key(actor, id).await;
        }
        let stored = named.strip_prefix("sha256:").and_then(Digest::from_hex);
        let digest = stored.unwrap_or_else(|| Digest::of(named.as_bytes()));
        if let Some(key) = self.gate.store.look_up(digest).await? {
            return self.key(actor, key.id).await;
        }
        Err(no_such_key().into())
    }

    /// The listed key of this name; what a line of the file is called goes before what it may look
    /// like.
    async fn with_name(&self, name: &str) -> Result<Option<Key>, Failure> {
        let mut same = self.gate.store.listed_keys().await?;
        same.retain(|key| key.name == name);
        let found = same.pop();
        if same.is_empty() {
            return Ok(found);
        }
        let message = "Several keys have this name: send the id of the one you mean.";
        Err(Refusal::new(Code::Conflict, message).about("name").into())
    }

    /// Whether `given` opens the dashboard: the password, or the master key.
    ///
    /// # Errors
    /// It does not, or there were too many wrong ones.
    pub async fn log_in(
        &self,
        given: Secret,
        from: IpAddr,
        now: Timestamp,
    ) -> Result<Secret, Failure> {
        self.sessions.attempts.begin(from, now)?;
        if !self.is_password(given).await {
            return Err(Refusal::new(Code::WrongPassword, "This is not the password.").into());
        }
        self.sessions.attempts.forgive(from);
        Ok(self.sessions.begin(now).await?)
    }

    async fn is_password(&self, given: Secret) -> bool {
        if self.gate.is_master(&given.digest()) {
            return true;
        }
        self.gate.bridge.catch_up().await;
        let password = self.gate.bridge.force().password.clone();
        if matches!(password, Password::Default) && self.is_exposed {
            return false;
        }
        self.sessions.verify(&password, given).await
    }

    /// Another password. Everybody is logged out but whoever has `cookie`.
    ///
    /// # Errors
    /// `current` is not the password, the new one is none, or the file cannot be written.
    pub async fn change_password(
        &self,
        actor: Actor,
        (current, new): (Option<Secret>, Secret),
        (cookie, from): (Option<Secret>, IpAddr),
        now: Timestamp,
    ) -> Result<(), Failure> {
        actor.operates()?;
        check_password(&new)?;
        // The master key needs no other proof.
        if actor != Actor::Operator {
            let missing = || Refusal::new(Code::MissingParameter, "'current' is missing.");
            let current = current.ok_or_else(|| missing().about("current"))?;
            self.sessions.attempts.begin(from, now)?;
            if !self.is_password(current).await {
                let no = Refusal::new(Code::WrongPassword, "This is not the current password.");
                return Err(no.about("current").into());
            }
            self.sessions.attempts.forgive(from);
        }
        self.is_sound()?;
        let hash = self.sessions.hash(new).await;
        let hash = hash.ok_or_else(|| Failure::internal("the password could not be hashed"))?;
        self.gate.bridge.write_password(hash).await?;
        self.sessions.end_all(cookie.as_ref()).await?;
        let act = act(actor, "password.change", &"password", now);
        Ok(self.gate.store.note(act).await?)
    }

    /// The operator's file can be written.
    fn is_sound(&self) -> Result<(), Failure> {
        let mistake: Option<(Mistake, _)> = self.gate.bridge.force().status.mistake.clone();
        match mistake {
            None => Ok(()),
            Some((mistake, _)) => Err(crate::bridge::NotSame::Mistake(mistake).into()),
        }
    }
}

fn check_password(new: &Secret) -> Result<(), Refusal> {
    const LEAST: usize = 8;
    const MOST: usize = 1_000;
    let text = new.expose();
    let no = |message: String| Err(Refusal::new(Code::InvalidValue, message).about("new"));
    if text == DEFAULT || !(LEAST..=MOST).contains(&text.chars().count()) {
        return no(format!("'new' must be a password of {LEAST} to {MOST} characters."));
    }
    if is_hash(text) != Some(false) || text.chars().any(char::is_control) {
        return no("'new' must be a password, not a hash, without control characters.".to_owned());
    }
    Ok(())
}
