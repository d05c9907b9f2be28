//! Sees, within the attempt's own transaction and past row-level security, what the attempt has changed.

use sqlx::PgConnection;

use super::catalog::{Table, literal};

/// A definer function of the administrator: the only place that sees what an open transaction of another login has written is
/// that transaction. The fingerprint holds where each row lies and who wrote it, so that writing the same values again shows.
const CALL: &str = r#"
CREATE SCHEMA IF NOT EXISTS tenant_isolation_witness;
GRANT USAGE ON SCHEMA tenant_isolation_witness TO kernel_app;
CREATE OR REPLACE FUNCTION tenant_isolation_witness.others(tbl regclass, tenant text, own text) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    seen text;
BEGIN
    EXECUTE format('SELECT md5(coalesce(string_agg(concat_ws('','', t.tableoid, t.ctid, t.xmin, t), '';'' ORDER BY t.tableoid, t.ctid), '''')) '
                   'FROM %s t WHERE t.%I::text IS DISTINCT FROM $1', tbl, tenant) INTO seen USING own;
    RETURN seen;
END $$;
REVOKE ALL ON FUNCTION tenant_isolation_witness.others FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenant_isolation_witness.others TO kernel_app;"#;

pub(super) async fn call(admin: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(CALL).execute(admin).await.map(drop)
}

pub(super) async fn dismiss(admin: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("DROP SCHEMA tenant_isolation_witness CASCADE").execute(admin).await.map(drop)
}

/// Asks for the state of all rows of `table` that are not `own`'s. SQL text, which Postgres takes in one go with what comes before.
pub(super) fn question(table: &Table, own: Option<&str>) -> String {
    let own = own.map_or_else(|| "NULL".to_owned(), literal);
    let (name, tenant) = (literal(&table.name), literal(&table.tenant_name));
    format!("SELECT tenant_isolation_witness.others({name}, {tenant}, {own})")
}
