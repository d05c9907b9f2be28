//! Workspaces: the tenants. A slug is claimed once for all workspaces and stays claimed after a rename, so that old
//! addresses keep leading to the same place.

mod flow;

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::access::catalog::Access;
use crate::base::actor::{Actor, ActorRef};
use crate::base::error::{Refusal, StoreError};
use crate::base::id::{UserId, WorkspaceId};
use crate::base::page::{Page, PageRequest, Position};
use crate::base::text;
use crate::identity::users::PersonName;

pub(crate) use flow::{Creator, NameChoice, create_workspace};
pub use flow::{WorkspaceCreation, create, get, of_user, rename};

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
