-- Members are counted as seats; invites lead to membership.

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
-- The workspace that the invite of a token leads `invitee` into. It is told only to the account with its address, while the invite is
-- open, or after they accepted it and while they belong there (a link that is followed twice). To anybody else only why not: the
-- invite is `for_another`, `accepted` by somebody who no longer belongs there, or `closed`.
CREATE FUNCTION kernel.invite_lookup(hash bytea, invitee uuid, at timestamptz, OUT workspace_id uuid, OUT problem text)
    RETURNS SETOF record LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT CASE WHEN found.problem IS NULL THEN found.workspace_id END, found.problem
    FROM (
        SELECT i.workspace_id,
               CASE WHEN u.id IS NULL THEN 'for_another'
                    WHEN i.accepted_by = invitee THEN CASE WHEN NOT EXISTS (
                        SELECT FROM kernel.memberships m
                        WHERE m.workspace_id = i.workspace_id AND m.user_id = invitee AND m.status = 'active') THEN 'accepted' END
                    WHEN i.accepted_at IS NOT NULL OR i.revoked_at IS NOT NULL OR i.expires_at <= at THEN 'closed' END AS problem
        FROM kernel.invites i
        JOIN kernel.workspaces w ON w.id = i.workspace_id AND w.status = 'active'
        LEFT JOIN kernel.users u ON u.id = invitee AND u.email_lower = i.email_lower
        WHERE i.token_hash = hash LIMIT 1
    ) AS found;
END $$;
REVOKE ALL ON FUNCTION kernel.invite_lookup FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kernel.invite_lookup TO kernel_app, kernel_system;
GRANT CREATE ON SCHEMA kernel TO kernel_lookup;
ALTER FUNCTION kernel.invite_lookup OWNER TO kernel_lookup;
REVOKE CREATE ON SCHEMA kernel FROM kernel_lookup;
