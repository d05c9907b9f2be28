-- What happened: the audit log with the personal data of its entries, and the outbox; and the answers kept for retries.
--
-- A record is about a subject: a workspace, a person, or the platform (whose id is nil). `workspace_id` says the same once more for
-- the policies, and is NULL where the subject is no workspace.

-- The order of records. A number is drawn when the record is inserted, which the flush does after it holds every row lock: of two
-- transactions that take the same row, the one that commits first has the lower numbers. CACHE 1: cached numbers are drawn early.
CREATE SEQUENCE kernel.audit_seq AS bigint CACHE 1;
CREATE SEQUENCE kernel.outbox_seq AS bigint CACHE 1;
GRANT USAGE ON SEQUENCE kernel.audit_seq, kernel.outbox_seq TO kernel_app, kernel_system;
GRANT SELECT ON SEQUENCE kernel.audit_seq, kernel.outbox_seq TO kernel_system; -- relays read how far it is

CREATE TABLE kernel.audit_log (
    subject_type text        NOT NULL,
    subject_id   uuid        NOT NULL, -- no reference: the log outlives its subject
    workspace_id uuid,
    at           timestamptz NOT NULL DEFAULT now(), -- stamped here and not grantable: nobody backdates
    id           uuid        NOT NULL,
    xid          xid8        NOT NULL DEFAULT pg_current_xact_id(), -- before seq: the transaction has its xid before it draws a number
    seq          bigint      NOT NULL DEFAULT nextval('kernel.audit_seq'),
    retention    text        NOT NULL CHECK (retention IN ('standard', 'security')),
    version      int         NOT NULL, -- of the form of meta
    actor_type   text        NOT NULL,
    actor_id     uuid        NOT NULL,
    actor_label  text        NOT NULL,
    acting_as    uuid,
    action       text        NOT NULL,
    target_type  text        NOT NULL,
    target_id    text        NOT NULL,
    meta         jsonb       NOT NULL,
    request_id   text        NOT NULL,
    trace        text, -- W3C traceparent
    CONSTRAINT subject CHECK (subject_type IN ('workspace', 'person', 'platform')
        AND (subject_type = 'platform') = (subject_id = '00000000-0000-0000-0000-000000000000')
        AND workspace_id IS NOT DISTINCT FROM CASE WHEN subject_type = 'workspace' THEN subject_id END),
    PRIMARY KEY (subject_id, at, id, retention) -- also the order of the listing; retention because Postgres wants it
) PARTITION BY LIST (retention);
-- One for each filter of the listing, in the listing's order. An actor's and a target's id are of one kind only.
CREATE INDEX audit_log_actor ON kernel.audit_log (subject_id, actor_id, at, id);
CREATE INDEX audit_log_action ON kernel.audit_log (subject_id, action, at, id);
CREATE INDEX audit_log_target ON kernel.audit_log (subject_id, target_id, at, id);
CREATE INDEX audit_log_target_type ON kernel.audit_log (subject_id, target_type, at, id);

-- What can be erased while the entry stays. It goes with its class at the latest.
CREATE TABLE kernel.audit_personal (
    subject_type text        NOT NULL,
    subject_id   uuid        NOT NULL,
    workspace_id uuid,
    at           timestamptz NOT NULL DEFAULT now(),
    id           uuid        NOT NULL,
    retention    text        NOT NULL CHECK (retention IN ('standard', 'security')),
    actor_id     uuid        NOT NULL,
    ip           text,
    user_agent   text,
    details      jsonb,
    CONSTRAINT subject CHECK (subject_type IN ('workspace', 'person', 'platform')
        AND (subject_type = 'platform') = (subject_id = '00000000-0000-0000-0000-000000000000')
        AND workspace_id IS NOT DISTINCT FROM CASE WHEN subject_type = 'workspace' THEN subject_id END),
    PRIMARY KEY (subject_id, at, id, retention) -- the entry's
) PARTITION BY LIST (retention);
CREATE INDEX audit_personal_actor ON kernel.audit_personal (actor_id);

CREATE TABLE kernel.outbox (
    subject_type text        NOT NULL,
    subject_id   uuid        NOT NULL,
    workspace_id uuid,
    at           timestamptz NOT NULL DEFAULT now(),
    id           uuid        NOT NULL,
    xid          xid8        NOT NULL DEFAULT pg_current_xact_id(), -- before seq, as in the audit log
    seq          bigint      NOT NULL DEFAULT nextval('kernel.outbox_seq'),
    version      int         NOT NULL, -- of the form of body
    actor_type   text        NOT NULL,
    actor_id     uuid        NOT NULL,
    actor_label  text        NOT NULL,
    acting_as    uuid,
    subject      text        NOT NULL, -- of the event: thing.happened
    body         jsonb       NOT NULL,
    request_id   text        NOT NULL,
    trace        text,
    CONSTRAINT subject CHECK (subject_type IN ('workspace', 'person', 'platform')
        AND (subject_type = 'platform') = (subject_id = '00000000-0000-0000-0000-000000000000')
        AND workspace_id IS NOT DISTINCT FROM CASE WHEN subject_type = 'workspace' THEN subject_id END),
    PRIMARY KEY (subject_id, at, id)
) PARTITION BY RANGE (at);
CREATE INDEX outbox_order ON kernel.outbox (seq);

CREATE FUNCTION kernel.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON kernel.audit_log
    FOR EACH ROW EXECUTE FUNCTION kernel.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON kernel.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION kernel.refuse_change();

-- Policies of their own instead of kernel.protect's. A request writes about its workspace, and about its person; it reads its
-- workspace's, and in a scope that has no workspace its person's. The platform's are the system's alone.
-- Reading is one comparison and not two that are alternatives: the planner then knows that it says the same as the query's own.
DO $$
DECLARE
    tbl text;
BEGIN
    FOREACH tbl IN ARRAY ARRAY['audit_log', 'audit_personal', 'outbox'] LOOP
        PERFORM kernel.protect_global(format('kernel.%I', tbl)::regclass);
        EXECUTE format('CREATE POLICY writes ON kernel.%I FOR INSERT TO kernel_app WITH CHECK '
                       '(workspace_id = (SELECT kernel.ws()) OR subject_type = ''person'' AND subject_id = (SELECT kernel.me()))', tbl);
        CONTINUE WHEN tbl = 'outbox'; -- a request cannot read it at all
        EXECUTE format('CREATE POLICY reads ON kernel.%I FOR SELECT TO kernel_app USING '
                       '(subject_id = COALESCE((SELECT kernel.ws()), (SELECT kernel.me())) '
                       'AND subject_type = CASE WHEN (SELECT kernel.ws()) IS NULL THEN ''person'' ELSE ''workspace'' END)', tbl);
    END LOOP;
END $$;

-- Neither at, nor xid, nor seq is written by anybody. A request does not read the numbers either: gaps tell how busy others are.
GRANT SELECT (subject_type, subject_id, workspace_id, at, id, retention, version, actor_type, actor_id, actor_label, acting_as, action,
      target_type, target_id, meta, request_id, trace) ON kernel.audit_log TO kernel_app;
GRANT SELECT ON kernel.audit_log TO kernel_system;
GRANT INSERT (subject_type, subject_id, workspace_id, id, retention, version, actor_type, actor_id, actor_label, acting_as, action,
      target_type, target_id, meta, request_id, trace) ON kernel.audit_log TO kernel_app, kernel_system;

GRANT SELECT, INSERT (subject_type, subject_id, workspace_id, id, retention, actor_id, ip, user_agent, details)
    ON kernel.audit_personal TO kernel_app, kernel_system;
GRANT DELETE ON kernel.audit_personal TO kernel_system;

GRANT SELECT ON kernel.outbox TO kernel_system;
GRANT INSERT (subject_type, subject_id, workspace_id, id, version, actor_type, actor_id, actor_label, acting_as, subject, body,
      request_id, trace) ON kernel.outbox TO kernel_app, kernel_system;

-- Claimed in the mutation's own transaction, answered by the same commit. The scope is a workspace or a person.
CREATE TABLE kernel.idempotency_keys (
    scope_id    uuid        NOT NULL,
    actor_type  text        NOT NULL,
    actor_id    uuid        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,
    status      int,
    headers     jsonb,      -- pairs of name and value, in their order
    body        bytea,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (scope_id, actor_type, actor_id, key)
);
CREATE INDEX idempotency_keys_expiry ON kernel.idempotency_keys (expires_at);
SELECT kernel.protect_global('kernel.idempotency_keys');
CREATE POLICY scope ON kernel.idempotency_keys TO kernel_app
    USING (scope_id = (SELECT kernel.ws()) OR scope_id = (SELECT kernel.me()))
    WITH CHECK (scope_id = (SELECT kernel.ws()) OR scope_id = (SELECT kernel.me()));
GRANT SELECT, INSERT, UPDATE (fingerprint, status, headers, body, expires_at) ON kernel.idempotency_keys TO kernel_app;
GRANT SELECT, DELETE ON kernel.idempotency_keys TO kernel_system;
