//! What the clients try. Each trick is something that a client can do to a gateway; what the fake
//! provider does wrong is in its script, which any other provider takes for a piece of prompt.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Target;
use crate::caller::Leave;
use crate::dice::Dice;

/// A way to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trick {
    /// As it should be.
    Plain,
    /// Streamed.
    Stream,
    /// Gone before the answer begins.
    GoneAtOnce,
    /// Gone with the first bytes.
    GoneAtFirstByte,
    /// Gone in the middle of a stream.
    GoneMidway,
    /// Gone, and the same asked again.
    AskedTwice,
    /// Very many answers to one question.
    ManyAnswers,
    /// No maximum of tokens.
    NoMaximum,
    /// A maximum beyond every model.
    HugeMaximum,
    /// A maximum that makes no sense.
    InvalidMaximum,
    /// Two maxima: the gateway may read the one, the provider the other.
    TwoMaxima,
    /// Several prompts in one call.
    ManyPrompts,
    /// A provider that reports no usage, or none that can be true.
    LyingUsage,
    /// A provider whose answer breaks off.
    BrokenOff,
}

/// All that a client can do, and what the provider does with it is counted to the last token.
const HONEST: &[Trick] = &[
    Trick::Plain,
    Trick::Plain,
    Trick::Stream,
    Trick::Stream,
    Trick::GoneMidway,
    Trick::AskedTwice,
    Trick::ManyAnswers,
    Trick::NoMaximum,
    Trick::HugeMaximum,
    Trick::InvalidMaximum,
    Trick::TwoMaxima,
    Trick::ManyPrompts,
];

/// And the rest of it.
const ALL: &[Trick] = &[
    Trick::Plain,
    Trick::Stream,
    Trick::GoneAtOnce,
    Trick::GoneAtFirstByte,
    Trick::GoneMidway,
    Trick::AskedTwice,
    Trick::ManyAnswers,
    Trick::NoMaximum,
    Trick::HugeMaximum,
    Trick::InvalidMaximum,
    Trick::TwoMaxima,
    Trick::ManyPrompts,
    Trick::LyingUsage,
    Trick::BrokenOff,
];

/// One call.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Which trick it is.
    pub trick: Trick,
    /// Where it goes, below the base URL.
    pub path: &'static str,
    /// What is sent.
    pub body: String,
    /// When the client leaves.
    pub leave: Leave,
}

/// The smallest call there is, but for its maximum.
pub fn smallest(model: &str, max_tokens: u64) -> String {
    let messages = json!([{"role": "user", "content": "x"}]);
    json!({"model": model, "max_tokens": max_tokens, "messages": messages}).to_string()
}

impl Ask {
    /// Any trick.
    pub fn throw(target: &Target, honest: bool, dice: &mut Dice) -> Self {
        let trick = dice.pick(if honest { HONEST } else { ALL });
        let longest = target.longest;
        let mut script = Map::new();
        let mut set = |name: &str, value: Value| drop(script.insert(name.to_owned(), value));
        set("output_tokens", json!(dice.between(longest / 2, longest)));
        set("delay_ms", json!(dice.between(0, 20)));
        let mut body = Map::new();
        body.insert("model".to_owned(), json!(target.model));
        body.insert("max_tokens".to_owned(), json!(longest));
        let streams = matches!(
            trick,
            Trick::Stream | Trick::GoneAtFirstByte | Trick::GoneMidway | Trick::BrokenOff
        );
        if streams || dice.chance(30) {
            body.insert("stream".to_owned(), json!(true));
            body.insert("stream_options".to_owned(), json!({"include_usage": true}));
            set("chunks", json!(10));
            set("chunk_gap_ms", json!(dice.between(1, 20)));
        }
        set("finish_after_disconnect", json!(true));
        let mut leave = Leave::Never;
        match trick {
            Trick::Plain | Trick::Stream | Trick::TwoMaxima | Trick::ManyPrompts => {}
            Trick::GoneAtOnce => leave = Leave::After(Duration::from_millis(dice.between(0, 10))),
            Trick::GoneAtFirstByte => leave = Leave::AtByte(1),
            Trick::GoneMidway => {
                leave = Leave::AtByte(usize::try_from(dice.between(500, 2_000)).unwrap_or(1));
            }
            Trick::AskedTwice => leave = Leave::After(Duration::from_millis(dice.between(1, 30))),
            Trick::ManyAnswers => {
                body.insert("n".to_owned(), json!(128));
                body.insert("max_tokens".to_owned(), json!(8));
            }
            Trick::NoMaximum => drop(body.remove("max_tokens")),
            Trick::HugeMaximum => drop(body.insert("max_tokens".to_owned(), json!(1_000_000_000))),
            Trick::InvalidMaximum => {
                let odd = [json!(-1), json!(0), json!(1.5), json!("many"), json!(1e30), json!([9])];
                let at = usize::try_from(dice.between(0, 5)).unwrap_or(0);
                body.insert("max_tokens".to_owned(), odd[at].clone());
            }
            Trick::LyingUsage => {
                set("usage", json!(dice.pick(&["none", "negative", "huge", "string", "twice"])));
            }
            Trick::BrokenOff => set("cut_after_bytes", json!(dice.between(1, 3_000))),
        }
        let said = format!("Spend it. <<{}>>", Value::Object(script));
        let path = if trick == Trick::ManyPrompts {
            body.insert("prompt".to_owned(), json!([said, "and", "again", "and", "again"]));
            body.insert("max_tokens".to_owned(), json!(longest / 5));
            "/completions"
        } else {
            body.insert("messages".to_owned(), json!([{"role": "user", "content": said}]));
            "/chat/completions"
        };
        let mut body = Value::Object(body).to_string();
        if trick == Trick::TwoMaxima {
            body = body.replacen('{', "{\"max_tokens\":1,", 1);
        }
        Self { trick, path, body, leave }
    }
}
