//! Context of one call: its time, request id and client. It holds neither the caller's identity nor the input.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::base::id::RequestId;
use crate::base::request::RequestHead;

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
}

impl Ctx {
    /// The client's network, which identifies callers who are not authenticated. See [`network`].
    pub fn network(&self) -> Option<IpAddr> {
        self.ip.map(network)
    }

    /// Context of the request `head` from the client at `ip`. The client's own `X-Request-Id` is taken if it has 8 to 100 letters,
    /// digits, `-`, `_` and `.`; of its `User-Agent` the first 400 bytes are kept.
    pub fn of_request(now: DateTime<Utc>, ip: IpAddr, head: &RequestHead<'_>) -> Self {
        let text = |name| head.first(name).and_then(|value| std::str::from_utf8(value).ok());
        let is_plain = |id: &&str| {
            (8..=100).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        let ctx = Self::at(now);
        let request_id = text("x-request-id").filter(is_plain).map_or(ctx.request_id, Arc::from);
        let user_agent =
            text("user-agent").and_then(|agent| agent.get(..agent.floor_char_boundary(400))).map(Arc::from);
        Self { now, request_id, ip: Some(ip), user_agent }
    }

    /// Context for jobs, commands and tests, which have no client.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self::new(now, RequestId::generate(now).to_string())
    }

    /// Context of a call with this request id. Set the other fields afterwards.
    pub fn new(now: DateTime<Utc>, request_id: impl Into<Arc<str>>) -> Self {
        Self { now, request_id: request_id.into(), ip: None, user_agent: None }
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

    fn ctx(name: &str, value: &[u8]) -> Ctx {
        let head = RequestHead::new("GET", [(name, value)]);
        Ctx::of_request(DateTime::UNIX_EPOCH, [192, 0, 2, 1].into(), &head)
    }

    #[test]
    fn a_clients_own_request_id_is_taken_if_it_is_plain() {
        assert_eq!(&*ctx("x-request-id", b"trace-1.2_3").request_id, "trace-1.2_3");
        for sent in [&b""[..], b"short", b"two words", b"line\nbreak", b"\xff2345678"] {
            assert!(ctx("x-request-id", sent).request_id.starts_with("req_"), "{sent:?}");
        }
    }

    #[test]
    fn a_long_user_agent_is_cut_between_characters() {
        assert_eq!(ctx("user-agent", b"curl/8").user_agent.as_deref(), Some("curl/8"));
        let long = ctx("user-agent", format!("a{}", "ü".repeat(300)).as_bytes());
        assert_eq!(long.user_agent.map(|kept| kept.len()), Some(399));
        assert_eq!(ctx("user-agent", b"\xff").user_agent, None);
    }
}
