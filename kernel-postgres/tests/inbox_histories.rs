//! Random concurrent histories of the webhook inbox: whatever its processors do, an event is applied once or is a dead
//! letter.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use saas_kernel::SystemStore;
use saas_kernel::billing::inbox::{Claim, ClaimedEvent, MAX_ATTEMPTS, Outcome, backoff};
use saas_kernel::billing::provider::ProviderEvent;
use saas_kernel::clock::{Clock, SystemClock};
use saas_kernel_postgres::testing::TestDb;
use saas_kernel_postgres::{Migrations, PgResult, PgSystem, PgTx};
use serde_json::json;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PROVIDERS: [&str; 2] = ["alpha", "beta"];
const EVENTS: i64 = 40;
const LEASE: TimeDelta = TimeDelta::seconds(30);

/// A generator of small numbers that depend on the seed only.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // Knuth's constants for a linear congruential generator.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[derive(Clone)]
struct World {
    system: PgSystem,
    start: DateTime<Utc>,
    seconds: Arc<AtomicI64>,
}

impl World {
    fn now(&self) -> DateTime<Utc> {
        self.start + TimeDelta::seconds(self.seconds.load(Ordering::SeqCst))
    }

    fn advance(&self, seconds: u64) -> Result {
        self.seconds.fetch_add(i64::try_from(seconds)?, Ordering::SeqCst);
        Ok(())
    }

    async fn claim(&self, provider: &str) -> Result<Claim> {
        let mut tx = self.system.begin("test").await?;
        let claim = tx.inbox().claim(provider, 6, self.now(), self.now() + LEASE).await?;
        tx.commit().await?;
        Ok(claim)
    }

    /// Applies the event, in one transaction with its end. A crash before the commit undoes both.
    async fn apply(&self, event: &ClaimedEvent, crash: bool) -> Result {
        let mut tx = self.system.begin("test").await?;
        if tx.inbox().finish(event, &Outcome::Processed, self.now()).await? {
            let applied = sqlx::query("INSERT INTO public.applied VALUES ($1, $2)");
            let tx = PgTx::of(&mut *tx)?.conn();
            applied.bind(&event.provider).bind(&event.event_id).execute(tx).await.store()?;
        }
        if !crash {
            tx.commit().await?;
        }
        Ok(())
    }

    async fn fail(&self, event: &ClaimedEvent) -> Result {
        let retry_at = backoff(event.attempt).map(|wait| self.now() + wait);
        let mut tx = self.system.begin("test").await?;
        tx.inbox().finish(event, &Outcome::Failed { error: "no".to_owned(), retry_at }, self.now()).await?;
        Ok(tx.commit().await?)
    }

    async fn heartbeat(&self, events: &[&ClaimedEvent]) -> Result {
        let mut tx = self.system.begin("test").await?;
        tx.inbox().heartbeat(events, self.now() + LEASE).await?;
        Ok(tx.commit().await?)
    }

    async fn release(&self, events: &[&ClaimedEvent]) -> Result {
        let mut tx = self.system.begin("test").await?;
        tx.inbox().release(events, self.now()).await?;
        Ok(tx.commit().await?)
    }

    /// Claims and works off until nothing is due for a long time. It does not even look whether its claims still hold.
    async fn process(self, provider: &'static str, mut dice: Dice) -> Result {
        let mut idle = 0;
        while idle < 100 {
            let claim = self.claim(provider).await?;
            idle = if claim.is_empty() { idle + 1 } else { 0 };
            self.advance(dice.roll(40))?;
            let mut waiting = claim.events.iter();
            while let Some(event) = waiting.next() {
                match dice.roll(10) {
                    // Its lease may end meanwhile.
                    0 => self.advance(45)?,
                    1 => self.heartbeat(&std::iter::once(event).chain(waiting.clone()).collect::<Vec<_>>()).await?,
                    2 if dice.roll(2) == 0 => {
                        self.release(&std::iter::once(event).chain(waiting.clone()).collect::<Vec<_>>()).await?;
                        // As a processor does not, but nothing may come of it.
                        self.apply(event, false).await?;
                        break;
                    }
                    _ => {}
                }
                match dice.roll(8) {
                    0 => break,
                    1 => {
                        self.apply(event, true).await?;
                        break;
                    }
                    2 | 3 => self.fail(event).await?,
                    _ => self.apply(event, false).await?,
                }
            }
        }
        Ok(())
    }
}

/// Tells how many events were abandoned until no attempt was left.
async fn history(seed: u64) -> Result<i64> {
    let db = TestDb::new(&Migrations::kernel()).await?;
    let mut admin = db.admin().await?;
    sqlx::raw_sql(
        "CREATE TABLE public.applied (provider text, event_id text); GRANT INSERT ON public.applied TO kernel_system",
    )
    .execute(&mut admin)
    .await?;
    let world = World { system: db.system().await?, start: SystemClock.now(), seconds: Arc::default() };
    let mut tx = world.system.begin("test").await?;
    for provider in PROVIDERS {
        for n in 0..EVENTS {
            let (id, kind, created_at) = (format!("evt_{n}"), "x".to_owned(), world.start + TimeDelta::seconds(n));
            let event = ProviderEvent::new(id, kind, created_at, json!({}));
            tx.inbox().receive(provider, &event, world.start).await?;
        }
    }
    // Some have few attempts left.
    let few = "UPDATE kernel.webhook_inbox SET attempts = $1 WHERE event_created <= $2";
    let (attempts, until) = (MAX_ATTEMPTS - 2, world.start + TimeDelta::seconds(9));
    sqlx::query(few).bind(attempts).bind(until).execute(PgTx::of(&mut *tx)?.conn()).await?;
    tx.commit().await?;
    let processors: Vec<_> = (0..6u64)
        .map(|n| {
            let provider = if n % 2 == 0 { "alpha" } else { "beta" };
            tokio::spawn(world.clone().process(provider, Dice(seed * 100 + n)))
        })
        .collect();
    for processor in processors {
        processor.await??;
    }
    let open: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM kernel.webhook_inbox WHERE due_at IS NOT NULL OR state NOT IN ('PROCESSED', 'FAILED') OR attempts > $1",
    )
    .bind(MAX_ATTEMPTS)
    .fetch_one(&mut admin)
    .await?;
    assert_eq!(open, 0, "seed {seed}: every event came to its end");
    let wrong: Vec<(String, String, String, i64)> = sqlx::query_as(
        "SELECT i.provider, i.event_id, i.state, count(a.event_id) FROM kernel.webhook_inbox i
         LEFT JOIN public.applied a ON (a.provider, a.event_id) = (i.provider, i.event_id)
         GROUP BY 1, 2, 3 HAVING count(a.event_id) <> (i.state = 'PROCESSED')::int",
    )
    .fetch_all(&mut admin)
    .await?;
    assert_eq!(wrong, [], "seed {seed}: applied once, or a dead letter");
    let (processed, dead): (i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE state = 'PROCESSED'), count(*) FILTER (WHERE error LIKE 'the process ended%') FROM kernel.webhook_inbox",
    )
    .fetch_one(&mut admin)
    .await?;
    assert!(processed > EVENTS, "seed {seed}: {processed}");
    Ok(dead)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_any_history_an_event_is_applied_once_or_becomes_a_dead_letter() -> Result {
    let mut dead = 0;
    for seed in 1..=4 {
        dead += history(seed).await?;
    }
    assert!(dead > 0, "both ends come up");
    Ok(())
}
