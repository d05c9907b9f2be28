//! Checks of policies and of the settings they read.

use super::checks::Check;

/// `policy_per_row` runs before `policy_too_wide`, whose fix may drop the policy that the other alters.
pub(super) const CHECKS: &[Check] = &[
    ("no_tenant_policy", NO_TENANT_POLICY),
    ("policy_per_row", POLICY_PER_ROW),
    ("policy_too_wide", POLICY_TOO_WIDE),
    ("scope_function", SCOPE_FUNCTION),
];

const NO_TENANT_POLICY: &str = r"
SELECT name, 'the policy `tenant` for kernel_app is missing, so its rows are not restricted to the scope',
       format('DROP POLICY IF EXISTS tenant ON %s; CREATE POLICY tenant ON %s TO kernel_app USING (workspace_id = (SELECT kernel.ws())) '
              'WITH CHECK (workspace_id = (SELECT kernel.ws()));', name, name)
FROM tenant WHERE NOT EXISTS (
    SELECT FROM pg_policy WHERE polrelid = tenant.oid AND polname = 'tenant' AND polpermissive AND polcmd = '*'
       AND polroles && ARRAY[0::oid, to_regrole('kernel_app')::oid]
) ORDER BY name";

/// `(SELECT kernel.ws())` is printed as `( SELECT kernel.ws() AS ws)`; a call that is printed otherwise is evaluated for every
/// row. Restrictive policies cost as much as permissive ones.
const POLICY_PER_ROW: &str = r"
SELECT format('policy %I ON %s', p.polname, r.name), 'it reads the scope once per row; (SELECT …) reads it once per statement',
       format('ALTER POLICY %I ON %s%s%s;', p.polname, r.name, ' USING (' || regexp_replace(e.qual, b.bare, '(SELECT \&)', 'g') || ')',
              ' WITH CHECK (' || regexp_replace(e.withcheck, b.bare, '(SELECT \&)', 'g') || ')')
FROM pg_policy p JOIN rel r ON r.oid = p.polrelid
CROSS JOIN LATERAL (SELECT pg_get_expr(p.polqual, p.polrelid) AS qual, pg_get_expr(p.polwithcheck, p.polrelid) AS withcheck) e
CROSS JOIN (VALUES ('(?<!SELECT )\m(?:kernel)\.(ws|me)\(\)|\m(?:kernel)\.(ws|me)\(\)(?! AS )')) b(bare)
WHERE p.polroles && ARRAY(SELECT oid FROM login_role) AND (e.qual ~ b.bare OR e.withcheck ~ b.bare)
  AND (r.oid IN (SELECT oid FROM tenant) OR r.oid IN (SELECT g.rel FROM granted g)) ORDER BY 1";

/// Permissive policies are combined with OR, so each one must be sufficient by itself. On a tenant table an expression must be
/// the comparison with the scope, alone or as the first part of an AND. `pg_get_expr` prints all parentheses, so comparing the
/// text is exact; a call without `SELECT` is slow (`policy_per_row`) but not too wide. On other tables only an expression that
/// does not read the scope at all is certainly wrong.
const POLICY_TOO_WIDE: &str = r"
WITH RECURSIVE wide AS (
    SELECT p.polname, r.name, t.oid IS NOT NULL AS tenant,
           string_agg(DISTINCT e.expr, ' and ') AS expr
    FROM pg_policy p JOIN rel r ON r.oid = p.polrelid LEFT JOIN tenant t ON t.oid = r.oid
    CROSS JOIN LATERAL unnest(ARRAY[pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)]) e(expr)
    WHERE e.expr IS NOT NULL AND p.polpermissive AND p.polroles && ARRAY(SELECT oid FROM request_role)
      AND (r.oid IN (SELECT oid FROM tenant) OR r.oid IN (SELECT g.rel FROM granted g))
      AND CASE WHEN t.oid IS NULL THEN e.expr !~ 'kernel\.(ws|me)\(\)' OR e.expr ~* '\mOR true\M' OR e.expr ~* '\mtrue OR\M'
               ELSE NOT EXISTS (SELECT FROM unnest(ARRAY['(workspace_id = ( SELECT kernel.ws() AS ws))', '(workspace_id = kernel.ws())']) ok
                                WHERE e.expr = ok OR starts_with(e.expr, '(' || ok || ' AND ')) END
    GROUP BY 1, 2, 3
)
SELECT format('policy %I ON %s', polname, name), format('it lets a request access rows where %s, whatever its scope is', expr),
       CASE WHEN tenant AND polname = 'tenant'
            THEN format('DROP POLICY tenant ON %s; CREATE POLICY tenant ON %s TO kernel_app USING (workspace_id = (SELECT kernel.ws())) '
                        'WITH CHECK (workspace_id = (SELECT kernel.ws()));', name, name)
            ELSE format('DROP POLICY %I ON %s;', polname, name) END
FROM wide ORDER BY 1";

/// Every policy depends on these two functions.
const SCOPE_FUNCTION: &str = r"
SELECT format('function %s()', f.name), format('it does not return the setting %s alone, so every policy compares with another value', f.setting),
       format('CREATE OR REPLACE FUNCTION %s() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE '
              'RETURN nullif(current_setting(%L, true), %L)::uuid;', f.name, f.setting, '')
FROM (VALUES ('kernel.ws', 'app.workspace_id'), ('kernel.me', 'app.self_id')) f(name, setting)
LEFT JOIN pg_proc p ON p.oid = to_regprocedure(f.name || '()')
WHERE coalesce(pg_get_function_sqlbody(p.oid) <> format('RETURN (NULLIF(current_setting(%L::text, true), %L::text))::uuid', f.setting, ''), true)
   OR p.prosecdef OR p.proconfig IS NOT NULL";
