//! The partitions of the kernel's append-only tables. Rows without one go to the default partition, which then cannot be split
//! without moving them.

use super::checks::Check;

pub(super) const CHECKS: &[Check] = &[("partition_missing", PARTITION_MISSING)];

/// This month and the next two, in UTC as `kernel.ensure_partitions` makes them.
const PARTITION_MISSING: &str = r"
WITH RECURSIVE wanted AS (
    SELECT p.parent, p.parent || to_char(m.month, '_YYYY_MM') AS part, format('FOR VALUES FROM (%L) TO (%L)', m.month || '+00', m.month + interval '1 month' || '+00') AS bounds,
           'SELECT kernel.ensure_partitions();' AS make
    FROM unnest(ARRAY['audit_log', 'outbox', 'webhook_inbox']) p(parent)
    CROSS JOIN LATERAL (SELECT date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => n) AS month FROM generate_series(0, 2) n) m
    UNION ALL
    SELECT p.parent, p.parent || '_default', 'DEFAULT', format('SELECT kernel.add_partition(%L, %L, %L);', p.parent, p.parent || '_default', 'DEFAULT')
    FROM unnest(ARRAY['audit_log', 'outbox', 'webhook_inbox']) p(parent)
)
SELECT format('kernel.%I', part), format('kernel.%I has no such partition', parent),
       CASE WHEN to_regclass(format('kernel.%I', part)) IS NULL THEN make
            ELSE format('ALTER TABLE kernel.%I ATTACH PARTITION kernel.%I %s;', parent, part, bounds) END
FROM wanted
WHERE NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(format('kernel.%I', part)) AND inhparent = to_regclass(format('kernel.%I', parent)))
ORDER BY 1";
