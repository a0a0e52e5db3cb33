//! Doing an administrative act once, however often it is asked for under one `Idempotency-Key`: the
//! first answer is given again, byte for byte. It may show a secret, so it is stored sealed with a
//! key that is made of the asker's own secret: whoever has the database has nothing. What the act
//! is, is not known here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use domain::command::Actor;
use domain::refusal::Retry;
use domain::time::SECONDS_PER_DAY;
use domain::{Code, Refusal, Secret, Timestamp};
use futures_util::future::BoxFuture;
use hmac::{Hmac, Mac as _};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use parking_lot::Mutex;
use sha2::Sha256;
use store::{Earlier, FirstAnswer, Tag};

use super::{BODY_BYTES_MAX, Desk};
use crate::call::{Answer, Call, OutBody};
use crate::failure::{Envelope, Failure};
use crate::sessions::cookie_of;

tokio::task_local! {
    /// What is being done under a key: the audit row of the act remembers it.
    static ONCE: Tag;
}

/// The request that is being answered, where it may be sent again.
pub(super) fn current() -> Option<Tag> {
    ONCE.try_with(|once| *once).ok()
}

/// What answers a route.
pub type Answering = for<'a> fn(&'a Desk, Actor, Call) -> BoxFuture<'a, Result<Answer, Failure>>;

/// Requests that are being answered, each with a keyed hash of what it asks.
#[derive(Default)]
pub struct Running(Mutex<HashMap<Tag, Tag>>);

/// One of them, until it is dropped.
struct Claim<'a> {
    running: &'a Running,
    once: Tag,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.running.0.lock().remove(&self.once);
    }
}

impl Running {
    fn claim(&self, asked: &Asked) -> Result<Claim<'_>, Refusal> {
        let mut running = self.0.lock();
        match running.get(&asked.once) {
            Some(request) if *request != asked.request => Err(reused()),
            Some(_) => {
                let message =
                    "The first request with this Idempotency-Key is still being answered.";
                let mut refusal = Refusal::new(Code::IdempotencyInProgress, message);
                refusal.retry_after_ms = Some(1_000);
                Err(refusal)
            }
            None => {
                running.insert(asked.once, asked.request);
                Ok(Claim { running: self, once: asked.once })
            }
        }
    }
}

/// A request that may be sent again.
struct Asked {
    /// Who asks, and the name they gave the request.
    once: Tag,
    /// What they ask.
    request: Tag,
    /// What opens the answer.
    key: Tag,
}

impl Asked {
    async fn read(desk: &Desk, actor: Actor, call: &mut Call) -> Result<Option<Self>, Failure> {
        let writes = [Method::POST, Method::PATCH, Method::PUT, Method::DELETE];
        if !writes.contains(call.method()) {
            return Ok(None);
        }
        let secret = match call.secret()? {
            None if actor == Actor::Dashboard => cookie_of(&call.head.headers),
            secret => secret,
        };
        let (Some(name), Some(secret)) = (name(call)?, secret) else { return Ok(None) };
        let body = call.body(BODY_BYTES_MAX, desk.gate.wire.body_timeout).await?;
        let (method, uri) = (call.method().as_str(), &call.head.uri);
        let (path, query) = (uri.path().as_bytes(), uri.query().unwrap_or_default().as_bytes());
        let (actor, name) = (actor.name(), name.as_slice());
        let actor = actor.as_bytes();
        let parts: [&[u8]; 7] = [b"request", actor, name, method.as_bytes(), path, query, &body];
        let asked = Self {
            once: keyed(&secret, &[b"once", actor, name])?,
            request: keyed(&secret, &parts)?,
            key: keyed(&secret, &[b"answer", actor, name])?,
        };
        call.put_back(body);
        Ok(Some(asked))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.key.into())
    }

    fn seal(&self, plain: &[u8], nonce: [u8; NONCE_BYTES]) -> Result<FirstAnswer, Failure> {
        let payload = Payload { msg: plain, aad: &self.request };
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| Failure::internal("an answer could not be sealed"))?;
        Ok(FirstAnswer { request: self.request, sealed: [&nonce[..], &sealed].concat() })
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: &self.request };
        self.cipher().decrypt(&XNonce::from(*nonce), payload).ok()
    }
}

const NONCE_BYTES: usize = 24;

/// The name that the client gave the request.
fn name(call: &Call) -> Result<Option<Vec<u8>>, Refusal> {
    const BYTES_MAX: usize = 255;
    let mut sent = call.head.headers.get_all("idempotency-key").iter();
    let Some(name) = sent.next() else { return Ok(None) };
    let name = name.as_bytes();
    let sane = (1..=BYTES_MAX).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic);
    if sane && sent.next().is_none() {
        return Ok(Some(name.to_vec()));
    }
    let message = format!(
        "Idempotency-Key must be sent once, with 1 to {BYTES_MAX} visible ASCII characters."
    );
    Err(Refusal::new(Code::InvalidValue, message).about("idempotency-key"))
}

/// HMAC-SHA-256 of `parts`, each with its length before it.
fn keyed(secret: &Secret, parts: &[&[u8]]) -> Result<Tag, Failure> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .map_err(|error| Failure::internal(error.to_string()))?;
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    Ok(mac.finalize().into_bytes().into())
}

/// How long a first answer is given again.
fn since(now: Timestamp) -> Timestamp {
    now.plus_seconds(-SECONDS_PER_DAY)
}

impl Desk {
    /// Forgets first answers as they become too old, from hour to hour, for as long as it is let.
    pub async fn sweep(self: Arc<Self>) {
        const PAUSE: Duration = Duration::from_hours(1);
        loop {
            if let Err(fault) = self.gate.store.forget_answers(since(self.gate.clock.now())).await {
                tracing::warn!(%fault, "old answers could not be forgotten");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Has `answering` answer `call`, unless the same was asked before under the same
    /// `Idempotency-Key`: then the first answer is given again.
    ///
    /// # Errors
    /// As `answering` says; or the key is none, means something else, or is in use.
    pub async fn answer(
        &self,
        actor: Actor,
        mut call: Call,
        answering: Answering,
    ) -> Result<Answer, Failure> {
        let Some(asked) = Asked::read(self, actor, &mut call).await? else {
            return answering(self, actor, call).await;
        };
        let claim = self.running.claim(&asked)?;
        let since = since(call.at);
        match self.gate.store.earlier(asked.once, since).await? {
            Earlier::Nothing => {}
            Earlier::Answered(first) if first.request != asked.request => {
                return Err(reused().into());
            }
            Earlier::Answered(first) => {
                let plain = asked.open(&first.sealed).and_then(|plain| unpacked(&plain));
                let mut answer = plain.ok_or_else(|| Failure::internal("a damaged answer"))?;
                let replayed = HeaderValue::from_static("true");
                answer.headers_mut().insert("idempotent-replayed", replayed);
                return Ok(answer);
            }
            Earlier::Done { action, subject } => return Err(lost(&action, &subject).into()),
        }
        let (id, at) = (call.id, call.at);
        let answer = match ONCE.scope(asked.once, answering(self, actor, call)).await {
            // What is refused for good is refused again in the same words.
            Err(failure @ Failure::Refused(_)) if failure.retry() == Retry::Never => {
                Envelope::OpenAi.answer(&failure, id)
            }
            Err(failure) => return Err(failure),
            Ok(answer) => answer,
        };
        if let Some(plain) = packed(&answer) {
            let mut nonce = [0; NONCE_BYTES];
            self.entropy.fill(&mut nonce);
            let first = asked.seal(&plain, nonce)?;
            // It is done: who asks again is told that, at least.
            if let Err(fault) = self.gate.store.keep_answer(asked.once, at, first, since).await {
                tracing::warn!(request = %id, %fault, "the answer to an act could not be kept");
            }
        }
        drop(claim);
        Ok(answer)
    }
}

/// An answer in one piece: its status and headers in a line of JSON, then its body.
fn packed(answer: &Answer) -> Option<Vec<u8>> {
    let OutBody::Full(body) = answer.body() else { return None };
    let text = |value: &HeaderValue| value.to_str().map(str::to_owned).ok();
    let headers: Option<Vec<_>> = answer
        .headers()
        .iter()
        .map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)))
        .collect();
    let mut plain = serde_json::to_vec(&(answer.status().as_u16(), headers?)).ok()?;
    plain.push(b'\n');
    plain.extend_from_slice(body.as_deref().unwrap_or_default());
    Some(plain)
}

fn unpacked(plain: &[u8]) -> Option<Answer> {
    let end = plain.iter().position(|byte| *byte == b'\n')?;
    let (head, body) = plain.split_at_checked(end)?;
    let (status, headers): (u16, Vec<(String, String)>) = serde_json::from_slice(head).ok()?;
    let body = Bytes::copy_from_slice(body.get(1..)?);
    let mut answer = Response::new(OutBody::full(body));
    *answer.status_mut() = StatusCode::from_u16(status).ok()?;
    for (name, value) in headers {
        let value = HeaderValue::try_from(value).ok()?;
        answer.headers_mut().append(HeaderName::try_from(name).ok()?, value);
    }
    Some(answer)
}

fn reused() -> Refusal {
    let message = "This Idempotency-Key was sent with another request before. Use a new one.";
    Refusal::new(Code::IdempotencyKeyReused, message).about("idempotency-key")
}

fn lost(action: &str, subject: &str) -> Refusal {
    let message = format!(
        "This was done ({action} {subject}), but its answer was lost. Look at {subject}; to do it again, use a new Idempotency-Key."
    );
    Refusal::new(Code::IdempotencyAnswerLost, message).about("idempotency-key")
}
