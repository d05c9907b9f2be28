//! Workspaces: the tenants. A slug is claimed once for all workspaces and stays claimed after a rename, so that old
//! addresses keep leading to the same place.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::access::{Can, ReadWorkspace, UpdateWorkspace};
use crate::actor::{Actor, ActorRef};
use crate::audit::{self, AuditEntry, action};
use crate::billing::subscription::Access;
use crate::ctx::Ctx;
use crate::error::{Error, Refusal, codes};
use crate::events::{self, OutboxEvent};
use crate::id::{UserId, WorkspaceId};
use crate::identity::sessions::Session;
use crate::identity::users::PersonName;
use crate::kernel::Kernel;
use crate::page::{Page, PageRequest, Position};
use crate::store::{StoreError, Tx};
use crate::tenancy::members::NewMembership;
use crate::text;

/// Part of an address: 3 to 40 of `a-z`, `0-9` and inner hyphens, and none of the reserved words.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Slug(String);

/// Words that addresses of the product itself may need.
const RESERVED: &[&str] = &[
    "about",
    "account",
    "admin",
    "api",
    "app",
    "assets",
    "auth",
    "billing",
    "blog",
    "console",
    "dashboard",
    "docs",
    "help",
    "invite",
    "invites",
    "login",
    "logout",
    "mail",
    "me",
    "new",
    "null",
    "pricing",
    "public",
    "register",
    "root",
    "security",
    "settings",
    "signup",
    "staff",
    "static",
    "status",
    "support",
    "system",
    "undefined",
    "webhooks",
    "workspaces",
    "www",
];

impl Slug {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The closest slug to `text`; `workspace` if nothing of it can stand in one.
    pub fn derive(text: &str) -> Self {
        let mut slug = String::new();
        for c in text.chars().map(|c| c.to_ascii_lowercase()) {
            match c {
                'a'..='z' | '0'..='9' => slug.push(c),
                _ if slug.is_empty() || slug.ends_with('-') => {}
                _ => slug.push('-'),
            }
        }
        slug.truncate(32);
        slug.trim_end_matches('-').parse().unwrap_or_else(|_| Self("workspace".to_owned()))
    }

    /// This slug with an ending that no other workspace has.
    fn distinct(&self, workspace: WorkspaceId) -> Self {
        let id = workspace.to_string();
        let ending = id.get(id.len().saturating_sub(7)..).unwrap_or(&id);
        Self(format!("{}-{ending}", self.0))
    }
}

impl FromStr for Slug {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let shape = (3..=40).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !text.starts_with('-')
            && !text.ends_with('-');
        if !shape {
            return Err(Refusal::field(
                "slug",
                "must be 3 to 40 of a-z, 0-9 and hyphens, and not begin or end with a hyphen",
            ));
        }
        if RESERVED.contains(&text) {
            return Err(Refusal::field("slug", format!("`{text}` is reserved; choose another")));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a workspace is called: 1 to 100 characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkspaceName(String);

impl WorkspaceName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the workspace that a sign-up makes.
    pub fn of_person(person: &PersonName) -> Self {
        let first: String = person.as_str().chars().take(88).collect();
        Self(format!("{first}'s workspace"))
    }
}

impl FromStr for WorkspaceName {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        text::line("name", text, 1..=100).map(Self)
    }
}

/// A tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Its current slug.
    pub slug: String,
    /// What it is called.
    pub name: String,
    /// The plan its subscription gives; `None` is the free plan.
    pub plan: Option<String>,
    /// How much of it the subscription's state gives.
    pub access: Access,
    /// Who founded it.
    pub created_by: ActorRef,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A workspace about to exist.
#[derive(Debug)]
pub struct NewWorkspace<'a> {
    /// Its id.
    pub id: WorkspaceId,
    /// Claimed already.
    pub slug: &'a Slug,
    /// What it is called.
    pub name: &'a WorkspaceName,
    /// Who founds it.
    pub created_by: Actor,
    /// When.
    pub at: DateTime<Utc>,
}

/// What a rename changes.
#[derive(Debug, Default)]
pub struct Rename {
    /// A new name.
    pub name: Option<WorkspaceName>,
    /// A new slug; the old one keeps leading here.
    pub slug: Option<Slug>,
}

/// Repository of workspaces.
#[async_trait]
pub trait Workspaces: Send {
    /// Claims `slug` for `workspace`. `false` when another one has it: nothing was written, the transaction is still
    /// usable. Claiming one's own earlier slug again succeeds.
    async fn claim_slug(&mut self, workspace: WorkspaceId, slug: &Slug, at: DateTime<Utc>) -> Result<bool, StoreError>;
    /// Adds a workspace.
    async fn insert(&mut self, workspace: &NewWorkspace<'_>) -> Result<(), StoreError>;
    /// One workspace that this scope may see.
    async fn find(&mut self, id: WorkspaceId) -> Result<Option<Workspace>, StoreError>;
    /// The workspaces `user` belongs to, oldest workspace first.
    async fn of_user(&mut self, user: UserId, page: &PageRequest) -> Result<Page<Workspace>, StoreError>;
    /// Changes name and slug; `None` keeps what is there.
    async fn rename(
        &mut self,
        id: WorkspaceId,
        rename: &Rename,
        at: DateTime<Utc>,
    ) -> Result<Option<Workspace>, StoreError>;
    /// Locks the workspace until the end of the transaction and tells whether it exists: billing events of one
    /// workspace are applied one after the other.
    async fn lock(&mut self, id: WorkspaceId) -> Result<bool, StoreError>;
    /// Sets what the workspace's subscription gives. System scope only: a request cannot raise its own plan.
    async fn set_plan(
        &mut self,
        id: WorkspaceId,
        plan: Option<&str>,
        access: Access,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError>;
}

impl Workspace {
    /// Its place in lists.
    pub fn position(&self) -> Position {
        Position { at: self.created_at, id: self.id.uuid() }
    }
}

/// Who founds a workspace.
pub(crate) struct Founder<'a> {
    pub(crate) ctx: &'a Ctx,
    pub(crate) user: UserId,
    pub(crate) actor: Actor,
}

/// What a new workspace is to be called, and whether its slug may be varied.
pub(crate) struct Naming {
    pub(crate) name: WorkspaceName,
    pub(crate) slug: Slug,
    pub(crate) exact: bool,
}

/// A workspace that somebody who is signed in is about to found. Its id is new: the scope made of it reaches no existing
/// workspace.
#[derive(Debug)]
pub struct Founding {
    session: Session,
    workspace: WorkspaceId,
}

impl Founding {
    /// By the person who is signed in.
    pub fn by(session: &Session) -> Self {
        Self { session: session.clone(), workspace: WorkspaceId::generate(session.ctx().now) }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The workspace's id to be.
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }
}

/// Founds the workspace; the person becomes its owner.
///
/// # Errors
/// `slug_taken` when `slug` was asked for and belongs to another workspace.
pub async fn create(
    kernel: &Kernel,
    founding: &Founding,
    tx: &mut dyn Tx,
    name: WorkspaceName,
    slug: Option<Slug>,
) -> Result<Workspace, Error> {
    let session = &founding.session;
    let founder = Founder { ctx: session.ctx(), user: session.user(), actor: Actor::User(session.user()) };
    let exact = slug.is_some();
    let slug = slug.unwrap_or_else(|| Slug::derive(name.as_str()));
    found(kernel, &founder, tx, founding.workspace, Naming { name, slug, exact }).await
}

/// The one way in which a workspace comes to be: slug, row, owner, usage counters, audit entry and event together.
pub(crate) async fn found(
    kernel: &Kernel,
    founder: &Founder<'_>,
    tx: &mut dyn Tx,
    id: WorkspaceId,
    naming: Naming,
) -> Result<Workspace, Error> {
    let at = founder.ctx.now;
    let slug = claim(tx, id, naming.slug, naming.exact, at).await?;
    let new = NewWorkspace { id, slug: &slug, name: &naming.name, created_by: founder.actor, at };
    tx.workspaces().insert(&new).await?;
    tx.limits().open(id, &kernel.catalog().free().limits).await?; // first: the owner takes a seat
    tx.members().insert(&NewMembership { workspace: id, user: founder.user, role: crate::access::OWNER, at }).await?;
    let entry = AuditEntry::new(founder.ctx, founder.actor, id, action::WORKSPACE_CREATE).target("workspace", id);
    tx.records().audit(entry);
    let body = serde_json::json!({ "id": id, "slug": slug.as_str(), "name": naming.name.as_str() });
    tx.records().event(OutboxEvent::new(at, id, events::subject::WORKSPACE_CREATED, body));
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
    Refusal::new(&codes::SLUG_TAKEN, format!("the slug `{slug}` belongs to another workspace; choose another"))
        .at("slug")
        .into()
}

/// The workspace of the proof.
pub async fn get(can: &Can<ReadWorkspace>, tx: &mut dyn Tx) -> Result<Workspace, Error> {
    let found = can.enter(tx)?.workspaces().find(can.workspace()).await?;
    found.ok_or_else(missing)
}

fn missing() -> Error {
    Refusal::new(&codes::NOT_FOUND, "there is no such workspace").into()
}

/// The workspaces the person belongs to.
pub async fn of_user(session: &Session, tx: &mut dyn Tx, page: &PageRequest) -> Result<Page<Workspace>, Error> {
    Ok(tx.workspaces().of_user(session.user(), page).await?)
}

/// Changes name and slug; neither given changes nothing. The old slug keeps leading to the workspace.
///
/// # Errors
/// `slug_taken` when the new slug belongs to another workspace.
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
    events::publish_raw(can, tx, events::subject::WORKSPACE_UPDATED, body)?;
    Ok(renamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs() {
        for good in ["acme", "a-1", "0x0", &"a".repeat(40)] {
            assert!(good.parse::<Slug>().is_ok(), "{good}");
        }
        for bad in
            ["", "ab", "Acme", "-acme", "acme-", "ac me", "admin", "ws_abc", "ac\u{0}me", "größe", &"a".repeat(41)]
        {
            assert_eq!(bad.parse::<Slug>().unwrap_err().field_errors()[0].field, "slug", "{bad:?}");
        }
    }

    #[test]
    fn a_slug_can_be_derived_from_anything() {
        let long = "x".repeat(100);
        for (text, expect) in [
            ("Ada Lovelace", "ada-lovelace"),
            ("  Größe & Co. ", "gr-e-co"),
            ("日本", "workspace"),
            ("Al", "workspace"),
            ("Admin", "workspace"),
            (&long, &"x".repeat(32)),
        ] {
            let slug = Slug::derive(text);
            assert_eq!(slug.as_str(), expect);
            let distinct = slug.distinct(WorkspaceId::from(crate::Uuid::from_u128(77)));
            assert_eq!(distinct.as_str().parse::<Slug>().unwrap(), distinct);
        }
    }
}
