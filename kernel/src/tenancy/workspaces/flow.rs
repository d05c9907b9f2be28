//! Creates, reads and renames workspaces.

use chrono::{DateTime, Utc};

use super::{NewWorkspace, Rename, Slug, Workspace, WorkspaceName};
use crate::access::{Can, OWNER};
use crate::audit::{self, AuditEntry};
use crate::base::actor::Actor;
use crate::base::ctx::Ctx;
use crate::base::error::{Error, Refusal, codes};
use crate::base::id::{UserId, WorkspaceId};
use crate::base::page::{Page, PageRequest};
use crate::events::{self, OutboxEvent};
use crate::identity::sessions::Session;
use crate::store::seal::Sealed;
use crate::store::{Proof, Reach, ReadTx, Scope, Tx};
use crate::tenancy::members::NewMembership;
use crate::tenancy::names::codes::SLUG_TAKEN;
use crate::tenancy::names::{ReadWorkspace, UpdateWorkspace, action, subject};

/// The person who creates a workspace.
pub(crate) struct Creator<'a> {
    pub(crate) ctx: &'a Ctx,
    pub(crate) user: UserId,
    pub(crate) actor: Actor,
}

/// Name and slug of a new workspace. With `exact` the slug must be free; otherwise a suffix is added to a taken slug.
pub(crate) struct NameChoice {
    pub(crate) name: WorkspaceName,
    pub(crate) slug: Slug,
    pub(crate) exact: bool,
}

/// A workspace that a signed-in person is about to create. Its id is new, so its scope includes no existing workspace.
#[derive(Debug)]
pub struct WorkspaceCreation {
    session: Session,
    workspace: WorkspaceId,
}

impl WorkspaceCreation {
    /// Prepares the creation by the signed-in person.
    pub fn by(session: &Session) -> Self {
        Self { session: session.clone(), workspace: WorkspaceId::generate(session.ctx().now) }
    }

    /// Id of the workspace to be created.
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }
}

impl Sealed for WorkspaceCreation {}

/// The person's own rows and the new workspace.
impl Proof for WorkspaceCreation {
    fn scope(&self) -> Scope {
        Scope::of_session(&self.session, Reach::both(self.session.user(), self.workspace))
    }
}

/// Creates a workspace; the person becomes its owner.
///
/// # Errors
/// `slug_taken` if `slug` was given and belongs to another workspace.
pub async fn create(
    creation: &WorkspaceCreation,
    tx: &mut dyn Tx,
    name: WorkspaceName,
    slug: Option<Slug>,
) -> Result<Workspace, Error> {
    let session = &creation.session;
    let creator = Creator { ctx: session.ctx(), user: session.user(), actor: Actor::User(session.user()) };
    let exact = slug.is_some();
    let slug = slug.unwrap_or_else(|| Slug::derive(name.as_str()));
    create_workspace(&creator, tx, creation.workspace, NameChoice { name, slug, exact }).await
}

/// Creates a workspace with its slug, owner, audit entry and event. Every workspace is created here. The database gives it the
/// entitlements of the free plan, of the catalog that is in force, and their usage counters: a request cannot choose them.
pub(crate) async fn create_workspace(
    creator: &Creator<'_>,
    tx: &mut dyn Tx,
    id: WorkspaceId,
    choice: NameChoice,
) -> Result<Workspace, Error> {
    let at = creator.ctx.now;
    let slug = claim(tx, id, choice.slug, choice.exact, at).await?;
    let new = NewWorkspace { id, slug: &slug, name: &choice.name, created_by: creator.actor, at };
    tx.workspaces().insert(&new).await?;
    tx.members().insert(&NewMembership { workspace: id, user: creator.user, role: OWNER, at }).await?;
    let entry = AuditEntry::new(creator.ctx, creator.actor, id, action::WORKSPACE_CREATE).target("workspace", id);
    tx.records().audit(entry);
    let body = serde_json::json!({ "id": id, "slug": slug.as_str(), "name": choice.name.as_str() });
    tx.records().event(OutboxEvent::new(creator.ctx, creator.actor, id, subject::WORKSPACE_CREATED, body));
    let made = tx.workspaces().find(id).await?;
    made.ok_or_else(|| Error::broken("a workspace is not visible to the transaction that made it"))
}

async fn claim(tx: &mut dyn Tx, id: WorkspaceId, wish: Slug, exact: bool, at: DateTime<Utc>) -> Result<Slug, Error> {
    if tx.workspaces().claim_slug(id, &wish, at).await? {
        return Ok(wish);
    }
    let distinct = wish.distinct(id);
    if exact || !tx.workspaces().claim_slug(id, &distinct, at).await? {
        return Err(taken(&wish));
    }
    Ok(distinct)
}

fn taken(slug: &Slug) -> Error {
    Refusal::new(&SLUG_TAKEN, format!("the slug `{slug}` belongs to another workspace; choose another"))
        .at("slug")
        .into()
}

/// The workspace of the proof.
pub async fn get(can: &Can<ReadWorkspace>, tx: &mut dyn ReadTx) -> Result<Workspace, Error> {
    let found = can.enter_read(tx)?.workspaces().find(can.workspace()).await?;
    found.ok_or_else(missing)
}

fn missing() -> Error {
    Refusal::new(&codes::NOT_FOUND, "there is no such workspace").into()
}

/// Lists the workspaces that the person is a member of.
pub async fn of_user(session: &Session, tx: &mut dyn ReadTx, page: &PageRequest) -> Result<Page<Workspace>, Error> {
    Ok(tx.reads().workspaces().of_user(session.user(), page).await?)
}

/// Changes name and slug. Without a new name or slug nothing is changed. The old slug keeps working.
///
/// # Errors
/// `slug_taken` if the new slug belongs to another workspace.
pub async fn rename(can: &Can<UpdateWorkspace>, tx: &mut dyn Tx, rename: Rename) -> Result<Workspace, Error> {
    let (id, at) = (can.workspace(), can.now());
    let tx = can.enter(tx)?;
    if rename.name.is_none() && rename.slug.is_none() {
        return tx.workspaces().find(id).await?.ok_or_else(missing);
    }
    if let Some(slug) = &rename.slug
        && !tx.workspaces().claim_slug(id, slug, at).await?
    {
        return Err(taken(slug));
    }
    let renamed = tx.workspaces().rename(id, &rename, at).await?;
    let renamed = renamed.ok_or_else(missing)?;
    let body = serde_json::json!({ "id": id, "slug": renamed.slug, "name": renamed.name });
    audit::record_with(can, tx, action::WORKSPACE_UPDATE, "workspace", id, body.clone())?;
    events::publish_raw(can, tx, subject::WORKSPACE_UPDATED, body)?;
    Ok(renamed)
}
