//! Checks of the four roles. Roles belong to the cluster; settings that are made for this database only count too.

use super::checks::Check;

pub(super) const CHECKS: &[Check] = &[
    ("role_missing", ROLE_MISSING),
    ("role_attribute", ROLE_ATTRIBUTE),
    ("role_member", ROLE_MEMBER),
    ("role_owns", ROLE_OWNS),
    ("role_timeout", ROLE_TIMEOUT),
    ("role_setting", ROLE_SETTING),
    ("parameter_grant", PARAMETER_GRANT),
];

const ROLE_MISSING: &str = r"
SELECT format('role %s', r.name), 'it does not exist', '-- run kernel-postgres/sql/roles.sql as an administrator'
FROM unnest(ARRAY['kernel_owner', 'kernel_lookup', 'kernel_app', 'kernel_system']) r(name) WHERE to_regrole(r.name) IS NULL";

const ROLE_ATTRIBUTE: &str = r"
SELECT format('role %s', r.rolname), format('it has %s: %s', a.attribute, a.why), format('ALTER ROLE %s NO%s;', r.rolname, a.attribute)
FROM pg_roles r CROSS JOIN LATERAL (VALUES
    ('SUPERUSER', r.rolsuper, 'row-level security does not apply to it'),
    ('BYPASSRLS', r.rolbypassrls, 'row-level security does not apply to it'),
    ('CREATEROLE', r.rolcreaterole, 'it can grant itself other roles'),
    ('CREATEDB', r.rolcreatedb, 'it would own the databases it creates'),
    ('REPLICATION', r.rolreplication, 'it can read every row of the cluster'),
    ('LOGIN', r.rolcanlogin AND r.rolname IN ('kernel_owner', 'kernel_lookup'), 'it sees every workspace, so nobody may connect as it')
) a(attribute, has, why)
WHERE r.rolname IN ('kernel_owner', 'kernel_lookup', 'kernel_app', 'kernel_system') AND a.has ORDER BY 1, 2";

/// kernel_owner is a member of kernel_lookup, to give the look-up functions to it.
const ROLE_MEMBER: &str = r"
SELECT format('role %s', m.rolname), format('it is a member of %I, so it has that role''s privileges', g.rolname),
       format('REVOKE %I FROM %I;', g.rolname, m.rolname)
FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member JOIN pg_roles g ON g.oid = a.roleid
WHERE m.rolname IN ('kernel_app', 'kernel_system', 'kernel_lookup')
  AND (g.rolname ~ '^kernel_' OR g.rolname LIKE 'pg\_%' OR g.rolsuper OR g.rolbypassrls OR g.rolcreaterole OR g.rolreplication
       OR EXISTS (SELECT FROM pg_class c WHERE c.relowner = g.oid)
       -- roles in between: what it leads to counts
       OR EXISTS (SELECT FROM pg_roles s WHERE s.oid <> g.oid AND pg_has_role(g.oid, s.oid, 'MEMBER')
                  AND (s.rolname ~ '^kernel_' OR s.rolname LIKE 'pg\_%' OR s.rolsuper OR s.rolbypassrls))) ORDER BY 1, 2";

/// An owner can disable row-level security. kernel_lookup owns its functions, and nothing else.
const ROLE_OWNS: &str = r"
SELECT o.what, format('%I owns it, so it can change it and disable row-level security', pg_get_userbyid(o.owner)), format('ALTER %s OWNER TO kernel_owner;', o.what)
FROM (
    SELECT CASE relkind WHEN 'v' THEN 'VIEW ' WHEN 'm' THEN 'MATERIALIZED VIEW ' WHEN 'f' THEN 'FOREIGN TABLE ' WHEN 'S' THEN 'SEQUENCE '
           ELSE 'TABLE ' END || name AS what, relowner AS owner, false AS is_function FROM rel WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL SELECT format('SCHEMA %I', nspname), nspowner, false FROM pg_namespace WHERE nspname NOT LIKE 'pg\_%'
    UNION ALL SELECT format('ROUTINE %s', oid::regprocedure), proowner, true FROM pg_proc
    UNION ALL SELECT format('DATABASE %I', datname), datdba, false FROM pg_database WHERE datname = current_database()
) o
WHERE o.owner IN (to_regrole('kernel_app'), to_regrole('kernel_system')) OR o.owner = to_regrole('kernel_lookup') AND NOT o.is_function
ORDER BY 1";

/// In the order in which Postgres applies them when a role connects: role in this database, role, all roles in this database,
/// all roles.
const ROLE_TIMEOUT: &str = r"
SELECT format('%s of role %s', w.setting, r.rolname),
       CASE WHEN s.value IS NULL THEN 'it is not set' ELSE 'it is disabled' END || ', so one stuck call can hold locks and connections forever',
       CASE WHEN s.own THEN format('ALTER ROLE %s IN DATABASE %I RESET %s; ', r.rolname, current_database(), w.setting) ELSE '' END
       || format('ALTER ROLE %s SET %s = %L;', r.rolname, w.setting, w.value)
FROM (VALUES ('kernel_app', 'statement_timeout', '5s'), ('kernel_app', 'lock_timeout', '2s'), ('kernel_app', 'idle_in_transaction_session_timeout', '15s'),
             ('kernel_system', 'statement_timeout', '30s'), ('kernel_system', 'lock_timeout', '5s'),
             ('kernel_system', 'idle_in_transaction_session_timeout', '30s')) w(role, setting, value)
JOIN pg_roles r ON r.rolname = w.role
LEFT JOIN LATERAL (
    SELECT split_part(c, '=', 2) AS value, s.setrole <> 0 AND s.setdatabase <> 0 AS own
    FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) c
    WHERE s.setrole IN (r.oid, 0) AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
      AND split_part(c, '=', 1) = w.setting
    ORDER BY s.setrole = 0, s.setdatabase = 0 LIMIT 1
) s ON true
WHERE s.value IS NULL OR s.value ~ '^0+[a-z]*$' ORDER BY 1";

/// A scope that is set when a role connects applies to every request; without triggers, limits and references are not checked.
const ROLE_SETTING: &str = r"
SELECT format('%s of %s', n.setting, n.who), 'it is set for every connection, before any request sets it', format('ALTER %s%s RESET %s;', n.who, n.place, n.setting)
FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) c
CROSS JOIN LATERAL (SELECT split_part(c, '=', 1) AS setting,
                           CASE WHEN s.setrole = 0 AND s.setdatabase = 0 THEN 'ROLE ALL'
                                WHEN s.setrole = 0 THEN format('DATABASE %I', current_database()) ELSE format('ROLE %I', pg_get_userbyid(s.setrole)) END AS who,
                           CASE WHEN s.setrole <> 0 AND s.setdatabase <> 0 THEN format(' IN DATABASE %I', current_database()) ELSE '' END AS place) n
WHERE s.setrole IN (SELECT oid FROM login_role) AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
  AND n.setting IN ('app.workspace_id', 'app.self_id', 'role', 'session_replication_role') ORDER BY 1";

/// Only a superuser may change these settings, for good reason: `session_replication_role` disables triggers and references.
const PARAMETER_GRANT: &str = r"
SELECT format('parameter %s', p.parname), format('%s has the right to %s it', g.grantee, a.privilege_type),
       format('REVOKE %s ON PARAMETER %s FROM %s;', a.privilege_type, p.parname, g.grantee)
FROM pg_parameter_acl p CROSS JOIN LATERAL aclexplode(p.paracl) a
CROSS JOIN LATERAL (SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee) g
WHERE a.grantee IN (SELECT oid FROM login_role) ORDER BY 1, 2";
