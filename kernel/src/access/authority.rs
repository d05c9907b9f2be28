//! What a credential gives its holder in one workspace.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::catalog::{Access, Plan};
use super::permission::{Bits, intern};
use super::policy::Policy;
use super::roles::Role;
use super::standing::{Standing, WorkspaceStatus};
use crate::base::actor::Actor;
use crate::base::id::{ApiKeyId, SessionId, UserId, WorkspaceId};

/// The credential that an authority was made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Credentials {
    /// A session cookie.
    Session(SessionId),
    /// An API key.
    ApiKey(ApiKeyId),
    /// The kernel itself, for hooks and jobs of a workspace.
    System(&'static str),
}

/// What a caller may do in one workspace: who they are, their role or scopes, the workspace's entitlements, and the versions of
/// all of these. Only authentication creates one. It holds nothing of a single call, so that it can be shared and cached; a
/// [`Grant`](super::Grant) joins it with a [`Call`](super::Call), and the call's commit re-checks the versions.
#[derive(Debug)]
pub struct Authority {
    pub(crate) actor: Actor,
    pub(crate) acting_as: Option<UserId>,
    pub(crate) workspace: WorkspaceId,
    pub(crate) status: WorkspaceStatus,
    pub(crate) role: Arc<Role>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) access: Access,
    pub(crate) standings: Arc<[Standing]>,
    pub(crate) credentials: Credentials,
    pub(crate) authenticated_at: DateTime<Utc>,
    pub(crate) policy: Arc<Policy>,
}

impl Authority {
    /// The kernel's own authority in a workspace, for hooks: every permission, on behalf of `acting_as`. It has no standings: it
    /// lives no longer than the transaction that it is used in.
    pub(crate) fn system(
        policy: &Arc<Policy>,
        part: &'static str,
        workspace: WorkspaceId,
        acting_as: Option<UserId>,
        at: DateTime<Utc>,
    ) -> Self {
        let known = policy.roles.registry().iter();
        let bits = known.fold(Bits::default(), |bits, permission| bits.with(intern(permission.name)));
        Self {
            actor: Actor::System(part),
            acting_as,
            workspace,
            status: WorkspaceStatus::Active,
            role: Arc::new(Role { name: "system".to_owned(), rank: 0, patterns: vec!["*".to_owned()], bits }),
            plan: policy.catalog.free().clone(),
            access: Access::Full,
            standings: Arc::new([]),
            credentials: Credentials::System(part),
            authenticated_at: at,
            policy: policy.clone(),
        }
    }

    /// The person, API key or part of the system that acts.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// The person on whose behalf a staff member or the system acts.
    pub fn acting_as(&self) -> Option<UserId> {
        self.acting_as
    }

    /// Id of the workspace.
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// Role in the workspace, with its rank and permissions.
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

    /// What the commit re-checks.
    pub fn standings(&self) -> &Arc<[Standing]> {
        &self.standings
    }

    /// How the caller was authenticated.
    pub fn credentials(&self) -> Credentials {
        self.credentials
    }

    /// When the caller proved who they are: the sign-in of a session, the call of an API key.
    pub fn authenticated_at(&self) -> DateTime<Utc> {
        self.authenticated_at
    }
}
