//! Typed ids: a UUID v7 in the database, `prefix_` and 26 base32 characters in the API (the text form of
//! [TypeID](https://github.com/jetify-com/typeid)). An id of another type is refused with an error instead of finding nothing.

use std::fmt;
use std::sync::Mutex;

use chrono::{DateTime, Utc};
use uuid::{ContextV7, Timestamp, Uuid};

use crate::base::error::{Refusal, codes};

/// Operations of every typed id. Implemented by [`ids!`](crate::ids).
pub trait Id: Copy + Eq + fmt::Display + Send + Sync + 'static {
    /// Prefix before the underscore, such as `ws`.
    const PREFIX: &'static str;
    /// Creates the id from the stored UUID.
    fn from_uuid(uuid: Uuid) -> Self;
    /// The UUID, as stored.
    fn uuid(self) -> Uuid;
}

/// Declares typed ids. Each expands to a `Copy` newtype over [`Uuid`] with `generate`, `Display`, `FromStr` and serde as
/// the prefixed text.
///
/// ```
/// saas_kernel::ids! {
///     /// A project of the tracker.
///     pub ProjectId = "prj";
/// }
/// let id = ProjectId::generate("2026-01-01T00:00:00Z".parse().unwrap());
/// assert!(id.to_string().starts_with("prj_"));
/// assert_eq!(id.to_string().parse::<ProjectId>().unwrap(), id);
/// assert!("usr_01h455vb4pex5vsknk084sn02q".parse::<ProjectId>().is_err());
/// ```
#[macro_export]
macro_rules! ids {
    ($($(#[$meta:meta])* $vis:vis $name:ident = $prefix:literal;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        $vis struct $name($crate::Uuid);

        impl $name {
            /// Generates an id. Ids are ordered by `at`, then by the order of the calls.
            pub fn generate(at: $crate::DateTime<$crate::Utc>) -> Self {
                Self($crate::base::id::new_v7(at))
            }
            /// The UUID, as stored.
            pub const fn uuid(self) -> $crate::Uuid {
                self.0
            }
        }
        impl $crate::base::id::Id for $name {
            const PREFIX: &'static str = $prefix;
            fn from_uuid(uuid: $crate::Uuid) -> Self { Self(uuid) }
            fn uuid(self) -> $crate::Uuid { self.0 }
        }
        impl ::std::convert::From<$crate::Uuid> for $name {
            fn from(uuid: $crate::Uuid) -> Self { Self(uuid) }
        }
        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                $crate::base::id::write(f, $prefix, self.0)
            }
        }
        impl ::std::str::FromStr for $name {
            type Err = $crate::base::error::Refusal;
            fn from_str(text: &str) -> ::std::result::Result<Self, $crate::base::error::Refusal> {
                $crate::base::id::parse(text, $prefix).map(Self)
            }
        }
        impl $crate::serde::Serialize for $name {
            fn serialize<S: $crate::serde::Serializer>(&self, s: S) -> ::std::result::Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> $crate::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::serde::Deserializer<'de>>(d: D) -> ::std::result::Result<Self, D::Error> {
                let text = <::std::string::String as $crate::serde::Deserialize>::deserialize(d)?;
                text.parse().map_err($crate::serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// Id of a person's account.
    pub UserId = "usr";
    /// Id of a workspace, the tenant.
    pub WorkspaceId = "ws";
    /// Id of a session.
    pub SessionId = "ses";
    /// Id of an invite to a workspace.
    pub InviteId = "inv";
    /// Id of an API key of a workspace.
    pub ApiKeyId = "key";
    /// Id of an entry of the audit log.
    pub AuditId = "aud";
    /// Id of an event in the outbox.
    pub EventId = "evt";
    /// Id of a workspace's subscription to a plan.
    pub SubscriptionId = "sub";
    /// Id of a request, as returned in `X-Request-Id` and shown in every log line.
    pub RequestId = "req";
}

/// Ids generated in one process are strictly ascending, also within one millisecond (RFC 9562, section 6.2).
static CONTEXT: Mutex<ContextV7> = Mutex::new(ContextV7::new());

#[doc(hidden)]
pub fn new_v7(at: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(at.timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(&CONTEXT, seconds, at.timestamp_subsec_nanos()))
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const SUFFIX: usize = 26;

#[doc(hidden)]
pub fn write(f: &mut fmt::Formatter<'_>, prefix: &str, uuid: Uuid) -> fmt::Result {
    let mut text = [0u8; SUFFIX];
    let mut rest = uuid.as_u128();
    for slot in text.iter_mut().rev() {
        // 32 symbols: the low five bits always index the alphabet.
        *slot = ALPHABET.get((rest & 31) as usize).copied().unwrap_or(b'0');
        rest >>= 5;
    }
    f.write_str(prefix)?;
    f.write_str("_")?;
    f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

#[doc(hidden)]
pub fn parse(text: &str, prefix: &'static str) -> Result<Uuid, Refusal> {
    let suffix = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
    suffix.and_then(decode).ok_or_else(|| {
        let example = format!("{prefix}_01h455vb4pex5vsknk084sn02q");
        Refusal::new(&codes::INVALID_ID, format!("this is not a `{prefix}_…` id; use one such as `{example}`"))
    })
}

fn decode(suffix: &str) -> Option<Uuid> {
    // 26 × 5 bits hold 130: the first character may only use three of its five.
    if suffix.len() != SUFFIX || !matches!(suffix.as_bytes().first(), Some(b'0'..=b'7')) {
        return None;
    }
    let value = suffix.bytes().try_fold(0u128, |value, byte| {
        let digit = ALPHABET.iter().position(|symbol| *symbol == byte)?;
        Some(value << 5 | digit as u128)
    })?;
    Some(Uuid::from_u128(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The valid and invalid cases that the TypeID specification publishes for this form.
    #[test]
    fn follows_the_typeid_specification() {
        let known: Uuid = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        assert_eq!(WorkspaceId::from(known).to_string(), "ws_01h455vb4pex5vsknk084sn02q");
        assert_eq!(WorkspaceId::from(Uuid::max()).to_string(), "ws_7zzzzzzzzzzzzzzzzzzzzzzzzz");
        for bad in [
            "",
            "ws",
            "ws_",
            "usr_01h455vb4pex5vsknk084sn02q",
            "ws_81h455vb4pex5vsknk084sn02q",
            "ws_01H455VB4PEX5VSKNK084SN02Q",
            "ws_01h455vb4pex5vsknk084sn02",
            "ws_01h455vb4pex5vsknk084sn02qq",
            "ws_01h455vb4pex5vsknk084sn0il",
            "ws_\u{0}1h455vb4pex5vsknk084sn02q",
        ] {
            assert_eq!(bad.parse::<WorkspaceId>().unwrap_err().code(), "invalid_id", "{bad:?}");
        }
    }

    #[test]
    fn ids_of_one_instant_ascend() {
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        let ids: Vec<_> = (0..1000).map(|_| UserId::generate(at)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }

    proptest! {
        #[test]
        fn text_round_trips(value: u128) {
            let id = UserId::from(Uuid::from_u128(value));
            prop_assert_eq!(id.to_string().parse::<UserId>().unwrap(), id);
        }
    }
}
