//! Reads tables from the catalog: columns, checks, references, unique keys, and the privileges of kernel_app.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use sqlx::postgres::types::Oid;

use crate::doctor::OTHER_SCHEMAS;
use crate::names::Names;

/// All tables outside Postgres' own schemas and those of other products, by name, and the views with a column `workspace_id`.
#[derive(Debug)]
pub(super) struct Catalog {
    tables: BTreeMap<String, Table>,
    views: Vec<View>,
}

/// A view that kernel_app may read.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct View {
    pub(super) name: String,
    /// Quoted name of its column `workspace_id`.
    pub(super) tenant: String,
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    /// Name of the column that holds a row's workspace; "" for a global table.
    pub(super) tenant_name: String,
    pub(super) columns: Vec<Column>,
    /// CHECK expressions.
    pub(super) checks: Vec<String>,
    pub(super) references: Vec<Reference>,
    /// Quoted names of the primary key's columns.
    pub(super) key: Vec<String>,
    /// Names of unique indexes that apply across workspaces.
    pub(super) global_keys: Vec<String>,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Column {
    table: String,
    pub(super) name: String,
    pub(super) quoted: String,
    /// The type as a cast needs it; for a domain its base type.
    pub(super) sql_type: String,
    /// `pg_type.typname` of that type, and its `typcategory` below.
    pub(super) type_name: String,
    pub(super) category: String,
    pub(super) labels: Vec<String>,
    /// Whether a value must be given.
    pub(super) required: bool,
    pub(super) default: Option<String>,
    /// Whether no value can be given.
    pub(super) generated: bool,
    /// Whether a CHECK refers to the column.
    pub(super) checked: bool,
    pub(super) domain_checks: Vec<String>,
    pub(super) can_select: bool,
    pub(super) can_insert: bool,
    pub(super) can_update: bool,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Reference {
    table: String,
    pub(super) name: String,
    pub(super) parent: String,
    /// Quoted column names, in the key's order.
    pub(super) own: Vec<String>,
    pub(super) others: Vec<String>,
}

/// Reads tables with their tenant column: two of the kernel's tables name the workspace in another column than `workspace_id`.
const TABLES: &str = r"
SELECT format('%I.%I', n.nspname, c.relname),
       coalesce(CASE WHEN n.nspname = 'kernel' AND c.relname = 'workspaces' THEN 'id' WHEN n.nspname = 'kernel' AND c.relname = 'idempotency_keys' THEN 'scope_id' END,
                (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attname = 'workspace_id' AND NOT attisdropped), ''),
       ARRAY(SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE conrelid = c.oid AND contype = 'c'),
       ARRAY(SELECT quote_ident(a.attname) FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) k JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k
             WHERE i.indrelid = c.oid AND i.indisprimary)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'";

/// A sequence is not treated as a default: without the privilege on the sequence the insert would fail for that reason and
/// prove nothing.
const COLUMNS: &str = r#"
SELECT format('%I.%I', n.nspname, c.relname) AS "table", a.attname::text AS name, quote_ident(a.attname) AS quoted,
       CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) ELSE format_type(a.atttypid, a.atttypmod) END AS sql_type,
       b.typname::text AS type_name, b.typcategory::text AS category,
       ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = b.oid ORDER BY enumsortorder) AS labels,
       (a.attnotnull OR t.typnotnull) AND e.expr IS NULL AND a.attidentity = '' AND t.typdefault IS NULL AS required,
       e.expr AS "default", a.attgenerated <> '' OR a.attidentity = 'a' AS generated,
       EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c' AND a.attnum = ANY (k.conkey)) AS checked,
       ARRAY(SELECT pg_get_expr(conbin, 0) FROM pg_constraint WHERE contypid = t.oid AND contype = 'c') AS domain_checks,
       has_column_privilege('kernel_app', c.oid, a.attnum, 'SELECT') AS can_select,
       has_column_privilege('kernel_app', c.oid, a.attnum, 'INSERT') AS can_insert,
       has_column_privilege('kernel_app', c.oid, a.attnum, 'UPDATE') AS can_update
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid JOIN pg_type b ON b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
CROSS JOIN LATERAL (SELECT CASE WHEN pg_get_expr(d.adbin, d.adrelid) NOT LIKE '%nextval(%' THEN pg_get_expr(d.adbin, d.adrelid) END AS expr) e
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%' ORDER BY a.attnum"#;

const REFERENCES: &str = r#"
SELECT format('%I.%I', n.nspname, c.relname) AS "table", k.conname::text AS name, format('%I.%I', m.nspname, p.relname) AS parent,
       ARRAY(SELECT quote_ident(a.attname) FROM unnest(k.conkey) WITH ORDINALITY u(num, n) JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.num ORDER BY u.n) AS own,
       ARRAY(SELECT quote_ident(a.attname) FROM unnest(k.confkey) WITH ORDINALITY u(num, n) JOIN pg_attribute a ON a.attrelid = p.oid AND a.attnum = u.num ORDER BY u.n) AS others
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace m ON m.oid = p.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT p.relispartition"#;

/// Unique keys that do not include the table's tenant column.
const GLOBAL_KEYS: &str = r"
SELECT format('%I.%I', n.nspname, c.relname), i.relname::text
FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_class i ON i.oid = x.indexrelid
JOIN unnest($1::text[], $2::text[]) t(name, tenant) ON t.name = format('%I.%I', n.nspname, c.relname)
WHERE (x.indisunique OR x.indisexclusion)
  AND NOT EXISTS (SELECT FROM unnest((x.indkey::int2[])[0:x.indnkeyatts - 1]) k JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k AND a.attname = t.tenant)";

const VIEWS: &str = r"
SELECT format('%I.%I', n.nspname, c.relname) AS name, quote_ident(a.attname) AS tenant
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'workspace_id'
WHERE c.relkind IN ('v', 'm') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'
  AND has_column_privilege('kernel_app', c.oid, a.attnum, 'SELECT') ORDER BY 1";

type TableRow = (String, String, Vec<String>, Vec<String>);

impl Catalog {
    pub(super) async fn read(admin: &mut PgConnection, names: &Names) -> Result<Self, sqlx::Error> {
        let rows: Vec<TableRow> = sqlx::query_as(names.sql(TABLES)).fetch_all(&mut *admin).await?;
        let mut tables: BTreeMap<_, _> = rows.into_iter().map(Table::from_row).collect();
        let others: Vec<(Oid, String)> = sqlx::query_as(names.sql(OTHER_SCHEMAS)).fetch_all(&mut *admin).await?;
        tables.retain(|name, _| {
            !others.iter().any(|(_, schema)| name.strip_prefix(schema).is_some_and(|rest| rest.starts_with('.')))
        });
        for column in sqlx::query_as::<_, Column>(names.sql(COLUMNS)).fetch_all(&mut *admin).await? {
            if let Some(table) = tables.get_mut(&column.table) {
                table.columns.push(column);
            }
        }
        for reference in sqlx::query_as::<_, Reference>(REFERENCES).fetch_all(&mut *admin).await? {
            if let Some(table) = tables.get_mut(&reference.table) {
                table.references.push(reference);
            }
        }
        let (tables_of_keys, tenants): (Vec<_>, Vec<_>) =
            tables.values().map(|table| (table.name.clone(), table.tenant_name.clone())).unzip();
        let keys: Vec<(String, String)> =
            sqlx::query_as(GLOBAL_KEYS).bind(tables_of_keys).bind(tenants).fetch_all(&mut *admin).await?;
        for (table, key) in keys {
            if let Some(table) = tables.get_mut(&table) {
                table.global_keys.push(key);
            }
        }
        let views = sqlx::query_as(names.sql(VIEWS)).fetch_all(admin).await?;
        Ok(Self { tables, views })
    }

    pub(super) fn get(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }

    pub(super) fn views(&self) -> &[View] {
        &self.views
    }

    pub(super) fn tenants(&self) -> impl Iterator<Item = &Table> {
        self.tables.values().filter(|table| table.is_tenant())
    }
}

impl Table {
    fn from_row((name, tenant_name, checks, key): TableRow) -> (String, Self) {
        let (columns, references, global_keys) = (Vec::new(), Vec::new(), Vec::new());
        (name.clone(), Self { name, tenant_name, columns, checks, references, key, global_keys })
    }

    pub(super) fn is_tenant(&self) -> bool {
        !self.tenant_name.is_empty()
    }

    /// The column that holds a row's workspace.
    pub(super) fn tenant(&self) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == self.tenant_name)
    }

    pub(super) fn column(&self, quoted: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.quoted == quoted)
    }
}

/// `text` as SQL.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
