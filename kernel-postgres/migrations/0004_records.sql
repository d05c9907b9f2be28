-- What happened: the audit log and the outbox, append-only and partitioned by month; and the answers kept for retries.

CREATE TABLE kernel.audit_log (
    workspace_id uuid        NOT NULL, -- no reference: the log outlives the workspace
    at           timestamptz NOT NULL DEFAULT now(), -- stamped here and not grantable: nobody backdates
    id           uuid        NOT NULL,
    xid          xid8        NOT NULL DEFAULT pg_current_xact_id(),
    actor_type   text        NOT NULL,
    actor_id     uuid        NOT NULL,
    actor_label  text        NOT NULL,
    action       text        NOT NULL,
    target_type  text        NOT NULL,
    target_id    text        NOT NULL,
    meta         jsonb       NOT NULL,
    ip           text,
    user_agent   text,
    request_id   text        NOT NULL,
    PRIMARY KEY (workspace_id, at, id) -- also the order of the listing
) PARTITION BY RANGE (at);
-- One for each filter of the listing, in the listing's order. An actor's and a target's id are of one kind only.
CREATE INDEX audit_log_actor ON kernel.audit_log (workspace_id, actor_id, at, id);
CREATE INDEX audit_log_action ON kernel.audit_log (workspace_id, action, at, id);
CREATE INDEX audit_log_target ON kernel.audit_log (workspace_id, target_id, at, id);
CREATE INDEX audit_log_target_type ON kernel.audit_log (workspace_id, target_type, at, id);

CREATE TABLE kernel.outbox (
    workspace_id uuid        NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    id           uuid        NOT NULL,
    xid          xid8        NOT NULL DEFAULT pg_current_xact_id(), -- the relay's cursor: ids alone skip late commits
    subject      text        NOT NULL,
    body         jsonb       NOT NULL,
    PRIMARY KEY (workspace_id, at, id)
) PARTITION BY RANGE (at);
CREATE INDEX outbox_order ON kernel.outbox (xid, id);

CREATE FUNCTION kernel.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON kernel.audit_log
    FOR EACH ROW EXECUTE FUNCTION kernel.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON kernel.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION kernel.refuse_change();

SELECT kernel.protect('kernel.audit_log');
REVOKE ALL ON kernel.audit_log FROM kernel_app, kernel_system;
GRANT SELECT, INSERT (workspace_id, id, actor_type, actor_id, actor_label, action, target_type, target_id, meta, ip, user_agent,
      request_id) ON kernel.audit_log TO kernel_app, kernel_system;

SELECT kernel.protect('kernel.outbox');
REVOKE ALL ON kernel.outbox FROM kernel_app, kernel_system;
GRANT INSERT (workspace_id, id, subject, body) ON kernel.outbox TO kernel_app;
GRANT SELECT, INSERT (workspace_id, id, subject, body) ON kernel.outbox TO kernel_system;

-- Claimed in the mutation's own transaction, answered by the same commit. The scope is a workspace or a person.
CREATE TABLE kernel.idempotency_keys (
    scope_id    uuid        NOT NULL,
    actor_type  text        NOT NULL,
    actor_id    uuid        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,
    status      int,
    body        bytea,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (scope_id, actor_type, actor_id, key)
);
CREATE INDEX idempotency_keys_expiry ON kernel.idempotency_keys (expires_at);
SELECT kernel.protect_global('kernel.idempotency_keys');
CREATE POLICY scope ON kernel.idempotency_keys TO kernel_app
    USING (scope_id = (SELECT kernel.ws()) OR scope_id = (SELECT kernel.me()))
    WITH CHECK (scope_id = (SELECT kernel.ws()) OR scope_id = (SELECT kernel.me()));
GRANT SELECT, INSERT, UPDATE (fingerprint, status, body, expires_at) ON kernel.idempotency_keys TO kernel_app;
GRANT SELECT, DELETE ON kernel.idempotency_keys TO kernel_system;
