//! How settings are read from `product.config.yaml`: each settings type deserialises directly, with these helpers.

use std::num::NonZeroU16;

use chrono::TimeDelta;
use serde::Deserialize;
use serde::de::{self, Deserializer};

/// Reads a text that passes, or fails with an error that says which rule it breaks.
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

/// Reads how many of something there may be, at least 1.
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    NonZeroU16::deserialize(deserializer).map(|count| count.get().into())
}
