-- A product names its kernel's schema and roles itself.
CREATE SCHEMA acme;
CREATE TABLE acme.notes (
    workspace_id uuid NOT NULL,
    id           uuid NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
SELECT kernel_acme.protect('acme.notes');
