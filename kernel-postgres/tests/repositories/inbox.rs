//! The webhook inbox.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::json;

use crate::Outcome;
use crate::world::{World, refused};
use saas_kernel::StoreError;
use saas_kernel::billing::inbox::{ClaimedEvent, Outcome as Ended};
use saas_kernel::billing::provider::ProviderEvent;

const PROVIDER: &str = "conformance";

fn event(id: &str, created_at: DateTime<Utc>) -> ProviderEvent {
    ProviderEvent::new(id, "thing.happened", created_at, json!({ "id": id }))
}

async fn claim(world: &World, n: u32, at: DateTime<Utc>) -> Result<Vec<ClaimedEvent>, StoreError> {
    let mut tx = world.system().await?;
    let claim = tx.inbox().claim(PROVIDER, n, at, at + TimeDelta::minutes(5)).await?;
    tx.commit().await?;
    Ok(claim.events)
}

async fn finish(world: &World, event: &ClaimedEvent, how: &Ended, at: DateTime<Utc>) -> Result<bool, StoreError> {
    let mut tx = world.system().await?;
    let done = tx.inbox().finish(event, how, at).await?;
    tx.commit().await?;
    Ok(done)
}

pub(crate) async fn suite() -> Outcome {
    let world = World::new().await?;
    let ada = world.person("Ada").await?;
    let (now, minute) = (world.now(), TimeDelta::minutes(1));
    let (older, newer) = (event("evt_older", now - minute), event("evt_newer", now));

    // Requests have no part in it.
    for call in 0..3 {
        let mut tx = world.tenant(&ada).await?;
        let claimed = ClaimedEvent {
            provider: PROVIDER.to_owned(),
            event_id: older.id.clone(),
            kind: older.kind.clone(),
            created_at: older.created_at,
            payload: older.payload.clone(),
            attempt: 1,
        };
        let write = match call {
            0 => tx.inbox().receive(PROVIDER, &older, now).await.map(drop),
            1 => tx.inbox().claim(PROVIDER, 1, now, now).await.map(drop),
            _ => tx.inbox().finish(&claimed, &Ended::Processed, now).await.map(drop),
        };
        refused(tx, write).await;
    }

    // Kept once, however often it comes.
    let mut tx = world.system().await?;
    assert!(tx.inbox().receive(PROVIDER, &older, now).await?);
    drop(tx);
    let mut tx = world.system().await?;
    let second_older = ProviderEvent::new("evt_second", &older.kind, older.created_at, older.payload.clone());
    for (event, provider, new) in [
        (&newer, PROVIDER, true),
        (&older, PROVIDER, true),
        (&older, PROVIDER, false),
        (&second_older, PROVIDER, true),
        (&older, "another", true),
    ] {
        assert_eq!(tx.inbox().receive(provider, event, now).await?, new, "{event:?} of {provider}");
    }
    tx.commit().await?;

    // Oldest first, at most `n`, and not again while the lease lasts.
    assert_eq!(claim(&world, 9, now - minute).await?, [], "nothing is due before it came");
    let claimed = claim(&world, 2, now).await?;
    assert_eq!(claimed.iter().map(|e| (e.created_at, e.attempt)).collect::<Vec<_>>(), [(older.created_at, 1); 2]);
    let rest = claim(&world, 9, now).await?;
    assert_eq!(
        rest.iter().map(|e| (e.event_id.as_str(), &e.payload)).collect::<Vec<_>>(),
        [("evt_newer", &newer.payload)]
    );
    assert_eq!(claim(&world, 9, now + minute).await?, [], "all are taken");

    // Finished by who holds it; failed, it comes again when it is time; after the lease, whoever comes takes over.
    let (first, second) = (claimed.first().ok_or("two")?, claimed.get(1).ok_or("two")?);
    let failed = Ended::Failed { error: "no".to_owned(), retry_at: Some(now + minute * 2) };
    assert!(finish(&world, first, &Ended::Processed, now).await?);
    assert!(!finish(&world, first, &Ended::Processed, now).await?, "it is finished already");
    assert!(finish(&world, second, &failed, now).await?);
    assert_eq!(claim(&world, 9, now + minute).await?, []);
    let again = claim(&world, 9, now + minute * 2).await?;
    assert_eq!(again.iter().map(|e| (e.attempt, &e.event_id)).collect::<Vec<_>>(), [(2, &second.event_id)]);
    assert!(!finish(&world, second, &Ended::Processed, now).await?, "that attempt is over");
    let mut over = claim(&world, 9, now + minute * 10).await?;
    assert_eq!(over.len(), 1, "an abandoned event is claimed alone");
    over.extend(claim(&world, 9, now + minute * 10).await?);
    assert_eq!(over.iter().map(|e| e.attempt).collect::<Vec<_>>(), [2, 3], "both leases have run out");
    let never = Ended::Failed { error: "no".to_owned(), retry_at: None };
    for event in &over {
        let mut tx = world.system().await?;
        assert!(tx.inbox().finish(event, &never, now).await?);
        drop(tx);
        assert!(finish(&world, event, &never, now).await?, "dropping rolls back");
    }
    assert_eq!(claim(&world, 9, now + TimeDelta::days(999)).await?, [], "they wait for a person");

    // A time that is finer than what is kept is the same event, and can be finished.
    let exact = event("evt_exact", "2026-03-04T05:06:07.123456789Z".parse()?);
    for new in [true, false] {
        let mut tx = world.system().await?;
        assert_eq!(tx.inbox().receive(PROVIDER, &exact, now).await?, new);
        tx.commit().await?;
    }
    let claimed = claim(&world, 9, now).await?;
    let kept: Vec<_> = claimed.iter().map(|e| (&*e.event_id, e.created_at)).collect();
    assert_eq!(kept, [("evt_exact", exact.created_at.trunc_subsecs(6))], "in microseconds");
    for event in &claimed {
        assert!(finish(&world, event, &Ended::Processed, now).await?);
    }
    Ok(())
}
