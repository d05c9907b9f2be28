//! What authentication and tenant resolution learned, and the proofs made from it.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::catalog::{Access, Catalog, Plan};
use super::names::codes::WORKSPACE_READ_ONLY;
use super::permission::{Permission, intern};
use super::policy::Policy;
use super::roles::{Role, Roles};
use super::standing::Standing;
use crate::base::actor::Actor;
use crate::base::checkout::Checkout;
use crate::base::ctx::Ctx;
use crate::base::error::{Refusal, codes};
use crate::base::id::WorkspaceId;
use crate::base::page::{Page, PageQuery, PageRequest};

/// Who calls, in which workspace, as what. Made by authentication only; there is no public constructor.
#[derive(Debug)]
pub struct Grant {
    pub(crate) ctx: Ctx,
    pub(crate) actor: Actor,
    pub(crate) workspace: WorkspaceId,
    pub(crate) role: Arc<Role>,
    pub(crate) standing: Standing,
    pub(crate) plan: Arc<Plan>,
    pub(crate) access: Access,
    pub(crate) policy: Arc<Policy>,
    pub(crate) checkout: Checkout,
}

impl Grant {
    /// The proof of `P`, or why not. The only way to a [`Can`].
    pub fn allow<P: Permission>(self: &Arc<Self>) -> Result<Can<P>, Refusal> {
        if !self.role.bits.has(P::bit()) {
            let text = match self.actor {
                Actor::ApiKey(_) => format!(
                    "this API key was not made with the permission `{}`; use one that was, or ask for one",
                    P::NAME
                ),
                Actor::User(_) | Actor::System(_) | Actor::Staff { .. } => format!(
                    "your role `{}` does not hold the permission `{}`; ask an owner of the workspace",
                    self.role.name,
                    P::NAME
                ),
            };
            return Err(Refusal::new(&codes::FORBIDDEN, text));
        }
        if P::WRITES && self.access == Access::ReadOnly {
            let text = "this workspace is read-only until its subscription is settled; settle it under billing";
            return Err(Refusal::new(&WORKSPACE_READ_ONLY, text));
        }
        Ok(Can(self.clone(), PhantomData))
    }

    /// Why `permission` is held or not.
    pub fn explain(&self, permission: &'static str) -> Explanation {
        let holders = self.roles().ranked().into_iter().filter(|role| role.bits.has(intern(permission)));
        Explanation {
            permission,
            role: self.role.name.clone(),
            held: self.role.bits.has(intern(permission)),
            by: self.role.gives(permission).map(str::to_owned),
            holders: holders.map(|role| role.name.clone()).collect(),
        }
    }

    /// The call's circumstances.
    pub fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    /// When the call began.
    pub fn now(&self) -> DateTime<Utc> {
        self.ctx.now
    }

    /// Who calls.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// In which workspace.
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// As what.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// The plan the workspace is on.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How much of the plan the subscription's state gives.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Every role.
    pub fn roles(&self) -> &Roles {
        &self.policy.roles
    }

    /// Every plan, to name the one that unlocks what is refused.
    pub fn catalog(&self) -> &Catalog {
        &self.policy.catalog
    }

    /// Which page of `list` is wanted. The cursor is good for this list in this workspace only; put filters into `list`.
    ///
    /// # Errors
    /// `invalid_cursor`, or `validation_failed` for the limit.
    pub fn page(&self, list: &str, query: &PageQuery) -> Result<PageRequest, Refusal> {
        PageRequest::parse(query, &self.list_context(list), &self.policy.signing_key)
    }

    /// The cursor of the page after `page`, for the same `list`.
    pub fn next_cursor<T>(&self, list: &str, page: &Page<T>) -> Option<String> {
        page.next_cursor(&self.list_context(list), &self.policy.signing_key)
    }

    fn list_context(&self, list: &str) -> String {
        format!("{list} of {}", self.workspace)
    }

    pub(crate) fn checkout(&self) -> &Checkout {
        &self.checkout
    }

    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }
}

/// Proof that its grant holds `P`.
///
/// A function that takes `&Can<P>` cannot be called without the check having been made:
///
/// ```compile_fail
/// use saas_kernel::access::{Can, UpdateWorkspace};
/// let proof: Can<UpdateWorkspace> = Can(todo!(), std::marker::PhantomData); // private: there is no other way in
/// ```
#[derive(Debug)]
pub struct Can<P>(Arc<Grant>, PhantomData<fn() -> P>);

impl<P> Clone for Can<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<P> Deref for Can<P> {
    type Target = Grant;
    fn deref(&self) -> &Grant {
        &self.0
    }
}

/// What decided about a permission.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// The permission asked about.
    pub permission: &'static str,
    /// The caller's role.
    pub role: String,
    /// Whether the role holds it.
    pub held: bool,
    /// What gives it: a pattern of the role, or a scope of the key.
    pub by: Option<String>,
    /// The roles that hold it, highest first.
    pub holders: Vec<String>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { permission, role, by, holders, .. } = self;
        match by {
            Some(by) => write!(f, "`{permission}` is held by `{role}` through `{by}`"),
            None => write!(f, "`{permission}` is not held by `{role}`; it is by {}", holders.join(", ")),
        }
    }
}
