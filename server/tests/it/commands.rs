//! The command line against a running Weir: what each command says to a person, to a script, and
//! when something is wrong.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::world::{MASTER, World, program};

/// Runs `weir` against `world`.
pub(crate) fn weir(world: &World, arguments: &[&str]) -> Output {
    weir_with(world, arguments, "")
}

/// The same, with something on standard input.
fn weir_with(world: &World, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(program("weir"))
        .args(arguments)
        .args(["--server", &world.address().to_string()])
        .env_clear()
        .env("PROXY_MASTER_KEY", MASTER)
        .env("NEW_SECRET", "a-secret-of-the-environment")
        .current_dir(world.data.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// What it says, where it succeeds.
#[track_caller]
pub(crate) fn said(world: &World, arguments: &[&str]) -> String {
    said_with(world, arguments, "")
}

#[track_caller]
fn said_with(world: &World, arguments: &[&str], input: &str) -> String {
    let output = weir_with(world, arguments, input);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// `text` without what is another in every run.
fn masked(text: &str, ids: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (id, name) in ids {
        text = text.replace(id, &format!("{name:width$}", width = id.len()));
    }
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

const KEY: [&str; 14] = [
    "key",
    "create",
    "app",
    "--limit",
    "5.50",
    "--limit-reset",
    "monthly",
    "--rpm",
    "60",
    "--recurring",
    "10 per 6 hours",
    "--allow-model",
    "gpt-4o,claude-*",
    "--max-price=3/15",
];

#[test]
fn a_key_is_told_in_facts_and_lists_in_rows() {
    let world = World::new();
    let made = said(&world, &KEY);
    let secret = made.lines().last().unwrap();
    assert!(secret.starts_with("lr_live_"), "{made}");
    let list: Value = serde_json::from_str(&said(&world, &["key", "list", "--json"])).unwrap();
    let id = list["data"][0]["hash"].as_str().unwrap();
    let label = list["data"][0]["label"].as_str().unwrap();
    let mask = [(id, "KEY"), (label, "LABEL")];
    let shown = masked(&said(&world, &["key", "show", id]), &mask);
    assert_eq!(
        shown,
        "\
id                    KEY
name                  app
type                  regular
secret                LABEL
status                active
spent                 $0
limit                 $5.5 monthly
left                  $5.5
recurring limit       $10 per 6 hours, $10 left
requests per minute   60
models                gpt-4o, claude-*
dearest price         $3 / $15
project               proj_00000000000000000000000000
created               2027-01-15 08:00:00 UTC
updated               2027-01-15 08:00:00 UTC
revision              1"
    );
    let listed = masked(&said(&world, &["key", "list"]), &mask);
    assert_eq!(
        listed,
        "\
id                               name   type      secret            status   limit          spent   models             providers
─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
KEY                              app    regular   LABEL             active   $5.5 monthly      $0   gpt-4o, claude-*   -"
    );
    let effective = masked(&said(&world, &["key", "effective", id]), &mask);
    assert!(
        effective.contains("key     app    requests       60   60 seconds   hard"),
        "{effective}"
    );
    assert!(effective.contains("key        app        gpt-4o, claude-*"), "{effective}");
}

#[test]
fn a_key_is_changed_switched_and_ended() {
    let world = World::new();
    let made = world.post("/api/v1/keys", MASTER, &json!({"name": "k", "rpm": 5})).is(201).json();
    let id = made["data"]["hash"].as_str().unwrap();
    let key = || world.get(&format!("/api/v1/keys/{id}"), MASTER).is(200).json()["data"].clone();
    let changed = [
        "key",
        "update",
        id,
        "--name",
        "other",
        "--rpm",
        "none",
        "--tpm",
        "9",
        "--daily-tokens",
        "10",
        "--parallel",
        "2",
        "--deny-model",
        "gpt-4o",
        "--allow-address",
        "10.0.0.0/8",
        "--expires",
        "2028-01-01T00:00:00Z",
        "--recurring",
        "2 per month",
    ];
    let shown = said(&world, &changed);
    assert!(shown.contains("all but gpt-4o") && shown.contains("$2 per month, $2 left"), "{shown}");
    let now = key();
    for (member, value) in [
        ("name", json!("other")),
        ("rpm", Value::Null),
        ("tpm_limit", json!(9)),
        ("daily_token_limit", json!(10)),
        ("max_parallel", json!(2)),
        ("denied_models", json!(["gpt-4o"])),
        ("allowed_addresses", json!(["10.0.0.0/8"])),
        ("expires_at", json!("2028-01-01T00:00:00Z")),
    ] {
        assert_eq!(now[member], value, "{member}");
    }
    said(
        &world,
        &["key", "update", id, "--expires", "none", "--deny-model", "none", "--recurring", "none"],
    );
    let now = key();
    assert!(
        now["expires_at"].is_null()
            && now["denied_models"].is_null()
            && now["recurring_limit"].is_null()
    );
}

#[test]
fn a_key_is_explained_switched_and_ended() {
    let world = World::new();
    let made = world.key(&json!({"allowed_addresses": ["10.0.0.0/8"]}));
    let id = made.id.as_str();
    assert!(said(&world, &["key", "disable", id]).contains("disabled"));
    assert!(said(&world, &["key", "enable", id]).contains("active"));
    let explained = said(
        &world,
        &[
            "key",
            "explain",
            id,
            "gpt-4o",
            "--max-tokens",
            "5",
            "--message",
            "hi",
            "--ip",
            "10.1.1.1",
        ],
    );
    assert!(explained.starts_with("Allowed.") && explained.contains("10.0.0.0/8"), "{explained}");
    assert!(said(&world, &["key", "delete", id]).contains("opens nothing any more"));
}

#[test]
fn a_key_is_found_rotated_and_given_limits_and_rules_of_its_own() {
    let world = World::new();
    let key = world.key(&json!({"name": "app", "rpm": 5}));
    let found = said_with(&world, &["key", "lookup"], &key.secret);
    assert!(found.contains(&key.id) && !found.contains(&key.secret), "{found}");
    let rotated = said(&world, &["key", "rotate", &key.id, "--grace-seconds", "60"]);
    let secret = rotated.lines().last().unwrap();
    world.get("/api/v1/key", secret).is(200);
    world.get("/api/v1/key", &key.secret).is(200);
    let stdin = ["key", "rotate", key.id.as_str(), "--secret-stdin"];
    said_with(&world, &stdin, "a-secret-of-my-own");
    world.get("/api/v1/key", "a-secret-of-my-own").is(200);
    world.get("/api/v1/key", secret).refused(401, "key_revoked");
    let set = said(&world, &["key", "set-limits", &key.id, "--tpm", "7", "--limit", "3"]);
    assert!(set.contains("tokens per minute   7") && !set.contains("requests per minute"), "{set}");
    assert_eq!(said(&world, &["key", "limits", &key.id]), set);
    let set = said(&world, &["key", "set-rules", &key.id, "--deny-model", "gpt-4o"]);
    assert!(set.contains("all but gpt-4o"), "{set}");
    assert_eq!(said(&world, &["key", "rules", &key.id]), set);
    let lists = |arguments: &[&str]| {
        said(&world, &[&["key", "list"], arguments].concat()).contains(&key.id)
    };
    assert!(lists(&["--search", "AP", "--status", "active", "--type", "regular"]));
    assert!(!lists(&["--search", "other"]));
    said(&world, &["key", "delete", &key.id]);
    assert!(!lists(&[]) && lists(&["--include-revoked"]));
}

#[test]
fn secrets_come_from_standard_input_or_the_environment_and_are_no_arguments() {
    let world = World::new();
    let input =
        said_with(&world, &["key", "create", "a", "--secret-stdin"], "a-secret-of-my-own\n");
    assert!(input.contains("a-secret-of-my-own"), "{input}");
    world.get("/api/v1/key", "a-secret-of-my-own").is(200);
    said(&world, &["key", "create", "b", "--secret-env", "NEW_SECRET"]);
    world.get("/api/v1/key", "a-secret-of-the-environment").is(200);
    let nothing = weir_with(&world, &["key", "create", "c", "--secret-stdin"], "\n");
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("no secret on standard input"));
    let unset = weir(&world, &["key", "create", "c", "--secret-env", "NOWHERE"]);
    assert!(String::from_utf8_lossy(&unset.stderr).contains("NOWHERE is not set"));
    let argument = weir(&world, &["key", "create", "c", "--secret", "x"]);
    assert_eq!(argument.status.code(), Some(2));
}

#[test]
fn exit_codes_tell_a_no_from_nonsense_and_errors_are_the_apis_own() {
    let world = World::new();
    for (arguments, code, says) in [
        (&["key", "list"][..], 0, ""),
        (&["key", "show", "key_01aryz6s410000000000000000"], 1, "There is no such key."),
        (&["key", "show", "../../x y?z"], 1, "There is no such"),
        (&["key", "create", "x", "--rpm", "many"], 1, "'rpm' must be"),
        (&["key", "create", "x", "--limit", "-1"], 1, "'limit' must be"),
        (&["key", "create", "x", "--allow-model", "no-such"], 1, "no model that is known"),
        (&["key", "create", "x", "--recurring", "10 each day"], 1, "is no recurring limit"),
        (&["usage", "--by", "colour"], 1, "group_by"),
        (&["key", "create"], 2, "NAME"),
        (&["key"], 2, "Usage"),
        (&["keys"], 2, "unrecognized"),
        (&["key", "list", "--colour"], 2, "unexpected"),
    ] {
        let output = weir(&world, arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
        assert!(!error.contains("panicked"), "{error}");
    }
}

#[test]
fn owners_and_the_instance_are_shown_changed_and_told_what_applies_to_them() {
    let world = World::new();
    for noun in ["project", "team"] {
        let made = said(&world, &[noun, "create", "search", "--tpm", "1000", "--json"]);
        let made: Value = serde_json::from_str(&made).unwrap();
        let id = made["id"].as_str().unwrap();
        assert!(said(&world, &[noun, "list"]).contains(id));
        assert!(
            said(&world, &[noun, "update", id, "--name", "find", "--limit", "7"]).contains("$7")
        );
        assert!(said(&world, &[noun, "show", id]).contains("find"));
        assert!(said(&world, &[noun, "effective", id]).contains("find"));
    }
    let made: Value =
        serde_json::from_str(&said(&world, &["user", "create", "u-1", "--json"])).unwrap();
    assert_eq!(made["external_id"], "u-1");
    assert!(said(&world, &["user", "list"]).contains("u-1"));
    said(&world, &["instance", "update", "--limit", "100", "--deny-provider", "anthropic"]);
    assert_eq!(
        said(&world, &["instance", "show"]),
        "\
id          instance
limit       $100
left        $100
providers   all but anthropic
updated     2027-01-15 08:00:00 UTC
revision    2
"
    );
    assert_eq!(
        said(&world, &["instance", "effective"]),
        "\
whose      name       counts   amount   per        kept   spent   held   left   resets   set by
────────────────────────────────────────────────────────────────────────────────────────────────
instance   instance   money      $100   lifetime   hard      $0     $0   $100   -        own

whose      name       models   providers           pricing   dearest price   addresses
───────────────────────────────────────────────────────────────────────────────────────
instance   instance   -        all but anthropic   -         -               -
"
    );
}

#[test]
fn usage_is_told_in_sums_and_call_by_call() {
    let world = World::new();
    let key = world.any_key();
    let script = r#"{"prompt_tokens":100,"output_tokens":10}"#;
    world.chat(&key.secret, script).is(200);
    assert_eq!(
        said(&world, &["usage", "--by", "model,day"]),
        "\
from                      model    calls   failed   input tokens   output tokens       cost
────────────────────────────────────────────────────────────────────────────────────────────
2027-01-15 00:00:00 UTC   gpt-4o       1        0            100              10   $0.00035
-                         -            1        0            100              10   $0.00035

The last line is the total.
"
    );
    let calls = said(&world, &["usage", "calls", "--evidence", "reported"]);
    assert!(calls.contains("2027-01-15 08:00:00 UTC") && calls.contains("$0.00035"), "{calls}");
    assert_eq!(said(&world, &["usage", "calls", "--evidence", "estimated"]), "None.\n");
}

#[test]
fn leaders_are_told_with_their_ranks_and_the_total() {
    let world = World::new();
    let key = world.key(&json!({"name": "app"}));
    world.chat(&key.secret, r#"{"prompt_tokens":100,"output_tokens":10}"#).is(200);
    assert_eq!(
        said(&world, &["usage", "leaderboard", "--of", "models", "--by", "tokens"]),
        "\
rank   name     model    calls   failed   input tokens   output tokens       cost
──────────────────────────────────────────────────────────────────────────────────
   1   gpt-4o   gpt-4o       1        0            100              10   $0.00035
   -   -        -            1        0            100              10   $0.00035

The last line is the total.
"
    );
    let keys = said(&world, &["usage", "leaderboard", "--of", "keys", "--period", "all"]);
    assert!(keys.contains("app") && keys.contains(&key.id), "{keys}");
    assert_eq!(weir(&world, &["usage", "leaderboard", "--of", "cats"]).status.code(), Some(1));
}

#[test]
fn a_key_can_be_tried_before_it_is_made() {
    let world = World::new();
    let tried = said(&world, &["key", "create", "app", "--rpm", "5", "--dry-run"]);
    assert!(
        tried.contains("requests per minute   5") && !tried.contains("shown this once"),
        "{tried}"
    );
    assert_eq!(said(&world, &["key", "list"]), "None.\n");
    assert!(said(&world, &["key", "create", "app", "--disabled"]).contains("disabled"));
}

#[test]
fn a_shell_is_told_how_to_complete_commands() {
    let complete =
        |shell: &str| Command::new(program("weir")).args(["completions", shell]).output().unwrap();
    let output = complete("bash");
    let script = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && script.contains("complete -F _weir"), "{script:.200}");
    assert_eq!(complete("abacus").status.code(), Some(2));
}

#[test]
fn credentials_and_aliases_are_administered_and_a_secret_that_comes_in_is_not_shown() {
    let world = World::new();
    let secret = "sk-canary-that-comes-on-standard-input";
    let added = said_with(&world, &["credential", "add", "openai", "--label", "spare"], secret);
    assert!(added.contains("spare") && !added.contains(secret), "{added}");
    let list = said(&world, &["credential", "list", "openai", "--json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    let is_spare = |credential: &&Value| credential["label"] == "spare";
    let credential = list["data"].as_array().unwrap().iter().find(is_spare).unwrap();
    let id = credential["id"].as_str().unwrap();
    assert!(said(&world, &["credential", "disable", id]).contains("disabled"));
    assert!(said(&world, &["credential", "enable", id]).contains("active"));
    assert_eq!(said(&world, &["credential", "remove", id]), format!("Deleted {id}.\n"));
    said(&world, &["alias", "set", "fast", "openai/gpt-4o-mini"]);
    assert_eq!(
        said(&world, &["alias", "list"]),
        "\
alias   stands for           from    updated
─────────────────────────────────────────────────────────────
fast    openai/gpt-4o-mini   store   2027-01-15 08:00:00 UTC
"
    );
    assert_eq!(said(&world, &["alias", "remove", "fast"]), "Deleted fast.\n");
    assert_eq!(said(&world, &["alias", "list"]), "None.\n");
    let trail = said(&world, &["audit", "--action", "alias.create"]);
    assert!(trail.contains("operator   alias.create   fast"), "{trail}");
}
