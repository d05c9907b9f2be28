//! Tokens, which are shown once and stored only as SHA-256. Their `Debug` output is redacted. See [`keyring`](super::keyring) for
//! the secrets of the deployment.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngExt;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// A bearer token with 256 random bits (OWASP ASVS 7.2.3 asks for at least 128).
#[derive(Clone)]
pub struct Token(SecretString);

impl Token {
    /// Generates a token. `prefix` lets secret scanners recognise it, such as `sk_`; it may be empty.
    pub fn generate(prefix: &str) -> Self {
        Self(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random::<32>())).into())
    }

    /// Generates a token of hexadecimal digits, for tokens that people copy and search for, such as API keys.
    pub fn generate_hex(prefix: &str) -> Self {
        let digits: String = random::<32>().iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{prefix}{digits}").into())
    }

    /// Wraps a token that a caller sent. Any text is accepted: the hash of an unknown token matches no row.
    pub fn presented(text: &str) -> Self {
        Self(text.into())
    }

    /// Text of the token, to be sent to its owner once.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Hash of the token, as stored and looked up. Unsalted: 256 random bits need no salt, and the look-up is one index read.
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.expose_secret().as_bytes()).into())
    }
}

#[expect(clippy::disallowed_methods, reason = "the only source of randomness")]
pub(crate) fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    rand::rng().fill(&mut bytes);
    bytes
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// SHA-256 of a [`Token`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_prints_itself() {
        let token = Token::generate("sk_");
        assert!(token.expose().starts_with("sk_") && token.expose().len() == 3 + 43);
        let hex = Token::generate_hex("sk_");
        assert!(hex.expose()[3..].bytes().all(|b| b.is_ascii_hexdigit()) && hex.expose().len() == 3 + 64);
        assert_eq!(format!("{token:?} {:?}", token.hash()), "Token(redacted) TokenHash(redacted)");
        assert_eq!(Token::presented(token.expose()).hash(), token.hash());
    }
}
