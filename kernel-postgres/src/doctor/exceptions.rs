//! Findings that the kernel's own schema has on purpose, with the reasons. Everything that is not listed here is reported.

use super::Exception;

const fn exception(check: &'static str, object: &'static str, why: &'static str) -> Exception {
    Exception { check, object, why }
}

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
];

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::OF_THE_KERNEL;
    use crate::Migrations;
    use crate::doctor::checks;
    use crate::testing::TestDb;

    /// The list only shrinks: an exception that is no longer found must be removed.
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
