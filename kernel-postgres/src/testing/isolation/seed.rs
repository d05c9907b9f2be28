//! Inserts a row of each table in the two workspaces, with values derived from the catalog.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::catalog::{Catalog, Column, Table, literal};
use super::row::Row;
use super::{Leak, Side, Workspaces};
use crate::names::Names;

pub(super) type Values = BTreeMap<(&'static str, &'static str), &'static str>;

/// The inserted rows, by table.
pub(super) type Seeds = BTreeMap<String, Seed>;

/// The rows of one table.
#[derive(Debug, Default)]
pub(super) struct Seed {
    /// A row that could be inserted: quoted columns and expressions. It references B's rows.
    pub(super) new: Vec<(String, String)>,
    pub(super) stored: BTreeMap<Side, BTreeMap<String, Option<String>>>,
}

impl Seed {
    /// A value of the stored row, as an SQL expression.
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
    names: &Names,
    leaks: &mut Vec<Leak>,
) -> Result<Seeds, sqlx::Error> {
    // Without plans no workspace can be created, also not where that is allowed.
    let plans = "INSERT INTO kernel.catalogs (number, fingerprint, plans)
        SELECT 1, 'tenant isolation', '[{\"plan\": \"free\", \"name\": \"Free\", \"features\": [], \"limits\": {}}]'
        WHERE NOT EXISTS (SELECT FROM kernel.catalogs)";
    sqlx::query(names.sql(plans)).execute(&mut *admin).await?;
    let mut seeds = Seeds::new();
    for table in parents_first(catalog) {
        match row_in_each(admin, table, &seeds, workspaces, values).await {
            Ok(seed) => drop(seeds.insert(table.name.clone(), seed)),
            Err(problem) => leaks.push(Leak {
                table: table.name.clone(),
                probe: "seed",
                happened: format!("no row could be made for it, so nothing was tried: {problem}"),
                fix: format!("Give values for its columns: TenantIsolation::new().value(\"{}\", \"a_column\", \"'an SQL expression {{n}}'\")", table.name),
            }),
        }
    }
    // Without a counter a limit allows nothing, and an insert would fail for that reason.
    let places = "INSERT INTO kernel.usage (workspace_id, key, cap)
        SELECT w::uuid, split_part(encode(tgargs, 'escape'), '\\000', 1), NULL FROM pg_trigger, unnest($1) w WHERE tgfoid = 'kernel.count_row'::regproc
        ON CONFLICT DO NOTHING";
    let both = [Side::A, Side::B].map(|side| workspaces.id(side));
    sqlx::query(names.sql(places)).bind(both.as_slice()).execute(admin).await?;
    Ok(seeds)
}

/// The tenant tables and the tables they reference, each after those it references.
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
            // For a global table that already has rows, any row will do.
            Err(error) if !table.is_tenant() => any(admin, table).await.ok_or_else(|| error.to_string())?,
            Err(error) => return Err(error.to_string()),
        };
        seed.stored.insert(side, stored);
    }
    Ok(seed)
}

/// Inserts without triggers, also without those that check references: the rows reference each other, and must not be counted.
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
