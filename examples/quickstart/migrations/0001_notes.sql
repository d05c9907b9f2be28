CREATE SCHEMA quickstart;
CREATE TABLE quickstart.notes (
    workspace_id uuid        NOT NULL,
    id           uuid        NOT NULL DEFAULT gen_random_uuid(),
    text         text        NOT NULL CHECK (char_length(text) BETWEEN 1 AND 500),
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, id)
);
-- From here on a workspace sees its own notes only, and the plan's limit `notes` holds for every row.
SELECT kernel.protect('quickstart.notes', counts => 'notes');
