CREATE SCHEMA notebook;

CREATE TABLE notebook.notes (
    workspace_id uuid        NOT NULL,
    id           uuid        NOT NULL,
    text         text        NOT NULL CHECK (char_length(text) BETWEEN 1 AND 500),
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id) -- begins with the workspace, so that references can include it
);
-- Row-level security for the table's owner too, the policies, the grants, and triggers that keep the limit `notes`.
SELECT kernel.protect('notebook.notes', counts => 'notes');
