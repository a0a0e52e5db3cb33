//! How bytes reach a provider and come back: connections, timeouts, headers. Not here: which
//! provider, with whose money, and what the answer means.

pub mod demo;
pub mod headers;
mod resolver;

use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::call::Call;
use crate::config::WireLimits;
use crate::models::{Credential, Provider, Route};
use crate::pieces::Pieces;
use crate::providers::Speaks;
use crate::relay::Relay;
use crate::wire;
use resolver::Guarded;

/// The connections of one data-plane thread to all providers.
pub struct Upstream {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// To providers that were added over the admin API.
    guarded: Client<HttpsConnector<HttpConnector<Guarded>>, Full<Bytes>>,
    demo: demo::Demo,
    limits: WireLimits,
}

/// Every call to Anthropic names a version of its API; for a client that names none, the first
/// stable one: <https://docs.anthropic.com/en/api/versioning>.
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// Why no (whole) answer came.
#[derive(Debug)]
pub enum SendFault {
    /// Not a byte of the request left.
    Unreachable(Box<dyn Error + Send + Sync>),
    /// The connection broke while the provider had the request.
    Broke(Box<dyn Error + Send + Sync>),
    /// Nothing came for too long.
    TimedOut,
    /// More came than we take.
    TooLarge,
}

/// A request as the provider is to get it, but for the credential.
pub struct Outgoing {
    method: Method,
    /// Below the provider's base URL, with the query.
    path: String,
    headers: HeaderMap,
    body: Bytes,
    model: Arc<str>,
}

/// What a call is kept to, because limits hold no more.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kept {
    /// The maximum of each answer, sent under the name that the provider knows.
    pub cap: Option<u64>,
    /// The plain service tier, where one can be asked for.
    pub to_plain_tier: bool,
}

impl Outgoing {
    /// The client's request with what must be changed: the model's name, usage asked for, and what
    /// it is `kept` to.
    pub fn new(
        call: &Call,
        relay: Relay,
        route: &Arc<Route>,
        request: &wire::Request,
        kept: Kept,
    ) -> Self {
        let uri = &call.head.uri;
        let path = uri.path().strip_prefix("/api").unwrap_or(uri.path());
        let path = match route.provider.speaks {
            // An OpenAI-compatible base URL ends in its own version.
            Speaks::OpenAi | Speaks::Demo => path.strip_prefix("/v1").unwrap_or(path),
            Speaks::Anthropic => path,
        };
        let path = match uri.query() {
            Some(query)
                if relay.dialect == wire::Dialect::Json || relay.dialect == wire::Dialect::Raw =>
            {
                format!("{path}?{query}")
            }
            _ => path.to_owned(),
        };
        let body = request.upstream_body(&wire::Rewrite {
            model: (*route.model != *request.ask.model).then_some(&*route.model),
            inject_usage: route.provider.injects_usage(request),
            output_cap: kept.cap,
            pin_tier: kept.to_plain_tier && route.provider.pins_tier(relay.dialect),
            cap_name: route.provider.cap_name(relay.dialect),
        });
        Self {
            method: call.method().clone(),
            path,
            headers: headers::for_provider(&call.head.headers),
            body,
            model: Arc::clone(&route.model),
        }
    }

    fn request(
        &self,
        provider: &Provider,
        credential: &Credential,
    ) -> Result<Request<Full<Bytes>>, SendFault> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        let url = format!("{}{}", provider.base_url, self.path);
        *request.uri_mut() =
            http::Uri::try_from(url).map_err(|error| SendFault::Unreachable(error.into()))?;
        *request.headers_mut() = self.headers.clone();
        if provider.speaks == Speaks::Anthropic && !self.headers.contains_key(ANTHROPIC_VERSION) {
            request.headers_mut().insert(ANTHROPIC_VERSION, HeaderValue::from_static("2023-06-01"));
        }
        if let Some((name, value)) = &credential.header {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        Ok(request)
    }
}

impl Upstream {
    /// `private` says whether providers that were added over the admin API may be on this machine or
    /// in private networks.
    pub fn new(
        limits: WireLimits,
        tls: rustls::ClientConfig,
        demo: demo::Demo,
        private: bool,
    ) -> Self {
        let guarded = HttpConnector::new_with_resolver(Guarded::new(private));
        Self {
            client: client(HttpConnector::new(), limits, tls.clone()),
            guarded: client(guarded, limits, tls),
            demo,
            limits,
        }
    }

    /// Sends `outgoing` and waits for the head of the answer.
    pub async fn send(
        &self,
        provider: &Provider,
        credential: &Credential,
        outgoing: &Outgoing,
    ) -> Result<Response<Body>, SendFault> {
        if provider.speaks == Speaks::Demo {
            return Ok(self.demo.answer(&outgoing.model, &outgoing.body));
        }
        let request = outgoing.request(provider, credential)?;
        let answer = if provider.guarded {
            self.guarded.request(request)
        } else {
            self.client.request(request)
        };
        match tokio::time::timeout(self.limits.first_byte_timeout, answer).await {
            Ok(Ok(answer)) => Ok(answer.map(Body::Http)),
            Ok(Err(error)) if error.is_connect() => Err(SendFault::Unreachable(error.into())),
            Ok(Err(error)) => Err(SendFault::Broke(error.into())),
            Err(_) => Err(SendFault::TimedOut),
        }
    }
}

fn client<R>(
    mut connector: HttpConnector<R>,
    limits: WireLimits,
    tls: rustls::ClientConfig,
) -> Client<HttpsConnector<HttpConnector<R>>, Full<Bytes>>
where
    HttpsConnector<HttpConnector<R>>: Connect + Clone,
{
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(limits.connect_timeout));
    connector.set_keepalive(Some(Duration::from_mins(1)));
    // HTTP/1.1 only: over HTTP/2 the client opens one connection for each host and queues behind
    // the provider's limit of streams, where long answers make new calls wait.
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    Client::builder(TokioExecutor::new())
        .pool_idle_timeout(Duration::from_secs(55))
        .pool_max_idle_per_host(512)
        .pool_timer(TokioTimer::new())
        .retry_canceled_requests(true)
        .build(connector)
}

/// A provider's answer, part by part.
pub enum Body {
    /// From the network.
    Http(Incoming),
    /// Made here.
    Demo(demo::Words),
    /// It was taken away.
    Nothing,
}

impl Body {
    /// The next part.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, SendFault>>> {
        match self {
            Self::Http(incoming) => loop {
                return match std::pin::Pin::new(&mut *incoming).poll_frame(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(None) => Poll::Ready(None),
                    Poll::Ready(Some(Err(error))) => {
                        Poll::Ready(Some(Err(SendFault::Broke(error.into()))))
                    }
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => Poll::Ready(Some(Ok(data))),
                        // Trailers say nothing that a client could use.
                        Err(_) => continue,
                    },
                };
            },
            Self::Demo(words) => words.poll(cx).map(|word| word.map(Ok)),
            Self::Nothing => Poll::Ready(None),
        }
    }

    /// The next part, awaited.
    pub async fn data(&mut self) -> Option<Result<Bytes, SendFault>> {
        std::future::poll_fn(|cx| self.poll_data(cx)).await
    }

    /// All of it, at most `bytes_max` bytes, with at most `silence` between two parts.
    pub async fn collect(
        mut self,
        bytes_max: usize,
        silence: Duration,
    ) -> Result<Bytes, SendFault> {
        let mut whole = Pieces::Nothing;
        let late = |_| SendFault::TimedOut;
        while let Some(data) = tokio::time::timeout(silence, self.data()).await.map_err(late)? {
            whole.push(data?);
            if whole.len() > bytes_max {
                return Err(SendFault::TooLarge);
            }
        }
        Ok(whole.take().unwrap_or_default())
    }
}
