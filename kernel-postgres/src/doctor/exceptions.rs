//! What the kernel's own schema does on purpose, and why. The only such list: whatever is not here is a finding.

use super::Exception;

const fn exception(check: &'static str, object: &'static str, why: &'static str) -> Exception {
    Exception { check, object, why }
}

pub(super) const OF_THE_KERNEL: &[Exception] = &[
    exception(
        "reachable_without_rls",
        "kernel.migrations",
        "start-up compares versions; it holds nothing of a workspace",
    ),
    exception(
        "policy_too_wide",
        "policy self ON kernel.memberships",
        "one's own memberships in one's own scope, which never holds a workspace too",
    ),
    exception("primary_key", "kernel.slugs", "slugs are claimed globally: a taken slug is a deliberate answer"),
];

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::OF_THE_KERNEL;
    use crate::Migrations;
    use crate::doctor::checks;
    use crate::testing::TestDb;

    /// The list only shrinks: what is no longer found is taken off.
    #[tokio::test]
    async fn every_exception_is_still_needed() -> Result<(), Box<dyn std::error::Error>> {
        let db = TestDb::new(&Migrations::kernel()).await?;
        let mut admin = db.admin().await?;
        sqlx::query("SET search_path = pg_catalog").execute(&mut admin).await?;
        let findings = checks::run(&mut admin).await?;
        for exception in OF_THE_KERNEL {
            assert!(exception.covers_any(&findings), "no longer needed: {exception:?}");
        }
        assert_eq!(findings.len(), OF_THE_KERNEL.len(), "{findings:#?}");
        Ok(())
    }
}
