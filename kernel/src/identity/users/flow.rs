//! Reading one's own account.

use super::User;
use crate::base::error::Error;
use crate::identity::sessions::Session;
use crate::store::Tx;

/// The person who is signed in.
///
/// # Errors
/// Broken when the account is gone while its session is not.
pub async fn me(session: &Session, tx: &mut dyn Tx) -> Result<User, Error> {
    let found = tx.users().find(session.user()).await?;
    found.ok_or_else(|| Error::broken("a session's account does not exist"))
}
