//! Idempotency keys. The key is claimed in the mutation's own transaction and the response is stored by the same commit: after
//! a crash the key is free again, and a duplicate request waits for the first one and gets its response.

use chrono::TimeDelta;
use sha2::{Digest, Sha256};

use crate::base::error::{BoxError, Refusal};
use crate::base::response::StoredResponse;

/// Time for which a response is stored.
pub const KEEP: TimeDelta = TimeDelta::hours(24);

/// A caller's idempotency key and a fingerprint of the request. The store scopes it to the workspace (or the person) and the
/// actor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdempotencyKey {
    key: String,
    fingerprint: [u8; 32],
}

impl IdempotencyKey {
    /// Creates the key from the header and the request. The same key with another method, path or body is another request.
    ///
    /// # Errors
    /// `validation_failed` unless the key is 1 to 200 visible ASCII characters.
    pub fn parse(key: &str, method: &str, path: &str, body: &[u8]) -> Result<Self, Refusal> {
        if !(1..=200).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Refusal::field("Idempotency-Key", "must be 1 to 200 visible ASCII characters, such as a UUID"));
        }
        let mut hash = Sha256::new();
        for part in [method.as_bytes(), path.as_bytes(), body] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Ok(Self { key: key.to_owned(), fingerprint: hash.finalize().into() })
    }

    /// The key, as the client sent it.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// SHA-256 fingerprint of the request's method, path and body.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }
}

/// A handler's response that can be stored for retries.
pub trait StorableResponse {
    /// The response, as it is sent.
    fn stored(&self) -> Result<StoredResponse, BoxError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_bound_to_the_request() {
        let key = |path, body: &str| IdempotencyKey::parse("k-1", "POST", path, body.as_bytes()).unwrap();
        assert_eq!(key("/a", "b"), key("/a", "b"));
        assert_ne!(key("/a", "b").fingerprint(), key("/a", "c").fingerprint());
        assert_ne!(key("/a", "b").fingerprint(), key("/ab", "").fingerprint());
        for bad in ["", "a b", "ü", "a\u{0}", &"k".repeat(201)] {
            assert!(IdempotencyKey::parse(bad, "POST", "/", b"").is_err(), "{bad:?}");
        }
    }
}
