-- A product names its kernel's schema and roles itself.
CREATE SCHEMA beta;
CREATE TABLE beta.notes (
    workspace_id uuid NOT NULL,
    id           uuid NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
SELECT kernel_beta.protect('beta.notes');
