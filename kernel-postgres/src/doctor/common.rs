//! CTEs that all checks share.

/// Schemas of other products in this database: each is owned by the `kernel_owner` of its product. The kernel's own schema never is
/// one, whoever owns it.
macro_rules! other_schemas {
    () => {
        "SELECT n.oid, quote_ident(n.nspname) FROM pg_namespace n JOIN pg_roles o ON o.oid = n.nspowner
    WHERE o.rolname ~ '^(kernel_)owner($|_)' AND o.rolname <> 'kernel_owner' AND n.nspname <> 'kernel'"
    };
}

/// Oid and quoted name of the schemas of other products.
#[cfg(feature = "testing")]
pub(crate) const OTHER_SCHEMAS: &str = other_schemas!();

/// `other_schema`: see [`other_schemas`]. `request_role`: the roles that a request may act as. `login_role`: the roles that either database role (kernel_app,
/// kernel_system) may act as. Both contain 0, which is PUBLIC. `rel`: every relation outside Postgres'
/// own schemas and those of other products. `tenant`:
/// tables with a column `workspace_id`, without partitions, whose rows are accessed through their parents; a direct grant on a
/// partition is a finding of its own. `held`: privileges of the two database roles and kernel_lookup on relations and columns,
/// without those that an owner has implicitly; `role_owns` and `role_member` check owners. `granted`: the part of `held` that
/// the two database roles have.
pub(super) const WITH: &str = concat!(
    "
WITH RECURSIVE other_schema(oid, name) AS (
    ",
    other_schemas!(),
    r"
), request_role(oid) AS (
    SELECT unnest(ARRAY[0::oid, to_regrole('kernel_app')::oid])
    UNION SELECT m.roleid FROM request_role r JOIN pg_auth_members m ON m.member = r.oid
), login_role(oid) AS (
    SELECT unnest(ARRAY[0::oid, to_regrole('kernel_app')::oid, to_regrole('kernel_system')::oid])
    UNION SELECT m.roleid FROM login_role r JOIN pg_auth_members m ON m.member = r.oid
), rel AS (
    SELECT c.*, n.nspname, format('%I.%I', n.nspname, c.relname) AS name,
           EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') AS of_extension
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%' AND n.oid NOT IN (SELECT oid FROM other_schema)
), tenant AS (
    SELECT r.*, a.attnum AS ws, a.attnotnull AS ws_not_null, a.atttypid AS ws_type
    FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attname = 'workspace_id' AND NOT a.attisdropped
    WHERE r.relkind IN ('r', 'p') AND NOT r.relispartition
), held AS (
    SELECT g.*, CASE g.role WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.role)) END AS grantee
    FROM (SELECT c.oid AS rel, NULL::name AS col, a.grantee AS role, a.privilege_type AS privilege, a.is_grantable AS hands_on
          FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
          UNION ALL
          SELECT t.attrelid, t.attname, a.grantee, a.privilege_type, a.is_grantable
          FROM pg_attribute t CROSS JOIN LATERAL aclexplode(t.attacl) a WHERE NOT t.attisdropped) g
    JOIN pg_class c ON c.oid = g.rel AND c.relowner <> g.role
    WHERE g.role IN (SELECT oid FROM login_role) OR g.role = to_regrole('kernel_lookup')
), granted AS (
    SELECT * FROM held WHERE role IN (SELECT oid FROM login_role)
)"
);
