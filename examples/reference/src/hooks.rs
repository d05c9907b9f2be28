//! The tracker's hooks.

use std::sync::Arc;

use async_trait::async_trait;
use saas_kernel::actor::Actor;
use saas_kernel::hooks::SignedUp;
use saas_kernel::{Error, Grant, Hooks, Tx};
use saas_kernel_postgres::PgTx;

use crate::projects::{self, ProjectName};

pub struct Tracker;

#[async_trait]
impl Hooks for Tracker {
    /// Adds a first project in the transaction of the sign-up, so that nobody starts with an empty page.
    async fn on_signup(&self, _: &Arc<Grant>, tx: &mut dyn Tx, signed_up: &SignedUp) -> Result<(), Error> {
        let first: ProjectName = "First project".parse()?;
        let by = Actor::User(signed_up.user);
        projects::insert(PgTx::of(tx)?.conn(), signed_up.workspace.id, by, signed_up.at, first).await?;
        Ok(())
    }
}
