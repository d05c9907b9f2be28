//! Checks of tables: row-level security, the type of `workspace_id`, the primary key.

use super::checks::Check;

pub(super) const CHECKS: &[Check] = &[
    ("rls_disabled", RLS_DISABLED),
    ("rls_not_forced", RLS_NOT_FORCED),
    ("reachable_without_rls", REACHABLE_WITHOUT_RLS),
    ("workspace_id_type", WORKSPACE_ID_TYPE),
    ("workspace_id_nullable", WORKSPACE_ID_NULLABLE),
    ("primary_key", PRIMARY_KEY),
    ("shared_sequence", SHARED_SEQUENCE),
    ("materialized_view", MATERIALIZED_VIEW),
];

const RLS_DISABLED: &str = r"
SELECT name, 'row-level security is disabled, so every workspace sees its rows',
       format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;', name)
FROM tenant WHERE NOT relrowsecurity ORDER BY name";

/// Global tables count only if one of the two database roles can access them: other schemas may have reasons of their own.
const RLS_NOT_FORCED: &str = r"
SELECT name, 'row-level security is not forced, so its owner, and functions that run as the owner, see every row',
       format('ALTER TABLE %s FORCE ROW LEVEL SECURITY;', name)
FROM rel WHERE relkind IN ('r', 'p') AND NOT relispartition AND relrowsecurity AND NOT relforcerowsecurity
  AND (oid IN (SELECT oid FROM tenant) OR oid IN (SELECT rel FROM granted)) ORDER BY name";

/// Global tables only: tenant tables are checked by `rls_disabled`, partitions by `partition_grant`. A foreign table can have
/// no row-level security.
const REACHABLE_WITHOUT_RLS: &str = r"
SELECT name, format('it has no row-level security and %s can access it, so every workspace sees all its rows', g.who),
       CASE WHEN relkind = 'f' THEN format('REVOKE ALL ON %s FROM %s;', name, g.who)
            WHEN EXISTS (SELECT FROM pg_policy WHERE polrelid = rel.oid)
                 THEN format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;', name)
            ELSE format('SELECT kernel.protect_global(%L); -- then a policy for what requests may see', name) END
FROM rel CROSS JOIN LATERAL (SELECT string_agg(DISTINCT grantee, ', ') AS who FROM granted WHERE granted.rel = rel.oid) g
WHERE g.who IS NOT NULL AND relkind IN ('r', 'p', 'f') AND NOT relispartition AND NOT relrowsecurity AND NOT of_extension
  AND oid NOT IN (SELECT oid FROM tenant) ORDER BY name";

const WORKSPACE_ID_TYPE: &str = r"
SELECT name, format('workspace_id is %s and not uuid, so it cannot be compared with the scope', format_type(ws_type, NULL)),
       format('ALTER TABLE %s ALTER COLUMN workspace_id TYPE uuid USING workspace_id::uuid;', name)
FROM tenant WHERE ws_type <> 'uuid'::regtype ORDER BY name";

const WORKSPACE_ID_NULLABLE: &str = r"
SELECT name, 'workspace_id can be NULL; such a row belongs to no workspace and is not counted by any limit',
       format('ALTER TABLE %s ALTER COLUMN workspace_id SET NOT NULL;', name)
FROM tenant WHERE NOT ws_not_null ORDER BY name";

const PRIMARY_KEY: &str = r"
SELECT t.name,
       CASE WHEN k.oid IS NULL THEN 'it has no primary key'
            ELSE format('its primary key (%s) does not begin with workspace_id', k.columns) END
       || ', so references to it cannot include workspace_id, and a refused key reveals that another workspace has it',
       CASE WHEN k.oid IS NULL AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = t.oid AND attname = 'id' AND NOT attisdropped)
            THEN format('-- ALTER TABLE %s ADD PRIMARY KEY (workspace_id, …); with the columns that identify its rows', t.name)
            ELSE format('ALTER TABLE %s %sADD PRIMARY KEY (workspace_id, %s);', t.name,
                        'DROP CONSTRAINT ' || quote_ident(k.conname) || ', ', coalesce(k.others, 'id')) END
FROM tenant t
LEFT JOIN LATERAL (
    SELECT c.oid, c.conname, c.conkey, string_agg(quote_ident(a.attname), ', ' ORDER BY u.n) AS columns,
           string_agg(quote_ident(a.attname), ', ' ORDER BY u.n) FILTER (WHERE a.attname <> 'workspace_id') AS others
    FROM pg_constraint c CROSS JOIN LATERAL unnest(c.conkey) WITH ORDINALITY u(num, n)
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = u.num
    WHERE c.conrelid = t.oid AND c.contype = 'p' GROUP BY c.oid
) k ON true
WHERE k.oid IS NULL OR k.conkey[1] <> t.ws ORDER BY t.name";

const SHARED_SEQUENCE: &str = r"
SELECT format('column %I OF %s', a.attname, t.name),
       'its numbers come from one sequence for all workspaces, so gaps reveal how many rows the others create',
       format('-- ALTER TABLE %s: use a column of type uuid, or number the rows within their workspace', t.name)
FROM tenant t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
WHERE a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE '%nextval(%' ORDER BY 1";

/// Views in between count too: a materialized view stores what it reads, for all readers.
const MATERIALIZED_VIEW: &str = r"
WITH RECURSIVE reads(rel) AS (
    SELECT oid FROM tenant
    UNION SELECT w.ev_class FROM reads
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = reads.rel AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite w ON w.oid = d.objid
)
SELECT name, 'it stores rows of tenant tables, and row-level security does not apply to materialized views',
       format('DROP MATERIALIZED VIEW %s; -- store the rows in a table protected with kernel.protect', name)
FROM rel WHERE relkind = 'm' AND oid IN (SELECT reads.rel FROM reads) ORDER BY name";
