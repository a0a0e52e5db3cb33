//! What was charged by estimate, corrected down to the truth: over HTTP, and from the command line.

use serde_json::{Value, json};

use crate::commands::weir;
use crate::world::{MASTER, TestKey, World, chat};

/// One call whose answer breaks off before its usage: charged what was held.
fn broken_call(world: &World, key: &TestKey) -> Value {
    let mut body = chat("gpt-4o", r#"{"output_tokens":20,"chunks":20,"cut_after_bytes":900}"#);
    body["stream"] = json!(true);
    body["max_tokens"] = json!(100);
    let before = world.rows().len();
    world.post("/v1/chat/completions", &key.secret, &body);
    let row = world.rows_when(before + 1)[0].clone();
    assert_eq!((&row["evidence"], &row["cost"]), (&json!("estimated"), &row["held"]), "{row}");
    row
}

fn path(row: &Value) -> String {
    format!("/api/v1/usage/calls/{}/reconcile", row["id"].as_str().unwrap())
}

fn remaining(world: &World, key: &TestKey) -> f64 {
    let shown = world.get(&format!("/api/v1/keys/{}", key.id), MASTER).is(200).json();
    shown["data"]["limit_remaining"].as_f64().unwrap()
}

#[test]
fn an_estimate_is_corrected_down_and_the_money_is_free_again() {
    let world = World::new();
    let key = world.key(&json!({"limit": 1, "daily_token_limit": 1_000_000}));
    let row = broken_call(&world, &key);
    let charged = row["cost"].as_f64().unwrap();
    assert!((remaining(&world, &key) - (1.0 - charged)).abs() < 1e-9);
    let truth = json!({"cost": "0.00001", "tokens": 12, "evidence": "invoice 7, line 3"});
    let answer = world.post(&path(&row), MASTER, &truth).is(200).json();
    assert_eq!(answer["data"]["id"], row["id"]);
    let correction = &answer["corrections"][0];
    assert!((correction["money"].as_f64().unwrap() - (charged - 0.000_01)).abs() < 1e-9);
    assert_eq!(correction["tokens"], json!(row["tokens"].as_i64().unwrap() - 12));
    assert_eq!(
        (&correction["evidence"], &correction["actor"]),
        (&json!("invoice 7, line 3"), &json!("operator"))
    );
    assert!((remaining(&world, &key) - 0.999_99).abs() < 1e-9);
    // The same again changes nothing; less goes on from there; more is refused.
    let again = world.post(&path(&row), MASTER, &truth).is(200).json();
    assert_eq!(again["corrections"].as_array().unwrap().len(), 1);
    let less = json!({"cost": 0, "evidence": "credit note"});
    let less = world.post(&path(&row), MASTER, &less).is(200).json();
    assert_eq!(less["corrections"].as_array().unwrap().len(), 2);
    assert!((remaining(&world, &key) - 1.0).abs() < 1e-9);
    let refused = world.post(&path(&row), MASTER, &truth).refused(409, "conflict").json();
    assert_eq!(refused["error"]["param"], "cost");
    let tokens = json!({"tokens": 13, "evidence": "x"});
    let refused = world.post(&path(&row), MASTER, &tokens).refused(409, "conflict").json();
    assert_eq!(refused["error"]["param"], "tokens");
}

#[test]
fn what_is_no_correction_is_refused() {
    let world = World::new();
    let key = world.key(&json!({"limit": 1}));
    let row = broken_call(&world, &key);
    for (body, code) in [
        (json!({"evidence": "x"}), "missing_required_parameter"),
        (json!({"cost": 0}), "missing_required_parameter"),
        (json!({"cost": -1, "evidence": "x"}), "invalid_value"),
        (json!({"cost": 0, "tokens": 1.5, "evidence": "x"}), "invalid_value"),
        (json!({"cost": 0, "evidence": ""}), "invalid_value"),
        (json!({"cost": 0, "evidence": "x".repeat(501)}), "invalid_value"),
        (json!({"cost": 0, "evidence": "x", "why": 1}), "unknown_parameter"),
    ] {
        world.post(&path(&row), MASTER, &body).refused(400, code);
    }
    let truth = json!({"cost": 0, "evidence": "x"});
    for nobody in ["att_01aryz6s410000000000000000", "x"] {
        let path = format!("/api/v1/usage/calls/{nobody}/reconcile");
        world.post(&path, MASTER, &truth).refused(404, "not_found");
    }
    world.post(&path(&row), &key.secret, &truth).refused(403, "wrong_key_type");
    // A call whose usage was reported is charged what is true.
    world.chat(&key.secret, "").is(200);
    let honest = world.rows()[0].clone();
    world.post(&path(&honest), MASTER, &truth).refused(409, "conflict");
    let of = |evidence: &str| {
        let path = format!("/api/v1/usage/calls?evidence={evidence}");
        world.get(&path, MASTER).is(200).json()["data"].as_array().unwrap().len()
    };
    assert_eq!((of("estimated"), of("reported"), of("counted")), (1, 1, 0));
    world.get("/api/v1/usage/calls?evidence=guessed", MASTER).refused(400, "invalid_value");
}

#[test]
fn corrections_are_made_from_the_command_line_one_or_many() {
    let world = World::new();
    let key = world.key(&json!({"limit": 1}));
    let rows: Vec<_> = (0..3).map(|_| broken_call(&world, &key)).collect();
    let ids: Vec<_> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    let listed = String::from_utf8(weir(&world, &["reconcile"]).stdout).unwrap();
    assert!(ids.iter().all(|id| listed.contains(id)), "{listed}");
    let one = weir(&world, &["reconcile", ids[0], "--cost", "0.00002", "--evidence", "invoice 9"]);
    assert!(one.status.success(), "{}", String::from_utf8_lossy(&one.stderr));
    assert!(String::from_utf8(one.stdout).unwrap().contains("invoice 9"));
    let lines = [
        json!({"attempt": ids[1], "cost": 0.000_012_345, "evidence": "line 1"}).to_string(),
        String::new(),
        json!({"attempt": "att_01aryz6s410000000000000000", "cost": 0}).to_string(),
        json!({"attempt": ids[2], "cost": "0"}).to_string(),
    ];
    std::fs::write(world.data.path().join("truth.jsonl"), lines.join("\n")).unwrap();
    let arguments = ["reconcile", "--file", "truth.jsonl", "--evidence", "all of march"];
    let many = weir(&world, &arguments);
    assert!(!many.status.success());
    let said = String::from_utf8(many.stderr).unwrap();
    assert!(said.contains("correction 2") && said.contains("1 of 3"), "{said}");
    assert!((remaining(&world, &key) - (1.0 - 0.000_02 - 0.000_012_345)).abs() < 1e-9);
    let none = weir(&world, &["reconcile", "x", "--cost", "0"]);
    assert!(String::from_utf8(none.stderr).unwrap().contains("is no call's id"));
}

#[test]
fn owners_are_administered_from_the_command_line() {
    let world = World::new();
    let made = weir(&world, &["team", "create", "search", "--tpm", "1000", "--json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["tpm_limit"], 1_000);
    let team = made["id"].as_str().unwrap();
    let user =
        ["user", "create", "u-1", "--team", team, "--limit", "2.5", "--limit-reset", "daily"];
    let shown = String::from_utf8(weir(&world, &user).stdout).unwrap();
    assert!(shown.contains(team) && shown.contains("$2.5 daily"), "{shown}");
    let changed = weir(&world, &["team", "update", team, "--tpm", "none", "--rpm", "7"]);
    let changed = String::from_utf8(changed.stdout).unwrap();
    assert!(changed.contains('7') && !changed.contains("1000"), "{changed}");
    let listed = String::from_utf8(weir(&world, &["team", "list"]).stdout).unwrap();
    assert!(listed.contains("search"), "{listed}");
    let wrong = weir(&world, &["team", "update", team, "--rpm", "many"]);
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("'rpm' must be"));
}
