-- Subscriptions, and the inbox of what providers sent.

CREATE TABLE kernel.subscriptions (
    workspace_id          uuid        NOT NULL REFERENCES kernel.workspaces,
    id                    uuid        NOT NULL,
    provider              text        NOT NULL,
    provider_subscription text        NOT NULL,
    provider_customer     text        NOT NULL,
    status                text        NOT NULL,
    plan                  text        NOT NULL,
    quantity              bigint      NOT NULL CHECK (quantity >= 0),
    period_start          timestamptz NOT NULL,
    period_end            timestamptz NOT NULL,
    cancel_at             timestamptz,
    ended_at              timestamptz,
    as_of                 timestamptz NOT NULL,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id, provider, provider_subscription)
);
CREATE INDEX subscriptions_provider ON kernel.subscriptions (provider, provider_subscription);
CREATE INDEX subscriptions_customer ON kernel.subscriptions (provider, provider_customer);
SELECT kernel.protect('kernel.subscriptions');
REVOKE INSERT, UPDATE, DELETE ON kernel.subscriptions FROM kernel_app;

-- Partitioned by the provider's own time: a unique key on a partitioned table must hold the partition column, and a
-- redelivery carries the same time.
CREATE TABLE kernel.webhook_inbox (
    provider        text        NOT NULL,
    event_id        text        NOT NULL,
    event_created   timestamptz NOT NULL,
    kind            text        NOT NULL,
    payload         jsonb       NOT NULL,
    state           text        NOT NULL DEFAULT 'RECEIVED'
                    CHECK (state IN ('RECEIVED', 'PROCESSING', 'PROCESSED', 'FAILED')),
    attempts        int         NOT NULL DEFAULT 0, -- claims; also what a holder proves its claim with
    error           text,                           -- of the last attempt that failed, or why it is a dead letter
    due_at          timestamptz, -- RECEIVED: at once; FAILED: when to try again; PROCESSING: when its lease ends; NULL: never
    received_at     timestamptz NOT NULL,
    finished_at     timestamptz,
    PRIMARY KEY (provider, event_id, event_created)
) PARTITION BY RANGE (event_created);
CREATE INDEX webhook_inbox_due ON kernel.webhook_inbox (provider, due_at, event_created) WHERE due_at IS NOT NULL;
SELECT kernel.protect_global('kernel.webhook_inbox');
GRANT SELECT, INSERT, UPDATE ON kernel.webhook_inbox TO kernel_system; -- and nothing to requests

-- The catalogs of plans that were applied. The highest number is in force; it changes only while nobody holds the advisory lock of
-- this table, which whoever writes entitlements from it shares.
CREATE TABLE kernel.catalogs (
    number      bigint PRIMARY KEY CHECK (number > 0),
    fingerprint text        NOT NULL,
    plans       jsonb       NOT NULL, -- each in the form of workspaces.entitlements, the free plan first
    applied_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz -- when every workspace had the entitlements of its plan
);
CREATE INDEX catalogs_fingerprint ON kernel.catalogs (fingerprint, number);
SELECT kernel.protect_global('kernel.catalogs');
GRANT SELECT, INSERT, UPDATE ON kernel.catalogs TO kernel_system;
GRANT SELECT ON kernel.catalogs TO kernel_lookup;
CREATE POLICY lookup ON kernel.catalogs FOR SELECT TO kernel_lookup USING (true);

-- A new workspace has the entitlements of the free plan. Until the transaction ends, no other catalog comes into force: whoever
-- applied it would overlook this workspace.
CREATE FUNCTION kernel.give_entitlements() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext('kernel.catalogs'));
    IF NEW.entitlements IS NULL THEN
        SELECT c.plans -> 0 INTO NEW.entitlements FROM kernel.catalogs c ORDER BY c.number DESC LIMIT 1;
    END IF;
    IF NEW.entitlements IS NULL THEN
        RAISE EXCEPTION 'a workspace needs the entitlements of the free plan, but no plans were applied to this database: call PgSystem::sync_catalog when the app starts';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION kernel.make_counters() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO kernel.usage (workspace_id, key) SELECT NEW.id, jsonb_object_keys(NEW.entitlements -> 'limits') ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE TRIGGER give_entitlements BEFORE INSERT ON kernel.workspaces FOR EACH ROW EXECUTE FUNCTION kernel.give_entitlements();
CREATE TRIGGER make_counters AFTER INSERT ON kernel.workspaces FOR EACH ROW EXECUTE FUNCTION kernel.make_counters();

-- What the newest catalog that has the limit allows on a plan, or on the free plan where it does not have that.
CREATE FUNCTION kernel.catalog_limit(plan_key text, limit_key text) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT p.terms -> 'limits' ->> limit_key
            FROM kernel.catalogs c CROSS JOIN jsonb_array_elements(c.plans) WITH ORDINALITY p(terms, nth)
            WHERE p.terms -> 'limits' ? limit_key AND (p.nth = 1 OR p.terms ->> 'plan' = plan_key)
            ORDER BY c.number DESC, p.nth DESC LIMIT 1);
END $$;

-- What a workspace's plan allows: a number, `unlimited`, or NULL if there is no such limit. Its entitlements say so; during a
-- rolling deploy a version may count what they do not know (any more, or yet), and then the catalogs do.
CREATE FUNCTION kernel.limit_of(workspace uuid, limit_key text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    has jsonb := (SELECT w.entitlements FROM kernel.workspaces w WHERE w.id = workspace);
BEGIN
    RETURN CASE WHEN has IS NOT NULL THEN coalesce(has -> 'limits' ->> limit_key, kernel.catalog_limit(has ->> 'plan', limit_key)) END;
END $$;

-- A counter that is inserted without a cap gets that of the workspace's plan; one of a limit that nobody knows stays at -1, which its
-- check refuses.
CREATE FUNCTION kernel.give_cap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.cap := nullif(coalesce(kernel.limit_of(NEW.workspace_id, NEW.key), '-1'), 'unlimited')::bigint;
    RETURN NEW;
END $$;
CREATE TRIGGER give_cap BEFORE INSERT ON kernel.usage FOR EACH ROW WHEN (NEW.cap = -1) EXECUTE FUNCTION kernel.give_cap();

-- Makes a counter if it is missing, and tells whether there is one now. It begins with 0: which rows it should have counted is not
-- known here. Of several that make it at once, all but one wait for the one, and then find it.
CREATE FUNCTION kernel.make_counter(workspace uuid, limit_key text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM kernel.usage u WHERE u.workspace_id = workspace AND u.key = limit_key) THEN
        RETURN true;
    END IF;
    IF kernel.limit_of(workspace, limit_key) IS NULL THEN
        RETURN false;
    END IF;
    INSERT INTO kernel.usage (workspace_id, key) VALUES (workspace, limit_key) ON CONFLICT DO NOTHING;
    RETURN true;
END $$;

REVOKE ALL ON FUNCTION kernel.give_entitlements, kernel.catalog_limit FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kernel.catalog_limit TO kernel_app, kernel_system;
GRANT CREATE ON SCHEMA kernel TO kernel_lookup;
ALTER FUNCTION kernel.give_entitlements OWNER TO kernel_lookup;
ALTER FUNCTION kernel.catalog_limit OWNER TO kernel_lookup;
REVOKE CREATE ON SCHEMA kernel FROM kernel_lookup;
