//! Checks of SECURITY DEFINER functions, LEAKPROOF functions and views.

use super::checks::Check;

pub(super) const CHECKS: &[Check] = &[
    ("definer_search_path", DEFINER_SEARCH_PATH),
    ("definer_public", DEFINER_PUBLIC),
    ("definer_owner", DEFINER_OWNER),
    ("leakproof_function", LEAKPROOF_FUNCTION),
    ("view_not_invoker", VIEW_NOT_INVOKER),
];

/// PostgreSQL's documentation, CREATE FUNCTION, "Writing SECURITY DEFINER Functions Safely": `pg_temp` is searched first
/// unless it is listed, so it must be listed last. With `"$user"` the caller chooses the schema.
const DEFINER_SEARCH_PATH: &str = r#"
SELECT format('function %s', p.oid::regprocedure),
       CASE WHEN c.path IS NULL THEN 'it runs as its owner with the caller''s search_path, so the caller chooses which objects its names refer to'
            ELSE format('it runs as its owner with search_path %s, in which pg_temp is not last, so the caller''s temporary tables can replace others', c.path) END,
       format('ALTER ROUTINE %s SET search_path = %s; -- and qualify its other names with their schema', p.oid::regprocedure,
              (SELECT coalesce(string_agg(e, ', ') || ', ', 'pg_catalog, ') || 'pg_temp' FROM regexp_split_to_table(c.path, ',\s*') e
               WHERE e NOT IN ('pg_temp', '"pg_temp"', '"$user"', '""', '')))
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
LEFT JOIN LATERAL (SELECT substr(s, 13) AS path FROM unnest(p.proconfig) s WHERE s LIKE 'search\_path=%') c ON true
WHERE p.prosecdef AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%' AND n.oid NOT IN (SELECT oid FROM other_schema)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
  AND coalesce(c.path !~ 'pg_temp"?$' OR c.path ~ 'pg_temp.*pg_temp|\$user', true) ORDER BY 1"#;

/// EXECUTE is granted to PUBLIC on new functions until it is revoked.
const DEFINER_PUBLIC: &str = r"
SELECT format('function %s', p.oid::regprocedure), 'it runs as its owner, and every role may execute it',
       format('REVOKE ALL ON ROUTINE %s FROM PUBLIC; -- then GRANT EXECUTE to the roles that need it', p.oid::regprocedure)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prosecdef AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%' AND n.oid NOT IN (SELECT oid FROM other_schema)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
  AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0) ORDER BY 1";

/// Policies do not apply inside a function owned by a superuser or a BYPASSRLS role; one owned by kernel_owner sees every
/// workspace, which kernel_system may do anyway. kernel_lookup has only the grants that the look-ups need.
const DEFINER_OWNER: &str = r"
SELECT format('function %s', p.oid::regprocedure),
       format('requests can call it, and its owner %I %s', o.rolname,
              CASE WHEN o.rolsuper OR o.rolbypassrls THEN 'bypasses row-level security' ELSE 'sees every workspace' END),
       format('ALTER ROUTINE %s OWNER TO kernel_lookup; -- then grant kernel_lookup the tables it reads, with a policy', p.oid::regprocedure)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles o ON o.oid = p.proowner
WHERE p.prosecdef AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%' AND n.oid NOT IN (SELECT oid FROM other_schema)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
  AND EXISTS (
    SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
    WHERE a.grantee IN (SELECT oid FROM login_role) AND (o.rolsuper OR o.rolbypassrls)
       OR a.grantee IN (SELECT oid FROM request_role)
          AND (pg_has_role(o.oid, to_regrole('kernel_owner')::oid, 'MEMBER') OR pg_has_role(o.oid, to_regrole('kernel_system')::oid, 'MEMBER'))
  ) ORDER BY 1";

/// Postgres evaluates LEAKPROOF functions before the policies, on rows that the policies would hide.
const LEAKPROOF_FUNCTION: &str = r"
SELECT format('function %s', p.oid::regprocedure), 'it is marked LEAKPROOF, so it is called with other workspaces'' values before a policy hides them',
       format('ALTER FUNCTION %s NOT LEAKPROOF;', p.oid::regprocedure)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.proleakproof AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%' AND n.oid NOT IN (SELECT oid FROM other_schema)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e') ORDER BY 1";

const VIEW_NOT_INVOKER: &str = r"
SELECT name, format('%s can read it with the privileges of its owner %I, so the policies do not apply', g.who, pg_get_userbyid(relowner)),
       format('ALTER VIEW %s SET (security_invoker = true);', name)
FROM rel CROSS JOIN LATERAL (SELECT string_agg(DISTINCT grantee, ', ') AS who FROM granted
                             WHERE granted.rel = rel.oid AND granted.role IN (SELECT oid FROM request_role)) g
WHERE relkind = 'v' AND g.who IS NOT NULL AND NOT of_extension
  AND NOT EXISTS (SELECT FROM pg_options_to_table(reloptions) WHERE option_name = 'security_invoker' AND option_value::boolean) ORDER BY name";
