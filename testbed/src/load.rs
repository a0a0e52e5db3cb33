//! Load on an HTTP/1.1 API, close to the metal: raw sockets, a request built once, and a reader
//! that only looks for where an answer ends. The generator shares the machine with what it
//! measures, so every cycle it saves is one it does not take away.

pub mod connection;
pub mod pace;
pub mod report;
pub mod request;

use std::net::SocketAddr;
use std::time::Duration;

pub use self::report::Report;
pub use self::request::{Ask, Target};

/// How requests arrive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrival {
    /// So many connections, each asking again as soon as it has been answered.
    Closed {
        /// How many.
        connections: usize,
    },
    /// So many requests a second, whether or not earlier ones have been answered. Latency counts
    /// from the moment a request was due, so a stall cannot hide in requests not sent.
    Open {
        /// How many a second.
        rate: f64,
    },
}

/// One run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Where to connect.
    pub address: SocketAddr,
    /// The whole request, head and body.
    pub request: Vec<u8>,
    /// What the end of a complete answer contains, if that is checked.
    pub ending: Option<&'static str>,
    /// How requests arrive.
    pub arrival: Arrival,
    /// How long to go on before counting.
    pub warmup: Duration,
    /// How long to count.
    pub length: Duration,
}

impl Run {
    /// Does the run on the calling thread.
    pub fn go(&self) -> std::io::Result<Report> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = tokio::task::LocalSet::new();
        match self.arrival {
            Arrival::Closed { connections } => {
                local.block_on(&runtime, pace::closed(self, connections))
            }
            Arrival::Open { rate } => local.block_on(&runtime, pace::open(self, rate)),
        }
    }
}
