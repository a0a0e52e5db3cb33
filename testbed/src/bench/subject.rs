//! The three that are compared: the fake provider itself, the bare proxy in front of it, and Weir
//! in front of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, process};

use anyhow::{Context, ensure};
use http::Uri;
use serde_json::{Value, json};

use super::Plan;
use crate::load::Target;
use crate::process::{Process, exchange, free_address};

/// What Weir is told to accept for administration.
const MASTER_KEY: &str = "sk-bench-master-key-0123456789abcdef";

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Nobody in between.
    Direct,
    /// The do-nothing proxy.
    Bare,
    /// Weir.
    Weir,
}

impl Role {
    /// All three, in the order they take turns.
    pub const ALL: [Self; 3] = [Self::Direct, Self::Bare, Self::Weir];
}

/// One of the three, running.
#[derive(Debug)]
pub struct Subject {
    /// Which.
    pub role: Role,
    /// The process that does the work.
    pub process: Process,
    /// Where to ask, and with what secret.
    pub target: Target,
}

/// Everything that runs during the benchmark, and where it keeps its files.
#[derive(Debug)]
pub struct Stage {
    // Fields drop in order: the directory has to outlive those that write to it.
    subjects: Vec<Subject>,
    programs: PathBuf,
    threads: usize,
    weir: Option<PathBuf>,
    plain_key: bool,
    scratch: Scratch,
}

impl Stage {
    /// Starts all three.
    pub fn set(plan: &Plan) -> anyhow::Result<Self> {
        let fake = Process::announced(
            Command::new(plan.programs.join("fake-provider"))
                .args(["--log", "none", "--threads"])
                .arg(plan.threads.to_string()),
        )?;
        let target = target(&fake, "sk-fake".to_owned())?;
        let direct = Subject { role: Role::Direct, process: fake, target };
        let mut stage = Self {
            subjects: vec![direct],
            programs: plan.programs.clone(),
            threads: plan.threads,
            weir: plan.weir.clone(),
            plain_key: plan.plain_key,
            scratch: Scratch::new()?,
        };
        for role in [Role::Bare, Role::Weir] {
            let data = stage.scratch.fresh("data")?;
            let subject = stage.start(role, &data)?;
            stage.subjects.push(subject);
        }
        Ok(stage)
    }

    /// The three.
    pub fn subjects(&self) -> &[Subject] {
        &self.subjects
    }

    /// The one that plays `role`.
    pub fn subject(&self, role: Role) -> &Subject {
        self.subjects.iter().find(|subject| subject.role == role).expect("all three are on stage")
    }

    /// A directory that nothing has been kept in.
    pub fn fresh_data(&self) -> anyhow::Result<PathBuf> {
        self.scratch.fresh("data")
    }

    /// Starts one more of a kind, with its data in `data`, and makes it ready to be asked.
    pub fn start(&self, role: Role, data: &Path) -> anyhow::Result<Subject> {
        let process = self.launch(role, data)?;
        let secret = match (role, &self.weir) {
            (Role::Weir, Some(_)) if self.plain_key => issue_plain(&process)?,
            (Role::Weir, Some(_)) => issue_limited(&process)?,
            _ => "sk-fake".to_owned(),
        };
        let target = target(&process, secret)?;
        Ok(Subject { role, process, target })
    }

    /// Starts one more of a kind, and no more.
    pub fn launch(&self, role: Role, data: &Path) -> anyhow::Result<Process> {
        let upstream = self.subject(Role::Direct).process.address;
        match (role, &self.weir) {
            (Role::Weir, Some(weir)) => {
                let address = free_address()?;
                let mut command = Command::new(weir);
                command
                    .args(["serve", "--listen", &address.to_string(), "--data"])
                    .arg(data)
                    .env_clear()
                    .envs(env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"))
                    .env("OPENAI_API_KEY", "sk-fake")
                    .env("OPENAI_BASE_URL", format!("http://{upstream}/v1"))
                    .env("PROXY_MASTER_KEY", MASTER_KEY);
                Process::polled(&mut command, address, &self.scratch.fresh("output")?.join("log"))
            }
            _ => Process::announced(
                Command::new(self.programs.join("bare-proxy"))
                    .args(["--upstream", &format!("http://{upstream}")])
                    .args(["--threads", &self.threads.to_string()]),
            ),
        }
    }
}

fn target(process: &Process, secret: String) -> anyhow::Result<Target> {
    let base: Uri = format!("http://{}/v1", process.address).parse()?;
    Ok(Target { base, secret })
}

/// Makes a key with everything switched on, and returns its secret: rules about prices, five limits
/// of its own, and more of them on its user, team and project. No amount is ever reached.
fn issue_limited(weir: &Process) -> anyhow::Result<String> {
    let (tokens, dollars) = (1_000_000_000_000_000_i64, 1_000_000_000_i64);
    let id = |answer: &Value| answer["id"].as_str().map(str::to_owned).context("no `id`");
    let money = json!({ "name": "bench", "limit": dollars, "limit_reset": "monthly" });
    let project = id(&made(weir, "projects", &money)?)?;
    let team = json!({ "name": "bench", "tpm_limit": tokens, "daily_token_limit": tokens,
        "limit": dollars });
    let team = id(&made(weir, "teams", &team)?)?;
    let user = json!({ "external_id": "bench", "team_id": team, "tpm_limit": tokens,
        "limit": dollars, "limit_reset": "weekly" });
    let user = id(&made(weir, "users", &user)?)?;
    let key = json!({ "name": "bench", "project_id": project, "user_id": user,
        "rpm": 1_000_000_000, "tpm_limit": tokens, "daily_token_limit": tokens,
        "limit": dollars, "recurring_limit": { "amount": dollars, "every": 1, "unit": "day" },
        "max_price": { "input": 100, "output": 200 }, "denied_models": ["o1-pro"] });
    secret_of(&made(weir, "keys", &key)?)
}

/// Makes a key without limits or rules, and returns its secret.
fn issue_plain(weir: &Process) -> anyhow::Result<String> {
    secret_of(&made(weir, "keys", &json!({ "name": "bench" }))?)
}

fn secret_of(answer: &Value) -> anyhow::Result<String> {
    Ok(answer["key"].as_str().context("the new key has no `key`")?.to_owned())
}

fn made(weir: &Process, what: &str, body: &Value) -> anyhow::Result<Value> {
    let head = format!("POST /api/v1/{what} HTTP/1.1\r\nauthorization: Bearer {MASTER_KEY}");
    let (status, answer) = exchange(weir.address, &head, &body.to_string())?;
    ensure!((200..300).contains(&status), "{what}: nothing was made: {status} {answer}");
    serde_json::from_str(&answer).context("what was made is no JSON")
}

/// A directory for this run, removed with all that is in it when the run is over.
#[derive(Debug)]
struct Scratch {
    root: PathBuf,
}

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let root = env::temp_dir().join(format!("weir-bench-{}", process::id()));
        fs::create_dir_all(&root)?;
        Ok(Self { root })
    }

    fn fresh(&self, name: &str) -> anyhow::Result<PathBuf> {
        let taken = fs::read_dir(&self.root)?.count();
        let path = self.root.join(format!("{name}-{taken}"));
        fs::create_dir(&path)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover in the directory for temporary files is no reason to fail.
        fs::remove_dir_all(&self.root).ok();
    }
}
