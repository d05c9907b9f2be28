//! Hooks that a product implements to extend the kernel's flows. Every hook has an empty default.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::access::Grant;
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

/// Hooks of a product. Hooks run inside the kernel's transaction, in the order in which they were registered: an error rolls
/// everything back. Never do network calls in a hook; publish an event instead.
///
/// A hook gets a grant of the workspace with every permission, whose actor is the system on behalf of the person concerned, so
/// that it can call the kernel's and the product's own functions.
#[async_trait]
pub trait Hooks: Send + Sync + 'static {
    /// Called for every sign-up. `grant` is one of the new workspace; `tx` can access the new account and that workspace.
    async fn on_signup(&self, grant: &Arc<Grant>, tx: &mut dyn Tx, signed_up: &SignedUp) -> Result<(), Error> {
        let _ = (grant, tx, signed_up);
        Ok(())
    }
}
