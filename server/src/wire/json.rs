//! JSON as it lies in a body: checked once, then looked at in place. Values are views of the
//! body's own bytes, so that what is not changed is never written again. No tree is built here,
//! and nothing here knows what a member means.

mod fault;
mod scan;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;
use std::ops::Range;

use domain::refusal::Refusal;

use text::{decode, plain_length, spells};

pub(crate) use text::quoted;

/// What kind of value it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// A value of a checked document.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    bytes: &'a [u8],
    start: usize,
    kind: Kind,
}

/// One member of an object: its decoded name, and its value.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// The name, escapes undone.
    pub name: Cow<'a, str>,
    /// The value.
    pub value: Value<'a>,
}

/// A checked document, with the members of its top level at hand.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    /// The whole document.
    pub root: Value<'a>,
    /// The top level's members, in their order; empty where it is no object.
    pub members: Vec<Member<'a>>,
}

impl<'a> Document<'a> {
    /// Reads what a client sent: one document of RFC 8259 in UTF-8, without a name used twice in
    /// any object, numbers that a double can hold, every escape a real character.
    pub fn read(body: &'a [u8]) -> Result<Self, Refusal> {
        scan::strict(body)
    }

    /// Reads what a provider sent: grammar only, since it is passed on whatever it holds. `None`
    /// where it is not JSON.
    pub fn read_answer(body: &'a [u8]) -> Option<Self> {
        scan::lenient(body)
    }

    /// The value of a top-level member; of several, the last.
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.members.iter().rev().find(|member| member.name == name).map(|member| member.value)
    }
}

impl<'a> Value<'a> {
    /// What kind of value it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it stands in the document, quotes and brackets included.
    pub fn span(&self) -> Range<usize> {
        self.start..self.start + self.bytes.len()
    }

    /// Its bytes as they were written.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }

    /// The string, escapes undone.
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        (self.kind == Kind::String).then(|| decode(self.inner()))
    }

    /// The truth value.
    pub fn as_bool(&self) -> Option<bool> {
        (self.kind == Kind::Bool).then(|| self.bytes == b"true")
    }

    /// The number, where it is written as an integer and fits: `1.0`, `1e3`, `"5"` are none.
    pub fn as_u64(&self) -> Option<u64> {
        if self.kind != Kind::Number || self.bytes.len() > 20 {
            return None;
        }
        self.bytes.iter().try_fold(0_u64, |sum, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            sum.checked_mul(10)?.checked_add(digit)
        })
    }

    /// The number as a double.
    pub fn as_f64(&self) -> Option<f64> {
        if self.kind != Kind::Number {
            return None;
        }
        std::str::from_utf8(self.bytes).ok()?.parse().ok()
    }

    /// The array's items; none where it is no array.
    pub fn items(&self) -> Items<'a> {
        Items(self.walk(Kind::Array))
    }

    /// The object's members; none where it is no object.
    pub fn members(&self) -> Members<'a> {
        Members(self.walk(Kind::Object))
    }

    /// The value of a member; of several, the last.
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.raw_members().filter(|(raw, _)| spells(raw, name)).last().map(|(_, value)| value)
    }

    /// The object's members, their names as they were written.
    pub(crate) fn raw_members(&self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> + use<'a> {
        let mut walk = self.walk(Kind::Object);
        std::iter::from_fn(move || Some((walk.value()?.inner(), walk.value()?)))
    }

    /// What stands between a string's quotes.
    pub(crate) fn inner(&self) -> &'a [u8] {
        self.bytes.get(1..self.bytes.len().saturating_sub(1)).unwrap_or_default()
    }

    /// A view of bytes that are known to be one whole value.
    fn new(bytes: &'a [u8], start: usize, kind: Kind) -> Self {
        Self { bytes, start, kind }
    }

    fn walk(&self, kind: Kind) -> Walk<'a> {
        let bytes = if self.kind == kind { self.bytes } else { &[] };
        Walk { bytes, start: self.start, at: 1 }
    }
}

/// The items of an array.
#[derive(Clone, Debug)]
pub struct Items<'a>(Walk<'a>);

/// The next item of an array, an object not yet passed over.
#[derive(Clone, Debug)]
pub(crate) enum Opened<'a> {
    Object(Members<'a>),
    Other,
}

impl<'a> Items<'a> {
    /// The next item, whose end is only known when its members were gone through: what is in
    /// large objects is looked at once this way, not twice. An object is given back to
    /// [`Items::close`] before the next is opened.
    pub(crate) fn open(&mut self) -> Option<Opened<'a>> {
        self.0.space()?;
        if self.0.bytes.get(self.0.at) != Some(&b'{') {
            return self.0.value().map(|_| Opened::Other);
        }
        let Walk { bytes, start, at } = self.0;
        Some(Opened::Object(Members(Walk { bytes, start, at: at + 1 })))
    }

    /// Goes on behind an object that was opened.
    pub(crate) fn close(&mut self, mut object: Members<'a>) {
        object.by_ref().for_each(drop);
        self.0.at = object.0.at + 1;
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.0.value()
    }
}

/// The members of an object.
#[derive(Clone, Debug)]
pub struct Members<'a>(Walk<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let name = self.0.value()?;
        let value = self.0.value()?;
        Some(Member { name: decode(name.inner()), value })
    }
}

/// Goes through a checked container one value at a time, up to the bracket that closes it. A
/// member's name is a value here, and commas and colons are passed over: the grammar was checked
/// before.
#[derive(Clone, Debug)]
struct Walk<'a> {
    bytes: &'a [u8],
    start: usize,
    at: usize,
}

impl<'a> Walk<'a> {
    /// Goes to the next value, unless there is none.
    fn space(&mut self) -> Option<()> {
        loop {
            match self.bytes.get(self.at)? {
                b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' => self.at += 1,
                b'}' | b']' => return None,
                _ => return Some(()),
            }
        }
    }

    fn value(&mut self) -> Option<Value<'a>> {
        self.space()?;
        let from = self.at;
        let rest = self.bytes.get(from..)?;
        let (kind, length) = extent(rest)?;
        self.at = from + length;
        Some(Value::new(rest.get(..length)?, self.start + from, kind))
    }
}

/// The kind and length of the value that `bytes` begin with.
fn extent(bytes: &[u8]) -> Option<(Kind, usize)> {
    let (kind, length) = match bytes.first()? {
        b'"' => (Kind::String, string_length(bytes)),
        b'{' => (Kind::Object, container_length(bytes)),
        b'[' => (Kind::Array, container_length(bytes)),
        b'n' => (Kind::Null, 4),
        b't' => (Kind::Bool, 4),
        b'f' => (Kind::Bool, 5),
        _ => {
            let digits = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
            (Kind::Number, bytes.iter().take_while(|byte| digits(byte)).count())
        }
    };
    // A length of nothing would make a walk stand still; it cannot be in checked text.
    (length > 0).then_some((kind, length))
}

/// The length of the string that `bytes` begin with, quotes included.
pub(crate) fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(rest) = bytes.get(at..) {
        at += plain_length(rest);
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            Some(_) => at += 2,
            None => break,
        }
    }
    bytes.len()
}

fn container_length(bytes: &[u8]) -> usize {
    let (mut at, mut depth) = (0_usize, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += bytes.get(at..).map_or(1, string_length);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}
