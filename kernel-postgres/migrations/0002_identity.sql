-- Accounts and sessions: global tables, each row visible to its owner.

CREATE TABLE kernel.users (
    id                uuid PRIMARY KEY,
    email             text NOT NULL,
    email_lower       text NOT NULL UNIQUE, -- stored: lower() is not leakproof and could use no index under row-level security
    name              text NOT NULL,
    password_hash     text NOT NULL,
    email_verified_at timestamptz,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL
);

CREATE TABLE kernel.sessions (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES kernel.users ON DELETE CASCADE,
    token_hash bytea NOT NULL CHECK (octet_length(token_hash) = 32),
    created_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ip         text,
    user_agent text
);
CREATE INDEX sessions_token ON kernel.sessions (token_hash);
CREATE INDEX sessions_user ON kernel.sessions (user_id);

SELECT kernel.protect_global('kernel.users');
SELECT kernel.protect_global('kernel.sessions');

CREATE POLICY self ON kernel.users TO kernel_app USING (id = (SELECT kernel.me())) WITH CHECK (id = (SELECT kernel.me()));
CREATE POLICY self ON kernel.sessions TO kernel_app
    USING (user_id = (SELECT kernel.me())) WITH CHECK (user_id = (SELECT kernel.me()));

-- The hash is read by the login look-up only.
GRANT SELECT (id, email, email_lower, name, email_verified_at, created_at, updated_at),
      INSERT (id, email, email_lower, name, password_hash, created_at, updated_at) -- not email_verified_at
      ON kernel.users TO kernel_app;
GRANT SELECT, INSERT, UPDATE (seen_at, expires_at) ON kernel.sessions TO kernel_app; -- ended by kernel.end_session
GRANT SELECT, INSERT, UPDATE, DELETE ON kernel.users, kernel.sessions TO kernel_system;
