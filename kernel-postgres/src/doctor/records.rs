//! Checks of the records: whose a record is, and the order in which it is numbered.

use super::checks::Check;

pub(super) const CHECKS: &[Check] = &[
    ("record_subject", RECORD_SUBJECT),
    ("record_order", RECORD_ORDER),
    ("record_sequence", RECORD_SEQUENCE),
    ("record_sequence_grant", RECORD_SEQUENCE_GRANT),
];

/// The policies compare `workspace_id`, and the log is listed by `subject_id`: both must name the same workspace. Word for word as Postgres
/// prints it.
const RECORD_SUBJECT: &str = r"
SELECT format('constraint subject ON %s', r.name), 'it is missing or was changed, so a record can be in the log of a workspace that may not see it',
       format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS subject, ADD CONSTRAINT subject CHECK %s;', r.name, e.expected)
FROM rel r CROSS JOIN (VALUES ('((subject_type = ANY (ARRAY[''workspace''::text, ''person''::text, ''platform''::text])) AND ((subject_type = ''platform''::text) = (subject_id = ''00000000-0000-0000-0000-000000000000''::uuid)) AND (NOT (workspace_id IS DISTINCT FROM
CASE
    WHEN (subject_type = ''workspace''::text) THEN subject_id
    ELSE NULL::uuid
END)))')) e(expected)
WHERE r.oid IN (to_regclass('kernel.audit_log'), to_regclass('kernel.audit_personal'), to_regclass('kernel.outbox'))
  AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = r.oid AND c.conname = 'subject' AND c.contype = 'c' AND c.convalidated
                  AND pg_get_expr(c.conbin, c.conrelid) = e.expected) ORDER BY 1";

/// Defaults are evaluated in the columns' order: a transaction must have its xid before it draws a number, or a relay can skip a record.
const RECORD_ORDER: &str = r"
SELECT format('column %I OF kernel.%I', v.col, v.tbl),
       CASE WHEN a.attnum IS NULL THEN 'it is missing' WHEN NOT a.attnotnull THEN 'it can be NULL'
            WHEN d.expr IS DISTINCT FROM v.expr THEN format('its default is %s and not %s', coalesce(d.expr, 'missing'), v.expr)
            ELSE 'it comes before xid' END || ', so records can be skipped, or delivered in another order than they happened',
       CASE WHEN a.attnum IS NULL OR a.attnum < x.attnum THEN format('-- kernel.%I: make the table anew as in the migrations, with xid before seq, and move its rows', v.tbl)
            ELSE format('ALTER TABLE kernel.%I ALTER COLUMN %I SET DEFAULT %s, ALTER COLUMN %I SET NOT NULL;', v.tbl, v.col, v.expr, v.col) END
FROM (VALUES ('audit_log', 'xid', 'pg_current_xact_id()'), ('audit_log', 'seq', 'nextval(''kernel.audit_seq''::regclass)'),
             ('outbox', 'xid', 'pg_current_xact_id()'), ('outbox', 'seq', 'nextval(''kernel.outbox_seq''::regclass)')) v(tbl, col, expr)
LEFT JOIN pg_attribute a ON a.attrelid = to_regclass('kernel.' || v.tbl) AND a.attname = v.col AND NOT a.attisdropped
LEFT JOIN pg_attribute x ON x.attrelid = a.attrelid AND x.attname = 'xid' AND NOT x.attisdropped
LEFT JOIN LATERAL (SELECT pg_get_expr(adbin, adrelid) AS expr FROM pg_attrdef WHERE adrelid = a.attrelid AND adnum = a.attnum) d ON true
WHERE a.attnum IS NULL OR NOT a.attnotnull OR d.expr IS DISTINCT FROM v.expr OR a.attnum < x.attnum ORDER BY 1";

/// With a cache each connection draws several numbers at once, and uses them later.
const RECORD_SEQUENCE: &str = r"
SELECT format('sequence kernel.%I', v.name),
       CASE WHEN s.seqrelid IS NULL THEN 'it is missing'
            ELSE format('it has CACHE %s, INCREMENT %s%s and not CACHE 1, INCREMENT 1, NO CYCLE', s.seqcache, s.seqincrement, CASE WHEN s.seqcycle THEN ', CYCLE' ELSE '' END) END
       || ', so a later record can have a lower number',
       CASE WHEN s.seqrelid IS NULL THEN format('-- CREATE SEQUENCE kernel.%I AS bigint CACHE 1; it must start above all numbers that were drawn', v.name)
            ELSE format('ALTER SEQUENCE kernel.%I AS bigint INCREMENT 1 CACHE 1 NO CYCLE;', v.name) END
FROM (VALUES ('audit_seq'), ('outbox_seq')) v(name) LEFT JOIN pg_sequence s ON s.seqrelid = to_regclass('kernel.' || v.name)
WHERE s.seqrelid IS NULL OR s.seqcache <> 1 OR s.seqincrement <> 1 OR s.seqcycle OR s.seqtypid <> 'bigint'::regtype ORDER BY 1";

/// Drawing a number needs USAGE; UPDATE sets the sequence back, and SELECT tells a request how many records others write.
const RECORD_SEQUENCE_GRANT: &str = r"
SELECT format('%s ON %s TO %s', string_agg(DISTINCT h.privilege, ', ' ORDER BY h.privilege), r.name, h.grantee),
       format('with it %s can set the numbers of records back, or see how many records other workspaces write', h.grantee),
       format('REVOKE %s ON SEQUENCE %s FROM %s;', string_agg(DISTINCT h.privilege, ', '), r.name, h.grantee)
FROM held h JOIN rel r ON r.oid = h.rel
WHERE r.oid IN (to_regclass('kernel.audit_seq'), to_regclass('kernel.outbox_seq'))
  AND NOT (h.privilege = 'USAGE' AND h.role IN (to_regrole('kernel_app'), to_regrole('kernel_system')))
  AND NOT (h.privilege = 'SELECT' AND h.role = to_regrole('kernel_system'))
GROUP BY r.name, h.grantee ORDER BY 1";
