//! Safe retries: the key is claimed in the mutation's own transaction and the answer is kept by the same commit, so that
//! a crash frees the key and a duplicate waits for the first and gets its answer.

use chrono::TimeDelta;
use sha2::{Digest, Sha256};

use crate::access::Grant;
use crate::error::{BoxError, Refusal};
use crate::store::{Scope, StoreError};

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

/// An answer kept for a retry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredAnswer {
    /// The protocol's status, such as 201.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Frees the key of the grant's call, for a call of which something failed after its commit, such as handing a mail over: a
/// retry then runs, and is not answered as if all was well.
///
/// # Errors
/// Those of a transaction.
pub async fn free(grant: &Grant) -> Result<(), StoreError> {
    let Some(key) = grant.ctx().idempotency.as_deref().cloned() else { return Ok(()) };
    let mut tx = grant.kernel.store().begin(Scope::of(grant).apart()).await?;
    tx.records().free(key);
    tx.commit().await
}

/// Something a handler answers that can be kept.
pub trait Answer {
    /// The answer as it goes out.
    fn stored(&self) -> Result<StoredAnswer, BoxError>;
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
