//! Weir on a data directory, before a fake provider that outlives it and keeps the books: what the
//! kill loop and the attack both play on.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use anyhow::ensure;
use serde_json::Value;

use crate::audit::{Auditor, Price};
use crate::process::{Process, exchange, free_address};

/// What Weir is told to accept for administration.
const MASTER_KEY: &str = "sk-scene-master-key-0123456789abcdef";

/// The longest answer of the one model, in tokens.
pub const LONGEST: u64 = 400;

/// Names under which the one model can be called, so that each call of a key has a name of its own.
pub const NAMES: usize = 2_000;

/// What may differ from scene to scene.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// Dollars for a million tokens, read and written.
    pub price: [&'a str; 2],
    /// The longest that Weir waits for a provider, in seconds.
    pub silence: u64,
    /// Whether the provider's log has to reach the disk before a call goes on.
    pub fsync: bool,
}

/// Where things are.
#[derive(Debug)]
pub struct Scene {
    // Fields drop in order: the directory has to outlive who writes to it.
    provider: Process,
    weir: PathBuf,
    address: SocketAddr,
    folder: PathBuf,
    keep: bool,
    /// The provider's own books.
    pub auditor: Auditor,
    price: Price,
    starts: usize,
}

impl Scene {
    /// Starts the provider and writes Weir's settings; Weir itself is not started.
    pub fn set(weir: &Path, programs: &Path, setting: Setting<'_>) -> anyhow::Result<Self> {
        ensure!(weir.exists(), "{} is not built", weir.display());
        let name = format!("weir-scene-{}", std::process::id());
        let folder = env::temp_dir().join(name);
        fs::create_dir_all(&folder)?;
        let log = folder.join("provider.jsonl");
        let mut command = Command::new(programs.join("fake-provider"));
        command.arg("--log").arg(&log).args(setting.fsync.then_some("--fsync"));
        let provider = Process::announced(&mut command)?;
        fs::write(folder.join("weir.toml"), settings(provider.address, setting))?;
        Ok(Self {
            provider,
            weir: weir.canonicalize()?,
            address: free_address()?,
            folder,
            keep: false,
            auditor: Auditor::new(log),
            price: Price::per_million(setting.price[0], setting.price[1])?,
            starts: 0,
        })
    }

    /// What a token costs here.
    pub fn price(&self) -> Price {
        self.price
    }

    /// Where Weir listens when it runs.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The provider's own log.
    pub fn log(&self) -> PathBuf {
        self.folder.join("provider.jsonl")
    }

    /// Where everything is written.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Leaves the folder where it is: something in it has to be looked at.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Starts Weir on the data directory of this name, and waits until it serves.
    pub fn start(&mut self, data: &str) -> anyhow::Result<Process> {
        let output = self.output();
        Process::polled(&mut self.command(data), self.address, &output)
    }

    /// Starts Weir and kills it before long, whatever it was doing.
    pub fn start_and_kill(&mut self, data: &str, after: Duration) -> anyhow::Result<()> {
        let output = fs::File::create(self.output())?;
        let mut command = self.command(data);
        let mut child = command.stdout(output.try_clone()?).stderr(output).spawn()?;
        std::thread::sleep(after);
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    fn output(&mut self) -> PathBuf {
        self.starts += 1;
        self.folder.join(format!("weir-{}.log", self.starts))
    }

    fn command(&self, data: &str) -> Command {
        let mut command = Command::new(&self.weir);
        command
            .args(["serve", "--listen", &self.address.to_string(), "--data", data])
            .env_clear()
            .env("PROXY_MASTER_KEY", MASTER_KEY)
            .env("WEIR_LOG", "warn")
            .current_dir(&self.folder);
        command
    }

    /// What the last Weir said that it must never say.
    pub fn said_wrong(&self) -> anyhow::Result<Vec<String>> {
        let text = fs::read_to_string(self.folder.join(format!("weir-{}.log", self.starts)))?;
        let wrong = ["panicked", "more than the most the call could use"];
        let lines = text.lines().filter(|line| wrong.iter().any(|wrong| line.contains(wrong)));
        Ok(lines.map(str::to_owned).collect())
    }

    /// Asks Weir as its operator: status and JSON.
    pub fn administer(&self, method: &str, path: &str, body: &str) -> anyhow::Result<(u16, Value)> {
        let head = format!("{method} {path} HTTP/1.1\r\nauthorization: Bearer {MASTER_KEY}");
        let (status, body) = exchange(self.address, &head, body)?;
        Ok((status, serde_json::from_str(&body).unwrap_or_default()))
    }

    /// The same, where it must succeed.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Value> {
        let (status, answer) = self.administer(method, path, body)?;
        ensure!((200..300).contains(&status), "{method} {path} {body}: {status} {answer}");
        Ok(answer)
    }

    /// Waits until the provider is done with every call, and nothing more comes.
    pub fn quiet(&mut self) -> anyhow::Result<()> {
        let mut still = 0;
        for _ in 0..4_000 {
            let lines = self.auditor.read()?;
            still = if lines == 0 && self.auditor.open() == 0 { still + 1 } else { 0 };
            if still >= 8 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let open = self.auditor.open();
        anyhow::bail!("{open} calls are still open at the provider at {}", self.provider.address)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !self.keep {
            // A leftover in the directory for temporary files is no reason to fail.
            fs::remove_dir_all(&self.folder).ok();
        }
    }
}

fn settings(provider: SocketAddr, setting: Setting<'_>) -> String {
    let Setting { price: [input, output], silence, .. } = setting;
    let mut text = format!(
        "first_byte_timeout = {silence}\nsilence_timeout = {silence}\ndrain_timeout = {silence}\n"
    );
    for (name, kind, base) in [("books", "openai", "/v1"), ("letters", "anthropic", "")] {
        write!(
            text,
            "[providers.{name}]\nkind = \"{kind}\"\ncatalogue = \"{kind}\"\n\
             base_url = \"http://{provider}{base}\"\napi_key = \"sk-fake\"\n[[prices]]\nprovider = \"{name}\"\nmodel = \"m\"\n\
             input = \"{input}\"\noutput = \"{output}\"\ncontext_tokens = 100000\n\
             max_output_tokens = {LONGEST}\n"
        )
        .expect("a text takes what is written");
    }
    text += "[aliases]\n";
    for number in 0..NAMES {
        let provider = if is_anthropic(number) { "letters" } else { "books" };
        writeln!(text, "{} = \"{provider}/m\"", name(number)).expect("a text takes a line");
    }
    text
}

/// The name of a key's call of this number.
pub fn name(number: usize) -> String {
    format!("t-{number:04}")
}

/// Whether the calls of this number speak Anthropic's dialect.
pub fn is_anthropic(number: usize) -> bool {
    number % 8 == 7
}
