//! Who may do what. A permission is a type, a decision is a bit test, and a [`Can`] is the only proof a mutation accepts.

mod grant;
mod permission;
mod roles;

pub use grant::{Can, Explanation, Grant};
pub use permission::{Bits, EvenReadOnly, Permission, PermissionInfo, intern};
pub use roles::{OWNER, Pattern, Role, RoleRules, Roles};

crate::permissions! {
    /// See the workspace, its plan and its usage.
    pub ReadWorkspace = "workspace.read";
    /// Rename the workspace and change its settings.
    pub UpdateWorkspace = "workspace.update";
    /// Delete the workspace.
    pub DeleteWorkspace = "workspace.delete";
    /// Invite people.
    pub InviteMember = "member.invite";
    /// Remove people.
    pub RemoveMember = "member.remove";
    /// Change people's roles.
    pub UpdateMember = "member.update";
    /// See who belongs to the workspace.
    pub ListMembers = "member.list";
    /// Change the plan and the payment details.
    pub ManageBilling = "billing.manage";
    /// Make API keys.
    pub CreateApiKey = "api_key.create";
    /// Revoke API keys.
    pub DeleteApiKey = "api_key.delete";
    /// Read the audit log.
    pub ReadAudit = "audit.read";
}
