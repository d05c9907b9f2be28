//! Passwords, hashed with argon2id in a bounded pool, so that many sign-ins at once can neither block the runtime nor exhaust
//! memory.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::base::error::{Error, Refusal, codes};

/// A password as given by a person: 12 to 128 characters (NIST SP 800-63B: length instead of composition rules; the maximum
/// bounds the work of hashing).
#[derive(Clone)]
pub struct Password(SecretString);

impl FromStr for Password {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        match text.chars().count() {
            0..12 => Err(Refusal::field("password", "must have at least 12 characters; a few words make a good one")),
            12..=128 => Ok(Self(text.into())),
            _ => Err(Refusal::field("password", "must have at most 128 characters")),
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}

/// Hash of a password, in PHC string format.
#[derive(Clone)]
pub struct PasswordHash(SecretString);

impl PasswordHash {
    /// Wraps a stored hash.
    pub fn stored(text: String) -> Self {
        Self(text.into())
    }

    /// Text of the hash, to be stored.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(redacted)")
    }
}

/// Hashes and verifies passwords with argon2id, `m=19456 KiB, t=2, p=1` (OWASP Password Storage Cheat Sheet).
#[derive(Clone)]
pub struct Passwords {
    argon: Argon2<'static>,
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    dummy: Arc<str>,
}

impl Passwords {
    /// Allows `parallel` hashes at once (19 MiB each) and 16 times as many waiting; further calls are refused with `busy`.
    ///
    /// # Errors
    /// If the operating system provides no random numbers.
    pub fn new(parallel: usize) -> Result<Self, Error> {
        let parallel = parallel.max(1);
        let params = Params::new(19_456, 2, 1, None).map_err(|e| Error::broken(e.to_string()))?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy = argon.hash_password(b"nobody has this password").map_err(|e| Error::broken(e.to_string()))?;
        Ok(Self {
            argon,
            running: Arc::new(Semaphore::new(parallel)),
            waiting: Arc::new(Semaphore::new(parallel * 17)),
            dummy: dummy.to_string().into(),
        })
    }

    /// Hashes a password with a new salt.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, Error> {
        let argon = self.argon.clone();
        self.run(move || {
            let hash = argon.hash_password(password.0.expose_secret().as_bytes());
            hash.map(|hash| PasswordHash::stored(hash.to_string())).map_err(|e| Error::broken(e.to_string()))
        })
        .await?
    }

    /// Whether `password` is correct. Without a stored hash it does the same work and returns `false`, so that the response
    /// time does not reveal whether an account exists.
    pub async fn verify(&self, password: Password, stored: Option<PasswordHash>) -> Result<bool, Error> {
        let (argon, dummy) = (self.argon.clone(), self.dummy.clone());
        self.run(move || {
            let known = stored.is_some();
            let text = stored.as_ref().map_or(&*dummy, |hash| hash.expose());
            let hash = phc::PasswordHash::new(text)
                .map_err(|e| Error::broken(format!("a stored password hash cannot be read: {e}")))?;
            let right = argon.verify_password(password.0.expose_secret().as_bytes(), &hash).is_ok();
            Ok(right && known)
        })
        .await?
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let _place = self.waiting.clone().try_acquire_owned().map_err(|_| {
            Refusal::new(&codes::BUSY, "too many people are signing in at this moment; try again in a second")
                .retry_after(Duration::from_secs(1))
        })?;
        let permit = self.running.clone().acquire_owned().await.map_err(Error::broken)?;
        // The permit moves into the work: a caller that disconnects does not free the place before the core is free.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        done.await.map_err(Error::broken)
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        text.parse().unwrap()
    }

    #[test]
    fn length_is_the_rule() {
        assert!("elevenchars".parse::<Password>().is_err());
        assert!("ü".repeat(12).parse::<Password>().is_ok());
        assert!("a".repeat(129).parse::<Password>().is_err());
        assert_eq!(format!("{:?}", password("correct horse")), "Password(redacted)");
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_account_verifies() {
        let passwords = Passwords::new(1).unwrap();
        let hash = passwords.hash(password("correct horse battery")).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(passwords.verify(password("correct horse battery"), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify(password("incorrect horse batt"), Some(hash)).await.unwrap());
        assert!(!passwords.verify(password("nobody has this password"), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_storm_is_turned_away_not_queued_for_ever() {
        let passwords = Passwords::new(1).unwrap();
        let calls = (0..60).map(|_| {
            let passwords = passwords.clone();
            tokio::spawn(async move { passwords.verify(password("correct horse battery"), None).await })
        });
        let mut turned_away = 0;
        for call in calls.collect::<Vec<_>>() {
            match call.await.unwrap() {
                Ok(right) => assert!(!right),
                Err(error) => {
                    assert_eq!(error.code(), Some("busy"));
                    turned_away += 1;
                }
            }
        }
        assert!(turned_away >= 60 - 17 - 1, "{turned_away}");
    }
}
