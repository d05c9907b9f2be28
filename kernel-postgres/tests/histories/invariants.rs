//! What must hold after every history, looked up past row-level security. The promises themselves are in invariants.sql.

use std::time::{Duration, Instant};

use crate::history::History;
use crate::world::Result;

/// A promise that was not kept.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) invariant: String,
    pub(crate) what: String,
}

/// How long work that was left behind may take to end on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn check(history: &History) -> Result<Vec<Violation>> {
    process_everything(history).await?;
    // Whoever was bringing plans into force may be gone: those that are in force are finished here.
    for plans in &history.world.plans {
        history.world.system.sync_catalog(plans).await?;
    }
    let (kept, refused, replaced, received, answers) = {
        let shared = history.shared();
        let replaced: Vec<Vec<u8>> = shared.replaced.iter().map(|hash| hash.0.to_vec()).collect();
        let answers = serde_json::Value::Array(shared.answers.clone());
        (shared.kept.clone(), shared.refused.clone(), replaced, shared.received.clone(), answers)
    };
    let workspaces = history.workspaces.iter().copied().chain(history.sign_ups.iter().map(|new| new.workspace()));
    let workspaces: Vec<_> = workspaces.map(|workspace| workspace.uuid()).collect();
    // One statement sees one moment: what a caller who is gone left behind may still be on its way.
    let mut admin = history.world.admin().await;
    let rows: Vec<(String, String)> = sqlx::query_as(include_str!("invariants.sql"))
        .bind(workspaces)
        .bind(history.start)
        .bind(kept)
        .bind(refused)
        .bind(replaced)
        .bind(received)
        .bind(answers)
        .fetch_all(&mut *admin)
        .await?;
    Ok(rows.into_iter().map(|(invariant, what)| Violation { invariant, what }).collect())
}

/// Processes what was received and is not applied yet. What another processor works on is waited for.
async fn process_everything(history: &History) -> Result {
    let received = history.shared().received.clone();
    let pending = "SELECT count(*) FROM unnest($1::text[]) AS e (id) WHERE NOT EXISTS
        (SELECT FROM kernel.webhook_inbox i WHERE i.event_id = e.id AND i.finished_at IS NOT NULL AND i.error IS NULL)";
    let began = Instant::now();
    loop {
        let mut admin = history.world.admin().await;
        let left: i64 = sqlx::query_scalar(pending).bind(&received).fetch_one(&mut *admin).await?;
        if left == 0 {
            return Ok(());
        }
        // It may collide with another processor: it is tried again then.
        let drained = history.world.processors[2].drain().await;
        if began.elapsed() > PATIENCE {
            return Err(format!("{left} events are not processed after {PATIENCE:?}: {drained:?}").into());
        }
    }
}
