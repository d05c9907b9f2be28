//! A caller's grant in one workspace, and the proofs of permissions made from it.

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

/// A caller's access to one workspace: who calls, in which workspace, with which role. Only authentication creates one; there
/// is no public constructor.
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
    /// Returns the proof of the permission `P`. This is the only way to obtain a [`Can`].
    ///
    /// # Errors
    /// `forbidden` if the role or key does not have the permission; `workspace_read_only` if `P` writes and the workspace is
    /// read-only.
    pub fn allow<P: Permission>(self: &Arc<Self>) -> Result<Can<P>, Refusal> {
        if !self.role.bits.has(P::bit()) {
            let text = match self.actor {
                Actor::ApiKey(_) => {
                    format!("this API key does not have the permission `{}`; use a key that has it", P::NAME)
                }
                Actor::User(_) | Actor::System(_) | Actor::Staff { .. } => format!(
                    "your role `{}` does not have the permission `{}`; ask an owner of the workspace for it",
                    self.role.name,
                    P::NAME
                ),
            };
            return Err(Refusal::new(&codes::FORBIDDEN, text));
        }
        if P::WRITES && self.access == Access::ReadOnly {
            let text = "this workspace is read-only: its subscription is unpaid or paused; settle it under billing";
            return Err(Refusal::new(&WORKSPACE_READ_ONLY, text));
        }
        Ok(Can(self.clone(), PhantomData))
    }

    /// Explains whether the caller has `permission`, and which role pattern or scope gives it.
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

    /// Context of the call: time, request id, client.
    pub fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    /// Time at which the call began.
    pub fn now(&self) -> DateTime<Utc> {
        self.ctx.now
    }

    /// The person or API key that calls.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// Id of the workspace that the grant is for.
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// Role of the caller in the workspace.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// Plan of the workspace.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How much of the plan the workspace may use, given the state of its subscription.
    pub fn access(&self) -> Access {
        self.access
    }

    /// All configured roles.
    pub fn roles(&self) -> &Roles {
        &self.policy.roles
    }

    /// All configured plans, to name the one that allows what was refused.
    pub fn catalog(&self) -> &Catalog {
        &self.policy.catalog
    }

    /// Parses the page parameters of a request for `list`. A cursor is valid only for this list in this workspace; make
    /// filters part of `list`.
    ///
    /// # Errors
    /// `invalid_cursor`; `validation_failed` if the limit is out of range.
    pub fn page(&self, list: &str, query: &PageQuery) -> Result<PageRequest, Refusal> {
        PageRequest::parse(query, &self.list_context(list), &self.policy.cursors)
    }

    /// The cursor of the page after `page`, for the same `list`; `None` on the last page.
    pub fn next_cursor<T>(&self, list: &str, page: &Page<T>) -> Option<String> {
        page.next_cursor(&self.list_context(list), &self.policy.cursors)
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

/// Proof that the caller of a [`Grant`] has the permission `P`.
///
/// A function that takes `&Can<P>` cannot be called without the permission check:
///
/// ```compile_fail
/// use saas_kernel::access::Can;
/// use saas_kernel::permissions::UpdateWorkspace;
/// let proof: Can<UpdateWorkspace> = Can(todo!(), std::marker::PhantomData); // the constructor is private
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

/// Why a caller has a permission, or does not.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// Name of the permission.
    pub permission: &'static str,
    /// Name of the caller's role.
    pub role: String,
    /// Whether the role has the permission.
    pub held: bool,
    /// The role's pattern or the key's scope that gives the permission.
    pub by: Option<String>,
    /// Names of the roles that have the permission, highest first.
    pub holders: Vec<String>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { permission, role, by, holders, .. } = self;
        match by {
            Some(by) => write!(f, "`{role}` has `{permission}` through `{by}`"),
            None => write!(f, "`{role}` does not have `{permission}`; roles that do: {}", holders.join(", ")),
        }
    }
}
