//! Hooks that a product implements to extend the kernel's flows. Every hook has an empty default.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::base::error::Error;
use crate::base::id::UserId;
use crate::identity::users::Email;
use crate::store::Tx;
use crate::tenancy::workspaces::Workspace;

/// A sign-up: the new account and its first workspace.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SignedUp {
    /// Time of the sign-up.
    pub at: DateTime<Utc>,
    /// Id of the new account.
    pub user: UserId,
    /// E-mail address of the account, not verified yet.
    pub email: Email,
    /// The new workspace, which the account owns.
    pub workspace: Workspace,
}

/// Hooks of a product. Hooks run inside the kernel's transaction: an error rolls everything back. Never do network calls in a
/// hook; publish an event instead.
#[async_trait]
pub trait Hooks: Send + Sync + 'static {
    /// Called for every sign-up. `tx` can access the new account and its workspace.
    async fn on_signup(&self, tx: &mut dyn Tx, signed_up: &SignedUp) -> Result<(), Error> {
        let _ = (tx, signed_up);
        Ok(())
    }
}

/// No hooks; the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {}
