//! One thread of the data plane: it accepts connections, finds the row of each request's path, and
//! hands the call to the gate or to the desk. Nothing is decided here about who may do what.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::command::Actor;
use domain::{Code, Refusal};
use http::{HeaderValue, Method, Request, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::sync::watch;
use tokio_io_timeout::TimeoutWriter;
use tokio_util::task::TaskTracker;

use crate::admin::Desk;
use crate::call::{Answer, Call};
use crate::failure::{self, Envelope, Failure};
use crate::gate::{self, Gate};
use crate::relay::Guard;
use crate::surface::{self, Endpoint, Serve};
use crate::upstream::Upstream;

/// What one thread of the data plane serves with.
pub struct Lane {
    pub gate: Arc<Gate>,
    pub desk: Arc<Desk>,
    pub upstream: Arc<Upstream>,
    /// Where everything runs that is no call to a model.
    pub control: tokio::runtime::Handle,
}

impl Lane {
    /// Serves until it is told to stop, then lets what is in flight end.
    pub fn run(self, listener: std::net::TcpListener, stopping: watch::Receiver<bool>) {
        let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match built {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(%error, "a serving thread could not start");
                return;
            }
        };
        runtime.block_on(Arc::new(self).serve(listener, stopping));
    }

    async fn serve(
        self: Arc<Self>,
        listener: std::net::TcpListener,
        mut stopping: watch::Receiver<bool>,
    ) {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "a serving thread cannot listen");
                return;
            }
        };
        let graceful = GracefulShutdown::new();
        let connections = TaskTracker::new();
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(self.gate.wire.header_timeout);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stopping.wait_for(|stop| *stop) => break,
            };
            let (stream, peer) = match accepted {
                Ok((stream, peer)) => (stream, peer.ip()),
                // Out of file descriptors, most likely: those in use will be free again.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            let lane = Arc::clone(&self);
            let service = service_fn(move |request| answer(Arc::clone(&lane), peer, request));
            // Who does not read its answer for too long holds a provider's connection, and money.
            let mut stream = TimeoutWriter::new(stream);
            stream.set_timeout(Some(self.gate.wire.stall_timeout));
            let stream = TokioIo::new(Box::pin(stream));
            let connection = graceful.watch(http.serve_connection(stream, service));
            // A connection that breaks is the client's to know; its calls settle themselves.
            connections.spawn(async move { drop(connection.await) });
        }
        drop(listener);
        let grace = self.gate.wire.stop_timeout;
        let _ = tokio::time::timeout(grace, graceful.shutdown()).await;
        self.gate.tasks.close();
        let _ = tokio::time::timeout(grace, self.gate.tasks.wait()).await;
    }
}

async fn answer(
    lane: Arc<Lane>,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let at = lane.gate.clock.now();
    let began_micros = lane.gate.clock.monotonic_micros();
    let id = lane.gate.ids.request(at);
    let envelope = Envelope::of(request.uri().path());
    let result = match find(&request) {
        Ok((row, parameter)) => {
            let call = Call::new(id, at, began_micros, peer, (request, parameter));
            lane.serve_row(row, call).await
        }
        Err(failure) => Err(failure),
    };
    let mut answer = result.unwrap_or_else(|failure| {
        failure::log(&failure, id);
        envelope.answer(&failure, id)
    });
    let headers = answer.headers_mut();
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        // Anthropic's clients look for the id under another name.
        if envelope == Envelope::Anthropic {
            headers.insert("request-id", value.clone());
        }
        headers.insert("x-request-id", value);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

fn find(request: &Request<Incoming>) -> Result<(&'static Endpoint, Option<String>), Failure> {
    let unknown = || {
        let message = "There is no such URL here. The documentation lists every one.";
        Failure::from(Refusal::new(Code::UnknownUrl, message))
    };
    if *request.method() == Method::CONNECT {
        return Err(Failure::Method("GET, POST, PUT, PATCH, DELETE".to_owned()));
    }
    let matched = surface::find(request.uri().path()).ok_or_else(unknown)?;
    let row = matched.row(request.method()).map_err(Failure::Method)?;
    let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
    if codings.next().is_some_and(|coding| coding != "chunked") || codings.next().is_some() {
        let message = "The body's Transfer-Encoding must be chunked, once, and nothing else.";
        return Err(Refusal::new(Code::InvalidFraming, message).into());
    }
    if request.headers().contains_key(header::UPGRADE) {
        let message = "This URL does not switch to another protocol.";
        return Err(Refusal::new(Code::InvalidUpgrade, message).into());
    }
    Ok((row, matched.parameter))
}

impl Lane {
    async fn serve_row(&self, row: &'static Endpoint, call: Call) -> Result<Answer, Failure> {
        match row.serve {
            Serve::Relay(relay) => {
                gate::serve(&self.gate, &self.upstream, row.guard, relay, call).await
            }
            Serve::Models => {
                let caller = self.gate.identify(row.guard, &call, call.at).await?;
                Ok(surface::inference::models(&self.gate, &caller, call.at))
            }
            Serve::Model => {
                let caller = self.gate.identify(row.guard, &call, call.at).await?;
                let name = call.parameter.as_deref().unwrap_or_default();
                Ok(surface::inference::model(&self.gate, &caller, name, call.at)?)
            }
            // Off the data plane, so that no list or search makes a stream wait.
            Serve::Desk(handler) => {
                let desk = Arc::clone(&self.desk);
                let guard: Guard = row.guard;
                let work = async move {
                    let actor: Actor = desk.actor(guard, &call).await?;
                    desk.answer(actor, call, handler).await
                };
                self.gate
                    .tasks
                    .spawn_on(work, &self.control)
                    .await
                    .unwrap_or_else(|error| Err(Failure::internal(error)))
            }
        }
    }
}
