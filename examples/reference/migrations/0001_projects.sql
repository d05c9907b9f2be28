-- The product's own table. `protect` puts it behind its workspace and keeps the limit `projects`.
CREATE SCHEMA tracker;

CREATE TABLE tracker.projects (
    workspace_id    uuid        NOT NULL,
    id              uuid        NOT NULL,
    name            text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    status          text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'archived')),
    created_by_type text        NOT NULL,
    created_by_id   uuid        NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX projects_list ON tracker.projects (workspace_id, created_at DESC, id DESC);

SELECT kernel.protect('tracker.projects', counts => 'projects');
