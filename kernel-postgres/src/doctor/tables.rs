//! Tables: row-level security, the shape of `workspace_id`, the primary key.

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
SELECT name, 'row-level security is off: every workspace sees its rows',
       format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;', name)
FROM tenant WHERE NOT relrowsecurity ORDER BY name";

/// Of global tables only those that a login reaches: other schemas of the database may have reasons of their own.
const RLS_NOT_FORCED: &str = r"
SELECT name, 'row-level security is not forced: its owner, and what runs as the owner, sees every row',
       format('ALTER TABLE %s FORCE ROW LEVEL SECURITY;', name)
FROM rel WHERE relkind IN ('r', 'p') AND NOT relispartition AND relrowsecurity AND NOT relforcerowsecurity
  AND (oid IN (SELECT oid FROM tenant) OR oid IN (SELECT rel FROM granted)) ORDER BY name";

/// Global tables: tenant tables are `rls_disabled`, partitions `partition_grant`. A foreign table can have no row-level security.
const REACHABLE_WITHOUT_RLS: &str = r"
SELECT name, format('it has no row-level security and is reached by %s: whatever it holds, every workspace sees', g.who),
       CASE WHEN relkind = 'f' THEN format('REVOKE ALL ON %s FROM %s;', name, g.who)
            WHEN EXISTS (SELECT FROM pg_policy WHERE polrelid = rel.oid)
                 THEN format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;', name)
            ELSE format('SELECT kernel.protect_global(%L); -- then a policy for what requests may see', name) END
FROM rel CROSS JOIN LATERAL (SELECT string_agg(DISTINCT grantee, ', ') AS who FROM granted WHERE granted.rel = rel.oid) g
WHERE g.who IS NOT NULL AND relkind IN ('r', 'p', 'f') AND NOT relispartition AND NOT relrowsecurity AND NOT of_extension
  AND oid NOT IN (SELECT oid FROM tenant) ORDER BY name";

const WORKSPACE_ID_TYPE: &str = r"
SELECT name, format('workspace_id is %s and not uuid: the scope cannot be compared with it', format_type(ws_type, NULL)),
       format('ALTER TABLE %s ALTER COLUMN workspace_id TYPE uuid USING workspace_id::uuid;', name)
FROM tenant WHERE ws_type <> 'uuid'::regtype ORDER BY name";

const WORKSPACE_ID_NULLABLE: &str = r"
SELECT name, 'workspace_id can be NULL: such a row belongs to nobody and no workspace''s limit counts it',
       format('ALTER TABLE %s ALTER COLUMN workspace_id SET NOT NULL;', name)
FROM tenant WHERE NOT ws_not_null ORDER BY name";

const PRIMARY_KEY: &str = r"
SELECT t.name,
       CASE WHEN k.oid IS NULL THEN 'it has no primary key'
            ELSE format('its primary key (%s) does not begin with workspace_id', k.columns) END
       || ': references to it cannot be composite, and a key taken elsewhere shows',
       CASE WHEN k.oid IS NULL AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = t.oid AND attname = 'id' AND NOT attisdropped)
            THEN format('-- ALTER TABLE %s ADD PRIMARY KEY (workspace_id, …); with the columns that tell its rows apart', t.name)
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
       'its numbers come from one sequence for all workspaces: the gaps tell how many rows the others make',
       format('-- ALTER TABLE %s: use a column of type uuid, or number the rows within their workspace', t.name)
FROM tenant t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
WHERE a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE '%nextval(%' ORDER BY 1";

/// Also through views: what a stored query reads, it reads for everybody.
const MATERIALIZED_VIEW: &str = r"
WITH RECURSIVE reads(rel) AS (
    SELECT oid FROM tenant
    UNION SELECT w.ev_class FROM reads
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = reads.rel AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite w ON w.oid = d.objid
)
SELECT name, 'it keeps rows of tenant tables, and row-level security does not apply to materialized views',
       format('DROP MATERIALIZED VIEW %s; -- keep the rows in a table behind kernel.protect', name)
FROM rel WHERE relkind = 'm' AND oid IN (SELECT reads.rel FROM reads) ORDER BY name";
