//! Checks for text that comes from outside.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::base::error::Refusal;

/// Parses one line of text for `field`: trims it, and refuses control characters (Postgres cannot store NUL) and a length in
/// characters outside `length`.
pub fn line(field: &'static str, text: &str, length: RangeInclusive<usize>) -> Result<String, Refusal> {
    let text = text.trim();
    if text.chars().any(char::is_control) {
        return Err(Refusal::field(field, "must be one line without control characters"));
    }
    if !length.contains(&text.chars().count()) {
        return Err(Refusal::field(field, format!("must have {} to {} characters", length.start(), length.end())));
    }
    Ok(text.to_owned())
}

/// Whether `value` contains a NUL character anywhere: Postgres cannot store it as JSON.
pub fn holds_nul(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(holds_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_trimmed_and_bounded_in_characters() {
        assert_eq!(line("name", " ü ", 1..=1).unwrap(), "ü");
        for bad in ["", "  ", "ab", "a\u{0}", "a\nb"] {
            assert!(line("name", bad, 1..=1).is_err(), "{bad:?}");
        }
    }
}
