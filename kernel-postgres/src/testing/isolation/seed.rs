//! A row of each table in the two workspaces, made from the catalog. Postgres finds the values that a table's checks allow: they
//! are asked over all candidates at once.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::catalog::{Catalog, Column, Table, literal};
use super::{Leak, Side, Workspaces, candidates};

pub(super) type Values = BTreeMap<(&'static str, &'static str), &'static str>;

/// What was made, by table.
pub(super) type Seeds = BTreeMap<String, Seed>;

/// Of one table.
#[derive(Debug, Default)]
pub(super) struct Seed {
    /// A row that could be inserted: quoted columns and expressions. It refers to B's rows.
    pub(super) new: Vec<(String, String)>,
    stored: BTreeMap<Side, BTreeMap<String, Option<String>>>,
}

impl Seed {
    /// A value of the stored row, as an expression.
    pub(super) fn value(&self, side: Side, column: &Column) -> String {
        match self.stored.get(&side).and_then(|row| row.get(&column.quoted)) {
            Some(Some(text)) => format!("{}::{}", literal(text), column.sql_type),
            _ => "NULL".to_owned(),
        }
    }
}

pub(super) async fn all(
    admin: &mut PgConnection,
    catalog: &Catalog,
    workspaces: Workspaces,
    values: &Values,
    leaks: &mut Vec<Leak>,
) -> Result<Seeds, sqlx::Error> {
    let mut seeds = Seeds::new();
    for table in parents_first(catalog) {
        match row_in_each(admin, table, &seeds, workspaces, values).await {
            Ok(seed) => drop(seeds.insert(table.name.clone(), seed)),
            Err(problem) => leaks.push(Leak {
                table: table.name.clone(),
                probe: "seed",
                happened: format!("no row could be made for it, so nothing was tried: {problem}"),
                fix: format!("Say what its columns take: TenantIsolation::new().value(\"{}\", \"a_column\", \"'an SQL expression {{n}}'\")", table.name),
            }),
        }
    }
    // A workspace that lacks a limit's row has no place left, and an insert would fail for that.
    let places = "INSERT INTO kernel.usage (workspace_id, key)
        SELECT w::uuid, split_part(encode(tgargs, 'escape'), '\\000', 1) FROM pg_trigger, unnest($1) w WHERE tgfoid = 'kernel.count_row'::regproc
        ON CONFLICT DO NOTHING";
    let both = [Side::A, Side::B].map(|side| workspaces.id(side));
    sqlx::query(places).bind(both.as_slice()).execute(admin).await?;
    Ok(seeds)
}

/// The tenant tables and whatever they refer to, each after what it refers to itself.
fn parents_first(catalog: &Catalog) -> Vec<&Table> {
    fn visit<'a>(catalog: &'a Catalog, table: &'a Table, seen: &mut Vec<&'a str>, order: &mut Vec<&'a Table>) {
        if seen.contains(&&*table.name) {
            return;
        }
        seen.push(&table.name);
        for parent in table.references.iter().filter_map(|reference| catalog.get(&reference.parent)) {
            visit(catalog, parent, seen, order);
        }
        order.push(table);
    }
    let (mut seen, mut order) = (Vec::new(), Vec::new());
    for table in catalog.tenants() {
        visit(catalog, table, &mut seen, &mut order);
    }
    order
}

async fn row_in_each(
    admin: &mut PgConnection,
    table: &Table,
    seeds: &Seeds,
    workspaces: Workspaces,
    values: &Values,
) -> Result<Seed, String> {
    let mut seed = Seed::default();
    let lacks = |parent: &str| parent != table.name && !seeds.contains_key(parent);
    if let Some(parent) =
        table.references.iter().map(|reference| reference.parent.as_str()).find(|parent| lacks(parent))
    {
        return Err(format!("it refers to {parent}, for which none could be made"));
    }
    for side in [Side::A, Side::B, Side::Empty] {
        let row = Row { table, side, workspace: &workspaces.id(side), seeds, values };
        let new = row.choose(admin).await?;
        if side == Side::Empty {
            seed.new = new;
            continue;
        }
        let stored = match store(admin, table, &new).await {
            Ok(stored) => stored,
            // A global table that is filled already will do.
            Err(error) if !table.is_tenant() => any(admin, table).await.ok_or_else(|| error.to_string())?,
            Err(error) => return Err(error.to_string()),
        };
        seed.stored.insert(side, stored);
    }
    Ok(seed)
}

/// Without triggers, also those that check references: the rows refer to each other, and nothing is counted.
async fn store(
    admin: &mut PgConnection,
    table: &Table,
    new: &[(String, String)],
) -> Result<BTreeMap<String, Option<String>>, sqlx::Error> {
    let mut tx = admin.begin().await?;
    sqlx::raw_sql("SET LOCAL session_replication_role = replica").execute(&mut *tx).await?;
    let (columns, values): (Vec<_>, Vec<_>) =
        new.iter().map(|(column, value)| (column.as_str(), value.as_str())).unzip();
    let (columns, values) = (columns.join(", "), values.join(", "));
    let sql = format!("INSERT INTO {} ({columns}) VALUES ({values}) RETURNING {}", table.name, as_texts(table));
    let row: Vec<Option<String>> = sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false).fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(named(table, row))
}

async fn any(admin: &mut PgConnection, table: &Table) -> Option<BTreeMap<String, Option<String>>> {
    let sql = format!("SELECT {} FROM {} LIMIT 1", as_texts(table), table.name);
    let row = sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false).fetch_optional(admin).await.ok().flatten();
    row.map(|row: Vec<Option<String>>| named(table, row))
}

fn as_texts(table: &Table) -> String {
    let columns: Vec<_> = table.columns.iter().map(|column| format!("{}::text", column.quoted)).collect();
    format!("ARRAY[{}]::text[]", columns.join(", "))
}

fn named(table: &Table, row: Vec<Option<String>>) -> BTreeMap<String, Option<String>> {
    table.columns.iter().map(|column| column.quoted.clone()).zip(row).collect()
}

/// Those of `options` that their type can be read from. A text out of a check is one for columns of another type too.
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

/// The row of one table in one workspace, to be made.
struct Row<'a> {
    table: &'a Table,
    side: Side,
    workspace: &'a str,
    seeds: &'a Seeds,
    values: &'a Values,
}

impl Row<'_> {
    /// Columns and expressions: what must have a value, and what a CHECK looks at.
    async fn choose(&self, admin: &mut PgConnection) -> Result<Vec<(String, String)>, String> {
        let (mut chosen, mut asked) = (Vec::new(), Vec::new());
        for column in &self.table.columns {
            let held = column.checked || !column.domain_checks.is_empty();
            let given = self.given(column);
            if held {
                let options = match given {
                    Some(value) => vec![value],
                    None => readable(admin, self.options(column)).await,
                };
                asked.push((column, options));
            } else if column.generated {
                // It makes its value by itself.
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

    /// A value that is known: the workspace, the caller's, the parent's.
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

    /// One combination of the options that all checks let through.
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
            .map_err(|error| format!("its checks could not be asked: {error}"))?;
        tx.rollback().await.map_err(|error| error.to_string())?;
        let names: Vec<_> = asked.iter().map(|(column, _)| column.name.as_str()).collect();
        let found = found.ok_or_else(|| {
            format!("its checks let none of the values through that were tried for {}", names.join(", "))
        })?;
        let pick = |((column, options), place): ((&Column, Vec<String>), i32)| {
            let value = options.get(usize::try_from(place).ok()?)?.clone();
            (!column.generated).then(|| (column.quoted.clone(), value))
        };
        Ok(asked.into_iter().zip(found).filter_map(pick).collect())
    }
}
