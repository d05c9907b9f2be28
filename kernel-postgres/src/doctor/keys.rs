//! Checks of indexes on tenant tables: those that reveal values of other workspaces, and those that row-level security makes
//! unusable.

use super::checks::Check;

pub(super) const CHECKS: &[Check] = &[
    ("unique_across_workspaces", UNIQUE_ACROSS_WORKSPACES),
    ("no_tenant_index", NO_TENANT_INDEX),
    ("index_not_leakproof", INDEX_NOT_LEAKPROOF),
];

/// Primary keys are checked by `primary_key`; indexes of partitions follow those of their parents.
const UNIQUE_ACROSS_WORKSPACES: &str = r"
SELECT CASE WHEN k.oid IS NULL THEN format('index %s', i.name) ELSE format('constraint %I ON %s', k.conname, t.name) END,
       'it is unique across workspaces, so a refused value reveals that another workspace has it',
       CASE WHEN k.contype = 'x' THEN format('-- ALTER TABLE %s: add workspace_id WITH = to the exclusion constraint %I (extension btree_gist)', t.name, k.conname)
            WHEN k.oid IS NOT NULL THEN format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I %s;', t.name, k.conname, k.conname,
                                               regexp_replace(pg_get_constraintdef(k.oid), '\(', '(workspace_id, '))
            ELSE format('DROP INDEX %s; %s;', i.name,
                        regexp_replace(pg_get_indexdef(i.oid), ' USING (\w+) \(', ' USING \1 (workspace_id, ')) END
FROM pg_index x JOIN tenant t ON t.oid = x.indrelid JOIN rel i ON i.oid = x.indexrelid
LEFT JOIN pg_constraint k ON k.conindid = i.oid AND k.conrelid = t.oid AND k.contype IN ('u', 'x')
WHERE (x.indisunique OR x.indisexclusion) AND NOT x.indisprimary
  AND NOT t.ws = ANY ((x.indkey::int2[])[0:x.indnkeyatts - 1]) ORDER BY 1";

const NO_TENANT_INDEX: &str = r"
SELECT name, 'no index starts with workspace_id, so every query reads all workspaces'' rows', format('CREATE INDEX ON %s (workspace_id);', name)
FROM tenant t WHERE NOT EXISTS (
    SELECT FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_am m ON m.oid = c.relam
    WHERE x.indrelid = t.oid AND x.indkey[0] = t.ws AND x.indpred IS NULL AND x.indisvalid AND m.amname = 'btree'
) ORDER BY name";

/// Checks the first column that is not workspace_id. A condition that is not leakproof is evaluated after the policy's, so the
/// index is not used for it. Only comparisons by order or equality are checked: a search index is used through a function that
/// filters by itself.
const INDEX_NOT_LEAKPROOF: &str = r"
SELECT format('index %s', i.name),
       CASE WHEN f.num = 0 THEN 'it is over an expression, which' ELSE format('%I is %s, whose equality', a.attname, format_type(a.atttypid, a.atttypmod)) END
       || ' is not leakproof, so the index is not used under row-level security',
       CASE WHEN f.num = 0 THEN format('-- store the value in a column of %s and index that column', t.name)
            WHEN y.typtype = 'e' OR y.typname = 'citext' THEN format('ALTER TABLE %s ALTER COLUMN %I TYPE text;', t.name, a.attname)
            ELSE format('-- ALTER TABLE %s: keep %I as text, bigint, uuid or timestamptz', t.name, a.attname) END
FROM pg_index x JOIN tenant t ON t.oid = x.indrelid JOIN rel i ON i.oid = x.indexrelid JOIN pg_am m ON m.oid = i.relam
CROSS JOIN LATERAL (
    SELECT u.num, u.class FROM unnest(x.indkey::int2[], x.indclass::oid[]) WITH ORDINALITY u(num, class, n)
    WHERE u.n <= x.indnkeyatts AND u.num <> t.ws ORDER BY u.n LIMIT 1
) f
JOIN pg_opclass o ON o.oid = f.class
LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = f.num AND f.num <> 0
LEFT JOIN pg_type y ON y.oid = a.atttypid
WHERE m.amname IN ('btree', 'hash') AND (f.num = 0 OR NOT EXISTS (
    SELECT FROM pg_amop q JOIN pg_operator r ON r.oid = q.amopopr JOIN pg_proc p ON p.oid = r.oprcode
    WHERE q.amopfamily = o.opcfamily AND q.amoplefttype = o.opcintype AND q.amoprighttype = o.opcintype
      AND q.amopstrategy = CASE m.amname WHEN 'btree' THEN 3 ELSE 1 END AND p.proleakproof
)) ORDER BY 1";
