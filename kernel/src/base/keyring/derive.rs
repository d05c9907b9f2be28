//! Derives keys from secrets: HKDF-SHA256 (RFC 5869).

use std::sync::Arc;

use hkdf::Hkdf;
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;

use crate::base::secret::random;

/// Separates the keys that are derived here from those that anything else derives from the same secret.
const SALT: &[u8] = b"saas-kernel keyring v1";

/// What HKDF extracted from a secret.
pub(super) type Secret = Arc<SecretBox<[u8; 32]>>;

/// Extracts what keys are derived from. It needs no slow hash: a secret is random text, not a password.
pub(super) fn extract(secret: &[u8]) -> Secret {
    let (extracted, _) = Hkdf::<Sha256>::extract(Some(SALT), secret);
    Arc::new(SecretBox::init_with_mut(|slot: &mut [u8; 32]| slot.copy_from_slice(&extracted)))
}

/// Derives the key for `use_of` under `name`. `use_of` has no NUL, so that no two pairs give the same key.
pub(super) fn expand(secret: &Secret, use_of: &str, name: &str) -> SecretBox<[u8; 32]> {
    SecretBox::init_with_mut(|key: &mut [u8; 32]| {
        // HKDF fails only for other lengths than these. If it did, nothing could be verified or decrypted with a random key.
        *key = random();
        if let Ok(hkdf) = Hkdf::<Sha256>::from_prk(secret.expose_secret()) {
            let _ = hkdf.expand_multi_info(&[use_of.as_bytes(), b"\0", name.as_bytes()], key);
        }
    })
}
