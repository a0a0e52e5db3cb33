//! Forms with files, as uploads are sent: where the parts are, and what the few say that matter
//! here. Strict where parsers are known to disagree, since the provider's parser is not this one:
//! a form that could be read in two ways is refused.

use std::ops::Range;

use domain::refusal::{Code, Refusal};

use crate::wire::checks::invalid;

/// How many parts a form may have.
const PARTS_MAX: usize = 1000;

/// How long a part's head may be.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// The longest boundary that RFC 2046 allows.
const BOUNDARY_BYTES_MAX: usize = 70;

/// One part of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub(super) name: &'a str,
    pub(super) is_file: bool,
    /// Where its value stands in the body.
    pub(super) span: Range<usize>,
}

/// The boundary that a content-type names.
pub(super) fn boundary(content_type: &str) -> Result<&str, Refusal> {
    let wrong = || {
        let message = "The content-type must name one boundary of 1 to 70 characters.";
        Refusal::new(Code::UnsupportedMediaType, message)
    };
    let mut found = None;
    for parameter in content_type.split(';').skip(1) {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        if name.trim().eq_ignore_ascii_case("boundary") {
            let value = value.trim();
            let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            if found.replace(bare.unwrap_or(value)).is_some() {
                return Err(wrong());
            }
        }
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    let fits = |boundary: &&str| {
        (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len())
            && boundary.bytes().all(allowed)
            && !boundary.ends_with(' ')
    };
    found.filter(fits).ok_or_else(wrong)
}

fn malformed() -> Refusal {
    Refusal::new(Code::InvalidValue, "The body is not a well-formed multipart form.")
}

/// The parts of a form.
pub(super) fn parts<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<Part<'a>>, Refusal> {
    let delimiter = format!("\r\n--{boundary}");
    let finder = memchr::memmem::Finder::new(delimiter.as_bytes());
    // The first delimiter stands at the very beginning, without the line end of the others.
    let first = delimiter.as_bytes().get(2..).unwrap_or_default();
    if !body.starts_with(first) {
        return Err(malformed());
    }
    let mut at = first.len();
    let mut parts = Vec::new();
    loop {
        let rest = body.get(at..).unwrap_or_default();
        if let Some(after) = rest.strip_prefix(b"--") {
            // Readers that look for more parts behind the end would find what we did not see.
            return if after.is_empty() || after == b"\r\n" { Ok(parts) } else { Err(malformed()) };
        }
        if !rest.starts_with(b"\r\n") || parts.len() == PARTS_MAX {
            return Err(malformed());
        }
        at += 2;
        let rest = body.get(at..).unwrap_or_default();
        let length = finder.find(rest).ok_or_else(malformed)?;
        let part = rest.get(..length).unwrap_or_default();
        let near = part.get(..HEAD_BYTES_MAX).unwrap_or(part);
        let head = memchr::memmem::find(near, b"\r\n\r\n").ok_or_else(malformed)?;
        let (name, is_file) = self::head(near.get(..head).unwrap_or_default())?;
        parts.push(Part { name, is_file, span: at + head + 4..at + length });
        at += length + delimiter.len();
    }
}

/// A part's name, and whether it is a file.
fn head(head: &[u8]) -> Result<(&str, bool), Refusal> {
    let head = std::str::from_utf8(head).map_err(|_| malformed())?;
    let mut disposition = None;
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(':').ok_or_else(malformed)?;
        let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || !name.bytes().all(token) || value.contains(['\r', '\n', '\0']) {
            return Err(malformed());
        }
        if name.eq_ignore_ascii_case("content-disposition") {
            if disposition.replace(value).is_some() {
                return Err(malformed());
            }
        } else if name.eq_ignore_ascii_case("content-type") {
            if value.trim().to_ascii_lowercase().starts_with("multipart/") {
                return Err(invalid("body", "A form must not hold another form."));
            }
        } else if name.eq_ignore_ascii_case("content-transfer-encoding") {
            let plain = ["binary", "8bit", "7bit"];
            if !plain.iter().any(|encoding| value.trim().eq_ignore_ascii_case(encoding)) {
                return Err(malformed());
            }
        }
    }
    named(disposition.ok_or_else(malformed)?)
}

/// Reads `form-data; name="…"; filename="…"`.
fn named(disposition: &str) -> Result<(&str, bool), Refusal> {
    let disposition = disposition.trim();
    let kind = disposition.get(..9).ok_or_else(malformed)?;
    if !kind.eq_ignore_ascii_case("form-data") {
        return Err(malformed());
    }
    let mut rest = disposition.get(9..).unwrap_or_default().trim_start();
    let (mut name, mut is_file) = (None, false);
    while let Some(parameter) = rest.strip_prefix(';') {
        let (key, value) = parameter.split_once('=').ok_or_else(malformed)?;
        let key = key.trim();
        let (value, after) = quoted_or_token(value.trim_start())?;
        if key.eq_ignore_ascii_case("name") {
            if name.replace(value).is_some() {
                return Err(malformed());
            }
        } else if key.eq_ignore_ascii_case("filename") || key.eq_ignore_ascii_case("filename*") {
            is_file = true;
        } else {
            // `name*` and what else may name a part in someone's eyes.
            return Err(malformed());
        }
        rest = after.trim_start();
    }
    match name {
        Some(name) if rest.is_empty() && !name.contains(['\\', '"', '%']) => Ok((name, is_file)),
        _ => Err(malformed()),
    }
}

fn quoted_or_token(text: &str) -> Result<(&str, &str), Refusal> {
    let Some(inside) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        return Ok(text.split_at(end));
    };
    let mut escaped = false;
    for (at, character) in inside.char_indices() {
        match character {
            '"' if !escaped => {
                let (value, after) = inside.split_at(at);
                return Ok((value, after.get(1..).unwrap_or_default()));
            }
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    Err(malformed())
}
