//! The membership or API key that a grant is based on, re-checked by the commit.

use std::sync::Arc;

use uuid::Uuid;

use crate::base::id::{ApiKeyId, UserId};

/// The membership or API key that a call was authorised by. The commit re-checks it and locks it until the transaction ends, so
/// that nothing is saved for a caller who was removed while the call ran.
#[derive(Clone, Debug)]
pub enum Standing {
    /// A person's membership with the role of this name, as stored.
    Member(UserId, Arc<str>),
    /// An API key that was not revoked.
    Key(ApiKeyId),
}

impl Standing {
    /// Id of the person or the API key.
    pub fn uuid(&self) -> Uuid {
        match self {
            Self::Member(user, _) => user.uuid(),
            Self::Key(key) => key.uuid(),
        }
    }
}
