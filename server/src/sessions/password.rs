//! The dashboard's password, as the operator's file has it: plain, where a person wrote it, or as an
//! argon2id hash, where the program did.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use domain::{Digest, Secret};
use subtle::ConstantTimeEq as _;

/// The password where nobody set one.
pub const DEFAULT: &str = "admin";

/// What a password is held against.
#[derive(Clone, Debug, Default)]
pub enum Password {
    /// Nobody set one.
    #[default]
    Default,
    /// As a person wrote it.
    Plain(Arc<Secret>),
    /// As the program wrote it.
    Hashed(Arc<str>),
    /// The file cannot be read: no password is right.
    Unknown,
}

impl Password {
    /// The password that `text` in the file stands for.
    pub fn of(text: &str) -> Self {
        match text {
            DEFAULT => Self::Default,
            _ if text.starts_with(PREFIX) => Self::Hashed(text.into()),
            _ => Self::Plain(Arc::new(Secret::new(text.to_owned()))),
        }
    }

    /// Whether `given` is it. Takes its time, and memory.
    pub fn is(&self, given: &Secret) -> bool {
        match self {
            Self::Default => same(DEFAULT, given),
            Self::Plain(plain) => same(plain.expose(), given),
            Self::Hashed(hash) => {
                let parsed = PasswordHash::new(hash);
                parsed.is_ok_and(|hash| {
                    Argon2::default().verify_password(given.expose().as_bytes(), &hash).is_ok()
                })
            }
            Self::Unknown => false,
        }
    }

    /// The password itself, where it stands in the file for everybody to read who can read that.
    pub fn plain(&self) -> Option<Secret> {
        match self {
            Self::Plain(plain) => Some(Secret::new(plain.expose().to_owned())),
            Self::Default | Self::Hashed(_) | Self::Unknown => None,
        }
    }

    /// Tells one password from another, and gives nobody anything to guess at.
    pub fn mark(&self) -> Option<Digest> {
        match self {
            Self::Default => Some(Digest::of(DEFAULT.as_bytes())),
            Self::Hashed(hash) => Some(Digest::of(hash.as_bytes())),
            Self::Plain(_) | Self::Unknown => None,
        }
    }
}

const PREFIX: &str = "$argon2";

fn same(password: &str, given: &Secret) -> bool {
    Digest::of(password.as_bytes()).bytes().ct_eq(given.digest().bytes()).into()
}

/// Whether `text` is a hash, or is meant to be none; one that is broken is a mistake.
pub fn is_hash(text: &str) -> Option<bool> {
    if !text.starts_with(PREFIX) {
        return Some(false);
    }
    PasswordHash::new(text).is_ok().then_some(true)
}

/// The hash that the file keeps: argon2id, 19 MiB, two passes.
pub fn hash(given: &Secret, salt: &[u8]) -> Option<String> {
    let hash: PasswordHash =
        Argon2::default().hash_password_with_salt(given.expose().as_bytes(), salt).ok()?;
    Some(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_right_however_it_is_written() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let hash = hash(&secret("correct horse"), &[7; 16]).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(
            (is_hash(&hash), is_hash("plain"), is_hash("$argon2id$x")),
            (Some(true), Some(false), None)
        );
        for password in [Password::of(&hash), Password::of("correct horse")] {
            assert!(password.is(&secret("correct horse")));
            assert!(!password.is(&secret("wrong horse")));
        }
        assert!(Password::of("admin").is(&secret("admin")));
        assert!(!Password::Unknown.is(&secret("admin")));
    }
}
