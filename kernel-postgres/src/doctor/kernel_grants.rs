//! What the kernel's migrations give its three roles on its own tables; whatever goes beyond is a finding. A migration that changes a
//! grant changes this list.

use super::checks::Check;

pub(super) const CHECKS: &[Check] = &[("kernel_grant", KERNEL_GRANT)];

/// `given`, another part of [`super::common::WITH`]: table, role, privilege, and the columns where it is not given on all of them.
pub(super) const GIVEN: &str = r"
, given AS (
    SELECT to_regclass('kernel.' || v.tbl)::oid AS rel, to_regrole(v.role)::oid AS role, p.privilege, string_to_array(v.columns, ', ') AS columns
    FROM (VALUES
        ('migrations',       'kernel_app',    'SELECT', NULL),
        ('migrations',       'kernel_system', 'SELECT', NULL),
        ('usage',            'kernel_app',    'SELECT', NULL),
        ('usage',            'kernel_app',    'INSERT', 'workspace_id, key'),
        ('usage',            'kernel_app',    'UPDATE', 'used'),
        ('usage',            'kernel_system', 'SELECT INSERT UPDATE DELETE', NULL),
        ('users',            'kernel_app',    'SELECT', 'id, email, email_lower, name, email_verified_at, created_at, updated_at'),
        ('users',            'kernel_app',    'INSERT', 'id, email, email_lower, name, password_hash, created_at, updated_at'),
        ('users',            'kernel_system', 'SELECT INSERT UPDATE DELETE', NULL),
        ('users',            'kernel_lookup', 'SELECT', NULL),
        ('sessions',         'kernel_app',    'SELECT INSERT', NULL),
        ('sessions',         'kernel_app',    'UPDATE', 'seen_at, expires_at'),
        ('sessions',         'kernel_system', 'SELECT INSERT UPDATE DELETE', NULL),
        ('sessions',         'kernel_lookup', 'SELECT DELETE', NULL),
        ('workspaces',       'kernel_app',    'SELECT', NULL),
        ('workspaces',       'kernel_app',    'INSERT', 'id, slug, name, created_by_type, created_by_id, created_at, updated_at'),
        ('workspaces',       'kernel_app',    'UPDATE', 'slug, name, updated_at'),
        ('workspaces',       'kernel_system', 'SELECT INSERT UPDATE DELETE', NULL),
        ('workspaces',       'kernel_lookup', 'SELECT', NULL),
        ('slugs',            'kernel_app',    'SELECT INSERT', NULL),
        ('slugs',            'kernel_system', 'SELECT INSERT UPDATE DELETE', NULL),
        ('slugs',            'kernel_lookup', 'SELECT', NULL),
        ('memberships',      'kernel_app',    'SELECT INSERT DELETE', NULL),
        ('memberships',      'kernel_app',    'UPDATE', 'role, updated_at'),
        ('memberships',      'kernel_system', 'SELECT INSERT UPDATE DELETE', NULL),
        ('memberships',      'kernel_lookup', 'SELECT', NULL),
        ('audit_log',        'kernel_app',    'SELECT', 'subject_type, subject_id, workspace_id, at, id, retention, version, actor_type, actor_id, actor_label, acting_as, action, target_type, target_id, meta, request_id, trace'),
        ('audit_log',        'kernel_app',    'INSERT', 'subject_type, subject_id, workspace_id, id, retention, version, actor_type, actor_id, actor_label, acting_as, action, target_type, target_id, meta, request_id, trace'),
        ('audit_log',        'kernel_system', 'SELECT', NULL),
        ('audit_log',        'kernel_system', 'INSERT', 'subject_type, subject_id, workspace_id, id, retention, version, actor_type, actor_id, actor_label, acting_as, action, target_type, target_id, meta, request_id, trace'),
        ('audit_personal',   'kernel_app',    'SELECT', NULL),
        ('audit_personal',   'kernel_app',    'INSERT', 'subject_type, subject_id, workspace_id, id, retention, actor_id, ip, user_agent, details'),
        ('audit_personal',   'kernel_system', 'SELECT DELETE', NULL),
        ('audit_personal',   'kernel_system', 'INSERT', 'subject_type, subject_id, workspace_id, id, retention, actor_id, ip, user_agent, details'),
        ('outbox',           'kernel_app',    'INSERT', 'subject_type, subject_id, workspace_id, id, version, actor_type, actor_id, actor_label, acting_as, subject, body, request_id, trace'),
        ('outbox',           'kernel_system', 'SELECT', NULL),
        ('outbox',           'kernel_system', 'INSERT', 'subject_type, subject_id, workspace_id, id, version, actor_type, actor_id, actor_label, acting_as, subject, body, request_id, trace'),
        ('idempotency_keys', 'kernel_app',    'SELECT INSERT', NULL),
        ('idempotency_keys', 'kernel_app',    'UPDATE', 'fingerprint, status, headers, body, expires_at'),
        ('idempotency_keys', 'kernel_system', 'SELECT DELETE', NULL),
        ('subscriptions',    'kernel_app',    'SELECT', NULL),
        ('subscriptions',    'kernel_system', 'SELECT INSERT UPDATE DELETE', NULL),
        ('webhook_inbox',    'kernel_system', 'SELECT INSERT UPDATE', NULL),
        ('catalogs',         'kernel_system', 'SELECT INSERT UPDATE', NULL),
        ('catalogs',         'kernel_lookup', 'SELECT', NULL),
        ('invites',          'kernel_app',    'SELECT INSERT', NULL),
        ('invites',          'kernel_app',    'UPDATE', 'email, role, token_hash, invited_by, created_at, expires_at, accepted_at, accepted_by, revoked_at'),
        ('invites',          'kernel_system', 'SELECT INSERT UPDATE DELETE', NULL),
        ('invites',          'kernel_lookup', 'SELECT', NULL),
        ('api_keys',         'kernel_app',    'SELECT INSERT', NULL),
        ('api_keys',         'kernel_app',    'UPDATE', 'last_used_at, revoked_at'),
        ('api_keys',         'kernel_system', 'SELECT INSERT UPDATE DELETE', NULL),
        ('api_keys',         'kernel_lookup', 'SELECT', NULL)
    ) v(tbl, role, privileges, columns) CROSS JOIN LATERAL unnest(string_to_array(v.privileges, ' ')) p(privilege)
)";

/// Rows only: what else a grant allows is `dangerous_grant`, a grant on a partition `partition_grant`. A REVOKE on the table takes the columns'
/// grants with it, so those that are given come again.
const KERNEL_GRANT: &str = r"
SELECT format('%s ON %s TO %s', h.privilege, r.name, h.grantee),
       format('%s has it%s, beyond what the migrations give%s%s', h.grantee,
              CASE WHEN bool_or(h.col IS NULL) THEN '' ELSE format(' (%s)', string_agg(quote_ident(h.col), ', ' ORDER BY h.col)) END,
              ' (' || array_to_string(g.columns, ', ') || ')', ': ' || w.why),
       format('REVOKE %s ON %s FROM %s;%s', h.privilege, r.name, h.grantee,
              ' GRANT ' || h.privilege || ' (' || array_to_string(g.columns, ', ') || format(') ON %s TO %s;', r.name, h.grantee))
FROM held h JOIN rel r ON r.oid = h.rel
LEFT JOIN given g ON g.rel = h.rel AND g.role = h.role AND g.privilege = h.privilege
LEFT JOIN (VALUES
    ('users', 'hashes are for kernel.login_lookup only, and a request cannot change or verify an address'),
    ('sessions', 'a session stays its person''s, and is ended by kernel.end_session'),
    ('memberships', 'moved to another person, it shows their address to the workspace'),
    ('idempotency_keys', 'a key stays the caller''s who used it'),
    ('workspaces', 'a request cannot raise its own plan, nor open a closed workspace'),
    ('usage', 'a request cannot raise its own limit'),
    ('catalogs', 'a request cannot choose what the plans allow, and what was applied stays'),
    ('subscriptions', 'a request cannot raise its own plan'),
    ('slugs', 'a slug stays claimed'),
    ('audit_log', 'the log is append-only, and the database stamps and numbers it: nobody backdates, and no request sees the numbers'),
    ('audit_personal', 'only the system erases personal data, and nobody changes it'),
    ('outbox', 'events are append-only, and the database stamps and numbers them'),
    ('webhook_inbox', 'what a provider sent stays, and is nothing for requests'),
    ('invites', 'an invite stays its address''s, and is ended and not deleted'),
    ('api_keys', 'what a key may do is decided when it is made; it is ended and not deleted')
) w(tbl, why) ON w.tbl = r.relname
WHERE r.nspname = 'kernel' AND r.relkind IN ('r', 'p') AND NOT r.relispartition AND h.privilege IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
  AND (g.rel IS NULL OR g.columns IS NOT NULL AND (h.col IS NULL OR h.col <> ALL (g.columns)))
GROUP BY r.name, h.grantee, h.privilege, g.columns, w.why ORDER BY 1";

#[cfg(all(test, feature = "testing"))]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::GIVEN;
    use crate::Migrations;
    use crate::doctor::common;
    use crate::testing::TestDb;

    /// The list only says what is there: one that the migrations no longer give is taken off.
    #[tokio::test]
    async fn everything_that_is_listed_is_given() -> Result<(), Box<dyn std::error::Error>> {
        let db = TestDb::new(&Migrations::kernel()).await?;
        let missing = "SELECT concat_ws(' ', rel::regclass, role::regrole, privilege, c) FROM given LEFT JOIN LATERAL unnest(columns) c ON true
             WHERE NOT EXISTS (SELECT FROM held h WHERE (h.rel, h.role, h.privilege) = (given.rel, given.role, given.privilege) AND h.col IS NOT DISTINCT FROM c)";
        let sql = AssertSqlSafe(format!("{}{GIVEN}{missing}", common::WITH));
        let missing: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut db.admin().await?).await?;
        assert_eq!(missing, Vec::<String>::new());
        Ok(())
    }
}
