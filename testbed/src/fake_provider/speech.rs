//! What a model says: text, JSON to a schema, or tool calls, cut into pieces that carry tokens.
//! The dialects put their own frames around it.

use serde_json::{Value, json};

use super::ask::Ask;
use super::{schema, script, words};

/// A tool as declared, whichever dialect declared it.
#[derive(Debug, Clone)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// The schema of its arguments.
    pub schema: Value,
}

/// Whether the model is to call tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// As it likes: it does when the user spoke last.
    Auto,
    /// It must not.
    None,
    /// It must call some tool.
    Any,
    /// It must call this one.
    Named(String),
}

/// What of a request decides the shape of the answer.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The tools on offer.
    pub tools: Vec<Tool>,
    /// Whether to use them.
    pub choice: Choice,
    /// Whether several calls at once are welcome; `None` where nothing is said.
    pub parallel: Option<bool>,
    /// The schema the text has to fit; any object where it is null.
    pub json: Option<Value>,
    /// Whether the user spoke last.
    pub user_last: bool,
}

/// A bit of text, and the tokens that are complete once it is sent.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// Its tokens.
    pub tokens: u64,
}

/// A call of a tool.
#[derive(Debug, Clone)]
pub struct Call {
    /// The tool.
    pub name: String,
    /// The arguments, as JSON text in pieces.
    pub arguments: Vec<Piece>,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Speech {
    /// The text, empty when tools are called.
    pub text: Vec<Piece>,
    /// The calls.
    pub calls: Vec<Call>,
    /// Tokens of all of it.
    pub tokens: u64,
    /// Whether the caller's maximum cut it short.
    pub cut_short: bool,
}

impl Speech {
    /// The answer to a request; `choice` tells several answers to one request apart.
    pub fn new(ask: &Ask, wish: &Wish, choice: usize) -> Self {
        let (tokens, cut_short) = ask.output_tokens();
        let chunks = ask.script.chunks.map(|chunks| chunks.min(script::MOST));
        let spoken = words::answer_words(&ask.said, choice, tokens);
        let called = called(ask, wish);
        if !called.is_empty() {
            let count = called.len() as u64;
            let calls = called.iter().enumerate().map(|(at, tool)| {
                let share = share(tokens, at as u64, count);
                let text = schema::instance(&tool.schema, &words::answer_words(&ask.said, at, 8));
                let text = if text.is_object() { text } else { json!({}) };
                let pieces = chunks.map_or(4, |chunks| chunks.div_ceil(count));
                Call {
                    name: tool.name.clone(),
                    arguments: slices(&text.to_string(), share, pieces),
                }
            });
            let calls = calls.collect();
            return Self { text: Vec::new(), calls, tokens, cut_short: false };
        }
        let text = match &wish.json {
            Some(Value::Null) => slices(&json!({"answer": "ok"}).to_string(), tokens, 4),
            Some(wanted) => {
                let fitting = schema::instance(wanted, &words::answer_words(&ask.said, choice, 8));
                slices(&fitting.to_string(), tokens, chunks.unwrap_or(tokens))
            }
            None => pieces(&spoken, chunks.unwrap_or(tokens)),
        };
        Self { text, calls: Vec::new(), tokens, cut_short }
    }

    /// The whole text.
    pub fn whole_text(&self) -> String {
        joined(&self.text)
    }
}

/// The text of some pieces.
pub fn joined(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| piece.text.as_str()).collect()
}

/// The tools to call.
fn called<'a>(ask: &Ask, wish: &'a Wish) -> Vec<&'a Tool> {
    let pool: Vec<&Tool> = match &wish.choice {
        Choice::Named(name) => wish.tools.iter().filter(|tool| tool.name == *name).collect(),
        Choice::Any => wish.tools.iter().collect(),
        Choice::Auto if wish.user_last => wish.tools.iter().collect(),
        Choice::Auto | Choice::None => Vec::new(),
    };
    let usual = if wish.parallel == Some(true) { 2 } else { 1 };
    let count = ask.script.tool_calls.unwrap_or_else(|| usual.min(pool.len()));
    pool.iter().copied().cycle().take(if pool.is_empty() { 0 } else { count }).collect()
}

/// Words, in `count` pieces.
fn pieces(words: &[String], count: u64) -> Vec<Piece> {
    let total = words.len() as u64;
    let place = |at: u64| usize::try_from(at * total / count.max(1)).unwrap_or(words.len());
    (0..count)
        .map(|at| {
            let range = place(at)..place(at + 1);
            Piece { tokens: range.len() as u64, text: words[range].concat() }
        })
        .collect()
}

/// Any text, in at most `count` pieces of about the same length.
fn slices(text: &str, tokens: u64, count: u64) -> Vec<Piece> {
    let letters: Vec<char> = text.chars().collect();
    let count = count.clamp(1, letters.len().max(1) as u64);
    let place = |at: u64| usize::try_from(at * letters.len() as u64 / count).unwrap_or(0);
    (0..count)
        .map(|at| Piece {
            text: letters[place(at)..place(at + 1)].iter().collect(),
            tokens: share(tokens, at, count),
        })
        .collect()
}

/// The part of `total` that falls to place `at` of `count`; the parts add up.
fn share(total: u64, at: u64, count: u64) -> u64 {
    (at + 1) * total / count.max(1) - at * total / count.max(1)
}
