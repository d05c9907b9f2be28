-- Who may see what: the settings a scope consists of, and `protect`, which puts a table behind them.

GRANT USAGE ON SCHEMA kernel TO kernel_app, kernel_system, kernel_lookup;
GRANT SELECT ON kernel.migrations TO kernel_app, kernel_system;

-- nullif: once a connection has had the setting, it is '' and not NULL outside a scope; a bare cast would raise.
-- Without a scope both are NULL: no rows, no inserts.
CREATE FUNCTION kernel.ws() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.workspace_id', true), '')::uuid;
CREATE FUNCTION kernel.me() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.self_id', true), '')::uuid;

-- What a workspace has used of its plan. The cap stands beside the count: one guarded UPDATE decides.
CREATE TABLE kernel.usage (
    workspace_id uuid   NOT NULL,
    key          text   NOT NULL CHECK (key ~ '^[a-z][a-z0-9_]{0,40}$'),
    used         bigint NOT NULL DEFAULT 0 CHECK (used >= 0),
    cap          bigint DEFAULT -1 CHECK (cap >= 0), -- NULL: unlimited; -1: of the workspace's plan, filled in (0005_billing.sql)
    PRIMARY KEY (workspace_id, key)
) WITH (fillfactor = 50); -- room for HOT updates: the row is updated with every insert it counts

-- A reservation leaves a credit in the transaction; the row it was made for uses the credit up. A row that comes without
-- one (raw SQL) takes its own place, or is refused.
CREATE FUNCTION kernel.count_row() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    credit bigint := coalesce(nullif(current_setting('kernel_credit.' || TG_ARGV[0], true), '')::bigint, 0);
BEGIN
    IF credit > 0 THEN
        credit := set_config('kernel_credit.' || TG_ARGV[0], (credit - 1)::text, true); -- as an assignment: no query
        RETURN NULL;
    END IF;
    UPDATE kernel.usage SET used = used + 1
    WHERE workspace_id = NEW.workspace_id AND key = TG_ARGV[0] AND (cap IS NULL OR used < cap);
    IF NOT FOUND THEN
        PERFORM kernel.make_counter(NEW.workspace_id, TG_ARGV[0]); -- if there is none
        UPDATE kernel.usage SET used = used + 1
        WHERE workspace_id = NEW.workspace_id AND key = TG_ARGV[0] AND (cap IS NULL OR used < cap);
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'KL001', CONSTRAINT = TG_ARGV[0],
            MESSAGE = format('limit %I is reached in workspace %s', TG_ARGV[0], NEW.workspace_id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION kernel.uncount_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE kernel.usage SET used = greatest(used - 1, 0) WHERE workspace_id = OLD.workspace_id AND key = TG_ARGV[0];
    RETURN NULL;
END $$;

-- A global table: its migration writes the policies of kernel_app; the system and migrations see all of it.
CREATE FUNCTION kernel.protect_global(tbl regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tbl);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tbl);
    EXECUTE format('CREATE POLICY system ON %s TO kernel_system USING (true) WITH CHECK (true)', tbl);
    EXECUTE format('CREATE POLICY owner ON %s TO kernel_owner USING (true) WITH CHECK (true)', tbl);
END $$;
REVOKE ALL ON FUNCTION kernel.protect_global FROM PUBLIC;

-- Puts a tenant table behind its workspace: row-level security also for its owner, policies, grants, and, with
-- `counts`, the triggers that keep the limit of that key. The table needs `workspace_id uuid NOT NULL` and a primary key
-- that begins with it, so that references can be composite and cannot reach another workspace's rows. Repeating it is safe:
-- only the first run on a table grants, so that what was narrowed since stays so.
CREATE FUNCTION kernel.protect(tbl regclass, counts text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    policy text;
    first boolean := NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = tbl AND polname IN ('tenant', 'system', 'owner'));
    soft boolean := EXISTS (SELECT FROM pg_attribute WHERE attrelid = tbl AND attname = 'deleted_at' AND NOT attisdropped);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = tbl AND attname = 'workspace_id' AND atttypid = 'uuid'::regtype
                   AND attnotnull AND NOT attisdropped) THEN
        RAISE EXCEPTION 'kernel.protect(%): the column "workspace_id uuid NOT NULL" is missing', tbl
            USING HINT = format('ALTER TABLE %s ADD COLUMN workspace_id uuid NOT NULL;', tbl);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                   WHERE i.indrelid = tbl AND i.indisprimary AND a.attname = 'workspace_id') THEN
        RAISE EXCEPTION 'kernel.protect(%): the primary key must begin with workspace_id', tbl
            USING HINT = format('ALTER TABLE %s ADD PRIMARY KEY (workspace_id, id);', tbl);
    END IF;
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tbl);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tbl);
    -- (SELECT …): evaluated once a statement, not once a row
    FOREACH policy IN ARRAY ARRAY['tenant', 'system', 'owner'] LOOP
        EXECUTE format('DROP POLICY IF EXISTS %I ON %s', policy, tbl);
    END LOOP;
    EXECUTE format('CREATE POLICY tenant ON %s TO kernel_app USING (workspace_id = (SELECT kernel.ws())) '
                   'WITH CHECK (workspace_id = (SELECT kernel.ws()))', tbl);
    EXECUTE format('CREATE POLICY system ON %s TO kernel_system USING (true) WITH CHECK (true)', tbl);
    -- FORCE holds the owner too; migrations that fill columns need the rows. Nobody logs in as the owner.
    EXECUTE format('CREATE POLICY owner ON %s TO kernel_owner USING (true) WITH CHECK (true)', tbl);
    EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', tbl);
    IF first THEN
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO kernel_app, kernel_system', tbl);
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO kernel_app, kernel_system',
                       (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = tbl));
    END IF;
    IF counts IS NOT NULL THEN
        EXECUTE format('CREATE OR REPLACE TRIGGER count_insert AFTER INSERT ON %s FOR EACH ROW %s EXECUTE FUNCTION kernel.count_row(%L)',
                       tbl, CASE WHEN soft THEN 'WHEN (NEW.deleted_at IS NULL)' ELSE '' END, counts);
        EXECUTE format('CREATE OR REPLACE TRIGGER count_delete AFTER DELETE ON %s FOR EACH ROW %s EXECUTE FUNCTION kernel.uncount_row(%L)',
                       tbl, CASE WHEN soft THEN 'WHEN (OLD.deleted_at IS NULL)' ELSE '' END, counts);
        IF soft THEN
            EXECUTE format('CREATE OR REPLACE TRIGGER count_soft_delete AFTER UPDATE OF deleted_at ON %s FOR EACH ROW '
                           'WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL) '
                           'EXECUTE FUNCTION kernel.uncount_row(%L)', tbl, counts);
            EXECUTE format('CREATE OR REPLACE TRIGGER count_restore AFTER UPDATE OF deleted_at ON %s FOR EACH ROW '
                           'WHEN (OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NULL) '
                           'EXECUTE FUNCTION kernel.count_row(%L)', tbl, counts);
        END IF;
    END IF;
END $$;
REVOKE ALL ON FUNCTION kernel.protect FROM PUBLIC;

SELECT kernel.protect('kernel.usage');
-- A request cannot choose a cap.
REVOKE INSERT, UPDATE, DELETE ON kernel.usage FROM kernel_app;
GRANT INSERT (workspace_id, key), UPDATE (used) ON kernel.usage TO kernel_app;
