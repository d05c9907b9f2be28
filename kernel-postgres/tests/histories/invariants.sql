-- What must hold after every history; each row is a violation: the invariant and what is wrong.
-- $1: the workspaces; $2: the journal's last number of the set-up; $3, $4: items that a caller was told are kept, are not kept;
-- $5: the hashes of sessions that a login replaced; $6: the events that were received; $7: the answers that were replayed.
WITH j AS MATERIALIZED (SELECT * FROM history.journal WHERE workspace_id = ANY($1)),

-- Rows that count against a limit, as they come and go.
places AS MATERIALIZED (
    SELECT seq, xid, workspace_id, CASE tbl WHEN 'items' THEN 'items' ELSE 'members' END AS key,
           (new IS NOT NULL AND new ->> 'deleted_at' IS NULL)::int - (old IS NOT NULL AND old ->> 'deleted_at' IS NULL)::int AS delta
    FROM j WHERE tbl IN ('items', 'memberships')
),
rows AS (
    SELECT workspace_id, 'items' AS key, count(*) AS n FROM app.items WHERE deleted_at IS NULL GROUP BY 1
    UNION ALL SELECT workspace_id, 'members', count(*) FROM kernel.memberships GROUP BY 1
),

-- What lets people and keys in, as it changes: a role, `api_key`, or NULL for nothing.
standing AS MATERIALIZED (
    SELECT seq, xid, workspace_id, coalesce(new, old) ->> 'user_id' AS subject,
           CASE WHEN new ->> 'status' = 'active' THEN new ->> 'role' END AS role
    FROM j WHERE tbl = 'memberships'
    UNION ALL
    SELECT seq, xid, workspace_id, new ->> 'id', CASE WHEN new ->> 'revoked_at' IS NULL THEN 'api_key' END
    FROM j WHERE tbl = 'api_keys'
),
owners AS (
    SELECT workspace_id, max(seq) AS seq,
           sum(coalesce((new ->> 'role' = 'owner' AND new ->> 'status' = 'active')::int, 0)
             - coalesce((old ->> 'role' = 'owner' AND old ->> 'status' = 'active')::int, 0)) AS delta
    FROM j WHERE tbl = 'memberships' GROUP BY workspace_id, xid
),

-- What ran under an idempotency key, and with which result.
executed AS MATERIALIZED (
    SELECT workspace_id, new ->> 'actor_id' AS actor, new ->> 'idempotency_key' AS key, new ->> 'id' AS result
    FROM j WHERE tbl = 'items' AND old IS NULL AND new ->> 'idempotency_key' IS NOT NULL
    UNION ALL
    SELECT w.workspace_id, a.new ->> 'actor_id', split_part(w.new ->> 'name', ' ', 2), w.new ->> 'name'
    FROM j w JOIN j a ON a.xid = w.xid AND a.tbl = 'audit_log'
    WHERE w.tbl = 'workspaces' AND w.old IS NOT NULL AND w.new ->> 'name' LIKE 'Under %'
),

-- Changes, and the action that the audit log must have for each.
changes AS (
    SELECT xid, workspace_id, CASE
        WHEN tbl = 'items' AND old IS NULL THEN 'resource.create'
        WHEN tbl = 'items' AND (new IS NULL OR old ->> 'deleted_at' IS NULL) THEN 'resource.delete'
        WHEN tbl = 'items' THEN 'resource.update'
        WHEN tbl = 'workspaces' AND old IS NULL THEN 'workspace.create'
        WHEN tbl = 'workspaces' THEN 'workspace.update'
        WHEN tbl = 'memberships' AND old IS NULL
             AND EXISTS (SELECT FROM j w WHERE w.xid = j.xid AND w.tbl = 'workspaces' AND w.old IS NULL) THEN NULL -- the founder
        WHEN tbl = 'memberships' AND old IS NULL THEN 'member.join'
        WHEN tbl = 'memberships' AND new IS NULL THEN 'member.remove'
        WHEN tbl = 'memberships' THEN 'member.role_change'
        WHEN tbl = 'invites' AND (old IS NULL OR old ->> 'token_hash' <> new ->> 'token_hash') THEN 'member.invite'
        WHEN tbl = 'invites' AND new ->> 'revoked_at' IS NOT NULL THEN 'member.invite_revoke'
        WHEN tbl = 'api_keys' AND old IS NULL THEN 'api_key.create'
        WHEN tbl = 'api_keys' THEN 'api_key.revoke'
        WHEN tbl = 'subscriptions' THEN 'billing.subscription' END AS action
    FROM j WHERE seq > $2
),
recorded AS MATERIALIZED (
    SELECT xid, workspace_id, CASE
        WHEN new ->> 'action' = 'member.leave' THEN 'member.remove'
        WHEN new ->> 'action' LIKE 'billing.subscription%' THEN 'billing.subscription' ELSE new ->> 'action' END AS action
    FROM j WHERE tbl = 'audit_log' AND seq > $2
),
announced AS (
    SELECT xid, workspace_id, CASE new ->> 'subject'
        WHEN 'workspace.created' THEN 'workspace.create' WHEN 'workspace.updated' THEN 'workspace.update'
        WHEN 'member.joined' THEN 'member.join' WHEN 'member.updated' THEN 'member.role_change'
        WHEN 'member.removed' THEN 'member.remove' WHEN 'subscription.changed' THEN 'billing.subscription' END AS action
    FROM j WHERE tbl = 'outbox' AND seq > $2
),
plans AS (
    SELECT w.id AS workspace_id, w.plan, s.as_of, CASE WHEN s.status IN ('active', 'past_due', 'unpaid') THEN s.plan END AS paid
    FROM kernel.workspaces w LEFT JOIN kernel.subscriptions s ON s.workspace_id = w.id WHERE w.id = ANY($1)
)

SELECT 'used equals rows' AS invariant,
       format('%s in %s: used %s, rows %s', u.key, u.workspace_id, u.used, coalesce(r.n, 0)) AS violation
FROM kernel.usage u LEFT JOIN rows r USING (workspace_id, key)
WHERE u.workspace_id = ANY($1) AND u.used <> coalesce(r.n, 0)

UNION ALL
SELECT 'no row above the cap', format('%s in %s: row %s of %s at %s', p.key, p.workspace_id, p.n, c.cap, p.seq)
FROM (SELECT *, sum(delta) OVER (PARTITION BY workspace_id, key ORDER BY seq) AS n FROM places) p
CROSS JOIN LATERAL (SELECT (new ->> 'cap')::bigint AS cap FROM j c WHERE c.tbl = 'usage' AND c.workspace_id = p.workspace_id
                    AND c.new ->> 'key' = p.key AND c.seq < p.seq ORDER BY c.seq DESC LIMIT 1) c
WHERE p.delta > 0 AND p.n > c.cap

UNION ALL
SELECT 'always an owner', format('%s has %s owners at %s', workspace_id, n, seq)
FROM (SELECT *, sum(delta) OVER (PARTITION BY workspace_id ORDER BY seq) AS n FROM owners) o WHERE n < 1

UNION ALL
SELECT 'always an owner', format('%s has no owner', id)
FROM kernel.workspaces w WHERE id = ANY($1) AND NOT EXISTS
    (SELECT FROM kernel.memberships m WHERE m.workspace_id = w.id AND m.role = 'owner' AND m.status = 'active')

UNION ALL
SELECT 'an invite admits once', format('%s joined %s at %s without an open invite to that role', m.new ->> 'user_id', m.workspace_id, m.seq)
FROM j m
WHERE m.tbl = 'memberships' AND m.old IS NULL AND m.seq > $2
  AND NOT EXISTS (SELECT FROM j w WHERE w.xid = m.xid AND w.tbl = 'workspaces' AND w.old IS NULL)
  AND NOT EXISTS (SELECT FROM j i WHERE i.xid = m.xid AND i.tbl = 'invites'
                  AND i.old ->> 'accepted_at' IS NULL AND i.old ->> 'revoked_at' IS NULL
                  AND i.new ->> 'accepted_by' = m.new ->> 'user_id' AND i.new ->> 'role' = m.new ->> 'role')
UNION ALL
SELECT 'an invite admits once', format('%s admitted %s times', new ->> 'target_id', count(*))
FROM j WHERE tbl = 'audit_log' AND new ->> 'action' = 'member.join' GROUP BY new ->> 'target_id' HAVING count(*) > 1

UNION ALL
SELECT 'a replaced session is void', format('the session %s of %s is in force', s.id, s.user_id)
FROM kernel.sessions s WHERE s.token_hash = ANY($5)

UNION ALL
SELECT 'an idempotency key executes once', format('key %s of %s executed %s times', key, actor, count(*))
FROM executed GROUP BY workspace_id, actor, key HAVING count(*) > 1
UNION ALL
SELECT 'an idempotency key executes once', format('key %s: result %s, kept answer %s', coalesce(e.key, k.key), e.result, k.body)
FROM executed e FULL JOIN (SELECT scope_id, actor_id::text AS actor, key, convert_from(body, 'UTF8') AS body
                           FROM kernel.idempotency_keys WHERE scope_id = ANY($1)) k
     ON k.scope_id = e.workspace_id AND k.actor = e.actor AND k.key = e.key
WHERE e.result IS DISTINCT FROM k.body
UNION ALL
SELECT 'an idempotency key executes once', format('key %s: replayed %s, kept answer %s', a.key, a.body, convert_from(k.body, 'UTF8'))
FROM jsonb_to_recordset($7) AS a (workspace uuid, actor uuid, key text, body text)
LEFT JOIN kernel.idempotency_keys k ON k.scope_id = a.workspace AND k.actor_id = a.actor AND k.key = a.key
WHERE convert_from(k.body, 'UTF8') IS DISTINCT FROM a.body

UNION ALL
SELECT 'an event is applied once', format('%s is applied %s times', e.id, count(p.seq))
FROM (SELECT DISTINCT unnest($6::text[]) AS id) e LEFT JOIN j p ON p.tbl = 'applied' AND p.new ->> 'event_id' = e.id
GROUP BY e.id HAVING count(p.seq) <> 1
UNION ALL
SELECT 'an event is applied once', format('%s is recorded %s times', new #>> '{meta,event}', count(*))
FROM j WHERE tbl = 'audit_log' AND new #>> '{meta,event}' IS NOT NULL GROUP BY new #>> '{meta,event}' HAVING count(*) > 1
UNION ALL
SELECT 'the newest event decides', format('%s: state of %s, newest event of %s; plan %s, paid %s', p.workspace_id, p.as_of, newest, p.plan, p.paid)
FROM plans p LEFT JOIN (SELECT workspace_id, max((new ->> 'event_created')::timestamptz) AS newest FROM j WHERE tbl = 'applied' GROUP BY 1) e
     USING (workspace_id)
WHERE e.newest IS DISTINCT FROM p.as_of OR p.plan IS DISTINCT FROM p.paid
UNION ALL
SELECT 'the newest event decides', format('%s: cap of %s is %s on plan %s', u.workspace_id, u.key, u.cap, p.plan)
FROM kernel.usage u JOIN plans p USING (workspace_id)
WHERE u.cap IS DISTINCT FROM CASE WHEN p.plan = 'pro' THEN NULL WHEN p.plan = 'starter' THEN 5 ELSE 4 END

UNION ALL
SELECT 'entitlements are those of the plan', format('%s on plan %s: %s, cap of %s: %s', w.id, w.plan, w.entitlements, l.key, u.cap)
FROM kernel.workspaces w
CROSS JOIN (SELECT plans FROM kernel.catalogs WHERE finished_at IS NOT NULL ORDER BY number DESC LIMIT 1) c
CROSS JOIN LATERAL (SELECT t.terms FROM jsonb_array_elements(c.plans) WITH ORDINALITY t (terms, nth)
                    WHERE nth = 1 OR t.terms ->> 'plan' = w.plan ORDER BY nth DESC LIMIT 1) p
CROSS JOIN LATERAL jsonb_each_text(p.terms -> 'limits') l
LEFT JOIN kernel.usage u ON u.workspace_id = w.id AND u.key = l.key
WHERE w.id = ANY($1) AND (w.entitlements <> p.terms OR u.key IS NULL OR u.cap IS DISTINCT FROM nullif(l.value, 'unlimited')::bigint)
UNION ALL
SELECT CASE w.role WHEN 'api_key' THEN 'nothing is kept for a revoked key' ELSE 'nothing is kept for a removed member' END,
       format('%s wrote as %s at %s, but was %s', w.actor, w.role, w.seq, coalesce(s.role, 'removed'))
FROM (SELECT seq, xid, workspace_id, new ->> 'actor_id' AS actor, new ->> 'standing' AS role
      FROM j WHERE tbl = 'items' AND new IS NOT NULL AND seq > $2) w
LEFT JOIN LATERAL (SELECT role FROM standing s WHERE s.workspace_id = w.workspace_id AND s.subject = w.actor
                   AND s.seq < w.seq AND s.xid <> w.xid ORDER BY s.seq DESC LIMIT 1) s ON true
WHERE s.role IS DISTINCT FROM w.role
UNION ALL
SELECT CASE a.new ->> 'actor_type' WHEN 'api_key' THEN 'nothing is kept for a revoked key' ELSE 'nothing is kept for a removed member' END,
       format('%s: %s at %s', a.new ->> 'actor_id', a.new ->> 'action', a.seq)
FROM j a LEFT JOIN LATERAL (SELECT role FROM standing s WHERE s.workspace_id = a.workspace_id AND s.subject = a.new ->> 'actor_id'
                            AND s.seq < a.seq AND s.xid <> a.xid ORDER BY s.seq DESC LIMIT 1) s ON true
WHERE a.tbl = 'audit_log' AND a.seq > $2 AND a.new ->> 'actor_type' IN ('user', 'api_key') AND s.role IS NULL
  -- whoever joins, or founds, has nothing before
  AND NOT EXISTS (SELECT FROM standing s WHERE s.xid = a.xid AND s.subject = a.new ->> 'actor_id' AND s.role IS NOT NULL)

UNION ALL
SELECT 'records exist with the change', format('%s in %s: %s changes, %s entries', action, xid, coalesce(c.n, 0), coalesce(r.n, 0))
FROM (SELECT xid, workspace_id, action, count(*) AS n FROM changes WHERE action IS NOT NULL GROUP BY 1, 2, 3) c
FULL JOIN (SELECT xid, workspace_id, action, count(*) AS n FROM recorded GROUP BY 1, 2, 3) r USING (xid, workspace_id, action)
WHERE c.n IS DISTINCT FROM r.n
UNION ALL
SELECT 'records exist with the change', format('%s in %s: %s entries, %s events', action, xid, coalesce(r.n, 0), coalesce(e.n, 0))
FROM (SELECT xid, workspace_id, action, count(*) AS n FROM recorded
      WHERE action NOT LIKE 'resource.%' AND action NOT LIKE 'api_key.%' AND action NOT LIKE 'member.invite%' GROUP BY 1, 2, 3) r
FULL JOIN (SELECT xid, workspace_id, action, count(*) AS n FROM announced GROUP BY 1, 2, 3) e USING (xid, workspace_id, action)
WHERE r.n IS DISTINCT FROM e.n

-- Whoever changes the number of items holds its counter from before its records are numbered until its commit, when the journal is written.
UNION ALL
SELECT 'records follow the locks', format('%s: entries from number %s on at %s, after number %s', workspace_id, lowest, seq, earlier)
FROM (SELECT workspace_id, seq, lowest, max(highest) OVER (PARTITION BY workspace_id ORDER BY seq ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW) AS earlier
      FROM (SELECT workspace_id, min(seq) AS seq, min((new ->> 'seq')::bigint) AS lowest, max((new ->> 'seq')::bigint) AS highest
            FROM j WHERE tbl = 'audit_log' AND seq > $2 AND xid IN (SELECT xid FROM places WHERE key = 'items' AND delta <> 0)
            GROUP BY workspace_id, xid) t) t
WHERE lowest < earlier

UNION ALL
SELECT 'the answer tells what was kept', format('the item %s was acknowledged and is not there', id)
FROM unnest($3::uuid[]) AS t (id) WHERE NOT EXISTS (SELECT FROM j WHERE tbl = 'items' AND old IS NULL AND new ->> 'id' = t.id::text)
UNION ALL
SELECT 'the answer tells what was kept', format('the item %s was refused and is there', id)
FROM unnest($4::uuid[]) AS t (id) WHERE EXISTS (SELECT FROM j WHERE tbl = 'items' AND old IS NULL AND new ->> 'id' = t.id::text)
