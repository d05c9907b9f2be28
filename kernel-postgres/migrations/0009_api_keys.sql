-- API keys: a program's way into one workspace.

CREATE TABLE kernel.api_keys (
    workspace_id uuid        NOT NULL REFERENCES kernel.workspaces ON DELETE CASCADE,
    id           uuid        NOT NULL,
    name         text        NOT NULL,
    prefix       text        NOT NULL,
    token_hash   bytea       NOT NULL CHECK (octet_length(token_hash) = 32),
    scopes       text[]      NOT NULL,
    created_by   uuid        NOT NULL, -- no reference: the key outlives its maker's account
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX api_keys_token ON kernel.api_keys (token_hash);
CREATE INDEX api_keys_list ON kernel.api_keys (workspace_id, created_at DESC, id DESC) WHERE revoked_at IS NULL;
SELECT kernel.protect('kernel.api_keys');
-- What a key may do is decided when it is made; a request can only end it, or note its use.
REVOKE UPDATE, DELETE ON kernel.api_keys FROM kernel_app;
GRANT UPDATE (last_used_at, revoked_at) ON kernel.api_keys TO kernel_app;
-- A revoked key stays revoked.
CREATE POLICY not_revoked ON kernel.api_keys AS RESTRICTIVE FOR UPDATE TO kernel_app
    USING (revoked_at IS NULL) WITH CHECK (true);

GRANT SELECT ON kernel.api_keys TO kernel_lookup;
CREATE POLICY lookup ON kernel.api_keys FOR SELECT TO kernel_lookup USING (true);
-- The key of a token, and its workspace if that is the one asked for, by id or by slug.
CREATE FUNCTION kernel.authenticate_api_key(hash bytea, by_id uuid, by_slug text, at timestamptz,
    OUT key_id uuid, OUT scopes text[], OUT last_used_at timestamptz,
    OUT workspace_id uuid, OUT workspace_status text, OUT workspace_version bigint, OUT plan text, OUT access text)
    RETURNS SETOF record LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT k.id, k.scopes, k.last_used_at, asked.id, asked.status, asked.version, asked.plan, asked.access
    FROM kernel.api_keys k
    JOIN kernel.workspaces w ON w.id = k.workspace_id AND w.status <> 'deleted'
    LEFT JOIN LATERAL (
        SELECT w.id, w.status, w.version, w.plan, w.access
        WHERE w.id = by_id OR EXISTS (SELECT FROM kernel.slugs g WHERE g.slug = by_slug AND g.workspace_id = w.id)
    ) AS asked ON true
    WHERE k.token_hash = hash AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > at) LIMIT 1;
END $$;
REVOKE ALL ON FUNCTION kernel.authenticate_api_key FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kernel.authenticate_api_key TO kernel_app, kernel_system;
GRANT CREATE ON SCHEMA kernel TO kernel_lookup;
ALTER FUNCTION kernel.authenticate_api_key OWNER TO kernel_lookup;
REVOKE CREATE ON SCHEMA kernel FROM kernel_lookup;
