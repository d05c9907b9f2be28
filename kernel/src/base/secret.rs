//! Secrets: tokens, which are shown once and stored only as SHA-256, and signing keys. Their `Debug` output is redacted.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use rand::RngExt;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// A bearer token with 256 random bits (OWASP ASVS 7.2.3 asks for at least 128).
#[derive(Clone)]
pub struct Token(SecretString);

impl Token {
    /// Generates a token. `prefix` lets secret scanners recognise it, such as `sk_`; it may be empty.
    pub fn generate(prefix: &str) -> Self {
        Self(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random())).into())
    }

    /// Generates a token of hexadecimal digits, for tokens that people copy and search for, such as API keys.
    pub fn generate_hex(prefix: &str) -> Self {
        let digits: String = random().iter().map(|byte| format!("{byte:02x}")).collect();
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
fn random() -> [u8; 32] {
    rand::rng().random()
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

/// Secret key of a deployment that signs values that clients send back unchanged, such as cursors.
#[derive(Clone)]
pub struct SigningKey(SecretString);

impl SigningKey {
    /// Creates the key from configuration. All copies of the app need the same key. `None` if the text is shorter than 32
    /// characters.
    pub fn from_text(text: &str) -> Option<Self> {
        (text.len() >= 32).then(|| Self(text.into()))
    }

    /// Generates a key for this process only: after a restart and in other copies of the app, what it signed is invalid.
    pub fn ephemeral() -> Self {
        Self(Token::generate("").0)
    }

    /// HMAC-SHA256 over the length-prefixed parts, so that different lists of parts never sign the same message.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.mac(parts).finalize().into_bytes().into()
    }

    /// Verifies a signature in constant time. `signature` may be a truncation of at least 16 bytes.
    pub fn verify(&self, parts: &[&[u8]], signature: &[u8]) -> bool {
        signature.len() >= 16 && self.mac(parts).verify_truncated_left(signature).is_ok()
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        // The key is hashed and zero-padded to the block size, as in RFC 2104, so that its length is always valid.
        let mut block = [0u8; 64];
        for (slot, byte) in block.iter_mut().zip(Sha256::digest(self.0.expose_secret().as_bytes())) {
            *slot = byte;
        }
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(redacted)")
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
        assert_eq!(
            format!("{token:?} {:?} {:?}", token.hash(), SigningKey::ephemeral()),
            "Token(redacted) TokenHash(redacted) SigningKey(redacted)"
        );
        assert_eq!(Token::presented(token.expose()).hash(), token.hash());
    }

    #[test]
    fn a_signature_covers_where_the_parts_end() {
        let key = SigningKey::from_text("0123456789abcdef0123456789abcdef").unwrap();
        let signature = key.sign(&[b"ab", b"c"]);
        assert!(key.verify(&[b"ab", b"c"], &signature[..16]));
        assert!(!key.verify(&[b"a", b"bc"], &signature));
        assert!(!key.verify(&[b"ab", b"c"], &signature[..8]));
        assert!(!SigningKey::ephemeral().verify(&[b"ab", b"c"], &signature));
        assert!(SigningKey::from_text("short").is_none());
    }
}
