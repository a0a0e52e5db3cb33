//! Why a document was refused, and where in it: the path that a client is told.

use domain::refusal::{Code, Refusal};

use super::text::decode;

/// How much of the caller's own names a path repeats.
const PATH_BYTES_MAX: usize = 64;

/// Why it is not what we take.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Text,
    Grammar,
    Depth,
    Surrogate,
    Duplicate,
    NotFinite,
}

impl Fault {
    pub(super) fn refusal(self, path: &[Step<'_>]) -> Refusal {
        let (code, message) = match self {
            Self::Text => (Code::InvalidJson, "The body is not valid UTF-8."),
            Self::Grammar => (Code::InvalidJson, "The body is not one valid JSON document."),
            Self::Depth => (Code::InvalidJson, "The body is nested deeper than 128 levels."),
            Self::Surrogate => {
                (Code::InvalidJson, "A string of the body escapes half of a surrogate pair.")
            }
            Self::Duplicate => {
                (Code::DuplicateJsonKey, "An object of the body names the same member twice.")
            }
            Self::NotFinite => {
                (Code::InvalidValue, "A number of the body is not finite or too large.")
            }
        };
        let refusal = Refusal::new(code, message);
        if path.is_empty() { refusal } else { refusal.about(written(path)) }
    }
}

/// One step of the way to a fault, innermost first.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    Name(&'a [u8]),
    Index(usize),
}

/// A path as `messages[2].role`, with what the caller chose cut to a length that is safe to repeat.
fn written(steps: &[Step<'_>]) -> String {
    let mut path = String::new();
    for step in steps.iter().rev() {
        match step {
            Step::Index(index) => path.extend(["[", &index.to_string(), "]"]),
            Step::Name(raw) => {
                if !path.is_empty() {
                    path.push('.');
                }
                let plain = |character: char| if character.is_control() { '?' } else { character };
                path.extend(decode(raw).chars().map(plain).take(PATH_BYTES_MAX));
            }
        }
        if path.len() > PATH_BYTES_MAX {
            path.truncate(path.floor_char_boundary(PATH_BYTES_MAX - '…'.len_utf8()));
            path.push('…');
            break;
        }
    }
    path
}
