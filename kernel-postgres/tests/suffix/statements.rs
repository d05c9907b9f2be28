//! All SQL of the adapter has the names of its product.

use std::path::{Path, PathBuf};

use saas_kernel::BoxError;

/// Statements of this crate that name neither the schema nor a role, as they begin in the source.
const NAMELESS: &[&str] = &[
    "named)",                 // a `SqlStr` from `Names::sql`
    "read_only)",             // the doctor's settings
    "sql).persistent(false)", // the doctor's checks, which have the names already
    "\"SELECT to_regclass($1) IS NOT NULL\")",
    "AssertSqlSafe(format!(\"SELECT version FROM {table}\"))", // `table` has the names already
    "sql).fetch_one(owner)",                                   // the same
    "\"SET lock_timeout = '10s'\")",
];

/// A statement that is not given through `Names::sql` would use the tables of another product.
#[test]
fn every_statement_gets_the_names_of_its_product() -> Result<(), BoxError> {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files)?;
    assert!(files.len() > 40, "{files:?}");
    let (mut statements, mut bypasses) = (0, Vec::new());
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let text = text.split("#[cfg(all(test").next().unwrap_or_default();
        for call in ["query", "query_as", "query_scalar", "raw_sql", ".push"] {
            for (at, _) in text.match_indices(call) {
                if text[..at].ends_with('_') {
                    continue; // `build_query_as`, whose parts were pushed
                }
                let Some(argument) = argument(&text[at + call.len()..]) else { continue };
                let named = argument.split(['(', ';']).next().is_some_and(|start| start.ends_with(".sql"));
                let allowed = match call {
                    // Parts of statements: texts without a name.
                    ".push" => {
                        !argument.starts_with(|c: char| c == '"' || c.is_ascii_uppercase())
                            || !names_something(text, argument)
                    }
                    _ => NAMELESS.iter().any(|nameless| argument.starts_with(nameless)),
                };
                statements += 1;
                if !named && !allowed {
                    bypasses.push(format!("{}: {}", file.display(), argument.lines().next().unwrap_or_default()));
                }
            }
        }
    }
    assert!(statements > 60, "{statements}");
    assert!(bypasses.is_empty(), "pass these through `sql`: {bypasses:#?}");
    Ok(())
}

/// Files of the adapter itself. The isolation test writes most of its statements from the catalog's names.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), BoxError> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("testing") {
            sources(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// What a call is given, from the text after the function's name, past a turbofish.
fn argument(after: &str) -> Option<&str> {
    let after = match after.strip_prefix("::<") {
        Some(generic) => generic.split_once(">(").map(|(_, argument)| argument)?,
        None => after.strip_prefix('(')?,
    };
    Some(after.trim_start())
}

/// Whether a literal, or the constant of that name in the file, contains the schema's name.
fn names_something(text: &str, argument: &str) -> bool {
    if let Some(literal) = argument.strip_prefix('"') {
        return literal.split('"').next().unwrap_or_default().contains("kernel.");
    }
    let name: String = argument.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
    let declared = text.split_once(&format!("const {name}: &str")).map(|(_, declared)| declared);
    declared.and_then(|declared| declared.split_once(';')).is_some_and(|(value, _)| value.contains("kernel."))
}
