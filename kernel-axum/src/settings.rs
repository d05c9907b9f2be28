//! How the product is reached.

use std::time::Duration;

use axum::http::{HeaderValue, Uri};
use ipnet::IpNet;

/// How the product is reached, and how much of it at once.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Where people reach it, such as `https://app.example.com`: decides the cookie's flags and what counts as the same
    /// origin.
    pub public_url: String,
    /// Proxies whose `X-Forwarded-For` is believed. Empty: the connection's own address is the client's.
    pub trusted_proxies: Vec<IpNet>,
    /// Other origins whose pages may call the API with the person's cookie.
    pub allowed_origins: Vec<String>,
    /// The largest body, in bytes.
    pub body_limit: usize,
    /// The longest a request may take, its body included.
    pub request_timeout: Duration,
}

/// A setting that cannot be used.
#[derive(thiserror::Error)]
#[error("{setting}: `{value}` {problem}")]
pub struct SettingsError {
    setting: &'static str,
    value: String,
    problem: &'static str,
}

saas_kernel::debug_explains!(SettingsError);

impl HttpSettings {
    /// Reached at `public_url`, with a body limit of 1 MiB and 15 s for a request.
    ///
    /// # Errors
    /// When it is not an `http://` or `https://` origin without a path.
    pub fn new(public_url: &str) -> Result<Self, SettingsError> {
        let public_url = public_url.trim_end_matches('/').to_owned();
        origin("public_url", &public_url)?;
        Ok(Self {
            public_url,
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            body_limit: 1024 * 1024,
            request_timeout: Duration::from_secs(15),
        })
    }

    /// Believes the `X-Forwarded-For` of these addresses: `10.0.0.0/8, 127.0.0.1`.
    ///
    /// # Errors
    /// Names the one that is neither an address nor a network.
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

    /// Lets pages of these origins call with the person's cookie.
    ///
    /// # Errors
    /// Names the one that is not an origin; `*` is none.
    pub fn allow_origins(mut self, list: &str) -> Result<Self, SettingsError> {
        for item in list.split(',').map(|item| item.trim().trim_end_matches('/')).filter(|item| !item.is_empty()) {
            origin("allowed_origins", item)?;
            self.allowed_origins.push(item.to_owned());
        }
        Ok(self)
    }

    /// Whether people come by TLS. Without it, cookies cannot be `Secure`: for development only.
    pub(crate) fn secure(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    pub(crate) fn is_own_origin(&self, origin: &str) -> bool {
        origin == self.public_url || self.allowed_origins.iter().any(|allowed| allowed == origin)
    }

    pub(crate) fn cors_origins(&self) -> Vec<HeaderValue> {
        self.allowed_origins.iter().filter_map(|origin| origin.parse().ok()).collect()
    }
}

fn origin(setting: &'static str, value: &str) -> Result<(), SettingsError> {
    let wrong = |problem| SettingsError { setting, value: value.to_owned(), problem };
    let uri: Uri = value.parse().map_err(|_| wrong("is not a URL"))?;
    match (uri.scheme_str(), uri.authority(), uri.path(), uri.query()) {
        (Some("http" | "https"), Some(_), "/" | "", None) => Ok(()),
        _ => Err(wrong("must be an origin such as https://app.example.com, without a path")),
    }
}
