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
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::json::Json;
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

impl Asked {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None }
    }
}

/// What the API answered, yes or no.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

impl Answered {
    /// The answer, where it is a yes.
    ///
    /// # Errors
    /// What the API said.
    pub(super) fn yes(self) -> anyhow::Result<String> {
        if self.status.is_success() {
            return Ok(self.text);
        }
        bail!("{}", self.refusal())
    }

    /// Which kind of no it is.
    pub(super) fn code(&self) -> Option<String> {
        Json::read(&self.text).unwrap_or_default().at("error.code").text()
    }

    /// Why it is a no.
    pub(super) fn refusal(&self) -> String {
        let error = Json::read(&self.text).unwrap_or_default();
        let message = error.at("error.message").text();
        message.unwrap_or_else(|| format!("the server answered {}", self.status))
    }
}

/// A Weir that is being talked to, as its operator.
pub(super) struct Api {
    url: String,
    master: Secret,
    client: Client<HttpConnector, Full<Bytes>>,
    runtime: tokio::runtime::Runtime,
}

impl Api {
    fn new(url: &str, master: Secret) -> anyhow::Result<Self> {
        let scheme = if url.contains("://") { "" } else { "http://" };
        Ok(Self {
            url: format!("{scheme}{}", url.trim_end_matches('/')),
            master,
            client: Client::builder(TokioExecutor::new()).build_http(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        })
    }

    /// Asks, and wants a yes.
    ///
    /// # Errors
    /// Nobody answers, or what the API said.
    pub(super) fn ask(&self, asked: Asked) -> anyhow::Result<String> {
        self.try_ask(asked)?.yes()
    }

    /// Asks; a no is an answer, too.
    ///
    /// # Errors
    /// Nobody answers, or they do not know us.
    pub(super) fn try_ask(&self, asked: Asked) -> anyhow::Result<Answered> {
        let answered = self.runtime.block_on(self.exchange(asked))?;
        if answered.status == StatusCode::UNAUTHORIZED {
            bail!("the Weir at {} refuses this PROXY_MASTER_KEY", self.url);
        }
        Ok(answered)
    }

    async fn exchange(&self, asked: Asked) -> anyhow::Result<Answered> {
        let request = Request::builder()
            .method(asked.method)
            .uri(format!("{}{}", self.url, asked.path))
            .header("authorization", format!("Bearer {}", self.master.expose()))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(asked.body.unwrap_or_default())))
            .context("this makes no request that HTTP can carry")?;
        let answer = self.client.request(request).await;
        let answer = answer.with_context(|| format!("no Weir answers at {}", self.url))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.context("the answer broke off")?.to_bytes();
        Ok(Answered { status, text: String::from_utf8_lossy(&body).into_owned() })
    }
}

/// Sends one request; its answer.
pub(super) fn send(
    asked: Asked,
    matches: &ArgMatches,
    env: HashMap<String, String>,
) -> anyhow::Result<String> {
    talk(matches, env, |api| api.ask(asked))
}

/// Talks to the server that was named, to the one that runs on the data directory, or to one that is
/// started on it for this moment, on a port and with a master key that nobody knows.
pub(super) fn talk<T>(
    matches: &ArgMatches,
    env: HashMap<String, String>,
    about: impl FnOnce(&Api) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut raw = super::raw(matches, env)?;
    let mut config = Config::resolve(&mut raw)?;
    let given = config.master_key.take();
    if let Some(url) = matches.get_one::<String>("server") {
        let Some(master) = given else {
            bail!("--server needs the master key: set PROXY_MASTER_KEY");
        };
        return about(&Api::new(url, master)?);
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
            let api = Api::new(&app.address().to_string(), secret)?;
            let said = about(&api);
            // The connection must be gone before the server stops, or it waits for it.
            drop(api);
            app.stop();
            said
        }
        Err(StartFault::Store(store::Fault::InUse(directory))) => {
            let Some(master) = given else {
                bail!(
                    "the data directory {} is in use, so this goes to the Weir at {running}, which needs the master key: set PROXY_MASTER_KEY",
                    directory.display()
                );
            };
            about(&Api::new(&running, master)?)
        }
        Err(fault) => Err(fault.into()),
    }
}
