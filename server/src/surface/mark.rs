//! The marks that lists hand out to go on from: a place in a list and a signature, so that nobody can
//! make one up, or use it in another list. They say where a page ended, never who may read the next.

use data_encoding::BASE32_NOPAD_NOCASE;
use domain::{Digest, Secret};
use subtle::ConstantTimeEq as _;

const SIGNATURE_BYTES: usize = 12;

/// A mark at `place` in the list that `list` says all about.
pub fn make(secret: &Secret, list: &str, place: &[u8]) -> String {
    let mut bytes = signature(secret, list, place).to_vec();
    bytes.extend_from_slice(place);
    BASE32_NOPAD_NOCASE.encode(&bytes).to_lowercase()
}

/// The place in a mark that was made here for this list.
pub fn read(secret: &Secret, list: &str, mark: &str) -> Option<Vec<u8>> {
    let bytes = BASE32_NOPAD_NOCASE.decode(mark.as_bytes()).ok()?;
    let (signed, place) = bytes.split_at_checked(SIGNATURE_BYTES)?;
    bool::from(signed.ct_eq(&signature(secret, list, place))).then(|| place.to_vec())
}

/// SHA-256 over a secret of fixed length, the list, the place, and the secret again: what comes last
/// cannot be extended without it.
fn signature(secret: &Secret, list: &str, place: &[u8]) -> [u8; SIGNATURE_BYTES] {
    let text = secret.expose();
    let list = Digest::of(list.as_bytes());
    let signed = [text.as_bytes(), b"/list/", list.bytes(), place, text.as_bytes()].concat();
    let digest = Digest::of(&signed);
    let mut signature = [0; SIGNATURE_BYTES];
    signature.copy_from_slice(&digest.bytes()[..SIGNATURE_BYTES]);
    signature
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marks_made_with_the_secret_for_the_same_list_are_read() {
        let secret = Secret::new("one".to_owned());
        let mark = make(&secret, "keys", b"somewhere");
        assert_eq!(read(&secret, "keys", &mark).as_deref(), Some(&b"somewhere"[..]));
        assert_eq!(read(&secret, "users", &mark), None);
        assert_eq!(read(&Secret::new("two".to_owned()), "keys", &mark), None);
        for wrong in ["", "x", &mark[1..], &mark.replace('a', "b")] {
            assert_eq!(read(&secret, "keys", wrong).filter(|_| *wrong != mark), None, "{wrong}");
        }
    }
}
