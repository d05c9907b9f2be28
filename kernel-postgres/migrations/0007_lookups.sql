-- What is found before a scope is known. Each function belongs to kernel_lookup, which owns nothing else, answers one row
-- for one secret or exact key, and cannot be used to enumerate. plpgsql: it keeps its plans.

GRANT SELECT ON kernel.users, kernel.sessions, kernel.workspaces, kernel.slugs, kernel.memberships TO kernel_lookup;
CREATE POLICY lookup ON kernel.users FOR SELECT TO kernel_lookup USING (true);
CREATE POLICY lookup ON kernel.sessions FOR SELECT TO kernel_lookup USING (true);
GRANT DELETE ON kernel.sessions TO kernel_lookup;
CREATE POLICY ending ON kernel.sessions FOR DELETE TO kernel_lookup USING (true);
CREATE POLICY lookup ON kernel.workspaces FOR SELECT TO kernel_lookup USING (true);
CREATE POLICY lookup ON kernel.slugs FOR SELECT TO kernel_lookup USING (true);
CREATE POLICY lookup ON kernel.memberships FOR SELECT TO kernel_lookup USING (true);

-- The session of a token, and its user's membership in the workspace asked for, by id or by slug. A stranger, a missing workspace
-- and a deleted one all give NULLs; a suspended membership or workspace is told to the member.
CREATE FUNCTION kernel.authenticate_session(hash bytea, by_id uuid, by_slug text, at timestamptz,
    OUT session_id uuid, OUT user_id uuid, OUT created_at timestamptz, OUT seen_at timestamptz,
    OUT workspace_id uuid, OUT workspace_status text, OUT workspace_version bigint, OUT plan text, OUT access text,
    OUT role text, OUT member_status text, OUT member_version bigint)
    RETURNS SETOF record LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF by_slug IS NOT NULL THEN
        RETURN QUERY
        SELECT s.id, s.user_id, s.created_at, s.seen_at, w.id, w.status, w.version, w.plan, w.access, m.role, m.status, m.authz_version
        FROM kernel.sessions s
        LEFT JOIN (kernel.slugs g
                   JOIN kernel.workspaces w ON w.id = g.workspace_id AND w.status <> 'deleted'
                   JOIN kernel.memberships m ON m.workspace_id = g.workspace_id)
               ON g.slug = by_slug AND m.user_id = s.user_id
        WHERE s.token_hash = hash AND s.expires_at > at LIMIT 1;
    ELSE
        RETURN QUERY
        SELECT s.id, s.user_id, s.created_at, s.seen_at, w.id, w.status, w.version, w.plan, w.access, m.role, m.status, m.authz_version
        FROM kernel.sessions s
        LEFT JOIN (kernel.workspaces w
                   JOIN kernel.memberships m ON m.workspace_id = w.id)
               ON w.id = by_id AND w.status <> 'deleted' AND m.user_id = s.user_id
        WHERE s.token_hash = hash AND s.expires_at > at LIMIT 1;
    END IF;
END $$;

CREATE FUNCTION kernel.login_lookup(address text, OUT user_id uuid, OUT password_hash text)
    RETURNS SETOF record LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT u.id, u.password_hash FROM kernel.users u WHERE u.email_lower = address;
END $$;

-- To know the token is to hold the session: whoever presents it may end it, also while signing in as somebody else. Answers the id
-- of the session that was ended.
CREATE FUNCTION kernel.end_session(hash bytea) RETURNS uuid
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ended uuid;
BEGIN
    DELETE FROM kernel.sessions s WHERE s.token_hash = hash RETURNING s.id INTO ended;
    RETURN ended;
END $$;

REVOKE ALL ON FUNCTION kernel.authenticate_session, kernel.login_lookup, kernel.end_session FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kernel.authenticate_session, kernel.login_lookup, kernel.end_session TO kernel_app, kernel_system;
-- A function's new owner must be able to create in its schema, for that moment.
GRANT CREATE ON SCHEMA kernel TO kernel_lookup;
ALTER FUNCTION kernel.authenticate_session OWNER TO kernel_lookup;
ALTER FUNCTION kernel.login_lookup OWNER TO kernel_lookup;
ALTER FUNCTION kernel.end_session OWNER TO kernel_lookup;
REVOKE CREATE ON SCHEMA kernel FROM kernel_lookup;
