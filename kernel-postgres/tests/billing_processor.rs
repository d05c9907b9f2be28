//! The billing processor on real Postgres: whose events it takes, and how it holds, keeps and gives back its claims.

mod processor;

use std::time::Duration;

use chrono::TimeDelta;
use processor::{Inbox, Result, eventually};
use saas_kernel::clock::Clock;
use tokio::sync::oneshot;

#[tokio::test]
async fn a_processor_leaves_the_events_of_other_providers_alone() -> Result {
    let inbox = Inbox::new().await?;
    let (alpha, beta) = (inbox.provider("alpha"), inbox.provider("beta"));
    let (of_alpha, of_beta) = (inbox.processor(&alpha)?, inbox.processor(&beta)?);
    inbox.receive(&of_alpha, "evt_1", "quick").await?;
    inbox.receive(&of_beta, "evt_1", "quick").await?;
    assert_eq!(of_beta.drain().await?, 1);
    assert_eq!((alpha.begun(), beta.begun()), (vec![], vec!["evt_1".to_owned()]));
    assert_eq!(inbox.states("alpha").await?, ["evt_1 RECEIVED 0"]);
    assert_eq!(of_alpha.drain().await?, 1);
    for provider in ["alpha", "beta"] {
        assert_eq!(inbox.states(provider).await?, ["evt_1 PROCESSED 1"]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn heartbeats_hold_every_claim_while_one_event_takes_longer_than_the_lease() -> Result {
    let inbox = Inbox::new().await?;
    let (provider, other) = (inbox.provider("alpha"), inbox.provider("alpha"));
    let (first, second) = (inbox.processor(&provider)?, inbox.processor(&other)?);
    inbox.receive(&first, "evt_1", "slow").await?;
    inbox.receive(&first, "evt_2", "quick").await?;
    let working = tokio::spawn(async move { first.drain().await });
    eventually("the slow event is in progress", || async { Ok(provider.begun() == ["evt_1"]) }).await?;
    for _ in 0..4 {
        inbox.clock.advance(TimeDelta::from_std(processor::LEASE * 2 / 3)?);
        let now = inbox.clock.now();
        eventually("a heartbeat has extended both leases", || async {
            Ok(inbox
                .due("alpha")
                .await?
                .iter()
                .all(|due| due.is_some_and(|due| due > now + TimeDelta::from_std(processor::LEASE / 2).unwrap())))
        })
        .await?;
        assert_eq!(second.drain().await?, 0, "all are held");
    }
    provider.let_slow_events_go();
    assert_eq!(working.await??, 2);
    assert_eq!(other.begun(), [""; 0]);
    assert_eq!(inbox.states("alpha").await?, ["evt_1 PROCESSED 1", "evt_2 PROCESSED 1"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_processor_whose_claims_were_taken_over_lets_go_of_them() -> Result {
    let inbox = Inbox::new().await?;
    let provider = inbox.provider("alpha");
    let first = inbox.processor(&provider)?;
    for (id, kind) in [("evt_1", "slow"), ("evt_2", "quick"), ("evt_3", "quick")] {
        inbox.receive(&first, id, kind).await?;
    }
    let working = tokio::spawn(async move { first.drain().await });
    eventually("the slow event is in progress", || async { Ok(provider.begun() == ["evt_1"]) }).await?;
    // As another processor leaves it that claimed two of them when their leases had run out, and finished one.
    inbox
        .run("UPDATE kernel.webhook_inbox SET attempts = 2, due_at = due_at + interval '1 hour' WHERE event_id = 'evt_1'")
        .await?;
    inbox
        .run(
            "UPDATE kernel.webhook_inbox SET attempts = 2, state = 'PROCESSED', due_at = NULL WHERE event_id = 'evt_2'",
        )
        .await?;
    // The first one still hangs in its event, which it has given up.
    let done = tokio::time::timeout(Duration::from_secs(10), working).await;
    provider.let_slow_events_go();
    assert_eq!(done???, 2, "one was given up");
    assert_eq!(provider.begun(), ["evt_1", "evt_3"]);
    assert_eq!(inbox.states("alpha").await?, ["evt_1 PROCESSING 2", "evt_2 PROCESSED 2", "evt_3 PROCESSED 1"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_processor_that_cannot_reach_the_database_lets_go_when_its_leases_end() -> Result {
    let inbox = Inbox::new().await?;
    let provider = inbox.provider("alpha");
    let first = inbox.processor(&provider)?;
    inbox.receive(&first, "evt_1", "slow").await?;
    inbox.receive(&first, "evt_2", "quick").await?;
    let working = tokio::spawn(async move { first.drain().await });
    eventually("the slow event is in progress", || async { Ok(provider.begun() == ["evt_1"]) }).await?;
    inbox.cut_off();
    let done = tokio::time::timeout(Duration::from_secs(10), working).await;
    provider.let_slow_events_go();
    let error = done??.unwrap_err().to_string();
    assert!(error.contains("no heartbeat reached the database"), "{error}");
    assert_eq!(provider.begun(), ["evt_1"]);
    assert_eq!(inbox.states("alpha").await?, ["evt_1 PROCESSING 1", "evt_2 PROCESSING 1"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stopping_releases_what_was_not_begun_and_finishes_what_was() -> Result {
    let inbox = Inbox::new().await?;
    let provider = inbox.provider("alpha");
    let first = inbox.processor(&provider)?;
    for (id, kind) in [("evt_1", "slow"), ("evt_2", "quick"), ("evt_3", "quick")] {
        inbox.receive(&first, id, kind).await?;
    }
    // One has failed before.
    inbox
        .run("UPDATE kernel.webhook_inbox SET attempts = 3, state = 'FAILED', error = 'no' WHERE event_id = 'evt_3'")
        .await?;
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(async move { first.run(async { drop(stopped.await) }).await });
    eventually("the slow event is in progress", || async { Ok(provider.begun() == ["evt_1"]) }).await?;
    assert_eq!(inbox.states("alpha").await?, ["evt_1 PROCESSING 1", "evt_2 PROCESSING 1", "evt_3 PROCESSING 4"]);
    drop(stop);
    eventually("what was not begun is released", || async {
        Ok(inbox.states("alpha").await? == ["evt_1 PROCESSING 1", "evt_2 RECEIVED 0", "evt_3 FAILED 3"])
    })
    .await?;
    let now = inbox.clock.now();
    assert_eq!(inbox.due("alpha").await?.iter().filter(|due| due.is_some_and(|due| due <= now)).count(), 2, "due now");
    assert!(!running.is_finished(), "the event in progress is waited for");
    provider.let_slow_events_go();
    running.await?;
    assert_eq!(provider.begun(), ["evt_1"]);
    assert_eq!(inbox.states("alpha").await?, ["evt_1 PROCESSED 1", "evt_2 RECEIVED 0", "evt_3 FAILED 3"]);
    Ok(())
}

#[tokio::test]
async fn a_stop_before_the_first_event_begins_none() -> Result {
    let inbox = Inbox::new().await?;
    let provider = inbox.provider("alpha");
    let processor = inbox.processor(&provider)?;
    inbox.receive(&processor, "evt_1", "quick").await?;
    processor.run(std::future::ready(())).await;
    assert_eq!(inbox.states("alpha").await?, ["evt_1 RECEIVED 0"]);
    // While it claims.
    processor.run(inbox.next_transaction()).await;
    assert_eq!(inbox.states("alpha").await?, ["evt_1 RECEIVED 0"]);
    assert_eq!(provider.begun(), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_failure_that_cannot_be_recorded_releases_the_other_claims() -> Result {
    let inbox = Inbox::new().await?;
    let provider = inbox.provider("alpha");
    let processor = inbox.processor(&provider)?;
    inbox.receive(&processor, "evt_1", "wrong").await?;
    inbox.receive(&processor, "evt_2", "quick").await?;
    // The first transaction claims, the second would record the failure.
    inbox.refuse_transaction(2);
    let error = processor.drain().await.unwrap_err().to_string();
    assert!(error.contains("not available"), "{error}");
    assert_eq!(inbox.states("alpha").await?, ["evt_1 PROCESSING 1", "evt_2 RECEIVED 0"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_event_that_does_not_end_in_time_at_a_stop_is_taken_over_when_its_lease_ends() -> Result {
    let inbox = Inbox::new().await?;
    let (provider, other) = (inbox.provider("alpha"), inbox.provider("alpha"));
    let (first, second) = (inbox.processor(&provider)?, inbox.processor(&other)?);
    inbox.receive(&first, "evt_1", "slow").await?;
    let running = tokio::spawn(async move { first.run(std::future::pending()).await });
    eventually("the slow event is in progress", || async { Ok(provider.begun() == ["evt_1"]) }).await?;
    running.abort();
    assert!(running.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!(second.drain().await?, 0, "its lease still holds");
    inbox.clock.advance(TimeDelta::from_std(processor::LEASE)?);
    other.let_slow_events_go();
    assert_eq!(second.drain().await?, 1);
    provider.let_slow_events_go();
    assert_eq!(inbox.states("alpha").await?, ["evt_1 PROCESSED 2"]);
    Ok(())
}
