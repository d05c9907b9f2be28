CREATE SCHEMA counted;
CREATE TABLE counted.rows (
    workspace_id uuid NOT NULL,
    id           uuid NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
SELECT kernel.protect('counted.rows', counts => 'projects');
