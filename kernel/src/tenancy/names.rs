//! The names this pillar declares: permissions, error codes, audit actions, event subjects.

crate::permissions! {
    /// See the workspace, its plan and its usage.
    pub ReadWorkspace = read "workspace.read";
    /// Rename the workspace and change its settings.
    pub UpdateWorkspace = write "workspace.update";
    /// Delete the workspace.
    pub DeleteWorkspace = write "workspace.delete";
    /// Invite people.
    pub InviteMember = write "member.invite";
    /// Remove people.
    pub RemoveMember = write "member.remove";
    /// Change people's roles.
    pub UpdateMember = write "member.update";
    /// See who belongs to the workspace.
    pub ListMembers = read "member.list";
}

/// Error codes.
pub mod codes {
    crate::codes! { pub TENANCY {
        SLUG_TAKEN = "slug_taken", Conflict, "Choose another slug.";
        ROLE_ABOVE_YOURS = "role_above_yours", Forbidden, "Ask a member whose role is at least the role in question.";
        LAST_OWNER = "last_owner", Conflict, "Make another member an owner first.";
        ALREADY_MEMBER = "already_member", Conflict, "Change the member's role instead.";
        TOO_MANY_INVITES = "too_many_invites", Conflict, "Revoke open invites, or wait until they are accepted.";
        INVITE_UNUSABLE = "invite_unusable", Conflict, "Ask the inviter for a new invite.";
        INVITE_FOR_ANOTHER = "invite_for_another", Forbidden, "Sign in with the address that the invite was sent to.";
    } }
}

/// Audit actions.
pub mod action {
    crate::names! { pub TENANCY {
        /// A workspace was created.
        WORKSPACE_CREATE = "workspace.create";
        /// A workspace's name, slug or settings were changed.
        WORKSPACE_UPDATE = "workspace.update";
        /// A person was invited.
        MEMBER_INVITE = "member.invite";
        /// An invite was revoked.
        MEMBER_INVITE_REVOKE = "member.invite_revoke";
        /// An invite was accepted.
        MEMBER_JOIN = "member.join";
        /// A member's role was changed.
        MEMBER_ROLE_CHANGE = "member.role_change";
        /// A member was removed.
        MEMBER_REMOVE = "member.remove";
        /// A member left the workspace.
        MEMBER_LEAVE = "member.leave";
    } }
}

/// Event subjects.
pub mod subject {
    crate::names! { pub TENANCY {
        /// A workspace was created.
        WORKSPACE_CREATED = "workspace.created";
        /// A workspace's name or slug changed.
        WORKSPACE_UPDATED = "workspace.updated";
        /// A person joined a workspace.
        MEMBER_JOINED = "member.joined";
        /// A member's role changed.
        MEMBER_UPDATED = "member.updated";
        /// A member left or was removed.
        MEMBER_REMOVED = "member.removed";
    } }
}
