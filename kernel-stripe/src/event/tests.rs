use serde_json::json;

use super::*;

fn event() -> Value {
    json!({
        "id": "evt_1", "object": "event", "api_version": "2026-10-28.endive", "created": 1_793_491_200,
        "livemode": false, "type": "invoice.paid", "data": { "object": { "id": "in_1" } },
        "a field of tomorrow": [1, { "x": null }],
    })
}

fn set(pointer: &str, value: Value) -> Value {
    let mut event = event();
    *event.pointer_mut(pointer).unwrap() = value;
    event
}

fn without(field: &str) -> Value {
    let mut event = event();
    event.as_object_mut().unwrap().remove(field).unwrap();
    event
}

fn parsed(event: &Value) -> Result<ProviderEvent, String> {
    parse(&serde_json::to_vec(event).unwrap())
}

#[test]
fn an_event_is_kept_whole() {
    let found = parsed(&event()).unwrap();
    let created_at = "2026-11-01T00:00:00Z".parse().unwrap();
    assert_eq!(found, ProviderEvent::new("evt_1", "invoice.paid", created_at, event()));
}

#[test]
fn what_is_not_needed_may_be_missing() {
    for field in ["object", "api_version", "a field of tomorrow"] {
        assert!(parsed(&without(field)).is_ok(), "{field}");
    }
    assert!(parsed(&set("/api_version", Value::Null)).is_ok());
    assert!(parsed(&set("/id", "e".repeat(255).into())).is_ok());
    assert!(parsed(&set("/data/object", json!({}))).is_ok());
}

#[test]
fn what_is_not_an_event_is_refused_with_the_field_named() {
    for (event, problem) in [
        (without("id"), "missing field `id` (API version 2026-10-28.endive)"),
        (without("type"), "missing field `type`"),
        (without("created"), "missing field `created`"),
        (without("livemode"), "missing field `livemode`"),
        (without("data"), "missing field `data`"),
        (set("/data", json!({})), "`data`: missing field `object`"),
        (set("/data/object", json!("in_1")), "`data.object`: invalid type"),
        (set("/id", json!(7)), "`id`: invalid type"),
        (set("/id", json!("")), "`id`: must be 1 to 255 visible ASCII characters"),
        (set("/id", json!("e".repeat(256))), "`id`: must be 1 to 255"),
        (set("/id", json!("evt 1")), "`id`: must be 1 to 255"),
        (set("/id", json!("evt_é")), "`id`: must be 1 to 255"),
        (set("/type", json!("a\nb")), "`type`: must be 1 to 255"),
        (set("/created", json!(-1)), "`created`: invalid value"),
        (set("/created", json!(1.5)), "`created`: invalid type"),
        (set("/created", json!("2026")), "`created`: invalid type"),
        (set("/created", json!(u64::MAX)), "`created`: this is not a time in Unix seconds"),
        (set("/livemode", json!("false")), "`livemode`: invalid type"),
        (set("/object", json!("charge")), "`object` must be \"event\""),
        (set("/object", json!("v2.core.event")), "thin event"),
        (json!([]), "must be a JSON object"),
        (json!(["evt_1", "invoice.paid", 1, false, [{}]]), "must be a JSON object"),
        (json!(null), "must be a JSON object"),
        (json!("evt_1"), "must be a JSON object"),
    ] {
        let found = parsed(&event).unwrap_err();
        assert!(found.contains(problem), "{event}: {found}");
    }
}

#[test]
fn what_is_not_json_is_refused() {
    let deep = [b"[".repeat(200), b"]".repeat(200)].concat();
    for body in
        [&b""[..], b"{", b"{}{}", b"\xff", b"\xef\xbb\xbf{}", b"{\"a\":\"\x00\"}", br#"{"a":"\ud800"}"#, b"NaN", &deep]
    {
        let found = parse(body).unwrap_err();
        assert!(found.starts_with("the body is not JSON: "), "{body:?}: {found}");
    }
}

#[test]
fn nul_is_refused_wherever_it_hides() {
    for (value, refused) in [
        (json!("a\0"), true),
        (json!({ "deep": [[{ "x": "\0" }]] }), true),
        (json!({ "a\0": 1 }), true),
        (json!("\\u0000"), false),
        (json!("\u{1}"), false),
    ] {
        let found = parsed(&set("/data/object", json!({ "name": value })));
        assert_eq!(found.is_err(), refused, "{value}");
        assert!(found.err().is_none_or(|problem| problem.contains("NUL")));
    }
}
