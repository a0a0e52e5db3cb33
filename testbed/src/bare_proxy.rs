//! A reverse proxy that does nothing but pass bytes on: what any proxy in front of a provider
//! costs, and so what Weir is compared with.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, StatusCode, Uri};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// How to run the proxy.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// What to pass requests on to; only its authority counts.
    pub upstream: Uri,
    /// How many threads serve, each with its own runtime and its own connections.
    pub threads: usize,
}

/// Serves until the process ends; `ready` is told the address.
pub fn run(options: &Options, ready: impl FnOnce(SocketAddr)) -> io::Result<()> {
    let authority = options
        .upstream
        .authority()
        .cloned()
        .ok_or_else(|| io::Error::other("the upstream needs a host"))?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(io::Error::other)?;
    let listener = TcpListener::bind(options.listen)?;
    listener.set_nonblocking(true)?;
    ready(listener.local_addr()?);
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            let listener = listener.try_clone()?;
            let proxy =
                Proxy { client: client(), authority: authority.clone(), host: host.clone() };
            scope.spawn(|| {
                crate::serving::on_this_thread(listener, proxy, std::future::pending());
            });
        }
        Ok(())
    })
}

fn client() -> Client<HttpConnector, Incoming> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(55))
        .pool_max_idle_per_host(512)
        .build(connector)
}

/// The proxy as one thread serves it.
#[derive(Debug, Clone)]
struct Proxy {
    client: Client<HttpConnector, Incoming>,
    authority: Authority,
    host: HeaderValue,
}

type Body = Either<Incoming, Full<Bytes>>;

impl Service<Request<Incoming>> for Proxy {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let mut uri = std::mem::take(request.uri_mut()).into_parts();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.authority.clone());
        uri.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
        if let Ok(uri) = Uri::from_parts(uri) {
            *request.uri_mut() = uri;
        }
        request.headers_mut().insert(http::header::HOST, self.host.clone());
        let answer = self.client.request(request);
        Box::pin(async move {
            Ok(answer.await.map_or_else(|error| bad_gateway(&error), |it| it.map(Either::Left)))
        })
    }
}

fn bad_gateway(error: &hyper_util::client::legacy::Error) -> Response<Body> {
    let mut response = Response::new(Either::Right(Full::from(format!("{error}\n"))));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
