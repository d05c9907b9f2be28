//! One defect each, as somebody in a hurry would make it.

/// What is planted and what the doctor has to say.
pub(crate) struct Defect {
    /// The check that finds it.
    pub(crate) check: &'static str,
    /// On what.
    pub(crate) object: &'static str,
    /// The SQL that makes it.
    pub(crate) plant: &'static str,
    /// Whether the fix can be run as it stands; otherwise it is a comment for a person.
    pub(crate) mended: bool,
}

const fn defect(check: &'static str, object: &'static str, plant: &'static str) -> Defect {
    Defect { check, object, plant, mended: true }
}

const fn for_a_person(check: &'static str, object: &'static str, plant: &'static str) -> Defect {
    Defect { check, object, plant, mended: false }
}

/// Of one database.
pub(crate) const DEFECTS: &[Defect] = &[
    // tables
    defect("rls_disabled", "app.tasks", "ALTER TABLE app.tasks DISABLE ROW LEVEL SECURITY"),
    defect("rls_disabled", "kernel.memberships", "ALTER TABLE kernel.memberships DISABLE ROW LEVEL SECURITY"),
    defect(
        "rls_disabled",
        "public.forgotten",
        "CREATE TABLE public.forgotten (workspace_id uuid NOT NULL, id uuid NOT NULL, PRIMARY KEY (workspace_id, id));
         GRANT SELECT ON public.forgotten TO kernel_app",
    ),
    defect("rls_not_forced", "app.tasks", "ALTER TABLE app.tasks NO FORCE ROW LEVEL SECURITY"),
    defect("rls_not_forced", "kernel.users", "ALTER TABLE kernel.users NO FORCE ROW LEVEL SECURITY"),
    defect("reachable_without_rls", "kernel.users", "ALTER TABLE kernel.users DISABLE ROW LEVEL SECURITY"),
    defect(
        "reachable_without_rls",
        "app.notes",
        "CREATE TABLE app.notes (id uuid PRIMARY KEY, body text); GRANT SELECT (body) ON app.notes TO PUBLIC",
    ),
    defect(
        "reachable_without_rls",
        "app.reports",
        "CREATE TABLE app.reports (id uuid PRIMARY KEY); CREATE ROLE defect_group; GRANT SELECT ON app.reports TO defect_group;
         GRANT defect_group TO kernel_system",
    ),
    defect("workspace_id_nullable", "app.hits", "CREATE TABLE app.hits (workspace_id uuid, id uuid PRIMARY KEY, hit int);
         ALTER TABLE app.hits ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"),
    defect(
        "workspace_id_type",
        "app.hits",
        "CREATE TABLE app.hits (workspace_id text NOT NULL, id uuid NOT NULL, PRIMARY KEY (workspace_id, id))",
    ),
    defect(
        "primary_key",
        "app.visits",
        "ALTER TABLE app.visits DROP CONSTRAINT visits_pkey, ADD PRIMARY KEY (id, workspace_id, at)",
    ),
    for_a_person("primary_key", "app.hits", "CREATE TABLE app.hits (workspace_id uuid NOT NULL)"),
    for_a_person(
        "shared_sequence",
        "column number OF app.tasks",
        "ALTER TABLE app.tasks ADD number bigint GENERATED ALWAYS AS IDENTITY",
    ),
    for_a_person("shared_sequence", "column number OF app.tasks", "ALTER TABLE app.tasks ADD number serial"),
    defect("materialized_view", "app.totals", "CREATE MATERIALIZED VIEW app.totals AS SELECT count(*) FROM app.open_projects"),
    // policies
    defect("no_tenant_policy", "app.tasks", "DROP POLICY tenant ON app.tasks"),
    defect("no_tenant_policy", "app.tasks", "DROP POLICY tenant ON app.tasks; CREATE POLICY tenant ON app.tasks FOR SELECT TO kernel_app
         USING (workspace_id = (SELECT kernel.ws()))"),
    defect("policy_too_wide", "policy anyone ON app.tasks", "CREATE POLICY anyone ON app.tasks FOR SELECT TO kernel_app USING (true)"),
    defect("policy_too_wide", "policy anyone ON app.tasks", "CREATE POLICY anyone ON app.tasks TO PUBLIC USING (title <> '')"),
    defect("policy_too_wide", "policy own ON app.tasks", "CREATE POLICY own ON app.tasks TO kernel_app
         USING (workspace_id = (SELECT kernel.ws()) OR title = 'public')"),
    defect("policy_too_wide", "policy puts ON app.tasks", "CREATE POLICY puts ON app.tasks FOR INSERT TO kernel_app WITH CHECK (true)"),
    defect("policy_too_wide", "policy moves ON app.tasks", "CREATE POLICY moves ON app.tasks FOR UPDATE TO kernel_app
         USING (workspace_id = (SELECT kernel.ws())) WITH CHECK (true)"),
    defect("policy_too_wide", "policy tenant ON app.tasks", "ALTER POLICY tenant ON app.tasks USING (true)"),
    defect("policy_too_wide", "policy seen ON kernel.users", "CREATE POLICY seen ON kernel.users FOR SELECT TO kernel_app USING (true)"),
    defect("policy_per_row", "policy tenant ON app.tasks", "ALTER POLICY tenant ON app.tasks USING (workspace_id = kernel.ws())"),
    defect("policy_per_row", "policy tenant ON app.visits", "ALTER POLICY tenant ON app.visits WITH CHECK (workspace_id = kernel.ws())"),
    defect("policy_per_row", "policy own ON app.tasks", "CREATE POLICY own ON app.tasks TO PUBLIC USING (workspace_id = (SELECT kernel.ws())
         AND EXISTS (SELECT FROM kernel.memberships m WHERE m.workspace_id = tasks.workspace_id AND m.user_id = kernel.me()))"),
    defect("policy_per_row", "policy open ON app.projects", "CREATE POLICY open ON app.projects AS RESTRICTIVE TO kernel_app
         USING (state = 'open' OR (SELECT kernel.ws() = workspace_id))"),
    defect("policy_per_row", "policy self ON kernel.sessions", "ALTER POLICY self ON kernel.sessions USING (user_id = kernel.me())"),
    // also wide: altered, then dropped
    defect("policy_per_row", "policy own ON app.tasks", "CREATE POLICY own ON app.tasks TO kernel_app USING (workspace_id = kernel.ws() OR title = 'public')"),
    defect("scope_function", "function kernel.ws()", "CREATE OR REPLACE FUNCTION kernel.ws() RETURNS uuid LANGUAGE sql STABLE
         RETURN coalesce(nullif(current_setting('app.workspace_id', true), ''), current_setting('app.default', true))::uuid"),
    // grants
    defect("dangerous_grant", "app.tasks", "GRANT TRUNCATE ON app.tasks TO kernel_app"),
    defect("dangerous_grant", "app.tasks", "GRANT ALL ON app.tasks TO kernel_system"),
    defect("dangerous_grant", "kernel.users", "GRANT REFERENCES (id) ON kernel.users TO kernel_app"),
    defect("dangerous_grant", "app.projects", "GRANT TRIGGER ON app.projects TO PUBLIC"),
    defect("partition_grant", "app.visits_default", "GRANT SELECT ON app.visits_default TO kernel_app"),
    defect("partition_grant", "kernel.audit_log_standard_default", "GRANT INSERT (action) ON kernel.audit_log_standard_default TO kernel_system"),
    defect("partition_grant", "kernel.outbox_default", "GRANT DELETE ON kernel.outbox_default TO kernel_app"),
    defect("partition_grant", "kernel.audit_log_standard_default", "GRANT SELECT ON kernel.audit_log_standard_default TO kernel_lookup"),
    defect("kernel_grant", "SELECT ON kernel.users TO kernel_app", "GRANT SELECT (password_hash) ON kernel.users TO kernel_app"),
    defect("kernel_grant", "UPDATE ON kernel.workspaces TO kernel_app", "GRANT UPDATE ON kernel.workspaces TO kernel_app"),
    defect("kernel_grant", "UPDATE ON kernel.usage TO kernel_app", "GRANT UPDATE ON kernel.usage TO kernel_app"),
    defect("kernel_grant", "INSERT ON kernel.usage TO kernel_app", "GRANT INSERT (cap) ON kernel.usage TO kernel_app"),
    defect("kernel_grant", "UPDATE ON kernel.workspaces TO kernel_app", "GRANT UPDATE (entitlements) ON kernel.workspaces TO kernel_app"),
    defect("kernel_grant", "INSERT ON kernel.workspaces TO kernel_app", "GRANT INSERT (entitlements) ON kernel.workspaces TO kernel_app"),
    defect("kernel_grant", "SELECT ON kernel.catalogs TO kernel_app", "GRANT SELECT ON kernel.catalogs TO kernel_app"),
    defect("kernel_grant", "DELETE ON kernel.catalogs TO kernel_system", "GRANT DELETE ON kernel.catalogs TO kernel_system"),
    defect("kernel_grant", "INSERT ON kernel.audit_log TO kernel_system", "GRANT INSERT (at) ON kernel.audit_log TO kernel_system"),
    defect("kernel_grant", "DELETE ON kernel.audit_log TO kernel_app", "GRANT DELETE ON kernel.audit_log TO kernel_app"),
    defect("kernel_grant", "UPDATE ON kernel.audit_log TO kernel_system", "GRANT UPDATE (action) ON kernel.audit_log TO kernel_system"),
    defect("dangerous_grant", "kernel.audit_log", "GRANT TRUNCATE ON kernel.audit_log TO kernel_app"),
    defect("kernel_grant", "DELETE ON kernel.outbox TO kernel_app", "GRANT UPDATE, DELETE ON kernel.outbox TO kernel_app"),
    defect("kernel_grant", "INSERT ON kernel.outbox TO kernel_app", "GRANT INSERT (seq) ON kernel.outbox TO kernel_app"),
    defect("kernel_grant", "SELECT ON kernel.audit_log TO kernel_app", "GRANT SELECT ON kernel.audit_log TO kernel_app"),
    defect("kernel_grant", "DELETE ON kernel.audit_personal TO kernel_app", "GRANT DELETE ON kernel.audit_personal TO kernel_app"),
    defect("kernel_grant", "UPDATE ON kernel.audit_personal TO kernel_system", "GRANT UPDATE (ip) ON kernel.audit_personal TO kernel_system"),
    defect("kernel_grant", "DELETE ON kernel.webhook_inbox TO kernel_system", "GRANT DELETE ON kernel.webhook_inbox TO kernel_system"),
    defect("kernel_grant", "SELECT ON kernel.webhook_inbox TO kernel_app", "GRANT SELECT ON kernel.webhook_inbox TO kernel_app"),
    defect("kernel_grant", "UPDATE ON kernel.api_keys TO kernel_app", "GRANT UPDATE ON kernel.api_keys TO kernel_app"),
    defect("kernel_grant", "UPDATE ON kernel.api_keys TO kernel_app", "GRANT UPDATE (scopes) ON kernel.api_keys TO kernel_app"),
    defect("kernel_grant", "DELETE ON kernel.api_keys TO kernel_app", "GRANT DELETE ON kernel.api_keys TO kernel_app"),
    defect("kernel_grant", "DELETE ON kernel.invites TO kernel_app", "GRANT DELETE ON kernel.invites TO kernel_app"),
    defect("kernel_grant", "DELETE ON kernel.invites TO PUBLIC", "GRANT DELETE ON kernel.invites TO PUBLIC"),
    defect("kernel_grant", "DELETE ON kernel.users TO defect_group", "CREATE ROLE defect_group; GRANT DELETE ON kernel.users TO defect_group;
         GRANT defect_group TO kernel_app"),
    defect("kernel_grant", "UPDATE ON kernel.invites TO kernel_app", "GRANT UPDATE ON kernel.invites TO kernel_app"),
    defect("kernel_grant", "UPDATE ON kernel.invites TO kernel_app", "GRANT UPDATE (email_lower) ON kernel.invites TO kernel_app"),
    defect("kernel_grant", "UPDATE ON kernel.memberships TO kernel_app", "GRANT UPDATE ON kernel.memberships TO kernel_app"),
    defect("kernel_grant", "UPDATE ON kernel.memberships TO kernel_app", "GRANT UPDATE (user_id) ON kernel.memberships TO kernel_app"),
    defect("kernel_grant", "UPDATE ON kernel.sessions TO kernel_app", "GRANT UPDATE (user_id) ON kernel.sessions TO kernel_app"),
    defect("kernel_grant", "DELETE ON kernel.sessions TO kernel_app", "GRANT DELETE ON kernel.sessions TO kernel_app"),
    defect("kernel_grant", "UPDATE ON kernel.idempotency_keys TO kernel_app", "GRANT UPDATE ON kernel.idempotency_keys TO kernel_app"),
    defect("kernel_grant", "UPDATE ON kernel.users TO kernel_app", "GRANT UPDATE (email) ON kernel.users TO kernel_app"),
    defect("kernel_grant", "UPDATE ON kernel.slugs TO kernel_app", "GRANT UPDATE (workspace_id) ON kernel.slugs TO kernel_app"),
    defect("kernel_policy", "policy oneself ON kernel.memberships", "DROP POLICY oneself ON kernel.memberships"),
    defect("kernel_policy", "policy oneself ON kernel.memberships", "ALTER POLICY oneself ON kernel.memberships WITH CHECK (true)"),
    defect("kernel_policy", "policy self ON kernel.memberships", "ALTER POLICY self ON kernel.memberships USING (true)"),
    defect("kernel_policy", "policy reads ON kernel.audit_log", "ALTER POLICY reads ON kernel.audit_log
         USING (subject_id = (SELECT kernel.ws()) OR subject_id = (SELECT kernel.me()))"),
    defect("kernel_policy", "policy writes ON kernel.audit_log", "DROP POLICY writes ON kernel.audit_log"),
    defect("kernel_policy", "policy writes ON kernel.outbox", "ALTER POLICY writes ON kernel.outbox
         WITH CHECK (workspace_id = (SELECT kernel.ws()) OR subject_id = (SELECT kernel.me()) OR subject_type = 'platform')"),
    defect("kernel_policy", "policy reads ON kernel.audit_personal", "ALTER POLICY reads ON kernel.audit_personal USING (true)"),
    defect("policy_too_wide", "policy anyone ON kernel.audit_log", "CREATE POLICY anyone ON kernel.audit_log FOR SELECT TO kernel_app USING (subject_id = (SELECT kernel.me()))"),
    defect("kernel_policy", "policy still_open ON kernel.invites", "DROP POLICY still_open ON kernel.invites"),
    defect("kernel_policy", "policy still_open ON kernel.invites", "ALTER POLICY still_open ON kernel.invites USING (accepted_at IS NULL)"),
    defect("kernel_policy", "policy not_revoked ON kernel.api_keys", "DROP POLICY not_revoked ON kernel.api_keys"),
    defect("kernel_policy", "policy not_revoked ON kernel.api_keys", "ALTER POLICY not_revoked ON kernel.api_keys TO kernel_system"),
    defect("kernel_policy", "policy not_revoked ON kernel.api_keys", "DROP POLICY not_revoked ON kernel.api_keys;
         CREATE POLICY not_revoked ON kernel.api_keys FOR UPDATE TO kernel_app USING (workspace_id = (SELECT kernel.ws()) AND revoked_at IS NULL)"),
    defect("kernel_grant", "SELECT ON kernel.subscriptions TO kernel_lookup", "GRANT SELECT ON kernel.subscriptions TO kernel_lookup"),
    defect("create_privilege", "SCHEMA public", "GRANT CREATE ON SCHEMA public TO PUBLIC"),
    defect("create_privilege", "SCHEMA app", "GRANT CREATE ON SCHEMA app TO kernel_app"),
    defect("default_privileges", "default privileges of kernel_owner IN SCHEMA app",
           "ALTER DEFAULT PRIVILEGES FOR ROLE kernel_owner IN SCHEMA app GRANT SELECT ON TABLES TO kernel_app"),
    defect("other_product", "SCHEMA other", "CREATE ROLE kernel_owner_defect; CREATE SCHEMA other AUTHORIZATION kernel_owner_defect;
         GRANT USAGE ON SCHEMA other TO kernel_system"),
    defect("other_product", "TABLE other.notes", "CREATE ROLE kernel_owner_defect; CREATE SCHEMA other AUTHORIZATION kernel_owner_defect;
         CREATE TABLE other.notes (workspace_id uuid, body text); GRANT SELECT (body) ON other.notes TO kernel_app"),
    defect("grant_option", "app.tasks", "GRANT SELECT, UPDATE (title) ON app.tasks TO kernel_app WITH GRANT OPTION"),
    // functions and views
    defect("definer_search_path", "function app.f()", "CREATE FUNCTION app.f() RETURNS int LANGUAGE sql SECURITY DEFINER RETURN 1;
         ALTER FUNCTION app.f() OWNER TO kernel_lookup; REVOKE ALL ON FUNCTION app.f() FROM PUBLIC"),
    defect("definer_search_path", "function app.f()", "CREATE FUNCTION app.f() RETURNS int LANGUAGE sql SECURITY DEFINER
         SET search_path = \"$user\", public RETURN 1; ALTER FUNCTION app.f() OWNER TO kernel_lookup; REVOKE ALL ON FUNCTION app.f() FROM PUBLIC"),
    defect("definer_search_path", "function kernel.login_lookup(text)", "ALTER FUNCTION kernel.login_lookup RESET search_path"),
    defect("definer_public", "function kernel.login_lookup(text)", "GRANT EXECUTE ON FUNCTION kernel.login_lookup TO PUBLIC"),
    defect("definer_public", "function app.p()", "CREATE PROCEDURE app.p() LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS '';
         ALTER PROCEDURE app.p() OWNER TO kernel_lookup"),
    defect("definer_owner", "function app.f()", "CREATE FUNCTION app.f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog RETURN 1;
         REVOKE ALL ON FUNCTION app.f() FROM PUBLIC; GRANT EXECUTE ON FUNCTION app.f() TO kernel_system"),
    defect("definer_owner", "function kernel.login_lookup(text)", "ALTER FUNCTION kernel.login_lookup OWNER TO kernel_owner"),
    defect("view_not_invoker", "app.open_projects", "ALTER VIEW app.open_projects RESET (security_invoker)"),
    defect("view_not_invoker", "public.all_tasks", "CREATE VIEW public.all_tasks AS SELECT * FROM app.tasks; GRANT SELECT (title) ON public.all_tasks TO PUBLIC"),
    defect("definer_search_path", "function app.f()", "CREATE FUNCTION app.f() RETURNS int LANGUAGE sql SECURITY DEFINER
         SET search_path = app, pg_catalog RETURN 1; ALTER FUNCTION app.f() OWNER TO kernel_lookup; REVOKE ALL ON FUNCTION app.f() FROM PUBLIC"),
    defect("definer_search_path", "function app.f()", "CREATE FUNCTION app.f() RETURNS int LANGUAGE sql SECURITY DEFINER
         SET search_path = '' RETURN 1; ALTER FUNCTION app.f() OWNER TO kernel_lookup; REVOKE ALL ON FUNCTION app.f() FROM PUBLIC"),
    defect("leakproof_function", "function app.told(text)", "CREATE FUNCTION app.told(text) RETURNS boolean LANGUAGE sql LEAKPROOF RETURN $1 <> ''"),
    // references
    defect("foreign_key", "constraint single ON app.tasks", "CREATE UNIQUE INDEX single_id ON app.projects (id);
         ALTER TABLE app.tasks ADD CONSTRAINT single FOREIGN KEY (project_id) REFERENCES app.projects (id) ON DELETE SET NULL ON UPDATE CASCADE"),
    defect("foreign_key_sets_workspace", "constraint tasks_parent ON app.tasks", "ALTER TABLE app.tasks DROP CONSTRAINT tasks_parent,
         ADD CONSTRAINT tasks_parent FOREIGN KEY (workspace_id, parent_id) REFERENCES app.tasks ON DELETE SET NULL"),
    for_a_person("foreign_key_sets_workspace", "constraint tasks_parent ON app.tasks", "ALTER TABLE app.tasks DROP CONSTRAINT tasks_parent,
         ADD CONSTRAINT tasks_parent FOREIGN KEY (workspace_id, parent_id) REFERENCES app.tasks ON UPDATE SET NULL"),
    defect("audit_foreign_key", "constraint of_workspace ON kernel.audit_log",
           "ALTER TABLE kernel.audit_log ADD CONSTRAINT of_workspace FOREIGN KEY (workspace_id) REFERENCES kernel.workspaces"),
    // keys
    defect("unique_across_workspaces", "constraint projects_name ON app.projects", "DROP INDEX app.projects_name;
         ALTER TABLE app.projects ADD CONSTRAINT projects_name UNIQUE NULLS NOT DISTINCT (name)"),
    defect("unique_across_workspaces", "index app.one_title", "CREATE UNIQUE INDEX one_title ON app.tasks (title) INCLUDE (workspace_id) WHERE title <> ''"),
    for_a_person("unique_across_workspaces", "constraint apart ON app.projects", "ALTER TABLE app.projects ADD CONSTRAINT apart EXCLUDE (name WITH =)"),
    defect("no_tenant_index", "app.tasks", "ALTER TABLE app.tasks DROP CONSTRAINT tasks_parent, DROP CONSTRAINT tasks_pkey; DROP INDEX app.tasks_title"),
    defect("index_not_leakproof", "index app.by_mood", "CREATE TYPE app.mood AS ENUM ('good', 'bad'); ALTER TABLE app.tasks ADD mood app.mood DEFAULT 'good';
         CREATE INDEX by_mood ON app.tasks (workspace_id, mood)"),
    for_a_person("index_not_leakproof", "index app.by_price", "ALTER TABLE app.tasks ADD price numeric; CREATE INDEX by_price ON app.tasks (workspace_id, price)"),
    for_a_person("index_not_leakproof", "index app.by_lower", "CREATE INDEX by_lower ON app.tasks (workspace_id, lower(title))"),
    // triggers
    defect("trigger_disabled", "trigger count_insert ON app.projects", "ALTER TABLE app.projects DISABLE TRIGGER count_insert"),
    defect("trigger_disabled", "trigger count_delete ON app.projects", "ALTER TABLE app.projects ENABLE REPLICA TRIGGER count_delete"),
    defect("trigger_disabled", "trigger append_only ON kernel.audit_log", "ALTER TABLE kernel.audit_log DISABLE TRIGGER append_only"),
    defect("trigger_disabled", "trigger append_only ON kernel.audit_log_standard_default", "ALTER TABLE kernel.audit_log_standard_default DISABLE TRIGGER append_only"),
    defect("trigger_disabled", "trigger no_truncate ON kernel.audit_log_standard_default", "ALTER TABLE kernel.audit_log_standard_default DISABLE TRIGGER ALL"),
    defect("counting_trigger", "trigger count_restore ON app.projects", "DROP TRIGGER count_restore ON app.projects"),
    defect("counting_trigger", "trigger count_insert ON app.projects", "DROP TRIGGER count_insert ON app.projects;
         CREATE TRIGGER count_insert AFTER INSERT ON app.projects FOR EACH ROW EXECUTE FUNCTION kernel.count_row('projects')"),
    defect("counting_trigger", "trigger count_soft_delete ON app.tasks", "SELECT kernel.protect('app.tasks', 'tasks'); ALTER TABLE app.tasks ADD deleted_at timestamptz"),
    defect("entitlements_trigger", "trigger give_entitlements ON kernel.workspaces", "DROP TRIGGER give_entitlements ON kernel.workspaces"),
    defect("entitlements_trigger", "trigger make_counters ON kernel.workspaces", "DROP TRIGGER make_counters ON kernel.workspaces"),
    defect("entitlements_trigger", "trigger give_cap ON kernel.usage", "DROP TRIGGER give_cap ON kernel.usage"),
    defect("entitlements_trigger", "trigger give_cap ON kernel.usage", "DROP TRIGGER give_cap ON kernel.usage;
         CREATE TRIGGER give_cap AFTER INSERT ON kernel.usage FOR EACH ROW WHEN (NEW.cap = -1) EXECUTE FUNCTION kernel.give_cap()"),
    defect("trigger_disabled", "trigger give_cap ON kernel.usage", "ALTER TABLE kernel.usage DISABLE TRIGGER give_cap"),
    defect("audit_trigger", "trigger append_only ON kernel.audit_log", "DROP TRIGGER append_only ON kernel.audit_log"),
    defect("audit_trigger", "trigger no_truncate ON kernel.audit_log_standard_default", "DROP TRIGGER no_truncate ON kernel.audit_log_standard_default"),
    defect("audit_trigger", "trigger no_truncate ON kernel.audit_log_security", "DROP TRIGGER no_truncate ON kernel.audit_log_security"),
    // partitions
    defect("partition_missing", "kernel.outbox_default", "DROP TABLE kernel.outbox_default"),
    defect("partition_missing", "kernel.audit_personal_security_default", "DROP TABLE kernel.audit_personal_security_default"),
    // records
    defect("record_subject", "constraint subject ON kernel.audit_log", "ALTER TABLE kernel.audit_log DROP CONSTRAINT subject"),
    defect("record_subject", "constraint subject ON kernel.audit_personal", "ALTER TABLE kernel.audit_personal DROP CONSTRAINT subject,
         ADD CONSTRAINT subject CHECK (subject_type IN ('workspace', 'person', 'platform'))"),
    defect("record_subject", "constraint subject ON kernel.outbox", "ALTER TABLE kernel.outbox DROP CONSTRAINT subject,
         ADD CONSTRAINT subject CHECK (workspace_id = subject_id)"),
    defect("record_order", "column seq OF kernel.outbox", "ALTER TABLE kernel.outbox ALTER COLUMN seq DROP DEFAULT"),
    defect("record_order", "column seq OF kernel.audit_log", "ALTER TABLE kernel.audit_log ALTER COLUMN seq SET DEFAULT nextval('kernel.outbox_seq')"),
    defect("record_order", "column xid OF kernel.audit_log", "ALTER TABLE kernel.audit_log ALTER COLUMN xid SET DEFAULT '1'"),
    defect("record_order", "column xid OF kernel.outbox", "ALTER TABLE kernel.outbox ALTER COLUMN xid DROP NOT NULL"),
    for_a_person("record_order", "column xid OF kernel.outbox", "ALTER TABLE kernel.outbox DROP COLUMN xid"),
    for_a_person("record_order", "column seq OF kernel.outbox", "ALTER TABLE kernel.outbox DROP COLUMN xid;
         ALTER TABLE kernel.outbox ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id()"),
    defect("record_sequence", "sequence kernel.outbox_seq", "ALTER SEQUENCE kernel.outbox_seq CACHE 20"),
    defect("record_sequence", "sequence kernel.audit_seq", "ALTER SEQUENCE kernel.audit_seq INCREMENT -1"),
    defect("record_sequence", "sequence kernel.audit_seq", "ALTER SEQUENCE kernel.audit_seq CYCLE"),
    for_a_person("record_sequence", "sequence kernel.audit_seq", "DROP SEQUENCE kernel.audit_seq CASCADE"),
    defect("record_sequence_grant", "UPDATE ON kernel.audit_seq TO kernel_app", "GRANT UPDATE ON SEQUENCE kernel.audit_seq TO kernel_app"),
    defect("record_sequence_grant", "SELECT ON kernel.outbox_seq TO kernel_app", "GRANT SELECT ON SEQUENCE kernel.outbox_seq TO kernel_app"),
    defect("record_sequence_grant", "UPDATE, USAGE ON kernel.outbox_seq TO PUBLIC", "GRANT USAGE, UPDATE ON SEQUENCE kernel.outbox_seq TO PUBLIC"),
];

/// Of the cluster's roles.
pub(crate) const ROLE_DEFECTS: &[Defect] = &[
    for_a_person("role_missing", "role kernel_lookup", "ALTER ROLE kernel_lookup RENAME TO renamed"),
    for_a_person("role_missing", "role kernel_app", "ALTER ROLE kernel_app RENAME TO renamed"),
    for_a_person("role_missing", "role kernel_owner", "ALTER ROLE kernel_owner RENAME TO renamed"),
    defect("role_attribute", "role kernel_app", "ALTER ROLE kernel_app SUPERUSER"),
    defect("role_attribute", "role kernel_app", "ALTER ROLE kernel_app BYPASSRLS"),
    defect("role_attribute", "role kernel_system", "ALTER ROLE kernel_system BYPASSRLS"),
    defect("role_attribute", "role kernel_system", "ALTER ROLE kernel_system CREATEROLE CREATEDB REPLICATION"),
    defect("role_attribute", "role kernel_owner", "ALTER ROLE kernel_owner LOGIN"),
    defect("role_attribute", "role kernel_lookup", "ALTER ROLE kernel_lookup LOGIN"),
    defect("role_attribute", "role kernel_lookup", "ALTER ROLE kernel_lookup BYPASSRLS"),
    defect("role_member", "role kernel_app", "GRANT kernel_owner TO kernel_app"),
    defect("role_member", "role kernel_app", "GRANT kernel_system TO kernel_app"),
    defect("role_member", "role kernel_app", "GRANT pg_read_all_data TO kernel_app"),
    defect("role_member", "role kernel_system", "GRANT pg_write_all_data TO kernel_system"),
    defect(
        "role_member",
        "role kernel_app",
        "CREATE ROLE between; GRANT kernel_lookup TO between; GRANT between TO kernel_app",
    ),
    defect("role_owns", "TABLE kernel.usage", "ALTER TABLE kernel.usage OWNER TO kernel_app"),
    defect("role_owns", "SCHEMA kernel", "ALTER SCHEMA kernel OWNER TO kernel_system"),
    defect("role_owns", "VIEW public.v", "CREATE VIEW public.v AS SELECT 1; ALTER VIEW public.v OWNER TO kernel_app"),
    defect("role_owns", "DATABASE postgres", "ALTER DATABASE postgres OWNER TO kernel_app"),
    defect("role_owns", "TABLE kernel.catalogs", "ALTER TABLE kernel.catalogs OWNER TO kernel_lookup"),
    defect("create_privilege", "DATABASE postgres", "GRANT CREATE ON DATABASE postgres TO kernel_app"),
    defect("role_timeout", "statement_timeout of role kernel_app", "ALTER ROLE kernel_app RESET statement_timeout"),
    defect("role_timeout", "lock_timeout of role kernel_system", "ALTER ROLE kernel_system SET lock_timeout = 0"),
    defect(
        "role_timeout",
        "idle_in_transaction_session_timeout of role kernel_app",
        "ALTER ROLE kernel_app IN DATABASE postgres SET idle_in_transaction_session_timeout = '0'",
    ),
    defect(
        "role_setting",
        "app.workspace_id of ROLE kernel_app",
        "ALTER ROLE kernel_app SET app.workspace_id = '01890a5d-ac96-774b-bcce-b302099a8057'",
    ),
    defect(
        "role_setting",
        "role of ROLE kernel_app",
        "ALTER ROLE kernel_app IN DATABASE postgres SET role = 'kernel_system'",
    ),
    defect(
        "role_setting",
        "app.workspace_id of DATABASE postgres",
        "ALTER DATABASE postgres SET app.workspace_id = '01890a5d-ac96-774b-bcce-b302099a8057'",
    ),
    defect(
        "role_setting",
        "session_replication_role of ROLE ALL",
        "ALTER ROLE ALL SET session_replication_role = replica",
    ),
    defect(
        "parameter_grant",
        "parameter session_replication_role",
        "GRANT SET ON PARAMETER session_replication_role TO kernel_app",
    ),
];
