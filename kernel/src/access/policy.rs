//! The access policy of a kernel: its roles, its plans and the key that signs cursors.

use std::sync::Arc;

use super::catalog::Catalog;
use super::roles::Roles;
use crate::base::secret::SigningKey;

/// The access policy of one kernel, shared by all its grants and sessions.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The roles, and the registry of permissions they are made of.
    pub roles: Roles,
    /// The plans.
    pub catalog: Arc<Catalog>,
    /// Key that signs values that clients send back unchanged, such as cursors.
    pub signing_key: SigningKey,
}
