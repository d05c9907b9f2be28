//! Context of one call: its time, request id, client and idempotency key. It holds neither the caller's identity nor the input.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::base::id::RequestId;
use crate::base::idempotency::IdempotencyKey;

/// Context of one request, job or command.
#[derive(Clone, Debug)]
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

    /// The same for the client at `ip`.
    #[must_use]
    pub fn from_client(self, ip: IpAddr) -> Self {
        Self { ip: Some(ip), ..self }
    }

    /// The same with the client's own request id, if it sent one of 8 to 100 letters, digits, `-`, `_` and `.`.
    #[must_use]
    pub fn with_request_id(self, sent: Option<&[u8]>) -> Self {
        let is_plain = |id: &&str| {
            (8..=100).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        let sent = sent.and_then(|id| std::str::from_utf8(id).ok()).filter(is_plain);
        Self { request_id: sent.map_or(self.request_id, Arc::from), ..self }
    }

    /// The same with the client's `User-Agent`, of which the first 400 bytes are kept.
    #[must_use]
    pub fn with_user_agent(self, sent: Option<&[u8]>) -> Self {
        let sent = sent.and_then(|agent| std::str::from_utf8(agent).ok());
        let kept = sent.and_then(|agent| agent.get(..agent.floor_char_boundary(400)));
        Self { user_agent: kept.map(Arc::from), ..self }
    }

    /// Context for jobs, commands and tests, which have no client.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_own_request_id_is_taken_if_it_is_plain() {
        let ctx = || Ctx::at(DateTime::UNIX_EPOCH);
        assert_eq!(&*ctx().with_request_id(Some(b"trace-1.2_3")).request_id, "trace-1.2_3");
        for sent in [None, Some(&b"short"[..]), Some(b"two words"), Some(b"line\nbreak"), Some(b"\xff2345678")] {
            assert!(ctx().with_request_id(sent).request_id.starts_with("req_"), "{sent:?}");
        }
    }

    #[test]
    fn a_long_user_agent_is_cut_between_characters() {
        let agent = |sent: &str| Ctx::at(DateTime::UNIX_EPOCH).with_user_agent(Some(sent.as_bytes())).user_agent;
        assert_eq!(agent("curl/8").as_deref(), Some("curl/8"));
        assert_eq!(agent(&format!("a{}", "ü".repeat(300))).map(|kept| kept.len()), Some(399));
        assert_eq!(Ctx::at(DateTime::UNIX_EPOCH).with_user_agent(Some(b"\xff")).user_agent, None);
    }
}
