use super::*;

const SECRET: &str = "whsec_test";
const BODY: &[u8] = b"{\"id\":\"evt_1\"}";

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_793_491_200 + seconds, 0).unwrap()
}

fn v1(secret: &str) -> String {
    sign(secret, at(0), BODY).split_once(",v1=").unwrap().1.to_owned()
}

fn secrets(texts: &[&str]) -> Vec<SecretString> {
    texts.iter().map(|text| (*text).into()).collect()
}

fn check(header: &str) -> Result<(), String> {
    verify(&secrets(&[SECRET]), TimeDelta::seconds(300), Some(header), BODY, at(0))
}

#[test]
fn headers_are_taken_exactly_as_stripe_makes_them() {
    let (good, other, now) = (v1(SECRET), v1("whsec_other"), at(0).timestamp());
    let upper = good.to_uppercase();
    for (header, problem) in [
        (format!("t={now},v1={good}"), None),
        (format!("v1={good},t={now}"), None),
        (format!("t={now},v1={other},v1={good}"), None),
        (format!("t={now},v1={good},v1={other}"), None),
        (format!("t={now},v1={good},v0={other}"), None),
        (format!("t={now},v1={good},v2=a=b"), None),
        (format!("t={now},v1={other}"), Some("no signature matches")),
        (format!("t={now},v0={good}"), Some("no `v1` signature")),
        (format!("t={now}"), Some("no `v1` signature")),
        (format!("v1={good}"), Some("`t` is missing")),
        (format!("t={now},t={now},v1={good}"), Some("`t` must come exactly once")),
        (format!("t=,v1={good}"), Some("decimal digits")),
        (format!("t=+{now},v1={good}"), Some("decimal digits")),
        (format!("t=-{now},v1={good}"), Some("decimal digits")),
        (format!("t={now} ,v1={good}"), Some("decimal digits")),
        (format!("t={now}.0,v1={good}"), Some("decimal digits")),
        (format!("t={now:x},v1={good}"), Some("decimal digits")),
        (format!("t=99999999999999999999,v1={good}"), Some("decimal digits")),
        (format!("t=0{now},v1={good}"), Some("no signature matches")),
        (format!("t=9223372036854775807,v1={good}"), Some("no signature matches")),
        (format!("t={now},v1={upper}"), Some("64 lower-case")),
        (format!("t={now},v1={good},v1={upper}"), Some("64 lower-case")),
        (format!("t={now},v1={good}0"), Some("64 lower-case")),
        (format!("t={now},v1={}", &good[1..]), Some("64 lower-case")),
        (format!("t={now},v1="), Some("64 lower-case")),
        (format!("t={now}, v1={good}"), Some("without spaces")),
        (format!(" t={now},v1={good}"), Some("without spaces")),
        (format!("t={now},=x,v1={good}"), Some("without spaces")),
        (format!("t={now},v1={good},"), Some("`name=value`")),
        (format!("t={now};v1={good}"), Some("decimal digits")),
        (String::new(), Some("`name=value`")),
    ] {
        match (check(&header), problem) {
            (Ok(()), None) => {}
            (Err(found), Some(problem)) => assert!(found.contains(problem), "{header}: {found}"),
            (found, _) => panic!("{header}: {found:?}, expected {problem:?}"),
        }
    }
}

#[test]
fn any_secret_may_match_while_one_is_rotated() {
    let header = sign("whsec_old", at(0), BODY);
    for (texts, accepted) in [
        (&["whsec_old"][..], true),
        (&["whsec_new", "whsec_old"], true),
        (&["whsec_old", "whsec_new"], true),
        (&["whsec_new"], false),
        (&["whsec_old "], false),
        (&[], false),
    ] {
        let found = verify(&secrets(texts), TimeDelta::seconds(300), Some(&header), BODY, at(0));
        assert_eq!(found.is_ok(), accepted, "{texts:?}");
    }
}

#[test]
fn the_time_may_be_off_by_the_tolerance_to_either_side() {
    for (tolerance, now, problem) in [
        (300, 0, None),
        (300, 300, None),
        (300, -300, None),
        (300, 301, Some("301 seconds old")),
        (300, -301, Some("301 seconds in the future")),
        (0, 0, None),
        (0, 1, Some("1 seconds old")),
        (0, -1, Some("1 seconds in the future")),
        (600, 600, None),
    ] {
        let header = sign(SECRET, at(0), BODY);
        let found = verify(&secrets(&[SECRET]), TimeDelta::seconds(tolerance), Some(&header), BODY, at(now));
        match (found, problem) {
            (Ok(()), None) => {}
            (Err(found), Some(problem)) => {
                assert!(found.contains(problem) && found.contains("clock"), "{now}: {found}")
            }
            (found, _) => panic!("{tolerance} {now}: {found:?}, expected {problem:?}"),
        }
    }
}

#[test]
fn a_fraction_of_a_second_is_dropped_as_in_the_official_sdks() {
    let late = at(300) + TimeDelta::milliseconds(999);
    let header = sign(SECRET, at(0) + TimeDelta::milliseconds(1), BODY);
    assert_eq!(verify(&secrets(&[SECRET]), TimeDelta::seconds(300), Some(&header), BODY, late), Ok(()));
}

#[test]
fn the_farthest_times_do_not_overflow() {
    let header = format!("t={0},v1={1}", i64::MAX, hex::encode(mac(SECRET, &i64::MAX.to_string(), BODY)));
    for now in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        let found = verify(&secrets(&[SECRET]), TimeDelta::MAX, Some(&header), BODY, now);
        assert!(found.unwrap_err().contains("in the future"));
    }
    let found = verify(&secrets(&[SECRET]), TimeDelta::MIN, Some(&sign(SECRET, at(0), BODY)), BODY, at(0));
    assert!(found.is_err(), "a negative tolerance accepts nothing");
}

#[test]
fn messages_say_what_to_do() {
    let missing = verify(&secrets(&[SECRET]), TimeDelta::seconds(300), None, BODY, at(0)).unwrap_err();
    assert!(missing.contains("Stripe-Signature"), "{missing}");
    let wrong = check(&sign("whsec_other", at(0), BODY)).unwrap_err();
    assert!(wrong.contains("STRIPE_WEBHOOK_SECRET") && wrong.contains("byte for byte"), "{wrong}");
}

#[derive(serde::Deserialize)]
struct Fixtures {
    vectors: Vec<Vector>,
    rotation: Vec<Rotation>,
}

#[derive(serde::Deserialize)]
struct Vector {
    sdk: String,
    name: String,
    secret: String,
    timestamp: i64,
    payload: String,
    header: String,
}

#[derive(serde::Deserialize)]
struct Rotation {
    secrets: Vec<String>,
    timestamp: i64,
    payload: String,
    header: String,
}

fn fixtures() -> Fixtures {
    serde_json::from_str(include_str!("../../fixtures/signatures.json")).unwrap()
}

#[test]
fn signs_and_verifies_exactly_as_the_official_sdks() {
    let vectors = fixtures().vectors;
    assert_eq!(vectors.len(), 10, "five cases of two SDKs");
    for Vector { sdk, name, secret, timestamp, payload, header } in vectors {
        let (time, body) = (DateTime::from_timestamp(timestamp, 0).unwrap(), payload.as_bytes());
        assert_eq!(sign(&secret, time, body), header, "{sdk}: {name}");
        let verify =
            |secret: &str, body: &[u8]| verify(&secrets(&[secret]), TimeDelta::seconds(300), Some(&header), body, time);
        assert_eq!(verify(&secret, body), Ok(()), "{sdk}: {name}");
        assert!(verify("whsec_other", body).is_err(), "{sdk}: {name}");
        assert!(verify(&secret, &[body, b" "].concat()).is_err(), "{sdk}: {name}");
    }
}

#[test]
fn a_header_with_two_signatures_is_accepted_with_either_secret_as_by_the_official_sdks() {
    for Rotation { secrets: both, timestamp, payload, header } in fixtures().rotation {
        let time = DateTime::from_timestamp(timestamp, 0).unwrap();
        for secret in &both {
            let found = verify(&secrets(&[secret]), TimeDelta::seconds(300), Some(&header), payload.as_bytes(), time);
            assert_eq!(found, Ok(()));
        }
    }
}
