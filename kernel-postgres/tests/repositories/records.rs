//! Records: buffered, written by the commit.

use serde_json::json;

use crate::Outcome;
use crate::world::{Person, World};
use saas_kernel::actor::Actor;
use saas_kernel::audit::{self, AuditEntry, AuditFilter};
use saas_kernel::error::BoxError;
use saas_kernel::events::{Event, OutboxEvent, publish};
use saas_kernel::page::PageRequest;
use saas_kernel::permissions::{ReadAudit, UpdateWorkspace};
use saas_kernel::tenancy::workspaces::Rename;

#[derive(serde::Serialize)]
struct Noted {
    n: u32,
}

impl Event for Noted {
    const SUBJECT: &'static str = "test.noted";
}

async fn noted(world: &World, person: &Person) -> Result<Vec<String>, BoxError> {
    let filter = AuditFilter { action: Some("test.noted".to_owned()), ..AuditFilter::default() };
    let mut tx = world.tenant(person).await?;
    let found = audit::list(&person.grant.allow::<ReadAudit>()?, &mut *tx, &filter, &PageRequest::first(100)).await?;
    Ok(found.items.into_iter().map(|record| record.target_id).collect())
}

pub(crate) async fn suite() -> Outcome {
    let world = World::new().await?;
    let (ada, eve) = (world.person("Ada").await?, world.person("Eve").await?);
    let can = ada.grant.allow::<UpdateWorkspace>()?;
    let note = |tx: &mut dyn saas_kernel::Tx, n: u32| {
        audit::record(&can, tx, "test.noted", "number", n).and_then(|()| publish(&can, tx, &Noted { n }))
    };

    // Nothing before the commit, nothing without it, everything with it, in the order of the calls.
    let mut tx = world.tenant(&ada).await?;
    note(&mut *tx, 0)?;
    let read = tx.audit_log().list(ada.workspace().into(), &AuditFilter::default(), &PageRequest::first(9)).await?;
    assert_eq!(read.items.len(), 1, "buffered: only the sign-up's own entry is there");
    drop(tx);
    assert!(noted(&world, &ada).await?.is_empty(), "dropping forgets them");
    let mut tx = world.tenant(&ada).await?;
    for n in 0..40 {
        note(&mut *tx, n)?;
    }
    tx.commit().await?;
    let found = noted(&world, &ada).await?;
    assert_eq!(found, (0..40).rev().map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(noted(&world, &eve).await?.is_empty(), "another workspace sees nothing");

    // A record of another workspace, or of none, refuses the commit: the change goes with it.
    let entry = |workspace| AuditEntry::new(ada.grant.ctx(), ada.grant.actor(), workspace, "test.forged");
    let event = |workspace| OutboxEvent::new(ada.grant.ctx(), ada.grant.actor(), workspace, "test.forged", json!({}));
    for forged in 0..2 {
        let mut tx = world.tenant(&ada).await?;
        let rename = Rename { name: Some("Never".parse()?), slug: None };
        tx.workspaces().rename(ada.workspace(), &rename, world.now()).await?.ok_or("its own")?;
        match forged {
            0 => tx.records().audit(entry(eve.workspace())),
            _ => tx.records().event(event(eve.workspace())),
        }
        assert!(tx.commit().await.is_err(), "a record of another workspace");
        let mut tx = world.tenant(&ada).await?;
        assert_ne!(tx.workspaces().find(ada.workspace()).await?.ok_or("it is there")?.name, "Never");
    }
    let mut tx = world.own(&ada).await?;
    tx.records().audit(entry(ada.workspace()));
    assert!(tx.commit().await.is_err(), "a person's scope has no log");

    // The system writes for whichever workspace it works on.
    let mut tx = world.system().await?;
    let noted_for_eve = AuditEntry::new(ada.grant.ctx(), Actor::System("conformance"), eve.workspace(), "test.noted");
    tx.records().audit(noted_for_eve.target("number", 99));
    tx.records().event(event(ada.workspace()));
    tx.commit().await?;
    assert_eq!(noted(&world, &eve).await?, ["99"]);
    Ok(())
}
