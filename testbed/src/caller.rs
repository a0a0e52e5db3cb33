//! One client of an HTTP API that does what clients do: asks, reads, or goes away in the middle. It
//! keeps what came, so that it can be looked at; `load` is the one that is quick.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long an answer may take before the call counts as stuck.
const PATIENCE: Duration = Duration::from_mins(1);

/// When a client goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// When it has the whole answer.
    Never,
    /// So long after it asked, wherever the answer is.
    After(Duration),
    /// When it has read so many bytes of the body.
    AtByte(usize),
}

/// How an exchange ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The answer was whole.
    Whole,
    /// The client left.
    Left,
    /// The connection broke, or never was.
    Broken(String),
    /// Nothing came any more.
    Stuck,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status; 0 where none came.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as far as it was read.
    pub body: Vec<u8>,
    /// How it ended.
    pub end: End,
}

impl Answer {
    fn nothing(end: End) -> Self {
        Self { status: 0, headers: HeaderMap::new(), body: Vec::new(), end }
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A client, with the connection it keeps.
#[derive(Debug)]
pub struct Caller {
    address: SocketAddr,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        // The socket closes now, not when somebody finds the time.
        self.task.abort();
    }
}

impl Caller {
    /// Connects at the first call.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, kept: None }
    }

    /// Sends a body to a path as the holder of `secret`.
    pub async fn post(&mut self, path: &str, secret: &str, body: String, leave: Leave) -> Answer {
        self.send(Method::POST, path, secret, body, leave).await
    }

    /// Asks for a path as the holder of `secret`.
    pub async fn get(&mut self, path: &str, secret: &str) -> Answer {
        self.send(Method::GET, path, secret, String::new(), Leave::Never).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        secret: &str,
        body: String,
        leave: Leave,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string())
            .header("authorization", format!("Bearer {secret}"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Answer::nothing(End::Broken(error.to_string())),
        };
        let patience = match leave {
            Leave::After(time) => time,
            Leave::Never | Leave::AtByte(_) => PATIENCE,
        };
        let bytes = match leave {
            Leave::AtByte(bytes) => bytes,
            Leave::Never | Leave::After(_) => usize::MAX,
        };
        let mut answer = Answer::nothing(End::Whole);
        // What is kept is taken out of here: leaving drops it, and its socket closes.
        let mut kept = self.kept.take();
        let exchange = exchange(&mut kept, self.address, request, bytes, &mut answer);
        match timeout(patience, exchange).await {
            Ok(Ok(end)) => answer.end = end,
            Ok(Err(error)) => answer.end = End::Broken(error.to_string()),
            Err(_) if matches!(leave, Leave::After(_)) => answer.end = End::Left,
            Err(_) => answer.end = End::Stuck,
        }
        if answer.end == End::Whole {
            self.kept = kept;
        }
        answer
    }
}

async fn exchange(
    kept: &mut Option<Kept>,
    address: SocketAddr,
    request: Request<Full<Bytes>>,
    bytes: usize,
    answer: &mut Answer,
) -> anyhow::Result<End> {
    let usable = match kept {
        Some(kept) => kept.sender.ready().await.is_ok(),
        None => false,
    };
    if !usable {
        *kept = None;
    }
    let sender = match kept {
        Some(kept) => &mut kept.sender,
        None => &mut kept.insert(connect(address).await?).sender,
    };
    let (head, mut body) = sender.send_request(request).await?.into_parts();
    (answer.status, answer.headers) = (head.status.as_u16(), head.headers);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            answer.body.extend_from_slice(&data);
        }
        if answer.body.len() >= bytes {
            return Ok(End::Left);
        }
    }
    Ok(End::Whole)
}

async fn connect(address: SocketAddr) -> anyhow::Result<Kept> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    let task = tokio::spawn(async move {
        // How it ended is told to whoever waits for an answer.
        connection.await.ok();
    });
    Ok(Kept { sender, task })
}
