//! The one pass over a document's bytes that decides whether they are JSON: grammar, text, depth,
//! names used twice. It remembers where the top level's members stand, and nothing else.

use std::borrow::Cow;
use std::collections::HashSet;

use domain::refusal::Refusal;

use super::fault::{Fault, Step};
use super::text::{decode, hex, plain_length};
use super::{Document, Kind, Member, Value};

/// How deep arrays and objects may be nested.
pub(super) const DEPTH_MAX: usize = 128;

/// From how many members on an object's names are kept in a set: below, comparing is quicker.
const NAMES_COMPARED: usize = 16;

/// Checks what a client sent.
pub(super) fn strict(body: &[u8]) -> Result<Document<'_>, Refusal> {
    if std::str::from_utf8(body).is_err() {
        return Err(Fault::Text.refusal(&[]));
    }
    let mut scan = Scan::new(body, true);
    match scan.document() {
        Ok(root) => Ok(Document { root, members: scan.members }),
        Err(fault) => Err(fault.refusal(&scan.path)),
    }
}

/// Checks what a provider sent.
pub(super) fn lenient(body: &[u8]) -> Option<Document<'_>> {
    let mut scan = Scan::new(body, false);
    let root = scan.document().ok()?;
    Some(Document { root, members: scan.members })
}

/// A member's name as it was written, without its quotes.
#[derive(Clone, Copy, Debug)]
struct Name<'a> {
    raw: &'a [u8],
    escaped: bool,
}

impl<'a> Name<'a> {
    fn same(self, other: Self) -> bool {
        if self.escaped || other.escaped {
            decode(self.raw) == decode(other.raw)
        } else {
            self.raw == other.raw
        }
    }

    fn text(self) -> Cow<'a, [u8]> {
        if !self.escaped {
            return Cow::Borrowed(self.raw);
        }
        Cow::Owned(decode(self.raw).into_owned().into_bytes())
    }
}

/// The names of one large object.
type Names<'a> = Option<Box<HashSet<Cow<'a, [u8]>>>>;

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    strict: bool,
    depth: usize,
    /// The names of every open object, the outermost first.
    names: Vec<Name<'a>>,
    members: Vec<Member<'a>>,
    /// Filled on the way out of a fault.
    path: Vec<Step<'a>>,
}

impl<'a> Scan<'a> {
    fn new(bytes: &'a [u8], strict: bool) -> Self {
        let names = if strict { Vec::with_capacity(32) } else { Vec::new() };
        let members = Vec::with_capacity(12);
        Self { bytes, at: 0, strict, depth: 0, names, members, path: Vec::new() }
    }

    fn document(&mut self) -> Result<Value<'a>, Fault> {
        self.space();
        let root = self.value()?;
        self.space();
        if self.at == self.bytes.len() { Ok(root) } else { Err(Fault::Grammar) }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Passes over `byte`, or says that it is not there.
    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(Fault::Grammar);
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self) -> Result<Value<'a>, Fault> {
        let start = self.at;
        let kind = match self.peek() {
            Some(b'"') => {
                self.string()?;
                Kind::String
            }
            Some(b'{') => {
                self.nested(Self::object)?;
                Kind::Object
            }
            Some(b'[') => {
                self.nested(Self::array)?;
                Kind::Array
            }
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                Kind::Number
            }
            Some(b't') => self.literal(b"true", Kind::Bool)?,
            Some(b'f') => self.literal(b"false", Kind::Bool)?,
            Some(b'n') => self.literal(b"null", Kind::Null)?,
            _ => return Err(self.not_a_value()),
        };
        Ok(Value::new(self.bytes.get(start..self.at).unwrap_or_default(), start, kind))
    }

    /// The rest from here on.
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn literal(&mut self, word: &[u8], kind: Kind) -> Result<Kind, Fault> {
        if !self.rest().starts_with(word) {
            return Err(Fault::Grammar);
        }
        self.at += word.len();
        Ok(kind)
    }

    /// What Python and JavaScript write for numbers that JSON cannot say is told apart.
    fn not_a_value(&self) -> Fault {
        let rest = self.rest();
        let unsigned = rest.strip_prefix(b"-").unwrap_or(rest);
        if unsigned.starts_with(b"NaN") || unsigned.starts_with(b"Infinity") {
            return Fault::NotFinite;
        }
        Fault::Grammar
    }

    fn nested(&mut self, inside: fn(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        if self.depth == DEPTH_MAX {
            return Err(Fault::Depth);
        }
        self.depth += 1;
        self.at += 1;
        self.space();
        inside(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        for index in 0.. {
            if let Err(fault) = self.value() {
                self.path.push(Step::Index(index));
                return Err(fault);
            }
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(Fault::Grammar),
            }
            self.space();
        }
        self.at += 1;
        Ok(())
    }

    fn object(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let top = self.depth == 1;
        let first = self.names.len();
        let mut set: Names<'a> = None;
        loop {
            if self.peek() != Some(b'"') {
                return Err(Fault::Grammar);
            }
            let name = self.string()?;
            if self.strict && !self.fresh(name, first, &mut set) {
                self.path.push(Step::Name(name.raw));
                return Err(Fault::Duplicate);
            }
            self.space();
            self.expect(b':')?;
            self.space();
            match self.value() {
                Ok(value) if top => {
                    self.members.push(Member { name: decode(name.raw), value });
                }
                Ok(_) => {}
                Err(fault) => {
                    self.path.push(Step::Name(name.raw));
                    return Err(fault);
                }
            }
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(Fault::Grammar),
            }
            self.space();
        }
        self.at += 1;
        self.names.truncate(first);
        Ok(())
    }

    /// Whether the object whose names begin at `first` has no such name yet; it has it then.
    fn fresh(&mut self, name: Name<'a>, first: usize, set: &mut Names<'a>) -> bool {
        if let Some(names) = set {
            return names.insert(name.text());
        }
        let names = self.names.get(first..).unwrap_or_default();
        if names.iter().any(|other| other.same(name)) {
            return false;
        }
        if names.len() >= NAMES_COMPARED {
            let mut all: HashSet<_> = names.iter().map(|other| other.text()).collect();
            all.insert(name.text());
            *set = Some(Box::new(all));
            return true;
        }
        self.names.push(name);
        true
    }

    fn string(&mut self) -> Result<Name<'a>, Fault> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_length(self.rest());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(Fault::Grammar),
            }
        }
        let raw = self.bytes.get(start..self.at).unwrap_or_default();
        self.at += 1;
        Ok(Name { raw, escaped })
    }

    fn escape(&mut self) -> Result<(), Fault> {
        match self.rest().get(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let unit = self.rest().get(2..).and_then(hex).ok_or(Fault::Grammar)?;
                self.at += 6;
                if self.strict && (0xd800..0xe000).contains(&unit) {
                    let low = self.rest().strip_prefix(b"\\u").and_then(hex);
                    if unit >= 0xdc00 || !low.is_some_and(|low| (0xdc00..0xe000).contains(&low)) {
                        return Err(Fault::Surrogate);
                    }
                    self.at += 6;
                }
            }
            _ => return Err(Fault::Grammar),
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(Fault::Grammar) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), Fault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => {
                self.at = start;
                return Err(self.not_a_value());
            }
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let mut large = self.at - start > 300;
        if let Some(b'e' | b'E') = self.peek() {
            large = true;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        // Only a number with an exponent, or one of hundreds of digits, can be beyond a double.
        if large && !self.bytes.get(start..self.at).is_some_and(finite) {
            return Err(Fault::NotFinite);
        }
        Ok(())
    }
}

fn finite(number: &[u8]) -> bool {
    let text = std::str::from_utf8(number).unwrap_or_default();
    text.parse::<f64>().is_ok_and(f64::is_finite)
}
