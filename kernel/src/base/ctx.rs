//! One call's circumstances: when, from where, under which request id. Everything a kernel function needs to know that is
//! neither the caller's identity nor the input.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::base::id::RequestId;
use crate::base::idempotency::IdempotencyKey;

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
    /// The client's network, by which callers whom nobody has authenticated are told apart. See [`network`].
    pub fn network(&self) -> Option<IpAddr> {
        self.ip.map(network)
    }

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

/// The network that one client has: its IPv4 address, or the first 64 bits of its IPv6 address, as a provider gives every
/// subscriber at least that many addresses (RFC 6177).
///
/// ```
/// use saas_kernel::ctx::network;
/// assert_eq!(network("2001:db8:1:2:3:4:5:6".parse().unwrap()), network("2001:db8:1:2::9".parse().unwrap()));
/// assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), "192.0.2.1".parse::<std::net::IpAddr>().unwrap());
/// ```
pub fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}
