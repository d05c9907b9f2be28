//! One call's circumstances: when, from where, under which request id. Everything a kernel function needs to know that is
//! neither the caller's identity nor the input.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::guard::idempotency::IdempotencyKey;
use crate::id::RequestId;

/// The circumstances of one request, job or command.
#[derive(Clone, Debug)]
pub struct Ctx {
    /// When the call began. One instant for the whole call, so that all its rows agree.
    pub now: DateTime<Utc>,
    /// As shown to the caller in `X-Request-Id`. Callers may send their own, so it is text.
    pub request_id: Arc<str>,
    /// The client's address, found through trusted proxies only.
    pub ip: Option<IpAddr>,
    /// The client's own description of itself, at most 400 bytes.
    pub user_agent: Option<Arc<str>>,
    /// The key that makes a retry safe, when the caller sent one.
    pub idempotency: Option<Arc<IdempotencyKey>>,
}

impl Ctx {
    /// For jobs, commands and tests: no client behind it.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self {
            now,
            request_id: RequestId::generate(now).to_string().into(),
            ip: None,
            user_agent: None,
            idempotency: None,
        }
    }
}
