//! Administrative requests that are sent again: done once, answered the same, and never a secret on
//! the disk for it.

use std::process::Command;

use http::Method;
use serde_json::{Value, json};

use crate::world::{MASTER, Reply, World};

fn send(world: &World, method: Method, path: &str, name: &str, body: &Value) -> Reply {
    send_as(world, MASTER, method, path, name, body)
}

fn send_as(
    world: &World,
    secret: &str,
    method: Method,
    path: &str,
    name: &str,
    body: &Value,
) -> Reply {
    let bearer = format!("Bearer {secret}");
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", name)];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    world.send(method, path, &headers, body)
}

fn keys(world: &World) -> usize {
    world.get("/api/v1/keys", MASTER).is(200).json()["data"].as_array().unwrap().len()
}

/// Asks the records in a way that no client can.
fn sql(world: &World, statement: &str) -> String {
    let file = world.data.path().join("data/weir.db");
    let script = "import sqlite3, sys\n\
         db = sqlite3.connect(sys.argv[1], timeout=5)\n\
         rows = db.execute(sys.argv[2]).fetchall()\n\
         db.commit()\n\
         print(rows)";
    let done = Command::new("python3").args(["-c", script]).arg(file).arg(statement).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn the_same_request_is_done_once_and_answered_the_same() {
    let mut world = World::new();
    for (path, body) in [
        ("/internal/api-keys", json!({"name": "k"})),
        ("/api/v1/keys", json!({"name": "k", "limit": 5})),
        ("/internal/teams", json!({"name": "t"})),
        ("/api/v1/users", json!({"external_id": "u"})),
    ] {
        let name = format!("make:{path}");
        let first = send(&world, Method::POST, path, &name, &body).is(201);
        assert_eq!(first.header("idempotent-replayed"), "");
        world.clock.advance_seconds(3_600);
        for _ in 0..2 {
            let again = send(&world, Method::POST, path, &name, &body).is(201);
            assert_eq!(again.header("idempotent-replayed"), "true");
            assert_eq!(again.header("content-type"), "application/json");
            assert_eq!(again.text, first.text);
            assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
            world.restart();
        }
    }
    assert_eq!(keys(&world), 2);
    let teams = world.get("/internal/teams", MASTER).is(200).json();
    assert_eq!(teams["data"].as_array().unwrap().len(), 1);
}

#[test]
fn changes_and_ends_are_answered_the_same_too() {
    let world = World::new();
    let key = world.any_key();
    let path = format!("/api/v1/keys/{}", key.id);
    let first = send(&world, Method::PATCH, &path, "patch", &json!({"name": "a"})).is(200);
    world.patch(&path, MASTER, &json!({"name": "b"})).is(200);
    let again = send(&world, Method::PATCH, &path, "patch", &json!({"name": "a"})).is(200);
    assert_eq!(again.text, first.text);
    // It was not done again.
    assert_eq!(world.get(&path, MASTER).is(200).json()["data"]["name"], "b");
    let first = send(&world, Method::DELETE, &path, "delete", &Value::Null).is(200);
    let again = send(&world, Method::DELETE, &path, "delete", &Value::Null).is(200);
    assert_eq!((again.text.as_str(), again.header("idempotent-replayed")), (&*first.text, "true"));
    // What only looks is always done.
    let looked = send(&world, Method::GET, &path, "patch", &Value::Null).is(200);
    assert_eq!(looked.header("idempotent-replayed"), "");
}

#[test]
fn a_refusal_for_good_is_kept_and_a_guard_is_asked_first() {
    let world = World::new();
    let body = json!({"external_id": "u"});
    world.post("/internal/users", MASTER, &body).is(201);
    let first = send(&world, Method::POST, "/internal/users", "u", &body).refused(409, "conflict");
    let again = send(&world, Method::POST, "/internal/users", "u", &body).refused(409, "conflict");
    assert_eq!((again.text.as_str(), again.header("idempotent-replayed")), (&*first.text, "true"));
    assert_eq!(again.header("x-should-retry"), "false");
    let path = "/internal/api-keys";
    let body = json!({"name": "k"});
    send_as(&world, "sk-nobody", Method::POST, path, "k", &body).refused(403, "wrong_key_type");
    let made = send(&world, Method::POST, path, "k", &body).is(201);
    assert_eq!(made.header("idempotent-replayed"), "");
    send_as(&world, "sk-nobody", Method::POST, path, "k", &body).refused(403, "wrong_key_type");
}

/// B47: reused with another body; 300-char key.
#[test]
fn b47_a_key_stands_for_one_request() {
    let world = World::new();
    let path = "/api/v1/keys";
    let body = json!({"name": "k"});
    send(&world, Method::POST, path, "one", &body).is(201);
    let key = world.get(path, MASTER).is(200).json()["data"][0]["hash"].clone();
    let of_key = format!("{path}/{}", key.as_str().unwrap());
    for (method, path, body) in [
        (Method::POST, path, json!({"name": "other"})),
        (Method::POST, path, json!({"name": "k", "rpm": 1})),
        (Method::POST, "/api/v1/keys?x=1", body.clone()),
        (Method::POST, "/internal/api-keys", body.clone()),
        (Method::PATCH, &of_key, body.clone()),
        (Method::DELETE, &of_key, Value::Null),
    ] {
        let refused = send(&world, method, path, "one", &body);
        assert_eq!(refused.header("idempotent-replayed"), "");
        refused.refused(400, "idempotency_key_reused");
    }
    assert_eq!(keys(&world), 1);
    for wrong in ["", &"x".repeat(256), &"x".repeat(300), "a b", "a\tb", "caf\u{e9}"] {
        let refused = send(&world, Method::POST, path, wrong, &body).refused(400, "invalid_value");
        assert_eq!(refused.json()["error"]["param"], "idempotency-key");
    }
    let bearer = format!("Bearer {MASTER}");
    let twice =
        [("authorization", bearer.as_str()), ("idempotency-key", "a"), ("idempotency-key", "b")];
    world.send(Method::POST, path, &twice, body.to_string()).refused(400, "invalid_value");
    assert_eq!(keys(&world), 1);
    send(&world, Method::POST, path, &"x".repeat(255), &body).is(201);
    assert_eq!(keys(&world), 2);
}

#[test]
fn whoever_has_another_secret_means_another_request() {
    let world = World::new();
    let managers = [(); 2].map(|()| world.key(&json!({"key_type": "management"})));
    let made: Vec<_> = [MASTER, &managers[0].secret, &managers[1].secret]
        .iter()
        .map(|secret| {
            let body = json!({"name": "k"});
            let made = send_as(&world, secret, Method::POST, "/api/v1/keys", "same", &body);
            made.is(201).json()["data"]["hash"].clone()
        })
        .collect();
    assert!(made[0] != made[1] && made[1] != made[2]);
    assert_eq!(keys(&world), 5);
}

/// B47: the same `Idempotency-Key` in flight.
#[test]
fn b47_of_many_at_the_same_time_one_makes_a_key() {
    let world = World::new();
    let body = json!({"name": "k"});
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let send = || send(&world, Method::POST, "/internal/api-keys", "many", &body);
        let threads: Vec<_> = (0..20).map(|_| scope.spawn(send)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(keys(&world), 1);
    let (done, busy): (Vec<_>, Vec<_>) = replies.into_iter().partition(|one| one.status == 201);
    assert!(!done.is_empty());
    assert!(done.iter().all(|one| one.text == done[0].text));
    let first = done.iter().filter(|one| one.header("idempotent-replayed").is_empty()).count();
    assert_eq!(first, 1);
    for one in busy {
        assert_eq!(one.header("retry-after"), "1");
        one.refused(409, "idempotency_in_progress");
    }
    let again = send(&world, Method::POST, "/internal/api-keys", "many", &body).is(201);
    assert_eq!(again.text, done[0].text);
}

#[test]
fn after_a_day_a_key_is_free_again_and_its_answer_is_gone() {
    let mut world = World::new();
    let body = json!({"name": "k"});
    let first = send(&world, Method::POST, "/api/v1/keys", "daily", &body).is(201);
    world.clock.advance_seconds(86_399);
    let again = send(&world, Method::POST, "/api/v1/keys", "daily", &body).is(201);
    assert_eq!(again.text, first.text);
    world.clock.advance_seconds(1);
    let other = json!({"name": "other"});
    let new = send(&world, Method::POST, "/api/v1/keys", "daily", &other).is(201);
    assert_eq!(new.header("idempotent-replayed"), "");
    assert_eq!(keys(&world), 2);
    world.clock.advance_seconds(86_400);
    send(&world, Method::POST, "/api/v1/keys", "sweeps", &body).is(201);
    assert_eq!(sql(&world, "SELECT count(*) FROM answer").trim(), "[(1,)]");
    // Where nobody sends another, a start sweeps too.
    world.clock.advance_seconds(86_400);
    world.restart();
    for _ in 0..500 {
        if sql(&world, "SELECT count(*) FROM answer").trim() == "[(0,)]" {
            return;
        }
    }
    panic!("the answer is still there");
}

/// Weir may end between the act and its answer: then the act is not done again, and whoever asks is
/// told what was done.
#[test]
fn an_act_whose_answer_was_lost_is_not_done_again() {
    let mut world = World::new();
    let body = json!({"name": "k"});
    let made = send(&world, Method::POST, "/internal/api-keys", "lost", &body).is(201).json();
    assert_eq!(sql(&world, "DELETE FROM answer").trim(), "[]");
    world.restart();
    for _ in 0..2 {
        let lost = send(&world, Method::POST, "/internal/api-keys", "lost", &body);
        assert_eq!(lost.header("x-should-retry"), "false");
        let lost = lost.refused(409, "idempotency_answer_lost").json();
        let message = lost["error"]["message"].as_str().unwrap().to_owned();
        let id = made["id"].as_str().unwrap().replace("ak_", "key_");
        assert!(message.contains("key.create") && message.contains(&id), "{message}");
    }
    assert_eq!(keys(&world), 1);
}

#[test]
fn a_stored_answer_can_be_opened_by_nobody_who_has_the_database() {
    let world = World::new();
    let body = json!({"name": "k"});
    let made = send(&world, Method::POST, "/internal/api-keys", "sealed", &body).is(201).json();
    let secret = made["key"].as_str().unwrap();
    let stored = sql(&world, "SELECT hex(once), hex(request), hex(sealed) FROM answer");
    let hex = |text: &str| data_encoding::HEXUPPER.encode(text.as_bytes());
    for plain in [secret, &secret[5..], "sealed", made["id"].as_str().unwrap(), "created_at"] {
        assert!(!stored.contains(&hex(plain)), "{plain}");
    }
    // What was tampered with is not believed.
    sql(&world, "UPDATE answer SET sealed = zeroblob(400)");
    let broken = send(&world, Method::POST, "/internal/api-keys", "sealed", &body);
    broken.refused(500, "internal_error");
    assert_eq!(keys(&world), 1);
}
