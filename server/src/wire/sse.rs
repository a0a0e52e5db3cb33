//! Server-sent events as bytes: where one ends, and what its data is. Frames of a connection do
//! not align with events, and a line may end in LF, CR or both. What is in the data is not known
//! here.

use std::borrow::Cow;

/// Finds the ends of events in a stream that comes in pieces.
#[derive(Clone, Debug)]
pub(super) struct Boundaries {
    /// Whether nothing stands on the current line.
    blank: bool,
    /// Whether the last byte was a CR, so that an LF behind it ends no line of its own.
    after_cr: bool,
}

impl Boundaries {
    pub(super) fn new() -> Self {
        Self { blank: true, after_cr: false }
    }

    /// The offset behind the first event that ends in `bytes`. The next call gets what is behind
    /// it; where there is none, what comes after `bytes`.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(found) = memchr::memchr2(b'\n', b'\r', bytes.get(at..)?) {
            if found > 0 {
                (self.blank, self.after_cr) = (false, false);
            }
            at += found;
            let cr = bytes.get(at) == Some(&b'\r');
            at += 1;
            if self.after_cr && !cr {
                self.after_cr = false;
                continue;
            }
            self.after_cr = cr;
            if self.blank {
                if cr && bytes.get(at) == Some(&b'\n') {
                    at += 1;
                    self.after_cr = false;
                }
                return Some(at);
            }
            self.blank = true;
        }
        if at < bytes.len() {
            (self.blank, self.after_cr) = (false, false);
        }
        None
    }

    /// Whether `bytes`, which follow an event that ended with a CR, begin with the LF that belongs
    /// to it.
    pub(super) fn rest_of_end(&mut self, bytes: &[u8]) -> bool {
        let rest = self.after_cr && bytes.first() == Some(&b'\n');
        if rest {
            self.after_cr = false;
        }
        rest
    }
}

/// The event's name, where its first line tells it.
pub(super) fn name(event: &[u8]) -> &[u8] {
    let Some(line) = event.strip_prefix(b"event:") else { return &[] };
    let end = memchr::memchr2(b'\n', b'\r', line).unwrap_or(line.len());
    line.get(..end).unwrap_or_default().trim_ascii()
}

/// The data of an event: the rest of its `data` lines, joined by LF.
pub(super) fn data(event: &[u8]) -> Cow<'_, [u8]> {
    let event = event.strip_prefix(b"\xef\xbb\xbf").unwrap_or(event);
    let mut data = Cow::Borrowed(&[][..]);
    let mut first = true;
    for line in event.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let Some(value) = line.strip_prefix(b"data:") else { continue };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if first {
            data = Cow::Borrowed(value);
            first = false;
        } else {
            let joined = data.to_mut();
            joined.push(b'\n');
            joined.extend_from_slice(value);
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut boundaries, mut found, mut open) = (Boundaries::new(), Vec::new(), Vec::new());
        for piece in pieces {
            let mut rest = *piece;
            while let Some(end) = boundaries.end(rest) {
                open.extend_from_slice(&rest[..end]);
                found.push(std::mem::take(&mut open));
                rest = &rest[end..];
            }
            open.extend_from_slice(rest);
        }
        found
    }

    #[test]
    fn an_event_ends_with_a_blank_line_of_any_kind() {
        let ends = ["\n\n", "\r\r", "\r\n\r\n", "\n\r\n", "\r\n\n", "\n\r"];
        for end in ends {
            let stream = format!("data: a{end}data: b{end}");
            let one = format!("data: a{end}");
            let found = events(&[stream.as_bytes()]);
            assert_eq!(found.len(), 2, "{end:?}");
            assert_eq!(found[0], one.as_bytes(), "{end:?}");
        }
        assert_eq!(events(&[b"data: a\r\ndata: b\r\n"]).len(), 0);
        assert_eq!(events(&[b"data: a\r", b"\ndata: b\r", b"\n", b"\r\n"]).len(), 1);
    }

    #[test]
    fn data_is_what_the_data_lines_say() {
        let rows: &[(&[u8], &[u8])] = &[
            (b"data: a\n\n", b"a"),
            (b"data:a\r\n\r\n", b"a"),
            (b": hello\nevent: x\ndata: a\nid: 1\ndata:  b\n\n", b"a\n b"),
            (b"\xef\xbb\xbfdata: a\r\r", b"a"),
            (b"data\ndatum: x\n\n", b""),
            (b": ping\n\n", b""),
        ];
        for (event, expected) in rows {
            assert_eq!(&*data(event), *expected, "{}", String::from_utf8_lossy(event));
        }
    }
}
