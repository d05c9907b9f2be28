-- Workspaces with five seats, one of them taken, and thirty people who hold an invite to each. They come after those that
-- are read meanwhile.
INSERT INTO kernel.invites (workspace_id, id, email, email_lower, role, token_hash, invited_by, created_at, expires_at)
SELECT w.id, gen_random_uuid(), u.email, u.email_lower, 'member',
       sha256(convert_to('inv_bench-' || lpad(n::text, 4, '0') || '-' || lpad(guest::text, 4, '0'), 'UTF8')),
       m.user_id, now(), now() + interval '1 day'
FROM generate_series($1::int, $1::int + $2::int - 1) n
JOIN kernel.workspaces w ON w.slug = 'bench-' || lpad(n::text, 4, '0')
JOIN kernel.memberships m ON m.workspace_id = w.id
CROSS JOIN LATERAL (SELECT (n + g) % $3::int AS guest FROM generate_series(1, 30) g) g
JOIN kernel.users u ON u.email = lpad(guest::text, 4, '0') || '@bench.example'
