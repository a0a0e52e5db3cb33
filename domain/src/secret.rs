//! The strings clients send. A [`Secret`] is shown once and cannot be printed; a [`Digest`] is
//! what is stored; a [`Mask`] is what a list shows afterwards. Whether a secret opens anything is
//! not decided here.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::time::Entropy;

/// A string that opens something. Wiped from memory when dropped; has no `Debug` worth reading,
/// no `Display`, no `Serialize` and no `Clone`.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret that came from outside.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself: for the one answer that shows it, and for a provider's header.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the store keeps of it.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    /// What a list shows of it.
    pub fn mask(&self) -> Mask {
        Mask::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([not shown])")
    }
}

/// SHA-256 of a whole secret. A minted secret has more than 150 bits of randomness, so its digest
/// gives nothing away; stored digests are useless as secrets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// As 64 hexadecimal digits, in records only: no answer and no log has one.
impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| de::Error::custom("not a digest"))
    }
}

impl Digest {
    /// The digest of these bytes.
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// The digest written as 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = HEXLOWER.decode(text.to_ascii_lowercase().as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// The digest stored as these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest([not shown])")
    }
}

/// A secret as a list shows it: its first characters, three dots, its last four. Of one with little
/// to spare, the first four of its body instead of the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mask(String);

impl Mask {
    /// Of a secret that nobody here has seen.
    pub fn of_nothing_known() -> Self {
        Self("...".to_owned())
    }

    /// A secret of fewer than 16 characters, or with characters that are not plain ASCII,
    /// shows nothing but dots.
    fn of(secret: &str) -> Self {
        const SHOWN_LAST: usize = 4;
        let kind = Kind::of(secret);
        let shown_first = kind.map_or(3, |kind| kind.prefix().len());
        if kind == Some(Kind::Internal) {
            // Its surface promises these, and 26 random characters are not to lose more.
            let first = secret.get(..shown_first.saturating_add(SHOWN_LAST)).unwrap_or_default();
            return Self(format!("{first}..."));
        }
        let split = secret.len().checked_sub(SHOWN_LAST);
        let (Some(split), true) = (split, secret.len() >= 16 && secret.is_ascii()) else {
            return Self::of_nothing_known();
        };
        match (secret.get(..shown_first), secret.get(split..)) {
            (Some(first), Some(last)) => Self(format!("{first}...{last}")),
            _ => Self::of_nothing_known(),
        }
    }

    /// How the secret begins.
    pub fn first(&self) -> &str {
        self.0.split("...").next().unwrap_or_default()
    }

    /// The text to show.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The end of it: three dots and the last four characters, where there are so many to show.
    pub fn hint(&self) -> &str {
        self.0.find("...").and_then(|dots| self.0.get(dots..)).unwrap_or("...")
    }
}

/// The looks of secrets that are minted here. The look decides nothing about what a secret opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `lr_live_…`: made by the keys API.
    Live,
    /// `lr_mgmt_…`: a management key's.
    Management,
    /// `llmp_…`: made by `/internal/api-keys`.
    Internal,
    /// `sk-…`: made by the dashboard, `/create-key` and the command line.
    Plain,
    /// `weir_master_…`: the master key made at the first start.
    Master,
}

/// Characters of checksum at the end of every minted secret.
const CHECKSUM: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl Kind {
    const ALL: [Self; 5] =
        [Self::Live, Self::Management, Self::Internal, Self::Plain, Self::Master];

    /// What a secret of this look starts with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Live => "lr_live_",
            Self::Management => "lr_mgmt_",
            Self::Internal => "llmp_",
            Self::Plain => "sk-",
            Self::Master => "weir_master_",
        }
    }

    /// Characters after the prefix. 26 random base-62 characters are 154 bits, 38 are 226.
    const fn body_length(self) -> usize {
        match self {
            Self::Internal => 32,
            Self::Live | Self::Management | Self::Plain | Self::Master => 44,
        }
    }

    /// The look `secret` has, if its prefix, length and alphabet are one of ours.
    pub fn of(secret: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| {
            secret.strip_prefix(kind.prefix()).is_some_and(|body| {
                body.len() == kind.body_length() && body.bytes().all(|b| b.is_ascii_alphanumeric())
            })
        })
    }

    /// A new secret of this look.
    pub fn mint(self, entropy: &dyn Entropy) -> Secret {
        let mut text = String::with_capacity(64);
        text.push_str(self.prefix());
        let random = self.body_length().saturating_sub(CHECKSUM);
        let mut pool = [0_u8; 64];
        let mut drawn = 0;
        while drawn < random {
            entropy.fill(&mut pool);
            // 248 = 4 × 62: bytes above it are thrown away, so that every character is as likely.
            for byte in pool.iter().filter(|byte| **byte < 248).take(random.saturating_sub(drawn)) {
                text.push(base62(u32::from(*byte)));
                drawn = drawn.saturating_add(1);
            }
        }
        pool.zeroize();
        let sum = checksum(&text);
        text.extend(sum);
        Secret(text)
    }
}

/// Whether `secret` has the look of a minted one but not its checksum: mistyped or invented, so
/// that nobody need look it up.
pub fn is_mistyped(secret: &str) -> bool {
    if Kind::of(secret).is_none() {
        return false;
    }
    let split = secret.len().saturating_sub(CHECKSUM);
    match (secret.get(..split), secret.get(split..)) {
        (Some(body), Some(sum)) => !checksum(body).into_iter().eq(sum.chars()),
        _ => true,
    }
}

/// CRC-32 of everything before it, in six base-62 digits.
fn checksum(text: &str) -> [char; CHECKSUM] {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut sum = ['0'; CHECKSUM];
    for slot in sum.iter_mut().rev() {
        *slot = base62(rest);
        rest = rest.div_euclid(62);
    }
    sum
}

fn base62(number: u32) -> char {
    let digit = usize::try_from(number.rem_euclid(62)).unwrap_or(0);
    BASE62.get(digit).map_or('0', |byte| char::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicU8, Ordering};

    struct Counting(AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
        }
    }

    fn entropy() -> Counting {
        Counting(AtomicU8::new(7))
    }

    #[test]
    fn every_look_has_its_prefix_length_and_checksum() {
        for (kind, length) in [
            (Kind::Live, 52),
            (Kind::Management, 52),
            (Kind::Internal, 37),
            (Kind::Plain, 47),
            (Kind::Master, 56),
        ] {
            let secret = kind.mint(&entropy());
            let text = secret.expose();
            assert!(text.starts_with(kind.prefix()), "{text}");
            assert_eq!(text.len(), length, "{text}");
            assert_eq!(Kind::of(text), Some(kind));
            assert!(!is_mistyped(text));
        }
    }

    #[test]
    fn any_one_wrong_character_of_a_minted_secret_is_noticed() {
        let secret = Kind::Live.mint(&entropy());
        let text = secret.expose();
        for position in Kind::Live.prefix().len()..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[position] = if bytes[position] == b'x' { b'y' } else { b'x' };
            assert!(is_mistyped(std::str::from_utf8(&bytes).unwrap()), "position {position}");
        }
    }

    #[test]
    fn strings_that_were_not_minted_here_are_not_mistyped() {
        for text in ["sk-abc123def456", "sk-xyz789", "lmb-yourKeyHere", "", "lr_live_short"] {
            assert!(!is_mistyped(text), "{text}");
        }
    }

    #[test]
    fn debug_shows_nothing_and_a_mask_shows_little() {
        let secret = Kind::Internal.mint(&entropy());
        assert_eq!(format!("{secret:?}"), "Secret([not shown])");
        assert_eq!(format!("{:?}", secret.digest()), "Digest([not shown])");
        let mask = secret.mask();
        assert_eq!(mask.first(), &secret.expose()[..9]);
        assert_eq!(mask.as_str(), format!("{}...", mask.first()));
        let mask = Kind::Live.mint(&entropy()).mask();
        assert_eq!((mask.first(), mask.as_str().len()), ("lr_live_", "lr_live_...".len() + 4));
        assert_eq!(Secret::new("sk-xyz789".to_owned()).mask().as_str(), "...");
        let mask = Secret::new("sk-abc123def4567".to_owned()).mask();
        assert_eq!((mask.as_str(), mask.hint()), ("sk-...4567", "...4567"));
    }

    #[test]
    fn a_digest_is_kept_as_hexadecimal_digits() {
        let digest = Digest::of(b"sk-abc123def456");
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json.len(), 66);
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        assert!(serde_json::from_str::<Digest>("\"zz\"").is_err());
    }

    proptest! {
        #[test]
        fn no_string_makes_a_panic(text in "\\PC{0,80}") {
            let _ = is_mistyped(&text);
            let _ = Secret::new(text).mask();
        }
    }
}
