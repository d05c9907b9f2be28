-- The append-only tables' partitions: one a month, and a default one that takes the rows of a month without one.
--
-- A partition is built apart and then attached, each in a transaction of its own. Attaching takes ACCESS EXCLUSIVE on the default
-- partition, and whoever reads it meanwhile waits behind that request: so the request is given up after 100 ms, and
-- `PgSystem::ensure_partitions` repeats it later.

-- The column that decides on the partition. These three parents and no others.
CREATE FUNCTION kernel.partition_key(parent text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF parent IN ('audit_log', 'outbox') THEN RETURN 'at'; END IF;
    IF parent = 'webhook_inbox' THEN RETURN 'event_created'; END IF;
    RAISE EXCEPTION '% is not one of the partitioned tables: audit_log, outbox, webhook_inbox', parent
        USING ERRCODE = 'invalid_parameter_value';
END $$;
REVOKE ALL ON FUNCTION kernel.partition_key FROM PUBLIC;

-- Makes a table like its parent, which only the owner can use, or takes the one of that name that is there: left by a build that
-- was cut short, or detached by hand with rows in it.
CREATE FUNCTION kernel.build_partition(parent text, part text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF to_regclass(format('kernel.%I', part)) IS NULL THEN
        EXECUTE format('CREATE TABLE kernel.%I (LIKE kernel.%I INCLUDING ALL)', part, parent);
    END IF;
    EXECUTE format('ALTER TABLE kernel.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', part);
    IF parent = 'audit_log' THEN -- row triggers come with attaching, statement triggers do not
        EXECUTE format('CREATE OR REPLACE TRIGGER no_truncate BEFORE TRUNCATE ON kernel.%I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION kernel.refuse_change()', part);
    END IF;
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
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
BEGIN
    RETURN QUERY
    SELECT p.parent, m.month::date
    FROM unnest(ARRAY['audit_log', 'outbox', 'webhook_inbox']) p(parent)
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
    key      text := kernel.partition_key(parent);
    starts   timestamptz := date_trunc('month', month);
    ends     timestamptz := date_trunc('month', month) + interval '1 month';
    part     text := parent || to_char(month, '_YYYY_MM');
    fallback text := parent || '_default';
    holds    text := format('%I >= %L AND %I < %L', key, starts, key, ends);
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
    EXECUTE format('SELECT count(*) FROM (SELECT FROM kernel.%I WHERE %s %s) q', parent, holds,
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
    appends boolean := parent = 'audit_log';
BEGIN
    IF appends THEN
        EXECUTE format('ALTER TABLE kernel.%I DISABLE TRIGGER append_only', parent || '_default');
    END IF;
    EXECUTE format('ALTER TABLE kernel.%I NO FORCE ROW LEVEL SECURITY', part); -- a partition has no policies of its own
    EXECUTE format('WITH moved AS (DELETE FROM kernel.%I WHERE %s RETURNING *) INSERT INTO kernel.%I SELECT * FROM moved', parent, holds, part);
    EXECUTE format('ALTER TABLE kernel.%I FORCE ROW LEVEL SECURITY', part);
    IF appends THEN
        EXECUTE format('ALTER TABLE kernel.%I ENABLE TRIGGER append_only', parent || '_default');
    END IF;
END $$;
REVOKE ALL ON FUNCTION kernel.move_rows FROM PUBLIC;

SELECT kernel.add_default_partition(parent) FROM unnest(ARRAY['audit_log', 'outbox', 'webhook_inbox']) AS parent;
SELECT kernel.add_partition(parent, month) FROM kernel.missing_partitions();
