//! What let a call in, for the commit to look at again.

use std::sync::Arc;

use uuid::Uuid;

use crate::base::id::{ApiKeyId, UserId};

/// What let a call into its workspace. The call may take its time; a commit looks whether this still holds, and holds it
/// until it is through, so that nothing is kept for somebody after they were removed.
#[derive(Clone, Debug)]
pub enum Standing {
    /// A person's membership in the role of this name, as stored.
    Member(UserId, Arc<str>),
    /// A key that is not revoked.
    Key(ApiKeyId),
}

impl Standing {
    /// The id of the person or the key.
    pub fn uuid(&self) -> Uuid {
        match self {
            Self::Member(user, _) => user.uuid(),
            Self::Key(key) => key.uuid(),
        }
    }
}
