//! Text from outside.

use std::ops::RangeInclusive;

use crate::error::Refusal;

/// One line of text for `field`: trimmed, without control characters (Postgres cannot store NUL), `length` in characters.
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
