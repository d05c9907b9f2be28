//! Accounts: a person, independent of workspaces.

mod flow;

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use email_address::{EmailAddress, Options};

use crate::base::error::{Refusal, StoreError};
use crate::base::id::UserId;
use crate::base::text;
use crate::identity::password::PasswordHash;

pub use flow::me;

/// An e-mail address, kept as written and compared in lower case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Email {
    written: String,
    lower: String,
}

impl Email {
    /// The address as its owner wrote it; mail is sent to this form.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The address in lower case; accounts are unique by it.
    pub fn lower(&self) -> &str {
        &self.lower
    }
}

impl FromStr for Email {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let written = text.trim();
        let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
        let plain = written.len() <= 254 && !written.chars().any(char::is_control);
        if !plain || EmailAddress::parse_with_options(written, options).is_err() {
            return Err(Refusal::field(
                "email",
                "must be an e-mail address such as `ada@example.com`, at most 254 bytes",
            ));
        }
        Ok(Self { written: written.to_owned(), lower: written.to_lowercase() })
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// Name of a person: 1 to 100 characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersonName(String);

impl PersonName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PersonName {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        text::line("name", text, 1..=100).map(Self)
    }
}

/// An account of a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Id of the account.
    pub id: UserId,
    /// E-mail address, as its owner wrote it.
    pub email: String,
    /// Name of the person.
    pub name: String,
    /// Time at which the address was verified; `None` until then.
    pub email_verified_at: Option<DateTime<Utc>>,
    /// Time of the sign-up.
    pub created_at: DateTime<Utc>,
}

/// An account to be created.
#[derive(Debug)]
pub struct NewUser<'a> {
    /// Id of the account.
    pub id: UserId,
    /// E-mail address; unique by its lower-case form.
    pub email: &'a Email,
    /// Name of the person.
    pub name: &'a PersonName,
    /// Hash of the password.
    pub password: &'a PasswordHash,
    /// Time of the sign-up.
    pub at: DateTime<Utc>,
}

/// Reads accounts.
#[async_trait]
pub trait UserReads: Send {
    /// Finds an account that the scope can access.
    async fn find(&mut self, id: UserId) -> Result<Option<User>, StoreError>;
}

/// Repository of accounts.
#[async_trait]
pub trait Users: UserReads {
    /// Inserts an account. Returns `false` if the address has an account: nothing was written, and the transaction is still
    /// usable.
    async fn insert(&mut self, user: &NewUser<'_>) -> Result<bool, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["ada@example.com", " Ada.Lovelace+x@Example.co.uk ", "ü@example.com"] {
            let email: Email = good.parse().unwrap();
            assert_eq!(email.lower(), good.trim().to_lowercase());
        }
        let long = format!("{}@example.com", "a".repeat(250));
        for bad in [
            "",
            "ada",
            "ada@",
            "@example.com",
            "ada@localhost",
            "a\u{0}@example.com",
            "Ada <a@example.com>",
            "a@[127.0.0.1]",
            &long,
        ] {
            assert_eq!(bad.parse::<Email>().unwrap_err().code(), "validation_failed", "{bad:?}");
        }
    }
}
