-- Workspaces, their addresses and their members.

CREATE TABLE kernel.workspaces (
    id              uuid PRIMARY KEY,
    slug            text NOT NULL,
    name            text NOT NULL,
    status          text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'deleted')),
    plan            text, -- NULL: the free plan
    access          text NOT NULL DEFAULT 'full' CHECK (access IN ('full', 'grace', 'read_only')),
    version         bigint NOT NULL DEFAULT 0, -- of status, plan and access: the last transaction that changed one (0010)
    created_by_type text NOT NULL,
    created_by_id   uuid NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
);

-- Every slug a workspace has or had. Global on purpose: a taken slug is a deliberate answer. Deferred: the claim comes
-- first, so that a taken slug costs nothing but the claim.
CREATE TABLE kernel.slugs (
    slug         text PRIMARY KEY CHECK (slug ~ '^[a-z0-9][a-z0-9-]{1,38}[a-z0-9]$'),
    workspace_id uuid NOT NULL REFERENCES kernel.workspaces ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    created_at   timestamptz NOT NULL
);
CREATE INDEX slugs_workspace ON kernel.slugs (workspace_id);

CREATE TABLE kernel.memberships (
    workspace_id  uuid NOT NULL REFERENCES kernel.workspaces ON DELETE CASCADE,
    user_id       uuid NOT NULL REFERENCES kernel.users ON DELETE CASCADE,
    role          text NOT NULL,
    status        text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    authz_version bigint NOT NULL DEFAULT 0, -- of role and status: the last transaction that changed one (0010)
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, user_id)
);
CREATE INDEX memberships_user ON kernel.memberships (user_id, workspace_id);

SELECT kernel.protect('kernel.memberships');
-- One's own memberships, in one's own scope and not in one that has a workspace too: creating or joining one shows no other.
-- Settings only: a policy that read a table whose policy reads back would recurse.
CREATE POLICY self ON kernel.memberships FOR SELECT TO kernel_app
    USING (user_id = (SELECT kernel.me()) AND (SELECT kernel.ws()) IS NULL);

SELECT kernel.protect_global('kernel.workspaces');
CREATE POLICY tenant ON kernel.workspaces TO kernel_app USING (id = (SELECT kernel.ws())) WITH CHECK (id = (SELECT kernel.ws()));
CREATE POLICY mine ON kernel.workspaces FOR SELECT TO kernel_app
    USING ((SELECT kernel.ws()) IS NULL
           AND id IN (SELECT m.workspace_id FROM kernel.memberships m WHERE m.user_id = (SELECT kernel.me()) AND m.status = 'active'));
-- Neither plan nor access: a request cannot raise its own plan.
GRANT SELECT, INSERT (id, slug, name, created_by_type, created_by_id, created_at, updated_at),
      UPDATE (slug, name, updated_at) ON kernel.workspaces TO kernel_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON kernel.workspaces TO kernel_system;

SELECT kernel.protect_global('kernel.slugs');
CREATE POLICY tenant ON kernel.slugs TO kernel_app
    USING (workspace_id = (SELECT kernel.ws())) WITH CHECK (workspace_id = (SELECT kernel.ws()));
GRANT SELECT, INSERT ON kernel.slugs TO kernel_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON kernel.slugs TO kernel_system;

CREATE POLICY colleague ON kernel.users FOR SELECT TO kernel_app
    USING (id IN (SELECT m.user_id FROM kernel.memberships m WHERE m.workspace_id = (SELECT kernel.ws())));

-- A request changes what a member may do, never whose the membership is: moved to another person, it would show their
-- address to the workspace.
REVOKE UPDATE ON kernel.memberships FROM kernel_app;
GRANT UPDATE (role, updated_at) ON kernel.memberships TO kernel_app;
-- It makes nobody a member but the person it acts for, and that person only where the scope holds both.
CREATE POLICY oneself ON kernel.memberships AS RESTRICTIVE FOR INSERT TO kernel_app
    WITH CHECK (user_id = (SELECT kernel.me()));

ALTER TABLE kernel.usage ADD FOREIGN KEY (workspace_id) REFERENCES kernel.workspaces ON DELETE CASCADE;
