//! Checks of the triggers that enforce limits, entitlements, the audit log and references.

use super::checks::Check;

pub(super) const CHECKS: &[Check] = &[
    ("trigger_disabled", TRIGGER_DISABLED),
    ("counting_trigger", COUNTING_TRIGGER),
    ("entitlements_trigger", ENTITLEMENTS_TRIGGER),
    ("audit_trigger", AUDIT_TRIGGER),
];

const TRIGGER_DISABLED: &str = r"
SELECT format('trigger %I ON %s', g.tgname, r.name),
       CASE WHEN g.tgisinternal THEN 'references are not checked' ELSE format('%s does not run', g.tgfoid::regproc) END,
       format('ALTER TABLE %s ENABLE TRIGGER %I;', r.name, g.tgname)
FROM pg_trigger g JOIN rel r ON r.oid = g.tgrelid JOIN pg_proc p ON p.oid = g.tgfoid
WHERE g.tgenabled NOT IN ('O', 'A')
  AND (g.tgisinternal AND r.oid IN (SELECT oid FROM tenant) OR p.pronamespace = to_regnamespace('kernel')) ORDER BY 1";

/// A table with one of the counting triggers of `kernel.protect` needs all of them. tgtype: 1 for each row, 4 insert, 8
/// delete, 16 update.
const COUNTING_TRIGGER: &str = r"
WITH RECURSIVE counted AS (
    SELECT r.oid, r.name, min(split_part(encode(g.tgargs, 'escape'), '\000', 1)) AS key,
           EXISTS (SELECT FROM pg_attribute WHERE attrelid = r.oid AND attname = 'deleted_at' AND NOT attisdropped) AS soft
    FROM pg_trigger g JOIN rel r ON r.oid = g.tgrelid
    WHERE g.tgparentid = 0 AND g.tgfoid IN (to_regproc('kernel.count_row'), to_regproc('kernel.uncount_row')) GROUP BY 1, 2
)
SELECT format('trigger %s ON %s', e.trigger, c.name), format('it is missing or incomplete, so the limit `%s` is counted wrongly', c.key),
       format('CREATE OR REPLACE TRIGGER %s %s ON %s FOR EACH ROW %sEXECUTE FUNCTION kernel.%s(%L);', e.trigger, e.moment, c.name,
              CASE WHEN c.soft THEN format('WHEN (%s) ', e.condition) ELSE '' END, e.function, c.key)
FROM counted c
JOIN (VALUES ('count_insert', 'AFTER INSERT', 5, 'count_row', 'NEW.deleted_at IS NULL', false),
             ('count_delete', 'AFTER DELETE', 9, 'uncount_row', 'OLD.deleted_at IS NULL', false),
             ('count_soft_delete', 'AFTER UPDATE OF deleted_at', 17, 'uncount_row', 'OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL', true),
             ('count_restore', 'AFTER UPDATE OF deleted_at', 17, 'count_row', 'OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NULL', true)
     ) e(trigger, moment, type, function, condition, soft_only) ON c.soft OR NOT e.soft_only
WHERE NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgname = e.trigger AND g.tgtype = e.type
                  AND g.tgfoid = to_regproc('kernel.' || e.function) AND (g.tgqual IS NOT NULL) = c.soft) ORDER BY 1";

/// tgtype: 1 for each row, 2 before, 4 insert.
const ENTITLEMENTS_TRIGGER: &str = r"
SELECT format('trigger %s ON %s', e.trigger, r.name), format('it is missing or was changed: %s', e.why),
       format('CREATE OR REPLACE TRIGGER %s %s INSERT ON %s FOR EACH ROW %sEXECUTE FUNCTION kernel.%s();', e.trigger, e.moment, r.name,
              CASE WHEN e.condition <> '' THEN format('WHEN (%s) ', e.condition) ELSE '' END, e.trigger)
FROM (VALUES ('workspaces', 'give_entitlements', 'BEFORE', 7, '', 'no workspace can be created'),
             ('workspaces', 'make_counters', 'AFTER', 5, '', 'a new workspace has no usage counters'),
             ('usage', 'give_cap', 'BEFORE', 7, 'NEW.cap = ''-1''::integer', 'a usage counter that is missing cannot be made')
     ) e(tbl, trigger, moment, type, condition, why)
JOIN rel r ON r.oid = to_regclass('kernel.' || e.tbl)
WHERE NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = r.oid AND g.tgname = e.trigger AND g.tgtype = e.type
                  AND g.tgfoid = to_regproc('kernel.' || e.trigger) AND (g.tgqual IS NOT NULL) = (e.condition <> '')) ORDER BY 1";

/// tgtype: 1 for each row, 2 before, 8 delete, 16 update, 32 truncate.
const AUDIT_TRIGGER: &str = r"
SELECT format('trigger %s ON %s', e.trigger, r.name), 'it is missing, so entries of the audit log can be changed or deleted',
       format('CREATE TRIGGER %s %s ON %s FOR EACH %s EXECUTE FUNCTION kernel.refuse_change();', e.trigger, e.moment, r.name, e.level)
FROM rel r
JOIN (VALUES ('append_only', 'BEFORE UPDATE OR DELETE', 27, 'ROW'), ('no_truncate', 'BEFORE TRUNCATE', 34, 'STATEMENT')) e(trigger, moment, type, level) ON true
WHERE (r.oid = to_regclass('kernel.audit_log')
       OR e.trigger = 'no_truncate' AND r.oid IN (SELECT relid FROM pg_partition_tree(to_regclass('kernel.audit_log'))))
  AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = r.oid AND g.tgname = e.trigger AND g.tgtype = e.type
                  AND g.tgfoid = to_regproc('kernel.refuse_change')) ORDER BY 1";
