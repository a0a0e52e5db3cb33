//! Moving here from elsewhere: what an import shows, what it makes, and that it makes nothing twice.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::commands::{said, weir};
use crate::world::{MASTER, World};

fn write(world: &World, name: &str, text: &str) {
    std::fs::write(world.data.path().join(name), text).unwrap();
}

/// SHA-256 of a secret, as other gateways keep it.
fn digest(secret: &str) -> String {
    let digest = serde_json::to_value(domain::Digest::of(secret.as_bytes())).unwrap();
    digest.as_str().unwrap().to_owned()
}

/// What the key that `secret` opens says about itself.
#[track_caller]
fn own(world: &World, secret: &str) -> Value {
    world.get("/api/v1/key", secret).is(200).json()["data"].clone()
}

#[test]
fn a_bridges_keys_keep_their_secrets_and_come_once() {
    let world = World::new();
    let file = json!({
        "password": "hunter2-of-the-bridge", "auth_tokens": ["arena-token"], "usage_stats": {},
        "api_keys": [
            {"name": "Main Key", "key": "sk-lmab-0a1b2c3d-0000", "rpm": 7, "created": 1_717_200_000},
            {"name": "Usual", "key": "sk-lmab-usual-0000-1111"},
            "sk-lmab-bare-0000-1111",
            {"name": "Digested", "key": format!("sha256:{}", digest("sk-lmab-digested"))},
            {"name": "Short", "key": "x"},
            {"name": "Nothing"},
        ],
    });
    write(&world, "bridge.json", &file.to_string());
    let shown = said(&world, &["import", "bridge", "bridge.json"]);
    assert_eq!(
        shown,
        "\
what   name                         about
───────────────────────────────────────────────────────────────────────────────────
key    Main Key            create   7 requests/min, created 2024-06-01
key    Usual               create   60 requests/min
key    config.json key 3   create   60 requests/min
key    Digested            create   60 requests/min
key    Short               cannot   A secret is 8 to 512 visible ASCII characters.
key    Nothing             cannot   it has no 'key'

Not taken over:
  config.json: auth_tokens
  config.json: password

4 to create, 0 exist already, 2 cannot be made. Nothing was changed; --apply does it.
"
    );
    assert_eq!(world.get("/api/v1/keys", MASTER).is(200).json()["data"], json!([]));
    let applied = weir(&world, &["import", "bridge", "bridge.json", "--apply"]);
    let text = String::from_utf8(applied.stdout).unwrap();
    assert!(text.contains("4 made, 0 existed already, 2 could not be made."), "{text}");
    assert_eq!(applied.status.code(), Some(1));
    let error = String::from_utf8(applied.stderr).unwrap();
    assert_eq!(error, "weir: 2 of 6 could not be made\n");
    assert!(!text.contains("sk-lmab") && !text.contains("hunter2") && !text.contains("arena"));
    for (secret, name, rpm) in [
        ("sk-lmab-0a1b2c3d-0000", "Main Key", 7),
        ("sk-lmab-usual-0000-1111", "Usual", 60),
        ("sk-lmab-bare-0000-1111", "config.json key 3", 60),
        ("sk-lmab-digested", "Digested", 60),
    ] {
        let key = own(&world, secret);
        assert_eq!((&key["name"], &key["rpm"]), (&json!(name), &json!(rpm)));
    }
    assert_eq!(own(&world, "sk-lmab-digested")["label"], "...");
    let again = weir(&world, &["import", "bridge", "bridge.json", "--apply"]);
    let again = String::from_utf8(again.stdout).unwrap();
    assert!(again.contains("0 made, 4 existed already, 2 could not be made."), "{again}");
    assert_eq!(world.get("/api/v1/keys", MASTER).json()["data"].as_array().unwrap().len(), 4);
}

fn openrouter() -> String {
    json!({"data": [
        {"hash": "f01d", "name": "web", "label": "sk-or-v1-0e6...1c96", "disabled": false, "limit": 12.345_678_9,
            "limit_remaining": 3.2, "limit_reset": "monthly", "include_byok_in_limit": true, "usage": 9.1, "usage_daily": 1,
            "created_at": "2025-08-24T10:30:00Z", "updated_at": null, "expires_at": "2027-12-31T23:59:59Z"},
        {"hash": "f02d", "name": "batch", "disabled": true, "limit": null, "usage": 0, "allowed_models": ["gpt-4o"],
            "allowed_providers": ["openai"], "recurring_limit": {"amount": 10, "every": 6, "unit": "hour", "spent": 2}},
        {"hash": "f03d", "name": "odd", "limit": 1, "allowed_models": ["no-such-model"]},
        {"hash": "f04d"},
    ]})
    .to_string()
}

#[test]
fn the_list_of_a_keys_api_becomes_keys_with_new_secrets_that_are_shown_once() {
    let world = World::new();
    write(&world, "keys.json", &openrouter());
    let shown = said(&world, &["import", "keys", "keys.json"]);
    assert_eq!(
        shown,
        "\
what   name                about
──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
key    web        create   $12.3456789 monthly, new secret
key    batch      create   $10 per 6 hours, models gpt-4o, providers openai, disabled, new secret
key    odd        cannot   'no-such-model' is no model that is known or configured here. A pattern with * is taken as it is, and so is everything with \"force\": true.
key    number 4   cannot   it has no name

Not taken over:
  key web: include_byok_in_limit
  key web: $9.1 spent there, which counts against no limit here

2 to create, 0 exist already, 2 cannot be made. Nothing was changed; --apply does it.
"
    );
    let forced = weir(&world, &["import", "keys", "keys.json", "--apply", "--force"]);
    let text = String::from_utf8(forced.stdout).unwrap();
    assert!(text.contains("3 made, 0 existed already, 1 could not be made."), "{text}");
    let secret = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{name}\t")));
        line.unwrap().split_once('\t').unwrap().1.to_owned()
    };
    let web = own(&world, &secret("web"));
    assert_eq!(web["limit"].to_string(), "12.3456789");
    assert_eq!(
        (&web["limit_reset"], &web["expires_at"]),
        (&json!("monthly"), &json!("2027-12-31T23:59:59Z"))
    );
    world.get("/api/v1/key", &secret("batch")).refused(401, "key_disabled");
    let again = weir(&world, &["import", "keys", "keys.json", "--apply", "--force"]);
    let again = String::from_utf8(again.stdout).unwrap();
    assert!(again.contains("0 made, 3 existed already") && !again.contains("lr_live_"), "{again}");
}

#[test]
fn new_secrets_go_to_a_file_for_nobody_elses_eyes() {
    let world = World::new();
    write(&world, "keys.json", r#"[{"name": "web"}, {"name": "app"}]"#);
    let arguments = ["import", "keys", "keys.json", "--apply", "--secrets", "secrets.tsv"];
    let text = said(&world, &arguments);
    assert!(!text.contains("lr_live_"), "{text}");
    let path = world.data.path().join("secrets.tsv");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let lines = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = lines.lines().map(|line| line.split_once('\t').unwrap()).collect();
    assert_eq!(lines.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["web", "app"]);
    for (name, secret) in lines {
        assert_eq!(own(&world, secret)["name"], name);
    }
    let there = weir(&world, &arguments);
    assert!(String::from_utf8(there.stderr).unwrap().contains("secrets.tsv cannot be made"));
}

const LITELLM: &str = r#"
x-usual: &usual
  num_retries: 2
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
      rpm: 480
  - model_name: fast
    litellm_params: {model: gpt-4o-mini, api_key: os.environ/OPENAI_API_KEY}
  - model_name: fast
    litellm_params: {model: azure/mini, api_base: "https://me.openai.azure.com/", api_key: os.environ/AZURE_API_KEY, api_version: "2024-02-01"}
  - model_name: llama-3.3-70b
    litellm_params:
      <<: *usual
      model: hosted_vllm/llama-3.3-70b
      api_base: http://10.0.0.5:8080/v1
      api_key: sk-written-out-by-mistake
      input_cost_per_token: 2e-07
      output_cost_per_token: 0.0000006
    model_info: {max_input_tokens: 131072, max_output_tokens: 8192}
  - model_name: titan
    litellm_params: {model: bedrock/amazon.titan-text}
  - model_name: anthropic/*
    litellm_params: {model: anthropic/*, api_key: os.environ/CLAUDE_KEY}
litellm_settings:
  drop_params: true
  max_budget: 250.5
  budget_duration: 30d
general_settings:
  master_key: sk-master-of-litellm
  database_url: postgresql://user:password-of-the-database@host/db
router_settings:
  routing_strategy: simple-shuffle
  model_group_alias: {gpt-4: gpt-4o, old: gone}
"#;

const SETTINGS: &str = r#"# Made from LiteLLM's configuration by `weir import litellm`.

[providers.anthropic]
api_keys = ["${CLAUDE_KEY}"]

[providers.azure-me-openai-azure-com]
base_url = "https://me.openai.azure.com/openai/v1"
catalogue = "azure"
api_keys = ["${AZURE_API_KEY}"]

[providers.vllm-10-0-0-5-8080]
base_url = "http://10.0.0.5:8080/v1"
api_keys = ["${VLLM_10_0_0_5_8080_KEY_4}"]
models = ["llama-3.3-70b"]

[aliases]
"fast" = "openai/gpt-4o-mini"
"gpt-4" = "openai/gpt-4o"

[[prices]]
provider = "vllm-10-0-0-5-8080"
model = "llama-3.3-70b"
input = "0.2"
output = "0.6"
context_tokens = 131072
max_output_tokens = 8192
"#;

#[test]
fn litellms_configuration_becomes_a_settings_file_that_can_be_used() {
    let world = World::new();
    write(&world, "config.yaml", LITELLM);
    let arguments = ["import", "litellm", "config.yaml", "--write", "new.toml"];
    let shown = said(&world, &arguments);
    assert_eq!(
        shown,
        "\
what       name                  about
────────────────────────────────────────────────
settings   new.toml     create
instance   everything   create   $250.5 monthly

Not taken over:
  model gpt-4o: litellm_params.rpm
  model fast: azure-me-openai-azure-com/mini, one more place beside openai/gpt-4o-mini
  model fast: litellm_params.api_version
  model llama-3.3-70b: its api_key; set VLLM_10_0_0_5_8080_KEY_4 to it
  model llama-3.3-70b: litellm_params.num_retries
  model titan: 'bedrock/amazon.titan-text' is of a provider that speaks neither OpenAI's dialect nor Anthropic's, as far as is known here
  router_settings: alias old of gone, which is no model here
  general_settings: master_key; set PROXY_MASTER_KEY to it, or to a better one
  general_settings: database_url
  litellm_settings: drop_params
  router_settings: routing_strategy
  x-usual: num_retries

2 to create, 0 exist already, 0 cannot be made. Nothing was changed; --apply does it.
"
    );
    assert!(!world.data.path().join("new.toml").exists());
    let mut apply = arguments.to_vec();
    apply.push("--apply");
    let applied = said(&world, &apply);
    for secret in ["sk-written-out", "sk-master", "password-of"] {
        assert!(!applied.contains(secret) && !shown.contains(secret));
    }
    let written = std::fs::read_to_string(world.data.path().join("new.toml")).unwrap();
    assert_eq!(written, SETTINGS);
    let instance = world.get("/api/v1/instance", MASTER).is(200).json();
    assert_eq!((&instance["limit"], &instance["limit_reset"]), (&json!(250.5), &json!("monthly")));
    let again = said(&world, &apply);
    assert!(again.contains("0 made, 2 existed already"), "{again}");
    let check = std::process::Command::new(crate::world::program("weir"))
        .args(["config", "check", "--config", "new.toml"])
        .env_clear()
        .envs([("OPENAI_API_KEY", "a"), ("CLAUDE_KEY", "b"), ("AZURE_API_KEY", "c")])
        .env("VLLM_10_0_0_5_8080_KEY_4", "d")
        .current_dir(world.data.path())
        .output()
        .unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}

#[test]
fn litellms_virtual_keys_go_on_opening_with_the_same_secrets() {
    let world = World::new();
    write(
        &world,
        "config.yaml",
        "model_list:\n- {model_name: fast, litellm_params: {model: openai/gpt-4o-mini}}",
    );
    let keys = json!({"keys": [
        {"token": digest("sk-one-of-litellm"), "key_name": "sk-...tellm", "key_alias": "one", "spend": 1.5e-05, "max_budget": 20,
            "budget_duration": "7d", "rpm_limit": 10, "tpm_limit": 1000, "max_parallel_requests": 3, "models": ["fast"],
            "expires": "2027-06-01T00:00:00", "user_id": "anna", "team_id": "search", "blocked": null, "metadata": {"a": 1}},
        {"token": digest("sk-two-of-litellm"), "key_alias": "two", "max_budget": 0.5, "budget_duration": "12h",
            "models": ["all-proxy-models"], "team_id": "search", "user_id": "default_user_id", "blocked": true},
        {"token": digest("sk-three"), "key_alias": null, "models": [], "max_budget": null, "user_id": "anna", "team_id": null},
        {"token": digest("sk-four"), "key_alias": "four", "max_budget": 1, "budget_duration": "30s"},
        {"token": digest("sk-five"), "key_alias": "five", "expires": "2020-01-01T00:00:00Z"},
        digest("sk-six"),
    ], "total_count": 6});
    write(&world, "keys.json", &keys.to_string());
    let arguments = ["import", "litellm", "config.yaml", "--keys", "keys.json"];
    let shown = said(&world, &arguments);
    assert_eq!(
        shown,
        "\
what   name                     about
─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
team   search          create
user   anna            create
key    one             create   $20 weekly, 10 requests/min, 1000 tokens/min, 3 in flight, models openai/gpt-4o-mini
key    two             create   $0.5 per 12 hours, disabled
key    litellm key 3   create
key    four            cannot   its budget_duration '30s' is none that is known here
key    five            cannot   expires_at is in the past.
key    litellm key 6   cannot   only its digest is listed: ask for return_full_object=true

Not taken over:
  key one: $0.000015 spent there, which counts against no limit here
  key one: metadata
  key litellm key 3: its team, because user anna is in team search

For the settings file (--write FILE writes it):

# Made from LiteLLM's configuration by `weir import litellm`.

[aliases]
\"fast\" = \"openai/gpt-4o-mini\"

5 to create, 0 exist already, 3 cannot be made. Nothing was changed; --apply does it.
"
    );
    let mut apply = arguments.to_vec();
    apply.push("--apply");
    let applied = String::from_utf8(weir(&world, &apply).stdout).unwrap();
    assert!(applied.contains("5 made, 0 existed already, 3 could not be made."), "{applied}");
    let one = own(&world, "sk-one-of-litellm");
    for (member, value) in [
        ("limit", json!(20)),
        ("limit_reset", json!("weekly")),
        ("rpm", json!(10)),
        ("tpm_limit", json!(1_000)),
        ("max_parallel", json!(3)),
        ("allowed_models", json!(["openai/gpt-4o-mini"])),
        ("expires_at", json!("2027-06-01T00:00:00Z")),
    ] {
        assert_eq!(one[member], value, "{member}");
    }
    let users = world.get("/api/v1/users?external_id=anna", MASTER).is(200).json();
    assert_eq!(
        (&one["user_id"], &one["team_id"]),
        (&users["data"][0]["id"], &users["data"][0]["team_id"])
    );
    world.get("/api/v1/key", "sk-two-of-litellm").refused(401, "key_disabled");
    let again = String::from_utf8(weir(&world, &apply).stdout).unwrap();
    assert!(again.contains("0 made, 5 existed already, 3 could not be made."), "{again}");
    assert_eq!(world.get("/api/v1/keys", MASTER).json()["data"].as_array().unwrap().len(), 3);
}

#[test]
fn rows_of_litellms_table_are_read_line_by_line() {
    let world = World::new();
    write(&world, "config.yaml", "model_list: []");
    let row = |name: &str| json!({"token": digest(&format!("sk-{name}-of-litellm")), "key_alias": name, "rpm_limit": 3});
    write(&world, "rows.json", &format!("{}\n{}\n", row("one"), row("two")));
    let arguments =
        ["import", "litellm", "config.yaml", "--keys", "rows.json", "--apply", "--json"];
    let told: Value = serde_json::from_str(&said(&world, &arguments)).unwrap();
    assert_eq!(
        told["things"],
        json!([
            {"what": "key", "name": "one", "outcome": "made", "about": "3 requests/min"},
            {"what": "key", "name": "two", "outcome": "made", "about": "3 requests/min"},
        ])
    );
    assert_eq!(own(&world, "sk-two-of-litellm")["name"], "two");
}

#[test]
fn files_of_another_kind_are_refused_in_one_sentence() {
    let world = World::new();
    write(&world, "list.json", "[1, 2]");
    write(&world, "text.json", "hello");
    write(&world, "broken.yaml", "a: [1");
    write(&world, "other.yaml", "a: 1");
    write(&world, "bomb.yaml", &bomb());
    let large = std::fs::File::create(world.data.path().join("large.json")).unwrap();
    large.set_len(5 << 20).unwrap();
    for (kind, file, says) in [
        ("bridge", "list.json", "no list 'api_keys'"),
        ("bridge", "text.json", "no JSON"),
        ("bridge", "missing.json", "missing.json cannot be read"),
        ("bridge", "large.json", "larger than 4 MB"),
        ("keys", "text.json", "no JSON"),
        ("keys", "other.yaml", "no JSON"),
        ("litellm", "broken.yaml", "no YAML"),
        ("litellm", "other.yaml", "no 'model_list'"),
        ("litellm", "bomb.yaml", "repeats itself too often"),
    ] {
        let output = weir(&world, &["import", kind, file, "--apply"]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{kind} {file}");
        assert!(error.contains(says) && error.lines().count() == 1, "{kind} {file}: {error}");
    }
}

/// A few lines that would become gigabytes.
fn bomb() -> String {
    let line = |at: u32| {
        let before = at.checked_sub(1).map_or("x".to_owned(), |before| format!("*a{before}"));
        format!("a{at}: &a{at} [{}]\n", vec![before; 10].join(","))
    };
    (0..15).map(line).collect()
}

#[test]
fn a_secret_is_taken_over_by_its_digest_and_a_dry_run_makes_nothing() {
    let world = World::new();
    let sent = |more: Value| {
        let mut body = json!({"name": "k", "secret_sha256": digest("a-secret-from-elsewhere")});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.post("/api/v1/keys", MASTER, &body)
    };
    let dry = sent(json!({"dry_run": true, "rpm": 5})).is(200).json();
    assert_eq!((&dry["data"]["rpm"], dry.get("key")), (&json!(5), None));
    world.get("/api/v1/key", "a-secret-from-elsewhere").refused(401, "invalid_api_key");
    let made = sent(json!({"disabled": true})).is(201).json();
    assert_eq!((&made["data"]["status"], made.get("key")), (&json!("disabled"), None));
    assert_eq!(made["data"]["label"], "...");
    world.get("/api/v1/key", "a-secret-from-elsewhere").refused(401, "key_disabled");
    sent(json!({})).refused(409, "conflict");
    sent(json!({"dry_run": true})).refused(409, "conflict");
    sent(json!({"secret": "another-secret"})).refused(400, "invalid_value");
    sent(json!({"dry_run": true, "limit": -1})).refused(400, "invalid_value");
    for wrong in [json!("00ff"), json!("x".repeat(64)), json!(7)] {
        sent(json!({"secret_sha256": wrong})).refused(400, "invalid_value");
    }
    let manager = world.key(&json!({"name": "m", "key_type": "management"}));
    let body = json!({"name": "k", "secret_sha256": digest("one-more-secret")});
    world.post("/api/v1/keys", &manager.secret, &body).refused(400, "invalid_value");
}
