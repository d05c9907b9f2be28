//! JSON input, parsed strictly.

use serde::de::DeserializeOwned;

use crate::base::error::{Refusal, codes};

/// Parses `bytes` as a JSON object of type `T`. Give `T` `#[serde(deny_unknown_fields)]`, so that a misspelt field is refused
/// instead of ignored.
///
/// # Errors
/// `malformed_text` for text that is not UTF-8 or has a NUL, which Postgres cannot store; `malformed_json`;
/// `validation_failed` with the field.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Refusal::new(&codes::MALFORMED_TEXT, format!("the body is not UTF-8 from byte {} on", error.valid_up_to()))
    })?;
    if let Some(at) = nul_escape(bytes) {
        return Err(Refusal::new(
            &codes::MALFORMED_TEXT,
            format!("the text has a NUL character at byte {at}; leave it out"),
        ));
    }
    // serde's derived structs would take an array for an object, field by field.
    if text.trim_ascii_start().starts_with('[') {
        return Err(Refusal::field("body", "must be a JSON object, not an array"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        refuse(path, error.into_inner())
    })?;
    deserializer.end().map_err(|error| refuse(String::new(), error))?;
    Ok(value)
}

fn refuse(path: String, error: serde_json::Error) -> Refusal {
    if !error.is_data() {
        return Refusal::new(&codes::MALFORMED_JSON, format!("this is not JSON: {error}"));
    }
    let text = error.to_string();
    let rule = text.split(" at line ").next().unwrap_or(&text).to_owned();
    // The path ends at the object; the text names the field in it.
    let named = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|start| rule.strip_prefix(start)?.split('`').next());
    let field = match (path.as_str(), named) {
        ("." | "", Some(named)) => named.to_owned(),
        ("." | "", None) => "body".to_owned(),
        (path, Some(named)) if !path.ends_with(named) => format!("{path}.{named}"),
        (path, _) => path.to_owned(),
    };
    Refusal::field(field, rule)
}

/// The position of an escaped NUL, which JSON allows and Postgres cannot store.
fn nul_escape(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes.iter().enumerate();
    while let Some((at, byte)) = rest.next() {
        if *byte == b'\\' && matches!(rest.next(), Some((_, b'u'))) && bytes.get(at + 2..at + 6) == Some(b"0000") {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        #[expect(dead_code, reason = "only its parsing matters")]
        name: String,
        #[serde(default)]
        #[expect(dead_code, reason = "only its parsing matters")]
        inner: Vec<Inner>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only its parsing matters")]
        count: u32,
    }

    #[test]
    fn every_mistake_has_its_own_answer() {
        for (body, code, field) in [
            (&b"{"[..], "malformed_json", ""),
            (b"", "malformed_json", ""),
            (b"{\"name\":\"a\"} x", "malformed_json", ""),
            (b"{\"name\":\"\0\"}", "malformed_json", ""),
            (b"{\"name\":\"\xff\"}", "malformed_text", ""),
            (br#"{"name":"\u0000"}"#, "malformed_text", ""),
            (b"[]", "validation_failed", "body"),
            (b" [\"a\", []]", "validation_failed", "body"),
            (b"{}", "validation_failed", "name"),
            (b"{\"name\":1}", "validation_failed", "name"),
            (b"{\"name\":\"a\",\"nmae\":1}", "validation_failed", "nmae"),
            (b"{\"name\":\"a\",\"inner\":[{\"count\":-1}]}", "validation_failed", "inner[0].count"),
            (b"{\"name\":\"a\",\"inner\":[{}]}", "validation_failed", "inner[0].count"),
            (b"{\"name\":\"a\",\"name\":\"b\"}", "validation_failed", "name"),
        ] {
            let refusal = parse::<Input>(body).expect_err(&String::from_utf8_lossy(body));
            let named = refusal.field_errors().first().map_or("", |field| &field.field);
            assert_eq!((refusal.code(), named), (code, field), "{refusal}");
        }
        // An escaped backslash before `u0000` is text, not a NUL.
        assert!(parse::<Input>(br#"{"name":"\\u0000"}"#).is_ok());
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "{\"a\":".repeat(100_000);
        assert_eq!(parse::<serde_json::Value>(deep.as_bytes()).unwrap_err().code(), "malformed_json");
    }
}
