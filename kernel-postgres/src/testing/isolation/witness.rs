//! Reads within the attempt's own transaction, without row-level security, what the attempt has changed.

use sqlx::PgConnection;

use super::catalog::{Table, literal};
use crate::names::Names;

/// A definer function of the administrator, because changes of an open transaction are visible only within that transaction.
/// The fingerprint includes each row's place and the transaction that wrote it, so that writing the same values again is
/// detected.
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

pub(super) async fn call(admin: &mut PgConnection, names: &Names) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(names.sql(CALL)).execute(admin).await.map(drop)
}

pub(super) async fn dismiss(admin: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("DROP SCHEMA tenant_isolation_witness CASCADE").execute(admin).await.map(drop)
}

/// SQL that returns a fingerprint of all rows of `table` that are not `own`'s. It is text, so that it can be sent together
/// with the statements before it.
pub(super) fn question(table: &Table, own: Option<&str>) -> String {
    let own = own.map_or_else(|| "NULL".to_owned(), literal);
    let (name, tenant) = (literal(&table.name), literal(&table.tenant_name));
    format!("SELECT tenant_isolation_witness.others({name}, {tenant}, {own})")
}
