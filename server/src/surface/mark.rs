//! The marks that lists hand out to go on from: an id and a signature, so that nobody can make one
//! up. They say where a page ended, never who may read the next.

use data_encoding::BASE32_NOPAD_NOCASE;
use domain::id::Ulid;
use domain::{Digest, Secret};
use subtle::ConstantTimeEq as _;

const SIGNATURE_BYTES: usize = 12;

pub fn make(secret: &Secret, id: Ulid) -> String {
    let mut bytes = id.bytes().to_vec();
    bytes.extend(signature(secret, id));
    BASE32_NOPAD_NOCASE.encode(&bytes).to_lowercase()
}

/// The id in a mark that was made here.
pub fn read(secret: &Secret, mark: &str) -> Option<Ulid> {
    let bytes = BASE32_NOPAD_NOCASE.decode(mark.as_bytes()).ok()?;
    let (id, signed) = bytes.split_at_checked(16)?;
    let id = Ulid::from_bytes(id.try_into().ok()?);
    bool::from(signed.ct_eq(&signature(secret, id))).then_some(id)
}

/// SHA-256 over a secret of fixed length, the id, and the secret again: what comes last cannot be
/// extended without it.
fn signature(secret: &Secret, id: Ulid) -> [u8; SIGNATURE_BYTES] {
    let text = secret.expose();
    let signed = [text.as_bytes(), b"/list/", &id.bytes(), text.as_bytes()].concat();
    let digest = Digest::of(&signed);
    let mut signature = [0; SIGNATURE_BYTES];
    signature.copy_from_slice(&digest.bytes()[..SIGNATURE_BYTES]);
    signature
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marks_made_with_the_secret_are_read() {
        let secret = Secret::new("one".to_owned());
        let id = Ulid::from_bits(42);
        let mark = make(&secret, id);
        assert_eq!(read(&secret, &mark), Some(id));
        assert_eq!(read(&Secret::new("two".to_owned()), &mark), None);
        for wrong in ["", "x", &mark[1..], &mark.replace('a', "b")] {
            assert_eq!(read(&secret, wrong).filter(|_| *wrong != mark), None, "{wrong}");
        }
    }
}
