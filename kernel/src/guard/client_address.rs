//! Finds the client's address behind trusted proxies.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::base::request::RequestHead;

/// The address of the client that sent the request `head` over a connection from `peer`. `X-Forwarded-For` is read from the
/// right, as each proxy appends the address that it saw: the first address that is not a trusted proxy's is the client's. What
/// stands left of it was sent by the client and is not trusted. An entry may have a port.
pub fn client_address(peer: IpAddr, head: &RequestHead<'_>, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    let mut client = peer.to_canonical();
    if !is_trusted(&client) {
        return client;
    }
    for entry in head.all("x-forwarded-for").rev().flat_map(|line| line.rsplit(|byte| *byte == b',')) {
        let Some(ip) = address(entry) else { return client };
        client = ip.to_canonical();
        if !is_trusted(&client) {
            return client;
        }
    }
    client
}

/// The address of `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?.trim();
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || entry.parse().ok().map(|address: SocketAddr| address.ip());
    entry.parse().ok().or_else(with_port).or_else(bracketed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "127.0.0.1/32".parse().unwrap()];
        for (peer, forwarded, expect) in [
            ("203.0.113.9", &["1.2.3.4"][..], "203.0.113.9"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &["1.2.3.4"], "1.2.3.4"),
            ("127.0.0.1", &["6.6.6.6, 1.2.3.4, 10.1.1.1"], "1.2.3.4"),
            ("127.0.0.1", &["6.6.6.6", "1.2.3.4"], "1.2.3.4"),
            ("127.0.0.1", &["nonsense, 10.1.1.1"], "10.1.1.1"),
            ("127.0.0.1", &["1.2.3.4, nonsense"], "127.0.0.1"),
            ("127.0.0.1", &["6.6.6.6, \u{fffd}"], "127.0.0.1"),
            ("::ffff:127.0.0.1", &["::ffff:1.2.3.4"], "1.2.3.4"),
            ("127.0.0.1", &["6.6.6.6, 1.2.3.4:4711, 10.1.1.1:80"], "1.2.3.4"),
            ("127.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("127.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("127.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("127.0.0.1", &["1.2.3.4, unknown"], "127.0.0.1"),
        ] {
            let lines = forwarded.iter().map(|line| ("x-forwarded-for", line.as_bytes()));
            let ip = client_address(peer.parse().unwrap(), &RequestHead::new("GET", lines), &trusted);
            assert_eq!(ip, expect.parse::<IpAddr>().unwrap(), "{peer} {forwarded:?}");
        }
    }
}
