//! One thread, one runtime, one shared listener: how the fake provider and the bare proxy serve.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpSocket;

/// How many connections may wait to be accepted: a thousand clients come at once, and who finds no
/// place is tried again a second later.
const WAITING: u32 = 4_096;

/// A socket that listens, and does not block.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)?.into_std()
}

/// Accepts and serves HTTP/1.1 on the calling thread until `stop` is ready.
pub fn on_this_thread<S, B>(listener: TcpListener, service: S, stop: impl Future<Output = ()>)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs no more than a few file descriptors");
    runtime.block_on(async {
        let listener =
            tokio::net::TcpListener::from_std(listener).expect("the listener is non-blocking");
        tokio::select! {
            () = accept(listener, service) => {}
            () = stop => {}
        }
    });
    // What is in flight is dropped here, so that its end is recorded.
    runtime.shutdown_timeout(Duration::from_secs(1));
}

async fn accept<S, B>(listener: tokio::net::TcpListener, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors: some connection has to end first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        stream.set_nodelay(true).ok();
        let service = service.clone();
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                // A caller's idle connections stay open: closing them would be a fault of ours.
                .header_read_timeout(None)
                .max_buf_size(512 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            // A peer that goes away is not news here; the log has recorded it.
            connection.await.ok();
        });
    }
}
