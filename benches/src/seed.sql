-- Everybody's rows: those of the kernel, and the same in `peer`, for the route that is written by hand. The number of
-- workspaces and of each one's projects come as settings.
SET session_replication_role = replica; -- the counters are filled below, not row by row
SET jit = off;

CREATE FUNCTION pg_temp.v7(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT overlay(gen_random_uuid()::text PLACING substr(hex, 1, 8) || '-' || substr(hex, 9, 4) || '-7' FROM 1 FOR 15)::uuid
    FROM lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') hex
$$;

CREATE TEMP TABLE tenants AS
SELECT n, lpad(n::text, 4, '0') AS no, at, pg_temp.v7(at) AS workspace, pg_temp.v7(at) AS person, pg_temp.v7(at) AS session
FROM generate_series(0, current_setting('bench.workspaces')::int - 1) n, LATERAL (SELECT now() - interval '30 days' + n * interval '1 minute' AS at) t;

INSERT INTO kernel.users (id, email, email_lower, name, password_hash, created_at, updated_at)
SELECT person, no || '@bench.example', no || '@bench.example', 'Person ' || no, 'nobody logs in', at, at FROM tenants;
INSERT INTO kernel.workspaces (id, slug, name, plan, entitlements, created_by_type, created_by_id, created_at, updated_at)
SELECT workspace, 'bench-' || no, 'Workspace ' || no, 'enterprise', terms, 'user', person, at, at
FROM tenants, (SELECT p AS terms FROM kernel.catalogs, jsonb_array_elements(plans) p WHERE p ->> 'plan' = 'enterprise') enterprise;
INSERT INTO kernel.slugs (slug, workspace_id, created_at) SELECT 'bench-' || no, workspace, at FROM tenants;
INSERT INTO kernel.memberships (workspace_id, user_id, role, created_at, updated_at)
SELECT workspace, person, 'member', at, at FROM tenants;
INSERT INTO kernel.sessions (id, user_id, token_hash, created_at, seen_at, expires_at)
SELECT session, person, sha256(convert_to('bench-session-' || no, 'UTF8')), now(), now(), now() + interval '1 day' FROM tenants;
INSERT INTO kernel.api_keys (workspace_id, id, name, prefix, token_hash, scopes, created_by, created_at, last_used_at)
SELECT workspace, pg_temp.v7(at), 'key', 'sk_bench-ke', sha256(convert_to('sk_bench-key-' || no, 'UTF8')), ARRAY['project.read', 'project.create'],
       person, at, now() + interval '1 hour' -- noting the use is not part of the request
FROM tenants;
INSERT INTO kernel.usage (workspace_id, key, used, cap)
SELECT workspace, key, CASE key WHEN 'projects' THEN current_setting('bench.projects')::int ELSE 1 END, NULL
FROM tenants, unnest(ARRAY['projects', 'members']) key;

-- In the order in which they would have come: a workspace's rows do not lie side by side.
INSERT INTO tracker.projects (workspace_id, id, name, status, created_by_type, created_by_id, created_at, updated_at)
SELECT workspace, pg_temp.v7(made), 'Project ' || g, (ARRAY['active', 'paused', 'archived'])[1 + g % 3], 'user', person, made, made
FROM tenants, generate_series(1, current_setting('bench.projects')::int) g,
     LATERAL (SELECT now() - interval '1 day' + g * interval '1 minute' + n * interval '1 millisecond' AS made) t
ORDER BY made;

-- The same tables with the same keys, indexes and checks; without policies, triggers and partitions.
CREATE SCHEMA peer;
CREATE TABLE peer.workspaces (LIKE kernel.workspaces INCLUDING ALL);
CREATE UNIQUE INDEX ON peer.workspaces (slug);
CREATE TABLE peer.memberships (LIKE kernel.memberships INCLUDING ALL);
CREATE TABLE peer.sessions (LIKE kernel.sessions INCLUDING ALL);
CREATE TABLE peer.api_keys (LIKE kernel.api_keys INCLUDING ALL);
CREATE TABLE peer.usage (LIKE kernel.usage INCLUDING ALL);
CREATE TABLE peer.audit_log (LIKE kernel.audit_log INCLUDING ALL);
ALTER TABLE peer.audit_log ADD ip text, ADD user_agent text; -- by hand they would be in one table
CREATE TABLE peer.outbox (LIKE kernel.outbox INCLUDING ALL);
CREATE TABLE peer.projects (LIKE tracker.projects INCLUDING ALL);
ALTER TABLE peer.usage SET (fillfactor = 50);
INSERT INTO peer.workspaces SELECT * FROM kernel.workspaces;
INSERT INTO peer.memberships SELECT * FROM kernel.memberships;
INSERT INTO peer.sessions SELECT * FROM kernel.sessions;
INSERT INTO peer.api_keys SELECT * FROM kernel.api_keys;
INSERT INTO peer.usage SELECT * FROM kernel.usage;
INSERT INTO peer.projects SELECT * FROM tracker.projects;

CREATE ROLE bench_peer LOGIN;
GRANT USAGE ON SCHEMA peer TO bench_peer;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA peer TO bench_peer;
GRANT USAGE ON SEQUENCE kernel.audit_seq, kernel.outbox_seq TO bench_peer; -- the copied defaults draw from them
-- What kernel_app has, and every service should have.
ALTER ROLE bench_peer SET statement_timeout = '5s';
ALTER ROLE bench_peer SET lock_timeout = '2s';
ALTER ROLE bench_peer SET idle_in_transaction_session_timeout = '15s';

-- For the steps in between: the kernel's tables without their policies, but with its look-up function.
GRANT USAGE ON SCHEMA peer TO kernel_app;
GRANT SELECT ON peer.projects TO kernel_app;
SET session_replication_role = origin;
