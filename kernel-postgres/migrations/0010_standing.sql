-- Standing: what a call was let in by (its session, membership or API key, and workspace), looked at again by its commit.
--
-- Each has a queue, an advisory lock. A commit shares it until its transaction ends, by its last statement. Whoever changes the row
-- takes it alone, by a deferred trigger, so that raw SQL does too: when its records are written, or at its commit. So a change waits
-- for the commits that looked before it, and a commit that looks after waits for the change and then sees it. Row locks always come
-- before the queues, and nobody in a queue waits for a row: the two cannot deadlock.

CREATE FUNCTION kernel.standing_queue(a uuid, b uuid) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN uuid_hash_extended(a, uuid_hash_extended(b, 0));

-- The version of a membership or workspace is the transaction that last changed it: it never comes back, also not when a member is
-- removed and joins again.
CREATE FUNCTION kernel.set_membership_version() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.authz_version := pg_current_xact_id()::text::bigint;
    RETURN NEW;
END $$;
CREATE TRIGGER set_version BEFORE INSERT OR UPDATE OF role, status, authz_version ON kernel.memberships
    FOR EACH ROW EXECUTE FUNCTION kernel.set_membership_version();

CREATE FUNCTION kernel.set_workspace_version() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.version := pg_current_xact_id()::text::bigint;
    RETURN NEW;
END $$;
CREATE TRIGGER set_version BEFORE INSERT OR UPDATE OF status, plan, access, entitlements, version ON kernel.workspaces
    FOR EACH ROW EXECUTE FUNCTION kernel.set_workspace_version();

CREATE FUNCTION kernel.wait_for_commits() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_TABLE_NAME = 'memberships' THEN
        PERFORM pg_advisory_xact_lock(kernel.standing_queue(OLD.workspace_id, OLD.user_id));
    ELSIF TG_TABLE_NAME = 'api_keys' THEN
        PERFORM pg_advisory_xact_lock(kernel.standing_queue(OLD.workspace_id, OLD.id));
    ELSE
        PERFORM pg_advisory_xact_lock(kernel.standing_queue(OLD.id, OLD.id));
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER wait_for_commits AFTER UPDATE OF role, status OR DELETE ON kernel.memberships
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION kernel.wait_for_commits();
CREATE CONSTRAINT TRIGGER wait_for_commits AFTER UPDATE OF status, plan, access, entitlements OR DELETE ON kernel.workspaces
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION kernel.wait_for_commits();
CREATE CONSTRAINT TRIGGER wait_for_commits AFTER DELETE ON kernel.sessions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION kernel.wait_for_commits();
CREATE CONSTRAINT TRIGGER wait_for_commits AFTER UPDATE OF revoked_at OR DELETE ON kernel.api_keys
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION kernel.wait_for_commits();
REVOKE ALL ON FUNCTION kernel.set_membership_version, kernel.set_workspace_version, kernel.wait_for_commits FROM PUBLIC;

-- For the commit. Takes the queues in one order, then looks. NULL: everything is as it was. `changed`: something is gone. Otherwise
-- only the version of the workspace changed, and this is its present state, in which what the call used may still be allowed.
-- Parameters that are NULL are not looked at.
CREATE FUNCTION kernel.recheck(of_session uuid, of_workspace uuid, of_member uuid, member_version bigint, of_key uuid, workspace_version bigint)
    RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    queued boolean;
    state  text;
BEGIN
    queued := pg_advisory_xact_lock_shared(kernel.standing_queue(of_session, of_session)) IS NULL;
    queued := pg_advisory_xact_lock_shared(kernel.standing_queue(of_workspace, coalesce(of_member, of_key))) IS NULL;
    -- Statements of their own: their snapshot is taken after the wait.
    IF of_workspace IS NULL THEN
        RETURN CASE WHEN of_session IS NOT NULL AND NOT EXISTS (SELECT FROM kernel.sessions s WHERE s.id = of_session) THEN 'changed' END;
    END IF;
    IF workspace_version IS NOT NULL THEN
        queued := pg_advisory_xact_lock_shared(kernel.standing_queue(of_workspace, of_workspace)) IS NULL;
    END IF;
    SELECT CASE WHEN workspace_version IS NOT NULL AND w.version <> workspace_version
                THEN jsonb_build_object('status', w.status, 'access', w.access,
                                        'features', w.entitlements -> 'features')::text END
    INTO state
    FROM kernel.workspaces w
    WHERE w.id = of_workspace AND w.status <> 'deleted'
      AND (of_session IS NULL OR EXISTS (SELECT FROM kernel.sessions s WHERE s.id = of_session))
      AND (of_member IS NULL OR EXISTS (SELECT FROM kernel.memberships m
                                        WHERE m.workspace_id = of_workspace AND m.user_id = of_member
                                          AND m.status = 'active' AND m.authz_version = member_version))
      AND (of_key IS NULL OR EXISTS (SELECT FROM kernel.api_keys k
                                     WHERE k.workspace_id = of_workspace AND k.id = of_key AND k.revoked_at IS NULL));
    RETURN CASE WHEN FOUND THEN state ELSE 'changed' END;
END $$;
REVOKE ALL ON FUNCTION kernel.recheck FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kernel.recheck TO kernel_app;
GRANT CREATE ON SCHEMA kernel TO kernel_lookup;
ALTER FUNCTION kernel.recheck OWNER TO kernel_lookup;
REVOKE CREATE ON SCHEMA kernel FROM kernel_lookup;
