//! The inside of JSON strings: where one ends, what its escapes mean, how one is written.

use std::borrow::Cow;

/// Undoes the escapes of a checked string. What no Unicode text can hold, which only a provider's
/// answer may have, becomes U+FFFD.
pub(super) fn decode(raw: &[u8]) -> Cow<'_, str> {
    let text = match std::str::from_utf8(raw) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(raw),
    };
    if !raw.contains(&b'\\') {
        return text;
    }
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some((before, escape)) = rest.split_once('\\') {
        decoded.push_str(before);
        let (character, length) = escaped(escape.as_bytes());
        decoded.push(character);
        rest = escape.get(length..).unwrap_or_default();
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

/// Whether a name that is written `raw` is `name`.
pub(super) fn spells(raw: &[u8], name: &str) -> bool {
    raw == name.as_bytes() || (raw.contains(&b'\\') && decode(raw) == name)
}

/// The character that an escape means, and its length without the backslash.
fn escaped(escape: &[u8]) -> (char, usize) {
    match escape.first() {
        Some(b'b') => ('\u{8}', 1),
        Some(b'f') => ('\u{c}', 1),
        Some(b'n') => ('\n', 1),
        Some(b'r') => ('\r', 1),
        Some(b't') => ('\t', 1),
        Some(b'u') => unicode(escape),
        Some(byte) => (char::from(*byte), 1),
        None => (char::REPLACEMENT_CHARACTER, 0),
    }
}

/// `u` and four digits, or two such escapes that make one character.
fn unicode(escape: &[u8]) -> (char, usize) {
    let first = escape.get(1..5).and_then(hex).unwrap_or(0xfffd);
    if let Some(plain) = char::from_u32(first) {
        return (plain, 5);
    }
    let second = escape
        .get(5..11)
        .and_then(|next| next.strip_prefix(b"\\u"))
        .and_then(hex)
        .filter(|low| first < 0xdc00 && (0xdc00..0xe000).contains(low));
    match second.and_then(|low| char::from_u32(0x1_0000 + ((first & 0x3ff) << 10) + (low & 0x3ff)))
    {
        Some(pair) => (pair, 11),
        None => (char::REPLACEMENT_CHARACTER, 5),
    }
}

/// The value of four hexadecimal digits.
pub(super) fn hex(digits: &[u8]) -> Option<u32> {
    let mut value = 0;
    for digit in digits.first_chunk::<4>()? {
        value = value * 16 + char::from(*digit).to_digit(16)?;
    }
    Some(value)
}

/// How many bytes there are before the first quote, backslash or control character.
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    // Most strings are names and short words: those end before a wide look would pay.
    while length < 32 {
        let Some(word) = bytes.get(length..).and_then(<[u8]>::first_chunk) else { break };
        if let Some(before) = plain_in_word(*word) {
            return length + before;
        }
        length += 8;
    }
    // No byte ends the inner loop early, so that the compiler can make it one wide comparison.
    let (blocks, _) = bytes.get(length..).unwrap_or_default().as_chunks::<32>();
    for block in blocks {
        let mut any = 0;
        for byte in block {
            any |= u8::from(*byte == b'"') | u8::from(*byte == b'\\') | u8::from(*byte < 0x20);
        }
        if any != 0 {
            break;
        }
        length += 32;
    }
    while let Some(word) = bytes.get(length..).and_then(<[u8]>::first_chunk) {
        if let Some(before) = plain_in_word(*word) {
            return length + before;
        }
        length += 8;
    }
    let stops = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let rest = bytes.get(length..).unwrap_or_default();
    length + rest.iter().position(stops).unwrap_or(rest.len())
}

/// The same for eight bytes at once; `None` where all are plain. A byte of `word ^ pattern` is
/// zero where they are equal, and taking one from each byte borrows into its top bit only there.
/// What a borrow may spoil is above the first hit, which is all that is looked at.
fn plain_in_word(word: [u8; 8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const TOPS: u64 = u64::from_le_bytes([0x80; 8]);
    const SPACES: u64 = u64::from_le_bytes([0x20; 8]);
    const QUOTES: u64 = u64::from_le_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_le_bytes([b'\\'; 8]);
    let word = u64::from_le_bytes(word);
    let (quotes, backslashes) = (word ^ QUOTES, word ^ BACKSLASHES);
    let below = word.wrapping_sub(SPACES) & !word;
    let equal =
        (quotes.wrapping_sub(ONES) & !quotes) | (backslashes.wrapping_sub(ONES) & !backslashes);
    let hits = (below | equal) & TOPS;
    (hits != 0).then_some(usize::try_from(hits.trailing_zeros() / 8).unwrap_or(0))
}

/// Writes `text` as a JSON string, quotes included.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if u32::from(control) < 0x20 => {
                let code = u32::from(control);
                out.push_str("\\u00");
                out.extend(
                    [code >> 4, code & 15].map(|half| char::from_digit(half, 16)).iter().flatten(),
                );
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
    out
}
