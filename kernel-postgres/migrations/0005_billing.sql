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

-- What the running version has told the database, such as the limits of its plans.
CREATE TABLE kernel.settings (key text PRIMARY KEY, value text NOT NULL);
SELECT kernel.protect_global('kernel.settings');
GRANT SELECT, INSERT, UPDATE ON kernel.settings TO kernel_system;
