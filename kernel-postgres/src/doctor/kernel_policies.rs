//! Policies of the kernel's own tables that hold a request back within its scope. A migration that changes one changes this list.

use super::checks::Check;

pub(super) const CHECKS: &[Check] = &[("kernel_policy", KERNEL_POLICY)];

/// Word for word as Postgres prints them. `self` and those of records are here because `policy_too_wide` excepts them by their names.
const KERNEL_POLICY: &str = r"
SELECT format('policy %I ON %s', v.policy, r.name), format('it is missing or was changed: %s', v.why),
       format('DROP POLICY IF EXISTS %I ON %s; CREATE POLICY %I ON %s AS %s FOR %s TO kernel_app%s%s;', v.policy, r.name, v.policy, r.name,
              v.kind, v.command, ' USING (' || v.qual || ')', ' WITH CHECK (' || v.withcheck || ')')
FROM (VALUES
    ('memberships', 'oneself', 'RESTRICTIVE', 'INSERT', NULL, '(user_id = ( SELECT kernel.me() AS me))', 'a request can make anybody a member'),
    ('memberships', 'self', 'PERMISSIVE', 'SELECT', '((user_id = ( SELECT kernel.me() AS me)) AND (( SELECT kernel.ws() AS ws) IS NULL))', NULL,
     'a person sees only their own memberships by it, and none in a scope that has a workspace'),
    ('audit_log', 'writes', 'PERMISSIVE', 'INSERT', NULL, '((workspace_id = ( SELECT kernel.ws() AS ws)) OR ((subject_type = ''person''::text) AND (subject_id = ( SELECT kernel.me() AS me))))',
     'a request writes records about its workspace and the person it acts for, and no others'),
    ('audit_log', 'reads', 'PERMISSIVE', 'SELECT', '((subject_id = COALESCE(( SELECT kernel.ws() AS ws), ( SELECT kernel.me() AS me))) AND (subject_type =
CASE
    WHEN (( SELECT kernel.ws() AS ws) IS NULL) THEN ''person''::text
    ELSE ''workspace''::text
END))', NULL,
     'a request reads the records of its workspace, or of its person where its scope has none'),
    ('audit_personal', 'writes', 'PERMISSIVE', 'INSERT', NULL, '((workspace_id = ( SELECT kernel.ws() AS ws)) OR ((subject_type = ''person''::text) AND (subject_id = ( SELECT kernel.me() AS me))))',
     'a request writes records about its workspace and the person it acts for, and no others'),
    ('audit_personal', 'reads', 'PERMISSIVE', 'SELECT', '((subject_id = COALESCE(( SELECT kernel.ws() AS ws), ( SELECT kernel.me() AS me))) AND (subject_type =
CASE
    WHEN (( SELECT kernel.ws() AS ws) IS NULL) THEN ''person''::text
    ELSE ''workspace''::text
END))', NULL,
     'a request reads the records of its workspace, or of its person where its scope has none'),
    ('outbox', 'writes', 'PERMISSIVE', 'INSERT', NULL, '((workspace_id = ( SELECT kernel.ws() AS ws)) OR ((subject_type = ''person''::text) AND (subject_id = ( SELECT kernel.me() AS me))))',
     'a request writes records about its workspace and the person it acts for, and no others'),
    ('invites', 'still_open', 'RESTRICTIVE', 'UPDATE', '((accepted_at IS NULL) AND (revoked_at IS NULL))', 'true',
     'a request can reopen an invite that was accepted or revoked'),
    ('api_keys', 'not_revoked', 'RESTRICTIVE', 'UPDATE', '(revoked_at IS NULL)', 'true', 'a request can make a revoked key work again')
) v(tbl, policy, kind, command, qual, withcheck, why)
JOIN rel r ON r.oid = to_regclass('kernel.' || v.tbl)
WHERE NOT EXISTS (
    SELECT FROM pg_policy p
    WHERE p.polrelid = r.oid AND p.polname = v.policy AND p.polpermissive = (v.kind = 'PERMISSIVE')
      AND p.polcmd = CASE v.command WHEN 'SELECT' THEN 'r' WHEN 'INSERT' THEN 'a' WHEN 'UPDATE' THEN 'w' END
      AND p.polroles = ARRAY[to_regrole('kernel_app')::oid]
      AND pg_get_expr(p.polqual, p.polrelid) IS NOT DISTINCT FROM v.qual
      AND pg_get_expr(p.polwithcheck, p.polrelid) IS NOT DISTINCT FROM v.withcheck
) ORDER BY 1";

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::KERNEL_POLICY;
    use crate::Migrations;
    use crate::testing::TestDb;

    /// A restrictive policy that a migration adds comes onto the list.
    #[tokio::test]
    async fn every_restrictive_policy_of_the_migrations_is_listed() -> Result<(), Box<dyn std::error::Error>> {
        let db = TestDb::new(&Migrations::kernel()).await?;
        let made = "SELECT format('%L, %L, %L', relname, polname, 'RESTRICTIVE') FROM pg_policy JOIN pg_class c ON c.oid = polrelid
                    WHERE NOT polpermissive AND relnamespace = 'kernel'::regnamespace";
        let made: Vec<String> = sqlx::query_scalar(made).fetch_all(&mut db.admin().await?).await?;
        assert!(made.len() >= 3, "{made:?}");
        for policy in made {
            assert!(KERNEL_POLICY.contains(&policy), "{policy} is not listed");
        }
        Ok(())
    }
}
