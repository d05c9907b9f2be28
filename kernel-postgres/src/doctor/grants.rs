//! Checks of privileges beyond reading and writing rows.

use super::checks::Check;

pub(super) const CHECKS: &[Check] = &[
    ("dangerous_grant", DANGEROUS_GRANT),
    ("grant_option", GRANT_OPTION),
    ("partition_grant", PARTITION_GRANT),
    ("create_privilege", CREATE_PRIVILEGE),
    ("default_privileges", DEFAULT_PRIVILEGES),
    ("other_product", OTHER_PRODUCT),
];

/// No policy applies to TRUNCATE; REFERENCES reveals rows; TRIGGER runs the grantee's code for others; MAINTAIN exists since
/// PostgreSQL 17.
const DANGEROUS_GRANT: &str = r"
SELECT name, format('%s has %s on it, to which no policy applies', g.grantee, string_agg(DISTINCT g.privilege, ', ')),
       format('REVOKE %s ON %s FROM %s;', string_agg(DISTINCT g.privilege, ', '), name, g.grantee)
FROM rel JOIN held g ON g.rel = rel.oid
WHERE relkind IN ('r', 'p', 'f', 'v', 'm') AND NOT of_extension AND g.privilege IN ('TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN')
GROUP BY name, g.grantee ORDER BY 1, 2";

const GRANT_OPTION: &str = r"
SELECT name, format('%s may grant %s on it to others', g.grantee, string_agg(DISTINCT g.privilege, ', ')),
       string_agg(DISTINCT format('REVOKE GRANT OPTION FOR %s%s ON %s FROM %s CASCADE;', g.privilege, ' (' || quote_ident(g.col) || ')', name, g.grantee), ' ')
FROM rel JOIN held g ON g.rel = rel.oid WHERE g.hands_on GROUP BY name, g.grantee ORDER BY 1, 2";

const PARTITION_GRANT: &str = r"
SELECT name, format('%s can access it directly, so the policies of its parent do not apply', string_agg(DISTINCT g.grantee, ', ')),
       format('REVOKE ALL ON %s FROM %s;', name, string_agg(DISTINCT g.grantee, ', '))
FROM rel JOIN held g ON g.rel = rel.oid WHERE relispartition AND relkind IN ('r', 'p', 'f') GROUP BY name ORDER BY name";

/// A role that can create objects in a schema can put a function or table where another name was meant.
const CREATE_PRIVILEGE: &str = r"
SELECT what, format('%s may create objects in it', grantee), format('REVOKE CREATE ON %s FROM %s;', what, grantee)
FROM (SELECT format('SCHEMA %I', n.nspname) AS what, a.grantee AS role, a.privilege_type
      FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'
      UNION ALL
      SELECT format('DATABASE %I', d.datname), a.grantee, a.privilege_type
      FROM pg_database d CROSS JOIN LATERAL aclexplode(d.datacl) a WHERE d.datname = current_database()) g
CROSS JOIN LATERAL (SELECT CASE g.role WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.role)) END AS grantee) n
WHERE privilege_type = 'CREATE' AND (role IN (SELECT oid FROM login_role) OR role = to_regrole('kernel_lookup')) ORDER BY 1, 2";

const DEFAULT_PRIVILEGES: &str = r"
SELECT format('default privileges of %I%s', pg_get_userbyid(d.defaclrole), s.place),
       format('every table it creates%s is granted to %s before it is protected', s.place, g.grantees),
       format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE ALL ON TABLES FROM %s;', pg_get_userbyid(d.defaclrole), s.place, g.grantees)
FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
CROSS JOIN LATERAL (SELECT CASE WHEN n.oid IS NULL THEN '' ELSE format(' IN SCHEMA %I', n.nspname) END AS place) s
CROSS JOIN LATERAL (SELECT string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, ', ') AS grantees
                    FROM aclexplode(d.defaclacl) a WHERE a.grantee IN (SELECT oid FROM login_role)) g
WHERE d.defaclobjtype = 'r' AND g.grantees IS NOT NULL ORDER BY 1";

/// Products that share a database are separated by their roles only. Without the right to use the schema nothing in it can be
/// reached, but a right on a table waits for one.
const OTHER_PRODUCT: &str = r"
SELECT what, format('%s has %s on it, and it belongs to another product', grantee, string_agg(DISTINCT privilege, ', ')),
       format('REVOKE ALL ON %s FROM %s;', what, grantee)
FROM (SELECT 'SCHEMA ' || s.name AS what, a.grantee AS role, a.privilege_type AS privilege
      FROM other_schema s JOIN pg_namespace n ON n.oid = s.oid CROSS JOIN LATERAL aclexplode(n.nspacl) a
      UNION ALL
      SELECT format('TABLE %s.%I', s.name, c.relname), h.role, h.privilege
      FROM other_schema s JOIN pg_class c ON c.relnamespace = s.oid JOIN held h ON h.rel = c.oid WHERE h.role <> 0) g
CROSS JOIN LATERAL (SELECT CASE role WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(role)) END AS grantee) n
WHERE role IN (SELECT oid FROM login_role) OR role IN (to_regrole('kernel_lookup'), to_regrole('kernel_owner'))
GROUP BY what, grantee ORDER BY 1, 2";
