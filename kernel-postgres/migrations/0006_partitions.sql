-- The partitions of the records: one a month, and a default one that takes the rows of a month without one. The audit log and its
-- personal data are partitioned by class of retention first, so that a class is dropped month by month.
--
-- A partition is built apart and then attached, each in a transaction of its own. Attaching takes ACCESS EXCLUSIVE on the default
-- partition, and whoever reads it meanwhile waits behind that request: so the request is given up after 100 ms, and
-- `PgSystem::ensure_partitions` repeats it later. The same holds for dropping one, and `PgSystem::drop_expired_partitions`.

-- The tables whose partitions are months, and no others: the table that is read and written (`root`), its class, the column that
-- decides on the month, and the days for which a month is kept at least after its end.
CREATE FUNCTION kernel.monthly_tables() RETURNS TABLE (parent text, root text, class text, key text, shortest int)
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    VALUES ('audit_log_security',      'audit_log',      'security', 'at', 365),
           ('audit_log_standard',      'audit_log',      'standard', 'at', 90),
           ('audit_personal_security', 'audit_personal', 'security', 'at', 365), -- with its class
           ('audit_personal_standard', 'audit_personal', 'standard', 'at', 90),
           ('outbox',                  'outbox',         NULL,       'at', 30),
           ('webhook_inbox',           'webhook_inbox',  NULL,       'event_created', 60) -- it tells redeliveries from new events
$$;
REVOKE ALL ON FUNCTION kernel.monthly_tables FROM PUBLIC;

-- One of them, by name.
CREATE FUNCTION kernel.monthly_table(name text, OUT root text, OUT class text, OUT key text, OUT shortest int)
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT t.root, t.class, t.key, t.shortest INTO root, class, key, shortest FROM kernel.monthly_tables() t WHERE t.parent = name;
    IF root IS NULL THEN
        RAISE EXCEPTION '% is not one of the partitioned tables: %', name, (SELECT string_agg(t.parent, ', ') FROM kernel.monthly_tables() t)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END $$;
REVOKE ALL ON FUNCTION kernel.monthly_table FROM PUBLIC;

-- Closes a partition, which has neither policies nor grants: it is reached through its root. Row triggers come with attaching,
-- statement triggers do not.
CREATE FUNCTION kernel.close_partition(root text, part text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('ALTER TABLE kernel.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', part);
    IF root = 'audit_log' THEN
        EXECUTE format('CREATE OR REPLACE TRIGGER no_truncate BEFORE TRUNCATE ON kernel.%I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION kernel.refuse_change()', part);
    END IF;
END $$;
REVOKE ALL ON FUNCTION kernel.close_partition FROM PUBLIC;

-- Makes a table like its parent, which only the owner can use, or takes the one of that name that is there: left by a build that
-- was cut short, or detached by hand with rows in it.
CREATE FUNCTION kernel.build_partition(parent text, part text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF to_regclass(format('kernel.%I', part)) IS NULL THEN
        EXECUTE format('CREATE TABLE kernel.%I (LIKE kernel.%I INCLUDING ALL)', part, parent);
    END IF;
    PERFORM kernel.close_partition((kernel.monthly_table(parent)).root, part);
END $$;
REVOKE ALL ON FUNCTION kernel.build_partition FROM PUBLIC;

CREATE FUNCTION kernel.add_default_partition(parent text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM kernel.build_partition(parent, parent || '_default');
    EXECUTE format('ALTER TABLE kernel.%I ATTACH PARTITION kernel.%I DEFAULT', parent, parent || '_default');
END $$;
REVOKE ALL ON FUNCTION kernel.add_default_partition FROM PUBLIC;

-- The months from the last one to `ahead` months on that have no partition. In UTC, whoever asks.
CREATE FUNCTION kernel.missing_partitions(ahead int DEFAULT 3) RETURNS TABLE (parent text, month date)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
BEGIN
    RETURN QUERY
    SELECT p.parent, m.month::date
    FROM kernel.monthly_tables() p
    CROSS JOIN generate_series(date_trunc('month', now()) - interval '1 month',
                               date_trunc('month', now()) + make_interval(months => ahead), interval '1 month') m(month)
    WHERE NOT EXISTS (SELECT FROM pg_inherits
                      WHERE inhparent = to_regclass('kernel.' || p.parent)
                        AND inhrelid = to_regclass('kernel.' || p.parent || to_char(m.month, '_YYYY_MM')))
    ORDER BY p.parent, m.month;
END $$;
REVOKE ALL ON FUNCTION kernel.missing_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kernel.missing_partitions TO kernel_system;

-- Adds the partition of one month, in UTC, and tells whether it was missing. Run it in a transaction of its own. Rows of that month in
-- the default partition move into it. Where moving or checking them would hold up others for long it refuses: with
-- `blocking` it does it all the same, and waits for long readers with everybody else behind it.
CREATE FUNCTION kernel.add_partition(parent text, month date, blocking boolean DEFAULT false) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '100ms'
    SET client_min_messages = 'warning' AS $$
DECLARE
    tbl      record := kernel.monthly_table(parent);
    starts   timestamptz := date_trunc('month', month);
    ends     timestamptz := date_trunc('month', month) + interval '1 month';
    part     text := parent || to_char(month, '_YYYY_MM');
    fallback text := parent || '_default';
    holds    text := format('%I >= %L AND %I < %L', tbl.key, starts, tbl.key, ends)
                     || CASE WHEN tbl.class IS NULL THEN '' ELSE format(' AND retention = %L', tbl.class) END;
    most     int := 5000; -- rows that are moved within 100 ms
    found    int;
BEGIN
    IF blocking THEN
        PERFORM set_config('lock_timeout', '0', true);
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('kernel.partitions')); -- several copies of the app start at once
    IF EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass('kernel.' || part) AND inhparent = to_regclass('kernel.' || parent)) THEN
        RETURN false;
    END IF;
    IF NOT blocking AND pg_relation_size('kernel.' || fallback) > 16 * 1024 * 1024 THEN
        RAISE EXCEPTION 'kernel.% has % MB, and attaching a partition reads all of it while others wait; when they may: '
            'SELECT kernel.add_partition(%, %, blocking => true)', fallback, pg_relation_size('kernel.' || fallback) / 1024 / 1024,
            quote_literal(parent), quote_literal(starts::date) USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('SELECT count(*) FROM (SELECT FROM kernel.%I WHERE %s %s) q', tbl.root, holds,
                   CASE WHEN blocking THEN '' ELSE format('LIMIT %s', most + 1) END) INTO found;
    IF NOT blocking AND found > most THEN
        RAISE EXCEPTION 'kernel.% has more than % rows of %, and moving them makes others wait; when they may: '
            'SELECT kernel.add_partition(%, %, blocking => true)', fallback, most, to_char(starts, 'YYYY-MM'),
            quote_literal(parent), quote_literal(starts::date) USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

    PERFORM kernel.build_partition(parent, part);
    -- So that the rows of an earlier partition are checked before anybody waits.
    EXECUTE format('ALTER TABLE kernel.%I DROP CONSTRAINT IF EXISTS of_month, ADD CONSTRAINT of_month CHECK (%s)', part, holds);

    IF found > 0 OR starts <= now() THEN
        -- A statement that waits for the default partition when this commits would go on with the old partitions: its write would be
        -- refused and its read would miss the rows that moved. Locking the parent makes statements wait before they look partitions up.
        EXECUTE format('LOCK TABLE ONLY kernel.%I IN ACCESS EXCLUSIVE MODE', parent);
        EXECUTE format('LOCK TABLE ONLY kernel.%I IN ACCESS EXCLUSIVE MODE%s', fallback, CASE WHEN blocking THEN '' ELSE ' NOWAIT' END);
        PERFORM kernel.move_rows(parent, part, holds);
    END IF;
    EXECUTE format('ALTER TABLE kernel.%I ATTACH PARTITION kernel.%I FOR VALUES FROM (%L) TO (%L)', parent, part, starts, ends);
    EXECUTE format('ALTER TABLE kernel.%I DROP CONSTRAINT of_month', part); -- the bounds say the same
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION kernel.add_partition FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kernel.add_partition TO kernel_system;

-- Moves rows, unchanged, out of the default partition. The caller holds it exclusively: nobody sees the trigger off.
CREATE FUNCTION kernel.move_rows(parent text, part text, holds text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tbl     record := kernel.monthly_table(parent);
    appends boolean := tbl.root = 'audit_log';
BEGIN
    IF appends THEN
        EXECUTE format('ALTER TABLE kernel.%I DISABLE TRIGGER append_only', parent || '_default');
    END IF;
    EXECUTE format('ALTER TABLE kernel.%I NO FORCE ROW LEVEL SECURITY', part); -- a partition has no policies of its own
    EXECUTE format('WITH moved AS (DELETE FROM kernel.%I WHERE %s RETURNING *) INSERT INTO kernel.%I SELECT * FROM moved', tbl.root, holds, part);
    EXECUTE format('ALTER TABLE kernel.%I FORCE ROW LEVEL SECURITY', part);
    IF appends THEN
        EXECUTE format('ALTER TABLE kernel.%I ENABLE TRIGGER append_only', parent || '_default');
    END IF;
END $$;
REVOKE ALL ON FUNCTION kernel.move_rows FROM PUBLIC;

-- The months that have a partition and ended more than `days` days ago, oldest first. It refuses fewer days than the table's records
-- have to be kept.
CREATE FUNCTION kernel.expired_partitions(parent text, days int) RETURNS TABLE (month date)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    tbl record := kernel.monthly_table(parent);
BEGIN
    IF days IS NULL OR days < tbl.shortest THEN
        RAISE EXCEPTION 'kernel.% is kept for % days at least after a month''s end, and not for %; pass a longer retention',
            parent, tbl.shortest, coalesce(days::text, 'NULL') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    SELECT m.month
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (SELECT to_date(substring(c.relname FROM '_(\d{4}_\d{2})$'), 'YYYY_MM') AS month) m
    -- The bounds decide, and the name only says where to look.
    WHERE i.inhparent = to_regclass('kernel.' || parent) AND c.relname = parent || to_char(m.month, '_YYYY_MM')
      AND pg_get_expr(c.relpartbound, c.oid)
          = format('FOR VALUES FROM (%L) TO (%L)', m.month::timestamptz, (m.month + interval '1 month')::timestamptz)
      AND (m.month + interval '1 month')::timestamptz + make_interval(days => expired_partitions.days) < now()
    ORDER BY m.month;
END $$;
REVOKE ALL ON FUNCTION kernel.expired_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kernel.expired_partitions TO kernel_system;

-- Drops the partition of a month that ended more than `days` days ago, and tells whether it was there. Run it in a transaction of its
-- own. What needs the month refuses: events of the inbox that are to be processed, and the personal data of the log's entries.
CREATE FUNCTION kernel.drop_partition(parent text, month date, days int) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '100ms' AS $$
DECLARE
    tbl  record := kernel.monthly_table(parent);
    part text := parent || to_char(month, '_YYYY_MM');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('kernel.partitions'));
    IF NOT EXISTS (SELECT FROM kernel.expired_partitions(parent, days) e WHERE e.month = date_trunc('month', drop_partition.month)::date) THEN
        RETURN false;
    END IF;
    IF tbl.root = 'audit_log' AND EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass('kernel.' || replace(part, 'audit_log', 'audit_personal'))) THEN
        RAISE EXCEPTION 'kernel.% has the personal data of these entries; drop that first', replace(part, 'audit_log', 'audit_personal')
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- Whoever has the parent has no statement of others on its partitions beside it: the next two do not wait.
    EXECUTE format('LOCK TABLE ONLY kernel.%I IN ACCESS EXCLUSIVE MODE', parent);
    EXECUTE format('LOCK TABLE ONLY kernel.%I, kernel.%I IN ACCESS EXCLUSIVE MODE NOWAIT', parent || '_default', part);
    IF tbl.root = 'webhook_inbox' AND EXISTS (
        SELECT FROM kernel.webhook_inbox WHERE due_at IS NOT NULL AND event_created >= date_trunc('month', month)
           AND event_created < date_trunc('month', month) + interval '1 month') THEN
        RAISE EXCEPTION 'kernel.% has events that are still to be processed', part USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('DROP TABLE kernel.%I', part);
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION kernel.drop_partition FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kernel.drop_partition TO kernel_system;

DO $$
DECLARE
    tbl record;
BEGIN
    FOR tbl IN SELECT parent, root, class FROM kernel.monthly_tables() WHERE class IS NOT NULL LOOP
        EXECUTE format('CREATE TABLE kernel.%I PARTITION OF kernel.%I FOR VALUES IN (%L) PARTITION BY RANGE (at)', tbl.parent, tbl.root, tbl.class);
        PERFORM kernel.close_partition(tbl.root, tbl.parent);
    END LOOP;
END $$;
SELECT kernel.add_default_partition(parent) FROM kernel.monthly_tables();
SELECT kernel.add_partition(parent, month) FROM kernel.missing_partitions();
