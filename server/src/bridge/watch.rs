//! What happens to the operator's file without a call: it is looked at soon after it was edited, and
//! its counters follow the ledger. Calls look for themselves, so that none waits for this.

use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecursiveMode, Watcher as _};
use tokio::sync::{Notify, watch};

use super::Bridge;

/// Editors write in several steps.
const REST: Duration = Duration::from_millis(50);
/// Counters are written so often at most.
const COUNTING: Duration = Duration::from_secs(2);

/// The watch over a file, until it is dropped.
pub struct Watch {
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Watch {
    /// Watches the folder, since editors put another file in the place of the old one.
    pub fn begin(bridge: &Arc<Bridge>, stopping: watch::Receiver<bool>) -> Self {
        let edited = Arc::new(Notify::new());
        let watcher = watcher(bridge, Arc::clone(&edited));
        if let Err(error) = &watcher {
            let file = bridge.path.display();
            tracing::warn!(%file, %error, "the file is not watched: calls still see its edits");
        }
        bridge.control.spawn(run(Arc::clone(bridge), edited, stopping));
        Self { _watcher: watcher.ok() }
    }
}

fn watcher(bridge: &Bridge, edited: Arc<Notify>) -> notify::Result<notify::RecommendedWatcher> {
    let name = bridge.path.file_name().map(ToOwned::to_owned);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return edited.notify_one() };
        let is_look = matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write));
        let is_ours = event.paths.iter().any(|path| path.file_name() == name.as_deref());
        if is_ours && !is_look {
            edited.notify_one();
        }
    })?;
    let folder = match bridge.path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => std::path::Path::new("."),
    };
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

async fn run(bridge: Arc<Bridge>, edited: Arc<Notify>, mut stopping: watch::Receiver<bool>) {
    let mut counting = tokio::time::interval(COUNTING);
    loop {
        tokio::select! {
            () = edited.notified() => {
                tokio::time::sleep(REST).await;
                bridge.catch_up().await;
            }
            _ = counting.tick() => {
                bridge.catch_up().await;
                bridge.write_counts().await;
            }
            () = stopped(&mut stopping) => return,
        }
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}
