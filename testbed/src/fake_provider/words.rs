//! What the answers are made of: words taken from the prompt, ids, token counts, the time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tokens of a text, by the rule of thumb: four bytes each, rounded up.
pub fn tokens_of(bytes: usize) -> u64 {
    bytes.div_ceil(4) as u64
}

/// `count` words out of the prompt, in its order and round again; each stands for one token.
/// `offset` makes several choices differ.
pub fn answer_words(prompt: &str, offset: usize, count: u64) -> Vec<String> {
    let script = prompt.find("<<{").zip(prompt.find("}>>").map(|end| end + 3));
    let spoken = match script {
        Some((start, end)) if start < end => format!("{} {}", &prompt[..start], &prompt[end..]),
        _ => prompt.to_owned(),
    };
    let mut words: Vec<String> = spoken
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(1_000)
        .map(|word| word.chars().take(24).collect())
        .collect();
    if words.is_empty() {
        words.push("ok".to_owned());
    }
    (0..usize::try_from(count).unwrap_or(usize::MAX))
        .map(|at| {
            let word = &words[(at + offset) % words.len()];
            if at == 0 { word.clone() } else { format!(" {word}") }
        })
        .collect()
}

/// A new id with the provider's prefix and as many letters and digits as it uses.
pub fn id(prefix: &str, length: usize) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut state = NEXT.fetch_add(1, Ordering::Relaxed) ^ started();
    let mut text = String::with_capacity(prefix.len() + length);
    text.push_str(prefix);
    for _ in 0..length {
        state = scramble(state);
        text.push(char::from(LETTERS[usize::try_from(state % 62).unwrap_or(0)]));
    }
    text
}

/// One step of `SplitMix64`: neighbouring numbers give unlike ones.
pub fn scramble(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Seconds since 1970, for `created` and its like.
pub fn unix_seconds() -> u64 {
    unix_ms() / 1_000
}

/// Milliseconds since 1970.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Differs from one start of the provider to the next, so that ids do too.
fn started() -> u64 {
    use std::sync::OnceLock;
    static AT: OnceLock<u64> = OnceLock::new();
    *AT.get_or_init(|| scramble(unix_ms()))
}
