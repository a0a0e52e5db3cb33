//! The program as an operator meets it: the command line, starting, stopping, and what it says when
//! something cannot be used.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::world::program;

const MASTER: &str = "a-master-key-for-tests-only-0123456789";

fn weir(arguments: &[&str], env: &[(&str, &str)], directory: &tempfile::TempDir) -> Output {
    command(arguments, env, directory).output().unwrap()
}

fn command(arguments: &[&str], env: &[(&str, &str)], directory: &tempfile::TempDir) -> Command {
    let mut command = Command::new(program("weir"));
    command.args(arguments).env_clear().envs(env.iter().copied()).current_dir(directory.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

struct Running {
    child: Child,
    greeting: String,
}

impl Running {
    /// Starts `weir serve` on a free port and reads until it has said what a person needs.
    fn start(env: &[(&str, &str)], directory: &tempfile::TempDir) -> Self {
        let mut child =
            command(&["serve", "--listen", "127.0.0.1:0"], env, directory).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("What it cost") {
            assert!(out.read_line(&mut greeting).unwrap() > 0, "it ended early: {greeting}");
        }
        Self { child, greeting }
    }

    fn url(&self) -> &str {
        self.greeting.lines().find_map(|line| line.split_once("listening on ")).unwrap().1
    }

    fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_first_start_shows_a_master_key_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Running::start(&[], &directory);
    assert!(first.greeting.contains("export PROXY_MASTER_KEY=weir_master_"), "{}", first.greeting);
    assert!(first.greeting.contains("demo/story"));
    first.signal("-TERM");
    assert!(first.child.wait().unwrap().success());
    let second = Running::start(&[], &directory);
    assert!(!second.greeting.contains("weir_master_"), "{}", second.greeting);
}

#[test]
fn what_cannot_be_used_is_said_in_one_sentence_and_the_exit_code_is_not_zero() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(&[("PROXY_MASTER_KEY", MASTER)], &directory);
    let address = running.url().trim_start_matches("http://").to_owned();
    std::fs::write(directory.path().join("file"), "x").unwrap();
    std::fs::write(directory.path().join("broken.toml"), "listen = ").unwrap();
    std::fs::write(directory.path().join("unknown.toml"), "lisen = \"x\"").unwrap();
    std::fs::write(directory.path().join("secretless.toml"), "[providers.openai]\n").unwrap();
    for (arguments, env, says) in [
        (&["serve", "--data", "other", "--listen", &address][..], &[][..], "uses this port"),
        (&["serve", "--listen", "127.0.0.1:0"], &[], "in use by another process"),
        (&["serve", "--data", "file", "--listen", "127.0.0.1:0"], &[], "not a directory"),
        (&["serve", "--data", "no/such/place", "--listen", "127.0.0.1:0"], &[], "does not exist"),
        (&["serve", "--config", "broken.toml"], &[], "broken in line 1"),
        (&["serve", "--config", "missing.toml"], &[], "cannot be read"),
        (&["serve", "--config", "unknown.toml"], &[], "'lisen' that does not exist"),
        (&["serve", "--config", "secretless.toml"], &[], "OPENAI_API_KEY"),
        (&["serve", "--listen", "nowhere"], &[], "flag --listen"),
        (&["serve"], &[("WEIR_DURABILITY", "hope")], "environment WEIR_DURABILITY"),
        (&["serve"], &[("PROXY_MASTER_KEY", "short")], "shorter than 16"),
        (&["serve"], &[("PROXY_MASTER_KEY", "please-change-me-now")], "placeholder"),
        (
            &["serve"],
            &[("OPENAI_API_KEY", "sk-x"), ("OPENAI_BASE_URL", "ftp://x")],
            "neither http nor https",
        ),
    ] {
        let output = weir(arguments, env, &directory);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said.contains(says), "{arguments:?} {env:?}: {said}");
        assert_eq!(said.trim().lines().count(), 1, "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

// M57: the default password is refused before others can reach it.
#[test]
fn m57_the_default_password_is_changed_before_weir_listens_beyond_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    let output =
        weir(&["serve", "--listen", "0.0.0.0:0"], &[("PROXY_MASTER_KEY", MASTER)], &directory);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(
        said.contains("'admin'") && said.contains("config.json") && said.contains("127.0.0.1"),
        "{said}"
    );
    std::fs::write(directory.path().join("config.json"), r#"{"password": "a-good-password"}"#)
        .unwrap();
    let env = [("PROXY_MASTER_KEY", MASTER), ("WEIR_LISTEN", "0.0.0.0:0")];
    let mut child = command(&["serve"], &env, &directory).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut greeting = String::new();
    while !greeting.contains("listening on") && out.read_line(&mut greeting).unwrap() > 0 {}
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(greeting.contains("listening on http://0.0.0.0:"), "{greeting}");
}

#[test]
fn providers_prices_and_the_trail_are_administered_from_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    let env = [("PROXY_MASTER_KEY", MASTER), ("OPENAI_API_KEY", "sk-x")];
    let mut running = Running::start(&env, &directory);
    running.signal("-TERM");
    running.child.wait().unwrap();
    let administer = |arguments: &[&str]| {
        let output = weir(arguments, &env, &directory);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let url = "https://mine.example/v1";
    let added = administer(&["provider", "add", "mine", "--base-url", url, "--models", "own-*"]);
    assert!(added.contains("mine") && added.contains("store"), "{added}");
    let listed = administer(&["provider", "list"]);
    assert!(listed.contains("openai") && listed.contains("settings"), "{listed}");
    let set = administer(&["price", "set", "mine/own-1", "--input", "1.25", "--output", "5"]);
    assert!(set.contains("1.25") && set.contains("own-1"), "{set}");
    assert!(administer(&["price", "list", "--provider", "mine"]).contains("own-1"));
    assert_eq!(administer(&["price", "reset", "mine/own-1"]), "Deleted mine/own-1.\n");
    assert!(administer(&["credential", "list", "openai"]).contains("openai#1"));
    assert_eq!(administer(&["provider", "remove", "mine"]), "Deleted mine.\n");
    let trail = administer(&["audit", "--subject", "mine"]);
    assert!(trail.contains("provider.create") && trail.contains("provider.delete"), "{trail}");
    let odd = weir(&["provider", "remove", "mine?x"], &env, &directory);
    assert!(String::from_utf8_lossy(&odd.stderr).contains("There is no such URL"));
}

#[test]
fn keys_are_administered_from_the_command_line_beside_a_running_weir_and_without_one() {
    let directory = tempfile::tempdir().unwrap();
    let env = [("PROXY_MASTER_KEY", MASTER)];
    let administer = |arguments: &[&str], listen: Option<&str>| {
        let mut arguments = arguments.to_vec();
        if let Some(listen) = listen {
            arguments.extend(["--listen", listen]);
        }
        let output = weir(&arguments, &env, &directory);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let run = |listen: Option<&str>, name: &str| {
        let made = administer(
            &[
                "key",
                "create",
                name,
                "--limit",
                "5",
                "--limit-reset",
                "daily",
                "--allow-model",
                "demo/*",
                "--json",
            ],
            listen,
        );
        let made: serde_json::Value = serde_json::from_str(&made).unwrap();
        let id = made["data"]["hash"].as_str().unwrap().to_owned();
        assert!(made["key"].as_str().unwrap().starts_with("lr_live_"));
        let list = administer(&["key", "list"], listen);
        assert!(
            list.contains(&id) && list.contains("$5 daily") && list.contains("demo/*"),
            "{list}"
        );
        assert!(administer(&["key", "disable", &id], listen).contains("disabled"));
        assert!(administer(&["key", "enable", &id], listen).contains("active"));
        assert!(administer(&["key", "show", &id], listen).contains(name));
        let rotated = administer(&["key", "rotate", &id, "--grace-seconds", "60"], listen);
        assert!(rotated.contains("lr_live_") && rotated.contains("shown this once"), "{rotated}");
        assert!(administer(&["key", "delete", &id], listen).contains("opens nothing any more"));
        assert!(administer(&["usage", "--by", "key,day"], listen).contains("total"));
    };
    let missing = weir(&["key", "list", "--data", "daat"], &env, &directory);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("there is no data directory daat"));
    let mut running = Running::start(&env, &directory);
    running.signal("-TERM");
    running.child.wait().unwrap();
    run(None, "offline");
    let running = Running::start(&env, &directory);
    let address = running.url().trim_start_matches("http://").to_owned();
    run(Some(&address), "online");
    let output = weir(&["key", "list", "--listen", &address], &[], &directory);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("set PROXY_MASTER_KEY"), "{said}");
}

#[test]
fn config_check_tells_where_every_value_is_from_and_shows_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("weir.toml"), "durability = \"power\"\n[providers.vllm]\nbase_url = \"http://10.0.0.5/v1\"\napi_key = \"${VLLM}\"\n").unwrap();
    let env = [
        ("WEIR_THREADS", "3"),
        ("OPENAI_API_KEY", "sk-secret-one, sk-secret-two"),
        ("VLLM", "sk-secret-three"),
        ("PROXY_MASTER_KEY", MASTER),
    ];
    let output = weir(&["config", "check", "--listen", "127.0.0.1:9000"], &env, &directory);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for expected in [
        "flag --listen",
        "environment WEIR_THREADS",
        "file weir.toml",
        "default",
        "openai#1, openai#2",
        "vllm#1",
        "http://10.0.0.5/v1",
        "environment OPENAI_API_KEY",
        "environment PROXY_MASTER_KEY",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(!said.contains("sk-secret") && !said.contains(MASTER), "{said}");
}

#[test]
fn the_example_of_the_settings_is_what_the_program_prints_and_can_be_used() {
    let directory = tempfile::tempdir().unwrap();
    let output = weir(&["config", "example"], &[], &directory);
    let printed = String::from_utf8(output.stdout).unwrap();
    let committed =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../config.example.toml"))
            .unwrap();
    assert_eq!(printed, committed, "run `make example`");
    std::fs::write(directory.path().join("weir.toml"), printed).unwrap();
    assert!(weir(&["config", "check"], &[], &directory).status.success());
}

/// Every file below a folder.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn post(url: &str, secret: &str, body: &str) -> String {
    let bearer = format!("authorization: Bearer {secret}");
    let arguments = ["-sN", url, "-H", &bearer, "-H", "content-type: application/json", "-d", body];
    let output = Command::new("curl").args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn make_key(url: &str) -> String {
    let made = post(&format!("{url}/api/v1/keys"), MASTER, r#"{"name":"k"}"#);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    made["key"].as_str().unwrap().to_owned()
}

#[test]
fn no_secret_is_in_a_log_or_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let provider = crate::world::Provider::start();
    let base = format!("{}/v1", provider.url);
    let env = [
        ("PROXY_MASTER_KEY", MASTER),
        ("OPENAI_API_KEY", "sk-canary-credential-of-the-operator"),
        ("OPENAI_BASE_URL", base.as_str()),
        ("WEIR_LOG", "trace"),
    ];
    let mut running = Running::start(&env, &directory);
    let url = running.url().to_owned();
    let secret = make_key(&url);
    let credentials = format!("{url}/api/v1/providers/openai/credentials");
    let added = r#"{"secret":"sk-canary-credential-by-api","label":"x"}"#;
    assert!(post(&credentials, MASTER, added).contains("-api"), "its end is shown");
    let chat = format!("{url}/v1/chat/completions");
    for script in [
        "{}",
        r#"{\"status\":500,\"error_body\":{\"error\":{\"message\":\"canary-prompt\"}}}"#,
        r#"{\"status\":500,\"error_body\":\"canary-prompt\"}"#,
        r#"{\"garbage\":\"html\"}"#,
        r#"{\"status\":401}"#,
    ] {
        let body = format!(
            r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"canary-prompt <<{script}>>"}}]}}"#
        );
        post(&chat, &secret, &body);
        post(&chat, "sk-canary-of-nobody", &body);
    }
    running.signal("-TERM");
    let mut log = String::new();
    running.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains("a provider refused our credential"), "{log}");
    assert!(log.contains("the provider answered 500"), "{log}");
    let mut sinks = vec![("the log".to_owned(), log.into_bytes())];
    for path in files(&directory.path().join("data")) {
        sinks.push((path.display().to_string(), std::fs::read(&path).unwrap()));
    }
    assert!(sinks.len() > 3);
    for canary in [
        secret.as_str(),
        MASTER,
        "sk-canary-credential-of-the-operator",
        "sk-canary-credential-by-api",
        "sk-canary-of-nobody",
        "canary-prompt",
    ] {
        for (name, bytes) in &sinks {
            let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!found, "{name} holds {canary}");
        }
    }
}

#[test]
fn rows_and_keys_outlive_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let env = [("PROXY_MASTER_KEY", MASTER)];
    let mut secret = String::new();
    for round in 1..=3 {
        let mut running = Running::start(&env, &directory);
        let url = running.url().to_owned();
        if secret.is_empty() {
            secret = make_key(&url);
        }
        let body = r#"{"model":"demo/echo","messages":[{"role":"user","content":"x"}]}"#;
        for _ in 0..5 {
            assert!(post(&format!("{url}/v1/chat/completions"), &secret, body).contains("usage"));
        }
        // A row is written within a millisecond or two of its answer.
        std::thread::sleep(Duration::from_millis(50));
        running.signal("-KILL");
        running.child.wait().unwrap();
        let usage = weir(&["usage", "--json"], &env, &directory);
        let usage: serde_json::Value = serde_json::from_slice(&usage.stdout).unwrap();
        assert_eq!(usage["totals"]["calls"], round * 5);
    }
}

/// Makes the key `name` under that name; what was answered, where anything was.
fn make_once(url: &str, name: &str) -> Option<serde_json::Value> {
    let (url, body) = (format!("{url}/internal/api-keys"), format!(r#"{{"name":"{name}"}}"#));
    let headers =
        [format!("authorization: Bearer {MASTER}"), format!("idempotency-key: of-{name}")];
    let arguments = ["-s", &url, "-H", &headers[0], "-H", &headers[1], "-d", &body];
    let output = Command::new("curl").args(arguments).output().unwrap();
    serde_json::from_slice(&output.stdout).ok()
}

/// Whoever gets no answer, because Weir was killed, asks again: whatever was begun is there once.
#[test]
fn a_key_is_made_once_across_kills() {
    let directory = tempfile::tempdir().unwrap();
    let env = [("PROXY_MASTER_KEY", MASTER)];
    for round in 0..3 {
        let mut running = Running::start(&env, &directory);
        let url = running.url();
        let work = |thread: u64| {
            let name = |number| format!("{round}-{thread}-{number}");
            let answers =
                (0..).map_while(|number| Some((name(number), make_once(url, &name(number))?)));
            let mut asked: Vec<_> = answers.map(|(name, answer)| (name, Some(answer))).collect();
            asked.push((name(asked.len()), None));
            asked
        };
        let asked: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6).map(|thread| scope.spawn(move || work(thread))).collect();
            std::thread::sleep(Duration::from_millis(300 + 70 * round));
            running.signal("-KILL");
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        running.child.wait().unwrap();
        drop(running);
        let running = Running::start(&env, &directory);
        for (name, answer) in &asked {
            let again = make_once(running.url(), name).unwrap();
            match answer {
                Some(answer) => assert_eq!(&again, answer),
                None => assert!(
                    again["key"].is_string() || again["error"]["code"] == "idempotency_answer_lost",
                    "{again}"
                ),
            }
        }
        let list = format!("{}/internal/api-keys?page_size=999", running.url());
        let bearer = format!("authorization: Bearer {MASTER}");
        let listed = Command::new("curl").args(["-s", &list, "-H", &bearer]).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        for (name, _) in &asked {
            assert_eq!(listed.matches(&format!("\"{name}\"")).count(), 1, "{name}: {listed}");
        }
    }
}

#[test]
fn a_stop_lets_calls_in_flight_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = Running::start(&[("PROXY_MASTER_KEY", MASTER)], &directory);
    let url = running.url().to_owned();
    let curl = |arguments: &[&str]| {
        let output = Command::new("curl").arg("-sN").args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let made = curl(&[
        &format!("{url}/api/v1/keys"),
        "-H",
        &format!("authorization: Bearer {MASTER}"),
        "-H",
        "content-type: application/json",
        "-d",
        r#"{"name":"k"}"#,
    ]);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let secret = made["key"].as_str().unwrap().to_owned();
    let story = std::thread::spawn(move || {
        let body = r#"{"model":"demo/story","stream":true,"max_tokens":30,"messages":[{"role":"user","content":"x"}]}"#;
        curl(&[
            &format!("{url}/v1/chat/completions"),
            "-H",
            &format!("authorization: Bearer {secret}"),
            "-H",
            "content-type: application/json",
            "-d",
            body,
        ])
    });
    std::thread::sleep(Duration::from_millis(400));
    running.signal("-TERM");
    let mut rest = String::new();
    running.child.stderr.take().unwrap().read_to_string(&mut rest).unwrap();
    assert!(running.child.wait().unwrap().success(), "{rest}");
    let story = story.join().unwrap();
    assert!(story.ends_with("data: [DONE]\n\n"), "{story}");
    let usage = weir(&["usage", "calls", "--json"], &[], &directory);
    assert!(String::from_utf8_lossy(&usage.stdout).contains(r#""ending":"complete""#));
}
