//! The secrets of a deployment, and the keys that are derived from them.
//!
//! A [`Keyring`] holds one or more secrets: the first is the current one, the others are previous ones, so that a secret can be
//! rotated while nothing becomes invalid. Nothing uses such a secret itself. [`Keyring::secret`] derives the keys of one purpose
//! from it (HKDF-SHA256, RFC 5869, with the purpose's name as the context), so that one secret in the environment is enough, and a
//! value that was signed or encrypted for one purpose is refused for every other.
//!
//! ```
//! use saas_kernel::keyring::Keyring;
//! # let (current, previous) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
//! let keyring = Keyring::from_text(&format!("{current},{previous}"))?;
//! let tokens = keyring.secret("crm.tokens");
//! let sealed = tokens.encrypt(&[b"crm.connections", b"row 7"], b"refresh token")?;
//! assert_eq!(tokens.decrypt(&[b"crm.connections", b"row 7"], &sealed)?.expose(), b"refresh token");
//! assert!(tokens.decrypt(&[b"crm.connections", b"row 8"], &sealed).is_err());
//! # Ok::<(), saas_kernel::BoxError>(())
//! ```

mod derive;
mod named;

use std::collections::BTreeMap;
use std::fmt;

use super::secret::random;
use derive::{Secret, extract};
pub use named::{DecryptError, Decrypted, KeyId, NamedSecret};

/// Shortest secret, in characters.
pub const MIN_SECRET: usize = 32;

/// The secrets of a deployment, by name. Cheap to clone. All copies of the app need the same ones.
#[derive(Clone)]
pub struct Keyring {
    root: Secrets,
    own: BTreeMap<String, Secrets>,
}

#[derive(Clone)]
struct Secrets {
    current: Secret,
    previous: Vec<Secret>,
}

impl Keyring {
    /// Parses secrets that are separated by commas: first the current one, which signs and encrypts, then previous ones, which
    /// only verify and decrypt. Each is random text of at least [`MIN_SECRET`] characters, such as `openssl rand -hex 32` prints.
    /// White space around a secret is ignored.
    ///
    /// # Errors
    /// Says which secret is missing, too short or listed twice. The text of a secret is not part of the error.
    pub fn from_text(text: &str) -> Result<Self, KeyringError> {
        Ok(Self { root: parse(text)?, own: BTreeMap::new() })
    }

    /// A keyring with one random secret, for development and tests only: after a restart and in other copies of the app, what it
    /// signed is invalid and what it encrypted is lost.
    pub fn ephemeral() -> Self {
        let root = Secrets { current: extract(&random::<32>()), previous: Vec::new() };
        Self { root, own: BTreeMap::new() }
    }

    /// Gives `name` secrets of its own, in the form of [`Keyring::from_text`], so that they can be rotated apart from the others.
    ///
    /// # Errors
    /// Those of [`Keyring::from_text`].
    pub fn with_own(mut self, name: &str, text: &str) -> Result<Self, KeyringError> {
        self.own.insert(name.to_owned(), parse(text)?);
        Ok(self)
    }

    /// The keys of the purpose `name`, such as `crm.tokens`. Names that begin with `kernel.` are the kernel's. A name must never
    /// change: what was encrypted under it can be decrypted under no other.
    pub fn secret(&self, name: &str) -> NamedSecret {
        let Secrets { current, previous } = self.own.get(name).unwrap_or(&self.root);
        NamedSecret::derive(name, current, previous)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(redacted)")
    }
}

/// Why secrets were refused.
#[derive(PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// The text holds no secret.
    #[error("there is no secret; set one of at least {MIN_SECRET} characters, such as `openssl rand -hex 32` prints")]
    Missing,
    /// A secret is too short.
    #[error(
        "secret {position} has {length} characters and needs at least {MIN_SECRET}; use one such as `openssl rand -hex 32` prints"
    )]
    TooShort {
        /// Which secret, counted from 1.
        position: usize,
        /// Its length in characters.
        length: usize,
    },
    /// A secret is listed twice.
    #[error("secret {position} is the same as secret {first}; list each once, the current one first")]
    Repeated {
        /// Which secret, counted from 1.
        position: usize,
        /// The earlier one.
        first: usize,
    },
}

crate::debug_explains!(KeyringError);

fn parse(text: &str) -> Result<Secrets, KeyringError> {
    if text.trim().is_empty() {
        return Err(KeyringError::Missing);
    }
    let secrets: Vec<&str> = text.split(',').map(str::trim).collect();
    for (index, secret) in secrets.iter().enumerate() {
        let (position, length) = (index + 1, secret.chars().count());
        if length < MIN_SECRET {
            return Err(KeyringError::TooShort { position, length });
        }
        if let Some(first) = secrets.iter().take(index).position(|earlier| earlier == secret) {
            return Err(KeyringError::Repeated { position, first: first + 1 });
        }
    }
    let mut secrets = secrets.iter().map(|secret| extract(secret.as_bytes()));
    Ok(Secrets { current: secrets.next().ok_or(KeyringError::Missing)?, previous: secrets.collect() })
}

#[cfg(test)]
mod tests;
