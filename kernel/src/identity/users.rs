//! Accounts: a person across all workspaces.

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
    /// As its owner wrote it; mail goes here.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// As it is compared: accounts are unique by this.
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

/// What a person wants to be called: 1 to 100 characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersonName(String);

impl PersonName {
    /// The text.
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

/// An account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// As its owner wrote it.
    pub email: String,
    /// What they want to be called.
    pub name: String,
    /// When the address was proven; `None` until then.
    pub email_verified_at: Option<DateTime<Utc>>,
    /// When they signed up.
    pub created_at: DateTime<Utc>,
}

/// An account about to exist.
#[derive(Debug)]
pub struct NewUser<'a> {
    /// Its id.
    pub id: UserId,
    /// Unique by its lower-case form.
    pub email: &'a Email,
    /// What they want to be called.
    pub name: &'a PersonName,
    /// Never the password itself.
    pub password: &'a PasswordHash,
    /// When they signed up.
    pub at: DateTime<Utc>,
}

/// Repository of accounts.
#[async_trait]
pub trait Users: Send {
    /// `false` when the address has an account already: nothing was written, and the transaction is still usable.
    async fn insert(&mut self, user: &NewUser<'_>) -> Result<bool, StoreError>;
    /// One account that this scope may see.
    async fn find(&mut self, id: UserId) -> Result<Option<User>, StoreError>;
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
