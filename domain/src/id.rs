//! Names of things: 128 bits, time-ordered (ULID), shown with a prefix that tells the kind.
//! Two kinds never mix, because they are two types. Nothing here is secret: an id tells when it
//! was made, and may stand in a URL, a log or an error.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::time::Timestamp;

/// Crockford's base 32, in lower case: no `i`, `l`, `o`, `u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const TEXT_LENGTH: usize = 26;

/// A ULID: 48 bits of milliseconds, 80 bits of randomness.
/// <https://github.com/ulid/spec>
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ulid(u128);

/// Text where people read it, since JSON's numbers end long before 128 bits; a number elsewhere.
impl Serialize for Ulid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Ulid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            Self::parse(&text).ok_or_else(|| de::Error::custom("not an id"))
        } else {
            u128::deserialize(deserializer).map(Self)
        }
    }
}

impl Ulid {
    /// An id made at `at`, with the low 80 bits of `random`.
    pub fn new(at: Timestamp, random: u128) -> Self {
        let millis = u128::try_from(at.millis()).unwrap_or(0) & 0xffff_ffff_ffff;
        Self((millis << 80) | (random & ((1 << 80) - 1)))
    }

    /// The id with exactly these bits.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// All 128 bits.
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// The id stored as these 16 big-endian bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// 16 big-endian bytes: they sort as the ids do.
    pub const fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// When the id was made, to the millisecond.
    pub fn made_at(self) -> Timestamp {
        let millis = i64::try_from(self.0 >> 80).unwrap_or(i64::MAX);
        Timestamp::from_micros(millis.saturating_mul(1_000))
    }

    /// Reads 26 characters of Crockford's base 32, either case.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT_LENGTH {
            return None;
        }
        let mut bits: u128 = 0;
        for (position, byte) in text.bytes().enumerate() {
            let lower = byte.to_ascii_lowercase();
            let digit = ALPHABET.iter().position(|&letter| letter == lower)?;
            // 26 × 5 = 130 bits: the first character may only use its low three.
            if position == 0 && digit > 7 {
                return None;
            }
            bits = (bits << 5) | u128::try_from(digit).ok()?;
        }
        Some(Self(bits))
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b'0'; TEXT_LENGTH];
        let mut bits = self.0;
        for slot in text.iter_mut().rev() {
            let digit = usize::try_from(bits & 31).unwrap_or(0);
            *slot = ALPHABET.get(digit).copied().unwrap_or(b'0');
            bits >>= 5;
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// A text that is not an id of the wanted kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal $(or $also:literal)?;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Ulid);

        impl $name {
            /// What its text starts with, before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id, made at `at`, with the low 80 bits of `random`.
            pub fn new(at: Timestamp, random: u128) -> Self {
                Self(Ulid::new(at, random))
            }

            /// The id with this number.
            pub const fn from_ulid(ulid: Ulid) -> Self {
                Self(ulid)
            }

            /// The number without its kind.
            pub const fn ulid(self) -> Ulid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let ulid = text.strip_prefix(concat!($prefix, "_"));
                $(let ulid = ulid.or_else(|| text.strip_prefix(concat!($also, "_")));)?
                ulid.and_then(Ulid::parse).map(Self).ok_or(NotAnId)
            }
        }
    )*};
}

ids! {
    /// One of our secrets for a provider.
    CredentialId = "cred";
    /// One call's hold in the ledger; also the id of its ledger row.
    HoldId = "att";
    // The internal API's document shows it as `ak_…`: whoever holds either may use it everywhere.
    /// A key: the record, whichever secrets it has.
    KeyId = "key" or "ak";
    /// One limit.
    LimitId = "lim";
    /// A project.
    ProjectId = "proj";
    /// One request of a client, however many attempts it took.
    RequestId = "req";
    /// A team.
    TeamId = "team";
    /// A user.
    UserId = "user";
}

impl ProjectId {
    /// The project of keys that were given no other.
    pub const DEFAULT: Self = Self(Ulid(0));
}

impl fmt::Debug for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_is_its_prefix_and_26_lower_case_characters() {
        // The time of the specification's own example.
        let id = KeyId::new(Timestamp::from_micros(1_469_918_176_385_000), 0);
        assert_eq!(id.to_string(), "key_01aryz6s410000000000000000");
        assert_eq!("ak_01aryz6s410000000000000000".parse(), Ok(id));
        assert_eq!("ak_01aryz6s410000000000000000".parse::<UserId>(), Err(NotAnId));
    }

    #[test]
    fn another_kind_a_wrong_length_and_an_overflow_are_no_ids() {
        for text in [
            "",
            "key_",
            "user_01aryz6r000000000000000000",
            "key_01aryz6r00000000000000000",
            "key_81aryz6r000000000000000000",
            "key_0uaryz6r000000000000000000",
        ] {
            assert_eq!(text.parse::<KeyId>(), Err(NotAnId), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_and_bytes_give_the_same_id_back(bits: u128) {
            let id = HoldId::from_ulid(Ulid::from_bits(bits));
            prop_assert_eq!(id.to_string().parse::<HoldId>(), Ok(id));
            prop_assert_eq!(id.to_string().to_uppercase().replace("ATT", "att").parse(), Ok(id));
            prop_assert_eq!(Ulid::from_bytes(id.ulid().bytes()), id.ulid());
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(&json, &format!("\"{}\"", id.ulid()));
            prop_assert_eq!(serde_json::from_str::<HoldId>(&json).unwrap(), id);
        }

        #[test]
        fn ids_sort_by_the_time_they_were_made(a in 0..1_i64 << 40, b in 0..1_i64 << 40, r: u128) {
            let (first, second) = (Timestamp::from_micros(a * 1000), Timestamp::from_micros(b * 1000));
            if a < b {
                prop_assert!(KeyId::new(first, r) < KeyId::new(second, !r));
            }
            prop_assert_eq!(KeyId::new(first, r).ulid().made_at(), first);
        }
    }
}
