//! What a call was let in by, with versions: its session, membership, API key and workspace. The commit looks at all of them
//! again.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::catalog::Access;
use super::names::codes::{WORKSPACE_READ_ONLY, WORKSPACE_SUSPENDED};
use super::permission::Mode;
use crate::base::error::Refusal;
use crate::base::id::{ApiKeyId, SessionId, UserId, WorkspaceId};

/// One fact that let a call in. The commit re-checks it and holds back whoever changes it until the transaction has ended, so
/// that nothing is saved for a caller who lost their access while the call ran.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Standing {
    /// The session has not ended.
    Session(SessionId),
    /// The membership is active and still has this version, which changes with its role and its status.
    Member {
        /// Workspace of the membership.
        workspace: WorkspaceId,
        /// The member.
        user: UserId,
        /// Version of the membership when the call was authenticated.
        version: i64,
    },
    /// The API key was not revoked.
    Key {
        /// Workspace of the key.
        workspace: WorkspaceId,
        /// The key.
        key: ApiKeyId,
    },
    /// The workspace's status and entitlements. If this version changed, the commit is refused only if what the call used is
    /// gone: an upgrade does not fail the calls that are under way.
    Workspace {
        /// The workspace.
        id: WorkspaceId,
        /// Version of its status and entitlements when the call was authenticated.
        version: i64,
    },
}

impl Standing {
    /// Id of the session, person, API key or workspace.
    pub fn uuid(&self) -> Uuid {
        match self {
            Self::Session(id) => id.uuid(),
            Self::Member { user, .. } => user.uuid(),
            Self::Key { key, .. } => key.uuid(),
            Self::Workspace { id, .. } => id.uuid(),
        }
    }
}

/// Status of a workspace that exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum WorkspaceStatus {
    /// Members can use it.
    Active,
    /// Nobody can use it, except that permissions of the mode [`Mode::Always`] remain, such as settling its bills.
    Suspended,
}

impl WorkspaceStatus {
    /// Parses the stored value; `None` if it is unknown.
    pub fn from_stored(text: &str) -> Option<Self> {
        match text {
            "active" => Some(Self::Active),
            "suspended" => Some(Self::Suspended),
            _ => None,
        }
    }
}

/// What a workspace allows its members at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkspaceState {
    /// Whether it can be used.
    pub status: WorkspaceStatus,
    /// How much of its plan it may use.
    pub access: Access,
    /// Keys of the features that it has.
    pub features: BTreeSet<String>,
}

impl WorkspaceState {
    /// Why permissions of `mode` are refused in this state; `None` if they are not.
    pub fn refusal(&self, mode: Mode) -> Option<Refusal> {
        refusal(self.status, self.access, mode)
    }
}

/// Why permissions of `mode` are refused in a workspace with this status and access; `None` if they are not.
pub(super) fn refusal(status: WorkspaceStatus, access: Access, mode: Mode) -> Option<Refusal> {
    match (mode, status, access) {
        (Mode::Always, ..) => None,
        (_, WorkspaceStatus::Suspended, _) => {
            let text = "this workspace is suspended; an owner can settle its subscription under billing";
            Some(Refusal::new(&WORKSPACE_SUSPENDED, text))
        }
        (Mode::Write, WorkspaceStatus::Active, Access::ReadOnly) => {
            let text = "this workspace is read-only: its subscription is unpaid or paused; settle it under billing";
            Some(Refusal::new(&WORKSPACE_READ_ONLY, text))
        }
        (Mode::Read | Mode::Write, WorkspaceStatus::Active, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Call;
    use crate::base::clock::{Clock, SystemClock};
    use crate::base::ctx::Ctx;

    fn state(status: WorkspaceStatus, access: Access, features: &[&str]) -> WorkspaceState {
        WorkspaceState { status, access, features: features.iter().map(|&key| key.to_owned()).collect() }
    }

    #[test]
    fn a_read_only_workspace_refuses_writes_and_a_suspended_one_all_but_the_bill() {
        use WorkspaceStatus::{Active, Suspended};
        for (status, access, refused) in [
            (Active, Access::Full, [false, false, false]),
            (Active, Access::Grace, [false, false, false]),
            (Active, Access::ReadOnly, [false, true, false]),
            (Suspended, Access::Full, [true, true, false]),
            (Suspended, Access::ReadOnly, [true, true, false]),
        ] {
            let state = state(status, access, &[]);
            let found = [Mode::Read, Mode::Write, Mode::Always].map(|mode| state.refusal(mode).is_some());
            assert_eq!(found, refused, "{state:?}");
        }
    }

    #[test]
    fn a_call_survives_a_change_of_its_workspace_that_takes_nothing_it_used() {
        use WorkspaceStatus::{Active, Suspended};
        let call = || Call::new(Ctx::at(SystemClock.now()));
        let (read_only, suspended) = (state(Active, Access::ReadOnly, &[]), state(Suspended, Access::Full, &["sso"]));
        assert!(call().survives(&read_only) && !call().survives(&suspended), "nothing used: it must be open");
        for (mode, survives) in
            [(Mode::Read, [true, false]), (Mode::Write, [false, false]), (Mode::Always, [true, true])]
        {
            let call = call();
            call.uses(mode);
            assert_eq!([&read_only, &suspended].map(|state| call.survives(state)), survives, "{mode:?}");
        }
        let call = call();
        call.uses(Mode::Always);
        call.uses_feature("sso");
        assert!(call.survives(&suspended) && !call.survives(&read_only), "the feature is gone");
    }
}
