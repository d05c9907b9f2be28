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
    /// Trace context of the request, as W3C `traceparent`; see [`traceparent`].
    pub trace: Option<Arc<str>>,
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
        let mut contexts = head.all("traceparent");
        let trace = match (contexts.next(), contexts.next()) {
            (Some(context), None) => std::str::from_utf8(context).ok().and_then(traceparent),
            _ => None, // several are as good as none (W3C Trace Context, "Multiple traceparent headers")
        };
        Self { now, request_id, ip: Some(ip), user_agent, trace }
    }

    /// Context for jobs, commands and tests, which have no client.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self::new(now, RequestId::generate(now).to_string())
    }

    /// Context of a call with this request id. Set the other fields afterwards.
    pub fn new(now: DateTime<Utc>, request_id: impl Into<Arc<str>>) -> Self {
        Self { now, request_id: request_id.into(), ip: None, user_agent: None, trace: None }
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

/// Parses a `traceparent` header: the trace context in the form of version 00, which later versions extend at its end; `None` if it
/// is invalid (W3C Trace Context, "traceparent Header").
///
/// ```
/// use saas_kernel::ctx::traceparent;
/// let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// assert_eq!(traceparent(valid).as_deref(), Some(valid));
/// assert_eq!(traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"), None);
/// ```
pub fn traceparent(header: &str) -> Option<Arc<str>> {
    let (known, more) = header.split_at_checked(55)?;
    let mut parts = known.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    let valid = hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    let extended = version != "00" && more.starts_with('-');
    let known_form = version != "ff" && !zero(trace) && !zero(parent) && (more.is_empty() || extended);
    (valid && known_form).then(|| known.into())
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

    #[test]
    fn a_trace_context_that_is_not_one_is_ignored() {
        let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let later = format!("01-{trace}-{parent}-01");
        assert_eq!(traceparent(&format!("{later}-what-comes-later")).as_deref(), Some(&*later));
        for bad in [
            String::new(),
            format!("00-{trace}-{parent}-01-more"),
            format!("01-{trace}-{parent}-01more"),
            format!("ff-{trace}-{parent}-01"),
            format!("00-{}-{parent}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{parent}-01", trace.to_uppercase()),
            format!("00-{trace}-{parent}-0g"),
            format!("00-{trace}-{parent}01"),
            format!("00_{trace}-{parent}-01"),
            "ü".repeat(30),
        ] {
            assert_eq!(traceparent(&bad), None, "{bad:?}");
        }
    }
}
