//! Safe retries: the key is claimed in the mutation's own transaction and the answer is kept by the same commit, so that
//! a crash frees the key and a duplicate waits for the first and gets its answer.

use chrono::TimeDelta;
use sha2::{Digest, Sha256};

use crate::base::error::{BoxError, Refusal};
use crate::base::response::StoredResponse;

/// How long an answer is kept.
pub const KEEP: TimeDelta = TimeDelta::hours(24);

/// A caller's key and what the request was. Scoped to the workspace (or the person) and the actor by the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdempotencyKey {
    key: String,
    fingerprint: [u8; 32],
}

impl IdempotencyKey {
    /// From the header and the request: the same key with another method, path or body is another request.
    ///
    /// # Errors
    /// `validation_failed` unless it is 1 to 200 visible ASCII characters.
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

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What the request was.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }
}

/// Something a handler answers that can be kept.
pub trait StorableResponse {
    /// The answer as it goes out.
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
