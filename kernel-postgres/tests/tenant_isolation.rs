//! The attempts to reach another workspace fail in a healthy database, and get through each planted hole.

mod fixtures;

use fixtures::{Result, healthy};
use saas_kernel_postgres::doctor::Doctor;
use saas_kernel_postgres::testing::{IsolationError, Leak, TenantIsolation, assert_tenant_isolation};
use sqlx::raw_sql;

#[tokio::test]
async fn the_kernels_tables_and_a_products_hold() -> Result {
    let (db, mut admin) = healthy().await?;
    let report = assert_tenant_isolation(&db).await?;
    let tables = [
        "app.projects",
        "app.tasks",
        "app.visits",
        "kernel.audit_log",
        "kernel.audit_personal",
        "kernel.idempotency_keys",
        "kernel.memberships",
        "kernel.outbox",
        "kernel.slugs",
        "kernel.subscriptions",
        "kernel.usage",
        "kernel.workspaces",
    ];
    for table in tables {
        assert!(report.tables.iter().any(|name| name == table), "{table} was not tried: {report:?}");
    }
    assert!(report.probes >= 14 * tables.len(), "{report}");
    // Also over what an earlier run and the product's own tests left; and nothing of the tools stays.
    assert_tenant_isolation(&db).await?;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tenant_isolation%'")
        .fetch_one(&mut admin)
        .await?;
    assert_eq!(left, 0);
    Ok(())
}

/// Table, the attempts that must get through, or what the doctor must find, and the hole.
const HOLES: &[(&str, &[&str], &str)] = &[
    (
        "app.tasks",
        &["select", "insert", "update", "delete", "upsert", "select_without_scope", "delete_without_scope", "delete_of_all"],
        "ALTER TABLE app.tasks DISABLE ROW LEVEL SECURITY",
    ),
    ("app.tasks", &["select", "update", "delete", "select_without_scope"], "CREATE POLICY anyone ON app.tasks TO kernel_app USING (true)"),
    ("app.projects", &["select", "select_without_scope"], "CREATE POLICY anyone ON app.projects FOR SELECT TO PUBLIC USING (state = 'open'); DROP VIEW app.open_projects"),
    ("app.tasks", &["insert", "insert_without_scope"], "CREATE POLICY puts ON app.tasks FOR INSERT TO kernel_app WITH CHECK (true)"),
    // Without SELECT the row is not found by its workspace, but a statement without a filter reaches it.
    ("app.tasks", &["update_of_all", "update_without_scope"], "CREATE POLICY changes ON app.tasks FOR UPDATE TO kernel_app USING (true)"),
    ("app.tasks", &["delete_of_all", "delete_without_scope"], "CREATE POLICY removes ON app.tasks FOR DELETE TO kernel_app USING (true)"),
    ("app.tasks", &["move"], "CREATE POLICY moves ON app.tasks FOR UPDATE TO kernel_app USING (workspace_id = (SELECT kernel.ws())) WITH CHECK (true);
        CREATE POLICY sees ON app.tasks FOR SELECT TO kernel_app USING (true)"),
    ("app.tasks", &["upsert"], "CREATE POLICY puts ON app.tasks FOR INSERT TO kernel_app WITH CHECK (true); CREATE POLICY changes ON app.tasks FOR UPDATE
        TO kernel_app USING (true); CREATE POLICY sees ON app.tasks FOR SELECT TO kernel_app USING (true)"),
    // The mistake of a policy that lets everything through while no scope is set.
    ("app.visits", &["select_without_scope", "delete_without_scope"],
     "ALTER POLICY tenant ON app.visits USING (workspace_id = (SELECT kernel.ws()) OR (SELECT kernel.ws()) IS NULL)"),
    ("app.tasks", &["foreign_key"], "CREATE UNIQUE INDEX single_id ON app.projects (id);
        ALTER TABLE app.tasks ADD CONSTRAINT single FOREIGN KEY (project_id) REFERENCES app.projects (id), DROP CONSTRAINT tasks_project"),
    ("app.tasks", &["foreign_key"], "CREATE UNIQUE INDEX single_id ON app.tasks (id);
        ALTER TABLE app.tasks ADD CONSTRAINT single FOREIGN KEY (parent_id) REFERENCES app.tasks (id) DEFERRABLE INITIALLY DEFERRED, DROP CONSTRAINT tasks_parent"),
    ("app.projects", &["duplicate"], "ALTER TABLE app.projects ADD CONSTRAINT one_name UNIQUE (name)"),
    ("kernel.memberships", &["select", "delete"], "ALTER POLICY tenant ON kernel.memberships USING (true)"),
    ("kernel.workspaces", &["select", "select_without_scope"], "CREATE POLICY anyone ON kernel.workspaces TO kernel_app USING (true)"),
    ("kernel.idempotency_keys", &["select"], "ALTER TABLE kernel.idempotency_keys DISABLE ROW LEVEL SECURITY"),
    ("kernel.audit_log", &["select", "insert"], "ALTER TABLE kernel.audit_log DISABLE ROW LEVEL SECURITY"),
    ("kernel.audit_log", &["select", "select_without_scope"], "ALTER POLICY reads ON kernel.audit_log USING (true)"),
    ("kernel.audit_personal", &["insert", "insert_without_scope"], "ALTER POLICY writes ON kernel.audit_personal WITH CHECK (true)"),
    // Only INSERT is granted, and no column can be read.
    ("kernel.outbox", &["insert", "insert_without_scope"], "ALTER TABLE kernel.outbox DISABLE ROW LEVEL SECURITY"),
    // The tables that nobody put behind their workspace, wherever they are.
    ("public.forgotten", &["select", "insert", "update", "move", "delete", "upsert", "delete_without_scope", "rls_disabled"],
     "CREATE TABLE public.forgotten (workspace_id uuid NOT NULL, id bigserial, body jsonb NOT NULL, PRIMARY KEY (workspace_id, id));
      GRANT ALL ON public.forgotten TO kernel_app"),
    ("app.\"Odd Names\"", &["select"], "CREATE TABLE app.\"Odd Names\" (workspace_id uuid NOT NULL, \"the 'Key\" text NOT NULL PRIMARY KEY); GRANT SELECT ON app.\"Odd Names\" TO kernel_app"),
    ("app.open_projects", &["select", "select_without_scope", "view_not_invoker"], "ALTER VIEW app.open_projects RESET (security_invoker)"),
    ("app.copies", &["select"], "CREATE MATERIALIZED VIEW app.copies AS SELECT gen_random_uuid() AS workspace_id; GRANT SELECT ON app.copies TO kernel_app"),
    // A scope that hides the own rows too would make every other attempt pass.
    ("app.tasks", &["own_row"], "CREATE POLICY nobody ON app.tasks AS RESTRICTIVE TO kernel_app USING (false)"),
    ("app.tasks", &["own_row", "no_tenant_policy"], "DROP POLICY tenant ON app.tasks"),
    // What no attempt of the application's login goes through: the doctor tells.
    ("app.tasks", &["rls_not_forced"], "ALTER TABLE app.tasks NO FORCE ROW LEVEL SECURITY"),
    ("kernel.memberships", &["rls_not_forced"], "ALTER TABLE kernel.memberships NO FORCE ROW LEVEL SECURITY"),
    ("function app.count_tasks()", &["definer_search_path"], "CREATE FUNCTION app.count_tasks() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
        AS 'SELECT count(*) FROM app.tasks WHERE workspace_id = kernel.ws()'; REVOKE ALL ON FUNCTION app.count_tasks FROM PUBLIC;
        ALTER FUNCTION app.count_tasks OWNER TO kernel_lookup; GRANT EXECUTE ON FUNCTION app.count_tasks TO kernel_app"),
];

#[tokio::test]
async fn every_hole_is_gone_through() -> Result {
    let mut unproven = Vec::new();
    for (table, probes, plant) in HOLES {
        let (db, mut admin) = healthy().await?;
        raw_sql(*plant).execute(&mut admin).await.map_err(|error| format!("{plant}: {error}"))?;
        let leaks = match assert_tenant_isolation(&db).await {
            Err(IsolationError::Leaks(leaks)) => leaks,
            Err(error) => return Err(format!("{plant}: {error}").into()),
            Ok(_) => Vec::new(),
        };
        for probe in *probes {
            if !leaks.iter().any(|leak| leak.table == *table && leak.probe == *probe) {
                unproven.push(format!("{probe} on {table}, after {plant}: {leaks:#?}"));
            }
        }
        // A hole is told of where it is, and nowhere else. The doctor's objects have other names.
        let found = |leak: &Leak| Doctor::checks().any(|check| check == leak.probe);
        if let Some(leak) = leaks.iter().find(|leak| !found(leak) && !plant.contains(&leak.table)) {
            unproven.push(format!("{leak}, after {plant}"));
        }
    }
    assert!(unproven.is_empty(), "{} unproven:\n{}", unproven.len(), unproven.join("\n"));
    Ok(())
}

/// What row-level security holds is not told of twice: a hole in one policy is not reported for the others' attempts.
#[tokio::test]
async fn each_line_says_table_attempt_and_fix() -> Result {
    let (db, mut admin) = healthy().await?;
    raw_sql("CREATE POLICY puts ON app.tasks FOR INSERT TO kernel_app WITH CHECK (true)").execute(&mut admin).await?;
    let error = assert_tenant_isolation(&db).await.unwrap_err();
    let text = error.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(format!("{error:?}"), text, "what a failing test prints is the same text");
    assert_eq!(lines[0], "workspaces are not isolated:");
    assert!(
        lines[1].starts_with("app.tasks: insert: another workspace's rows changed. SELECT kernel.protect('app.tasks')"),
        "{text}"
    );
    assert_eq!(
        lines.last().copied(),
        Some(
            "policy puts ON app.tasks: policy_too_wide: it lets a request access rows where true, whatever its scope is. \
             DROP POLICY puts ON app.tasks;"
        )
    );
    assert!(lines.len() <= 5, "insert, upsert, insert_without_scope and the doctor's: {text}");
    Ok(())
}

#[tokio::test]
async fn values_are_found_for_what_tables_ask() -> Result {
    let (db, mut admin) = healthy().await?;
    raw_sql(
        "CREATE TYPE app.mood AS ENUM ('good', 'bad');
         CREATE DOMAIN app.positive AS integer CHECK (VALUE > 41);
         CREATE DOMAIN app.email AS text NOT NULL CHECK (VALUE ~ '^[^@ ]+@[^@ ]+$');
         CREATE TABLE app.currencies (code char(3) PRIMARY KEY CHECK (code ~ '^[A-Z]{3}$'));
         CREATE TABLE app.everything (
             workspace_id uuid NOT NULL, id uuid NOT NULL DEFAULT gen_random_uuid(), PRIMARY KEY (workspace_id, id),
             mood app.mood NOT NULL, positive app.positive NOT NULL, email app.email UNIQUE,
             currency char(3) NOT NULL REFERENCES app.currencies, hash bytea NOT NULL CHECK (octet_length(hash) = 32),
             price numeric(10, 2) NOT NULL CHECK (price BETWEEN 500 AND 600), begins date NOT NULL, ends date NOT NULL, CHECK (begins < ends),
             tags text[] NOT NULL CHECK (cardinality(tags) > 0), meta jsonb NOT NULL CHECK (jsonb_typeof(meta) = 'array'), during tstzrange NOT NULL,
             address inet NOT NULL, long text NOT NULL CHECK (length(long) >= 60), code varchar(4) NOT NULL, flag boolean NOT NULL CHECK (flag),
             kind text NOT NULL CHECK (kind IN ('one', 'two')), extra text, CHECK (kind <> 'one' OR extra IS NOT NULL),
             total int GENERATED ALWAYS AS (price::int * 2) STORED CHECK (total > 0), number int GENERATED ALWAYS AS IDENTITY,
             took interval NOT NULL, at time NOT NULL, bits bit(3) NOT NULL, place point NOT NULL, doc tsvector NOT NULL, amount money NOT NULL
         );
         SELECT kernel.protect('app.everything'); ALTER TABLE app.everything DROP CONSTRAINT everything_email_key;
         -- A trigger that puts the scope's workspace in place of what was said lets nothing through.
         CREATE TABLE app.stamped (workspace_id uuid NOT NULL, id uuid NOT NULL, PRIMARY KEY (workspace_id, id));
         CREATE FUNCTION app.stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.workspace_id := kernel.ws(); RETURN NEW; END';
         CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON app.stamped FOR EACH ROW EXECUTE FUNCTION app.stamp();
         SELECT kernel.protect('app.stamped')",
    )
    .execute(&mut admin)
    .await?;
    let isolation =
        TenantIsolation::new().accept("column number OF app.everything", "shared_sequence", "it is there to be filled");
    let report = isolation.assert(&db).await?;
    assert!(report.tables.iter().any(|table| table == "app.everything"));
    Ok(())
}

#[tokio::test]
async fn a_table_that_cannot_be_filled_fails_until_its_values_are_told() -> Result {
    let (db, mut admin) = healthy().await?;
    raw_sql(
        "CREATE TABLE app.codes (workspace_id uuid NOT NULL, code text NOT NULL CHECK (md5(code) LIKE '000%'), PRIMARY KEY (workspace_id, code));
         SELECT kernel.protect('app.codes')",
    )
    .execute(&mut admin)
    .await?;
    let text = assert_tenant_isolation(&db).await.unwrap_err().to_string();
    assert!(
        text.contains("app.codes: seed: ") && text.contains("TenantIsolation::new().value(\"app.codes\""),
        "{text}"
    );
    assert!(text.contains("tried for") && text.contains("code"), "{text}");
    let told = "(SELECT n::text FROM generate_series({n} * 100000, {n} * 100000 + 99999) n WHERE md5(n::text) LIKE '000%' LIMIT 1)";
    TenantIsolation::new().value("app.codes", "code", told).assert(&db).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_accepted_must_still_be_there() -> Result {
    let (db, mut admin) = healthy().await?;
    let isolation = TenantIsolation::new().accept("app.projects", "duplicate", "names are claimed globally");
    let text = isolation.assert(&db).await.unwrap_err().to_string();
    assert!(text.contains("no longer succeeds") && text.lines().count() == 2, "{text}");
    raw_sql("ALTER TABLE app.projects ADD CONSTRAINT one_name UNIQUE (name)").execute(&mut admin).await?;
    let text = isolation.assert(&db).await.unwrap_err().to_string();
    assert!(text.contains("constraint one_name ON app.projects: unique_across_workspaces: "), "{text}");
    // What the product's doctor accepts is accepted here too.
    let accepted = "constraint one_name ON app.projects";
    let doctor = Doctor::new().accept("unique_across_workspaces", accepted, "names are claimed globally");
    isolation.doctor(doctor).assert(&db).await?;
    Ok(())
}
