//! Pages of lists: opaque signed cursors over the stable order `(at, id)`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::base::error::{Refusal, codes};
use crate::base::keyring::NamedSecret;

/// Largest page size.
pub const MAX_LIMIT: u32 = 100;
/// Page size if the caller gives none.
pub const DEFAULT_LIMIT: u32 = 20;

/// Position after which a page begins: the sort key of the last row of the page before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Position {
    /// Time of the row, in whole microseconds.
    pub at: DateTime<Utc>,
    /// Id of the row; orders rows of the same time.
    pub id: Uuid,
}

/// Page parameters as a caller sends them: `?cursor=…&limit=…`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// `next_cursor` of the page before; none for the first page.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Page size, from 1 to [`MAX_LIMIT`]; [`DEFAULT_LIMIT`] by default.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Which page of a list to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageRequest {
    limit: u32,
    /// Position after which the page begins; `None` for the first page.
    pub after: Option<Position>,
}

impl PageRequest {
    /// Parses a caller's parameters. `context` names the list, the workspace and the filters; a cursor is valid only for it.
    pub(crate) fn parse(query: &PageQuery, context: &str, key: &NamedSecret) -> Result<Self, Refusal> {
        let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Refusal::field("limit", format!("must be between 1 and {MAX_LIMIT}")));
        }
        let after = query.cursor.as_deref().map(|text| open(text, context, key)).transpose()?;
        Ok(Self { limit, after })
    }

    /// The first page of `limit` rows. A limit outside 1 to [`MAX_LIMIT`] is clamped.
    pub fn first(limit: u32) -> Self {
        Self { limit: limit.clamp(1, MAX_LIMIT), after: None }
    }

    /// Number of rows on the page.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Number of rows to fetch: one more than the page has, which tells whether there is a next page.
    pub fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

/// One page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// Rows of the page, in the list's order.
    pub items: Vec<T>,
    /// Position after which the next page begins; `None` on the last page.
    pub next: Option<Position>,
}

impl<T> Page<T> {
    /// Builds a page from fetched rows: removes the extra row that [`PageRequest::fetch`] asked for.
    pub fn cut(mut items: Vec<T>, request: &PageRequest, position: impl Fn(&T) -> Position) -> Self {
        let limit = request.limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(position) } else { None };
        Self { items, next }
    }

    /// Signed cursor of the next page, valid for `context` only.
    pub(crate) fn next_cursor(&self, context: &str, key: &NamedSecret) -> Option<String> {
        self.next.map(|position| seal(&position, context, key))
    }
}

const MAC: usize = 16;
const PLAIN: usize = 24;

fn seal(position: &Position, context: &str, key: &NamedSecret) -> String {
    let mut bytes = [0u8; PLAIN + MAC];
    let (plain, mac) = bytes.split_at_mut(PLAIN);
    let (at, id) = plain.split_at_mut(8);
    at.copy_from_slice(&position.at.timestamp_micros().to_be_bytes());
    id.copy_from_slice(position.id.as_bytes());
    let signature = key.sign(&[context.as_bytes(), plain]);
    for (slot, byte) in mac.iter_mut().zip(signature) {
        *slot = byte;
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

fn open(text: &str, context: &str, key: &NamedSecret) -> Result<Position, Refusal> {
    let refusal = || {
        Refusal::new(
            &codes::INVALID_CURSOR,
            "this cursor was not issued for this list; use `next_cursor` of its previous page, or leave it out",
        )
        .at("cursor")
    };
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refusal())?;
    let (plain, mac) = bytes.split_at_checked(PLAIN).filter(|(_, mac)| mac.len() == MAC).ok_or_else(refusal)?;
    if !key.verify(&[context.as_bytes(), plain], mac) {
        return Err(refusal());
    }
    let (at, id) = plain.split_first_chunk::<8>().ok_or_else(refusal)?;
    let at = DateTime::from_timestamp_micros(i64::from_be_bytes(*at)).ok_or_else(refusal)?;
    Ok(Position { at, id: Uuid::from_slice(id).map_err(|_| refusal())? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::keyring::Keyring;
    use proptest::prelude::*;

    fn key() -> NamedSecret {
        Keyring::from_text("0123456789abcdef0123456789abcdef").unwrap().secret("cursors")
    }

    #[test]
    fn a_cursor_is_good_for_its_own_list_only() {
        let position = Position { at: "2026-01-01T00:00:00.123456Z".parse().unwrap(), id: Uuid::from_u128(7) };
        let cursor = seal(&position, "projects/ws_a", &key());
        let parse = |cursor: &str, context: &str| {
            PageRequest::parse(&PageQuery { cursor: Some(cursor.to_owned()), limit: None }, context, &key())
        };
        assert_eq!(parse(&cursor, "projects/ws_a").unwrap().after, Some(position));
        assert_eq!(parse(&cursor, "projects/ws_b").unwrap_err().code(), "invalid_cursor");
        let rotated = Keyring::from_text("fedcba9876543210fedcba9876543210,0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(open(&cursor, "projects/ws_a", &rotated.secret("cursors")).unwrap(), position);
        assert!(open(&cursor, "projects/ws_a", &rotated.secret("other")).is_err());
        assert_eq!(parse("AAAA", "projects/ws_a").unwrap_err().code(), "invalid_cursor");
        assert_eq!(parse("\u{0}", "projects/ws_a").unwrap_err().code(), "invalid_cursor");
        for limit in [0, 101] {
            assert_eq!(
                PageRequest::parse(&PageQuery { cursor: None, limit: Some(limit) }, "", &key()).unwrap_err().code(),
                "validation_failed"
            );
        }
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_refused(at in -100_000_000_000_000i64..100_000_000_000_000, id: u128, index in 0usize..54, byte in 0u8..64) {
            let position = Position { at: DateTime::from_timestamp_micros(at).unwrap(), id: Uuid::from_u128(id) };
            let cursor = seal(&position, "list", &key());
            prop_assert_eq!(open(&cursor, "list", &key()).unwrap(), position);
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let mut forged = cursor.clone().into_bytes();
            let slot = index % forged.len();
            forged[slot] = alphabet[byte as usize];
            let forged = String::from_utf8(forged).unwrap();
            prop_assert_eq!(open(&forged, "list", &key()).is_ok(), forged == cursor);
        }
    }
}
