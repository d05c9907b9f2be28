//! Findings that the kernel's own schema has on purpose, with the reasons. Everything that is not listed here is reported.

use super::Exception;

const fn exception(check: &'static str, object: &'static str, why: &'static str) -> Exception {
    Exception { check, object, why }
}

/// The columns are checked by `record_subject`, the policies by `kernel_policy`, the numbers by `record_order`.
const NULLABLE: &str = "a record about a person or the platform has no workspace";
const KEY: &str = "records are read by their subject, which the policy compares with the scope";
const POLICY: &str =
    "a request writes about its workspace and its person, and reads one of the two; see `kernel_policy`";
const NUMBERED: &str = "relays and seals read all records in one order; no request can read the numbers";

pub(super) const OF_THE_KERNEL: &[Exception] = &[
    exception(
        "reachable_without_rls",
        "kernel.migrations",
        "start-up compares versions; it contains no rows of a workspace",
    ),
    exception(
        "policy_too_wide",
        "policy self ON kernel.memberships",
        "a person sees their own memberships in a scope of their own, which never includes a workspace too",
    ),
    exception(
        "primary_key",
        "kernel.slugs",
        "slugs are unique across workspaces; that a slug is taken is shown on purpose",
    ),
    exception("workspace_id_nullable", "kernel.audit_log", NULLABLE),
    exception("workspace_id_nullable", "kernel.audit_personal", NULLABLE),
    exception("workspace_id_nullable", "kernel.outbox", NULLABLE),
    exception("primary_key", "kernel.audit_log", KEY),
    exception("primary_key", "kernel.audit_personal", KEY),
    exception("primary_key", "kernel.outbox", KEY),
    exception("no_tenant_index", "kernel.audit_log", KEY),
    exception("no_tenant_index", "kernel.audit_personal", KEY),
    exception("no_tenant_index", "kernel.outbox", KEY),
    exception("no_tenant_policy", "kernel.audit_log", POLICY),
    exception("no_tenant_policy", "kernel.audit_personal", POLICY),
    exception("no_tenant_policy", "kernel.outbox", POLICY),
    exception("policy_too_wide", "policy writes ON kernel.audit_log", POLICY),
    exception("policy_too_wide", "policy writes ON kernel.audit_personal", POLICY),
    exception("policy_too_wide", "policy writes ON kernel.outbox", POLICY),
    exception("policy_too_wide", "policy reads ON kernel.audit_log", POLICY),
    exception("policy_too_wide", "policy reads ON kernel.audit_personal", POLICY),
    exception("shared_sequence", "column seq OF kernel.audit_log", NUMBERED),
    exception("shared_sequence", "column seq OF kernel.outbox", NUMBERED),
];

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::OF_THE_KERNEL;
    use crate::Migrations;
    use crate::doctor::checks;
    use crate::names::Names;
    use crate::testing::TestDb;

    /// The list only shrinks: an exception that is no longer found must be removed.
    #[tokio::test]
    async fn every_exception_is_still_needed() -> Result<(), Box<dyn std::error::Error>> {
        let db = TestDb::new(&Migrations::kernel()).await?;
        let mut admin = db.admin().await?;
        sqlx::query("SET search_path = pg_catalog").execute(&mut admin).await?;
        let findings = checks::run(&mut admin, &Names::default()).await?;
        for exception in OF_THE_KERNEL {
            assert!(exception.covers_any(&findings), "no longer needed: {exception:?}");
        }
        assert_eq!(findings.len(), OF_THE_KERNEL.len(), "{findings:#?}");
        Ok(())
    }
}
