//! The names of the schema and the four roles. A [`Suffix`] makes them those of one product among several in a cluster.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

/// Longest suffix, in characters.
const LONGEST: usize = 20;

/// Distinguishes products that share a cluster, in which roles are shared: with the suffix `acme` the roles are `kernel_app_acme`,
/// `kernel_system_acme`, `kernel_owner_acme` and `kernel_lookup_acme`, and the schema is `kernel_acme`. Give the same suffix to
/// [`Migrations::suffix`](crate::Migrations::suffix), [`create_roles_with`](crate::create_roles_with),
/// [`PgOptions::suffix`](crate::PgOptions::suffix) and [`Doctor::suffix`](crate::doctor::Doctor::suffix). It cannot be changed
/// later.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Suffix {
    /// Padded with zeros.
    text: [u8; LONGEST],
    length: usize,
}

/// The text cannot be a suffix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be a suffix of role names and schema: use 1 to 20 characters of a-z, 0-9 and _")]
pub struct InvalidSuffix(String);

impl Suffix {
    /// Checks the text, which is put into SQL as it is: 1 to 20 characters of `a-z`, `0-9` and `_`.
    ///
    /// # Errors
    /// `InvalidSuffix` for any other text.
    pub fn new(text: &str) -> Result<Self, InvalidSuffix> {
        let allowed = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
        let mut padded = [0; LONGEST];
        match padded.get_mut(..text.len()) {
            Some(start) if !text.is_empty() && text.as_bytes().iter().all(allowed) => {
                start.copy_from_slice(text.as_bytes());
                Ok(Self { text: padded, length: text.len() })
            }
            _ => Err(InvalidSuffix(text.to_owned())),
        }
    }

    /// The suffix without the `_` that precedes it in names.
    pub fn as_str(&self) -> &str {
        // All its bytes are ASCII.
        self.text.get(..self.length).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default()
    }
}

impl FromStr for Suffix {
    type Err = InvalidSuffix;

    fn from_str(text: &str) -> Result<Self, InvalidSuffix> {
        Self::new(text)
    }
}

impl fmt::Display for Suffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Suffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Suffix({:?})", self.as_str())
    }
}

/// Gives SQL the names of one product. Without a suffix it is the static text itself. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Option<Arc<Suffixed>>);

#[derive(Debug)]
struct Suffixed {
    suffix: Suffix,
    /// By address and length of the static text, because hashing a pointer costs less than hashing a statement. At most one entry
    /// for each text in this crate.
    texts: RwLock<HashMap<(usize, usize), Arc<str>>>,
}

impl Names {
    pub(crate) fn new(suffix: Option<Suffix>) -> Self {
        Self(suffix.map(|suffix| Arc::new(Suffixed { suffix, texts: RwLock::default() })))
    }

    /// A statement with this product's names.
    pub(crate) fn sql(&self, text: &'static str) -> SqlStr {
        let Some(suffixed) = &self.0 else { return text.into_sql_str() };
        let key = (text.as_ptr().addr(), text.len());
        let known = suffixed.texts.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let text = known.unwrap_or_else(|| {
            let mut texts = suffixed.texts.write().unwrap_or_else(PoisonError::into_inner);
            texts.entry(key).or_insert_with(|| renamed(text, suffixed.suffix).into()).clone()
        });
        // A constant of this crate, and a suffix that was checked.
        AssertSqlSafe(text).into_sql_str()
    }

    /// Any text with this product's names, such as an error or SQL that is used once.
    pub(crate) fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.0 {
            None => Cow::Borrowed(text),
            Some(suffixed) => Cow::Owned(renamed(text, suffixed.suffix)),
        }
    }
}

/// Appends the suffix to the names, which are whole words: letters, digits, `_` and `-`. So `kernel_credit.members`, a setting of
/// the session, and the path `kernel-postgres/sql` stay.
fn renamed(text: &str, suffix: Suffix) -> String {
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut renamed = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word);
        renamed.push_str(word);
        if matches!(word, "kernel" | "kernel_app" | "kernel_system" | "kernel_owner" | "kernel_lookup") {
            renamed.push('_');
            renamed.push_str(suffix.as_str());
        }
        let other = after.find(in_word).unwrap_or(after.len());
        let (other, after) = after.split_at(other);
        renamed.push_str(other);
        rest = after;
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_is_a_part_of_an_identifier() {
        for valid in ["acme", "a", "2", "my_product", "abcdefghijklmnopqrst"] {
            assert_eq!(Suffix::new(valid).unwrap().as_str(), valid);
        }
        for invalid in ["", "Acme", "a-b", "a b", "a'; DROP TABLE x", "é", "abcdefghijklmnopqrstu"] {
            let error = Suffix::new(invalid).unwrap_err().to_string();
            assert!(error.contains("1 to 20 characters"), "{error}");
        }
    }

    #[test]
    fn only_whole_names_are_changed() {
        let names = Names::new(Suffix::new("acme").ok());
        let sql = "SELECT kernel.ws(), 'kernel' FROM kernel.users TO kernel_app, kernel_system; -- kernel-postgres/sql, kernels
            set_config('kernel_credit.' || k), tenant.kernel_apps, '^kernel_', \"kernel_owner\", é kernel_lookup";
        let expected = "SELECT kernel_acme.ws(), 'kernel_acme' FROM kernel_acme.users TO kernel_app_acme, kernel_system_acme; -- kernel-postgres/sql, kernels
            set_config('kernel_credit.' || k), tenant.kernel_apps, '^kernel_', \"kernel_owner_acme\", é kernel_lookup_acme";
        assert_eq!(names.sql(sql).as_str(), expected);
        assert_eq!(names.sql(sql).as_str().as_ptr(), names.sql(sql).as_str().as_ptr(), "it is made once");
        assert_eq!(names.text(sql), expected);
        let plain = Names::default();
        assert_eq!(plain.sql(sql).as_str().as_ptr(), sql.as_ptr(), "without a suffix it is the text itself");
    }
}
