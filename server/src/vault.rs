//! Credentials at rest: sealed with XChaCha20-Poly1305 under a key that is not in the database, each
//! to its own id, so that none can be put in the place of another. Where the keys come from is
//! `config`'s and `store`'s to say.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use data_encoding::{
    BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE,
};
use domain::supply::CredentialRecord;
use domain::{CredentialId, Digest, Entropy, Secret, Supply};
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;
const NAME_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;

/// The keys there are. The first one seals; each opens what it sealed.
#[derive(Default)]
pub struct Vault {
    keys: Vec<DataKey>,
}

struct DataKey {
    /// Tells the key from others, and nothing about it.
    name: [u8; NAME_BYTES],
    cipher: XChaCha20Poly1305,
}

/// A text that is not 32 bytes in hexadecimal or base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAKey;

impl Vault {
    /// Adds a key, after those there are.
    ///
    /// # Errors
    /// It is none.
    pub fn add(&mut self, text: &Secret) -> Result<(), NotAKey> {
        let bytes = read(text.expose().trim()).ok_or(NotAKey)?;
        let named = [b"weir credential key ".as_slice(), bytes.as_slice()].concat();
        let named = Zeroizing::new(named);
        let mut name = [0; NAME_BYTES];
        name.copy_from_slice(&Digest::of(&named).bytes()[..NAME_BYTES]);
        let cipher = XChaCha20Poly1305::new_from_slice(bytes.as_slice()).map_err(|_| NotAKey)?;
        self.keys.push(DataKey { name, cipher });
        Ok(())
    }

    /// Whether there is no key to seal with.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// A new key, as its file has it.
    pub fn make_key(entropy: &dyn Entropy) -> Secret {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        entropy.fill(bytes.as_mut_slice());
        Secret::new(HEXLOWER.encode(bytes.as_slice()))
    }

    /// Seals the secret of the credential `id`; `None` without a key. The key's name, the nonce, and
    /// what is sealed stand behind one another.
    pub fn seal(
        &self,
        id: CredentialId,
        secret: &Secret,
        entropy: &dyn Entropy,
    ) -> Option<Vec<u8>> {
        let key = self.keys.first()?;
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill(&mut nonce);
        let (msg, aad) = (secret.expose().as_bytes(), id.to_string());
        let payload = Payload { msg, aad: aad.as_bytes() };
        let sealed = key.cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        Some([key.name.as_slice(), &nonce, &sealed].concat())
    }

    /// The secret of a credential; `None` where no key here opens it.
    pub fn open(&self, credential: &CredentialRecord) -> Option<Secret> {
        let (name, rest) = credential.sealed.split_at_checked(NAME_BYTES)?;
        let (nonce, msg) = rest.split_at_checked(NONCE_BYTES)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
        let key = self.keys.iter().find(|key| key.name == name)?;
        let aad = credential.id.to_string();
        let payload = Payload { msg, aad: aad.as_bytes() };
        let text = key.cipher.decrypt(&XNonce::from(nonce), payload).ok()?;
        String::from_utf8(text).ok().map(Secret::new)
    }

    /// The credentials of a provider that can be used now, by name; `None` where it has none at all.
    pub fn opened(&self, supply: &Supply, provider: &str) -> Option<Vec<(String, Secret)>> {
        let mut its = supply.credentials().filter(|one| one.provider == provider).peekable();
        its.peek()?;
        let in_use = its.filter(|credential| !credential.disabled);
        Some(
            in_use
                .filter_map(|credential| Some((credential.id.to_string(), self.open(credential)?)))
                .collect(),
        )
    }
}

fn read(text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let forms = [HEXLOWER_PERMISSIVE, BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD];
    forms.iter().find_map(|form| {
        let bytes = Zeroizing::new(form.decode(text.as_bytes()).ok()?);
        Some(Zeroizing::new(bytes.as_slice().try_into().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;
    use domain::supply::Stamp;

    struct Ones;

    impl Entropy for Ones {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(1);
        }
    }

    fn vault(keys: &[&str]) -> Vault {
        let mut vault = Vault::default();
        for key in keys {
            vault.add(&Secret::new((*key).to_owned())).unwrap();
        }
        vault
    }

    fn credential(number: u128, sealed: Vec<u8>) -> CredentialRecord {
        CredentialRecord {
            id: CredentialId::new(Timestamp::from_seconds(1), number),
            provider: "openai".to_owned(),
            label: None,
            hint: "...".to_owned(),
            disabled: false,
            sealed,
            stamp: Stamp::default(),
        }
    }

    const FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000001";
    const SECOND: &str = "0000000000000000000000000000000000000000000000000000000000000002";

    #[test]
    fn what_was_sealed_is_opened_by_its_key_and_in_its_place_only() {
        let secret = Secret::new("sk-canary-0123456789".to_owned());
        let mut one = credential(1, Vec::new());
        one.sealed = vault(&[FIRST]).seal(one.id, &secret, &Ones).unwrap();
        let text = String::from_utf8_lossy(&one.sealed).into_owned();
        assert!(!text.contains("canary"));
        let opened = |keys: &[&str], one: &CredentialRecord| {
            vault(keys).open(one).map(|secret| secret.expose().to_owned())
        };
        let expected = Some("sk-canary-0123456789".to_owned());
        assert_eq!(opened(&[FIRST], &one), expected);
        assert_eq!(opened(&[SECOND, FIRST], &one), expected);
        assert_eq!(opened(&[SECOND], &one), None);
        assert_eq!(opened(&[], &one), None);
        assert_eq!(opened(&[FIRST], &credential(2, one.sealed.clone())), None);
        for at in 0..one.sealed.len() {
            let mut damaged = one.clone();
            damaged.sealed[at] ^= 1;
            assert_eq!(opened(&[FIRST], &damaged), None, "byte {at}");
            damaged.sealed.truncate(at);
            assert_eq!(opened(&[FIRST], &damaged), None, "cut at {at}");
        }
    }

    #[test]
    fn keys_are_hexadecimal_or_base64() {
        let base64 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE";
        let forms =
            [FIRST.to_owned(), base64.to_owned(), format!("{base64}="), format!("{FIRST}\n")];
        for text in forms {
            assert_eq!(vault(&[&text]).keys[0].name, vault(&[FIRST]).keys[0].name, "{text}");
        }
        for text in ["", "x", &FIRST[1..], "change-me"] {
            assert_eq!(Vault::default().add(&Secret::new(text.to_owned())), Err(NotAKey), "{text}");
        }
        assert!(
            Vault::default()
                .seal(credential(1, vec![]).id, &Secret::new(String::new()), &Ones)
                .is_none()
        );
        let made = Vault::make_key(&Ones);
        assert!(Vault::default().add(&made).is_ok());
    }
}
