//! A caller's grant in one workspace, and the proofs of permissions made from it.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::authority::Authority;
use super::call::Call;
use super::catalog::Catalog;
use super::entitlements::Entitlements;
use super::permission::{Permission, intern};
use super::roles::{Role, Roles};
use crate::base::actor::Actor;
use crate::base::ctx::Ctx;
use crate::base::error::{Refusal, codes};
use crate::base::id::{UserId, WorkspaceId};
use crate::base::page::{Page, PageQuery, PageRequest};

/// A caller's access to one workspace in one call: an [`Authority`] and a [`Call`]. There is no grant without an authority,
/// and only authentication creates an authority.
#[derive(Debug)]
pub struct Grant {
    authority: Arc<Authority>,
    call: Arc<Call>,
}

impl Grant {
    /// Uses `authority` in `call`.
    pub fn new(authority: Arc<Authority>, call: Arc<Call>) -> Self {
        Self { authority, call }
    }

    /// Returns the proof of the permission `P`. This is the only way to obtain a [`Can`].
    ///
    /// # Errors
    /// `forbidden` if the role or key does not have the permission; `workspace_read_only` if `P` writes and the workspace is
    /// read-only; `workspace_suspended` unless `P` is always allowed.
    pub fn allow<P: Permission>(self: &Arc<Self>) -> Result<Can<P>, Refusal> {
        let authority = &*self.authority;
        if !authority.role.bits.has(P::bit()) {
            return Err(self.forbidden(P::NAME));
        }
        if let Some(refusal) = authority.refusal(P::MODE) {
            return Err(refusal);
        }
        self.call.uses(P::MODE);
        Ok(Can(self.clone(), PhantomData))
    }

    #[cold]
    fn forbidden(&self, permission: &str) -> Refusal {
        let text = match self.actor() {
            Actor::ApiKey(_) => {
                format!("this API key does not have the permission `{permission}`; use a key that has it")
            }
            Actor::User(_) | Actor::System(_) | Actor::Staff(_) => format!(
                "your role `{}` does not have the permission `{permission}`; ask an owner of the workspace for it",
                self.role().name
            ),
        };
        Refusal::new(&codes::FORBIDDEN, text)
    }

    /// Explains whether the caller has `permission`, and which role pattern or scope gives it.
    pub fn explain(&self, permission: &'static str) -> Explanation {
        let holders = self.roles().ranked().into_iter().filter(|role| role.bits.has(intern(permission)));
        Explanation {
            permission,
            role: self.role().name.clone(),
            held: self.role().bits.has(intern(permission)),
            by: self.role().gives(permission).map(str::to_owned),
            holders: holders.map(|role| role.name.clone()).collect(),
        }
    }

    /// What the caller may do, without the call.
    pub fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// The call, without what the caller may do.
    pub fn call(&self) -> &Arc<Call> {
        &self.call
    }

    /// Context of the call: time, request id, client.
    pub fn ctx(&self) -> &Ctx {
        self.call.ctx()
    }

    /// Time at which the call began.
    pub fn now(&self) -> DateTime<Utc> {
        self.ctx().now
    }

    /// The person, API key or part of the system that acts.
    pub fn actor(&self) -> Actor {
        self.authority.actor
    }

    /// The person on whose behalf a staff member or the system acts.
    pub fn acting_as(&self) -> Option<UserId> {
        self.authority.acting_as
    }

    /// Id of the workspace that the grant is for.
    pub fn workspace(&self) -> WorkspaceId {
        self.authority.workspace
    }

    /// Role of the caller in the workspace.
    pub fn role(&self) -> &Role {
        &self.authority.role
    }

    /// What the workspace may use: its plan, features and limits, as they were stored when the caller was authenticated.
    pub fn entitlements(&self) -> &Arc<Entitlements> {
        &self.authority.entitlements
    }

    /// Whether the workspace has `feature`. The call relies on the answer: if the feature is lost before its commit, the commit
    /// is refused.
    pub fn has_feature(&self, feature: &'static str) -> bool {
        let has = self.entitlements().includes(feature);
        if has {
            self.call.uses_feature(feature);
        }
        has
    }

    /// All configured roles.
    pub fn roles(&self) -> &Roles {
        &self.authority.policy.roles
    }

    /// All configured plans, to name the one that allows what was refused.
    pub fn catalog(&self) -> &Catalog {
        &self.authority.policy.catalog
    }

    /// Parses the page parameters of a request for `list`. A cursor is valid only for this list in this workspace; make
    /// filters part of `list`.
    ///
    /// # Errors
    /// `invalid_cursor`; `validation_failed` if the limit is out of range.
    pub fn page(&self, list: &str, query: &PageQuery) -> Result<PageRequest, Refusal> {
        PageRequest::parse(query, &self.list_context(list), &self.authority.policy.cursors)
    }

    /// The cursor of the page after `page`, for the same `list`; `None` on the last page.
    pub fn next_cursor<T>(&self, list: &str, page: &Page<T>) -> Option<String> {
        page.next_cursor(&self.list_context(list), &self.authority.policy.cursors)
    }

    fn list_context(&self, list: &str) -> String {
        format!("{list} of {}", self.workspace())
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
