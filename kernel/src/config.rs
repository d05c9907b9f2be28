//! Product configuration in `product.config.yaml`: brand, features, plans, roles and limits. An unknown key or an invalid
//! value is an error that names the line. This file only combines the sections: each settings type deserialises itself, in its
//! pillar.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::Deserializer;
use serde_saphyr::Spanned;

use crate::access::catalog::{Catalog, Plan};
use crate::access::{RoleRules, Roles};
use crate::base::settings::checked;
use crate::guard::rate_limit::RateLimits;
use crate::identity::api_keys::ApiKeySettings;
use crate::identity::sessions::SessionLife;
use crate::tenancy::invites::InviteSettings;

/// Configuration of a product.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct ProductConfig {
    /// Name and colours of the product.
    pub brand: Brand,
    /// Features that are switched on or off for all workspaces.
    pub features: BTreeMap<String, bool>,
    /// The plans.
    pub catalog: Arc<Catalog>,
    /// The roles, highest rank first.
    pub roles: Vec<RoleRules>,
    /// The rate limits.
    pub rate_limits: RateLimits,
    /// How long sessions last.
    pub sessions: SessionLife,
    /// Settings of invites.
    pub invites: InviteSettings,
    /// Settings of API keys.
    pub api_keys: ApiKeySettings,
}

/// Name and colours of the product.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Brand {
    /// Name of the product.
    pub name: String,
    /// `#rrggbb`.
    #[serde(default = "default_color", deserialize_with = "color")]
    pub primary_color: String,
    /// Address to which people write for help.
    #[serde(default)]
    pub support_email: Option<String>,
}

fn default_color() -> String {
    "#5B5BD6".to_owned()
}

/// Why a configuration was refused: all errors that were found, each with its line.
#[derive(thiserror::Error)]
#[error("{path} cannot be used:\n{problems}")]
pub struct ConfigError {
    path: String,
    problems: String,
}

crate::debug_explains!(ConfigError);

impl ProductConfig {
    /// Reads the configuration file at `path`.
    ///
    /// # Errors
    /// All errors in the file, with their lines.
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

    /// Parses the text of a configuration file.
    ///
    /// # Errors
    /// All errors in the text, with their lines.
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
        let lines: Vec<u64> = file.plans.iter().map(|plan| plan.referenced.line()).collect();
        let catalog = Catalog::new(file.plans.into_iter().map(|plan| plan.value).collect()).map_err(|problems| {
            let line = |plan: usize| lines.get(plan).copied().unwrap_or(1);
            refuse(
                problems.into_iter().map(|problem| format!("line {}: {}", line(problem.plan), problem.text)).collect(),
            )
        })?;
        Ok(Self {
            brand: file.brand,
            features: file.features,
            catalog: Arc::new(catalog),
            roles: file.roles.unwrap_or_else(Roles::defaults),
            rate_limits: file.rate_limits,
            sessions: file.sessions,
            invites: file.invites,
            api_keys: file.api_keys,
        })
    }
}

/// The sections of the file. The catalog finds errors across plans; the spans give the line of each plan.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    brand: Brand,
    #[serde(default)]
    features: BTreeMap<String, bool>,
    plans: Vec<Spanned<Plan>>,
    #[serde(default)]
    roles: Option<Vec<RoleRules>>,
    #[serde(default)]
    rate_limits: RateLimits,
    #[serde(default)]
    sessions: SessionLife,
    #[serde(default)]
    invites: InviteSettings,
    #[serde(default)]
    api_keys: ApiKeySettings,
}

fn color<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let hex = |text: &str| text.len() == 6 && text.bytes().all(|b| b.is_ascii_hexdigit());
    checked(deserializer, "a color such as `#5B5BD6`, in quotes", |text| text.strip_prefix('#').is_some_and(hex))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::access::catalog::Cap;
    use crate::guard::rate_limit::Quota;

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
api_keys: { max: 20 }
";

    #[test]
    fn a_good_file_is_understood() {
        let config = ProductConfig::parse(GOOD).unwrap();
        assert_eq!(config.catalog.plan("pro").unwrap().limits["projects"], Cap::Unlimited);
        assert_eq!(config.catalog.plan_for_price("price_pro").unwrap().prices[0].currency, "usd");
        assert_eq!(config.rate_limits.login_per_ip, Some(Quota::per_minute(60)));
        assert_eq!(
            (config.rate_limits.api_per_ip, config.rate_limits.sign_up_per_ip),
            (None, Some(Quota::per_hour(5)))
        );
        assert_eq!((config.sessions.idle, config.sessions.absolute), (TimeDelta::days(7), TimeDelta::days(90)));
        assert_eq!(config.invites, InviteSettings { life: TimeDelta::days(3), max_open: 100 });
        assert_eq!((config.api_keys.max, config.roles), (20, Roles::defaults()));
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
            ("max: 20", "max: many", 15, "u16"),
            ("plans:", "plans: [", 4, ""),
        ] {
            let text = GOOD.replacen(from, to, 1);
            let error = ProductConfig::parse(&text).expect_err(to).to_string();
            assert!(error.contains(&format!("line {line}: ")) && error.contains(says), "{to}: {error}");
        }
    }
}
