//! The access policy of a kernel: its roles, its plans and the keys that sign cursors.

use std::sync::Arc;

use super::catalog::Catalog;
use super::roles::Roles;
use crate::base::keyring::NamedSecret;

/// The access policy of one kernel, shared by all its grants and sessions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Policy {
    /// The roles, and the registry of permissions they are made of.
    pub roles: Roles,
    /// The plans.
    pub catalog: Arc<Catalog>,
    /// The keys that sign cursors.
    pub cursors: NamedSecret,
}
