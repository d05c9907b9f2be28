//! What decides about every call: the roles, the plans and the key that signs cursors.

use std::sync::Arc;

use super::catalog::Catalog;
use super::roles::Roles;
use crate::base::secret::SigningKey;

/// What decides about every call of one kernel. Shared by its grants and sessions.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The roles and the registry of permissions.
    pub roles: Roles,
    /// The plans.
    pub catalog: Arc<Catalog>,
    /// Signs what leaves the product and comes back, such as cursors.
    pub signing_key: SigningKey,
}
