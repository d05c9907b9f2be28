-- Members are counted as seats; invites lead to membership.

-- Every workspace has the counter; what its plan allows is set by the catalog.
INSERT INTO kernel.usage (workspace_id, key, used)
SELECT w.id, 'members', (SELECT count(*) FROM kernel.memberships m WHERE m.workspace_id = w.id) FROM kernel.workspaces w
ON CONFLICT (workspace_id, key) DO UPDATE SET used = excluded.used;
SELECT kernel.protect('kernel.memberships', counts => 'members');
CREATE INDEX memberships_list ON kernel.memberships (workspace_id, created_at, user_id);

CREATE TABLE kernel.invites (
    workspace_id uuid NOT NULL REFERENCES kernel.workspaces ON DELETE CASCADE,
    id           uuid NOT NULL,
    email        text NOT NULL,
    email_lower  text NOT NULL,
    role         text NOT NULL,
    token_hash   bytea NOT NULL CHECK (octet_length(token_hash) = 32),
    invited_by   uuid NOT NULL, -- no reference: the invite tells who it was, also when they are gone
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    accepted_at  timestamptz,
    accepted_by  uuid,
    revoked_at   timestamptz,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX invites_token ON kernel.invites (token_hash);
-- One open invite to an address: a second one replaces it.
CREATE UNIQUE INDEX invites_open ON kernel.invites (workspace_id, email_lower) WHERE accepted_at IS NULL AND revoked_at IS NULL;
CREATE INDEX invites_list ON kernel.invites (workspace_id, created_at DESC, id DESC) WHERE accepted_at IS NULL AND revoked_at IS NULL;
SELECT kernel.protect('kernel.invites');
REVOKE UPDATE, DELETE ON kernel.invites FROM kernel_app;
GRANT UPDATE (email, role, token_hash, invited_by, created_at, expires_at, accepted_at, accepted_by, revoked_at)
    ON kernel.invites TO kernel_app;
-- An invite that was accepted or revoked stays so.
CREATE POLICY still_open ON kernel.invites AS RESTRICTIVE FOR UPDATE TO kernel_app
    USING (accepted_at IS NULL AND revoked_at IS NULL) WITH CHECK (true);

GRANT SELECT ON kernel.invites TO kernel_lookup;
CREATE POLICY lookup ON kernel.invites FOR SELECT TO kernel_lookup USING (true);
CREATE FUNCTION kernel.invite_lookup(hash bytea,
    OUT id uuid, OUT workspace_id uuid, OUT email_lower text, OUT role text, OUT invited_by uuid)
    RETURNS SETOF record LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT i.id, i.workspace_id, i.email_lower, i.role, i.invited_by
    FROM kernel.invites i JOIN kernel.workspaces w ON w.id = i.workspace_id AND w.status = 'active'
    WHERE i.token_hash = hash LIMIT 1;
END $$;
REVOKE ALL ON FUNCTION kernel.invite_lookup FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kernel.invite_lookup TO kernel_app, kernel_system;
GRANT CREATE ON SCHEMA kernel TO kernel_lookup;
ALTER FUNCTION kernel.invite_lookup OWNER TO kernel_lookup;
REVOKE CREATE ON SCHEMA kernel FROM kernel_lookup;
