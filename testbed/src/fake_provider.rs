//! A provider that is none: it speaks the OpenAI and the Anthropic API, misbehaves on request,
//! and writes down what it was asked and what it gave. Money tests believe its log, never the
//! gateway's own view.

pub mod anthropic;
pub mod ask;
pub mod envelope;
pub mod log;
pub mod multipart;
pub mod openai;
pub mod playback;
pub mod reply;
pub mod schema;
pub mod script;
pub mod serve;
pub mod shelf;
pub mod speech;
pub mod words;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use self::log::{Log, Target};
use self::serve::Provider;
use self::shelf::Shelf;

/// How to run the provider.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where the log goes.
    pub log: Target,
    /// Whether every line of the log has to reach the disk before the request goes on.
    pub fsync: bool,
    /// How many threads serve, each with its own runtime.
    pub threads: usize,
    /// The secrets that are accepted, with the label the log shows for each; any when empty.
    pub secrets: Vec<Accepted>,
}

impl Default for Options {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { listen, log: Target::Memory, fsync: false, threads: 1, secrets: Vec::new() }
    }
}

/// A secret that is accepted, written `SECRET` or `LABEL=SECRET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    label: String,
    secret: String,
}

impl std::str::FromStr for Accepted {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.split_once('=') {
            Some((label, secret)) if !secret.is_empty() => {
                Self { label: label.to_owned(), secret: secret.to_owned() }
            }
            _ => Self { label: fingerprint(text), secret: text.to_owned() },
        })
    }
}

/// What the log calls a secret without a label: enough to tell two apart, and no more.
fn fingerprint(secret: &str) -> String {
    ask::sha256_hex(secret.as_bytes())[..12].to_owned()
}

/// A provider that runs until this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Listens, and serves on threads of its own.
    pub fn start(options: &Options) -> io::Result<Self> {
        let listener = crate::serving::listen(options.listen)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let provider = Provider {
            log: Log::open(&options.log, options.fsync)?,
            shelf: Arc::new(Shelf::default()),
            secrets: options.secrets.clone().into(),
        };
        let mut threads = Vec::new();
        for _ in 0..options.threads.max(1) {
            let (listener, provider) = (listener.try_clone()?, provider.clone());
            let mut stopped = stopped.clone();
            threads.push(std::thread::spawn(move || {
                crate::serving::on_this_thread(listener, serve::service(provider), async move {
                    // An error means that the server is gone: that is a stop, too.
                    let _ = stopped.changed().await;
                });
            }));
        }
        Ok(Self { address, stop, threads })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process ends.
    pub fn join(mut self) {
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}
