//! Checks of the partitions of the kernel's append-only tables. Rows of a month without a partition go to the default
//! partition, which then cannot be split without moving them.

use super::checks::Check;

pub(super) const CHECKS: &[Check] = &[("partition_missing", PARTITION_MISSING)];

/// Checks this month and the next two, in UTC as in `kernel.add_partition`. `PgSystem::ensure_partitions` adds one month more,
/// so that a missing month is found while two months still have a partition.
const PARTITION_MISSING: &str = r"
WITH RECURSIVE wanted AS (
    SELECT p.parent, p.parent || to_char(m.month, '_YYYY_MM') AS part, 'rows of that month go to its default partition' AS effect,
           format('SELECT kernel.add_partition(%L, %L);', p.parent, to_char(m.month, 'YYYY-MM-DD')) AS fix
    FROM unnest(ARRAY['audit_log_security', 'audit_log_standard', 'audit_personal_security', 'audit_personal_standard', 'outbox', 'webhook_inbox']) p(parent)
    CROSS JOIN LATERAL (SELECT date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => n) AS month FROM generate_series(0, 2) n) m
    UNION ALL
    SELECT p.parent, p.parent || '_default', 'rows of a month without a partition are refused', format('SELECT kernel.add_default_partition(%L);', p.parent)
    FROM unnest(ARRAY['audit_log_security', 'audit_log_standard', 'audit_personal_security', 'audit_personal_standard', 'outbox', 'webhook_inbox']) p(parent)
)
SELECT format('kernel.%I', part), format('kernel.%I has no such partition: %s', parent, effect), fix
FROM wanted
WHERE NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(format('kernel.%I', part)) AND inhparent = to_regclass(format('kernel.%I', parent)))
ORDER BY 1";
