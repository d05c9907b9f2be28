//! Helpers to deserialise settings from `product.config.yaml`.

use std::num::NonZeroU16;

use chrono::TimeDelta;
use serde::Deserialize;
use serde::de::{self, Deserializer};

/// Reads a text for which `passes` is true; otherwise fails with an error that names the rule.
pub(crate) fn checked<'de, D: Deserializer<'de>>(
    deserializer: D,
    rule: &str,
    passes: impl Fn(&str) -> bool,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if passes(&text) { Ok(text) } else { Err(de::Error::custom(format!("`{text}` is not {rule}"))) }
}

/// Reads a number of days, at least 1.
pub(crate) fn days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimeDelta, D::Error> {
    NonZeroU16::deserialize(deserializer).map(|days| TimeDelta::days(days.get().into()))
}

/// Reads a count, at least 1.
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    NonZeroU16::deserialize(deserializer).map(|count| count.get().into())
}
