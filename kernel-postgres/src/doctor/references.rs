//! Checks of foreign keys between tenant tables. Postgres checks references without row-level security, so a key must include
//! the workspace.

use super::checks::Check;

pub(super) const CHECKS: &[Check] = &[
    ("foreign_key", FOREIGN_KEY),
    ("foreign_key_sets_workspace", FOREIGN_KEY_SETS_WORKSPACE),
    ("audit_foreign_key", AUDIT),
];

/// The fix is the same key with workspace_id on both sides, and with the same actions.
const FOREIGN_KEY: &str = r"
SELECT format('constraint %I ON %s', k.conname, c.name),
       format('it references %s without workspace_id, so a row can reference another workspace''s row, and a refusal reveals whether one exists', p.name),
       format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I FOREIGN KEY (workspace_id, %s) REFERENCES %s (workspace_id, %s)%s%s%s;',
              c.name, k.conname, k.conname, x.own, p.name, x.others,
              CASE k.confdeltype WHEN 'c' THEN ' ON DELETE CASCADE' WHEN 'r' THEN ' ON DELETE RESTRICT'
                   WHEN 'n' THEN format(' ON DELETE SET NULL (%s)', x.own) WHEN 'd' THEN format(' ON DELETE SET DEFAULT (%s)', x.own) ELSE '' END,
              CASE k.confupdtype WHEN 'c' THEN ' ON UPDATE CASCADE' WHEN 'r' THEN ' ON UPDATE RESTRICT' ELSE '' END,
              CASE WHEN k.condeferred THEN ' DEFERRABLE INITIALLY DEFERRED' WHEN k.condeferrable THEN ' DEFERRABLE' ELSE '' END)
FROM pg_constraint k JOIN tenant c ON c.oid = k.conrelid JOIN tenant p ON p.oid = k.confrelid
CROSS JOIN LATERAL (
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY u.n) AS own, string_agg(quote_ident(b.attname), ', ' ORDER BY u.n) AS others
    FROM unnest(k.conkey, k.confkey) WITH ORDINALITY u(own, other, n)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.own
    JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = u.other
    WHERE a.attname <> 'workspace_id' AND b.attname <> 'workspace_id'
) x
WHERE k.contype = 'f' AND k.conparentid = 0
  AND NOT EXISTS (SELECT FROM unnest(k.conkey, k.confkey) u(own, other) WHERE u.own = c.ws AND u.other = p.ws) ORDER BY 1";

/// Plain SET NULL clears every column of the key, workspace_id too: the delete fails, or the row loses its workspace.
const FOREIGN_KEY_SETS_WORKSPACE: &str = r"
SELECT format('constraint %I ON %s', k.conname, c.name),
       'a change of the referenced row would clear workspace_id too',
       CASE WHEN k.confupdtype IN ('n', 'd') OR x.own IS NULL
            THEN format('-- ALTER TABLE %s: %I must not change workspace_id; write it without ON UPDATE', c.name, k.conname)
            ELSE format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I %s;', c.name, k.conname, k.conname,
                        regexp_replace(pg_get_constraintdef(k.oid), 'ON DELETE SET (NULL|DEFAULT)( \([^)]*\))?', format('ON DELETE SET \1 (%s)', x.own))) END
FROM pg_constraint k JOIN tenant c ON c.oid = k.conrelid
CROSS JOIN LATERAL (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY u.n) AS own
                    FROM unnest(k.conkey) WITH ORDINALITY u(num, n) JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num
                    WHERE u.num <> c.ws) x
WHERE k.contype = 'f' AND k.conparentid = 0 AND c.ws = ANY (k.conkey)
  AND (k.confupdtype IN ('n', 'd') OR k.confdeltype IN ('n', 'd') AND (k.confdelsetcols IS NULL OR c.ws = ANY (k.confdelsetcols))) ORDER BY 1";

const AUDIT: &str = r"
SELECT format('constraint %I ON kernel.audit_log', conname), 'entries of the audit log must stay when the rows they refer to are deleted',
       format('ALTER TABLE kernel.audit_log DROP CONSTRAINT %I;', conname)
FROM pg_constraint WHERE contype = 'f' AND conrelid = to_regclass('kernel.audit_log') AND conparentid = 0 ORDER BY 1";
