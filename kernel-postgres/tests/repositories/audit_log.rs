//! The audit log, read.

use std::collections::BTreeSet;

use serde_json::json;

use crate::Outcome;
use crate::world::World;
use saas_kernel::actions;
use saas_kernel::audit::{self, AuditFilter, AuditRecord};
use saas_kernel::page::PageRequest;
use saas_kernel::permissions::{ReadAudit, UpdateWorkspace};

pub(crate) async fn suite() -> Outcome {
    let world = World::new().await?;
    let (ada, eve) = (world.person("Ada").await?, world.person("Eve").await?);
    let (can, read) = (ada.grant.allow::<UpdateWorkspace>()?, ada.grant.allow::<ReadAudit>()?);
    let all = AuditFilter::default();
    for round in 0..3 {
        let mut tx = world.tenant(&ada).await?;
        for n in 0..3 {
            let target = if n == 0 { "even" } else { "odd" };
            audit::record_with(&can, &mut *tx, "test.noted", target, round * 3 + n, json!({ "n": n }))?;
        }
        tx.commit().await?;
    }

    // Newest first, in pages: every entry once.
    let mut tx = world.tenant(&ada).await?;
    let (mut page, mut seen) = (PageRequest::first(4), Vec::<AuditRecord>::new());
    for expect in [4, 4, 2] {
        let found = audit::list(&read, &mut *tx, &all, &page).await?;
        assert_eq!(found.items.len(), expect);
        page.after = found.next;
        seen.extend(found.items);
    }
    assert_eq!(page.after, None, "the last page says so");
    let order: Vec<_> = seen.iter().map(|record| (record.at, record.id)).collect();
    assert!(order.is_sorted_by(|a, b| a > b), "newest first, then the later id: {order:?}");
    assert_eq!(order.iter().map(|(at, _)| at).collect::<BTreeSet<_>>().len(), 4, "one time for each transaction");
    let targets: Vec<&str> = seen.iter().map(|record| record.target_id.as_str()).collect();
    assert_eq!(targets.get(..9), Some(&["8", "7", "6", "5", "4", "3", "2", "1", "0"][..]));
    let (newest, first) = (seen.first().ok_or("ten")?, seen.last().ok_or("ten")?);
    assert_eq!(
        (newest.action.as_str(), &newest.meta, &newest.actor),
        ("test.noted", &json!({ "n": 2 }), &can.actor().into())
    );
    assert_eq!((first.action.as_str(), &first.meta), (actions::WORKSPACE_CREATE, &json!({})), "no meta is empty meta");

    // Filters, alone and together.
    let text = |text: &str| Some(text.to_owned());
    let middle = seen.get(4).ok_or("ten")?.at;
    for (filter, expect) in [
        (AuditFilter { action: text("test.noted"), ..all.clone() }, 9),
        (AuditFilter { action: text("test"), ..all.clone() }, 0),
        (AuditFilter { target_type: text("even"), ..all.clone() }, 3),
        (AuditFilter { target_id: text("4"), ..all.clone() }, 1),
        (AuditFilter { target_type: text("even"), target_id: text("4"), ..all.clone() }, 0),
        (AuditFilter { actor_type: text("user"), actor_id: Some(ada.user().uuid()), ..all.clone() }, 10),
        (AuditFilter { actor_type: text("system"), ..all.clone() }, 0),
        (AuditFilter { actor_id: Some(eve.user().uuid()), ..all.clone() }, 0),
        (AuditFilter { from: Some(middle), ..all.clone() }, 6),
        (AuditFilter { until: Some(middle), ..all.clone() }, 4),
        (AuditFilter { from: Some(middle), until: Some(newest.at), ..all.clone() }, 3),
    ] {
        let found = audit::list(&read, &mut *tx, &filter, &PageRequest::first(100)).await?;
        assert_eq!(found.items.len(), expect, "{filter:?}");
    }

    // Another workspace sees nothing, and neither does a person's scope.
    let everything = PageRequest::first(100);
    assert_eq!(tx.audit_log().list(eve.workspace().into(), &all, &everything).await?.items, []);
    drop(tx);
    let mut tx = world.own(&ada).await?;
    assert_eq!(tx.audit_log().list(ada.workspace().into(), &all, &everything).await?.items, []);
    drop(tx);
    let mut tx = world.system().await?;
    assert_eq!(
        tx.audit_log().list(ada.workspace().into(), &all, &everything).await?.items,
        seen,
        "the system sees all"
    );
    Ok(())
}
