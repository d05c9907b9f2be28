//! Configuration of the adapter.

use std::env::{self, VarError};

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};

/// Environment variable from which [`StripeBilling::from_env`] reads the signing secrets.
const VARIABLE: &str = "STRIPE_WEBHOOK_SECRET";

/// Default tolerance of Stripe's own SDKs.
const TOLERANCE: TimeDelta = TimeDelta::seconds(300);

/// The billing provider Stripe. Contains secrets, which its `Debug` output does not show.
#[derive(Clone, Debug)]
pub struct StripeBilling {
    pub(crate) secrets: Vec<SecretString>,
    pub(crate) livemode: Option<bool>,
    pub(crate) tolerance: TimeDelta,
}

/// Why the configuration is invalid; the message says what to set.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No secret was given.
    #[error(
        "there is no webhook signing secret: set {VARIABLE} to the endpoint's `whsec_…` secret (Stripe dashboard, \
         Webhooks; or `stripe listen --print-secret`)"
    )]
    Missing,
    /// A secret is empty or contains white space, such as a copied line end.
    #[error(
        "a webhook signing secret is empty or holds white space: set {VARIABLE} to the `whsec_…` secret alone; \
         separate several by commas"
    )]
    Unusable,
    /// The environment variable is not Unicode.
    #[error("{VARIABLE} is not UTF-8: set it to the endpoint's `whsec_…` secret")]
    NotText,
}

saas_kernel::debug_explains!(ConfigError);

impl StripeBilling {
    /// Creates the adapter with the endpoint's signing secrets. Several are valid at once while one is rotated: an event
    /// signed with any of them is accepted. They are used as they are, including `whsec_`.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] without a secret, [`ConfigError::Unusable`] if one is empty or contains white space.
    pub fn new(webhook_secrets: impl IntoIterator<Item = impl Into<SecretString>>) -> Result<Self, ConfigError> {
        let secrets: Vec<SecretString> = webhook_secrets.into_iter().map(Into::into).collect();
        let unusable = |secret: &SecretString| {
            let text = secret.expose_secret();
            text.is_empty() || text.contains(char::is_whitespace)
        };
        if secrets.is_empty() {
            return Err(ConfigError::Missing);
        }
        if secrets.iter().any(unusable) {
            return Err(ConfigError::Unusable);
        }
        Ok(Self { secrets, livemode: None, tolerance: TOLERANCE })
    }

    /// Creates the adapter with the signing secrets in `STRIPE_WEBHOOK_SECRET`; several are separated by commas.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`ConfigError::NotText`].
    pub fn from_env() -> Result<Self, ConfigError> {
        match env::var(VARIABLE) {
            Ok(text) => Self::from_text(&text),
            Err(VarError::NotPresent) => Err(ConfigError::Missing),
            Err(VarError::NotUnicode(_)) => Err(ConfigError::NotText),
        }
    }

    /// Ignores events of the other mode, even if the signature is valid; `None`, the default, accepts both.
    pub fn livemode(mut self, livemode: Option<bool>) -> Self {
        self.livemode = livemode;
        self
    }

    /// Maximum difference between a signature's time and now, in whole seconds and in both directions; 300 by default. Zero
    /// means the same second; unlike in Stripe's SDKs it does not disable the check.
    pub fn tolerance(mut self, tolerance: TimeDelta) -> Self {
        self.tolerance = tolerance;
        self
    }

    fn from_text(text: &str) -> Result<Self, ConfigError> {
        if text.trim().is_empty() { Err(ConfigError::Missing) } else { Self::new(text.split(',').map(str::trim)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_holds_one_secret_or_several() {
        for (text, expected) in [
            ("whsec_a", Ok(vec!["whsec_a"])),
            (" whsec_a , whsec_b\n", Ok(vec!["whsec_a", "whsec_b"])),
            ("", Err(ConfigError::Missing)),
            (" \n", Err(ConfigError::Missing)),
            ("whsec_a,", Err(ConfigError::Unusable)),
            ("whsec_a,,whsec_b", Err(ConfigError::Unusable)),
            ("whsec_a whsec_b", Err(ConfigError::Unusable)),
        ] {
            let found = StripeBilling::from_text(text);
            let found = found.as_ref().map(|stripe| stripe.secrets.iter().map(|s| s.expose_secret()).collect());
            assert_eq!(found, expected.as_ref().cloned(), "{text:?}");
        }
    }

    #[test]
    fn secrets_are_refused_if_unusable() {
        assert_eq!(StripeBilling::new(Vec::<String>::new()).unwrap_err(), ConfigError::Missing);
        for bad in ["", " ", "whsec_a\n"] {
            assert_eq!(StripeBilling::new([bad]).unwrap_err(), ConfigError::Unusable, "{bad:?}");
        }
        assert_eq!(StripeBilling::new(["whsec_a", ""]).unwrap_err(), ConfigError::Unusable);
    }

    #[test]
    fn every_error_says_what_to_set() {
        for error in [ConfigError::Missing, ConfigError::Unusable, ConfigError::NotText] {
            assert!(error.to_string().contains("STRIPE_WEBHOOK_SECRET"), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", StripeBilling::new(["whsec_visible"]).unwrap());
        assert!(!shown.contains("visible"), "{shown}");
    }
}
