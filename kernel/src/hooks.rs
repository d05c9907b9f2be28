//! Where the product plugs in. Every hook has an empty body; implement the ones you need.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::base::error::Error;
use crate::base::id::UserId;
use crate::identity::users::Email;
use crate::store::Tx;
use crate::tenancy::workspaces::Workspace;

/// Who signed up, and the workspace made for them.
#[derive(Clone, Debug)]
pub struct SignedUp {
    /// When.
    pub at: DateTime<Utc>,
    /// The new account.
    pub user: UserId,
    /// Its address, not verified yet.
    pub email: Email,
    /// The new workspace.
    pub workspace: Workspace,
}

/// The product's plug-points. Hooks about data run inside the same transaction: an error rolls everything back. Never call
/// the network in one; publish an event instead.
#[async_trait]
pub trait Hooks: Send + Sync + 'static {
    /// Somebody signed up. `tx` reaches their account and their new workspace.
    async fn on_signup(&self, tx: &mut dyn Tx, signed_up: &SignedUp) -> Result<(), Error> {
        let _ = (tx, signed_up);
        Ok(())
    }
}

/// No hooks.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {}
