//! Candidate values for a column, the most likely first, each an SQL expression. Postgres chooses those that its checks allow
//! (`seed.rs`).

use super::Side;
use super::catalog::{Column, literal};

/// Candidates for `column` in the row of `side`, whose workspace is `workspace`. `checks` are the CHECK expressions of the
/// column: the values in them are often the allowed ones.
pub(super) fn of(column: &Column, side: Side, workspace: &str, checks: &[&str]) -> Vec<String> {
    let (letter, number) = match side {
        Side::A => ("a", 1),
        Side::B => ("b", 2),
        Side::Empty => ("c", 3),
    };
    let (quoted, numbers) = mentioned(checks);
    let texts = |list: Vec<String>| list.iter().map(|text| literal(text)).collect::<Vec<_>>();
    match (&*column.type_name, &*column.category) {
        // All ids of a workspace are the same, so that references between its rows are valid.
        ("uuid", _) => texts(vec![workspace.to_owned()]),
        ("bytea", _) => {
            let lengths = [8, 16, 20, 32, 64].into_iter().chain(numbers).filter(|length| (1..=4096).contains(length));
            lengths.map(|length| format!("decode(repeat('0{number}', {length}), 'hex')")).collect()
        }
        ("json" | "jsonb", _) => texts(["{}", "[]", "\"x\"", "1"].map(str::to_owned).into()),
        ("bool", _) => texts(["false", "true"].map(str::to_owned).into()),
        (_, "E") => column.labels.iter().map(|label| literal(label)).collect(),
        (_, "N") => numeric(number, tag(workspace), &numbers),
        (_, "D") => {
            let own =
                [format!("now() + {number} * interval '1 second'"), format!("now() - {number} * interval '1 year'")];
            own.into_iter().chain([format!("now() + {number} * interval '1 year'")]).chain(texts(quoted)).collect()
        }
        ("time" | "timetz", _) => texts(vec![format!("0{number}:00")]),
        (_, "T") => texts(vec![format!("{number} hours"), format!("{number} days"), "0".to_owned()]),
        (_, "I") => texts(vec![format!("192.0.2.{number}")]),
        (_, "A") => texts(vec!["{}".to_owned()])
            .into_iter()
            .chain([format!("ARRAY[{number}]"), format!("ARRAY['{letter}']")])
            .collect(),
        (_, "R") => texts(vec![
            format!("[{number},{}]", number + 1),
            format!("[2030-01-0{number},2030-02-0{number}]"),
            "empty".to_owned(),
        ]),
        (_, "V") => texts(vec!["0".to_owned(), "1".to_owned()]),
        ("bpchar" | "varchar" | "text" | "name" | "citext", _) | (_, "S") => {
            text(letter, number, workspace, quoted, &numbers)
        }
        // Types of extensions: try texts that they may parse.
        _ => texts(vec![
            format!("[{number}]"),
            format!("{number}"),
            letter.to_owned(),
            format!("({number},{number})"),
            String::new(),
        ]),
    }
}

/// The workspace's own number first, because a key may be unique across workspaces.
fn numeric(number: i64, tag: &str, numbers: &[i64]) -> Vec<String> {
    let own = i64::from_str_radix(tag, 16).unwrap_or(number);
    let plain = [own, number, 0, -number, number * 10, number * 100, number * 1000];
    let near = numbers.iter().flat_map(|n| [*n, n + number, n - number, n * number]);
    plain.into_iter().chain(near).map(|n| n.to_string()).collect()
}

/// The last characters of a workspace's id, which are random.
fn tag(workspace: &str) -> &str {
    workspace.get(workspace.len().saturating_sub(7)..).unwrap_or(workspace)
}

/// Short and long texts, plain and in formats that checks often require.
fn text(letter: &str, number: i64, workspace: &str, quoted: Vec<String>, numbers: &[i64]) -> Vec<String> {
    let tag = tag(workspace);
    let upper = letter.to_uppercase();
    let (country, currency, language) = match number {
        1 => ("DE", "EUR", "de"),
        2 => ("FR", "USD", "fr"),
        _ => ("US", "GBP", "en"),
    };
    let shapes = [
        format!("w{tag}"),
        format!("Tenant {upper} {tag}"),
        format!("w{tag}@example.com"),
        format!("https://w{tag}.example.com/"),
        format!("w{tag}.example.com"),
        format!("W{}", tag.to_uppercase()),
        format!("/w{tag}"),
        format!("{letter}_{tag}"),
        format!("{upper}-{number}"),
        format!("#00000{number}"),
        format!("+4930123450{number}"),
        format!("1.0.{number}"),
        format!("2030-01-0{number}"),
        format!("0{number}:00"),
        workspace.to_owned(),
        format!("{number}"),
        letter.to_owned(),
        upper.clone(),
    ];
    let lengths =
        numbers.iter().copied().filter(|length| (1..=4096).contains(length)).filter_map(|n| usize::try_from(n).ok());
    let long = lengths.flat_map(|n| [letter.repeat(n), upper.repeat(n), number.to_string().repeat(n)]);
    let codes = [country, currency, language, ""].map(str::to_owned);
    // Texts from the checks come late: they are the same for each workspace, and often another column's.
    let named = quoted.into_iter().filter(|text| !looks_like_a_pattern(text));
    shapes.into_iter().chain(codes).chain(named).chain(long).map(|text| literal(&text)).collect()
}

fn looks_like_a_pattern(text: &str) -> bool {
    text.contains(['^', '$', '\\', '%', '*', '['])
}

/// The strings and integers in the expressions.
fn mentioned(checks: &[&str]) -> (Vec<String>, Vec<i64>) {
    let (mut strings, mut numbers) = (Vec::new(), Vec::new());
    for check in checks {
        for (index, part) in check.split('\'').enumerate() {
            if index % 2 == 1 {
                strings.push(part.to_owned());
            }
            // Numbers within patterns count too, such as {2}.
            numbers.extend(part.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse::<i64>().ok()));
        }
    }
    numbers.retain(|number| number.abs() < 1_000_000_000);
    numbers.dedup();
    (strings, numbers)
}
