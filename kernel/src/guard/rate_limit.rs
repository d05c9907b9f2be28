//! Port of the rate limiter. A quota is a number of calls per duration; they may come at once, and then at that rate (GCRA).

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::base::ctx::network;
use crate::base::error::Refusal;
use crate::guard::names::codes::RATE_LIMITED;

/// A number of calls per duration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Quota {
    /// Number of calls; at least 1.
    pub calls: u32,
    /// Duration in which that many calls are allowed.
    pub per: Duration,
}

impl Quota {
    /// `calls` per minute.
    pub const fn per_minute(calls: u32) -> Self {
        Self { calls, per: Duration::from_secs(60) }
    }

    /// `calls` per hour.
    pub const fn per_hour(calls: u32) -> Self {
        Self { calls, per: Duration::from_secs(3600) }
    }
}

/// The calls that share a quota.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum Bucket {
    /// Sign-ins from one address.
    LoginIp,
    /// Sign-ins to one account.
    LoginEmail,
    /// Sign-ups from one address.
    SignUpIp,
    /// API calls from one address.
    ApiIp,
    /// API calls in one workspace.
    ApiWorkspace,
}

/// Quotas of all buckets; `None` disables one. In `product.config.yaml`: `5/minute`, `10/hour` or `off`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RateLimits {
    /// Sign-ins from one address.
    #[serde(deserialize_with = "quota")]
    pub login_per_ip: Option<Quota>,
    /// Sign-ins to one account.
    #[serde(deserialize_with = "quota")]
    pub login_per_email: Option<Quota>,
    /// Sign-ups from one address.
    #[serde(deserialize_with = "quota")]
    pub sign_up_per_ip: Option<Quota>,
    /// API calls from one address.
    #[serde(deserialize_with = "quota")]
    pub api_per_ip: Option<Quota>,
    /// API calls in one workspace.
    #[serde(deserialize_with = "quota")]
    pub api_per_workspace: Option<Quota>,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            login_per_ip: Some(Quota::per_minute(5)),
            login_per_email: Some(Quota::per_hour(10)),
            sign_up_per_ip: Some(Quota::per_hour(5)),
            api_per_ip: Some(Quota::per_minute(100)),
            api_per_workspace: Some(Quota::per_minute(1000)),
        }
    }
}

impl RateLimits {
    /// The quota of `bucket`.
    pub fn quota(&self, bucket: Bucket) -> Option<Quota> {
        match bucket {
            Bucket::LoginIp => self.login_per_ip,
            Bucket::LoginEmail => self.login_per_email,
            Bucket::SignUpIp => self.sign_up_per_ip,
            Bucket::ApiIp => self.api_per_ip,
            Bucket::ApiWorkspace => self.api_per_workspace,
        }
    }
}

/// Port: counts calls. An adapter that cannot reach its counters allows the call and logs the failure.
#[async_trait]
pub trait RateLimiter: Send + Sync + 'static {
    /// Counts one call of `key`. `Err` holds the time to wait if the quota is used up.
    async fn check(&self, bucket: Bucket, key: &str, quota: Quota) -> Result<(), Duration>;
}

/// The key under which the calls of the client at `ip` are counted. All addresses of a /64 network of IPv6 share one, because
/// one client usually has them all.
pub fn client_key(ip: IpAddr) -> String {
    network(ip).to_string()
}

/// The refusal of a call whose quota is used up.
pub fn refusal(wait: Duration) -> Refusal {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let seconds = seconds.max(1);
    let text = format!("too many calls; try again in {seconds} s");
    Refusal::new(&RATE_LIMITED, text).retry_after(Duration::from_secs(seconds))
}

fn quota<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Quota>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "off" {
        return Ok(None);
    }
    let quota = text.split_once('/').and_then(|(calls, per)| {
        let per = match per {
            "second" => 1,
            "minute" => 60,
            "hour" => 3600,
            "day" => 86_400,
            _ => return None,
        };
        let calls = calls.parse().ok().filter(|calls| *calls > 0)?;
        Some(Quota { calls, per: Duration::from_secs(per) })
    });
    let wrong =
        || de::Error::custom(format!("`{text}` is not a rate; write `10/minute` (second, minute, hour, day) or `off`"));
    quota.map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_caller() {
        let of = |ip: &str| client_key(ip.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
    }
}
