//! The command line: what can be said, and which code does it. Commands that administer speak HTTP
//! to a running Weir, or, where none runs on the data directory, to one started for that moment:
//! either way the same routes as everybody else.

mod flag;
mod greeting;
mod import;
mod json;
mod nouns;
mod reconcile;
mod send;
mod settings;
mod verb;
mod view;
mod words;

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;
use comfy_table::{ContentArrangement, LineStyle, Table, presets};

use crate::app::{App, Start};
use crate::config::raw::Raw;
use crate::config::{BadSetting, Config, SETTINGS};
use crate::machine::{MachineClock, MachineEntropy};

/// Between two words of the demo's story: about two hundred words a minute, read aloud.
const DEMO_PACE: Duration = Duration::from_millis(40);

/// Runs one command line. Exit code 0: done; 1: it could not be done; 2: it made no sense.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version go to standard output and are no mistake.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let env = env
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    match dispatch(&matches, env.collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "weir: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(matches: &ArgMatches, env: HashMap<String, String>) -> anyhow::Result<()> {
    match matches.subcommand() {
        Some(("serve", matches)) => serve(&mut raw(matches, env)?),
        Some(("config", matches)) => settings::run(matches, env),
        Some(("completions", matches)) => completions(matches),
        Some(("import", matches)) => import::run(matches, env),
        Some(("reconcile", matches)) => reconcile::run(matches, env),
        Some((name, matches)) => match nouns::NOUNS.iter().find(|noun| noun.name == name) {
            Some(noun) => noun.run(matches, env),
            None => anyhow::bail!("there is no command '{name}'"),
        },
        None => Ok(()),
    }
}

/// An empty table for people: a line under its head, and no other.
fn table(head: &[&str]) -> Table {
    let style = presets::NOTHING.header_separator(LineStyle::none().fill('─').junction('─'));
    let mut table = Table::new();
    table.load_style(style).set_content_arrangement(ContentArrangement::Dynamic).set_header(head);
    table
}

/// Everything that can be said.
fn command() -> Command {
    let serve = Command::new("serve").about("Start the gateway").args(setting_args(|_| true));
    let config = Command::new("config")
        .about("Explain the settings")
        .subcommand_required(true)
        .subcommand(
            Command::new("check")
                .about("Check every setting and tell where it is from")
                .args(setting_args(|_| true)),
        )
        .subcommand(
            Command::new("example")
                .about("Print a settings file with every setting and its default"),
        );
    Command::new("weir")
        .version(env!("CARGO_PKG_VERSION"))
        .about("An LLM gateway whose keys cannot overspend")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serve)
        .subcommand(config)
        .subcommands(nouns::NOUNS.iter().map(|noun| noun.command()))
        .subcommand(reconcile::command())
        .subcommand(import::command())
        .subcommand(
            Command::new("completions")
                .about("Print what completes commands in a shell")
                .arg(Arg::new("shell").required(true).value_parser(value_parser!(Shell))),
        )
}

/// One flag for every setting, and one for the settings file. All work with every command; a
/// command's help shows those that `matter` to it.
fn setting_args(matter: impl Fn(&str) -> bool) -> Vec<Arg> {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .help("Settings file [default: weir.toml where it exists] [env: WEIR_CONFIG]");
    let flags = SETTINGS.iter().map(|setting| {
        let default = if setting.default.is_empty() {
            String::new()
        } else {
            format!(" [default: {}]", setting.default)
        };
        let help = format!("{}{default} [env: {}]", setting.doc, setting.env);
        Arg::new(setting.name)
            .long(setting.name)
            .value_name("VALUE")
            .help(help)
            .action(ArgAction::Set)
            .hide(!matter(setting.name))
    });
    std::iter::once(file).chain(flags).collect()
}

fn completions(matches: &ArgMatches) -> anyhow::Result<()> {
    let shell = matches.get_one::<Shell>("shell").copied().context("no shell was named")?;
    // Written at once: whoever reads it may stop early.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "weir", &mut script);
    Ok(std::io::stdout().write_all(&script)?)
}

fn raw(matches: &ArgMatches, env: HashMap<String, String>) -> Result<Raw, BadSetting> {
    let flag = |name: &str| matches.try_get_one::<String>(name).ok().flatten().cloned();
    let flags =
        SETTINGS.iter().filter_map(|setting| Some((setting.name.to_owned(), flag(setting.name)?)));
    let file = flag("config").map(std::path::PathBuf::from);
    Raw::collect(&flags.collect(), file.as_deref(), env)
}

fn serve(raw: &mut Raw) -> anyhow::Result<()> {
    let config = Config::resolve(raw)?;
    log_to_stderr(&config);
    let facts = greeting::Facts::of(&config);
    warn_of_open_doors(&config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before anything is said to be ready: a signal that comes early must not be lost.
    let stop = runtime.block_on(async { StopSignal::new() })?;
    let mut app = App::start(Start {
        config,
        clock: Arc::new(MachineClock::new()),
        entropy: Arc::new(MachineEntropy),
        demo_pace: DEMO_PACE,
    })?;
    // Who started it may not be reading; that is no reason to stop.
    if let Err(error) = greeting::print(&mut app, &facts) {
        tracing::warn!(%error, "nobody reads what a person needs next");
    }
    tracing::info!(address = %app.address(), "ready");
    let broken = runtime.block_on(async {
        tokio::select! {
            () = stop.wait() => None,
            why = app.broken() => Some(why),
        }
    });
    tracing::info!("stopping: calls in flight may end");
    app.stop();
    match broken {
        None => Ok(()),
        // Whoever watches over the process starts it again, and the start finds out what is written.
        Some(why) => anyhow::bail!("the ledger could not be written: {why}"),
    }
}

fn warn_of_open_doors(config: &Config) {
    if config.allow_unauthenticated {
        tracing::warn!("calls without a key are served, under the key named 'anonymous'");
    }
    if !config.listen.ip().is_loopback() {
        tracing::warn!(
            address = %config.listen,
            "listening beyond this machine, without TLS: put a proxy that speaks TLS in front"
        );
    }
}

fn log_to_stderr(config: &Config) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr);
    // A second start in one process (a test) keeps the first one's log.
    let _ = if config.log_json {
        builder.json().try_init()
    } else {
        builder.with_target(false).try_init()
    };
}

/// SIGTERM and SIGINT, both an order to stop gracefully.
struct StopSignal {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignal {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
