//! The names that all pillars declare: error codes, permissions, audit actions and event subjects. This file only combines
//! them; a name is declared in its pillar's `names.rs`.

/// Error codes.
pub mod codes {
    use crate::base::error::Code;

    pub use crate::access::names::codes::*;
    pub use crate::base::error::codes::*;
    pub use crate::billing::names::codes::*;
    pub use crate::guard::names::codes::*;
    pub use crate::identity::names::codes::*;
    pub use crate::notify::names::codes::*;
    pub use crate::tenancy::names::codes::*;

    /// All error codes of the kernel. A product's own codes are in the list that its [`codes!`](macro@crate::codes) declares.
    pub fn all() -> Vec<&'static Code> {
        [BASE, ACCESS, IDENTITY, TENANCY, BILLING, GUARD, NOTIFY].concat()
    }
}

/// The kernel's permissions.
pub mod permissions {
    use crate::access::PermissionInfo;

    pub use crate::audit::names::ReadAudit;
    pub use crate::billing::names::ManageBilling;
    pub use crate::identity::names::{CreateApiKey, DeleteApiKey};
    pub use crate::tenancy::names::{
        DeleteWorkspace, InviteMember, ListMembers, ReadWorkspace, RemoveMember, UpdateMember, UpdateWorkspace,
    };

    /// All permissions of the kernel.
    pub fn all() -> Vec<PermissionInfo> {
        use crate::{audit, billing, identity, tenancy};
        let pillars = [
            tenancy::names::PERMISSIONS,
            billing::names::PERMISSIONS,
            identity::names::PERMISSIONS,
            audit::names::PERMISSIONS,
        ];
        pillars.concat()
    }
}

/// The kernel's audit actions, and those for a product's own resources.
pub mod actions {
    pub use crate::audit::names::action::*;
    pub use crate::billing::names::action::*;
    pub use crate::identity::names::action::*;
    pub use crate::tenancy::names::action::*;

    /// All audit actions of the kernel.
    pub fn all() -> Vec<&'static str> {
        [TENANCY, IDENTITY, BILLING, RESOURCES].concat()
    }
}

/// The subjects of the kernel's events.
pub mod subjects {
    pub use crate::billing::names::subject::*;
    pub use crate::tenancy::names::subject::*;

    /// All event subjects of the kernel.
    pub fn all() -> Vec<&'static str> {
        [TENANCY, BILLING].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_snake_case() {
        let mut names: Vec<_> = codes::all().iter().map(|code| code.name).collect();
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn actions_and_subjects_are_unique_and_dotted() {
        for mut names in [actions::all(), subjects::all()] {
            assert!(names.iter().all(|name| name.split_once('.').is_some()));
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }
}
