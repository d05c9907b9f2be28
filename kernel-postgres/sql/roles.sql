-- The cluster's four roles, and the owner's right to work in this database. Run in each database by somebody who may create
-- roles; repeating it changes nothing. Several products in the cluster: use `create_roles_with`, which adds their suffixes.
DO $$ BEGIN
    -- owns the schema; nobody logs in as it, `migrate` takes it on
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kernel_owner') THEN CREATE ROLE kernel_owner NOLOGIN; END IF;
    -- owns only the look-up functions; nobody logs in as it
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kernel_lookup') THEN CREATE ROLE kernel_lookup NOLOGIN; END IF;
    -- requests
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kernel_app') THEN CREATE ROLE kernel_app LOGIN; END IF;
    -- workers, the webhook receiver, staff
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kernel_system') THEN CREATE ROLE kernel_system LOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- another set-up ran at the same moment
END $$;
-- so that the owner can hand the look-up functions over
GRANT kernel_lookup TO kernel_owner;
DO $$ BEGIN
    EXECUTE format('GRANT CONNECT, CREATE ON DATABASE %I TO kernel_owner', current_database());
END $$;
-- Set on the role, not in the connection string: they hold behind a transaction pooler too.
ALTER ROLE kernel_app SET statement_timeout = '5s';
ALTER ROLE kernel_app SET lock_timeout = '2s';
ALTER ROLE kernel_app SET idle_in_transaction_session_timeout = '15s';
ALTER ROLE kernel_system SET statement_timeout = '30s';
ALTER ROLE kernel_system SET lock_timeout = '5s';
ALTER ROLE kernel_system SET idle_in_transaction_session_timeout = '30s';
