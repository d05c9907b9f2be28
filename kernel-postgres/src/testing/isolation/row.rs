//! Chooses the values of one row. Postgres itself finds a combination of candidates that the table's checks allow.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::catalog::{Column, Table, literal};
use super::seed::{Seeds, Values};
use super::{Side, candidates};

/// The row of one table in one workspace, to be inserted.
pub(super) struct Row<'a> {
    pub(super) table: &'a Table,
    pub(super) side: Side,
    pub(super) workspace: &'a str,
    pub(super) seeds: &'a Seeds,
    pub(super) values: &'a Values,
}

impl Row<'_> {
    /// Chooses columns and expressions: those that require a value, and those that a CHECK refers to.
    pub(super) async fn choose(&self, admin: &mut PgConnection) -> Result<Vec<(String, String)>, String> {
        let (mut chosen, mut asked) = (Vec::new(), Vec::new());
        for column in &self.table.columns {
            let held = column.checked || !column.domain_checks.is_empty();
            let given = self.given(column);
            if held {
                let options = match given {
                    Some(value) => vec![format!("({value})::{}", column.sql_type)], // in VALUES a literal alone is text
                    None => readable(admin, self.options(column)).await,
                };
                asked.push((column, options));
            } else if column.generated {
                // A generated column computes its own value.
            } else if let Some(value) = given {
                chosen.push((column.quoted.clone(), value));
            } else if column.required {
                let value = readable(admin, self.options(column)).await.into_iter().next();
                let unknown = || format!("no value is known for {} of type {}", column.name, column.sql_type);
                chosen.push((column.quoted.clone(), value.ok_or_else(unknown)?));
            }
        }
        chosen.extend(self.solve(admin, asked).await?);
        Ok(chosen)
    }

    /// A value that is known: the workspace's id, one given by the caller, or the parent's key.
    fn given(&self, column: &Column) -> Option<String> {
        if column.name == self.table.tenant_name {
            return Some(literal(self.workspace));
        }
        let pair = self.values.iter().find(|((table, name), _)| *table == self.table.name && *name == column.name);
        if let Some((_, sql)) = pair {
            let number = match self.side {
                Side::A => "1",
                Side::B => "2",
                Side::Empty => "3",
            };
            return Some(format!("({})", sql.replace("{n}", number)));
        }
        if column.required || column.checked { self.of_parent(column) } else { None }
    }

    fn of_parent(&self, column: &Column) -> Option<String> {
        self.table.references.iter().find_map(|reference| {
            let place = reference.own.iter().position(|own| *own == column.quoted)?;
            let side = if self.side == Side::Empty { Side::B } else { self.side };
            let parent = self.seeds.get(&reference.parent)?.stored.get(&side)?;
            let text = parent.get(reference.others.get(place)?)?.as_ref()?;
            Some(format!("{}::{}", literal(text), column.sql_type))
        })
    }

    fn options(&self, column: &Column) -> Vec<String> {
        let checks: Vec<_> = self.table.checks.iter().chain(&column.domain_checks).map(String::as_str).collect();
        let first = match &column.default {
            _ if column.generated => vec!["NULL".to_owned()],
            Some(default) => vec![default.clone()],
            None if column.required => Vec::new(),
            None => vec!["NULL".to_owned()],
        };
        let more =
            if column.generated { Vec::new() } else { candidates::of(column, self.side, self.workspace, &checks) };
        first.into_iter().chain(more).map(|value| format!("({value})::{}", column.sql_type)).collect()
    }

    /// Finds a combination of the options that all checks allow.
    async fn solve(
        &self,
        admin: &mut PgConnection,
        asked: Vec<(&Column, Vec<String>)>,
    ) -> Result<Vec<(String, String)>, String> {
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let (mut places, mut from, mut conditions) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (column, options)) in asked.iter().enumerate() {
            let rows: Vec<_> = options.iter().enumerate().map(|(place, value)| format!("({place}, {value})")).collect();
            places.push(format!("of_{index}"));
            from.push(format!("(VALUES {}) v{index}(of_{index}, {})", rows.join(", "), column.quoted));
            conditions.extend(column.domain_checks.iter().map(|check| check.replace("VALUE", &column.quoted)));
        }
        conditions.extend(self.table.checks.iter().cloned());
        let conditions: Vec<_> = conditions.iter().map(|check| format!("({check}) IS NOT FALSE")).collect();
        let sql = format!(
            "SELECT ARRAY[{}]::int[] FROM {} WHERE {} LIMIT 1",
            places.join(", "),
            from.join(", "),
            conditions.join(" AND ")
        );
        let mut tx = admin.begin().await.map_err(|error| error.to_string())?;
        sqlx::raw_sql("SET LOCAL statement_timeout = '10s'")
            .execute(&mut *tx)
            .await
            .map_err(|error| error.to_string())?;
        let found: Option<Vec<i32>> = sqlx::query_scalar(AssertSqlSafe(sql))
            .persistent(false)
            .fetch_optional(&mut *tx)
            .await
            .map_err(|error| format!("its checks could not be evaluated: {error}"))?;
        tx.rollback().await.map_err(|error| error.to_string())?;
        let names: Vec<_> = asked.iter().map(|(column, _)| column.name.as_str()).collect();
        let found =
            found.ok_or_else(|| format!("its checks refuse all values that were tried for {}", names.join(", ")))?;
        let pick = |((column, options), place): ((&Column, Vec<String>), i32)| {
            let value = options.get(usize::try_from(place).ok()?)?.clone();
            (!column.generated).then(|| (column.quoted.clone(), value))
        };
        Ok(asked.into_iter().zip(found).filter_map(pick).collect())
    }
}

/// The options that can be parsed as their type: texts from a check are tried for columns of other types too.
async fn readable(admin: &mut PgConnection, options: Vec<String>) -> Vec<String> {
    let all = AssertSqlSafe(format!("SELECT {}", options.join(", ")));
    if sqlx::raw_sql(all).execute(&mut *admin).await.is_ok() {
        return options;
    }
    let mut readable = Vec::new();
    for option in options {
        if sqlx::raw_sql(AssertSqlSafe(format!("SELECT {option}"))).execute(&mut *admin).await.is_ok() {
            readable.push(option);
        }
    }
    readable
}
