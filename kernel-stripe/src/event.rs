//! The envelope of all events. Source: <https://docs.stripe.com/api/events/object>.
//!
//! Unknown fields and values are ignored; a missing or invalid field is an error that names its path.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use saas_kernel::billing::provider::ProviderEvent;
use saas_kernel::text;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

/// An event whose object is a `T`.
#[derive(Deserialize)]
pub(crate) struct Event<T> {
    id: Name,
    #[serde(rename = "type")]
    kind: Name,
    pub(crate) created: Seconds,
    livemode: bool,
    pub(crate) data: Data<T>,
}

#[derive(Deserialize)]
pub(crate) struct Data<T> {
    pub(crate) object: T,
}

/// A time in whole Unix seconds.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "u64")]
pub(crate) struct Seconds(pub(crate) DateTime<Utc>);

impl TryFrom<u64> for Seconds {
    type Error = &'static str;

    fn try_from(seconds: u64) -> Result<Self, Self::Error> {
        let time = i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        time.map(Self).ok_or("this is not a time in Unix seconds")
    }
}

/// Text that is used as a key in the database: bounded, and printable in logs.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text))
        } else {
            Err("must be 1 to 255 visible ASCII characters")
        }
    }
}

/// Parses the event in a body whose signature was verified.
///
/// # Errors
/// A sentence: the body is not JSON, is not an event, or contains what cannot be stored.
pub(crate) fn parse(body: &[u8]) -> Result<ProviderEvent, String> {
    let payload: Value = serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    if text::holds_nul(&payload) {
        return Err("the body holds a NUL character (`\\u0000`), which Postgres cannot store as JSON; remove it at \
                    Stripe, from the metadata or name it is in, and resend the event"
            .to_owned());
    }
    let event: Event<BTreeMap<String, IgnoredAny>> = read(&payload)?;
    Ok(ProviderEvent::new(event.id.0, event.kind.0, event.created.0, payload))
}

/// Whether the event is of live mode.
///
/// # Errors
/// See [`read`].
pub(crate) fn livemode(payload: &Value) -> Result<bool, String> {
    read::<IgnoredAny>(payload).map(|event| event.livemode)
}

/// Reads the event in `payload`.
///
/// # Errors
/// A sentence with the path of the missing or invalid field, and the API version of the event.
pub(crate) fn read<T: DeserializeOwned>(payload: &Value) -> Result<Event<T>, String> {
    match payload.get("object").map(Value::as_str) {
        None | Some(Some("event")) => {}
        Some(Some("v2.core.event")) => {
            return Err(
                "this is a thin event; let the event destination at Stripe send snapshot events instead".to_owned()
            );
        }
        Some(_) => return Err("`object` must be \"event\"".to_owned()),
    }
    if !payload.is_object() {
        return Err("an event must be a JSON object".to_owned());
    }
    serde_path_to_error::deserialize(payload).map_err(|error| {
        let path = error.path().to_string();
        let at = if path == "." { "the event".to_owned() } else { format!("`{path}`") };
        problem(payload, &format!("{at}: {}", error.inner()))
    })
}

/// `text` with the API version of the event.
pub(crate) fn problem(payload: &Value, text: &str) -> String {
    let version = payload.get("api_version").and_then(Value::as_str).unwrap_or("unknown");
    format!("{text} (API version {version})")
}

#[cfg(test)]
mod tests;
