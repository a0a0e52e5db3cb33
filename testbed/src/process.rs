//! A program under measurement or attack: started, watched through `/proc`, signalled, and killed
//! when dropped.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// Linux counts processor time for `/proc` in hundredths of a second on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// How long a program may take to be ready.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running program.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// From starting it until it was ready.
    pub ready_after: Duration,
}

impl Process {
    /// Starts a program that says `listening on http://ADDRESS` when it is ready.
    pub fn announced(command: &mut Command) -> anyhow::Result<Self> {
        let started = Instant::now();
        let mut child = spawn(command.stdout(Stdio::piped()))?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the output is piped")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let ready_after = started.elapsed();
        let address = line.trim().rsplit("http://").next().unwrap_or_default().parse();
        let address = address.with_context(|| format!("{command:?} said `{}`", line.trim()))?;
        Ok(Self { child, address, ready_after })
    }

    /// Starts a program that answers `GET /readyz` with 200 when it is ready. What it prints goes
    /// to the file `output`.
    pub fn polled(
        command: &mut Command,
        address: SocketAddr,
        output: &Path,
    ) -> anyhow::Result<Self> {
        let file = fs::File::create(output)?;
        let started = Instant::now();
        let child = spawn(command.stdout(file.try_clone()?).stderr(file))?;
        let mut process = Self { child, address, ready_after: Duration::ZERO };
        loop {
            let answer = exchange(address, "GET /readyz HTTP/1.1", "");
            if answer.is_ok_and(|(status, _)| status == 200) {
                process.ready_after = started.elapsed();
                return Ok(process);
            }
            let ended = process.child.try_wait()?;
            if ended.is_some() || started.elapsed() > PATIENCE {
                let said = fs::read_to_string(output).unwrap_or_default();
                bail!("{command:?} did not become ready ({ended:?}); it said:\n{said}");
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends it as a power cut would, as far as the process can tell: nothing of it runs any more.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends a signal by its name: `STOP`, `CONT`, `TERM`.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()?;
        ensure!(status.success(), "the signal {name} could not be sent");
        Ok(())
    }

    /// Waits until it has ended by itself; gives whether it ended well.
    pub fn ended(&mut self, patience: Duration) -> anyhow::Result<bool> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.success());
            }
            ensure!(started.elapsed() < patience, "it did not end within {patience:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// The processor time it has used, in user and kernel together.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name is in parentheses and may contain anything: count from behind it.
        let (_, fields) = stat.rsplit_once(')').context("stat has a name")?;
        let mut ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
        let (Some(Ok(user)), Some(Ok(kernel))) = (ticks.next(), ticks.next()) else {
            bail!("stat has no times: {stat}");
        };
        Ok(TICK * (user + kernel))
    }

    /// The memory it holds, in bytes.
    pub fn resident(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        Ok(kib.context("status has no VmRSS")? * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; that is just as well.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(command: &mut Command) -> anyhow::Result<Child> {
    command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot start {command:?}"))
}

/// An address nobody listens on at this moment.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// One request on a connection of its own: status and body.
pub fn exchange(address: SocketAddr, head: &str, body: &str) -> anyhow::Result<(u16, String)> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let length = body.len();
    write!(
        socket,
        "{head}\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    ensure!(status.is_some(), "no HTTP answer: {answer}");
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status.unwrap_or(0), body.to_owned()))
}
