//! Workspaces, the tenants. A slug is claimed once across all workspaces and stays claimed after a rename, so that old
//! addresses keep working.

mod flow;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::access::Entitlements;
use crate::base::actor::{Actor, ActorRef};
use crate::base::error::{Refusal, StoreError};
use crate::base::id::{UserId, WorkspaceId};
use crate::base::page::{Page, PageRequest, Position};
use crate::base::text;
use crate::identity::users::PersonName;

pub(crate) use flow::{Creator, NameChoice, create_workspace};
pub use flow::{WorkspaceCreation, create, get, of_user, rename};

/// The part of a URL that names a workspace: 3 to 40 characters of `a-z`, `0-9` and inner hyphens; not a reserved word.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Slug(String);

/// Words that URLs of the product itself may need.
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
    /// The slug as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Derives a slug from `text`; `workspace` if no valid slug remains.
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

    /// This slug with a suffix that is unique to `workspace`.
    pub(crate) fn distinct(&self, workspace: WorkspaceId) -> Self {
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

/// Name of a workspace: 1 to 100 characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkspaceName(String);

impl WorkspaceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Name of the workspace that a sign-up creates.
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

/// A workspace, the tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Workspace {
    /// Id of the workspace.
    pub id: WorkspaceId,
    /// Current slug of the workspace.
    pub slug: String,
    /// Name of the workspace.
    pub name: String,
    /// What the workspace may use: its plan, how much of it, features and limits.
    pub entitlements: Arc<Entitlements>,
    /// Actor who created the workspace.
    pub created_by: ActorRef,
    /// Time at which the workspace was created.
    pub created_at: DateTime<Utc>,
    /// Time of the last change.
    pub updated_at: DateTime<Utc>,
}

/// A workspace to be created.
#[derive(Debug)]
pub struct NewWorkspace<'a> {
    /// Id of the workspace.
    pub id: WorkspaceId,
    /// Slug of the workspace; it must be claimed already.
    pub slug: &'a Slug,
    /// Name of the workspace.
    pub name: &'a WorkspaceName,
    /// Actor who creates the workspace.
    pub created_by: Actor,
    /// Time at which the workspace is created.
    pub at: DateTime<Utc>,
}

/// Changes of a workspace's name and slug.
#[derive(Debug, Default)]
pub struct Rename {
    /// New name; `None` keeps the current one.
    pub name: Option<WorkspaceName>,
    /// New slug; `None` keeps the current one. The old slug keeps working.
    pub slug: Option<Slug>,
}

/// Reads workspaces.
#[async_trait]
pub trait WorkspaceReads: Send {
    /// Finds a workspace that the scope can access.
    async fn find(&mut self, id: WorkspaceId) -> Result<Option<Workspace>, StoreError>;
    /// Lists the workspaces that `user` is a member of, oldest first.
    async fn of_user(&mut self, user: UserId, page: &PageRequest) -> Result<Page<Workspace>, StoreError>;
}

/// Repository of workspaces.
#[async_trait]
pub trait Workspaces: WorkspaceReads {
    /// Claims `slug` for `workspace`. Returns `false` if another workspace has it: nothing was written, and the transaction is
    /// still usable. A workspace can claim its own earlier slugs again.
    async fn claim_slug(&mut self, workspace: WorkspaceId, slug: &Slug, at: DateTime<Utc>) -> Result<bool, StoreError>;
    /// Inserts a workspace.
    async fn insert(&mut self, workspace: &NewWorkspace<'_>) -> Result<(), StoreError>;
    /// Changes name and slug; `None` keeps the current value.
    async fn rename(
        &mut self,
        id: WorkspaceId,
        rename: &Rename,
        at: DateTime<Utc>,
    ) -> Result<Option<Workspace>, StoreError>;
    /// Locks the workspace until the end of the transaction, and returns whether it exists. Billing events and changes of
    /// members are serialised by this lock.
    async fn lock(&mut self, id: WorkspaceId) -> Result<bool, StoreError>;
    /// Sets the plan that is paid for, and the access and entitlements that follow from it. System scope only: a request cannot
    /// raise its own plan. Use [`set_plan`](crate::billing::entitlements::set_plan), which also sets the caps.
    async fn set_plan(
        &mut self,
        id: WorkspaceId,
        plan: Option<&str>,
        entitlements: &Entitlements,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError>;
}

impl Workspace {
    /// Position of the workspace in paged lists.
    pub fn position(&self) -> Position {
        Position { at: self.created_at, id: self.id.uuid() }
    }
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
