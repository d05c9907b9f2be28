//! The list of all checks. Each is one SELECT over the catalog that returns object, problem and fix of its findings.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::names::Names;

use super::{
    Finding, common, functions, grants, kernel_grants, kernel_policies, keys, partitions, policies, records,
    references, roles, tables, triggers,
};

/// Stable name of a check and its query, which may use the CTEs of [`common::WITH`] and [`kernel_grants::GIVEN`].
pub(super) type Check = (&'static str, &'static str);

/// In the order of the report: the most severe checks first.
const GROUPS: [&[Check]; 12] = [
    roles::CHECKS,
    tables::CHECKS,
    policies::CHECKS,
    grants::CHECKS,
    kernel_grants::CHECKS,
    kernel_policies::CHECKS,
    functions::CHECKS,
    references::CHECKS,
    keys::CHECKS,
    triggers::CHECKS,
    records::CHECKS,
    partitions::CHECKS,
];

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    GROUPS.into_iter().flatten().map(|(name, _)| *name)
}

/// Runs all checks as one statement, so that the common CTEs are computed once.
pub(super) async fn run(connection: &mut PgConnection, names: &Names) -> Result<Vec<Finding>, sqlx::Error> {
    let checks = || GROUPS.into_iter().flatten().enumerate();
    let parts: Vec<_> =
        checks().map(|(place, (_, sql))| format!("SELECT {place}, q.* FROM ({sql}) q(object, problem, fix)")).collect();
    // The SQL consists of constants of this crate only, and a suffix that was checked.
    let sql = format!("{}{}\n{}", common::WITH, kernel_grants::GIVEN, parts.join("\nUNION ALL "));
    let sql = AssertSqlSafe(names.text(&sql).into_owned());
    let rows: Vec<(i32, String, String, String)> = sqlx::query_as(sql).persistent(false).fetch_all(connection).await?;
    let named = |(found, object, problem, fix): (i32, String, String, String)| {
        let (_, (check, _)) = checks().find(|(place, _)| usize::try_from(found) == Ok(*place))?;
        Some(Finding { check, object, problem, fix })
    };
    Ok(rows.into_iter().filter_map(named).collect())
}
