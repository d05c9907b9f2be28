//! Subscriptions.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use crate::Outcome;
use crate::world::{World, refused};
use saas_kernel::billing::subscription::{Status, Subscription};
use saas_kernel::id::{SubscriptionId, WorkspaceId};

fn subscription(workspace: WorkspaceId, name: &str, customer: &str, at: DateTime<Utc>) -> Subscription {
    Subscription {
        id: SubscriptionId::generate(at),
        workspace,
        provider: "conformance".to_owned(),
        provider_subscription: name.to_owned(),
        provider_customer: customer.to_owned(),
        status: Status::Active,
        plan: "pro".to_owned(),
        quantity: 7,
        period: (at, at + TimeDelta::days(30)),
        cancel_at: Some(at + TimeDelta::days(60)),
        ended_at: None,
        as_of: at,
    }
}

pub(crate) async fn suite() -> Outcome {
    let world = World::new().await?;
    let (ada, eve) = (world.person("Ada").await?, world.person("Eve").await?);
    let precise = "2026-03-04T05:06:07.123456789Z".parse::<DateTime<Utc>>()?;
    let at = precise.trunc_subsecs(6);
    let stored = subscription(ada.workspace(), "sub_1", "cus_1", at);
    let written = Subscription { period: (precise, stored.period.1), as_of: precise, ..stored.clone() };

    let mut tx = world.system().await?;
    tx.subscriptions().save(&written).await?;
    drop(tx);
    let mut tx = world.system().await?;
    assert_eq!(tx.subscriptions().of_workspace(ada.workspace()).await?, [], "dropping rolls back");
    tx.subscriptions().save(&written).await?;
    assert_eq!(tx.subscriptions().of_workspace(ada.workspace()).await?, std::slice::from_ref(&stored), "its own write");
    tx.commit().await?;

    // Read by its workspace; written by nobody but the system.
    let mut tx = world.tenant(&ada).await?;
    assert_eq!(tx.subscriptions().of_workspace(ada.workspace()).await?, std::slice::from_ref(&stored));
    assert_eq!(tx.subscriptions().workspace_of("conformance", "sub_1").await?, Some(ada.workspace()));
    let write = tx.subscriptions().save(&written).await;
    refused(tx, write).await;
    let mut tx = world.tenant(&eve).await?;
    assert_eq!(tx.subscriptions().of_workspace(ada.workspace()).await?, [], "another workspace sees nothing");
    assert_eq!(tx.subscriptions().workspace_of("conformance", "sub_1").await?, None);
    assert_eq!(tx.subscriptions().workspace_of_customer("conformance", "cus_1").await?, None);
    drop(tx);

    // The provider's id decides: the same one again replaces, and keeps the id it had.
    let mut tx = world.system().await?;
    let next = Subscription { status: Status::Unknown("new_word".to_owned()), ended_at: Some(at), ..stored.clone() };
    tx.subscriptions().save(&Subscription { id: SubscriptionId::generate(at), ..next.clone() }).await?;
    let second = subscription(ada.workspace(), "sub_2", "cus_1", at);
    tx.subscriptions().save(&second).await?;
    assert_eq!(tx.subscriptions().of_workspace(ada.workspace()).await?, [next, second], "in the order they came");
    tx.commit().await?;
    let mut tx = world.system().await?;
    tx.subscriptions().save(&subscription(eve.workspace(), "sub_3", "cus_1", at)).await?;
    tx.commit().await?;
    let mut tx = world.system().await?;
    let found = tx.subscriptions().workspace_of_customer("conformance", "cus_1").await?;
    assert_eq!(found, Some(eve.workspace()), "the customer's latest");
    assert_eq!(tx.subscriptions().workspace_of("another", "sub_1").await?, None, "another provider's");
    assert_eq!(tx.subscriptions().workspace_of_customer("another", "cus_1").await?, None);
    let write = tx.subscriptions().save(&subscription(WorkspaceId::generate(at), "sub_4", "cus_4", at)).await;
    refused(tx, write).await;
    Ok(())
}
