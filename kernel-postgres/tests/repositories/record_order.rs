//! The numbers of records follow the row locks, and what is personal in entries can be erased.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::json;

use crate::Outcome;
use crate::world::{Person, World};
use saas_kernel::audit::{AuditEntry, AuditFilter};
use saas_kernel::error::BoxError;
use saas_kernel::events::OutboxEvent;
use saas_kernel::page::PageRequest;
use saas_kernel::store::Tx;
use saas_kernel::{Actor, Subject, actions};
use saas_kernel_postgres::PgTx;

/// Records the entry and the event `test.<name>` in Ada's workspace.
fn note(tx: &mut dyn Tx, ada: &Person, name: &str) {
    let name = format!("test.{name}");
    tx.records().audit(AuditEntry::by(&ada.grant, name.clone()));
    tx.records().event(OutboxEvent::by(&ada.grant, name, json!({})));
}

/// The names of the records in the order of their numbers, and whether their transactions have ascending ids.
async fn order(world: &World) -> Result<[(Vec<String>, bool); 2], BoxError> {
    let mut tx = world.system.begin_system("test").await?;
    let mut orders = [const { (Vec::new(), true) }; 2];
    for (order, sql) in orders.iter_mut().zip([
        "SELECT array_agg(substr(action, 6) ORDER BY seq), array_agg(xid::text::bigint ORDER BY seq) = array_agg(xid::text::bigint ORDER BY xid)
         FROM kernel.audit_log WHERE action LIKE 'test.%'",
        "SELECT array_agg(substr(subject, 6) ORDER BY seq), array_agg(xid::text::bigint ORDER BY seq) = array_agg(xid::text::bigint ORDER BY xid)
         FROM kernel.outbox WHERE subject LIKE 'test.%'",
    ]) {
        *order = sqlx::query_as(sql).fetch_one(tx.conn()).await?;
    }
    Ok(orders)
}

/// Waits until a transaction waits for a lock.
async fn until_somebody_waits(world: &World) -> Outcome {
    for _ in 0..1000 {
        let mut tx = world.system.begin_system("test").await?;
        let waits = "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.datname = current_database())";
        if sqlx::query_scalar::<_, bool>(waits).fetch_one(tx.conn()).await? {
            return Ok(());
        }
        drop(tx);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err("nobody waits for a lock".into())
}

pub(crate) async fn suite() -> Outcome {
    let world = World::new().await?;
    let ada = world.person("Ada").await?;

    // B has its id first and waits for the row that A holds: A comes first, as in the database.
    let mut b = world.tenant(&ada).await?;
    sqlx::query("SELECT pg_current_xact_id()").execute(PgTx::of(&mut *b)?.conn()).await?;
    note(&mut *b, &ada, "b");
    let mut a = world.tenant(&ada).await?;
    a.workspaces().lock(ada.workspace()).await?;
    note(&mut *a, &ada, "a");
    let (workspace, waiting) = (
        ada.workspace(),
        tokio::spawn(async move {
            b.workspaces().lock(ada.workspace()).await?;
            b.commit().await
        }),
    );
    until_somebody_waits(&world).await?;
    a.commit().await?;
    waiting.await??;
    let ab = (["a", "b"].map(str::to_owned).to_vec(), false);
    assert_eq!(order(&world).await?, [ab.clone(), ab], "the numbers follow the lock, the transactions' ids do not");

    // The last lock is the flush's own, on what let the caller in: the numbers are drawn after it.
    let ada = world.person("Bea").await?;
    let mut c = world.tenant(&ada).await?;
    note(&mut *c, &ada, "c");
    let mut holder = world.system().await?;
    let hold = sqlx::query("SELECT pg_advisory_xact_lock(kernel.standing_queue($1, $2))");
    hold.bind(ada.workspace().uuid()).bind(ada.user().uuid()).execute(PgTx::of(&mut *holder)?.conn()).await?;
    let waiting = tokio::spawn(c.commit());
    until_somebody_waits(&world).await?;
    note(&mut *holder, &ada, "d");
    holder.commit().await?;
    waiting.await??;
    for (names, _) in order(&world).await? {
        assert_eq!(names, ["a", "b", "d", "c"], "who waited in its commit is numbered after whom it waited for");
    }
    assert_ne!(workspace, ada.workspace());
    Ok(())
}

/// What a person's entries and events carry, and what is left when their personal data is erased.
pub(crate) async fn origins() -> Outcome {
    let world = World::new().await?;
    let (ada, eve) = (world.person("Ada").await?, world.person("Eve").await?);
    let everything = (AuditFilter::default(), PageRequest::first(100));
    let own = async |person: &Person| -> Result<Vec<String>, BoxError> {
        let mut tx = world.own(person).await?;
        let about = Subject::Person(person.user());
        let listed = tx.audit_log().list(about, &everything.0, &everything.1).await?;
        assert!(listed.items.iter().all(|entry| entry.about == about));
        Ok(listed.items.into_iter().map(|entry| entry.action).collect())
    };
    assert_eq!(own(&ada).await?, [actions::USER_LOGIN, actions::USER_SIGN_UP]);
    let mut tx = world.own(&eve).await?;
    let hers = tx.audit_log().list(Subject::Person(ada.user()), &everything.0, &everything.1).await?;
    assert_eq!(hers.items, [], "a person's log is nobody else's");
    drop(tx);

    // A staff member acts for Ada: both are kept, with the client, the request and its trace.
    let (staff, trace) = (eve.user(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let client = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let mut ctx = world.ctx();
    (ctx.ip, ctx.user_agent, ctx.trace) = (Some(client), Some("curl".into()), Some(trace.into()));
    let (actor, acting_as) = (Actor::Staff(staff), Some(ada.user()));
    let mut tx = world.system().await?;
    for about in [Subject::Workspace(ada.workspace()), Subject::Person(ada.user()), Subject::Platform] {
        let entry =
            AuditEntry::new(&ctx, actor, about, "test.seen").acting_as(acting_as).meta(json!({ "n": 1 })).version(3);
        tx.records().audit(entry.personal(json!({ "email": "ada@example.com" })));
        tx.records()
            .event(OutboxEvent::new(&ctx, actor, about, "test.seen", json!({})).acting_as(acting_as).version(2));
    }
    tx.commit().await?;
    let mut tx = world.system.begin_system("test").await?;
    let stored = "SELECT count(*) FROM kernel.audit_log a
        JOIN kernel.outbox o ON o.subject = a.action AND (o.subject_type, o.subject_id, o.actor_type, o.actor_id, o.acting_as, o.request_id, o.trace)
                                  = (a.subject_type, a.subject_id, a.actor_type, a.actor_id, a.acting_as, a.request_id, a.trace)
        WHERE a.action = 'test.seen' AND a.actor_type = 'staff' AND a.actor_id = $1 AND a.acting_as = $2 AND a.request_id = $3
          AND a.trace = $4 AND a.version = 3 AND o.version = 2 AND a.meta = '{\"n\": 1}'";
    let stored = sqlx::query_scalar::<_, i64>(stored).bind(staff.uuid()).bind(ada.user().uuid());
    assert_eq!(stored.bind(&*ctx.request_id).bind(trace).fetch_one(tx.conn()).await?, 3);
    drop(tx);

    // In the workspace's log they are shown with it; erased, they are gone and the log is as long as before.
    let log = async || -> Result<_, BoxError> {
        let mut tx = world.tenant(&ada).await?;
        Ok(tx.audit_log().list(ada.workspace().into(), &everything.0, &everything.1).await?.items)
    };
    let before = log().await?;
    let seen = before.first().ok_or("the newest")?;
    assert_eq!((&*seen.action, seen.acting_as, seen.ip.as_deref()), ("test.seen", Some(ada.user()), Some("192.0.2.1")));
    assert_eq!(seen.meta, json!({ "n": 1, "email": "ada@example.com" }));
    let refused = world.tenant(&ada).await?.audit_log().erase_personal_data(staff).await;
    assert!(refused.is_err(), "a request erases nothing");
    let mut tx = world.system().await?;
    assert_eq!(tx.audit_log().erase_personal_data(staff).await?, 3);
    tx.commit().await?;
    let after = log().await?;
    let mut expected = before.clone();
    for entry in expected.iter_mut().filter(|entry| entry.action == "test.seen") {
        (entry.ip, entry.meta) = (None, json!({ "n": 1 }));
    }
    assert_eq!(after, expected, "erasing leaves the log intact");
    Ok(())
}
