//! `product.config.yaml`: brand, features, plans, roles and limits without touching code. An unknown key or a bad value is
//! an error that names the line.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;
use std::path::Path;
use std::time::Duration;

use chrono::TimeDelta;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use serde_saphyr::Spanned;

use crate::access::{Pattern, RoleRules, Roles};
use crate::billing::catalog::{Cap, Catalog, Interval, Plan, Price};
use crate::guard::rate_limit::{Quota, RateLimits};
use crate::identity::api_keys::MOST_KEYS;
use crate::identity::sessions::SessionLife;
use crate::tenancy::invites::InviteRules;

/// What a product is, apart from its code.
#[derive(Clone, PartialEq, Debug)]
pub struct ProductConfig {
    /// Name and colours.
    pub brand: Brand,
    /// Parts of the product that are switched on or off for everybody.
    pub features: BTreeMap<String, bool>,
    /// The plans.
    pub catalog: Catalog,
    /// The roles, highest rank first.
    pub roles: Vec<RoleRules>,
    /// The rate limits.
    pub rate_limits: RateLimits,
    /// How long sessions last.
    pub session_life: SessionLife,
    /// What holds for invites.
    pub invites: InviteRules,
    /// How many API keys of one workspace can be in force.
    pub most_api_keys: u64,
}

/// Name and colours.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Brand {
    /// What the product is called.
    pub name: String,
    /// `#rrggbb`.
    #[serde(default = "default_color", deserialize_with = "color")]
    pub primary_color: String,
    /// Where people ask for help.
    #[serde(default)]
    pub support_email: Option<String>,
}

fn default_color() -> String {
    "#5B5BD6".to_owned()
}

/// Why a configuration was refused; every mistake that was found, with its line.
#[derive(thiserror::Error)]
#[error("{path} cannot be used:\n{problems}")]
pub struct ConfigError {
    path: String,
    problems: String,
}

crate::debug_explains!(ConfigError);

impl ProductConfig {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// What is wrong with it, by line.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let shown = path.display().to_string();
        let refuse = |problems| ConfigError { path: shown.clone(), problems };
        let text = std::fs::read_to_string(path).map_err(|e| refuse(format!("  it cannot be read: {e}")))?;
        Self::parse(&text).map_err(|mut error| {
            error.path = shown.clone();
            error
        })
    }

    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong with it, by line.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let refuse = |problems: Vec<String>| ConfigError {
            path: "product.config.yaml".to_owned(),
            problems: problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n"),
        };
        let file: File = serde_saphyr::from_str(text).map_err(|error| {
            let line = error.location().map_or(0, |location| location.line());
            let whole = error.without_snippet().to_string();
            let text = whole.lines().next().unwrap_or_default();
            refuse(vec![format!("line {line}: {}", text.split(" at line ").next().unwrap_or(text))])
        })?;
        let lines: Vec<u64> = file.plans.iter().map(|plan| plan.key.referenced.line()).collect();
        let catalog = Catalog::new(file.plans.into_iter().map(FilePlan::plan).collect()).map_err(|problems| {
            let line = |plan: usize| lines.get(plan).copied().unwrap_or(1);
            refuse(
                problems.into_iter().map(|problem| format!("line {}: {}", line(problem.plan), problem.text)).collect(),
            )
        })?;
        Ok(Self {
            brand: file.brand,
            features: file.features,
            catalog,
            roles: file.roles.map_or_else(Roles::defaults, |roles| roles.into_iter().map(FileRole::rules).collect()),
            rate_limits: file.rate_limits.limits(),
            session_life: file.sessions.life(),
            invites: file.invites.rules(),
            most_api_keys: file.api_keys.most.map_or(MOST_KEYS, |most| most.get().into()),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    brand: Brand,
    #[serde(default)]
    features: BTreeMap<String, bool>,
    plans: Vec<FilePlan>,
    #[serde(default)]
    roles: Option<Vec<FileRole>>,
    #[serde(default)]
    rate_limits: FileRateLimits,
    #[serde(default)]
    sessions: FileSessions,
    #[serde(default)]
    invites: FileInvites,
    #[serde(default)]
    api_keys: FileApiKeys,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePlan {
    key: Spanned<String>,
    name: String,
    #[serde(default)]
    prices: Vec<FilePrice>,
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    limits: BTreeMap<LimitKey, FileCap>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePrice {
    amount: u64,
    #[serde(deserialize_with = "currency")]
    currency: String,
    interval: Interval,
    #[serde(default)]
    provider_price: Option<String>,
}

impl FilePlan {
    fn plan(self) -> Plan {
        let price = |p: FilePrice| Price {
            amount: p.amount,
            currency: p.currency,
            interval: p.interval,
            provider_price: p.provider_price,
        };
        Plan {
            key: self.key.value,
            name: self.name,
            prices: self.prices.into_iter().map(price).collect(),
            features: self.features.into_iter().collect(),
            limits: self.limits.into_iter().map(|(key, cap)| (key.0, cap.0)).collect(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRole {
    name: String,
    permissions: Vec<Spanned<String>>,
}

impl FileRole {
    fn rules(self) -> RoleRules {
        let pattern = |p: Spanned<String>| Pattern { line: Some(p.referenced.line()), text: p.value };
        RoleRules { name: self.name, patterns: self.permissions.into_iter().map(pattern).collect() }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct FileRateLimits {
    #[serde(default)]
    login_per_ip: Option<FileQuota>,
    #[serde(default)]
    login_per_email: Option<FileQuota>,
    #[serde(default)]
    sign_up_per_ip: Option<FileQuota>,
    #[serde(default)]
    api_per_ip: Option<FileQuota>,
    #[serde(default)]
    api_per_workspace: Option<FileQuota>,
}

impl FileRateLimits {
    fn limits(self) -> RateLimits {
        let default = RateLimits::default();
        let or = |set: Option<FileQuota>, default| set.map_or(default, |quota| quota.0);
        RateLimits {
            login_ip: or(self.login_per_ip, default.login_ip),
            login_email: or(self.login_per_email, default.login_email),
            sign_up_ip: or(self.sign_up_per_ip, default.sign_up_ip),
            api_ip: or(self.api_per_ip, default.api_ip),
            api_workspace: or(self.api_per_workspace, default.api_workspace),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct FileSessions {
    #[serde(default)]
    idle_days: Option<NonZeroU16>,
    #[serde(default)]
    absolute_days: Option<NonZeroU16>,
}

impl FileSessions {
    fn life(self) -> SessionLife {
        let default = SessionLife::default();
        let days = |set: Option<NonZeroU16>, default| set.map_or(default, |days| TimeDelta::days(days.get().into()));
        SessionLife { idle: days(self.idle_days, default.idle), absolute: days(self.absolute_days, default.absolute) }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct FileInvites {
    #[serde(default)]
    days: Option<NonZeroU16>,
    #[serde(default)]
    most_open: Option<NonZeroU16>,
}

impl FileInvites {
    fn rules(self) -> InviteRules {
        let default = InviteRules::default();
        InviteRules {
            life: self.days.map_or(default.life, |days| TimeDelta::days(days.get().into())),
            most_open: self.most_open.map_or(default.most_open, |most| most.get().into()),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct FileApiKeys {
    #[serde(default)]
    most: Option<NonZeroU16>,
}

/// The value if it passes, or an error that says what would.
fn checked<'de, D: Deserializer<'de>>(
    deserializer: D,
    rule: &str,
    passes: impl Fn(&str) -> bool,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if passes(&text) { Ok(text) } else { Err(de::Error::custom(format!("`{text}` is not {rule}"))) }
}

fn color<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let hex = |text: &str| text.len() == 6 && text.bytes().all(|b| b.is_ascii_hexdigit());
    checked(deserializer, "a color such as `#5B5BD6`, in quotes", |text| text.strip_prefix('#').is_some_and(hex))
}

fn currency<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let three = |text: &str| text.len() == 3 && text.bytes().all(|b| b.is_ascii_alphabetic());
    checked(deserializer, "a currency of three letters such as `usd`", three).map(|text| text.to_lowercase())
}

/// What a counter can be called: `kernel.usage` checks the same.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct LimitKey(String);

impl<'de> Deserialize<'de> for LimitKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = |text: &str| {
            text.len() <= 41
                && text.starts_with(|c: char| c.is_ascii_lowercase())
                && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        };
        checked(deserializer, "a limit's key: a-z, 0-9 and _, at most 41", word).map(Self)
    }
}

/// `50` or `unlimited`.
struct FileCap(Cap);

impl<'de> Deserialize<'de> for FileCap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CapVisitor;
        impl Visitor<'_> for CapVisitor {
            type Value = FileCap;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 0, or `unlimited`")
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<FileCap, E> {
                if i64::try_from(n).is_ok() {
                    Ok(FileCap(Cap::Finite(n)))
                } else {
                    Err(E::custom("that number is too large; write `unlimited`"))
                }
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<FileCap, E> {
                u64::try_from(n)
                    .map(|n| FileCap(Cap::Finite(n)))
                    .map_err(|_| E::custom(format!("a limit of {n} means nothing; write `unlimited`")))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<FileCap, E> {
                match (text, text.parse::<i64>()) {
                    ("unlimited", _) => Ok(FileCap(Cap::Unlimited)),
                    (_, Ok(n)) => self.visit_i64(n),
                    (_, Err(_)) => Err(E::custom(format!("`{text}` is not a number from 0, and not `unlimited`"))),
                }
            }
        }
        deserializer.deserialize_any(CapVisitor)
    }
}

/// `5/minute`, `10/hour` or `off`.
struct FileQuota(Option<Quota>);

impl<'de> Deserialize<'de> for FileQuota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "off" {
            return Ok(Self(None));
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
        let wrong = || {
            de::Error::custom(format!("`{text}` is not a rate; write `10/minute` (second, minute, hour, day) or `off`"))
        };
        quota.map(|quota| Self(Some(quota))).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
brand: { name: Acme }
features: { audit_log_export: true }
plans:
  - key: free
    name: Free
    limits: { projects: 5 }
  - key: pro
    name: Pro
    prices: [{ amount: 9900, currency: USD, interval: month, provider_price: price_pro }]
    features: [sso]
    limits: { projects: unlimited }
rate_limits: { login_per_ip: 60/minute, api_per_ip: off }
sessions: { idle_days: 7 }
invites: { days: 3 }
api_keys: { most: 20 }
";

    #[test]
    fn a_good_file_is_understood() {
        let config = ProductConfig::parse(GOOD).unwrap();
        assert_eq!(config.catalog.plan("pro").unwrap().limits["projects"], Cap::Unlimited);
        assert_eq!(config.catalog.plan_for_price("price_pro").unwrap().prices[0].currency, "usd");
        assert_eq!(config.rate_limits.login_ip, Some(Quota::per_minute(60)));
        assert_eq!((config.rate_limits.api_ip, config.rate_limits.sign_up_ip), (None, Some(Quota::per_hour(5))));
        assert_eq!((config.session_life.idle, config.session_life.absolute), (TimeDelta::days(7), TimeDelta::days(90)));
        assert_eq!(config.invites, InviteRules { life: TimeDelta::days(3), most_open: 100 });
        assert_eq!((config.most_api_keys, config.roles), (20, Roles::defaults()));
    }

    #[test]
    fn mistakes_name_their_line() {
        for (from, to, line, says) in [
            ("name: Acme", "name: Acme, colour: red", 1, "colour"),
            ("name: Acme", "name: Acme, primary_color: red", 1, "`red` is not a color"),
            ("currency: USD", "currency: dollars", 9, "`dollars`"),
            ("projects: 5", "Projects: 5", 6, "`Projects`"),
            ("idle_days: 7", "idle_days: 0", 13, "zero"),
            ("audit_log_export: true", "audit_log_export: maybe", 2, "bool"),
            ("projects: 5", "projects: -1", 6, "unlimited"),
            ("projects: 5", "projects: many", 6, "`many`"),
            ("    name: Free\n", "", 5, "name"),
            ("key: pro", "key: free", 7, "defined twice"),
            ("limits: { projects: unlimited }", "limits: { seats: 1 }", 4, "seats"),
            ("interval: month", "interval: week", 9, "week"),
            ("60/minute", "60/fortnight", 12, "60/fortnight"),
            ("60/minute", "0/minute", 12, "0/minute"),
            ("idle_days", "idle_weeks", 13, "idle_weeks"),
            ("days: 3", "days: 0", 14, "zero"),
            ("most: 20", "most: many", 15, "u16"),
            ("plans:", "plans: [", 4, ""),
        ] {
            let text = GOOD.replacen(from, to, 1);
            let error = ProductConfig::parse(&text).expect_err(to).to_string();
            assert!(error.contains(&format!("line {line}: ")) && error.contains(says), "{to}: {error}");
        }
    }
}
