use proptest::prelude::*;

use super::*;

const A: &str = "0123456789abcdef0123456789abcdef";
const B: &str = "fedcba9876543210fedcba9876543210";
const ROW: &[&[u8]] = &[b"crm.connections", b"row 7"];

/// Computed by another implementation (Node's `crypto`) for the secret `A`, the name `crm.tokens` and the parts `ab`, `c`.
const SIGNATURE: &str = "60f7a1279b4bb12d7628711d6e7c41e2f36825b7874cf298e404b9fb58084982";
/// The same for the plain text `refresh token`, the context `ROW` and the nonce 0, 1, … 11.
const SEALED: &str = "01a03a94f5000102030405060708090a0b013f2d6574948dca70864fddeb7ac97a457b4c1fa705c0d3eb1306ff61";

fn tokens(secrets: &str) -> NamedSecret {
    Keyring::from_text(secrets).unwrap().secret("crm.tokens")
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Stored values and signatures outlive a version of the kernel: if this fails, none of them can be read any more.
#[test]
fn the_form_of_signatures_and_encrypted_values_never_changes() {
    let tokens = tokens(A);
    assert_eq!(tokens.sign(&[b"ab", b"c"]).to_vec(), hex(SIGNATURE));
    assert_eq!(tokens.decrypt(ROW, &hex(SEALED)).unwrap().expose(), b"refresh token");
    let nonce = || [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    assert_eq!(tokens.encrypt_with(nonce, ROW, b"refresh token").unwrap(), hex(SEALED));
    assert_eq!(tokens.current_key().to_string(), "a03a94f5");
}

#[test]
fn every_encryption_uses_a_nonce_drawn_for_it_and_nothing_else() {
    let tokens = tokens(A);
    let mut drawn = Vec::new();
    let mut sealed = Vec::new();
    for number in 0..3 {
        let nonce = [number; 12];
        let draw = || {
            drawn.push(nonce);
            nonce
        };
        sealed.push(tokens.encrypt_with(draw, ROW, b"same").unwrap());
    }
    assert_eq!(drawn, [[0; 12], [1; 12], [2; 12]], "one nonce for each call");
    for (nonce, sealed) in drawn.iter().zip(&sealed) {
        assert_eq!(&sealed[5..17], nonce, "the nonce that was drawn is the one used");
    }
}

#[test]
fn a_previous_secret_verifies_and_decrypts_but_does_not_sign_or_encrypt() {
    let (before, during, after) = (tokens(A), tokens(&format!("{B}, {A}")), tokens(B));
    let (signature, sealed) = (before.sign(&[b"x"]), before.encrypt(ROW, b"plain").unwrap());
    assert!(during.verify(&[b"x"], &signature) && !after.verify(&[b"x"], &signature));
    assert_eq!(during.decrypt(ROW, &sealed).unwrap().expose(), b"plain");
    assert_eq!(after.decrypt(ROW, &sealed).unwrap_err(), DecryptError::UnknownKey(before.current_key()));
    assert!(!before.needs_reencryption(&sealed) && during.needs_reencryption(&sealed));

    let again = during.encrypt(ROW, during.decrypt(ROW, &sealed).unwrap().expose()).unwrap();
    assert_eq!(during.current_key(), after.current_key());
    assert!(!during.needs_reencryption(&again) && !after.needs_reencryption(&again));
    assert_eq!(after.decrypt(ROW, &again).unwrap().expose(), b"plain");
    assert!(after.verify(&[b"x"], &during.sign(&[b"x"])) && !before.verify(&[b"x"], &during.sign(&[b"x"])));

    // A new secret can be made known to every copy of the app before any of them uses it.
    let announced = tokens(&format!("{A},{B}"));
    assert_eq!(announced.current_key(), before.current_key());
    assert_eq!(announced.decrypt(ROW, &again).unwrap().expose(), b"plain");
}

#[test]
fn a_name_with_secrets_of_its_own_rotates_alone() {
    let keyring = Keyring::from_text(A).unwrap().with_own("crm.tokens", B).unwrap();
    assert_eq!(keyring.secret("crm.tokens").current_key(), tokens(B).current_key());
    assert_eq!(keyring.secret("other").sign(&[]), Keyring::from_text(A).unwrap().secret("other").sign(&[]));
    assert!(keyring.with_own("other", "short").is_err());

    // What the secrets for all names encrypted before is still read, if they stand behind its own.
    let sealed = tokens(A).encrypt(ROW, b"plain").unwrap();
    let keyring = Keyring::from_text(A).unwrap().with_own("crm.tokens", &format!("{B},{A}")).unwrap();
    assert_eq!(keyring.secret("crm.tokens").decrypt(ROW, &sealed).unwrap().expose(), b"plain");
}

#[test]
fn what_was_made_for_one_name_is_refused_for_another() {
    let keyring = Keyring::from_text(A).unwrap();
    let (tokens, other) = (keyring.secret("crm.tokens"), keyring.secret("crm.token"));
    assert!(!other.verify(&[b"x"], &tokens.sign(&[b"x"])));
    let mut sealed = tokens.encrypt(ROW, b"plain").unwrap();
    assert_eq!(other.decrypt(ROW, &sealed).unwrap_err(), DecryptError::UnknownKey(tokens.current_key()));
    // Also if its key id is replaced by the other name's.
    sealed[1..5].copy_from_slice(&other.encrypt(ROW, b"").unwrap()[1..5]);
    assert_eq!(other.decrypt(ROW, &sealed).unwrap_err(), DecryptError::Refused);
}

#[test]
fn what_belongs_to_one_context_is_refused_in_another() {
    let tokens = tokens(A);
    let sealed = tokens.encrypt(ROW, b"plain").unwrap();
    for context in [
        &[][..],
        &[&b"crm.connections"[..], b"row 8"],
        &[b"crm.connections", b"row 7", b""],
        &[b"crm.connectionsrow 7"],
        &[b"crm.connection", b"srow 7"],
        &[b"row 7", b"crm.connections"],
    ] {
        assert_eq!(tokens.decrypt(context, &sealed).unwrap_err(), DecryptError::Refused, "{context:?}");
    }
}

#[test]
fn a_signature_covers_where_the_parts_end() {
    let tokens = tokens(A);
    let signature = tokens.sign(&[b"ab", b"c"]);
    assert!(tokens.verify(&[b"ab", b"c"], &signature[..16]));
    assert!(!tokens.verify(&[b"a", b"bc"], &signature) && !tokens.verify(&[b"abc"], &signature));
    assert!(!tokens.verify(&[b"ab", b"c"], &signature[..8]) && !tokens.verify(&[b"ab", b"c"], &[]));
    assert!(!Keyring::ephemeral().secret("crm.tokens").verify(&[b"ab", b"c"], &signature));
}

#[test]
fn secrets_that_cannot_be_used_are_refused_by_their_position() {
    use KeyringError::{Missing, Repeated, TooShort};
    for (text, expect) in [
        (String::new(), Missing),
        (" \n".to_owned(), Missing),
        ("short".to_owned(), TooShort { position: 1, length: 5 }),
        (format!("{A},"), TooShort { position: 2, length: 0 }),
        (format!("{A},,{B}"), TooShort { position: 2, length: 0 }),
        (format!("{A},{B},{}", &A[1..]), TooShort { position: 3, length: 31 }),
        // Characters, not bytes.
        ("ä".repeat(31), TooShort { position: 1, length: 31 }),
        (format!("{A},{B},{A}"), Repeated { position: 3, first: 1 }),
    ] {
        let error = Keyring::from_text(&text).unwrap_err();
        assert_eq!(error, expect, "{text}");
        assert!(!error.to_string().contains(&A[1..]) && error.to_string().len() > 20, "{error}");
    }
    assert!(Keyring::from_text(&format!(" {A} ,\n{B}\n")).is_ok());
}

#[test]
fn nothing_prints_a_secret() {
    let keyring = Keyring::from_text(A).unwrap().with_own("n", B).unwrap();
    let tokens = keyring.secret("crm.tokens");
    let decrypted = tokens.decrypt(ROW, &hex(SEALED)).unwrap();
    let printed = format!("{keyring:?} {tokens:?} {decrypted:?} {:?}", tokens.current_key());
    assert_eq!(printed, "Keyring(redacted) NamedSecret(crm.tokens, redacted) Decrypted(redacted) KeyId(a03a94f5)");
}

proptest! {
    #[test]
    fn what_is_encrypted_is_decrypted_and_no_bit_of_it_can_change(
        plain in proptest::collection::vec(any::<u8>(), 0..40),
        context in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..4),
        cut in 0usize..80,
    ) {
        // With a previous secret, so that a changed key id may lead to another key.
        let tokens = tokens(&format!("{A},{B}"));
        let context: Vec<&[u8]> = context.iter().map(Vec::as_slice).collect();
        let sealed = tokens.encrypt(&context, &plain).unwrap();
        prop_assert_eq!(sealed.len(), plain.len() + 33);
        let opened = tokens.decrypt(&context, &sealed).unwrap();
        prop_assert_eq!(opened.expose(), &plain);
        for byte in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[byte] ^= 1 << bit;
                prop_assert!(tokens.decrypt(&context, &changed).is_err(), "byte {}, bit {}", byte, bit);
            }
        }
        prop_assert!(tokens.decrypt(&context, &sealed[..cut.min(sealed.len() - 1)]).is_err());
        let mut longer = sealed.clone();
        longer.push(0);
        prop_assert!(tokens.decrypt(&context, &longer).is_err());
    }

    #[test]
    fn no_bit_of_a_signature_can_change(
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..4),
    ) {
        let tokens = tokens(&format!("{A},{B}"));
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let signature = tokens.sign(&parts);
        prop_assert!(tokens.verify(&parts, &signature));
        for bit in 0..256 {
            let mut changed = signature;
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!tokens.verify(&parts, &changed), "bit {}", bit);
        }
    }
}
