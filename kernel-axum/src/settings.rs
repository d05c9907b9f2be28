//! Settings of the HTTP side: public address, proxies, origins and limits.

use std::time::Duration;

use axum::http::{HeaderValue, Uri};
use ipnet::IpNet;
use saas_kernel::guard::csrf::OwnOrigins;
use saas_kernel::identity::cookie::SessionCookie;

/// Where the product is reached, whom it trusts, and how large and slow a request may be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpSettings {
    /// The origin at which browsers reach the product, such as `https://app.example.com`. It decides the cookie's flags
    /// and which origin the CSRF check accepts.
    pub public_url: String,
    /// Proxies whose `X-Forwarded-For` is trusted. If empty, the client's address is that of the connection.
    pub trusted_proxies: Vec<IpNet>,
    /// Other origins whose pages may call the API with the user's cookie.
    pub allowed_origins: Vec<String>,
    /// The largest request body, in bytes.
    pub body_limit: usize,
    /// The longest a request may take, including the arrival of its body.
    pub request_timeout: Duration,
    /// The time between SIGTERM, from which on `/readyz` answers 503, and the end of accepting connections. Make it longer than a load
    /// balancer takes to notice.
    pub shutdown_delay: Duration,
    /// The longest that requests, upgraded connections and the processor of billing events may take to finish once no connections
    /// are accepted any more. Together with `shutdown_delay` it must be shorter than the time after which the process is killed.
    pub drain_timeout: Duration,
}

/// A setting has an invalid value.
#[derive(thiserror::Error)]
#[error("{setting}: `{value}` {problem}")]
pub struct SettingsError {
    setting: &'static str,
    value: String,
    problem: &'static str,
}

saas_kernel::debug_explains!(SettingsError);

impl HttpSettings {
    /// Settings for `public_url`, with a body limit of 1 MiB, 15 s for a request, no trusted proxies and no other
    /// origins. The shutdown delay is 5 s with `https`, and none with `http`, which is for development; draining takes at
    /// most 20 s.
    ///
    /// # Errors
    /// If `public_url` is not an `http://` or `https://` origin without a path.
    pub fn new(public_url: &str) -> Result<Self, SettingsError> {
        let public_url = public_url.trim_end_matches('/').to_owned();
        check_origin("public_url", &public_url)?;
        let shutdown_delay = if is_secure(&public_url) { Duration::from_secs(5) } else { Duration::ZERO };
        Ok(Self {
            public_url,
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            body_limit: 1024 * 1024,
            request_timeout: Duration::from_secs(15),
            shutdown_delay,
            drain_timeout: Duration::from_secs(20),
        })
    }

    /// Trusts the `X-Forwarded-For` of these addresses and networks, separated by commas: `10.0.0.0/8, 127.0.0.1`.
    ///
    /// # Errors
    /// Names the first item that is neither an address nor a network.
    pub fn trust_proxies(mut self, list: &str) -> Result<Self, SettingsError> {
        for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let net = item.parse::<IpNet>().or_else(|_| item.parse().map(|ip: std::net::IpAddr| IpNet::from(ip)));
            let problem = "is neither an address nor a network such as 10.0.0.0/8";
            self.trusted_proxies.push(net.map_err(|_| SettingsError {
                setting: "trusted_proxies",
                value: item.to_owned(),
                problem,
            })?);
        }
        Ok(self)
    }

    /// Lets pages of these origins, separated by commas, call the API with the user's cookie.
    ///
    /// # Errors
    /// Names the first item that is not an origin; `*` is not one.
    pub fn allow_origins(mut self, list: &str) -> Result<Self, SettingsError> {
        for item in list.split(',').map(|item| item.trim().trim_end_matches('/')).filter(|item| !item.is_empty()) {
            check_origin("allowed_origins", item)?;
            self.allowed_origins.push(item.to_owned());
        }
        Ok(self)
    }

    /// Whether the product is reached over TLS.
    pub(crate) fn secure(&self) -> bool {
        is_secure(&self.public_url)
    }

    /// The session cookie of this product.
    pub(crate) fn cookie(&self) -> SessionCookie {
        SessionCookie::of(&self.public_url)
    }

    /// The origins whose pages may write.
    pub(crate) fn own_origins(&self) -> OwnOrigins<'_> {
        OwnOrigins { public_url: &self.public_url, allowed: &self.allowed_origins }
    }

    pub(crate) fn cors_origins(&self) -> Vec<HeaderValue> {
        self.allowed_origins.iter().filter_map(|origin| origin.parse().ok()).collect()
    }
}

fn is_secure(url: &str) -> bool {
    url.starts_with("https://")
}

fn check_origin(setting: &'static str, value: &str) -> Result<(), SettingsError> {
    let error = |problem| SettingsError { setting, value: value.to_owned(), problem };
    let uri: Uri = value.parse().map_err(|_| error("is not a URL"))?;
    match (uri.scheme_str(), uri.authority(), uri.path(), uri.query()) {
        (Some("http" | "https"), Some(_), "/" | "", None) => Ok(()),
        _ => Err(error("must be an origin such as https://app.example.com, without a path")),
    }
}
