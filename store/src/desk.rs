//! A thread with a database connection of its own, which does one job after another. Jobs run to
//! their end even when nobody waits for the answer any more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::fault::Fault;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The way to the thread.
#[derive(Debug)]
pub(crate) struct Desk {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Desk {
    pub(crate) fn start(name: &str, mut connection: Connection) -> Result<Self, Fault> {
        let (sender, jobs) = mpsc::channel::<Job>();
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                for job in jobs {
                    // A job that panics loses its transaction and its answer, not the thread.
                    let _ = catch_unwind(AssertUnwindSafe(|| job(&mut connection)));
                }
            })
            .map_err(|error| Fault::disk("starting a thread for", name.as_ref(), error))?;
        Ok(Self { jobs: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Hands in a job that answers by its own way.
    pub(crate) fn post(
        &self,
        job: impl FnOnce(&mut Connection) + Send + 'static,
    ) -> Result<(), Fault> {
        let jobs = self.jobs.lock();
        let sender = jobs.as_ref().ok_or(Fault::Closed)?;
        sender.send(Box::new(job)).map_err(|_| Fault::Closed)
    }

    /// Does a job and waits for what comes of it.
    pub(crate) async fn ask<T: Send + 'static, E: From<Fault> + Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let (sender, answer) = oneshot::channel();
        self.post(move |connection| {
            let _ = sender.send(job(connection));
        })?;
        answer.await.unwrap_or_else(|_| Err(Fault::Closed.into()))
    }

    /// Finishes the jobs handed in so far and ends the thread.
    pub(crate) fn close(&self) {
        self.jobs.lock().take();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}
