//! One call of the load: what is asked, what the provider is told to do with it, and when the client
//! goes away. The provider stays honest about what it made: one that reports other numbers than it
//! bills would be believed.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::purse::Purse;
use crate::caller::Leave;
use crate::dice::Dice;
use crate::scene::{LONGEST, is_anthropic, name};

/// A call.
#[derive(Debug)]
pub struct Question {
    /// Where it goes.
    pub path: &'static str,
    /// What is asked.
    pub body: String,
    /// When the client leaves.
    pub leave: Leave,
}

/// What the call of this number of a key is marked with, for the provider's log.
pub fn marker(purse: &Purse, number: usize) -> String {
    format!("{}.{}", purse.number, name(number))
}

/// The smallest call there is.
pub fn smallest(purse: &Purse, number: usize) -> String {
    let said = format!("[[{}]]", marker(purse, number));
    json!({
        "model": name(number), "max_tokens": 1, "messages": [{"role": "user", "content": said}],
    })
    .to_string()
}

impl Question {
    /// Any call.
    pub fn throw(purse: &Purse, number: usize, dice: &mut Dice) -> Self {
        let script = Value::Object(script(dice));
        let padding = "x ".repeat(usize::try_from(dice.between(0, 300)).unwrap_or(0));
        let said = format!("[[{}]] <<{script}>> {padding}", marker(purse, number));
        let mut body = json!({"model": name(number)});
        let path = if is_anthropic(number) {
            body["messages"] = json!([{"role": "user", "content": said}]);
            "/v1/messages"
        } else if dice.chance(12) {
            body["prompt"] = match dice.between(1, 3) {
                1 => json!(said),
                2 => json!([said, "and another"]),
                _ => json!([said, "and another", "and a third"]),
            };
            "/v1/completions"
        } else {
            body["messages"] = json!([{"role": "user", "content": said}]);
            "/v1/chat/completions"
        };
        match dice.between(1, 100) {
            ..=80 => body["max_tokens"] = json!(dice.between(1, 120)),
            81..=90 if !is_anthropic(number) => {}
            _ => body["max_tokens"] = json!(1_000_000),
        }
        if !is_anthropic(number) && dice.chance(12) {
            body["n"] = json!(dice.between(2, 5));
        }
        if dice.chance(50) {
            body["stream"] = json!(true);
        }
        let leave = match dice.between(1, 100) {
            ..=76 => Leave::Never,
            77..=88 => Leave::After(Duration::from_micros(dice.between(0, 30_000))),
            _ => Leave::AtByte(usize::try_from(dice.between(1, 2_500)).unwrap_or(1)),
        };
        Self { path, body: body.to_string(), leave }
    }
}

fn script(dice: &mut Dice) -> Map<String, Value> {
    let mut script = Map::new();
    let mut set = |name: &str, value: Value| script.insert(name.to_owned(), value);
    set("output_tokens", json!(dice.between(1, LONGEST.min(150))));
    if dice.chance(40) {
        set("delay_ms", json!(dice.between(1, 40)));
    }
    if dice.chance(60) {
        set("chunks", json!(dice.between(1, 12)));
        set("chunk_gap_ms", json!(dice.between(0, 8)));
    }
    if dice.chance(60) {
        set("finish_after_disconnect", json!(true));
    }
    if dice.chance(10) {
        set("burst", json!(true));
    }
    if dice.chance(16) {
        match dice.between(1, 14) {
            1 => set("status", json!(429)),
            2 => set("status", json!(500)),
            3 => set("status", json!(400)),
            4 | 5 => set("cut_after_bytes", json!(dice.between(1, 2_000))),
            6 => set("garbage", json!(dice.pick(&["html", "truncated_json", "bytes"]))),
            7 => set("error_midstream", json!(true)),
            8 => {
                // A provider that never answers must at least see that nobody waits any more.
                set("finish_after_disconnect", json!(false));
                set("never_answer", json!(true))
            }
            9 => set("split", json!(dice.between(7, 90))),
            _ => set("usage", json!(dice.pick(&["none", "twice", "negative", "huge", "string"]))),
        };
    }
    script
}
