//! The webhook inbox on real Postgres: claims, leases, heartbeats, releases and dead letters.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use saas_kernel::SystemStore;
use saas_kernel::billing::inbox::{Claim, ClaimedEvent, Inbox as _, MAX_ATTEMPTS, Outcome};
use saas_kernel::billing::provider::ProviderEvent;
use saas_kernel::clock::{Clock, SystemClock};
use saas_kernel_postgres::testing::TestDb;
use saas_kernel_postgres::{Migrations, PgSystem};
use serde_json::json;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PROVIDER: &str = "alpha";
const LEASE: TimeDelta = TimeDelta::seconds(30);

struct Inbox {
    db: TestDb,
    system: PgSystem,
    now: DateTime<Utc>,
}

impl Inbox {
    async fn new() -> Result<Self> {
        let db = TestDb::new(&Migrations::kernel()).await?;
        let system = db.system().await?;
        Ok(Self { db, system, now: SystemClock.now() })
    }

    /// Receives one event of each id now, each dated a second after the one before it.
    async fn receive(&self, provider: &str, ids: &[&str]) -> Result {
        let mut tx = self.system.begin("test").await?;
        for (id, second) in ids.iter().zip(0..) {
            let created_at = self.now + TimeDelta::seconds(second);
            let (id, kind, payload) = ((*id).to_owned(), "thing.happened".to_owned(), json!({ "id": id }));
            assert!(tx.inbox().receive(provider, &ProviderEvent::new(id, kind, created_at, payload), self.now).await?);
        }
        Ok(tx.commit().await?)
    }

    async fn claim_all(&self, provider: &str, n: u32) -> Result<Claim> {
        let mut tx = self.system.begin("test").await?;
        let claim = tx.inbox().claim(provider, n, self.now, self.now + LEASE).await?;
        tx.commit().await?;
        Ok(claim)
    }

    async fn claim(&self, n: u32) -> Result<Vec<ClaimedEvent>> {
        Ok(self.claim_all(PROVIDER, n).await?.events)
    }

    async fn finish(&self, event: &ClaimedEvent, outcome: &Outcome) -> Result<bool> {
        let mut tx = self.system.begin("test").await?;
        let finished = tx.inbox().finish(event, outcome, self.now).await?;
        tx.commit().await?;
        Ok(finished)
    }

    async fn heartbeat(&self, events: &[ClaimedEvent]) -> Result<Vec<bool>> {
        let mut tx = self.system.begin("test").await?;
        let held = tx.inbox().heartbeat(&events.iter().collect::<Vec<_>>(), self.now + LEASE).await?;
        tx.commit().await?;
        Ok(held)
    }

    async fn release(&self, events: &[ClaimedEvent]) -> Result {
        let mut tx = self.system.begin("test").await?;
        tx.inbox().release(&events.iter().collect::<Vec<_>>(), self.now).await?;
        Ok(tx.commit().await?)
    }

    /// Each event as `id STATE attempts`.
    async fn states(&self) -> Result<Vec<String>> {
        let sql = "SELECT concat_ws(' ', event_id, state, attempts) FROM kernel.webhook_inbox ORDER BY event_id";
        Ok(sqlx::query_scalar(sql).fetch_all(&mut self.db.admin().await?).await?)
    }

    /// In how many seconds each event is due.
    async fn due(&self) -> Result<Vec<Option<i64>>> {
        let sql = "SELECT due_at FROM kernel.webhook_inbox ORDER BY event_id";
        let due: Vec<Option<DateTime<Utc>>> = sqlx::query_scalar(sql).fetch_all(&mut self.db.admin().await?).await?;
        Ok(due.into_iter().map(|due| due.map(|due| (due - self.now).num_seconds())).collect())
    }
}

fn ids(events: &[ClaimedEvent]) -> Vec<&str> {
    events.iter().map(|event| event.event_id.as_str()).collect()
}

fn failed(error: &str, retry_at: Option<DateTime<Utc>>) -> Outcome {
    Outcome::Failed { error: error.to_owned(), retry_at }
}

#[tokio::test]
async fn a_claim_takes_the_oldest_due_events_of_its_provider_only() -> Result {
    let inbox = Inbox::new().await?;
    inbox.receive("beta", &["evt_1"]).await?;
    inbox.receive(PROVIDER, &["evt_1", "evt_2", "evt_3"]).await?;
    let first = inbox.claim(2).await?;
    assert_eq!(ids(&first), ["evt_1", "evt_2"]);
    assert!(first.iter().all(|event| event.provider == PROVIDER && event.attempt == 1));
    assert_eq!(ids(&inbox.claim(9).await?), ["evt_3"]);
    assert!(inbox.claim_all(PROVIDER, 9).await?.is_empty(), "all are claimed");
    assert_eq!(ids(&inbox.claim_all("beta", 9).await?.events), ["evt_1"]);
    assert!(inbox.claim_all("gamma", 9).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_claim_that_was_taken_over_can_no_longer_be_finished() -> Result {
    let mut inbox = Inbox::new().await?;
    inbox.receive(PROVIDER, &["evt_1"]).await?;
    let first = inbox.claim(1).await?.remove(0);
    inbox.now += LEASE;
    let second = inbox.claim(1).await?.remove(0);
    for outcome in [Outcome::Processed, failed("no", None)] {
        assert!(!inbox.finish(&first, &outcome).await?);
    }
    assert_eq!(inbox.states().await?, ["evt_1 PROCESSING 2"]);
    assert!(inbox.finish(&second, &Outcome::Processed).await?);
    assert!(!inbox.finish(&second, &failed("no", None)).await?, "it is finished already");
    assert_eq!(inbox.states().await?, ["evt_1 PROCESSED 2"]);
    Ok(())
}

#[tokio::test]
async fn a_heartbeat_extends_the_claims_that_hold_and_names_the_others() -> Result {
    let mut inbox = Inbox::new().await?;
    inbox.receive(PROVIDER, &["evt_1", "evt_2", "evt_3", "evt_4"]).await?;
    let events = inbox.claim(9).await?;
    inbox.now += LEASE;
    let taken_over = inbox.claim(9).await?;
    assert_eq!(ids(&taken_over), ["evt_1"]);
    assert!(inbox.finish(&events[1], &Outcome::Processed).await?);
    assert!(inbox.finish(&events[2], &failed("no", Some(inbox.now + LEASE * 9))).await?);
    assert_eq!(inbox.due().await?, [Some(30), None, Some(270), Some(0)]);
    inbox.now += TimeDelta::seconds(1);
    assert_eq!(inbox.heartbeat(&events).await?, [false, false, false, true]);
    assert_eq!(inbox.due().await?, [Some(29), None, Some(269), Some(30)], "only what is held is extended");
    assert_eq!(inbox.heartbeat(&taken_over).await?, [true]);
    assert_eq!(inbox.heartbeat(&[]).await?, [false; 0]);
    Ok(())
}

#[tokio::test]
async fn a_heartbeat_does_not_wait_for_an_event_that_a_transaction_has_locked() -> Result {
    let mut inbox = Inbox::new().await?;
    inbox.receive(PROVIDER, &["evt_1", "evt_2"]).await?;
    let events = inbox.claim(9).await?;
    let mut tx = inbox.system.begin("test").await?;
    assert!(tx.inbox().finish(&events[0], &Outcome::Processed, inbox.now).await?);
    inbox.now += LEASE;
    let held = tokio::time::timeout(Duration::from_secs(2), inbox.heartbeat(&events)).await??;
    assert_eq!(held, [true, true]);
    assert!(inbox.claim_all(PROVIDER, 9).await?.is_empty(), "its transaction holds the event although its lease ended");
    drop(tx);
    assert_eq!(inbox.due().await?, [Some(0), Some(30)]);
    Ok(())
}

#[tokio::test]
async fn a_release_gives_the_claims_back_that_still_hold_and_counts_no_attempt() -> Result {
    let mut inbox = Inbox::new().await?;
    inbox.receive(PROVIDER, &["evt_1", "evt_2", "evt_3"]).await?;
    let events = inbox.claim(9).await?;
    assert!(inbox.finish(&events[1], &failed("no", Some(inbox.now))).await?);
    assert!(inbox.finish(&events[2], &Outcome::Processed).await?);
    let second = inbox.claim(9).await?;
    assert_eq!(inbox.states().await?, ["evt_1 PROCESSING 1", "evt_2 PROCESSING 2", "evt_3 PROCESSED 1"]);
    inbox.now += TimeDelta::seconds(1);
    // The first claims of two of them are over.
    inbox.release(&events[1..]).await?;
    assert_eq!(inbox.states().await?, ["evt_1 PROCESSING 1", "evt_2 PROCESSING 2", "evt_3 PROCESSED 1"]);
    inbox.release(&[&events[..1], &second].concat()).await?;
    assert_eq!(inbox.states().await?, ["evt_1 RECEIVED 0", "evt_2 FAILED 1", "evt_3 PROCESSED 1"]);
    assert_eq!(inbox.due().await?, [Some(0), Some(0), None]);
    assert!(!inbox.finish(&events[0], &Outcome::Processed).await?, "who released it holds it no more");
    assert_eq!(inbox.heartbeat(&events[..1]).await?, [false]);
    let again: Vec<_> = inbox.claim(9).await?.into_iter().map(|event| event.attempt).collect();
    assert_eq!(again, [1, 2]);
    Ok(())
}

#[tokio::test]
async fn an_abandoned_event_is_claimed_alone() -> Result {
    let mut inbox = Inbox::new().await?;
    inbox.receive(PROVIDER, &["evt_2", "evt_3"]).await?;
    assert_eq!(inbox.claim(9).await?.len(), 2);
    inbox.now += LEASE - TimeDelta::seconds(1);
    inbox.receive(PROVIDER, &["evt_1"]).await?;
    inbox.now += TimeDelta::seconds(2);
    inbox.receive(PROVIDER, &["evt_4", "evt_5"]).await?;
    for expect in [&["evt_1"][..], &["evt_2"], &["evt_3"], &["evt_4", "evt_5"], &[]] {
        assert_eq!(ids(&inbox.claim(9).await?), expect);
    }
    Ok(())
}

/// A process that claims events and works them off, again and again: one of them ends it each time.
#[tokio::test]
async fn an_event_that_ends_its_process_every_time_becomes_a_dead_letter_and_costs_the_others_one_attempt() -> Result {
    let mut inbox = Inbox::new().await?;
    inbox.receive(PROVIDER, &["evt_1", "evt_2", "evt_3", "evt_4"]).await?;
    let mut dead = Vec::new();
    let mut crashes = 0;
    while dead.is_empty() {
        let claim = inbox.claim_all(PROVIDER, 9).await?;
        dead.extend(claim.dead_letters);
        let Some(_) = claim.events.first() else {
            inbox.now += LEASE;
            continue;
        };
        for event in &claim.events {
            if event.event_id == "evt_2" {
                crashes += 1;
                assert!(crashes <= MAX_ATTEMPTS, "{event:?}");
                break;
            }
            assert!(inbox.finish(event, &Outcome::Processed).await?);
        }
    }
    assert_eq!(crashes, MAX_ATTEMPTS);
    assert_eq!(
        inbox.states().await?,
        ["evt_1 PROCESSED 1", "evt_2 FAILED 20", "evt_3 PROCESSED 2", "evt_4 PROCESSED 2"]
    );
    assert_eq!(inbox.due().await?, [None; 4]);
    let kept: (String, String, i32, String) =
        sqlx::query_as("SELECT event_id, kind, attempts, error FROM kernel.webhook_inbox WHERE state = 'FAILED'")
            .fetch_one(&mut inbox.db.admin().await?)
            .await?;
    assert_eq!(dead.len(), 1);
    assert_eq!(kept, (dead[0].event_id.clone(), dead[0].kind.clone(), dead[0].attempts, dead[0].error.clone()));
    assert!(kept.3.starts_with("the process ended during every attempt"), "{}", kept.3);
    inbox.now += TimeDelta::days(999);
    assert!(inbox.claim_all(PROVIDER, 9).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_dead_letter_keeps_an_earlier_error_and_gets_one_more_attempt_when_it_is_made_due() -> Result {
    let mut inbox = Inbox::new().await?;
    inbox.receive(PROVIDER, &["evt_1"]).await?;
    let event = inbox.claim(1).await?.remove(0);
    assert!(inbox.finish(&event, &failed("the price is unknown", Some(inbox.now))).await?);
    let last = "UPDATE kernel.webhook_inbox SET attempts = $1 - 1";
    sqlx::query(last).bind(MAX_ATTEMPTS).execute(&mut inbox.db.admin().await?).await?;
    let event = inbox.claim(1).await?.remove(0);
    assert_eq!(event.attempt, MAX_ATTEMPTS, "one that failed before has this attempt left");
    inbox.now += LEASE;
    let claim = inbox.claim_all(PROVIDER, 1).await?;
    let error = &claim.dead_letters[0].error;
    assert!(claim.events.is_empty() && error.contains("during the last attempt"), "{claim:?}");
    assert!(error.ends_with("the price is unknown"), "{error}");
    assert!(!inbox.finish(&event, &Outcome::Processed).await?, "whoever held it lets go");
    let replay = "UPDATE kernel.webhook_inbox SET due_at = $1";
    sqlx::query(replay).bind(inbox.now).execute(&mut inbox.db.admin().await?).await?;
    let event = inbox.claim(1).await?.remove(0);
    assert_eq!(event.attempt, MAX_ATTEMPTS + 1);
    assert!(inbox.finish(&event, &Outcome::Processed).await?);
    Ok(())
}

/// Postgres may come to a plan that does not know the parameters; here it does at once.
#[tokio::test]
async fn claims_heartbeats_and_releases_read_few_rows_of_a_large_inbox_under_a_generic_plan() -> Result {
    let inbox = Inbox::new().await?;
    let mut admin = inbox.db.admin().await?;
    sqlx::raw_sql(
        "INSERT INTO kernel.webhook_inbox (provider, event_id, event_created, kind, payload, received_at, due_at)
         SELECT provider, 'evt_' || n, now() - n * interval '1 minute', 'x', '{}', now(), now() - n * interval '1 second'
         FROM generate_series(1, 30000) n, unnest(ARRAY['alpha', 'beta']) provider;
         ANALYZE kernel.webhook_inbox",
    )
    .execute(&mut admin)
    .await?;
    let mut tx = inbox.system.begin_system("test").await?;
    sqlx::query("SET LOCAL plan_cache_mode = force_generic_plan").execute(tx.conn()).await?;
    let events = tx.claim(PROVIDER, 20, inbox.now, inbox.now + LEASE).await?.events;
    let events: Vec<_> = events.iter().collect();
    assert_eq!(events.len(), 20);
    assert_eq!(tx.heartbeat(&events, inbox.now + LEASE).await?, [true; 20]);
    tx.release(&events, inbox.now).await?;
    let read: Option<i64> = sqlx::query_scalar(
        "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_xact_user_tables WHERE relname LIKE 'webhook_inbox%'",
    )
    .fetch_one(tx.conn())
    .await?;
    assert!(read.is_some_and(|rows| (20..1_000).contains(&rows)), "{read:?} rows read");
    Ok(())
}
