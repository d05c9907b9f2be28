-- A product with one table, and a journal of every committed change.
CREATE SCHEMA app AUTHORIZATION kernel_owner;
SET ROLE kernel_owner;
CREATE TABLE app.items (
    workspace_id    uuid NOT NULL,
    id              uuid NOT NULL,
    actor_id        uuid NOT NULL, -- who changed it last
    standing        text NOT NULL, -- the role that their call was let in with; `api_key` for a key
    idempotency_key text,
    deleted_at      timestamptz,
    PRIMARY KEY (workspace_id, id)
);
SELECT kernel.protect('app.items', counts => 'items');
RESET ROLE;

-- The triggers are deferred: a number is drawn by the commit, while the transaction still holds all its row locks. So of two
-- transactions that change the same locked row (a counter, a membership, a workspace) the one that commits first has the lower
-- numbers, and the journal can be read as the order in which things happened.
CREATE SCHEMA history;
CREATE TABLE history.journal (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid          xid8   NOT NULL DEFAULT pg_current_xact_id(),
    workspace_id uuid   NOT NULL,
    tbl          text   NOT NULL,
    old          jsonb,
    new          jsonb
);
CREATE INDEX ON history.journal (workspace_id);

CREATE FUNCTION history.write() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    after  jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    known  jsonb := coalesce(after, before);
BEGIN
    INSERT INTO history.journal (workspace_id, tbl, old, new)
    VALUES (coalesce(known ->> 'workspace_id', known #>> '{payload,workspace}', known ->> 'id')::uuid, TG_ARGV[0], before, after);
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER journal AFTER INSERT OR UPDATE OR DELETE ON app.items
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION history.write('items');
CREATE CONSTRAINT TRIGGER journal AFTER INSERT OR UPDATE OR DELETE ON kernel.memberships
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION history.write('memberships');
CREATE CONSTRAINT TRIGGER journal AFTER INSERT OR UPDATE ON kernel.invites
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION history.write('invites');
CREATE CONSTRAINT TRIGGER journal AFTER INSERT OR UPDATE OF revoked_at ON kernel.api_keys
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION history.write('api_keys');
CREATE CONSTRAINT TRIGGER journal AFTER INSERT OR UPDATE OF cap ON kernel.usage
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION history.write('usage');
CREATE CONSTRAINT TRIGGER journal AFTER INSERT OR UPDATE OF name, slug ON kernel.workspaces
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION history.write('workspaces');
CREATE CONSTRAINT TRIGGER journal AFTER INSERT OR UPDATE ON kernel.subscriptions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION history.write('subscriptions');
CREATE CONSTRAINT TRIGGER journal AFTER INSERT ON kernel.audit_log
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION history.write('audit_log');
CREATE CONSTRAINT TRIGGER journal AFTER INSERT ON kernel.outbox
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION history.write('outbox');
-- A processor has applied the event.
CREATE CONSTRAINT TRIGGER journal AFTER UPDATE ON kernel.webhook_inbox
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.finished_at IS NOT NULL AND NEW.error IS NULL)
    EXECUTE FUNCTION history.write('applied');
