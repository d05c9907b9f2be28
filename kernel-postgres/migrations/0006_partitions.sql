-- The append-only tables' partitions: one a month, and a default one that loses nothing if nobody makes them in time.

CREATE FUNCTION kernel.add_partition(parent text, part text, bounds text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TABLE kernel.%I PARTITION OF kernel.%I %s', part, parent, bounds);
    EXECUTE format('ALTER TABLE kernel.%I ENABLE ROW LEVEL SECURITY', part);
    EXECUTE format('ALTER TABLE kernel.%I FORCE ROW LEVEL SECURITY', part);
    IF parent = 'audit_log' THEN -- row triggers are inherited, statement triggers are not
        EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON kernel.%I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION kernel.refuse_change()', part);
    END IF;
END $$;
REVOKE ALL ON FUNCTION kernel.add_partition FROM PUBLIC;

-- Makes the partitions from last month to `ahead` months on and tells how many were missing. In UTC, whoever calls it.
CREATE FUNCTION kernel.ensure_partitions(ahead int DEFAULT 3) RETURNS int
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    parent text;
    month  timestamptz;
    part   text;
    made   int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('kernel.partitions')); -- several copies of the app start at once
    FOREACH parent IN ARRAY ARRAY['audit_log', 'outbox', 'webhook_inbox'] LOOP
        FOR month IN SELECT generate_series(date_trunc('month', now()) - interval '1 month',
                                            date_trunc('month', now()) + make_interval(months => ahead), interval '1 month') LOOP
            part := parent || to_char(month, '_YYYY_MM');
            CONTINUE WHEN to_regclass('kernel.' || part) IS NOT NULL;
            BEGIN
                PERFORM kernel.add_partition(parent, part,
                    format('FOR VALUES FROM (%L) TO (%L)', month, month + interval '1 month'));
                made := made + 1;
            EXCEPTION WHEN check_violation THEN
                -- The default partition has rows of that month already: it keeps them, and nothing stops for it.
                RAISE WARNING 'kernel.% holds rows of the month %: move them, then call kernel.ensure_partitions()',
                    parent || '_default', to_char(month, 'YYYY-MM');
            END;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION kernel.ensure_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kernel.ensure_partitions TO kernel_system;

SELECT kernel.ensure_partitions();
SELECT kernel.add_partition(parent, parent || '_default', 'DEFAULT')
FROM unnest(ARRAY['audit_log', 'outbox', 'webhook_inbox']) AS parent;
