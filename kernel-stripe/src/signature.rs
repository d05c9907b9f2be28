//! The `Stripe-Signature` header: `t=<seconds>,v1=<HMAC-SHA256 in hex>[,v1=…]` over `<seconds>.<raw body>`.
//!
//! Source: <https://docs.stripe.com/webhooks/signature> and the official SDKs. It is stricter than those: malformed headers
//! are never repaired, and a time in the future is refused like one in the past.

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Creates the header for `body`, as Stripe and the test helpers of its SDKs do. For tests and demonstrations: an endpoint
/// with the same secret accepts it.
///
/// ```
/// let at = "2026-11-01T00:00:00Z".parse().unwrap();
/// let header = saas_kernel_stripe::sign("whsec_test", at, b"{}");
/// assert!(header.starts_with("t=1793491200,v1="));
/// ```
pub fn sign(secret: &str, timestamp: DateTime<Utc>, body: &[u8]) -> String {
    let seconds = timestamp.timestamp().to_string();
    format!("t={seconds},v1={}", hex::encode(mac(secret, &seconds, body)))
}

/// Checks that one of `secrets` signed `body` within `tolerance` of `now`. It takes constant time, so that the duration does
/// not reveal which secret or signature differs, or where.
///
/// # Errors
/// What is wrong and what to do. The time is checked only after the signature matched.
pub(crate) fn verify(
    secrets: &[SecretString],
    tolerance: TimeDelta,
    header: Option<&str>,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<(), String> {
    let header = Header::parse(
        header.ok_or("the `Stripe-Signature` header is missing; this endpoint accepts only requests from Stripe")?,
    )?;
    let mut matched = Choice::from(0);
    for secret in secrets {
        let expected = mac(secret.expose_secret(), header.timestamp, body);
        for signature in &header.signatures {
            matched |= expected.ct_eq(signature);
        }
    }
    if !bool::from(matched) {
        return Err(
            "no signature matches: STRIPE_WEBHOOK_SECRET must be the secret of exactly this endpoint, and the body \
                    must reach it byte for byte, not parsed and written again"
                .to_owned(),
        );
    }
    let (age, tolerance) = (now.timestamp().saturating_sub(header.seconds), tolerance.num_seconds());
    if age > tolerance {
        return Err(format!(
            "the signature is {age} seconds old, over the tolerance of {tolerance}: a replay, a slow proxy, or \
             the server's clock is ahead (check NTP)"
        ));
    }
    if age < tolerance.saturating_neg() {
        let ahead = age.saturating_neg();
        return Err(format!(
            "the signature is {ahead} seconds in the future, over the tolerance of {tolerance}: the server's clock is \
             behind (check NTP)"
        ));
    }
    Ok(())
}

struct Header<'a> {
    /// The digits as sent, because the signature covers them.
    timestamp: &'a str,
    seconds: i64,
    signatures: Vec<[u8; 32]>,
}

impl<'a> Header<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let (mut timestamp, mut signatures) = (None, Vec::new());
        for part in text.split(',') {
            let (scheme, value) = part.split_once('=').ok_or_else(|| malformed("every part must be `name=value`"))?;
            if scheme.is_empty() || !scheme.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(malformed("the names must be visible ASCII, without spaces around the commas"));
            }
            match scheme {
                "t" if timestamp.is_some() => return Err(malformed("`t` must come exactly once")),
                "t" => timestamp = Some(value),
                "v1" => signatures.push(signature(value)?),
                // `v0` is for test events only, and later schemes are unknown: neither is accepted.
                _ => {}
            }
        }
        let timestamp = timestamp.ok_or_else(|| malformed("`t` is missing"))?;
        // Digits only: other parsers may accept a sign or trim a space.
        let digits = timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = timestamp.parse().ok().filter(|_| digits);
        let seconds = seconds.ok_or_else(|| malformed("`t` must be Unix seconds in decimal digits"))?;
        if signatures.is_empty() {
            return Err(malformed("there is no `v1` signature, and no other scheme is accepted"));
        }
        Ok(Self { timestamp, seconds, signatures })
    }
}

fn signature(value: &str) -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    let lower = value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if lower && hex::decode_to_slice(value, &mut bytes).is_ok() {
        Ok(bytes)
    } else {
        Err(malformed("`v1` must be 64 lower-case hexadecimal digits"))
    }
}

fn malformed(problem: &str) -> String {
    format!("the `Stripe-Signature` header cannot be used: {problem}; pass it on exactly as Stripe sent it")
}

fn mac(secret: &str, timestamp: &str, body: &[u8]) -> [u8; 32] {
    // HMAC of RFC 2104, section 2, with the key prepared here, so that no key length can fail: a key longer than a block is
    // hashed, a shorter one is padded with zeros.
    let mut block = [0; 64];
    let hashed = Sha256::digest(secret.as_bytes());
    let key = if secret.len() > block.len() { hashed.as_slice() } else { secret.as_bytes() };
    for (slot, byte) in block.iter_mut().zip(key) {
        *slot = *byte;
    }
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
    for part in [timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
