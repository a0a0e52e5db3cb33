//! Everybody at once: the operator's file edited by hand, by the dashboard's forms and by the keys API.
//! At the end nothing is lost, and the file and the keys say the same.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bridge::{file, put};
use crate::world::{MASTER, Unusual, World};

/// What a hand did: the name and rate of each of its keys.
type Done = BTreeMap<String, i64>;

const ROUNDS: usize = 60;

/// Reads the file, changes it, renames it into place; nobody is asked.
fn by_hand(world: &World) -> (Done, Vec<String>) {
    let (mut done, mut removed) = (Done::new(), Vec::new());
    for round in 0..ROUNDS {
        let mut text: Value = file(world);
        let lines = text["api_keys"].as_array_mut().unwrap();
        let place = |lines: &[Value], name: &str| {
            let at = lines.iter().position(|line| line["name"] == name);
            at.expect("what was written is there")
        };
        match round % 4 {
            0 | 1 => {
                let (name, rpm) = (format!("hand {round}"), 10 + i64::try_from(round).unwrap());
                lines.push(json!({"name": name, "key": format!("sk-hand-{round}"), "rpm": rpm}));
                done.insert(name, rpm);
            }
            2 => {
                let name = format!("hand {}", round - 2);
                let at = place(lines, &name);
                lines[at]["rpm"] = json!(5_000 + round);
                done.insert(name, 5_000 + i64::try_from(round).unwrap());
            }
            _ => {
                let name = format!("hand {}", round - 2);
                let at = place(lines, &name);
                lines.remove(at);
                done.remove(&name);
                removed.push(format!("sk-hand-{}", round - 2));
            }
        }
        put(world, &text.to_string());
        std::thread::sleep(Duration::from_millis(3));
    }
    (done, removed)
}

fn by_form(world: &World) -> Done {
    let mut done = Done::new();
    for round in 0..ROUNDS {
        let name = format!("form {round}");
        let made = world.post("/create-key", MASTER, &json!({"name": name, "rpm": round})).is(200);
        done.insert(name, i64::try_from(round).unwrap());
        if round % 3 == 2 {
            let id = made.json()["id"].clone();
            world.post("/delete-key", MASTER, &json!({"id": id})).is(200);
            done.remove(&format!("form {round}"));
        }
    }
    done
}

fn by_api(world: &World, ids: &[String]) -> Done {
    let mut done = Done::new();
    for round in 0..ROUNDS {
        for (at, id) in ids.iter().enumerate() {
            let rpm = 1_000 + i64::try_from(round).unwrap();
            world.patch(&format!("/api/v1/keys/{id}"), MASTER, &json!({"rpm": rpm})).is(200);
            done.insert(format!("api {at}"), rpm);
        }
    }
    done
}

#[test]
fn nothing_is_lost_when_everybody_writes_at_once() {
    let world = World::with(Unusual {
        config_json: r#"{"api_keys": [], "kept": {"by": "hand"}}"#,
        ..Unusual::default()
    });
    let ids: Vec<String> = (0..3)
        .map(|at| {
            let made = world.post("/create-key", MASTER, &json!({"name": format!("api {at}")}));
            made.is(200).json()["id"].as_str().unwrap().to_owned()
        })
        .collect();
    let ((hand, removed), form, api) = std::thread::scope(|scope| {
        let hand = scope.spawn(|| by_hand(&world));
        let form = scope.spawn(|| by_form(&world));
        let api = scope.spawn(|| by_api(&world, &ids));
        (hand.join().unwrap(), form.join().unwrap(), api.join().unwrap())
    });
    // A look at the file takes the last edit.
    let shown = world.get("/api/v1/bridge", MASTER).is(200).json();
    assert_eq!(shown["mistake"], Value::Null);
    let wanted: Done = hand.into_iter().chain(form).chain(api).collect();
    let text = file(&world);
    let as_map = |list: &Value| -> Done {
        let lines = list.as_array().unwrap().iter();
        lines
            .map(|line| (line["name"].as_str().unwrap().to_owned(), line["rpm"].as_i64().unwrap()))
            .collect()
    };
    assert_eq!(text["api_keys"].as_array().unwrap().len(), wanted.len());
    assert_eq!(as_map(&text["api_keys"]), wanted, "the file");
    let keys = world.get("/api/v1/keys?page_size=999", MASTER).is(200).json();
    assert_eq!(keys["data"].as_array().unwrap().len(), wanted.len());
    assert_eq!(as_map(&keys["data"]), wanted, "the keys");
    assert_eq!(text["kept"], json!({"by": "hand"}));
    for secret in removed {
        // Some were written and taken out again before anybody looked.
        assert_eq!(world.chat(&secret, "").status, 401, "{secret}");
    }
    world.chat("sk-hand-0", "").is(200);
}
