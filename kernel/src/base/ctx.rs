//! Context of one call: its time, request id, client and idempotency key. It holds neither the caller's identity nor the input.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::base::id::RequestId;
use crate::base::idempotency::IdempotencyKey;

/// Context of one request, job or command.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ctx {
    /// Time at which the call began. All rows that the call writes have this time.
    pub now: DateTime<Utc>,
    /// Request id, as returned in `X-Request-Id`. It is text because clients may send their own.
    pub request_id: Arc<str>,
    /// Address of the client. Forwarding headers count only from trusted proxies.
    pub ip: Option<IpAddr>,
    /// The client's `User-Agent`, at most 400 bytes.
    pub user_agent: Option<Arc<str>>,
    /// Idempotency key of the request, if the client sent one.
    pub idempotency: Option<Arc<IdempotencyKey>>,
}

impl Ctx {
    /// The client's network, which identifies callers who are not authenticated. See [`network`].
    pub fn network(&self) -> Option<IpAddr> {
        self.ip.map(network)
    }

    /// Context for jobs, commands and tests, which have no client.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self::new(now, RequestId::generate(now).to_string())
    }

    /// Context of a call with this request id. Set the other fields afterwards.
    pub fn new(now: DateTime<Utc>, request_id: impl Into<Arc<str>>) -> Self {
        Self { now, request_id: request_id.into(), ip: None, user_agent: None, idempotency: None }
    }
}

/// The network of a client: its IPv4 address, or the first 64 bits of its IPv6 address, because a provider assigns every
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
