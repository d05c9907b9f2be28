//! The product's own steps: rows under a limit, once under an idempotency key, each with its audit entry.

use std::sync::Arc;

use saas_kernel::audit::{self, AuditEntry, action};
use saas_kernel::billing::limits;
use saas_kernel::error::Replay;
use saas_kernel::idempotency::StorableResponse;
use saas_kernel::permissions::UpdateWorkspace;
use saas_kernel::response::StoredResponse;
use saas_kernel::tenancy::workspaces::{self, Rename};
use saas_kernel::{BoxError, Can, Grant, Limit, StoreError, Tx, Uuid};
use saas_kernel_postgres::{PgResult, PgTx};
use serde_json::json;

use crate::defects::Flow;
use crate::history::History;
use crate::operations::{End, Step};
use crate::steps::{Ended, Entered, Outcome};
use crate::world::WriteItem;

saas_kernel::ids! {
    /// An item.
    pub(crate) ItemId = "item";
}

const ITEMS: Limit = Limit("items");

/// What a keyed step answers.
struct Text(String);

impl StorableResponse for Text {
    fn stored(&self) -> Result<StoredResponse, BoxError> {
        Ok(StoredResponse::new(200, self.0.clone().into_bytes()))
    }
}

impl History {
    /// `reserve` places and `rows` rows: fewer places than rows, and the rest take their own; more, and they are given back.
    pub(crate) async fn insert(&self, step: &Step, entered: &mut Entered, reserve: u32, rows: u32) -> Ended {
        let grant = self.enter(step, entered).await?;
        let can = grant.allow::<WriteItem>()?;
        let ids: Vec<Uuid> = (0..rows).map(|_| ItemId::generate(can.now()).uuid()).collect();
        let ended = match self.world.flow {
            Some(Flow::WritesAsTheSystem) => self.insert_as_system(step, &grant, &ids).await,
            Some(Flow::RecordsBesideTheChange) => self.insert_and_record(step, &can, &ids).await,
            Some(Flow::ReservesBeforehand) => self.insert_after_reserving(step, &can, &ids).await,
            _ => self.insert_rows(step, &can, reserve, &ids).await,
        };
        // Whoever is gone before this point is told nothing.
        let mut shared = self.shared();
        match &ended {
            Ok(Outcome::Committed) => shared.kept.extend(ids),
            Ok(_) | Err(_) => shared.refused.extend(ids),
        }
        drop(shared);
        ended
    }

    async fn insert_rows(&self, step: &Step, can: &Can<WriteItem>, reserve: u32, ids: &[Uuid]) -> Ended {
        let mut tx = self.world.begin(can).await?;
        if reserve > 0 {
            limits::reserve(can, &mut tx, ITEMS, reserve).await?;
        }
        for id in ids {
            insert_row(&mut tx, can, *id, None).await?;
            audit::record(can, &mut tx, action::RESOURCE_CREATE, "item", id)?;
        }
        if self.world.flow == Some(Flow::CommitsBySqlText) {
            return self.commit_by_sql_text(step, tx).await;
        }
        if self.world.flow == Some(Flow::AnswersBeforeTheCommit) {
            return Ok(Outcome::Committed);
        }
        self.end(step, tx).await
    }

    pub(crate) async fn delete(&self, step: &Step, entered: &mut Entered) -> Ended {
        let grant = self.enter(step, entered).await?;
        let can = grant.allow::<WriteItem>()?;
        let mut tx = self.world.begin(&grant).await?;
        let delete = "DELETE FROM app.items WHERE (workspace_id, id) IN
            (SELECT workspace_id, id FROM app.items WHERE workspace_id = $1 ORDER BY deleted_at NULLS FIRST, id LIMIT 1)
            RETURNING id";
        let deleted = sqlx::query_scalar(delete).bind(grant.workspace().uuid());
        let deleted: Option<Uuid> = deleted.fetch_optional(tx.conn()).await.store()?;
        let Some(id) = deleted else { return Ok(Outcome::Nothing) };
        audit::record(&can, &mut tx, action::RESOURCE_DELETE, "item", id)?;
        self.end(step, tx).await
    }

    /// Deletes an item softly, or restores one.
    pub(crate) async fn mark(&self, step: &Step, entered: &mut Entered, deleted: bool) -> Ended {
        let grant = self.enter(step, entered).await?;
        let can = grant.allow::<WriteItem>()?;
        let mut tx = self.world.begin(&grant).await?;
        let mark = "UPDATE app.items SET deleted_at = CASE WHEN $2 THEN now() END, actor_id = $3, standing = $4
            WHERE workspace_id = $1 AND id IN
                (SELECT id FROM app.items WHERE workspace_id = $1 AND (deleted_at IS NULL) = $2 ORDER BY id DESC LIMIT 1)
              AND (deleted_at IS NULL) = $2 RETURNING id";
        let marked = sqlx::query_scalar(mark).bind(grant.workspace().uuid()).bind(deleted);
        let marked = marked.bind(grant.actor().uuid()).bind(&grant.role().name);
        let marked: Option<Uuid> = marked.fetch_optional(tx.conn()).await.store()?;
        let Some(id) = marked else { return Ok(Outcome::Nothing) };
        let action = if deleted { action::RESOURCE_DELETE } else { action::RESOURCE_UPDATE };
        audit::record(&can, &mut tx, action, "item", id)?;
        self.end(step, tx).await
    }

    pub(crate) async fn insert_once(&self, step: &Step, key: u8) -> Ended {
        let grant = self.enter_with_key(step, key, "insert").await?;
        let can = grant.allow::<WriteItem>()?;
        let mut tx = match self.world.begin(&grant).await {
            Err(StoreError::Replay(replay)) => return self.replayed(&grant, key, replay),
            begun => begun?,
        };
        let id = ItemId::generate(can.now()).uuid();
        insert_row(&mut tx, &can, id, Some(key)).await?;
        audit::record(&can, &mut tx, action::RESOURCE_CREATE, "item", id)?;
        self.answer(step, tx, id.to_string()).await
    }

    pub(crate) async fn rename(&self, step: &Step, entered: &mut Entered, key: Option<u8>) -> Ended {
        let grant = match key {
            Some(key) => self.enter_with_key(step, key, "rename").await?,
            None => self.enter(step, entered).await?,
        };
        let can = grant.allow::<UpdateWorkspace>()?;
        let mut tx = match (self.world.begin(&grant).await, key) {
            (Err(StoreError::Replay(replay)), Some(key)) => return self.replayed(&grant, key, replay),
            (begun, _) => begun?,
        };
        // The name tells which execution it is of.
        let id = ItemId::generate(can.now());
        let name = key.map_or_else(|| format!("Plainly {id}"), |key| format!("Under {key} {id}"));
        workspaces::rename(&can, &mut tx, Rename { name: Some(name.parse()?), slug: None }).await?;
        match key {
            Some(_) => self.answer(step, tx, name).await,
            None => self.end(step, tx).await,
        }
    }

    async fn answer(&self, step: &Step, mut tx: PgTx, text: String) -> Ended {
        self.pause(step, &mut tx).await?;
        if step.end == End::Drop {
            return Ok(Outcome::Dropped);
        }
        tx.commit_with(Text(text)).await?;
        Ok(Outcome::Committed)
    }

    fn replayed(&self, grant: &Grant, key: u8, replay: Replay) -> Ended {
        match replay {
            Replay::Response(answer) => {
                let (workspace, actor) = (grant.workspace().uuid(), grant.actor().uuid());
                let (key, body) = (key.to_string(), String::from_utf8_lossy(&answer.body).into_owned());
                let answer = json!({ "workspace": workspace, "actor": actor, "key": key, "body": body });
                self.shared().answers.push(answer);
                Ok(Outcome::Replayed)
            }
            Replay::Done => {
                let what = format!("key {key} of {:?} was used and has no answer", grant.actor());
                self.report_violation("an idempotency key executes once", what);
                Ok(Outcome::Replayed)
            }
            other @ (Replay::InFlight | Replay::OtherRequest) => Err(StoreError::Replay(other).into()),
        }
    }

    /// In a system transaction: it has no caller whose standing the commit could check.
    async fn insert_as_system(&self, step: &Step, grant: &Arc<Grant>, ids: &[Uuid]) -> Ended {
        let mut tx = self.world.system.begin_system("import").await?;
        for id in ids {
            insert_row(&mut tx, grant, *id, None).await?;
            let entry = AuditEntry::new(grant.ctx(), grant.actor(), grant.workspace(), action::RESOURCE_CREATE);
            tx.records().audit(entry.target("item", id));
        }
        self.end(step, tx).await
    }

    /// The change first, and its record in a transaction of its own.
    async fn insert_and_record(&self, step: &Step, can: &Can<WriteItem>, ids: &[Uuid]) -> Ended {
        let mut tx = self.world.begin(can).await?;
        for id in ids {
            insert_row(&mut tx, can, *id, None).await?;
        }
        self.pause(step, &mut tx).await?;
        tx.commit().await?;
        let mut tx = self.world.begin(can).await?;
        for id in ids {
            audit::record(can, &mut tx, action::RESOURCE_CREATE, "item", id)?;
        }
        self.end(step, tx).await
    }

    /// The places in a transaction of their own: what they were for may not come.
    async fn insert_after_reserving(&self, step: &Step, can: &Can<WriteItem>, ids: &[Uuid]) -> Ended {
        let mut tx = self.world.begin(can).await?;
        let at = can.workspace().uuid();
        let reserve = "UPDATE kernel.usage SET used = used + $2 WHERE workspace_id = $1 AND key = 'items'
            AND (cap IS NULL OR used + $2 <= cap)";
        sqlx::query(reserve).bind(at).bind(ids.len() as i64).execute(tx.conn()).await.store()?;
        tx.commit().await?;
        let mut tx = self.world.begin(can).await?;
        let credit = "SELECT set_config('kernel_credit.items', $1, true)";
        sqlx::query(credit).bind(ids.len().to_string()).execute(tx.conn()).await.store()?;
        for id in ids {
            insert_row(&mut tx, can, *id, None).await?;
            audit::record(can, &mut tx, action::RESOURCE_CREATE, "item", id)?;
        }
        self.end(step, tx).await
    }

    /// Past the commit that writes the records and checks the caller's standing.
    async fn commit_by_sql_text(&self, step: &Step, mut tx: PgTx) -> Ended {
        self.pause(step, &mut tx).await?;
        if step.end == End::Drop {
            return Ok(Outcome::Dropped);
        }
        sqlx::raw_sql("COMMIT").execute(tx.conn()).await.store()?;
        Ok(Outcome::Committed)
    }
}

async fn insert_row(tx: &mut PgTx, grant: &Grant, id: Uuid, key: Option<u8>) -> Result<(), StoreError> {
    let insert =
        "INSERT INTO app.items (workspace_id, id, actor_id, standing, idempotency_key) VALUES ($1, $2, $3, $4, $5)";
    let insert = sqlx::query(insert).bind(grant.workspace().uuid()).bind(id).bind(grant.actor().uuid());
    let insert = insert.bind(&grant.role().name).bind(key.map(|key| key.to_string()));
    insert.execute(tx.conn()).await.store().map(drop)
}
