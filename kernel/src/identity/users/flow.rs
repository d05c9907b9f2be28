//! Reads one's own account.

use super::User;
use crate::base::error::Error;
use crate::identity::sessions::Session;
use crate::store::ReadTx;

/// The account of the signed-in person.
///
/// # Errors
/// Broken if the account of the session does not exist.
pub async fn me(session: &Session, tx: &mut dyn ReadTx) -> Result<User, Error> {
    let found = tx.reads().users().find(session.user()).await?;
    found.ok_or_else(|| Error::broken("a session's account does not exist"))
}
