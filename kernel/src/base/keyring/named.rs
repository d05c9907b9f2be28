//! The keys of one purpose: signatures, and authenticated encryption.

use std::fmt;
use std::sync::Arc;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretBox, SecretSlice};
use sha2::Sha256;

use super::derive::{Secret, expand};
use crate::base::error::Error;
use crate::base::secret::random;

/// Version of the form that [`NamedSecret::encrypt`] returns: version byte, key id, nonce, ciphertext with its tag.
const VERSION: u8 = 1;
const ID: usize = 4;
const HEADER: usize = 1 + ID;
const NONCE: usize = 12;
const TAG: usize = 16;

/// The keys of one purpose: one current key, which signs and encrypts, and previous ones, which only verify and decrypt. Cheap to
/// clone. Give each part of a program the one that it needs.
#[derive(Clone)]
pub struct NamedSecret(Arc<Keys>);

struct Keys {
    name: String,
    current: Key,
    previous: Vec<Key>,
}

/// The keys that were derived from one secret.
struct Key {
    id: KeyId,
    signing: SecretBox<[u8; 32]>,
    encryption: SecretBox<[u8; 32]>,
}

/// Identifies a key among those of its name; says nothing about the key. As text it is eight hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; ID]);

impl NamedSecret {
    pub(super) fn derive(name: &str, current: &Secret, previous: &[Secret]) -> Self {
        let key = |secret| Key::derive(name, secret);
        let (current, previous) = (key(current), previous.iter().map(key).collect());
        Self(Arc::new(Keys { name: name.to_owned(), current, previous }))
    }

    /// Name of the purpose.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Id of the current key, with which new values are encrypted.
    pub fn current_key(&self) -> KeyId {
        self.0.current.id
    }

    /// Signs the list of `parts` with the current key: HMAC-SHA256 over the length-prefixed parts, so that different lists never
    /// sign the same message. For values that clients send back unchanged; they can read them.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.0.current.mac(parts).finalize().into_bytes().into()
    }

    /// Verifies a signature of the current or a previous key, each in constant time. `signature` may be a truncation of at least
    /// 16 bytes.
    pub fn verify(&self, parts: &[&[u8]], signature: &[u8]) -> bool {
        signature.len() >= 16 && self.keys().any(|key| key.mac(parts).verify_truncated_left(signature).is_ok())
    }

    /// Encrypts `plain` with the current key: AES-256-GCM with a random 96-bit nonce. `context` says what the value belongs to,
    /// such as table and row id; the value can be decrypted only with the same context, so that it cannot be moved to another row.
    /// The result is 33 bytes longer than `plain`.
    ///
    /// One key may encrypt at most 2^32 values with random nonces (NIST SP 800-38D, section 8.3). Rotate the secret long before.
    ///
    /// # Errors
    /// If `plain` is longer than the cipher allows, 64 GiB.
    pub fn encrypt(&self, context: &[&[u8]], plain: &[u8]) -> Result<Vec<u8>, Error> {
        self.encrypt_with(random, context, plain)
    }

    /// Encrypts with a nonce of `nonce`, which is called once.
    pub(super) fn encrypt_with(
        &self,
        nonce: impl FnOnce() -> [u8; NONCE],
        context: &[&[u8]],
        plain: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let (key, nonce) = (&self.0.current, nonce());
        let mut sealed = Vec::with_capacity(HEADER + NONCE + plain.len() + TAG);
        sealed.push(VERSION);
        sealed.extend(key.id.0);
        let aad = self.associated_data(&sealed, context);
        let payload = Payload { msg: plain, aad: &aad };
        let encrypted = key.cipher().encrypt(&Nonce::from(nonce), payload);
        let encrypted = encrypted.map_err(|_| Error::broken("the value is too long to be encrypted"))?;
        sealed.extend(nonce);
        sealed.extend(encrypted);
        Ok(sealed)
    }

    /// Decrypts what [`encrypt`](Self::encrypt) returned for the same name and context, with the current or a previous key.
    ///
    /// # Errors
    /// See [`DecryptError`].
    pub fn decrypt(&self, context: &[&[u8]], sealed: &[u8]) -> Result<Decrypted, DecryptError> {
        let (header, id) = header(sealed)?;
        let key = self.keys().find(|key| key.id == id).ok_or(DecryptError::UnknownKey(id))?;
        let body = sealed.get(HEADER..).and_then(<[u8]>::split_first_chunk::<NONCE>);
        let (nonce, encrypted) = body.ok_or(DecryptError::Malformed)?;
        let aad = self.associated_data(header, context);
        let plain = key.cipher().decrypt(&Nonce::from(*nonce), Payload { msg: encrypted, aad: &aad });
        plain.map(|plain| Decrypted(plain.into())).map_err(|_| DecryptError::Refused)
    }

    /// Whether `sealed` was encrypted with another key, or in another form, than new values are. Decrypt and encrypt such a value
    /// again before its secret is removed from the keyring.
    pub fn needs_reencryption(&self, sealed: &[u8]) -> bool {
        !matches!(header(sealed), Ok((_, id)) if id == self.0.current.id)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.0.current).chain(&self.0.previous)
    }

    /// What is authenticated with a value, without being part of it: its header, the name and the context.
    fn associated_data(&self, header: &[u8], context: &[&[u8]]) -> Vec<u8> {
        let mut data = header.to_vec();
        for part in [self.0.name.as_bytes()].iter().chain(context) {
            data.extend((part.len() as u64).to_be_bytes());
            data.extend(*part);
        }
        data
    }
}

/// The header of an encrypted value, and the id of its key.
fn header(sealed: &[u8]) -> Result<(&[u8], KeyId), DecryptError> {
    let (header, _) = sealed.split_at_checked(HEADER).ok_or(DecryptError::Malformed)?;
    match header {
        [VERSION, a, b, c, d] => Ok((header, KeyId([*a, *b, *c, *d]))),
        [version, ..] => Err(DecryptError::UnknownVersion(*version)),
        [] => Err(DecryptError::Malformed),
    }
}

impl Key {
    fn derive(name: &str, secret: &Secret) -> Self {
        let mut id = [0; ID];
        for (slot, byte) in id.iter_mut().zip(expand(secret, "id", name).expose_secret()) {
            *slot = *byte;
        }
        Self { id: KeyId(id), signing: expand(secret, "sign", name), encryption: expand(secret, "encrypt", name) }
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        // Zero-padded to the block size, as RFC 2104 does with a key of this length, so that its length is always valid.
        let mut block = [0u8; 64];
        for (slot, byte) in block.iter_mut().zip(self.signing.expose_secret()) {
            *slot = *byte;
        }
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }

    fn cipher(&self) -> Aes256Gcm {
        <Aes256Gcm as aes_gcm::KeyInit>::new(self.encryption.expose_secret().into())
    }
}

/// A decrypted value. Its `Debug` output is redacted, and its memory is cleared when it is dropped.
pub struct Decrypted(SecretSlice<u8>);

impl Decrypted {
    /// The bytes of the value.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

/// Why a value was not decrypted.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// The value is too short to have been encrypted.
    #[error("the value is not an encrypted one: it is too short")]
    Malformed,
    /// The value was encrypted by a newer version of the kernel.
    #[error(
        "the value has the form {0}, which this version cannot read; it was written by a newer version, or changed"
    )]
    UnknownVersion(u8),
    /// The keyring does not hold the secret of the value's key.
    #[error(
        "the value was encrypted with the key {0}, which is not in the keyring; add its secret again, behind the current one"
    )]
    UnknownKey(KeyId),
    /// The value is not what was encrypted, or belongs elsewhere.
    #[error("the value was changed after it was encrypted, or belongs to another name or context")]
    Refused,
}

crate::debug_explains!(DecryptError);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl fmt::Debug for Decrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decrypted(redacted)")
    }
}

impl fmt::Debug for NamedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamedSecret({}, redacted)", self.0.name)
    }
}
