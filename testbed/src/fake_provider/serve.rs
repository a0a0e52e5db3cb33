//! From a request to the answer being played: control paths, credentials, routing, and the memory
//! of answers that keeps the benchmark from measuring the fake.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Method, Request, Response};
use serde_json::json;

use super::ask::Ask;
use super::envelope::{Dialect, Refusal};
use super::log::{Entry, Log};
use super::playback::{Plan, Playback, finish_alone};
use super::reply::Reply;
use super::shelf::Shelf;
use super::{Accepted, anthropic, fingerprint, openai, script};

/// What all threads of a provider share.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Where requests are recorded, if anywhere.
    pub log: Option<Arc<Log>>,
    /// What callers have stored.
    pub shelf: Arc<Shelf>,
    /// The secrets that are accepted.
    pub secrets: Arc<[Accepted]>,
}

type Body = Either<Playback, Full<Bytes>>;
type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// The provider as one thread serves it.
#[derive(Debug, Clone)]
pub struct Thread {
    provider: Provider,
    memory: Arc<Memory>,
}

/// The service of one thread.
pub fn service(provider: Provider) -> Thread {
    Thread { provider, memory: Arc::new(Memory::default()) }
}

impl Service<Request<Incoming>> for Thread {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let thread = self.clone();
        Box::pin(async move { Ok(thread.answer(request).await) })
    }
}

impl Thread {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        match head.uri.path() {
            "/__log" => return self.read_log(&head),
            "/__reset" => return self.reset(),
            _ => {}
        }
        let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
            return control(400, json!({"error": "the request body broke off"}).to_string());
        };
        // Without a log nothing depends on a request but its bytes: the same again is played
        // again. Nothing that is stored by id can be among it.
        let question = self.question(&head, &body);
        if let Some(plan) = question.as_ref().and_then(|question| self.memory.recall(question)) {
            return play(plan, Entry::silent()).await;
        }
        let ask = match Ask::read(head, body) {
            Ok(ask) => ask,
            Err(error) => {
                let error = json!({"error": {"message": error, "type": "fake_script_error"}});
                return control(400, error.to_string());
            }
        };
        let credential = self.credential(&ask);
        let entry = self.provider.log.as_ref().map_or_else(Entry::silent, |log| {
            log.begin(ask.record(credential.as_deref().unwrap_or("refused")))
        });
        let reply = credential.and_then(|_| match ask.dialect {
            Dialect::OpenAi => openai::answer(&ask, &self.provider.shelf),
            Dialect::Anthropic => anthropic::answer(&ask),
        });
        let well = reply.is_ok();
        let reply = reply.unwrap_or_else(|refusal| Reply::refusal(&refusal, ask.dialect));
        let plan = Arc::new(reply.plan(&ask.script, ask.dialect, ask.prompt_tokens()));
        if let Some(question) = question.filter(|_| well) {
            self.memory.keep(question, Arc::clone(&plan));
        }
        play(plan, entry).await
    }

    /// What identifies a request whose answer may be remembered.
    fn question(&self, head: &Parts, body: &Bytes) -> Option<Question> {
        let stateless = matches!(
            head.uri.path(),
            "/v1/chat/completions" | "/v1/messages" | "/v1/completions" | "/v1/embeddings"
        );
        let plain = self.provider.log.is_none()
            && self.provider.secrets.is_empty()
            && head.method == Method::POST
            && stateless
            && body.len() < 16 * 1024
            && !head.headers.contains_key(script::HEADER);
        let credential = ["authorization", "x-api-key", "api-key"];
        (plain && credential.iter().any(|name| head.headers.contains_key(*name))).then(|| {
            let versioned = head.headers.contains_key("anthropic-version");
            Question { path: head.uri.path().to_owned(), versioned, body: body.clone() }
        })
    }

    /// The label of the credential a request came with, or the refusal of it.
    fn credential(&self, ask: &Ask) -> Result<String, Refusal> {
        let Some((_, secret)) = ask.credential() else {
            return Err(Refusal::new(
                401,
                match ask.dialect {
                    Dialect::OpenAi => {
                        "You didn't provide an API key. You need to provide your API key in an \
                         Authorization header using Bearer auth (i.e. Authorization: Bearer \
                         YOUR_KEY)."
                    }
                    Dialect::Anthropic => "x-api-key header is required",
                },
            ));
        };
        let accepted = &self.provider.secrets;
        match accepted.iter().find(|accepted| accepted.secret == secret) {
            Some(accepted) => Ok(accepted.label.clone()),
            None if accepted.is_empty() => Ok(fingerprint(secret)),
            None => Err(match ask.dialect {
                Dialect::OpenAi => Refusal::new(
                    401,
                    "Incorrect API key provided: sk-fa***. You can find your API key at \
                     https://platform.openai.com/account/api-keys.",
                )
                .code("invalid_api_key"),
                Dialect::Anthropic => Refusal::new(401, "invalid x-api-key"),
            }),
        }
    }

    fn read_log(&self, head: &Parts) -> Response<Body> {
        let after = head.uri.query().unwrap_or_default();
        let after = after.split('&').find_map(|pair| pair.strip_prefix("after=")?.parse().ok());
        let lines = self.provider.log.as_ref().map(|log| log.after(after.unwrap_or(0)));
        control(200, lines.unwrap_or_else(|| "[]".to_owned()))
    }

    fn reset(&self) -> Response<Body> {
        self.provider.shelf.clear();
        let done = self.provider.log.as_ref().map_or(Ok(()), |log| log.reset());
        match done {
            Ok(()) => control(200, "{}".to_owned()),
            Err(error) => control(500, json!({"error": error.to_string()}).to_string()),
        }
    }
}

/// Answers by plan: after its delay, with its head, playing its parts.
async fn play(plan: Arc<Plan>, mut entry: Entry) -> Response<Body> {
    entry.outcome.prompt_tokens = plan.prompt_tokens;
    let mut before = BeforeHead { plan: Arc::clone(&plan), entry: Some(entry) };
    if !plan.delay.is_zero() {
        tokio::time::sleep(plan.delay).await;
    }
    if plan.never_answer {
        std::future::pending::<()>().await;
    }
    let mut response = Response::builder().status(plan.status);
    if let Some(headers) = response.headers_mut() {
        for (name, value) in &plan.headers {
            // A script may ask for a header that HTTP has no way to say; then it is left out.
            if let (Ok(name), Ok(value)) =
                (name.parse::<HeaderName>(), HeaderValue::from_str(value))
            {
                headers.append(name, value);
            }
        }
        if let Some(length) = plan.content_length {
            headers.entry(http::header::CONTENT_LENGTH).or_insert(length.into());
        }
    }
    let entry = before.entry.take().unwrap_or_else(Entry::silent);
    response
        .body(Either::Left(Playback::new(plan, entry)))
        .unwrap_or_else(|_| control(500, json!({"error": "no such status"}).to_string()))
}

/// Stands for a request that has been read and not yet answered: if the client goes away now, the
/// answer may still have to be generated.
struct BeforeHead {
    plan: Arc<Plan>,
    entry: Option<Entry>,
}

impl Drop for BeforeHead {
    fn drop(&mut self) {
        let Some(entry) = self.entry.take() else { return };
        if !self.plan.finish_after_disconnect || self.plan.never_answer {
            return; // the entry records that the client has gone
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(finish_alone(Arc::clone(&self.plan), entry, 0));
        }
    }
}

fn control(status: u16, body: String) -> Response<Body> {
    let mut response = Response::new(Either::Right(Full::new(Bytes::from(body))));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

/// What a remembered answer was an answer to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    path: String,
    versioned: bool,
    body: Bytes,
}

/// A few answers by their question: each thread has its own.
#[derive(Debug, Default)]
struct Memory {
    plans: Mutex<HashMap<Question, Arc<Plan>>>,
}

impl Memory {
    fn recall(&self, question: &Question) -> Option<Arc<Plan>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).get(question).cloned()
    }

    fn keep(&self, question: Question, plan: Arc<Plan>) {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() < 64 {
            plans.insert(question, plan);
        }
    }
}
