//! How the command line reaches the admin API: over HTTP, like everybody else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::ArgMatches;
use domain::Secret;
use domain::secret::Kind;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::app::{App, Start, StartFault};
use crate::config::Config;
use crate::machine::{MachineClock, MachineEntropy};

/// One request to the admin API.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    /// JSON.
    pub(super) body: Option<String>,
}

/// Sends one request; its answer.
pub(super) fn send(
    asked: Asked,
    matches: &ArgMatches,
    env: HashMap<String, String>,
) -> anyhow::Result<String> {
    send_all(vec![asked], matches, env)?.pop().context("nothing was asked")?
}

/// Sends requests one after the other: to the server that was named, to the one that runs on the
/// data directory, or to one that is started on it for this moment, on a port and with a master key
/// that nobody knows. Gives the answer to each.
pub(super) fn send_all(
    asked: Vec<Asked>,
    matches: &ArgMatches,
    env: HashMap<String, String>,
) -> anyhow::Result<Vec<anyhow::Result<String>>> {
    let mut raw = super::raw(matches, env)?;
    let mut config = Config::resolve(&mut raw)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let given = config.master_key.take();
    if let Some(url) = matches.get_one::<String>("server") {
        let Some(master) = given else {
            bail!("--server needs the master key: set PROXY_MASTER_KEY");
        };
        return Ok(runtime.block_on(requests(url, &master, asked)));
    }
    // Only a server makes a data directory: a mistyped one is not to look like an empty one.
    if !config.data.exists() {
        bail!("there is no data directory {}; `weir serve` makes one", config.data.display());
    }
    let running = format!("http://{}", config.listen);
    let secret = Kind::Master.mint(&MachineEntropy);
    config.master_key = Some(Secret::new(secret.expose().to_owned()));
    config.listen = ([127, 0, 0, 1], 0).into();
    config.threads = 1;
    let started = App::start(Start {
        config,
        clock: Arc::new(MachineClock::new()),
        entropy: Arc::new(MachineEntropy),
        demo_pace: Duration::ZERO,
    });
    match started {
        Ok(app) => {
            let url = format!("http://{}", app.address());
            let answers = runtime.block_on(requests(&url, &secret, asked));
            // The connection must be gone before the server stops, or it waits for it.
            drop(runtime);
            app.stop();
            Ok(answers)
        }
        Err(StartFault::Store(store::Fault::InUse(directory))) => {
            let Some(master) = given else {
                bail!(
                    "the data directory {} is in use, so this goes to the Weir at {running}, which needs the master key: set PROXY_MASTER_KEY",
                    directory.display()
                );
            };
            Ok(runtime.block_on(requests(&running, &master, asked)))
        }
        Err(fault) => Err(fault.into()),
    }
}

async fn requests(url: &str, master: &Secret, asked: Vec<Asked>) -> Vec<anyhow::Result<String>> {
    let mut answers = Vec::with_capacity(asked.len());
    for one in asked {
        answers.push(request(url, master, one).await);
    }
    answers
}

async fn request(url: &str, master: &Secret, asked: Asked) -> anyhow::Result<String> {
    let scheme = if url.contains("://") { "" } else { "http://" };
    let url = format!("{scheme}{}", url.trim_end_matches('/'));
    let body = asked.body.unwrap_or_default();
    let request = Request::builder()
        .method(asked.method)
        .uri(format!("{url}{}", asked.path))
        .header("authorization", format!("Bearer {}", master.expose()))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .context("this makes no request that HTTP can carry")?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer =
        client.request(request).await.with_context(|| format!("no Weir answers at {url}"))?;
    let status = answer.status();
    let body = answer.into_body().collect().await.context("the answer broke off")?.to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    if status == StatusCode::UNAUTHORIZED {
        bail!("the Weir at {url} refuses this PROXY_MASTER_KEY");
    }
    if !status.is_success() {
        let error: Value = serde_json::from_str(&text).unwrap_or_default();
        match error["error"]["message"].as_str() {
            Some(message) => bail!("{message}"),
            None => bail!("the server answered {status}"),
        }
    }
    Ok(text)
}
