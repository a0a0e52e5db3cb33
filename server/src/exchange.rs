//! One call's exchange with a provider: send along its credentials, tell the provider's failures
//! from ours and from the caller's, and hand the answer on. It runs to its end even when the client
//! has gone, because the provider bills it all the same.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use domain::Ending;
use domain::refusal::Code;
use http::{HeaderValue, Response, StatusCode, header};
use tokio_util::task::TaskTracker;

use crate::call::{Answer, Call, OutBody};
use crate::failure::{Envelope, Failure, Fault};
use crate::gate::Gate;
use crate::meter::Meter;
use crate::models::Credential;
use crate::rates;
use crate::relay::{Metering, Relay};
use crate::reservation::Reservation;
use crate::upstream::headers::for_client;
use crate::upstream::{Body, Kept, Outgoing, SendFault, Upstream};
use crate::wire::{self, Dialect, Observed, StreamReader};

/// Sends the call and answers with what comes back.
///
/// # Errors
/// The provider could not be reached, refused our credential, was too slow, or broke its promise.
pub async fn run(
    gate: &Arc<Gate>,
    upstream: &Arc<Upstream>,
    relay: Relay,
    call: Call,
    request: wire::Request,
    reservation: Reservation,
) -> Result<Answer, Failure> {
    let exchange = Exchange { upstream: Arc::clone(upstream), relay, reservation };
    let tasks = gate.tasks.clone();
    let longest = gate.wire.first_byte_timeout;
    Outlive { work: Some(Box::pin(exchange.run(call, request))), tasks, longest }.await
}

struct Exchange {
    upstream: Arc<Upstream>,
    relay: Relay,
    reservation: Reservation,
}

impl Exchange {
    async fn run(mut self, call: Call, request: wire::Request) -> Result<Answer, Failure> {
        let answer = self.send(&call, &request).await?;
        let (head, body) = answer.into_parts();
        let status = head.status;
        if is_packed(&head.headers) {
            self.reservation.close(&Observed::default(), Ending::ProviderBroke);
            return Err(not_as_promised("it is packed, though it was asked not to be"));
        }
        let mut headers = for_client(&head.headers);
        tell(&mut headers, &self.reservation);
        if !status.is_success() {
            return self.provider_said_no(status, &head.headers, headers, body).await;
        }
        let streamed = is_event_stream(&head.headers);
        if self.relay.metering == Metering::Usage && !streamed && answers_json(self.relay.dialect) {
            return self.whole(status, headers, body).await;
        }
        let strip_usage = self.reservation.route().provider.injects_usage(&request);
        let reader = streamed.then(|| StreamReader::new(self.relay.dialect, strip_usage));
        let envelope = Envelope::of(call.head.uri.path());
        let meter = Meter::new(body, reader, self.reservation, envelope);
        Ok(answer_of(status, headers, OutBody::Metered(Box::new(meter))))
    }

    /// An answer that is read to its end before it is passed on: checked, priced and settled.
    async fn whole(
        self,
        status: StatusCode,
        headers: http::HeaderMap,
        body: Body,
    ) -> Result<Answer, Failure> {
        let wire = self.reservation.gate().wire;
        let whole = match body.collect(wire.answer_bytes_max, wire.silence_timeout).await {
            Ok(whole) => whole,
            Err(fault) => {
                self.reservation.close(&Observed::default(), ending_of(&fault));
                return Err(broke(fault));
            }
        };
        let observed = wire::read_answer(self.relay.dialect, &whole);
        if observed.invalid {
            self.reservation.close(&observed, Ending::ProviderBroke);
            return Err(not_as_promised("its answer is not JSON"));
        }
        let closed = self.reservation.close(&observed, Ending::Complete);
        let mut answer = answer_of(status, headers, OutBody::full(whole));
        let cost = closed.cost.and_then(|cost| HeaderValue::from_str(&cost.to_string()).ok());
        if let Some(value) = cost {
            answer.headers_mut().insert("x-weir-cost-usd", value);
        }
        Ok(answer)
    }

    /// Tries the provider's credentials in turn, each at most once, until one is not refused.
    async fn send(
        &mut self,
        call: &Call,
        request: &wire::Request,
    ) -> Result<Response<Body>, Failure> {
        let route = Arc::clone(self.reservation.route());
        let provider = &route.provider;
        let bound =
            Kept { cap: self.reservation.cap(), to_plain_tier: self.reservation.holds_money() };
        let outgoing = Outgoing::new(call, self.relay, &route, request, bound);
        let monotonic = self.reservation.gate().clock.monotonic_micros();
        let credentials = provider.credentials(monotonic);
        if credentials.is_empty() {
            return Err(credentials_rejected(&provider.name, "it has no credential".into()));
        }
        let mut last: Option<Response<Body>> = None;
        for credential in &credentials {
            if last.take().is_some() {
                self.reservation.pass_on()?;
            }
            self.reservation.begin(&credential.name).await?;
            let sent = self.upstream.send(provider, credential, &outgoing).await;
            let answer = match sent {
                Ok(answer) => answer,
                Err(SendFault::Unreachable(error)) => {
                    // Not a byte was sent: another credential would not be luckier.
                    return Err(self.unreachable(error));
                }
                Err(fault) => {
                    self.close_quietly(&fault);
                    return Err(broke(fault));
                }
            };
            self.reservation.answered(answer.status().as_u16());
            match answer.status().as_u16() {
                401 => sideline(credential, answer.status(), monotonic),
                // What the provider denies to one request it may give to the next.
                402 | 403 | 429 => {}
                _ => return Ok(answer),
            }
            last = Some(answer);
        }
        last.ok_or_else(|| credentials_rejected(&provider.name, "it has no credential".into()))
    }

    fn unreachable(&mut self, error: Box<dyn Error + Send + Sync>) -> Failure {
        let name = Arc::clone(&self.reservation.route().provider.name);
        self.reservation.unsent();
        Failure::Broke(Fault {
            code: Code::UpstreamFailed,
            public: format!("The provider '{name}' could not be reached."),
            private: error,
            retry_after: None,
        })
    }

    fn close_quietly(&mut self, fault: &SendFault) {
        self.reservation.end(&Observed::default(), ending_of(fault));
    }

    /// A provider's error: its rate limit and its failures become ours to tell; what it found wrong
    /// with the request is passed on as it wrote it.
    async fn provider_said_no(
        self,
        status: StatusCode,
        original: &http::HeaderMap,
        mut headers: http::HeaderMap,
        body: Body,
    ) -> Result<Answer, Failure> {
        const ERROR_BYTES_MAX: usize = 1 << 20;
        let name = Arc::clone(&self.reservation.route().provider.name);
        let silence = self.reservation.gate().wire.silence_timeout;
        let text = body.collect(ERROR_BYTES_MAX, silence).await;
        self.reservation.close(&Observed::default(), Ending::ProviderError);
        let text = text.map_err(broke)?;
        let private = || summary(status, &text).into();
        let failure = |code, public: String| {
            let retry_after = original.get(header::RETRY_AFTER).cloned();
            Err(Failure::Broke(Fault { code, public, private: private(), retry_after }))
        };
        match status.as_u16() {
            401..=403 => Err(credentials_rejected(&name, private())),
            // Gemini and xAI say so with a 400.
            400 if names_a_wrong_credential(&text) => Err(credentials_rejected(&name, private())),
            429 => failure(
                Code::UpstreamRateLimited,
                format!(
                    "The provider '{name}' limits the rate of calls with this gateway's credential. It is not your key's limit."
                ),
            ),
            400..=499 => {
                headers.insert("x-weir-error-from", HeaderValue::from_static("provider"));
                Ok(answer_of(status, headers, OutBody::full(text)))
            }
            _ => failure(
                Code::UpstreamFailed,
                format!("The provider '{name}' failed with status {}.", status.as_u16()),
            ),
        }
    }
}

/// Tells the client what its limits made of the call.
fn tell(headers: &mut http::HeaderMap, reservation: &Reservation) {
    rates::tell(headers, reservation.rates());
    if let Some(most) = reservation.clamped() {
        headers.insert("x-weir-max-tokens-clamped", HeaderValue::from(most));
    }
}

fn answer_of(status: StatusCode, headers: http::HeaderMap, body: OutBody) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

/// Whether a whole answer is JSON, which is waited for, checked and priced before it is passed on.
fn answers_json(dialect: Dialect) -> bool {
    match dialect {
        Dialect::Speech | Dialect::Raw => false,
        Dialect::Chat
        | Dialect::Completions
        | Dialect::Embeddings
        | Dialect::Responses
        | Dialect::Moderations
        | Dialect::Images
        | Dialect::ImageEdits
        | Dialect::Transcriptions
        | Dialect::Messages
        | Dialect::CountTokens
        | Dialect::Json => true,
    }
}

fn is_packed(headers: &http::HeaderMap) -> bool {
    let encoding = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    !matches!(encoding, None | Some(b"" | b"identity"))
}

fn is_event_stream(headers: &http::HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.len() >= 17 && kind[..17].eq_ignore_ascii_case(b"text/event-stream")
}

fn sideline(credential: &Credential, status: StatusCode, monotonic: u64) {
    tracing::warn!(credential = %credential.name, %status, "a provider refused our credential; it rests for a minute");
    credential.rest_until(monotonic.saturating_add(60_000_000));
}

fn ending_of(fault: &SendFault) -> Ending {
    match fault {
        SendFault::TimedOut => Ending::TimedOut,
        SendFault::Broke(_) | SendFault::TooLarge | SendFault::Unreachable(_) => {
            Ending::ProviderBroke
        }
    }
}

/// What a client is told when the provider's side broke.
pub fn broke(fault: SendFault) -> Failure {
    let (code, public, private): (_, _, Box<dyn Error + Send + Sync>) = match fault {
        SendFault::TimedOut => {
            (Code::UpstreamTimeout, "The provider did not answer in time.", "timed out".into())
        }
        SendFault::Broke(error) => {
            (Code::UpstreamFailed, "The provider's answer broke off.", error)
        }
        SendFault::Unreachable(error) => {
            (Code::UpstreamFailed, "The provider could not be reached.", error)
        }
        SendFault::TooLarge => {
            return not_as_promised("its answer is larger than this gateway takes");
        }
    };
    Failure::Broke(Fault { code, public: public.to_owned(), private, retry_after: None })
}

fn not_as_promised(why: &str) -> Failure {
    Failure::Broke(Fault {
        code: Code::UpstreamInvalidResponse,
        public: format!("The provider's answer is not what its API promises: {why}."),
        private: why.to_owned().into(),
        retry_after: None,
    })
}

fn names_a_wrong_credential(text: &[u8]) -> bool {
    let says = ["API_KEY_INVALID", "API key not valid", "Incorrect API key"];
    says.iter().any(|phrase| memchr::memmem::find(text, phrase.as_bytes()).is_some())
}

fn credentials_rejected(provider: &str, private: Box<dyn Error + Send + Sync>) -> Failure {
    Failure::Broke(Fault {
        code: Code::UpstreamCredentialRejected,
        public: format!(
            "The provider '{provider}' denied this call to the gateway's credential. Your key is fine; whoever operates this gateway has to look at the credential, or at what its account may use."
        ),
        private,
        retry_after: None,
    })
}

/// A provider's error for the log: what kind it is. Its sentence may repeat the prompt, or part of a
/// secret, and is not written down.
fn summary(status: StatusCode, text: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
    let word = |name: &str| match &body["error"][name] {
        serde_json::Value::String(word) if word.len() <= 64 => word.clone(),
        serde_json::Value::Number(number) => number.to_string(),
        _ => "none".to_owned(),
    };
    let (kind, code) = (word("type"), word("code"));
    format!("the provider answered {status}, type {kind}, code {code}, {} bytes", text.len())
}

/// Runs `work` to its end even when nobody waits for it any more.
struct Outlive<F: Future + Send + 'static> {
    work: Option<Pin<Box<F>>>,
    tasks: TaskTracker,
    /// How long it may still take once nobody waits.
    longest: Duration,
}

impl<F: Future + Send + 'static> Future for Outlive<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(work) = self.work.as_mut() else { return Poll::Pending };
        let done = work.as_mut().poll(cx);
        if done.is_ready() {
            self.work = None;
        }
        done
    }
}

impl<F: Future + Send + 'static> Drop for Outlive<F> {
    fn drop(&mut self) {
        // Outside of a runtime the process is ending, and dropping the work closes its reservation.
        if let (Some(work), Ok(runtime)) = (self.work.take(), tokio::runtime::Handle::try_current())
        {
            let work = tokio::time::timeout(self.longest, work);
            self.tasks.spawn_on(async move { drop(work.await) }, &runtime);
        }
    }
}
