//! Everything alive, built once and ended once: store, gate, desk, and the lanes that serve. What
//! happens to a request is told in `lane`, `gate` and `admin`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use data_encoding::HEXLOWER;
use domain::secret::Kind;
use domain::{Clock, Digest, Entropy, Secret, Timestamp};
use parking_lot::Mutex;
use store::{Health, Options, Recovery, Store};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::admin::{Desk, Running};
use crate::bridge::{Bridge, Parts, Watch};
use crate::config::{BadSetting, Config};
use crate::gate::Gate;
use crate::ids::Ids;
use crate::keyless;
use crate::lane::Lane;
use crate::models::Models;
use crate::sessions::{Password, Sessions};
use crate::sources::{self, Configured, Sources};
use crate::upstream::Upstream;
use crate::upstream::demo::Demo;
use crate::vault::Vault;

/// A running Weir.
pub struct App {
    address: SocketAddr,
    desk: Arc<Desk>,
    stop: watch::Sender<bool>,
    lanes: Vec<JoinHandle<()>>,
    control: tokio::runtime::Runtime,
    watch: Watch,
    made_master_key: Option<Secret>,
}

/// Why Weir could not start: one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    #[error(transparent)]
    Store(#[from] store::Fault),
    #[error("Cannot listen on {address}: {why}.")]
    Listen { address: SocketAddr, why: String },
    #[error(
        "The dashboard's password is the default, 'admin', and {address} can be reached by others than this machine: write {{\"password\": \"…\"}} with a password of your own into {file}, or listen on 127.0.0.1."
    )]
    DefaultPassword { address: SocketAddr, file: String },
    #[error("{0}")]
    Setting(#[from] BadSetting),
    #[error(
        "The stored digest of the master key is damaged; set PROXY_MASTER_KEY to start with another."
    )]
    MasterKey,
    #[error("TLS cannot be set up: {0}.")]
    Tls(String),
    #[error("A thread or runtime could not be started: {0}.")]
    Thread(std::io::Error),
}

/// How to start.
pub struct Start {
    pub config: Config,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Between two words of the demo's story.
    pub demo_pace: Duration,
}

impl App {
    /// Opens the store, makes what the first start needs, and begins to serve.
    ///
    /// # Errors
    /// The data directory, the address, or a setting cannot be used.
    pub fn start(start: Start) -> Result<Self, StartFault> {
        let Start { mut config, clock, entropy, demo_pace } = start;
        let now = clock.now();
        // Listening first: a second Weir on the same address must not touch anything.
        let listener = listen(config.listen)?;
        let address = listener.local_addr().map_err(StartFault::Thread)?;
        let store = Arc::new(Store::open(&config.data, options(&config), now)?);
        tell(store.recovery());
        let control = control().map_err(StartFault::Thread)?;
        let (master, made_master_key) =
            control.block_on(master(&store, config.master_key.take(), &*entropy))?;
        let list_secret = control.block_on(list_secret(&store, &*entropy))?;
        let ids = Ids::new(&*entropy);
        let (sources, models) = control.block_on(sources(&store, &mut config))?;
        let anonymous = control.block_on(anonymous(&config, &store, now))?;
        let tasks = TaskTracker::new();
        let sessions = Sessions::open(Arc::clone(&store), Arc::clone(&entropy));
        let sessions = Arc::new(control.block_on(sessions)?);
        let bridge = control.block_on(Bridge::open(Parts {
            path: std::mem::take(&mut config.bridge_file),
            store: Arc::clone(&store),
            entropy: Arc::clone(&entropy),
            clock: Arc::clone(&clock),
            sessions: Arc::clone(&sessions),
            master,
            tasks: tasks.clone(),
            control: control.handle().clone(),
        }))?;
        refuse_default_password(&bridge, address)?;
        let gate = Arc::new(Gate {
            clock: Arc::clone(&clock),
            store,
            models: ArcSwap::from_pointee(models),
            wire: config.limits,
            ids,
            tasks,
            master,
            bridge: Arc::clone(&bridge),
            anonymous,
            operator: config.organization_routes.then(|| Arc::new(keyless::operator(now))),
            stored_objects: config.stored_objects,
            defaults: std::mem::take(&mut config.defaults),
            plans: config.plans,
            floor_tokens: config.floor_tokens,
            trusted_proxies: std::mem::take(&mut config.trusted_proxies),
            drains: AtomicUsize::new(0),
            overruns: AtomicU64::new(0),
        });
        let desk = Arc::new(Desk {
            gate: Arc::clone(&gate),
            entropy: Arc::clone(&entropy),
            list_secret,
            sources,
            sessions,
            is_exposed: !address.ip().is_loopback(),
            correcting: tokio::sync::Mutex::new(()),
            running: Running::default(),
        });
        control.spawn(Arc::clone(&desk).sweep());
        let tls = tls()?;
        let demo = Demo::new(clock, Arc::new(Ids::new(&*entropy)), demo_pace);
        let (stop, stopping) = watch::channel(false);
        let private = desk.sources.configured.private_destinations;
        let lane = || Lane {
            gate: Arc::clone(&gate),
            desk: Arc::clone(&desk),
            upstream: Arc::new(Upstream::new(config.limits, tls.clone(), demo.clone(), private)),
            control: control.handle().clone(),
        };
        let lanes = lanes(config.threads, lane, &listener, &stopping)?;
        let watch = Watch::begin(&bridge, stopping);
        Ok(Self { address, desk, stop, lanes, control, watch, made_master_key })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The models and everything else that calls are judged with.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.desk.gate
    }

    /// The master key, where this start made it. It is shown once.
    pub fn take_made_master_key(&mut self) -> Option<Secret> {
        self.made_master_key.take()
    }

    /// Waits until the ledger cannot be written and will not be again before another start. A disk
    /// that is full is not broken: it is waited for.
    pub async fn broken(&self) -> Arc<str> {
        const LOOKS: Duration = Duration::from_millis(250);
        loop {
            if let Health::Broken(why) = self.desk.gate.store.health() {
                return why;
            }
            tokio::time::sleep(LOOKS).await;
        }
    }

    /// Admits nothing more, lets calls in flight end, closes what is left, and writes everything down.
    pub fn stop(self) {
        let _ = self.stop.send(true);
        for lane in self.lanes {
            if lane.join().is_err() {
                tracing::error!("a serving thread had panicked");
            }
        }
        drop(self.watch);
        self.control.block_on(self.desk.gate.bridge.write_counts());
        self.control.shutdown_timeout(Duration::from_secs(5));
        if let Err(fault) = self.desk.gate.store.close() {
            tracing::error!(%fault, "the store could not be closed in order");
        }
    }
}

/// The key of calls without a secret, where they are allowed.
async fn anonymous(
    config: &Config,
    store: &Store,
    now: Timestamp,
) -> Result<Option<Digest>, store::Fault> {
    if !config.allow_unauthenticated {
        return Ok(None);
    }
    keyless::anonymous(store, now).await.map(Some)
}

/// How the store is kept.
fn options(config: &Config) -> Options {
    let usual = Options::default();
    Options {
        durability: config.durability,
        cached_keys: config.cached_keys,
        lookback_seconds: usual.lookback_seconds.max(config.defaults.longest_rolling()),
        ..usual
    }
}

/// Starts so many lanes; 0 stands for one on each processor.
fn lanes(
    threads: usize,
    lane: impl Fn() -> Lane,
    listener: &std::net::TcpListener,
    stopping: &watch::Receiver<bool>,
) -> Result<Vec<JoinHandle<()>>, StartFault> {
    let count = if threads == 0 { cores() } else { threads };
    let lanes = (0..count).map(|number| spawn(number, lane(), listener, stopping));
    lanes.collect::<std::io::Result<Vec<_>>>().map_err(StartFault::Thread)
}

fn spawn(
    number: usize,
    lane: Lane,
    listener: &std::net::TcpListener,
    stopping: &watch::Receiver<bool>,
) -> std::io::Result<JoinHandle<()>> {
    let (listener, stopping) = (listener.try_clone()?, stopping.clone());
    let run = move || lane.run(listener, stopping);
    std::thread::Builder::new().name(format!("weir-lane-{number}")).spawn(run)
}

/// The default password opens nothing that others can reach.
fn refuse_default_password(bridge: &Bridge, address: SocketAddr) -> Result<(), StartFault> {
    if !matches!(bridge.force().password, Password::Default) {
        return Ok(());
    }
    let file = bridge.path().display().to_string();
    if !address.ip().is_loopback() {
        return Err(StartFault::DefaultPassword { address, file });
    }
    tracing::warn!(
        file,
        "the dashboard's password is the default, 'admin': change it before others than this machine can reach Weir"
    );
    Ok(())
}

/// What opening the ledger found and mended.
fn tell(recovery: Recovery) {
    let Recovery { rows_replayed, bytes_cut, bytes_lost, calls_charged } = recovery;
    if bytes_cut > 0 {
        tracing::warn!(bytes_cut, "the ledger's last row was never written to its end: cut off");
    }
    if bytes_lost > 0 {
        tracing::error!(
            bytes_lost,
            "rows of the ledger are gone, as after a power cut: their sums stay"
        );
    }
    if calls_charged > 0 {
        tracing::warn!(
            calls_charged,
            "calls were in flight when Weir was last killed: each is charged the most it could use"
        );
    }
    if rows_replayed > 0 {
        tracing::info!(rows_replayed, "rows of the ledger were counted again");
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What runs everything but the calls to models.
fn control() -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).max_blocking_threads(16).thread_name("weir-control");
    builder.enable_all().build()
}

/// As many clients as may connect at the same moment; the system's own setting caps it.
const BACKLOG: i32 = 4096;

fn listen(address: SocketAddr) -> Result<std::net::TcpListener, StartFault> {
    let refused = |error: std::io::Error| {
        let why = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another program (perhaps Weir itself) uses this port; --listen takes another"
                    .to_owned()
            }
            std::io::ErrorKind::PermissionDenied => "this user may not use this port".to_owned(),
            std::io::ErrorKind::AddrNotAvailable => {
                "this machine does not have this address".to_owned()
            }
            _ => error.to_string(),
        };
        StartFault::Listen { address, why }
    };
    let listener = std::net::TcpListener::bind(address).map_err(refused)?;
    // It listens already, with room for 128: asking again makes more.
    rustix::net::listen(&listener, BACKLOG).map_err(|errno| refused(errno.into()))?;
    listener.set_nonblocking(true).map_err(refused)?;
    Ok(listener)
}

/// The digest of the master key, and the key itself where it was made just now.
async fn master(
    store: &Store,
    given: Option<Secret>,
    entropy: &dyn Entropy,
) -> Result<(Digest, Option<Secret>), StartFault> {
    const NAME: &str = "master_key_digest";
    if let Some(secret) = given {
        return Ok((secret.digest(), None));
    }
    if let Some(text) = store.meta(NAME).await? {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        return Ok((Digest::from_bytes(bytes.ok_or(StartFault::MasterKey)?), None));
    }
    let secret = Kind::Master.mint(entropy);
    let digest = secret.digest();
    store.set_meta(NAME, HEXLOWER.encode(digest.bytes())).await?;
    Ok((digest, Some(secret)))
}

/// What can be called, from the settings and the store; and what it is put together from. The key that
/// was given seals; the one in the data directory, where there is one, still opens what it sealed.
async fn sources(store: &Store, config: &mut Config) -> Result<(Arc<Sources>, Models), StartFault> {
    let mut vault = Vault::default();
    let kept = store.credential_key()?;
    for key in config.encryption_key.iter().chain(&kept) {
        if vault.add(key).is_err() {
            tracing::error!("credential.key in the data directory is damaged: it opens nothing");
        }
    }
    let configured = Configured::take(config);
    let supply = store.supply().await?;
    let models = Models::build(&configured, &supply, &vault, None)?;
    sources::tell(&configured, &supply, &vault, &models);
    let (vault, changing) = (Mutex::new(vault), tokio::sync::Mutex::new(()));
    Ok((Arc::new(Sources { configured, vault, changing }), models))
}

async fn list_secret(store: &Store, entropy: &dyn Entropy) -> Result<Secret, StartFault> {
    const NAME: &str = "list_secret";
    if let Some(text) = store.meta(NAME).await? {
        return Ok(Secret::new(text));
    }
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    let text = HEXLOWER.encode(&bytes);
    store.set_meta(NAME, text.clone()).await?;
    Ok(Secret::new(text))
}

fn tls() -> Result<rustls::ClientConfig, StartFault> {
    use hyper_rustls::ConfigBuilderExt as _;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StartFault::Tls(error.to_string()))?;
    // The machine's own roots where it has some (they honour SSL_CERT_FILE), Mozilla's otherwise.
    Ok(match builder.clone().with_native_roots() {
        Ok(builder) => builder.with_no_client_auth(),
        Err(_) => builder.with_webpki_roots().with_no_client_auth(),
    })
}
